"""The audit of an unlearning: behaviour, traces and relearning, each recomputed the slow way."""

from __future__ import annotations

from dataclasses import replace
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
from workbench.questions import Questions

OTHERWISE = [("w59 w7 w8 w12", "w5"), ("w33 w40 w41", "w9")]
OPTIONS: dict[str, Any] = {
    "paraphrases": {"otherwise": OTHERWISE},
    "others": {"else": OTHERS},
    "elsewhere": TEXTS,
    "k": 5,
    "relearn": PROMPTS[:2],
    "relearn_at": [0, 2, 3],
    "learning_rate": 1e-3,
    "batch_size": 2,
    "seed": 3,
}


def trained(backend: str = "nnsight") -> tuple[Any, Any, wb.ConceptVectors]:
    before = model_of("gpt2", backend)
    after = wb.unlearn(before, PROMPTS, [*OTHERS, *TEXTS], steps=8, learning_rate=3e-3)
    return before, after, wb.concept_vectors(before, WORDS, n=4)


@pytest.fixture(scope="module")
def case() -> tuple[Any, Any, wb.ConceptVectors, wb.UnlearningAudit]:
    before, after, vectors = trained()
    weights = weights_of(before), weights_of(after)
    audit = wb.audit_unlearning(before, after, vectors, PROMPTS, never=model_of("llama"), **OPTIONS)
    assert unchanged(before, weights[0]) and unchanged(after, weights[1])
    return before, after, vectors, audit


def zeroed(model: Any, vectors: wb.ConceptVectors) -> Any:
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
    assert (*audit.forgotten, *audit.others) == tuple(asked)
    models = [before.to_hugging_face(), after.to_hugging_face(), zeroed(before, vectors)]
    measures = {name: values for name, _, *values in audit.measures()}
    for name, questions in asked.items():
        for got, model in zip(measures[name], models, strict=True):
            np.testing.assert_allclose(got, log_probabilities(model, questions).exp(), atol=1e-5)
    for got, model in zip(measures["loss elsewhere"], models, strict=True):
        np.testing.assert_allclose(got, text_losses(model, TEXTS), atol=1e-5)
    for got, model in zip(measures["KL elsewhere"], models, strict=True):
        np.testing.assert_allclose(got, text_divergences(models[0], model, TEXTS), atol=1e-5)
    line = audit.behaviour().set_index("measure").loc["prompts"]
    assert line["after"] < line["before"] and line["about"] == "concept"
    assert line["low"] <= line["change"] <= line["high"]
    assert line["after_low"] <= line["after"] <= line["after_high"]


def first_words(model: Any, layer: int, unit: int, k: int) -> set[int]:
    norm = model.norm("ln_final")
    vector = model.weight("W_out", layer)[unit].double()
    numbers = ((vector - vector.mean()) * norm.weight.double()) @ model.weight("W_U").double()
    return set(numbers.topk(k).indices.tolist())


def test_traces_are_those_of_each_row_by_itself(case: Any) -> None:
    before, after, vectors, audit = case
    for i, (layer, unit) in enumerate(vectors.places):
        a, b = (model.weight("W_out", layer)[unit].double() for model in (before, after))
        assert audit.cosine[i] == pytest.approx(float(a @ b / a.norm() / b.norm()), abs=1e-6)
        assert audit.change[i] == pytest.approx(float((b - a).norm() / a.norm()), abs=1e-6)
        one, two = (first_words(model, layer, unit, 5) for model in (before, after))
        assert audit.kept[i] == pytest.approx(len(one & two) / len(one | two), abs=1e-6)
        words = [f"w{token}" for token in one]
        assert sorted(audit.before_words[i]) == sorted(words)
    np.testing.assert_allclose(audit.before_scores, vectors.scores, atol=1e-5)
    # 200 of the rest of two layers of 128 are drawn, none of the vectors.
    assert len(audit.other_cosine) == 200
    layers = sorted({layer for layer, _ in vectors.places})
    rest = [
        float(torch.cosine_similarity(*(m.weight("W_out", at)[u] for m in (before, after)), dim=0))
        for at in layers
        for u in range(128)
        if (at, u) not in vectors.places
    ]
    assert audit.other_cosine.mean() == pytest.approx(np.mean(rest), abs=0.005)
    table = audit.traces().set_index("measure")
    assert table.loc["change", "vectors"] == pytest.approx(float(audit.change.mean()), abs=1e-6)


