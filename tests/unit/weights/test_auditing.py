"""The audit of an unlearning: behaviour, traces and relearning, each recomputed the slow way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

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
    ids_of,
    log_probabilities,
    model_of,
    text_divergences,
    text_losses,
    unchanged,
    value_row,
    weights_of,
)
from tests.unit.kernels import Lessons, train
from tests.unit.lens_models import words_model
from workbench.questions import Questions

OTHERWISE = [("w59 w7 w8 w12", "w5"), ("w33 w40 w41", "w9")]
ASKED = {"prompts": PROMPTS, "otherwise": OTHERWISE}
OPTIONS: dict[str, Any] = {"others": {"else": OTHERS}, "elsewhere": TEXTS, "seed": 3}
TRAINING: dict[str, Any] = {
    "steps": [0, 2, 3],
    "learning_rate": 1e-3,
    "batch_size": 2,
    "seed": 3,
}


class Audit(NamedTuple):
    """All that is asked of an unlearning."""

    behaviour: wb.Effects
    traces: wb.weights.Traces
    relearned: wb.Effects


def trained(backend: str = "nnsight") -> tuple[Any, Any, wb.weights.ConceptVectors]:
    before = model_of("gpt2", backend)
    after = wb.weights.unlearn(before, PROMPTS, [*OTHERS, *TEXTS], steps=8, learning_rate=3e-3)
    return before, after, wb.weights.concept_vectors(before, WORDS, n_neurons=4)


@pytest.fixture(scope="module")
def case() -> tuple[Any, Any, wb.weights.ConceptVectors, Audit]:
    before, after, vectors = trained()
    weights = weights_of(before), weights_of(after)
    found = audited(before, after, vectors, model_of("llama"))
    assert unchanged(before, weights[0]) and unchanged(after, weights[1])
    return before, after, vectors, found


def zero(vectors: wb.weights.ConceptVectors) -> list[wb.WeightEdit]:
    return [wb.WeightEdit("W_out", layer, unit, value=0.0) for layer, unit in vectors.places]


def audited(before: Any, after: Any, vectors: wb.weights.ConceptVectors, never: Any) -> Audit:
    models = {"after": after, "ablated": zero(vectors), "never": never}
    return Audit(
        wb.weights.audit(before, after, ASKED, vectors, **OPTIONS),
        wb.weights.traces(before, after, vectors, k=5, seed=3),
        wb.weights.relearn(before, models, PROMPTS[:2], PROMPTS, **TRAINING),
    )


def curves(relearned: wb.Effects, n: int = 3) -> np.ndarray:
    """(model, step, prompt) the probability of the answers."""
    values = relearned.measures[0].changed
    return values.reshape(-1, n, values.shape[-1])


def zeroed(model: Any, vectors: wb.weights.ConceptVectors) -> Any:
    plain = model.to_hugging_face()
    with torch.no_grad():
        for layer, unit in vectors.places:
            value_row(plain, layer, unit).zero_()
    return plain


def test_behaviour_is_that_of_plain_models(case: Any) -> None:
    before, after, vectors, audit = case
    # Behind the first twelve tokens of a text, which are all of each; texts go round.
    behind = [(f"{TEXTS[i % 3]} {prompt}", answer) for i, (prompt, answer) in enumerate(PROMPTS)]
    asked = {"prompts": PROMPTS, "otherwise": OTHERWISE, "after other text": behind, "else": OTHERS}
    assert [measure.name for measure in audit.behaviour.measures[:-2]] == list(asked)
    models = [before.to_hugging_face(), after.to_hugging_face(), zeroed(before, vectors)]
    measures = {one.name: (one.plain, *one.changed) for one in audit.behaviour.measures}
    for name, questions in asked.items():
        for got, model in zip(measures[name], models, strict=True):
            np.testing.assert_allclose(got, log_probabilities(model, questions).exp(), atol=1e-5)
    for got, model in zip(measures["loss elsewhere"], models, strict=True):
        np.testing.assert_allclose(got, text_losses(model, TEXTS), atol=1e-5)
    for got, model in zip(measures["KL elsewhere"], models, strict=True):
        np.testing.assert_allclose(got, text_divergences(models[0], model, TEXTS), atol=1e-5)
    line = audit.behaviour.to_frame().iloc[0]
    assert (line["measure"], line["change"]) == ("prompts", "after")
    assert line["changed"] < line["plain"]
    assert line["low"] <= line["effect"] <= line["high"]
    assert line["changed_low"] <= line["changed"] <= line["changed_high"]


def first_words(model: Any, layer: int, unit: int, k: int) -> set[int]:
    norm = model.norm("ln_final")
    vector = model.weight("W_out", layer)[unit].double()
    numbers = ((vector - vector.mean()) * norm.weight.double()) @ model.weight("W_U").double()
    return set(numbers.topk(k).indices.tolist())


def test_traces_are_those_of_each_row_by_itself(case: Any) -> None:
    before, after, vectors, audit = case
    traces = audit.traces
    for i, (layer, unit) in enumerate(vectors.places):
        a, b = (model.weight("W_out", layer)[unit].double() for model in (before, after))
        assert traces.cosine[i] == pytest.approx(float(a @ b / a.norm() / b.norm()), abs=1e-6)
        assert traces.change[i] == pytest.approx(float((b - a).norm() / a.norm()), abs=1e-6)
        one, two = (first_words(model, layer, unit, 5) for model in (before, after))
        assert traces.kept[i] == pytest.approx(len(one & two) / len(one | two), abs=1e-6)
        words = [f"w{token}" for token in one]
        assert sorted(traces.words_before[i]) == sorted(words)
    np.testing.assert_allclose(traces.before_scores[:4], vectors.scores, atol=1e-5)
    # 200 of the rest of two layers of 128 are drawn, none of the vectors.
    assert len(traces.of_kind("cosine", "control")) == 200
    layers = sorted({layer for layer, _ in vectors.places})
    rest = [
        float(torch.cosine_similarity(*(m.weight("W_out", at)[u] for m in (before, after)), dim=0))
        for at in layers
        for u in range(128)
        if (at, u) not in vectors.places
    ]
    assert traces.of_kind("cosine", "control").mean() == pytest.approx(np.mean(rest), abs=0.005)
    table = traces.to_frame("measures").set_index("measure")
    own = float(traces.of_kind("change").mean())
    assert table.loc["change", "concept"] == pytest.approx(own, abs=1e-6)


def test_relearning_is_plain_training_from_each_model(case: Any) -> None:
    before, after, vectors, audit = case
    assert audit.relearned.changes["change"][::3] == ("after", "ablated", "never")
    starts = [after.to_hugging_face(), zeroed(before, vectors), model_of("llama").to_hugging_face()]
    for curve, plain in zip(curves(audit.relearned), starts, strict=True):
        np.testing.assert_allclose(curve[0], log_probabilities(plain, PROMPTS).exp(), atol=1e-5)
        optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=0.0)
        for _ in range(2):
            # Both lessons are one batch.
            loss = torch.zeros(())
            for prompt, answer in PROMPTS[:2]:
                logits = plain(torch.tensor([ids_of(prompt)])).logits[0, -1]
                loss = loss - logits.log_softmax(-1)[ids_of(answer)[0]] / 2
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
            optimizer.step()
        np.testing.assert_allclose(curve[1], log_probabilities(plain, PROMPTS).exp(), atol=1e-4)
    table, first = audit.relearned.to_frame(), curves(audit.relearned)[0, 1]
    assert table["step"].tolist() == [0, 2, 3] * 3
    assert table["changed"][1] == pytest.approx(float(first.mean()), abs=1e-6)
    plain = log_probabilities(before.to_hugging_face(), PROMPTS).exp()
    np.testing.assert_allclose(audit.relearned["prompts"].plain, plain, atol=1e-5)


def test_as_many_others_are_drawn_as_are_asked_for_by_the_seed(case: Any) -> None:
    before, after, vectors, _ = case
    options: dict[str, Any] = {"steps": [0, 1], "learning_rate": 1e-2, "batch_size": 1}
    one, same, other = (
        wb.weights.traces(before, after, vectors, n_controls=7, seed=seed).of_kind(
            "cosine", "control"
        )
        for seed in (0, 0, 4)
    )
    assert len(one) == 7 and np.array_equal(one, same) and not np.array_equal(one, other)
    # One lesson a step: after the first the model has seen one of the two.
    possible = []
    for prompt, answer in PROMPTS[:2]:
        plain = after.to_hugging_face()
        optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0.0)
        logits = plain(torch.tensor([ids_of(prompt)])).logits[0, -1]
        (-logits.log_softmax(-1)[ids_of(answer)[0]]).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
        possible.append(log_probabilities(plain, PROMPTS).exp().detach().numpy())
    relearned = wb.weights.relearn(before, {"after": after}, PROMPTS[:2], PROMPTS, **options)
    found = relearned.measures[0].changed[1]
    apart = [np.abs(found - each).max() for each in possible]
    assert min(apart) < 1e-6 < 1e-4 < max(apart)
    for steps in ([0, 2, 2], [3, 1], [0], []):
        with pytest.raises(ValueError, match="steps is numbers of steps from 0, rising"):
            wb.weights.relearn(before, {"after": after}, PROMPTS[:2], PROMPTS, steps=steps)


def test_a_vector_that_was_turned_round_is_the_opposite_of_what_it_was() -> None:
    before = model_of("gpt2")
    vectors = wb.weights.concept_vectors(before, WORDS, n_neurons=4)
    turned = before.to_hugging_face()
    with torch.no_grad():
        for layer, unit in vectors.places[:2]:
            value_row(turned, layer, unit).mul_(-3)
    after = wb.load(turned, tokenizer=before.tokenizer, name="turned")
    traces = wb.weights.traces(before, after, vectors, n_controls=5)
    np.testing.assert_allclose(traces.of_kind("cosine"), [-1, -1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(traces.of_kind("change"), [4, 4, 0, 0], atol=1e-6)
    np.testing.assert_allclose(traces.of_kind("cosine", "control"), 1, atol=1e-6)
    assert (traces.kept[2:] == 1).all() and (traces.kept[:2] < 0.5).all()
    np.testing.assert_allclose(traces.after_scores[:2], -traces.before_scores[:2], atol=1e-4)


def test_a_copy_that_was_not_trained_keeps_everything() -> None:
    before = model_of("gpt2")
    same = wb.load(before.to_hugging_face(), tokenizer=before.tokenizer, name="a copy")
    vectors = wb.weights.concept_vectors(before, WORDS, n_neurons=3)
    traces = wb.weights.traces(before, same, vectors)
    np.testing.assert_allclose(traces.cosine, 1, atol=1e-6)
    assert not traces.change.any() and (traces.kept == 1).all()
    asked = wb.weights.audit(before, same, PROMPTS, vectors, elsewhere=TEXTS)["prompts"]
    np.testing.assert_array_equal(asked.plain, asked.changed[0])
    np.testing.assert_array_equal(traces.before_scores, traces.after_scores)


def test_both_backends_audit_alike(case: Any) -> None:
    _, _, _, one = case
    before, after, vectors = trained(BACKENDS[1])
    never = model_of("llama", BACKENDS[1])
    two = audited(before, after, vectors, never)
    for first, second in zip(one.behaviour.measures, two.behaviour.measures, strict=True):
        np.testing.assert_allclose(first.changed, second.changed, atol=1e-5)
    for field in ("cosine", "kept"):
        first, second = getattr(one.traces, field), getattr(two.traces, field)
        np.testing.assert_allclose(first, second, atol=1e-5)
    np.testing.assert_allclose(curves(one.relearned), curves(two.relearned), atol=1e-4)


def test_it_is_told_saved_and_drawn(case: Any, tmp_path: Path) -> None:
    audit = case[-1]
    for one in audit:
        again = type(one).load(one.save(tmp_path / "audit"))
        assert repr(again) == repr(one)
    before, after = audit.behaviour["prompts"].plain, audit.behaviour["prompts"].changed[0]
    assert repr(audit.behaviour).startswith(
        "Effects(gpt2: gpt2 unlearned: 2 changes; prompts under"
    )
    assert f"{(after - before).mean():+.3f} [" in repr(audit.behaviour)
    assert f"cosine {audit.traces.of_kind('cosine').mean():.4f} to" in repr(audit.traces)
    table = audit.traces.to_frame()
    assert table["words_after"][0] == audit.traces.words_after[0]
    names = [label.get_text() for label in audit.behaviour.plot().get_yticklabels()]
    asked = ["prompts", "otherwise", "after other text", "else"]
    assert names == [*asked, "loss elsewhere", "KL elsewhere"]
    assert audit.traces.plot().get_title().startswith("gpt2 unlearned: ")
    lines = [line.get_label() for line in audit.relearned.plot().get_lines()]
    assert lines[:3] == ["after", "ablated", "never"]
    for wrong in ({"measure": "x"}, {"measure": "kept", "kind": "x"}):
        with pytest.raises(ValueError, match=r"is one of .*; got 'x'"):
            audit.traces.of_kind(**wrong)


def test_a_context_goes_behind_the_start_token_and_is_cut_to_what_fits() -> None:
    model = model_of("gpt2")
    asked = Questions.of(model, [("w7 w8", "w5")])
    assert asked.after(model, [[2, 3]]).tokens.ids.tolist() == [[2, 3, 7, 8]]
    started = replace(asked, tokens=model.tokens([[0, 7, 8]]))
    assert started.after(model, [[0, 2, 3]]).tokens.ids.tolist() == [[0, 2, 3, 7, 8]]
    long = asked.after(model, [list(range(2, 60)) + [9] * 20]).tokens.ids[0].tolist()
    assert len(long) == model.spec.n_ctx and long[-2:] == [7, 8] and long[-3] == 9


@pytest.mark.parametrize(
    ("call", "options", "text"),
    [
        ("audit", {"others": {"prompts": OTHERS}}, r"named once each; 'prompts' stands twice"),
        ("traces", {"k": 0}, "k is a whole number from 1; got 0"),
        ("traces", {"n_controls": 0}, r"n_controls is a whole number from 1; got 0"),
        ("relearn", {"steps": [0, 2, 2]}, r"numbers of steps from 0, rising, .* got \[0, 2, 2\]"),
        ("relearn", {"steps": []}, r"numbers of steps from 0, rising"),
        ("relearn", {"changes": {"never": 1}}, "A change is made of .*; got 1"),
        ("relearn", {"material": []}, r"material asks at least one question; got none"),
        (
            "relearn",
            {"changes": {"push": wb.Scale("L1.mlp_out", 0.5)}},
            r"What is trained is a model, or one under weight edits; got Change",
        ),
    ],
)
def test_what_does_not_fit_is_said(case: Any, call: str, options: Any, text: str) -> None:
    before, after, vectors, _ = case
    arguments: dict[str, Any] = {"before": before, "after": after, "vectors": vectors}
    if call == "audit":
        arguments |= {"questions": PROMPTS, "elsewhere": TEXTS}
    if call == "relearn":
        arguments = {"before": before, "changes": {"after": after}}
        arguments |= {"material": PROMPTS, "questions": PROMPTS}
    with pytest.raises(ValueError, match=text):
        getattr(wb.weights, call)(**{**arguments, **options})


def test_models_that_do_not_belong_together_are_refused(case: Any) -> None:
    before, after, vectors, _ = case

    def audit(one: Any, other: Any) -> None:
        wb.weights.audit(one, other, PROMPTS, vectors, elsewhere=TEXTS)

    for call in (audit, lambda one, other: wb.weights.traces(one, other, vectors)):
        with pytest.raises(ValueError, match=r"has d_mlp 128, llama has 48. Give the copy as aft"):
            call(before, model_of("llama"))
        with pytest.raises(ValueError, match=r"model they were found in, gpt2; this is gpt2 unle"):
            call(after, before)
        with pytest.raises(ValueError, match=r"compares a model with a trained copy of it"):
            call(before, words_model())
    with pytest.raises(ValueError, match=r"read the same tokens; those of words \(never\) are"):
        wb.weights.relearn(before, {"never": words_model()}, PROMPTS, PROMPTS)


def test_the_training_of_lessons_gives_each_loss_before_its_step() -> None:
    model = model_of("gpt2")
    plain, lessons = model.to_hugging_face(), Lessons.of(model, PROMPTS, of="retain")
    options: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 9, "seed": 0}
    (first,), *_ = train(plain, [(lessons, 1.0)], steps=2, **options)
    expected = -float(log_probabilities(model.to_hugging_face(), PROMPTS).mean())
    assert first == pytest.approx(expected, abs=1e-5)
