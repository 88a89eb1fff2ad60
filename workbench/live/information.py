"""The live graph of a pass: a prompt as words, its edges cut by a click, and the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import ipywidgets
import numpy as np

from ..check import Count, Natural, Seed, checked
from ..graph import strongest_path
from ..information.contributions import FinalNorm, Measure
from ..information.cut import cut as run_cut
from ..information.graph import InformationGraph
from ..information.graph import graph as graph_of
from ..model import Model
from ..targets import Target, token_id
from ..tokens import token_strings
from ..views.information import information_data
from ..widgets import GraphView
from .controls import Control, Held
from .explorer import Explorer
from .logit_lens import READ, read, written
from .panels import (
    PARTS,
    InformationReading,
    StrongestPath,
    information_answers,
    likeliest,
    next_words,
    node_panel,
    path_panel,
)

PROMPT = "The capital of France is"
N_ANSWERS = 6
#: The edges that the slider can ask for.
LEAST_EDGES, MOST_EDGES = 20, 400
_ENTERED = {"width": "14em", "continuous_update": False}


@checked
class LiveInformation(Explorer):
    """A prompt and its pass as a `GraphView`; a click on an edge cuts it and runs the model.

    view: the widget; its traits selected, other, cut_edges, word and threshold can be set too.
    information: the whole `InformationGraph`; shown: the part in the view. cuts: all edges that
    are cut, also those that the view does not show. reading: the answers of the last run, an
    `InformationReading`. path: the strongest path between the nodes selected and other, a
    `StrongestPath` or None. prompt, measure, target, foil, n_edges, word, cuts, selected, other:
    the choices, which can be set.
    """

    ROWS = (("prompt",), ("measure", "target", "foil"), ("n_edges", "word", "_cut_path", "buttons"))
    ABOVE = ("_answers",)
    BELOW = ("_node_text", "_path_text")
    PICTURE = "shown"
    BEGINNING = "All edges as they were"
    prompt = Control(ipywidgets.Textarea, hint=READ, rows=2)
    measure = Control(
        ipywidgets.Dropdown,
        "edges weighed by",
        width="24em",
        options=[("share of the receiving state", "state"), ("effect on the answer", "answer")],
    )
    target = Control(ipywidgets.Text, "answer", hint="the likeliest", **_ENTERED)
    foil = Control(ipywidgets.Text, "instead of", hint="the mean word", **_ENTERED)
    n_edges = Control(ipywidgets.IntSlider, "edges", width="20em", step=10, continuous_update=False)
    word = Control(ipywidgets.Text, "only around", hint="a word", **_ENTERED)
    cuts = Control(Held, undo=True)
    drawn_cuts = Control(Held, trait="cut_edges")
    selected = Control(Held, trait="selected")
    other = Control(Held, trait="other")

    def __init__(
        self,
        model: Model,
        *,
        prompt: str,
        measure: Measure,
        target: Target | None,
        foil: Target | None,
        n_edges: int,
        n_controls: int,
        seed: int,
        options: dict[str, Any],
    ) -> None:
        self._of_graph, self._of_cut = options, {"n_controls": n_controls, "seed": seed}
        self.information: InformationGraph
        self.shown: InformationGraph
        self.reading: InformationReading
        self.path: StrongestPath | None = None
        self._prompt = prompt
        # Room for the controls, so that the first cut does not move the graph.
        self._answers = ipywidgets.HTML(layout=ipywidgets.Layout(min_height="150px"))
        self._path_text, self._node_text = ipywidgets.HTML(), ipywidgets.HTML()
        self._cut_path = ipywidgets.Button(
            description="cut this path",
            tooltip="Cut the strongest path between the two nodes clicked last",
            layout=ipywidgets.Layout(width="9em"),
        )
        self._cut_path.on_click(lambda _: self.cut_path())

        def word(given: Target | None, of: str) -> str:
            if given is None:
                return ""
            number = token_id(model.tokenizer, given, of=of)
            return written(token_strings(model.tokenizer, [number]))

        super().__init__(
            model,
            lambda **data: GraphView(data, layout="tokens", mode="edit"),
            {
                "prompt": {"value": prompt},
                "measure": {"value": measure},
                "target": {"value": word(target, "A target")},
                "foil": {"value": word(foil, "A foil")},
                "n_edges": {
                    "min": min(n_edges, LEAST_EDGES),
                    "max": max(n_edges, MOST_EDGES),
                    "value": n_edges,
                },
                "cuts": {"value": ()},
            },
        )

    def cut_path(self) -> None:
        """Cut the path between the two nodes selected, at its narrowest; nothing without one."""
        if self.path is not None:
            self.cuts = (*self.cuts, *self.path.narrow)

    def _one(self, text: str, what: str) -> str | None:
        words = read(self.model.tokenizer, text)
        if len(words) > 1:
            raise ValueError(
                f"A graph has one {what}; got {len(words)}: {', '.join(map(repr, words))}."
            )
        return words[0] if words else None

    def _drawn_cuts_changed(self) -> None:
        """Edges of the part that is shown were cut or mended; the others stay as they are."""
        hidden = [name for name in self.cuts if name not in set(self.shown.edge_names)]
        self.cuts = (*hidden, *self.drawn_cuts)

    def _compute(self) -> dict[str, Any]:
        calls, model, word = self.calls, self.model, self.word.strip()
        information = calls(
            "graph",
            graph_of,
            model,
            self.prompt,
            measure=self.measure,
            target=self._one(self.target, "answer"),
            foil=self._one(self.foil, "word instead of it"),
            n_edges=self.n_edges,
            **self._of_graph,
        )
        # The part is for the eye alone: edges are cut, and controls drawn, from all of the graph.
        shown = calls("part", information.prune, word=word) if word else information
        # A position of one prompt is another thing in the next.
        anew = self.prompt != self._prompt
        wanted, there = () if anew else self.cuts, set(information.edge_names)
        cuts = tuple(name for name in wanted if name in there)
        reading = self._read(information, cuts)
        path = None
        both = {self.selected, self.other}
        if len(both) == 2 and both <= set(shown.ids) and not anew:
            path = path_between(shown, self.other, self.selected, cuts)
            # Where edges are cut the strongest of the others is shown, which no call gives.
            if path and calls("", shown.path, path.nodes[0], path.nodes[-1]) == path.nodes:
                calls("path", shown.path, path.nodes[0], path.nodes[-1])
        # All at once, so that trouble leaves what was there.
        self._prompt, self.information, self.shown = self.prompt, information, shown
        self.reading, self.path, self._gone = reading, path, len(wanted) - len(cuts)
        with self._quietly():
            self.cuts = cuts
            if anew:
                self.selected = self.other = ""
                self._begin_anew()
        return calls("", _view_data, shown, not word)

    def _draw(self) -> str:
        there = set(self.shown.edge_names)
        self.drawn_cuts = [name for name in self.cuts if name in there]
        self._answers.value = information_answers(self.reading, self.information, self.shown)
        node, other = self.selected, self.other
        self._cut_path.disabled = self.path is None
        both = node and other and node != other
        self._path_text.value = path_panel(self.path, (other, node)) if both else ""
        self._tell(
            self._node_text,
            lambda: node_panel(self.shown, node, self._alone) if node else "",
            f"{node}: ",
        )
        are = "s are" if self._gone > 1 else " is"
        gone = f"{self._gone} cut edge{are} not in this graph any more, and not cut."
        return gone if self._gone else ""

    def _alone(self, edge: str) -> float:
        """How far the answer changes, in logits, where one edge is cut and nothing else."""
        cut = self.calls("", run_cut, self.model, self.information, edge, n_controls=0, k=1)
        return float(cut.effect()[0, 0])

    def _read(self, information: InformationGraph, cuts: Sequence[str]) -> InformationReading:
        """The answer as it is and with some of the graph's edges cut."""
        if not cuts:
            tokens = self.calls("", self.model.tokens, [information.token_ids.tolist()])
            at = int(information.roots[0].rpartition("@")[2])
            logits = self.calls("", self.model.run, tokens, logits_at=[at]).logits
            plain = likeliest(self.model, logits[0, 0].float().softmax(-1), N_ANSWERS)
            return InformationReading(plain, plain, (), None)
        cut = self.calls(
            "cut", run_cut, self.model, information, list(cuts), k=N_ANSWERS, **self._of_cut
        )
        plain, after, *_ = next_words(cut, N_ANSWERS)
        return InformationReading(plain, after, tuple(cuts), cut)

    def _title(self) -> str:
        return repr(self.information)

    def __repr__(self) -> str:
        n = len(self.cuts)
        return f"LiveInformation({self.information!r}, {n} edge{'s' * (n != 1)} cut)"


