"""Tasks: what is drawn, which set is used, what is refused, and the numbers of an evaluation."""

from __future__ import annotations

import json
import re
import warnings
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.unit.tokenizers import byte_level, whole_words, words_of
from workbench import data
from workbench.encoding import encode
from workbench.model import Run
from workbench.pairs import Pair, PairSet
from workbench.tasks import Task, TaskDoesNotFit, task, tasks

CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Peru": "Lima",
    "Cuba": "Havana", "Kenya": "Nairobi", "Iran": "Tehran", "Egypt": "Cairo", "Chile": "Santiago",
}  # fmt: skip
COUNTRIES = list(CAPITALS)
SENTENCE = "The capital of {} is"


def pairs(template: str = SENTENCE) -> list[Pair]:
    return [
        Pair(
            template.format(country),
            template.format(other),
            (f" {CAPITALS[country]}",),
            (f" {CAPITALS[other]}",),
            "short" if i % 2 else "long",
            {"country": country},
        )
        for i, (country, other) in enumerate(
            zip(COUNTRIES, COUNTRIES[1:] + COUNTRIES[:1], strict=True)
        )
    ]


def words(*templates: str, n_other: int = 0):
    """A tokenizer of whole words that knows the capitals and the words of the templates."""
    texts = [template.format(country) for template in templates for country in CAPITALS]
    known = words_of(*texts) + [f" {city}" for city in CAPITALS.values()]
    return whole_words(known, n_other=n_other)


class Oracle:
    """A stand-in model whose last position prefers the capital of the country that it reads."""

    def __init__(self, tokenizer, wrong: str = "") -> None:
        self.tokenizer = tokenizer
        self.spec = SimpleNamespace(name="oracle", n_ctx=32, d_vocab=len(tokenizer))
        self.wrong = wrong
        self.batches: list[int] = []

    def tokens(self, prompts, *, prepend_bos=None, padding_side: Any = "right"):
        return encode(
            self.tokenizer, prompts, max_length=32, prepend_bos=prepend_bos, side=padding_side
        )

    def run(self, tokens, *, logits_at):
        assert logits_at == "last"
        self.batches.append(len(tokens))
        logits = torch.zeros(len(tokens), 1, self.spec.d_vocab)
        for row, strings in enumerate(tokens.strings):
            country = next(name for name in CAPITALS if f" {name}" in strings)
            city = self.tokenizer.convert_tokens_to_ids(f" {CAPITALS[country]}")
            logits[row, 0, city] = -3.0 if country == self.wrong else 2.0
        return Run(tokens, logits)


def test_the_batch_holds_what_each_pair_says() -> None:
    tokenizer = words(SENTENCE)
    batch = task(pairs()).on(tokenizer)
    assert len(batch) == batch.clean.n_rows == batch.corrupt.n_rows == 10
    assert batch.clean.lengths == batch.corrupt.lengths
    for row, pair in enumerate(batch.pairs):
        assert "".join(batch.clean.strings[row]) == pair.clean
        assert "".join(batch.corrupt.strings[row]) == pair.corrupt
        assert (tokenizer.decode(batch.answer_ids[row]),) == pair.answers
        assert (tokenizer.decode(batch.foil_ids[row]),) == pair.foils
        assert batch.labels[row] == pair.labels and batch.templates[row] == pair.template


def test_the_metric_of_a_batch_is_answer_minus_foil() -> None:
    batch = task(pairs()).on(words(SENTENCE))
    logits = torch.randn(10, 1, 60)
    expected = [
        (logits[i, 0, batch.answer_ids[i, 0]] - logits[i, 0, batch.foil_ids[i, 0]]).item()
        for i in range(10)
    ]
    assert batch.metric(logits).tolist() == pytest.approx(expected)


def test_part_of_a_batch_keeps_its_rows_together() -> None:
    batch = task(pairs()).on(words(SENTENCE))
    part = batch.take([7, 2])
    logits = torch.randn(10, 1, 60)
    assert part.pairs == (batch.pairs[7], batch.pairs[2])
    assert part.clean.strings == (batch.clean.strings[7], batch.clean.strings[2])
    assert part.metric(logits[[7, 2]]).tolist() == batch.metric(logits)[[7, 2]].tolist()


