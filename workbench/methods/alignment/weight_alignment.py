"""Weight alignment: which neuron or head of one model is which of another, by vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...check import Count, Level, Seed, checked
from ...model import Model
from ...resample import bootstrap
from ...result import Result, axes, provenance
from ...site import Site
from ..vocabulary.projection import NormChoice, check_norm
from .alignment_runs import CONTROLS, Group, Matched, layer_map, match
from .signatures import HeadSignatures, NeuronSignatures
from .token_spaces import Spaces, shared_tokens

Of = Literal["neurons", "heads"]
#: What each kind of unit can be compared by.
SIDES: dict[str, tuple[str, ...]] = {"neurons": ("out", "in"), "heads": ("OV", "QK")}
#: A pair beyond this share of what chance reaches counts as above chance.
LEVEL = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class WeightAlignment(Result):
    """The one-to-one pairs of neurons or heads of two models, and what chance would find.

    `model` is a, `model_b` the other. of: "neurons" or "heads". sides: what was compared, as in
    `Signatures`. within: "layer" (each layer of a with one of b) or "all". tokens_compared: "same"
    or "shared", n_tokens of them. n_layers, n_units: of a and b, units in one layer.

    layers_a, units_a, layers_b, units_b: (pair,). similarity: (pair,) from −1 to 1, the mean over
    sides; by_side: (pair, side), each as it is; signs: −1 where W_in and W_out of a gated neuron
    count with the other sign. rival_a: (pair,) the largest similarity of a's unit to another of b's
    than its partner; rival_b: of b's unit to another of a's. mean: (layer_a, layer_b) the mean over
    a's units of their largest similarity in b's layer; mean_chance: the same with permuted tokens.

    chance: (control, draw, pair) what the same matching reaches without the thing itself.
    "tokens": b's tokens permuted, two models that have nothing to do with one another. "units":
    each layer of b's units replaced by as many random sums of them, which write and read the same
    words together: only what exceeds this is about single units rather than about their layer.
    """

    model_b: str
    revision_b: str
    of: str
    sides: tuple[str, ...]
    norm: str
    within: str
    tokens_compared: str
    n_tokens: int
    n_layers: tuple[int, int]
    n_units: tuple[int, int]
    layers_a: np.ndarray = axes("pair", np.int32)
    units_a: np.ndarray = axes("pair", np.int32)
    layers_b: np.ndarray = axes("pair", np.int32)
    units_b: np.ndarray = axes("pair", np.int32)
    similarity: np.ndarray = axes("pair")
    by_side: np.ndarray = axes("pair side")
    signs: np.ndarray = axes("pair", np.int8)
    rival_a: np.ndarray = axes("pair")
    rival_b: np.ndarray = axes("pair")
    chance: np.ndarray = axes("control draw pair")
    mean: np.ndarray = axes("layer_a layer_b")
    mean_chance: np.ndarray = axes("layer_a layer_b")

    picture = "alignments.weight_alignment"

    @cached_property
    def names_a(self) -> tuple[str, ...]:
        """The sites of a's units, like "L3.mlp_post/77" or "L2H1.z"."""
        return _names(self.of, self.layers_a, self.units_a)

    @cached_property
    def names_b(self) -> tuple[str, ...]:
        """The sites of their partners in b."""
        return _names(self.of, self.layers_b, self.units_b)

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
        stream, part = ("mlp_post", site.unit) if self.of == "neurons" else ("z", site.head)
        fits = site.stream == stream and part is not None and site.layer is not None
        n_layers, n_units = self.n_layers[which], self.n_units[which]
        if not fits or part >= n_units or site.layer >= n_layers:  # type: ignore[operator]
            example = _names(self.of, np.array([0]), np.array([0]))[0]
            raise ValueError(
                f"This alignment is of {self.of}, written like {example!r}, of layers 0 to "
                f"{n_layers - 1} with {n_units} each; got {str(name)!r}."
            )
        return str(site)

    def to_frame(self) -> pd.DataFrame:
        """One line a pair: a, b, similarity, a column for each side, sign, rival_a, rival_b,
        p_tokens, p_units, best and mutual.
        """
        return pd.DataFrame(
            {"a": self.names_a, "b": self.names_b, "similarity": self.similarity}
            | {side: self.by_side[:, i] for i, side in enumerate(self.sides)}
            | {
                "sign": self.signs,
                "rival_a": self.rival_a,
                "rival_b": self.rival_b,
                "p_tokens": self.p("tokens"),
                "p_units": self.p("units"),
                "best": self.is_best,
                "mutual": self.is_mutual,
            }
        )

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
            f"{len(self.similarity)} pairs of {self.of} with {self.model_b}, {where}: similarity "
            f"{self.similarity.mean():.2f}; {by_chance}; {100 * self.is_mutual.mean():.0f} % "
            "mutually best"
        )


