"""The live circuit: click components and edges apart, and see what the model answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import ipywidgets
import numpy as np
import torch

from ..change import Change
from ..check import Count, Seed, checked
from ..circuits.ablation import ablate
from ..circuits.attribution import Attribution, attribute
from ..circuits.circuit import Circuit
from ..circuits.components import Components, graph_edges, node_ids
from ..circuits.cuts import EdgeCut
from ..circuits.evaluation import SMALLEST_RANGE
from ..circuits.find import find_circuit
from ..circuits.references import KINDS, References
from ..experiment import passes
from ..model import Model
from ..tasks import Examples, Task, TaskBatch, tasks
from ..tasks import task as load_task
from ..views.circuits import edge_ids, graph_data, member_ids
from ..widgets import GraphView
from .controls import REST, Control, Held
from .explorer import Explorer
from .panels import CircuitReading, MeasuredAnswers, circuit_answers, likeliest

#: What a preset keeps of the model, everything else is ablated from the start; and how it is said.
PRESETS = {
    "whole model": "nothing is ablated but what is cut by hand",
    "found circuit": "all edges outside the found circuit are ablated",
    "complement": "the found circuit is ablated",
    "random circuit": "all edges outside a random circuit of the same size are ablated",
}
WHOLE, FOUND, COMPLEMENT, RANDOM = PRESETS
#: The optimal constants are searched for, which takes longer than a click may.
ABLATIONS = tuple(kind for kind in KINDS if kind != "optimal")
N_EXAMPLES = 16
N_ANSWERS = 5


@checked
class LiveCircuit(Explorer):
    """A `GraphView` of a model on a task; each click cuts, runs the model and shows the answer.

    view: the widget. reading: the numbers of the last run, a `CircuitReading`. found: the found
    `Circuit`. task, example, ablation, preset, cut_nodes, cut_edges: the choices, which can be set.
    """

    ROWS = (("task", "example", "ablation"), ("preset", "buttons"))
    ABOVE = ("_answers",)
    PICTURE = "found"
    BEGINNING = "The whole model, nothing cut"
    task = Control(ipywidgets.Dropdown, "task", width="16em")
    example = Control(ipywidgets.Dropdown, "pair", width=REST)
    ablation = Control(
        ipywidgets.Dropdown, "ablation", width="18em", options=ABLATIONS, value="counterfactual"
    )
    preset = Control(
        ipywidgets.ToggleButtons,
        undo=True,
        options=list(PRESETS),
        tooltips=list(PRESETS.values()),
        style={"button_width": "9em"},
    )
    cut_nodes = Control(Held, undo=True, trait="cut_nodes")
    cut_edges = Control(Held, undo=True, trait="cut_edges")

    def __init__(
        self, model: Model, chosen: Task, *, n: int, n_edges: int | None, seed: int
    ) -> None:
        self.model, self._seed, self._n, self._own = model, seed, n, chosen
        #: How many edges the found circuit was asked for.
        size = n_edges or max(1, Components.of(model.spec).n_edges // 12)
        # What it carries is shown by the readings.
        self._search: dict[str, Any] = {"n_edges": size, "n_controls": 0}
        #: Names of the tasks that code can load; asked once, since it reads their files.
        self._shipped = tuple(tasks().index)
        self.bench: CircuitBench
        self.found: Circuit
        self.reading: CircuitReading
        self._answers = ipywidgets.HTML()
        self._task = self._sized(chosen)
        super().__init__(
            model,
            lambda **data: GraphView(
                data,
                unit="of the difference between clean and corrupt",
                n_edges_shown=min(60, self.found.parts.n_edges),
                mode="cut",
            ),
            {
                "task": {
                    "options": list(dict.fromkeys([chosen.name, *self._shipped])),
                    "value": chosen.name,
                },
                "example": {"options": _pairs(self._task.on(model)), "value": 0},
                "cut_nodes": {"value": []},
                "cut_edges": {"value": []},
            },
        )

    def _sized(self, chosen: Task) -> Task:
        """The task with a number of pairs: its own, or up to so many of those that fit."""
        if chosen.n is not None:
            return chosen
        return replace(chosen, n=min(self._n, len(chosen.on(self.model))))

    def _task_changed(self) -> None:
        """Score the edges of another task, and start again on it."""
        own = self.task == self._own.name
        chosen = self._sized(self._own if own else load_task(self.task))
        pairs = _pairs(self.calls("", chosen.on, self.model))
        self._known(chosen)
        self._task = chosen
        self.boxes["example"].options, self.example = pairs, 0
        self.preset, self.cut_nodes, self.cut_edges = WHOLE, [], []
        self._begin_anew()

    def _cut_edges_changed(self) -> None:
        """Under grouped queries one key or value edge is drawn to several heads: cut as one."""
        before, now = set(self._last["cut_edges"]), self.cut_edges
        mended = self.bench.mask_of(before - set(now))
        wanted = member_ids(self.bench.parts, self.bench.mask_of(now) & ~mended)[0]
        if set(wanted) != set(now):
            kept = [name for name in now if name in set(wanted)]
            self.cut_edges = kept + [name for name in wanted if name not in set(kept)]

    def _known(self, chosen: Task) -> tuple[Circuit, Attribution, CircuitBench]:
        """What is known of a task before anything is cut."""
        calls, model = self.calls, self.model
        found = calls("", find_circuit, model, chosen, **self._search)
        batch = calls("", chosen.on, model)
        nodes = calls("", attribute, model, batch, method="eap-ig", over="nodes")
        return found, nodes, calls("", CircuitBench, model, batch, found.parts, self._seed)

    def _compute(self) -> dict[str, Any]:
        calls, model, task = self.calls, self.model, self._task
        self.found, nodes, self.bench = found, nodes, bench = self._known(task)
        shipped = task.name in self._shipped
        drawn = {"n": len(bench.examples.batch), "seed": task.seed}
        again: tuple[Any, ...] = (load_task, task.name) if shipped else ()
        calls.given("task", task, *again, **drawn)
        by_hand = np.argwhere(bench.mask_of(self.cut_edges)).tolist()
        cuts = [_component(node) for node in self.cut_nodes]
        cuts += [bench.parts.edge_name(*edge) for edge in by_hand]
        kept = members = None
        if self.preset != WHOLE:
            kept = members = {
                FOUND: lambda: calls("kept", find_circuit, model, task, **self._search),
                COMPLEMENT: lambda: calls("kept", found.complement),
                RANDOM: lambda: calls("kept", found.random, self._seed),
            }[self.preset]()
        if kept is not None and cuts:
            kept = calls("kept", kept.without, cuts)
        if kept is not None:
            ablated = calls("", kept.complement)
            cut = ablated.kept
        else:
            ablated, cut = cuts, bench.mask_of(self.cut_edges, self.cut_nodes)
        self.reading = reading = bench.read(cut, self.ablation, self.example)
        self._n_cut = int(cut.sum())
        how = {"reference": self.ablation, "seed": self._seed}
        if self._n_cut:
            calls.stands_for("ablation", reading, ablate, model, task, ablated, **how)
        else:
            calls.stands_for("evaluation", reading, task.evaluate, model)
        title = f"{model.spec.name} · {task.name}: edges by EAP-IG"
        return calls("", _view_data, found, nodes, members, title)

    def _draw(self) -> str:
        batch, n_edges = self.bench.examples.batch, self.bench.parts.n_edges
        self._answers.value = circuit_answers(
            self.reading, self._n_cut, n_edges, batch.metric_name, len(batch)
        )
        return ""

    def _title(self) -> str:
        return self.view.title

    def __repr__(self) -> str:
        n = len(self.cut_nodes) + len(self.cut_edges)
        return f"LiveCircuit({self._task.name}: {self.preset}, {n} cut by hand)"


class CircuitBench:
    """A task's pairs on a model with the passes held in which any set of edges is cut.

    Quicker than `ablate`, which reads what a cut edge carries anew; the numbers are the same.
    """

    def __init__(self, model: Model, batch: TaskBatch, parts: Components, seed: int) -> None:
        self.model, self.parts = model, parts
        self.examples = Examples.of(model, batch)
        self.edge_ids = edge_ids(parts)
        self._ends = dict(zip(self.edge_ids, graph_edges(parts, parts.edges), strict=True))
        self._references = References(model, parts, self.examples, seed=seed)
        #: Of each kind of ablation, what cuts, and the mean metric with every edge cut.
        self._rules: dict[str, tuple[EdgeCut, float]] = {}
        self._plain: dict[tuple[str, int], MeasuredAnswers] = {}

    def mask_of(self, edge_ids: Iterable[str], nodes: Iterable[str] = ()) -> np.ndarray:
        """(writer, reader) bool: the edges of these ids, and all that leave these nodes."""
        out = np.zeros_like(self.parts.edges)
        for name in edge_ids:
            source, _, reader, _ = self._ends[name]
            out[source, reader] = True
        for name in nodes:
            writer = node_ids(self.parts).index(name)
            out[writer] = self.parts.edges[writer]
        return out

    def read(self, cut: np.ndarray, kind: str, example: int) -> CircuitReading:
        """The answers with the edges of a mask (writer, reader) cut, by one kind of ablation."""
        if kind not in self._rules:
            rule = self._references.cut(kind)
            empty = self._metric(rule, self.parts.edges, example)[0].mean()
            self._rules[kind] = rule, float(empty)
        rule, empty = self._rules[kind]
        values, answers = self._metric(rule, cut, example)
        clean, corrupt = self.examples.clean.mean(), self.examples.corrupt.mean()
        span = clean - empty
        small = abs(span) < SMALLEST_RANGE * abs(self.examples.gap)
        return CircuitReading(
            (self.plain("clean", example), answers, self.plain("corrupt", example)),
            float(clean),
            float(values.mean()),
            float(corrupt),
            float("nan") if small else float((values.mean() - empty) / span),
        )

    def _metric(
        self, rule: EdgeCut, cut: np.ndarray, example: int
    ) -> tuple[np.ndarray, MeasuredAnswers]:
        """(batch,) the metric with edges cut, and the answers of one example."""
        values = np.empty(len(self.examples.batch))
        changes, answers = [Change(replace(rule, kept=~cut))], None
        for group in self.examples.groups:
            most = max(1, rule.n_tokens // group.n_positions)
            for _, rows, logits in passes(
                self.model, changes, self.examples.batch.clean, group.rows, most=most, at="last"
            ):
                batch = self.examples.batch.take(rows)
                values[rows] = batch.metric(logits).double().cpu().numpy()
                if example in rows:
                    at = rows.index(example)
                    answers = self._answers(logits[at, 0], float(values[example]))
        assert answers is not None
        return values, answers

    def plain(self, which: str, example: int) -> MeasuredAnswers:
        """The answers of one example's clean or corrupt run."""
        if (which, example) not in self._plain:
            one = self.examples.batch.take([example])
            logits = self.model.run(getattr(one, which), logits_at="last").logits
            assert logits is not None
            self._plain[which, example] = self._answers(logits[0, 0], float(one.metric(logits)[0]))
        return self._plain[which, example]

    def _answers(self, logits: torch.Tensor, metric: float) -> MeasuredAnswers:
        best = likeliest(self.model, logits.float().softmax(-1), N_ANSWERS)
        return MeasuredAnswers(best.tokens, best.probabilities, metric)