def test_a_draw_is_repeated_by_its_seed_and_keeps_the_order_of_the_set() -> None:
    tokenizer = words(SENTENCE)
    own = PairSet("own", tuple(pairs()))
    drawn = [Task("t", (own,), seed=seed).on(tokenizer, n=4).pairs for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [own.pairs.index(pair) for pair in drawn[0]] == sorted(map(own.pairs.index, drawn[0]))
    assert Task("t", (own,), n=4).on(tokenizer).pairs == drawn[0]
    assert len(Task("t", (own,), n=4).on(tokenizer, n=6)) == 6


LONG = "Everyone knows that the capital of {} is"
CLOSED = PairSet("world", tuple(pairs()), whole_words=True)
ENGLISH = PairSet("english", tuple(pairs(LONG)))
BOTH = Task("capitals", (CLOSED, ENGLISH))


def test_the_first_set_that_fits_is_used() -> None:
    assert BOTH.on(words(SENTENCE, LONG)).set == "world"
    assert BOTH.on(words(LONG)).set == "english"


def test_a_large_vocabulary_takes_ordinary_english_first() -> None:
    tokenizer = words(SENTENCE, LONG, n_other=10_000)
    assert BOTH.on(tokenizer).set == "english"
    assert BOTH.on(tokenizer, set="world").set == "world"
    assert Task("capitals", (CLOSED,)).on(tokenizer).set == "world"


def test_a_task_that_fits_no_tokenizer_says_what_failed_first_and_what_to_do() -> None:
    letters = byte_level(["a"], size=257)
    unequal = Task("capitals", (CLOSED, PairSet("english", tuple(pairs(LONG))[:9])))
    with pytest.raises(TaskDoesNotFit) as caught:
        unequal.on(letters)
    text = str(caught.value)
    assert "The task capitals fits a tokenizer that can use at least half of a set's pairs" in text
    assert "(257 tokens) fits none: world: 0 of 10 pairs pass (pair 0 fails: clean has " in text
    assert "english: " in text
    assert "task.check(model)" in text and "wb.task([(clean, corrupt, answer, foil)])" in text


def test_pairs_that_fail_are_left_out_with_a_warning() -> None:
    unknown = Pair("The capital of Ghana is", "The capital of Italy is", (" Accra",), (" Rome",))
    with pytest.warns(UserWarning, match=r"my task leaves out.*own: 10 of 11 pairs pass.*Ghana"):
        batch = task([unknown, *pairs()]).on(words(SENTENCE))
    assert batch.pairs == tuple(pairs())


def test_a_task_whose_pairs_all_pass_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task(pairs()).on(words(SENTENCE))


def test_a_prompt_longer_than_the_model_reads_does_not_fit() -> None:
    model = Oracle(words(SENTENCE))
    model.spec.n_ctx = 4
    with pytest.raises(TaskDoesNotFit, match="it has 5 tokens and the model reads at most 4"):
        task(pairs()).on(model)  # type: ignore[arg-type]


def test_the_check_reports_on_every_set() -> None:
    world, english = BOTH.check(words(LONG))
    assert (world.name, world.fits, english.name, english.fits) == ("world", False, "english", True)
    assert "has a part that the vocabulary lacks" in repr(world)


@pytest.mark.parametrize("n", [0, -1, 2.0, True])
def test_a_number_of_pairs_that_is_none_is_refused(n) -> None:
    with pytest.raises(ValueError, match=f"n is a whole number from 1 or None; got {n!r}"):
        task(pairs()).on(words(SENTENCE), n=n)


def test_more_pairs_than_there_are_is_refused() -> None:
    with pytest.raises(TaskDoesNotFit, match="has 10 pairs that fit this tokenizer; got n=11"):
        task(pairs()).on(words(SENTENCE), n=11)


def test_an_unknown_set_and_an_unknown_metric_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="has the sets world, english; got 'french'"):
        BOTH.on(words(SENTENCE), set="french")
    with pytest.raises(ValueError, match="logit_difference, probability_difference; got 'rank'"):
        task(pairs(), metric="rank")
    with pytest.raises(ValueError, match="at least one pair in each set; 'my task' has none"):
        task([])


