"""Metrics: from logits to one number an example, as `Model.run(grad_of=…)` takes them.

Every metric reads the logits of one position an example: (batch, 1, d_vocab), which is what
`logits_at="last"` gives, or (batch, d_vocab). It returns (batch,). Answers and foils are token ids:
one an example, (batch,), or several, (batch, k), where ids below 0 are padding (see `pad_ids`); a
plain list of ids or of lists of ids is read in the same way. All but `rank` are differentiable, and
half-precision logits are read in float32.

Errors: `ValueError` where shapes do not go together, where an id is outside the vocabulary or
stands twice in a row, and where an example has no id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Union

import torch

from .check import checked, refuse
from .tokens import Tokens

Ids = Union["torch.Tensor", Sequence[int], Sequence[Sequence[int]]]


@checked
def logit_difference(logits: torch.Tensor, answers: Ids, foils: Ids) -> torch.Tensor:
    """Mean logit of the answers minus mean logit of the foils; positive = more of the answers."""
    logits = _one_position(logits)
    return _mean_logit(logits, answers, "answers") - _mean_logit(logits, foils, "foils")


@checked
def probability(logits: torch.Tensor, answers: Ids) -> torch.Tensor:
    """Summed probability of the answers, from 0 to 1."""
    return log_probability(logits, answers).exp()


@checked
def log_probability(logits: torch.Tensor, answers: Ids) -> torch.Tensor:
    """Natural logarithm of the summed probability of the answers, at most 0."""
    logits = _one_position(logits)
    ids, real = _ids(answers, logits, "answers")
    log_probs = logits.log_softmax(-1).gather(-1, ids)
    return log_probs.masked_fill(~real, float("-inf")).logsumexp(-1)


@checked
def probability_difference(logits: torch.Tensor, answers: Ids, foils: Ids) -> torch.Tensor:
    """Summed probability of the answers minus that of the foils, from -1 to 1.

    Hanna et al. 2023 (arXiv:2305.00586), section 2: later years minus the others.
    """
    return probability(logits, answers) - probability(logits, foils)


@checked
def rank(logits: torch.Tensor, answers: Ids) -> torch.Tensor:
    """How many tokens have a larger logit than the best of the answers, int64: 0 = top."""
    logits = _one_position(logits)
    ids, real = _ids(answers, logits, "answers")
    best = logits.gather(-1, ids).masked_fill(~real, float("-inf")).amax(-1, keepdim=True)
    return (logits > best).sum(-1)


@checked
def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the next-token distribution in nats, from 0 to log(d_vocab)."""
    log_probs = _one_position(logits).log_softmax(-1)
    # A logit of -inf has probability 0, and 0 · log 0 counts as 0.
    return -(log_probs.exp() * log_probs.clamp(min=-1e30)).sum(-1)


