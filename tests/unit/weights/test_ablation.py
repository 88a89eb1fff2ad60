"""Concept ablation: every number is that of a plain model edited by hand; nothing stays edited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.concept_trace_models import (
    BACKENDS,
    OTHERS,
    PROMPTS,
    TEXTS,
    WORDS,
    log_probabilities,
    model_of,
    text_divergences,
    text_losses,
    unchanged,
    value_row,
    weights_of,
)
from workbench.site import Site

ASKED = {"probability": PROMPTS, "else": OTHERS}
OPTIONS: dict[str, Any] = {"elsewhere": TEXTS, "n_controls": 3, "progress": False}


@pytest.fixture(scope="module")
def found() -> wb.weights.ConceptVectors:
    return wb.weights.concept_vectors(model_of(), WORDS, n_neurons=4)


@pytest.fixture(scope="module")
def result(found: wb.weights.ConceptVectors) -> wb.Effects:
    return wb.weights.ablate(model_of(), ASKED, found, alone=True, n_new=8, **OPTIONS)


def drawn(effects: wb.Effects) -> tuple[tuple[str, ...], ...]:
    """The neurons of each control."""
    return tuple(tuple(draw.split(": ")[1].split()) for draw in effects.controls["draw"])


def place_of(neuron: str) -> tuple[int, int]:
    site = Site.parse(neuron)
    assert site.layer is not None and site.unit is not None
    return site.layer, site.unit


def edited(model: Any, neurons: tuple[str, ...], how: str, noise: float, seed: int) -> Any:
    """A plain Hugging Face copy with the value vectors changed one by one."""
    plain = model.to_hugging_face()
    with torch.no_grad():
        for layer, unit in map(place_of, neurons):
            row = value_row(plain, layer, unit)
            if how == "zero":
                row.zero_()
            elif how == "mean":
                own = model.weight("W_out", layer)
                row.copy_(torch.stack([own[i] for i in range(len(own))]).sum(0) / len(own))
            else:
                size = float(row.pow(2).mean().sqrt())
                drawn = np.random.default_rng([seed, layer, unit]).standard_normal(len(row))
                row.add_(torch.tensor(noise * size * drawn, dtype=torch.float32))
    return plain


@pytest.mark.parametrize(
    ("name", "how"), [("gpt2", "zero"), ("gpt2", "mean"), ("gpt2", "noise"), ("llama", "zero")]
)
def test_every_measure_is_that_of_a_plain_model_edited_by_hand(name: str, how: Any) -> None:
    model = model_of(name)
    vectors, before = wb.weights.concept_vectors(model, WORDS, n_neurons=4), weights_of(model)
    got = wb.weights.ablate(
        model, ASKED, vectors, reference=how, noise=2.0, alone=True, seed=7, **OPTIONS
    )
    assert unchanged(model, before)
    plain = model.to_hugging_face()
    measures = [got[name] for name in ("probability", "else", "loss elsewhere", "KL elsewhere")]
    states = {
        "plain": (plain, *(each.plain for each in measures[:3]), None),
        "ablated": (
            edited(model, vectors.neurons, how, 2.0, 7),
            *(each.changed[0] for each in measures),
        ),
        "control": (
            edited(model, drawn(got)[1], how, 2.0, 7),
            *(each.control[1] for each in measures),
        ),
    }
    for hf_model, probability, other, loss, kl in states.values():
        np.testing.assert_allclose(
            probability, log_probabilities(hf_model, PROMPTS).exp(), atol=1e-5
        )
        np.testing.assert_allclose(other, log_probabilities(hf_model, OTHERS).exp(), atol=1e-5)
        np.testing.assert_allclose(loss, text_losses(hf_model, TEXTS), atol=1e-5)
        if kl is not None:
            np.testing.assert_allclose(kl, text_divergences(plain, hf_model, TEXTS), atol=1e-5)
    for i, neuron in enumerate(vectors.neurons, start=1):
        alone = edited(model, (neuron,), how, 2.0, 7)
        np.testing.assert_allclose(
            got["probability"].changed[i], log_probabilities(alone, PROMPTS).exp(), atol=1e-5
        )


def test_ranks_count_the_tokens_that_are_more_likely(found: wb.weights.ConceptVectors) -> None:
    plain, hit = model_of().to_hugging_face(), edited(model_of(), found.neurons, "zero", 1, 0)
    ranks = wb.weights.ablate(model_of(), PROMPTS, found, measures="rank", **OPTIONS)["prompts"]
    for hf_model, own in ((plain, ranks.plain - 1), (hit, ranks.changed[0] - 1)):
        for (prompt, answer), rank in zip(PROMPTS, own, strict=True):
            ids = [int(word[1:]) for word in prompt.split()]
            with torch.no_grad():
                logits = hf_model(torch.tensor([ids])).logits[0, -1].tolist()
            assert rank == sum(logit > logits[int(answer[1:])] for logit in logits)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "gemma2"])
def test_both_backends_measure_the_same(name: str) -> None:
    results = []
    for backend in BACKENDS:
        model = model_of(name, backend)
        before = weights_of(model)
        vectors = wb.weights.concept_vectors(model, WORDS, n_neurons=3)
        results.append(
            wb.weights.ablate(model, ASKED, vectors, reference="noise", n_new=8, **OPTIONS)
        )
        assert unchanged(model, before)
    one, two = results
    assert one.controls == two.controls and one.texts == two.texts
    for first, second in zip(one.measures, two.measures, strict=True):
        for field in ("plain", "changed", "control"):
            np.testing.assert_allclose(getattr(first, field), getattr(second, field), atol=1e-5)


def test_random_vectors_are_others_of_the_same_layers_and_near_in_size() -> None:
    model = model_of("gpt2")
    vectors = wb.weights.concept_vectors(model, WORDS, n_neurons=5)
    places = [place_of(neuron) for neuron in vectors.neurons]
    assert {layer for layer, _ in places} == {0, 1}
    sizes = [model.weight("W_out", layer).norm(dim=1) for layer in range(2)]
    options = {**OPTIONS, "n_controls": 20}
    controls, again, otherwise = (
        drawn(wb.weights.ablate(model, ASKED, vectors, seed=seed, **options)) for seed in (3, 3, 4)
    )
    assert controls == again != otherwise and len(controls) == 20
    for places_of in ([place_of(neuron) for neuron in each] for each in controls):
        assert [layer for layer, _ in places_of] == sorted(layer for layer, _ in places)
        assert len(set(places_of)) == 5 and not set(places_of) & set(places)
        for (layer, unit), (_, own) in zip(places_of, sorted(places), strict=True):
            distances = (sizes[layer] - sizes[layer][own]).abs()
            nearer = int((distances < distances[unit]).sum())
            assert nearer < 50 + len(places) + 1


def test_nothing_stays_edited_when_it_is_interrupted(monkeypatch: Any) -> None:
    model = model_of("gpt2")
    vectors, before = wb.weights.concept_vectors(model, WORDS, n_neurons=3), weights_of(model)
    run, n_runs = model.run, 0

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        nonlocal n_runs
        n_runs += 1
        if n_runs == 3:
            assert not unchanged(model, before)
            raise KeyboardInterrupt
        return run(*args, **kwargs)

    monkeypatch.setattr(model, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        wb.weights.ablate(model, ASKED, vectors, **OPTIONS)
    assert unchanged(model, before)


def test_the_table_says_what_was_measured(
    result: wb.Effects, found: wb.weights.ConceptVectors, tmp_path: Path
) -> None:
    frame = result.to_frame()
    table = frame[frame.change == "all"].set_index("measure")
    assert list(table.index) == ["probability", "else", "loss elsewhere", "KL elsewhere"]
    line, measured = table.loc["probability"], result["probability"]
    change = measured.changed[0] - measured.plain
    assert line["effect"] == pytest.approx(float(change.mean()), abs=1e-6)
    assert line["low"] <= line["effect"] <= line["high"]
    random = (measured.control - measured.plain).mean(1)
    assert line["control"] == pytest.approx(float(random.mean()), abs=1e-6)
    assert line["excess"] == pytest.approx(line["effect"] - line["control"], abs=1e-6)
    assert line["beyond"] == np.mean(np.abs(random) < abs(change.mean()))
    alone = frame[(frame.change != "all") & (frame.measure == "probability")]
    assert tuple(alone.change) == found.neurons
    expected = (measured.changed[1:] - measured.plain).mean(1)
    np.testing.assert_allclose(alone.effect, expected, atol=1e-6)
    assert "4 value vectors for 'w5', 'w9', 'w30' (zero)" in repr(result)
    assert result.texts is not None and len(result.texts["plain"]) == 4
    again = wb.Effects.load(result.save(tmp_path / "ablation"))
    assert again.texts == result.texts and repr(again) == repr(result)
    names = [label.get_text() for label in result.plot().get_yticklabels()]
    assert names == list(table.index)


def test_the_continuations_are_of_the_prompts_that_lose_most(result: wb.Effects) -> None:
    lost = result["probability"].plain - result["probability"].changed[0]
    order = np.argsort(-lost, kind="stable")
    assert result.texts is not None
    for text, row in zip(result.texts["plain"], order, strict=True):
        assert text.startswith(PROMPTS[row][0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"reference": "half"}, "reference is one of 'zero', 'mean', 'noise'; got 'half'"),
        ({"noise": 0.0}, r"noise is a finite number above 0; got 0\.0"),
        ({"n_controls": 0}, r"n_controls is a whole number from 1; got 0"),
        ({"n_new": True}, r"n_new is a whole number from 0; got True"),
        ({"elsewhere": None}, r"none ship for gpt2; give elsewhere="),
        ({"elsewhere": ["w5"]}, r"has at least two tokens, .* text 0 has 1"),
        ({"questions": {**ASKED, "x": []}}, r"x asks at least one question; got none"),
    ],
)
def test_what_does_not_fit_is_said(options: Any, text: str) -> None:
    vectors = wb.weights.concept_vectors(model_of(), WORDS, n_neurons=3)
    with pytest.raises(ValueError, match=text):
        wb.weights.ablate(
            model_of(), **{"questions": ASKED, "vectors": vectors, **OPTIONS, **options}
        )


def test_vectors_of_another_model_and_too_many_of_a_layer_are_refused() -> None:
    vectors = wb.weights.concept_vectors(model_of(), WORDS, n_neurons=3)
    with pytest.raises(ValueError, match=r"belong to the model they were found in, gpt2; this is"):
        wb.weights.ablate(model_of("llama"), PROMPTS, vectors, **OPTIONS)
    many = wb.weights.concept_vectors(model_of(), WORDS, n_neurons=70, layers=0)
    with pytest.raises(ValueError, match=r"the others of a layer, 58 for 70. Take fewer"):
        wb.weights.ablate(model_of(), PROMPTS, many, **OPTIONS)


def test_stories_measure_the_same_on_both_backends(asset: Callable[..., Path]) -> None:
    folder = asset("models", "stories260K")
    results = []
    for backend in BACKENDS:
        model = wb.load(folder, backend=backend, device="cpu")
        vectors = wb.weights.concept_vectors(model, [" was", " the"], n_neurons=5)
        results.append(
            wb.weights.ablate(
                model,
                [("Once upon a time there", " was"), ("They went to", " the")],
                vectors,
                elsewhere=["Lily was happy and ran to the park."],
                n_controls=2,
            )
        )
    one, two = results
    assert one.controls == two.controls
    for name in ("prompts", "KL elsewhere"):
        np.testing.assert_allclose(one[name].changed, two[name].changed, atol=1e-5)
