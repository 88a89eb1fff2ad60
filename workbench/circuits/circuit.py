"""Circuit: a set of edges between components, and how it is chosen by their scores."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..check import Count, Seed, checked, one_of
from ..graph import Graph
from ..model import Model
from ..result import axes, provenance
from .components import Components, graph_edges, node_ids, node_kinds, node_layers

#: How many connected random circuits are drawn until one has the number of edges asked for.
RANDOM_TRIES = 50


@dataclass(frozen=True, eq=False, repr=False)
class Circuit(Graph):
    """A set of a model's edges. The rest of the model is what is ablated around it.

    Its nodes are components, a head's query, key and value the channels of its edges; a key or
    value that serves several heads stands once for each. A node is scored by the sum of |score| of
    its edges out.
    """

    #: What it was found for, and how.
    task: str
    method: str
    #: The model's graph.
    parts: Components
    #: Of the search; None where a number of edges was asked for.
    threshold: float | None
    readers: np.ndarray = axes("edge", np.int32, "number of its reader", name="reader")
    edge_scores: np.ndarray = axes(
        "writer reader",
        note='of all edges of the model, as the method gave them; of "acdc" the nats of KL that '
        "its cut added",
    )
    #: Of the answer, what it carries alone when all else is as in the corrupt prompts, 1 = all;
    #: None where it was not checked against random edges.
    faithfulness: float | None = None
    controls: np.ndarray | None = axes(
        "draw", np.float64, "the same of random circuits of its size", optional=True
    )

    view = "circuits.circuit"

    def __post_init__(self) -> None:
        super().__post_init__()
        ids, n = node_ids(self.parts), len(self.parts.readers)
        fit = set(self.ids) <= set(ids) and ((self.readers >= 0) & (self.readers < n)).all()
        if not fit or (self.kept & ~self.parts.edges).any():
            raise ValueError("A circuit keeps edges of its model; got others.")

    @cached_property
    def kept(self) -> np.ndarray:
        """(writer, reader) bool: whether an edge is in the circuit."""
        number = {name: i for i, name in enumerate(node_ids(self.parts))}
        writers = np.array([number[name] for name in self.ids], int)
        out = np.zeros_like(self.parts.edges)
        out[writers[self.sources], self.readers] = True
        return out

    @property
    def n_edges(self) -> int:
        return int(self.kept.sum())

    @property
    def share(self) -> float:
        """Which share of the model's edges it keeps, from 0 to 1."""
        return self.n_edges / self.parts.n_edges

    @property
    def edges(self) -> tuple[str, ...]:
        """The names of its edges, "L2H3.z → L3H1.q", the largest absolute score first."""
        return tuple(self.parts.edge_name(s, t) for s, t in self._found().tolist())

    def _found(self) -> np.ndarray:
        """(edge, 2) its writer and reader, the largest absolute score first."""
        order = np.argsort(-np.abs(self.edge_scores[self.kept]), kind="stable")
        return np.argwhere(self.kept)[order]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the writers that an edge of it leaves or arrives at."""
        parts = self.parts
        active = self.kept.any(1) | (self.kept.any(0) @ parts.feeds)
        return tuple(parts.writers[w] for w in np.flatnonzero(active))

    @property
    def better(self) -> bool | None:
        """Whether each random circuit is farther from carrying all of it; None where unchecked."""
        if self.faithfulness is None or self.controls is None:
            return None
        return bool(abs(1 - self.faithfulness) < np.abs(1 - self.controls).min())

    @property
    def caption(self) -> str:
        if self.better is None or self.controls is None:
            return ""
        own, random = f"faithfulness {self.faithfulness:z.2f}", f"{self.controls.mean():z.2f}"
        if self.better:
            return f"{own} beside {random} of random edges"
        return f"no better than random edges: {own} beside {random}"

    def _part(self, edges: np.ndarray, nodes: np.ndarray | None = None) -> Circuit:
        # What was checked is the whole.
        return replace(super()._part(edges, nodes), faithfulness=None, controls=None)

    def complement(self) -> Circuit:
        """All the model's other edges."""
        return self._with(self.parts.edges & ~self.kept, f"complement of {self.method}")

    def random(self, seed: Seed = 0) -> Circuit:
        """A circuit of about as many edges, never more, chosen at random.

        Chosen as `find_circuit` chooses, by random scores in place of the method's, so that it is
        connected too; where so few edges cannot connect, they are drawn from all edges.
        """
        return self._with(random_edges(self.parts, self.n_edges, seed), f"random, seed {seed}")

    def like(
        self, n: Count, *, kind: Literal["random"] = "random", seed: Seed = 0
    ) -> list[Circuit]:
        """`n` random circuits of its size, as `controls.like` asks for them."""
        return [self.random(seed + i) for i in range(n)]

    def without(self, names: str | Iterable[str]) -> Circuit:
        """The circuit less some edges, "L2H3.z → L3H1.q", or all edges of some nodes, "L2H3.z".

        Raises `ValueError` for a name that the model does not have.
        """
        return self._with(self.kept & ~named_edges(self.parts, names), self.method)

    def _with(self, kept: np.ndarray, method: str) -> Circuit:
        same = ("model", "revision", "versions", "seed", "tokens", "task", "threshold")
        named = {name: getattr(self, name) for name in same}
        return of_mask(self.parts, kept, self.edge_scores, **named, method=method)

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """One line an edge, the largest absolute score first: source, target, channel, score.

        Source and target are the writer and the reader. table: "nodes", one line a component.
        """
        if table is not None and one_of("table", table, self.tables) == "nodes":
            return super().to_frame(table)
        parts, found = self.parts, self._found()
        targets = [parts.readers[t] for t in found[:, 1]]
        return pd.DataFrame(
            {
                "source": [parts.writers[s] for s in found[:, 0]],
                "target": targets,
                "channel": [name.rpartition(".")[2] for name in targets],
                "score": self.edge_scores[tuple(found.T)],
            }
        )

    def _facts(self) -> str:
        return (
            f"{self.n_edges} of {self.parts.n_edges} edges ({100 * self.share:.1f} %), "
            f"{len(self.nodes)} nodes, {self.task}, {self.method}; {self.caption or 'unchecked'}"
        )


