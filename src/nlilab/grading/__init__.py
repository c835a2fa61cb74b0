"""Human judgement of written rows: a frozen sample, graders' marks as plain lines, and the page on which they mark."""
