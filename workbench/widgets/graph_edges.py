"""The edges of a GraphView: checked, made ready to travel, and named, as "L2H3→L3H1.q"."""

# Annotations are not postponed: a TypedDict would then take every NotRequired key for required.
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np

from workbench.widgets.arrays import decode, encode, narrow
from workbench.widgets.panel import check_keys, floats

#: What an edge enters: a head's query, key or value, or ("") a node's only input.
CHANNELS = ("", "q", "k", "v")
ARROW = "→"


class GraphEdges(TypedDict):
    """The edges, one entry of each array an edge.

    source, target: int (edge,), indices into the nodes. weight: float (edge,), in the graph's unit;
        in the layout "lanes" the similarity.
    channel: (edge,), "q", "k" or "v" where a head's query, key or value reads, "" elsewhere;
        absent: "" for all. Not in "lanes".
    share: float (edge,), |weight| over the sum of |weight| into the target, 0 to 1. In "tokens".
    """

    source: Sequence[int] | np.ndarray
    target: Sequence[int] | np.ndarray
    weight: Sequence[float] | np.ndarray
    channel: NotRequired[Sequence[str]]
    share: NotRequired[Sequence[float] | np.ndarray]


class Naming(NamedTuple):
    """How the ids of edges are put together: "L2H3→L3H1.q", or "embed@3 → L0H1.z@5 v"."""

    arrow: str
    mark: str

    @property
    def endings(self) -> tuple[str, ...]:
        """What ids of nodes may not end in, since those of edges do."""
        return tuple(self.mark + channel for channel in CHANNELS[1:])


NAMINGS = {
    "components": Naming("→", "."),
    "lanes": Naming(" → ", " "),
    "tokens": Naming(" → ", " "),
}


def edge_id(naming: Naming, source: str, target: str, channel: str = "") -> str:
    """The name of an edge between two nodes."""
    return source + naming.arrow + target + (naming.mark + channel if channel else "")


def edge_ids(
    layout: str, nodes: Sequence[Mapping[str, Any]], edges: Mapping[str, Any]
) -> list[str]:
    """The names of all encoded edges, in order."""
    ends = (decode(edges[name]).tolist() for name in ("source", "target", "channel"))
    return [
        edge_id(NAMINGS[layout], nodes[source]["id"], nodes[target]["id"], CHANNELS[code])
        for source, target, code in zip(*ends, strict=True)
    ]


def missing_edges(
    layout: str, nodes: Sequence[Mapping[str, Any]], edges: Mapping[str, Any], names: Sequence[str]
) -> list[str]:
    """Those of the names that are no id of an edge of the encoded graph."""
    index = {node["id"]: number for number, node in enumerate(nodes)}
    wanted = np.array([_key_of(NAMINGS[layout], name, index) for name in names], dtype=np.int64)
    # The ids of half a million edges are never written out: three arrays say it as well.
    source, target, codes = (decode(edges[name]) for name in ("source", "target", "channel"))
    there = np.isin(wanted, _keys(source.astype(np.int64), target, codes, len(nodes)))
    return [name for name, known in zip(names, there, strict=True) if not known]


def encode_edges(
    layout: str, given: GraphEdges, nodes: Sequence[Mapping[str, Any]], order: np.ndarray, up: str
) -> dict[str, Any]:
    """The edges as arrays on their way.

    nodes: as they travel, each with an id and a kind. order: (node,), an edge goes to a greater
    one; up: the same in words.

    Raises ValueError where lengths differ, an index is outside, a weight is not finite, a share is
    not from 0 to 1, a channel is not a head's, an edge does not go up or is given twice; TypeError
    for indices that are no integers and weights that are no numbers.
    """
    own = {"components": ["channel"], "lanes": [], "tokens": ["share", "channel"]}[layout]
    required = ["source", "target", "weight", *(name for name in own if name == "share")]
    check_keys("edges", given, required, own)
    source, target = (_indices(name, given[name], len(nodes)) for name in ("source", "target"))
    channel = list(given.get("channel", [""] * len(source)))
    columns = {**given, "source": source, "target": target, "channel": channel}
    names = ["source", "target", "weight", *own]
    shapes = {name: np.shape(columns[name]) for name in names}
    if len(set(shapes.values())) > 1 or source.ndim != 1:
        raise ValueError(
            f"edges: {', '.join(names[:-1])} and {names[-1]} have one length; given "
            + ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        )
    weight = _finite(given["weight"], source.shape)
    share = _shares(given["share"], source.shape) if "share" in given else None
    codes = _codes(channel)
    head = np.array([node.get("kind") == "head" for node in nodes])[target]
    _first(order[source] >= order[target], f"an edge goes up, {up}", nodes, source, target)
    if (wrong := np.flatnonzero((codes > 0) & ~head)).size:
        edge = int(wrong[0])
        raise ValueError(
            f"edges: only a head has the channels q, k and v; edge {edge} gives channel "
            f"{channel[edge]!r} to {nodes[target[edge]]['id']}"
        )
    mixed = layout == "components" and codes.any()
    if mixed and (plain := np.flatnonzero((codes == 0) & head)).size:
        edge = int(plain[0])
        raise ValueError(
            "edges: either every edge into a head names its channel or none does; "
            f"edge {edge} into {nodes[target[edge]]['id']} names none, others do"
        )
    if layout == "tokens":
        column = np.array([node["column"] for node in nodes])
        later, other = column[source] > column[target], column[source] != column[target]
        _first(later, "an edge never goes to an earlier token", nodes, source, target)
        _first(other & ~head, "only a head reads another token's column", nodes, source, target)
    _, first, counts = np.unique(
        _keys(source, target, codes, len(nodes)), return_index=True, return_counts=True
    )
    if (counts > 1).any():
        edge = int(first[counts > 1][0])
        ends = nodes[source[edge]]["id"], nodes[target[edge]]["id"]
        name = edge_id(NAMINGS[layout], *ends, channel[edge])
        raise ValueError(f"each edge is given once; given more than once: {name}")
    return {
        "source": encode(narrow(source)),
        "target": encode(narrow(target)),
        "weight": encode(weight),
        "channel": encode(codes.astype(np.uint8)),
        **({} if share is None else {"share": encode(share)}),
    }


