"""What cannot be traced as a decoder of words is refused in one sentence, before anything wraps it.

And what looks unusual and is one: models without norms, of names nobody has an adapter for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from workbench.loading import load

from . import zoo

BACKENDS = ("nnsight", "transformer_lens")
_BERT = {**zoo._NEOX_LIKE, **zoo._IDS}


def make(kind: str, config: str, **options: Any) -> Callable[[], Any]:
    def build() -> Any:
        import transformers

        return getattr(transformers, kind)(getattr(transformers, config)(**options)).eval()

    return build


_BART = dict(
    vocab_size=60,
    d_model=32,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=48,
    decoder_ffn_dim=48,
    **zoo._IDS,
)
_SMALL = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2}
#: Name → how it is made and what is said of it.
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "BERT, both ways": (
        make("BertLMHeadModel", "BertConfig", **_BERT),
        "a later token changes what earlier ones give, as in an encoder. Load it as a decoder",
    ),
    "BERT, masked words": (
        make("BertForMaskedLM", "BertConfig", **_BERT),
        "BertForMaskedLM a later token changes",
    ),
    "a decoder told to look both ways": (
        make("Gemma3ForCausalLM", "Gemma3TextConfig", use_bidirectional_attention=True, **_BERT),
        "Gemma3ForCausalLM a later token changes",
    ),
    "BERT without a head": (
        make("BertModel", "BertConfig", **_BERT),
        "gives logits over its words at every token; BertModel does not. Load it under its class",
    ),
    "a classifier": (
        make("GPT2ForSequenceClassification", "GPT2Config", **zoo._GPT_LIKE, **zoo._IDS),
        "GPT2ForSequenceClassification does not. Load it under its class",
    ),
    "T5": (
        make(
            "T5ForConditionalGeneration",
            "T5Config",
            **{"vocab_size": 60, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1},
            num_heads=4,
        ),
        "T5ForConditionalGeneration is a decoder beside an encoder",
    ),
    "BART": (make("BartForConditionalGeneration", "BartConfig", **_BART), "beside an encoder"),
    "BART's decoder": (
        make("BartForCausalLM", "BartConfig", **_BART),
        "BartForCausalLM is none that it knows. Load another model",
    ),
    "an image model": (
        make(
            "ViTForImageClassification",
            "ViTConfig",
            **{"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4},
            **{"intermediate_size": 48, "image_size": 16, "patch_size": 8},
        ),
        "reads tokens by a table of embeddings; ViTForImageClassification has none",
    ),
    "Mamba": (
        make("MambaForCausalLM", "MambaConfig", state_size=4, **_SMALL),
        "stack of blocks with attention and an MLP; MambaForCausalLM has none with attention",
    ),
    "RWKV": (
        make("RwkvForCausalLM", "RwkvConfig", attention_hidden_size=32, **_SMALL),
        "RwkvForCausalLM has none with attention",
    ),
    "narrow embeddings": (
        make("OPTForCausalLM", "OPTConfig", **{**zoo.CONFIGS["opt"][1], "word_embed_proj_dim": 16}),
        "embeds its tokens at the width of its layers; OPTForCausalLM embeds them in narrower",
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_causal_decoder_gets_one_sentence(name: str, backend: str) -> None:
    build, text = REFUSED[name]
    model = build()
    hooks = sum(len(m._forward_hooks) for m in model.modules())
    with pytest.raises(ValueError, match=text) as error:
        load(model, tokenizer=zoo.tokenizer(), backend=backend)
    said = str(error.value)
    assert "\n" not in said and len(said) < 500 and type(model).__name__ in said
    # No page of a library's behind it.
    assert error.value.__cause__ is None
    assert error.value.__context__ is None or error.value.__suppress_context__
    assert sum(len(m._forward_hooks) for m in model.modules()) == hooks


def without_norms() -> Any:
    """One layer of attention alone on the residual stream itself, as in published toy models."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        **{**zoo._GPT_LIKE, "n_layer": 1},
        **zoo._IDS,
        activation_function="relu",
        tie_word_embeddings=False,
    )
    model: Any = GPT2LMHeadModel(config).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    for block in model.transformer.h:
        block.ln_1, block.ln_2 = torch.nn.Identity(), torch.nn.Identity()
        block.mlp.c_proj.weight.data.zero_()
        block.mlp.c_proj.bias.data.zero_()
    model.transformer.ln_f = torch.nn.Identity()
    return model


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_attention_only_model_without_norms_is_what_its_matrices_say(backend: str) -> None:
    import workbench as wb

    hf_model = without_norms()
    model = load(hf_model, tokenizer=zoo.tokenizer(), backend=backend)
    ids = [[5, 9, 12, 7, 30, 8]]
    # By hand, as a paper writes it: x + Σ_h softmax(mask(x W_Q (x W_K)ᵀ / √d)) x W_V W_O, W_U.
    w = {n: model.weight(n, 0) for n in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")}
    x = model.weight("W_E")[ids[0]] + model.weight("W_pos")[: len(ids[0])]
    q, k, v = (torch.einsum("pm,hmd->hpd", x, w[f"W_{s}"]) + w[f"b_{s}"][:, None] for s in "QKV")
    scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
    pattern = scores.masked_fill(torch.ones_like(scores).triu(1) == 1, -torch.inf).softmax(-1)
    z = torch.einsum("hds,hse->dhe", pattern, v)
    out = torch.einsum("dhe,hem->dm", z, w["W_O"]) + w["b_O"]
    run = model.run(ids, read=model.spec.sites)
    assert run.logits is not None
    torch.testing.assert_close(run["L0.pattern"][0], pattern, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(run["L0.z"][0], z, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(run.logits[0], (x + out) @ model.weight("W_U"), atol=1e-4, rtol=1e-4)
    assert not run["L0.mlp_out"].any() and not model.spec.undecomposed
    assert model.norm("ln1", 0) is None and model.norm("ln_final") is None

    # What methods make of it: contributions to a logit, edges, the lens and the flow of a pass.
    prompt = "w5 w9 w12 w7 w30 w8"
    parts = wb.direct_logit_attribution(model, prompt, " w3")
    at = float(run.logits[0, -1, 3])
    np.testing.assert_allclose(parts.contributions.sum(1).ravel()[-1], at, rtol=1e-4)
    task = wb.task(
        [{"clean": prompt, "corrupt": "w5 w40 w12 w9 w31 w8", "answers": " w3", "foils": " w4"}]
    )
    exact = wb.attribute(model, task, method="exact").scores
    plain = wb.attribute(model, task, method="eap").scores
    assert np.isfinite(exact).all() and exact.any() and plain.any()
    assert wb.logit_lens(model, prompt) is not None
    assert wb.information.graph(model, prompt) is not None


@pytest.mark.parametrize("shared", [False, True])
def test_norms_that_are_one_module_are_no_norms_either(shared: bool) -> None:
    hf_model = without_norms()
    if shared:
        identity = torch.nn.Identity()
        for block in hf_model.transformer.h:
            block.ln_1 = block.ln_2 = identity
        hf_model.transformer.ln_f = identity
    model = load(hf_model, tokenizer=zoo.tokenizer())
    # A module that is called three times is no place.
    assert ("ln_final" in model.spec.streams) is not shared
    with torch.no_grad():
        logits = without_norms()(torch.tensor([[5, 6, 7]])).logits
    torch.testing.assert_close(model.run([[5, 6, 7]]).logits, logits, atol=1e-5, rtol=1e-5)


def test_an_architecture_without_an_adapter_loads_by_llamas_names() -> None:
    """A class that nobody knows, as next month's release is one."""
    from transformers import LlamaConfig, LlamaForCausalLM

    class TomorrowForCausalLM(LlamaForCausalLM):
        pass

    torch.manual_seed(0)
    hf_model = TomorrowForCausalLM(LlamaConfig(**zoo._LLAMA_LIKE, **zoo._IDS)).eval()
    model = load(hf_model, tokenizer=zoo.tokenizer())
    assert model.spec.architecture == "TomorrowForCausalLM" and not model.spec.undecomposed
    with torch.no_grad():
        logits = hf_model(torch.tensor([[5, 6, 7]])).logits
    torch.testing.assert_close(model.run([[5, 6, 7]]).logits, logits, atol=1e-5, rtol=1e-5)
