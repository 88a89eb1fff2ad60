"""Concepts: named sets of words, their hierarchy, and questions whose answers they decide."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch

from . import data
from .check import checked
from .encoding import text_ids
from .model import Model
from .tokens import Tokens

#: Where the word of a question stands.
SLOT = "{x}"
#: A word that another one follows, to see what tokens that one makes after a space.
FIRST = "a"
#: Prompts a concept that directions and features are fitted with, at most.
FITTED = 24


@dataclass(frozen=True)
class Concept:
    """A named set of words.

    family: the concepts among which this one is one alternative; a word is in one of a family.
    parent: the wider concept whose words these are too, None where there is none.
    """

    name: str
    family: str
    words: tuple[str, ...]
    parent: str | None = None


@dataclass(frozen=True)
class Question:
    """A prompt about a word, and what the answer is for each word.

    family: whose words are asked about. asks: what for. Where that is the family itself, the
    concept decides the answer, and a change of the concept should change it; any other answer
    should stay. template: the prompt, with {x} where the word stands. answers: the token that
    follows, for each word.
    """

    family: str
    asks: str
    template: str
    answers: Mapping[str, str]

    @property
    def decides(self) -> bool:
        """Whether the family's concepts decide the answer."""
        return self.asks == self.family


@checked
@dataclass(frozen=True)
class Concepts:
    """Concepts over one vocabulary, and questions about their words.

    A parent has its own words and those of its children. `concepts["mammal"]` is one of them.

    Raises `ValueError` for a name or a word of a family that stands twice, a parent that is not
    there or is its own descendant, a concept without words, and a question about words or a family
    that no concept has, or whose answers the concepts do not decide though they should.
    """

    name: str
    concepts: tuple[Concept, ...]
    questions: tuple[Question, ...] = ()
    _words: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        names = self.names
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"Concepts are at least one, each under a name of its own; got {', '.join(names)}."
            )
        for concept in self.concepts:
            if concept.parent is not None and concept.parent not in names:
                raise ValueError(
                    f"The parent of {concept.name!r} is a concept; got {concept.parent!r}."
                )
        for concept in self.concepts:
            words = tuple(dict.fromkeys(self._collect(concept.name, ())))
            if not words:
                raise ValueError(f"A concept has at least one word; {concept.name!r} has none.")
            self._words[concept.name] = words
        for family in self.families:
            self._check_family(family)
        for question in self.questions:
            self._check_question(question)

    # -- what there is ---------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(concept.name for concept in self.concepts)

    @property
    def families(self) -> tuple[str, ...]:
        """The families, in the order of their first concept."""
        return tuple(dict.fromkeys(concept.family for concept in self.concepts))

    def __getitem__(self, name: str) -> Concept:
        """Raises `KeyError` that names the concepts there are."""
        if name not in self.names:
            raise KeyError(f"There is no concept {name!r}; there are {', '.join(self.names)}.")
        return self.concepts[self.names.index(name)]

    def __len__(self) -> int:
        return len(self.concepts)

    def words(self, name: str) -> tuple[str, ...]:
        """The words of a concept and of all below it."""
        return self._words[self[name].name]

    def fitting(self, name: str) -> tuple[str, ...]:
        """Every second word of a concept, the first one on: what questions are fitted with.

        The words of a parent are divided as its children's are.
        """
        below = self.children(name)
        if not below:
            return self.words(name)[::2]
        own = [w for w in self[name].words if not any(w in self.words(c) for c in below)]
        return tuple(dict.fromkeys([*own[::2], *(w for c in below for w in self.fitting(c))]))

    def counting(self, name: str) -> tuple[str, ...]:
        """The words of a concept that questions are not fitted with."""
        fitting = set(self.fitting(name))
        return tuple(word for word in self.words(name) if word not in fitting)

    def children(self, name: str) -> tuple[str, ...]:
        """The concepts directly below one."""
        return tuple(c.name for c in self.concepts if c.parent == self[name].name)

    def of_family(self, family: str) -> tuple[str, ...]:
        """The concepts of a family, alternatives to each other."""
        return tuple(c.name for c in self.concepts if c.family == family)

    def only(self, *families: str) -> Concepts:
        """The concepts of some families, with the questions about their words.

        A parent that is left out is forgotten. Raises `ValueError` for no such family.
        """
        if missing := [f for f in families if f not in self.families]:
            raise ValueError(
                f"The families are {', '.join(self.families)}; got {', '.join(missing)}."
            )
        kept = [c for c in self.concepts if c.family in families]
        names = {c.name for c in kept}
        made = tuple(
            Concept(c.name, c.family, self.words(c.name), c.parent if c.parent in names else None)
            for c in kept
        )
        return Concepts(self.name, made, tuple(q for q in self.questions if q.family in families))

    def on(self, model: Model) -> ConceptTokens:
        """The concepts on a model's tokens.

        A word is the one token that it makes after a space, and the one that it makes by itself.
        Raises `ValueError` that names the words which are several tokens after a space.
        """
        every = tuple(dict.fromkeys(word for name in self.names for word in self.words(name)))
        ids: dict[str, tuple[int, ...]] = {}
        several = []
        for word in every:
            found = [token_of(model, f" {word.strip()}"), token_of(model, word.strip())]
            if found[0] is None:
                several.append(word)
            ids[word] = tuple(dict.fromkeys(i for i in found if i is not None))
        if several:
            raise ValueError(
                f"A word of a concept is one token; for {model.spec.name} "
                f"{', '.join(several[:12])}{' …' if len(several) > 12 else ''} "
                f"({len(several)} of {len(every)}) are several. Leave them out, or use concepts "
                "for this tokenizer: wb.concepts({...})."
            )
        return ConceptTokens(self, every, tuple(ids[word] for word in every), model.spec.d_vocab)

    def to_frame(self) -> pd.DataFrame:
        """One line a concept: family, parent, n_words, words, n_questions of its family."""
        return pd.DataFrame(
            {
                "family": [c.family for c in self.concepts],
                "parent": [c.parent for c in self.concepts],
                "n_words": [len(self.words(c.name)) for c in self.concepts],
                "words": [", ".join(self.words(c.name)) for c in self.concepts],
                "n_questions": [
                    sum(q.family == c.family for q in self.questions) for c in self.concepts
                ],
            },
            index=pd.Index(self.names, name="concept"),
        )

    def __repr__(self) -> str:
        n = len({word for name in self.names for word in self.words(name)})
        return (
            f"Concepts({self.name + ': ' if self.name else ''}{len(self)} concepts of "
            f"{len(self.families)} families, {n} words, {len(self.questions)} questions)"
        )

    # -- checks ----------------------------------------------------------------------------------

    def _collect(self, name: str, above: tuple[str, ...]) -> list[str]:
        if name in above:
            raise ValueError(f"A concept is not below itself; {name!r} is.")
        below = [self._collect(child, (*above, name)) for child in self.children(name)]
        return [*self[name].words, *(word for words in below for word in words)]

    def _check_family(self, family: str) -> None:
        of: dict[str, str] = {}
        for name in self.of_family(family):
            for word in self._words[name]:
                if of.setdefault(word, name) != name:
                    raise ValueError(
                        f"A word is in one concept of a family; {word!r} is in {of[word]!r} and "
                        f"{name!r} of {family!r}. Give them different families."
                    )

    def _check_question(self, question: Question) -> None:
        where = f"the question {question.template!r}"
        if question.family not in self.families:
            raise ValueError(
                f"A question is about a family of concepts, {', '.join(self.families)}; {where} "
                f"is about {question.family!r}."
            )
        if SLOT not in question.template:
            raise ValueError(f"A question has {SLOT} where the word stands; {where} has not.")
        given: dict[str, set[str]] = {}
        for word, answer in question.answers.items():
            concept = self.concept_of(word, question.family)
            if concept is None:
                raise ValueError(f"{where} is about words of {question.family!r}; got {word!r}.")
            given.setdefault(concept, set()).add(answer)
        if question.decides and (
            any(len(answers) > 1 for answers in given.values())
            or len({answer for answers in given.values() for answer in answers}) < 2
        ):
            raise ValueError(
                f"The concepts of {question.family!r} decide the answer, one for each of two or "
                f"more; {where} has { ({c: sorted(a) for c, a in given.items()}) }."
            )

    def concept_of(self, word: str, family: str) -> str | None:
        """The concept of a family that has the word; None where none has."""
        return next((n for n in self.of_family(family) if word in self._words[n]), None)


