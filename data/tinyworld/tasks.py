"""Writes data/tasks: one JSON file a task, from held-out material only.

python -m data.tinyworld.tasks data/tasks
"""

import json
import random
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from . import dates, english, facts, grammar, people, repeats, translation
from .question import Question
from .world import HE_SHARE

Ask = Callable[[random.Random, int], list[Question]]
PAIRS = 96
FOIL_IS_RIGHT = "On the corrupt prompt the foil is right."


@dataclass(frozen=True)
class TaskText:
    """What a task file says, and where its questions come from."""

    title: str
    question: str
    source: str
    ask: Ask
    english: tuple[tuple[Callable[[random.Random], Question], str], ...] = ()
    metric: str = "logit_difference"
    note: str = FOIL_IS_RIGHT


def _kinds(rng: random.Random, n: int) -> list[Question]:
    stated = facts.kind_questions(rng, n // 2)
    inferred = facts.kind_questions(rng, n - n // 2, transitive=True)
    return [q for pair in zip(stated, inferred, strict=False) for q in pair]


ENGLISH = "Ordinary English, for models trained on real text. " + FOIL_IS_RIGHT
SPAN_NOTE = (
    "On the corrupt prompt the span starts in the year 01, so that every later year is right and "
    "the foils are no longer wrong."
)
TASKS: dict[str, TaskText] = {
    "ioi": TaskText(
        "Indirect object identification",
        "Two people are named, one of them gives something: name the other.",
        "Wang et al. 2023, Interpretability in the Wild (arXiv:2211.00593)",
        people.ioi_questions,
        ((english.ioi, ENGLISH),),
    ),
    "induction": TaskText(
        "Induction on random words",
        "A random sequence of words has started again: continue it.",
        "Olsson et al. 2022, In-context Learning and Induction Heads (arXiv:2209.11895)",
        repeats.questions,
        note="On the corrupt prompt the foil stands where the answer first stood. "
        "The words are random, so no such sequence is in the training text.",
    ),
    "agreement": TaskText(
        "Subject-verb agreement across an attractor",
        "The verb agrees with the subject, not with the noun that stands before it.",
        "Linzen et al. 2016, Assessing the Ability of LSTMs to Learn Syntax-Sensitive "
        "Dependencies (arXiv:1611.01368)",
        grammar.agreement_questions,
        ((english.agreement, ENGLISH),),
    ),
    "capitals": TaskText(
        "Capitals of countries",
        "Name the capital of a country.",
        "Merullo et al. 2024, Language Models Implement Simple Word2Vec-style Vector Arithmetic "
        "(arXiv:2305.16130)",
        lambda rng, n: facts.fact_questions(rng, n, ("capital",)),
        ((english.capitals, ENGLISH),),
    ),
    "greater_than": TaskText(
        "Later years",
        "A span starts in a year: give the last two digits of a later one.",
        "Hanna et al. 2023, How does GPT-2 compute greater-than? (arXiv:2305.00586)",
        dates.span_questions,
        ((english.greater_than, "The answer continues the number. " + SPAN_NOTE),),
        metric="probability_difference",
        note=SPAN_NOTE,
    ),
    "weekdays": TaskText(
        "Weekday sums",
        "Name the day that lies some days after or before another.",
        "Engels et al. 2025, Not All Language Model Features Are One-Dimensionally Linear "
        "(arXiv:2405.14860)",
        lambda rng, n: dates.offset_questions(rng, n, "day"),
        ((english.weekdays, ENGLISH),),
    ),
    "months": TaskText(
        "Month sums",
        "Name the month that lies some months after or before another.",
        "Engels et al. 2025, Not All Language Model Features Are One-Dimensionally Linear "
        "(arXiv:2405.14860)",
        lambda rng, n: dates.offset_questions(rng, n, "month"),
        ((english.months, ENGLISH),),
    ),
    "gender_profession": TaskText(
        "Pronouns of professions",
        "A profession is named: go on with the pronoun that it has more often.",
        "Vig et al. 2020, Causal Mediation Analysis for Interpreting Neural NLP: The Case of "
        "Gender Bias (arXiv:2004.12265)",
        people.profession_questions,
        (
            (
                english.gender_profession,
                "Ordinary English; the answer is the pronoun more usual in English text, which is "
                "a bias, not a truth. On the corrupt prompt the foil is the more usual one.",
            ),
        ),
        metric="probability_difference",
        note="he_share in the labels is the planted share of 'he'; the answer is the pronoun with "
        "the larger share. On the corrupt prompt the foil has the larger share.",
    ),
    "pronoun": TaskText(
        "Pronouns of names",
        "A person is named: go on with the right pronoun.",
        "Mathwin et al. 2023, Identifying a Preliminary Circuit for Predicting Gendered Pronouns "
        "in GPT-2 Small (Alignment Jam report)",
        people.pronoun_questions,
        (
            (english.pronoun, ENGLISH),
            (
                english.story,
                "Short stories for children, for story models. " + FOIL_IS_RIGHT,
            ),
        ),
    ),
    "translation": TaskText(
        "Word-for-word translation",
        "Give the next word of a translation from or into an invented language.",
        "Wendler et al. 2024, Do Llamas Work in English? (arXiv:2402.10588)",
        translation.questions,
    ),
    "hierarchy": TaskText(
        "A hierarchy of kinds",
        "Name the class, group or domain of a thing.",
        "Park et al. 2025, The Geometry of Categorical and Hierarchical Concepts in Large "
        "Language Models (arXiv:2406.01506)",
        _kinds,
        note=FOIL_IS_RIGHT + " Where the label transitive is 1, the answer is stated of the thing "
        "in no training document and follows from its class.",
    ),
    "sentiment": TaskText(
        "Verdicts of reviews",
        "Two adjectives praise or blame a work: give the verdict.",
        "Tigges et al. 2023, Linear Representations of Sentiment in Large Language Models "
        "(arXiv:2310.15154)",
        grammar.review_questions,
    ),
}


def distinct(questions: list[Question], n: int) -> list[Question]:
    """The first `n` questions that differ in their prompts."""
    found = {(q.clean, q.corrupt): q for q in questions}
    return list(found.values())[:n]


def task(name: str) -> dict[str, object]:
    """The contents of one task file."""
    text = TASKS[name]
    seed = f"task {name}"
    # more are drawn than kept, since some repeat
    own = distinct(text.ask(random.Random(seed), 12 * PAIRS), PAIRS)
    sets = [_set("tinyworld", True, text.note, own)]
    for i, (ask, note) in enumerate(text.english):
        drawn = english.several(ask, random.Random(f"{seed} {i}"), 12 * PAIRS)
        sets.append(_set("english", False, note, distinct(drawn, PAIRS)))
    found: dict[str, object] = {
        "name": name,
        "title": text.title,
        "question": text.question,
        "source": text.source,
        "metric": text.metric,
        "sets": sets,
    }
    if name == "gender_profession":
        found["planted"] = HE_SHARE
    return found


def _set(vocabulary: str, whole: bool, note: str, questions: list[Question]) -> dict[str, object]:
    return {
        "vocabulary": vocabulary,
        "whole_words": whole,
        "note": note,
        "pairs": [asdict(q) for q in questions],
    }


def as_json(contents: dict[str, object]) -> str:
    """The text of a task file: one line a pair, so that files stay small and diffs readable."""
    sets = contents["sets"]
    assert isinstance(sets, list)
    written = []
    for one in sets:
        pairs = ",\n".join(json.dumps(pair) for pair in one["pairs"])
        head = json.dumps({key: value for key, value in one.items() if key != "pairs"})
        written.append(f'{head[:-1]}, "pairs": [\n{pairs}\n]}}')
    head = json.dumps({key: value for key, value in contents.items() if key != "sets"}, indent=1)
    return f'{head[:-2]},\n "sets": [\n{",".join(written)}\n ]\n}}\n'


def main(folder: Path) -> None:
    """Write every task file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TASKS:
        (folder / f"{name}.json").write_text(as_json(task(name)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