def of_mask(parts: Components, kept: np.ndarray, scores: np.ndarray, **named: Any) -> Circuit:
    """The circuit of a mask of edges and the scores of all, both (writer, reader).

    named: its other fields. Raises `ValueError` for a mask that does not fit the model.
    """
    shape = parts.edges.shape
    if {kept.shape, scores.shape} != {shape} or (kept & ~parts.edges).any():
        raise ValueError(
            f"A circuit keeps edges of its model, a mask of shape {shape}, and has a score for "
            f"each; got shape {kept.shape} and {scores.shape}, or an edge that the model does "
            "not have."
        )
    edges = list(graph_edges(parts, kept))
    used = sorted({end for source, target, *_ in edges for end in (source, target)})
    number = {node: i for i, node in enumerate(used)}
    ids, kinds = node_ids(parts), node_kinds(parts)
    names = tuple(ids[node] for node in used)
    return Circuit(
        **named,
        prompt="".join(named["tokens"][0]) if named["tokens"] else "",
        parts=parts,
        ids=names,
        labels=names,
        kinds=tuple(kinds[node] for node in used),
        channels=tuple(channel for *_, channel in edges),
        layers=node_layers(parts)[used],
        positions=np.full(len(used), -1),
        units=np.full(len(used), -1),
        scores=np.append(np.abs(scores * kept).sum(1), np.nan)[used],
        sources=np.array([number[source] for source, *_ in edges], np.int32),
        targets=np.array([number[target] for _, target, *_ in edges], np.int32),
        weights=np.array([scores[s, reader] for s, _, reader, _ in edges], np.float32),
        readers=np.array([reader for *_, reader, _ in edges], np.int32),
        edge_scores=scores,
    )


@checked
def of(
    model: Model,
    edges: Iterable[str | Sequence[str]],
    *,
    scores: np.ndarray | None = None,
    task: str = "",
    method: str = "by hand",
) -> Circuit:
    """A circuit of named edges: "L2H3.z → L3H1.q", or pairs (writer, reader).

    scores: (writer, reader) of all edges, as in `Circuit.edge_scores`; None for 1 for each that is
    named. Raises `ValueError` for a name, or an edge, that the model does not have.
    """
    parts = Components.of(model.spec)
    kept = parts.mask(edges)
    scores = kept.astype(np.float32) if scores is None else scores
    return of_mask(
        parts, kept, scores, **provenance(model), task=task, method=method, threshold=None
    )


