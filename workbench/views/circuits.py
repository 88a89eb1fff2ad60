"""What patchings and circuits give to their grids and graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from ..circuits.circuit import Circuit
from ..circuits.components import Components, graph_edges, node_ids, node_kinds, node_layers
from ..effects import Effects
from ..graph import Graph
from ..pictures.marks import Heat, line_names
from ..widgets import GraphView, TokenGrid
from . import NoView


def patching_data(result: Effects, row: int | None = None) -> dict[str, Any]:
    """The arguments of `TokenGrid` for the mean effects of patches, or for those of one example.

    Raises `NoView` where positions were not patched one by one, `IndexError` for an example that
    is not there.
    """
    grid, one = cast(Heat, result.picture), result.measures[0]
    down, along = [*grid.down], grid.across
    if along not in ("pos", "dst"):
        by = [*down, *([along] if along in ("head", "neuron") else [])]
        raise NoView(
            f"A grid shows effects at positions; this result has them by {', '.join(by)}. "
            "Draw it with plot(), or patch by='pos'."
        )
    n = len(one.plain)
    if row is not None and not 0 <= row < n:
        raise IndexError(f"The examples are numbered 0 to {n - 1}; got row={row}.")
    if row is None:
        who, frame = "1 example" if n == 1 else f"mean of {n} examples", result.to_frame()
        shown = {"effect": "effect"}
        if n > 1:
            shown |= {f"{end}": f"effect, {end} end of 95 %" for end in ("low", "high")}
    else:
        who, frame = f"example {row}", result.to_frame("examples")
        frame = frame[frame.example == row]
        shown = {"effect": "effect", "changed": f"metric, {one.unit}"}
    frame = frame.assign(row=list(line_names(frame, down)))
    grids = {
        name: frame.pivot(index="row", columns=along, values=name).loc[frame.row.unique()]
        for name in shown
    }
    most = max(float(grids["effect"].abs().max().max()), 1e-6)
    ends: dict[str, Any] = {"low": -most, "high": most}
    rows, places = list(grids["effect"].index), list(grids["effect"].columns)
    empty = np.zeros((len(rows), len(places), 0))
    panel = {
        "lens": "denoise" if one.scale == ("plain", "clean") else "noise",
        "component": result.changes["change"][0],
        "rows": rows,
        "top": empty.astype(np.uint8),
        "top_logprob": empty,
        "quantities": {
            name: {
                "values": each.to_numpy(np.float32),
                "label": shown[name],
                "scale": "diverging",
                "digits": 2,
                **({} if name == "changed" else ends),
            }
            for name, each in grids.items()
        },
    }
    return {
        "tokens": _place_names(result, along, dict(zip(frame[along], frame.token, strict=True))),
        "values": [panel],
        "vocabulary": [],
        "title": f"{result.model}: {result.what}, {who}",
    }


def _place_names(result: Effects, along: str, words: dict[int, str]) -> list[str]:
    """What stands at each place: the token, or the position in the longest prompt."""
    assert result.at is not None
    numbers = {
        place: int(at.max()) for place, at in zip(result.changes[along], result.at, strict=True)
    }
    names = {place: words[place] or str(numbers[place]) for place in sorted(words)}
    if any(numbers[place] != place for place in names):
        # The grid counts its columns, so that chosen positions carry their own number.
        return [f"{numbers[place]} {name}" for place, name in names.items()]
    return list(names.values())


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
    result: Effects, *, row: int | None = None, quantity: str = "effect", **options: Any
) -> Any:
    """A `TokenGrid` of the effects at each position, of the mean or of example `row`."""
    return TokenGrid(**patching_data(result, row), quantity=quantity, **options)


def graph(result: Graph, **options: Any) -> Any:
    """A `GraphView` of components; options as there. Raises `NoView` for nodes of other kinds."""
    if strange := set(result.kinds) - {"embed", "head", "mlp", "logits"}:
        raise NoView(
            f"A GraphView shows heads, MLPs, the embedding and the logits; this graph has a node "
            f"of kind {sorted(strange)[0]!r}. Draw it with plot(), or use to_frame()."
        )
    return GraphView(result, **{"title": repr(result), **options})


def circuit(result: Circuit, **options: Any) -> Any:
    """A `GraphView` of the whole model in which the circuit stands out."""
    edges, nodes = member_ids(result.parts, result.kept)
    checked = f"; {result.caption}" if result.caption else ""
    return GraphView(
        graph_data(result.parts, result.edge_scores),
        title=f"{result.model} · {result.task}: {result.n_edges} edges by {result.method}{checked}",
        in_circuit_edges=edges,
        in_circuit_nodes=nodes,
        **{"n_edges_shown": min(2000, max(1, len(edges))), **options},
    )
