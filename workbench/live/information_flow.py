"""The live information flow: a forward pass as words, its edges cut by a click, and the answer."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from ..check import Count, Natural, Seed, checked
from ..methods.information.contributions import By, FinalNorm
from ..methods.information.information_flow import InformationFlow
from ..model import Model
from ..targets import Target, token_id
from ..tokens import token_strings
from ..views.information import information_data
from ..widgets import GraphView
from .explorer import Explorer
from .information_answers import answers_table
from .information_bench import (
    FlowChoices,
    FlowPath,
    InformationBench,
    InformationReading,
    path_between,
)
from .information_code import reproducing_code
from .information_controls import InformationControls
from .information_panel import node_panel, path_panel
from .logit_lens import read, written

PROMPT = "The capital of France is"


@checked
class LiveInformationFlow(Explorer):
    """A prompt and its pass as a `GraphView`; a click on an edge cuts it and runs the model.

    graph: the widget; its traits selected, other, cut_edges, word and threshold can be set too.
    flow: the whole `InformationFlow`; shown: the part in the graph. cuts: all edges that are cut,
    also those that the graph does not show. reading: the answers of the last run, an
    `InformationReading`. chosen: what the flow was asked for, a `FlowChoices`. path: the strongest
    path between the nodes selected and other, a `FlowPath` or None. prompt, by, target, foil,
    n_edges, word: the choices, which can be set. code: Python that gives the same numbers.
    message: what went wrong, or "".
    """

    def __init__(
        self,
        model: Model,
        *,
        prompt: str,
        by: By,
        target: Target | None,
        foil: Target | None,
        n_edges: int,
        n_controls: int,
        seed: int,
        options: dict[str, Any],
    ) -> None:
        self.model = model
        self.bench = InformationBench(model, n_controls=n_controls, seed=seed, options=options)
        self._controls = InformationControls(
            prompt,
            by=by,
            target=_written(model, target, "A target"),
            foil=_written(model, foil, "A foil"),
            n_edges=n_edges,
        )
        self.chosen: FlowChoices = self._choices()
        self.flow: InformationFlow = self.bench.flow(self.chosen)
        self.shown: InformationFlow = self.flow
        self.reading: InformationReading = self.bench.read(self.flow, ())
        self.path: FlowPath | None = None
        self.graph = GraphView(information_data(self.flow), layout="tokens", mode="edit")
        self.cuts: tuple[str, ...] = ()
        self._undo: list[tuple[str, ...]] = []
        self._mended = 0
        # Room for the controls, so that the first cut does not move the graph.
        self._answers = ipywidgets.HTML(layout=ipywidgets.Layout(min_height="150px"))
        self._path_text = ipywidgets.HTML()
        self._node_text = ipywidgets.HTML()
        self._code = ipywidgets.Textarea(
            layout=ipywidgets.Layout(width="auto", height="13em", display="none")
        )
        below = [self._node_text, self._path_text, self._code]
        super().__init__(self.graph, [*self._controls.rows, self._answers], below)
        self._show()
        self._connect()

    def _connect(self) -> None:
        controls = self._controls
        inputs = ("prompt", "by", "target", "foil", "n_edges", "word")
        for name in inputs:
            getattr(controls, name).observe(self._changed, names="value")
        controls.cut_path.on_click(lambda _: self.cut_path())
        controls.undo.on_click(lambda _: self.undo())
        controls.reset.on_click(lambda _: self.reset())
        controls.code.observe(self._show_code, names="value")
        self.graph.observe(self._cut, names="cut_edges")
        self.graph.observe(self._selected, names=["selected", "other"])

    # -- what is chosen --------------------------------------------------------------------------

    @property
    def prompt(self) -> str:
        """The text that is typed now."""
        return self._controls.prompt.value

    @prompt.setter
    def prompt(self, text: str) -> None:
        self._controls.prompt.value = text

    @property
    def by(self) -> str:
        """What edges are weighed by, "state" or "answer"."""
        return self._controls.by.value

    @by.setter
    def by(self, name: str) -> None:
        self._choose(self._controls.by, "by", name)

    @property
    def target(self) -> str:
        """The answer as it is typed, "" for the likeliest."""
        return self._controls.target.value

    @target.setter
    def target(self, word: str) -> None:
        self._controls.target.value = word

    @property
    def foil(self) -> str:
        """What it is compared with as it is typed, "" for the mean of all words."""
        return self._controls.foil.value

    @foil.setter
    def foil(self, word: str) -> None:
        self._controls.foil.value = word

    @property
    def n_edges(self) -> int:
        """How many of the strongest edges the flow has."""
        return self._controls.n_edges.value

    @n_edges.setter
    def n_edges(self, n: Count) -> None:
        self._choose(self._controls.n_edges, "n_edges", n)

    @property
    def word(self) -> str:
        """Only edges that touch a node with this word are shown; "" for all."""
        return self._controls.word.value

    @word.setter
    def word(self, word: str) -> None:
        self._controls.word.value = word

    def cut_path(self) -> None:
        """Cut the path between the two nodes selected, at its narrowest; nothing without one."""
        if self.path is not None:
            self.graph.cut_edges = [*self.graph.cut_edges, *self.path.narrow]

    def undo(self) -> None:
        """Go back to before the last cut."""
        if self._undo:
            self._restore(self._undo.pop())

    def reset(self) -> None:
        """Nothing cut; `undo` brings the cuts back."""
        if self.cuts:
            self._undo.append(self.cuts)
            self._restore(())

    @property
    def code(self) -> str:
        """Python that gives the same flow and the same answers."""
        return reproducing_code(self)

    # -- what a change does ----------------------------------------------------------------------

    def _choices(self) -> FlowChoices:
        """What the controls ask for. Raises `ValueError` for words that are not one token."""
        controls = self._controls
        return FlowChoices(
            prompt=controls.prompt.value,
            by=controls.by.value,
            target=self._one(controls.target.value, "answer"),
            foil=self._one(controls.foil.value, "word instead of it"),
            n_edges=controls.n_edges.value,
            word=controls.word.value.strip(),
        )

    def _one(self, text: str, what: str) -> str | None:
        words = read(self.model.tokenizer, text)
        if len(words) > 1:
            raise ValueError(
                f"A flow has one {what}; got {len(words)}: {', '.join(map(repr, words))}."
            )
        return words[0] if words else None

    def _compute(self) -> None:
        chosen = self._choices()
        flow, shown = self.flow, self.shown
        if (chosen.prompt, chosen.of_flow) != (self.chosen.prompt, self.chosen.of_flow):
            flow = self.bench.flow(chosen)
        if flow is not self.flow or chosen.word != self.chosen.word:
            shown = flow.filtered(word=chosen.word) if chosen.word else flow
        # A position of one prompt is another thing in the next.
        anew = chosen.prompt != self.chosen.prompt
        kept = () if anew else self.cuts
        there = set(flow.edge_names)
        cuts = tuple(name for name in kept if name in there)
        reading = self.bench.read(flow, cuts)
        # All at once, so that trouble leaves what was there.
        if anew:
            self._undo = []
        if shown is not self.shown:
            self._draw(shown, cuts, whole=not chosen.word, anew=anew)
        self.chosen, self.flow, self.shown, self.reading = chosen, flow, shown, reading
        self.cuts, self._mended = cuts, len(kept) - len(cuts)
        self._show()

    def _draw(
        self, shown: InformationFlow, cuts: Sequence[str], *, whole: bool, anew: bool
    ) -> None:
        data = information_data(shown)
        # The edges around a word need not lead to the end.
        roots = data["roots"] if whole else ()
        with self._quietly():
            self.graph.update(**{**data, "roots": roots})
            self._draw_cuts(cuts, shown)
            if anew:
                self.graph.selected = self.graph.other = ""

    def _draw_cuts(self, cuts: Sequence[str], shown: InformationFlow) -> None:
        there = set(shown.edge_names)
        with self._quietly():
            self.graph.cut_edges = [name for name in cuts if name in there]

    def _show(self) -> None:
        self._answers.value = answers_table(self.reading, self.flow, self.shown)
        self._controls.undo.disabled = not self._undo
        self._show_selected()

    def _run(self) -> None:
        self._mended = 0
        super()._run()
        if self._mended and not self.message:
            are = "s are" if self._mended > 1 else " is"
            self._note(f"{self._mended} cut edge{are} not in this flow any more, and not cut.")

    def _cut(self, change: Any) -> None:
        """An edge was cut or mended."""
        hidden = [name for name in self.cuts if name not in set(self.shown.edge_names)]
        cuts = (*hidden, *self.graph.cut_edges)
        if self._quiet or set(cuts) == set(self.cuts):
            return
        self._undo.append(self.cuts)
        self.cuts = cuts
        self._controls.undo.disabled = False
        self._changed()

    def _restore(self, cuts: Sequence[str]) -> None:
        there = set(self.flow.edge_names)
        self.cuts = tuple(name for name in cuts if name in there)
        self._draw_cuts(self.cuts, self.shown)
        self._controls.undo.disabled = not self._undo
        self._changed()

    def _selected(self, change: Any) -> None:
        if not self._quiet:
            self._show_selected()

    def _show_selected(self) -> None:
        """What the node clicked last is, and the path between the last two."""
        node, other = self.graph.selected, self.graph.other
        both = bool(node and other and node != other)
        self.path = path_between(self.shown, other, node, self.cuts) if both else None
        self._controls.cut_path.disabled = self.path is None
        self._path_text.value = path_panel(self.path, (other, node)) if both else ""
        self._code.value = self.code
        if not node:
            self._node_text.value = ""
            return
        try:
            self._node_text.value = node_panel(self.shown, node, self._alone)
        except Exception as error:  # said in place; the graph itself is as good as before
            text = html.escape(f"{node}: {error or repr(error)}")
            self._node_text.value = f'<span role="alert">{text}</span>'

    def _alone(self, edge: str) -> float:
        return self.bench.alone(self.flow, edge)

    def _show_code(self, change: Any) -> None:
        self._code.layout.display = "" if self._controls.code.value else "none"

    def to_html(self, path: str | Path | None = None, *, title: str | None = None) -> str:
        """The graph as it is now, as one self-contained HTML page; written to `path` if given."""
        return self._page(path, title or repr(self.flow))

    def __repr__(self) -> str:
        n = len(self.cuts)
        return f"LiveInformationFlow({self.flow!r}, {n} edge{'s' * (n != 1)} cut)"


@checked
def information_flow(
    model: Model,
    prompt: str = PROMPT,
    *,
    by: By = "state",
    final_norm: FinalNorm = "held",
    target: Target | None = None,
    foil: Target | None = None,
    n_edges: Count = 150,
    n_neurons: Count = 8,
    k: Count = 8,
    prepend_bos: bool | None = None,
    n_controls: Natural = 8,
    seed: Seed = 0,
) -> LiveInformationFlow:
    """A prompt box over its forward pass as words, edges to be cut, as a `LiveInformationFlow`.

    by, target, foil, n_edges: what the controls begin with; they and the other options are those of
    the method `information_flow`. n_controls, seed: how many sets of random edges are cut beside
    each cut, as in `cut_flow`.

    Raises what `information_flow` raises where the first prompt cannot be run; later trouble is
    shown in place.
    """
    return LiveInformationFlow(
        model,
        prompt=prompt,
        by=by,
        target=target,
        foil=foil,
        n_edges=n_edges,
        n_controls=n_controls,
        seed=seed,
        options={
            "final_norm": final_norm,
            "n_neurons": n_neurons,
            "k": k,
            "prepend_bos": prepend_bos,
        },
    )


def _written(model: Model, target: Target | None, of: str) -> str:
    """A target as the text of its box."""
    if target is None:
        return ""
    number = token_id(model.tokenizer, target, of=of)
    return written(token_strings(model.tokenizer, [number]))
