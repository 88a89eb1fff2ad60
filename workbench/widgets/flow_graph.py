"""FlowGraph: features through the layers, in lanes for MLP, residual stream and attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from traitlets import TraitError

from workbench.widgets.arrays import decode
from workbench.widgets.flow_data import (
    FlowEdges,
    encode_edges,
    encode_nodes,
    encode_numbers,
    encode_thresholds,
)
from workbench.widgets.guarded import GuardedWidget, is_index

STATIC = Path(__file__).parent / "static"
MODES = ("look", "edit")
#: An activation may be scaled up to this many times.
MOST_SCALE = 100.0


class FlowGraph(GuardedWidget):
    """A graph of features, layers upwards, edges as wide as the similarity they stand for.

    ids: a name a node, "L3.resid_post/123". layers: int (node,), -1 for the embedding.
    lanes: "resid", "mlp" or "attn" of each. edges: `FlowEdges`; an edge goes up.
    labels: what is written on them beside the short name, "" or None for nothing.
    classes: "carried", "processed", "newborn", "unexplained", "first", "module", "dead" or "".
    ended: bool (node,), whether the feature has no successor. roots: ids that were asked for;
        what no drawn edge joins to a root is hidden.
    resid, mlp, attn, successor: float (node,), similarity to the best predecessor there, and to
        the best successor; NaN: none.
    thresholds: from where a similarity counts as high: one number, four (residual, MLP, attention,
        successor), or (node, 4).
    threshold: edges weaker than this are not drawn, 0 to 1.
    before, after: float (node,), activations, NaN where not known.
    mode: "look", or "edit" for activations on the nodes and buttons that set `scales` and
        `expand`, for which something in Python must answer.

    Raises ValueError or TypeError where the data do not fit together, TraitError for a choice that
    is not there.
    """

    _esm = STATIC / "flow_graph.js"
    _css = STATIC / "flow_graph.css"
    DATA = frozenset(
        {"_nodes", "_edges", "_similarities", "_activations", "title", "status", "mode"}
    )

    _nodes = traitlets.List(traitlets.Dict()).tag(sync=True)
    _edges = traitlets.Dict().tag(sync=True)
    _similarities = traitlets.Dict().tag(sync=True)
    _activations = traitlets.Dict().tag(sync=True)

    title = traitlets.Unicode("").tag(sync=True)
    """Heading above the graph."""
    status = traitlets.Unicode("").tag(sync=True)
    """Shown over the dimmed graph while not empty: "running…", "error: …"."""
    mode = traitlets.Unicode("look").tag(sync=True)
    """"look" or "edit"."""
    threshold = traitlets.Float(0.0).tag(sync=True)
    """Edges weaker than this are not drawn."""
    selected = traitlets.Unicode("").tag(sync=True)
    """Id of the node clicked last, or ""."""
    expand = traitlets.List().tag(sync=True)
    """What was asked to grow last, [node id, "up" or "down", count of such wishes], or []."""
    scales = traitlets.Dict(value_trait=traitlets.Float()).tag(sync=True)
    """Factor by node id: 0 is off, above 1 amplified; 1 is left out."""

    def __init__(
        self,
        ids: Sequence[str],
        layers: Sequence[int] | np.ndarray,
        lanes: Sequence[str],
        edges: FlowEdges,
        *,
        labels: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        ended: Sequence[bool] | np.ndarray | None = None,
        roots: Sequence[str] = (),
        resid: Any = None,
        mlp: Any = None,
        attn: Any = None,
        successor: Any = None,
        thresholds: Any = None,
        threshold: float = 0.0,
        before: Any = None,
        after: Any = None,
        mode: str = "look",
        title: str = "",
    ) -> None:
        nodes = encode_nodes(ids, layers, lanes, labels, classes, ended, roots)
        super().__init__(
            _nodes=nodes,
            _edges=encode_edges(edges, nodes),
            _similarities=_similarities(len(nodes), resid, mlp, attn, successor, thresholds),
            _activations=encode_numbers(len(nodes), {"before": before, "after": after}),
            threshold=threshold,
            mode=mode,
            title=title,
        )

    def update(
        self,
        ids: Sequence[str] | None = None,
        layers: Sequence[int] | np.ndarray | None = None,
        lanes: Sequence[str] | None = None,
        edges: FlowEdges | None = None,
        *,
        labels: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        ended: Sequence[bool] | np.ndarray | None = None,
        roots: Sequence[str] = (),
        resid: Any = None,
        mlp: Any = None,
        attn: Any = None,
        successor: Any = None,
        thresholds: Any = None,
        threshold: float | None = None,
        before: Any = None,
        after: Any = None,
        mode: str | None = None,
        title: str | None = None,
        status: str = "",
    ) -> None:
        """Replaces the data in one message and keeps the user's choices that still make sense.

        With ids, layers, lanes and edges the whole graph is new, and what is not given of a node's
        numbers is not known. Without those four the graph stays, and so does what is not given of
        `before` and `after`. Kept unless given: title, mode, threshold; kept always: selection,
        wishes and scales of nodes that are still there. The status is cleared, since the new data
        are not stale. Raises as the class does; then nothing changes.
        """
        graph = (ids, layers, lanes, edges)
        given = [part is not None for part in graph]
        of_nodes = (labels, classes, ended, resid, mlp, attn, successor, thresholds)
        extra = bool(len(roots)) or any(part is not None for part in of_nodes)
        if any(given) != all(given) or (extra and not all(given)):
            raise ValueError(
                "update() takes ids, layers, lanes and edges together, with whatever else is said "
                "of the nodes; without them only before, after, threshold, mode, title and status"
            )
        data: dict[str, Any] = {}
        if ids is not None and lanes is not None and edges is not None:
            nodes = encode_nodes(ids, layers, lanes, labels, classes, ended, roots)
            data["_nodes"] = nodes
            data["_edges"] = encode_edges(edges, nodes)
            data["_similarities"] = _similarities(
                len(nodes), resid, mlp, attn, successor, thresholds
            )
        if not data:
            before = self.before if before is None else before
            after = self.after if after is None else after
        n = len(data.get("_nodes", self._nodes))
        data["_activations"] = encode_numbers(n, {"before": before, "after": after})
        names = {node["id"] for node in data.get("_nodes", self._nodes)}
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in data.items():
                setattr(self, name, value)
            self.title = self.title if title is None else title
            self.mode = self.mode if mode is None else mode
            self.threshold = self.threshold if threshold is None else threshold
            self.status = status
            self.selected = self.selected if self.selected in names else ""
            self.expand = self.expand if set(self.expand[:1]) <= names else []
            self.scales = {name: x for name, x in self.scales.items() if name in names}

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return tuple(node["id"] for node in self._nodes)

    @property
    def before(self) -> np.ndarray:
        """(node,) activations without the scales, NaN where not known."""
        return decode(self._activations["before"])

    @property
    def after(self) -> np.ndarray:
        """(node,) activations with the scales, NaN where not known."""
        return decode(self._activations["after"])

    def __repr__(self) -> str:
        """Short and the same on every run, since notebooks store it beside the view."""
        n_edges = len(decode(self._edges["weight"]))
        scaled = f", {len(self.scales)} scaled" if self.scales else ""
        return f"FlowGraph({len(self._nodes)} nodes, {n_edges} edges{scaled})"

    @traitlets.validate("mode")
    def _check_mode(self, proposal: Any) -> str:
        if proposal["value"] not in MODES:
            raise TraitError(f"mode is one of {', '.join(MODES)}; given {proposal['value']!r}")
        return proposal["value"]

    @traitlets.validate("threshold")
    def _check_threshold(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= 1:
            raise TraitError(f"threshold is a number from 0 to 1; given {proposal['value']}")
        return proposal["value"]

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> str:
        if proposal["value"] and proposal["value"] not in self.ids:
            raise TraitError(f'selected is the id of a node, or ""; given {proposal["value"]!r}')
        return proposal["value"]

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


def _similarities(
    n: int, resid: Any, mlp: Any, attn: Any, successor: Any, thresholds: Any
) -> dict[str, Any]:
    """The transport trait, checked."""
    lanes = {"resid": resid, "mlp": mlp, "attn": attn, "successor": successor}
    return encode_numbers(n, lanes) | encode_thresholds(n, thresholds)