def test_an_evaluation_runs_in_batches_and_counts_what_is_right(monkeypatch: Any) -> None:
    model = Oracle(words(SENTENCE), wrong="Peru")
    monkeypatch.setattr(import_module("workbench.tasks"), "PROMPTS", 4)
    found = task(pairs(), name="capitals").evaluate(model)  # type: ignore[arg-type]
    assert model.batches == [4, 4, 4, 4, 2, 2]
    assert found.accuracy == pytest.approx(0.9)
    assert found.clean.tolist() == [-3.0 if c == "Peru" else 2.0 for c in COUNTRIES]
    assert found.corrupt.tolist() == [3.0 if c == "Japan" else -2.0 for c in COUNTRIES]
    assert (found.task, found.set, found.model) == ("capitals", "own", "oracle")
    assert list(found.to_frame().index) == ["long", "short", "all"]


def test_reprs_are_one_line() -> None:
    assert repr(BOTH) == "Task(capitals: logit_difference, pairs: world 10, english 10)"
    batch = BOTH.on(words(SENTENCE))
    assert repr(batch) == "TaskBatch(capitals, 10 examples of 'world', logit_difference)"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with one task file."""
    entry = {
        "name": "capitals", "title": "Capitals", "question": "Name the capital.", "source": "here",
        "metric": "probability_difference",
        "sets": [
            {"vocabulary": v, "whole_words": v == "world", "note": "", "pairs": [
                {"clean": p.clean, "corrupt": p.corrupt, "answers": p.answers, "foils": p.foils}
                for p in pairs()
            ]}
            for v in ("world", "english")
        ],
    }  # fmt: skip
    folder = tmp_path / "_data" / "tasks"
    folder.mkdir(parents=True)
    (folder / "capitals.json").write_text(json.dumps(entry))
    monkeypatch.setattr(data, "_PACKAGE", tmp_path)
    return folder


def test_a_task_file_is_read_as_it_stands(shipped: Path) -> None:
    found = task("capitals", n=3, seed=5)
    assert (found.title, found.metric, found.n, found.seed) == (
        "Capitals", "probability_difference", 3, 5,
    )  # fmt: skip
    assert [(each.name, each.whole_words) for each in found.sets] == [
        ("world", True), ("english", False),
    ]  # fmt: skip
    assert [pair.clean for pair in found.pairs] == [pair.clean for pair in pairs()]


def test_the_list_of_tasks_says_what_each_asks(shipped: Path) -> None:
    frame = tasks()
    assert list(frame.columns) == ["title", "sets", "n_pairs", "question"]
    assert frame.loc["capitals"].tolist() == ["Capitals", "world, english", 20, "Name the capital."]


def test_an_unknown_task_is_refused_with_the_known_ones(shipped: Path) -> None:
    with pytest.raises(ValueError, match="The tasks are capitals; got 'ioI'"):
        task("ioI")


@pytest.mark.parametrize("name", sorted(p.stem for p in data.path("tasks").glob("*.json")))
def test_a_shipped_task_is_well_formed(name: str) -> None:
    found = task(name)
    assert found.title and found.question.endswith(".") and found.source
    for each in found.sets:
        assert len(each) >= 64
        assert len({(pair.clean, pair.corrupt) for pair in each.pairs}) == len(each)
        assert all(pair.template for pair in each.pairs)


ENGLISH_TASKS = [
    "ioi", "agreement", "capitals", "greater_than", "weekdays", "gender_profession", "pronoun",
]  # fmt: skip


@pytest.fixture(scope="module")
def english_tokenizer():
    """A byte-level tokenizer in which the words of the English sets are whole, as GPT-2's are.

    A year is two tokens, " 17" and "42", but for " 1776", which GPT-2 has as one.
    """
    texts = [" 1776"] * 3
    for name in ENGLISH_TASKS:
        for each in task(name).sets:
            if not each.whole_words:
                for pair in each.pairs:
                    texts += [pair.clean, pair.corrupt, *pair.answers, *pair.foils]
    years = [f" {century}x{year:02}" for century in range(10, 20) for year in range(100)]
    return byte_level(
        [*(re.sub(r"(\d\d)(\d\d)", r"\1x\2", text) for text in texts[3:]), *texts[:3], *years]
    )


@pytest.mark.parametrize("name", ENGLISH_TASKS)
def test_the_english_pairs_fit_a_tokenizer_like_that_of_gpt2(name: str, english_tokenizer) -> None:
    for each in task(name).sets:
        if not each.whole_words:
            check = each.check(english_tokenizer)
            assert len(check.passing) == len(each), check
            assert all(words == ("76",) for words in check.left_out.values())
