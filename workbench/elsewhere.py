"""Elsewhere: the texts about other things on which the damage of a change is measured."""

from __future__ import annotations

import numpy as np

from .data import DataNotFound
from .model import Model, Prompts
from .texts import rows_of
from .texts import texts as shipped_texts
from .tokens import Tokens

#: Shipped texts that are read where none are given: the last ones, since other methods take
#: the first.
N_TEXTS = 40


def texts_elsewhere(
    model: Model, given: Prompts | None, *, prepend_bos: bool | None = None
) -> Tokens:
    """The texts on which damage is measured; None takes the last of those that ship.

    Raises `ValueError` where none are given and none ship, and for a text of a single token.
    """
    if given is None:
        try:
            given = shipped_texts(model.spec.name)[-N_TEXTS:]
        except (ValueError, DataNotFound):
            raise ValueError(
                "The damage is measured on texts about other things, and none ship for "
                f"{model.spec.name}; give elsewhere=, a list of texts."
            ) from None
    tokens = model.tokens(rows_of(model, given), prepend_bos=prepend_bos)
    if min(tokens.lengths) < 2:
        raise ValueError(
            "A text elsewhere has at least two tokens, since its loss is that of predicting the "
            f"second; text {int(np.argmin(tokens.lengths))} has {min(tokens.lengths)}."
        )
    return tokens
