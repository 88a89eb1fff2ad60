"""Circuit runs: the metric of a task when sets of edges are cut, many sets in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .. import metrics
from ..tokens import Tokens
from .edge_cuts import cut_edits
from .examples import TOKENS_PER_PASS, Group, check_finite
from .references import GroupRun, References

if TYPE_CHECKING:
    import torch


class CircuitRuns:
    """Runs of a task's clean prompts with edges cut; a cut edge carries its ablated value.

    kind: of ablation, as in `references.KINDS`.
    """

    def __init__(self, references: References, kind: str) -> None:
        self._model, self._parts = references.model, references.parts
        self._examples = references.examples
        self._groups = list(references.of(kind))

    def metric(self, cuts: np.ndarray) -> np.ndarray:
        """(cut, batch) float64 for cuts (cut, writer, reader) bool."""
        out = np.empty((len(cuts), len(self._examples.batch)))
        for each, part, logits, rows in self._passes(cuts):
            values = check_finite(each.group.metric(logits, rows), "ablated")
            out[np.ix_(part, each.group.rows)] = values.reshape(len(part), -1)
        return out

    def logits(self, cut: np.ndarray) -> Iterator[tuple[Group, torch.Tensor]]:
        """Each group and its logits (example, 1, d_vocab) with one mask of edges cut."""
        for each, _, logits, _ in self._passes(cut[None]):
            yield each.group, logits

    def divergence(self, cuts: np.ndarray) -> np.ndarray:
        """(cut, batch) float64: KL(whole ‖ cut) of the next token, in nats."""
        out = np.empty((len(cuts), len(self._examples.batch)))
        whole = {
            id(each): self._model.run(each.group.batch.clean, logits_at="last").logits
            for each in self._groups
        }
        for each, part, logits, rows in self._passes(cuts):
            plain = whole[id(each)]
            assert plain is not None
            values = check_finite(metrics.kl(logits, plain[rows]), "ablated")
            out[np.ix_(part, each.group.rows)] = values.reshape(len(part), -1)
        return out

    def _passes(
        self, cuts: np.ndarray
    ) -> Iterator[tuple[GroupRun, list[int], torch.Tensor, list[int]]]:
        """Group, numbers of the cuts, logits (cut · example, 1, d_vocab) and each row's example."""
        for each in self._groups:
            n, length = len(each.group), each.group.n_positions
            most = max(1, TOKENS_PER_PASS // (n * length))
            for start in range(0, len(cuts), most):
                part = list(range(start, min(start + most, len(cuts))))
                rows = list(range(n)) * len(part)
                edits = cut_edits(
                    self._model,
                    self._parts,
                    np.repeat(cuts[part], n, 0),
                    each.reference[rows],
                )
                tokens: Tokens = each.group.batch.clean.take(rows)
                logits = self._model.run(tokens, edits=edits, logits_at="last").logits
                assert logits is not None
                yield each, part, logits, rows
