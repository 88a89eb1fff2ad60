"""Neurons by layer and side: which there are, and their directions with what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch

from ...check import different
from ...model import Model
from ...site import Site
from ..edge_cuts import mlp_norm
from .projection import NormChoice, Projection, reading_projection, writing_projection
from .weight_directions import neuron_reading, neuron_writing

Side = Literal["out", "in", "gate"]
SIDES: tuple[Side, ...] = get_args(Side)
Layers = int | Sequence[int] | None


def check_neurons(model: Model) -> None:
    """Raises `ValueError` for a model whose MLPs are not made of neurons that can be read."""
    if "mlp_post" not in model.spec.streams or model.spec.d_mlp < 1:
        raise ValueError(
            f"Neurons are the units between W_in and W_out of an MLP; {model.spec.name} "
            f"({model.spec.architecture}) has none. Read its heads: head_vocabulary."
        )
    model.spec.check_sums("neurons")


def is_gated(model: Model) -> bool:
    """Whether a neuron has a gate besides what it reads."""
    try:
        model.weight("W_gate", 0, copy=False)
    except ValueError:
        return False
    return True


def sides_of(model: Model, sides: Sequence[Side] | Side | None) -> tuple[Side, ...]:
    """The sides to read; None for all that the model has, the gate where there is one.

    Raises `ValueError` for an unknown side, one given twice, and a gate that the model has not.
    """
    check_neurons(model)
    if sides is None:
        return SIDES if is_gated(model) else ("out", "in")
    chosen = (sides,) if isinstance(sides, str) else tuple(sides)
    if not chosen or set(chosen) - set(SIDES) or len(set(chosen)) != len(chosen):
        raise ValueError(f"sides is some of {SIDES}, each once; got {sides!r}.")
    if "gate" in chosen and not is_gated(model):
        raise ValueError(
            f"The MLP of {model.spec.name} ({model.spec.architecture}) has no gate; leave 'gate' "
            "out of sides."
        )
    return chosen


def layers_of(model: Model, layer: Layers) -> tuple[int, ...]:
    """The layers meant, in order; None for all.

    Raises `ValueError` for one that does not exist or stands twice, `TypeError` for no number.
    """
    n = model.spec.n_layers
    if layer is None:
        return tuple(range(n))
    return tuple(sorted(different("layer", layer, n, f"{model.spec.name} has {n} layers.")))


def directions_of(model: Model, layer: int, side: Side, norm: NormChoice) -> torch.Tensor:
    """(d_mlp, d_model): one side of a layer's neurons."""
    if side == "out":
        return neuron_writing(model, layer, norm)
    return neuron_reading(model, layer, norm, "W_in" if side == "in" else "W_gate")


def biases_of(
    model: Model, layer: int, side: Literal["in", "gate"], norm: NormChoice
) -> torch.Tensor:
    """(d_mlp,): what is added to a side's pre-activations, "folded" with the norm's own bias."""
    bias = model.weight("b_in" if side == "in" else "b_gate", layer)
    before = mlp_norm(model, layer)
    if norm == "none" or before is None:
        return bias
    return bias + before.bias @ model.weight(
        "W_in" if side == "in" else "W_gate", layer, copy=False
    )


def projection_of(model: Model, side: Side, norm: NormChoice) -> Projection:
    """What turns a side's directions into numbers for tokens."""
    return writing_projection(model, norm) if side == "out" else reading_projection(model, norm)


def neuron_site(model: Model, name: Site | str) -> Site:
    """The site of one neuron after its nonlinearity, checked against the model.

    Raises `ValueError` for what names no neuron of `mlp_post`, or one that does not exist.
    """
    check_neurons(model)
    site = model.spec.check(name)
    if site.stream != "mlp_post" or site.unit is None:
        raise ValueError(
            f"A neuron is named like 'L2.mlp_post/77', the unit after the nonlinearity; got "
            f"{str(site)!r}."
        )
    return site