@checked
def align_weights(
    model_a: Model,
    model_b: Model,
    *,
    of: Of = "neurons",
    sides: Sequence[str] | str | None = None,
    norm: NormChoice = "folded",
    within: Literal["layer", "all"] = "layer",
    layers: Sequence[tuple[int, int]] | None = None,
    tokens: Literal["same", "shared"] = "same",
    n_permutations: Count = 10,
    seed: Seed = 0,
    progress: bool = True,
) -> WeightAlignment:
    """Which neuron or head of model_a is which of model_b, as a `WeightAlignment`.

    A neuron's signature is what its weights say of each token ("out": what it writes, "in": what it
    reads), standardised over the vocabulary; the similarity of two is the correlation over the
    vocabulary, its mean over `sides`. A head's are its matrices "OV" and "QK" over pairs of tokens,
    centred over both, compared by their cosine. Both are exact and never as long as the vocabulary.
    Pairs are one-to-one with the largest summed similarity. What is read or written by way of other
    layers' processing, positions and biases is no part of a signature: deeper layers agree less.

    norm: "folded", through the norms beside the weights, or "none". within: each layer of a with
    one of b, or one matching over all layers. layers: pairs (layer of a, layer of b) for
    within="layer"; None for the same numbers, in models of equal depth. tokens: the models have the
    "same" tokens, or compare only those "shared" by both. n_permutations: how often each control is
    drawn; a draw costs what the matching costs, twice. seed: of these.

    Memory: the similarities of the units matched together, at most a quarter of what is free.

    Raises `ValueError` for models of other tokens, unknown options or layers, and more than 16,384
    units to be matched together; `MemoryError` where their similarities do not fit.

    Source: Dar et al., "Analyzing Transformers in Embedding Space" (2022, arXiv:2209.02535),
    section 5.1, which compares parameters of two models over a shared vocabulary.
    """
    chosen = _checked_sides(of, sides)
    check_norm(norm)
    groups = _groups(model_a, model_b, within, layers)
    ids = shared_tokens(model_a, model_b, tokens)
    reads = of == "heads" or "in" in chosen
    writes = "out" in chosen or "OV" in chosen
    names: list[Any] = ["writing"] * writes + ["reading"] * reads
    spaces = Spaces.of(model_a, model_b, names, norm, ids)
    kind = NeuronSignatures if of == "neurons" else HeadSignatures
    signatures = kind(model_a, model_b, spaces, chosen, norm)
    depths = model_a.spec.n_layers, model_b.spec.n_layers
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(spaces.n_tokens) for _ in range(n_permutations)]
    products = spaces.products()
    both = signatures, spaces
    found = match(*both, groups, orders, products, seed=seed, progress=progress)
    mean, mean_chance = layer_map(*both, depths, orders[0], products, rng, progress=progress)
    return WeightAlignment(
        **provenance(model_a, seed=seed),
        model_b=model_b.spec.name,
        revision_b=model_b.spec.revision,
        of=of,
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


def _checked_sides(of: str, sides: Sequence[str] | str | None) -> tuple[str, ...]:
    if of not in SIDES:
        raise ValueError(f"Weights are aligned of 'neurons' or 'heads'; got of={of!r}.")
    given = SIDES[of] if sides is None else (sides,) if isinstance(sides, str) else tuple(sides)
    if not given or len(set(given)) != len(given) or not set(given) <= set(SIDES[of]):
        raise ValueError(
            f"The sides of {of} are {' and '.join(map(repr, SIDES[of]))}, one or both; got "
            f"sides={sides!r}."
        )
    return tuple(side for side in SIDES[of] if side in given)


def _groups(
    model_a: Model,
    model_b: Model,
    within: str,
    layers: Sequence[tuple[int, int]] | None,
) -> list[Group]:
    """Which layers are matched together."""
    depth_a, depth_b = model_a.spec.n_layers, model_b.spec.n_layers
    if within not in ("layer", "all"):
        raise ValueError(f"Units are matched within 'layer' or 'all'; got within={within!r}.")
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


def _names(of: str, layers: np.ndarray, units: np.ndarray) -> tuple[str, ...]:
    pattern = "L{}.mlp_post/{}" if of == "neurons" else "L{}H{}.z"
    return tuple(pattern.format(layer, unit) for layer, unit in zip(layers, units, strict=True))