def check_model(of: Any, model: Model) -> None:
    """Raises `ValueError` where an attribution or a circuit was made on another model."""
    own = Components.of(model.spec)
    if (of.model, of.parts) != (model.spec.name, own):
        what = type(of).__name__
        parts = of.parts
        raise ValueError(
            f"{'An' if what[0] in 'AEIOU' else 'A'} {what} belongs to the model it was made on, "
            f"{of.model} with {parts.n_layers} layers of {parts.n_heads} heads "
            f"({parts.n_kv_heads} key/value); this is {model.spec.name} with {own.n_layers} of "
            f"{own.n_heads} ({own.n_kv_heads}). Make it again on this model, or name the edges: "
            "wb.circuits.of(model, circuit.edges)."
        )


def named_edges(parts: Components, names: str | Iterable[str]) -> np.ndarray:
    """(writer, reader) bool: named edges, and all edges that leave or arrive at named nodes.

    Raises `ValueError` for a name that the model does not have.
    """
    out = np.zeros_like(parts.edges)
    for name in [names] if isinstance(names, str) else names:
        if any(arrow in name for arrow in ("→", "->")):
            out[parts.edge(name)] = True
        else:
            writer = parts.writer(name)
            out[writer] = True
            # A key/value head that serves other heads too is not cut for all of them.
            own = parts.feeds[:, writer] & (parts.feeds.sum(1) == 1)
            out[:, own] = True
    return out & parts.edges


def greedy(parts: Components, scores: np.ndarray, n_edges: int) -> np.ndarray:
    """(writer, reader) bool: up to n edges, connected, the strongest reachable one each time."""
    order = np.array(_backwards(parts, np.abs(scores)))

    def first(asked: int) -> np.ndarray:
        chosen = np.zeros_like(parts.edges)
        chosen[tuple(order[:asked].T)] = True
        return parts.connected(chosen)

    # What is cut off from the embedding makes room: the most that are asked for so that n are left.
    # With one more edge none is lost, so that this number is found by halving.
    asked, too_many = min(n_edges, len(order)), len(order) + 1
    while too_many - asked > 1:
        middle = (asked + too_many) // 2
        if first(middle).sum() > n_edges:
            too_many = middle
        else:
            asked = middle
    return first(asked)


def _backwards(parts: Components, strength: np.ndarray) -> list[tuple[int, int]]:
    """Edges (writer, reader), the strongest first, each into a reader that leads on by then."""
    order: list[tuple[int, int]] = []
    queue: list[tuple[float, int, int]] = []
    opened = np.zeros(len(parts.readers), bool)

    def open_readers(readers: np.ndarray) -> None:
        for reader in readers[~opened[readers]].tolist():
            opened[reader] = True
            for writer in np.flatnonzero(parts.edges[:, reader]).tolist():
                heapq.heappush(queue, (-float(strength[writer, reader]), writer, reader))

    open_readers(np.array([len(parts.readers) - 1]))
    while queue:
        _, writer, reader = heapq.heappop(queue)
        order.append((writer, reader))
        open_readers(np.flatnonzero(parts.feeds[:, writer]))
    return order


def random_edges(parts: Components, n_edges: int, seed: int) -> np.ndarray:
    """(writer, reader) bool: n edges that are connected, by random scores."""
    rng = np.random.default_rng(seed)
    for _ in range(RANDOM_TRIES):
        found = greedy(parts, rng.random(parts.edges.shape), n_edges)
        if found.sum() == n_edges:
            return found
    chosen = np.argwhere(parts.edges)
    drawn = rng.choice(len(chosen), size=n_edges, replace=False)
    out = np.zeros_like(parts.edges)
    out[tuple(chosen[drawn].T)] = True
    return out


def check_choice(n_edges: int | None, threshold: float | None) -> None:
    """Raises `ValueError` where not one of the two is given."""
    if (n_edges is None) == (threshold is None):
        raise ValueError(
            "A circuit is chosen by n_edges or by threshold, one of the two; got "
            f"n_edges={n_edges} and threshold={threshold}."
        )


def connected(
    parts: Components,
    scores: np.ndarray,
    kept: np.ndarray,
    n_edges: int | None,
    threshold: float | None,
) -> np.ndarray:
    """The kept edges on a path from the embedding to the logits. Raises `ValueError` for none."""
    kept = parts.connected(kept)
    if not kept.any():
        raise ValueError(
            "A circuit connects the embedding with the logits; no path is left with "
            + (f"threshold={threshold}." if threshold is not None else f"n_edges={n_edges}.")
            + (
                f" The largest absolute score is {np.abs(scores).max():.3g}; lower the threshold."
                if threshold is not None
                else " Ask for more edges."
            )
        )
    return kept
