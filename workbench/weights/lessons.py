"""Lessons: what a model is trained on, and the steps that train it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..model import Model
from ..questions import Answers, Asked, Questions
from ..tasks import Task, TaskBatch
from ..texts import rows_of
from ..tokens import Tokens

Material = Asked | str | Path | Tokens | Sequence[str | tuple[str, Answers]]


@dataclass(frozen=True, eq=False)
class Lessons:
    """Token rows and where their loss counts.

    ids: (row, pos), padded on the right. mask: (row, pos). counts: (row, pos) bool, the tokens that
    are to be predicted: of texts all but the first, of questions the answer alone.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def of(cls, model: Model, given: Material, *, of: str) -> Lessons:
        """From texts, a task, or prompts with an answer each (the first, where several).

        A list may hold texts beside prompts with answers. Raises `ValueError` for none and for a
        text of a single token.
        """
        rows, starts = [], []
        texts, asked = _sorted(given)
        if texts is not None:
            tokens = model.tokens(rows_of(model, texts))
            if min(tokens.lengths) < 2:
                raise ValueError(
                    f"A text of {of} has at least two tokens: it teaches to predict the second; "
                    f"text {int(np.argmin(tokens.lengths))} has {min(tokens.lengths)}."
                )
            rows += [_real(tokens, r) for r in range(tokens.n_rows)]
            starts += [1] * tokens.n_rows
        if asked is not None:
            questions = Questions.of(model, asked, of=of)
            for r in range(len(questions)):
                prompt = _real(questions.tokens, r)
                rows.append([*prompt, int(questions.answer_ids[r, 0])])
                starts.append(len(prompt))
        return cls._padded(rows, starts, model)

    @classmethod
    def _padded(cls, rows: list[list[int]], starts: list[int], model: Model) -> Lessons:
        width = max(map(len, rows))
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask, counts = (torch.zeros(len(rows), width, dtype=torch.bool) for _ in range(2))
        for r, (row, start) in enumerate(zip(rows, starts, strict=True)):
            ids[r, : len(row)] = torch.tensor(row)
            mask[r, : len(row)] = True
            counts[r, start : len(row)] = True
        device = model.spec.device
        return cls(ids.to(device), mask.to(device), counts.to(device))

    def loss(self, hf_model: Any, rows: Sequence[int]) -> torch.Tensor:
        """The mean cross-entropy of what counts in some rows, in nats, to be differentiated."""
        index = list(rows)
        width = int(self.mask[index].sum(1).max())
        ids, mask = self.ids[index, :width], self.mask[index, :width]
        logits = hf_model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits
        counts = self.counts[index, 1:width]
        return torch.nn.functional.cross_entropy(logits[:, :-1][counts].float(), ids[:, 1:][counts])

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[list[int]]:
        """Rows without end: each once before any again, in an order that `rng` draws."""
        left: list[int] = []
        while True:
            while len(left) < size:
                left += rng.permutation(len(self.ids)).tolist()
            yield left[:size]
            left = left[size:]

    def __len__(self) -> int:
        return len(self.ids)


def train(
    hf_model: Any,
    lessons: Sequence[tuple[Lessons, float]],
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    ceiling: float = float("inf"),
    parameters: Sequence[torch.nn.Parameter] | None = None,
) -> Iterator[list[float]]:
    """Train in place, a step for each turn; gives each lesson's loss before the step.

    lessons: with a weight each, above 0 to learn and below 0 to unlearn; a batch whose loss is
    above `ceiling` is not unlearned further. parameters: which of the model's, None for all. AdamW
    without weight decay, gradients clipped to a norm of 1, no dropout.

    Raises `RuntimeError` where a loss is no longer finite.
    """
    chosen = list(hf_model.parameters()) if parameters is None else list(parameters)
    optimizer = torch.optim.AdamW(chosen, lr=learning_rate, weight_decay=0.0)
    draws = [
        each.batches(min(batch_size, len(each)), np.random.default_rng([seed, i]))
        for i, (each, _) in enumerate(lessons)
    ]
    hf_model.eval()
    for step in range(steps):
        optimizer.zero_grad()
        losses = []
        with torch.enable_grad():
            for (each, weight), draw in zip(lessons, draws, strict=True):
                loss = each.loss(hf_model, next(draw))
                if weight > 0 or float(loss.detach()) <= ceiling:
                    (weight * loss).backward()
                losses.append(float(loss.detach()))
        if not np.isfinite(losses).all():
            raise RuntimeError(
                f"The training diverged at step {step}: its losses are {losses}. Lower the "
                "learning rate, or take fewer steps."
            )
        torch.nn.utils.clip_grad_norm_(chosen, 1.0)
        optimizer.step()
        yield losses


def _sorted(given: Any) -> tuple[Any, Asked | None]:
    """What of the material is text, and what are questions."""
    if isinstance(given, (str, Path, Tokens)):
        return given, None
    if isinstance(given, (Task, TaskBatch, Mapping)) or not isinstance(given, Sequence):
        return None, given
    texts = [each for each in given if isinstance(each, str)]
    rest = [each for each in given if not isinstance(each, str)]
    return texts or None, rest if rest or not texts else None


def _real(tokens: Tokens, row: int) -> list[int]:
    return [int(tokens.ids[row, column]) for column in tokens.columns(row)]