def test_relearning_is_plain_training_from_each_model(case: Any) -> None:
    before, after, vectors, audit = case
    assert audit.relearners == ("after", "ablated", "never")
    starts = [after.to_hugging_face(), zeroed(before, vectors), model_of("llama").to_hugging_face()]
    for curve, plain in zip(audit.relearned, starts, strict=True):
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
    table = audit.relearning()
    assert table["step"].tolist() == [0, 2, 3] * 3
    assert table["probability"][1] == pytest.approx(float(audit.relearned[0, 1].mean()), abs=1e-6)


def test_as_many_others_are_drawn_as_are_asked_for_by_the_seed(case: Any) -> None:
    before, after, vectors, _ = case
    audits = [
        wb.audit_unlearning(
            before, after, vectors, PROMPTS, elsewhere=TEXTS, n_others=7, seed=seed,
            relearn=PROMPTS[:2], relearn_at=[0, 1], learning_rate=1e-2, batch_size=1,
        )
        for seed in (0, 0, 4)
    ]  # fmt: skip
    one, same, other = (audit.other_cosine for audit in audits)
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
    relearned = audits[0].relearned
    assert relearned is not None
    found = relearned[0, 1]
    apart = [np.abs(found - each).max() for each in possible]
    assert min(apart) < 1e-6 < 1e-4 < max(apart)
    for steps in ([0, 2, 2], [3, 1], [0], []):
        with pytest.raises(ValueError, match="relearn_at is numbers of steps from 0, rising"):
            wb.audit_unlearning(
                before, after, vectors, PROMPTS, elsewhere=TEXTS, relearn=PROMPTS[:2],
                relearn_at=steps,
            )  # fmt: skip


