"""What the tests of feature flow share: small dictionaries of a random model, and its codes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from tests.unit import lens_models
from workbench.dictionary.base import Dictionary
from workbench.dictionary.collection import Dictionaries
from workbench.dictionary.encoders import ReLU, TopK
from workbench.dictionary.normalization import Normalization

WIDTH, LAYERS = 32, 3
#: Where a feature may come from, and where it goes on.
LANES = ("resid", "mlp", "attn", "next")
#: Texts of different lengths, so that batches are padded.
TEXTS = [*lens_models.TEXTS, "Mary gave a book to Paul", "The store is Rome", lens_models.PROMPT]
#: In every dictionary the last feature never fires.
SIZES = {"resid_post": 24, "mlp_out": 20, "attn_out": 18}


def model(backend: str = "nnsight") -> Any:
    return lens_models.words_model(backend)


def made(site: str, n: int, seed: int, *, k: int = 0, **parts: Any) -> Dictionary:
    """A dictionary with random weights; its last feature never fires."""
    draw = torch.Generator().manual_seed(seed)
    W_enc, bias = torch.randn(WIDTH, n, generator=draw), torch.randn(n, generator=draw)
    bias[-1] = -1e6
    encoder = TopK(W_enc, bias, k) if k else ReLU(W_enc, bias)
    # Rows of a length of their own, so that no test passes by rows of length 1.
    W_dec = W_enc.T * (0.2 + torch.rand(n, 1, generator=draw)) / WIDTH
    return Dictionary(site, encoder, W_dec, torch.zeros(WIDTH), model="words", **parts)


@cache
def dictionaries() -> Dictionaries:
    """Three layers × three lanes; those after the MLP take the six largest only."""
    each = [
        made(f"L{layer}.{stream}", n, 10 * layer + i, k=6 if stream == "mlp_out" else 0)
        for layer in range(LAYERS)
        for i, (stream, n) in enumerate(SIZES.items())
    ]
    # One of them expects another scale.
    each[3] = made("L1.resid_post", 24, 77, normalization=Normalization(scale="factor", factor=0.7))
    return Dictionaries(each)


@cache
def codes(site: str, backend: str = "nnsight") -> np.ndarray:
    """(position, feature) float64: the codes at every token of every text, one text at a time."""
    dictionary = dictionaries()[site]
    out = []
    for text in TEXTS:
        x = model(backend).run(text, read=site, logits_at=())[site][0]
        out.append(dictionary.encode(x).double().numpy())
    return np.concatenate(out)


def cosine(a: str, b: str) -> np.ndarray:
    """(feature, feature) the cosines of the decoder rows of two sites."""
    rows = [dictionaries()[site].W_dec.double().numpy() for site in (a, b)]
    left, right = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rows)
    return left @ right.T


def before(site: str, lane: str) -> str | None:
    """The site that a lane leads to, written out."""
    layer, stream = int(site[1]), site.split(".")[1]
    if lane == "next":
        after = layer + (stream == "resid_post")
        return f"L{after}.resid_post" if after < LAYERS else None
    if stream != "resid_post":
        return None
    if lane == "resid":
        return f"L{layer - 1}.resid_post" if layer else None
    return f"L{layer}.{lane}_out"
