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

OPTIONS: dict[str, Any] = {"others": {"else": OTHERS}, "elsewhere": TEXTS, "n_controls": 3}


@pytest.fixture(scope="module")
def result() -> wb.ConceptAblation:
    vectors = wb.concept_vectors(model_of(), WORDS, n=4)
    return wb.ablate_concept(model_of(), vectors, PROMPTS, **OPTIONS)


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
    vectors, before = wb.concept_vectors(model, WORDS, n=4), weights_of(model)
    got = wb.ablate_concept(model, vectors, PROMPTS, how=how, noise=2.0, seed=7, **OPTIONS)
    assert unchanged(model, before)
    plain = model.to_hugging_face()
    states = {
        "plain": (plain, got.plain_probability, got.other_plain, got.plain_loss, None),
        "ablated": (
            edited(model, got.neurons, how, 2.0, 7),
            got.ablated_probability,
            got.other_ablated,
            got.ablated_loss,
            got.ablated_kl,
        ),
        "control": (
            edited(model, got.controls[1], how, 2.0, 7),
            got.control_probability[1],
            got.other_control[1],
            got.control_loss[1],
            got.control_kl[1],
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
    for i, neuron in enumerate(got.neurons):
        alone = edited(model, (neuron,), how, 2.0, 7)
        np.testing.assert_allclose(
            got.alone_probability[i], log_probabilities(alone, PROMPTS).exp(), atol=1e-5
        )


def test_ranks_count_the_tokens_that_are_more_likely(result: wb.ConceptAblation) -> None:
    plain, hit = model_of().to_hugging_face(), edited(model_of(), result.neurons, "zero", 1, 0)
    for hf_model, ranks in ((plain, result.plain_rank), (hit, result.ablated_rank)):
        for (prompt, answer), rank in zip(PROMPTS, ranks, strict=True):
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
        vectors = wb.concept_vectors(model, WORDS, n=3)
        results.append(wb.ablate_concept(model, vectors, PROMPTS, how="noise", **OPTIONS))
        assert unchanged(model, before)
    one, two = results
    assert one.controls == two.controls and one.ablated_texts == two.ablated_texts
    for field in ("plain_probability", "ablated_probability", "control_loss", "ablated_kl"):
        np.testing.assert_allclose(getattr(one, field), getattr(two, field), atol=1e-5)


def test_random_vectors_are_others_of_the_same_layers_and_near_in_size() -> None:
    model = model_of("gpt2")
    vectors = wb.concept_vectors(model, WORDS, n=5)
    places = [place_of(neuron) for neuron in vectors.neurons]
    assert {layer for layer, _ in places} == {0, 1}
    sizes = [model.weight("W_out", layer).norm(dim=1) for layer in range(2)]
    options = {**OPTIONS, "n_controls": 20}
    controls, again, otherwise = (
        wb.ablate_concept(model, vectors, PROMPTS, seed=seed, **options).controls
        for seed in (3, 3, 4)
    )
    assert controls == again != otherwise and len(controls) == 20
    for drawn in ([place_of(neuron) for neuron in each] for each in controls):
        assert [layer for layer, _ in drawn] == sorted(layer for layer, _ in places)
        assert len(set(drawn)) == 5 and not set(drawn) & set(places)
        for (layer, unit), (_, own) in zip(drawn, sorted(places), strict=True):
            distances = (sizes[layer] - sizes[layer][own]).abs()
            nearer = int((distances < distances[unit]).sum())
            assert nearer < 50 + len(places) + 1


def test_nothing_stays_edited_when_it_is_interrupted(monkeypatch: Any) -> None:
    model = model_of("gpt2")
    vectors, before = wb.concept_vectors(model, WORDS, n=3), weights_of(model)
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
        wb.ablate_concept(model, vectors, PROMPTS, **OPTIONS)
    assert unchanged(model, before)


def test_the_table_and_the_report_say_the_same(result: wb.ConceptAblation, tmp_path: Path) -> None:
    table = result.to_frame().set_index("measure")
    assert list(table.index) == ["probability", "else", "loss elsewhere", "KL elsewhere"]
    line = table.loc["probability"]
    change = result.ablated_probability - result.plain_probability
    assert line["change"] == pytest.approx(float(change.mean()), abs=1e-6)
    assert line["low"] <= line["change"] <= line["high"]
    random = (result.control_probability - result.plain_probability).mean(1)
    assert line["random"] == pytest.approx(float(random.mean()), abs=1e-6)
    assert line["excess"] == pytest.approx(line["change"] - line["random"], abs=1e-6)
    assert line["beyond_random"] == np.mean(np.abs(random) < abs(change.mean()))
    alone = result.alone()
    expected = (result.alone_probability - result.plain_probability).mean(1)
    np.testing.assert_allclose(alone["change"], expected, atol=1e-6)
    lines = result.report().splitlines()
    assert lines[0] == "4 value vectors of gpt2 for 'w5', 'w9', 'w30', set to zero"
    assert f"{line['before']:.3f} → {line['after']:.3f}" in lines[1]
    assert lines[3].startswith(f"  else: {table.loc['else', 'before']:.3f} → ")
    assert len(result.plain_texts) == 4 and lines[-1] == f"  after:  {result.ablated_texts[3]!r}"
    again = wb.ConceptAblation.load(result.save(tmp_path / "ablation"))
    assert again.report() == result.report() and repr(again) == repr(result)
    names = [label.get_text() for label in result.plot().get_yticklabels()]
    assert names == ["the concept", "else"]


def test_the_continuations_are_of_the_prompts_that_lose_most(result: wb.ConceptAblation) -> None:
    lost = result.plain_probability - result.ablated_probability
    order = np.argsort(-lost, kind="stable")
    for text, row in zip(result.plain_texts, order, strict=True):
        assert text.startswith(PROMPTS[row][0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"how": "half"}, "how is one of 'zero', 'mean', 'noise'; got 'half'"),
        ({"noise": 0.0}, r"noise is a finite number above 0; got 0\.0"),
        ({"n_controls": 0}, r"n_controls is a whole number from 1; got 0"),
        ({"n_new": True}, r"n_new is a whole number from 1; got True"),
        ({"elsewhere": None}, r"none ship for gpt2; give elsewhere="),
        ({"elsewhere": ["w5"]}, r"has at least two tokens, .* text 0 has 1"),
        ({"others": {"x": []}}, r"others\['x'\] asks at least one question; got none"),
    ],
)
def test_what_does_not_fit_is_said(options: Any, text: str) -> None:
    vectors = wb.concept_vectors(model_of(), WORDS, n=3)
    with pytest.raises(ValueError, match=text):
        wb.ablate_concept(model_of(), vectors, PROMPTS, **{**OPTIONS, **options})


