"""What one forward of the given model shows, before a backend wraps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Probe:
    """What the given model made of three tokens.

    ids: (1, pos). logits: (1, pos, d_vocab), None where its weights are only shapes. called_once:
    the paths of the modules that were called once.
    """

    ids: torch.Tensor
    logits: torch.Tensor | None
    called_once: frozenset[str]


def probe(hf_model: Any, name: str) -> Probe:
    """One forward of the model as it was given, and whether it is one that can be traced.

    Raises `ValueError` for a model that is no decoder of tokens, in one sentence.
    """
    kind = type(hf_model).__name__
    kind = kind if name == kind else f"{name} ({kind})"
    otherwise = "or trace it with nnsight directly."
    if getattr(hf_model.config, "is_encoder_decoder", False):
        raise ValueError(
            f"A model is a decoder alone; {kind} is a decoder beside an encoder, whose text it "
            f"reads. Load a causal language model, {otherwise}"
        )
    try:
        table: Any = hf_model.get_input_embeddings().weight
    except Exception:  # whatever a model raises that has no words
        table = None
    if table is None or table.ndim != 2:
        raise ValueError(
            f"A model reads tokens by a table of embeddings; {kind} has none. Load a causal "
            f"language model, {otherwise}"
        )
    calls: Counter[str] = Counter()

    def count(path: str) -> Callable[..., None]:
        return lambda module, args, output: calls.update([path])

    # Spread over the vocabulary, whose first and last tokens are often special or never trained.
    ids = torch.tensor([[1, 2, 3], [1, 2, 4]], device=table.device) * max(1, len(table) // 5)
    ids = ids % len(table)
    handles = [m.register_forward_hook(count(path)) for path, m in hf_model.named_modules()]
    try:
        with torch.no_grad():
            out = hf_model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    except Exception as error:  # whatever a model raises that is not made for tokens alone
        said = f"{str(error) or type(error).__name__}".splitlines()[0][:200]
        raise ValueError(
            f"A model gives logits for tokens; {kind} does not run on tokens alone: {said}. "
            f"Load a causal language model, {otherwise}"
        ) from None
    finally:
        for handle in handles:
            handle.remove()
    logits = getattr(out, "logits", None)
    if logits is None or logits.shape[:-1] != ids.shape or logits.shape[-1] < 2:
        raise ValueError(
            f"A model gives logits over its words at every token; {kind} does not. Load it under "
            f"its class for causal language modelling (…ForCausalLM), {otherwise}"
        )
    if not logits.is_meta and _differ(logits[0, :-1], logits[1, :-1]):
        raise ValueError(
            f"A model reads from left to right; in {kind} a later token changes what earlier ones "
            "give, as in an encoder. Load it as a decoder (is_decoder=True, where the "
            f"architecture is both), {otherwise}"
        )
    here = not any(parameter.is_meta for parameter in hf_model.parameters())
    once = frozenset(path for path, n in calls.items() if n == 1)
    return Probe(ids[:1], logits[:1] if here else None, once)


def _differ(first: Any, second: Any) -> bool:
    # Rows of one batch differ by rounding; in half precision by more.
    bound = 1e-4 if first.dtype in (torch.float32, torch.float64) else 3e-2
    size = float(first.float().abs().max().clamp(min=1e-3))
    return float((first.float() - second.float()).abs().max()) > bound * size
