"""Head pairs: the largest and smallest numbers of a vocabulary × vocabulary product, never formed.

Each block of rows is compared with blocks of columns in the order of their norms. By the inequality
of Cauchy and Schwarz no number of a block is larger than its largest row norm times its largest
column norm, so blocks that cannot hold one of the best are not computed; what comes back is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .head_factors import Factors

#: What the pairs of a `HeadVocabulary` are: the largest of OV, its smallest, the largest of QK.
KINDS = ("promoted", "suppressed", "attended")
#: Rows and columns of a block: 4 MiB of products, which a cache still holds at the second look.
BLOCK_ROWS, BLOCK_COLUMNS = 512, 2048
#: Single precision may put a product above the bound by this share of it.
SLACK = 1 + 1e-5


@dataclass(frozen=True, eq=False)
class Pairs:
    """Word pairs (pair, 2) and their numbers (pair,), best first; share: of the product computed.

    ids: row word and column word. The best are the largest numbers, or the smallest.
    """

    ids: np.ndarray
    values: np.ndarray
    share: float


def extreme_pairs(factors: Factors, n: int, *, smallest: bool = True) -> tuple[Pairs, Pairs]:
    """The n pairs with the largest numbers of left @ right.T, and the n with the smallest.

    smallest: False leaves the second empty, and skips more. Equal numbers are in the order of
    their words. At most rows × columns pairs come back.
    """
    with torch.no_grad():
        left, right = balanced(factors)
        left, rows, row_norms = _by_norm(left)
        right, columns, column_norms = _by_norm(right)
        high, low = _Best(n, left.device), _Best(n if smallest else 0, left.device)
        tops = [float(some[0]) for some in row_norms.split(BLOCK_ROWS)]
        sides = [float(some[0]) for some in column_norms.split(BLOCK_COLUMNS)]
        computed = 0
        for top, some in zip(tops, _slices(len(left), BLOCK_ROWS), strict=True):
            for side, other in zip(sides, _slices(len(right), BLOCK_COLUMNS), strict=True):
                # Norms only fall from here on, along the columns and, for the first, the rows.
                bound = top * side * SLACK
                if not (high.can_grow(bound) or low.can_grow(bound)):
                    break
                values = left[some] @ right[other].T
                computed += values.numel()
                least, most = (float(x) for x in values.aminmax())
                if high.can_grow(most):
                    high.add(values, rows[some], columns[other])
                if low.can_grow(-least):
                    low.add(values.neg_(), rows[some], columns[other])
    share = computed / max(1, len(left) * len(right))
    return high.pairs(share), low.pairs(share, -1)


def balanced(factors: Factors) -> tuple[torch.Tensor, torch.Tensor]:
    """The same product from factors whose rows are as short as they can be.

    Both become the singular vectors of the product times the roots of its singular values, which
    makes the bound by norms as tight as a linear change of both factors can. Left as they are where
    the product is 0.
    """
    left, right = factors.left, factors.right
    grams = [(part.double().T @ part.double()).cpu() for part in (left, right)]
    roots = [_root(gram) for gram in grams]
    # left = Q_l R_l and right = Q_r R_r with orthonormal Q; only the small R are decomposed.
    u, s, vh = torch.linalg.svd(roots[0] @ roots[1].T)
    keep = s > 1e-6 * float(s[:1].sum())
    if not bool(keep.any()):
        return left, right
    size = s[keep].sqrt()
    onto_left = torch.linalg.pinv(roots[0]) @ (u[:, keep] * size)
    onto_right = torch.linalg.pinv(roots[1]) @ (vh[keep].T * size)
    return left @ onto_left.to(left), right @ onto_right.to(right)


def _root(gram: torch.Tensor) -> torch.Tensor:
    """R with Rᵀ R = gram."""
    values, vectors = torch.linalg.eigh(gram)
    return values.clamp(min=0).sqrt()[:, None] * vectors.T


def _by_norm(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows in falling order of their norms, their numbers, and the norms."""
    norms = rows.norm(dim=-1)
    order = norms.argsort(descending=True, stable=True)
    return rows[order], order, norms[order]


def _slices(n: int, size: int) -> list[slice]:
    return [slice(start, min(n, start + size)) for start in range(0, n, size)]


class _Best:
    """The n largest numbers seen so far, with their row and column words."""

    def __init__(self, n: int, device: torch.device) -> None:
        self._n = n
        self._values = torch.empty(0, device=device)
        self._ids = torch.empty(0, 2, dtype=torch.long, device=device)
        self._least = float("-inf") if n else float("inf")

    def can_grow(self, bound: float) -> bool:
        return bound > self._least

    def add(self, values: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> None:
        best = values.flatten().topk(min(self._n, values.numel()))
        at = best.indices
        width = values.shape[1]
        ids = torch.stack([rows[at // width], columns[at % width]], -1)
        self._values = torch.cat([self._values, best.values])
        self._ids = torch.cat([self._ids, ids])
        order = self._values.argsort(descending=True, stable=True)[: self._n]
        self._values, self._ids = self._values[order], self._ids[order]
        if len(self._values) == self._n:
            self._least = float(self._values[-1])

    def pairs(self, share: float, sign: int = 1) -> Pairs:
        ids, values = self._ids.cpu().numpy(), self._values.cpu().numpy()
        order = np.lexsort((ids[:, 1], ids[:, 0], -values))
        return Pairs(ids[order].astype(np.int32), sign * values[order], share)
