"""What people read: the page, the Markdown, the table on a terminal, the plots and their rows."""
