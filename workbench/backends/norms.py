"""Norms as numbers, from the Hugging Face modules."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import torch

from ..model import ModelSpec, Norm
from .architecture import Architecture

#: What a norm adds under its root, where it does not say.
USUAL_EPSILONS = (1e-5, 1e-6, 1e-8, 1e-12, 0.0)
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
        path = architecture.path(name, layer) if architecture.has(name, layer) else None
    if path is None or isinstance(modules[path], torch.nn.Identity):
        return None
    return _as_numbers(modules[path], spec, f"{architecture.name}'s {name}")


def _as_numbers(module: Any, spec: ModelSpec, label: str) -> Norm:
    """The norm's own numbers; which of the usual forms it has is found by trying four vectors."""
    stored, added = getattr(module, "weight", None), getattr(module, "bias", None)
    like = next((t for t in (stored, added) if isinstance(t, torch.Tensor)), None)
    if like is None:
        like = torch.ones(spec.d_model, dtype=getattr(torch, spec.dtype), device=spec.device)
    # A norm without a weight multiplies by 1.
    weight = torch.ones_like(like) if stored is None else stored.detach()
    bias = torch.zeros_like(like) if added is None else added.detach()
    named = (getattr(module, name, None) for name in ("eps", "variance_epsilon", "epsilon"))
    own = next((float(e) for e in named if isinstance(e, (int, float))), None)
    # Some keep it in their code; vectors that are small tell.
    epsilons = USUAL_EPSILONS if own is None else (own,)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, weight.shape[-1], generator=generator).to(weight) + 0.5
    x[2:] *= 0.01
    with torch.no_grad():
        # Past the hooks and wrappers of a pass that may be under way through this very module.
        expected = type(module).forward(module, x).double()
        offsets = (0,) if stored is None else (0, 1)
        forms = list(product((True, False), offsets, epsilons))
        # The closest form, since in half precision another one may be close too.
        errors = []
        for centers, plus, epsilon in forms:
            # In float64, whatever the model's own precision is.
            exact = Norm(centers, weight.double() + plus, bias.double(), epsilon)
            errors.append(float((exact(x.double()) - expected).abs().max()))
    best = min(range(len(forms)), key=errors.__getitem__)
    # Many RMS norms compute in float32 whatever they are given.
    precision = max(torch.finfo(weight.dtype).eps, torch.finfo(torch.float32).eps)
    if errors[best] <= 64 * precision * float(expected.abs().max()):
        centers, plus, epsilon = forms[best]
        # Of its own: a norm is read, and not the module's to be written into.
        return Norm(centers, weight + plus, bias.clone(), epsilon)
    raise ValueError(f"{label} is neither a layer norm nor an RMS norm, so it is not taken apart.")
