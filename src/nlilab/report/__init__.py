"""What people read: the page, the Markdown table, the rows of the plots, the table on a terminal."""

from nlilab.report.table import print_table

__all__ = ["print_table"]
