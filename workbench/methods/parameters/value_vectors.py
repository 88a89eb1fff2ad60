"""Value vectors: rows of W_out by name, their ablation as weight edits, and random ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from ...model import Model
from ...site import Site
from ...weight_edits import WeightEdit

How = Literal["zero", "mean", "noise"]
HOW: tuple[How, ...] = get_args(How)
#: A random vector is drawn from this many of its layer that are nearest in size.
NEAREST = 50
Place = tuple[int, int]


def place_of(name: str) -> Place:
    """(layer, neuron) of a neuron's name."""
    site = Site.parse(name)
    assert site.layer is not None and site.unit is not None
    return site.layer, site.unit


def name_of(place: Place) -> str:
    """The neuron's name, "L2.mlp_post/77": its value vector is row 77 of layer 2's W_out."""
    return str(Site("mlp_post", place[0], unit=place[1]))


def by_layer(places: Sequence[Place]) -> dict[int, list[int]]:
    """The neurons of each layer, in order."""
    layers: dict[int, list[int]] = {}
    for layer, unit in sorted(places):
        layers.setdefault(layer, []).append(unit)
    return layers


def rows_of(model: Model, places: Sequence[Place]) -> np.ndarray:
    """(vector, d_model) float32: the value vectors as they are stored."""
    layers = {layer: model.weight("W_out", layer, copy=False) for layer, _ in places}
    return np.stack([layers[layer][unit].float().cpu().numpy() for layer, unit in places])


def ablations(
    model: Model, places: Sequence[Place], how: How, *, noise: float = 1.0, seed: int = 0
) -> list[WeightEdit]:
    """One edit a layer: the vectors set to zero or their layer's mean, or noise added to them.

    noise: the standard deviation of a vector's noise in units of its own root mean square. A
    vector's noise hangs on the seed and its place alone.
    """
    edits = []
    for layer, units in by_layer(places).items():
        if how == "zero":
            edits.append(WeightEdit("W_out", layer, units, value=0.0))
            continue
        stored = model.weight("W_out", layer, copy=False)
        if how == "mean":
            mean = stored.float().mean(0)
            edits.append(WeightEdit("W_out", layer, units, value=mean))
            continue
        own = stored[units].float().cpu().numpy()
        drawn = [
            np.random.default_rng([seed, layer, unit]).standard_normal(own.shape[1])
            for unit in units
        ]
        sizes = np.sqrt((own**2).mean(1, keepdims=True))
        edits.append(WeightEdit("W_out", layer, units, add=noise * sizes * np.stack(drawn)))
    return edits


def random_places(
    model: Model, places: Sequence[Place], n_draws: int, seed: int
) -> list[list[Place]]:
    """`n_draws` sets of other value vectors of the same layers, each near in size to its own.

    Raises `ValueError` where a layer has too few others.
    """
    layers = by_layer(places)
    sizes = {
        layer: model.weight("W_out", layer, copy=False).float().norm(dim=-1).cpu().numpy()
        for layer in layers
    }
    for layer, units in layers.items():
        n_others = len(sizes[layer]) - len(units)
        if n_others < len(units):
            raise ValueError(
                f"Random vectors are drawn from the others of a layer; layer {layer} has "
                f"{n_others} for {len(units)} that are ablated. Ablate fewer."
            )
    rng = np.random.default_rng(seed)
    return [_draw(layers, sizes, rng) for _ in range(n_draws)]


def _draw(
    layers: dict[int, list[int]], sizes: dict[int, np.ndarray], rng: np.random.Generator
) -> list[Place]:
    drawn: list[Place] = []
    for layer, units in layers.items():
        free = np.ones(len(sizes[layer]), bool)
        free[units] = False
        for unit in units:
            left = np.flatnonzero(free)
            distance = np.abs(sizes[layer][left] - sizes[layer][unit])
            other = int(rng.choice(left[np.argsort(distance, kind="stable")[:NEAREST]]))
            free[other] = False
            drawn.append((layer, other))
    return drawn
