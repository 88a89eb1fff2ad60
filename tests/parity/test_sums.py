"""Sums that decompositions rest on: held on every layer, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import workbench as wb
from tests.patchings import patch
from workbench.loading import load

from . import zoo
from .conftest import BACKENDS

PAIR = {
    "clean": "w5 w17 w30 w44",
    "corrupt": "w9 w3 w28 w51",
    "answers": [" w7"],
    "foils": [" w8"],
}


def with_layer(change: Callable[[Any], None], name: str = "llama", layer: int = 0) -> Any:
    """A model of which one layer is changed; the last is as it was."""
    model = zoo.hf_model(name)
    change(model.model.layers[layer])
    return model


def doubled_projection(layer: Any) -> None:
    """What attention adds is no longer what its projection gives."""

    def double(module: Any, args: Any, output: Any) -> Any:
        return (2 * output[0], *output[1:])

    layer.self_attn.register_forward_hook(double)


class Squashed(torch.nn.Linear):
    """A projection that something follows, so that its weight alone is not what it does."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input).tanh()


def squashed(path: str) -> Callable[[Any], None]:
    def change(layer: Any) -> None:
        layer.get_submodule(path).__class__ = Squashed

    return change


CHANGES = {
    "stream": doubled_projection,
    "heads": squashed("self_attn.o_proj"),
    "neurons": squashed("mlp.down_proj"),
    "readers": squashed("self_attn.q_proj"),
}


def task() -> Any:
    return wb.task([PAIR])


REFUSED: dict[str, tuple[Callable[[Any], object], ...]] = {
    "stream": (
        lambda m: wb.attribute(m, task(), over="nodes"),
        lambda m: wb.direct_logit_attribution(m, "w5 w17 w30", " w7"),
        lambda m: wb.find_circuit(m, task(), n_edges=3),
        lambda m: wb.circuits.path_patch(m, task(), sender="L0H0", receivers="logits"),
        lambda m: wb.information.graph(m, "w5 w17 w30"),
        lambda m: wb.ablate(m, task(), ["L0H1"]),
    ),
    "heads": (
        lambda m: wb.logit_lens(m, "w5 w17 w30", sites="z"),
        lambda m: wb.attention(m, "w5 w17 w30"),
        lambda m: wb.vocabulary.heads(m, "L0H1"),
        lambda m: wb.attribute(m, task(), over="nodes"),
        lambda m: wb.direct_logit_attribution(m, "w5 w17 w30", " w7"),
    ),
    "neurons": (
        lambda m: wb.vocabulary.neurons(m),
        lambda m: wb.information.graph(m, "w5 w17 w30"),
    ),
    "readers": (
        lambda m: wb.attribute(m, task(), over="edges"),
        lambda m: wb.find_circuit(m, task(), n_edges=3),
        lambda m: wb.information.graph(m, "w5 w17 w30"),
    ),
}


@pytest.mark.parametrize("layer", range(zoo.LAYERS))
@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.filterwarnings("ignore:.*outside its attention")
def test_a_sum_that_one_layer_breaks_is_refused_by_every_method_that_rests_on_it(kind, layer):
    model = load(with_layer(CHANGES[kind], layer=layer), tokenizer=zoo.tokenizer())
    assert kind in model.spec.undecomposed
    for call in REFUSED[kind]:
        with pytest.raises(ValueError, match="LlamaForCausalLM") as caught:
            call(model)
        assert f"layer {layer}" in str(caught.value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", zoo.CONFIGS)
def test_the_models_that_everything_is_tested_on_are_sums_of_their_parts(name, backend, zoo_model):
    assert dict(zoo_model(name, backend).spec.undecomposed) == {}


@pytest.mark.filterwarnings("ignore:.*outside its attention")
def test_what_does_not_rest_on_a_broken_sum_goes_on():
    model = load(with_layer(doubled_projection), tokenizer=zoo.tokenizer())
    assert "attn_out" not in model.spec.streams
    assert wb.logit_lens(model, "w5 w17 w30").to_frame().notna().all().all()
    assert patch(model, task()).patched.shape[1] == zoo.LAYERS


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_model_writes_into_later_is_read_as_it_was(backend, tmp_path):
    # Falcon adds its attention output to its MLP's in place.
    model = load(zoo.save("falcon_7b", tmp_path), backend=backend, device="cpu")
    sites = ["L0.resid_pre", "L0.attn_out", "L0.mlp_out", "L0.resid_post"]
    run = model.run([[5, 17, 30, 44]], read=sites, grad_of=lambda logits: logits[:, -1, 7].square())
    pre, attention, mlp, post = (run[site] for site in sites)
    torch.testing.assert_close(pre + attention + mlp, post, atol=1e-5, rtol=1e-5)
    # Both are added to the same stream, so that their gradients are equal.
    torch.testing.assert_close(run.grad("L0.mlp_out"), run.grad("L0.attn_out"))
    torch.testing.assert_close(run.grad("L0.mlp_out"), run.grad("L0.resid_post"))
