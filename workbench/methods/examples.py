"""Examples: a task's pairs as the causal methods run them, and what effects are measured by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..metrics import TASK_METRICS
from ..model import Model
from ..tasks import Task, TaskBatch

#: Below this share of the metric's own size a difference between clean and corrupt is rounding.
SMALLEST_GAP = 1e-5
#: About how many tokens run in one pass where rows can be split freely, and how many bytes the
#: vectors may take that are held of each of them.
TOKENS_PER_PASS, BYTES_PER_PASS = 4096, 2**29


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
            "A method that compares clean with corrupt takes a task, wb.task('ioi') or "
            f"Task.from_pairs(…), or its batch task.on(model); got {task!r}."
        )
    for row, (clean, corrupt) in enumerate(
        zip(batch.clean.lengths, batch.corrupt.lengths, strict=True)
    ):
        if clean != corrupt:
            raise ValueError(
                "The prompts of a pair have equally many tokens, so that positions match; pair "
                f"{row} has {clean} and {corrupt}. Reword it; task.check(tokenizer) lists such "
                "pairs."
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
