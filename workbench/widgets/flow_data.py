"""The nodes, edges and numbers that a FlowGraph shows, checked and made ready to travel."""

# Annotations are not postponed: a TypedDict would then take every NotRequired key for required.
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from workbench.widgets.arrays import encode, narrow
from workbench.widgets.edge_arrays import finite_weights, indices
from workbench.widgets.panel import check_keys, floats

LANES = ("mlp", "resid", "attn")
#: What becomes of a feature, "module" for one of an MLP or attention, "" where it is not known.
CLASSES = ("carried", "processed", "newborn", "unexplained", "first", "module", "dead", "")


class FlowEdges(TypedDict):
    """The edges, one entry of each array an edge.

    source, target: int (edge,), indices into the ids. weight: float (edge,), the similarity.
    """

    source: Sequence[int] | np.ndarray
    target: Sequence[int] | np.ndarray
    weight: Sequence[float] | np.ndarray


def encode_nodes(
    ids: Sequence[str],
    layers: Any,
    lanes: Sequence[str],
    labels: Sequence[str] | None,
    classes: Sequence[str] | None,
    ended: Any,
    roots: Sequence[str],
) -> list[dict[str, Any]]:
    """One dict a node, every key present.

    Raises ValueError for what does not fit the ids or is unknown, TypeError for a text that is no
    string and a layer that is no integer.
    """
    n = len(ids)
    if not n:
        raise ValueError("ids is empty: a flow graph has at least one node")
    texts = {
        "ids": list(ids),
        "labels": [""] * n if labels is None else list(labels),
        "lanes": list(lanes),
        "classes": [""] * n if classes is None else list(classes),
    }
    for name, given in texts.items():
        if not all(isinstance(text, str) for text in given):
            raise TypeError(f"{name} holds strings; given {given!r:.80}")
        if len(given) != n:
            raise ValueError(f"{name} has one entry a node, {n}; given {len(given)}")
    if "" in texts["ids"] or len(set(ids)) < n:
        twice = sorted({name for name in texts["ids"] if texts["ids"].count(name) > 1})
        raise ValueError(
            f"each node has an id of its own that is not empty; given twice or empty: {twice}"
        )
    for name, allowed in (("lanes", LANES), ("classes", CLASSES)):
        if wrong := sorted(set(texts[name]) - set(allowed)):
            raise ValueError(f"{name} are {', '.join(map(repr, allowed))}; given {wrong}")
    if missing := sorted(set(roots) - set(ids)):
        raise ValueError(f"roots are ids of nodes; not among them: {missing}")
    levels = np.asarray(layers)
    ends = np.zeros(n, bool) if ended is None else np.asarray(ended)
    if levels.dtype.kind not in "iu" or ends.dtype.kind != "b":
        raise TypeError(
            "layers holds whole numbers and ended True or False; "
            f"given {levels.dtype.name} and {ends.dtype.name}"
        )
    if levels.shape != (n,) or ends.shape != (n,):
        raise ValueError(
            f"layers and ended have one entry a node, {n}; given {levels.shape} and {ends.shape}"
        )
    columns = (*texts.values(), levels.tolist(), ends.tolist())
    return [
        {
            "id": name,
            "label": label,
            "lane": lane,
            "class": kind,
            "layer": layer,
            "ended": end,
            "root": name in roots,
        }
        for name, label, lane, kind, layer, end in zip(*columns, strict=True)
    ]


def encode_edges(edges: FlowEdges, nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The edges as arrays on their way; nodes as `encode_nodes` returns them.

    Raises ValueError where lengths differ, an index is outside, a weight is not finite, or an edge
    does not go up or is given twice; TypeError for indices that are no integers.
    """
    check_keys("edges", edges, FlowEdges.__required_keys__, ())
    source, target = (indices(name, edges[name], len(nodes)) for name in ("source", "target"))
    weight = np.asarray(edges["weight"])
    if source.ndim != 1 or not source.shape == target.shape == weight.shape:
        raise ValueError(
            "edges: source, target and weight have one length; "
            f"given {source.shape}, {target.shape} and {weight.shape}"
        )
    # The residual stream after a layer holds what that layer's MLP and attention wrote.
    height = np.array([2 * node["layer"] + (node["lane"] == "resid") for node in nodes])
    if (wrong := np.flatnonzero(height[source] >= height[target])).size:
        start, end = (nodes[int(ends[wrong[0]])]["id"] for ends in (source, target))
        raise ValueError(
            "edges: an edge goes up, from a layer's MLP and attention to the residual stream after "
            f"it and on to the next layer; edge {wrong[0]} goes from {start} to {end}"
        )
    _, first, counts = np.unique(
        source * len(nodes) + target, return_index=True, return_counts=True
    )
    if (counts > 1).any():
        edge = int(first[counts > 1][0])
        start, end = nodes[source[edge]]["id"], nodes[target[edge]]["id"]
        raise ValueError(f"each edge is given once; given more than once: {start} to {end}")
    return {
        "source": encode(narrow(source)),
        "target": encode(narrow(target)),
        "weight": encode(finite_weights(weight, weight.shape)),
    }


def encode_numbers(n: int, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays (node,) on their way as float32, NaN where a number is not known or all are absent."""
    unknown = np.full(n, np.nan, np.float32)
    return {
        name: encode(unknown if given is None else floats(name, given, (n,)).astype(np.float32))
        for name, given in numbers.items()
    }


def encode_thresholds(n: int, thresholds: Any) -> dict[str, Any]:
    """The thresholds on their way: float32 (node, 4), residual, MLP, attention, successor.

    One number, four, or (node, 4) are taken; raises ValueError for another shape.
    """
    given = np.asarray(np.nan if thresholds is None else thresholds, np.float32)
    if given.shape not in ((), (4,), (n, 4)):
        raise ValueError(
            "thresholds is one number, or one for the residual stream, MLP, attention and the "
            f"successor, or those four for each of the {n} nodes; given {given.shape}"
        )
    return {"thresholds": encode(np.ascontiguousarray(np.broadcast_to(given, (n, 4))))}
