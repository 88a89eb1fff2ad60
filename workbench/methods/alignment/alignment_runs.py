"""Alignment runs: the matching itself, of the two models and under permuted tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..features.assignment import one_to_one
from ..memory import free_bytes
from .signatures import Signatures, combine
from .token_spaces import SpaceName, Spaces

#: More units than this are not matched together: beyond it the assignment takes many minutes.
MOST = 16384
#: What chance is measured by: b's tokens permuted, and random sums of b's units in their place.
CONTROLS = ("tokens", "units")
#: Units of each layer of a that stand for it in the map of layers.
SAMPLE = 256


@dataclass(frozen=True)
class Group:
    """Layers of a whose units are matched together with those of some layers of b."""

    layers_a: tuple[int, ...]
    layers_b: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Matched:
    """The pairs of one group: unit numbers through its layers, and what belongs to each.

    rows, columns, similarity, signs, rival_a, rival_b: (pair,); by_side: (pair, side); chance:
    (control, draw, pair).
    """

    rows: np.ndarray
    columns: np.ndarray
    similarity: np.ndarray
    by_side: np.ndarray
    signs: np.ndarray
    rival_a: np.ndarray
    rival_b: np.ndarray
    chance: np.ndarray


def match(
    signatures: Signatures,
    spaces: Spaces,
    groups: Sequence[Group],
    orders: Sequence[np.ndarray],
    products: Mapping[SpaceName, torch.Tensor],
    *,
    seed: int,
    progress: bool,
) -> list[Matched]:
    """Each group's pairs, and those under each control, as often as there are `orders`.

    orders: (token,) permutations of b's tokens. products: of the tokens as they are. seed: of the
    mixtures of b's units.
    Raises `ValueError` and `MemoryError` where a group is too large.
    """
    for group in groups:
        _check_fits(signatures, group)
    n_steps = len(groups) * (1 + len(CONTROLS) * len(orders))
    with tqdm(total=n_steps, desc="matching", delay=1.0, disable=not progress) as bar:
        found = []
        for group in groups:
            found.append(_matched(signatures, group, products, len(orders)))
            bar.update()
        for draw, order in enumerate(orders):
            permuted = spaces.products(order)
            for group, own in zip(groups, found, strict=True):
                # Of a draw's own, so that the layers that are matched beside it do not change it.
                mixtures = _mixtures(signatures.n_units[1], group.layers_b, (seed, draw))
                for control, values in enumerate(
                    (
                        _similarities(signatures, group, permuted)[0],
                        _similarities(signatures, group, products, mixtures=mixtures)[0],
                    )
                ):
                    columns = one_to_one(values)
                    rows = np.flatnonzero(columns >= 0)
                    own.chance[control, draw] = values[rows, columns[rows]]
                    bar.update()
    return found


def _mixtures(
    n_units: int, layers: Sequence[int], seed: tuple[int, int]
) -> dict[int, torch.Tensor]:
    """For each layer of b (unit, unit) random weights: as many units of the same covariance."""
    out = {}
    for layer in layers:
        rng = np.random.default_rng((*seed, layer))
        out[layer] = torch.from_numpy(rng.standard_normal((n_units, n_units), np.float32))
    return out


def _matched(
    signatures: Signatures,
    group: Group,
    products: Mapping[SpaceName, torch.Tensor],
    n_draws: int,
) -> Matched:
    values, by_side = _similarities(signatures, group, products, keep=True)
    assert by_side is not None
    columns = one_to_one(values)
    rows = np.flatnonzero(columns >= 0)
    columns = columns[rows]
    each = by_side[:, rows, columns].T
    similarity = values[rows, columns]
    # What is left without the pairs themselves; −1 where a unit has no other.
    values[rows, columns] = -1
    return Matched(
        rows=rows,
        columns=columns,
        similarity=similarity,
        by_side=each,
        signs=combine(each.T, signatures.signed)[1],
        rival_a=values[rows].max(1),
        rival_b=values[:, columns].max(0),
        chance=np.empty((len(CONTROLS), n_draws, len(rows)), np.float32),
    )


def _similarities(
    signatures: Signatures,
    group: Group,
    products: Mapping[SpaceName, torch.Tensor],
    *,
    keep: bool = False,
    mixtures: Mapping[int, torch.Tensor] | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """(unit of a, unit of b) float32, and on request each side's, (side, …)."""
    n, m = signatures.n_units
    shape = n * len(group.layers_a), m * len(group.layers_b)
    out = np.empty(shape, np.float32)
    sides = np.empty((len(signatures.sides), *shape), np.float32) if keep else None
    for i, layer_a in enumerate(group.layers_a):
        for j, layer_b in enumerate(group.layers_b):
            mixture = None if mixtures is None else mixtures[layer_b]
            part = signatures.compare(layer_a, layer_b, products, None, mixture).cpu().numpy()
            at = slice(i * n, (i + 1) * n), slice(j * m, (j + 1) * m)
            out[at] = combine(part, signatures.signed)[0]
            if sides is not None:
                sides[(slice(None), *at)] = part
    return out, sides


def layer_map(
    signatures: Signatures,
    spaces: Spaces,
    depths: tuple[int, int],
    order: np.ndarray,
    products: Mapping[SpaceName, torch.Tensor],
    rng: np.random.Generator,
    *,
    progress: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """(layer_a, layer_b) twice, own tokens and permuted: the mean over up to 256 of a's units of
    their largest similarity to one of b's.
    """
    n = signatures.n_units[0]
    sample = np.sort(rng.choice(n, min(n, SAMPLE), replace=False))
    out = np.empty((2, *depths), np.float32)
    total = 2 * depths[0] * depths[1]
    with tqdm(total=total, desc="comparing layers", delay=1.0, disable=not progress) as bar:
        for which, used in enumerate((products, spaces.products(order))):
            for a in range(depths[0]):
                for b in range(depths[1]):
                    part: Any = signatures.compare(a, b, used, sample).cpu().numpy()
                    out[which, a, b] = combine(part, signatures.signed)[0].max(1).mean()
                    bar.update()
    return out[0], out[1]


def _check_fits(signatures: Signatures, group: Group) -> None:
    """Raises `ValueError` beyond `MOST`, and `MemoryError` where the similarities do not fit."""
    sizes = [
        n * len(layers)
        for n, layers in zip(signatures.n_units, (group.layers_a, group.layers_b), strict=True)
    ]
    # A float32 matrix for every side and their mean, two float64 ones inside the assignment.
    need = sizes[0] * sizes[1] * (4 * (len(signatures.sides) + 1) + 16)
    text = f"{sizes[0]:,} × {sizes[1]:,} would take {need / 2**30:.1f} GiB"
    if max(sizes) > MOST:
        raise ValueError(
            f"Units are matched one-to-one over all their similarities, up to {MOST:,} of each "
            f"model; {text} and very long. Match layer by layer: within='layer'."
        )
    free = free_bytes(torch.device("cpu"))
    if free is not None and need > free:
        raise MemoryError(
            f"A matching holds the similarities of all its units: {text}, and "
            f"{free / 2**30:.1f} GiB are free. Match layer by layer, or fewer sides."
        )
