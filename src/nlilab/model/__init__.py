"""The small language model: on disk, in memory, trained, asked."""
