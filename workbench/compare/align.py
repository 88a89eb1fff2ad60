"""Align: which neuron or head of one model is which of another, by the words of its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from ..check import Count, Level, Seed, checked
from ..features.similarity import one_to_one
from ..memory import free_bytes
from ..model import Model
from ..resample import bootstrap
from ..result import Result, axes, labels, provenance
from ..site import Site
from ..vocabulary.projection import NormChoice
from .signatures import (
    HeadSignatures,
    NeuronSignatures,
    Signatures,
    SpaceName,
    Spaces,
    combine,
    shared_tokens,
)

Over = Literal["neurons", "heads"]
#: What each kind of unit can be compared by.
SIDES: dict[str, tuple[str, ...]] = {"neurons": ("out", "in"), "heads": ("OV", "QK")}
#: A pair beyond this share of what chance reaches counts as above chance.
LEVEL = 0.95
#: More units than this are not matched together: beyond it the assignment takes many minutes.
MOST = 16384
#: What chance is measured by: b's tokens permuted, and random sums of b's units in their place.
CONTROLS = ("tokens", "units")
#: Units of each layer of a that stand for it in the map of layers.
SAMPLE = 256


@dataclass(frozen=True, eq=False, repr=False)
class WeightAlignment(Result):
    """The one-to-one pairs of neurons or heads of two models, and what chance would find.

    `model` is a, `model_b` the other. over: "neurons" or "heads". within: "layer" (each layer of a
    with one of b) or "all". tokens_compared: "same" or "shared", n_tokens of them. n_layers,
    n_units: of a and b, units in one layer. A row is a pair.
    """

    model_b: str
    revision_b: str
    over: str
    norm: str
    within: str
    tokens_compared: str
    n_tokens: int
    n_layers: tuple[int, int]
    n_units: tuple[int, int]
    sides: tuple[str, ...] = labels("measure", "what was compared", name="side")
    layers_a: np.ndarray = axes("row", np.int32, "layer of a's unit", name="layer_a")
    units_a: np.ndarray = axes("row", np.int32, "a's unit in its layer", name="unit_a")
    layers_b: np.ndarray = axes("row", np.int32, "layer of b's unit", name="layer_b")
    units_b: np.ndarray = axes("row", np.int32, "b's unit in its layer", name="unit_b")
    similarity: np.ndarray = axes("row", note="from -1 to 1, the mean over sides")
    by_side: np.ndarray = axes("row measure", note="each side's similarity as it is")
    signs: np.ndarray = axes(
        "row",
        np.int8,
        "-1 where W_in and W_out of a gated neuron count with the other sign",
        name="sign",
    )
    rival_a: np.ndarray = axes(
        "row", note="the largest similarity of a's unit to another of b's than its partner"
    )
    rival_b: np.ndarray = axes("row", note="the largest similarity of b's unit to another of a's")
    # The control "tokens" is two models that have nothing to do with one another. Mixed units write
    # and read the same words together: only what exceeds them is about single units, not layers.
    chance: np.ndarray = axes(
        "change draw row",
        note="what the same matching reaches with b's tokens permuted, or with each layer of its "
        "units replaced by as many random sums of them",
    )
    mean: np.ndarray = axes(
        "layer_a layer_b", note="the mean over a's units of their largest similarity in b's layer"
    )
    mean_chance: np.ndarray = axes("layer_a layer_b", note="the same with permuted tokens")

    tables = {
        "pairs": "row",
        "sides": "row measure",
        "chance": "change draw row",
        "layers": "layer_a layer_b",
    }
    picture = "alignments.weight_alignment"

    @cached_property
    def names_a(self) -> tuple[str, ...]:
        """The sites of a's units, like "L3.mlp_post/77" or "L2H1.z"."""
        return _names(self.over, self.layers_a, self.units_a)

    @cached_property
    def names_b(self) -> tuple[str, ...]:
        """The sites of their partners in b."""
        return _names(self.over, self.layers_b, self.units_b)

    @property
    def groups(self) -> np.ndarray:
        """(pair,) which pairs were matched together, and so share their level of chance."""
        return self.layers_a if self.within == "layer" else np.zeros_like(self.layers_a)

    def p(self, control: str = "tokens") -> np.ndarray:
        """(pair,) the share of the group's pairs by chance that are at least as similar.

        control: "tokens" or "units". Counted as (1 + n) / (1 + N), so that it is never 0; not
        corrected for many pairs. Raises `ValueError` for another control.
        """
        out = np.empty(len(self.similarity))
        for at, chance in self._chance(control):
            chance = np.sort(chance.ravel())
            below = np.searchsorted(chance, self.similarity[at], side="left")
            out[at] = (1 + len(chance) - below) / (1 + len(chance))
        return out

    def threshold(self, control: str = "tokens") -> np.ndarray:
        """(pair,) the similarity that 5 % of the group's pairs by chance exceed."""
        out = np.empty(len(self.similarity))
        for at, chance in self._chance(control):
            out[at] = np.quantile(chance, LEVEL)
        return out

    def above_chance(self, control: str = "tokens") -> float:
        """The share of pairs above `threshold`; by chance it is 0.05."""
        return float((self.similarity > self.threshold(control)).mean())

    def _chance(self, control: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of each group, which pairs it has and their similarities under a control."""
        if control not in CONTROLS:
            raise ValueError(
                f"Chance is that of permuted 'tokens' or of mixed 'units'; got {control!r}."
            )
        chance = self.chance[CONTROLS.index(control)]
        for group in np.unique(self.groups):
            at = self.groups == group
            yield at, chance[:, at]

    @property
    def is_best(self) -> np.ndarray:
        """(pair,) whether the partner is also the most similar unit to a's: assignment = argmax."""
        return self.similarity >= self.rival_a

    @property
    def is_mutual(self) -> np.ndarray:
        """(pair,) whether each is the most similar to the other."""
        return self.is_best & (self.similarity >= self.rival_b)

    def interval(self, level: Level = 0.95) -> tuple[float, float]:
        """The interval of the mean similarity: bootstrap over pairs."""
        values = self.similarity
        return bootstrap(lambda i: values[i].mean(-1), len(values), level, self.seed or 0, 1000)

    def partner(self, name: str | Site, *, back: bool = False) -> str | None:
        """The partner in b of a's unit, or with `back` the one in a of b's; None where left over.

        Raises `ValueError` for a name that is no unit of the model.
        """
        own, other = (self.names_b, self.names_a) if back else (self.names_a, self.names_b)
        text = self._checked(name, int(back))
        return other[own.index(text)] if text in own else None

    def _checked(self, name: str | Site, which: int) -> str:
        site = Site.parse(name)
        stream, part = ("mlp_post", site.unit) if self.over == "neurons" else ("z", site.head)
        fits = site.stream == stream and part is not None and site.layer is not None
        n_layers, n_units = self.n_layers[which], self.n_units[which]
        if not fits or part >= n_units or site.layer >= n_layers:  # type: ignore[operator]
            example = _names(self.over, np.array([0]), np.array([0]))[0]
            raise ValueError(
                f"This alignment is of {self.over}, written like {example!r}, of layers 0 to "
                f"{n_layers - 1} with {n_units} each; got {str(name)!r}."
            )
        return str(site)

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """One line a pair: a, b, similarity, a column for each side, sign, rival_a, rival_b,
        p_tokens, p_units, best and mutual.

        table: "pairs", "sides", "chance" or "layers" (the mean similarity of each two layers).
        """
        frame = super().to_frame(table)
        if table not in (None, "pairs"):
            return frame
        more: list[tuple[str, Any, str]] = [
            ("a", self.names_a, "site of a's unit"),
            ("b", self.names_b, "site of its partner"),
        ]
        more += [(side, self.by_side[:, i], "similarity") for i, side in enumerate(self.sides)]
        for control in CONTROLS:
            note = "share of pairs by chance that are at least as similar"
            more.append((f"p_{control}", self.p(control), note))
        more.append(("best", self.is_best, "whether b's is the most similar to a's"))
        more.append(("mutual", self.is_mutual, "whether each is the most similar to the other"))
        notes = frame.attrs["notes"] | {name: note for name, _, note in more}
        frame = frame.assign(**{name: values for name, values, _ in more})
        chance = [f"p_{control}" for control in CONTROLS]
        names = ["a", "b", "similarity", *self.sides, "sign", "rival_a", "rival_b", *chance]
        frame = frame.loc[:, [*names, "best", "mutual"]]
        frame.attrs["notes"] = {name: notes[name] for name in frame.columns}
        return frame

    def _facts(self) -> str:
        where = "layer by layer" if self.within == "layer" else "over all layers"
        by_chance = "; ".join(
            f"with {what} {chance.mean():.2f} ({100 * self.above_chance(control):.0f} % above its "
            "95 %)"
            for control, what, chance in zip(
                CONTROLS, ("permuted tokens", "mixed units"), self.chance, strict=True
            )
        )
        return (
            f"{len(self.similarity)} pairs of {self.over} with {self.model_b}, {where}: similarity "
            f"{self.similarity.mean():.2f}; {by_chance}; {100 * self.is_mutual.mean():.0f} % "
            "mutually best"
        )


@checked
def align(
    a: Model,
    b: Model,
    *,
    over: Over = "neurons",
    sides: Sequence[str] | str | None = None,
    norm: NormChoice = "folded",
    within: Literal["layer", "all"] = "layer",
    layers: Sequence[tuple[int, int]] | None = None,
    tokens: Literal["same", "shared"] = "same",
    n_controls: Count = 10,
    seed: Seed = 0,
    progress: bool = True,
) -> WeightAlignment:
    """Which neuron or head of a is which of b, one to one, as a `WeightAlignment`.

        wb.compare.align(model, other, over="heads").to_frame()

    The similarity of two neurons is the correlation over the vocabulary of what they write ("out")
    and read ("in"), of two heads the cosine of their matrices "OV" and "QK" over pairs of tokens; a
    mean over `sides`, exact, and never as long as the vocabulary. Deeper layers agree less.

    norm: "folded", through the norms beside the weights, or "none". within: each layer of a with
    one of b, or one matching over "all". layers: pairs (layer of a, layer of b) for within="layer".
    tokens: the models have the "same" ones, or compare those "shared". n_controls: draws of each
    control; one costs twice what the matching costs.

    Raises `ValueError` for models of other tokens, unknown options or layers, and more than 16,384
    units to be matched together; `MemoryError` where their similarities do not fit.

    Source: Dar et al. (2022, arXiv:2209.02535), section 5.1.
    """
    chosen = _checked_sides(over, sides)
    groups = _groups(a, b, within, layers)
    ids = shared_tokens(a, b, tokens)
    reads = over == "heads" or "in" in chosen
    writes = "out" in chosen or "OV" in chosen
    names: list[Any] = ["writing"] * writes + ["reading"] * reads
    spaces = Spaces.of(a, b, names, norm, ids)
    kind = NeuronSignatures if over == "neurons" else HeadSignatures
    signatures = kind(a, b, spaces, chosen, norm)
    depths = a.spec.n_layers, b.spec.n_layers
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(spaces.n_tokens) for _ in range(n_controls)]
    products = spaces.products()
    both = signatures, spaces
    found = match(*both, groups, orders, products, seed=seed, progress=progress)
    mean, mean_chance = layer_map(*both, depths, orders[0], products, rng, progress=progress)
    return WeightAlignment(
        **provenance(a, seed=seed),
        model_b=b.spec.name,
        revision_b=b.spec.revision,
        over=over,
        sides=signatures.sides,
        norm=norm,
        within=within,
        tokens_compared=tokens,
        n_tokens=spaces.n_tokens,
        n_layers=depths,
        n_units=signatures.n_units,
        **_pairs(found, groups, signatures.n_units),
        mean=mean,
        mean_chance=mean_chance,
    )