@dataclass(frozen=True, eq=False)
class ConceptTokens:
    """Concepts on one model's tokens. words: every word once; ids: the tokens of each."""

    concepts: Concepts
    words: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]
    d_vocab: int

    @property
    def membership(self) -> torch.Tensor:
        """(word, concept) bool: which words are of which concepts."""
        names = self.concepts.names
        rows = [[word in self.concepts.words(name) for name in names] for word in self.words]
        return torch.tensor(rows, dtype=torch.bool)

    def word_numbers(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids → the number of the word that each is, −1 for none."""
        table = torch.full((self.d_vocab,), -1, dtype=torch.long)
        for number, own in enumerate(self.ids):
            table[list(own)] = number
        return table.to(ids.device)[ids]

    def check_found(self, numbers: Any, where: str) -> None:
        """Raises `ValueError` for a concept of which none of these words, by number, is there."""
        found = {self.words[int(number)] for number in numbers}
        concepts = self.concepts
        if missing := [n for n in concepts.names if not found.intersection(concepts.words(n))]:
            raise ValueError(
                f"Every concept has a word in {where}; there is none of {', '.join(missing)}. Give "
                "more texts, or leave the concept out: concepts.only(families)."
            )

    def labels(self, tokens: Tokens) -> torch.Tensor:
        """(batch, pos, concept) bool: which concepts the token at each position is a word of."""
        words = self.word_numbers(tokens.ids)
        member = self.membership.to(words.device)
        there = (words >= 0) & tokens.mask
        return member[words.clamp(min=0)] & there[..., None]

    def asked(self, model: Model) -> list[tuple[str, str, tuple[int, ...], int]]:
        """Prompts about the fitting words of each concept that decides answers, up to 24 each: the
        concept, the prompt, the tokens of all answers, and which of them is right.

        Raises `ValueError` for an answer that is several tokens.
        """
        out, concepts = [], self.concepts
        for concept in concepts.concepts:
            asked = [q for q in concepts.questions if q.decides and q.family == concept.family]
            fitting = set(concepts.fitting(concept.name))
            cases = [(q, word) for q in asked for word in q.answers if word in fitting]
            random.Random(0).shuffle(cases)
            for question, word in cases[:FITTED]:
                options = list(dict.fromkeys(question.answers.values()))
                prompt = question.template.replace(SLOT, word)
                right = options.index(question.answers[word])
                out.append((concept.name, prompt, option_ids(model, question), right))
        return out


def option_ids(model: Model, question: Question) -> tuple[int, ...]:
    """The tokens of a question's answers, each once, in the order in which they first stand.

    Raises `ValueError` for an answer that is several tokens.
    """
    options = tuple(dict.fromkeys(question.answers.values()))
    ids = [token_of(model, option) for option in options]
    if several := [o for o, i in zip(options, ids, strict=True) if i is None]:
        raise ValueError(
            f"An answer is one token; for {model.spec.name} {', '.join(several)} of the question "
            f"{question.template!r} are several. Leave the question out."
        )
    return tuple(i for i in ids if i is not None)


def token_of(model: Model, text: str) -> int | None:
    """The one token that a text is, without special tokens; None where it is several or unknown.

    A text that begins with a space is read as it stands after another word, since some tokenizers
    put a space of their own before the first word.
    """
    before = FIRST if text.startswith(" ") else ""
    ids, start = (
        text_ids(model.tokenizer, [part], prepend_bos=False)[0] if part else []
        for part in (before + text, before)
    )
    if ids[: len(start)] != start or len(ids) != len(start) + 1:
        return None
    unknown = ids[-1] == model.tokenizer.unk_token_id and text != model.tokenizer.unk_token
    return None if unknown else int(ids[-1])


@checked
def concepts(
    name: str | Mapping[str, Sequence[str]],
    *,
    parents: Mapping[str, str] | None = None,
    families: Mapping[str, str] | None = None,
    questions: Sequence[Question] = (),
) -> Concepts:
    """The shipped concepts of an embedded model's world, or your own from the words of each.

        wb.concepts("tinyworld").only("gender")
        wb.concepts({"mammal": ["dog", "cat"], "bird": ["owl"]}, parents={"mammal": "animal"})

    The shipped ones are made from what is written in that world, so that which words stand for a
    concept, and what follows from it, is known and not estimated. Of your own: parents, the wider
    concept of a concept; one without words of its own need not be among the words. families: of
    each concept; by default those of one parent are a family, and those without a parent that have
    no children. Raises `ValueError` for a name that has none, and as `Concepts` for others.
    """
    if not isinstance(name, str):
        return _own(name, dict(parents or {}), dict(families or {}), questions)
    names = sorted(path.stem for path in data.path("concepts").glob("*.json"))
    if name not in names:
        raise ValueError(
            f"Concepts ship for {', '.join(names)}; got {name!r}. Make your own with "
            "wb.concepts({...})."
        )
    if parents or families or questions:
        raise ValueError(
            "Shipped concepts have parents, families and questions of their own; got "
            f"{parents or families or questions!r:.80} too. Give them with words of your own."
        )
    made: dict[str, Any] = json.loads(
        data.path("concepts", f"{name}.json").read_text(encoding="utf-8")
    )
    return Concepts(
        made["name"],
        tuple(
            Concept(c["name"], c["family"], tuple(c["words"]), c["parent"])
            for c in made["concepts"]
        ),
        tuple(Question(**question) for question in made["questions"]),
    )


def _own(
    words: Mapping[str, Sequence[str]],
    parents: Mapping[str, str],
    families: Mapping[str, str],
    questions: Sequence[Question],
) -> Concepts:
    made = []
    for each in words.values():
        if isinstance(each, str) or not isinstance(each, Sequence):
            raise ValueError(
                "The words of a concept are a list, {'mammal': ['dog', 'cat']}; got "
                f"{each!r:.80}."
            )
    for concept in [*words, *(p for p in dict.fromkeys(parents.values()) if p not in words)]:
        parent = parents.get(concept)
        alone = "roots" if concept in parents.values() else "words"
        family = families.get(concept, f"of {parent}" if parent else alone)
        made.append(Concept(concept, family, tuple(words.get(concept, ())), parent))
    return Concepts("", tuple(made), tuple(questions))