@checked
def kl(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """KL(reference ‖ logits) in nats, both given as logits; 0 where the distributions are equal."""
    logits, reference = _one_position(logits), _one_position(reference)
    if logits.shape != reference.shape:
        raise ValueError(
            "kl compares logits of one shape; got "
            f"{tuple(logits.shape)} and the reference {tuple(reference.shape)}."
        )
    reference = reference.to(logits.device).log_softmax(-1)
    difference = reference.clamp(min=-1e30) - logits.log_softmax(-1).clamp(min=-1e30)
    return (reference.exp() * difference).sum(-1)


@checked
def text_loss(log_probs: torch.Tensor, texts: Tokens) -> torch.Tensor:
    """(batch,) minus the mean log-probability of each text's tokens but the first, as float64.

    log_probs: (batch, pos, d_vocab), at every position of the texts; padding is left out.
    """
    log_probs = _every_position("log_probs", log_probs, texts)
    real = texts.mask[:, 1:] & texts.mask[:, :-1]
    each = -log_probs[:, :-1].gather(-1, texts.ids[:, 1:, None])[..., 0]
    # A small rise of the loss is a difference of two such means.
    return each.double().masked_fill(~real, 0).sum(-1) / real.sum(-1)


@checked
def text_kl(log_probs: torch.Tensor, plain: torch.Tensor, texts: Tokens) -> torch.Tensor:
    """(batch,) the mean over a text's positions of KL(plain ‖ this), both log-probabilities, as
    float64.
    """
    log_probs = _every_position("log_probs", log_probs, texts)
    plain = _every_position("plain", plain, texts)
    # A token of probability 0 in both adds nothing; row by row, which stays in the cache.
    each = torch.stack(
        [
            (p.exp() * (p.clamp(min=-1e30) - q.clamp(min=-1e30))).sum(-1)
            for p, q in zip(plain, log_probs, strict=True)
        ]
    )
    return each.double().masked_fill(~texts.mask, 0).sum(-1) / texts.mask.sum(-1)


def _every_position(name: str, given: torch.Tensor, texts: Tokens) -> torch.Tensor:
    """Log-probabilities at every position of the texts, in float32 at least."""
    if given.ndim != 3 or given.shape[:2] != texts.ids.shape:
        batch, pos = texts.ids.shape
        raise refuse(name, f"of shape (batch, pos, d_vocab), here ({batch}, {pos}, …)", given)
    return given.float() if given.dtype in (torch.float16, torch.bfloat16) else given


#: The metrics that a task can name: those of logits, answers and foils.
TASK_METRICS: dict[str, Callable[[torch.Tensor, Ids, Ids], torch.Tensor]] = {
    "logit_difference": logit_difference,
    "probability_difference": probability_difference,
}


@checked
def pad_ids(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Rows of ids of different lengths as one (batch, k) int64 tensor, padded with -1."""
    width = max(map(len, rows), default=0)
    padded = [[*row, *[-1] * (width - len(row))] for row in rows]
    return torch.tensor(padded, dtype=torch.int64).reshape(len(rows), width)


def _one_position(logits: torch.Tensor) -> torch.Tensor:
    """The logits as (batch, d_vocab), in float32 at least."""
    if logits.ndim == 3:
        if logits.shape[1] != 1:
            raise ValueError(
                "A metric reads the logits of one position an example, (batch, 1, d_vocab); got "
                f"{tuple(logits.shape)}. Run with logits_at='last', or pick the position yourself."
            )
        logits = logits[:, 0]
    if logits.ndim != 2:
        raise ValueError(
            "A metric reads logits of shape (batch, 1, d_vocab) or (batch, d_vocab); got "
            f"{tuple(logits.shape)}."
        )
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _ids(given: Ids, logits: torch.Tensor, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(batch, k) ids that can be gathered, and where they are not padding. Raises as above."""
    if not isinstance(given, torch.Tensor):
        rows = [[row] if isinstance(row, int) else row for row in given]
        given = pad_ids(rows)
    ids = given[:, None] if given.ndim == 1 else given
    batch, d_vocab = logits.shape
    if ids.ndim != 2 or ids.shape[0] != batch or ids.dtype not in (torch.int64, torch.int32):
        raise ValueError(
            f"The {name} are token ids of shape (batch,) or (batch, k), batch {batch}; got "
            f"{ids.dtype} of shape {tuple(given.shape)}."
        )
    ids = ids.long()
    real = ids >= 0
    if not bool(real.any(-1).all()):
        row = int((~real.any(-1)).nonzero()[0])
        raise ValueError(f"Each example has at least one of the {name}; example {row} has none.")
    if int(ids.max()) >= d_vocab:
        raise ValueError(
            f"Token ids run from 0 to {d_vocab - 1}; the {name} hold {int(ids.max())}."
        )
    ordered = ids.sort(-1).values
    if bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any()):
        raise ValueError(f"The {name} of one example are different tokens; an id stands twice.")
    return ids.clamp(min=0).to(logits.device), real.to(logits.device)


def _mean_logit(logits: torch.Tensor, given: Ids, name: str) -> torch.Tensor:
    ids, real = _ids(given, logits, name)
    return logits.gather(-1, ids).masked_fill(~real, 0.0).sum(-1) / real.sum(-1)
