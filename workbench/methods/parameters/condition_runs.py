"""Condition runs: the same questions and texts read by a model as it is and as it was changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...metrics import log_probability, rank
from ...model import Model
from ...questions import Questions
from ...tokens import Tokens
from ..vocabulary.clamp_runs import text_kl, text_loss

#: Bytes of the logits of one pass over texts; several copies of them are made.
LOGITS = 64 << 20
#: Prompts that run at once where only their last position is unembedded.
ROWS = 128

#: What gives the model in one condition: with `edited_weights`, or another model.
Condition = Callable[[], AbstractContextManager[Model]]


@dataclass(frozen=True, eq=False)
class Answered:
    """(condition, batch) the answers' summed log-probability, and the rank of the best, 0 = top."""

    log_probability: np.ndarray
    rank: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        return np.exp(self.log_probability)


def answers_under(
    conditions: Sequence[Condition], questions: Questions, bar: Any = None
) -> Answered:
    """What becomes of the answers in each condition. bar: moved on by one a condition."""
    shape = len(conditions), len(questions)
    out = Answered(np.zeros(shape, np.float32), np.zeros(shape, np.int32))
    for c, condition in enumerate(conditions):
        with condition() as model:
            for rows in _portions(len(questions), ROWS):
                some = questions.take(rows)
                logits = _logits(model, some.tokens, "last")
                out.log_probability[c, rows] = _numpy(log_probability(logits, some.answer_ids))
                out.rank[c, rows] = _numpy(rank(logits, some.answer_ids))
        if bar is not None:
            bar.update()
    return out


def texts_under(
    conditions: Sequence[Condition], texts: Tokens, bar: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """(condition, text) the mean loss a token, and the mean over positions of KL(first ‖ this).

    Both in nats; the first condition is the one that the others are compared with.
    """
    loss, kl = (np.zeros((len(conditions), texts.n_rows), np.float32) for _ in range(2))
    with conditions[0]() as model:
        at_once = max(1, LOGITS // (4 * model.spec.d_vocab * texts.n_columns))
    for rows in _portions(texts.n_rows, at_once):
        some, plain = texts.take(rows).trimmed(), None
        for c, condition in enumerate(conditions):
            with condition() as model:
                log_probs = _logits(model, some, None).float().log_softmax(-1)
            loss[c, rows] = _numpy(text_loss(log_probs, some))
            if plain is None:
                plain = log_probs
            else:
                kl[c, rows] = _numpy(text_kl(log_probs, plain, some))
            if bar is not None:
                bar.update(len(rows) / texts.n_rows)
    return loss, kl


def _logits(model: Model, tokens: Tokens, at: Any) -> torch.Tensor:
    logits = model.run(tokens, logits_at=at).logits
    assert logits is not None
    return logits.detach()


def _portions(n: int, at_once: int) -> Iterator[list[int]]:
    for start in range(0, n, at_once):
        yield list(range(start, min(start + at_once, n)))


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
