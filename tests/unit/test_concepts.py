"""Concepts: what the world says, how they stand on tokens, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import workbench as wb
from data.tinyworld import concepts as made
from data.tinyworld import world
from tests.unit.circuit_models import tinyworld
from tests.unit.concept_models import ALL, planted, planted_model
from workbench import data
from workbench.concepts import Concept, Concepts, Question


def test_the_shipped_concepts_are_what_the_script_makes_of_the_world() -> None:
    text = json.loads(data.path("concepts", "tinyworld.json").read_text(encoding="utf-8"))
    assert text == {"name": "tinyworld", "concepts": made.concepts(), "questions": made.questions()}


def test_the_shipped_concepts_say_what_the_world_says() -> None:
    shipped = wb.concepts("tinyworld")
    for kind, words in world.CLASSES.items():
        assert shipped.words(kind) == words and shipped[kind].parent == world.PARENT[kind]
    for group, kinds in world.GROUPS.items():
        assert shipped.children(group) == kinds
        assert set(shipped.words(group)) == {w for kind in kinds for w in world.CLASSES[kind]}
    assert set(shipped.words("organism")) | set(shipped.words("artifact")) == set(world.LEAVES)
    assert shipped.words("woman") == world.WOMEN
    for country in shipped.words("country in Africa"):
        assert world.COUNTRIES[country]["continent"] == "Africa"
    for question in shipped.questions:
        for word, answer in question.answers.items():
            if question.asks in world.RELATIONS:
                assert answer == f" {world.COUNTRIES[word][question.asks]}"
            elif question.asks == "gender":
                assert answer == f" {world.PRONOUN[word]}"
            elif question.asks == "name":
                assert answer == f" {word}" and word not in question.template
    assert {q.family for q in shipped.questions if q.decides} >= {"class", "continent", "number"}


def test_the_model_knows_the_answers() -> None:
    model, right, n = tinyworld(), 0, 0
    for question in wb.concepts("tinyworld").questions[::7]:
        words = list(question.answers)[:3]
        logits = model.run(
            [question.template.replace("{x}", word) for word in words], logits_at="last"
        ).logits[:, 0]
        options = sorted(set(question.answers.values()))
        ids = [model.tokenizer(option).input_ids[0] for option in options]
        for row, word in enumerate(words):
            right += options[int(logits[row, ids].argmax())] == question.answers[word]
            n += 1
    assert n > 20 and right / n > 0.9


def test_labels_are_where_the_words_are() -> None:
    model, some = tinyworld(), wb.concepts("tinyworld").only("class", "group", "gender")
    texts = ["The class of the dog is mammal.", "Mary gave the owl to John.", "Mary"]
    tokens, on = model.tokens(texts), some.on(model)
    labels = on.labels(tokens)
    assert labels.shape == (*tokens.ids.shape, len(some)) and labels.dtype == torch.bool
    for row in range(3):
        for p, string in enumerate(tokens.strings[row]):
            for c, name in enumerate(some.names):
                wanted = string.startswith(" ") and string[1:] in some.words(name)
                assert bool(labels[row, p, c]) == wanted, (string, name)
        assert not labels[row, len(tokens.strings[row]) :].any()
    assert labels.any(1)[0].sum() == 2 and labels.any(1)[1].sum() == 3
    numbers = on.word_numbers(tokens.ids)
    for row, p in torch.nonzero(numbers >= 0).tolist():
        assert tokens.strings[row][p].strip() == on.words[int(numbers[row, p])]


def test_words_of_several_tokens_are_named() -> None:
    given = wb.concepts({"mammal": ["dog", "hippopotamus"], "bird": ["owl", "kea"]})
    with pytest.raises(ValueError, match=r"for tinyworld hippopotamus, kea \(2 of 4\) are several"):
        given.on(tinyworld())


def test_parents_have_the_words_of_their_children_and_families_are_siblings() -> None:
    some = planted()
    assert some.words("any") == ALL and some.children("any") == ("a", "b", "c")
    assert some["any"].family == "roots" and some.of_family("kind") == ("a", "b", "c")
    assert some.concept_of("w7", "kind") == "b" and some.concept_of("w99", "kind") is None
    flat = wb.concepts({"x": ["w2"], "y": ["w3"]})
    assert flat.families == ("words",)
    inside = wb.concepts({"x": ["w2"], "y": ["w3"]}, parents={"x": "z", "y": "z"})
    assert inside["x"].family == inside["y"].family == "of z" and inside.words("z") == ("w2", "w3")
    assert repr(some) == "Concepts(planted: 4 concepts of 2 families, 12 words, 2 questions)"
    frame = some.to_frame()
    assert frame.loc["a", "n_words"] == 4 and frame.loc["b", "n_questions"] == 2
    less = some.only("kind")
    assert less.names == ("a", "b", "c") and less["a"].parent is None and len(less.questions) == 2


def test_half_of_the_words_are_for_fitting() -> None:
    some = planted()
    assert some.fitting("a") == ("w2", "w4") and some.counting("a") == ("w3", "w5")
    assert some.fitting("any") == ("w2", "w4", "w6", "w8", "w10", "w12")
    shipped = wb.concepts("tinyworld")
    for name in shipped.names:
        both = {*shipped.fitting(name), *shipped.counting(name)}
        assert both == set(shipped.words(name))
        assert not set(shipped.fitting(name)) & set(shipped.counting(name))
        for child in shipped.children(name):
            assert set(shipped.fitting(child)) <= set(shipped.fitting(name))


A, B = Concept("a", "f", ("w2",)), Concept("b", "f", ("w3",))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (lambda: Concepts("", ()), "at least one, each under a name of its own"),
        (lambda: Concepts("", (A, A)), "each under a name of its own; got a, a"),
        (lambda: Concepts("", (Concept("a", "f", ()),)), "'a' has none"),
        (lambda: Concepts("", (Concept("a", "f", ("w2",), "z"),)), "is a concept; got 'z'"),
        (
            lambda: Concepts("", (Concept("a", "f", ("w2",), "b"), Concept("b", "g", (), "a"))),
            "A concept is not below itself",
        ),
        (
            lambda: Concepts("", (A, Concept("b", "f", ("w2",)))),
            "'w2' is in 'a' and 'b' of 'f'. Give them different families",
        ),
        (
            lambda: Concepts("", (A, B), (Question("g", "g", "{x}", {}),)),
            "a family of concepts, f; the question '{x}' is about 'g'",
        ),
        (
            lambda: Concepts("", (A, B), (Question("f", "f", "what", {"w2": " w5"}),)),
            "has {x} where the word stands; the question 'what' has not",
        ),
        (
            lambda: Concepts("", (A, B), (Question("f", "f", "{x}", {"w9": " w5"}),)),
            "is about words of 'f'; got 'w9'",
        ),
        (
            lambda: Concepts("", (A, B), (Question("f", "f", "{x}", {"w2": " w5", "w3": " w5"}),)),
            "decide the answer, one for each of two or more",
        ),
        (
            lambda: wb.concepts({"a": "dog"}),
            "name is a text or a mapping whose keys are each a text, whose",
        ),
        (lambda: wb.concepts("middleworld"), "ship for tinyworld; got 'middleworld'"),
        (
            lambda: wb.concepts("tinyworld").only("colour"),
            "The families are domain, .*; got colour",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(given: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        given()


def test_a_concept_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="no concept 'd'; there are a, b, c, any"):
        planted()["d"]


def test_concepts_are_public_and_fit_the_planted_model() -> None:
    assert wb.concepts is wb.concepts and type(planted()) is Concepts
    assert planted().on(planted_model()).membership.sum() == 24
