"""The signs' colours in pictures that no mark draws."""

#: The signs of the other views: blue gives more of the metric, red less.
POSITIVE, NEGATIVE = "#2166ac", "#b2182b"
