"""What is read of a model cannot write into it: weights, norms, sizes; `live_weight` can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.backends.weights import BLOCK_NORMS, GLOBAL, HEADED, LAYERED

from .conftest import BACKENDS

#: Separate and joint projections, tied and untied embeddings, transposed weights, all norms.
NAMES = ("gpt2", "gpt_neox", "bloom", "opt", "llama", "gemma2", "phi")


def parameters(model: Any) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def readings(model: Any) -> dict[str, Callable[[], Any]]:
    """Every way in which weights and norms are read, by name."""
    out: dict[str, Callable[[], Any]] = {}
    places = [(name, None, None) for name in (*GLOBAL, *LAYERED)]
    places += [(name, 1, None) for name in LAYERED] + [(name, 1, 1) for name in HEADED]
    for name, layer, head in places:
        out[f"{name} {layer} {head}"] = lambda n=name, at=layer, h=head: model.weight(n, at, h)
    for name in BLOCK_NORMS:
        out[name] = lambda n=name: model.norm(n, 1)
    return out | {"ln_final": lambda: model.norm("ln_final")}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_writing_into_what_was_read_changes_no_model(
    name: str, backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    model = zoo_model(name, backend)
    plain, before, n = model.run(prompts).logits, parameters(model), 0
    for read in readings(model).values():
        try:
            found = read()
        except ValueError:
            continue  # this model has no such weight
        if found is None:
            continue
        parts = [found] if isinstance(found, torch.Tensor) else [found.weight, found.bias]
        kept = [part.clone() for part in parts]
        for part in parts:
            part /= part.norm() + 2
            part[..., 0] = 7.0
        again = read()
        parts = [again] if isinstance(again, torch.Tensor) else [again.weight, again.bias]
        assert all(torch.equal(a, b) for a, b in zip(kept, parts, strict=True))
        n += 1
    assert n > 20
    assert all(torch.equal(a, b) for a, b in zip(parameters(model), before, strict=True))
    assert torch.equal(model.run(prompts).logits, plain)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_copy_the_numbers_are_the_same_and_cost_nothing(
    backend: str, zoo_model: Callable[..., Any]
) -> None:
    model = zoo_model("llama", backend)
    for name in ("W_E", "W_U", "W_O", "W_in"):
        layer = None if name in GLOBAL else 1
        shared = model.weight(name, layer, copy=False)
        assert torch.equal(shared, model.weight(name, layer))
        assert shared.data_ptr() == model.weight(name, layer, copy=False).data_ptr()
        assert shared.data_ptr() != model.weight(name, layer).data_ptr()
        assert shared.data_ptr() == model.live_weight(name, layer, tied=True).data_ptr()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_copy_to_train_and_tokens_are_memory_of_their_own(
    backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    model = zoo_model("gpt2", backend)
    plain = model.run(prompts).logits
    for tensor in [*(copy := model.to_hugging_face()).parameters(), *copy.buffers()]:
        tensor.data.fill_(1)
    ids = model.tokens(prompts).ids
    ids.fill_(9)
    run = model.run(prompts)
    run.logits.fill_(7.0)
    run.tokens.ids.fill_(9)
    assert torch.equal(model.run(prompts).logits, plain)
    with pytest.raises(AttributeError):
        model.spec.n_layers = 9
    with pytest.raises(TypeError):
        model.spec.streams[0] = "z"
