"""What a FeatureGrid shows and what pointer and keys do to it."""

from typing import Any

import numpy as np
import pytest

from workbench.widgets import FeatureGrid, page

from ..unit.widgets.features import activations
from .grid_view import box

pytestmark = pytest.mark.browser
EVIL = "<img src=x onerror=alert(1)>"
# Few positions have the greatest width.
CELL_WIDTH, CELL_HEIGHT, HEADER = 84, 24, 40


class View:
    """The grid of a page; cells are named by the line from the top and the position."""

    def __init__(self, open_page: Any, grid: FeatureGrid, **options: Any) -> None:
        self.page = open_page(page(grid, "test"), **options)
        self.root = self.page.locator(".feature-grid")
        self.scroller = self.root.locator(".feature-grid__scroll")
        self.readout = self.root.locator(".feature-grid__readout")
        self.tooltip = self.root.locator(".feature-grid__tooltip")
        self.positions = len(grid._tokens)
        self.root.wait_for()
        self.frame()

    def point(self, line: int, pos: int) -> tuple[float, float]:
        """The middle of a cell; line −1 is the header, position −1 the names of features."""
        spacer = box(self.root.locator(".workbench__spacer"))
        left = spacer["width"] - self.positions * CELL_WIDTH
        x = spacer["x"] + (left / 2 if pos < 0 else left + (pos + 0.5) * CELL_WIDTH)
        y = spacer["y"] + (HEADER / 2 if line < 0 else HEADER + (line + 0.5) * CELL_HEIGHT)
        return x, y

    def hover(self, line: int, pos: int) -> None:
        self.page.mouse.move(*self.point(line, pos))
        self.frame()

    def click(self, line: int, pos: int) -> None:
        self.page.mouse.click(*self.point(line, pos))
        self.frame()

    def pixel(self, line: int, pos: int) -> list[int]:
        """The colour in the corner of a cell."""
        x, y = self.point(line, pos)
        return self.page.locator(".feature-grid__canvas").evaluate(
            """(canvas, [x, y]) => {
                const frame = canvas.getBoundingClientRect();
                const at = [(x - frame.x) * devicePixelRatio, (y - frame.y) * devicePixelRatio];
                const probe = document.createElement("canvas");
                const context = probe.getContext("2d", { willReadFrequently: true });
                context.drawImage(canvas, -at[0], -at[1]);
                return [...context.getImageData(0, 0, 1, 1).data];
            }""",
            [x - 30, y - 8],
        )

    def frame(self) -> None:
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def set(self, **traits: Any) -> None:
        self.page.evaluate("(traits) => widgetModel.set(traits)", traits)
        self.frame()

    def get(self, name: str) -> Any:
        return self.page.evaluate("(name) => widgetModel.get(name)", name)


def grid(**options: Any) -> FeatureGrid:
    return FeatureGrid(**{**activations(40, 8), **options})


def test_rows_are_the_most_active_features_and_cells_are_shaded_and_told(open_page):
    given = activations(40, 8)
    values = given["values"]
    view = View(open_page, grid(n_shown=6))
    order = np.argsort(-values.max(1), kind="stable")[:6]
    assert view.root.locator(".feature-grid__count").inner_text() == "6 of 40"
    colors: dict[float, list[int]] = {}
    for line, feature in enumerate(order[:1]):
        for pos in range(8):
            colors[float(values[feature, pos])] = view.pixel(line, pos)
            view.hover(line, pos)
            name = given["features"][feature]
            assert view.readout.inner_text().startswith(name)
            assert f": {values[feature, pos]:.2f} at " in view.readout.inner_text()
            assert f"variance explained at the position {given['explained'][pos]:.2f}" in (
                view.readout.inner_text()
            )
            assert name in view.tooltip.inner_text()
            assert f"{values[feature, pos]:.2f}" in view.tooltip.inner_text()
    reds = [colors[value][0] for value in sorted(colors)]
    assert len(reds) > 2 and reds == sorted(reds, reverse=True), "more is darker"
    view.page.mouse.move(1, 1)
    view.frame()
    assert not view.tooltip.is_visible()
    before = [box(part) for part in (view.root, view.scroller, view.readout)]
    view.hover(2, 3)
    assert [box(part) for part in (view.root, view.scroller, view.readout)] == before

    # Clicks choose a cell, a whole feature, a position.
    view.click(2, 3)
    assert (view.get("feature"), view.get("position")) == (given["features"][order[2]], 3)
    view.click(1, -1)
    assert (view.get("feature"), view.get("position")) == (given["features"][order[1]], 3)
    view.click(-1, 5)
    assert (view.get("feature"), view.get("position")) == (given["features"][order[1]], 5)
    view.set(order="position")
    here = np.argsort(-values[:, 5], kind="stable")[: int((values[:, 5] > 0).sum())]
    view.hover(0, 5)
    assert view.readout.inner_text().startswith(given["features"][here[0]])


