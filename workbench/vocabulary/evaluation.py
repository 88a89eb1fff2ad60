"""Evaluation of an observable's vectors: do they act as they say, and as well as fitted ones?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

from ..change import Change
from ..check import Count, Seed, checked, whole
from ..controls import like
from ..dictionary.base import Dictionary
from ..edits import Add, Affine, Edit
from ..effects import Effects, Measure, table_of
from ..elsewhere import texts_elsewhere
from ..experiment import KL, LOSS, damages
from ..model import Model, Norm, Prompts
from ..pictures.marks import Dots
from ..result import provenance
from ..site import Site
from ..targets import token_ids
from ..tasks import Task, TaskBatch
from ..tokens import Positions, Tokens
from .observable_gradient import Step, in_batches, path_gradient, read_norm, read_path
from .observables import Observable, Vectors, check_together, vector_names
from .observables import observable as observable_of
from .projection import embedding_at, normed, word_streams

#: What pictures call the first measure.
LABEL = "share of the observable's variation that ablation takes away"


@checked
def evaluate(
    model: Model,
    task: Task | TaskBatch | Prompts,
    vectors: Vectors,
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
) -> Effects:
    """What an observable's vectors do when they are used, beside other directions, as `Effects`.

        path = wb.vocabulary.observable(model, " he", " she").propagate("L0H2")
        wb.vocabulary.evaluate(model, wb.task("gender_profession"), path).score("removed")

    task: with the observable's targets or foils as answers, so that a "difference in means" and a
    "logistic probe" are fitted as controls on n_examples of half of its words; or prompts, for
    "random" ones alone. observable: None takes the first vector's, if made of tokens. positions:
    where the stream is changed; None: where a pair differs if a head reads the vector (all of a
    prompt), else the last. push: the length added, in root mean square distances from the mean
    there. truth: numbers of words. Measures: the observable ablated (the direction's part at its
    mean) and pushed, and as the first vector predicts; removed, 1 − cov(ablated, plain) /
    var(plain); slope and correlation of the changes with those predicted; loss and KL elsewhere,
    ablated; truth, Spearman of the words' scores.

    Raises `ValueError` for vectors of several sites or another model, other answers, few examples.
    Source: Dunefsky and Cohan 2023 (arXiv:2312.16291), section 4, but for ablation and controls.
    """
    many = check_together(vectors)
    first, site = many[0], many[0].site
    if first.model != model.spec.name:
        raise ValueError(
            f"Vectors are tried on the model that they come from, {first.model}; got "
            f"{model.spec.name}."
        )
    for name, value in (("n_examples", n_examples), ("n_controls", n_controls)):
        whole(name, value, 2)
    obs = _observable_of(model, first) if observable is None else observable
    path = read_path(model, first.info.get("path", ()))
    norm = read_norm(model, path)
    through_head = bool(path) and path[0].head is not None
    asked = _read(model, obs, task, positions, through_head)
    names = vector_names(many) if len(many) > 1 else ("observable",)
    if len(set(names)) < len(names):
        raise ValueError(
            "Vectors that are tried together differ in their path or observable; got "
            f"{', '.join(names)}."
        )
    random = [c.parts[0].what.value for c in like(model, first.add(0), n_controls, seed=seed)]
    centred = random if norm is None else [norm.center(each) for each in random]
    drawn = {("random", i): each.double().numpy() for i, each in enumerate(centred)}
    if asked.labels is not None:
        rng = np.random.default_rng(seed)
        pool, rows = split_groups(asked.groups, asked.labels, rng)
        drawn |= _fitted(_Trials.of(obs, site, norm, asked.take(pool)), n_examples, n_controls, rng)
        asked = asked.take(rows)
    trials, n = _Trials.of(obs, site, norm, asked), len(many)
    every = [each.W_dec[0].double().numpy() for each in many] + list(drawn.values())
    every = [each / np.linalg.norm(each) for each in every]
    length, slopes = push * trials.typical, trials.predicted(first.W_dec[0].double().numpy(), path)
    plain = obs.measure(asked.tokens).astype(np.float64)
    none = isinstance(elsewhere, (list, tuple)) and not elsewhere
    texts = None if none else texts_elsewhere(model, elsewhere)
    n_rows = len(asked) + (0 if texts is None else len(texts))
    found: list[Measure] = []

    def add(name: str, unit: str, values: Any, plain: Any = None, **more: Any) -> None:
        rows = np.stack(list(values))
        own = np.zeros(rows.shape[1]) if plain is None else plain
        found.append(Measure(name, unit, own, rows[:n], rows[n:], **more))

    def of_pairs(name: str, unit: str, statistic: str, x: Any, y: Any) -> None:
        """Of y on x, (direction, pair, example): the pairs of an example are drawn together."""
        sums = np.stack([each.mean(1) for each in (x, y, x * x, y * y)], -1)
        add(name, unit, (x * y).mean(1), sums=sums, statistic=statistic)

    with tqdm(total=len(every) * n_rows, disable=not progress, leave=False) as bar:
        tried = []
        for unit in every:
            tried.append([plain + x for x in trials.tried(unit, length, slopes, plain)])
            bar.update(len(asked))
        ablated, pushed, said, said_pushed = zip(*tried, strict=True)
        x, y = (np.stack(both, 1) - plain for both in ((said, said_pushed), (ablated, pushed)))
        away = np.broadcast_to(plain - plain.mean(), (len(every), 1, len(plain)))
        of_pairs("removed", "of the variation", "slope", away, -y[:, :1])
        add("ablated", "logits", ablated, plain)
        add("pushed", "logits", pushed, plain)
        add("predicted ablated", "logits", said, plain)
        add("predicted pushed", "logits", said_pushed, plain)
        # Through 0: where the stream does not change, no change is foretold.
        square = (x * x).mean(1)[..., None]
        add("slope", "logits a logit", (x * y).mean(1), sums=square, statistic="ratio")
        of_pairs("correlation", "", "correlation", x, y)
        if texts is not None:
            changes = [Change(), *(Change(trials.everywhere(unit)) for unit in every)]
            for name, values in zip((LOSS, KL), damages(model, changes, texts, bar), strict=True):
                add(name, "nats", values[1:], values[0], damage=True)
    if truth is not None:
        scores = _word_scores(model, site, norm, every, truth)
        known = rankdata([float(value) for value in truth.values()])
        ranks = rankdata(scores, axis=1)[:, None]
        of_pairs("truth", "", "correlation", ranks, np.broadcast_to(known, ranks.shape))
    return Effects(
        **provenance(model, asked.tokens, seed),
        what=f"{obs.name} at {site}",
        changes={"change": names, "push": (length,) * n},
        controls=table_of(["change", "kind", "draw"], [(None, *key) for key in drawn]),
        measures=tuple(found),
        picture=Dots(
            "effect",
            ("change", "kind"),
            "low",
            "high",
            "control",
            label=LABEL,
            where={"measure": "removed"},
        ),
    )


def _observable_of(model: Model, vector: Dictionary) -> Observable:
    if not vector.info.get("targets"):
        raise ValueError(
            "An observable that was given as numbers over the vocabulary is not kept by its "
            "vectors; give it again: observable=."
        )
    return observable_of(model, vector.info["targets"], vector.info["foils"] or None)


#: The name of the control, which every comparison has.
RANDOM = "random"


# -- directions ------------------------------------------------------------------------------------


def difference_in_means(streams: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(d_model,) the mean of the streams labelled 1 less that of those labelled -1."""
    return streams[labels > 0].mean(0) - streams[labels < 0].mean(0)


