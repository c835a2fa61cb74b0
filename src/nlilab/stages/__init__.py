"""One module per DVC stage: one typed function that reads, calls the library, and writes."""
