"""What a loaded model really has: sites that compute, edits that arrive, sums that hold.

An adapter may name modules of an architecture nobody has tried here. A few passes over three tokens
tell which sites can be read, which edits move the logits, and whether the read-out and the sums
that other sites are derived from are this model's own, so that nothing is silently wrong or
silently without effect.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import torch

from ..edits import Add
from ..site import GLOBAL_STREAMS, Site
from ..tokens import Tokens
from .base import TracedModel

SUMS = ("attn_out", "resid_mid", "mlp_out")


def survey(model: TracedModel) -> None:
    """Set the model's streams, read-only streams and read-out to what holds; warn of the rest."""
    if model.on_server:
        model.tuple_blocks = _tuple_blocks(model, lambda: _shapes_only(model))
        return
    tokens = _probe_tokens(model)
    try:
        model.tuple_blocks = _tuple_blocks(
            model, lambda: model.run(tokens, read="L0.resid_pre", logits_at="last")
        )
    except RuntimeError as error:
        raise ValueError(
            f"The {model.spec.backend} backend cannot run {model.spec.architecture} in "
            f"{model.spec.dtype} on {model.spec.device}: {error}. Load it with the other backend, "
            "or with dtype='float32'."
        ) from error
    streams = tuple(s for s in model.spec.streams if _reads(model, tokens, s))
    if {"attn_scores", "pattern"} <= set(streams) and not _scores_give_pattern(model, tokens):
        streams = tuple(s for s in streams if s != "attn_scores")
    model.spec = replace(model.spec, streams=streams)
    if broken := _broken_sums(model, tokens):
        warnings.warn(
            f"{model.spec.architecture} scales or adds to the residual stream outside its "
            "attention and MLP "
            f"outputs, so {', '.join(broken)} are not what is added to it and are left out of its "
            "sites.",
            stacklevel=4,
        )
        model.spec = replace(model.spec, streams=tuple(s for s in streams if s not in broken))
    read_only = tuple(
        s for s in ("attn_scores", "pattern") if s in streams and not _moves(model, tokens, s)
    )
    model.spec = replace(model.spec, read_only=read_only)
    model.set_readout_error(_readout_error(model, tokens))


def _probe_tokens(model: TracedModel) -> Tokens:
    ids = torch.arange(1, 4, device=model.device)[None] % model.spec.d_vocab
    return Tokens(ids, torch.ones_like(ids, dtype=torch.bool), (("", "", ""),))


def _shapes_only(model: TracedModel) -> None:
    """A pass over shapes, where the weights are on a server."""
    ids = torch.zeros((1, 2), dtype=torch.long, device="meta")
    model.module("")(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)


def _tuple_blocks(model: TracedModel, forward: Callable[[], object]) -> bool:
    seen: list[bool] = []
    block = model.module(model.architecture.path("block", 0))
    handle = block.register_forward_hook(
        lambda module, args, output: seen.append(isinstance(output, tuple))
    )
    try:
        forward()
    finally:
        handle.remove()
    return seen[0]


def _site(stream: str, layer: int = 0) -> Site:
    return Site(stream) if stream in GLOBAL_STREAMS else Site(stream, layer)


def _reads(model: TracedModel, tokens: Tokens, stream: str) -> bool:
    """Whether the stream can be read; attention's inside is found by name and may lack."""
    if stream not in ("attn_scores", "pattern", "q", "k", "v"):
        return True
    try:
        model.run(tokens, read=_site(stream), logits_at="last")
    except Exception:  # whatever a library raises for a place that its model does not have
        return False
    return True


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    tolerance = 1e-4 if a.dtype in (torch.float32, torch.float64) else 3e-2
    return bool((a - b).abs().max() <= tolerance * b.abs().max().clamp(min=1e-3))


def _broken_sums(model: TracedModel, tokens: Tokens) -> tuple[str, ...]:
    layer = model.spec.n_layers - 1
    names = [
        s for s in ("resid_pre", "attn_out", "mlp_out", "resid_post") if s in model.spec.streams
    ]
    run = model.run(tokens, read=[Site(s, layer) for s in names], logits_at="last")
    total = sum(run[Site(s, layer)].float() for s in names[:-1])
    if _close(
        torch.as_tensor(total).to(run[Site("resid_post", layer)].dtype),
        run[Site("resid_post", layer)],
    ):
        return ()
    return tuple(s for s in SUMS if s in model.spec.streams)


def _scores_give_pattern(model: TracedModel, tokens: Tokens) -> bool:
    """Whether the scores are the softmax's input; some bridges show the pattern there."""
    run = model.run(tokens, read=["L0.attn_scores", "L0.pattern"], logits_at="last")
    return _close(run["L0.attn_scores"].float().softmax(-1), run["L0.pattern"].float())


def _moves(model: TracedModel, tokens: Tokens, stream: str) -> bool:
    """Whether an edit of the stream reaches the logits: uneven noise, which no softmax cancels."""
    plain = model.run(tokens).logits
    assert plain is not None
    noise = torch.linspace(0.1, 0.9, 3, device=model.device)
    with warnings.catch_warnings():
        # TransformerLens says itself that an edit is dropped; what comes of it is measured here.
        warnings.simplefilter("ignore")
        edited = model.run(tokens, edits=Add(_site(stream), noise)).logits
    return not torch.equal(plain, torch.as_tensor(edited))


def _readout_error(model: TracedModel, tokens: Tokens) -> str:
    last = Site("resid_post", model.spec.n_layers - 1)
    run = model.run(tokens, read=last)
    assert run.logits is not None
    if _close(model.unembed(run[last]), run.logits):
        return ""
    return (
        f"The final norm and unembedding of {model.spec.architecture} do not give its own logits: "
        "it changes the "
        "residual stream in between in a way that is not known here. Read its logits, not a lens."
    )
