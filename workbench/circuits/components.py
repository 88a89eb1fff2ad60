"""Components: the graph of a model. Who writes into the residual stream, and who reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..model import ModelSpec
from ..site import Site

ARROW = "→"
#: The readers of a head, in the order in which they are counted.
CHANNELS = ("q", "k", "v")
_NODE = re.compile(r"L(?P<layer>\d+)(?:H(?P<head>\d+)(?:\.z)?|\.(?:mlp|mlp_out))")


@dataclass(frozen=True)
class Components:
    """The writers and readers of a model, and which edges there are.

    Writers are "embed" (the residual stream that enters layer 0), each head "L0H0.z" and each MLP
    "L0.mlp_out", in the order of a pass. Readers are each head's "L0H0.q", "L0H0.k", "L0H0.v"
    (k and v one a key/value head, which under grouped queries serves several heads), each MLP
    "L0.mlp_in", and "logits". An edge goes from every writer to every reader that is computed after
    it; a parallel MLP does not read the heads of its own layer.
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    parallel: bool

    @classmethod
    def of(cls, spec: ModelSpec) -> Components:
        """The components of a model.

        Raises `ValueError` where a head's reader stands not alone, and where the model is not the
        sum of what its components add, or a reader no projection of it.
        """
        if spec.joint_qk_norm:
            raise ValueError(
                f"An edge ends at one head's q, k or v; {spec.architecture} norms the queries of "
                "all heads together, so that a head has none of its own. Score, ablate or patch "
                "nodes instead: over='nodes', wb.ablate, wb.patch."
            )
        spec.check_sums("stream", "readers")
        return cls.nodes_of(spec)

    @classmethod
    def nodes_of(cls, spec: ModelSpec) -> Components:
        """The components of a model of which only the nodes matter; `ValueError` as for `of`."""
        spec.check_sums("stream", "heads")
        for stream in ("z", "mlp_out"):
            if len(spec.layers(stream)) < spec.n_layers:
                raise ValueError(
                    f"The components of a model are the heads and the MLP of every layer; "
                    f"{spec.architecture} has {stream} on {len(spec.layers(stream))} of its "
                    f"{spec.n_layers} layers. Patch its streams instead: wb.patch(…, "
                    "over='attn_out')."
                )
        return cls(spec.n_layers, spec.n_heads, spec.n_kv_heads, spec.parallel)

    @cached_property
    def writers(self) -> tuple[str, ...]:
        names = ["embed"]
        for layer in range(self.n_layers):
            names += [f"L{layer}H{head}.z" for head in range(self.n_heads)]
            names.append(f"L{layer}.mlp_out")
        return tuple(names)

    @cached_property
    def readers(self) -> tuple[str, ...]:
        names = []
        for layer in range(self.n_layers):
            for channel in CHANNELS:
                names += [f"L{layer}H{h}.{channel}" for h in range(self.n_readers(channel))]
            names.append(f"L{layer}.mlp_in")
        return (*names, "logits")

    def n_readers(self, stream: str) -> int:
        """How many readers a stream of one layer has: its heads, or 1."""
        return {"q": self.n_heads, "k": self.n_kv_heads, "v": self.n_kv_heads}.get(stream, 1)

    def writers_before(self, stream: str, layer: int) -> int:
        """How many writers, counted from the first, a reader stream reads from."""
        before = 1 + layer * (self.n_heads + 1)
        if stream == "logits":
            return len(self.writers)
        return before + self.n_heads * (stream == "mlp_in" and not self.parallel)

    def readers_of(self, stream: str, layer: int) -> slice:
        """Which readers a stream of a layer has, as a slice of `readers`."""
        if stream == "logits":
            return slice(len(self.readers) - 1, len(self.readers))
        start = layer * (self.n_heads + 2 * self.n_kv_heads + 1)
        for name in (*CHANNELS, "mlp_in"):
            n = self.n_readers(name)
            if name == stream:
                return slice(start, start + n)
            start += n
        raise ValueError(f"A reader stream is q, k, v, mlp_in or logits; got {stream!r}.")

    @property
    def reader_streams(self) -> tuple[tuple[str, int], ...]:
        """Every (stream, layer) that is read, in the order of a pass; logits at the last layer."""
        each = [(s, layer) for layer in range(self.n_layers) for s in (*CHANNELS, "mlp_in")]
        return (*each, ("logits", self.n_layers - 1))

    @cached_property
    def edges(self) -> np.ndarray:
        """(writer, reader) bool: the edges of the model."""
        out = np.zeros((len(self.writers), len(self.readers)), bool)
        for stream, layer in self.reader_streams:
            out[: self.writers_before(stream, layer), self.readers_of(stream, layer)] = True
        return out

    @cached_property
    def feeds(self) -> np.ndarray:
        """(reader, writer) bool: which writers' computation a reader is the input of."""
        out = np.zeros((len(self.readers), len(self.writers)), bool)
        group = self.n_heads // self.n_kv_heads
        for layer in range(self.n_layers):
            first = 1 + layer * (self.n_heads + 1)
            for head in range(self.n_heads):
                for channel in CHANNELS:
                    at = head if channel == "q" else head // group
                    out[self.readers_of(channel, layer).start + at, first + head] = True
            out[self.readers_of("mlp_in", layer).start, first + self.n_heads] = True
        return out

    @property
    def n_edges(self) -> int:
        return int(self.edges.sum())

    def writer_layer(self, writer: int) -> int:
        """The layer of a writer, -1 for the embedding."""
        return -1 if writer == 0 else (writer - 1) // (self.n_heads + 1)

    def writer_site(self, writer: int) -> Site:
        """Where a writer is found in a run."""
        return Site("resid_pre", 0) if writer == 0 else Site.parse(self.writers[writer])

    def writer(self, name: str | Site) -> int:
        """The number of a writer by its name: "embed", "L2H3" or "L2H3.z", "L2.mlp_out".

        Raises `ValueError` for another name, and for a component that the model does not have.
        """
        text = str(name)
        if text in ("embed", "L0.resid_pre"):
            return 0
        match = _NODE.fullmatch(text)
        if match is None:
            raise ValueError(
                "A component is written 'embed', 'L2H3.z' for a head or 'L2.mlp_out' for an MLP; "
                f"got {text!r}."
            )
        layer, head = int(match["layer"]), match["head"]
        if layer >= self.n_layers or (head is not None and int(head) >= self.n_heads):
            raise ValueError(
                f"This model has layers 0 to {self.n_layers - 1} with heads 0 to "
                f"{self.n_heads - 1}; got {text!r}."
            )
        at = self.n_heads if head is None else int(head)
        return 1 + layer * (self.n_heads + 1) + at

    def reader(self, name: str | Site) -> int:
        """The number of a reader by its name: "L3H1.q", "L2.mlp_in", "logits".

        Raises `ValueError` for another name, and for a reader that the model does not have.
        """
        text = str(name)
        if text in self.readers:
            return self.readers.index(text)
        grouped = self.n_kv_heads != self.n_heads
        heads = f"heads 0 to {self.n_heads - 1}"
        if grouped:
            heads += f" (key/value heads 0 to {self.n_kv_heads - 1})"
        raise ValueError(
            "A reader is written 'L3H1.q' (or .k, .v), 'L2.mlp_in' or 'logits'; this model has "
            f"layers 0 to {self.n_layers - 1} with {heads}; got {text!r}."
        )

    def edge(self, name: str | Sequence[str]) -> tuple[int, int]:
        """An edge by its name, "L2H3.z → L3H1.q" or a pair of names, as two numbers.

        Raises `ValueError` for another name, and for a pair that the model has no edge between.
        """
        parts = name.replace("->", ARROW).split(ARROW) if isinstance(name, str) else list(name)
        if len(parts) != 2:
            raise ValueError(
                f"An edge is written 'L2H3.z {ARROW} L3H1.q', a writer and a reader; got {name!r}."
            )
        source, target = self.writer(parts[0].strip()), self.reader(parts[1].strip())
        if not self.edges[source, target]:
            raise ValueError(
                "An edge goes from a component to one that is computed after it; "
                f"{self.writers[source]} is not computed before {self.readers[target]}."
            )
        return source, target

    def edge_name(self, source: int, target: int) -> str:
        return f"{self.writers[source]} {ARROW} {self.readers[target]}"

    def mask(self, edges: Iterable[str | Sequence[str]]) -> np.ndarray:
        """(writer, reader) bool: the named edges."""
        out = np.zeros_like(self.edges)
        for name in edges:
            out[self.edge(name)] = True
        return out

    def connected(self, kept: np.ndarray) -> np.ndarray:
        """The kept edges (writer, reader) that lie on a path from the embedding to the logits."""
        kept = kept & self.edges
        while True:
            # A head is reached through any of its readers, and of use where any edge leaves it.
            reached = np.zeros(len(self.writers), bool)
            reached[0] = True
            for _ in range(2 * self.n_layers):
                arriving = (kept & reached[:, None]).any(0)
                reached |= self.feeds.T @ arriving
            useful = np.zeros(len(self.readers), bool)
            useful[-1] = True
            for _ in range(2 * self.n_layers):
                leaving = (kept & useful[None]).any(1)
                useful = useful | (self.feeds @ leaving)
            pruned = kept & reached[:, None] & useful[None]
            if (pruned == kept).all():
                return pruned
            kept = pruned


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
