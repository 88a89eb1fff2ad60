"""Tasks: what a model must do, as clean and corrupt prompts with answers, foils and a metric."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from . import data
from .check import Count, Seed, checked, given
from .encoding import encode
from .metrics import TASK_METRICS, pad_ids
from .model import Model
from .pairs import Pair, PairSet, SetCheck, read_pairs, read_sets
from .resample import bootstrap, wilson
from .tokens import Tokens

#: Above this many tokens a vocabulary is of real text: a set of ordinary English comes first there.
_CLOSED_VOCABULARY = 10_000
#: Below this share of the metric's own size a difference between clean and corrupt is rounding.
SMALLEST_GAP = 1e-5
#: About how many tokens run in one pass where rows can be split freely, and how many bytes the
#: vectors may take that are held of each of them.
TOKENS_PER_PASS, BYTES_PER_PASS = 4096, 2**29
#: Prompts of an evaluation in a pass.
PROMPTS = 32


#: The set of a person's own pairs, and how they are given.
OWN, EXAMPLE = "own", "wb.task([(clean, corrupt, answer, foil)])"


class TaskDoesNotFit(ValueError):
    """A tokenizer cannot express a task's pairs."""


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """A task's examples as one model reads them.

    clean, corrupt: (batch, pos) tokens, row by row of equal length. answer_ids, foil_ids:
    (batch, k) int64, padded with -1. set: the name of the set they come from.
    """

    task: str
    set: str
    metric_name: str
    pairs: tuple[Pair, ...]
    clean: Tokens
    corrupt: Tokens
    answer_ids: torch.Tensor
    foil_ids: torch.Tensor

    @property
    def labels(self) -> tuple[Mapping[str, Any], ...]:
        """What each example is labelled with."""
        return tuple(pair.labels for pair in self.pairs)

    @property
    def templates(self) -> tuple[str, ...]:
        return tuple(pair.template for pair in self.pairs)

    def metric(self, logits: torch.Tensor) -> torch.Tensor:
        """(batch,) the task's metric of logits (batch, 1, d_vocab); positive = more of the answer.

        Ready for `model.run(batch.clean, grad_of=batch.metric, logits_at="last")`.
        """
        return TASK_METRICS[self.metric_name](logits, self.answer_ids, self.foil_ids)

    def take(self, rows: Sequence[int]) -> TaskBatch:
        """The given examples, in that order, padded no further than the longest of them."""
        index = list(rows)
        return replace(
            self,
            pairs=tuple(self.pairs[r] for r in index),
            clean=self.clean.take(index).trimmed(),
            corrupt=self.corrupt.take(index).trimmed(),
            answer_ids=self.answer_ids[index],
            foil_ids=self.foil_ids[index],
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"TaskBatch({self.task}, {len(self)} examples of {self.set!r}, {self.metric_name})"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metric of each of a task's examples, and how many of them are right.

    clean, corrupt: (batch,) float32, the metric of the clean and the corrupt prompts; positive =
    more of the answer. templates: (batch,), that of each example. An example is right where the
    metric of its clean prompt is above 0. set: the task's set in use. seed: of the bootstrap.
    """

    task: str
    set: str
    metric_name: str
    model: str
    templates: tuple[str, ...]
    clean: np.ndarray
    corrupt: np.ndarray
    seed: int = 0

    def __post_init__(self) -> None:
        shapes = {(len(self.templates),), self.clean.shape, self.corrupt.shape}
        if len(shapes) != 1 or not self.templates:
            raise ValueError(
                "An evaluation holds a template and two metrics for each of its examples; got the "
                f"shapes {(len(self.templates),)}, {self.clean.shape} and {self.corrupt.shape}."
            )

    @property
    def accuracy(self) -> float:
        """The share of examples that are right, from 0 to 1."""
        return float((self.clean > 0).mean())

    def accuracy_interval(self, level: float = 0.95) -> tuple[float, float]:
        """The interval of the accuracy (Wilson 1927), which stays honest where all are right."""
        return wilson(self.clean > 0, level)

    def interval(self, level: float = 0.95, *, n_resamples: int = 2000) -> tuple[float, float]:
        """The interval of the mean clean metric: bootstrap over examples, percentiles, seeded.

        Raises `ValueError` for a level that is not between 0 and 1.
        """
        return self._bootstrap(self.clean, level, n_resamples)

    def _bootstrap(
        self, values: np.ndarray, level: float = 0.95, n_resamples: int = 2000
    ) -> tuple[float, float]:
        return bootstrap(
            lambda chosen: values[chosen].mean(-1), len(values), level, self.seed, n_resamples
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a template and a last one, "all": n, accuracy, mean clean and corrupt metric.

        The columns that end in _low and _high are the 95 % intervals.
        """
        templates = np.asarray(self.templates)
        parts = [(name, templates == name) for name in dict.fromkeys(self.templates)]
        rows = []
        for _, part in [*parts, ("all", np.ones(len(templates), dtype=bool))]:
            clean = self.clean[part]
            accuracy_low, accuracy_high = wilson(clean > 0)
            clean_low, clean_high = self._bootstrap(clean)
            rows.append(
                {
                    "n": len(clean),
                    "accuracy": float((clean > 0).mean()),
                    "accuracy_low": accuracy_low,
                    "accuracy_high": accuracy_high,
                    "clean": float(clean.mean()),
                    "clean_low": clean_low,
                    "clean_high": clean_high,
                    "corrupt": float(self.corrupt[part].mean()),
                }
            )
        names = [*(name for name, _ in parts), "all"]
        return pd.DataFrame(rows, index=pd.Index(names, name="template"))

    def __repr__(self) -> str:
        low, high = self.accuracy_interval()
        return (
            f"{self.task} ({self.set}) on {self.model}: accuracy {self.accuracy:.3f} "
            f"[{low:.3f}, {high:.3f}], {self.metric_name} {self.clean.mean():.2f} clean, "
            f"{self.corrupt.mean():.2f} corrupt, {len(self.clean)} examples"
        )


@checked
@dataclass(frozen=True)
class Task:
    """What a model must do: sets of pairs, each for its kind of vocabulary, and one metric.

    n, seed: how many pairs `on` draws, None for all, and the seed of the draw.
    Raises `ValueError` for a metric that is not one of tasks.
    """

    name: str
    sets: tuple[PairSet, ...]
    metric: str = "logit_difference"
    title: str = ""
    question: str = ""
    source: str = ""
    n: Count | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.metric not in TASK_METRICS:
            raise ValueError(
                f"The metric of a task is one of {', '.join(TASK_METRICS)}; got {self.metric!r}."
            )
        if not self.sets or not all(map(len, self.sets)):
            raise ValueError(f"A task has at least one pair in each set; {self.name!r} has none.")

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the first set; `sets` has them all."""
        return self.sets[0].pairs

    def check(self, model: Model | PreTrainedTokenizerBase) -> tuple[SetCheck, ...]:
        """For each set, which pairs this model, or tokenizer, can use and why the others fail."""
        tokenizer: Any = getattr(model, "tokenizer", model)
        return tuple(each.check(tokenizer) for each in self.sets)

    def on(
        self,
        model: Model | PreTrainedTokenizerBase,
        *,
        n: Count | None = None,
        set: str | None = None,
        prepend_bos: bool | None = None,
        padding_side: Literal["right", "left"] = "right",
    ) -> TaskBatch:
        """The examples as this model, or tokenizer, reads them.

        n: how many pairs, drawn with the task's seed; None keeps to the task's own number. set: the
        name of a set; None takes the first that fits, sets of ordinary English first where the
        vocabulary is a large one. prepend_bos, padding_side: as in `Model.tokens`.

        Raises `TaskDoesNotFit` where no set fits or fewer than `n` pairs pass, and `ValueError` for
        an unknown set. Warns where some pairs of the set are left out.
        """
        run_by: Any = model
        spec = getattr(model, "spec", None)
        tokenizer = run_by if spec is None else run_by.tokenizer
        n_ctx = None if spec is None else spec.n_ctx
        chosen, check = self._choose(tokenizer, set, n_ctx, prepend_bos)
        rows = self._draw(check, self.n if n is None else n)
        pairs = tuple(chosen.pairs[r] for r in rows)

        if spec is None:
            longest = tokenizer.model_max_length
            read = partial(encode, tokenizer, max_length=longest, side=padding_side)
        else:
            read = partial(run_by.tokens, padding_side=padding_side)
        return TaskBatch(
            self.name,
            chosen.name,
            self.metric,
            pairs,
            read([pair.clean for pair in pairs], prepend_bos=prepend_bos),
            read([pair.corrupt for pair in pairs], prepend_bos=prepend_bos),
            pad_ids([check.answers[r] for r in rows]),
            pad_ids([check.foils[r] for r in rows]),
        )

    def _choose(
        self,
        tokenizer: PreTrainedTokenizerBase,
        name: str | None,
        n_ctx: int | None,
        prepend_bos: bool | None,
    ) -> tuple[PairSet, SetCheck]:
        """The set to use and its check. Raises as `on` does."""
        wanted = [each for each in self.sets if name is None or each.name == name]
        if not wanted:
            names = ", ".join(each.name for each in self.sets)
            raise ValueError(f"The task {self.name} has the sets {names}; got {name!r}.")
        if len(tokenizer) > _CLOSED_VOCABULARY:
            wanted.sort(key=lambda each: each.whole_words)
        failed = []
        for each in wanted:
            check = each.check(tokenizer, max_length=n_ctx, prepend_bos=prepend_bos)
            if check.fits:
                return each, check
            failed.append(repr(check))
        if all(each.name == OWN for each in self.sets):
            raise TaskDoesNotFit(
                f"Prompts of a pair are equally many tokens, answers and foils are one token with "
                f"its leading space; {self.name} has {'; '.join(failed)}. Change or leave out such "
                "pairs: task.check(model)[0].to_frame() lists them."
            )
        raise TaskDoesNotFit(
            f"The task {self.name} fits a tokenizer that can use at least half of a set's pairs, "
            f"and at least 8; this one ({len(tokenizer)} tokens) fits none: {'; '.join(failed)}. "
            "Look at task.check(model), use another of wb.tasks(), or give your own pairs in its "
            f"words, {EXAMPLE}."
        )

    def _draw(self, check: SetCheck, n: int | None) -> list[int]:
        """The numbers of the pairs to use, in order: all that pass, or `n` of them."""
        passing = check.passing
        if check.failures or check.left_out:
            warnings.warn(
                f"{self.name} leaves out what this tokenizer splits otherwise: {check!r}.",
                stacklevel=3,
            )
        if n is None:
            return list(passing)
        if n > len(passing):
            raise TaskDoesNotFit(
                f"{self.name} ({check.name}) has {len(passing)} pairs that fit this tokenizer; "
                f"got n={n}. Ask for fewer, or leave n out for all of them."
            )
        drawn = np.random.default_rng(self.seed).choice(len(passing), size=n, replace=False)
        return [passing[i] for i in sorted(drawn.tolist())]

    def evaluate(
        self,
        model: Model,
        *,
        n: Count | None = None,
        set: str | None = None,
        prepend_bos: bool | None = None,
    ) -> Evaluation:
        """How well a model does the task: the metric of every example, clean and corrupt.

        n, set, prepend_bos: as in `on`.
        """
        batch = self.on(model, n=n, set=set, prepend_bos=prepend_bos)
        values: dict[str, list[Any]] = {"clean": [], "corrupt": []}
        for start in range(0, len(batch), PROMPTS):
            part = batch.take(range(start, min(start + PROMPTS, len(batch))))
            for kind, tokens in (("clean", part.clean), ("corrupt", part.corrupt)):
                logits = model.run(tokens, logits_at="last").logits
                assert logits is not None
                values[kind].append(part.metric(logits).detach().float().cpu().numpy())
        return Evaluation(
            self.name,
            batch.set,
            self.metric,
            model.spec.name,
            batch.templates,
            np.concatenate(values["clean"]),
            np.concatenate(values["corrupt"]),
            self.seed,
        )

    def __repr__(self) -> str:
        sets = ", ".join(f"{each.name} {len(each)}" for each in self.sets)
        return f"Task({self.name}: {self.metric}, pairs: {sets})"


@checked
def task(
    source: Any,
    *,
    n: Count | None = None,
    seed: Seed = 0,
    name: str | None = None,
    metric: str | None = None,
) -> Task:
    """A task: a shipped one by its name, or your own pairs of prompts with their answers.

        wb.task("ioi", n=20)
        wb.task([("The capital of France is", "The capital of Italy is", " Paris", " Rome")])

    source: a name of `tasks()`; or one pair or several, each (clean, corrupt, answer, foil) or a
    dict with these keys; or a pandas DataFrame with these columns, whose others become labels.
    Of a pair, clean and corrupt are equally many tokens, and answer and foil are one token each,
    with its leading space; several in a list count together. `on(model)` holds them against the
    model's tokenizer, and `check(model)` lists what does not fit.
    n: how many pairs, drawn with `seed`, None for all. name, metric: of your own pairs, "my task"
    and "logit_difference".

    Raises `ValueError` for a name that is not one of `tasks()`, and for a pair that no model can
    read, naming it by its number.
    """
    if not isinstance(source, str):
        own = (PairSet(OWN, read_pairs(source), one_token=True),)
        return Task(name or "my task", own, metric or "logit_difference", n=n, seed=seed)
    names = _names()
    if source not in names:
        raise ValueError(
            f"The tasks are {', '.join(names)}; got {given(source)}. wb.tasks() says what each "
            f"asks, and {EXAMPLE} makes one of your own pairs."
        )
    if name is not None or metric is not None:
        raise ValueError(
            f"name and metric are given with your own pairs; the task {source!r} has them. Leave "
            "them out."
        )
    return _shipped(source, n, seed)


def _shipped(name: str, n: int | None = None, seed: int = 0) -> Task:
    file = json.loads(data.path("tasks", f"{name}.json").read_text(encoding="utf-8"))
    text = {key: file[key] for key in ("metric", "title", "question", "source")}
    return Task(name, read_sets(file["sets"]), n=n, seed=seed, **text)


@checked
def tasks() -> pd.DataFrame:
    """The shipped tasks, one a row: title, sets, n_pairs and question, by name."""
    all_of_them = list(map(_shipped, _names()))
    return pd.DataFrame(
        {
            "title": [each.title for each in all_of_them],
            "sets": [", ".join(s.name for s in each.sets) for each in all_of_them],
            "n_pairs": [sum(map(len, each.sets)) for each in all_of_them],
            "question": [each.question for each in all_of_them],
        },
        index=pd.Index([each.name for each in all_of_them], name="task"),
    )


def _names() -> list[str]:
    return sorted(path.stem for path in data.path("tasks").glob("*.json"))


# -- a task on a model, as causal methods run it --------------------------------------------------


def tokens_per_pass(n_vectors: int, d_model: int) -> int:
    """How many tokens a pass takes that holds so many vectors of each, at least one."""
    return max(1, min(TOKENS_PER_PASS, BYTES_PER_PASS // (4 * n_vectors * d_model)))


@dataclass(frozen=True)
class Group:
    """Examples whose prompts have as many tokens, so that nothing is padded: rows of the batch."""

    rows: tuple[int, ...]
    batch: TaskBatch

    @property
    def n_positions(self) -> int:
        return self.batch.clean.n_columns

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, examples: Sequence[int]) -> Group:
        """The given examples of the group."""
        return Group(tuple(self.rows[e] for e in examples), self.batch.take(examples))

    def split(self, n_tokens: int) -> Iterator[Group]:
        """The group in parts of up to so many tokens, at least one example each."""
        most = max(1, n_tokens // self.n_positions)
        for start in range(0, len(self), most):
            yield self.take(range(start, min(start + most, len(self))))

    def metric(self, logits: torch.Tensor, examples: Sequence[int] | None = None) -> torch.Tensor:
        """(row,) the metric of logits (row, 1, d_vocab); examples: of each row, counted here."""
        batch = self.batch
        chosen = slice(None) if examples is None else list(examples)
        measure = TASK_METRICS[batch.metric_name]
        return measure(logits, batch.answer_ids[chosen], batch.foil_ids[chosen])


@dataclass(frozen=True)
class Examples:
    """A task on a model: all pairs, and the groups of equal length that run together.

    clean, corrupt: (batch,) float64, the metric of the plain runs.
    """

    batch: TaskBatch
    groups: tuple[Group, ...]
    clean: np.ndarray
    corrupt: np.ndarray

    @classmethod
    def of(cls, model: Model, task: Task | TaskBatch, *, n: int | None = None) -> Examples:
        """The task's pairs on this model, and the metric of their clean and corrupt runs.

        n: how many pairs. Raises `TypeError` for what is no task, `ValueError` for a pair whose
        prompts have different lengths and for a metric that is not finite.
        """
        batch = as_batch(model, task, n)
        groups = tuple(_groups(batch))
        values = {}
        for kind in ("clean", "corrupt"):
            out = np.empty(len(batch))
            for group in groups:
                logits = model.run(getattr(group.batch, kind), logits_at="last").logits
                assert logits is not None
                out[list(group.rows)] = check_finite(group.metric(logits), kind)
            values[kind] = out
        return cls(batch, groups, **values)

    @property
    def gap(self) -> float:
        """Mean metric of the clean runs minus that of the corrupt ones: what effects are over.

        Raises `ValueError` where the two do not differ, so that there is nothing to normalise.
        """
        gap = float(self.clean.mean() - self.corrupt.mean())
        size = float(max(np.abs(self.clean).max(), np.abs(self.corrupt).max()))
        if abs(gap) <= SMALLEST_GAP * size or gap == 0:
            raise ValueError(
                "Effects are measured against the difference between clean and corrupt; on "
                f"{self.batch.task} the metric is {self.clean.mean():.4g} for both. Choose pairs "
                "whose answers differ, or another metric."
            )
        return gap

    @property
    def n_positions(self) -> int:
        """The positions of the longest prompt."""
        return max(group.n_positions for group in self.groups)


def as_batch(model: Model, task: Task | TaskBatch, n: int | None = None) -> TaskBatch:
    """The examples of a task; a batch as it is, or its first `n`. Raises as `Examples.of`."""
    if isinstance(task, Task):
        batch = task.on(model, n=n)
    elif isinstance(task, TaskBatch):
        if n is not None and not 1 <= n <= len(task):
            raise ValueError(f"n is a number of pairs from 1 to {len(task)}; got {n!r}.")
        batch = task if n is None else task.take(range(n))
    else:
        raise TypeError(
            f"A method that compares clean with corrupt takes a task, wb.task('ioi') or {EXAMPLE}, "
            f"or its batch task.on(model); got {given(task)}."
        )
    for row, (clean, corrupt) in enumerate(
        zip(batch.clean.lengths, batch.corrupt.lengths, strict=True)
    ):
        if clean != corrupt:
            raise ValueError(
                "The prompts of a pair have equally many tokens, so that positions match; pair "
                f"{row} has {clean} and {corrupt}. Reword it; task.check(model) lists such pairs."
            )
    return batch


def check_finite(values: torch.Tensor, what: str) -> np.ndarray:
    """The metric as float64. Raises `ValueError` where it is not finite."""
    out = values.detach().double().cpu().numpy()
    if not np.isfinite(out).all():
        row = int(np.flatnonzero(~np.isfinite(out))[0])
        raise ValueError(
            f"A metric is a finite number an example; the {what} run gave {out[row]} for row "
            f"{row}. Look at the model's logits there, or choose another metric."
        )
    return out


def _groups(batch: TaskBatch) -> Iterator[Group]:
    by_length: dict[int, list[int]] = defaultdict(list)
    for row, length in enumerate(batch.clean.lengths):
        by_length[length].append(row)
    for _, rows in sorted(by_length.items()):
        yield Group(tuple(rows), batch.take(rows))
