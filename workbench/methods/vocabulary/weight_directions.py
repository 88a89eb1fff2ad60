"""Weights as directions of the residual stream, with the norms beside them folded in."""

from __future__ import annotations

from typing import Literal

import torch

from ...model import Model, Norm
from ..edge_cuts import mlp_norm
from .projection import NormChoice


def neuron_writing(model: Model, layer: int, norm: NormChoice = "folded") -> torch.Tensor:
    """(d_mlp, d_model): what a neuron adds for an activation of 1, before a post-norm's division.

    "folded": where a norm follows the MLP (Gemma 2, OLMo 2), through its centring and weight.
    """
    written = model.weight("W_out", layer, copy=False) * model.spec.residual_multiplier
    return _through(model.norm("ln2_post", layer), written) if norm == "folded" else written


def neuron_reading(
    model: Model,
    layer: int,
    norm: NormChoice = "folded",
    name: Literal["W_in", "W_gate"] = "W_in",
) -> torch.Tensor:
    """(d_mlp, d_model): the direction whose product with the (normed) stream a neuron reads.

    "folded": times the weight of the norm before the MLP, and centred where it centres.
    """
    read = model.weight(name, layer, copy=False).T
    return _before(mlp_norm(model, layer), read) if norm == "folded" else read


def head_reading(
    model: Model, layer: int, head: int, name: Literal["Q", "K", "V"], norm: NormChoice = "folded"
) -> torch.Tensor:
    """(d_head, d_model): the directions that a head's query, key or value reads.

    head: a query head; under grouped queries its key and value are those of its group. "folded" as
    for `neuron_reading`, with the norm before attention.
    """
    spec = model.spec
    at = head if name == "Q" else head // (spec.n_heads // spec.n_kv_heads)
    read = model.weight(f"W_{name}", layer, at, copy=False).T
    return _before(model.norm("ln1", layer), read) if norm == "folded" else read


def head_writing(model: Model, layer: int, head: int, norm: NormChoice = "folded") -> torch.Tensor:
    """(d_head, d_model): what each dimension of a head's z adds; post-norm as `neuron_writing`."""
    written = model.weight("W_O", layer, head, copy=False) * model.spec.residual_multiplier
    return _through(model.norm("ln1_post", layer), written) if norm == "folded" else written


def _before(norm: Norm | None, directions: torch.Tensor) -> torch.Tensor:
    """Directions that read a normed stream, as directions that read the stream itself."""
    return directions if norm is None else norm.center(directions * norm.weight)


def _through(norm: Norm | None, directions: torch.Tensor) -> torch.Tensor:
    """What is left of written directions behind a norm whose division is left out."""
    return directions if norm is None else norm.center(directions) * norm.weight
