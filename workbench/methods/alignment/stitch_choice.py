"""Stitch choice: which units are stitched, and which stand in for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...site import Site
from .stitch_fits import Fit, mean_values, rows_of
from .stitch_runs import divergences, estimated_effects
from .stitch_texts import StitchTexts
from .weight_alignment import WeightAlignment

#: For each component wanted so many are ablated, those with the largest estimated effects, on up to
#: so many of the fitted texts.
ABLATED, ABLATED_ON = 3, 8


def paired(alignment: WeightAlignment, components: Any) -> list[int]:
    """The numbers of the pairs of these components of b, or of all."""
    if components is None:
        return list(range(len(alignment.similarity)))
    if isinstance(components, (str, Site)):
        components = [components]
    if not components:
        raise ValueError("At least one component is stitched; got none.")
    out = []
    for component in components:
        if alignment.partner(component, back=True) is None:
            raise ValueError(
                f"A stitched component has a partner; {component} of {alignment.model_b} was left "
                "over by the alignment. Leave it out."
            )
        out.append(alignment.names_b.index(str(Site.parse(component))))
    if len(set(out)) != len(out):
        raise ValueError(f"Each component is stitched once; got {list(map(str, components))}.")
    return out


def largest_effects(
    alignment: WeightAlignment, data: StitchTexts, pairs: list[int], n: int, bar: Any
) -> list[int]:
    """The n pairs whose component of b does the most when it is ablated, most first."""
    places = [place_of(alignment, pair) for pair in pairs]
    layers = sorted({layer for layer, _ in places})
    rows = rows_of(data, layers, places)
    order = np.arange(len(pairs))
    if alignment.of == "neurons" and len(pairs) > ABLATED * n:
        estimates = estimated_effects(data, layers)[rows]
        order = np.argsort(-estimates, kind="stable")[: ABLATED * n]
    means = mean_values(data, data.model_b, layers)[[rows[i] for i in order]]
    some = data.fit[:ABLATED_ON]
    found = divergences(data, some, [places[i] for i in order], means, bar)
    largest = np.argsort(-found[:, 0].mean(-1), kind="stable")[:n]
    return [pairs[order[i]] for i in largest]


def place_of(alignment: WeightAlignment, pair: int) -> tuple[int, int]:
    """(layer, unit) in b."""
    return int(alignment.layers_b[pair]), int(alignment.units_b[pair])


def pool_layers(alignment: WeightAlignment, pairs: list[int]) -> list[int]:
    """Layers of a whose units may stand in."""
    if alignment.of == "heads" or alignment.within == "all":
        return list(range(alignment.n_layers[0]))
    return sorted({int(alignment.layers_a[pair]) for pair in pairs})


def stand_ins(
    alignment: WeightAlignment,
    pairs: list[int],
    layers_a: list[int],
    fitted: Fit,
    n_random: int,
    seed: int,
) -> np.ndarray:
    """(component, stand-in) units of a, numbered through its layers: partner, best, random ones."""
    n = alignment.n_units[0]
    whole = alignment.of == "heads" or alignment.within == "all"
    rng = np.random.default_rng(seed)
    out = []
    for number, pair in enumerate(pairs):
        first = layers_a.index(int(alignment.layers_a[pair])) * n
        partner = first + int(alignment.units_a[pair])
        pool = np.arange(len(layers_a) * n) if whole else np.arange(first, first + n)
        others = pool[pool != partner]
        if len(others) < n_random:
            raise ValueError(
                f"Random stand-ins are other {alignment.of} of {alignment.model}; there are "
                f"{len(others)}, fewer than n_random={n_random}."
            )
        best = pool[np.argmax(_closeness(alignment, fitted, number)[pool])]
        random = rng.choice(others, n_random, replace=False)
        out.append([partner, best, *random])
    return np.array(out)


def _closeness(alignment: WeightAlignment, fitted: Fit, number: int) -> np.ndarray:
    """(unit,) how well each fits: a neuron may be turned by its slope, a pattern may not."""
    values = fitted.correlation[number]
    return np.abs(values) if alignment.of == "neurons" else values


def unit_name(alignment: WeightAlignment, layers_a: list[int], unit: int) -> str:
    layer, at = layers_a[unit // alignment.n_units[0]], unit % alignment.n_units[0]
    return f"L{layer}.mlp_post/{at}" if alignment.of == "neurons" else f"L{layer}H{at}.z"
