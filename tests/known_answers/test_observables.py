"""Observables find what was planted: the skew of professions, from weights alone."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.unit.vectors import facts, numbers, scores, words
from workbench import data
from workbench.loading import load
from workbench.tasks import task
from workbench.texts import texts
from workbench.vocabulary import evaluate, observable

MODELS = ["tinyworld", "tinyworld-seed1", "tinyworld-llama"]
#: The path that spreads farthest over the vocabulary, found without a text or a label.
PATHS = {
    "tinyworld": ("L0H2", "L0.mlp_out"),
    "tinyworld-seed1": ("L0H1", "L0.mlp_out"),
    "tinyworld-llama": ("L2H2",),
}


@cache
def planted() -> dict[str, float]:
    """The share of "he" of each profession, as tokens with their space."""
    file = json.loads(data.path("tasks", "gender_profession.json").read_text(encoding="utf-8"))
    return {f" {word}": share for word, share in file["planted"].items()}


@cache
def found(name: str) -> tuple[Any, Any]:
    model = load(name, device="cpu")
    obs = observable(model, " he", " she")
    return model, obs.propagate(obs.paths().best)


def rank_correlation(scores: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(np.asarray(spearmanr(scores, list(planted().values())))[0])


@pytest.mark.parametrize("name", MODELS)
def test_the_planted_order_of_professions_is_read_from_the_weights(name: str) -> None:
    model, vector = found(name)
    info = facts(vector)
    assert tuple(info["path"]) == PATHS[name] and info["points"] == "single tokens"
    assert len(planted()) == 24
    assert rank_correlation(scores(model, vector, list(planted()))) >= 0.9
    # The most skewed professions stand out of the whole vocabulary.
    most, least = words(model, vector, 5)
    assert {" mechanic", " plumber"} <= set(most) and {" nurse", " maid"} <= set(least)


def test_random_directions_and_other_observables_do_not_order_them() -> None:
    model, vector = found("tinyworld")
    rng = np.random.default_rng(0)
    embeddings = model.weight("W_E").numpy()
    ids = [model.tokenizer(word).input_ids[0] for word in planted()]
    chance = [rank_correlation(embeddings[ids] @ rng.standard_normal(128)) for _ in range(200)]
    # The skew is a main axis of these embeddings: some directions at random follow it far, so that
    # a correlation alone says little below 0.9.
    assert np.median(np.abs(chance)) < 0.4
    assert np.quantile(np.abs(chance), 0.95) < 0.8
    assert max(map(abs, chance)) < rank_correlation(scores(model, vector, list(planted()))) - 0.05
    other = observable(model, " Paris", " Rome").propagate(PATHS["tinyworld"])
    assert abs(rank_correlation(scores(model, other, list(planted())))) < 0.6


def test_the_vector_acts_and_beats_directions_fitted_on_few_examples() -> None:
    model, vector = found("tinyworld")
    options: dict[str, Any] = {"n_examples": 8, "n_controls": 4, "elsewhere": (), "progress": False}
    result = evaluate(model, task("gender_profession"), vector, truth=planted(), **options)
    assert result.score("removed")[0] > 0.85
    frame = result.to_frame().set_index(["measure", "kind"])
    for other in ("difference in means", "logistic probe"):
        # Intervals that do not meet, over prompts and over draws of the examples.
        for measure in ("removed", "truth"):
            line = frame.loc[(measure, other)]
            assert line["low"] > line["control_high"] and line["excess_low"] > 0
    assert abs(frame.loc[("removed", "random"), "control"]) < 0.05
    assert result.score("pushed")[1] > 1
    assert result.score("correlation")[1] > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_it_holds_for_each_model_at_four_examples_and_leaves_texts_alone(name: str) -> None:
    model, vector = found(name)
    options: dict[str, Any] = {"n_examples": 4, "n_controls": 8, "progress": False}
    result = evaluate(
        model,
        task("gender_profession"),
        vector,
        truth=planted(),
        elsewhere=texts("tinyworld")[:8],
        **options,
    )
    frame = result.to_frame().set_index(["measure", "kind"])
    for other in ("difference in means", "logistic probe"):
        assert frame.loc[("removed", other), "excess_low"] > 0
    assert result.score("KL elsewhere")[0] < 0.15


def test_heads_that_copy_by_hand_have_the_vector_that_was_written_into_them() -> None:
    """A head's value and output are planted in a random model, so that its vector is known."""
    import torch

    from tests.unit.lens_models import zoo_model

    model = zoo_model("gpt2")
    obs = observable(model, 5, 7)
    block = model.raw._module.transformer.h[1]
    kept = [p.detach().clone() for p in (block.attn.c_attn.weight, block.attn.c_proj.weight)]
    try:
        direction = numbers(obs.propagate()).astype(np.float64)
        source = np.zeros(32)
        source[3], source[4] = 1.0, -1.0
        with torch.no_grad():
            # Head 2 reads `source` into its first dimension and writes along the observable.
            block.attn.c_attn.weight[:, 64 + 16 : 64 + 24] = 0
            block.attn.c_attn.weight[:, 64 + 16] = torch.tensor(source).float()
            block.attn.c_proj.weight[16:24] = 0
            block.attn.c_proj.weight[16] = torch.tensor(direction).float()
        planted_head = numbers(obs.propagate("L1H2"))
        size = direction @ direction / facts(obs.propagate())["size"]
        inner = source * model.norm("ln1", 1).weight.numpy()
        expected = size * (inner - inner.mean())
        cosine = planted_head @ expected
        cosine /= np.linalg.norm(planted_head) * np.linalg.norm(expected)
        assert cosine == pytest.approx(1, abs=1e-5)
        # The mean of 1 / size is not 1 / the mean: the lengths agree but for that.
        assert np.linalg.norm(planted_head) == pytest.approx(np.linalg.norm(expected), rel=0.2)
        assert obs.paths().best[0] == "L1H2"
    finally:
        with torch.no_grad():
            block.attn.c_attn.weight.copy_(kept[0])
            block.attn.c_proj.weight.copy_(kept[1])
