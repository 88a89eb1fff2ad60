"""Faithfulness: a metric between that of nothing and that of the whole model, with its interval."""

from __future__ import annotations

import numpy as np

from ..circuits.evaluation import SMALLEST_RANGE
from ..resample import bootstrap


def faithfulness(
    values: np.ndarray,
    empty: np.ndarray,
    whole: np.ndarray,
    gap: float,
    chosen: np.ndarray | None = None,
) -> np.ndarray:
    """values (…, batch) → (…): 0 as with everything ablated, 1 as the whole model.

    A ratio of means over the examples. empty, whole: (batch,). gap: the mean metric of clean −
    corrupt; NaN where whole − empty is too small a share of it. chosen: (resample, batch) examples
    to take the means over, which gives (…, resample).
    """
    low, high, now = (
        (x if chosen is None else x[..., chosen]).astype(np.float64).mean(-1)
        for x in (empty, whole, values)
    )
    size = np.where(np.abs(high - low) < SMALLEST_RANGE * abs(gap), np.nan, high - low)
    return (now - low) / size


def faithfulness_interval(
    values: np.ndarray,
    empty: np.ndarray,
    whole: np.ndarray,
    gap: float,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """The score of (batch,) values and its interval, by bootstrap over examples: value, low, high.

    All NaN where there is nothing to measure.
    """
    value = float(faithfulness(values, empty, whole, gap))
    if np.isnan(value):
        return value, value, value
    low, high = bootstrap(
        lambda chosen: faithfulness(values, empty, whole, gap, chosen), len(values), level, seed
    )
    return value, low, high
