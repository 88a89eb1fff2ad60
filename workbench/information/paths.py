"""Paths through a graph: the strongest between two nodes, everything between them, a walk back."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import pairwise

import networkx
import numpy as np

from ..graph import Graph

ARROW = "→"


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


def walked(graph: Graph, shares: np.ndarray, roots: Sequence[int]) -> np.ndarray:
    """(node,) how much of a walk back from the roots, divided evenly, comes to each node."""
    out = np.zeros(len(graph.ids))
    out[list(roots)] = 1 / len(roots)
    for edge in np.argsort(-graph.targets, kind="stable"):
        out[graph.sources[edge]] += out[graph.targets[edge]] * shares[edge]
    return out


def grown(
    sources: np.ndarray, targets: np.ndarray, relevance: np.ndarray, roots: np.ndarray, n: int
) -> np.ndarray:
    """The numbers of the n most relevant edges that a path of such edges joins to a root.

    Grown from the roots backwards, each time by the most relevant edge into a node that is there
    already, so that everything shown lies on a path to a root.
    """
    order = np.argsort(targets, kind="stable")
    ends = targets[order]
    waiting: list[tuple[float, int]] = []
    there: set[int] = set()
    chosen: list[int] = []

    def enter(node: int) -> None:
        there.add(node)
        first, last = np.searchsorted(ends, [node, node + 1])
        for edge in order[first:last].tolist():
            heapq.heappush(waiting, (-float(relevance[edge]), edge))

    for node in roots.tolist():
        enter(node)
    while waiting and len(chosen) < n:
        _, edge = heapq.heappop(waiting)
        chosen.append(edge)
        if (source := int(sources[edge])) not in there:
            enter(source)
    return np.array(sorted(chosen), np.int64)
