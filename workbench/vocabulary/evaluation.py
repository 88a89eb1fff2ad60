"""Evaluation of an observable's vectors: do they act as they say, and as well as fitted ones?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from scipy.stats import rankdata
from tqdm.auto import tqdm

from ..change import Change
from ..check import Count, Level, Seed, checked, whole
from ..edits import Add, Affine, Edit
from ..elsewhere import texts_elsewhere
from ..experiment import damages
from ..model import Model, Norm, Prompts
from ..result import Result, axes, provenance
from ..site import Site
from ..targets import token_ids
from ..tasks import Task, TaskBatch
from ..tokens import Positions, Tokens
from .observable_gradient import (
    Embedding,
    Step,
    in_batches,
    path_gradient,
    read_norm,
    read_path,
    token_streams,
)
from .observables import Observable, ObservableVector, check_together, vector_names
from .observables import observable as observable_of

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
                "elsewhere=, truth needs truth=."
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
def evaluate(
    model: Model,
    task: Task | TaskBatch | Prompts,
    vectors: ObservableVector | Sequence[ObservableVector],
    *,
    observable: Observable | None = None,
    positions: Positions = None,
    n_examples: Count = 8,
    n_controls: Count = 8,
    push: float = 1.0,
    truth: Mapping[str, float] | None = None,
    elsewhere: Prompts | None = None,
    seed: Seed = 0,
    progress: bool = True,
) -> ObservableEvaluation:
    """What an observable's vectors do when they are used, as an `ObservableEvaluation`.

        path = wb.vocabulary.observable(model, " he", " she").propagate("L0H2")
        wb.vocabulary.evaluate(model, wb.task("gender_profession"), path)

    task: one whose answers are the observable's targets or foils, so that a difference in means and
    a logistic probe can be fitted in the same stream on n_examples of its clean prompts, n_controls
    times; or prompts, which are compared with random directions alone. Half of a task's words are
    fitted on and the others tested on. vectors: one, or several of one residual stream; predictions
    are the first one's. observable: what is measured; None takes the first vector's, if that was
    made of tokens. positions: where the stream is changed; None: where the prompts of a pair differ
    if a head reads the vector (all positions of plain prompts), else the last. push: the length
    that is added, in units of the stream's root mean square distance from its mean there. truth:
    known numbers of words, each one token. elsewhere: texts on which an ablation should change
    nothing; None for the last 40 that ship, () for none.

    Raises `ValueError` for vectors of several sites or of another model, a task with other answers,
    too few examples, and a word of several tokens.

    Source: Dunefsky and Cohan 2023 (arXiv:2312.16291), section 4, but for ablation and controls.
    """
    many = [vectors] if isinstance(vectors, ObservableVector) else list(vectors)
    check_together(many)
    first = many[0]
    if first.model != model.spec.name:
        raise ValueError(
            f"Vectors are tried on the model that they come from, {first.model}; got "
            f"{model.spec.name}."
        )
    for name, value in (("n_examples", n_examples), ("n_controls", n_controls)):
        whole(name, value, 2)
    obs = _observable_of(model, first) if observable is None else observable
    path = read_path(model, first.path)
    site, norm = Site.parse(first.site), read_norm(model, path)
    through_head = bool(path) and path[0].head is not None
    read = read_examples(model, obs, task, positions, through_head)
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
        name: [each.vector.astype(np.float64)] * n_controls
        for name, each in zip(names, many, strict=True)
    }
    if read.labels is not None:
        pool = read.take(fit_rows.tolist())
        directions |= fitted(Trials.of(obs, site, norm, pool), n_examples, n_controls, rng)
    drawn = rng.standard_normal((n_controls, len(first.vector)))
    directions[RANDOM] = list(
        drawn if norm is None else norm.center(torch.from_numpy(drawn)).numpy()
    )
    results = tried(trials, first, path, directions, len(many), push * trials.typical, progress)
    harmed = None
    if not (isinstance(elsewhere, (list, tuple)) and not elsewhere):
        texts = texts_elsewhere(model, elsewhere)
        harmed = harm(trials, directions, len(many), texts, progress)
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
        before=obs.measure(trials.examples.tokens),
        ablated=results["ablated"],
        pushed=results["pushed"],
        predicted_ablated=results["predicted_ablated"],
        predicted_pushed=results["predicted_pushed"],
        damage=harmed,
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


#: The name of the control, which every comparison has.
RANDOM = "random"


def fitted(
    pool: Trials, n_examples: int, n_draws: int, rng: np.random.Generator
) -> dict[str, list[np.ndarray]]:
    """Each baseline's direction for every draw of a few of the pool's rows."""
    streams, labels = pool.normed(), pool.examples.labels
    assert labels is not None
    draws = [few_rows(labels, pool.examples.groups, n_examples, rng) for _ in range(n_draws)]
    return {
        name: [fit(streams[rows], labels[rows]) for rows in draws]
        for name, fit in BASELINES.items()
    }


def tried(
    trials: Trials,
    first: ObservableVector,
    path: Sequence[Step],
    directions: Mapping[str, list[np.ndarray]],
    n_vectors: int,
    length: float,
    progress: bool,
) -> dict[str, np.ndarray]:
    """What the ablation of each direction and a push along it do, and were foretold to."""
    n_draws = len(directions[RANDOM])
    shape = (len(directions), n_draws, len(trials.examples))
    names = ("ablated", "pushed", "predicted_ablated", "predicted_pushed")
    out = {name: np.zeros(shape) for name in names}
    gradients = trials.predicted(first.vector.astype(np.float64), path)
    total = n_vectors + (len(directions) - n_vectors) * n_draws
    with tqdm(total=total, desc="directions", disable=not progress) as bar:
        for d, draws in enumerate(directions.values()):
            # A vector is the same in every draw: one trial serves them all.
            for i, direction in enumerate(draws[:1] if d < n_vectors else draws):
                unit = direction / np.linalg.norm(direction)
                at = slice(None) if d < n_vectors else i
                results = (trials.ablate(unit), trials.push(unit, length))
                for name, (values, changes) in zip(names[:2], results, strict=True):
                    out[name][d, at] = values
                    pairs = zip(changes, gradients, strict=True)
                    said = [float((change * gradient).sum()) for change, gradient in pairs]
                    out[f"predicted_{name}"][d, at] = said
                bar.update()
    return out


def harm(
    trials: Trials,
    directions: Mapping[str, list[np.ndarray]],
    n_vectors: int,
    texts: Tokens,
    progress: bool,
) -> np.ndarray:
    """(direction, draw, text) KL(plain ‖ ablated) in nats, the mean over each text's positions."""
    edits = [
        trials.everywhere(direction / np.linalg.norm(direction))
        for d, draws in enumerate(directions.values())
        for direction in (draws[:1] if d < n_vectors else draws)
    ]
    changes = [Change(), *map(Change, edits)]
    with tqdm(total=len(changes) * len(texts), desc="damage", disable=not progress) as bar:
        each = iter(damages(trials.obs.model, changes, texts, bar)[1, 1:])
    n_draws = len(directions[RANDOM])
    out = []
    for d in range(len(directions)):
        rows = [next(each) for _ in range(1 if d < n_vectors else n_draws)]
        out.append(np.stack(rows * n_draws if d < n_vectors else rows))
    return np.stack(out)


