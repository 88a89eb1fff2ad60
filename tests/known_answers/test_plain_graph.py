"""The plain graph is itself compared with Hugging Face, whole and with edges cut by torch hooks."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from tests.known_answers import plain_graph
from tests.parity import zoo
from workbench import data

MODELS = ["tinyworld", "tinyworld-llama"]
CLEAN, CORRUPT = torch.randint(2, 1900, (2, 3, 7), generator=torch.Generator().manual_seed(0))


@cache
def hf_model(name: str) -> Any:
    """An embedded model in float64."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        data.path("models", name), attn_implementation="eager", dtype=torch.float64
    )
    return model.eval().requires_grad_(False)


def layers(name: str) -> Any:
    model = hf_model(name)
    return model.transformer.h if name == "tinyworld" else model.model.layers


@pytest.mark.parametrize("name", MODELS)
def test_a_plain_pass_gives_the_logits_of_hugging_face(name: str) -> None:
    logits = plain_graph.run(hf_model(name), CLEAN).logits
    # Hugging Face keeps the rotary frequencies in float32.
    torch.testing.assert_close(logits, hf_model(name)(CLEAN).logits, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_written_and_the_biases_sum_to_the_residual_stream(name: str) -> None:
    seen = plain_graph.run(hf_model(name), CLEAN)
    hidden = hf_model(name)(CLEAN, output_hidden_states=True).hidden_states
    total = sum(w for writer, w in seen.writes.items() if writer == "embed" or writer[1] in "012")
    if name == "tinyworld":
        total = total + sum(block.attn.c_proj.bias for block in layers(name)[:3])
    torch.testing.assert_close(total, hidden[3], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", MODELS)
def test_every_edge_cut_is_the_corrupt_run_and_none_is_the_clean_run(name: str) -> None:
    model = hf_model(name)
    every = plain_graph.edges_of(model)
    all_cut = plain_graph.run_with_edges_cut(model, CLEAN, CORRUPT, every)
    assert torch.equal(all_cut, plain_graph.run(model, CORRUPT).logits)
    none_cut = plain_graph.run_with_edges_cut(model, CLEAN, CORRUPT, [])
    assert torch.equal(none_cut, plain_graph.run(model, CLEAN).logits)


@pytest.mark.parametrize("name", MODELS)
def test_the_edges_into_one_mlp_are_what_a_hook_on_its_norm_replaces(name: str) -> None:
    model, norm = hf_model(name), "ln_2" if name == "tinyworld" else "post_attention_layernorm"
    module, kept = getattr(layers(name)[1], norm), []
    handle = module.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    model(CORRUPT)
    handle.remove()
    handle = module.register_forward_pre_hook(lambda _, args: (kept[0],))
    wanted = model(CLEAN).logits
    handle.remove()
    cut = [edge for edge in plain_graph.edges_of(model) if edge[1] == "L1.mlp_in"]
    assert len(cut) == 1 + 4 + 1 + 4
    logits = plain_graph.run_with_edges_cut(model, CLEAN, CORRUPT, cut)
    torch.testing.assert_close(logits, wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", MODELS)
def test_all_edges_from_one_head_are_what_a_hook_on_its_output_replaces(name: str) -> None:
    model, attention = hf_model(name), "attn.c_proj" if name == "tinyworld" else "self_attn.o_proj"
    module, kept = layers(name)[1].get_submodule(attention), []
    handle = module.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    model(CORRUPT)
    handle.remove()

    def replace(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        z = args[0].clone()
        z[..., 64:96] = kept[0][..., 64:96]  # head 2 of 4, 32 numbers each
        return (z,)

    handle = module.register_forward_pre_hook(replace)
    wanted = model(CLEAN).logits
    handle.remove()
    cut = [edge for edge in plain_graph.edges_of(model) if edge[0] == "L1H2.z"]
    logits = plain_graph.run_with_edges_cut(model, CLEAN, CORRUPT, cut)
    torch.testing.assert_close(logits, wanted, rtol=0, atol=2e-5)


def test_effects_of_the_last_edges_are_those_of_a_changed_final_stream() -> None:
    model = hf_model("tinyworld")
    clean, corrupt = plain_graph.run(model, CLEAN), plain_graph.run(model, CORRUPT)
    head = "L2H1.z"
    stream = sum(clean.writes.values()) + sum(b.attn.c_proj.bias for b in layers("tinyworld"))
    changed = stream - clean.writes[head] + corrupt.writes[head]
    logits = model.lm_head(model.transformer.ln_f(changed))
    wanted = (clean.logits - logits)[:, -1, 5].mean()
    effects = plain_graph.edge_effects(
        model, CLEAN, CORRUPT, lambda logits: logits[:, 5], edges=[(head, "logits")]
    )
    assert effects[head, "logits"] == pytest.approx(float(wanted), abs=1e-9)


def test_denoising_is_noising_with_clean_and_corrupt_exchanged() -> None:
    model, some = hf_model("tinyworld"), [("embed", "L1H2.k"), ("L0.mlp_out", "L3H0.v")]
    noising = plain_graph.edge_effects(model, CLEAN, CORRUPT, lambda x: x[:, 5], edges=some)
    denoising = plain_graph.edge_effects(
        model, CORRUPT, CLEAN, lambda x: x[:, 5], edges=some, kind="denoising"
    )
    assert denoising == pytest.approx({edge: -effect for edge, effect in noising.items()})
    assert min(map(abs, noising.values())) > 1e-4


def test_an_edge_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="one of the model's; got .*L3H0.z.*L1H0.q"):
        plain_graph.run_with_edges_cut(
            hf_model("tinyworld"), CLEAN, CORRUPT, [("L3H0.z", "L1H0.q")]
        )


def test_another_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="reads gpt2 and llama; got 'bloom'"):
        plain_graph.edges_of(zoo.hf_model("bloom"))
