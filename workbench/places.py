"""Places: the positions of a batch that a method reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .tokens import Positions, Tokens


@dataclass(frozen=True)
class Places:
    """Positions of every prompt, padded to one length, and where they lie in a run.

    positions: (batch, pos) int32, -1 past the end of a prompt that has fewer. rows, columns: of the
    real ones, prompt after prompt; flat arrays of a method follow their order.
    """

    positions: np.ndarray
    rows: list[int]
    columns: list[int]

    @classmethod
    def of(cls, tokens: Tokens, positions: Positions) -> Places:
        """Raises `IndexError` for a position that a prompt does not have, `ValueError` for none."""
        each = [tokens.columns(r, positions) for r in range(tokens.n_rows)]
        if not all(each):
            raise ValueError(
                "A method reads at least one position of every prompt; "
                f"positions={positions!r} has none of one. Leave positions out to read them all."
            )
        padded = np.full((tokens.n_rows, max(map(len, each))), -1, np.int32)
        for r, columns in enumerate(each):
            padded[r, : len(columns)] = [c - tokens.offset(r) for c in columns]
        rows = [r for r, columns in enumerate(each) for _ in columns]
        return cls(padded, rows, [c for columns in each for c in columns])

    def __len__(self) -> int:
        return len(self.rows)

    def spread(self, flat: np.ndarray) -> np.ndarray:
        """From (flat pos, …) to (batch, pos, …): NaN, in integers -1, where a prompt has none."""
        real = self.positions >= 0
        empty = -1 if flat.dtype.kind in "iu" else np.nan
        out = np.full((*real.shape, *flat.shape[1:]), empty, flat.dtype)
        out[real] = flat
        return out