def word_scores(
    model: Model,
    embedding: Embedding,
    norm: Norm | None,
    directions: Mapping[str, list[np.ndarray]],
    truth: Mapping[str, float],
) -> np.ndarray:
    """(direction, draw, word) what each direction gives for the words' own streams."""
    ids = token_ids(model.tokenizer, list(truth), of="A word with a known number")
    if len(ids) < 2:
        raise ValueError(
            f"Known numbers are ordered, so there are two or more; got {dict(truth)!r}."
        )
    streams = np.concatenate(
        [x.double().cpu().numpy() for x in token_streams(model, embedding, norm, ids)]
    )
    return np.stack([np.stack(draws) @ streams.T for draws in directions.values()])


def difference_in_means(streams: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(d_model,) the mean of the streams labelled 1 less that of those labelled -1."""
    return streams[labels > 0].mean(0) - streams[labels < 0].mean(0)


def logistic_probe(streams: np.ndarray, labels: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """(d_model,) the weights of a logistic regression with an intercept.

    The least Σ log(1 + exp(−label · logit)) + |w|² / (2 · strength) over streams that are centred
    and, as a whole, scaled to a root mean square of 1.
    """
    centred = streams.astype(np.float64) - streams.mean(0, dtype=np.float64)
    scale = float(np.sqrt((centred**2).mean())) or 1.0
    x, y = centred / scale, labels.astype(np.float64)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        margins = y * (x @ weights + bias)
        # d log(1 + e^-m) / dm, written so that large margins do not overflow.
        slopes = -y * np.exp(-np.logaddexp(0, margins))
        value = np.logaddexp(0, -margins).sum() + weights @ weights / (2 * strength)
        return float(value), np.append(x.T @ slopes + weights / strength, slopes.sum())

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B",
                     options={"maxiter": 1000, "gtol": 1e-8, "ftol": 1e-14})  # fmt: skip
    return found.x[:-1] / scale


#: Name → the direction (d_model,) of streams (example, d_model) and labels ±1.
BASELINES = {"difference in means": difference_in_means, "logistic probe": logistic_probe}


def split_groups(
    groups: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on and rows to test on: half of the words of each label, none in both.

    Raises `ValueError` where a label has a single word.
    """
    test = np.zeros(len(groups), bool)
    kinds = np.ones(len(groups)) if labels is None else labels
    for kind in np.unique(kinds):
        words = rng.permutation(np.unique(groups[kinds == kind]))
        if len(words) < 2:
            raise ValueError(
                "Directions are tested on other words than they are fitted on, so that each label "
                "has two or more where its prompts differ; one has a single one. Give more "
                "examples."
            )
        test |= np.isin(groups, words[: -(-len(words) // 2)]) & (kinds == kind)
    return np.flatnonzero(~test), np.flatnonzero(test)


def few_rows(
    labels: np.ndarray, groups: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """n rows, half of each label, and of different words as far as there are such."""
    chosen: list[int] = []
    for label, count in ((1, -(-n // 2)), (-1, n // 2)):
        mine = rng.permutation(np.flatnonzero(labels == label))
        first = [i for k, i in enumerate(mine) if groups[i] not in groups[mine[:k]]]
        rest = [i for i in mine if i not in first]
        if len(mine) < count:
            raise ValueError(
                f"Directions are fitted on n_examples={n} prompts, half of each label; there are "
                f"{len(mine)} of one. Ask for fewer, or give more examples."
            )
        chosen += [*first, *rest][:count]
    return np.array(chosen)


@dataclass(frozen=True, eq=False)
class Trials:
    """The trials of one stream on some examples. mean: (d_model,) the stream's mean there."""

    obs: Observable
    site: Site
    norm: Norm | None
    examples: TrialExamples
    streams: tuple[np.ndarray, ...]  # (pos, d_model) float64 a row
    mean: np.ndarray

    @classmethod
    def of(cls, obs: Observable, site: Site, norm: Norm | None, examples: TrialExamples) -> Trials:
        streams = tuple(_streams(obs.model, site, examples))
        return cls(obs, site, norm, examples, streams, np.concatenate(streams).mean(0))

    @property
    def typical(self) -> float:
        """The root mean square distance of the stream from its mean: the length of a push."""
        return float(np.sqrt(((np.concatenate(self.streams) - self.mean) ** 2).sum(-1).mean()))

    def normed(self) -> np.ndarray:
        """(batch, d_model) each row's stream as the norm leaves it, the mean over its positions."""
        out = []
        for stream in self.streams:
            x = torch.from_numpy(stream)
            if self.norm is not None:
                x = self.norm.center(x) / self.norm.scale(x)
            out.append(x.mean(0).numpy())
        return np.stack(out)

    def predicted(self, vector: np.ndarray, path: Sequence[Step]) -> list[np.ndarray]:
        """For each row (pos, d_model): the change of the observable a change of stream makes.

        The vector over the scale of the norm there, times the attention that the path pays.
        """
        model, tokens = self.obs.model, self.examples.tokens
        out, start = [], 0
        for part in in_batches(tokens):
            found = path_gradient(model, self.obs.direction, part, path)
            factor = (found.weights / found.scales[..., 0]).detach().double().cpu().numpy()
            for row in range(len(part)):
                at = [part.offset(row) + p for p in self.examples.positions[start + row]]
                out.append(factor[row, at, None] * vector)
            start += len(part)
        return out

    def ablate(self, unit: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """(batch,) the observable with the stream's part along `unit` at its mean; the changes."""
        level = float(self.mean @ unit)
        changes = [np.outer(level - stream @ unit, unit) for stream in self.streams]
        return self._measure(lambda **where: at_mean(self.site, unit, level, **where)), changes

    def push(self, unit: np.ndarray, length: float) -> tuple[np.ndarray, list[np.ndarray]]:
        """(batch,) the observable with `length` along `unit` added; the changes."""
        step = torch.as_tensor(length * unit, dtype=torch.float32)
        changes = [np.tile(length * unit, (len(stream), 1)) for stream in self.streams]
        return self._measure(lambda **where: Add(self.site, step, **where)), changes

    def everywhere(self, unit: np.ndarray) -> Edit:
        """The ablation of `unit` at every position of any text."""
        return at_mean(self.site, unit, float(self.mean @ unit))

    def _measure(self, make: Callable[..., Edit]) -> np.ndarray:
        tokens, out, start = self.examples.tokens, [], 0
        for part in in_batches(tokens):
            stop = start + len(part)
            edits = [
                make(rows=rows, positions=at)
                for at, rows in _by_positions(self.examples.positions[start:stop])
            ]
            out.append(self.obs.measured(part, edits))
            start = stop
        return np.concatenate(out)


def at_mean(site: Site, unit: np.ndarray, level: float, **where: Any) -> Affine:
    """An edit that sets the part of a stream along a unit vector to `level`."""
    matrix = np.eye(len(unit)) - np.outer(unit, unit)
    return Affine(
        site,
        torch.as_tensor(matrix, dtype=torch.float32),
        torch.as_tensor(level * unit, dtype=torch.float32),
        **where,
    )


def _streams(model: Model, site: Site, examples: TrialExamples) -> list[np.ndarray]:
    """For each row (pos, d_model) float64: the stream at its positions."""
    out, start = [], 0
    for part in in_batches(examples.tokens):
        with torch.no_grad():
            stream = model.run(part, read=site, stop_after=site)[site].double().cpu().numpy()
        for row in range(len(part)):
            at = [part.offset(row) + p for p in examples.positions[start + row]]
            out.append(stream[row, at])
        start += len(part)
    return out


def _by_positions(
    positions: Sequence[tuple[int, ...]],
) -> list[tuple[tuple[int, ...], list[int]]]:
    """Each tuple of positions and the rows that have it."""
    out: dict[tuple[int, ...], list[int]] = {}
    for row, at in enumerate(positions):
        out.setdefault(at, []).append(row)
    return list(out.items())


@dataclass(frozen=True, eq=False)
class TrialExamples:
    """Prompts of one trial.

    positions: for each row where the vector is read. labels: (batch,) 1 where the answer is a
    target of the observable, -1 where it is a foil; None without answers. groups: (batch,) equal
    where rows have the same tokens at their positions: words that are fitted on are not tested on.
    """

    tokens: Tokens
    positions: tuple[tuple[int, ...], ...]
    labels: np.ndarray | None
    groups: np.ndarray

    def take(self, rows: Sequence[int]) -> TrialExamples:
        index = [int(row) for row in rows]
        return TrialExamples(
            self.tokens.take(index).trimmed(),
            tuple(self.positions[row] for row in index),
            None if self.labels is None else self.labels[index],
            self.groups[index],
        )

    def __len__(self) -> int:
        return len(self.tokens)


def read_examples(
    model: Model,
    obs: Observable,
    examples: Any,
    positions: Positions,
    through_head: bool,
) -> TrialExamples:
    """Examples of a task, with labels, or prompts without.

    positions: None takes, for a path that begins with a head, the words by which the clean prompt
    of a pair differs from its corrupt one (all positions of plain prompts), and else the last.
    Raises `ValueError` for a task whose answers are not the observable's tokens.
    """
    if isinstance(examples, Task):
        examples = examples.on(model)
    batch = examples if isinstance(examples, TaskBatch) else None
    prompts: Any = examples
    tokens = model.tokens(prompts) if batch is None else batch.clean
    differing = None if batch is None else _differing(batch)
    if positions is None and not through_head:
        positions = "last"
    chosen = differing
    if chosen is None or positions is not None:
        chosen = [
            tuple(column - tokens.offset(row) for column in tokens.columns(row, positions))
            for row in range(len(tokens))
        ]
    return TrialExamples(
        tokens,
        tuple(chosen),
        None if batch is None else _labels(obs, batch),
        _groups(tokens, differing or chosen),
    )


def _differing(batch: TaskBatch) -> list[tuple[int, ...]]:
    """For each pair the positions at which its prompts, equally long, differ."""
    out = []
    for row in range(len(batch)):
        clean = batch.clean.ids[row, batch.clean.columns(row)]
        corrupt = batch.corrupt.ids[row, batch.corrupt.columns(row)]
        out.append(tuple((clean != corrupt).nonzero()[:, 0].tolist()))
    return out


def _groups(tokens: Tokens, positions: Sequence[tuple[int, ...]]) -> np.ndarray:
    numbers: dict[tuple[int, ...], int] = {}
    out = []
    for row, at in enumerate(positions):
        columns = [tokens.offset(row) + p for p in at]
        key = tuple(tokens.ids[row, columns].tolist())
        out.append(numbers.setdefault(key, len(numbers)))
    return np.array(out)


def _labels(obs: Observable, batch: TaskBatch) -> np.ndarray:
    out = []
    for row in batch.answer_ids.tolist():
        answers = {i for i in row if i >= 0}
        if answers <= set(obs.targets):
            out.append(1)
        elif answers <= set(obs.foils):
            out.append(-1)
        else:
            raise ValueError(
                f"A task labels its prompts for an observable by answers that are its targets or "
                f"its foils; {batch.task} has others than those of {obs.name}. Take another task, "
                "or give prompts, which have no labels."
            )
    return np.array(out)
