"""Weights by TransformerLens's names compute what the model computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from .zoo import CONFIGS


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
@pytest.mark.parametrize("name", CONFIGS)
def test_z_through_the_output_weights_is_what_attention_adds(name, backend, zoo_model, prompts):
    model = zoo_model(name, backend)
    run = model.run(prompts, read=["L1.z", "L1.mlp_post", "L1.attn_out", "L1.mlp_out"])
    made = torch.einsum("bphd,hdm->bpm", run["L1.z"], model.weight("W_O", 1))
    made = made + model.weight("b_O", 1)
    mlp = run["L1.mlp_post"] @ model.weight("W_out", 1) + model.weight("b_out", 1)
    if model.architecture.has("ln1_post", 1):
        made = model.module(model.architecture.path("ln1_post", 1))(made)
        mlp = model.module(model.architecture.path("ln2_post", 1))(mlp)
    torch.testing.assert_close(made, run["L1.attn_out"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mlp, run["L1.mlp_out"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "bloom", "llama", "phi"])
def test_queries_keys_and_values_come_from_their_weights(name, zoo_model, prompts):
    model = zoo_model(name, "nnsight")
    run = model.run(prompts, read=["L1.resid_pre", "L1.q", "L1.k", "L1.v"])
    x = model.module(model.architecture.path("ln1", 1))(run["L1.resid_pre"])
    for letter in "qkv":
        w, b = model.weight(f"W_{letter.upper()}", 1), model.weight(f"b_{letter.upper()}", 1)
        made = torch.einsum("bpm,hmd->bphd", x, w) + b
        torch.testing.assert_close(made, run[f"L1.{letter}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "gptj", "opt", "llama"])
def test_embedding_and_unembedding_are_rows_and_columns_of_tokens(name, zoo_model, prompts):
    model = zoo_model(name, "nnsight")
    run = model.run(prompts, read=["embed", "ln_final"])
    ids = torch.tensor(prompts)
    torch.testing.assert_close(model.weight("W_E")[ids], run["embed"])
    logits = run["ln_final"] @ model.weight("W_U") + model.weight("b_U")
    torch.testing.assert_close(logits, run.logits, atol=1e-5, rtol=1e-5)


def test_both_backends_give_the_same_weights_with_and_without_a_head(zoo_model):
    one, two = zoo_model("llama", "nnsight"), zoo_model("llama", "transformer_lens")
    for name in ("W_Q", "W_K", "W_O", "W_in", "W_gate", "b_O", "W_E"):
        layer = None if name == "W_E" else 1
        assert torch.equal(one.weight(name, layer), two.weight(name, layer))
    assert torch.equal(one.weight("W_K", 1, 1), one.weight("W_K", 1)[1])
    assert torch.equal(one.weight("W_in")[1], one.weight("W_in", 1))
    assert one.weight("W_Q").shape == (2, 4, 32, 8)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("W_X",), r"A weight is one of W_E, .*; got 'W_X'"),
        (("W_E", 1), r"W_E belongs to the whole model; leave layer and head out"),
        (("W_in", 1, 2), r"W_in has no heads; leave head out"),
        (("W_Q", 5), r"has layers 0 to 1; got layer 5"),
        (("W_K", 1, 2), r"W_K of llama has heads 0 to 1; got head 2"),
        (("W_pos",), r"LlamaForCausalLM has no W_pos: its positions are not embedded by a table"),
    ],
)
def test_a_weight_that_is_not_there_says_what_is(arguments, text, zoo_model):
    with pytest.raises(ValueError, match=text):
        zoo_model("llama", "nnsight").weight(*arguments)


def test_a_model_without_a_gate_says_so(zoo_model):
    with pytest.raises(ValueError, match=r"GPT2LMHeadModel has no W_gate: its MLP has no gate"):
        zoo_model("gpt2", "nnsight").weight("W_gate", 0)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_unembedding_the_last_residual_gives_the_models_own_logits(
    name, backend, zoo_model, prompts
):
    model = zoo_model(name, backend)
    run = model.run(prompts, read="L1.resid_post")
    torch.testing.assert_close(
        model.unembed(run["L1.resid_post"]), run.logits, atol=1e-5, rtol=1e-5
    )
    with pytest.raises(ValueError, match=r"resid is vectors of width 32; got a Tensor of shape"):
        model.unembed(torch.zeros(2, 5))


def _loaded_with(change, backend="nnsight"):
    """A Llama whose MLP's last projection has something around it."""
    from workbench.loading import load

    from . import zoo

    model = zoo.hf_model("llama")
    change(model.model.layers[1].mlp)
    return load(model, tokenizer=zoo.tokenizer(), backend=backend)


