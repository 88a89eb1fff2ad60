"""A pair's own rules, and which pairs a tokenizer can use."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tokenizers import normalizers

from tests.unit.tokenizers import byte_level, whole_words, words_of
from workbench.pairs import Pair, PairSet, read_sets


def pair(clean: str, corrupt: str, answers: Any, foils: Any) -> Pair:
    return Pair(clean, corrupt, answers, foils)


FRANCE = pair("The capital of France is", "The capital of Italy is", (" Paris",), (" Rome",))
TEXTS = [FRANCE.clean + " Paris.", FRANCE.corrupt + " Rome."] * 20
YEARS = pair(
    "It ran from 1742 to 17",
    "It ran from 1701 to 17",
    tuple(f"{y:02}" for y in range(43, 100)),
    tuple(f"{y:02}" for y in range(42)),
)


def check(tokenizer, *pairs: Pair, whole: bool = False, **options):
    return PairSet("own", pairs, whole).check(tokenizer, **options)


def test_the_answer_is_the_token_that_follows_the_prompt() -> None:
    tokenizer = byte_level(TEXTS)
    found = check(tokenizer, FRANCE)
    assert found.passing == (0,) and found.failures == {}
    (answer,), (foil,) = found.answers[0], found.foils[0]
    prompt = tokenizer(FRANCE.clean).input_ids
    assert tokenizer(FRANCE.clean + " Paris").input_ids == [*prompt, answer]
    assert tokenizer.decode([foil]) == " Rome"


def test_an_answer_of_several_tokens_counts_by_its_first() -> None:
    tokenizer = byte_level([*TEXTS, " Zan", " zibar"])
    found = check(tokenizer, pair(FRANCE.clean, FRANCE.corrupt, (" Zanzibar",), (" Rome",)))
    assert len(tokenizer(" Zanzibar").input_ids) > 1
    assert [tokenizer.decode([i]) for i in found.answers[0]] == [" Zan"]


def test_answers_that_start_alike_are_counted_once() -> None:
    digits = byte_level(["0123456789"], size=300, single_digits=True)
    found = check(
        digits, pair("It ran from 1790 to 17", "It ran from 1720 to 17", ("91", "92"), ("30",))
    )
    assert [digits.decode([i]) for i in found.answers[0]] == ["9"]


def reason(tokenizer, given: Pair, **options) -> str:
    (text,) = check(tokenizer, given, **options).failures.values()
    return text


def test_prompts_of_unequal_length_fail() -> None:
    text = reason(byte_level(TEXTS), pair("The capital of France is", "The capital is", " a", " b"))
    assert re.fullmatch(r"clean has \d+ tokens and corrupt \d+: ' .*' in place of .*", text)


def test_an_answer_and_a_foil_that_start_alike_fail() -> None:
    tokenizer = byte_level(["0123456789"], size=300, single_digits=True)
    text = reason(tokenizer, YEARS)
    assert text == "the answer '43' and the foil '40' start with the same token '4'"


def test_years_pass_where_two_digits_are_one_token() -> None:
    spaced = pair("It ran from 17 42 to 17", "It ran from 17 01 to 17", (" 43", " 44"), (" 02",))
    tokenizer = whole_words([*words_of(spaced.clean, spaced.corrupt), " 43", " 44", " 02"])
    found = check(tokenizer, spaced, whole=True)
    assert [tokenizer.decode([i]) for i in found.answers[0]] == [" 43", " 44"]


def test_a_split_word_fails_only_where_the_set_asks_for_whole_words() -> None:
    tokenizer = byte_level(["The is"], size=300)
    cat = pair("The cat is", "The cut is", "?", "!")
    assert check(tokenizer, cat).passing == (0,)
    text = reason(tokenizer, cat, whole=True)
    assert text == "the word 'cat' is split into several tokens"


def test_a_word_that_the_vocabulary_lacks_fails() -> None:
    tokenizer = whole_words(words_of(FRANCE.clean, FRANCE.corrupt) + [" Rome"])
    assert (
        reason(tokenizer, FRANCE)
        == "'The capital of France is Paris' has a part that the vocabulary lacks"
    )


def test_an_answer_that_changes_the_tokens_of_the_prompt_fails() -> None:
    tokenizer = byte_level(["12 13 23"] * 20, size=300)
    text = reason(tokenizer, pair("It is 1", "It is 2", "2", "3"))
    assert text == "the prompt's own tokens change when '2' follows 'It is 1'"


def test_of_many_answers_those_that_merge_with_the_prompt_are_left_out_and_named() -> None:
    years = [f" {century}x{year:02}" for century in (17, 42) for year in range(100)]
    tokenizer = byte_level([*years, " 1776", "from 17x42 to"] * 3, size=600)
    assert len(tokenizer(" 1776").input_ids) == 1 and len(tokenizer(" 1777").input_ids) == 2
    found = check(tokenizer, YEARS)
    assert found.left_out == {0: ("76",)} and not found.failures
    strings = [tokenizer.decode([i]) for i in found.answers[0]]
    assert strings == [f"{year:02}" for year in range(43, 100) if year != 76]
    assert repr(found) == "own: 1 of 1 pairs pass, 1 without some of their words (pair 0: '76')"


def test_a_prompt_longer_than_the_context_fails() -> None:
    text = reason(byte_level(TEXTS), FRANCE, max_length=3)
    assert re.fullmatch(r"it has \d+ tokens and the model reads at most 3", text)


def test_prompts_that_become_the_same_tokens_fail() -> None:
    tokenizer = byte_level(TEXTS)
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert (
        reason(tokenizer, pair("a b", "A b", " c", " d")) == "clean and corrupt are the same tokens"
    )


@pytest.mark.parametrize(
    ("n_good", "n_bad", "fits"),
    [(8, 8, True), (8, 9, False), (7, 2, False), (3, 0, True), (3, 1, False), (100, 20, True)],
)
def test_a_set_fits_where_half_and_at_least_eight_pass(n_good: int, n_bad: int, fits: bool) -> None:
    bad = pair("The capital of France is", "The capital is", " a", " b")
    found = check(byte_level(TEXTS), *[FRANCE] * n_good, *[bad] * n_bad)
    assert len(found.passing) == n_good
    assert found.fits is fits


def test_the_report_is_a_line_and_a_frame() -> None:
    bad = pair("The capital of France is", "The capital is", " a", " b")
    found = check(byte_level(TEXTS), FRANCE, bad)
    assert repr(found).startswith("own: 1 of 2 pairs pass (pair 1 fails: clean has ")
    frame = found.to_frame()
    assert frame["passes"].tolist() == [True, False]
    assert frame["why_not"].tolist() == ["", found.failures[1]]


def test_one_word_may_be_given_as_a_text() -> None:
    assert pair("a", "b", " x", " y").answers == (" x",)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("The capital is ", "b", " x", " y"), "does not end with a space; got 'The capital is '"),
        (("a", "", " x", " y"), "The corrupt prompt is a text"),
        (("a", 3, " x", " y"), "The corrupt prompt is a text.*got 3"),
        (("a", "b", (), " y"), "The answers are one or more texts"),
        (("a", "b", " x", ("",)), "The foils are one or more texts"),
        (("a", "b", (" x", " y"), " y"), "an answer and a foil; 'a' has ' y'"),
    ],
)
def test_a_pair_that_cannot_be_used_anywhere_is_refused(given: tuple, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Pair(*given)


def test_a_mapping_is_read_by_its_keys() -> None:
    plain = {"clean": "a", "corrupt": "b", "answers": [" x"], "foils": [" y"]}
    assert Pair.read({**plain, "labels": {"n": 1}}).labels == {"n": 1}
    for wrong in ({**plain, "answer": " x"}, {"clean": "a"}, "a"):
        with pytest.raises(ValueError, match=r"A pair is \(clean, corrupt, answer, foil\)"):
            Pair.read(wrong)  # type: ignore[arg-type]


def test_sets_of_one_vocabulary_are_numbered() -> None:
    plain = {"clean": "a", "corrupt": "b", "answers": [" x"], "foils": [" y"]}
    kinds = ["tinyworld", "english", "english"]
    sets = read_sets({"vocabulary": v, "whole_words": False, "pairs": [plain]} for v in kinds)
    assert [each.name for each in sets] == ["tinyworld", "english", "english-2"]
