"""Graph: nodes and weighted edges, as circuits, feature flows and the graph of one pass are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, cast

import networkx
import numpy as np
import pandas as pd

from .check import Count, one_of
from .neuronpedia import read, write
from .pictures.marks import GraphPicture
from .result import Result, axes
from .result import labels as named
from .site import Site

KINDS = ("embed", "state", "head", "mlp", "neuron", "feature", "error", "logits")
ARROW = "→"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Graph(Result):
    """Nodes and the edges between them, source → target, the nodes in the order of a pass.

        graph.path("L0H1").prune(n_edges=20).to_neuronpedia("graph.json")

    `to_frame()` has one line an edge, the strongest first, `to_frame("nodes")` one a node. prompt:
    the text, "" for none. Raises `ValueError` for ids that are not different, an unknown kind, an
    edge that names no node, and weights that are not finite.
    """

    prompt: str
    #: Ids of the nodes that it was grown from; no part of it is without them.
    roots: tuple[str, ...] = ()
    #: What the file that it was read from says besides: "metadata", "nodes" by id, "links", and
    #: other entries as they stand there; None for nothing.
    extra: dict[str, Any] | None = None
    ids: tuple[str, ...] = named("node", "no two are alike", name="node")
    kinds: tuple[str, ...] = named("node", f"one of {', '.join(KINDS)}", name="kind")
    channels: tuple[str, ...] = named(
        "edge", 'what it enters by, "q", "k", "v" or ""', name="channel"
    )
    labels: tuple[str, ...] = named("node", "what it is called in pictures", name="label")
    layers: np.ndarray = axes(
        "node", np.int32, "-1 for embeddings, the number of layers for logits", name="layer"
    )
    positions: np.ndarray = axes("node", np.int32, "position, -1 where it is of all", name="pos")
    units: np.ndarray = axes(
        "node", np.int64, "number of its feature, neuron or token, -1 for none", name="unit"
    )
    scores: np.ndarray = axes("node", note="how much it counts, NaN where not known", name="score")
    sources: np.ndarray = axes("edge", np.int32, "number of the node it leaves", name="source")
    targets: np.ndarray = axes("edge", np.int32, "number of the node it enters", name="target")
    weights: np.ndarray = axes("edge", note="its strength, with its sign", name="weight")

    tables = cast("Mapping[str, str]", {"edges": "edge", "nodes": "node"})
    picture = GraphPicture()
    view = "circuits.graph"

    def __post_init__(self) -> None:
        super().__post_init__()
        n = len(self.ids)
        if len(set(self.ids)) != n:
            twice = Counter(self.ids).most_common(1)[0][0]
            raise ValueError(f"The nodes of a graph have different ids; {twice!r} stands twice.")
        if strange := set(self.roots) - set(self.ids):
            raise ValueError(f"A graph grows from its own nodes; {sorted(strange)[0]!r} is none.")
        if unknown := set(self.kinds) - set(KINDS):
            raise ValueError(f"A node is one of {', '.join(KINDS)}; got {sorted(unknown)[0]!r}.")
        ends = np.concatenate([self.sources, self.targets])
        if len(outside := ends[(ends < 0) | (ends >= n)]):
            raise ValueError(f"Edges name nodes 0 to {n - 1}; got {outside[0]}.")
        if not np.isfinite(self.weights).all():
            raise ValueError("The weights of edges are finite numbers; got NaN or infinity.")

    @property
    def caption(self) -> str:
        """What a picture says of it beside its size, "" for nothing."""
        return ""

    # -- names -------------------------------------------------------------------------------------

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.ids)}

    def node(self, name: str | Site) -> int:
        """The number of a node. Raises `ValueError` for one that is not in the graph."""
        name = str(name)
        if name not in self._numbers:
            some = ", ".join(map(repr, self.ids[:3]))
            raise ValueError(
                f"{name!r} is not among the {len(self.ids)} nodes of this graph, {some} …; "
                "to_frame('nodes') lists them. Ask for a larger graph where it should be."
            )
        return self._numbers[name]

    @cached_property
    def edge_names(self) -> tuple[str, ...]:
        """Each edge as "source → target", with its channel behind it where it has one."""
        ends = zip(self.sources.tolist(), self.targets.tolist(), self.channels, strict=True)
        return tuple(edge_name(self.ids[s], self.ids[t], channel) for s, t, channel in ends)

    def edge(self, name: str) -> int:
        """The number of an edge by its name. Raises `ValueError` for one that is not here."""
        if name not in self.edge_names:
            some = f" They are written like {self.edge_names[0]!r}," if self.edge_names else ""
            raise ValueError(
                f"{name!r} is no edge of this graph.{some} with their channel behind them where "
                "they have one; see edge_names, or ask for more with n_edges=."
            )
        return self.edge_names.index(name)

    # -- strength ----------------------------------------------------------------------------------

    @cached_property
    def shares(self) -> np.ndarray:
        """(edge,) |weight| over all |weight| into the same target, 0 where nothing enters."""
        size = np.abs(self.weights)
        whole = np.bincount(self.targets, size, len(self.ids))[self.targets]
        return np.divide(size, whole, out=np.zeros(len(size), np.float32), where=whole > 0)

    def ranking(self) -> np.ndarray:
        """Edge numbers, the largest absolute weight first."""
        return np.argsort(-np.abs(self.weights), kind="stable")

    # -- parts -------------------------------------------------------------------------------------

    def path(
        self, source: str | Site | None = None, target: str | Site | None = None
    ) -> tuple[str, ...]:
        """The nodes of the strongest path from one node to another, by default first and last.

        The path with the largest product of `shares`. Raises `ValueError` for a node that is not
        here, and where no path of the graph joins the two.
        """
        found = self._path(source, target)
        return (self.ids[self.sources[found[0]]], *(self.ids[self.targets[e]] for e in found))

    def path_edges(
        self, source: str | Site | None = None, target: str | Site | None = None
    ) -> tuple[str, ...]:
        """The names of the edges of the strongest path between two nodes."""
        return tuple(self.edge_names[e] for e in self._path(source, target))

    def _path(self, source: str | Site | None, target: str | Site | None) -> list[int]:
        source = self.ids[0] if source is None else source
        target = self.ids[-1] if target is None else target
        ends = self.node(source), self.node(target)
        if not (found := strongest_path(self, self.shares, *ends)):
            raise ValueError(
                f"No path of this graph leads from {source} to {target}. Edges go up the layers "
                "and from a position to later ones; ask for more with n_edges=, or swap the two."
            )
        return found

    def prune(
        self,
        *,
        n_edges: Count | None = None,
        min_share: float = 0.0,
        word: str | None = None,
        kinds: Sequence[str] | None = None,
        through: tuple[str, str] | None = None,
    ) -> Self:
        """A part of this graph: edges of at least `min_share`, and what else is asked for.

        word: edges that touch a node with this word, spaces aside. kinds: of the nodes at both
        ends. through: two nodes, of which every edge on some path from the first to the second is
        kept. n_edges: of what is left the strongest. Raises `ValueError` where nothing is left.
        """
        keep = self.shares >= min_share
        ends = np.stack([self.sources, self.targets])
        if kinds is not None:
            for kind in kinds:
                one_of("A kind of nodes", kind, dict.fromkeys(KINDS))
            keep &= np.isin(np.array(self.kinds), list(kinds))[ends].all(0)
        if word is not None:
            keep &= np.array(self.with_word(word), bool)[ends].any(0)
        if through is not None:
            keep &= between(self, self.node(through[0]), self.node(through[1]))
        if not keep.any():
            raise ValueError(
                f"No edge of this graph is left of {len(keep)} by min_share={min_share}, "
                f"word={word!r}, kinds={kinds!r}, through={through!r}. Ask for less."
            )
        order = self.ranking()
        return self._part(np.sort(order[keep[order]][:n_edges]))

    def with_word(self, word: str) -> list[bool]:
        """For each node whether its label is this word, spaces aside."""
        return [label.strip() == word.strip() for label in self.labels]

    def _part(self, edges: np.ndarray, nodes: np.ndarray | None = None) -> Self:
        """The graph of some edges and nodes, by number; None: the edges' ends and the roots."""
        if nodes is None:
            roots = [self.node(name) for name in self.roots]
            nodes = np.unique([*self.sources[edges], *self.targets[edges], *roots]).astype(int)
        taken, some = {"node": nodes, "edge": edges}, {}
        for each in fields(self):
            value, along = getattr(self, each.name), each.metadata.get("axes", ())
            if (axis := each.metadata.get("labels")) in taken:
                some[each.name] = tuple(value[i] for i in taken[axis])
            for axis in taken.keys() & set(along):
                some[each.name] = value.take(taken[axis], along.index(axis))
        new = np.full(len(self.ids), -1)
        new[nodes] = np.arange(len(nodes))
        return replace(self, **some | {name: new[some[name]] for name in ("sources", "targets")})

    # -- other forms -------------------------------------------------------------------------------

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """One line an edge, the strongest first: source, target, channel, weight.

        table: "nodes", one line a node, in the order of a pass.
        """
        frame = super().to_frame(table)
        if "source" not in frame:
            return frame
        ids = np.array(self.ids, object)
        frame = frame.assign(source=ids[self.sources], target=ids[self.targets])
        columns = ["source", "target", *frame.columns.drop(["source", "target"])]
        return frame[columns].iloc[self.ranking()].reset_index(drop=True)

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
        self, path: str | Path | None = None, *, slug: str | None = None
    ) -> dict[str, Any]:
        """An attribution graph in Neuronpedia's JSON form, also written to `path` if given.

        Of several prompts the first is written; where the graph comes from is not. slug: None
        keeps that of the file it was read from, else "circuit".
        """
        return write(self, path, slug)

    @classmethod
    def from_neuronpedia(cls, source: str | Path | dict[str, Any]) -> Graph:
        """The graph of an attribution-graph file, or of its contents.

        What `to_neuronpedia` wrote is read back equal; its file holds a checksum of the graph.
        What a graph has no place for (activations, pins, supernodes, …) is in its `extra`, and is
        written again by `to_neuronpedia`.
        Raises `FileNotFoundError` where there is no file, `ValueError` for what is no such file or
        was changed after it was written, for a link that names no node, and for ids that stand
        twice.
        """
        return Graph(revision="", versions={}, seed=None, **read(source))

    def _facts(self) -> str:
        return f"{len(self.ids)} nodes, {len(self.weights)} edges"


