"""Direct logits: what a direction adds to each token's logit on the straight way to the end."""

from __future__ import annotations

import torch

from ...model import Model
from ...site import Site

#: Streams whose vectors are added to the residual stream, or are it.
RESIDUAL = ("embed", "resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")


def direct_logits(model: Model, site: Site, direction: torch.Tensor) -> torch.Tensor | None:
    """(d_vocab,) float32: W_U · (weight of the final norm × centred direction), less its mean.

    The norm's division by the size of the residual stream is left out, so the numbers compare
    tokens and not features; what later layers do with the direction is left out too. Neurons
    (mlp_post) are first written by W_out, and a norm behind the MLP gives its weight. None for a
    site whose vectors are not added to the residual stream.
    """
    x = direction.to(model.weight("W_U", copy=False))
    if site.stream == "mlp_post":
        x = x @ model.weight("W_out", site.layer, copy=False) * model.spec.residual_multiplier
        behind = model.norm("ln2_post", site.layer)
        x = x if behind is None else behind.center(x) * behind.weight
    elif site.stream not in (*RESIDUAL, "ln_final"):
        return None
    norm = model.norm("ln_final")
    if norm is not None and site.stream != "ln_final":
        x = norm.center(x) * norm.weight
    logits = (x @ model.weight("W_U", copy=False)).float() * model.spec.logit_scale
    return logits - logits.mean()


def extremes(values: torch.Tensor, k: int, sign: float = 1.0) -> list[tuple[int, float]]:
    """The k largest values of (d_vocab,) with their ids, times a sign."""
    best, ids = values.topk(min(k, len(values)))
    return [(i, sign * value) for i, value in zip(ids.tolist(), best.tolist(), strict=True)]
