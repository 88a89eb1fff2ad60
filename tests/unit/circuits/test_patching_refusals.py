"""What activation patching refuses, and with which words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.patchings import patch
from tests.unit import lens_models
from tests.unit.circuits.test_patching import TASK


def refusals() -> Iterator[Any]:
    def case(options: dict[str, Any], kind: type[Exception], text: str, name: str = "gpt2") -> Any:
        return pytest.param(options, kind, text, name, id=str(options) + name)

    streams = "resid_pre, resid_mid, resid_post, attn_out, mlp_out, z, q, k, v, pattern, mlp_post"
    yield case({"over": "resid"}, ValueError, f"over is one of {streams}; got 'resid'")
    yield case({"over": "attn_scores"}, ValueError, "over is one of")
    yield case(
        {"over": "z", "by": "neuron"},
        ValueError,
        "z is patched by 'head', 'pos', 'head pos', 'layer'; got by='neuron'",
    )
    yield case({"by": "head"}, ValueError, "resid_pre is patched by 'pos', 'layer'; got by='head'")
    yield case({"by": ""}, ValueError, "resid_pre is patched by 'pos', 'layer'; got by=''")
    yield case({"by": 3}, ValueError, "by is a text or None; got 3")
    yield case(
        {"over": "pattern", "by": "head head"}, ValueError, "pattern is patched by 'head', 'dst'"
    )
    yield case(
        {"direction": "clean"},
        ValueError,
        "direction is one of 'denoise', 'noise'; got 'clean'",
    )
    yield case({"layers": [True]}, ValueError, "a list of whole numbers or None; got [True]")
    for layers in (2, -1, [0, 5], [], [0, 0]):
        yield case(
            {"layers": layers},
            ValueError,
            f"layers is different whole numbers from 0 to 1, or one; got {layers!r}.",
        )
    yield case({"positions": 4}, IndexError, "Row 1 has 4 tokens, so its positions run from 0 to 3")
    yield case({"positions": []}, ValueError, "A method reads at least one position")
    yield case(
        {"over": "resid_mid"},
        ValueError,
        "GPTNeoXForCausalLM has no resid_mid on the nnsight backend. Its attention and MLP run in "
        "parallel.",
        "gpt_neox",
    )


@pytest.mark.parametrize(("options", "kind", "text", "name"), list(refusals()))
def test_a_choice_that_does_not_fit_is_refused(
    options: dict[str, Any], kind: type[Exception], text: str, name: str
) -> None:
    model = lens_models.zoo_model(name)
    with pytest.raises(kind) as caught:
        patch(model, TASK, **options)
    assert text in str(caught.value)


def test_a_stream_whose_edits_do_not_arrive_is_refused() -> None:
    model = lens_models.zoo_model("opt", "transformer_lens")
    assert "pattern" in model.spec.read_only
    with pytest.raises(ValueError, match=r"L0\.pattern is read-only: on the transformer_lens"):
        patch(model, TASK, over="pattern")


def test_pairs_that_cannot_be_compared_are_refused() -> None:
    model = lens_models.zoo_model("gpt2")
    batch = TASK.on(model)
    uneven = type(batch)(
        batch.task,
        batch.set,
        batch.metric_name,
        batch.pairs,
        batch.clean,
        model.tokens(["w2 w3", "w4 w5 w6 w7", "w8 w9 w10 w11 w12 w13"]),
        batch.answer_ids,
        batch.foil_ids,
    )
    with pytest.raises(ValueError, match="pair 0 has 6 and 2"):
        patch(model, uneven)
    with pytest.raises(
        TypeError, match=r"task is a Task or a TaskBatch; got 'w2 w3'\. Take a task"
    ):
        patch(model, "w2 w3")  # type: ignore[arg-type]
    same = type(batch)(
        *(batch.task, batch.set, batch.metric_name, batch.pairs, batch.clean, batch.clean),
        *(batch.answer_ids, batch.foil_ids),
    )
    with pytest.raises(ValueError, match="Effects are measured against the difference between"):
        patch(model, same)


def test_a_metric_that_is_not_finite_is_refused() -> None:
    model = lens_models.zoo_model("gpt2")
    last = model.module(model.architecture.path("ln_final"))
    calls: list[int] = []

    def spoil(module: Any, args: Any, output: Any) -> Any:
        calls.append(1)
        # Plain runs are read with the whole prompt, patched ones at their last position.
        return output * float("nan") if output.shape[1] == 1 else output

    handle = last.register_forward_hook(spoil)
    try:
        with pytest.raises(ValueError, match="the patched run gave nan"):
            patch(model, TASK)
    finally:
        handle.remove()
    assert calls
