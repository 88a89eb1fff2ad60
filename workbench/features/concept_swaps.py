"""Concept swaps: prompts about a word, and what happens when its concept is exchanged."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..concepts import SLOT, ConceptTokens, Question, option_ids
from ..dictionary.base import Dictionary
from ..edits import Add, Set, unchanged_is_fine
from ..metrics import kl
from ..model import Model
from ..site import Site
from ..tokens import Tokens
from .concept_detection import AskedConcepts, Candidates, WordMeans


@dataclass(frozen=True)
class Swap:
    """One prompt about a word, and the concept that takes the place of the word's own.

    decides: whether the answer should change with it. options: tokens of all answers of the
    question; answer, goal: their numbers, before and, where it decides, after. word: its number
    among the concepts' words; other: the number of a word of the target concept. asked: the numbers
    of source and target among the asked concepts.
    """

    family: str
    prompt: str
    decides: bool
    source: int
    target: int
    word: int
    other: int
    other_prompt: str
    options: tuple[int, ...]
    answer: int
    goal: int
    asked: tuple[int, int]


def draw_swaps(
    model: Model, tokens: ConceptTokens, asked: AskedConcepts | None, n_prompts: int, seed: int
) -> tuple[list[Swap], list[Swap]]:
    """Swaps whose answer should change, and swaps whose answer should stay: up to `n_prompts` a
    family of each, drawn from a seed, about words that nothing was fitted with.

    A concept is exchanged for one of the same family and parent. Raises `ValueError` for an answer
    that is several tokens.
    """
    if asked is None:
        return [], []
    concepts, rng = tokens.concepts, random.Random(seed)
    changing: list[Swap] = []
    staying: list[Swap] = []
    for family in concepts.families:
        for decides, out in ((True, changing), (False, staying)):
            questions = [
                q for q in concepts.questions if q.family == family and q.decides == decides
            ]
            cases = [(q, word) for q in questions for word in q.answers]
            rng.shuffle(cases)
            made: list[Swap] = []
            for question, word in cases:
                if len(made) == n_prompts:
                    break
                swap = _swap(model, tokens, asked, question, word, rng)
                if swap is not None:
                    made.append(swap)
            out += made
    return changing, staying


def _swap(
    model: Model,
    tokens: ConceptTokens,
    asked: AskedConcepts,
    question: Question,
    word: str,
    rng: random.Random,
) -> Swap | None:
    """The swap of one word; None where no other concept could take the place of its own."""
    concepts = tokens.concepts
    source = concepts.concept_of(word, question.family)
    if source is None or source not in asked.names or word not in concepts.counting(source):
        return None
    others = [
        (name, other)
        for name in concepts.of_family(question.family)
        if name != source
        and name in asked.names
        and concepts[name].parent == concepts[source].parent
        for other in concepts.counting(name)
        if other in question.answers or not question.decides
    ]
    if not others:
        return None
    name = rng.choice(sorted({name for name, _ in others}))
    other = rng.choice([word for other, word in others if other == name])
    options = tuple(dict.fromkeys(question.answers.values()))
    answer = options.index(question.answers[word])
    return Swap(
        question.family,
        question.template.replace(SLOT, word),
        question.decides,
        concepts.names.index(source),
        concepts.names.index(name),
        tokens.words.index(word),
        tokens.words.index(other),
        question.template.replace(SLOT, other),
        option_ids(model, question),
        answer,
        options.index(question.answers[other]) if question.decides else answer,
        (asked.names.index(source), asked.names.index(name)),
    )


@dataclass(frozen=True, eq=False)
class Places:
    """The features and means of concepts at one sort of place: at their words, or at answers."""

    candidates: Candidates
    means: WordMeans

    def change(
        self, dictionary: Dictionary, x: torch.Tensor, source: int, target: int, strength: float
    ) -> tuple[torch.Tensor, float]:
        """(n, d_in) → (n, d_out), what exchanging the concepts adds, and its length as it was over
        the length it is given: `strength` times that of the true difference of means.
        """
        found = self.candidates
        features = list(dict.fromkeys(int(found.features[c, 0]) for c in (source, target)))
        codes = dictionary.encode(x)[:, features]
        wanted = torch.as_tensor(found.means[target, features]).to(codes)
        change = dictionary.written(wanted - codes, x, features).float()
        own = self.means.of_concepts
        true = float((own[target] - own[source]).norm())
        length = change.norm(dim=-1, keepdim=True)
        # What is far below the difference is rounding, and is not blown up to its length.
        there = length > 1e-6 * true
        scale = torch.where(there, strength * true / length.clamp(min=1e-30), 0.0)
        return change * scale, float(length.mean()) / max(true, 1e-30)


@dataclass(frozen=True, eq=False)
class SwapRuns:
    """Swaps of one kind on a model, with the plain run of each, in groups of equal length.

    Only those whose answer the model gets right, by the largest logit among the options, here and
    (where the answer should change) for the word that the target concept is taken from.
    """

    model: Model
    swaps: tuple[Swap, ...]
    groups: tuple[_Group, ...]

    @classmethod
    def of(
        cls, model: Model, tokens: ConceptTokens, swaps: Sequence[Swap], sites: Sequence[Site]
    ) -> SwapRuns:
        kept: list[Swap] = []
        groups: list[_Group] = []
        by_length: dict[int, list[tuple[Swap, list[int], list[int]]]] = {}
        for swap in swaps:
            ids, others = (
                model.tokens([text]).ids[0].tolist() for text in (swap.prompt, swap.other_prompt)
            )
            there = _places(ids, tokens.ids[swap.word])
            # A word at the start of the prompt may be several tokens, though it is one elsewhere.
            if (
                there
                and len(ids) == len(others)
                and there == _places(others, tokens.ids[swap.other])
            ):
                by_length.setdefault(len(ids), []).append((swap, ids, others))
        for members in by_length.values():
            group = _Group.of(model, tokens, members, sites)
            if group is not None:
                groups.append(group)
                kept += group.swaps
        return cls(model, tuple(kept), tuple(groups))

    def whole(self, site: Site) -> dict[str, np.ndarray]:
        """Scores with the whole activation at the word put in from a prompt of the other word."""
        return self._scores([g.run(self.model, g.replaced(site)) for g in self.groups])

    def swapped(
        self, dictionary: Dictionary, words: Places, answers: Places, strength: float
    ) -> dict[str, np.ndarray]:
        """Scores with the concepts' features exchanged, and `size`, (swap,) their own change."""
        out, sizes = [], []
        for group in self.groups:
            edit, size = group.exchanged(dictionary, words, answers, strength)
            out.append(group.run(self.model, edit))
            sizes.append(size)
        return self._scores(out) | {"size": np.concatenate([np.zeros(0), *sizes])}

    def _scores(self, runs: list[torch.Tensor]) -> dict[str, np.ndarray]:
        scores = [g.scores(logits) for g, logits in zip(self.groups, runs, strict=True)]
        return {
            key: np.concatenate([np.zeros(0), *(score[key] for score in scores)])
            for key in ("answer", "goal", "damage")
        }

    @property
    def before(self) -> dict[str, np.ndarray]:
        """The scores of the plain runs."""
        return self._scores([group.logits for group in self.groups])