def _first(
    wrong: np.ndarray, rule: str, nodes: Sequence[Mapping[str, Any]], *ends: np.ndarray
) -> None:
    """Raises ValueError with the first edge that breaks the rule."""
    if wrong.any():
        edge = int(np.flatnonzero(wrong)[0])
        start, end = (nodes[int(each[edge])]["id"] for each in ends)
        raise ValueError(f"edges: {rule}; edge {edge} goes from {start} to {end}")


def _indices(name: str, given: Any, n_nodes: int) -> np.ndarray:
    numbers = np.asarray(given)
    if not numbers.size:
        return numbers.astype(np.int64)
    if numbers.dtype.kind not in "iu":
        raise TypeError(
            f"edges: {name} holds integer indices into nodes; given {numbers.dtype.name}"
        )
    if numbers.min() < 0 or numbers.max() >= n_nodes:
        raise ValueError(
            f"edges: {name} holds indices into nodes, 0 to {n_nodes - 1}; "
            f"given {numbers.min()} to {numbers.max()}"
        )
    return numbers.astype(np.int64)


def _finite(given: Any, shape: tuple[int, ...]) -> np.ndarray:
    with np.errstate(over="ignore"):  # what single precision cannot hold is refused below
        weight = floats("edges: weight", given, shape).astype(np.float32)
    if bad := np.flatnonzero(~np.isfinite(weight)).tolist():
        raise ValueError(
            f"edges: weight is finite; {len(bad)} of {len(weight)} are not, the first is edge "
            f"{bad[0]}, {np.asarray(given)[bad[0]]}"
        )
    return weight


def _shares(given: Any, shape: tuple[int, ...]) -> np.ndarray:
    share = floats("edges: share", given, shape).astype(np.float32)
    # Rounding may put a share that is everything a hair above 1.
    if bad := np.flatnonzero(~((share >= 0) & (share <= 1 + 1e-4))).tolist():
        raise ValueError(
            f"edges: share is a number from 0 to 1; {len(bad)} of {len(share)} are not, the first "
            f"is edge {bad[0]}, {share[bad[0]]:g}"
        )
    return np.minimum(share, 1)


def _codes(channel: Sequence[str]) -> np.ndarray:
    """The channels (edge,) as places in `CHANNELS`."""
    code = {name: number for number, name in enumerate(CHANNELS)}
    if unknown := sorted({str(name) for name in channel if name not in code}):
        raise ValueError(f'edges: channel is one of "", "q", "k" and "v"; given {unknown}')
    return np.array([code[name] for name in channel], dtype=np.int64)


def _keys(source: np.ndarray, target: np.ndarray, codes: np.ndarray, n_nodes: int) -> np.ndarray:
    """One number for each edge."""
    return (source * n_nodes + target) * len(CHANNELS) + codes


def _key_of(naming: Naming, name: str, index: Mapping[str, int]) -> int:
    """The number of the edge with this id, -1 where its ends are no nodes."""
    start, arrow, end = name.partition(naming.arrow)
    channel = ""
    if end not in index and end[-2:] in naming.endings:
        end, channel = end[:-2], end[-1]
    if not arrow or start not in index or end not in index:
        return -1
    return (index[start] * len(index) + index[end]) * len(CHANNELS) + CHANNELS.index(channel)
