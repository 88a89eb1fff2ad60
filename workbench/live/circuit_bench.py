"""The numbers behind the live circuit: a task on a model, and any set of its edges cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..methods.attribution import attribute
from ..methods.circuit import Circuit, find_circuit
from ..methods.circuit_graph import graph_edges, node_ids
from ..methods.circuit_runs import CircuitRuns
from ..methods.components import Components
from ..methods.examples import Examples
from ..methods.references import References
from ..model import Model
from ..tasks import Task
from ..views.circuits import edge_ids, graph_data
from .answers import Answers, likeliest

N_ANSWERS = 5


@dataclass(frozen=True)
class MeasuredAnswers(Answers):
    """The likeliest next tokens of one run, and the metric."""

    metric: float


@dataclass(frozen=True)
class Reading:
    """What a set of cuts does. answers: of one example's clean, ablated and corrupt run.

    clean, ablated, corrupt: mean metric of all examples. faithfulness: 0 = as with every edge cut,
    1 = as the whole model; NaN where the ablation does not move the metric.
    """

    answers: tuple[MeasuredAnswers, MeasuredAnswers, MeasuredAnswers]
    clean: float
    ablated: float
    corrupt: float
    faithfulness: float


class CircuitBench:
    """A task on a model with its edges scored, ready to have any of them cut.

    task: with its own number of pairs. n_edges: the size of the found circuit.
    """

    def __init__(self, model: Model, task: Task, *, n_edges: int | None, seed: int = 0) -> None:
        self.model, self.task = model, task
        self.examples = Examples.of(model, task)
        scores = attribute(model, self.examples.batch, method="eap-ig", over="edges")
        nodes = attribute(model, self.examples.batch, method="eap-ig", over="nodes")
        self.parts: Components = scores.parts
        #: How many edges the found circuit was asked for.
        self.found_size = n_edges or max(1, self.parts.n_edges // 12)
        self.found: Circuit = find_circuit(model, task, n_edges=self.found_size, attribution=scores)
        self.node_scores = nodes.scores
        self._references = References(model, self.parts, self.examples, seed=seed)
        self._runs: dict[str, CircuitRuns] = {}
        self._empty: dict[str, float] = {}
        self._plain: dict[tuple[str, int], MeasuredAnswers] = {}

    @cached_property
    def edges(self) -> list[tuple[int, int, int, str]]:
        """Source node, target node, reader and channel of every edge of the model, as drawn."""
        return list(graph_edges(self.parts, self.parts.edges))

    @cached_property
    def edge_ids(self) -> list[str]:
        """The id of each of `edges` in the graph."""
        return edge_ids(self.parts)

    @cached_property
    def _of_id(self) -> dict[str, tuple[int, int]]:
        return {
            name: (source, reader)
            for name, (source, _, reader, _) in zip(self.edge_ids, self.edges, strict=True)
        }

    def mask_of(self, edge_ids: Iterable[str], nodes: Iterable[str] = ()) -> np.ndarray:
        """(writer, reader) bool: the edges of these ids, and all that leave these nodes."""
        out = np.zeros_like(self.parts.edges)
        for name in edge_ids:
            out[self._of_id[name]] = True
        for name in nodes:
            writer = node_ids(self.parts).index(name)
            out[writer] = self.parts.edges[writer]
        return out

    def graph_data(self) -> dict[str, Any]:
        """The nodes and edges of a `GraphView`."""
        return graph_data(self.parts, self.found.scores, self.node_scores.tolist())

    def read(self, cut: np.ndarray, kind: str, example: int) -> Reading:
        """The answers with the edges of a mask (writer, reader) cut, by one kind of ablation."""
        runs = self._runs.get(kind)
        if runs is None:
            runs = self._runs[kind] = CircuitRuns(self._references, kind)
            self._empty[kind] = float(runs.metric(self.parts.edges[None]).mean())
        values = np.empty(len(self.examples.batch))
        answers: MeasuredAnswers | None = None
        for group, logits in runs.logits(cut):
            metric = group.metric(logits).double().cpu().numpy()
            values[list(group.rows)] = metric
            if example in group.rows:
                at = group.rows.index(example)
                answers = self._answers(logits[at, 0], float(metric[at]))
        assert answers is not None
        clean, corrupt = self.examples.clean.mean(), self.examples.corrupt.mean()
        span = clean - self._empty[kind]
        small = abs(span) < 0.05 * abs(self.examples.gap)
        return Reading(
            (self.plain("clean", example), answers, self.plain("corrupt", example)),
            float(clean),
            float(values.mean()),
            float(corrupt),
            float("nan") if small else float((values.mean() - self._empty[kind]) / span),
        )

    def plain(self, which: str, example: int) -> MeasuredAnswers:
        """The answers of one example's clean or corrupt run."""
        if (which, example) not in self._plain:
            one = self.examples.batch.take([example])
            logits = self.model.run(getattr(one, which), logits_at="last").logits
            assert logits is not None
            self._plain[which, example] = self._answers(logits[0, 0], float(one.metric(logits)[0]))
        return self._plain[which, example]

    def _answers(self, logits: object, metric: float) -> MeasuredAnswers:
        import torch

        assert isinstance(logits, torch.Tensor)
        best = likeliest(self.model, logits.float().softmax(-1), N_ANSWERS)
        return MeasuredAnswers(best.tokens, best.probabilities, metric)
