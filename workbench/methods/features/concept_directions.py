"""Random dictionary: one that knows nothing."""

from __future__ import annotations

from typing import Any

import torch

from ...activations import activations
from ...check import Count, Seed, checked
from ...dictionary.base import Dictionary
from ...dictionary.encoders import Linear
from ...model import Model
from ...site import Site


@checked
def random_dictionary(
    model: Model,
    site: Site | str,
    n_features: Count,
    *,
    texts: Any = None,
    seed: Seed = 0,
) -> Dictionary:
    """A dictionary of random directions: what any dictionary has to beat.

    Directions are even on the sphere; a code is the activation, less its mean over the texts, along
    one of them, and signed. Decoded together the codes give about the activation back. texts: None
    takes no mean away. Raises `ValueError` for no features.
    """
    site = model.spec.check(site)
    d = model.spec.d_mlp if site.axes[-1] == "d_mlp" else model.spec.d_model
    mean = torch.zeros(d, dtype=torch.float64)
    if texts is not None:
        rows = activations(model, texts, [site], pool=None)[site]
        mean = torch.from_numpy(rows.mean(0, dtype="float64"))
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(n_features, d, generator=generator, dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    return Dictionary(
        site,
        Linear(directions.T.float().contiguous(), -(directions @ mean).float()),
        (directions * min(1.0, d / n_features)).float(),
        mean.float(),
        model=model.spec.name,
        name="random directions",
        info={"seed": seed},
    ).to(model.spec.device)
