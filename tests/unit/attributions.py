"""Attributions of tinyworld, computed once, and what their recomputations share."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.unit.circuit_models import (
    Plain,
    by_length,
    ioi,
    plain,
    plain_metric,
    tinyworld,
)
from workbench import attribute
from workbench.circuits import Attribution

STEPS = 2
#: Readers of every stream, at several layers; those of heads are there under grouped queries too.
READERS = ("L0H3.q", "L2H1.k", "L3H1.v", "L3H1.q", "L2.mlp_in", "logits")
EDGES = ("eap", "eap-ig", "eap-ig-activations")
NODES = ("attribution", "eap-ig", "eap-ig-activations")
#: A parallel block that shares a norm, one with two, post-norms with grouped queries, sequential.
ARCHITECTURES = ("gptj", "gpt_neox", "gemma2", "gpt_neox_sequential")


@cache
def attributed(
    name: str, backend: str, method: str, over: Any, positions: bool = False
) -> Attribution:
    model: Any = tinyworld(name, backend)
    return attribute(
        model,
        ioi(),
        method=method,
        over=over,
        steps=STEPS,
        positions=positions,
    )


def gap_of(name: str) -> float:
    """Mean clean minus mean corrupt metric, from plain runs."""
    total = sum(
        float(plain_metric(batch, plain(name).run(batch.clean.ids)).sum())
        - float(plain_metric(batch, plain(name).run(batch.corrupt.ids)).sum())
        for _, batch in by_length(ioi())
    )
    return total / len(ioi())


def fractions(method: str) -> list[float]:
    """The places between corrupt and clean whose gradients are averaged."""
    return [k / STEPS for k in range(1, STEPS + 1)] if "ig" in method else [0.0]


def sources(model: Plain) -> list[list[str]]:
    """The writers that are moved together: a layer's heads, or one other."""
    layers = range(len(model.weights.blocks))
    out = [["embed"]]
    for layer in layers:
        out += [[w for w in model.writers if w.startswith(f"L{layer}H")], [f"L{layer}.mlp_out"]]
    return out
