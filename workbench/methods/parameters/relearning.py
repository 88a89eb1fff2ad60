"""Relearning: how soon some answers come back when a model is trained on others of their kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ...loading import load
from ...model import Model
from ...questions import Questions
from .condition_runs import Condition, answers_under
from .lessons import Lessons, train
from .unlearning import trainable


def relearned(
    models: Mapping[str, Condition],
    lessons: Lessons,
    questions: Questions,
    *,
    at: Sequence[int],
    learning_rate: float,
    batch_size: int,
    seed: int,
    progress: bool = False,
) -> np.ndarray:
    """(relearner, step, batch) the answers' probability when copies have been trained for `at`
    steps, rising, from 0 on. models: by name, each in its own condition.
    """
    options: dict[str, Any] = {
        "at": at,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "seed": seed,
    }
    out = []
    with tqdm(total=len(models) * max(at), disable=not progress, leave=False) as bar:
        for condition in models.values():
            with condition() as model:
                out.append(_curve(model, lessons, questions, bar=bar, **options))
    return np.stack(out)


def _curve(
    model: Model,
    lessons: Lessons,
    questions: Questions,
    *,
    at: Sequence[int],
    learning_rate: float,
    batch_size: int,
    seed: int,
    bar: Any,
) -> np.ndarray:
    """(step, batch) of one model; bar: moved on by one a step."""
    copied, _ = trainable(model)
    seen = load(copied, tokenizer=model.tokenizer, backend=model.spec.backend)
    out = []

    def look(step: int) -> None:
        if step in at:
            out.append(answers_under([lambda: nullcontext(seen)], questions).probability[0])

    look(0)
    turns = train(
        copied,
        [(lessons, 1.0)],
        steps=max(at),
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
    )
    for step, _ in enumerate(turns, start=1):
        look(step)
        bar.update()
    return np.stack(out)
