"""Similarity of features: cosine, correlation over texts, and the best one-to-one matching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from ..activations import batches
from ..dictionary.base import Dictionary
from ..model import Model

#: Bytes that the products of a block of rows take at most.
BLOCK_BYTES = 2**26
#: Random vectors whose best matches say what chance gives, and the share of them that stay below.
N_CHANCE = 512
CHANCE_LEVEL = 0.99
_TAG = 202502
_chance: WeakKeyDictionary[Dictionary, dict[tuple[int, int], float]] = WeakKeyDictionary()


def top_matches(
    a: torch.Tensor, b: torch.Tensor, k: int = 1, *, block_bytes: int = BLOCK_BYTES
) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, k) values and indices: the k rows of b with the largest product, the largest first.

    a: (n, d). b: (m, d). Rows of a go through in blocks of products (block, m) of at most
    `block_bytes`, into one buffer, so that the (n, m) matrix is never held.

    Raises `ValueError` where b has fewer than k rows, and where a product is NaN.
    """
    n, m = len(a), len(b)
    if not 1 <= k <= m:
        raise ValueError(f"Each row has 1 to {m} matches, as many as there are rows; got k={k!r}.")
    values, indices = a.new_empty(n, k), torch.empty(n, k, dtype=torch.long, device=a.device)
    size = max(1, min(n, block_bytes // (m * a.element_size())))
    buffer = a.new_empty(size, m)
    with torch.no_grad():
        for start in range(0, n, size):
            part = slice(start, min(n, start + size))
            products = torch.mm(a[part], b.T, out=buffer[: part.stop - start])
            out = values[part], indices[part]
            if k == 1:
                torch.max(products, 1, keepdim=True, out=out)
            else:
                torch.topk(products, k, 1, out=out)
    if bool(values.isnan().any()):
        raise ValueError("Matches are made of finite vectors; some product is NaN.")
    return values, indices


def unit_rows(dictionary: Dictionary, features: object = slice(None)) -> torch.Tensor:
    """(n, d_out) float32: decoder rows of length 1, made anew so that nothing stays in memory."""
    return torch.nn.functional.normalize(dictionary.W_dec[features].float(), dim=-1)  # type: ignore[index]


def chance_cosine(dictionary: Dictionary, seed: int = 0, n: int = N_CHANCE) -> float:
    """The 99 % quantile of the best cosine that random unit vectors find in a dictionary.

    Among m directions of d dimensions chance alone finds about √(2 ln m / d). Held for each
    dictionary, since every flow asks for it.
    """
    held = _chance.setdefault(dictionary, {})
    if (seed, n) not in held:
        # Not torch's generator: a dictionary that was drawn from the same seed would be found.
        drawn = np.random.default_rng((seed, _TAG)).standard_normal((n, dictionary.d_out))
        random = torch.as_tensor(drawn, dtype=torch.float32, device=dictionary.device)
        random = torch.nn.functional.normalize(random, dim=-1)
        best, _ = top_matches(random, unit_rows(dictionary))
        held[seed, n] = float(best.flatten().double().quantile(CHANCE_LEVEL))
    return held[seed, n]


# -- one-to-one ------------------------------------------------------------------------------------

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


# -- correlation of activations --------------------------------------------------------------------

#: Bytes that the codes of all dictionaries may take together; only those that are not 0 are held.
CODE_BYTES = 2**31
#: A code that is not 0: its position and feature (int32) and its value (float32).
BYTES_A_CODE = 12
#: Products of two codes that are formed at a time.
PAIRS_AT_ONCE = 2**20
#: Texts of one pass.
N_TEXTS = 16


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
    model: Model, dictionaries: Sequence[Dictionary], texts: Any, *, progress: bool = True
) -> Codes:
    """The codes of every dictionary at every position of the texts, in one pass over them.

    Raises `ValueError` for no texts, and where the codes would take more than 2 GiB: 12 bytes each
    that is not 0, so positions × dictionaries × mean number of active features.
    """
    read = sorted({dictionary.site for dictionary in dictionaries})
    pieces: list[list[tuple[torch.Tensor, ...]]] = [[] for _ in dictionaries]
    n, held, n_done = 0, 0, 0
    for rows, tokens in batches(model, texts, N_TEXTS, title="codes", progress=progress):
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
