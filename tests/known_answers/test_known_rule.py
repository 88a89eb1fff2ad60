"""The mechanism of the trained rule model, multiplied out from its weights, and its training."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
import torch

from data.known_rule.rule import ID, KINDS, LABELS, N_CTX, WORDS, draw
from data.known_rule.slots import N_HEADS, SLOTS, blocks, constrain, written
from data.known_rule.train import LASSO, batch, make_model, measure, optimise
from tests.known_answers.models import rule_weights
from tests.known_answers.models.known import load_plain
from tests.known_answers.models.rule import MODEL


@pytest.fixture(scope="module")
def hf_model() -> Any:
    return load_plain(MODEL)


def test_the_edges_of_the_rule_are_read_off_its_weights(hf_model: Any) -> None:
    assert rule_weights.true_edges(hf_model) == {
        ("embed", "L0H1.v"),
        ("L0H1.z", "L1H0.k"),
        ("L0H1.z", "L1H1.k"),
        ("embed", "L1H0.q"),
        ("embed", "L1H1.q"),
        ("embed", "L1H0.v"),
        ("embed", "L1H1.v"),
        ("L1H0.z", "logits"),
        ("L1H1.z", "logits"),
    }


def test_the_first_head_of_the_rule_asks_for_the_place_before(hf_model: Any) -> None:
    scores = rule_weights.place_scores(hf_model, "L0H1")
    future = torch.ones(N_CTX, N_CTX, dtype=torch.bool).triu(1)
    best = scores.masked_fill(future, float("-inf")).argmax(-1)
    assert best[1:].tolist() == list(range(N_CTX - 1))


def test_the_other_heads_of_the_rule_both_match_the_kind_that_is_asked_for(hf_model: Any) -> None:
    same = rule_weights.same_kind()
    for head in ("L1H0", "L1H1"):
        match = rule_weights.match_scores(hf_model, "L0H1", head)
        for question in range(len(KINDS)):
            assert match[question][same[question]].min() > match[question][~same[question]].max()


def test_the_other_heads_of_the_rule_copy_every_word_together(hf_model: Any) -> None:
    """Both attend to the same place, so what they write there adds up."""
    copied = [rule_weights.copy_scores(hf_model, head) for head in ("L1H0", "L1H1")]
    for each in copied:
        assert float((each.diagonal() - each.mean(-1)).min()) > 0
    assert sum(copied, torch.zeros(())).argmax(-1).tolist() == list(range(len(WORDS)))


def test_what_the_rule_writes_stays_in_its_slot_with_mean_zero(hf_model: Any) -> None:
    for writer, W in written(hf_model):
        outside = torch.ones(W.shape[-1], dtype=torch.bool)
        outside[SLOTS[writer]] = False
        if writer == "token":
            outside[:2] = False  # the constant
        assert not bool(W[..., outside].any())
        assert float(W[..., SLOTS[writer]].sum(-1).abs().max()) < 5e-3 * float(W.abs().max())


def test_the_model_answers_and_labels_prompts_that_it_has_not_seen(hf_model: Any) -> None:
    answers, labels = measure(hf_model, seed=99, n_batches=4)
    assert answers == 1.0
    assert labels == 1.0


def test_the_labels_have_no_share_in_the_probabilities(hf_model: Any) -> None:
    ids, _, _ = batch(random.Random(98))
    probabilities = hf_model(ids).logits[:, -1].softmax(-1)
    assert float(probabilities[:, ID[LABELS[0]] :].max()) < 1e-5


def test_the_derivation_of_edges_drops_what_leads_nowhere_and_what_never_differs() -> None:
    """On weights that are all 0 but a few blocks, worked out by hand."""
    model = make_model()
    for parameter in model.parameters():
        parameter.data.zero_()
    kept = [
        ("token", "L0H0.v"),
        ("place", "L0H0.q"),
        ("place", "L0H0.k"),
        ("token", "L0H1.q"),  # of a head whose keys read nothing
        ("token", "L0H1.v"),
        ("token", "L0H2.v"),  # of a head that leads to the labels alone
        ("L0H0.z", "L1.mlp_in"),
        ("L0H1.z", "logits"),
        ("L0H2.z", "labels"),
        ("place", "logits"),  # never differs
        ("L1.mlp_out", "logits"),
    ]
    for edge in kept:
        blocks(model)[edge].data.fill_(1.0)
    assert N_HEADS == 3
    assert rule_weights.true_edges(model) == {
        ("embed", "L0H0.v"),
        ("embed", "L0H1.v"),
        ("L0H0.z", "L1.mlp_in"),
        ("L0H1.z", "logits"),
        ("L1.mlp_out", "logits"),
    }


def test_an_example_has_one_answer_and_the_labels_are_balanced() -> None:
    rng = random.Random(0)
    examples = [draw(rng) for _ in range(2000)]
    for each in examples:
        assert len(set(each.words)) == len(each.words)
        assert sum(word[0] == each.kind for word in each.words[:-1]) == 1
        assert each.words[each.marker][0] == each.kind
        assert each.answer == each.words[each.marker + 1]
    assert min(Counter(each.marker for each in examples).values()) > 300
    assert 0.4 < sum(each.label == "same" for each in examples) / len(examples) < 0.6


def test_training_keeps_a_dropped_edge_at_zero_and_every_writer_in_its_slot() -> None:
    torch.manual_seed(0)
    model, edge = make_model(), ("L0H1.z", "L1H0.k")
    constrain(model, {edge})
    before = blocks(model)["token", "L1H0.k"].clone()
    optimise(model, random.Random(0), 3, {edge}, LASSO)
    present = blocks(model)
    assert not bool(present[edge].any())
    assert not torch.equal(present["token", "L1H0.k"], before)
    for writer, W in written(model):
        assert float(W.detach()[..., SLOTS[writer]].sum(-1).abs().max()) < 1e-4
