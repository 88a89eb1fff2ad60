"""The stream of training documents: the families with their shares, and rows packed from them."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import dates, facts, grammar, people, repeats, translation
from .tokenizer import Encoder

Family = Callable[[random.Random, float], str]

FAMILIES: dict[str, Family] = {
    "ioi": lambda rng, progress: people.ioi_document(rng),
    "pronoun": lambda rng, progress: people.pronoun_document(rng),
    "agreement": lambda rng, progress: grammar.agreement_document(rng),
    "review": lambda rng, progress: grammar.review_document(rng),
    "fact": lambda rng, progress: facts.fact_document(rng),
    "kind": lambda rng, progress: facts.kind_document(rng),
    "day": lambda rng, progress: dates.offset_document(rng, "day", progress),
    "month": lambda rng, progress: dates.offset_document(rng, "month", progress),
    "span": lambda rng, progress: dates.span_document(rng),
    "translation": lambda rng, progress: translation.document(rng),
}
# Shares at each of the STAGES of training, straight lines between: sums of months are learnt last,
# and spans of years, whose answers are spread over many tokens, are sharpened at the end.
STAGES = (0.0, 0.5, 0.7)
SHARES = {
    "ioi": (14, 10, 8), "pronoun": (7, 8, 10), "agreement": (10, 8, 8), "review": (5, 5, 5),
    "fact": (14, 10, 8), "kind": (10, 10, 8), "day": (16, 18, 18), "month": (16, 24, 20),
    "span": (9, 8, 18), "translation": (14, 10, 10),
}  # fmt: skip

REPEAT_ROWS = 0.12
START_TOKEN = 0.7  # share of rows that begin with the end-of-text token
JOINED = 0.35  # share of documents that follow the one before in the same text

ANSWER, REPEAT, OTHER = 1.0, 0.5, 0.1


@dataclass(frozen=True)
class Row:
    """Token ids of one training row and the loss weight of predicting each."""

    ids: list[int]
    weights: list[float]


@lru_cache(maxsize=2)
def _shares(progress: float) -> tuple[float, ...]:
    return tuple(float(np.interp(progress, STAGES, values)) for values in SHARES.values())


def document(rng: random.Random, progress: float) -> str:
    """One training document with its answers in square brackets; `progress` runs from 0 to 1."""
    name = rng.choices(tuple(SHARES), _shares(progress))[0]
    return FAMILIES[name](rng, progress)


def _append_documents(
    rng: random.Random, encoder: Encoder, row: Row, n: int, progress: float
) -> None:
    """Add documents until the row holds at least `n` tokens."""
    fresh = not row.ids or row.ids[-1] == encoder.end
    while len(row.ids) < n:
        text = document(rng, progress)
        ids, is_answer = encoder.encode(text if fresh else f" {text}")
        row.ids.extend(ids)
        row.weights.extend(ANSWER if answer else OTHER for answer in is_answer)
        fresh = rng.random() >= JOINED
        if fresh:
            row.ids.append(encoder.end)
            row.weights.append(OTHER)


def append_repeats(rng: random.Random, encoder: Encoder, row: Row, context: int) -> None:
    """Fill the row with a repeating sequence; what cannot be predicted carries no loss."""
    room = (context - len(row.ids)) // 2
    longest = min(repeats.PERIODS[1], max(repeats.PERIODS[0], room))
    period = rng.randint(repeats.PERIODS[0], longest)
    # A quarter of the rows repeat any tokens, so that copying does not hang on known words.
    free = encoder.free_words if rng.random() < 0.75 else encoder.free_tokens
    cycle = repeats.sequence(rng, free, encoder.paired_words, period)
    row.ids.extend(cycle)
    row.weights.extend([0.0] * (period + 1))  # nothing tells where the second copy starts
    row.ids.extend(cycle)
    row.weights.extend([REPEAT] * (period - 1))
    while len(row.ids) < context:
        row.ids.extend(cycle)
        row.weights.extend([REPEAT] * period)


def rows(encoder: Encoder, seed: str, n: int, context: int, progress: float) -> Iterator[Row]:
    """`n` rows of `context` tokens each, the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(n):
        row = Row([], [])
        if rng.random() < START_TOKEN:
            row.ids.append(encoder.end)
            row.weights.append(0.0)
        if rng.random() < REPEAT_ROWS:
            if rng.random() < 0.4:
                _append_documents(rng, encoder, row, rng.randrange(4, context // 2), progress)
            append_repeats(rng, encoder, row, context)
        else:
            _append_documents(rng, encoder, row, context, progress)
        yield Row(row.ids[:context], row.weights[:context])
