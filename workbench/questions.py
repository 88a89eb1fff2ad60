"""Questions: prompts with the tokens that answer them, however they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import torch

from .check import given
from .encoding import starts
from .metrics import pad_ids
from .model import Model
from .targets import token_ids
from .tasks import Task, TaskBatch
from .tokens import Tokens, token_strings

Answers = str | int | Sequence[str | int]
Asked = Task | TaskBatch | Mapping[str, Answers] | Sequence[tuple[str | Sequence[int], Answers]]


@dataclass(frozen=True, eq=False)
class Questions:
    """Prompts as one model reads them, and what answers each.

    answer_ids: (batch, k) int64, padded with -1; more than one count together. answers: the first
    of each as text. foil_ids: the same of what answers are compared with, None where nothing is.
    measures: what is read of them where nothing else is asked for.
    """

    tokens: Tokens
    answer_ids: torch.Tensor
    answers: tuple[str, ...]
    foil_ids: torch.Tensor | None = None
    measures: str = "probability"

    @classmethod
    def of(
        cls,
        model: Model,
        asked: Any,
        *,
        prepend_bos: bool | None = None,
        of: str = "prompts",
    ) -> Questions:
        """From a task (its clean prompts), or from prompts with an answer each, one token.

        of: how errors call it. Raises `ValueError` for none, and for answers of several tokens,
        naming them; `TypeError` for anything else.
        """
        if isinstance(asked, Questions):
            return asked
        if isinstance(asked, Task):
            asked = asked.on(model, prepend_bos=prepend_bos)
        if isinstance(asked, TaskBatch):
            first = [int(i) for i in asked.answer_ids[:, 0]]
            return cls(
                model.tokens(asked.clean),
                asked.answer_ids,
                tuple(token_strings(model.tokenizer, first)),
                asked.foil_ids,
                asked.metric_name,
            )
        rows: Any = list(asked.items()) if isinstance(asked, Mapping) else asked
        many = isinstance(rows, Sequence) and not isinstance(rows, str)
        if not many or not all(map(_is_pair, rows)):
            raise TypeError(
                f"{of} is a task, or prompts with an answer each, "
                f"[('The capital of France is', ' Paris'), …]; got {given(rows)}."
            )
        if not rows:
            raise ValueError(f"{of} asks at least one question; got none.")
        ids = [
            list(dict.fromkeys(token_ids(model.tokenizer, answers, of="An answer")))
            for _, answers in rows
        ]
        if [] in ids:
            prompt = rows[ids.index([])][0]
            raise ValueError(f"Each prompt of {of} has an answer; {prompt!r} has none.")
        return cls(
            model.tokens([prompt for prompt, _ in rows], prepend_bos=prepend_bos),
            pad_ids(ids),
            tuple(token_strings(model.tokenizer, [row[0] for row in ids])),
        )

    @classmethod
    def by_name(cls, model: Model, asked: Any) -> dict[str, Questions]:
        """Several kinds of questions by their names; a single one is named by its task, "prompts"
        without one.
        """
        several = asked
        if not _is_named(asked):
            several = {str(getattr(asked, "task", getattr(asked, "name", "prompts"))): asked}
        return {name: cls.of(model, each, of=name) for name, each in several.items()}

    @property
    def prompts(self) -> tuple[str, ...]:
        """Each prompt as one text."""
        return tuple("".join(row) for row in self.tokens.strings)

    def take(self, rows: Sequence[int]) -> Questions:
        """The given questions, in that order."""
        index = list(rows)
        return replace(
            self,
            tokens=self.tokens.take(index).trimmed(),
            answer_ids=self.answer_ids[index],
            answers=tuple(self.answers[r] for r in index),
            foil_ids=None if self.foil_ids is None else self.foil_ids[index],
        )

    def after(self, model: Model, contexts: Sequence[Sequence[int]]) -> Questions:
        """The same questions, each behind other text (token ids); a start token stays in front.

        Contexts go round where there are fewer of them, and are cut from their beginning to what
        the model can read.
        """
        added = starts(model.tokenizer)
        rows = []
        for r, length in enumerate(self.tokens.lengths):
            at = self.tokens.offset(r)
            own = [int(i) for i in self.tokens.ids[r, at : at + length]]
            start = list(takewhile(added.__contains__, own))
            room = max(0, model.spec.n_ctx - length)
            before = [i for i in contexts[r % len(contexts)] if i not in added]
            rows.append([*start, *before[max(0, len(before) - room) :], *own[len(start) :]])
        return replace(self, tokens=model.tokens(rows))

    def __len__(self) -> int:
        return len(self.answers)


def _is_pair(row: Any) -> bool:
    """Whether it is a prompt, a text or token ids, and what answers it."""
    if not isinstance(row, (tuple, list)) or len(row) != 2:
        return False
    ids = isinstance(row[0], (tuple, list)) and all(isinstance(i, int) for i in row[0])
    return isinstance(row[0], str) or (ids and bool(row[0]))


def _is_named(asked: Any) -> bool:
    """Whether it is several kinds of questions by name, and no prompts with an answer each."""
    if not isinstance(asked, Mapping) or not asked:
        return False
    return not all(isinstance(v, (str, int)) or _is_words(v) for v in asked.values())


def _is_words(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(v, (str, int)) for v in value)
