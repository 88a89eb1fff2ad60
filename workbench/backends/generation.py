"""generate: prompts continued token by token, with edits on the prompt, the new tokens, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from ..check import whole
from ..edits import Edit
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
    edits: Sequence[Edit],
    on: str,
    sampler: Sampler,
) -> Generation:
    """The loop behind `Model.generate`. Raises `ValueError` for options out of range."""
    if on not in ("prompt", "new", "both"):
        raise ValueError(f"Edits act on 'prompt', 'new' or 'both'; got {on!r}.")
    if (n := whole("n", n)) < 1:
        raise ValueError(f"A generation has at least one new token; got n={n}.")
    for edit in edits:
        if on != "prompt" and edit.positions is not None:
            raise ValueError(
                f"An edit on new tokens acts at every one; {edit!r} names prompt positions. "
                "Use on='prompt', or leave positions out."
            )
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
    rows, past = prompt, None
    for _ in range(n):
        start = 0 if past is None else rows.n_columns - 1
        logits, past = model.step(rows, _phase(edits, on, prompt, rows, start), start, past)
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


def _phase(edits: Sequence[Edit], on: str, prompt: Tokens, rows: Tokens, start: int) -> list[Edit]:
    """The edits of one step; without a cache a step computes the prompt again beside them."""
    if rows is prompt:
        return list(edits) if on != "new" else []
    if start:
        return list(edits) if on != "prompt" else []
    if on == "both":
        return list(edits)
    out = []
    for edit in edits:
        where: dict[tuple[int, ...], list[int]] = {}
        for r in range(prompt.n_rows) if edit.rows is None else edit.rows:
            if on == "new":
                at = tuple(range(prompt.lengths[r], rows.lengths[r]))
            else:
                at = tuple(c - prompt.offset(r) for c in prompt.columns(r, edit.positions))
            where.setdefault(at, []).append(r)
        out += [replace(edit, rows=tuple(members), positions=at) for at, members in where.items()]
    return out


def _append(tokens: Tokens, ids: Sequence[Any]) -> Tokens:
    """Each row with one more token."""
    column = torch.tensor(ids, dtype=torch.long, device=tokens.ids.device)[:, None]
    strings = tuple((*s, "") for s in tokens.strings)
    mask = torch.cat([tokens.mask, torch.ones_like(column, dtype=torch.bool)], 1)
    return Tokens(torch.cat([tokens.ids, column], 1), mask, strings, tokens.side)
