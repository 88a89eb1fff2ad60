"""Concept prompts: questions about words, and the activations where they are answered."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...activations import batches
from ...concepts import SLOT, Concepts, ConceptTokens, Question, token_of
from ...model import Model
from ...site import Site
from .vectors import VectorBatch, Vectors, WordMeans

#: Prompts a concept that directions and features are fitted with, at most.
FITTED = 24


@dataclass(frozen=True, eq=False)
class AskedConcepts:
    """Concepts at the positions where a question is answered that they decide.

    A word's concept is needed there, and there it no longer stands as it did at the word. names,
    families: of each. vectors: the last positions of prompts about the fitting words of each
    concept that the model answers right; a batch's `words` are numbers among the names.
    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    vectors: Vectors

    @property
    def membership(self) -> torch.Tensor:
        """(name, name): each is itself."""
        return torch.eye(len(self.names), dtype=torch.bool)

    def means(self, site: Site) -> WordMeans:
        """The mean at each concept's answers."""
        return WordMeans.of(self.vectors, site, self.membership, self.families)


def asked_concepts(
    model: Model, tokens: ConceptTokens, sites: Sequence[Site], *, batch_size: int = 16
) -> AskedConcepts | None:
    """The concepts that decide answers; None where there are no such questions.

    A concept of which no prompt is answered right is left out, and so is a family with only one
    left. Raises `ValueError` for an answer that is several tokens.
    """
    concepts = tokens.concepts
    drawn: list[tuple[str, str, tuple[int, ...], int]] = []
    for concept in concepts.concepts:
        asked = [q for q in concepts.questions if q.decides and q.family == concept.family]
        fitting = set(concepts.fitting(concept.name))
        cases = [(q, word) for q in asked for word in q.answers if word in fitting]
        random.Random(0).shuffle(cases)
        for question, word in cases[:FITTED]:
            options = list(dict.fromkeys(question.answers.values()))
            answer = options.index(question.answers[word])
            prompt = question.template.replace(SLOT, word)
            drawn.append((concept.name, prompt, option_ids(model, question), answer))
    if not drawn:
        return None
    read, last = sorted(set(sites)), {site: [] for site in sites}
    right: list[str] = []
    for rows, prompts in batches(model, [prompt for _, prompt, *_ in drawn], batch_size):
        with torch.no_grad():
            run = model.run(prompts, read=read, logits_at="last")
        assert run.logits is not None
        for row, (name, _, ids, answer) in enumerate(drawn[rows]):
            if int(run.logits[row, 0, list(ids)].argmax()) == answer:
                right.append(name)
                column = prompts.columns(row, "last")[0]
                for site in last:
                    last[site].append(run[site][row, column])
    known = [c for c in concepts.concepts if c.name in right]
    families = [c.family for c in known]
    names = tuple(c.name for c in known if families.count(c.family) > 1)
    kept = [i for i, name in enumerate(right) if name in names]
    if not kept:
        return None
    batch = VectorBatch(
        {site: torch.stack([rows[i] for i in kept]) for site, rows in last.items()},
        torch.tensor([names.index(right[i]) for i in kept]),
        torch.arange(len(kept)),
    )
    return AskedConcepts(names, tuple(concepts[n].family for n in names), Vectors.of(batch))


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


def word_means(vectors: Vectors, site: Site, tokens: ConceptTokens) -> WordMeans:
    """The mean at each concept's words."""
    families = [concept.family for concept in tokens.concepts.concepts]
    return WordMeans.of(vectors, site, tokens.membership, families)


def check_found(means: WordMeans, concepts: Concepts, where: str) -> None:
    """Raises `ValueError` where a concept has no word in the texts."""
    missing = [name for name, n in zip(concepts.names, means.found, strict=True) if n == 0]
    if missing:
        raise ValueError(
            f"Every concept has a word in {where}; there is none of {', '.join(missing)}. Give "
            "more texts, or leave the concept out: concepts.only(families)."
        )
