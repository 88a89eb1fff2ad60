"""What the tests of feature circuits share: dictionaries of a tiny model, and its plain passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from tests.parity import zoo
from tests.parity.plain import Plain
from tests.unit import lens_models
from tests.unit.circuit_models import WORDS
from tests.unit.random_dictionaries import dictionary
from workbench.dictionary.base import Dictionary
from workbench.dictionary.collection import Dictionaries
from workbench.dictionary.normalization import Normalization
from workbench.tasks import TaskBatch

BACKENDS = ("nnsight", "transformer_lens")
#: Attention before the MLP with learned positions, and both in parallel with rotary ones.
NAMES = ("gpt2", "gpt_neox")
KINDS = ("counterfactual", "mean", "mean-position", "zero")
WIDTH, N = 32, 12
CLOSE: dict[str, Any] = {"rtol": 2e-3, "atol": 2e-5}

#: What a node carries: codes (pos, feature) and error (pos, d_out).
Carried = tuple[torch.Tensor, torch.Tensor]


def made(kind: str, site: str, seed: int, width: int = WIDTH, **parts: Any) -> Dictionary:
    return dictionary(kind, d_in=width, n=N, seed=seed, site=site, model="", **parts)


@cache
def dicts(width: int = WIDTH) -> Dictionaries:
    """Of two layers: several kinds, every normalisation, and a transcoder with a skip."""
    skip = 0.1 * torch.randn(width, width, generator=torch.Generator().manual_seed(9))
    transcoder = replace(made("relu", "L1.mlp_in", 3, width), out_site="L1.mlp_out", W_skip=skip)
    ways = {
        "L0.resid_post": Normalization(scale="layer_norm"),
        "L0.mlp_out": Normalization(scale="factor", factor=0.7),
        "L1.resid_post": Normalization(center=True),
    }
    kinds = {"L0.attn_out": "relu", "L0.mlp_out": "topk", "L0.resid_post": "relu"}
    kinds |= {"L1.attn_out": "linear", "L1.resid_post": "jumprelu"}
    each = [
        made(kind, site, i, width, normalization=ways.get(site, Normalization()))
        for i, (site, kind) in enumerate(kinds.items())
    ]
    return Dictionaries([*each, transcoder])


def model(name: str = "gpt2", backend: str = "nnsight", dtype: str = "float32") -> Any:
    return lens_models.zoo_model(name, backend, dtype)


@cache
def batch(name: str = "gpt2") -> TaskBatch:
    """Pairs of five and three tokens."""
    return WORDS.on(model(name))


@cache
def plain(name: str) -> Plain:
    return Plain(name, zoo.hf_model(name), WIDTH // zoo.HEADS)


def plain_pass(
    name: str,
    ids: torch.Tensor,
    change: Mapping[str, Callable[..., torch.Tensor]] | None = None,
    held: frozenset[str] = frozenset(),
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits of one prompt, and every stream by name, in one graph.

    change: by site, what is put in place, from the value and what was seen before. held: sites
    through which nothing flows back.
    """
    seen: dict[str, torch.Tensor] = {}

    def meet(stream: str, layer: int, value: torch.Tensor) -> torch.Tensor:
        site = f"L{layer}.{stream}"
        if change and site in change:
            value = change[site](value, seen)
        if site in held or not value.requires_grad:
            value = value.detach().requires_grad_()
        seen[site] = value
        return value

    hooks = plain(name)._hooks(meet, ids[None].shape)
    with torch.enable_grad(), ExitStack() as stack:
        for hook in hooks:
            stack.enter_context(hook)
        logits = plain(name).model(input_ids=ids[None], use_cache=False).logits
    return logits, seen


def metric(task: TaskBatch, row: int, logits: torch.Tensor) -> torch.Tensor:
    """The logit difference after the last token, written out."""
    answer, foil = int(task.answer_ids[row, 0]), int(task.foil_ids[row, 0])
    return logits[0, -1, answer] - logits[0, -1, foil]


def ids_of(task: TaskBatch, row: int, kind: str = "clean") -> torch.Tensor:
    """The tokens of one prompt, without padding."""
    tokens = getattr(task, kind)
    return tokens.ids[row][tokens.mask[row]]


def carried(made: Dictionary, seen: Mapping[str, torch.Tensor]) -> Carried:
    """The codes of a dictionary and its error in a plain pass."""
    x = seen[str(made.site)]
    codes = made.encode(x)
    return codes[0], (seen[str(made.out_site)] - made.decode(codes, x))[0]


def reference(
    name: str, made: Dictionary, row: int, kind: str, task: TaskBatch | None = None
) -> Carried:
    """What the nodes of a site carry when they are taken away from one prompt, by the words."""
    task = task or batch(name)

    def of(i: int, which: str = "clean") -> Carried:
        codes, error = carried(made, plain_pass(name, ids_of(task, i, which))[1])
        return codes.detach(), error.detach()

    codes, error = of(row)
    if kind == "zero":
        return torch.zeros_like(codes), torch.zeros_like(error)
    if kind == "counterfactual":
        return of(row, "corrupt")
    every = [of(i) for i in range(len(task))]
    alike = [each for each in every if len(each[0]) == len(codes)]
    if kind == "mean-position" and len(alike) > 1:
        return (
            torch.stack([c for c, _ in alike]).mean(0),
            torch.stack([e for _, e in alike]).mean(0),
        )
    means = (torch.cat([each[i] for each in every]).mean(0) for i in (0, 1))
    first, second = means
    return first.expand_as(codes), second.expand_as(error)


def kept_pass(
    name: str,
    each: Dictionaries,
    kept: Mapping[str, np.ndarray],
    kind: str,
    row: int,
    task: TaskBatch | None = None,
) -> float:
    """The metric of one prompt with the nodes outside `kept` at their reference, site by site."""

    def put(site: str) -> Callable[..., torch.Tensor]:
        own, mask = each[site], torch.as_tensor(kept[site])
        away = reference(name, own, row, kind, task)

        def change(value: torch.Tensor, seen: Mapping[str, torch.Tensor]) -> torch.Tensor:
            x = seen[str(own.site)] if own.is_transcoder else value
            codes = own.encode(x)
            error = value - own.decode(codes, x) if mask[-1] else away[1]
            return own.decode(torch.where(mask[:-1], codes, away[0]), x) + error

        return change

    changes = {str(site): put(str(site)) for site in each}
    logits, _ = plain_pass(name, ids_of(batch(name), row), changes)
    return metric(batch(name), row, logits).item()
