"""Resume, prefix reuse, early stops and chosen logits give the numbers of the plain single run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from workbench.edits import Add, Set
from workbench.model import Resume
from workbench.site import Site

from .conftest import BACKENDS
from .zoo import CONFIGS, LAYERS

CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}
UNEQUAL = [[5, 9, 13, 20, 31, 44, 2, 8, 17], [7, 3, 50, 12, 28]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_pass_resumes_at_any_layer_with_more_rows_than_prompts(name, backend, zoo_model):
    model = zoo_model(name, backend)
    plain = model.run(
        UNEQUAL,
        read=[Site("resid_pre", layer) for layer in range(LAYERS)] + [Site("resid_post", 1)],
    )
    rows = [1, 0, 1, 0, 0]
    for layer in range(LAYERS + 1):
        start = plain[Site("resid_post", 1)] if layer == LAYERS else plain[Site("resid_pre", layer)]
        run = model.run(UNEQUAL, resume=Resume(layer, start[rows], rows))
        mask = run.tokens.mask
        torch.testing.assert_close(run.logits[mask], plain.logits[rows][mask], **CLOSE)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("start", [1, 3])
def test_a_pass_resumes_at_a_position_over_cached_keys_and_values(name, backend, start, zoo_model):
    model = zoo_model(name, backend)
    first = model.run(UNEQUAL, read="L1.resid_pre", cache=True)
    rows = [0, 1, 1]
    change = torch.linspace(-1, 1, model.spec.d_model)
    resid = first["L1.resid_pre"][rows, start:].clone()
    resid[:, 0] += change
    run = model.run(
        UNEQUAL,
        read=["L1.z", "L1.pattern"] if "pattern" in model.spec.streams else "L1.z",
        resume=Resume(1, resid, rows, start=start, past=first.past),
    )
    edit = Add("L1.resid_pre", change, positions=start)
    expected = model.run([UNEQUAL[r] for r in rows], read="L1.z", edits=edit)
    mask = expected.tokens.mask[:, start:]
    torch.testing.assert_close(
        run.logits[:, -mask.shape[1] :][mask], expected.logits[:, start:][mask], **CLOSE
    )
    torch.testing.assert_close(
        run["L1.z"][:, -mask.shape[1] :][mask], expected["L1.z"][:, start:][mask], **CLOSE
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("layer", [0, 1, LAYERS])
def test_without_a_cache_rows_of_unequal_length_resume_at_a_position_all_the_same(
    name, backend, layer, zoo_model, monkeypatch
):
    # As it is with a hybrid, whose cache cannot be cut at a position, and on a server.
    model = zoo_model(name, backend)
    site = Site("resid_pre", layer) if layer < LAYERS else Site("resid_post", LAYERS - 1)
    plain = model.run(UNEQUAL, read=site)
    monkeypatch.setattr(model, "reuses_past", False)
    rows = [1, 0, 1, 0]
    resid = plain[site][rows, 3:].clone()
    run = model.run(UNEQUAL, resume=Resume(layer, resid, rows, start=3))
    mask = run.tokens.mask
    torch.testing.assert_close(run.logits[mask], plain.logits[rows][mask], **CLOSE)
    resid[0, 1] += torch.linspace(-1, 1, model.spec.d_model)
    changed = model.run(UNEQUAL, resume=Resume(layer, resid, rows, start=3)).logits
    edit = Add(site, torch.linspace(-1, 1, model.spec.d_model), positions=4)
    expected = model.run([UNEQUAL[1]], edits=edit).logits
    torch.testing.assert_close(changed[0, : len(UNEQUAL[1])], expected[0], **CLOSE)
    torch.testing.assert_close(changed[1:], run.logits[1:], **CLOSE)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "gemma2", "bloom", "gptj"])
def test_edits_and_gradients_work_in_a_resumed_pass(name, backend, zoo_model, prompts):
    model = zoo_model(name, backend)

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, -1, 4]

    edit = Set("L1H0.z", 0.5, positions=[4, -1])
    whole = model.run(
        prompts, read=["L1.resid_pre", "L1.mlp_post"], edits=edit, grad_of=metric, cache=True
    )
    plain = model.run(prompts, read="L1.resid_pre", cache=True)
    run = model.run(
        prompts,
        read="L1.mlp_post",
        edits=edit,
        grad_of=metric,
        resume=Resume(1, plain["L1.resid_pre"]),
    )
    torch.testing.assert_close(run.logits, whole.logits, **CLOSE)
    torch.testing.assert_close(run.grad("L1.mlp_post"), whole.grad("L1.mlp_post"), **CLOSE)
    tail = model.run(
        prompts,
        read="L1.mlp_post",
        edits=edit,
        logits_at="last",
        resume=Resume(1, plain["L1.resid_pre"][:, 4:], start=4, past=plain.past),
    )
    torch.testing.assert_close(tail.logits[:, 0], whole.logits[:, -1], **CLOSE)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_unembedded_only_where_asked(name, backend, zoo_model):
    model = zoo_model(name, backend)
    plain = model.run(UNEQUAL)
    last = model.run(UNEQUAL, logits_at="last").logits
    assert last.shape == (2, 1, model.spec.d_vocab)
    torch.testing.assert_close(last[0, 0], plain.logits[0, 8], **CLOSE)
    torch.testing.assert_close(last[1, 0], plain.logits[1, 4], **CLOSE)
    some = model.run(UNEQUAL, logits_at=[0, -2]).logits
    torch.testing.assert_close(some[1], plain.logits[1, [0, 3]], **CLOSE)
    assert model.run(UNEQUAL, read="L0.z", logits_at=()).logits is None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "olmo2", "phi", "bloom"])
def test_a_pass_stops_after_any_site(name, backend, zoo_model, prompts):
    model = zoo_model(name, backend)
    plain = model.run(prompts, read=model.spec.sites)
    # Sites of layer 1 come after the stop: a pass that went on would meet this edit and fail.
    for site in model.spec.sites:
        run = model.run(prompts, read=site, stop_after=site)
        assert run.logits is None
        value, expected = run[site], plain[site]
        if site.stream == "attn_scores":
            value, expected = value.clamp(min=-1e4), expected.clamp(min=-1e4)
        torch.testing.assert_close(value, expected, **CLOSE)
    assert model.run(prompts, read="L0.z", stop_after=0)["L0.z"].shape[0] == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_pass_really_ends_where_it_is_told_to(backend, zoo_model, prompts):
    model = zoo_model("llama", backend)
    seen = []
    handle = model.module("model.layers.1").register_forward_hook(lambda *args: seen.append(1))
    model.run(prompts, read="L0.z", stop_after="L0.mlp_out")
    model.run(prompts, read="L0.z", logits_at=())
    assert seen == []
    model.run(prompts, read="L0.z")
    handle.remove()
    assert seen == [1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_skipped_blocks_are_not_computed(name, backend, zoo_model, prompts):
    model = zoo_model(name, backend)
    resid = model.run(prompts, read="L1.resid_pre")["L1.resid_pre"]
    seen = []
    path = model.architecture.path("o", 0)
    handle = model.module(path).register_forward_hook(lambda *args: seen.append(1))
    model.run(prompts, resume=Resume(1, resid))
    handle.remove()
    assert seen == []
