"""Pair counts: sums over pairs of row and column, in bounded memory."""

from __future__ import annotations

import numpy as np
import torch

#: A table of up to so many pairs is held whole: 128 MB a value.
WHOLE_TABLE = 2**24
#: Pairs that wait before they are put together, where the table is not held whole.
WAITING = 2**22


class PairCounts:
    """Sums of one or several values by (row, column).

    Up to `WHOLE_TABLE` pairs they are exact. Beyond, pairs are held as a sorted list; when it grows
    past four times what is asked for, each row keeps the `kept` columns that are largest by the
    first value, and `exact` becomes False: what a dropped pair had so far is lost.
    """

    def __init__(self, n_rows: int, n_columns: int, n_values: int, kept: int) -> None:
        self.n_rows, self.n_columns, self.n_values, self.kept = n_rows, n_columns, n_values, kept
        self.exact = True
        self._table: torch.Tensor | None = None
        if n_rows * n_columns <= WHOLE_TABLE:
            self._table = torch.zeros(n_values, n_rows * n_columns, dtype=torch.float64)
        self._keys = torch.zeros(0, dtype=torch.int64)
        self._values = torch.zeros(n_values, 0, dtype=torch.float64)
        self._waiting: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._n_waiting = 0

    def add(self, rows: torch.Tensor, columns: torch.Tensor, *values: torch.Tensor) -> None:
        """Add each entry's values to its pair; rows, columns (n,) int64, values (n,)."""
        keys = rows * self.n_columns + columns
        if self._table is not None:
            for row, value in zip(self._table, values, strict=True):
                row.scatter_add_(0, keys, value.double())
            return
        self._waiting.append((keys, torch.stack([value.double() for value in values])))
        self._n_waiting += len(keys)
        if self._n_waiting > max(WAITING, len(self._keys)):
            self._put_together()
            if len(self._keys) > 4 * self.kept * self.n_rows:
                chosen = self._largest()
                self.exact = self.exact and len(chosen) == len(self._keys)
                chosen = chosen.sort().values
                self._keys, self._values = self._keys[chosen], self._values[:, chosen]

    def largest(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each row's `kept` columns that are largest by the first value, in falling order.

        Returns starts (row + 1,) int64, columns (pair,) int64 and values (value, pair) float64.
        Pairs whose first value is 0 are left out; of equal ones the lower column comes first.
        """
        if self._table is not None:
            keys = self._largest_of_table()
            values = self._table[:, keys]
        else:
            self._put_together()
            chosen = self._largest()
            keys, values = self._keys[chosen], self._values[:, chosen]
        lengths = torch.bincount(keys // self.n_columns, minlength=self.n_rows)
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        columns = keys % self.n_columns
        return starts.numpy(), columns.numpy(), values.numpy()

    def _put_together(self) -> None:
        if not self._waiting:
            return
        keys = torch.cat([self._keys, *(keys for keys, _ in self._waiting)])
        values = torch.cat([self._values, *(values for _, values in self._waiting)], 1)
        self._waiting, self._n_waiting = [], 0
        self._keys, where = keys.unique(return_inverse=True)
        self._values = torch.zeros(self.n_values, len(self._keys), dtype=torch.float64)
        for row, value in zip(self._values, values, strict=True):
            row.scatter_add_(0, where, value)

    def _largest(self) -> torch.Tensor:
        """Places of the pairs that are kept: by row, within it by falling first value."""
        order = self._values[0].argsort(descending=True, stable=True)
        order = order[(self._keys[order] // self.n_columns).argsort(stable=True)]
        rows = self._keys[order] // self.n_columns
        starts = torch.searchsorted(rows, torch.arange(self.n_rows))
        rank = torch.arange(len(rows)) - starts[rows]
        return order[rank < self.kept]

    def _largest_of_table(self) -> torch.Tensor:
        """The keys that are kept of the whole table, in the same order; some rows at a time."""
        assert self._table is not None
        first, out = self._table[0].view(self.n_rows, self.n_columns), []
        at_once = max(1, WAITING // self.n_columns)
        for start in range(0, self.n_rows, at_once):
            values, columns = first[start : start + at_once].sort(
                dim=1, descending=True, stable=True
            )
            rows = torch.arange(start, start + len(values))[:, None]
            keys = (rows * self.n_columns + columns)[:, : self.kept]
            out.append(keys[values[:, : self.kept] > 0])
        return torch.cat(out)
