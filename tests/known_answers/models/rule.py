"""A model trained on a rule, whose mechanism is read off its weights.

A question names a kind of words; the answer is the word behind the only one of that kind
(data/known_rule: how it was trained, and the pruning that left few edges). `rule_weights` derives
the edges from the weights and shows what they do.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

from data.known_rule.rule import VOCABULARY, WORDS, Example, draw
from workbench.tasks import Task
from workbench.tasks import task as task_of

from .known import KnownModel, load_plain, save_words, to_the_place_before
from .rule_weights import true_edges

MODEL = Path(__file__).resolve().parents[3] / "data" / "known_rule" / "model"
PAIRS_OF_A_KIND = 10


def build(folder: Path) -> KnownModel:
    """The model, copied to `folder` beside a tokenizer, and what its weights say of it."""
    shutil.copytree(MODEL, folder, dirs_exist_ok=True)
    save_words(VOCABULARY[2:], folder)
    return KnownModel(
        "rule",
        folder,
        make_task(),
        true_edges(load_plain(folder)),
        {"L0H1": to_the_place_before, "L1H0": behind_the_kind, "L1H1": behind_the_kind},
        "previous-token head; two heads match the kind by it (K) and together copy the word (V)",
    )


def behind_the_kind(tokens: list[str]) -> list[tuple[int, int]]:
    """From the question to behind the only word of the kind that it names."""
    last = len(tokens) - 1
    return [(last, 1 + i) for i in range(1, last - 1) if tokens[i][0] == tokens[last][0]]


def make_task(seed: int = 0) -> Task:
    """Three kinds of pairs, whose foil is what the rule says of the corrupt prompt.

    `question`: another kind is asked for. `follower`: the word behind is another. `marker`: the
    word of the kind that is asked for changes places with another one.
    """
    rng = random.Random(seed)
    pairs = [
        make_pair(change, rng)
        for change in ("question", "follower", "marker")
        for _ in range(PAIRS_OF_A_KIND)
    ]
    return task_of(pairs, name="the word behind the one of a kind")


def make_pair(change: str, rng: random.Random) -> dict[str, object]:
    """One pair of a kind of change; drawn again until the change changes the answer alone."""
    while True:
        clean = draw(rng)
        corrupt = _change(clean, change, rng)
        if corrupt is not None and corrupt.answer != clean.answer:
            return {
                "clean": " ".join(clean.tokens),
                "corrupt": " ".join(corrupt.tokens),
                "answers": [f" {clean.answer}"],
                "foils": [f" {corrupt.answer}"],
                "labels": {"change": change},
            }


def _change(clean: Example, change: str, rng: random.Random) -> Example | None:
    """The example after a change; None where it breaks the rule that one word is of the kind."""
    words, marker = list(clean.words), clean.marker
    kind = clean.kind
    if change == "question":
        kind = rng.choice([word[0] for word in words[:-1] if word[0] != kind])
    elif change == "follower":
        words[marker + 1] = rng.choice([word for word in WORDS if word not in words])
    else:
        other = rng.choice([i for i in range(len(words) - 1) if abs(i - marker) > 1] or [marker])
        words[marker], words[other] = words[other], words[marker]
    of_kind = [word for word in words[:-1] if word[0] == kind]
    return replace(clean, words=tuple(words), kind=kind) if len(of_kind) == 1 else None
