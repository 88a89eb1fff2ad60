"""What activations add up to: where a model is the sum that a decomposition takes it for.

Edges, heads' outputs, direct attribution and the flow of one pass take a model apart by its
weights. That holds only where the parts add up to the activation they are parts of. It is checked
once, on every layer, with the activations of one pass.
"""

from __future__ import annotations

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
    reasons = {
        "stream": _stream(model, run),
        "heads": _parts(model, run, "heads", "z", "attn_out", "O", "ln1_post"),
        "neurons": _parts(model, run, "neurons", "mlp_post", "mlp_out", "out", "ln2_post"),
        "readers": _readers(model, run),
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _missing(model: TracedModel, layer: int, *streams: str) -> str:
    return ", ".join(s for s in streams if layer not in model.spec.layers(s))


def _stream(model: TracedModel, run: Run) -> str:
    """Why attn_out and mlp_out are not what blocks add to the stream; empty if they are."""
    spec = model.spec
    for layer in range(spec.n_layers):
        before, after = run[Site("resid_pre", layer)], run[Site("resid_post", layer)]
        added = [run[Site(s, layer)] for s in ("attn_out", "mlp_out") if layer in spec.layers(s)]
        following = run[Site("resid_pre", layer + 1)] if layer + 1 < spec.n_layers else after
        total = before.double() + sum(x.double() for x in added)
        if not (close(total, after) and close(following, after)):
            return (
                f"{spec.architecture} scales or adds to the residual stream outside its attention "
                f"and MLP outputs (layer {layer}, {spec.backend} backend), so that attn_out, "
                "resid_mid and mlp_out are not what is added to it and are left out of its sites, "
                "and it is not taken apart into components. Read, patch or steer resid_pre and "
                "resid_post."
            )
    return ""


def _parts(
    model: TracedModel, run: Run, parts: str, stream: str, total: str, name: str, after: str
) -> str:
    """Why the parts of a layer's output do not add up to it; empty if they do.

    The parts are read in `stream`, written by the weight `name` and normed by `after`.
    """
    spec = model.spec
    what = f"The {parts} of {spec.architecture} are not told apart on the {spec.backend} backend"
    rest = f"Read or patch {total} of {spec.name} in place of its {parts}."
    if not spec.layers(stream):
        return f"{spec.architecture} has no {stream} on the {spec.backend} backend. {rest}"
    for layer in spec.layers(stream):
        if layer not in spec.layers(total):
            return f"{what}: layer {layer} has no {total}. {rest}"
        out = run[Site(total, layer)]
        try:
            weight = model.weight(f"W_{name}", layer, copy=False).float().flatten(0, -2)
            written = run[Site(stream, layer)].float().flatten(2) @ weight
            written = written + model.weight(f"b_{name}", layer).float()
            norm = _norm(model, after, layer)
        except (ValueError, RuntimeError) as error:
            return f"{what} (layer {layer}): {error} {rest}"
        written = written if norm is None else norm(written)
        if not close(written * spec.residual_multiplier, out):
            return f"{what}: {total} of layer {layer} is not their sum, nor its norm. {rest}"
    return ""


def _readers(model: TracedModel, run: Run) -> str:
    """Why q, k, v and mlp_in are not a norm and a projection of the residual stream, or empty."""
    spec = model.spec
    what = (
        f"What a component of {spec.architecture} reads is not told apart on the {spec.backend} "
        "backend"
    )
    rest = f"Score, ablate or patch nodes of {spec.name} in place of edges."
    if not spec.layers("q"):
        return f"{spec.architecture} has no q on the {spec.backend} backend. {rest}"
    streams = ("q", "k", "v", "mlp_in")
    for layer in spec.layers("q"):
        middle = "resid_pre" if spec.parallel else "resid_mid"
        if lacking := _missing(model, layer, *streams, middle):
            return f"{what}: layer {layer} has no {lacking}. {rest}"
        try:
            wrong = [s for s in streams if not _reads_stream(model, run, s, layer)]
        except (ValueError, RuntimeError) as error:
            return f"{what} (layer {layer}): {error} {rest}"
        if wrong:
            return (
                f"{what}: {', '.join(wrong)} of layer {layer} are no norm and projection of the "
                f"residual stream. {rest}"
            )
    return ""


def _reads_stream(model: TracedModel, run: Run, stream: str, layer: int) -> bool:
    read = run[Site(stream, layer)]
    norm = _norm(model, "ln1", layer)
    if stream != "mlp_in":
        resid = run[Site("resid_pre", layer)].float()
        normed = resid if norm is None else norm(resid)
        weight = model.weight(f"W_{stream.upper()}", layer, copy=False).float()
        bias = model.weight(f"b_{stream.upper()}", layer).float()
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
