"""Word table: ids as strings and the search for a word, for results that hold many of them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from ...check import whole


def joined(vocabulary: tuple[str, ...], ids: np.ndarray) -> list[str]:
    """Each row of ids (n, k) as one text: its tokens between bars."""
    return ["|".join(vocabulary[i] for i in row) for row in ids.tolist()]


def matching_ids(vocabulary: Sequence[str], word: str | int) -> np.ndarray:
    """The ids that a word to search for means: an id, a token as it is, or without its space.

    A text with a space in front means just that token; one without also means the token that
    has a space before it. Raises `ValueError` for what is no token of the vocabulary, naming
    tokens that look like it; `TypeError` for anything else.
    """
    if not isinstance(word, str):
        return np.array([whole("word", word, 0, len(vocabulary) - 1, "Or search for its text.")])
    meant = {word} if word[:1].isspace() else {word, " " + word}
    found = [i for i, token in enumerate(vocabulary) if token in meant]
    if not found:
        raise ValueError(
            f"A word to search for is one token of the vocabulary; {word!r} is none."
            f"{_alike(vocabulary, word)} Search for one of its pieces."
        )
    return np.array(found)


def _alike(vocabulary: Sequence[str], word: str) -> str:
    near = get_close_matches(word.strip(), {token.strip() for token in vocabulary}, n=3)
    return f" Tokens like it are {', '.join(map(repr, near))}." if near else ""