@dataclass(frozen=True, eq=False)
class _Group:
    """Swaps whose prompts have as many tokens. word: (swap, pos) bool, where the word stands."""

    swaps: tuple[Swap, ...]
    tokens: Tokens
    word: torch.Tensor
    at: dict[Site, torch.Tensor]
    at_other: dict[Site, torch.Tensor]
    logits: torch.Tensor

    @classmethod
    def of(
        cls,
        model: Model,
        tokens: ConceptTokens,
        members: list[tuple[Swap, list[int], list[int]]],
        sites: Sequence[Site],
    ) -> _Group | None:
        read = sorted(set(sites))
        rows = model.tokens([ids for _, ids, _ in members])
        with torch.no_grad():
            run = model.run(rows, read=read)
            other = model.run([others for _, _, others in members], read=read)
        assert run.logits is not None and other.logits is not None
        right = []
        for row, (swap, _, _) in enumerate(members):
            best = [
                int(x[row, -1, list(swap.options)].argmax()) for x in (run.logits, other.logits)
            ]
            if best[0] == swap.answer and (not swap.decides or best[1] == swap.goal):
                right.append(row)
        if not right:
            return None
        word = [[i in tokens.ids[members[row][0].word] for i in members[row][1]] for row in right]
        return cls(
            tuple(members[row][0] for row in right),
            rows.take(right),
            torch.tensor(word),
            {site: run[site][right] for site in read},
            {site: other[site][right] for site in read},
            run.logits[right],
        )

    def run(self, model: Model, edit: Any) -> torch.Tensor:
        # A dictionary that has nothing of the concepts changes nothing, which is its score.
        with torch.no_grad(), unchanged_is_fine():
            logits = model.run(self.tokens, edits=[edit]).logits
        assert logits is not None
        return logits

    def replaced(self, site: Site) -> Any:
        here = (self.word | self.last).to(self.at[site].device)[..., None]
        return Set(site, torch.where(here, self.at_other[site], self.at[site]))

    @property
    def last(self) -> torch.Tensor:
        """(swap, pos) bool: where the question is answered."""
        last = torch.zeros_like(self.word)
        last[:, -1] = True
        return last

    def exchanged(
        self, dictionary: Dictionary, words: Places, answers: Places, strength: float
    ) -> tuple[Any, np.ndarray]:
        """The change of the features of both concepts, at the length of the true difference."""
        site = dictionary.out_site
        value = torch.zeros_like(self.at[site], dtype=torch.float32)
        sizes = np.zeros(len(self.swaps))
        for row, swap in enumerate(self.swaps):
            x = self.at[dictionary.site][row]
            places = (
                (self.word[row] & ~self.last[row], words, (swap.source, swap.target)),
                (self.last[row], answers, swap.asked),
            )
            for where, at, (source, target) in places:
                if bool(where.any()):
                    change, sizes[row] = at.change(
                        dictionary, x[where.to(x.device)], source, target, strength
                    )
                    value[row, where.to(value.device)] = change.to(value)
        return Add(site, value), sizes

    def scores(self, logits: torch.Tensor) -> dict[str, np.ndarray]:
        """answer, goal: shares of the options' probability; damage: mean KL elsewhere, in nats."""
        out: dict[str, list[float]] = {"answer": [], "goal": [], "damage": []}
        for row, swap in enumerate(self.swaps):
            shares = logits[row, -1, list(swap.options)].double().softmax(-1)
            out["answer"].append(float(shares[swap.answer]))
            out["goal"].append(float(shares[swap.goal]))
            first = int(torch.nonzero(self.word[row])[0])
            plain, now = (x[row, first:-1].double() for x in (self.logits, logits))
            out["damage"].append(float(kl(now, plain).mean()) if len(now) else float("nan"))
        return {key: np.array(values) for key, values in out.items()}


def _places(ids: Sequence[int], word: Sequence[int]) -> list[int]:
    """The positions at which a word stands."""
    return [p for p, i in enumerate(ids) if i in word]
