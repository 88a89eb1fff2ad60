"""What an index says of a feature: places, tokens, and features that fire with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Place(NamedTuple):
    """Where a feature fires: text number, position in it, and the code there."""

    text: int
    position: int
    value: float


class TokenUse(NamedTuple):
    """A token a feature fires on: the share of the feature's activity that falls on it, the share
    of its occurrences at which the feature fires; `fitted` and `held_out` count these firings.
    """

    id: int
    string: str
    share: float
    rate: float
    fitted: int
    held_out: int


class Together(NamedTuple):
    """A feature that fires together with another: positions of both over positions of either."""

    feature: int
    jaccard: float
    n_both: int


class TokenPairs(NamedTuple):
    """Every kept pair of feature and token: the sum of codes, and firings in either part."""

    feature: np.ndarray
    token: np.ndarray
    total: np.ndarray
    fitted: np.ndarray
    held_out: np.ndarray


def spread(places: Sequence[Place], n: int) -> list[Place]:
    """`n` of the places, evenly over their order; all where there are no more."""
    if len(places) <= n:
        return list(places)
    return [places[i] for i in np.linspace(0, len(places) - 1, n).round().astype(int)]
