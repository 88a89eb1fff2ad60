"""What a TokenGrid takes: clicks, keys and the selectors of the toolbar."""

import numpy as np
import pytest

from workbench.widgets import TokenGrid

from ..unit.widgets.grids import VOCABULARY, panel
from .grid_view import box, grid, opened, state, visible

pytestmark = pytest.mark.browser


def test_a_click_selects_and_pins_the_top_token_and_a_second_click_unpins(open_page):
    data = panel()
    view = opened(open_page, grid(panels=[data]))
    view.click(2, 1)
    best = int(data["top"][2, 1, 0])
    pin = {"pos": 1, "token": VOCABULARY[best], "id": best}
    assert state(view, "selected") == {"row": 2, "pos": 1}
    assert state(view, "pinned") == [pin]
    view.click(2, 1)
    assert state(view, "selected") == {"row": 2, "pos": 1}
    assert state(view, "pinned") == []
    assert view.root.locator(".token-grid__chart").count() == 0


def test_a_pinned_tokens_exact_rank_is_drawn_in_every_row(open_page):
    data = panel(n_rows=6)
    view = opened(open_page, grid(panels=[data]))
    view.click(5, 0)
    best = int(data["top"][5, 0, 0])
    track = list(data["tracks"]["ids"][: data["tracks"]["offsets"][1]]).index(best)
    ranks = data["tracks"]["ranks"][track] + 1
    points = view.root.locator(".token-grid__chart circle")
    titles = points.locator("title").all_text_contents()
    assert [f"rank {rank}," in title for rank, title in zip(ranks, titles, strict=True)] == [
        True
    ] * 6
    heights = [float(points.nth(i).get_attribute("cy") or "nan") for i in range(6)]
    assert np.argsort(heights, kind="stable").tolist() == np.argsort(ranks, kind="stable").tolist()
    assert "ends at rank 1" in view.root.locator(".token-grid__chip").inner_text()


def test_a_token_of_the_list_is_pinned_and_unpinned_by_its_button(open_page):
    data = panel()
    view = opened(open_page, grid(panels=[data]))
    view.click(3, 2)
    buttons = view.root.locator(".token-grid__candidate")
    buttons.nth(1).click()
    view.frame()
    second = int(data["top"][3, 2, 1])
    assert [pin["id"] for pin in state(view, "pinned")] == [int(data["top"][3, 2, 0]), second]
    assert buttons.nth(1).get_attribute("aria-pressed") == "true"
    colors = view.root.locator(".token-grid__chart path").evaluate_all(
        "(paths) => paths.map((path) => path.getAttribute('stroke'))"
    )
    assert len(set(colors)) == 2
    view.root.get_by_role("button", name="Unpin").first.click()
    view.frame()
    assert [pin["id"] for pin in state(view, "pinned")] == [second]


def test_without_tracks_ranks_are_drawn_only_where_the_top_tokens_show_them(open_page):
    data = panel(tracked=False)
    view = opened(open_page, grid(panels=[data]))
    view.click(3, 0)
    known = int((data["top"][:, 0] == data["top"][3, 0, 0]).any(-1).sum())
    assert view.root.locator(".token-grid__chart circle").count() == known
    assert "only where in the top 3" in view.root.locator(".token-grid__chip").inner_text()


