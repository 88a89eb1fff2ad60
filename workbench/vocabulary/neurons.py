"""Neurons: what every neuron reads and writes, as words; no forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch

from ..check import Count, checked, different, whole
from ..model import Model
from ..resample import wilson
from ..result import Result, axes, labels, provenance
from ..site import Site
from ..tokens import token_strings
from ..writers import mlp_norm
from .projection import (
    MEASURES,
    NormChoice,
    Projection,
    Read,
    before,
    behind,
    check_k,
    check_measures,
    joined,
    read_words,
    reading_projection,
    word_lines,
    writing_projection,
)


@dataclass(frozen=True, eq=False, repr=False)
class NeuronVocabulary(Result):
    """The top and bottom words of each neuron's directions.

    A number of "out" is the logit that the direction gives when it is all there is in the residual
    stream (at a root mean square of 1); of "in" and "gate" it is the pre-activation, less its bias,
    that a token's embedding alone gives.
    """

    #: "folded", every norm between a direction and the words is in it, or "none".
    norm: str
    #: The string of each token id.
    vocabulary: tuple[str, ...]
    sides: tuple[str, ...] = labels(
        "side", "out, what a neuron writes; in and gate, what it reads (of the product of the two)"
    )
    layers: np.ndarray = axes("layer", np.int32, name="layer")
    #: The k tokens with the largest numbers, largest first.
    top_ids: np.ndarray = axes("side layer d_mlp k", np.int32)
    top_values: np.ndarray = axes("side layer d_mlp k")
    #: With the smallest, which a negative activation promotes; None where not asked for.
    bottom_ids: np.ndarray | None = axes("side layer d_mlp k", np.int32, optional=True)
    bottom_values: np.ndarray | None = axes("side layer d_mlp k", optional=True)
    share: np.ndarray | None = axes(
        "layer d_mlp",
        note="probability of the top word in a softmax over the logits of out",
        optional=True,
    )
    kurtosis: np.ndarray | None = axes(
        "side layer d_mlp",
        note="excess kurtosis over the vocabulary: 0 for a Gaussian, large where few stand out",
        optional=True,
    )
    sizes: np.ndarray = axes(
        "side layer d_mlp",
        note="root mean square of the direction before it was resized",
        name="size",
    )
    #: With "folded" the bias of the norm before it too.
    biases: np.ndarray = axes(
        "layer d_mlp", note="what is added to the pre-activation of in", name="bias"
    )
    gate_biases: np.ndarray | None = axes(
        "layer d_mlp", note="the same of the gate", name="gate_bias", optional=True
    )

    tables = {"neurons": "layer d_mlp", "sides": "side layer d_mlp"}
    picture = "neuron_words.neuron_vocabulary"

    @property
    def n_neurons(self) -> int:
        """How many neurons the table holds, over all its layers."""
        return self.top_ids.shape[1] * self.top_ids.shape[2]

    @property
    def k(self) -> int:
        return self.top_ids.shape[3]

    def site(self, row: int) -> Site:
        """The site of a neuron by its line in the table."""
        row = whole("row", row, 0, self.n_neurons - 1)
        at, unit = divmod(row, self.top_ids.shape[2])
        return Site("mlp_post", int(self.layers[at]), unit=unit)

    def row(self, neuron: Site | str) -> int:
        """The line of a neuron in the table, by its site. Raises `ValueError` for one not in it."""
        site = Site.parse(neuron)
        n = self.top_ids.shape[2]
        layers = self.layers.tolist()
        unit = -1 if site.unit is None else site.unit
        if site.stream != "mlp_post" or site.layer not in layers or not 0 <= unit < n:
            raise ValueError(
                f"This table has the neurons 0 to {n - 1} of the layers "
                f"{', '.join(map(str, layers))}, named like 'L{layers[0]}.mlp_post/0'; got "
                f"{str(site)!r}."
            )
        return layers.index(site.layer) * n + unit

    def words(self, neuron: Site | str) -> pd.DataFrame:
        """One neuron's words, best first: a line for each side, end ("top", "bottom") and rank.

        Further columns: token, value. Raises `ValueError` for a neuron that is not in the table.
        """
        at = (slice(None), *divmod(self.row(neuron), self.top_ids.shape[2]))
        ends = {end: (ids[at], values[at]) for end, ids, values in self._ends()}
        return word_lines(self.vocabulary, ends, {"side": self.sides})

    def to_frame(self, table: str | None = None, *, n: Count = 5) -> pd.DataFrame:
        """One line a neuron, or a side and neuron, with what was measured.

        table: None: neuron (its site), for each side its `n` first words in one text ("out", and
        "out_bottom" where they were read) with kurtosis_ and size_ of that side, share and biases.
        "sides": the numbers alone, a line a side.
        """
        frame = super().to_frame(table).rename(columns={"d_mlp": "unit"})
        if table == "sides":
            return frame
        frame.insert(
            0,
            "neuron",
            [f"L{a}.mlp_post/{u}" for a, u in zip(frame.layer, frame.unit, strict=True)],
        )
        for s, side in enumerate(self.sides):
            for end, ids, _ in self._ends():
                name = side if end == "top" else f"{side}_bottom"
                frame[name] = joined(self.vocabulary, ids[s, ..., :n].reshape(-1, min(n, self.k)))
            if self.kurtosis is not None:
                frame[f"kurtosis_{side}"] = self.kurtosis[s].ravel()
            frame[f"size_{side}"] = self.sizes[s].ravel()
        return frame

    def search(self, word: str | int, *, side: Side | None = None) -> pd.DataFrame:
        """The neurons that have a word among their top or bottom words, best rank first.

        word: a token, with its leading space or without, or a token id. side: None for all that
        were read. Columns: neuron, layer, unit, side, end ("top" or "bottom"), rank (1 = first),
        token, value, words (the five at that end).

        Raises `ValueError` for a word that is no token of the vocabulary, or a side that was not
        read.
        """
        if side is not None and side not in self.sides:
            raise ValueError(f"This table has the sides {', '.join(self.sides)}; got {side!r}.")
        meant = matching_ids(self.vocabulary, word)
        parts = []
        for end, ids, values in self._ends():
            s, at, unit, rank = np.nonzero(np.isin(ids, meant))
            places = (s, at, unit)
            found = {
                "neuron": [
                    f"L{layer}.mlp_post/{u}"
                    for layer, u in zip(self.layers[at].tolist(), unit.tolist(), strict=True)
                ],
                "layer": self.layers[at],
                "unit": unit,
                "side": [self.sides[i] for i in s],
                "end": end,
                "rank": 1 + rank,
                "token": [self.vocabulary[i] for i in ids[*places, rank]],
                "value": values[*places, rank],
                "words": joined(self.vocabulary, ids[places][:, :5]),
            }
            parts.append(pd.DataFrame(found))
        table = pd.concat(parts, ignore_index=True)
        rank, value = (np.asarray(table[name]) for name in ("rank", "value"))
        order = np.lexsort((-np.abs(value), rank))
        if side is not None:
            order = order[np.asarray(table["side"])[order] == side]
        return table.iloc[order].reset_index(drop=True)

    def kept(self, other: NeuronVocabulary) -> pd.DataFrame:
        """How many neurons keep their top word in another table: one line a side and layer.

        For two checkpoints of one model. Columns: side, layer, n (neurons); kept, the share of
        neurons with the same top word, low and high, its 95 % interval (Wilson); overlap, the mean
        share of the top k that both have. kept_by_chance and overlap_by_chance: the same, exact,
        for neurons of the other table in random order: many neurons share their words.

        Raises `ValueError` for another vocabulary, other layers, sides or sizes, another k or norm.
        """
        return kept_words(self, other)

    def _ends(self) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """The ends that were read: their names, ids and values."""
        ends = [("top", self.top_ids, self.top_values)]
        if self.bottom_ids is not None and self.bottom_values is not None:
            ends.append(("bottom", self.bottom_ids, self.bottom_values))
        return ends

    def _facts(self) -> str:
        layers = self.layers.tolist()
        which = f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers"
        return (
            f"{self.n_neurons} neurons of {which}, {' and '.join(self.sides)}, top {self.k} words, "
            f"norm {self.norm}"
        )


@checked
def neurons(
    model: Model,
    layers: Layers = None,
    *,
    k: Count = 10,
    sides: Sequence[Side] | Side | None = None,
    norm: NormChoice = "folded",
    measures: Sequence[str] = MEASURES,
    bottom: bool = True,
    progress: bool = False,
) -> NeuronVocabulary:
    """What every neuron reads and writes, in the words of the vocabulary, as a `NeuronVocabulary`.

    layers: one or several, None for the whole model. k: words of each end. sides: "out" (rows of
    W_out through the unembedding), "in" (columns of W_in against the embedding) and "gate"
    (W_gate); None for all that the model has. norm: "folded" takes the norms into account: the
    final norm's centring and weight, that of a norm behind the MLP, and for what is read that
    of the norm before it; "none" leaves all of them out. measures: "share" and "kurtosis", see
    the result. bottom: the words with the smallest numbers too.

    A neuron that has a word on top need not be what writes it: see `find_neurons` and
    `clamp` for the test.

    Raises `ValueError` for a model with no neurons, a layer or side it does not have, and a k
    beyond the vocabulary.

    Source: Dar et al., "Analyzing Transformers in Embedding Space" (2022), section 3; for the
    share: "Decoding specialised feature neurons in LLMs with the final projection layer" (2025).
    """
    read, chosen = layers_of(model, layers), sides_of(model, sides)
    check_measures(measures)
    projections = {side: projection_of(model, side, norm) for side in chosen}
    for projection in projections.values():
        check_k(k, projection.d_vocab)
    parts: list[Read] = []
    with torch.no_grad():
        for side in chosen:
            wanted = [name for name in measures if side == "out" or name != "share"]
            words = [
                read_words(
                    projections[side],
                    directions_of(model, at, side, norm),
                    k=k,
                    bottom=bottom,
                    measures=wanted,
                    progress=progress,
                    description=f"layer {at}, {side}",
                )
                for at in read
            ]
            parts.append(Read.stack(words))
    both = Read.stack(parts)
    n_words = next(iter(projections.values())).d_vocab
    return NeuronVocabulary(
        **provenance(model),
        sides=chosen,
        norm=norm,
        vocabulary=tuple(token_strings(model.tokenizer, range(n_words))),
        layers=np.array(read),
        top_ids=both.top_ids,
        top_values=both.top_values,
        sizes=both.sizes,
        biases=_biases(model, read, "in", norm),
        gate_biases=_biases(model, read, "gate", norm) if "gate" in chosen else None,
        bottom_ids=both.bottom_ids,
        bottom_values=both.bottom_values,
        share=parts[chosen.index("out")].share if "out" in chosen else None,
        kurtosis=both.kurtosis,
    )


def _biases(
    model: Model, layers: Sequence[int], side: Literal["in", "gate"], norm: NormChoice
) -> np.ndarray:
    each = [biases_of(model, layer, side, norm).float().cpu().numpy() for layer in layers]
    return np.stack(each)


def matching_ids(vocabulary: Sequence[str], word: str | int) -> np.ndarray:
    """The ids that a word to search for means: an id, a token as it is, or without its space.

    A text with a space in front means just that token; one without also means the token that
    has a space before it. Raises `ValueError` for what is no token of the vocabulary, naming
    tokens that look like it; `TypeError` for anything else.
    """
    if not isinstance(word, str):
        return np.array([whole("word", word, 0, len(vocabulary) - 1, "Or search for its text.")])
    meant = {word} if word[:1].isspace() else {word, " " + word}
    found = [i for i, token in enumerate(vocabulary) if token in meant]
    if not found:
        raise ValueError(
            f"A word to search for is one token of the vocabulary; {word!r} is none."
            f"{_alike(vocabulary, word)} Search for one of its pieces."
        )
    return np.array(found)


def _alike(vocabulary: Sequence[str], word: str) -> str:
    near = get_close_matches(word.strip(), {token.strip() for token in vocabulary}, n=3)
    return f" Tokens like it are {', '.join(map(repr, near))}." if near else ""


# -- the same words in two tables -----------------------------------------------------------------


def kept_words(first: NeuronVocabulary, second: NeuronVocabulary) -> pd.DataFrame:
    """The table that `NeuronVocabulary.kept` describes."""
    _check(first, second)
    n_words, k = len(first.vocabulary), first.k
    lines = []
    for s, side in enumerate(first.sides):
        for at, layer in enumerate(first.layers.tolist()):
            a, b = first.top_ids[s, at], second.top_ids[s, at]
            same = a[:, 0] == b[:, 0]
            low, high = wilson(same)
            lines.append(
                {
                    "side": side,
                    "layer": layer,
                    "n": len(same),
                    "kept": float(same.mean()),
                    "low": low,
                    "high": high,
                    "kept_by_chance": _meetings(a[:, :1], b[:, :1], n_words),
                    "overlap": float((a[:, :, None] == b[:, None, :]).sum((1, 2)).mean() / k),
                    "overlap_by_chance": _meetings(a, b, n_words) / k,
                }
            )
    return pd.DataFrame(lines)


def _meetings(a: np.ndarray, b: np.ndarray, n_words: int) -> float:
    """How many words a row of `a` has in common with a row of `b` on average over all pairs.

    Over all pairs and not over some shuffles: a word that n rows of one and m of the other have
    meets n · m times.
    """
    counts = [np.bincount(ids.ravel(), minlength=n_words) / len(ids) for ids in (a, b)]
    return float(counts[0] @ counts[1])


def _check(first: NeuronVocabulary, second: NeuronVocabulary) -> None:
    if first.vocabulary != second.vocabulary:
        raise ValueError(
            f"Words are compared within one vocabulary; {first.model} has {len(first.vocabulary)} "
            f"tokens, {second.model} {len(second.vocabulary)}, and they differ. Compare two models "
            "of one tokenizer."
        )
    for name, mine, theirs in (
        ("sides", first.sides, second.sides),
        ("layers", tuple(first.layers.tolist()), tuple(second.layers.tolist())),
        ("neurons a layer", first.top_ids.shape[2], second.top_ids.shape[2]),
        ("k", first.k, second.k),
        ("norm", first.norm, second.norm),
    ):
        if mine != theirs:
            raise ValueError(
                f"Neurons are compared one with one, in tables that were made alike; the {name} of "
                f"one are {mine}, of the other {theirs}. Make both tables with the same options, "
                "of models of one shape."
            )


# -- which neurons there are, and their directions ------------------------------------------------


Side = Literal["out", "in", "gate"]
SIDES: tuple[Side, ...] = get_args(Side)
Layers = int | Sequence[int] | None


def check_neurons(model: Model) -> None:
    """Raises `ValueError` for a model whose MLPs are not made of neurons that can be read."""
    if "mlp_post" not in model.spec.streams or model.spec.d_mlp < 1:
        raise ValueError(
            f"Neurons are the units between W_in and W_out of an MLP; {model.spec.name} "
            f"({model.spec.architecture}) has none. Read its heads: wb.vocabulary.heads."
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


def layers_of(model: Model, layers: Layers) -> tuple[int, ...]:
    """The layers meant, in order; None for all.

    Raises `ValueError` for one that does not exist or stands twice, `TypeError` for no number.
    """
    n = model.spec.n_layers
    if layers is None:
        return tuple(range(n))
    return tuple(sorted(different("layers", layers, n, f"{model.spec.name} has {n} layers.")))


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
    first = mlp_norm(model, layer)
    if norm == "none" or first is None:
        return bias
    return bias + first.bias @ model.weight("W_in" if side == "in" else "W_gate", layer, copy=False)


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


def neuron_writing(model: Model, layer: int, norm: NormChoice = "folded") -> torch.Tensor:
    """(d_mlp, d_model): what a neuron adds for an activation of 1, before a post-norm's division.

    "folded": where a norm follows the MLP (Gemma 2, OLMo 2), through its centring and weight.
    """
    written = model.weight("W_out", layer, copy=False) * model.spec.residual_multiplier
    return behind(model.norm("ln2_post", layer), written) if norm == "folded" else written


def neuron_reading(
    model: Model,
    layer: int,
    norm: NormChoice = "folded",
    name: Literal["W_in", "W_gate"] = "W_in",
) -> torch.Tensor:
    """(d_mlp, d_model): the direction whose product with the (normed) stream a neuron reads.

    "folded": times the weight of the norm before the MLP, and centred where it centres.
    """
    read = model.weight(name, layer, copy=False).T
    return before(mlp_norm(model, layer), read) if norm == "folded" else read