def _parametrized(mlp):
    from torch.nn.utils import parametrize

    class Doubled(torch.nn.Module):
        def forward(self, weight):
            return 2 * weight

    parametrize.register_parametrization(mlp.down_proj, "weight", Doubled())


def _normed(mlp):
    torch.nn.utils.parametrizations.weight_norm(mlp.down_proj)
    with torch.no_grad():
        mlp.down_proj.parametrizations.weight.original0 *= 3


class _Adapted(torch.nn.Linear):
    """What an adapter library puts in the place of a projection: W x + B (A x)."""

    def __init__(self, base):
        super().__init__(base.in_features, base.out_features, bias=False)
        self.weight = base.weight
        generator = torch.Generator().manual_seed(3)
        self.A = torch.nn.Parameter(torch.randn(2, base.in_features, generator=generator))
        self.B = torch.nn.Parameter(torch.randn(base.out_features, 2, generator=generator))

    def forward(self, x):
        return super().forward(x) + x @ self.A.T @ self.B.T


class _Scaled(torch.nn.Linear):
    def __init__(self, base):
        super().__init__(base.in_features, base.out_features)
        self.weight = base.weight

    def forward(self, x):
        return 0.5 * super().forward(x)


class _Rounded(torch.nn.Linear):
    """Activations in few steps, as in quantised layers: no product with any matrix."""

    def __init__(self, base):
        super().__init__(base.in_features, base.out_features, bias=False)
        self.weight = base.weight

    def forward(self, x):
        step = x.abs().max() / 3
        return super().forward((x / step).round() * step)


def _put(kind):
    def change(mlp):
        mlp.down_proj = kind(mlp.down_proj)

    return change


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
@pytest.mark.parametrize(
    "change",
    [_parametrized, _normed, _put(_Adapted), _put(_Scaled)],
    ids=["parametrised", "weight norm", "adapter", "scaled"],
)
def test_a_weight_with_something_around_it_is_what_multiplies(change, backend, prompts):
    model: Any = _loaded_with(change, backend)
    run = model.run(prompts, read=["L1.mlp_post", "L1.mlp_out"])
    made = run["L1.mlp_post"] @ model.weight("W_out", 1) + model.weight("b_out", 1)
    torch.testing.assert_close(made, run["L1.mlp_out"], atol=1e-4, rtol=1e-4)
    stored = [p for n, p in model.module("").named_parameters() if "layers.1.mlp.down_proj" in n]
    assert not any(torch.equal(model.weight("W_out", 1), p.T) for p in stored)
    with pytest.raises(ValueError, match="A weight that is written is one the model has"):
        model.live_weight("W_out", 1)


def test_what_is_no_product_with_a_matrix_has_no_weight():
    model = _loaded_with(_put(_Rounded))
    with pytest.raises(ValueError, match=r"layers.1.mlp.down_proj of .*, a _Rounded, does is no"):
        model.weight("W_out", 1)
    assert model.weight("W_out", 0).shape == (48, 32)
    # Nothing that rests on it gives a number.
    assert "down_proj" in model.spec.undecomposed["neurons"]
