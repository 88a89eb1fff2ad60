"""The forms in which dictionaries lie on disk, one reader a file, each to the same parts."""
