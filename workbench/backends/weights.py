"""Weights by TransformerLens's names and in its layout, from the Hugging Face modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..model import ModelSpec
from .architecture import Architecture

GLOBAL = ("W_E", "W_pos", "W_U", "b_U")
HEADED = ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")
LAYERED = (*HEADED, "b_O", "W_in", "W_gate", "W_out", "b_in", "b_gate", "b_out")
_PART = {
    "W_in": "in",
    "W_gate": "gate",
    "W_out": "out",
    "b_in": "in",
    "b_gate": "gate",
    "b_out": "out",
}


def weight(
    architecture: Architecture,
    modules: Mapping[str, torch.nn.Module],
    spec: ModelSpec,
    name: str,
    layer: int | None = None,
    head: int | None = None,
) -> torch.Tensor:
    """The named weight, unprocessed (no folded norms), zeros where the model has no such bias.

    W_E (d_vocab, d_model), W_pos (pos, d_model), W_U (d_model, d_vocab), b_U (d_vocab); W_Q, W_K,
    W_V (head, d_model, d_head), their biases (head, d_head), W_O (head, d_head, d_model), b_O
    (d_model); W_in and W_gate (d_model, d_mlp), W_out (d_mlp, d_model) and their biases. Without
    `layer` a layer's weight comes stacked over the layers.

    Raises `ValueError` for an unknown name, layer or head, or a weight the model does not have.
    """
    if name in GLOBAL:
        if layer is not None or head is not None:
            raise ValueError(f"{name} belongs to the whole model; leave layer and head out.")
        return _global(architecture, modules, name)
    if name not in LAYERED:
        raise ValueError(f"A weight is one of {', '.join((*GLOBAL, *LAYERED))}; got {name!r}.")
    if layer is None:
        layers = [
            weight(architecture, modules, spec, name, at, head) for at in range(spec.n_layers)
        ]
        return torch.stack(layers)
    if not 0 <= layer < spec.n_layers:
        raise ValueError(f"{spec.name} has layers 0 to {spec.n_layers - 1}; got layer {layer}.")
    if name not in HEADED:
        if head is not None:
            raise ValueError(
                f"{name} has no heads; leave head out. Weights with heads are {', '.join(HEADED)}."
            )
        part = _PART.get(name, "o")
        if part not in architecture.block:
            raise ValueError(f"{architecture.name} has no {name}: its MLP has no gate.")
        module = modules[architecture.path(part, layer)]
        return _matrix(module) if name.startswith("W") else _bias(module)
    heads = _headed(architecture, modules, spec, name, layer)
    if head is None:
        return heads
    if not 0 <= head < heads.shape[0]:
        raise ValueError(
            f"{name} of {spec.name} has heads 0 to {heads.shape[0] - 1}; got head {head}."
        )
    return heads[head]


def _global(
    architecture: Architecture, modules: Mapping[str, torch.nn.Module], name: str
) -> torch.Tensor:
    if name in ("W_U", "b_U"):
        module = modules[architecture.path("unembed")]
        return _matrix(module) if name == "W_U" else _bias(module)
    part = {"W_E": "embed", "W_pos": "pos_embed"}[name]
    if part not in architecture.parts:
        raise ValueError(
            f"{architecture.name} has no {name}: its positions are not embedded by a table."
        )
    module: Any = modules[architecture.path(part)]
    return module.weight.detach()


def _headed(
    architecture: Architecture,
    modules: Mapping[str, torch.nn.Module],
    spec: ModelSpec,
    name: str,
    layer: int,
) -> torch.Tensor:
    letter = name[-1].lower()
    if letter == "o":
        return _matrix(modules[architecture.path("o", layer)]).unflatten(
            0, (spec.n_heads, spec.d_head)
        )
    if "qkv" in architecture.block:
        if architecture.fused is None:
            raise ValueError(
                f"{architecture.name} joins q, k and v in a way that is not known here; read its "
                "modules."
            )
        module = modules[architecture.path("qkv", layer)]
        both = _matrix(module) if name.startswith("W") else _bias(module)[None]
        split = split_qkv(both, architecture.fused, spec)[letter]
        return split.transpose(0, 1) if name.startswith("W") else split[0]
    module = modules[architecture.path(letter, layer)]
    if name.startswith("W"):
        return _matrix(module).unflatten(-1, (-1, spec.d_head)).transpose(0, 1)
    return _bias(module).unflatten(-1, (-1, spec.d_head))


def split_qkv(joint: torch.Tensor, form: str, spec: ModelSpec) -> dict[str, torch.Tensor]:
    """A joint projection (…, 3 · head · d_head) as q, k and v, each (…, head, d_head)."""
    if form == "concatenated":
        parts = joint.unflatten(-1, (3, spec.n_heads, spec.d_head)).unbind(-3)
    else:
        parts = joint.unflatten(-1, (spec.n_heads, 3, spec.d_head)).unbind(-2)
    return dict(zip("qkv", parts, strict=True))


def join_qkv(parts: Mapping[str, torch.Tensor], form: str) -> torch.Tensor:
    """The inverse of `split_qkv`."""
    stacked = [parts[name] for name in "qkv"]
    return torch.stack(stacked, dim=-3 if form == "concatenated" else -2).flatten(-3)


def _matrix(module: Any) -> torch.Tensor:
    """A linear map as (in, out), whichever way round the module stores it."""
    matrix = module.weight.detach()
    return matrix if type(module).__name__ == "Conv1D" else matrix.T


def _bias(module: Any) -> torch.Tensor:
    bias = getattr(module, "bias", None)
    if bias is None:
        return _matrix(module).new_zeros(_matrix(module).shape[-1])
    return bias.detach()
