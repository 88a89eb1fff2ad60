"""Every task on a model that does it: tinyworld, and a story model that others trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workbench import data
from workbench.loading import load
from workbench.model import Model
from workbench.tasks import task

NAMES = sorted(path.stem for path in data.path("tasks").glob("*.json"))


@pytest.fixture(scope="module")
def tinyworld() -> Model:
    return load("tinyworld", device="cpu")


@pytest.mark.parametrize("name", NAMES)
def test_tinyworld_does_the_task_and_the_corrupt_prompt_undoes_it(
    name: str, tinyworld: Model
) -> None:
    one = task(name)
    assert one.sets[0].check(tinyworld.tokenizer).failures == {}
    found = one.evaluate(tinyworld, set="tinyworld")
    # Some professions have "he" and "she" almost equally often, so the order of the two may turn.
    assert found.accuracy >= (0.9 if name == "gender_profession" else 0.97), found
    assert (found.corrupt < found.clean).mean() >= 0.97, found
    if name != "greater_than":  # whose later years stay right on the corrupt prompt
        assert (found.corrupt < 0).mean() >= 0.95, found


def test_the_pronoun_of_a_profession_follows_its_planted_share(tinyworld: Model) -> None:
    one = task("gender_profession")
    found = one.evaluate(tinyworld)
    he = [1 if pair.answers == (" he",) else -1 for pair in one.pairs]
    planted = [2 * pair.labels["he_share"] - 1 for pair in one.pairs]
    assert np.corrcoef(found.clean * he, planted)[0, 1] >= 0.95


def test_the_task_that_is_drawn_for_tinyworld_is_its_own_set(tinyworld: Model) -> None:
    assert {task(name).on(tinyworld, n=1).set for name in NAMES} == {"tinyworld"}


def test_the_gradient_of_a_task_points_at_its_answers(tinyworld: Model) -> None:
    batch = task("ioi").on(tinyworld, n=4)
    run = tinyworld.run(batch.clean, read="ln_final", grad_of=batch.metric, logits_at="last")
    assert run.logits is not None and run.value is not None
    answers, foils = batch.answer_ids[:, 0], batch.foil_ids[:, 0]
    rows = range(4)
    expected = [run.logits[r, 0, answers[r]] - run.logits[r, 0, foils[r]] for r in rows]
    assert run.value.tolist() == pytest.approx([float(x) for x in expected])
    unembedding = tinyworld.weight("W_U")
    for row in rows:
        gradient = run.grad("ln_final")[row, batch.clean.columns(row, "last")[0]]
        direction = unembedding[:, answers[row]] - unembedding[:, foils[row]]
        assert gradient.tolist() == pytest.approx(direction.tolist(), abs=1e-5)


def test_a_story_model_knows_its_pronouns(asset: Callable[..., Path]) -> None:
    model = load(asset("models", "stories260K"), device="cpu")
    found = task("pronoun").evaluate(model, n=32)
    assert found.set == "english-2"
    assert found.accuracy >= 0.95, found
    assert (found.corrupt < 0).mean() >= 0.95, found
