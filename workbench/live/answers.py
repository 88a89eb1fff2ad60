"""The likeliest next tokens of runs, and how they stand side by side in an explorer, as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..model import Model
from ..tokens import token_strings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Answers:
    """The likeliest next tokens of one run, best first, with their probabilities."""

    tokens: tuple[str, ...]
    probabilities: tuple[float, ...]


def likeliest(model: Model, probabilities: torch.Tensor, n: int) -> Answers:
    """The n likeliest of (d_vocab,) probabilities."""
    best = probabilities.topk(min(n, probabilities.shape[-1]))
    words = token_strings(model.tokenizer, best.indices.tolist())
    return Answers(tuple(words), tuple(best.values.tolist()))


def side_by_side(parts: Iterable[str], lines: Iterable[str]) -> str:
    """Columns beside one another and lines of HTML beside them, as HTML."""
    return (
        '<div class="workbench-answers" style="display:flex; flex-wrap:wrap; gap:1em; '
        'align-items:flex-start">'
        f'{"".join(parts)}<div style="align-self:center; line-height:1.5">{"<br>".join(lines)}'
        "</div></div>"
    )


def column(caption: str, answers: Answers, *, width: str = "6em") -> str:
    """The tokens of one run with a bar for each, as HTML. caption: HTML; width: of a full bar."""
    rows = "".join(
        f'<tr><td style="text-align:right; white-space:pre; font-family:monospace; '
        f'padding:0 .5em">{html.escape(token)}</td>'
        f'<td style="width:{width}"><div style="background:#4a90c2; height:.7em; width:{p:.1%}">'
        f'</div></td><td style="padding-left:.4em">{p:.2f}</td></tr>'
        for token, p in zip(answers.tokens, answers.probabilities, strict=True)
    )
    return (
        '<table style="border-collapse:collapse; line-height:1.25">'
        f'<caption style="text-align:left; white-space:nowrap">{caption}</caption>{rows}</table>'
    )
