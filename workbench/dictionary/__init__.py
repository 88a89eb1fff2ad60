"""Dictionaries: features of a site behind one encode and decode, their formats and their edits."""
