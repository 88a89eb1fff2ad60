"""What an observable is in a run: one number a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...edits import Edit
from ...ordinary import ordinary_torch
from ...tokens import Tokens
from .observable_gradient import Position, end_columns, portions

if TYPE_CHECKING:
    from .observable import Observable


@ordinary_torch()
def measured(obs: Observable, tokens: Tokens, *, position: Position = "last") -> np.ndarray:
    """(batch,) the observable at a position of each row, in logits, before any soft-cap."""
    return np.concatenate([measured_with(obs, part, (), position) for part in portions(tokens)])


def measured_with(
    obs: Observable, tokens: Tokens, edits: Sequence[Edit], position: Position = "last"
) -> np.ndarray:
    """(batch,) the observable in one pass with edits, whose rows are those of `tokens`."""
    model = obs.model
    with torch.no_grad():
        run = model.run(tokens, edits=edits, read="ln_final", logits_at=())
        normed = run["ln_final"][list(range(len(tokens))), end_columns(tokens, position)].float()
        weights = torch.tensor(obs.weights, device=normed.device)
        bias = model.spec.logit_scale * (model.weight("b_U").float() @ weights)
        return (normed @ obs.direction + bias).cpu().numpy()
