"""Other names: what people bring from TransformerLens, nnsight and transformers is answered."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import workbench as wb
from workbench.other_names import ATTRIBUTES


@pytest.fixture(scope="module", params=["nnsight", "transformer_lens"])
def model(request: pytest.FixtureRequest) -> Any:
    return wb.load("tinyworld", device="cpu", backend=request.param)


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_an_attribute_of_another_library_is_answered_with_ours(model: Any, name: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(model, name)
    assert f"A model has no {name!r} here; write {ATTRIBUTES[name]}." in str(caught.value)


def test_any_other_name_is_an_attribute_error(model: Any) -> None:
    with pytest.raises(AttributeError, match="no 'colour' here. dir.model. lists what it has"):
        _ = model.colour
    assert not hasattr(model, "__deepcopy__")


def test_arguments_of_another_library_are_answered_with_ours(model: Any) -> None:
    for call, options, text in (
        (model.generate, {"max_new_tokens": 5}, "max_new_tokens is n_new here"),
        (model.run, {"output_hidden_states": True}, "output_hidden_states is read='resid_post'"),
        (model.run, {"names_filter": "x"}, "names_filter is read here"),
        (model.run, {"prepend_bos": False}, "prepend_bos is model.tokens.prompt, prepend_bos"),
    ):
        with pytest.raises(TypeError, match=text):
            call("The dog", **options)


def test_a_model_that_is_called_says_what_to_write(model: Any) -> None:
    with pytest.raises(TypeError, match=r"write run = model\.run\(prompt\), for run\.logits"):
        model("The dog sees", return_type="loss")


def test_completion_shows_what_a_model_is_for(model: Any) -> None:
    names = dir(model)
    assert {"run", "generate", "tokens", "weight", "unembed", "spec", "raw"} <= set(names)
    assert not any(name.startswith("_") for name in names)
    assert not {"architecture", "cache_name", "step", "module", "handed_on"} & set(names)
    assert all(hasattr(model, name) for name in names)


def test_a_stream_without_a_layer_is_read_in_every_layer(model: Any) -> None:
    run = model.run("The dog sees", read="resid_post")
    assert [str(site) for site in run.activations] == [f"L{i}.resid_post" for i in range(4)]
    both = model.run("The dog sees", read=["embed", "z"])
    assert len(both.activations) == 5
    one = model.run("The dog sees", read="L2.resid_post")["L2.resid_post"]
    assert torch.equal(run["L2.resid_post"], one)


def test_a_text_is_continued_without_a_number(model: Any) -> None:
    assert len(model.generate("The capital of France is").new[0]) <= 20
