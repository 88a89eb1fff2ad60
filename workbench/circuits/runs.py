"""Circuit runs: the metric of a task when sets of edges are cut, many sets in one pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from .. import metrics
from ..tasks import Group, check_finite, tokens_per_pass
from ..tokens import Tokens
from .cuts import cut_edits
from .references import GroupRun, References


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
        for each, numbers, rows, logits in self._passes(cuts):
            values = check_finite(each.group.metric(logits, rows), "ablated")
            out[numbers, np.array(each.group.rows)[rows]] = values
        return out

    def logits(self, cut: np.ndarray) -> Iterator[tuple[Group, torch.Tensor]]:
        """Each group, or part of one, and its logits (example, 1, d_vocab), with edges cut."""
        for each, _, rows, logits in self._passes(cut[None]):
            yield (each.group if len(rows) == len(each.group) else each.group.take(rows)), logits

    def divergence(self, cuts: np.ndarray) -> np.ndarray:
        """(cut, batch) float64: KL(whole ‖ cut) of the next token, in nats."""
        out = np.empty((len(cuts), len(self._examples.batch)))
        whole = {
            id(each): self._model.run(each.group.batch.clean, logits_at="last").logits
            for each in self._groups
        }
        for each, numbers, rows, logits in self._passes(cuts):
            plain = whole[id(each)]
            assert plain is not None
            values = check_finite(metrics.kl(logits, plain[rows]), "ablated")
            out[numbers, np.array(each.group.rows)[rows]] = values
        return out

    def _passes(
        self, cuts: np.ndarray
    ) -> Iterator[tuple[GroupRun, list[int], list[int], torch.Tensor]]:
        """Group, and for each row the number of its cut and its example in the group; logits
        (row, 1, d_vocab).
        """
        n_tokens = tokens_per_pass(len(self._parts.writers), self._model.spec.d_model)
        for each in self._groups:
            n = len(each.group)
            most = max(1, n_tokens // each.group.n_positions)
            for start in range(0, len(cuts) * n, most):
                pairs = range(start, min(start + most, len(cuts) * n))
                numbers, rows = [p // n for p in pairs], [p % n for p in pairs]
                edits = cut_edits(self._model, self._parts, cuts[numbers], each.reference[rows])
                tokens: Tokens = each.group.batch.clean.take(rows)
                logits = self._model.run(tokens, edits=edits, logits_at="last").logits
                assert logits is not None
                yield each, numbers, rows, logits
