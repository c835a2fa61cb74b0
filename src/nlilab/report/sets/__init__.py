"""Cards of data sets, and sets side by side."""
