"""How the edges of a graph are named: "L2H3→L3H1.q"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.widgets.arrays import decode

#: What an edge enters: a head's query, key or value, or ("") a node's only input.
CHANNELS = ("", "q", "k", "v")
CHANNEL_ENDINGS = (".q", ".k", ".v")
ARROW = "→"


def edge_id(nodes: Sequence[Mapping[str, Any]], source: int, target: int, channel: str) -> str:
    """The name of an edge: "L2H3→L3H1.q", or "L2H3→L2.mlp" where the target has one input."""
    ending = f".{channel}" if channel else ""
    return f"{nodes[source]['id']}{ARROW}{nodes[target]['id']}{ending}"


def channel_codes(channel: Sequence[str]) -> np.ndarray:
    """The channels (edge,) as places in `CHANNELS`; raises ValueError for an unknown one."""
    code = {name: number for number, name in enumerate(CHANNELS)}
    if unknown := sorted({str(name) for name in channel if name not in code}):
        raise ValueError(f'edges: channel is one of "", "q", "k" and "v"; given {unknown}')
    return np.array([code[name] for name in channel], dtype=np.int64)


def check_once(
    source: np.ndarray, target: np.ndarray, codes: np.ndarray, nodes: Sequence[Mapping[str, Any]]
) -> None:
    """Raises ValueError where an edge is given more than once."""
    keys = _keys(source, target, codes, len(nodes))
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    if (counts > 1).any():
        edge = int(first[counts > 1][0])
        name = edge_id(nodes, int(source[edge]), int(target[edge]), CHANNELS[codes[edge]])
        raise ValueError(f"each edge is given once; given more than once: {name}")


def missing_edges(
    nodes: Sequence[Mapping[str, Any]], edges: Mapping[str, Any], names: Sequence[str]
) -> list[str]:
    """Those of the names that are no id of an edge of the encoded graph."""
    index = {node["id"]: number for number, node in enumerate(nodes)}
    wanted = np.array([_key_of(name, index) for name in names], dtype=np.int64)
    # The ids of half a million edges are never written out: three arrays say it as well.
    source, target, codes = (decode(edges[name]) for name in ("source", "target", "channel"))
    there = np.isin(wanted, _keys(source.astype(np.int64), target, codes, len(nodes)))
    return [name for name, known in zip(names, there, strict=True) if not known]


def _keys(source: np.ndarray, target: np.ndarray, codes: np.ndarray, n_nodes: int) -> np.ndarray:
    """One number for each edge."""
    return (source * n_nodes + target) * len(CHANNELS) + codes


def _key_of(name: str, index: Mapping[str, int]) -> int:
    """The number of the edge with this id, -1 where its ends are no nodes."""
    start, arrow, end = name.partition(ARROW)
    channel = ""
    if end not in index and end[-2:] in CHANNEL_ENDINGS:
        end, channel = end[:-2], end[-1]
    if not arrow or start not in index or end not in index:
        return -1
    return (index[start] * len(index) + index[end]) * len(CHANNELS) + CHANNELS.index(channel)
