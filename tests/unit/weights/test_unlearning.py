"""Unlearning: the training is what it says, repeats by its seed, and leaves the original alone."""

from __future__ import annotations

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
    ids_of,
    log_probabilities,
    model_of,
    unchanged,
    weights_of,
)
from tests.unit.kernels import Lessons, train


def named(model: Any) -> dict[str, torch.Tensor]:
    return {k: v.detach() for k, v in model.to_hugging_face().named_parameters()}


def rows_in_order(n: int, size: int, seed: int, at: int, steps: int) -> list[list[int]]:
    """The rows of each step: permutations one behind the other, cut into batches."""
    rng, rows = np.random.default_rng([seed, at]), []
    while len(rows) < steps * size:
        rows += rng.permutation(n).tolist()
    return [rows[i * size : (i + 1) * size] for i in range(steps)]


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_it_is_gradient_difference_step_by_step(name: str) -> None:
    model = model_of(name)
    steps, size = 3, 2
    made = wb.weights.unlearn(
        model,
        PROMPTS,
        TEXTS,
        steps=steps,
        learning_rate=1e-3,
        batch_size=size,
        retain_weight=2.0,
        seed=4,
    )
    plain = model.to_hugging_face()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=0.0)
    forget = rows_in_order(len(PROMPTS), size, 4, 0, steps)
    retain = rows_in_order(len(TEXTS), size, 4, 1, steps)
    for step in range(steps):
        total, n = torch.zeros(()), 0
        for row in forget[step]:
            prompt, answer = PROMPTS[row]
            logits = plain(torch.tensor([ids_of(prompt)])).logits[0, -1]
            total = total + logits.log_softmax(-1)[ids_of(answer)[0]] / size
        kept = torch.zeros(())
        for row in retain[step]:
            ids = ids_of(TEXTS[row])
            logits = plain(torch.tensor([ids])).logits[0].log_softmax(-1)
            for i in range(len(ids) - 1):
                kept, n = kept - logits[i, ids[i + 1]], n + 1
        optimizer.zero_grad()
        (total + 2.0 * kept / n).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
    trained = named(made)
    for key, parameter in plain.named_parameters():
        got, expected = trained[key], parameter.detach()
        if key.endswith("c_attn.bias"):
            # A key's bias has no gradient but rounding, which Adam blows up to whole steps.
            got, expected = ([part[:32], part[64:]] for part in (got, expected))
        torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_answers_go_and_the_original_stays_bit_for_bit(backend: str) -> None:
    model = model_of("gpt_neox", backend)
    before, logits = weights_of(model), model.run([ids_of(PROMPTS[0][0])]).logits
    made: Any = wb.weights.unlearn(model, PROMPTS, [*OTHERS, *TEXTS], steps=12, learning_rate=3e-3)
    assert unchanged(model, before)
    assert torch.equal(model.run([ids_of(PROMPTS[0][0])]).logits, logits)
    plain, trained = model.to_hugging_face(), made.to_hugging_face()
    assert log_probabilities(trained, PROMPTS).mean() < log_probabilities(plain, PROMPTS).mean() - 1
    assert log_probabilities(trained, OTHERS).mean() > log_probabilities(plain, OTHERS).mean()
    assert (made.spec.name, made.spec.backend) == ("gpt_neox unlearned", backend)
    assert not any(p.requires_grad for p in made.parameters())


def test_the_same_seed_gives_the_same_model_on_both_backends() -> None:
    options: dict[str, Any] = {"steps": 3, "batch_size": 2, "learning_rate": 1e-3}
    first = named(wb.weights.unlearn(model_of(), PROMPTS, TEXTS, seed=1, **options))
    torch.manual_seed(99)
    again = named(
        wb.weights.unlearn(model_of("gpt2", BACKENDS[1]), PROMPTS, TEXTS, seed=1, **options)
    )
    other = named(wb.weights.unlearn(model_of(), PROMPTS, TEXTS, seed=2, **options))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("name", "weights", "inside"),
    [("gpt2", "mlp", ".mlp."), ("llama", "attention", ".self_attn."), ("gpt_neox", "mlp", ".mlp.")],
)
def test_only_the_chosen_weights_are_trained(name: str, weights: str, inside: str) -> None:
    model = model_of(name)
    made = named(
        wb.weights.unlearn(model, PROMPTS, TEXTS, steps=2, weights=weights, learning_rate=1e-3)
    )
    for key, before in named(model).items():
        moved = not torch.equal(made[key], before)
        # A key's bias alone has no gradient: it moves all scores of a query alike.
        assert moved == (inside in key) or "bias" in key
        assert inside in key or not moved


