"""Correlation: Pearson's between the codes of features of two dictionaries, in row blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...activations import batches
from ...model import Model
from .lanes import Lanes
from .similarity import BLOCK_BYTES, CHANCE_LEVEL, N_CHANCE

#: Bytes that the codes of all dictionaries may take together; only those that are not 0 are held.
CODE_BYTES = 2**31
#: A code that is not 0: its position and feature (int32) and its value (float32).
BYTES_A_CODE = 12
#: Products of two codes that are formed at a time.
PAIRS_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class SparseCodes:
    """The codes of one dictionary at every position of some texts, without the zeros.

    positions, features: (code,) int32, in the order of positions. values: (code,) float32. starts:
    (position + 1,) where the codes of each position begin. mean, deviation: (feature,) float64 over
    all positions, the zeros too.
    """

    starts: torch.Tensor
    positions: torch.Tensor
    features: torch.Tensor
    values: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor

    def to(self, device: torch.device) -> SparseCodes:
        """The same codes on another device."""
        return SparseCodes(**{name: tensor.to(device) for name, tensor in vars(self).items()})


@dataclass(frozen=True, eq=False)
class Codes:
    """The codes of several dictionaries at the same positions. by_site: by a dictionary's number.

    n_positions: how many positions the texts have.
    """

    n_positions: int
    by_site: tuple[SparseCodes, ...]

    def top(self, at: int, other: int, k: int, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """(feature, k) correlations and numbers: the best matches of one dictionary's features in
        another. A feature whose code never changes correlates with nothing: NaN and −1.

        shift: by how many positions the codes of `at` are moved against the text.
        """
        features = np.arange(len(self.by_site[at].mean))
        return self._top(at, other, features, k, shift)

    def chance(self, at: int, other: int, seed: int) -> float:
        """The 99 % quantile of the best correlation of codes that are shifted against the text.

        Shifted by at least a quarter of all positions, so that nothing but how often and how much a
        feature fires is left. NaN where no feature fires in both.
        """
        generator = np.random.default_rng(seed)
        n = len(self.by_site[at].mean)
        features = np.sort(generator.choice(n, size=min(n, N_CHANCE), replace=False))
        quarter = self.n_positions // 4
        shift = int(generator.integers(quarter, self.n_positions - quarter))
        best, _ = self._top(at, other, features, 1, shift)
        there = best[np.isfinite(best)]
        return float(np.quantile(there, CHANCE_LEVEL)) if len(there) else float("nan")

    def _top(
        self, at: int, other: int, features: np.ndarray, k: int, shift: int
    ) -> tuple[np.ndarray, np.ndarray]:
        a, b = self.by_site[at], self.by_site[other].to(self.by_site[at].mean.device)
        n, n_b, device = self.n_positions, len(b.mean), b.mean.device
        values = np.full((len(features), k), np.nan, np.float32)
        found = np.full((len(features), k), -1, np.int64)
        # A block holds its moments with all of b, and about three times as much to finish them.
        size = max(1, BLOCK_BYTES // (4 * 8 * n_b))
        for start in range(0, len(features), size):
            chosen = torch.as_tensor(features[start : start + size], device=device)
            row = torch.full((len(a.mean),), -1, dtype=torch.long, device=device)
            row[chosen] = torch.arange(len(chosen), device=device)
            rows = row[a.features.long()]
            kept = rows >= 0
            positions = (a.positions[kept].long() + shift) % n
            moments = _products(positions, rows[kept], a.values[kept], b, len(chosen))
            mean, deviation = a.mean[chosen, None], a.deviation[chosen, None]
            correlation = (moments / n - mean * b.mean) / (deviation * b.deviation)
            correlation[:, b.deviation == 0] = -torch.inf
            best, which = correlation.topk(k, 1)
            there = (deviation > 0) & (best > -torch.inf)
            part = slice(start, start + len(chosen))
            nan = torch.full_like(best, torch.nan)
            values[part] = torch.where(there, best, nan).cpu().numpy()
            found[part] = torch.where(there, which, -1).cpu().numpy()
        return values, found


def _products(
    positions: torch.Tensor,
    rows: torch.Tensor,
    values: torch.Tensor,
    b: SparseCodes,
    n_rows: int,
) -> torch.Tensor:
    """(row, feature) float64: Σ over positions of value × b's codes at the same position.

    Every code is paired with those of b at its position, so that the work is as many products as
    there are, whatever the number of features.
    """
    n_b = len(b.mean)
    out = torch.zeros(n_rows * n_b, dtype=torch.float64, device=values.device)
    counts = b.starts[positions + 1] - b.starts[positions]
    ends = counts.cumsum(0)
    start = 0
    while start < len(positions):
        before = int(ends[start - 1]) if start else 0
        stop = int(torch.searchsorted(ends, before + PAIRS_AT_ONCE, right=True))
        part = slice(start, max(start + 1, stop))
        n = counts[part]
        code = torch.repeat_interleave(n)
        first = (ends[part] - n - before)[code]
        partner = b.starts[positions[part]][code] + torch.arange(len(code), device=n.device) - first
        at = rows[part][code] * n_b + b.features[partner]
        out.index_add_(0, at, values[part][code].double() * b.values[partner])
        start = part.stop
    return out.view(n_rows, n_b)


def collect_codes(
    model: Model, lanes: Lanes, texts: Any, *, batch_size: int = 16, progress: bool = True
) -> Codes:
    """The codes of every dictionary at every position of the texts, in one pass over them.

    Raises `ValueError` for no texts, and where the codes would take more than 2 GiB: 12 bytes each
    that is not 0, so positions × dictionaries × mean number of active features.
    """
    dictionaries = [lanes.dicts[site] for site in lanes.sites]
    read = sorted({dictionary.site for dictionary in dictionaries})
    pieces: list[list[tuple[torch.Tensor, ...]]] = [[] for _ in dictionaries]
    n, held, n_done = 0, 0, 0
    for rows, tokens in batches(model, texts, batch_size, title="codes", progress=progress):
        run = model.run(tokens, read=read, logits_at=())
        for dictionary, piece in zip(dictionaries, pieces, strict=True):
            with torch.no_grad():
                codes = dictionary.encode(run[dictionary.site][tokens.mask])
            where = codes.nonzero()
            position, feature = (where + where.new_tensor([n, 0])).int().unbind(1)
            piece.append((position, feature, codes[where[:, 0], where[:, 1]].float()))
            held += BYTES_A_CODE * len(where)
        n, n_done = n + int(tokens.mask.sum()), rows.stop
        if held > CODE_BYTES:
            need = held / n_done * len(texts) / 2**30
            raise ValueError(
                f"The codes of these texts take {BYTES_A_CODE} bytes each that is not 0, and may "
                f"take {CODE_BYTES / 2**30:.3g} GiB; all {len(texts)} texts would take about "
                f"{need:.1f}. Give fewer than {n_done} texts, or fewer dictionaries."
            )
    return Codes(n, tuple(map(_join, dictionaries, pieces, [n] * len(pieces))))


def _join(dictionary: Any, pieces: list[tuple[torch.Tensor, ...]], n: int) -> SparseCodes:
    positions, features, values = map(torch.cat, zip(*pieces, strict=True))
    pieces.clear()
    starts = torch.zeros(n + 1, dtype=torch.long, device=values.device)
    starts[1:] = torch.bincount(positions, minlength=n).cumsum(0)
    total, square = (
        torch.zeros(dictionary.n_features, dtype=torch.float64, device=values.device)
        for _ in range(2)
    )
    total.index_add_(0, features.long(), values.double())
    square.index_add_(0, features.long(), values.double().square())
    mean = total / n
    deviation = (square / n - mean.square()).clamp(min=0).sqrt()
    # A code that is the same everywhere leaves only rounding.
    deviation[deviation <= 1e-7 * mean.abs()] = 0
    return SparseCodes(starts, positions, features, values, mean, deviation)
