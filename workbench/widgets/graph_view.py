"""GraphView: nodes in layers upwards and the edges between them, in one of three layouts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets
from traitlets import TraitError

from workbench.widgets.arrays import decode, encode
from workbench.widgets.graph_data import LAYOUTS, encode_numbers, plain_graph
from workbench.widgets.graph_edges import missing_edges
from workbench.widgets.guarded import GuardedWidget, is_index
from workbench.widgets.panel import check_keys

#: More lines than this are no picture; the strongest of them are drawn.
MOST_EDGES = 2000
#: An activation may be scaled up to this many times.
MOST_SCALE = 100.0
#: What may be left out of a pass; states and embeddings are its frame.
SHOWN = {"kinds_shown": ("head", "neuron", "mlp"), "channels_shown": ("v", "k", "q")}
ACTIVATIONS = ("before", "after")


class GraphView(GuardedWidget):
    """A graph of components, of features, or of one forward pass, layers upwards.

        graph = wb.widgets.GraphView([("embed", "L0H1", 0.8), ("L0H1", "logits", -0.3)])
        graph.observe(lambda change: print(change.new), names="selected")  # "L0H1"

    graph: edges (source, target, weight), a table of them, a networkx DiGraph or a `wb.Graph`; or
        the data by name. Nodes stand where their attributes kind and layer (label, score, note too)
        or names like these say; if one says nothing, all on the level of their longest way up.
    options: more data, and title, unit, mode and what is drawn at first. layout:

    "components": nodes, `GraphNode`s; edges; in_circuit_nodes, in_circuit_edges, ids of members,
        which are drawn before and stronger than the rest; n_edges_shown.
    "lanes": ids ("L3.resid_post/123"), layers (-1 for the embedding), lanes ("resid", "mlp" or
        "attn"), edges, `GraphEdges`; labels, classes, ended, roots; resid, mlp, attn, successor,
        best similarities there, thresholds; before, after, activations; threshold, least drawn.
    "tokens": tokens; ids ("L2H1.z@5"), columns, layers, kinds ("embed", "state", "head", "neuron",
        "mlp"), up to ten words; edges; details, (caption, words) pairs; scores, relevance, rest
        (NaN where not known); roots, which the flow leads to; threshold, the least share drawn.

    Raises ValueError or TypeError for data that do not fit, TraitError for such a choice.
    """

    NAME = "graph_view"
    DATA = frozenset(
        {"_layout", "_tokens", "_nodes", "_edges", "_numbers", "title", "unit", "roots", "status"}
        | {"in_circuit_nodes", "in_circuit_edges"}
    )

    _layout = traitlets.Unicode("components").tag(sync=True)
    _tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _nodes = traitlets.List(traitlets.Dict()).tag(sync=True)
    _edges = traitlets.Dict().tag(sync=True)
    _numbers = traitlets.Dict().tag(sync=True)

    title = traitlets.Unicode("").tag(sync=True)
    """Heading above the graph."""
    status = traitlets.Unicode("").tag(sync=True)
    """Shown over the dimmed graph while not empty: "running…", "error: …"."""
    unit = traitlets.Unicode("").tag(sync=True)
    """What scores and weights are counted in."""
    mode = traitlets.Unicode("").tag(sync=True)
    """What a click does, "select" or "cut"; in the other layouts "look", or "edit" for what
    something in Python must answer."""
    n_edges_shown = traitlets.Int(50).tag(sync=True)
    """How many edges are drawn at most; cut and selected ones are drawn besides."""
    threshold = traitlets.Float(0.0).tag(sync=True)
    """Edges weaker than this are not drawn."""
    roots = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Ids of the nodes that a flow leads to."""
    in_circuit_nodes = traitlets.List(traitlets.Unicode(), allow_none=True, default_value=None).tag(
        sync=True
    )
    """Ids of the circuit's nodes; None: every node is drawn alike."""
    in_circuit_edges = traitlets.List(traitlets.Unicode(), allow_none=True, default_value=None).tag(
        sync=True
    )
    """Ids of the circuit's edges; None: every edge is drawn alike."""
    selected = traitlets.Unicode("").tag(sync=True)
    """Id of the node clicked last, or ""; among components also of an edge."""
    other = traitlets.Unicode("").tag(sync=True)
    """Id of the node clicked before, or "": the strongest path between the two is brought out."""
    cut_nodes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Ids of the nodes that are cut, in the order of the cuts."""
    cut_edges = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Ids of the edges that are cut, in the order of the cuts."""
    expand = traitlets.List().tag(sync=True)
    """What was asked to grow last, [node id, "up" or "down", count of such wishes], or []."""
    scales = traitlets.Dict(value_trait=traitlets.Float()).tag(sync=True)
    """Factor by node id: 0 is off, above 1 amplified; 1 is left out."""
    kinds_shown = traitlets.List(traitlets.Unicode(), default_value=list(SHOWN["kinds_shown"])).tag(
        sync=True
    )
    """Which of "head", "neuron" and "mlp" are drawn."""
    channels_shown = traitlets.List(
        traitlets.Unicode(), default_value=list(SHOWN["channels_shown"])
    ).tag(sync=True)
    """Which of a head's inputs are drawn: "v", "k", "q"."""
    word = traitlets.Unicode("").tag(sync=True)
    """Nodes one of whose words contains this text stand out."""

    def __init__(self, graph: Any, *, layout: str = "components", **options: Any) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f"layout is one of {', '.join(LAYOUTS)}; given {layout!r:.80}")
        given, kind = {**_by_name(graph, layout), **options}, LAYOUTS[layout]
        check_keys("graph", given, kind.required, (*kind.optional, *kind.options))
        chosen = {name: given[name] for name in kind.options if name in given}
        super().__init__(_layout=layout, **kind.encode(given), **{"mode": kind.modes[0], **chosen})
        # What a layout has no control for, no browser sets.
        every = {name for one in LAYOUTS.values() for name in one.choices}
        self.DATA = (self.DATA | every) - kind.choices

    def update(self, graph: Any = None, *, status: str = "", **options: Any) -> None:
        """Replaces the data in one message and keeps the user's choices that still make sense.

        With all that the layout needs the whole graph is new, and what is not given of it is not
        known. Without any of that the graph stays, and so does what is not given of `before` and
        `after`. Kept unless given: title, unit, mode, and how much is drawn; kept always:
        selection, cuts, wishes and scales of what is still there. The status is cleared, since the
        new data are not stale. Raises as the class does; then nothing changes.
        """
        data = {} if graph is None else _by_name(graph, self._layout)
        given, kind = {**data, **options}, LAYOUTS[self._layout]
        known = ACTIVATIONS if self._layout == "lanes" else ()
        new = any(name in given for name in kind.required)
        extra = [name for name in kind.optional if name in given and name not in known]
        if (extra or new) and not all(name in given for name in kind.required):
            raise ValueError(
                f"update() takes {', '.join(kind.required[:-1])} and {kind.required[-1]} together, "
                "with whatever else is said of the nodes; without them only "
                f"{', '.join((*known, *kind.options))} and status"
            )
        check_keys("graph", given, (), (*kind.required, *kind.optional, *kind.options))
        traits = kind.encode(given) if new else self._with_activations(given)
        traits |= {name: given[name] for name in kind.options if given.get(name) is not None}
        nodes, edges = traits.get("_nodes", self._nodes), traits.get("_edges", self._edges)
        names = {node["id"] for node in nodes}
        gone = set(missing_edges(self._layout, nodes, edges, [*self.cut_edges, self.selected]))
        writers = {node["id"] for node in nodes if node.get("kind") != "logits"}
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in traits.items():
                setattr(self, name, value)
            self.status = status
            self.cut_nodes = [name for name in self.cut_nodes if name in writers]
            self.cut_edges = [name for name in self.cut_edges if name not in gone]
            self.expand = self.expand if set(self.expand[:1]) <= names else []
            self.scales = {name: x for name, x in self.scales.items() if name in names}
            self.other = self.other if self.other in names else ""
            if self.selected not in names and self.selected in gone:
                self.selected = ""

    def _with_activations(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers with new activations, those not given as they were."""
        names = [name for name in ACTIVATIONS if given.get(name) is not None]
        return {"_numbers": {**self._numbers, **encode_numbers(len(self._nodes), given, names)}}

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return tuple(node["id"] for node in self._nodes)

    @property
    def before(self) -> np.ndarray:
        """(node,) activations without the scales, NaN where not known."""
        return self._activation("before")

    @property
    def after(self) -> np.ndarray:
        """(node,) activations with the scales, NaN where not known."""
        return self._activation("after")

    def _activation(self, name: str) -> np.ndarray:
        unknown = encode(np.full(len(self._nodes), np.nan, np.float32))
        return decode(self._numbers.get(name, unknown))

    def __repr__(self) -> str:
        """Short and the same on every run, since notebooks store it beside the view."""
        n_edges, n_cut = len(decode(self._edges["weight"])), len(self.cut_nodes + self.cut_edges)
        parts = [f"{len(self._nodes)} nodes", f"{n_edges} edges"]
        parts = [f"{len(self._tokens)} tokens", *parts] if self._tokens else parts
        parts += [f"{n_cut} cut"] if n_cut else []
        parts += [f"{len(self.scales)} scaled"] if self.scales else []
        return f"GraphView({self._layout}: {', '.join(parts)})"

    @traitlets.validate("mode")
    def _check_mode(self, proposal: Any) -> str:
        modes = LAYOUTS[self._layout].modes
        if proposal["value"] not in modes:
            raise TraitError(f"mode is one of {', '.join(modes)}; given {proposal['value']!r}")
        return proposal["value"]

    @traitlets.validate("n_edges_shown")
    def _check_n_edges_shown(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] <= MOST_EDGES:
            raise TraitError(
                f"n_edges_shown is a number from 0 to {MOST_EDGES}; given {proposal['value']}"
            )
        return proposal["value"]

    @traitlets.validate("threshold")
    def _check_threshold(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= 1:
            raise TraitError(f"threshold is a number from 0 to 1; given {proposal['value']}")
        return proposal["value"]

    @traitlets.validate("kinds_shown", "channels_shown")
    def _check_shown(self, proposal: Any) -> list[str]:
        trait = proposal["trait"].name
        if set(proposal["value"]) - set(SHOWN[trait]):
            raise TraitError(
                f"{trait} holds some of {', '.join(map(repr, SHOWN[trait]))}; "
                f"given {proposal['value']!r:.120}"
            )
        # One way to say a choice, whatever the order of the clicks.
        return [name for name in SHOWN[trait] if name in proposal["value"]]

    @traitlets.validate("selected", "other")
    def _check_selected(self, proposal: Any) -> str:
        name, trait = proposal["value"], proposal["trait"].name
        edges = trait == "selected" and self._layout == "components"
        if name and name not in self.ids and not (edges and not self._missing([name])):
            of = "a node or an edge" if edges else "a node"
            raise TraitError(f'{trait} is the id of {of}, or ""; given {name!r}')
        return name

    @traitlets.validate("roots")
    def _check_roots(self, proposal: Any) -> list[str]:
        if missing := sorted(set(proposal["value"]) - set(self.ids)):
            raise TraitError(f"roots are ids of nodes; not among them: {missing}")
        return proposal["value"]

    @traitlets.validate("cut_nodes", "in_circuit_nodes")
    def _check_nodes(self, proposal: Any) -> list[str] | None:
        names, trait = proposal["value"], proposal["trait"].name
        known = set(self.ids)
        if wrong := [name for name in names or () if name not in known]:
            raise TraitError(f"{trait} holds ids of the graph's nodes; not among them: {wrong}")
        outputs = {node["id"] for node in self._nodes if node.get("kind") == "logits"}
        if trait == "cut_nodes" and (wrong := [name for name in names if name in outputs]):
            raise TraitError(
                f"{wrong[0]!r} is the output and writes nothing that could be cut; "
                "cut the edges into it instead"
            )
        return _once(trait, names)

    @traitlets.validate("cut_edges", "in_circuit_edges")
    def _check_edges(self, proposal: Any) -> list[str] | None:
        names, trait = proposal["value"], proposal["trait"].name
        if wrong := self._missing(names or []):
            raise TraitError(
                f"{trait} holds ids of the graph's edges, such as "
                f'"{LAYOUTS[self._layout].example}"; not among them: {wrong}'
            )
        return _once(trait, names)

    def _missing(self, names: list[str]) -> list[str]:
        return missing_edges(self._layout, self._nodes, self._edges, names) if names else []

    @traitlets.validate("expand")
    def _check_expand(self, proposal: Any) -> list[Any]:
        wish = proposal["value"]
        fits = len(wish) == 3 and wish[0] in self.ids and wish[1] in ("up", "down")
        if wish and not (fits and is_index(wish[2], 2**53)):
            raise TraitError(
                f'expand is [] or [the id of a node, "up" or "down", a count]; given {wish!r:.120}'
            )
        return wish

    @traitlets.validate("scales")
    def _check_scales(self, proposal: Any) -> dict[str, float]:
        for name, factor in proposal["value"].items():
            if name not in self.ids:
                raise TraitError(f"scales holds ids of the graph's nodes; not among them: {name!r}")
            if not (math.isfinite(factor) and 0 <= factor <= MOST_SCALE):
                raise TraitError(
                    f"scales holds factors from 0 to {MOST_SCALE:g}; given {factor} for {name}"
                )
        # One way to say that nothing is done to a node.
        return {name: factor for name, factor in proposal["value"].items() if factor != 1}


def _by_name(graph: Any, layout: str) -> Mapping[str, Any]:
    """The data by name, as they are or from a plain graph."""
    if isinstance(graph, Mapping):
        return graph
    if layout != "components":
        raise ValueError(
            f"the layout {layout!r} takes its data by name; a plain graph goes into 'components'"
        )
    return plain_graph(graph)


def _once(trait: str, names: list[str] | None) -> list[str] | None:
    if names is not None and len(set(names)) < len(names):
        raise TraitError(f"{trait} holds each id once; given {names}")
    return names
