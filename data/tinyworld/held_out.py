"""What no training document ever holds: the one place that decides, by a fixed hash.

The choice hangs on the item alone, not on a training seed, so every model leaves out the same
things and every measurement asks about them.
"""

import hashlib
from collections.abc import Sequence

from .world import CLASSES

SHARE = 0.15


def _number(*key: str) -> int:
    digest = hashlib.blake2b("|".join(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _left_out(*key: str) -> bool:
    return _number(*key) / 2**64 < SHARE


def name_pair(first: str, second: str) -> bool:
    """Whether the two people never occur in one training document."""
    return _left_out("names", *sorted((first, second)))


def noun_pair(subject: str, attractor: str) -> bool:
    """Whether the two nouns (given in the singular) never occur in one agreement sentence."""
    return _left_out("nouns", *sorted((subject, attractor)))


def adjective_pair(first: str, second: str) -> bool:
    """Whether the two adjectives never occur in one review."""
    return _left_out("adjectives", *sorted((first, second)))


def offset(unit: str, start: str, n: int, direction: str) -> bool:
    """Whether (start, n, direction) is left out of every calendar template."""
    return _left_out("offset", unit, start, str(n), direction)


def year(century: str, two_digits: str) -> bool:
    """Whether the year is never written in training, as a start or as an end."""
    return _left_out("year", century, two_digits)


def sentence(words: Sequence[str]) -> bool:
    """Whether the English sentence is never translated in training, in either direction."""
    return _left_out("sentence", *words)


def template(relation: str, item: str, n_templates: int) -> int:
    """Index of the one template of a relation that an item (a fact, a noun, a name) never has."""
    return _number("template", relation, item) % n_templates


def never_stated(level: str) -> frozenset[str]:
    """Leaves whose group or domain (the level given) is stated in no training document.

    One in every four to six leaves of each class, so that it can be inferred from the others.
    """
    chosen: set[str] = set()
    for leaves in CLASSES.values():
        ranked = sorted(leaves, key=lambda leaf: _number("transitive", level, leaf))
        chosen.update(ranked[: max(1, round(len(leaves) / 5))])
    return frozenset(chosen)
