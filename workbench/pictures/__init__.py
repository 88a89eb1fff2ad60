"""Pictures too large for plots.py, which looks them up: one family a file."""
