"""Dictionaries and concepts on a model that others trained: equal numbers on both backends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.circuit_models import BACKENDS

TEXTS = [
    "Once upon a time, there was a little girl named Lily. She had a ball and she was happy.",
    "Tim was a boy. He was sad because he lost his toy. His mom said he can play with her.",
    "The girl and the boy went to the park. She saw a dog and he saw a cat. They were happy.",
    "Her mom was kind. She gave him a big hug, and his friend was happy for her and for him.",
]
SITE = "L2.resid_post"


@pytest.fixture(scope="module")
def models(asset: Callable[..., Path]) -> list[Any]:
    folder = asset("models", "stories260K")
    return [wb.load(folder, backend=backend, device="cpu") for backend in BACKENDS]


@pytest.fixture(scope="module")
def trained(models: list[Any]) -> Any:
    return wb.features.train(
        models[0], TEXTS, SITE, n_features=96, k=8, steps=60, batch_size=64, progress=False
    )[SITE]


def test_evaluations_are_equal_and_a_trained_dictionary_is_better_than_none(
    models: list[Any], trained: Any
) -> None:
    random = wb.features.decompose(
        wb.activations(models[0], TEXTS, SITE, pool=None), kind="random", n_features=96
    )[SITE]
    ours, theirs = (
        wb.features.evaluate(model, TEXTS, {"trained": trained}, progress=False) for model in models
    )
    for one in ours.measures:
        for key in ("plain", "changed"):
            same = getattr(theirs[one.name], key)
            np.testing.assert_allclose(same, getattr(one, key), rtol=1e-4, atol=1e-4)
    assert ours.score("explained variance")[0] > 0.5 and ours.score("L0")[0] <= 8
    assert ours.score("loss recovered beside the mean")[0] > 0.5
    assert random.n_features == 96


def test_concepts_are_equal(models: list[Any], trained: Any) -> None:
    concepts = wb.concepts({"she": ["she", "her"], "he": ["he", "his"]})
    ours, theirs = (
        wb.features.evaluate_concepts(model, TEXTS, trained, concepts, progress=False)
        for model in models
    )
    np.testing.assert_array_equal(theirs.found, ours.found)
    assert (ours.found.sum(1) > 0).all()
    np.testing.assert_array_equal(theirs.feature, ours.feature)
    np.testing.assert_array_equal(theirs.hits, ours.hits)
    assert np.isfinite(ours.score("f1")[0])
