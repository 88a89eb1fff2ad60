"""Found neurons: those whose directions stand out at given words, and how far chance stands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from ..check import Count, Seed, checked, whole
from ..model import Model
from ..pictures.marks import Dots
from ..readout import count_greater
from ..result import Result, axes, labels, provenance
from ..targets import Targets, token_ids
from ..tokens import token_strings
from .neurons import Layers, Side, directions_of, layers_of, projection_of, sides_of
from .projection import ColumnMoments, NormChoice, read_words

Effect = Literal["promote", "suppress", "either"]
#: Words of its own that are kept of each neuron.
N_OWN = 5
#: Neurons whose scores for all random words are held at once.
ROWS = 512


@dataclass(frozen=True, eq=False, repr=False)
class FoundNeurons(Result):
    """The neurons whose directions stand out most at some words, the strongest first.

    The controls are words drawn at random from the rest of the vocabulary, which have nothing in
    common: they say that a score is more than the best of many neurons, and not that the neuron
    does anything. For that see `clamp`.
    """

    #: "out", what they write, "in" or "gate", what they read.
    side: str
    #: "promote" (the highest scores), "suppress" (the lowest) or "either" (the farthest from 0).
    effect: str
    #: "folded" or "none".
    norm: str
    #: How many neurons there were.
    n_searched: int
    neurons: tuple[str, ...] = labels("row", "its site", name="neuron")
    own_words: tuple[tuple[str, ...], ...] = labels(
        "row", "its own first words, at the bottom for a negative score", name="own_words"
    )
    best_word: tuple[str, ...] = labels("row", "the first of the words", name="best_word")
    words: tuple[str, ...] = labels("label", "what was looked for", name="word")
    layers: np.ndarray = axes("row", np.int32, name="layer")
    units: np.ndarray = axes("row", np.int32, "neuron of its layer", name="unit")
    scores: np.ndarray = axes(
        "row", note="score: the mean over the words (standard deviations)", name="score"
    )
    control: np.ndarray = axes(
        "row", note="mean over draws of random words of the best neuron's score"
    )
    control_low: np.ndarray = axes("row", note="the lowest of 95 % of the draws")
    control_high: np.ndarray = axes("row", note="the highest of 95 % of the draws")
    by_chance: np.ndarray = axes(
        "row", note="share of draws whose best neuron scores as high (or as low)"
    )
    among_first: np.ndarray = axes(
        "row", np.int32, "how many of the m words are among the first m at the neuron's end"
    )
    median_rank: np.ndarray = axes("row", note="median of the words' ranks")
    #: The words' ids.
    word_ids: np.ndarray = axes("label", np.int32)
    word_scores: np.ndarray = axes(
        "row label",
        note="the word's number in standard deviations of the neuron's numbers over the "
        "vocabulary, from their mean",
        name="word_score",
    )
    values: np.ndarray = axes(
        "row label",
        note="logit of the direction as all there is in the residual stream, or pre-activation",
        name="value",
    )
    ranks: np.ndarray = axes(
        "row label",
        np.int32,
        "place of the word, 1 = first, from the bottom for a negative score",
        name="rank",
    )
    #: The highest and the lowest score of any searched neuron for each draw of random words.
    chance_highest: np.ndarray = axes("draw")
    chance_lowest: np.ndarray = axes("draw")

    tables = {"neurons": "row", "words": "row label"}
    picture = Dots("score", ("neuron", "own_words"), beside="control")

    @property
    def sites(self) -> tuple[str, ...]:
        """The neurons' sites, as edits and `clamp` take them."""
        return self.neurons

    def _facts(self) -> str:
        named = ", ".join(map(repr, self.words[:3])) + (", …" if len(self.words) > 3 else "")
        return (
            f"{len(self.neurons)} of {self.n_searched} neurons for {named}, first "
            f"{self.neurons[0]} at {self.scores[0]:.1f} standard deviations"
        )


