"""The live circuit: click components and edges apart, and see what the model answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np

from ..check import Count, Seed, checked
from ..methods.references import KINDS
from ..model import Model
from ..tasks import Task, task, tasks
from ..views.circuits import member_ids
from ..widgets import GraphView
from .circuit_answers import answers_table
from .circuit_bench import CircuitBench, Reading
from .circuit_code import reproducing_code
from .explorer import Explorer

#: What a preset keeps of the model; everything else is ablated from the start.
PRESETS = ("whole model", "found circuit", "complement", "random circuit")
#: The optimal constants are searched for, which takes longer than a click may.
ABLATIONS = tuple(kind for kind in KINDS if kind != "optimal")
N_EXAMPLES = 16

State = tuple[str, tuple[str, ...], tuple[str, ...]]


@checked
class LiveCircuit(Explorer):
    """A `GraphView` of a model on a task; each click cuts, runs the model and shows the answer.

    graph: the widget; its traits cut_nodes and cut_edges can be set too. reading: the numbers of
    the last run, a `Reading`. preset, ablation, example: the choices, which can be set. code:
    Python that does the same ablation and gives the same numbers. message: what went wrong, or "".
    """

    def __init__(
        self, model: Model, chosen: Task, *, n: int, n_edges: int | None, seed: int
    ) -> None:
        self.model, self._seed, self._n, self._n_edges = model, seed, n, n_edges
        self._own = chosen
        #: Names of the tasks that code can load; asked once, since it reads their files.
        self.shipped = tuple(tasks().index)
        self.bench = self._bench(chosen)
        self.graph = GraphView(
            self.bench.graph_data(),
            title=self._title(),
            unit="of the difference between clean and corrupt",
            n_edges_shown=min(60, self.bench.parts.n_edges),
            mode="cut",
        )
        self._undo: list[State] = []
        self._last: State = (PRESETS[0], (), ())
        self._quiet = False
        self._make_controls(chosen)
        first = ipywidgets.HBox(
            [self._task, self._example, self._ablation],
            layout=ipywidgets.Layout(flex_flow="row wrap"),
        )
        second = ipywidgets.HBox(
            [self._preset, self._undo_button, self._reset_button, self._code_button],
            layout=ipywidgets.Layout(flex_flow="row wrap"),
        )
        self._answers = ipywidgets.HTML()
        self._code = ipywidgets.Textarea(
            layout=ipywidgets.Layout(width="auto", height="13em", display="none")
        )
        super().__init__(self.graph, [first, second, self._answers], [self._code])
        self.reading: Reading
        self._compute()
        self.graph.observe(self._cut, names=["cut_nodes", "cut_edges"])

    def _make_controls(self, chosen: Task) -> None:
        names = list(dict.fromkeys([chosen.name, *self.shipped]))
        style = {"description_width": "initial"}
        self._task: Any = ipywidgets.Dropdown(
            options=names,
            value=chosen.name,
            description="task",
            style=style,
            layout=ipywidgets.Layout(width="16em"),
        )
        self._example: Any = ipywidgets.Dropdown(
            options=self._pairs(),
            value=0,
            description="pair",
            style=style,
            layout=ipywidgets.Layout(width="auto", flex="1 1 24em"),
        )
        self._ablation: Any = ipywidgets.Dropdown(
            options=ABLATIONS,
            value="counterfactual",
            description="ablation",
            style=style,
            layout=ipywidgets.Layout(width="18em"),
        )
        self._preset: Any = ipywidgets.ToggleButtons(
            options=PRESETS,
            value=PRESETS[0],
            tooltips=[
                "nothing is ablated but what is cut by hand",
                "all edges outside the found circuit are ablated",
                "the found circuit is ablated",
                "all edges outside a random circuit of the same size are ablated",
            ],
            style={"button_width": "9em"},
        )
        narrow = ipywidgets.Layout(width="6em")
        self._undo_button = ipywidgets.Button(description="undo", disabled=True, layout=narrow)
        self._reset_button = ipywidgets.Button(description="reset", layout=narrow)
        self._code_button = ipywidgets.ToggleButton(
            False, description="code", tooltip="Python that does the same", layout=narrow
        )
        self._task.observe(self._other_task, names="value")
        self._example.observe(self._changed, names="value")
        self._ablation.observe(self._changed, names="value")
        self._preset.observe(self._cut, names="value")
        self._undo_button.on_click(lambda _: self.undo())
        self._reset_button.on_click(lambda _: self.reset())
        self._code_button.observe(self._show_code, names="value")

    # -- what is chosen --------------------------------------------------------------------------

    @property
    def preset(self) -> str:
        """What is kept of the model before anything is cut by hand, one of `PRESETS`."""
        return self._preset.value

    @preset.setter
    def preset(self, name: str) -> None:
        self._choose(self._preset, "preset", name)

    @property
    def ablation(self) -> str:
        """What a cut edge carries."""
        return self._ablation.value

    @ablation.setter
    def ablation(self, kind: str) -> None:
        self._choose(self._ablation, "ablation", kind)

    @property
    def example(self) -> int:
        """The number of the pair whose answers are shown."""
        return self._example.value

    @example.setter
    def example(self, number: int) -> None:
        self._choose(self._example, "example", number)

    def undo(self) -> None:
        """Go back to before the last cut or preset."""
        if self._undo:
            self._restore(self._undo.pop())

    def reset(self) -> None:
        """The whole model, nothing cut; `undo` brings the cuts back."""
        if self._last != (PRESETS[0], (), ()):
            self._undo.append(self._last)
            self._restore((PRESETS[0], (), ()))

    @property
    def code(self) -> str:
        """Python that makes the same ablation on the same examples."""
        return reproducing_code(self, PRESETS.index(self.preset), self._seed, self.bench.found_size)

    # -- what a change does ----------------------------------------------------------------------

    def _bench(self, chosen: Task) -> CircuitBench:
        sized = replace(chosen, n=self._n) if chosen.n is None else chosen
        return CircuitBench(self.model, sized, n_edges=self._n_edges, seed=self._seed)

    def _title(self) -> str:
        return f"{self.model.spec.name} · {self.bench.task.name}: edges by EAP-IG"

    def _pairs(self) -> list[tuple[str, int]]:
        pairs = self.bench.examples.batch.pairs
        return [(f"{i}: {pair.clean}", i) for i, pair in enumerate(pairs)]

    def _other_task(self, change: Any) -> None:
        """Score the edges of another task, and start again on it."""
        self._view.status = "running…"
        try:
            name = self._task.value
            bench = self._bench(self._own if name == self._own.name else task(name))
        except Exception as error:  # said in place; a callback has no cell
            self._say(str(error) or repr(error))
            return
        self.bench = bench
        self._quiet = True
        self._example.options, self._example.value = self._pairs(), 0
        self._preset.value = PRESETS[0]
        self.graph.cut_nodes, self.graph.cut_edges = [], []
        self._quiet = False
        self._undo, self._last = [], (PRESETS[0], (), ())
        self._undo_button.disabled = True
        self.graph.update(**bench.graph_data(), title=self._title())
        self._changed()

    def _restore(self, state: State) -> None:
        self._quiet = True
        self._preset.value = state[0]
        self.graph.cut_nodes, self.graph.cut_edges = list(state[1]), list(state[2])
        self._quiet = False
        self._last = state
        self._undo_button.disabled = not self._undo
        self._changed()

    def _cut(self, change: Any) -> None:
        """Something was cut, mended, or another preset chosen."""
        if self._quiet:
            return
        self._whole_groups()
        state = (self.preset, tuple(self.graph.cut_nodes), tuple(self.graph.cut_edges))
        if state == self._last:
            return
        self._undo.append(self._last)
        self._last = state
        self._undo_button.disabled = False
        self._changed()

    def _whole_groups(self) -> None:
        """Under grouped queries one key or value edge is drawn to several heads: cut as one."""
        before, now = set(self._last[2]), list(self.graph.cut_edges)
        mended = self.bench.mask_of(before - set(now))
        cut = self.bench.mask_of(now) & ~mended
        wanted = member_ids(self.bench.parts, cut)[0]
        if set(wanted) != set(now):
            self._quiet = True
            kept = [name for name in now if name in set(wanted)]
            self.graph.cut_edges = kept + [name for name in wanted if name not in set(kept)]
            self._quiet = False

    def kept(self) -> np.ndarray:
        """(writer, reader) bool: what the preset keeps of the model, before the cuts by hand."""
        found = self.bench.found
        return {
            PRESETS[0]: lambda: self.bench.parts.edges,
            PRESETS[1]: lambda: found.kept,
            PRESETS[2]: lambda: found.complement().kept,
            PRESETS[3]: lambda: found.random(self._seed).kept,
        }[self.preset]()

    def _compute(self) -> None:
        bench, kept = self.bench, self.kept()
        hand = bench.mask_of(self.graph.cut_edges, self.graph.cut_nodes)
        cut = bench.parts.edges & ~(kept & ~hand)
        self.reading = bench.read(cut, self.ablation, self.example)
        edges, nodes = None, None
        if self.preset != PRESETS[0]:
            edges, nodes = member_ids(bench.parts, kept)
        if self.graph.in_circuit_edges != edges:
            # traitlets' own types know no None here.
            graph: Any = self.graph
            graph.in_circuit_edges, graph.in_circuit_nodes = edges, nodes
        self._answers.value = answers_table(self.reading, int(cut.sum()), bench)
        self._code.value = self.code

    def _show_code(self, change: Any) -> None:
        self._code.layout.display = "" if self._code_button.value else "none"

    def to_html(self, path: str | Path | None = None, *, title: str | None = None) -> str:
        """The graph as it is now, as one self-contained HTML page; written to `path` if given."""
        return self._page(path, title or self._title())

    def __repr__(self) -> str:
        n = len(self.graph.cut_nodes) + len(self.graph.cut_edges)
        return f"LiveCircuit({self.bench.task.name}: {self.preset}, {n} cut by hand)"


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

    n: pairs to average over, where the task does not say. n_edges: of the found circuit, a twelfth
    of the model's edges where it is None. seed: of the random circuit, resampling and noise.

    Raises what `attribute` raises where the task cannot be run; later trouble is shown in place.
    """
    return LiveCircuit(model, task, n=n, n_edges=n_edges, seed=seed)