def test_colours_follow_the_quantity_and_the_scheme(open_page):
    values = np.full((4, 3), 0.5)
    values[0, 0], values[3, 2], values[1, 1] = 0.0, 1.0, 1.0
    signed = np.zeros((4, 3))
    signed[0] = [-1.0, 0.0, 2.0]
    quantities = {
        "probability": {"values": values, "low": 0.0, "high": 1.0},
        "difference": {"values": signed, "scale": "diverging"},
    }
    view = opened(open_page, grid(panels=[panel(quantities=quantities)]))
    # The ends of viridis and magma as matplotlib publishes them.
    purple, yellow = (68, 1, 84), (253, 231, 37)
    assert view.color(0, 0) == purple and view.color(3, 0) != purple
    assert view.color(3, 2) == view.color(1, 1) == yellow
    assert view.color(0, 2) == view.color(2, 0) not in (purple, yellow)
    view.choose("Colours", "magma")
    assert view.color(0, 0) == (0, 0, 4) and view.color(3, 2) == (252, 253, 191)
    view.choose("Show", "difference")
    red, middle, blue = (view.color(0, pos) for pos in range(3))
    assert red[0] > red[2] and blue[2] > blue[0] and min(middle) > 225
    assert state(view, "quantity") == "difference"
    assert view.root.get_by_label("Colours", exact=True).is_disabled()
    ticks = view.root.locator(".token-grid__ticks span").all_inner_texts()
    assert ticks == ["−2", "−1", "0", "1", "2"]


def test_lens_and_component_switch_the_panel_and_selectors_with_one_choice_are_hidden(open_page):
    panels = [
        panel(),
        panel(3, seed=1, component="attn_out"),
        panel(seed=2, lens="tuned lens", quantities={"norm": {"values": np.ones((4, 3))}}),
    ]
    view = opened(open_page, grid(panels=panels))
    view.click(3, 0)
    view.choose("Component", "attn_out")
    assert state(view, "panel") == 1 and state(view, "selected") is None
    view.choose("Lens", "tuned lens")
    assert state(view, "panel") == 2 and state(view, "quantity") == "norm"
    assert not view.root.get_by_label("Component", exact=True).is_visible()
    assert not view.root.get_by_label("Show", exact=True).is_visible()
    view.hover(3, 2)
    assert visible(VOCABULARY[panels[2]["top"][3, 2, 0]]) in view.readout.inner_text()


def test_the_keyboard_moves_pins_and_unpins(open_page):
    data = panel()
    view = opened(open_page, grid(panels=[data]))
    view.scroller.focus()
    view.press("ArrowRight", "ArrowDown")
    assert view.readout.inner_text().startswith("L1, position 1 ")
    assert view.tooltip.is_visible()
    view.press("End", "PageDown")
    assert view.readout.inner_text().startswith("embed, position 2 ")
    view.press("Home", "PageUp")
    assert view.readout.inner_text().startswith("L2, position 0 ")
    view.press("Enter")
    assert [pin["id"] for pin in state(view, "pinned")] == [int(data["top"][3, 0, 0])]
    view.press(" ")
    assert state(view, "pinned") == []
    view.press("Enter", "ArrowRight", " ")
    assert len(state(view, "pinned")) == 2
    view.press("Escape")
    assert state(view, "pinned") == [] and state(view, "selected") is None
    assert not view.tooltip.is_visible()


def test_keys_of_the_grid_do_not_reach_the_notebook_around_it_and_others_do(open_page):
    view = opened(open_page, grid())
    view.page.evaluate(
        "window.keys = []; document.addEventListener('keydown', (event) => keys.push(event.key))"
    )
    view.scroller.focus()
    view.press("ArrowUp", "Enter", "Escape", "PageDown", "q", "Shift+Enter")
    assert view.page.evaluate("keys") == ["q", "Shift", "Enter"]
    assert state(view, "pinned") == []


def test_a_key_brings_a_far_cell_between_the_headers(open_page):
    vocabulary = [f" w{i}" for i in range(40)]
    big = panel(48, 200, vocabulary=40)
    tokens = [f" t{i}" for i in range(200)]
    view = opened(open_page, TokenGrid(tokens, [big], vocabulary))
    view.scroller.focus()
    view.press("End", *["PageDown"] * 4)
    assert view.readout.inner_text().startswith("embed, position 199 ")
    x, y = view.point(0, 199)
    seen = box(view.canvas)
    assert seen["x"] + 56 < x < seen["x"] + seen["width"]
    assert seen["y"] < y < seen["y"] + seen["height"] - 38
    view.leave()
    view.hover(0, 199)
    assert view.readout.inner_text().startswith("embed, position 199 ")
