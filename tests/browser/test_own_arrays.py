"""Widgets that were made in one line from plain arrays and strings draw, and a click chooses."""

import networkx
import pytest
import torch

from workbench.widgets import AttentionGrid, FeaturePage, GraphView, TokenGrid

from . import attention_view, circuit_view, grid_view, page_view

pytestmark = pytest.mark.browser
TOKENS = ["The", " cat", " sat"]


def test_a_grid_of_a_tensor_draws_its_numbers_and_a_click_selects(open_page):
    grid = TokenGrid(TOKENS, torch.tensor([[1.5, -2, 3], [0, torch.nan, 9]]), rows=["L0", "L1"])
    view = grid_view.opened(open_page, grid)
    texts = view.texts()
    assert [texts[column, 1] for column in range(3)] == ["1.500", "−2.000", "3.000"]
    assert [texts[column, 0] for column in range(3)] == ["0", "–", "9.000"]
    assert (texts[-1, 0], texts[-1, 1]) == ("L1", "L0")
    red, _, blue = view.color(0, 1)
    unknown = view.color(1, 1)
    assert red > blue + 40 and max(unknown) - min(unknown) < 10, "negative is red, NaN is grey"
    view.click(0, 1)
    assert grid_view.state(view, "selected") == {"row": 0, "pos": 1}
    grid.set_state({"selected": grid_view.state(view, "selected")})
    assert view.readout.inner_text() == "L0, position 1 “·cat”: value −2.000"


def test_a_grid_of_strings_draws_them_and_pins_one(open_page):
    best = torch.tensor([[[0.6, 0.3]] * 3, [[0.9, 0.1]] * 3])
    top = [[[" dog", " ran"]] * 3, [[" mat", " dog"]] * 3]
    view = grid_view.opened(open_page, TokenGrid(TOKENS, best, top=top))
    assert [view.texts()[0, line] for line in range(2)] == ["·mat", "·dog"]
    view.hover(0, 1)
    assert view.tokens_in_tooltip() == ["·dog", "·ran"]
    view.click(1, 2)
    view.root.get_by_role("button", name="·dog").click()
    pins = [(pin["pos"], pin["token"]) for pin in grid_view.state(view, "pinned")]
    assert pins == [(2, " mat"), (2, " dog")], "of the cell, and of the list beside it"


def test_one_head_draws_and_a_click_pins_its_destination(open_page):
    grid = AttentionGrid(TOKENS, torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0.25, 0.75]]))
    view = attention_view.opened(open_page, grid)
    view.click_at(view.cell(2, 2))
    assert view.state("position") == 2 and view.numbers()[:3] == ["0", "0.25", "0.75"]
    grid.set_state({"position": view.state("position")})


def test_a_networkx_graph_draws_and_a_click_selects(open_page):
    edges = [("cat", "sat", {"weight": 0.5}), ("sat", "mat", {"weight": -2.0})]
    graph = GraphView(networkx.DiGraph(edges))
    view = circuit_view.opened(open_page, graph)
    assert view.drawn() == {"cat→sat", "sat→mat"}
    (_, low), (_, middle), (_, high) = (view.point(name) for name in ("cat", "sat", "mat"))
    assert low > middle > high, "what comes later stands higher"
    view.click("sat")
    assert view.get("selected") == "sat"
    graph.set_state({"selected": view.get("selected")})


def test_texts_and_activations_draw_and_a_click_chooses(open_page):
    made = FeaturePage("a/7", [(TOKENS, torch.tensor([0, 2.5, 1]))], nearest=[("a/8", 0.7)])
    view = page_view.opened(open_page, made)
    view.token(0, 1).hover()
    assert "2.5" in view.readout.inner_text()
    view.root.get_by_role("button", name="a/8").click()
    assert view.get("chosen") == "a/8"
    made.set_state({"chosen": view.get("chosen")})
