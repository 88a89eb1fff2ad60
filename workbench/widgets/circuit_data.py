"""The nodes and edges that a CircuitGraph shows, checked and made ready to travel."""

# Annotations are not postponed: a TypedDict would then take every NotRequired key for required.
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np

from workbench.widgets.arrays import encode, narrow
from workbench.widgets.edge_arrays import finite_weights, indices
from workbench.widgets.edge_names import (
    ARROW,
    CHANNEL_ENDINGS,
    CHANNELS,
    channel_codes,
    check_once,
)
from workbench.widgets.panel import check_keys

KINDS = ("embed", "head", "mlp", "logits")


class CircuitNode(TypedDict):
    """A component of the model.

    id: its name, as in edge ids. label: what is written on it (the id where absent).
    kind: "embed" (drawn at the bottom), "head", "mlp" or "logits" (drawn at the top).
    layer: whole number, needed for heads and MLPs.
    score: effect of the whole node, in the graph's unit; absent or None: not known.
    note: free text shown when the node is pointed at.
    """

    id: str
    kind: Literal["embed", "head", "mlp", "logits"]
    label: NotRequired[str]
    layer: NotRequired[int | None]
    score: NotRequired[float | None]
    note: NotRequired[str]


class CircuitEdges(TypedDict):
    """The edges, one entry of each array an edge.

    source, target: int (edge,), indices into the nodes.
    weight: float (edge,), in the graph's unit.
    channel: (edge,), "q", "k" or "v" where a head's query, key or value reads, "" elsewhere;
        absent: "" for all.
    """

    source: Sequence[int] | np.ndarray
    target: Sequence[int] | np.ndarray
    weight: Sequence[float] | np.ndarray
    channel: NotRequired[Sequence[str]]


def encode_nodes(nodes: Sequence[CircuitNode]) -> list[dict[str, Any]]:
    """The nodes with every key present.

    Raises ValueError for a key, kind, layer, score or id that does not fit, TypeError for a text
    that is no string.
    """
    encoded = [_node(number, node) for number, node in enumerate(nodes)]
    if not encoded:
        raise ValueError("nodes is empty: a graph has at least one node")
    ids = [node["id"] for node in encoded]
    if len(set(ids)) < len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise ValueError(f"each node has an id of its own; given twice: {twice}")
    return encoded


def encode_edges(edges: CircuitEdges, nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The edges as arrays on their way; nodes as `encode_nodes` returns them.

    Raises ValueError where lengths differ, an index is outside, a weight is not finite, a channel
    does not fit its target, an edge does not go up or is given twice; TypeError for indices that
    are no integers and weights that are no numbers.
    """
    check_keys("edges", edges, CircuitEdges.__required_keys__, CircuitEdges.__optional_keys__)
    source, target = (indices(name, edges[name], len(nodes)) for name in ("source", "target"))
    weights = np.asarray(edges["weight"])
    channel = list(edges.get("channel", [""] * len(source)))
    lengths = {
        "source": source.shape,
        "target": target.shape,
        "weight": weights.shape,
        "channel": (len(channel),),
    }
    if len(set(lengths.values())) > 1 or source.ndim != 1:
        given = ", ".join(f"{name} {shape}" for name, shape in lengths.items())
        raise ValueError(
            f"edges: source, target, weight and channel have one length; given {given}"
        )
    weight = finite_weights(edges["weight"], source.shape)
    codes = channel_codes(channel)
    _check_directions(source, target, codes, nodes)
    check_once(source, target, codes, nodes)
    return {
        "source": encode(narrow(source)),
        "target": encode(narrow(target)),
        "weight": encode(weight),
        "channel": encode(codes.astype(np.uint8)),
    }


def _node(number: int, node: CircuitNode) -> dict[str, Any]:
    where = f"node {number}"
    check_keys(where, node, CircuitNode.__required_keys__, CircuitNode.__optional_keys__)
    name, kind = node["id"], node["kind"]
    label, note = node.get("label", name), node.get("note", "")
    if not all(isinstance(text, str) for text in (name, label, note)):
        raise TypeError(
            f"{where}: id, label and note are strings; given {name!r}, {label!r}, {note!r}"
        )
    if not name or ARROW in name or name[-2:] in CHANNEL_ENDINGS:
        raise ValueError(
            f"{where}: an id is not empty, has no {ARROW} and does not end in .q, .k or .v, "
            f"which edge ids add; given {name!r}"
        )
    if kind not in KINDS:
        raise ValueError(f"node {name!r}: kind is one of {', '.join(KINDS)}; given {kind!r}")
    layer, score = node.get("layer"), node.get("score")
    between = kind in ("head", "mlp")
    if between and (
        isinstance(layer, bool) or not isinstance(layer, int | np.integer) or layer < 0
    ):
        raise ValueError(f"node {name!r}: layer is a whole number from 0; given {layer!r}")
    if score is not None and not math.isfinite(score):
        raise ValueError(f"node {name!r}: score is finite, or None where not known; given {score}")
    return {
        "id": name,
        "label": label,
        "layer": int(layer) if between and layer is not None else 0,
        "kind": kind,
        "score": None if score is None else float(score),
        "note": note,
    }


def _check_directions(
    source: np.ndarray, target: np.ndarray, codes: np.ndarray, nodes: Sequence[Mapping[str, Any]]
) -> None:
    """Raises ValueError for an edge that no pass computes, or a q, k or v that is not a head's."""
    kinds = np.array([KINDS.index(node["kind"]) for node in nodes])
    layers = np.array([node["layer"] for node in nodes])
    # The order of a pass: the embedding, each layer's heads and then its MLP, the logits.
    order = np.select([kinds == 0, kinds == 3], [-1, 2 * layers.max() + 2], 2 * layers + kinds - 1)
    head = kinds[target] == KINDS.index("head")

    def first(wrong: np.ndarray) -> tuple[int, str, str, str]:
        """Number, source, target and channel of the first wrong edge."""
        edge = int(np.flatnonzero(wrong)[0])
        ends = nodes[int(source[edge])]["id"], nodes[int(target[edge])]["id"]
        return edge, *ends, CHANNELS[int(codes[edge])]

    if (wrong := order[source] >= order[target]).any():
        edge, start, end, _ = first(wrong)
        raise ValueError(
            "edges: an edge goes up, from the embedding through each layer's heads and then its "
            f"MLP to the logits; edge {edge} goes from {start} to {end}"
        )
    if (wrong := (codes > 0) & ~head).any():
        edge, _, end, channel = first(wrong)
        raise ValueError(
            f"edges: only a head has the channels q, k and v; edge {edge} gives channel "
            f"{channel!r} to {end}"
        )
    if (codes > 0).any() and (wrong := (codes == 0) & head).any():
        edge, _, end, _ = first(wrong)
        raise ValueError(
            "edges: either every edge into a head names its channel or none does; "
            f"edge {edge} into {end} names none, others do"
        )
