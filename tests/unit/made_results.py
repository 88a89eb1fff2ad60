"""What the tests of scores share: results made by hand, and the obvious slow statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Where a result comes from; no number depends on it but the seed's.
ORIGIN: dict[str, Any] = {"model": "made", "revision": "", "versions": {}, "tokens": ()}


def made(kind: Any, seed: int | None = 0, **fields: Any) -> Any:
    """A result of this kind with these fields, as a method would give it."""
    return kind(**ORIGIN, seed=seed, **fields)


def draws(n: int, n_resamples: int, seed: int) -> np.ndarray:
    """(resample, n) the example numbers that a seeded bootstrap draws."""
    return np.random.default_rng(seed).integers(n, size=(n_resamples, n))


def two_sided(values: Any, level: float) -> tuple[float, float]:
    """The percentiles that leave (1 - level) / 2 on either side."""
    ends = [100 * (1 - level) / 2, 100 * (1 + level) / 2]
    low, high = np.nanpercentile(np.asarray(values), ends)
    return float(low), float(high)
