"""Pictures: the marks that results name, and the special pictures of some, one family a file."""
