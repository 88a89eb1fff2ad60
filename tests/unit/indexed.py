"""What the tests of feature pages share: a small dictionary, texts, and codes in plain loops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import workbench as wb
from tests.unit.kernels import index_file
from workbench.dictionary.base import Dictionary
from workbench.dictionary.encoders import ReLU, TopK
from workbench.loading import load
from workbench.texts import texts as shipped

SITE = "L1.resid_post"
N_FEATURES = 40
#: The last feature never fires, the one before it fires everywhere.
DEAD, DENSE = N_FEATURES - 1, N_FEATURES - 2
#: What the index of `made` keeps.
N_CONTEXTS, N_SAMPLED = 5, 6


@cache
def model(backend: str = "nnsight") -> Any:
    return load("tinyworld", backend=backend, device="cpu")


@cache
def texts() -> tuple[tuple[int, ...], ...]:
    """Twelve rows of ids of different lengths."""
    rows = model().tokenizer(list(shipped("tinyworld", n=12))).input_ids
    return tuple(tuple(row[: 40 + 2 * i]) for i, row in enumerate(rows))


def rows() -> list[list[int]]:
    return [list(row) for row in texts()]


@cache
def activations(site: str = SITE) -> tuple[torch.Tensor, ...]:
    """Each text's own activations, run alone."""
    return tuple(model().run([row], read=[site], logits_at=())[site][0] for row in rows())


@cache
def dictionary(kind: str = "topk", site: str = SITE) -> Dictionary:
    generator = torch.Generator().manual_seed(0)
    x = torch.cat(activations(site))
    middle = x.mean(0)
    d = x.shape[1]
    picked = x[torch.randint(len(x), (N_FEATURES,), generator=generator)] - middle
    noise = torch.randn(N_FEATURES, d, generator=generator)
    decoder = torch.nn.functional.normalize(picked + 2 * noise, dim=-1)
    weight = decoder.T.clone()
    bias = -(middle @ weight)
    bias[DEAD], bias[DENSE] = -1e4, 200.0
    encoder = TopK(weight, bias, 6) if kind == "topk" else ReLU(weight, bias - 3)
    return Dictionary(site, encoder, decoder, middle, model="tinyworld", name="small")


@cache
def codes(kind: str = "topk", site: str = SITE) -> tuple[np.ndarray, ...]:
    """(pos, feature) of each text, from the whole encoder."""
    return tuple(dictionary(kind, site).encode(x).numpy() for x in activations(site))


def made(folder: Path, kind: str = "topk", **options: Any) -> wb.features.FeatureIndex:
    options = {"n_contexts": N_CONTEXTS, "n_sampled": N_SAMPLED} | options
    # A pass is made small, so that the seams between passes are crossed.
    with mock.patch.object(index_file, "TEXTS_AT_ONCE", 5):
        return wb.features.index(
            model(), rows(), dictionary(kind), path=folder, progress=False, **options
        )


@dataclass(frozen=True)
class Fired:
    """A place at which a feature fires."""

    text: int
    position: int
    token: int
    value: float


def fired(feature: int, kind: str = "topk") -> list[Fired]:
    """Every place at which a feature fires, one by one."""
    out = []
    for t, (row, each) in enumerate(zip(rows(), codes(kind), strict=True)):
        for p, token in enumerate(row):
            if each[p, feature] > 0:
                out.append(Fired(t, p, token, float(each[p, feature])))
    return out


def other(kind: str = "topk") -> Dictionary:
    """A dictionary of the same site with other weights."""
    found = dictionary(kind)
    return replace(found, W_dec=2 * found.W_dec, name="other")