def _view_data(shown: InformationGraph, whole: bool) -> dict[str, Any]:
    """What a `GraphView` shows; the edges around a word need not lead to the end."""
    data = information_data(shown)
    return data if whole else {**data, "roots": ()}


def path_between(
    information: InformationGraph, a: str, b: str, cuts: Iterable[str]
) -> StrongestPath | None:
    """The strongest path from the earlier of two nodes to the later over edges that are not cut.

    None where there is none. Raises `ValueError` for a node that the graph does not have.
    """
    first, last = sorted([information.node(a), information.node(b)])
    is_cut = np.isin(np.array(information.edge_names), list(cuts))
    found = strongest_path(information, np.where(is_cut, 0, information.shares), first, last)
    if not found:
        return None
    shares = information.shares[found]
    return StrongestPath(
        nodes=(information.ids[first], *(information.ids[information.targets[e]] for e in found)),
        edges=tuple(information.edge_names[e] for e in found),
        shares=tuple(shares.tolist()),
        weights=tuple(information.weights[found].tolist()),
        strength=float(np.prod(shares.astype(np.float64))),
        narrow=tuple(information.edge_names[e] for e in narrowest(information, found)),
    )


def narrowest(information: InformationGraph, path: Sequence[int]) -> list[int]:
    """The edges of a path that carry little else: by cutting them it is cut, and not the stream.

    The first edge of a path that begins at a head, neuron or MLP; else the edges by which heads
    read it; else those into neurons and MLPs; else, of a path along the stream alone, all.
    """
    kinds = information.kinds
    if kinds[information.sources[path[0]]] in PARTS:
        return [path[0]]
    for wanted in (("head",), PARTS):
        if found := [e for e in path if kinds[information.targets[e]] in wanted]:
            return found
    return list(path)


@checked
def information(
    model: Model,
    prompt: str = PROMPT,
    *,
    measure: Measure = "state",
    final_norm: FinalNorm = "held",
    target: Target | None = None,
    foil: Target | None = None,
    n_edges: Count = 150,
    n_neurons: Count = 8,
    k: Count = 8,
    n_controls: Natural = 8,
    seed: Seed = 0,
) -> LiveInformation:
    """A prompt box over its forward pass as words, edges to be cut, as a `LiveInformation`.

    measure, target, foil, n_edges: what the controls begin with; they and the other options are
    those of `wb.information.graph`. n_controls, seed: how many sets of random edges are cut beside
    each cut, as in `wb.information.cut`.

    Raises what `wb.information.graph` raises where the first prompt cannot be run; later trouble is
    shown in place.
    """
    return LiveInformation(
        model,
        prompt=prompt,
        measure=measure,
        target=target,
        foil=foil,
        n_edges=n_edges,
        n_controls=n_controls,
        seed=seed,
        options={
            "final_norm": final_norm,
            "n_neurons": n_neurons,
            "k": k,
        },
    )
