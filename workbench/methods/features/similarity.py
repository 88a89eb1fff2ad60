"""Similarity: the best matches of many vectors among many, without the matrix of all products."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import torch

from ...dictionary.base import Dictionary

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
