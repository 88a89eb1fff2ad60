"""A plain pass whose parts can be differentiated, put, and left out of the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from tests.known_answers.plain_weights import Weights


@dataclass
class NodePass:
    """logits (batch, pos, d_vocab); kept: by name what each component gave, in one graph.

    Names: "embed", "L0H0.z" (what the head adds), "L0H0.q", "L0H0.k", "L0H0.v", "L0H0.pattern",
    "L0.mlp_out". Queries and keys are before the rotary turn.
    """

    logits: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    kept: dict[str, torch.Tensor] = field(default_factory=dict)


def node_pass(
    weights: Weights,
    ids: torch.Tensor,
    *,
    put: Mapping[str, torch.Tensor] | None = None,
    dropped: int | None = None,
) -> NodePass:
    """One pass. put: values in place of what components give. dropped: a layer whose attention and
    MLP outputs pass no gradient on.
    """
    seen, put = NodePass(), put or {}

    def keep(name: str, value: torch.Tensor) -> torch.Tensor:
        value = put.get(name, value)
        seen.kept[name] = value if value.requires_grad else value.clone().requires_grad_()
        return seen.kept[name]

    resid = keep("embed", weights.embed(ids))
    for layer, block in enumerate(weights.blocks):
        x = block.norm_1(resid)
        for h, kv in enumerate(block.kv):
            keep(f"L{layer}H{h}.k", x @ kv.W_K + kv.b_K)
            keep(f"L{layer}H{h}.v", x @ kv.W_V + kv.b_V)
        attn = block.b_O
        for h, head in enumerate(block.heads):
            q = keep(f"L{layer}H{h}.q", x @ head.W_Q + head.b_Q)
            k = seen.kept[f"L{layer}H{head.kv}.k"]
            pattern = keep(f"L{layer}H{h}.pattern", attend(weights, q, k))
            z = pattern @ seen.kept[f"L{layer}H{head.kv}.v"]
            attn = attn + keep(f"L{layer}H{h}.z", z @ head.W_O)
        resid = resid + (attn.detach() if layer == dropped else attn)
        mlp = keep(f"L{layer}.mlp_out", block.mlp(block.norm_2(resid)))
        resid = resid + (mlp.detach() if layer == dropped else mlp)
    seen.logits = weights.norm_final(resid) @ weights.W_U
    return seen


def attend(weights: Weights, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """(batch, dst, src) of one head's queries and keys (batch, pos, d_head)."""
    scores = weights.turn(q) @ weights.turn(k).transpose(1, 2) / q.shape[-1] ** 0.5
    future = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, float("-inf")).softmax(-1)


def with_queries(
    weights: Weights, layer: int, head: int, kept: Mapping[str, torch.Tensor], q: torch.Tensor
) -> torch.Tensor:
    """The pattern of a head with other queries."""
    return attend(weights, q, kept[f"L{layer}H{weights.blocks[layer].heads[head].kv}.k"])


def with_keys(
    weights: Weights, layer: int, head: int, kept: Mapping[str, torch.Tensor], k: torch.Tensor
) -> torch.Tensor:
    """The pattern of a head with other keys."""
    return attend(weights, kept[f"L{layer}H{head}.q"], k)
