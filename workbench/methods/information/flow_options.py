"""Flow options: what is asked of a flow, checked, and what its weights are called."""

from __future__ import annotations

import torch

from ...memory import free_bytes
from ...model import Model, Prompts
from ...tokens import Tokens
from .contributions import BY, FINAL_NORMS, By

#: What a pair of positions takes in a head: its number, and (for half of them) the edge, which is
#: held twice while groups of edges are joined.
BYTES = 48


def check_options(by: str, final_norm: str, position: int | str | None, **counts: int) -> None:
    """Raises `ValueError` for what `information_flow` does not take."""
    if by not in BY:
        raise ValueError(f"A flow is weighed by {' or '.join(map(repr, BY))}; got by={by!r}.")
    if final_norm not in FINAL_NORMS:
        raise ValueError(
            f"The final norm is {' or '.join(map(repr, FINAL_NORMS))}; got final_norm="
            f"{final_norm!r}."
        )
    if by == "answer" and position is None:
        raise ValueError(
            "An answer is at one position; got position=None with by='answer'. Give a position, or "
            "by='state'."
        )


def one_prompt(model: Model, prompt: Prompts, prepend_bos: bool | None) -> Tokens:
    """The tokens of one prompt, without padding. Raises `ValueError` for several."""
    tokens = model.tokens(prompt, prepend_bos=prepend_bos)
    if tokens.n_rows != 1:
        raise ValueError(
            f"A flow is of one prompt; got {tokens.n_rows}. Call information_flow for each."
        )
    return tokens.trimmed()


def check_room(model: Model, n_positions: int, by: By) -> None:
    """Raises `ValueError`, with the memory they would take, for more edges than there is room."""
    spec, free = model.spec, free_bytes(torch.device("cpu"))
    each = BYTES * (2 if by == "answer" else 1)
    need = each * spec.n_layers * spec.n_heads * n_positions**2
    if free is not None and need > free:
        raise ValueError(
            f"A flow holds every edge of the pass while it looks for the strongest; for "
            f"{n_positions} tokens they take {need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are "
            "free. Give a shorter prompt."
        )


def unit_of(by: By, names: list[str]) -> str:
    """The unit of the weights; names: the target and, if there is one, the foil."""
    if by == "state":
        return "share of the receiving vector"
    if len(names) > 1:
        return f"logits of {names[0]!r} − {names[1]!r}"
    return f"logit of {names[0]!r} above the mean"
