"""Norms as numbers do what the model's own norms do."""

from __future__ import annotations

import pytest
import torch

from .zoo import CONFIGS


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_norm_of_every_architecture_is_given_as_numbers(name, backend, zoo_model, prompts):
    model = zoo_model(name, backend)
    run = model.run(prompts, read=["L1.resid_post", "ln_final", "L1.attn_out", "L1.z"])
    final = model.norm("ln_final")
    torch.testing.assert_close(final(run["L1.resid_post"]), run["ln_final"], atol=1e-5, rtol=1e-5)
    block = set(model.architecture.layers[0])
    for part in ("ln1", "ln2", "ln1_post", "ln2_post"):
        found = model.norm(part, 1)
        assert (found is not None) == (part in block)
        if found is not None:
            x = torch.linspace(-2, 3, model.spec.d_model)
            module = model.module(model.architecture.path(part, 1))
            torch.testing.assert_close(found(x), module(x), atol=1e-5, rtol=1e-5)
    if (post := model.norm("ln1_post", 1)) is not None:
        summed = torch.einsum("bphd,hdm->bpm", run["L1.z"], model.weight("W_O", 1))
        torch.testing.assert_close(
            summed / post.scale(summed) * post.weight, run["L1.attn_out"], atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("ln3", 0), r"A norm is one of ln1, .*, ln_final; got 'ln3'"),
        (("ln_final", 0), r"ln_final belongs to the whole model .* got 'ln_final' with layer=0"),
        (("ln1",), r"the other norms to a layer; got 'ln1' with layer=None"),
        (("ln1", 2), r"has layers 0 to 1; got layer 2"),
    ],
)
def test_a_norm_that_is_not_there_says_what_is(arguments, text, zoo_model):
    with pytest.raises(ValueError, match=text):
        zoo_model("llama", "nnsight").norm(*arguments)
