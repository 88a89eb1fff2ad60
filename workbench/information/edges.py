"""Edges: a whole pass as arrays of edges, and how much of a root walks back along each."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .contributions import LayerContributions

CHANNELS = ("", "v", "k", "q")
#: The kind of each node in a `Graph`; "mlp" is an MLP without the neurons that stand apart.
KINDS = ("embed", "state", "state", "head", "neuron", "mlp")
EMBED, MID, STATE, HEAD, NEURON, MLP = range(6)


class Place(NamedTuple):
    """Where a node is; unit: the number of a head or a neuron, else 0."""

    kind: int
    layer: int
    position: int
    unit: int


@dataclass(frozen=True)
class NodeKeys:
    """Nodes as whole numbers: kind, layer, position, and number of the head or neuron."""

    n_layers: int
    n_positions: int
    n_units: int

    def key(self, kind: int, layer: int, position: Any, unit: Any = 0) -> Any:
        """The number of a node, or an array of them."""
        place = (kind * self.n_layers + layer) * self.n_positions + position
        return place * self.n_units + unit

    def stream(self, layer: int, position: Any) -> Any:
        """The residual stream that enters a layer: what the layer before left, or the embedding."""
        if layer == 0:
            return self.key(EMBED, 0, position)
        return self.key(STATE, layer - 1, position)

    def place(self, key: Any) -> Place:
        """Where the node of a key is."""
        rest, unit = divmod(int(key), self.n_units)
        rest, position = divmod(rest, self.n_positions)
        kind, layer = divmod(rest, self.n_layers)
        return Place(kind, layer, position, unit)

    def name(self, key: Any) -> str:
        """The id of a node: its site and "@" and its position."""
        kind, layer, position, unit = self.place(key)
        site = {
            EMBED: "embed",
            MID: f"L{layer}.resid_mid",
            STATE: f"L{layer}.resid_post",
            HEAD: f"L{layer}H{unit}.z",
            NEURON: f"L{layer}.mlp_post/{unit}",
            MLP: f"L{layer}.mlp_out",
        }[kind]
        return f"{site}@{position}"


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges of one pass, (edge,) each: ends as keys, and what they carry.

    weights: as in `LayerContributions`. shares: |weight| over the sum of |weight| into the target,
    with what is not told apart there. relevance: how much of the roots comes through the edge.
    channels: numbers of `CHANNELS`.
    """

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    shares: np.ndarray
    relevance: np.ndarray
    channels: np.ndarray

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, edges: np.ndarray) -> Edges:
        return Edges(*(getattr(self, name)[edges] for name in self.__dataclass_fields__))


class _Builder:
    """Collects groups of edges while a walk goes back."""

    def __init__(self) -> None:
        self._groups: list[tuple[np.ndarray, ...]] = []

    def add(
        self,
        sources: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
        shares: np.ndarray,
        arriving: np.ndarray,
        channel: str = "",
    ) -> np.ndarray:
        """Add edges whose targets have the relevance `arriving`; their own comes back."""
        shape = weights.shape
        relevance = arriving * shares
        code = np.full(shape, CHANNELS.index(channel), np.int8)
        group = (sources, targets, weights, shares, relevance, code)
        self._groups.append(tuple(np.broadcast_to(each, shape).ravel() for each in group))
        return relevance

    def edges(self) -> Edges:
        return Edges(*map(np.concatenate, zip(*self._groups, strict=True)))


def walk_back(layers: Sequence[LayerContributions], keys: NodeKeys, roots: np.ndarray) -> Edges:
    """Every edge of the pass, with what a walk from the roots back to the embedding carries.

    roots: (pos,) how much of the walk starts at the last layer's stream. At each node the walk
    divides among the edges into it by their shares, and what is not told apart ends there.
    """
    builder = _Builder()
    arriving = roots.astype(np.float64)
    for number in reversed(range(len(layers))):
        arriving = _layer(layers[number], number, keys, arriving, builder)
    return builder.edges()


