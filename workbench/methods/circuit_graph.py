"""A circuit's nodes and edges as a `Graph`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..graph import Graph
from .components import Components

if TYPE_CHECKING:
    from .circuit import Circuit


def node_ids(parts: Components) -> tuple[str, ...]:
    """What each writer, and last the logits, is called as a node: embed, L2H3, L2.mlp, logits."""
    names = [name.removesuffix(".z").replace("mlp_out", "mlp") for name in parts.writers]
    return (*names, "logits")


def node_kinds(parts: Components) -> tuple[str, ...]:
    """Of each node: embed, head, mlp or logits."""
    kinds = ["mlp" if name.endswith("mlp_out") else "head" for name in parts.writers[1:]]
    return ("embed", *kinds, "logits")


def node_layers(parts: Components) -> np.ndarray:
    """(node,) the layer of each node, -1 for the embedding, n_layers for the logits."""
    return np.array([*map(parts.writer_layer, range(len(parts.writers))), parts.n_layers], np.int32)


def graph_edges(parts: Components, kept: np.ndarray) -> Iterator[tuple[int, int, int, str]]:
    """Source node, target node, reader and channel of each edge of a mask (writer, reader).

    Under grouped queries a key or value serves several heads: its edge goes to each of them that
    has an edge of its own, or to all where none has.
    """
    leaves: np.ndarray = np.asarray(kept.any(1))
    for writer, reader in np.argwhere(kept).tolist():
        name = parts.readers[reader]
        if name == "logits":
            yield writer, len(parts.writers), reader, ""
            continue
        fed = np.flatnonzero(parts.feeds[reader])
        active = fed[leaves[fed]] if leaves[fed].any() else fed
        channel = "" if name.endswith("mlp_in") else name[-1]
        for target in active.tolist():
            yield writer, target, reader, channel


def circuit_graph(circuit: Circuit) -> Graph:
    """The nodes that an edge of the circuit touches, scored by the sum of |score| of their edges
    out, and its edges with their scores.
    """
    parts, scores = circuit.parts, circuit.scores
    edges = list(graph_edges(parts, circuit.kept))
    used = sorted({end for source, target, *_ in edges for end in (source, target)})
    number = {node: i for i, node in enumerate(used)}
    ids, kinds, layers = node_ids(parts), node_kinds(parts), node_layers(parts)
    strength = np.append(np.abs(scores * circuit.kept).sum(1), np.nan)
    return Graph(
        model=circuit.model,
        prompt="".join(circuit.tokens[0]) if circuit.tokens else "",
        tokens=circuit.tokens[0] if circuit.tokens else (),
        ids=tuple(ids[node] for node in used),
        labels=tuple(ids[node] for node in used),
        kinds=tuple(kinds[node] for node in used),
        channels=tuple(channel for *_, channel in edges),
        layers=layers[used],
        positions=np.full(len(used), -1),
        features=np.full(len(used), -1),
        scores=strength[used],
        sources=np.array([number[source] for source, *_ in edges], np.int32),
        targets=np.array([number[target] for _, target, *_ in edges], np.int32),
        weights=np.array([scores[source, reader] for source, _, reader, _ in edges], np.float32),
    )
