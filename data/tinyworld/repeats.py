"""Random sequences that repeat: the only way to continue them is to look back."""

import random

from .question import Question
from .world import BLAME, NAMES, PRAISE, content_words

PERIODS = (4, 32)


def is_paired(word: str) -> bool:
    """Whether the word belongs to a family in which pairs of words are held out."""
    return word.isdigit() or word in NAMES or word in PRAISE or word in BLAME


def sequence(
    rng: random.Random, free: tuple[int, ...], paired: tuple[int, ...], period: int
) -> list[int]:
    """A random sequence of different token ids, with at most one of the `paired`.

    Paired words (names, adjectives, numbers) are those of which some pairs are held out.
    """
    cycle = rng.sample(free, period)
    if rng.random() < 0.5:
        cycle[rng.randrange(period)] = rng.choice(paired)
    return cycle


def questions(rng: random.Random, n: int) -> list[Question]:
    """Word sequences that start to repeat; corrupt has another word where the answer first stood.

    Answer and foil are right on their own prompt by copying alone.
    """
    words = content_words()
    found = []
    for i in range(n):
        period = 6 + i % 15
        first = rng.sample(words, period + 1)
        foil, cycle = first[-1], first[:-1]
        at = rng.randrange(2, period)
        swapped = [foil if j == at else word for j, word in enumerate(cycle)]
        found.append(
            Question(
                " " + " ".join(cycle + cycle[:at]),
                " " + " ".join(swapped + cycle[:at]),
                (f" {cycle[at]}",),
                (f" {foil}",),
                f"period{period}",
                {"period": period, "position": at},
            )
        )
    return found
