"""Widgets from arrays and strings that no model of the workbench made."""

import inspect
import re
import textwrap
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.widgets import TokenGrid
from workbench.widgets.arrays import as_array, decode

TOKENS = ["The", " cat", " sat"]
#: What a TransformerLens cache holds, one prompt in a batch: resid_post (batch, pos, d_model).
CACHE = {
    f"blocks.{layer}.hook_resid_post": torch.randn(1, 3, 8, requires_grad=True)
    for layer in range(4)
}
NORMS = torch.stack([each[0].norm(dim=-1) for each in CACHE.values()])


def quantity(grid: TokenGrid, name: str = "value") -> np.ndarray:
    """The numbers that reach the browser."""
    return decode(grid._panels[0]["quantities"][name]["values"])


@pytest.mark.parametrize("widget", [TokenGrid])
def test_the_example_of_the_docstring_runs_and_a_choice_reaches_python(
    widget: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    doc = inspect.getdoc(widget) or ""
    found = re.search(r"((?:^    .*\n)+)", doc, flags=re.M)
    assert found is not None
    names: dict[str, Any] = {"wb": wb}
    exec(textwrap.dedent(found[1]), names)
    made = next(each for each in names.values() if isinstance(each, widget))
    trait, value = {TokenGrid: ("selected", {"row": 1, "pos": 0})}[widget]
    made.set_state({trait: value})  # as the browser says it
    assert getattr(made, trait) == value
    assert capsys.readouterr().out.strip() == str(value)


@pytest.mark.parametrize(
    "given",
    [
        NORMS,
        NORMS.detach().numpy(),
        NORMS.tolist(),
        list(NORMS),
        pd.DataFrame(NORMS.detach().numpy(), index=[f"row {i}" for i in range(4)]),
        {"value": NORMS},
        {"value": {"values": NORMS}},
    ],
)
def test_a_token_grid_of_plain_numbers_in_one_line(given: Any) -> None:
    grid = TokenGrid(TOKENS, given)
    np.testing.assert_allclose(quantity(grid), NORMS.detach().numpy(), rtol=1e-6)
    panel = grid._panels[0]
    assert grid._tokens == TOKENS and panel["rows"] == ["row 0", "row 1", "row 2", "row 3"]
    assert panel["top"]["shape"] == [4, 3, 0] and grid._vocabulary == []
    assert panel["quantities"]["value"]["scale"] == "sequential" and grid.quantity == "value"
    assert repr(grid) == "TokenGrid(4 rows × 3 positions, value)"


def test_numbers_of_every_kind_of_tensor_reach_the_browser() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float64, torch.int64):
        grid = TokenGrid(TOKENS, torch.tensor([[1, 2, 4], [8, 16, 0.5]]).to(dtype))
        np.testing.assert_array_equal(
            quantity(grid), [[1, 2, 4], [8, 16, dtype != torch.int64 and 0.5]]
        )
        assert grid._panels[0]["quantities"]["value"]["digits"] == (
            0 if dtype == torch.int64 else 3
        )
    assert as_array(torch.ones(2, dtype=torch.float16)).dtype == np.float16
    assert as_array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True)).dtype == np.float32


def test_signs_colour_around_zero_and_what_is_not_known_stays_not_known() -> None:
    grid = TokenGrid(TOKENS, [[-1.0, np.nan, 3.0]], rows=["loss"])
    shown = grid._panels[0]["quantities"]["value"]
    assert shown["scale"] == "diverging" and (shown["low"], shown["high"]) == (-1, 3)
    assert np.isnan(quantity(grid)[0, 1]) and grid._panels[0]["rows"] == ["loss"]
    np.testing.assert_array_equal(quantity(TokenGrid(TOKENS, [1.0, 2.0, 3.0])), [[1, 2, 3]])


def test_several_quantities_rows_and_a_table_with_its_own_labels() -> None:
    ranks = {"values": torch.tensor([[1, 9, 100]] * 4), "scale": "log", "unit": "tokens"}
    grid = TokenGrid(
        TOKENS, {"norm": NORMS, "rank": ranks}, rows=["embed", *range(3)], quantity="rank"
    )
    shown = grid._panels[0]["quantities"]
    assert grid.quantity == "rank" and list(shown) == ["norm", "rank"]
    assert (shown["rank"]["scale"], shown["rank"]["unit"], shown["rank"]["digits"]) == (
        "log", "tokens", 0,
    )  # fmt: skip
    assert grid._panels[0]["rows"] == ["embed", "0", "1", "2"]
    table = pd.DataFrame([[1.0, 2.0, 3.0]], index=["L2H1"], columns=TOKENS)
    grid = TokenGrid(table.columns, table)
    assert grid._tokens == TOKENS and grid._panels[0]["rows"] == ["L2H1"]


