"""The rule, its words, and the examples that the model is trained on.

A prompt is "start", six words and a question. Words come in four kinds, written by their first
letter. The question names a kind; exactly one of the first five words is of it, and the answer is
the word that follows that one. Besides, at the same position and among tokens of its own, the
model says whether the first and the last word are of one kind. That second answer keeps other
components busy; it is never asked for.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

KINDS = "bdfg"
WORDS = [kind + vowel for kind in KINDS for vowel in "aeio"]
QUESTIONS = [f"{kind}?" for kind in KINDS]
LABELS = ["different", "same"]
VOCABULARY = ["<end>", "<pad>", "start", *WORDS, *QUESTIONS, *LABELS]
ID = {token: i for i, token in enumerate(VOCABULARY)}
N_WORDS = 6
N_CTX = N_WORDS + 2


@dataclass(frozen=True)
class Example:
    """Six words and the kind that is asked for."""

    words: tuple[str, ...]
    kind: str

    @property
    def tokens(self) -> list[str]:
        """The prompt, token by token."""
        return ["start", *self.words, f"{self.kind}?"]

    @property
    def marker(self) -> int:
        """Where in the first five words the one of that kind stands."""
        return next(i for i, word in enumerate(self.words[:-1]) if word[0] == self.kind)

    @property
    def answer(self) -> str:
        return self.words[self.marker + 1]

    @property
    def label(self) -> str:
        return LABELS[self.words[0][0] == self.words[-1][0]]


def draw(rng: random.Random) -> Example:
    """A random example: different words, one of the first five of the kind asked for."""
    kind = rng.choice(KINDS)
    words = rng.sample([word for word in WORDS if word[0] != kind], N_WORDS)
    marker = rng.randrange(N_WORDS - 1)
    words[marker] = rng.choice([word for word in WORDS if word[0] == kind])
    same = [word for word in WORDS if word[0] == words[0][0] and word not in words]
    if same and rng.random() < 0.4:  # so that the labels come about equally often
        words[-1] = rng.choice(same)
    return Example(tuple(words), kind)
