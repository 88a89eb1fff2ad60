"""Unlearning: train a copy of a model to lose some answers and to keep the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tqdm.auto import tqdm

from ..check import Count, Positive, Seed, checked
from ..loading import load
from ..model import Model
from .lessons import Lessons, Material, train

#: Which weights each choice trains, by the names of `Model.weight`.
WEIGHTS: dict[str, tuple[str, ...]] = {
    "all": (),
    "mlp": ("W_in", "W_gate", "W_out", "b_in", "b_gate", "b_out"),
    "attention": ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O"),
}


@checked
def unlearn(
    model: Model,
    forget: Material,
    retain: Material,
    *,
    steps: Count = 20,
    learning_rate: Positive = 1e-4,
    batch_size: Count = 16,
    retain_weight: Positive = 1.0,
    ceiling: float | None = None,
    weights: str = "all",
    seed: Seed = 0,
    name: str | None = None,
    progress: bool = True,
) -> Model:
    """A copy of the model that was trained to lose what is in `forget`, as a new `Model`.

        after = wb.weights.unlearn(model, wb.task("capitals"), ["The dog is a mammal."])

    Each step goes up the loss of a batch of `forget` and down that of a batch of `retain` (AdamW
    without dropout or weight decay, in float32, gradients clipped to a norm of 1). Both are texts,
    of which every token counts, or a task or prompts with an answer each, of which the answer
    alone does. retain_weight: of the loss that is kept low. ceiling: a batch of `forget` whose
    loss is above it, in nats, is left alone, since an ascent without end ruins the rest; None for
    no ceiling, as in the source; log(d_vocab) is a blind guess. weights: "all", "mlp", "attention".
    name: None for the old one and "unlearned". It runs on the same backend, device and dtype; the
    same seed gives the same model, and the one that is given stays as it is, bit for bit.

    Raises `ValueError` for nothing to forget or retain, for numbers out of range, and for weights
    that are on a server or quantised; `RuntimeError` where the training diverges.

    Source: gradient difference, Liu et al. 2022, "Continual Learning and Private Unlearning", as a
    baseline in Maini et al. 2024, "TOFU", section 3.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights is one of {tuple(WEIGHTS)}; got {weights!r}.")
    if ceiling is not None and not ceiling > 0:
        raise ValueError(f"ceiling is a loss above 0, in nats, or None; got {ceiling!r}.")
    lessons = [
        (Lessons.of(model, forget, of="forget"), -1.0),
        (Lessons.of(model, retain, of="retain"), float(retain_weight)),
    ]
    copied, dtypes = trainable(model)
    for _ in _shown(
        train(
            copied,
            lessons,
            steps=steps,
            learning_rate=learning_rate,
            batch_size=batch_size,
            seed=seed,
            ceiling=float("inf") if ceiling is None else ceiling,
            parameters=_parameters(copied, model, weights),
        ),
        steps,
        progress,
    ):
        pass
    return loaded(copied, dtypes, model, name or f"{model.spec.name} unlearned")


def trainable(model: Model) -> tuple[Any, dict[str, torch.dtype]]:
    """A copy in float32 to be trained, and the dtypes that its parameters had."""
    copied = model.to_hugging_face()
    dtypes = {name: parameter.dtype for name, parameter in copied.named_parameters()}
    for parameter in copied.parameters():
        # Steps this small are lost in half precision.
        if parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()
    return copied, dtypes


def loaded(copied: Any, dtypes: dict[str, torch.dtype], like: Model, name: str) -> Model:
    """The trained copy as a model, in the precision and on the backend of another."""
    for key, parameter in copied.named_parameters():
        parameter.data = parameter.data.to(dtypes[key])
    copied.zero_grad(set_to_none=True)
    copied.requires_grad_(False)
    return load(copied, tokenizer=like.tokenizer, name=name, backend=like.spec.backend)


def _parameters(copied: Any, model: Model, weights: str) -> list[torch.nn.Parameter] | None:
    """The copy's parameters of the named kind; None for all."""
    if weights == "all":
        return None
    # By where they lie in memory: a model over the copy knows which weight is which.
    seen = load(copied, tokenizer=model.tokenizer)
    places = set()
    for layer in range(model.spec.n_layers):
        for name in WEIGHTS[weights]:
            try:
                places.add(seen.live_weight(name, layer).data_ptr())
            except ValueError:  # a bias or gate that this architecture does not have
                continue
    return [
        parameter
        for parameter in copied.parameters()
        if any(0 <= at - parameter.data_ptr() < parameter.nbytes for at in places)
    ]


def _shown(turns: Iterable[list[float]], steps: int, progress: bool) -> Iterable[list[float]]:
    with tqdm(turns, total=steps, disable=not progress, leave=False) as bar:
        for losses in bar:
            bar.set_postfix(forget=f"{losses[0]:.2f}", retain=f"{losses[1]:.3f}", refresh=False)
            yield losses