def test_which_features_are_shown_is_chosen_with_its_controls(open_page):
    given = activations(40, 8)
    view = View(open_page, grid())
    which = view.root.get_by_label("Which features are shown")
    which.select_option("sum")
    assert view.get("order") == "sum"
    view.frame()
    best = int(given["values"].sum(1).argmax())
    view.hover(0, 0)
    assert view.readout.inner_text().startswith(given["features"][best])
    view.root.get_by_role("slider").press("End")
    view.frame()
    assert view.get("n_shown") == 32
    assert view.root.locator(".feature-grid__count").inner_text() == "32 of 40"
    which.select_option("chosen")
    view.frame()
    assert "No feature is chosen" in view.root.inner_text()
    assert not view.scroller.is_visible()
    add = view.root.get_by_label("Choose a feature by hand")
    for name in given["features"][3:5]:
        add.select_option(name)
        view.frame()
    assert view.get("chosen") == given["features"][3:5]
    view.hover(1, 0)
    assert view.readout.inner_text().startswith(given["features"][4])
    view.root.get_by_role("button", name=f"Drop {given['features'][3]}").click()
    view.frame()
    assert view.get("chosen") == [given["features"][4]]
    view.set(status="error: no")
    assert view.root.get_by_role("status").inner_text() == "error: no"


def test_the_keyboard_moves_selects_and_chooses(open_page):
    given = activations(40, 8)
    order = np.argsort(-given["values"].max(1), kind="stable")
    view = View(open_page, grid())
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        view.scroller.press(key)
    assert (view.get("feature"), view.get("position")) == (given["features"][order[2]], 1)
    view.scroller.press("c")
    view.scroller.press("ArrowUp")
    view.scroller.press("c")
    assert view.get("chosen") == [given["features"][order[2]], given["features"][order[1]]]
    view.scroller.press("c")
    assert view.get("chosen") == [given["features"][order[2]]]
    view.frame()
    assert view.readout.inner_text().startswith(given["features"][order[1]])
    view.scroller.press("Escape")
    assert (view.get("feature"), view.get("position")) == ("", -1)


def test_what_is_not_known_is_said_and_markup_is_text(open_page):
    values = np.array([[2.0, np.nan], [1.0, 0.0]], np.float32)
    evil = FeatureGrid([EVIL, "\n"], [EVIL, "b"], values, labels=[EVIL, ""], title=EVIL)
    view = View(open_page, evil, theme="dark")
    view.hover(0, 1)
    assert ": not known at “↵” (position 1)" in view.readout.inner_text()
    assert view.readout.inner_text().startswith(f"{EVIL} “{EVIL}”")
    assert view.root.locator("img, script").count() == 0
    view.click(0, 0)
    assert view.get("feature") == EVIL


def test_a_long_prompt_scrolls_in_its_frame(open_page):
    given = activations(60, 300)
    shown = FeatureGrid(**given, n_shown=32)
    view = View(open_page, shown, width=480, theme="dark")
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert view.scroller.evaluate("(part) => part.scrollWidth") > 300 * 44
    view.scroller.press("End")
    view.frame()
    view.scroller.press("Enter")
    assert view.get("position") == 299
    assert view.scroller.evaluate("(part) => part.scrollLeft") > 290 * 44 - 480
    assert "(position 299)" in view.readout.inner_text()