def edge_name(source: str, target: str, channel: str) -> str:
    """An edge by the ids of its ends, its channel behind them where it has one."""
    return f"{source} {ARROW} {target}" + (f" {channel}" if channel else "")


def strongest_path(graph: Graph, shares: np.ndarray, source: int, target: int) -> list[int]:
    """The edges of the path of the largest product of shares, in order; [] where there is none."""
    best: dict[tuple[int, int], int] = {}
    for edge in np.argsort(-shares, kind="stable").tolist():
        if shares[edge] > 0:
            best.setdefault((int(graph.sources[edge]), int(graph.targets[edge])), edge)
    ends = networkx.DiGraph()
    # Shares are at most 1, but for the last bit.
    ends.add_weighted_edges_from((*e, max(0.0, -np.log(shares[i]))) for e, i in best.items())
    try:
        nodes = networkx.dijkstra_path(ends, source, target)
    except (networkx.NetworkXNoPath, networkx.NodeNotFound):
        return []
    return [best[pair] for pair in pairwise(nodes)]


def between(graph: Graph, source: int, target: int) -> np.ndarray:
    """(edge,) bool: the edges that lie on some path from one node to another."""
    ends = networkx.DiGraph(zip(graph.sources.tolist(), graph.targets.tolist(), strict=True))
    ends.add_nodes_from([source, target])
    after = {source, *networkx.descendants(ends, source)}
    before = {target, *networkx.ancestors(ends, target)}
    return np.isin(graph.sources, list(after)) & np.isin(graph.targets, list(before))
