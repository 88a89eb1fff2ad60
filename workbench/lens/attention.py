"""Attention: who looks at whom, and how much of it each head passes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..check import checked, different
from ..model import Model, ModelSpec, Prompts, Run
from ..result import Result, axes, provenance
from ..site import Site


@dataclass(frozen=True, eq=False, repr=False)
class Attention(Result):
    """How much each position attends to each earlier one, in every head.

    pattern: (batch, layer, head, dst, src) float32, the softmax's output: each destination's
    weights over its sources sum to 1. value_weighted: the same shape, each weight times the norm of
    the vector that it brings into the residual stream; None where it was not asked for. Both are
    NaN past the end of a shorter prompt and 0 where the source lies after the destination.
    layers: the model's layer numbers. token_ids: -1 past the end of a prompt.
    """

    layers: np.ndarray = axes("layer", np.int32)
    token_ids: np.ndarray = axes("batch pos", np.int32)
    pattern: np.ndarray = axes("batch layer head dst src")
    value_weighted: np.ndarray | None = axes("batch layer head dst src", optional=True)

    picture = "attention.attention"
    view = "lens.attention"

    def __post_init__(self) -> None:
        super().__post_init__()
        n = self.token_ids.shape[1]
        if self.pattern.shape[-2:] != (n, n):
            raise ValueError(
                f"Destinations and sources are the {n} positions of the prompts; the pattern has "
                f"{self.pattern.shape[-2]} and {self.pattern.shape[-1]}."
            )

    @property
    def n_heads(self) -> int:
        return self.pattern.shape[2]

    def of_prompt(self, row: int = 0, *, weighted: bool = False) -> np.ndarray:
        """(layer, head, dst, src): the weights of one prompt, without the padding of the batch.

        weighted: those of `value_weighted`. Raises `IndexError` for no such prompt, `ValueError`
        where value-weighted ones were not computed.
        """
        if not 0 <= row < len(self.tokens):
            raise IndexError(f"This result has prompts 0 to {len(self.tokens) - 1}; got row={row}.")
        values = self.value_weighted if weighted else self.pattern
        if values is None:
            raise ValueError(
                "This result holds plain patterns alone. Compute it with value_weighted=True."
            )
        n = len(self.tokens[row])
        return values[row, ..., :n, :n]

    def of_head(self, layer: int, head: int, row: int = 0, *, weighted: bool = False) -> np.ndarray:
        """(dst, src): the weights of one head for one prompt.

        Raises `ValueError` for a layer or head that the result does not have.
        """
        if layer not in self.layers:
            have = ", ".join(map(str, self.layers.tolist()))
            raise ValueError(f"This result has the layers {have}; got layer {layer}.")
        if not 0 <= head < self.n_heads:
            raise ValueError(f"{self.model} has heads 0 to {self.n_heads - 1}; got head {head}.")
        return self.of_prompt(row, weighted=weighted)[self.layers.tolist().index(layer), head]

    def to_frame(self) -> pd.DataFrame:
        """One line a weight: prompt, layer, head, dst, src, dst_token, src_token, weight, and where
        computed value_weighted. Sources after their destination, which are 0, are left out.
        """
        return pd.concat([self._frame(row) for row in range(len(self.tokens))], ignore_index=True)

    def _frame(self, row: int) -> pd.DataFrame:
        tokens = np.array(self.tokens[row], object)
        dst, src = np.tril_indices(len(tokens))
        layer, head, place = (
            grid.ravel()
            for grid in np.meshgrid(self.layers, np.arange(self.n_heads), np.arange(len(dst)),
                                    indexing="ij")
        )  # fmt: skip
        columns = {
            "prompt": np.full(len(layer), row), "layer": layer, "head": head,
            "dst": dst[place], "src": src[place],
            "dst_token": tokens[dst[place]], "src_token": tokens[src[place]],
            "weight": self.of_prompt(row)[..., dst, src].ravel(),
        }  # fmt: skip
        if self.value_weighted is not None:
            columns["value_weighted"] = self.of_prompt(row, weighted=True)[..., dst, src].ravel()
        return pd.DataFrame(columns)

    def head_scores(self, *, row: int | None = None, weighted: bool = False) -> pd.DataFrame:
        """What each head looks at: one line a head, each score a mean share of its attention.

        Columns: layer, head, and the share that destinations give to
        first_token: the first token (destinations after it);
        previous_token: the token just before (destinations after the first token);
        self: themselves (destinations after the first token);
        duplicate_token: earlier occurrences of their own token (destinations that have one);
        induction: the tokens that followed those occurrences, themselves left out (destinations
        that have one), the prefix-matching score of Olsson et al. (2022), "In-context Learning and
        Induction Heads".
        A score is the mean over all such destinations of the prompts, NaN where there is none; the
        shares overlap, as where the token before is the first.

        row: of one prompt alone. weighted: shares of the value-weighted attention, which tell a
        head that rests on a token from one that takes something from it.
        """
        rows = range(len(self.tokens)) if row is None else [row]
        summed: dict[str, np.ndarray] = {}
        counts: dict[str, int] = {}
        for r in rows:
            shares = self.of_prompt(r, weighted=weighted).astype(np.float64)
            if weighted:
                total = shares.sum(-1, keepdims=True)
                shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
            for name, looked_at in _looked_at(self.token_ids[r, : shares.shape[-1]]).items():
                each = np.einsum("lhds,ds->lh", shares, looked_at.astype(np.float64))
                summed[name] = summed.get(name, 0.0) + each
                counts[name] = counts.get(name, 0) + int(looked_at.any(1).sum())
        layer, head = np.meshgrid(self.layers, np.arange(self.n_heads), indexing="ij")
        columns: dict[str, np.ndarray] = {"layer": layer.ravel(), "head": head.ravel()}
        for name, total in summed.items():
            mean = total / counts[name] if counts[name] else np.full_like(total, np.nan)
            columns[name] = mean.ravel()
        return pd.DataFrame(columns)

    def _facts(self) -> str:
        weighted = "" if self.value_weighted is None else ", value-weighted too"
        return f"{super()._facts()}, {len(self.layers)} layers × {self.n_heads} heads{weighted}"


@checked
def attention(
    model: Model,
    prompts: Prompts,
    *,
    layers: int | Sequence[int] | None = None,
    value_weighted: bool = True,
) -> Attention:
    """Every head's attention pattern, plain and value-weighted, as an `Attention`.

    layers: which layers, None for all. value_weighted: also the pattern times ‖v W_O‖, the norm of
    what a head moves from source to destination, so that attention which rests on a token and moves
    nothing counts as little. Under grouped queries a head uses the value of its group; where a norm
    follows the attention output (Gemma 2, OLMo 2) what is moved goes through that norm, held at the
    scale it has in this run.

    One pass reads all of it; it holds batch × layer × head × pos² numbers, twice with
    value_weighted. A batch of prompts is padded at the end of shorter ones.

    Raises `ValueError` for a layer that the model does not have, and where its pattern cannot be
    read on this backend.

    Source: Kobayashi et al., "Attention is Not Only a Weight: Analyzing Transformers with Vector
    Norms" (2020), whose ‖αf(x)‖ is the value-weighted pattern.
    """
    spec = model.spec
    chosen = _layers(spec, layers)
    streams = ("pattern", "v") if value_weighted else ("pattern",)
    if missing := [stream for stream in streams if stream not in spec.streams]:
        raise ValueError(
            f"attention reads {' and '.join(streams)}; {spec.architecture} has no {missing[0]} on "
            f"the {spec.backend} backend. Load the model with the other backend."
        )
    if value_weighted:
        spec.check_sums("heads")
    tokens = model.tokens(prompts)
    read = [Site(stream, layer) for layer in chosen for stream in streams]
    if value_weighted:
        normed = [layer for layer in chosen if model.norm("ln1_post", layer) is not None]
        read += [Site("z", layer) for layer in normed]
    with torch.no_grad():
        run = model.run(tokens, read=sorted(read), logits_at=(), stop_after=max(chosen))
        plain = [run[Site("pattern", layer)].float() for layer in chosen]
        weighted = None
        if value_weighted:
            weighted = [
                pattern * _moved(model, run, layer)
                for pattern, layer in zip(plain, chosen, strict=True)
            ]
    columns = [tokens.columns(row) for row in range(tokens.n_rows)]

    def padded(each: list[torch.Tensor] | None) -> np.ndarray | None:
        if each is None:
            return None
        stacked = torch.stack(each, 1).cpu().numpy()
        n = max(map(len, columns))
        out = np.full((*stacked.shape[:3], n, n), np.nan, np.float32)
        for row, at in enumerate(columns):
            out[row, ..., : len(at), : len(at)] = stacked[row][..., at, :][..., at]
        return out

    ids = np.full((tokens.n_rows, max(map(len, columns))), -1, np.int32)
    for row, at in enumerate(columns):
        ids[row, : len(at)] = tokens.ids[row, at].cpu().numpy()
    pattern = padded(plain)
    assert pattern is not None
    return Attention(
        **provenance(model, tokens),
        layers=np.array(chosen, np.int32),
        token_ids=ids,
        pattern=pattern,
        value_weighted=padded(weighted),
    )


def _layers(spec: ModelSpec, layers: int | Sequence[int] | None) -> list[int]:
    if layers is None:
        return list(spec.layers("pattern")) or [0]
    return sorted(different("layers", layers, spec.n_layers, "Leave it out to read them all."))


def _moved(model: Model, run: Run, layer: int) -> torch.Tensor:
    """(batch, head, dst, src): the norm of what a weight of 1 would add to the residual stream.

    dst has length 1 where the destination makes no difference.
    """
    w_o = model.weight("W_O", layer, copy=False).float()
    norm = model.norm("ln1_post", layer)
    scale = None
    if norm is not None:
        z = run[Site("z", layer)].float()
        summed = torch.einsum("bphd,hdm->bpm", z, w_o) + model.weight("b_O", layer).float()
        scale = norm.scale(summed)[..., 0]
        # The norm is linear once its scale is held: it centres and weighs each head's output alone.
        w_o = norm.center(w_o) * norm.weight.float()
    w_o = w_o * model.spec.residual_multiplier
    v = run[Site("v", layer)].float()
    # Query heads of one group lie side by side and share their key/value head.
    group = w_o.shape[0] // v.shape[2]
    # Head by head: all of them at once would hold (batch, pos, head, d_model).
    norms = [(v[:, :, head // group] @ w_o[head]).norm(dim=-1) for head in range(w_o.shape[0])]
    by_source = torch.stack(norms, 1)[:, :, None, :]
    return by_source if scale is None else by_source / scale[:, None, :, None]


def _looked_at(ids: np.ndarray) -> dict[str, np.ndarray]:
    """For each score the (dst, src) pairs that count; destinations without any do not."""
    n = len(ids)
    dst, src = np.arange(n)[:, None], np.arange(n)[None, :]
    same = ids[:, None] == ids[None, :]
    followed = np.zeros((n, n), bool)
    followed[:, 1:] = same[:, :-1]
    return {
        "first_token": (src == 0) & (dst > 0),
        "previous_token": src == dst - 1,
        "self": (src == dst) & (dst > 0),
        "duplicate_token": same & (src < dst),
        "induction": followed & (src < dst),
    }
