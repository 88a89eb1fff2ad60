"""Assignment: the one-to-one matching of two sets with the largest summed similarity."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

#: Beyond so many rows or columns the dense matrix and its solution take too long and too much.
MOST = 4096


def check_assignable(n: int, m: int) -> None:
    """Raises `ValueError`, with the memory it would take, for a matrix beyond 4,096 a side."""
    if max(n, m) > MOST:
        need = 4 * n * m + 8 * n * m
        raise ValueError(
            f"Permutation matching holds every similarity of two dictionaries, so up to {MOST} "
            f"features each; {n} × {m} would take {need / 2**30:.1f} GiB and hours. Match by "
            "'cosine' or 'correlation'."
        )


def assign(similarity: np.ndarray) -> np.ndarray:
    """(n,) for each row its column, as `one_to_one`, for up to 4,096 rows and columns.

    Raises `ValueError` for what `check_assignable` refuses, and for NaN or infinity.
    """
    check_assignable(*similarity.shape)
    return one_to_one(similarity)


def one_to_one(similarity: np.ndarray) -> np.ndarray:
    """(n,) for each row its column, so that each column is taken once and the sum is largest.

    similarity: (n, m). Where n > m, the rows left over have −1. Exact, by scipy's
    `linear_sum_assignment` (shortest augmenting paths, Crouse 2016), in float64.

    Raises `ValueError` for NaN or infinity.
    """
    if not np.isfinite(similarity).all():
        raise ValueError("Similarities are finite numbers; some are NaN or infinite.")
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    out = np.full(len(similarity), -1)
    out[rows] = columns
    return out