@checked
def find_neurons(
    model: Model,
    words: Targets,
    *,
    side: Side = "out",
    effect: Effect = "promote",
    n: Count = 20,
    layers: Layers = None,
    norm: NormChoice = "folded",
    n_controls: Count = 100,
    seed: Seed = 0,
) -> FoundNeurons:
    """The neurons that promote some words, by their weights alone, as `FoundNeurons`.

    words: each one token, or a token id. side: "out", what a neuron writes; "in" or "gate", which
    words' embeddings it answers to. effect: "promote" for the highest scores, "suppress" for the
    lowest, "either". Neurons of a gated MLP are active with either sign, so that "promote" means:
    when positive. n: how many. layers: one or several, None for all. norm: as in
    `neurons`. n_controls: random sets of as many words, for what chance reaches; seed: of these.

    Exact, and without a number for every neuron and token: mean and spread of a neuron's numbers
    follow from the mean and the covariance of the unembedding's columns.

    Raises `ValueError` for a word of several tokens, naming them, and for layers, sides and
    numbers that the model does not have.
    """
    ids = list(dict.fromkeys(token_ids(model.tokenizer, words, of="A word that neurons write")))
    if not ids:
        raise ValueError("Neurons are found by at least one word; got none. Write words=[' dog'].")
    searched, (side,) = layers_of(model, layers), sides_of(model, _one(side))
    whole("n", n, 1, len(searched) * model.spec.d_mlp, "No more neurons are searched.")
    projection = projection_of(model, side, norm)
    if max(ids) >= projection.d_vocab:
        raise ValueError(
            f"{model.spec.name} has the tokens 0 to {projection.d_vocab - 1}; got {max(ids)}, "
            "which only its tokenizer knows."
        )
    drawn = _random_words(ids, projection.d_vocab, n_controls, seed)
    with torch.no_grad():
        moments = ColumnMoments.of(projection)
        word_scores, highest, lowest = [], [], []
        for at in searched:
            for directions in directions_of(model, at, side, norm).split(ROWS):
                word_scores.append(moments.standard_scores(directions, ids))
                random = moments.standard_scores(directions, drawn.ravel().tolist())
                means = random.unflatten(1, drawn.shape).mean(-1)
                highest.append(means.amax(0))
                lowest.append(means.amin(0))
        each = torch.cat(word_scores)
        scores = each.mean(-1)
        order = {"promote": scores, "suppress": -scores, "either": scores.abs()}[effect]
        rows = order.topk(n).indices
        places = [divmod(row, model.spec.d_mlp) for row in rows.tolist()]
        found = torch.stack([directions_of(model, searched[a], side, norm)[u] for a, u in places])
        values, ranks = _in_vocabulary(projection, found, ids, scores[rows] < 0)
        own = read_words(
            projection, found, k=min(N_OWN, projection.d_vocab), bottom=True, measures=()
        )
    assert own.bottom_ids is not None
    found_scores = _numpy(scores[rows])
    negative = found_scores < 0
    vocabulary = token_strings(model.tokenizer, range(projection.d_vocab))
    best, worst = (_numpy(torch.stack(each)) for each in (highest, lowest))
    best, worst = best.max(0), worst.min(0)
    chance, as_far = against_draws(found_scores, best, worst)
    low, high = np.quantile(chance, [0.025, 0.975], axis=1)
    return FoundNeurons(
        **provenance(model, seed=seed),
        words=tuple(vocabulary[i] for i in ids),
        neurons=tuple(f"L{searched[a]}.mlp_post/{u}" for a, u in places),
        own_words=tuple(
            tuple(vocabulary[i] for i in row)
            for row in np.where(negative[:, None], own.bottom_ids, own.top_ids).tolist()
        ),
        best_word=tuple(vocabulary[ids[i]] for i in ranks.argmin(1)),
        side=side,
        effect=effect,
        norm=norm,
        n_searched=len(scores),
        layers=np.array([searched[a] for a, _ in places]),
        units=np.array([u for _, u in places]),
        word_ids=np.array(ids),
        scores=found_scores,
        control=chance.mean(1),
        control_low=low,
        control_high=high,
        by_chance=as_far,
        among_first=(ranks <= len(ids)).sum(1),
        median_rank=np.median(ranks, 1),
        word_scores=_numpy(each[rows]),
        values=values,
        ranks=ranks,
        chance_highest=best,
        chance_lowest=worst,
    )


def against_draws(
    scores: np.ndarray, highest: np.ndarray, lowest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(row, draw) what each score is held against, and (row,) the share that is as far out.

    A positive score is held against the best neuron of each draw, a negative one the worst.
    """
    negative = scores[:, None] < 0
    chance = np.where(negative, lowest, highest)
    return chance, (np.where(negative, -1, 1) * (chance - scores[:, None]) >= 0).mean(1)


def _one(side: Any) -> Side:
    if not isinstance(side, str):
        raise TypeError(f"side is one of 'out', 'in' and 'gate'; got {side!r}.")
    return side  # pyright: ignore[reportReturnType]


def _random_words(ids: list[int], d_vocab: int, n: int, seed: int) -> np.ndarray:
    """(draw, word) ids of as many words as `ids`, none of them, each draw without repeats."""
    rest = np.setdiff1d(np.arange(d_vocab), ids)
    if len(rest) < len(ids):
        raise ValueError(
            f"Random words are drawn from the rest of the vocabulary, which has {len(rest)} "
            f"tokens; got {len(ids)} words. Give fewer."
        )
    rng = np.random.default_rng(seed)
    return np.stack([rng.choice(rest, len(ids), replace=False) for _ in range(n)])


def _in_vocabulary(
    projection: Any, directions: torch.Tensor, ids: list[int], negative: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers (n, id) and ranks (n, id) of tokens; of a `negative` row from the bottom."""
    chosen, ranks = [], []
    for direction, below in zip(directions.split(64), negative.split(64), strict=True):
        values = projection(direction)
        own = values[:, ids]
        sign = 1 - 2 * below.float()[:, None]
        chosen.append(_numpy(own))
        ranks.append(1 + _numpy(count_greater(sign * values, sign * own)))
    return np.concatenate(chosen), np.concatenate(ranks)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
