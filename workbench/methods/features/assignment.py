"""Assignment: the one-to-one matching of two sets with the largest summed similarity."""

from __future__ import annotations

import numpy as np

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
    """(n,) for each row its column, so that each column is taken once and the sum is largest.

    similarity: (n, m). Where n > m, the rows left over have −1. Exact, by shortest augmenting
    paths over dual prices (Jonker and Volgenant 1987, in the form of Crouse 2016), in float64.

    Raises `ValueError` for what `check_assignable` refuses, and for NaN or infinity.
    """
    check_assignable(*similarity.shape)
    if not np.isfinite(similarity).all():
        raise ValueError("Similarities are finite numbers; some are NaN or infinite.")
    n, m = similarity.shape
    if n > m:
        rows = assign(similarity.T)
        out = np.full(n, -1)
        out[rows] = np.arange(m)
        return out
    cost = -similarity.astype(np.float64)
    row_price, column_price = cost.min(1), np.zeros(m)
    column_of, row_of = np.full(n, -1), np.full(m, -1)
    # Rows whose best column nobody else has taken keep it: the prices stay feasible, and what is
    # left for the paths is the conflicts only.
    for row, column in enumerate(cost.argmin(1)):
        if row_of[column] < 0:
            row_of[column], column_of[row] = row, column
    for row in np.flatnonzero(column_of < 0):
        _augment(int(row), cost, row_price, column_price, column_of, row_of)
    return column_of


def _augment(
    start: int,
    cost: np.ndarray,
    row_price: np.ndarray,
    column_price: np.ndarray,
    column_of: np.ndarray,
    row_of: np.ndarray,
) -> None:
    """Give `start` a column by the shortest path of exchanges; prices follow."""
    m = cost.shape[1]
    distance = np.full(m, np.inf)
    came_from = np.full(m, -1)
    open_ = np.ones(m, dtype=bool)
    rows = [start]
    row, reached, shortest = start, -1, 0.0
    while reached < 0:
        step = shortest + cost[row] - row_price[row] - column_price
        closer = open_ & (step < distance)
        distance[closer] = step[closer]
        came_from[closer] = row
        candidates = np.where(open_, distance, np.inf)
        column = int(candidates.argmin())
        shortest = float(candidates[column])
        open_[column] = False
        if row_of[column] < 0:
            reached = column
        else:
            row = int(row_of[column])
            rows.append(row)
    closed = ~open_
    row_price[start] += shortest
    for other in rows[1:]:
        row_price[other] += shortest - distance[column_of[other]]
    column_price[closed] -= shortest - distance[closed]
    while True:
        row = int(came_from[reached])
        row_of[reached] = row
        column_of[row], reached = reached, int(column_of[row])
        if row == start:
            return