def _pairs(found: list[Matched], groups: list[Group], n_units: tuple[int, int]) -> dict[str, Any]:
    """The arrays of the result, from what was matched in each group."""

    def joined(parts: list[np.ndarray], axis: int = 0) -> np.ndarray:
        return np.concatenate(parts, axis)

    each = list(zip(groups, found, strict=True))
    layers_a = [np.array(g.layers_a)[m.rows // n_units[0]] for g, m in each]
    layers_b = [np.array(g.layers_b)[m.columns // n_units[1]] for g, m in each]
    return {
        "layers_a": joined(layers_a),
        "units_a": joined([m.rows % n_units[0] for m in found]),
        "layers_b": joined(layers_b),
        "units_b": joined([m.columns % n_units[1] for m in found]),
        "similarity": joined([m.similarity for m in found]),
        "by_side": joined([m.by_side for m in found]),
        "signs": joined([m.signs for m in found]),
        "rival_a": joined([m.rival_a for m in found]),
        "rival_b": joined([m.rival_b for m in found]),
        "chance": joined([m.chance for m in found], 2),
    }


def _checked_sides(over: str, sides: Sequence[str] | str | None) -> tuple[str, ...]:
    given = SIDES[over] if sides is None else (sides,) if isinstance(sides, str) else tuple(sides)
    if not given or len(set(given)) != len(given) or not set(given) <= set(SIDES[over]):
        raise ValueError(
            f"The sides of {over} are {' and '.join(map(repr, SIDES[over]))}, one or both; got "
            f"sides={sides!r}."
        )
    return tuple(side for side in SIDES[over] if side in given)


def _groups(
    model_a: Model,
    model_b: Model,
    within: str,
    layers: Sequence[tuple[int, int]] | None,
) -> list[Group]:
    """Which layers are matched together."""
    depth_a, depth_b = model_a.spec.n_layers, model_b.spec.n_layers
    if within == "all":
        if layers is not None:
            raise ValueError("Pairs of layers are for within='layer'; within='all' takes none.")
        return [Group(tuple(range(depth_a)), tuple(range(depth_b)))]
    if layers is None:
        if depth_a != depth_b:
            raise ValueError(
                f"Layer by layer means equally many layers; {model_a.spec.name} has {depth_a} and "
                f"{model_b.spec.name} has {depth_b}. Say which go together, layers=[(0, 0), …], or "
                "match over all layers: within='all'."
            )
        layers = [(layer, layer) for layer in range(depth_a)]
    pairs = [tuple(pair) for pair in layers]
    good = pairs and all(
        len(pair) == 2 and 0 <= pair[0] < depth_a and 0 <= pair[1] < depth_b for pair in pairs
    )
    if not good or any(len({pair[i] for pair in pairs}) != len(pairs) for i in (0, 1)):
        raise ValueError(
            f"layers= pairs a layer of a (0 to {depth_a - 1}) with one of b (0 to {depth_b - 1}), "
            f"each at most once; got {layers!r}."
        )
    return [Group((a,), (b,)) for a, b in pairs]


def _names(over: str, layers: np.ndarray, units: np.ndarray) -> tuple[str, ...]:
    pattern = "L{}.mlp_post/{}" if over == "neurons" else "L{}H{}.z"
    return tuple(pattern.format(layer, unit) for layer, unit in zip(layers, units, strict=True))


# -- the matching itself, of the two models and under each control -------------------------------


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
