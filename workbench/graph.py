"""Graph: nodes and weighted edges, shared by circuits and feature flow; a payload of results."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import networkx
import numpy as np
import pandas as pd

from .check import checked
from .neuronpedia import read, write
from .result import Arrays, axes

KINDS = ("embed", "state", "head", "mlp", "neuron", "feature", "error", "logits")


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Graph(Arrays):
    """Nodes and the edges between them, source → target.

    ids, labels, kinds: of each node; ids are different, kinds one of `KINDS`. layers: -1 for
    embeddings, the number of layers for logits. positions: -1 where a node is of all positions.
    features: number of the feature or token, -1 where there is none. scores: NaN where there is
    none. sources, targets: node numbers. channels: what an edge enters by, "q", "k", "v" or "".

    Raises `ValueError` for ids that are not different, an unknown kind, an edge that names no node,
    and weights that are not finite.
    """

    model: str
    prompt: str
    tokens: tuple[str, ...]
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    channels: tuple[str, ...]
    layers: np.ndarray = axes("node", np.int32)
    positions: np.ndarray = axes("node", np.int32)
    features: np.ndarray = axes("node", np.int64)
    scores: np.ndarray = axes("node")
    sources: np.ndarray = axes("edge", np.int32)
    targets: np.ndarray = axes("edge", np.int32)
    weights: np.ndarray = axes("edge")

    def __post_init__(self) -> None:
        super().__post_init__()
        n, n_edges = len(self.layers), len(self.weights)
        counts = [len(self.ids), len(self.labels), len(self.kinds)]
        if counts != [n] * 3 or len(self.channels) != n_edges:
            raise ValueError(
                f"A graph has an id, label and kind for each of its {n} nodes and a channel for "
                f"each of its {n_edges} edges; got {counts} and {len(self.channels)}."
            )
        if len(set(self.ids)) != n:
            twice = Counter(self.ids).most_common(1)[0][0]
            raise ValueError(f"The nodes of a graph have different ids; {twice!r} stands twice.")
        if unknown := set(self.kinds) - set(KINDS):
            raise ValueError(f"A node is one of {', '.join(KINDS)}; got {sorted(unknown)[0]!r}.")
        ends = np.concatenate([self.sources, self.targets])
        if len(outside := ends[(ends < 0) | (ends >= n)]):
            raise ValueError(f"Edges name nodes 0 to {n - 1}; got {outside[0]}.")
        if not np.isfinite(self.weights).all():
            raise ValueError("The weights of edges are finite numbers; got NaN or infinity.")

    def to_frame(self) -> pd.DataFrame:
        """One line an edge, the largest absolute weight first: source, target, channel, weight."""
        order = np.argsort(-np.abs(self.weights), kind="stable")
        return pd.DataFrame(
            {
                "source": [self.ids[s] for s in self.sources[order]],
                "target": [self.ids[t] for t in self.targets[order]],
                "channel": [self.channels[e] for e in order],
                "weight": self.weights[order],
            }
        )

    def to_networkx(self) -> networkx.MultiDiGraph:
        """A directed graph of the ids; edges are keyed by channel and have `weight`."""
        out = networkx.MultiDiGraph(model=self.model, prompt=self.prompt)
        for i, name in enumerate(self.ids):
            out.add_node(
                name,
                label=self.labels[i],
                kind=self.kinds[i],
                layer=int(self.layers[i]),
                position=int(self.positions[i]),
                score=float(self.scores[i]),
            )
        for s, t, channel, weight in zip(
            self.sources, self.targets, self.channels, self.weights, strict=True
        ):
            out.add_edge(self.ids[s], self.ids[t], key=channel, weight=float(weight))
        return out

    def to_neuronpedia(
        self, path: str | Path | None = None, *, slug: str = "circuit"
    ) -> dict[str, Any]:
        """An attribution graph in Neuronpedia's JSON form, also written to `path` if given."""
        return write(self, path, slug)

    @classmethod
    def from_neuronpedia(cls, source: str | Path | dict[str, Any]) -> Self:
        """The graph of an attribution-graph file, or of its contents.

        What `to_neuronpedia` wrote is read back equal; its file holds a checksum of the graph.
        Raises `FileNotFoundError` where there is no file, `ValueError` for what is no such file or
        was changed after it was written, for a link that names no node, and for ids that stand
        twice.
        """
        return cls(**read(source))

    def __repr__(self) -> str:
        return f"Graph({self.model}: {len(self.ids)} nodes, {len(self.weights)} edges)"
