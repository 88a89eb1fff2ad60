"""A small model trained on one rule, whose mechanism can be read off its weights."""
