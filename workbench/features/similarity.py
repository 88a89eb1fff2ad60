"""Similarity of features: cosine, correlation over texts, and the best one-to-one matching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from ..activations import batches
from ..dictionary.base import Dictionary
from ..model import Model

#: Bytes that the products of a batch of rows take at most.
BATCH_BYTES = 2**26
#: Random vectors whose best matches say what chance gives, and the share of them that stay below.
N_CHANCE = 512
CHANCE_LEVEL = 0.99
_TAG = 202502
_chance: WeakKeyDictionary[Dictionary, dict[int, float]] = WeakKeyDictionary()


def top_matches(
    a: torch.Tensor, b: torch.Tensor, k: int = 1, *, batch_bytes: int = BATCH_BYTES
) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, k) values and indices: the k rows of b with the largest product, the largest first.

    a: (n, d). b: (m, d). Rows of a go through in batches of products (batch, m) of at most
    `batch_bytes`, into one buffer, so that the (n, m) matrix is never held.

    Raises `ValueError` where b has fewer than k rows, and where a product is NaN.
    """
    n, m = len(a), len(b)
    if not 1 <= k <= m:
        raise ValueError(f"Each row has 1 to {m} matches, as many as there are rows; got k={k!r}.")
    values, indices = a.new_empty(n, k), torch.empty(n, k, dtype=torch.long, device=a.device)
    size = max(1, min(n, batch_bytes // (m * a.element_size())))
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


def chance_cosine(dictionary: Dictionary, seed: int = 0) -> float:
    """The 99 % quantile of the best cosine that random unit vectors find in a dictionary.

    Among m directions of d dimensions chance alone finds about √(2 ln m / d). Held for each
    dictionary, since every flow asks for it.
    """
    held = _chance.setdefault(dictionary, {})
    if seed not in held:
        # Not torch's generator: a dictionary that was drawn from the same seed would be found.
        drawn = np.random.default_rng((seed, _TAG)).standard_normal((N_CHANCE, dictionary.d_out))
        random = torch.as_tensor(drawn, dtype=torch.float32, device=dictionary.device)
        random = torch.nn.functional.normalize(random, dim=-1)
        best, _ = top_matches(random, unit_rows(dictionary))
        held[seed] = float(best.flatten().double().quantile(CHANCE_LEVEL))
    return held[seed]


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
#: A code that is not 0: its feature (int32) and its value (float64).
BYTES_A_CODE = 12
#: Texts of one pass.
N_TEXTS = 16


@dataclass(frozen=True, eq=False)
class Codes:
    """The codes of several dictionaries at the same positions.

    each: (position, feature) float64 of each dictionary, by its number, without the zeros.
    """

    each: tuple[Any, ...]

    @property
    def n_positions(self) -> int:
        """How many positions the texts have."""
        return self.each[0].shape[0]

    @cached_property
    def moments(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(feature,) mean and deviation of each dictionary's codes over all positions."""
        out = []
        for codes in self.each:
            total, square = (
                np.bincount(codes.indices, values, codes.shape[1])
                for values in (codes.data, codes.data**2)
            )
            mean = total / self.n_positions
            deviation = np.sqrt(np.maximum(square / self.n_positions - mean**2, 0))
            # A code that is the same everywhere leaves only rounding.
            deviation[deviation <= 1e-7 * np.abs(mean)] = 0
            out.append((mean, deviation))
        return out

    def top(
        self, at: int, other: int, k: int, features: np.ndarray | None = None, shift: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """(feature, k) correlations and numbers: the best matches of one dictionary's features in
        another. A feature whose code never changes correlates with nothing: NaN and −1.

        features: numbers, None for all. shift: by how many positions the codes of `at` are moved
        against the text.
        """
        b, (mean, deviation), (mean_b, deviation_b) = (
            self.each[other],
            self.moments[at],
            self.moments[other],
        )
        features = np.arange(len(mean)) if features is None else features
        moved = sparse.vstack([self.each[at][-shift:], self.each[at][:-shift]])
        a = sparse.csr_array(moved.T)
        values = np.full((len(features), k), np.nan, np.float32)
        found = np.full((len(features), k), -1, np.int64)
        # A batch holds its moments with all of b, and about three times as much to finish them.
        size = max(1, BATCH_BYTES // (4 * 8 * len(mean_b)))
        for start in range(0, len(features), size):
            rows = features[start : start + size]
            product = (a[rows] @ b).toarray() / self.n_positions
            with np.errstate(divide="ignore", invalid="ignore"):
                correlation = product - np.outer(mean[rows], mean_b)
                correlation /= np.outer(deviation[rows], deviation_b)
            correlation[:, deviation_b == 0] = -np.inf
            best, which = (x.numpy() for x in torch.from_numpy(correlation).topk(k, 1))
            there = (deviation[rows, None] > 0) & (best > -np.inf)
            values[start : start + size] = np.where(there, best, np.nan)
            found[start : start + size] = np.where(there, which, -1)
        return values, found

    def chance(self, at: int, other: int, seed: int) -> float:
        """The 99 % quantile of the best correlation of codes that are shifted against the text.

        Shifted by at least a quarter of all positions, so that nothing but how often and how much a
        feature fires is left. NaN where no feature fires in both.
        """
        generator = np.random.default_rng(seed)
        n = self.each[at].shape[1]
        features = np.sort(generator.choice(n, size=min(n, N_CHANCE), replace=False))
        quarter = self.n_positions // 4
        shift = int(generator.integers(quarter, self.n_positions - quarter))
        best, _ = self.top(at, other, 1, features, shift)
        there = best[np.isfinite(best)]
        return float(np.quantile(there, CHANCE_LEVEL)) if len(there) else float("nan")


def collect_codes(
    model: Model, dictionaries: Sequence[Dictionary], texts: Any, *, progress: bool = True
) -> Codes:
    """The codes of every dictionary at every position of the texts, in one pass over them.

    Raises `ValueError` for no texts, and where the codes would take more than 2 GiB: 12 bytes each
    that is not 0, so positions × dictionaries × mean number of active features.
    """
    read = sorted({dictionary.site for dictionary in dictionaries})
    pieces: list[list[sparse.csr_array]] = [[] for _ in dictionaries]
    held = 0
    for rows, tokens in batches(model, texts, N_TEXTS, title="codes", progress=progress):
        run = model.run(tokens, read=read, logits_at=())
        for dictionary, piece in zip(dictionaries, pieces, strict=True):
            with torch.no_grad():
                codes = dictionary.encode(run[dictionary.site][tokens.mask])
            at = codes.nonzero(as_tuple=True)
            values = codes[at].double().cpu().numpy()
            places = tuple(x.int().cpu().numpy() for x in at)
            piece.append(sparse.csr_array((values, places), shape=codes.shape))
            held += BYTES_A_CODE * len(values)
        if held > CODE_BYTES:
            need = held / rows.stop * len(texts) / 2**30
            raise ValueError(
                f"The codes of these texts take {BYTES_A_CODE} bytes each that is not 0, and may "
                f"take {CODE_BYTES / 2**30:.3g} GiB; all {len(texts)} texts would take about "
                f"{need:.1f}. Give fewer than {rows.stop} texts, or fewer dictionaries."
            )
    return Codes(tuple(sparse.csr_array(sparse.vstack(piece)) for piece in pieces))