def _layer(
    parts: LayerContributions, layer: int, keys: NodeKeys, arriving: np.ndarray, builder: _Builder
) -> np.ndarray:
    """Walk back through one layer: from what arrives at its end to what arrives at its start."""
    pos = np.arange(keys.n_positions)
    end, start = keys.key(STATE, layer, pos), keys.stream(layer, pos)
    parallel = parts.carried is None
    mid = start if parallel else keys.key(MID, layer, pos)
    neurons = keys.key(NEURON, layer, pos[:, None], parts.neuron_ids)
    heads = keys.key(HEAD, layer, pos[:, None], np.arange(parts.heads.shape[1]))
    others = keys.key(MLP, layer, pos)
    into_end = [parts.carried_on[:, None], parts.others[:, None], parts.neurons]
    into_end += [parts.heads] if parallel else []
    on, of_others, of_neurons, *more = shares_of(into_end, parts.total_on)
    back = builder.add(mid, end, parts.carried_on, on[:, 0], arriving)
    through = builder.add(neurons, end[:, None], parts.neurons, of_neurons, arriving[:, None])
    rest = builder.add(others, end, parts.others, of_others[:, 0], arriving)
    # All that a neuron reads is the one state before the MLP.
    builder.add(mid[:, None], neurons, parts.neurons, np.ones(1), through)
    builder.add(mid, others, parts.others, np.ones(1), rest)
    back = back + through.sum(1) + rest
    if parts.carried is None:
        at_heads = builder.add(heads, end[:, None], parts.heads, more[0], arriving[:, None])
    else:
        assert parts.total is not None
        carried, of_heads = shares_of([parts.carried[:, None], parts.heads], parts.total)
        at_heads = builder.add(heads, mid[:, None], parts.heads, of_heads, back[:, None])
        back = builder.add(start, mid, parts.carried, carried[:, 0], back)
    return back + _sources(parts, heads, start, at_heads, builder)


def _sources(
    parts: LayerContributions,
    heads: np.ndarray,
    start: np.ndarray,
    at_heads: np.ndarray,
    builder: _Builder,
) -> np.ndarray:
    """(pos,) what walks from the heads of a layer to the streams that they read."""
    groups = [parts.values]
    if parts.keys is not None and parts.queries is not None:
        groups += [parts.keys, parts.queries[..., None]]
    shares = shares_of([g.reshape(-1, g.shape[-1]) for g in groups])
    by_source = (heads[..., None], parts.values.shape)
    out = np.zeros(len(start))
    for group, share, channel in zip(groups, shares, "vkq", strict=False):
        share = share.reshape(group.shape)
        if channel == "q":
            sources = np.broadcast_to(start[:, None, None], group.shape)
        else:
            sources = np.broadcast_to(start, group.shape)
        # A source after its destination is no edge.
        there = np.abs(group) > 0
        target = np.broadcast_to(by_source[0], group.shape)[there]
        arriving = np.broadcast_to(at_heads[..., None], group.shape)[there]
        moved = builder.add(sources[there], target, group[there], share[there], arriving, channel)
        place = np.arange(len(start))
        at = place[:, None, None] if channel == "q" else place
        np.add.at(out, np.broadcast_to(at, group.shape)[there], moved)
    return out


def shares_of(groups: Sequence[np.ndarray], total: np.ndarray | None = None) -> list[np.ndarray]:
    """Of (row, n) weights their shares of a row's |weight|, with what is missing to `total`."""
    size = sum(np.abs(group).sum(1) for group in groups)
    if total is not None:
        size = size + np.abs(total - sum(group.sum(1) for group in groups))
    size = np.where(size > 0, size, 1.0)
    return [np.abs(group) / size[:, None] for group in groups]


def strongest(edges: Edges, roots: np.ndarray, n: int) -> Edges:
    """The n most relevant edges that a path of such edges joins to a root; roots: keys."""
    return edges.take(grown(edges.sources, edges.targets, edges.relevance, roots, n))


def node_relevance(edges: Edges, keys: np.ndarray, roots: dict[int, float]) -> np.ndarray:
    """(node,) how much of the walk passes each of these nodes; edges: all of the pass."""
    order = np.argsort(keys)
    at = np.searchsorted(keys[order], edges.sources).clip(max=len(keys) - 1)
    found = keys[order][at] == edges.sources
    summed = np.bincount(at[found], edges.relevance[found], len(keys))
    out = np.zeros(len(keys))
    out[order] = summed
    return out + np.array([roots.get(int(key), 0.0) for key in keys])


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