def test_a_bfloat16_model_is_trained_in_float32_and_stays_one() -> None:
    model = model_of("gpt2", dtype="bfloat16")
    made = wb.weights.unlearn(model, PROMPTS, TEXTS, steps=5, learning_rate=1e-3, name="mine")
    assert made.spec.dtype == "bfloat16" and made.spec.name == "mine"
    plain, trained = model.to_hugging_face(), made.to_hugging_face()
    assert log_probabilities(trained, PROMPTS).mean() < log_probabilities(plain, PROMPTS).mean()


def test_above_the_ceiling_nothing_is_unlearned_further() -> None:
    model = model_of()
    options: dict[str, Any] = {"steps": 4, "learning_rate": 1e-3}
    # Every loss is above it from the start: what is left is learning to retain.
    kept = wb.weights.unlearn(model, PROMPTS, TEXTS, ceiling=1e-6, **options)
    expected, lessons = model.to_hugging_face(), Lessons.of(model, TEXTS, of="retain")
    again = train(expected, [(lessons, 0.0), (lessons, 1.0)], batch_size=16, seed=0, **options)
    assert len(list(again)) == 4
    for key, parameter in expected.named_parameters():
        torch.testing.assert_close(named(kept)[key], parameter.detach(), atol=1e-6, rtol=1e-5)
    free = named(wb.weights.unlearn(model, PROMPTS, TEXTS, ceiling=1e6, **options))
    endless = named(wb.weights.unlearn(model, PROMPTS, TEXTS, **options))
    assert all(torch.equal(free[key], endless[key]) for key in free)


def test_lessons_count_texts_but_their_first_token_and_questions_by_their_answer() -> None:
    lessons = Lessons.of(model_of(), [*TEXTS, *PROMPTS[:2]], of="retain")
    assert lessons.mask.sum(1).tolist() == [5, 3, 6, 4, 3]
    assert lessons.counts.sum(1).tolist() == [4, 2, 5, 1, 1]
    assert lessons.ids[3, :4].tolist() == [7, 8, 12, 5] and bool(lessons.counts[3, 3])
    assert lessons.counts[0].tolist() == [False, True, True, True, True, False]
    one = Lessons.of(model_of(), TEXTS[0], of="retain")
    assert one.ids.tolist() == [[2, 3, 4, 5, 6]]
    drawn = lessons.batches(2, np.random.default_rng(0))
    rows = [row for _ in range(5) for row in next(drawn)]
    assert sorted(rows[:5]) == sorted(rows[5:]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        (([], TEXTS), {}, r"forget asks at least one question; got none"),
        ((PROMPTS, []), {}, r"retain asks at least one question; got none"),
        ((PROMPTS, ["w5"]), {}, r"A text of retain has at least two tokens: .* text 0 has 1"),
        (([("w5", "w6 w7")], TEXTS), {}, r"An answer is one token; 'w6 w7' is 2"),
        ((PROMPTS, TEXTS), {"steps": 0}, r"steps is a whole number from 1; got 0"),
        ((PROMPTS, TEXTS), {"batch_size": 1.5}, r"batch_size is a whole number from 1; got 1.5"),
        ((PROMPTS, TEXTS), {"learning_rate": 0}, "learning_rate is a finite number above 0; got 0"),
        (
            (PROMPTS, TEXTS),
            {"retain_weight": -1},
            "retain_weight is a finite number above 0; got -1",
        ),
        ((PROMPTS, TEXTS), {"ceiling": 0.0}, r"ceiling is a loss above 0, .* or None; got 0.0"),
        ((PROMPTS, TEXTS), {"weights": "W_out"}, r"weights is one of \('all', 'mlp', 'attention'"),
    ],
)
def test_what_cannot_be_trained_is_said(arguments: Any, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        wb.weights.unlearn(model_of(), *arguments, **options)


def test_a_training_that_diverges_is_an_error_and_not_a_model() -> None:
    model = model_of()
    before = weights_of(model)
    with pytest.raises(RuntimeError, match=r"diverged at step \d: its losses are .*nan.* Lower"):
        wb.weights.unlearn(model, PROMPTS, TEXTS, learning_rate=1e30, steps=5)
    assert unchanged(model, before)
