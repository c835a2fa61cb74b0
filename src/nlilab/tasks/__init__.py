"""Tasks as data: their loading and checking (the folder tasks/ holds them), and how a small model reads rows."""
