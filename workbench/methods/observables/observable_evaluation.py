"""Evaluation of an observable's vectors: do they act as they say, and as well as fitted ones?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata

from ...check import Count, Level, Seed, checked, whole
from ...model import Model, Prompts
from ...result import Result, axes, provenance
from ...site import Site
from ...tasks import Task, TaskBatch
from ...tokens import Positions
from .observable import Observable
from .observable import observable as observable_of
from .observable_baselines import split_groups
from .observable_comparison import RANDOM, fitted, harm, tried, word_scores
from .observable_couplings import vector_names
from .observable_examples import read_examples
from .observable_measure import measured
from .observable_path import read_norm, read_path
from .observable_trials import Trials
from .observable_vector import ObservableVector, check_together

MEASURES = ("removed", "gain", "damage", "truth", "slope", "correlation")
N_RESAMPLES = 1000


@dataclass(frozen=True, eq=False, repr=False)
class ObservableEvaluation(Result):
    """What directions of one residual stream do to an observable, beside random directions.

    directions: the vectors by their names, then, where examples have labels, directions fitted on
    few of them ("difference in means", "logistic probe"), and "random". Fitted and random ones are
    drawn anew `draw` times; the first n_vectors, the vectors themselves, repeat their numbers along
    that axis. n_fitted: how many examples a fit has, 0 where none has labels.

    before: (batch,) the observable on prompts whose words no direction was fitted on. ablated:
    (direction, draw, batch) with the stream's part along the direction set to its mean; pushed:
    with `push` times the direction added. predicted_*: the changes that the first vector foretells.
    damage: (direction, draw, text) KL(plain ‖ ablated at every position) on other texts, in nats.
    truth: (word,) known numbers of `words`; word_scores: (direction, draw, word) what the
    directions say of them.
    """

    observable: str
    site: str
    directions: tuple[str, ...]
    n_vectors: int
    n_fitted: int
    push: float
    words: tuple[str, ...]
    before: np.ndarray = axes("batch")
    ablated: np.ndarray = axes("direction draw batch")
    pushed: np.ndarray = axes("direction draw batch")
    predicted_ablated: np.ndarray = axes("direction draw batch")
    predicted_pushed: np.ndarray = axes("direction draw batch")
    damage: np.ndarray | None = axes("direction draw text", optional=True)
    truth: np.ndarray | None = axes("word", optional=True)
    word_scores: np.ndarray | None = axes("direction draw word", optional=True)

    picture = "observables.observable_evaluation"

    @property
    def measures(self) -> tuple[str, ...]:
        """What was measured: damage only with texts, truth only with known numbers."""
        there = {"damage": self.damage, "truth": self.truth}
        return tuple(name for name in MEASURES if name not in there or there[name] is not None)

    def score(
        self, measure: str, direction: str | None = None, level: Level = 0.95
    ) -> tuple[float, float, float]:
        """A measure of a direction, the first by default, and its interval: value, low, high.

        "removed": how much of the observable's variation over the prompts is gone when the
        direction is ablated, 1 − cov(ablated, before) / var(before). "gain": the mean of what a
        push adds, in logits. "damage": mean KL. "truth": Spearman correlation of the words' scores
        with the known numbers. "slope", "correlation": of the changes, ablations and pushes
        together, with those that the vector predicts.

        The value is the mean over draws; the interval is a bootstrap over draws and prompts or
        texts, for "truth" over draws alone (one number for a vector). NaN where what it is over
        does not vary. Raises `ValueError` for another measure or direction.
        """
        direction = self.directions[0] if direction is None else direction
        if direction not in self.directions:
            raise ValueError(
                f"The directions tried are {', '.join(self.directions)}; got {direction!r}."
            )
        if measure not in self.measures:
            raise ValueError(
                f"What was measured is {', '.join(self.measures)}; got {measure!r}. Damage needs "
                "texts=, truth needs truth=."
            )
        d = self.directions.index(direction)
        if measure == "truth":
            return _interval(self._spearman(d), level, self.seed)
        rng = np.random.default_rng(self.seed or 0)
        n = self._n(measure)
        chosen = rng.integers(n, size=(N_RESAMPLES, n))
        # A vector is the same in every draw.
        draws = range(1 if d < self.n_vectors else self.ablated.shape[1])
        value = np.mean([self._of(measure, d, i, np.arange(n)) for i in draws])
        if not np.isfinite(value):
            return float("nan"), float("nan"), float("nan")
        each = np.stack([self._of(measure, d, i, chosen) for i in draws])
        drawn = each[rng.integers(len(each), size=(len(each), N_RESAMPLES)), np.arange(N_RESAMPLES)]
        low, high = np.nanquantile(drawn.mean(0), [(1 - level) / 2, (1 + level) / 2])
        return float(value), float(low), float(high)

    def _n(self, measure: str) -> int:
        """How many prompts, or texts, a measure is over."""
        if measure != "damage":
            return len(self.before)
        assert self.damage is not None
        return self.damage.shape[2]

    def _of(self, measure: str, d: int, draw: int, chosen: np.ndarray) -> np.ndarray:
        """(…) one measure of one draw over chosen (…, n) prompts or texts."""
        if measure == "damage":
            assert self.damage is not None
            return self.damage[d, draw].astype(np.float64)[chosen].mean(-1)
        before = self.before.astype(np.float64)
        ablated, pushed = self.ablated[d, draw] - before, self.pushed[d, draw] - before
        if measure == "gain":
            return pushed[chosen].mean(-1)
        if measure == "removed":
            return -_slope(_centred(before[chosen]), _centred(ablated[chosen]))
        said = [self.predicted_ablated[d, draw][chosen], self.predicted_pushed[d, draw][chosen]]
        x = np.concatenate(said, -1).astype(np.float64)
        y = np.concatenate([ablated[chosen], pushed[chosen]], -1)
        if measure == "slope":
            # Through 0: where the stream does not change, no change is foretold.
            return _slope(x, y)
        x, y = _centred(x), _centred(y)
        return _slope(x, y) * np.sqrt(_ratio((x**2).sum(-1), (y**2).sum(-1)))

    def _spearman(self, d: int) -> np.ndarray:
        """(draw,)"""
        assert self.truth is not None and self.word_scores is not None
        draws = 1 if d < self.n_vectors else self.word_scores.shape[1]
        ranks = np.stack([rankdata(scores) for scores in self.word_scores[d, :draws]])
        known = rankdata(self.truth)
        x, y = _centred(known), _centred(ranks)
        return _ratio((x * y).sum(-1), np.sqrt((x @ x) * (y * y).sum(-1)))

    def to_frame(self) -> pd.DataFrame:
        """One line a direction: each measure with its 95 % interval in _low and _high."""
        rows = []
        for direction in self.directions:
            row: dict[str, float] = {}
            for measure in self.measures:
                value, low, high = self.score(measure, direction)
                row |= {measure: value, f"{measure}_low": low, f"{measure}_high": high}
            rows.append(row)
        return pd.DataFrame(rows, index=pd.Index(self.directions, name="direction"))

    def _facts(self) -> str:
        each, everything = [], np.arange(len(self.before))
        for d, name in enumerate(self.directions):
            draws = range(self.ablated.shape[1])
            mean = np.mean([self._of("removed", d, i, everything) for i in draws])
            each.append(f"{name} {mean:.2f}")
        return (
            f"{self.observable} at {self.site}, {len(self.before)} prompts, removed by "
            f"{', '.join(each)}"
        )


def _interval(values: np.ndarray, level: float, seed: int | None) -> tuple[float, float, float]:
    """The mean over draws and its bootstrap interval."""
    rng = np.random.default_rng(seed or 0)
    drawn = values[rng.integers(len(values), size=(N_RESAMPLES, len(values)))].mean(-1)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(values.mean()), float(low), float(high)


def _centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(-1, keepdims=True)


def _slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of y over x along the last axis; NaN where x is 0 everywhere."""
    return _ratio((x * y).sum(-1), (x * x).sum(-1))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)


