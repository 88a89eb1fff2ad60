"""Direct logit attribution: the parts are right one by one, and sum to the logit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.parity.zoo import CONFIGS, tokenizer
from tests.unit.lens_models import PROMPT, words_model, zoo_model
from workbench import direct_logit_attribution
from workbench.lens import DirectLogitAttribution
from workbench.loading import load

IDS = [[5, 9, 7, 30, 41], [6, 8, 11]]
#: GPT-2-, Llama-, NeoX- and Gemma-2-like, and the other forms of norm, bias and parallel block.
ARCHITECTURES = ["gpt2", "llama", "gpt_neox", "gemma2", "gemma3", "olmo2", "bloom", "opt", "gptj"]


@pytest.mark.parametrize("heads", [True, False])
@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_parts_sum_to_the_models_logit(name: str, backend: str, heads: bool) -> None:
    model = zoo_model(name, backend)
    split = direct_logit_attribution(model, IDS, [5, 9], positions=None, heads=heads)
    logits = model.run(IDS).logits
    for b, ids in enumerate(IDS):
        n = len(ids)
        expected = logits[b, :n][:, [5, 9]].double()
        if split.soft_cap is not None:
            expected = split.soft_cap * torch.atanh(expected / split.soft_cap)
        total = split.contributions[b, :, :n].astype(np.float64).sum(0)
        # 2e-6 of logits that spread over about 10: what single precision can hold.
        np.testing.assert_allclose(total, expected, atol=1e-5)
        np.testing.assert_allclose(split.logits[b, :n], expected, atol=1e-5)
    spread = float(logits.max() - logits.min())
    assert np.nanmax(np.abs(split.error)) < 1e-6 * spread
    assert np.isnan(split.contributions[1, :, 3:]).all()


def test_the_backends_give_the_same_parts() -> None:
    one, other = (
        direct_logit_attribution(zoo_model("gemma2", backend), IDS, [5], positions=None)
        for backend in ("nnsight", "transformer_lens")
    )
    assert one.components == other.components
    np.testing.assert_allclose(one.contributions, other.contributions, atol=1e-5)


def test_each_part_is_what_the_logit_loses_without_it_under_a_frozen_norm() -> None:
    model = words_model()
    split = direct_logit_attribution(model, PROMPT, " Mary")
    target = model.tokenizer(" Mary").input_ids[0]
    resid = model.run(PROMPT, read="L2.resid_post")["L2.resid_post"][0, -1].double()
    norm = model.raw._module.transformer.ln_f
    weight, bias = norm.weight.double(), norm.bias.double()
    scale = (resid.var(unbiased=False) + norm.eps).rsqrt()
    w_u = model.weight("W_U").double()[:, target]

    def logit(x: torch.Tensor) -> torch.Tensor:
        return ((x - x.mean()) * scale * weight + bias) @ w_u

    for site in ("L0H1", "L2H3"):
        z = model.run(PROMPT, read=f"{site}.z")[f"{site}.z"][0, -1]
        written = (z @ model.weight("W_O", int(site[1]), int(site[3]))).double()
        part = split.contributions[0, split.components.index(site), 0, 0]
        assert part == pytest.approx(float(logit(resid) - logit(resid - written)), abs=1e-5)
    mlp = model.run(PROMPT, read="L1.mlp_out")["L1.mlp_out"][0, -1].double()
    part = split.contributions[0, split.components.index("L1.mlp_out"), 0, 0]
    assert part == pytest.approx(float(logit(resid) - logit(resid - mlp)), abs=1e-5)
    norm_bias = split.contributions[0, split.components.index("norm_bias"), 0, 0]
    assert norm_bias == pytest.approx(float(bias @ w_u), abs=1e-5)


def test_it_agrees_with_transformer_lens() -> None:
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.tools.analysis import direct_logit_attribution as theirs

    from tests.unit import lens_models

    ids = words_model().tokens(PROMPT).ids
    folder = f"{lens_models._folder.name}/words"
    bridge = TransformerBridge.boot_transformers(folder, device="cpu")
    bridge.enable_compatibility_mode()
    mary, john = (words_model().tokenizer(t).input_ids[0] for t in (" Mary", " John"))
    # By layers, not by heads: its compatibility mode moves the value biases out of the heads.
    answers: dict[str, Any] = {
        "answer_tokens": torch.tensor(mary),
        "incorrect_tokens": torch.tensor(john),
    }
    parts = theirs(bridge, ids, **answers, unit="component")
    by_label = dict(zip(parts.labels, parts.attribution.flatten().tolist(), strict=True))
    split = direct_logit_attribution(words_model(), PROMPT, " Mary", foils=" John", heads=False)
    for layer in range(3):
        for module in ("attn_out", "mlp_out"):
            at = split.components.index(f"L{layer}.{module}")
            mine = float(split.contributions[0, at, 0, 0])
            assert mine == pytest.approx(by_label[f"{layer}_{module}"], abs=1e-4)


def test_a_difference_is_the_targets_parts_minus_the_foils() -> None:
    model = words_model()
    both = direct_logit_attribution(model, PROMPT, [" Mary", " John"])
    gap = direct_logit_attribution(model, PROMPT, " Mary", foils=" John")
    expected = both.contributions[..., 0] - both.contributions[..., 1]
    np.testing.assert_allclose(gap.contributions[..., 0], expected, atol=1e-5)
    assert gap.names == (" Mary −  John",)


def test_heads_and_bias_sum_to_the_attention_of_a_layer() -> None:
    model = zoo_model("olmo2")
    heads = direct_logit_attribution(model, IDS, [5])
    whole = direct_logit_attribution(model, IDS, [5], heads=False)
    for layer in range(2):
        inside = [c.startswith(f"L{layer}") and "mlp" not in c for c in heads.components]
        attention = whole.contributions[:, whole.components.index(f"L{layer}.attn_out")]
        np.testing.assert_allclose(heads.contributions[:, inside].sum(1), attention, atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_read_out_taken_apart_is_the_models_own(name: str) -> None:
    model = zoo_model(name)
    resid = torch.randn(6, 32, generator=torch.Generator().manual_seed(0))
    logits = model.norm("ln_final")(resid) @ model.weight("W_U") + model.weight("b_U")
    assert model.spec.soft_cap == (5.0 if name == "gemma2" else None)
    if (cap := model.spec.soft_cap) is not None:
        logits = cap * (logits / cap).tanh()
    torch.testing.assert_close(logits, model.unembed(resid), atol=1e-5, rtol=1e-5)
    assert model.spec.logit_scale == 1.0


def test_a_model_that_scales_its_logits_is_split_with_its_scale(tmp_path: Path) -> None:
    from transformers import CohereConfig, CohereForCausalLM

    sizes = CONFIGS["llama"][1]
    config = CohereConfig(**sizes, logit_scale=0.0625, bos_token_id=0, eos_token_id=0)
    torch.manual_seed(0)
    CohereForCausalLM(config).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    model = load(tmp_path, device="cpu")
    assert model.spec.logit_scale == pytest.approx(0.0625)
    split = direct_logit_attribution(model, IDS, [5, 7])
    logits = model.run(IDS, logits_at="last").logits
    assert logits is not None
    total = split.contributions.sum(1)
    expected = logits[:, 0, [5, 7]].numpy()
    np.testing.assert_allclose(total.reshape(expected.shape), expected, atol=1e-5)


def test_it_is_a_result_that_is_saved_and_tabled(tmp_path: Any) -> None:
    split = direct_logit_attribution(words_model(), PROMPT, " Mary", foils=" John")
    split.save(tmp_path / "split")
    again = DirectLogitAttribution.load(tmp_path / "split")
    assert again.to_frame().equals(split.to_frame())
    assert list(split.to_frame().columns) == [
        "prompt", "pos", "token", "target", "foil", "component", "layer", "contribution",
    ]  # fmt: skip
    assert len(split.to_frame()) == len(split.components) == 1 + 3 * (4 + 1 + 1) + 2
    assert repr(split) == (
        "DirectLogitAttribution(words: ' Mary −  John' at 1 positions, 21 components)"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"targets": []}, ValueError, "split for at least one target; got none"),
        ({"targets": " store Mary"}, ValueError, "' store Mary' is 2 for this tokenizer"),
        ({"targets": " Mary", "positions": 40}, IndexError, "got position 40"),
        ({"targets": [" Mary"], "foils": [1, 2]}, ValueError, "got 2 foils and 1 targets"),
    ],
)
def test_bad_input_is_a_named_error(arguments: Any, error: type[Exception], text: str) -> None:
    targets = arguments.pop("targets")
    with pytest.raises(error, match=text):
        direct_logit_attribution(words_model(), PROMPT, targets, **arguments)
