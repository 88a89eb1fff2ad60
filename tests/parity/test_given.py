"""The traced model computes what the given one does, or loading says that it does not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.loading import load

from . import zoo
from .conftest import BACKENDS

PROBE = [[5, 17, 30, 44], [9, 3, 28, 51]]


def gpt2(**settings: Any) -> Any:
    model = zoo.hf_model("gpt2")
    config = copy.deepcopy(model.config)
    for name, value in settings.items():
        setattr(config, name, value)
    changed = type(model)(config).eval()
    changed.load_state_dict(model.state_dict())
    return changed


def with_a_norm(make: Callable[[Any], torch.nn.Module]) -> Any:
    model = gpt2()
    block = model.transformer.h[1]
    block.ln_2 = make(block.ln_2)
    return model


def another_epsilon(norm: Any) -> torch.nn.Module:
    norm.eps = 0.5
    return norm


def hooked(path: str) -> Any:
    model = gpt2()

    def halve(module: Any, args: Any, output: Any) -> Any:
        return (output[0] / 2, *output[1:]) if isinstance(output, tuple) else output / 2

    model.get_submodule(path).register_forward_hook(halve)
    return model


def own_attention() -> Any:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask
    from transformers.models.gpt2.modeling_gpt2 import eager_attention_forward

    def flat(module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any) -> Any:
        return eager_attention_forward(module, query * 0.25, key, value, mask, **options)

    AttentionInterface.register("flat", flat)
    # Without one of its own it would look at later tokens too.
    AttentionMaskInterface.register("flat", eager_mask)
    model = gpt2()
    model.set_attn_implementation("flat")
    return model


CHANGED: dict[str, Callable[[], Any]] = {
    "unscaled": lambda: gpt2(scale_attn_weights=False),
    "scaled by layer": lambda: gpt2(scale_attn_by_inverse_layer_idx=True),
    "another activation": lambda: gpt2(activation_function="relu"),
    "one norm's epsilon": lambda: with_a_norm(another_epsilon),
    "a norm replaced": lambda: with_a_norm(lambda norm: torch.nn.RMSNorm(zoo.WIDTH)),
    "a hook on attention": lambda: hooked("transformer.h.0.attn"),
    "a hook on a projection": lambda: hooked("transformer.h.1.attn.c_attn"),
    "a hook on the MLP": lambda: hooked("transformer.h.1.mlp.c_fc"),
    "an attention function": own_attention,
}


def plain_logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor(PROBE)).logits


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("change", CHANGED)
def test_a_changed_model_is_traced_as_it_is_or_refused_in_words(change, backend):
    given = CHANGED[change]()
    expected = plain_logits(given)
    # Else the case could not fail.
    assert not torch.allclose(expected, plain_logits(gpt2()), atol=1e-2)
    try:
        model = load(given, tokenizer=zoo.tokenizer(), backend=backend)
    except ValueError as error:
        text = str(error)
        assert "GPT2LMHeadModel" in text and "Load it with the other backend" in text
        assert "are off by" in text
        return
    torch.testing.assert_close(model.run(PROBE).logits, expected, atol=1e-4, rtol=1e-4)
    assert model.spec.compared


@pytest.mark.parametrize("change", CHANGED)
def test_one_backend_at_least_traces_each_of_them(change):
    # An attention function of one's own is neither backend's; it is asked for by its name.
    options = {"attention": "flat"} if change == "an attention function" else {}
    model = load(CHANGED[change](), tokenizer=zoo.tokenizer(), backend="nnsight", **options)
    torch.testing.assert_close(
        model.run(PROBE).logits, plain_logits(CHANGED[change]()), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_every_implementation_of_attention_gives_the_given_logits(attention, backend, tmp_path):
    folder = zoo.save("llama", tmp_path)
    model = load(folder, backend=backend, attention=attention, device="cpu")
    torch.testing.assert_close(
        model.run(PROBE).logits, plain_logits(zoo.hf_model("llama")), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_is_compared_within_its_bounds(backend, tmp_path):
    folder = zoo.save("llama", tmp_path)
    assert load(folder, backend=backend, dtype="bfloat16", device="cpu").spec.compared
    unscaled = gpt2(scale_attn_weights=False).to(torch.bfloat16)
    if backend == "transformer_lens":
        with pytest.raises(ValueError, match="are off by"):
            load(unscaled, tokenizer=zoo.tokenizer(), backend=backend)


def test_what_is_on_a_server_says_that_it_was_not_compared(zoo_folder):
    model = load(zoo_folder("gpt2"), remote=True)
    assert not model.spec.compared
    assert "not compared" in repr(model)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_that_gives_nan_is_not_blamed_on_the_backend(backend):
    model = gpt2()
    model.transformer.h[1].mlp.c_fc.bias.data[3] = float("nan")
    with pytest.raises(ValueError, match=r"logits of .* are NaN .* before anything traces it"):
        load(model, tokenizer=zoo.tokenizer(), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens_that_a_model_rules_out_are_no_difference(backend):
    from torch.nn import Linear

    model = gpt2()
    head = model.lm_head = Linear(zoo.WIDTH, zoo.N_WORDS)
    head.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    head.bias.data.zero_()[7] = float("-inf")
    traced = load(model, tokenizer=zoo.tokenizer(), backend=backend)
    torch.testing.assert_close(traced.run(PROBE).logits, plain_logits(model), atol=1e-4, rtol=1e-4)


def test_a_model_in_memory_whose_weights_are_only_shapes_is_refused():
    with pytest.raises(ValueError, match="has its weights there; some of this one are on the meta"):
        load(gpt2().to("meta"), tokenizer=zoo.tokenizer())
