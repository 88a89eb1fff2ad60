"""The runs behind a comparison of ways to steer: each push, and what it changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...edits import Add, Edit
from ...metrics import log_probability
from ...model import Model
from ...tokens import Tokens
from .steering_plan import Push, direction_of


def settings(
    plans: Sequence[Sequence[Sequence[Add]]], strengths: Sequence[float], unit: float
) -> Iterator[tuple[int, int, list[Add], float]]:
    """Way, strength, the edits of one draw, and its share of the way's mean."""
    for w, draws in enumerate(plans):
        for s, strength in enumerate(strengths):
            for edits in draws:
                scaled = [replace(edit, scale=edit.scale * strength * unit) for edit in edits]
                yield w, s, scaled, 1 / len(draws)


def random_edits(pushes: Sequence[Push], dicts: Any, rng: np.random.Generator) -> list[Add]:
    """The same sites and shares along directions drawn evenly from the sphere."""
    out: list[Add] = []
    for push in pushes:
        width = direction_of(dicts, push.feature).shape[-1]
        drawn = rng.standard_normal(width)
        direction = torch.as_tensor(drawn / np.linalg.norm(drawn), dtype=torch.float32)
        out.append(Add(push.feature.whole, direction, push.share))
    return out


def concept_log_probs(
    model: Model, tokens: Tokens, edits: Sequence[Edit], ids: list[int]
) -> np.ndarray:
    """(batch) natural log-probability of the concept after each prompt."""
    logits = model.run(tokens, edits=edits, logits_at="last").logits
    assert logits is not None
    return log_probability(logits, [ids] * len(tokens)).double().cpu().numpy()


def log_probs(model: Model, tokens: Tokens, edits: Sequence[Edit]) -> torch.Tensor:
    """(batch, pos, d_vocab)"""
    logits = model.run(tokens, edits=edits).logits
    assert logits is not None
    return logits.float().log_softmax(-1)


def losses(log_probs: torch.Tensor, tokens: Tokens) -> np.ndarray:
    """(batch) mean cross-entropy of each row's next tokens, padding left out."""
    real = tokens.mask[:, 1:] & tokens.mask[:, :-1]
    each = -log_probs[:, :-1].gather(-1, tokens.ids[:, 1:, None])[..., 0]
    return _means(each, real)


def divergences(plain: torch.Tensor, steered: torch.Tensor, tokens: Tokens) -> np.ndarray:
    """(batch) KL(plain ‖ steered), the mean over each row's positions."""
    # Row by row, since a whole batch over the vocabulary is large; 0 · log 0 counts as 0.
    each = [
        (p.exp() * (p.clamp(min=-1e30) - s.clamp(min=-1e30))).sum(-1)
        for p, s in zip(plain, steered, strict=True)
    ]
    return _means(torch.stack(each), tokens.mask)


def _means(values: torch.Tensor, real: torch.Tensor) -> np.ndarray:
    """(batch, pos) → (batch) the mean over the positions that are real."""
    return (values.double().masked_fill(~real, 0.0).sum(-1) / real.sum(-1)).cpu().numpy()
