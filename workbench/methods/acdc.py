"""ACDC: cut every edge that the answer does not miss, from the output backwards."""

from __future__ import annotations

import numpy as np

from ..model import Model
from .circuit_runs import CircuitRuns
from .components import Components
from .examples import Examples
from .references import References

#: How many cuts are tried ahead in one pass, at first and at most.
FIRST, MOST = 4, 32


def acdc_edges(
    model: Model, parts: Components, examples: Examples, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """(writer, reader) bool, the edges kept, and float64, by how much each cut raised the KL.

    Readers from the logits backwards, the writers of each from the last to the first: an edge stays
    cut if the mean KL of the cut model from the whole one, with cut edges at their values in the
    corrupt prompts, rises by less than the threshold (nats).

    Several edges are tried in one pass, each on top of those before it, as if all of them could be
    cut; from the first that cannot, the rest is tried again without it. The outcome is the same
    as one by one.

    Source: Conmy et al. 2023, arXiv:2304.14997, algorithm 1.
    """
    runs = CircuitRuns(References(model, parts, examples), "counterfactual")
    cut = np.zeros_like(parts.edges)
    rises = np.zeros(parts.edges.shape)
    waiting = [
        (writer, reader)
        for reader in reversed(range(len(parts.readers)))
        for writer in reversed(np.flatnonzero(parts.edges[:, reader]).tolist())
    ]
    now, ahead = 0.0, FIRST
    while waiting:
        tried = waiting[:ahead]
        trial = np.repeat(cut[None], len(tried), 0)
        for i, edge in enumerate(tried):
            trial[i:, edge[0], edge[1]] = True
        kls = runs.divergence(trial).mean(1)
        rose = kls - np.concatenate([[now], kls[:-1]])
        failed = np.flatnonzero(rose >= threshold)
        n_cut = int(failed[0]) if len(failed) else len(tried)
        for edge, rise in zip(tried[: n_cut + 1], rose, strict=False):
            rises[edge] = rise
        if n_cut:
            cut, now = trial[n_cut - 1], float(kls[n_cut - 1])
        waiting = waiting[n_cut + bool(len(failed)) :]
        ahead = max(FIRST, ahead // 2) if len(failed) else min(MOST, 2 * ahead)
    return parts.edges & ~cut, rises