def logistic_probe(streams: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(d_model,) a logistic regression of streams that are centred and have root mean square 1."""
    centred = streams.astype(np.float64) - streams.mean(0, dtype=np.float64)
    scale = float(np.sqrt((centred**2).mean())) or 1.0
    fit = LogisticRegression(tol=1e-8, max_iter=1000).fit(centred / scale, labels)
    return fit.coef_[0] / scale


#: Name → the direction (d_model,) of streams (example, d_model) and labels ±1.
FITS = {"difference in means": difference_in_means, "logistic probe": logistic_probe}


def _fitted(
    pool: _Trials, n_examples: int, n_draws: int, rng: np.random.Generator
) -> dict[tuple[str, int], np.ndarray]:
    """The direction of each fit for every draw of a few of the pool's rows."""
    streams, labels = pool.normed(), pool.examples.labels
    assert labels is not None
    draws = [few_rows(labels, pool.examples.groups, n_examples, rng) for _ in range(n_draws)]
    return {
        (name, i): fit(streams[rows], labels[rows])
        for name, fit in FITS.items()
        for i, rows in enumerate(draws)
    }


def _word_scores(
    model: Model,
    site: Site,
    norm: Norm | None,
    directions: Sequence[np.ndarray],
    truth: Mapping[str, float],
) -> np.ndarray:
    """(direction, word) what each direction gives for the words' own streams."""
    ids = token_ids(model.tokenizer, list(truth), of="A word with a known number")
    if len(ids) < 2:
        raise ValueError(
            f"Known numbers are ordered, so there are two or more; got {dict(truth)!r}."
        )
    each = normed(norm, word_streams(model, embedding_at(site), ids))
    streams = np.concatenate([x.double().cpu().numpy() for x in each])
    return np.stack(directions) @ streams.T


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


# -- trials ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Trials:
    """The trials of one stream on some examples. mean: (d_model,) the stream's mean there."""

    obs: Observable
    site: Site
    norm: Norm | None
    examples: _Examples
    streams: tuple[np.ndarray, ...]  # (pos, d_model) float64 a row
    mean: np.ndarray

    @classmethod
    def of(cls, obs: Observable, site: Site, norm: Norm | None, examples: _Examples) -> _Trials:
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

    def tried(
        self, unit: np.ndarray, length: float, slopes: Sequence[np.ndarray], plain: np.ndarray
    ) -> list[np.ndarray]:
        """(batch,) by how much the observable changes with the part along `unit` at its mean, and
        with `length` along it added; and by how much `slopes` foretell.
        """
        level, step = float(self.mean @ unit), length * unit
        changes = (
            [np.outer(level - stream @ unit, unit) for stream in self.streams],
            [np.tile(step, (len(stream), 1)) for stream in self.streams],
        )
        added = torch.as_tensor(step, dtype=torch.float32)
        made = (
            self._measure(lambda **where: _at_mean(self.site, unit, level, **where)),
            self._measure(lambda **where: Add(self.site, added, **where)),
        )
        said = [
            np.array([(c * s).sum() for c, s in zip(each, slopes, strict=True)]) for each in changes
        ]
        return [*(each - plain for each in made), *said]

    def everywhere(self, unit: np.ndarray) -> Edit:
        """The ablation of `unit` at every position of any text."""
        return _at_mean(self.site, unit, float(self.mean @ unit))

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


def _at_mean(site: Site, unit: np.ndarray, level: float, **where: Any) -> Affine:
    """An edit that sets the part of a stream along a unit vector to `level`."""
    matrix = np.eye(len(unit)) - np.outer(unit, unit)
    return Affine(
        site,
        torch.as_tensor(matrix, dtype=torch.float32),
        torch.as_tensor(level * unit, dtype=torch.float32),
        **where,
    )


def _streams(model: Model, site: Site, examples: _Examples) -> list[np.ndarray]:
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


# -- examples --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Examples:
    """Prompts of one trial.

    positions: for each row where the vector is read. labels: (batch,) 1 where the answer is a
    target of the observable, -1 where it is a foil; None without answers. groups: (batch,) equal
    where rows have the same tokens at their positions: words that are fitted on are not tested on.
    """

    tokens: Tokens
    positions: tuple[tuple[int, ...], ...]
    labels: np.ndarray | None
    groups: np.ndarray

    def take(self, rows: Any) -> _Examples:
        index = [int(row) for row in rows]
        return _Examples(
            self.tokens.take(index).trimmed(),
            tuple(self.positions[row] for row in index),
            None if self.labels is None else self.labels[index],
            self.groups[index],
        )

    def __len__(self) -> int:
        return len(self.tokens)


def _read(
    model: Model,
    obs: Observable,
    examples: Any,
    positions: Positions,
    through_head: bool,
) -> _Examples:
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
    return _Examples(
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
