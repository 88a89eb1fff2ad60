"""What an explorer calls: public names, each call made once, and code that does the same."""

from __future__ import annotations

import ast
import operator
from typing import Any

import pytest

import workbench as wb
from tests.unit.kernels import Calls, public_name
from tests.unit.lens_models import PROMPT, words_model
from tests.unit.steering_models import planted, tinyworld


def test_a_call_with_the_same_arguments_is_made_once() -> None:
    calls, model = Calls(), words_model()
    calls.begin()
    first = calls("lens", wb.logit_lens, model, PROMPT, k=3)
    calls.end()
    calls.begin()
    assert calls("lens", wb.logit_lens, model, PROMPT, k=3) is first
    other = calls("lens", wb.logit_lens, model, PROMPT, k=4)
    assert other is not first and other.k == 4
    calls.forget()
    calls.begin()
    assert calls("lens", wb.logit_lens, model, PROMPT, k=3) is not first


def test_the_code_is_the_calls_with_what_they_need_and_without_defaults() -> None:
    calls, model, dicts = Calls(), tinyworld(), planted()
    calls.given("model", model, wb.load, "tinyworld", backend="nnsight")
    calls.given("dicts", dicts)
    calls.begin()
    dictionary = calls("", operator.getitem, dicts, "L1.resid_post")
    edit = calls("", dictionary.scale, {4: 0.5})
    calls("unused", operator.getitem, dicts, "L2.resid_post")
    run = calls("run", model.run, PROMPT, edits=edit, logits_at="last", read=())
    calls("words", calls("", getattr, run, "logits").softmax, -1)
    calls.end()
    lines = calls.code.splitlines()
    assert lines[:2] == ["import workbench as wb", ""]
    assert "# dicts: those that this explorer was given" in lines
    assert "model = wb.load('tinyworld')" in lines
    assert "    edits=dicts['L1.resid_post'].scale({4: 0.5})," in lines
    assert lines[-1] == "words = run.logits.softmax(-1)" and "read=" not in calls.code
    space: dict[str, Any] = {"dicts": dicts}
    exec(calls.code, space)
    assert space["words"].shape == run.logits.shape


def test_what_is_not_public_cannot_be_printed_and_what_is_no_literal_has_a_name() -> None:
    with pytest.raises(TypeError, match="^An explorer makes public calls; got <function test_"):
        public_name(test_a_call_with_the_same_arguments_is_made_once)
    assert public_name(wb.features.Labels.of) == "wb.features.Labels.of"
    calls = Calls()
    calls.begin()
    calls("documented", getattr, object(), "__doc__")
    calls.end()
    with pytest.raises(TypeError, match="got a object. Name it with `given`"):
        _ = calls.code


def test_every_call_that_explorers_print_is_a_public_name() -> None:
    model = tinyworld()
    explorers = [
        wb.live.logit_lens(model, targets=" Mary"),
        wb.live.information(model, n_edges=20),
        wb.live.feature_flow(model, planted(), ["a text"], feature="L1.resid_post/4"),
    ]
    for explorer in explorers:
        for node in ast.walk(ast.parse(explorer.code)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "wb":
                assert node.attr in wb.__all__


def test_a_control_is_a_property_that_takes_what_its_widget_offers() -> None:
    explorer = wb.live.logit_lens(words_model(), PROMPT, targets=" Mary", k=4)
    assert type(explorer).k.__doc__ == "top"
    for name, value, rule in (
        ("k", 0, "k is a whole number from 1 to"),
        ("k", True, "k is a whole number"),
        ("start", 1, "start is True or False; got 1"),
        ("prompt", 3, "prompt is a text; got 3"),
    ):
        with pytest.raises(ValueError) as got:
            setattr(explorer, name, value)
        assert str(got.value).startswith(rule)
    assert explorer.k == 4 and explorer.message == ""


def test_undo_takes_back_what_was_typed_at_once_and_reset_goes_to_the_beginning() -> None:
    explorer = wb.live.logit_lens(words_model(), PROMPT, targets=" Mary", k=4)
    explorer.k = 7
    for n in range(5, 9):
        explorer.prompt = PROMPT[:n]
    explorer.undo()
    assert (explorer.prompt, explorer.k) == (PROMPT, 7)
    explorer.undo()
    assert (explorer.prompt, explorer.k) == (PROMPT, 4) and explorer._undo_button.disabled
    explorer.k, explorer.start = 5, True
    explorer.reset()
    assert (explorer.k, explorer.start, explorer.result.k) == (4, False, 4)
    explorer.undo()
    assert (explorer.k, explorer.start) == (5, True)
    space: dict[str, Any] = {}
    exec(explorer.code.replace("wb.load('words')", "model"), {"model": explorer.model}, space)
    assert space["result"].tokens == explorer.result.tokens
