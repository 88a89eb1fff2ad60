"""What activations add up to: where a model is the sum that a decomposition takes it for.

Edges, heads' outputs, direct attribution and the flow of one pass take a model apart by its
weights. That holds only where the parts add up to the activation they are parts of. It is checked
once, on every layer, with the activations of one pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from ..model import Norm, Run
from ..site import Site
from .base import TracedModel


def close(a: torch.Tensor, b: torch.Tensor, bound: float | None = None) -> bool:
    """Whether two computations of one thing agree, relative to its largest number."""
    if bound is None:
        bound = 1e-4 if b.dtype in (torch.float32, torch.float64) else 3e-2
    a, b = a.detach().double(), b.detach().double()
    return bool((a - b).abs().max() <= bound * b.abs().max().clamp(min=1e-3))


def undecomposed(model: TracedModel, run: Run) -> dict[str, str]:
    """Which sums do not hold, and why, as `ModelSpec.undecomposed` has it; `run` read all sites."""
    checks = {"stream": _stream, "heads": _heads, "neurons": _neurons, "readers": _readers}
    out = {}
    for name, check in checks.items():
        reason = next(check(model, run), None)
        if reason:
            out[name] = reason
    return out


def _missing(model: TracedModel, layer: int, *streams: str) -> str:
    return ", ".join(s for s in streams if layer not in model.spec.layers(s))


def _stream(model: TracedModel, run: Run) -> Iterator[str]:
    """Why attn_out and mlp_out are not what blocks add to the residual stream."""
    spec = model.spec
    for layer in range(spec.n_layers):
        before, after = run[Site("resid_pre", layer)], run[Site("resid_post", layer)]
        added = [run[Site(s, layer)] for s in ("attn_out", "mlp_out") if layer in spec.layers(s)]
        following = run[Site("resid_pre", layer + 1)] if layer + 1 < spec.n_layers else after
        if not close(before.double() + sum(x.double() for x in added), after) or (
            not close(following, after)
        ):
            yield (
                f"{spec.architecture} scales or adds to the residual stream outside its attention "
                f"and MLP outputs (layer {layer}, {spec.backend} backend), so that attn_out, "
                "resid_mid and mlp_out are not what is added to it and are left out of its sites, "
                "and it is not taken apart into components. Read, patch or steer resid_pre and "
                "resid_post."
            )


def _heads(model: TracedModel, run: Run) -> Iterator[str]:
    """Why the heads of a layer do not add up to attn_out."""
    spec = model.spec
    rest = f"Read or patch attn_out of {spec.name} in place of its heads."
    if not spec.layers("z"):
        yield f"{spec.architecture} has no z on the {spec.backend} backend. {rest}"
    for layer in spec.layers("z"):
        if lacking := _missing(model, layer, "attn_out"):
            yield (
                f"The heads of {spec.architecture} are not told apart on the {spec.backend} "
                f"backend: layer {layer} has no {lacking}. {rest}"
            )
            return
        out = run[Site("attn_out", layer)]
        try:
            z, w_o = run[Site("z", layer)].float(), model.weight("W_O", layer).float()
            summed = torch.einsum("bphd,hdm->bpm", z, w_o) + model.weight("b_O", layer).float()
            norm = _norm(model, "ln1_post", layer)
        except (ValueError, RuntimeError) as error:
            yield (
                f"The heads of {spec.architecture} are not told apart (layer {layer}): {error} "
                f"{rest}"
            )
            return
        summed = summed if norm is None else norm(summed)
        if not close(summed * spec.residual_multiplier, out):
            yield (
                f"The heads of {spec.architecture} are not told apart: attn_out of layer {layer} "
                f"is not their sum, nor its norm, on the {spec.backend} backend. {rest}"
            )


def _neurons(model: TracedModel, run: Run) -> Iterator[str]:
    """Why the neurons of a layer do not add up to mlp_out."""
    spec = model.spec
    rest = f"Read or patch mlp_out of {spec.name} in place of its neurons."
    if not spec.layers("mlp_post"):
        yield f"{spec.architecture} has no mlp_post on the {spec.backend} backend. {rest}"
    for layer in spec.layers("mlp_post"):
        if lacking := _missing(model, layer, "mlp_out"):
            yield (
                f"The neurons of {spec.architecture} are not told apart on the {spec.backend} "
                f"backend: layer {layer} has no {lacking}. {rest}"
            )
            return
        out = run[Site("mlp_out", layer)]
        try:
            summed = run[Site("mlp_post", layer)].float() @ model.weight("W_out", layer).float()
            summed = summed + model.weight("b_out", layer).float()
            norm = _norm(model, "ln2_post", layer)
        except (ValueError, RuntimeError) as error:
            yield (
                f"The neurons of {spec.architecture} are not told apart (layer {layer}): {error} "
                f"{rest}"
            )
            return
        summed = summed if norm is None else norm(summed)
        if not close(summed * spec.residual_multiplier, out):
            yield (
                f"The neurons of {spec.architecture} are not told apart: mlp_out of layer {layer} "
                f"is not their sum, nor its norm, on the {spec.backend} backend. {rest}"
            )


def _readers(model: TracedModel, run: Run) -> Iterator[str]:
    """Why q, k, v and mlp_in are not a norm and a projection of the residual stream."""
    spec = model.spec
    rest = f"Score, ablate or patch nodes of {spec.name} in place of edges."
    if not spec.layers("q"):
        yield f"{spec.architecture} has no q on the {spec.backend} backend. {rest}"
    for layer in spec.layers("q"):
        middle = "resid_pre" if spec.parallel else "resid_mid"
        if lacking := _missing(model, layer, "k", "v", "mlp_in", middle):
            yield (
                f"What a component of {spec.architecture} reads is not told apart on the "
                f"{spec.backend} backend: layer {layer} has no {lacking}. {rest}"
            )
            return
        try:
            wrong = [
                s for s in ("q", "k", "v", "mlp_in") if not _reads_stream(model, run, s, layer)
            ]
        except (ValueError, RuntimeError) as error:
            yield (
                f"What a component of {spec.architecture} reads is not told apart (layer "
                f"{layer}): {error} {rest}"
            )
            return
        if wrong:
            yield (
                f"What a component of {spec.architecture} reads is not told apart: "
                f"{', '.join(wrong)} of layer {layer} are no norm and projection of the residual "
                f"stream on the {spec.backend} backend. {rest}"
            )


def _reads_stream(model: TracedModel, run: Run, stream: str, layer: int) -> bool:
    read = run[Site(stream, layer)]
    norm = _norm(model, "ln1", layer)
    if stream != "mlp_in":
        resid = run[Site("resid_pre", layer)].float()
        normed = resid if norm is None else norm(resid)
        weight, bias = (model.weight(f"{x}_{stream.upper()}", layer).float() for x in "Wb")
        return close(torch.einsum("bpm,hmd->bphd", normed, weight) + bias, read)
    before = _norm(model, "ln2", layer)
    if before is None and model.spec.parallel:
        before = norm
    resid = run[Site("resid_pre" if model.spec.parallel else "resid_mid", layer)].float()
    return close(resid if before is None else before(resid), read)


def _norm(model: TracedModel, name: str, layer: int) -> Norm | None:
    """A norm in float32, whatever the model's own precision is."""
    norm = model.norm(name, layer)
    if norm is None:
        return None
    return replace(norm, weight=norm.weight.float(), bias=norm.bias.float())
