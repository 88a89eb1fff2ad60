"""Examples on which vectors are tried: prompts, where a vector is read, and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...model import Model
from ...tasks import Task, TaskBatch
from ...tokens import Positions, Tokens
from .observable import Observable


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
    n: int | None,
) -> TrialExamples:
    """Examples of a task, with labels, or prompts without.

    positions: None takes, for a path that begins with a head, the words by which the clean prompt
    of a pair differs from its corrupt one (all positions of plain prompts), and else the last.
    Raises `ValueError` for a task whose answers are not the observable's tokens.
    """
    if isinstance(examples, Task):
        examples = examples.on(model, n=n)
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
