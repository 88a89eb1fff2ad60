"""load of a model in memory: wrapped like any other, and the original left as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import workbench as wb
from tests.parity import zoo
from tests.unit.lens_models import zoo_model

IDS = [[5, 9, 7, 30, 41]]
BACKENDS = ["nnsight", "transformer_lens"]


def plain(hf_model: Any) -> torch.Tensor:
    with torch.no_grad():
        return hf_model(torch.tensor(IDS)).logits


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox", "gemma2"])
def test_it_runs_like_the_same_model_from_a_folder(name: str, backend: str) -> None:
    model: Any = wb.load(
        zoo.hf_model(name), tokenizer=zoo.tokenizer(), backend=backend, name="mine"
    )
    sites = ["L0.pattern", "L1.mlp_post", "L1.resid_post"]
    one, two = model.run(IDS, read=sites), zoo_model(name, backend).run(IDS, read=sites)
    assert torch.equal(one.logits, two.logits)
    assert all(torch.equal(one[site], two[site]) for site in sites)
    assert (model.spec.name, model.spec.revision) == ("mine", "in memory")
    assert model.spec.streams == zoo_model(name, backend).spec.streams
    assert model.tokens("w5 w9").ids.tolist() == [[5, 9]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_original_stays_as_it_was(backend: str) -> None:
    hf_model = zoo.hf_model("gpt_neox").train()
    chosen = hf_model.gpt_neox.layers[1].mlp.dense_4h_to_h.weight.requires_grad_(True)
    hf_model.set_attn_implementation("sdpa")
    before, modules = plain(hf_model.eval()), dict(hf_model.train().named_modules())
    model: Any = wb.load(hf_model, tokenizer=zoo.tokenizer(), backend=backend)
    run = model.run(IDS, read=["L0.pattern", "L0.mlp_post"], grad_of=lambda x: x[:, -1, 5])
    assert run["L0.pattern"].shape == (1, 4, 5, 5)
    assert dict(hf_model.named_modules()) == modules
    assert hf_model.training and hf_model.config._attn_implementation == "sdpa"
    assert [p for p in hf_model.parameters() if p.requires_grad] == [chosen]
    assert all(p.grad is None for p in hf_model.parameters())
    assert not any(module._forward_hooks for module in hf_model.modules())
    assert torch.equal(plain(hf_model.eval()), before)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "gpt_neox"])
def test_runs_see_the_weights_as_training_leaves_them(name: str, backend: str, fused: bool) -> None:
    hf_model = zoo.hf_model(name).requires_grad_(True)
    model: Any = wb.load(hf_model, tokenizer=zoo.tokenizer(), backend=backend)
    before = model.run(IDS).logits
    optimizer = torch.optim.AdamW(hf_model.parameters(), lr=0.01, fused=fused)
    for _ in range(2):
        ids = torch.tensor(IDS)
        hf_model(ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        torch.testing.assert_close(model.run(IDS).logits, plain(hf_model), atol=1e-5, rtol=1e-5)
    assert (model.run(IDS).logits - before).abs().max() > 0.01


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_keeps_its_precision(backend: str) -> None:
    hf_model = zoo.hf_model("llama").to(torch.bfloat16)
    model: Any = wb.load(hf_model, tokenizer=zoo.tokenizer(), backend=backend)
    assert model.spec.dtype == "bfloat16"
    assert model.run(IDS).logits.dtype == torch.bfloat16


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "gemma2", "bloom", "olmo2"])
def test_a_copy_for_training_has_the_same_weights_and_its_own_memory(
    name: str, backend: str
) -> None:
    model = zoo_model(name, backend)
    before = model.run(IDS).logits
    copied = model.to_hugging_face()
    assert torch.equal(plain(copied), plain(zoo.hf_model(name)))
    assert all(p.requires_grad for p in copied.parameters())
    names = [[n for n, _ in m.named_parameters()] for m in (copied, zoo.hf_model(name))]
    assert names[0] == names[1]
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.mul_(2)
    assert torch.equal(model.run(IDS).logits, before)
    again: Any = wb.load(copied, tokenizer=model.tokenizer, backend=backend)
    assert not torch.allclose(again.run(IDS).logits, before)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, ValueError, r"loaded with its tokenizer; got none. Give tokenizer=AutoTokenizer"),
        ({"tokenizer": "gpt2"}, ValueError, r"loaded with its tokenizer; got a str"),
        ({"tokenizer": 1, "dtype": "bfloat16"}, ValueError, r"has its device, dtype and weights"),
        ({"tokenizer": 1, "device": "cpu"}, ValueError, r"Change it before: model.to\(…\)"),
    ],
)
def test_what_a_model_in_memory_lacks_is_said(options: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        wb.load(zoo.hf_model("gpt2"), **options)


def test_only_a_hugging_face_model_is_one() -> None:
    wrong: Any = torch.nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"a Hugging Face model in memory .* got a Linear"):
        wb.load(wrong, tokenizer=zoo.tokenizer())


def test_a_tokenizer_with_more_tokens_than_the_model_embeds_is_refused() -> None:
    hf_model = zoo.hf_model("gpt2")
    hf_model.resize_token_embeddings(50)
    with pytest.raises(ValueError, match=r"this one embeds 50 and the tokenizer has 60"):
        wb.load(hf_model, tokenizer=zoo.tokenizer())


def test_a_name_on_disk_takes_no_tokenizer() -> None:
    with pytest.raises(ValueError, match=r"'tinyworld' is loaded with its own. Leave them out"):
        wb.load("tinyworld", tokenizer=zoo.tokenizer())


def test_a_quantised_model_is_not_copied_for_training(monkeypatch: Any) -> None:
    model = zoo_model("llama")
    monkeypatch.setattr(model.module(""), "is_quantized", True, raising=False)
    with pytest.raises(ValueError, match=r"those of llama are quantised. Load it without"):
        model.to_hugging_face()
