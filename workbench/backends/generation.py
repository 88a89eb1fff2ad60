"""generate: prompts continued token by token, with edits on the prompt, the new tokens, or both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..change import Change
from ..encoding import pad_id
from ..model import Generation
from ..tokens import Tokens, pad, token_strings
from .sampling import Sampler

if TYPE_CHECKING:
    from .base import TracedModel


def generate(
    model: TracedModel,
    prompt: Tokens,
    n: int,
    change: Change,
    sampler: Sampler,
) -> Generation:
    """The loop behind `Model.generate`. Raises `ValueError` for more than the model reads."""
    # The last new token is not read.
    if (longest := max(prompt.lengths)) + n - 1 > model.spec.n_ctx:
        raise ValueError(
            f"This model reads at most {model.spec.n_ctx} tokens; the prompt has {longest} and {n} "
            "more are asked for, of which all but the last are read. Ask for fewer, or shorten the "
            "prompt."
        )
    # Padding on the left keeps each row's tokens together while new ones are appended.
    filler = pad_id(model.tokenizer, model.spec.d_vocab)
    lists = [ids[mask].tolist() for ids, mask in zip(prompt.ids, prompt.mask, strict=True)]
    prompt = pad(lists, prompt.strings, pad_id=filler, side="left", device=model.device)
    new: list[list[int]] = [[] for _ in lists]
    held, n_prompt = change.decided(model, prompt), list(prompt.lengths)
    rows, past = prompt, None
    for _ in range(n):
        start = 0 if past is None else rows.n_columns - 1
        logits, past = model.step(rows, held.laid(rows, n_prompt, start), start, past)
        for r, token in sampler.pick(logits):
            new[r].append(token)
        if sampler.finished:
            break
        last = [more[-1] if r in sampler.open else filler for r, more in enumerate(new)]
        rows = _append(rows, last)
    rows_of_ids = [[*ids, *more] for ids, more in zip(lists, new, strict=True)]
    strings = [
        [*s, *token_strings(model.tokenizer, more)]
        for s, more in zip(prompt.strings, new, strict=True)
    ]
    texts = tuple(str(model.tokenizer.decode(ids, skip_special_tokens=True)) for ids in rows_of_ids)
    tokens = pad(rows_of_ids, strings, pad_id=filler, device=model.device)
    return Generation(tokens, tuple(map(tuple, new)), texts)


def _append(tokens: Tokens, ids: Sequence[Any]) -> Tokens:
    """Each row with one more token."""
    column = torch.tensor(ids, dtype=torch.long, device=tokens.ids.device)[:, None]
    strings = tuple((*s, "") for s in tokens.strings)
    mask = torch.cat([tokens.mask, torch.ones_like(column, dtype=torch.bool)], 1)
    return Tokens(torch.cat([tokens.ids, column], 1), mask, strings, tokens.side)
