"""Neuron vocabulary: what every neuron reads and writes, as words; no forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from ...check import Count, checked, whole
from ...model import Model
from ...result import Result, axes, provenance
from ...site import Site
from ...tokens import token_strings
from .neurons import Layers, Side, biases_of, directions_of, layers_of, projection_of, sides_of
from .projection import NormChoice, check_norm
from .vocabulary_comparison import kept_words
from .word_table import joined, matching_ids
from .words import MEASURES, Words, check_k, check_measures, read_words


@dataclass(frozen=True, eq=False, repr=False)
class NeuronVocabulary(Result):
    """The top and bottom words of each neuron's directions.

    sides: "out", what a neuron writes, for each side that was read; "in" and "gate", what it reads
    (a gated MLP multiplies the two). vocabulary: the string of each token id. layers: (layer) their
    numbers. top_ids, top_values: the k tokens with the largest numbers, largest first;
    bottom_ids, bottom_values: the smallest, which a negative activation promotes; None where not
    asked for.

    norm: "folded", every norm between a direction and the words is in it, or "none". A number of
    "out" is the logit that the direction gives when it is all there is in the residual stream (at
    a root mean square of 1); of "in" and "gate" it is the pre-activation, less its bias, that a
    token's embedding alone gives.

    share: the probability of the top word in a softmax over the logits of "out". kurtosis: excess
    kurtosis of a direction's numbers over the vocabulary; 0 for a Gaussian, large where few words
    stand out. sizes: the root mean square of each direction before it was resized. biases: what is
    added to the pre-activation of "in", gate_biases to that of the gate; "folded" holds the bias
    of the norm before it too.
    """

    sides: tuple[str, ...]
    norm: str
    vocabulary: tuple[str, ...]
    layers: np.ndarray = axes("layer", np.int32)
    top_ids: np.ndarray = axes("side layer neuron k", np.int32)
    top_values: np.ndarray = axes("side layer neuron k")
    sizes: np.ndarray = axes("side layer neuron")
    biases: np.ndarray = axes("layer neuron")
    gate_biases: np.ndarray | None = axes("layer neuron", optional=True)
    bottom_ids: np.ndarray | None = axes("side layer neuron k", np.int32, optional=True)
    bottom_values: np.ndarray | None = axes("side layer neuron k", optional=True)
    share: np.ndarray | None = axes("layer neuron", optional=True)
    kurtosis: np.ndarray | None = axes("side layer neuron", optional=True)

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
        at = divmod(self.row(neuron), self.top_ids.shape[2])
        lines = []
        for s, side in enumerate(self.sides):
            for end, ids, values in self._ends():
                pairs = zip(ids[s][at].tolist(), values[s][at].tolist(), strict=True)
                for rank, (token, value) in enumerate(pairs):
                    lines.append((side, end, rank, self.vocabulary[token], value))
        return pd.DataFrame(lines, columns=["side", "end", "rank", "token", "value"])

    def to_frame(self, n: Count = 5) -> pd.DataFrame:
        """One line a neuron: neuron (its site), layer, unit; for each side its `n` first words in
        one text ("out", and "out_bottom" where they were read), kurtosis_ and size_ of that side;
        share, bias, and gate_bias of a gated MLP.
        """
        n_layers, n_neurons = self.top_ids.shape[1:3]
        layer, unit = np.repeat(self.layers, n_neurons), np.tile(np.arange(n_neurons), n_layers)
        names = [f"L{at}.mlp_post/{i}" for at, i in zip(layer.tolist(), unit.tolist(), strict=True)]
        columns: dict[str, Any] = {"neuron": names, "layer": layer, "unit": unit}
        for s, side in enumerate(self.sides):
            for end, ids, _ in self._ends():
                name = side if end == "top" else f"{side}_bottom"
                columns[name] = joined(self.vocabulary, ids[s, ..., :n].reshape(-1, min(n, self.k)))
        if self.share is not None:
            columns["share"] = self.share.ravel()
        for s, side in enumerate(self.sides):
            if self.kurtosis is not None:
                columns[f"kurtosis_{side}"] = self.kurtosis[s].ravel()
            columns[f"size_{side}"] = self.sizes[s].ravel()
        columns["bias"] = self.biases.ravel()
        if self.gate_biases is not None:
            columns["gate_bias"] = self.gate_biases.ravel()
        return pd.DataFrame(columns)

    def search(self, word: str | int, *, side: Side | None = None) -> pd.DataFrame:
        """The neurons that have a word among their top or bottom words, best rank first.

        word: a token, with its leading space or without, or a token id. side: None for all that
        were read. Columns: neuron, layer, unit, side, end ("top" or "bottom"), rank (0 = first),
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
                "rank": rank,
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
def neuron_vocabulary(
    model: Model,
    layer: Layers = None,
    *,
    k: Count = 10,
    sides: Sequence[Side] | Side | None = None,
    norm: NormChoice = "folded",
    measures: Sequence[str] = MEASURES,
    bottom: bool = True,
    progress: bool = False,
) -> NeuronVocabulary:
    """What every neuron reads and writes, in the words of the vocabulary, as a `NeuronVocabulary`.

    layer: one or several, None for the whole model. k: words of each end. sides: "out" (rows of
    W_out through the unembedding), "in" (columns of W_in against the embedding) and "gate"
    (W_gate); None for all that the model has. norm: "folded" takes the norms into account: the
    final norm's centring and weight, that of a norm behind the MLP, and for what is read that
    of the norm before it; "none" leaves all of them out. measures: "share" and "kurtosis", see
    the result. bottom: the words with the smallest numbers too.

    A neuron that has a word on top need not be what writes it: see `find_neurons` and
    `clamp_neurons` for the test.

    Raises `ValueError` for a model with no neurons, a layer or side it does not have, and a k
    beyond the vocabulary.

    Source: Dar et al., "Analyzing Transformers in Embedding Space" (2022), section 3; for the
    share: "Decoding specialised feature neurons in LLMs with the final projection layer" (2025).
    """
    layers, chosen = layers_of(model, layer), sides_of(model, sides)
    check_norm(norm)
    check_measures(measures)
    projections = {side: projection_of(model, side, norm) for side in chosen}
    for projection in projections.values():
        check_k(k, projection.d_vocab)
    parts: list[Words] = []
    with torch.no_grad():
        for side in chosen:
            read = [name for name in measures if side == "out" or name != "share"]
            words = [
                read_words(
                    projections[side],
                    directions_of(model, at, side, norm),
                    k=k,
                    bottom=bottom,
                    measures=read,
                    progress=progress,
                    description=f"layer {at}, {side}",
                )
                for at in layers
            ]
            parts.append(Words.stack(words))
    both = Words.stack(parts)
    n_words = next(iter(projections.values())).d_vocab
    return NeuronVocabulary(
        **provenance(model),
        sides=chosen,
        norm=norm,
        vocabulary=tuple(token_strings(model.tokenizer, range(n_words))),
        layers=np.array(layers),
        top_ids=both.top_ids,
        top_values=both.top_values,
        sizes=both.sizes,
        biases=_biases(model, layers, "in", norm),
        gate_biases=_biases(model, layers, "gate", norm) if "gate" in chosen else None,
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
