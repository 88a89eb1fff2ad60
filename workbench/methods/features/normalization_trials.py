"""A dictionary on a sample of activations, with its own normalisation and with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from ...activations import batches
from ...dictionary.base import Dictionary
from ...dictionary.normalization import Normalization
from ...encoding import text_ids
from ...model import Model
from ...texts import texts as shipped_texts

#: Positions that are sampled at most, and encoded at a time.
MOST_POSITIONS, AT_ONCE = 4096, 512
#: Texts that are read where none are given and the model has none of its own.
SAMPLE = (
    "The library opens at nine in the morning and closes when the last reader has gone home.",
    "In 1911 the expedition reached the pole, planted a flag, and began the long walk back.",
    "She said that the results were surprising, but that nobody should trust them before a second "
    "laboratory had found the same.",
    "def area(width, height):\n    return width * height\n",
    "Water boils at 100 degrees at the level of the sea and at less on a high mountain.",
    "“Where have you been?” he asked. “At the market,” she answered, “and then at the harbour.”",
    "The committee will meet on Tuesday to discuss the budget, the new bridge, and the schools.",
    "Mary and John went to the store, and John gave a bottle of milk to Mary.",
)


def default_texts(model: Model) -> Sequence[Any]:
    """The model's shipped texts, else sentences as its own token ids."""
    try:
        return shipped_texts(model.spec.name, n=64)
    except ValueError:
        # In another language's tokens a sentence may be longer than a small model reads.
        return [row[: model.spec.n_ctx] for row in text_ids(model.tokenizer, SAMPLE)]


def sample(
    model: Model, dictionary: Dictionary, texts: Any, batch_size: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[tuple[str, ...], ...]]:
    """(position, d) what is read and what is decoded, which are first tokens, and the tokens."""
    sites = sorted({dictionary.site, dictionary.out_site})
    read: list[torch.Tensor] = []
    wanted: list[torch.Tensor] = []
    first: list[torch.Tensor] = []
    strings: list[tuple[str, ...]] = []
    n = 0
    for _, tokens in batches(model, texts, batch_size):
        with torch.no_grad():
            run = model.run(tokens, read=sites, logits_at=(), stop_after=sites[-1])
        mask = tokens.mask
        for site, parts in ((dictionary.site, read), (dictionary.out_site, wanted)):
            activation = run[site]
            parts.append(activation[mask.to(activation.device)].float().cpu())
        first.append((tokens.position_ids == 0)[mask].cpu())
        strings.extend(tokens.strings)
        n += len(first[-1])
        if n >= MOST_POSITIONS:
            break
    x, y, at_start = (torch.cat(parts)[:MOST_POSITIONS] for parts in (read, wanted, first))
    return x, y, at_start, tuple(strings)


def variants(dictionary: Dictionary, factor: float) -> dict[str, Normalization]:
    """The dictionary's own normalisation, then others that it could have been trained with."""
    own = dictionary.normalization
    streams = dictionary.site.axes[-1] == "d_model"
    out = {"as it is": own}
    if streams and own.scale != "layer_norm":
        name = "mean left in" if own.center else "mean taken away"
        out[name] = replace(own, center=not own.center)
    if own.scale != "none":
        out["not scaled"] = Normalization(own.center)
    if own.scale != "factor":
        out[f"times {factor:.3g}"] = Normalization(own.center, "factor", factor)
    if own.scale != "layer_norm":
        out["layer norm"] = Normalization(False, "layer_norm")
    if own.scale != "constant_norm":
        out["constant norm"] = Normalization(own.center, "constant_norm")
    return out


def score(
    dictionary: Dictionary,
    way: Normalization,
    x: torch.Tensor,
    y: torch.Tensor,
    first: torch.Tensor,
) -> tuple[float, float, float]:
    """Explained variance over all positions and over all but first tokens, and L0."""
    tried = replace(dictionary, normalization=way)
    errors, active = [], 0
    for start in range(0, len(x), AT_ONCE):
        part = x[start : start + AT_ONCE].to(tried.device)
        codes = tried.encode(part)
        active += int((codes != 0).sum())
        error = tried.decode(codes, part).float().cpu() - y[start : start + AT_ONCE]
        errors.append(error.double().pow(2).sum(-1))
    error = torch.cat(errors)

    def explained(kept: torch.Tensor) -> float:
        if int(kept.sum()) < 2:
            return float("nan")
        chosen = y[kept].double()
        spread = float((chosen - chosen.mean(0)).pow(2).sum())
        return 1 - float(error[kept].sum()) / spread if spread else float("nan")

    return explained(torch.ones_like(first)), explained(~first), active / len(x)
