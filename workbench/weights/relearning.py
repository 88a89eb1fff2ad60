"""Relearning: how soon some answers come back when a model is trained on others of their kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..change import Change
from ..check import Count, Positive, Seed, checked, refuse
from ..effects import Effects, Measure, table_of
from ..experiment import answers
from ..loading import load
from ..model import Model
from ..pictures.marks import Lines
from ..questions import Asked, Questions
from ..result import provenance
from .auditing import check_same
from .lessons import Lessons, Material, train
from .unlearning import trainable

_LABEL = "probability of the answer"


@checked
def relearn(
    before: Model,
    changes: Mapping[str, Any],
    material: Material,
    questions: Asked,
    *,
    steps: Sequence[int] = (0, 1, 2, 4, 8, 16),
    learning_rate: Positive = 1e-4,
    batch_size: Count = 16,
    seed: Seed = 0,
    progress: bool = True,
) -> Effects:
    """The answers' probability when copies of changed models have been trained again for so many
    steps, as `Effects` by change and step.

        models = {"after": after, "never": wb.load("tinyworld-checkpoints/step-000200")}
        wb.weights.relearn(model, models, taught, asked)

    changes: models or weight edits of `before`, by name. A model that never knew tells relearning
    from learning. material: texts or questions that copies are trained on; others than `questions`
    ask for. steps: after how many to look, from 0, rising. learning_rate, batch_size, seed: of that
    training, as in `unlearn`. `plain` is the model before, untrained.

    Raises `ValueError` for a change of activations, which no training sees, for a model that reads
    other tokens, and for steps that do not rise; `RuntimeError` where the training diverges.
    """
    asked = Questions.of(before, questions, of="questions")
    lessons = Lessons.of(before, material, of="material")
    looks = _steps(steps)
    tried = {name: Change.of(change) for name, change in changes.items()}
    for name, change in tried.items():
        if change.on_activations:
            raise refuse("What is trained", "a model, or one under weight edits", change)
        for model in (p.what for p in change.parts if hasattr(p.what, "spec")):
            check_same(before, model, name, shape=False)
    keys, values = [], []

    def look(model: Any) -> np.ndarray:
        return answers(model, [Change()], asked, ["probability"])["probability"][0]

    with tqdm(total=len(tried) * looks[-1], disable=not progress, leave=False) as bar:
        for name, change in tried.items():
            with change.applied(before) as now:
                copied, _ = trainable(now)
            seen = load(copied, tokenizer=before.tokenizer, backend=before.spec.backend)
            turns = train(
                copied,
                [(lessons, 1.0)],
                steps=looks[-1],
                learning_rate=learning_rate,
                batch_size=batch_size,
                seed=seed,
            )
            for step in range(looks[-1] + 1):
                if step:
                    next(turns)
                    bar.update()
                if step in looks:
                    keys.append((name, step))
                    values.append(look(seen))
    plain, none = look(before), np.zeros((0, len(asked)))
    lines = Lines("changed", "step", "change", "changed_low", "changed_high", label=_LABEL)
    return Effects(
        **provenance(before, asked.tokens, seed),
        what="relearning",
        changes=table_of(["change", "step"], keys),
        controls={},
        measures=(Measure("prompts", "probability", plain, np.stack(values), none),),
        picture=replace(lines, level=(float(plain.mean()),)),
    )


def _steps(steps: Sequence[int]) -> list[int]:
    given = list(steps)
    rising = all(a < b for a, b in pairwise(given))
    if not given or not rising or given[0] < 0 or given[-1] < 1:
        raise ValueError(
            f"steps is numbers of steps from 0, rising, the last at least 1; got {steps!r}."
        )
    return given
