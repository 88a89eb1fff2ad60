"""Steer: what a model says under a change, beside what it says as it is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..change import Change
from ..check import Count, NotNegative, Seed, checked, whole
from ..edits import Edit, UnchangedEdit, unchanged_is_fine
from ..effects import Effects, Measure
from ..metrics import kl
from ..model import Model, Prompts
from ..result import provenance
from ..tokens import token_strings

#: The measure of how far the next token's distribution moved.
KL = "KL next token"


@checked
def steer(
    model: Model,
    prompts: Prompts,
    change: Change | Edit | Sequence[Edit],
    *,
    n_new: Count = 20,
    k: Count = 10,
    temperature: NotNegative = 0.0,
    top_k: Count | None = None,
    top_p: float | None = None,
    seed: Seed | None = None,
) -> Effects:
    """What a model says under a change beside what it says as it is, as `Effects` with `texts`.

        said = wb.steer(model, "The doctor said that", dicts.add("L2.resid_post/592", 8))
        said.to_frame("texts")  # and said.texts["plain"], said.texts["steered"]

    change: a `Change`, an edit, or several; it says itself whether it acts while the prompt is
    read, on the new tokens, or both, and how strongly; on new tokens alone, the first of them is
    chosen as before. Measures: KL(plain ‖ steered) of the next token after each prompt, in nats,
    and the natural log-probability of single next tokens, each under its own text: of each prompt
    the `k` likeliest before and after, and the `k` that gain and lose most. n_new: new tokens.
    temperature, top_k, top_p, seed: sampling of the texts, as in `Model.generate`.

    Warns where the change leaves every next token as it was. Raises what `Change` and a run raise.
    """
    whole("k", k, 1, model.spec.d_vocab, "The vocabulary has no more tokens.")
    change, tokens = Change.of(change), model.tokens(prompts)
    sampling: dict[str, Any] = {
        "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed,
    }  # fmt: skip
    log_probs, texts = [], {}
    # Said once for all below: a step at which a feature is silent is nothing to warn of.
    with unchanged_is_fine():
        for name, each in (("plain", Change()), ("steered", change)):
            with each.applied(model) as now:
                logits = now.run(tokens, logits_at="last").logits
                log_probs.append(logits[:, 0].float().log_softmax(-1))
                texts[name] = now.generate(tokens, n_new, **sampling).texts
    plain, steered = log_probs
    if torch.equal(plain, steered) and any(p.on != "new" for p in change.parts):
        warnings.warn(
            f"The change does nothing where the prompt is read: {change!r:.80} finds nothing to "
            "change there, or its strength is 0.",
            UnchangedEdit,
            stacklevel=3,
        )
    far, none = kl(steered, plain).double().cpu().numpy(), np.zeros((0, len(tokens)))
    measures = [Measure(KL, "nats", np.zeros(len(far)), far[None], none)]
    for name, values in _next_tokens(model, plain, steered, k):
        measures.append(Measure(name, "nats", values[0], values[1:], none))
    return Effects(
        **provenance(model, tokens, seed),
        what=_where(change),
        changes={"change": ("steered",)},
        controls={},
        measures=tuple(measures),
        texts=texts,
        picture="steering.steer",
    )


def _next_tokens(
    model: Model, plain: torch.Tensor, steered: torch.Tensor, k: int
) -> list[tuple[str, np.ndarray]]:
    """The string of each next token that some prompt names, and (2, batch) its log-probability
    plain and steered; NaN for prompts that do not name it. The likeliest after the change first.
    """
    # A logit of -inf stays one, and has not moved.
    moved = (steered - plain).nan_to_num(nan=0.0)
    lists = [values.topk(k, dim=-1).indices for values in (plain, steered, moved, -moved)]
    named = torch.zeros_like(plain, dtype=torch.bool).scatter_(-1, torch.cat(lists, -1), True)
    ids = named.any(0).nonzero()[:, 0]
    ids = ids[steered[:, ids].where(named[:, ids], -torch.inf).amax(0).argsort(descending=True)]
    both = torch.stack([plain, steered])[..., ids].double()
    both = both.masked_fill(~named[:, ids], torch.nan).cpu().numpy()
    strings = token_strings(model.tokenizer, ids.tolist())
    # Two tokens may be written alike.
    return [
        (name if strings.count(name) == 1 else f"{name} ({int(token)})", both[..., i])
        for i, (name, token) in enumerate(zip(strings, ids, strict=True))
    ]


def _where(change: Change) -> str:
    """Where a change acts, in a few words."""
    places = [str(getattr(part.what, "site", type(part.what).__name__)) for part in change.parts]
    named = list(dict.fromkeys(places))
    return f"steered at {', '.join(named[:3])}{', …' * (len(named) > 3)}"