@checked
def evaluate_observable(
    model: Model,
    vectors: ObservableVector | Sequence[ObservableVector],
    examples: Task | TaskBatch | Prompts,
    *,
    observable: Observable | None = None,
    positions: Positions = None,
    n_examples: Count = 8,
    n_draws: Count = 8,
    push: float = 1.0,
    truth: Mapping[str, float] | None = None,
    texts: Any = None,
    n: Count | None = None,
    seed: Seed = 0,
    batch_size: Count = 8,
    progress: bool = True,
) -> ObservableEvaluation:
    """What an observable's vectors do when they are used, as an `ObservableEvaluation`.

    vectors: one, or several of one residual stream; predictions are the first one's. examples: a
    task whose answers are the observable's targets or foils, so that a difference in means and a
    logistic probe can be fitted in the same stream on n_examples of its clean prompts, n_draws
    times; or prompts, which are compared with random directions alone. Half of a task's words are
    fitted on and the others tested on. observable: what is measured; None takes the one that the
    first vector was propagated from, if that was made of tokens.

    positions: where the stream is changed; None: where the prompts of a pair differ if a head reads
    the vector (all positions of plain prompts), else the last. push: the length that is added, in
    units of the stream's root mean square distance from its mean there. truth: known numbers of
    words, each one token with its leading space. texts: others, on which an ablation should change
    nothing. n: how many pairs of a task. batch_size: texts in one pass.

    Raises `ValueError` for vectors of several sites or of another model, a task with other answers,
    too few examples, and a word of several tokens.

    Source: Dunefsky and Cohan 2023 (arXiv:2312.16291), section 4, compare with probes and
    differences in means in the same way; the ablation, the random control and the intervals are
    ours.
    """
    many = [vectors] if isinstance(vectors, ObservableVector) else list(vectors)
    check_together(many)
    first = many[0]
    if first.model != model.spec.name:
        raise ValueError(
            f"Vectors are tried on the model that they come from, {first.model}; got "
            f"{model.spec.name}."
        )
    for name, value in (("n_examples", n_examples), ("n_draws", n_draws)):
        whole(name, value, 2)
    obs = _observable_of(model, first) if observable is None else observable
    path = read_path(model, first.path)
    site, norm = Site.parse(first.site), read_norm(model, path)
    through_head = bool(path) and path[0].head is not None
    read = read_examples(model, obs, examples, positions, through_head, n)
    rng = np.random.default_rng(seed)
    fit_rows, test_rows = np.array([], int), np.arange(len(read))
    if read.labels is not None:
        fit_rows, test_rows = split_groups(read.groups, read.labels, rng)
    trials = Trials.of(obs, site, norm, read.take(test_rows.tolist()))

    names = vector_names(many) if len(many) > 1 else ("observable",)
    if len(set(names)) < len(names):
        raise ValueError(
            "Vectors that are tried together differ in their path or observable; got "
            f"{', '.join(names)}."
        )
    directions = {
        name: [each.vector.astype(np.float64)] * n_draws
        for name, each in zip(names, many, strict=True)
    }
    if read.labels is not None:
        pool = read.take(fit_rows.tolist())
        directions |= fitted(Trials.of(obs, site, norm, pool), n_examples, n_draws, rng)
    drawn = rng.standard_normal((n_draws, len(first.vector)))
    directions[RANDOM] = list(
        drawn if norm is None else norm.center(torch.from_numpy(drawn)).numpy()
    )
    results = tried(trials, first, path, directions, len(many), push * trials.typical, progress)
    damages = None
    if texts is not None:
        damages = harm(trials, directions, len(many), texts, batch_size, progress)
    words = None
    if truth is not None:
        words = word_scores(model, first.embedding, norm, directions, truth)
    return ObservableEvaluation(
        **provenance(model, trials.examples.tokens, seed),
        observable=obs.name,
        site=str(site),
        directions=tuple(directions),
        n_vectors=len(many),
        n_fitted=0 if read.labels is None else n_examples,
        push=push * trials.typical,
        words=() if truth is None else tuple(truth),
        before=measured(obs, trials.examples.tokens),
        ablated=results["ablated"],
        pushed=results["pushed"],
        predicted_ablated=results["predicted_ablated"],
        predicted_pushed=results["predicted_pushed"],
        damage=damages,
        truth=None if truth is None else np.array([float(value) for value in truth.values()]),
        word_scores=words,
    )


def _observable_of(model: Model, vector: ObservableVector) -> Observable:
    if not vector.target_ids:
        raise ValueError(
            "An observable that was given as numbers over the vocabulary is not kept by its "
            "vectors; give it again: observable=."
        )
    return observable_of(model, list(vector.target_ids), list(vector.foil_ids) or None)
