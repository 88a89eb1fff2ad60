"""What patchings and circuits give to their grids and graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..circuits.circuit import Circuit
from ..circuits.components import Components, graph_edges, node_ids, node_kinds, node_layers
from ..circuits.patching import Patching
from ..widgets import GraphView, TokenGrid
from . import NoView


def patching_data(result: Patching, row: int | None = None) -> dict[str, Any]:
    """The arguments of `TokenGrid` for the mean effects, or for those of one example.

    Raises `NoView` where positions were not patched one by one, `IndexError` for an example that
    is not there.
    """
    if result.by[-1] not in ("pos", "dst"):
        raise NoView(
            f"A grid shows effects at positions; this result has them by {', '.join(result.by)}. "
            "Draw it with plot(), or patch by='pos'."
        )
    n = len(result.clean)
    if row is not None and not 0 <= row < n:
        raise IndexError(f"The examples are numbered 0 to {n - 1}; got row={row}.")
    rows = [f"L{layer}" for layer in result.layers]
    if len(result.by) == 3:
        mark = "H" if result.by[1] == "head" else "/"
        rows = [f"{name}{mark}{unit}" for name in rows for unit in range(result.patched.shape[2])]
    if row is None:
        who = "1 example" if n == 1 else f"mean of {n} examples"
        values = {"effect": result.mean}
        if n > 1:
            values |= dict(zip(("low", "high"), result.interval(), strict=True))
    else:
        who, values = f"example {row}", {"effect": result.effects[row]}
        values["metric"] = result.patched[row]
    grids = {name: each.reshape(len(rows), -1) for name, each in values.items()}
    # Without the places that no example shown has.
    kept = np.flatnonzero(~np.isnan(grids["effect"]).all(0))
    names, numbers = result.place_names(row), result.positions.max(0)
    if (numbers != np.arange(len(names))).any():
        # The grid counts its columns, so that chosen positions carry their own number.
        names = [f"{n} {name}" for n, name in zip(numbers, names, strict=True)]
    most = max(float(np.nanmax(np.abs(grids["effect"]))), 1e-6)
    labels = {
        "effect": "effect",
        "low": "effect, low end of 95 %",
        "high": "effect, high end of 95 %",
        "metric": result.metric_name.replace("_", " "),
    }
    signed: dict[str, Any] = {"scale": "diverging", "digits": 2}
    quantities = {}
    for name, each in grids.items():
        ends = {} if name == "metric" else {"low": -most, "high": most}
        quantities[name] = {"values": each[:, kept], "label": labels[name], **signed, **ends}
    empty = np.zeros((len(rows), len(kept), 0))
    panel = {
        "lens": result.direction,
        "component": result.over,
        "rows": rows,
        "top": empty.astype(np.uint8),
        "top_logprob": empty,
        "quantities": quantities,
    }
    return {
        "tokens": [names[place] for place in kept],
        "panels": [panel],
        "vocabulary": [],
        "title": f"{result.model}: {result.direction} {result.over} on {result.task}, {who}",
    }


def edge_ids(parts: Components) -> list[str]:
    """What each edge of a model is called in a `GraphView`, in the order of `graph_edges`."""
    ids = node_ids(parts)
    return [
        f"{ids[source]}→{ids[target]}" + (f".{channel}" if channel else "")
        for source, target, _, channel in graph_edges(parts, parts.edges)
    ]


def member_ids(parts: Components, kept: np.ndarray) -> tuple[list[str], list[str]]:
    """The edges of a mask (writer, reader), and the nodes at their ends, in a `GraphView`."""
    edges, ends = [], set()
    drawn = zip(edge_ids(parts), graph_edges(parts, parts.edges), strict=True)
    for name, (source, target, reader, _) in drawn:
        if kept[source, reader]:
            edges.append(name)
            ends |= {source, target}
    return edges, [node_ids(parts)[end] for end in sorted(ends)]


def graph_data(
    parts: Components, scores: np.ndarray, node_scores: Sequence[float] | None = None
) -> dict[str, Any]:
    """The nodes and edges of a `GraphView`: a whole model with scores (writer, reader)."""
    edges = list(graph_edges(parts, parts.edges))
    known = [None] * len(parts.writers) if node_scores is None else list(node_scores)
    names = zip(
        node_ids(parts), node_kinds(parts), node_layers(parts).tolist(), [*known, None], strict=True
    )
    return {
        "nodes": [
            {
                "id": name,
                "kind": kind,
                "layer": layer if kind in ("head", "mlp") else None,
                "score": score,
            }
            for name, kind, layer, score in names
        ],
        "edges": {
            "source": [source for source, *_ in edges],
            "target": [target for _, target, *_ in edges],
            "weight": np.array([scores[source, reader] for source, _, reader, _ in edges]),
            "channel": [channel for *_, channel in edges],
        },
    }


def patching(
    result: Patching, *, row: int | None = None, quantity: str = "effect", **options: Any
) -> Any:
    """A `TokenGrid` of the effects at each position, of the mean or of example `row`."""
    return TokenGrid(**patching_data(result, row), quantity=quantity, **options)


def circuit(result: Circuit, **options: Any) -> Any:
    """A `GraphView` of the whole model in which the circuit stands out."""
    edges, nodes = member_ids(result.parts, result.kept)
    return GraphView(
        graph_data(result.parts, result.scores),
        title=f"{result.model} · {result.task}: {result.n_edges} edges by {result.method}",
        in_circuit_edges=edges,
        in_circuit_nodes=nodes,
        **{"n_edges_shown": min(2000, max(1, len(edges))), **options},
    )
