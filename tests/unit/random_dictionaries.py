"""Small random dictionaries of every kind, for tests of what does not depend on a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from workbench.dictionary.base import Dictionary
from workbench.dictionary.encoders import (
    BatchTopK,
    Encoder,
    Factors,
    Gated,
    JumpReLU,
    Linear,
    MatchingPursuit,
    ReLU,
    TopK,
)
from workbench.dictionary.normalization import Normalization

D_IN, N = 12, 40
KINDS = (
    "relu",
    "jumprelu",
    "batchtopk",
    "topk",
    "gated",
    "matching_pursuit",
    "snmf",
    "linear",
)


def dictionary(
    kind: str, *, d_in: int = D_IN, n: int = N, seed: int = 0, **parts: Any
) -> Dictionary:
    """A dictionary of L1.resid_post with random weights; `parts` replace its own."""
    make = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=make) * 0.5

    W_dec, b_dec = draw(n, d_in), draw(d_in)
    if kind == "matching_pursuit":
        W_dec = W_dec / W_dec.norm(dim=-1, keepdim=True)
    first, threshold = (draw(d_in, n), draw(n)), draw(n).abs()
    encoders: dict[str, Encoder] = {
        "relu": ReLU(*first),
        "linear": Linear(*first),
        "jumprelu": JumpReLU(*first, threshold),
        "batchtopk": BatchTopK(*first, threshold, 5),
        "topk": TopK(*first, 5),
        "gated": Gated(first[0], draw(n), draw(n), draw(n)),
        "matching_pursuit": MatchingPursuit(W_dec, b_dec, 4),
        "snmf": Factors(W_dec),
    }
    own: dict[str, Any] = {
        "site": "L1.resid_post",
        "encoder": encoders[kind],
        "W_dec": W_dec,
        "b_dec": b_dec,
    }
    own |= {"model": "tiny", "name": f"random {kind}"} | parts
    return Dictionary(**own)


def transcoder(kind: str = "relu", *, skip: bool = False, seed: int = 0) -> Dictionary:
    """A dictionary that reads L1.mlp_in and gives L1.mlp_out."""
    made = dictionary(kind, seed=seed)
    W_skip = torch.randn(D_IN, D_IN, generator=torch.Generator().manual_seed(seed + 1))
    return replace(made, site="L1.mlp_in", out_site="L1.mlp_out", W_skip=W_skip if skip else None)


def forms() -> dict[str, Dictionary]:
    """Every kind, and what is done to the activation first, by name."""
    out = {kind: dictionary(kind) for kind in KINDS}
    ways = {
        "centred": Normalization(center=True),
        "factor": Normalization(scale="factor", factor=0.37),
        "layer_norm": Normalization(scale="layer_norm"),
        "constant_norm": Normalization(scale="constant_norm"),
    }
    for kind in ("relu", "gated", "topk", "matching_pursuit", "snmf"):
        out |= {f"{kind}_{n}": dictionary(kind, normalization=way) for n, way in ways.items()}
    stops = MatchingPursuit(
        out["matching_pursuit"].W_dec, out["matching_pursuit"].b_dec, 9, 1.2, True
    )
    out["matching_pursuit_stops"] = replace(out["matching_pursuit"], encoder=stops)
    untied = MatchingPursuit(out["matching_pursuit"].W_dec, out["matching_pursuit"].b_dec * 0, 4)
    out["matching_pursuit_untied"] = replace(out["matching_pursuit"], encoder=untied)
    for kind in ("relu", "jumprelu", "batchtopk", "topk", "gated", "linear"):
        out[f"{kind}_transcoder"] = transcoder(kind)
        out[f"{kind}_skip_transcoder"] = transcoder(kind, skip=True)
    out["factor_transcoder"] = replace(transcoder(), normalization=ways["factor"])
    return out


def activations(n: int = 9, d: int = D_IN, seed: int = 7) -> torch.Tensor:
    """(n, d) vectors with a mean that is not 0."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * 2 + 0.5
