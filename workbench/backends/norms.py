"""Norms as numbers, from the Hugging Face modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..model import ModelSpec, Norm
from .architecture import Architecture

BLOCK_NORMS = ("ln1", "ln2", "ln1_post", "ln2_post")


def norm(
    architecture: Architecture,
    modules: Mapping[str, torch.nn.Module],
    spec: ModelSpec,
    name: str,
    layer: int | None = None,
) -> Norm | None:
    """The named norm; None where the architecture has none there."""
    if name not in (*BLOCK_NORMS, "ln_final"):
        raise ValueError(f"A norm is one of {', '.join(BLOCK_NORMS)}, ln_final; got {name!r}.")
    if (layer is None) != (name == "ln_final"):
        raise ValueError(
            f"ln_final belongs to the whole model and the other norms to a layer; got {name!r} "
            f"with layer={layer!r}."
        )
    if layer is None:
        path = architecture.parts.get(name)
    else:
        if not 0 <= layer < spec.n_layers:
            raise ValueError(f"{spec.name} has layers 0 to {spec.n_layers - 1}; got layer {layer}.")
        path = architecture.path(name, layer) if name in architecture.block else None
    return None if path is None else _as_numbers(modules[path], f"{architecture.name}'s {name}")


def _as_numbers(module: Any, label: str) -> Norm:
    """The norm's own numbers; which of the usual forms it has is found by trying two vectors."""
    weight = module.weight.detach()
    stored = getattr(module, "bias", None)
    bias = torch.zeros_like(weight) if stored is None else stored.detach()
    epsilon = float(getattr(module, "eps", None) or getattr(module, "variance_epsilon", 0.0))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, weight.shape[-1], generator=generator).to(weight) + 0.5
    with torch.no_grad():
        # Past the hooks and wrappers of a pass that may be under way through this very module.
        expected = type(module).forward(module, x).double()
        forms = [(centers, plus) for centers in (True, False) for plus in (0, 1)]
        # The closest form, since in half precision another one may be close too.
        errors = []
        for centers, plus in forms:
            # In float64, whatever the model's own precision is.
            exact = Norm(centers, weight.double() + plus, bias.double(), epsilon)
            errors.append(float((exact(x.double()) - expected).abs().max()))
    best = min(range(len(forms)), key=errors.__getitem__)
    # Many RMS norms compute in float32 whatever they are given.
    precision = max(torch.finfo(weight.dtype).eps, torch.finfo(torch.float32).eps)
    if errors[best] <= 64 * precision * float(expected.abs().max()):
        centers, plus = forms[best]
        # Of its own: a norm is read, and not the module's to be written into.
        return Norm(centers, weight + plus, bias.clone(), epsilon)
    raise ValueError(f"{label} is neither a layer norm nor an RMS norm, so it is not taken apart.")
