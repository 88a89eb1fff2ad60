"""Resample: every interval of the package. Bootstrap by weights or by numbers, and Wilson's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import binomtest

from .check import refuse

#: How often a bootstrap resamples.
N_RESAMPLES = 2000
#: A variance below this share of the mean square is none.
SAME = 1e-12


def _mean(value: np.ndarray) -> np.ndarray:
    return value


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return above / np.where(below > 0, below, np.nan)


def _slope(xy: Any, x: Any, y: Any, xx: Any, yy: Any) -> np.ndarray:
    return (xy - x * y) / _variance(x, xx)


def _correlation(xy: Any, x: Any, y: Any, xx: Any, yy: Any) -> np.ndarray:
    return (xy - x * y) / np.sqrt(_variance(x, xx) * _variance(y, yy))


def _variance(mean: np.ndarray, square: np.ndarray) -> np.ndarray:
    """NaN where all are equal: one example drawn again and again."""
    variance = square - mean**2
    return np.where(variance > SAME * square, variance, np.nan)


#: What a measure is of the means of its numbers and of so many sums. A slope, beside a constant,
#: and a correlation are of pairs: their numbers are x · y, their sums x, y, x², y².
STATISTICS: dict[str, tuple[int, Callable[..., np.ndarray]]] = {
    "mean": (0, _mean),
    "ratio": (1, _ratio),
    "slope": (4, _slope),
    "correlation": (4, _correlation),
}


def weights(n: int, draws: int = N_RESAMPLES, seed: Any = 0) -> np.ndarray:
    """(example, 1 + draws) weights of a mean over n examples: all alike, then resampled.

    A mean over examples and its resamples are then one product, `values @ weights(n)`. seed: a
    number, or a numpy generator, where several samples are drawn one after the other.
    """
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed or 0)
    drawn = rng.integers(n, size=(draws, n)) if draws else np.zeros((0, n), int)
    counts = np.bincount((drawn + n * np.arange(draws)[:, None]).ravel(), minlength=n * draws)
    return np.concatenate([np.ones((1, n)), counts.reshape(draws, n)]).T / n


def percentiles(values: np.ndarray, level: float = 0.95) -> np.ndarray:
    """(2, row): the percentile interval of values (row, 1 + draws); NaN where they are."""
    check_level(level)
    out = np.full((2, len(values)), np.nan)
    if values.shape[1] > 1:
        # Where nothing was drawn again there is no interval.
        some = np.isfinite(values[:, 0]) & np.isfinite(values[:, 1:]).any(1)
        out[:, some] = np.nanquantile(values[some, 1:], [(1 - level) / 2, (1 + level) / 2], axis=1)
    return out


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Value, low and high of one row of values (1 + draws)."""
    low, high = percentiles(values[None], level)[:, 0]
    return float(values[0]), float(low), float(high)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    n: int,
    level: float = 0.95,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, float]:
    """The percentile interval of a statistic over n examples that is no mean.

    statistic: from example numbers (resample, n) to (resample,).
    Raises `ArgumentError` for a level that is not between 0 and 1.
    """
    check_level(level)
    draws = np.random.default_rng(seed).integers(n, size=(n_resamples, n))
    low, high = np.nanquantile(statistic(draws), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson(right: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The score interval of a share of `right` examples (Wilson 1927)."""
    check_level(level)
    n_right, n = int(np.sum(right)), len(right)
    ends = binomtest(n_right, n).proportion_ci(level, method="wilson")
    return float(ends.low), float(ends.high)


def check_level(level: float) -> None:
    """Raises `ArgumentError` for what is no level of an interval."""
    if not 0 < level < 1:
        raise refuse("level", "a number between 0 and 1", level, "Write 0.95 for 95 %.")
