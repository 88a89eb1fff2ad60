"""Texts: shipped samples of what a model reads, for methods that need a corpus."""

from __future__ import annotations

import json

from . import data
from .check import Count, checked


@checked
def texts(name: str, *, n: Count | None = None) -> tuple[str, ...]:
    """The shipped texts in an embedded model's language, or the first `n` of them.

    For "tinyworld" 2,000 rows of 64 tokens, each of several documents with <|endoftext|> between
    them, drawn like its training text but from another seed.

    Raises `ValueError` for a name that has none, and for an `n` that they do not have.
    """
    names = sorted(path.stem for path in data.path("texts").glob("*.json"))
    if name not in names:
        raise ValueError(f"Texts ship for {', '.join(names)}; got {name!r}.")
    rows = json.loads(data.path("texts", f"{name}.json").read_text(encoding="utf-8"))["texts"]
    if n is not None and not 1 <= n <= len(rows):
        raise ValueError(f"There are {len(rows)} texts for {name}; got n={n!r}.")
    return tuple(rows[:n])
