"""What every room stands on: errors, files, parameters, rows, words, progress, and how a stage runs."""
