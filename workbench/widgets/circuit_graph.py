"""CircuitGraph: a model's components, layers upwards, and the edges between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets
from traitlets import TraitError

from workbench.widgets.arrays import decode
from workbench.widgets.circuit_data import CircuitEdges, CircuitNode, encode_edges, encode_nodes
from workbench.widgets.edge_names import missing_edges
from workbench.widgets.guarded import GuardedWidget

STATIC = Path(__file__).parent / "static"
MODES = ("select", "cut")
#: More lines than this are no picture; the strongest of them are drawn.
MOST_EDGES = 2000


class CircuitGraph(GuardedWidget):
    """A graph of components, the embedding at the bottom and the logits at the top.

    nodes: `CircuitNode`s, at least one. edges: `CircuitEdges`, arrays of one length (an edge goes
        up; its colour is the sign of its weight, its width the size).
    title, unit: a heading, and what scores and weights are counted in ("logit difference").
    n_edges_shown: how many edges are drawn at most, the strongest first; 0 to 2,000.
    in_circuit_nodes, in_circuit_edges: ids of a circuit's members, which are drawn before and
        stronger than the rest; None: no such difference.

    An edge's id is "L2H3→L3H1.q", or "L2H3→L2.mlp" where the target has one input. Raises
    ValueError or TypeError where the data do not fit together, TraitError for a choice that is not
    there.
    """

    _esm = STATIC / "circuit_graph.js"
    _css = STATIC / "circuit_graph.css"
    DATA = frozenset(
        {"_nodes", "_edges", "title", "unit", "status", "in_circuit_nodes", "in_circuit_edges"}
    )

    _nodes = traitlets.List(traitlets.Dict()).tag(sync=True)
    _edges = traitlets.Dict().tag(sync=True)

    title = traitlets.Unicode("").tag(sync=True)
    """Heading above the graph."""
    unit = traitlets.Unicode("").tag(sync=True)
    """What scores and weights are counted in."""
    status = traitlets.Unicode("").tag(sync=True)
    """Shown over the dimmed graph while not empty: "running…", "error: …"."""
    n_edges_shown = traitlets.Int(50).tag(sync=True)
    """How many edges are drawn at most; cut and selected ones are drawn besides."""
    mode = traitlets.Unicode("select").tag(sync=True)
    """What a click does: "select" or "cut"."""
    selected = traitlets.Unicode("").tag(sync=True)
    """Id of the node or edge clicked last, or ""."""
    cut_nodes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Ids of the nodes that are cut, in the order of the cuts."""
    cut_edges = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Ids of the edges that are cut, in the order of the cuts."""
    in_circuit_nodes = traitlets.List(traitlets.Unicode(), allow_none=True, default_value=None).tag(
        sync=True
    )
    """Ids of the circuit's nodes; None: every node is drawn alike."""
    in_circuit_edges = traitlets.List(traitlets.Unicode(), allow_none=True, default_value=None).tag(
        sync=True
    )
    """Ids of the circuit's edges; None: every edge is drawn alike."""

    def __init__(
        self,
        nodes: Sequence[CircuitNode],
        edges: CircuitEdges,
        *,
        title: str = "",
        unit: str = "",
        n_edges_shown: int = 50,
        mode: str = "select",
        in_circuit_nodes: Sequence[str] | None = None,
        in_circuit_edges: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            **_data(nodes, edges),
            title=title,
            unit=unit,
            n_edges_shown=n_edges_shown,
            mode=mode,
            in_circuit_nodes=_members(in_circuit_nodes),
            in_circuit_edges=_members(in_circuit_edges),
        )

    def update(
        self,
        nodes: Sequence[CircuitNode],
        edges: CircuitEdges,
        *,
        title: str | None = None,
        unit: str | None = None,
        n_edges_shown: int | None = None,
        in_circuit_nodes: Sequence[str] | None = None,
        in_circuit_edges: Sequence[str] | None = None,
        status: str = "",
    ) -> None:
        """Replaces the data in one message and keeps the user's choices that still make sense.

        Kept unless given: title, unit, the number of edges shown; kept always: the mode, and the
        selection and cuts of what the new graph still has. The circuit's members belong to the
        data: without them every node and edge is drawn alike. The status is cleared, since the new
        data are not stale. Raises as the class does; then nothing changes.
        """
        data = _data(nodes, edges)
        names = {node["id"] for node in data["_nodes"]}
        writers = {node["id"] for node in data["_nodes"] if node["kind"] != "logits"}
        gone = set(missing_edges(data["_nodes"], data["_edges"], [*self.cut_edges, self.selected]))
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in data.items():
                setattr(self, name, value)
            self.title = self.title if title is None else title
            self.unit = self.unit if unit is None else unit
            self.n_edges_shown = self.n_edges_shown if n_edges_shown is None else n_edges_shown
            self.status = status
            self.in_circuit_nodes = _members(in_circuit_nodes)
            self.in_circuit_edges = _members(in_circuit_edges)
            self.cut_nodes = [name for name in self.cut_nodes if name in writers]
            self.cut_edges = [name for name in self.cut_edges if name not in gone]
            if self.selected not in names and self.selected in gone:
                self.selected = ""

    def __repr__(self) -> str:
        """Short and the same on every run, since notebooks store it beside the view."""
        cuts = len(self.cut_nodes) + len(self.cut_edges)
        n_edges = len(decode(self._edges["weight"]))
        size = f"{len(self._nodes)} nodes, {n_edges} edges"
        return f"CircuitGraph({size}{f', {cuts} cut' if cuts else ''})"

    def _node(self, name: str) -> dict[str, Any] | None:
        return next((node for node in self._nodes if node["id"] == name), None)

    def _missing_edges(self, names: list[str]) -> list[str]:
        return missing_edges(self._nodes, self._edges, names)

    @traitlets.validate("n_edges_shown")
    def _check_n_edges_shown(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] <= MOST_EDGES:
            raise TraitError(
                f"n_edges_shown is a number from 0 to {MOST_EDGES}; given {proposal['value']}"
            )
        return proposal["value"]

    @traitlets.validate("mode")
    def _check_mode(self, proposal: Any) -> str:
        if proposal["value"] not in MODES:
            raise TraitError(f"mode is one of {', '.join(MODES)}; given {proposal['value']!r}")
        return proposal["value"]

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> str:
        name = proposal["value"]
        if name and self._node(name) is None and self._missing_edges([name]):
            raise TraitError(f'selected is the id of a node or an edge, or ""; given {name!r}')
        return name

    @traitlets.validate("cut_nodes")
    def _check_cut_nodes(self, proposal: Any) -> list[str]:
        self._check_nodes("cut_nodes", proposal["value"])
        for name in proposal["value"]:
            if (node := self._node(name)) is not None and node["kind"] == "logits":
                raise TraitError(
                    f"{name!r} is the output and writes nothing that could be cut; "
                    "cut the edges into it instead"
                )
        return proposal["value"]

    @traitlets.validate("in_circuit_nodes")
    def _check_in_circuit_nodes(self, proposal: Any) -> list[str] | None:
        if proposal["value"] is not None:
            self._check_nodes("in_circuit_nodes", proposal["value"])
        return proposal["value"]

    def _check_nodes(self, trait: str, names: list[str]) -> None:
        known = {node["id"] for node in self._nodes}
        if wrong := [name for name in names if name not in known]:
            raise TraitError(f"{trait} holds ids of the graph's nodes; not among them: {wrong}")
        if len(set(names)) < len(names):
            raise TraitError(f"{trait} holds each id once; given {names}")

    @traitlets.validate("cut_edges", "in_circuit_edges")
    def _check_edges(self, proposal: Any) -> list[str] | None:
        names, trait = proposal["value"], proposal["trait"].name
        if names is None:
            return None
        if wrong := self._missing_edges(names):
            raise TraitError(
                f'{trait} holds ids of the graph\'s edges, such as "L0H1→L1H0.q"; '
                f"not among them: {wrong}"
            )
        if len(set(names)) < len(names):
            raise TraitError(f"{trait} holds each id once; given {names}")
        return names


def _data(nodes: Sequence[CircuitNode], edges: CircuitEdges) -> dict[str, Any]:
    """The transport traits, checked."""
    encoded = encode_nodes(nodes)
    return {"_nodes": encoded, "_edges": encode_edges(edges, encoded)}


def _members(ids: Sequence[str] | None) -> list[str] | None:
    return None if ids is None else list(ids)