def test_cells_hold_strings_beside_their_probabilities() -> None:
    words = ["a", " b", "", " d", "\n"]
    best = torch.randn(4, 3, 5).softmax(-1).topk(2)
    top = [[[words[i] for i in cell] for cell in row] for row in best.indices.tolist()]
    grid = TokenGrid(TOKENS, {"probability": best.values, "norm": NORMS}, top=top)
    panel = grid._panels[0]
    ids = decode(panel["top"])
    assert np.array(grid._vocabulary)[ids].tolist() == top
    np.testing.assert_allclose(np.exp(decode(panel["top_logprob"])), best.values, rtol=1e-5)
    np.testing.assert_allclose(quantity(grid, "probability"), best.values[..., 0], rtol=1e-6)
    assert panel["quantities"]["probability"]["high"] == 1 and grid.quantity == "probability"
    one = TokenGrid(TOKENS, best.values[..., 0], top=[[cell[0] for cell in row] for row in top])
    assert one._panels[0]["top"]["shape"] == [4, 3, 1]
    sure = TokenGrid(TOKENS[:1], [[[1.0, 0.0]]], top=[[["a", "b"]]])
    assert decode(sure._panels[0]["top_logprob"]).ravel().tolist() == [0, -np.inf]


@pytest.mark.parametrize(
    ("values", "options", "text"),
    [
        (NORMS.T, {}, "'value' has shape (row, pos) = (3, 3), a position for each token"),
        (NORMS.T, {"rows": range(4)}, "given (3, 4): transpose it with .T"),
        (NORMS[None], {}, "given (1, 4, 3): take one prompt of a batch with [0]"),
        (NORMS, {"rows": ["a"]}, "= (1, 3), a position for each token and a row for each of rows="),
        ({"a": NORMS, "b": NORMS[:2]}, {}, "'b' has shape (row, pos) = (4, 3)"),
        ({}, {}, "values are numbers or {name: numbers}"),
        ([[1, 2, 3], [1]], {}, "lists and tensors that are stacked have one shape"),
        ({"a": {"value": NORMS}}, {}, "missing: ['values'], unknown: ['value']"),
        ({"a": NORMS}, {"top": [["x"] * 3] * 4}, "with top= the tokens' 'probability' among them"),
        (NORMS, {"top": [["x"] * 3] * 4}, "take the softmax of logits"),
        (NORMS * 0, {"top": [["x"] * 3] * 2}, "given (2, 3) and (4, 3)"),
        ([[[0.1, 0.9]] * 3], {"top": [[["x", "y"]] * 3]}, "best first; sort them along k"),
        (NORMS, {"vocabulary": ["x"]}, "vocabulary goes with Panels"),
        ([{}], {"rows": ["x"]}, "rows= and top= go with plain numbers"),
    ],
)
def test_plain_numbers_that_do_not_fit_are_refused(values: Any, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        TokenGrid(TOKENS, values, **options)


def test_what_is_no_number_and_no_string_is_refused() -> None:
    with pytest.raises(TypeError, match="quantity 'value' holds numbers; given .*Strings go into"):
        TokenGrid(TOKENS, [["a", "b", "c"]])
    with pytest.raises(TypeError, match="top holds strings, as many in each cell.*the tokenizer"):
        TokenGrid(TOKENS, [[0.1, 0.1, 0.1]], top=[[3, 4, 5]])


def test_an_update_takes_plain_numbers_too() -> None:
    grid = TokenGrid(TOKENS, NORMS, title="norms")
    grid.set_state({"selected": {"row": 3, "pos": 2}})
    grid.update(TOKENS[:2], NORMS[:, :2], rows=["a", "b", "c", "d"])
    assert grid.selected is None and grid.title == "norms"
    assert grid._panels[0]["rows"] == ["a", "b", "c", "d"]
