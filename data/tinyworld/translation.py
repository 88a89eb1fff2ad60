"""Sentences in English and in the invented language, word for word."""

import random

from . import held_out
from .question import Question
from .world import LANGUAGE, LEXICON, WORD_CLASSES

ENGLISH_OF = {velan: english for english, velan in LEXICON.items()}
# The translation follows the colon; {x} is the sentence that is translated.
TO_VELAN = ("English: {x}. Velan:", "The words {x} become in Velan:", "She says: {x}. In Velan:")
TO_ENGLISH = ("Velan: {x}. English:", "The Velan words {x} mean:", "He says: {x}. In English:")
DIRECTIONS = {LANGUAGE: TO_VELAN, "English": TO_ENGLISH}


def sentence(rng: random.Random) -> list[str]:
    """A random English sentence, as its words."""
    words = {kind: tuple(row) for kind, row in WORD_CLASSES.items()}

    def phrase() -> list[str]:
        adjective = [rng.choice(words["adjective"])] if rng.random() < 0.5 else []
        return [rng.choice(words["determiner"]), *adjective, rng.choice(words["noun"])]

    found = phrase()
    if rng.random() < 0.3:
        found += [rng.choice(words["preposition"]), *phrase()]
    return [*found, rng.choice(words["verb"]), *phrase()]


def translate(words: list[str]) -> list[str]:
    """The sentence in the invented language."""
    return [LEXICON[word] for word in words]


def sides(words: list[str], target: str) -> tuple[list[str], list[str]]:
    """The given and the wanted form of an English sentence, for a target language."""
    return (words, translate(words)) if target == LANGUAGE else (translate(words), words)


def document(rng: random.Random) -> str:
    """One sentence and its translation, in either direction."""
    while True:
        words = sentence(rng)
        if not held_out.sentence(words):
            break
    target = rng.choice(tuple(DIRECTIONS))
    given, wanted = sides(words, target)
    prompt = rng.choice(DIRECTIONS[target]).format(x=" ".join(given))
    return prompt + "".join(f"[ {word}]" for word in wanted) + "."


def held_out_sentence(rng: random.Random) -> list[str]:
    """A random English sentence that training never holds."""
    while True:
        words = sentence(rng)
        if held_out.sentence(words):
            return words


def questions(rng: random.Random, n: int) -> list[Question]:
    """One content word of a held-out sentence to translate; corrupt has another word there."""
    kinds = {word: kind for kind, row in WORD_CLASSES.items() for word in row}
    found: list[Question] = []
    while len(found) < n:
        words = held_out_sentence(rng)
        target = (LANGUAGE, "English")[len(found) % 2]
        at = rng.choice([i for i, word in enumerate(words) if kinds[word] in ("noun", "verb")])
        same_kind = [w for w in WORD_CLASSES[kinds[words[at]]] if w != words[at]]
        changed = [*words[:at], rng.choice(same_kind), *words[at + 1 :]]
        if not held_out.sentence(changed):
            continue
        k = rng.randrange(len(DIRECTIONS[target]))
        template = DIRECTIONS[target][k]
        (given, wanted), (other, unwanted) = sides(words, target), sides(changed, target)
        start = "".join(f" {word}" for word in wanted[:at])
        found.append(
            Question(
                template.format(x=" ".join(given)) + start,
                template.format(x=" ".join(other)) + start,
                (f" {wanted[at]}",),
                (f" {unwanted[at]}",),
                f"{'to' if target == LANGUAGE else 'from'}_velan{k}",
                {"target": target, "word": words[at], "other": changed[at], "position": at},
            )
        )
    return found
