"""Paths through a graph: the strongest between two nodes, everything between them, a walk back."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from ..graph import Graph

ARROW = "→"


def edge_name(source: str, target: str, channel: str) -> str:
    """An edge by the ids of its ends, its channel behind them where it has one."""
    return f"{source} {ARROW} {target}" + (f" {channel}" if channel else "")


def strongest_path(graph: Graph, shares: np.ndarray, source: int, target: int) -> list[int]:
    """The edges of the path with the largest product of shares, in order; [] where there is none.

    Nodes are in the order of a pass, so that every edge goes from a smaller number to a larger.
    """
    best = np.zeros(len(graph.ids))
    via = np.full(len(graph.ids), -1)
    best[source] = 1
    for edge in np.argsort(graph.sources, kind="stable"):
        s, t = graph.sources[edge], graph.targets[edge]
        reached = best[s] * shares[edge]
        if reached > best[t]:
            best[t], via[t] = reached, edge
    out: list[int] = []
    while target != source:
        if via[target] < 0:
            return []
        out.append(int(via[target]))
        target = int(graph.sources[via[target]])
    return out[::-1]


def between(graph: Graph, source: int, target: int) -> np.ndarray:
    """(edge,) bool: the edges that lie on some path from one node to another."""
    order = np.argsort(graph.sources, kind="stable")
    after, before = np.zeros(len(graph.ids), bool), np.zeros(len(graph.ids), bool)
    after[source] = before[target] = True
    for edge in order:
        after[graph.targets[edge]] |= after[graph.sources[edge]]
    for edge in np.argsort(-graph.targets, kind="stable"):
        before[graph.sources[edge]] |= before[graph.targets[edge]]
    return after[graph.sources] & before[graph.targets]


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
