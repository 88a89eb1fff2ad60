"""The ends and weights of a graph's edges, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.widgets.panel import floats


def indices(name: str, given: Any, n_nodes: int) -> np.ndarray:
    """The sources or targets (edge,) as int64.

    Raises TypeError where they are no integers, ValueError where one names no node.
    """
    numbers = np.asarray(given)
    if not numbers.size:
        return numbers.astype(np.int64)
    if numbers.dtype.kind not in "iu":
        raise TypeError(
            f"edges: {name} holds integer indices into nodes; given {numbers.dtype.name}"
        )
    if numbers.min() < 0 or numbers.max() >= n_nodes:
        raise ValueError(
            f"edges: {name} holds indices into nodes, 0 to {n_nodes - 1}; "
            f"given {numbers.min()} to {numbers.max()}"
        )
    return numbers.astype(np.int64)


def finite_weights(given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The weights (edge,) as float32; raises ValueError where one is not finite in it."""
    with np.errstate(over="ignore"):  # what single precision cannot hold is refused below
        weight = floats("edges: weight", given, shape).astype(np.float32)
    if bad := np.flatnonzero(~np.isfinite(weight)).tolist():
        raise ValueError(
            f"edges: weight is finite; {len(bad)} of {len(weight)} are not, the first is edge "
            f"{bad[0]}, {np.asarray(given)[bad[0]]}"
        )
    return weight