def test_a_vector_that_was_turned_round_is_the_opposite_of_what_it_was() -> None:
    before = model_of("gpt2")
    vectors = wb.concept_vectors(before, WORDS, n=4)
    turned = before.to_hugging_face()
    with torch.no_grad():
        for layer, unit in vectors.places[:2]:
            value_row(turned, layer, unit).mul_(-3)
    after = wb.load(turned, tokenizer=before.tokenizer, name="turned")
    audit = wb.audit_unlearning(before, after, vectors, PROMPTS, elsewhere=TEXTS, n_others=5)
    np.testing.assert_allclose(audit.cosine, [-1, -1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(audit.change, [4, 4, 0, 0], atol=1e-6)
    np.testing.assert_allclose(audit.other_cosine, 1, atol=1e-6)
    assert (audit.kept[2:] == 1).all() and (audit.kept[:2] < 0.5).all()
    np.testing.assert_allclose(audit.after_scores[:2], -audit.before_scores[:2], atol=1e-4)


def test_a_copy_that_was_not_trained_keeps_everything() -> None:
    before = model_of("gpt2")
    same = wb.load(before.to_hugging_face(), tokenizer=before.tokenizer, name="a copy")
    audit = wb.audit_unlearning(
        before, same, wb.concept_vectors(before, WORDS, n=3), PROMPTS, elsewhere=TEXTS
    )
    np.testing.assert_allclose(audit.cosine, 1, atol=1e-6)
    assert not audit.change.any() and not audit.other_change.any() and (audit.kept == 1).all()
    np.testing.assert_array_equal(audit.before_probability, audit.after_probability)
    np.testing.assert_array_equal(audit.before_scores, audit.after_scores)
    assert audit.relearned is None and audit.relearners == ()
    with pytest.raises(ValueError, match=r"relearned nothing; give audit_unlearning relearn="):
        audit.relearning()


def test_both_backends_audit_alike(case: Any) -> None:
    _, _, _, one = case
    before, after, vectors = trained(BACKENDS[1])
    never = model_of("llama", BACKENDS[1])
    two: Any = wb.audit_unlearning(before, after, vectors, PROMPTS, never=never, **OPTIONS)
    for field in ("after_probability", "ablated_probability", "after_kl", "cosine", "other_kept"):
        np.testing.assert_allclose(getattr(one, field), getattr(two, field), atol=1e-5)
    np.testing.assert_allclose(one.relearned, two.relearned, atol=1e-4)


def test_it_is_told_saved_and_drawn(case: Any, tmp_path: Path) -> None:
    audit = case[-1]
    again = wb.UnlearningAudit.load(audit.save(tmp_path / "audit"))
    assert repr(again) == repr(audit) and again.report() == audit.report()
    lines = audit.report().splitlines()
    assert lines[0] == "gpt2 unlearned beside gpt2: 'w5', 'w9', 'w30' in 4 value vectors"
    mean = audit.measures()[0]
    assert lines[2].startswith(
        f"  prompts (concept, 4): {mean[2].mean():.3f} → {mean[3].mean():.3f} ["
    )
    assert f"  cosine: {audit.cosine.mean():.4f} [" in audit.report()
    assert lines[-3] == "  after: " + ", ".join(f"{v:.3f}" for v in audit.relearned[0].mean(-1))
    table = audit.to_frame()
    assert table["words_after"][0] == "|".join(audit.after_words[0])
    names = [label.get_text() for label in audit.plot().get_yticklabels()]
    assert names == ["prompts", "otherwise", "after other text", "else"]
    for what in ("traces", "relearning"):
        assert audit.plot(what=what).get_title().startswith("gpt2 unlearned: ")
    with pytest.raises(ValueError, match="one of 'behaviour', 'traces', 'relearning'; got 'x'"):
        audit.plot(what="x")


def test_a_context_goes_behind_the_start_token_and_is_cut_to_what_fits() -> None:
    model = model_of("gpt2")
    asked = Questions.of(model, [("w7 w8", "w5")])
    assert asked.after(model, [[2, 3]]).tokens.ids.tolist() == [[2, 3, 7, 8]]
    started = replace(asked, tokens=model.tokens([[0, 7, 8]]))
    assert started.after(model, [[0, 2, 3]]).tokens.ids.tolist() == [[0, 2, 3, 7, 8]]
    long = asked.after(model, [list(range(2, 60)) + [9] * 20]).tokens.ids[0].tolist()
    assert len(long) == model.spec.n_ctx and long[-2:] == [7, 8] and long[-3] == 9


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"others": {"prompts": OTHERS}}, r"named once each; 'prompts' stands twice"),
        ({"k": 0}, "k is a whole number from 1; got 0"),
        ({"n_others": 0}, r"n_others is a whole number from 1; got 0"),
        ({"relearn_at": [0, 2, 2]}, r"numbers of steps from 0, rising, .* got \[0, 2, 2\]"),
        ({"relearn_at": []}, r"numbers of steps from 0, rising"),
        ({"relearn": None, "never": 1}, "never is a Model or None; got 1"),
        ({"relearn": []}, r"relearn asks at least one question; got none"),
    ],
)
def test_what_does_not_fit_is_said(case: Any, options: Any, text: str) -> None:
    before, after, vectors, _ = case
    with pytest.raises(ValueError, match=text):
        wb.audit_unlearning(before, after, vectors, PROMPTS, **{**OPTIONS, **options})


def test_models_that_do_not_belong_together_are_refused(case: Any) -> None:
    before, after, vectors, _ = case
    with pytest.raises(ValueError, match=r"gpt2 has d_mlp 128, llama has 48. Give the copy as aft"):
        wb.audit_unlearning(before, model_of("llama"), vectors, PROMPTS, elsewhere=TEXTS)
    with pytest.raises(ValueError, match=r"the model they were found in, gpt2; this is gpt2 unle"):
        wb.audit_unlearning(after, before, vectors, PROMPTS, elsewhere=TEXTS)
    from tests.unit.lens_models import words_model

    with pytest.raises(ValueError, match=r"An audit compares a model with a trained copy of it"):
        wb.audit_unlearning(before, words_model(), vectors, PROMPTS, elsewhere=TEXTS)


def test_the_training_of_lessons_gives_each_loss_before_its_step() -> None:
    model = model_of("gpt2")
    plain, lessons = model.to_hugging_face(), Lessons.of(model, PROMPTS, of="retain")
    options: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 9, "seed": 0}
    (first,), *_ = train(plain, [(lessons, 1.0)], steps=2, **options)
    expected = -float(log_probabilities(model.to_hugging_face(), PROMPTS).mean())
    assert first == pytest.approx(expected, abs=1e-5)