def _view_data(
    found: Circuit, nodes: Attribution, members: Circuit | None, title: str
) -> dict[str, Any]:
    """What a `GraphView` shows; members: the circuit that stands out, None for none."""
    data = graph_data(found.parts, found.edge_scores, nodes.scores.tolist()) | {"title": title}
    if members is None:
        return data
    edges, names = member_ids(found.parts, members.kept)
    return data | {"in_circuit_edges": edges, "in_circuit_nodes": names}


def _pairs(batch: TaskBatch) -> list[tuple[str, int]]:
    return [(f"{i}: {pair.clean}", i) for i, pair in enumerate(batch.pairs)]


def _component(node: str) -> str:
    """A node of the graph, "L2H3" or "L2.mlp", as `ablate` calls it."""
    return f"{node}.z" if "H" in node else node.replace(".mlp", ".mlp_out")


@checked
def circuit(
    model: Model,
    task: Task,
    *,
    n: Count = N_EXAMPLES,
    n_edges: Count | None = None,
    seed: Seed = 0,
) -> LiveCircuit:
    """A model's graph on a task, to be clicked apart, as a `LiveCircuit`.

    n: pairs to average over at most, where the task does not say. n_edges: of the found circuit, a
    twelfth of the model's edges where it is None. seed: of the random circuit, resampling and
    noise.

    Raises what `attribute` raises where the task cannot be run; later trouble is shown in place.
    """
    return LiveCircuit(model, task, n=n, n_edges=n_edges, seed=seed)
