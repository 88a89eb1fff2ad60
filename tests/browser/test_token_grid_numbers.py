"""A TokenGrid without tokens shows numbers: in its cells, in words, and when a cell is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workbench.widgets import TokenGrid

from .grid_view import TOKENS, GridView, opened, state, visible

pytestmark = pytest.mark.browser

VALUES = np.array([[0.25, -0.00002, 0.0], [np.nan, -1.5, 1.0]])


@pytest.fixture
def view(open_page) -> GridView:
    numbers = {"values": VALUES, "scale": "diverging", "digits": 2, "label": "effect of a patch"}
    panel: Any = {
        "lens": "denoise",
        "component": "resid_pre",
        "rows": ["L0", "L1"],
        "top": np.zeros((2, 3, 0), np.uint8),
        "top_logprob": np.zeros((2, 3, 0)),
        "quantities": {"effect": numbers},
    }
    return opened(open_page, TokenGrid(TOKENS, [panel], [], quantity="effect"))


def test_every_cell_shows_its_number(view) -> None:
    texts = view.texts()
    expected = [["0.25", "0", "0"], ["–", "−1.50", "1.00"]]
    for row in range(2):
        for pos in range(3):
            assert texts[pos, 1 - row] == expected[row][pos], (row, pos)
    for pos, token in enumerate(TOKENS):
        assert texts[pos, 2] == visible(token)


def test_pointing_at_a_cell_says_its_number_in_full_and_no_token(view) -> None:
    assert "press Enter to select it" in view.readout.inner_text()
    view.hover(0, 1)
    assert view.readout.inner_text() == "L0, position 1 “·Mary”: effect of a patch −2.0e−5"
    assert view.tooltip.locator("table").count() == 1
    assert view.tooltip.locator(".token-grid__number").all_inner_texts() == ["−2.0e−5"]


def test_a_click_or_enter_selects_the_cell_and_pins_nothing(view) -> None:
    view.click(1, 2)
    assert state(view, "selected") == {"row": 1, "pos": 2} and state(view, "pinned") == []
    assert not view.root.locator(".token-grid__details").is_visible()
    view.press("ArrowLeft", "Enter")
    assert state(view, "selected") == {"row": 1, "pos": 1}
    view.press("Escape")
    assert state(view, "selected") is None


def test_signs_have_opposite_colours_and_what_is_no_number_is_grey(view) -> None:
    red, _, blue = view.color(1, 1)
    assert red > blue + 40
    red, _, blue = view.color(1, 2)
    assert blue > red + 40
    red, green, blue = view.color(1, 0)
    assert max(red, green, blue) - min(red, green, blue) < 12