def test_vectors_of_another_model_and_too_many_of_a_layer_are_refused() -> None:
    vectors = wb.concept_vectors(model_of(), WORDS, n=3)
    with pytest.raises(ValueError, match=r"belong to the model they were found in, gpt2; this is"):
        wb.ablate_concept(model_of("llama"), vectors, PROMPTS, **OPTIONS)
    many = wb.concept_vectors(model_of(), WORDS, n=70, layer=0)
    with pytest.raises(ValueError, match=r"layer 0 has 58 for 70 that are ablated. Ablate fewer"):
        wb.ablate_concept(model_of(), many, PROMPTS, **OPTIONS)


def test_stories_measure_the_same_on_both_backends(asset: Callable[..., Path]) -> None:
    folder = asset("models", "stories260K")
    results = []
    for backend in BACKENDS:
        model = wb.load(folder, backend=backend, device="cpu")
        vectors = wb.concept_vectors(model, [" was", " the"], n=5)
        results.append(
            wb.ablate_concept(
                model,
                vectors,
                [("Once upon a time there", " was"), ("They went to", " the")],
                elsewhere=["Lily was happy and ran to the park."],
                n_controls=2,
            )
        )
    one, two = results
    assert one.neurons == two.neurons and one.controls == two.controls
    np.testing.assert_allclose(one.ablated_probability, two.ablated_probability, atol=1e-5)
    np.testing.assert_allclose(one.ablated_kl, two.ablated_kl, atol=1e-5)
