"""Each metric against a slow recomputation with plain Python floats, and what each refuses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench import metrics
from workbench.tokens import Tokens

VOCABULARY = 7


def probabilities(row: list[float]) -> list[float]:
    top = max(row)
    weights = [math.exp(x - top) for x in row]
    return [w / sum(weights) for w in weights]


numbers = st.floats(-8, 8, allow_nan=False, width=32)
tokens = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=4, unique=True)
example = st.tuples(st.lists(numbers, min_size=VOCABULARY, max_size=VOCABULARY), tokens, tokens)
batches = st.lists(example, min_size=1, max_size=4)


@given(batches)
def test_every_metric_equals_its_definition_row_by_row(
    batch: list[tuple[list[float], list[int], list[int]]],
) -> None:
    rows, answers, foils = (list(part) for part in zip(*batch, strict=True))
    logits = torch.tensor(rows, dtype=torch.float64)[:, None]
    found = {
        "difference": metrics.logit_difference(logits, answers, foils),
        "probability": metrics.probability(logits, answers),
        "log": metrics.log_probability(logits, answers),
        "mass": metrics.probability_difference(logits, answers, foils),
        "rank": metrics.rank(logits, answers),
        "entropy": metrics.entropy(logits),
    }
    for i, (row, a, f) in enumerate(batch):
        p = probabilities(row)
        best = max(row[t] for t in a)
        expected = {
            "difference": sum(row[t] for t in a) / len(a) - sum(row[t] for t in f) / len(f),
            "probability": sum(p[t] for t in a),
            "log": math.log(sum(p[t] for t in a)),
            "mass": sum(p[t] for t in a) - sum(p[t] for t in f),
            "rank": sum(x > best for x in row),
            "entropy": -sum(q * math.log(q) for q in p),
        }
        for name, values in found.items():
            assert values.shape == (len(batch),)
            assert values[i].item() == pytest.approx(expected[name], abs=1e-9), name


@given(batches)
def test_kl_is_the_sum_over_the_reference_distribution(
    batch: list[tuple[list[float], list[int], list[int]]],
) -> None:
    rows = [row for row, _, _ in batch]
    logits, reference = torch.tensor(rows, dtype=torch.float64), torch.zeros(len(rows), VOCABULARY)
    reference[:, 2] = 1.5
    found = metrics.kl(logits, reference.double())
    q = probabilities(reference[0].tolist())
    for i, row in enumerate(rows):
        p = probabilities(row)
        expected = sum(q[t] * math.log(q[t] / p[t]) for t in range(VOCABULARY))
        assert found[i].item() == pytest.approx(expected, abs=1e-9)
    assert metrics.kl(logits, logits).abs().max().item() == pytest.approx(0, abs=1e-12)


def test_a_token_with_no_probability_adds_nothing_to_entropy_and_kl() -> None:
    logits = torch.tensor([[0.0, 0.0, float("-inf")]])
    assert metrics.entropy(logits).item() == pytest.approx(math.log(2))
    assert metrics.kl(torch.zeros(1, 3), logits).item() == pytest.approx(math.log(3 / 2))


@pytest.mark.parametrize("name", ["logit_difference", "probability_difference"])
def test_the_metrics_of_tasks_have_the_gradient_of_finite_differences(name: str) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 1, VOCABULARY, dtype=torch.float64, requires_grad=True)
    answers, foils = torch.tensor([[1, -1], [2, 5], [0, 3]]), torch.tensor([4, 0, 6])
    assert torch.autograd.gradcheck(
        lambda x: metrics.TASK_METRICS[name](x, answers, foils), (logits,)
    )


@pytest.mark.parametrize("metric", [metrics.log_probability, metrics.probability])
def test_padding_changes_neither_value_nor_gradient(metric) -> None:
    def value_and_gradient(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.arange(6.0).reshape(2, 3).requires_grad_()
        value = metric(logits, ids)
        return value.detach(), torch.autograd.grad(value.sum(), logits)[0]

    plain = value_and_gradient(torch.tensor([[0], [2]]))
    padded = value_and_gradient(torch.tensor([[0, -1, -1], [-1, 2, -1]]))
    torch.testing.assert_close(plain, padded, rtol=0, atol=0)
    assert torch.isfinite(padded[1]).all()


def test_half_precision_is_read_in_float32() -> None:
    logits = torch.randn(2, 1, 500).bfloat16()
    for value in (metrics.probability(logits, [3, 4]), metrics.entropy(logits)):
        assert value.dtype == torch.float32
    torch.testing.assert_close(metrics.entropy(logits), metrics.entropy(logits.float()))


def test_half_precision_differences_are_those_of_float32_too() -> None:
    logits, reference = torch.randn(2, 2, 1, 400, generator=torch.Generator().manual_seed(3))
    logits, reference = 8 * logits.half(), 8 * reference.half()
    torch.testing.assert_close(
        metrics.kl(logits, reference), metrics.kl(logits.float(), reference.float())
    )
    assert metrics.kl(logits, reference).dtype == torch.float32
    found = metrics.logit_difference(logits, [1, 2], [3, 4])
    assert torch.equal(found, metrics.logit_difference(logits.float(), [1, 2], [3, 4]))


def test_equal_logits_stand_before_nobody_and_the_best_answer_counts_wherever_it_stands() -> None:
    logits = torch.tensor([[2.0, 5.0, 5.0, 5.0, 1.0, 5.0, 9.0]])
    assert metrics.rank(logits, [[1]]).tolist() == [1] == metrics.rank(logits, [[5]]).tolist()
    for answers in ([4, 0, 2], [2, 4, 0], [0, 4, 3]):
        assert metrics.rank(logits, [answers]).tolist() == [1]
    assert metrics.rank(logits, torch.tensor([[-1, 4, -1, 0]])).tolist() == [5]
    assert metrics.rank(logits, torch.tensor([[6]], dtype=torch.int32)).tolist() == [0]
    # The last id of the vocabulary is one of it.
    assert metrics.probability(torch.zeros(1, 7), [[6]]).item() == pytest.approx(1 / 7)


def test_padded_answers_and_foils_are_means_over_the_real_ones() -> None:
    logits = torch.arange(7.0).repeat(2, 1)
    answers, foils = torch.tensor([[6, 5], [4, -1]]), torch.tensor([[0, 1, -1], [2, 3, 4]])
    assert metrics.logit_difference(logits, answers, foils).tolist() == [5.0, 1.0]


def test_ids_are_padded_with_minus_one() -> None:
    assert metrics.pad_ids([[1], [2, 3], []]).tolist() == [[1, -1], [2, 3], [-1, -1]]


def test_means_over_a_text_are_as_exact_as_what_they_are_of() -> None:
    """A rise of the loss by 1e-7 is seen beside a loss of 4: no mean is rounded to float32."""
    rng = torch.Generator().manual_seed(5)
    log_probs = (4 * torch.randn(2, 300, VOCABULARY, generator=rng)).log_softmax(-1)
    other = (4 * torch.randn(2, 300, VOCABULARY, generator=rng)).log_softmax(-1)
    ids = torch.randint(VOCABULARY, (2, 300), generator=rng)
    mask = torch.arange(300) < torch.tensor([[300], [41]])
    texts = Tokens(ids, mask, (("x",) * 300, ("x",) * 41))
    losses, divergences = (
        metrics.text_loss(log_probs, texts),
        metrics.text_kl(other, log_probs, texts),
    )
    for row, n in enumerate((300, 41)):
        each = [-log_probs[row, i, ids[row, i + 1]].item() for i in range(n - 1)]
        assert losses[row].item() == pytest.approx(math.fsum(each) / (n - 1), rel=1e-14)
        # Over the vocabulary it is summed in single precision, as it is elsewhere.
        p, q = log_probs[row, :n], other[row, :n]
        parts = (p.exp() * (p - q)).sum(-1).tolist()
        assert divergences[row].item() == pytest.approx(math.fsum(parts) / n, rel=1e-14)


LOGITS = torch.zeros(2, 1, VOCABULARY)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: metrics.entropy(torch.zeros(2, 3, 7)),
            "one position an example.*logits_at='last'",
        ),
        (lambda: metrics.entropy(torch.zeros(7)), r"\(batch, d_vocab\); got \(7,\)"),
        (lambda: metrics.probability(LOGITS, [1, 7]), "run from 0 to 6; the answers hold 7"),
        (lambda: metrics.probability(LOGITS, [1]), r"batch 2; got torch.int64 of shape \(1, 1\)"),
        (lambda: metrics.probability(LOGITS, torch.zeros(2)), "token ids of shape.*float32"),
        (lambda: metrics.probability(LOGITS, [[1], []]), "at least one of the answers; example 1"),
        (lambda: metrics.logit_difference(LOGITS, [1, 2], [[0, 0], [1, 2]]), "foils.*stands twice"),
        (lambda: metrics.kl(LOGITS, torch.zeros(2, 1, 3)), r"one shape; got \(2, 7\).*\(2, 3\)"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_rule_and_the_value(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
