"""A model's forward pass as a graph, slow and obvious: the truth that fast methods are held to.

A pass goes component by component. Each reader adds up what every earlier writer wrote, so to cut
an edge is to hand this one reader another vector in place of the writer's own; all that follows is
computed again. Nothing of workbench is used. Names of writers: "embed", "L0H0.z", "L0.mlp_out"; of
readers: "L0H0.q", "L0H0.k", "L0H0.v" (one k and v a key/value head), "L0.mlp_in", "logits".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from .plain_weights import Block, Weights, weights_of

Edge = tuple[str, str]
Metric = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Pass:
    """What one pass gave: logits, and by name what was written and how each head attended.

    logits: (batch, pos, d_vocab). writes: each (batch, pos, d_model). patterns: by "L0H0", each
    (batch, dst, src). edges: every (writer, reader) that was met, in the order of the pass.
    """

    logits: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    writes: dict[str, torch.Tensor] = field(default_factory=dict)
    patterns: dict[str, torch.Tensor] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)


def run(
    hf_model: Any,
    ids: torch.Tensor,
    *,
    cut: Iterable[Edge] = (),
    other: dict[str, torch.Tensor] | None = None,
    dtype: torch.dtype = torch.float64,
) -> Pass:
    """One pass over ids (batch, pos), without padding.

    cut: edges whose reader receives `other[writer]` in place of what the writer wrote in this
    pass. Raises `ValueError` for an edge that the model lacks.
    """
    return _run(weights_of(hf_model, dtype), ids, frozenset(cut), other or {})


def edges_of(hf_model: Any) -> list[Edge]:
    """Every (writer, reader) of the model, in the order of a forward pass."""
    return run(hf_model, torch.zeros(1, 1, dtype=torch.int64)).edges


def run_with_edges_cut(
    hf_model: Any,
    clean_ids: torch.Tensor,
    corrupt_ids: torch.Tensor,
    cut: Iterable[Edge],
    *,
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """Logits (batch, pos, d_vocab) of the clean prompts with edges cut.

    A cut edge carries what its writer writes in the whole corrupt run. Clean and corrupt are ids
    of one shape (batch, pos), without padding.
    """
    weights = weights_of(hf_model, dtype)
    other = _run(weights, corrupt_ids, frozenset(), {}).writes
    return _run(weights, clean_ids, frozenset(cut), other).logits


def example_effects(
    hf_model: Any,
    clean_ids: torch.Tensor,
    corrupt_ids: torch.Tensor,
    metric: Metric,
    *,
    kind: Literal["noising", "denoising"] = "noising",
    edges: Iterable[Edge] | None = None,
    dtype: torch.dtype = torch.float64,
) -> dict[Edge, torch.Tensor]:
    """What the clean value of each edge adds to the metric of each example, (batch,) an edge.

    Noising: m(clean) − m(clean, the edge as in the corrupt run). Denoising: m(corrupt, the edge as
    in the clean run) − m(corrupt). Both are positive where the edge's clean value gives more of the
    metric, in the metric's own unit. metric: logits of the last position, (batch, d_vocab), to one
    number an example. edges: which to measure; None for all.
    """
    weights = weights_of(hf_model, dtype)
    clean = _run(weights, clean_ids, frozenset(), {})
    corrupt = _run(weights, corrupt_ids, frozenset(), {})
    noising = kind == "noising"
    ids, base, other = (
        (clean_ids, clean, corrupt.writes) if noising else (corrupt_ids, corrupt, clean.writes)
    )
    before = metric(base.logits[:, -1])
    effects = {}
    for edge in base.edges if edges is None else edges:
        after = metric(_run(weights, ids, frozenset([edge]), other).logits[:, -1])
        effects[edge] = before - after if noising else after - before
    return effects


def edge_effects(
    hf_model: Any,
    clean_ids: torch.Tensor,
    corrupt_ids: torch.Tensor,
    metric: Metric,
    *,
    kind: Literal["noising", "denoising"] = "noising",
    edges: Iterable[Edge] | None = None,
    dtype: torch.dtype = torch.float64,
) -> dict[Edge, float]:
    """`example_effects`, each its mean over the examples."""
    each = example_effects(
        hf_model, clean_ids, corrupt_ids, metric, kind=kind, edges=edges, dtype=dtype
    )
    return {edge: float(effect.mean()) for edge, effect in each.items()}


def _run(
    weights: Weights, ids: torch.Tensor, cut: frozenset[Edge], other: dict[str, torch.Tensor]
) -> Pass:
    seen = Pass()
    seen.writes["embed"] = weights.embed(ids)
    biases: list[torch.Tensor] = []

    def read(reader: str) -> torch.Tensor:
        """The residual stream as this reader alone receives it."""
        total = torch.zeros_like(seen.writes["embed"])
        for writer, written in seen.writes.items():
            edge = (writer, reader)
            seen.edges.append(edge)
            total = total + (other[writer] if edge in cut else written)
        for bias in biases:
            total = total + bias
        return total

    for layer, block in enumerate(weights.blocks):
        # The heads of a layer read the same stream: none of them may see another's output.
        written = _attend(weights, block, layer, read, seen.patterns)
        seen.writes.update(written)
        biases.append(block.b_O)
        seen.writes[f"L{layer}.mlp_out"] = block.mlp(block.norm_2(read(f"L{layer}.mlp_in")))
    seen.logits = weights.norm_final(read("logits")) @ weights.W_U
    if absent := cut - set(seen.edges):
        raise ValueError(f"Every edge that is cut is one of the model's; got {sorted(absent)}.")
    return seen


def _attend(
    weights: Weights,
    block: Block,
    layer: int,
    read: Callable[[str], torch.Tensor],
    patterns: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """What each head of a layer adds to the residual stream."""
    keys, values = [], []
    for h, kv in enumerate(block.kv):
        keys.append(weights.turn(block.norm_1(read(f"L{layer}H{h}.k")) @ kv.W_K + kv.b_K))
        values.append(block.norm_1(read(f"L{layer}H{h}.v")) @ kv.W_V + kv.b_V)
    written = {}
    for h, head in enumerate(block.heads):
        q = weights.turn(block.norm_1(read(f"L{layer}H{h}.q")) @ head.W_Q + head.b_Q)
        scores = q @ keys[head.kv].transpose(1, 2) / q.shape[-1] ** 0.5
        future = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
        pattern = scores.masked_fill(future, float("-inf")).softmax(-1)
        patterns[f"L{layer}H{h}"] = pattern
        written[f"L{layer}H{h}.z"] = pattern @ values[head.kv] @ head.W_O
    return written
