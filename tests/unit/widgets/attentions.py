"""Small made-up attention for the tests of the widgets."""

from typing import Any

import numpy as np


def attention(
    n_layers: int = 3, n_heads: int = 2, n_positions: int = 4, seed: int = 0
) -> tuple[Any, Any]:
    """A random causal pattern (layer, head, dst, src) and the same times the sizes of sources."""
    rng = np.random.default_rng(seed)
    scores = 2 * rng.normal(size=(n_layers, n_heads, n_positions, n_positions))
    weights = np.tril(np.exp(scores))
    pattern = weights / weights.sum(-1, keepdims=True)
    sizes = rng.gamma(2.0, 2.0, size=(n_layers, n_heads, 1, n_positions))
    return pattern, pattern * sizes
