"""Decompositions of held activations into directions."""

from __future__ import annotations

from typing import Literal

import torch

from ..activations import Activations
from ..check import Count, Seed, checked
from ..dictionary.base import Dictionary
from ..dictionary.collection import Dictionaries
from ..dictionary.encoders import Linear


@checked
def decompose(
    acts: Activations, *, kind: Literal["random"], n_features: Count, seed: Seed = 0
) -> Dictionaries:
    """A dictionary of each site of the activations; "random": what any other has to beat.

        acts = wb.activations(model, texts, "L2.resid_post", pool=None)
        wb.features.decompose(acts, kind="random", n_features=512)

    Random directions are even on the sphere; a code is the activation, less the mean of the rows,
    along one of them, and signed. Decoded together the codes give about the activation back.
    """
    found = []
    for site, mean in acts.mean().items():
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(n_features, len(mean), generator=generator, dtype=torch.float64)
        rows = torch.nn.functional.normalize(rows, dim=-1)
        centre = torch.as_tensor(mean)
        found.append(
            Dictionary(
                site,
                Linear(rows.T.float().contiguous(), -(rows @ centre).float()),
                (rows * min(1.0, len(mean) / n_features)).float(),
                centre.float(),
                model=acts.model,
                name="random directions",
                info={"seed": seed},
            )
        )
    return Dictionaries(found)
