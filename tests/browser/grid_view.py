"""A TokenGrid on a page, as a person uses it: cells are pointed at and clicked on a canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import FloatRect, Locator, Page

from workbench.widgets import TokenGrid, page

from ..unit.widgets.grids import VOCABULARY, panel

TOKENS = ["When", " Mary", " gave"]

# The layout of widgets/src/token_grid.js for row labels no wider than "embed".
ROW_LABELS, CELL_HEIGHT, NEXT_HEADER = 56, 24, 26

#: Draws a second view of a page's model.
SECOND = """async () => {
    // A script of the page's own, since its policy allows no other.
    const output = document.querySelector('.workbench-output');
    const source = output.querySelector('script[type=module]').textContent;
    const script = document.createElement('script');
    script.textContent = source.split('\\nfor (const box')[0];
    document.head.append(script);
    const el = output.shadowRoot.appendChild(document.createElement('div'));
    window.closeSecond = window.view.default.render({ model: widgetModel, el });
}"""


class GridView:
    """The nth grid of a page. Cells are named by row (0 = lowest) and position."""

    def __init__(
        self,
        page: Page,
        *,
        rows: int,
        positions: int,
        next_header: bool = False,
        nth: int = 0,
    ) -> None:
        self.page = page
        self.rows = rows
        self.positions = positions
        self.top = NEXT_HEADER if next_header else 0
        self.root: Locator = page.locator(".token-grid").nth(nth)
        self.canvas = self.root.locator(".token-grid__canvas")
        self.scroller = self.root.locator(".token-grid__scroll")
        self.readout = self.root.locator(".token-grid__readout")
        self.tooltip = self.root.locator(".token-grid__tooltip")
        self.canvas.wait_for()

    def point(self, row: int, pos: int) -> tuple[float, float]:
        """The middle of a cell in the window, as the grid is scrolled now."""
        self.canvas.scroll_into_view_if_needed()
        spacer = box(self.root.locator(".workbench__spacer"))
        width = (spacer["width"] - ROW_LABELS) / self.positions
        x = spacer["x"] + ROW_LABELS + (pos + 0.5) * width
        return x, spacer["y"] + self.top + (self.rows - 1 - row + 0.5) * CELL_HEIGHT

    def hover(self, row: int, pos: int) -> None:
        self.page.mouse.move(*self.point(row, pos))
        self.frame()

    def click(self, row: int, pos: int) -> None:
        self.page.mouse.click(*self.point(row, pos))
        self.frame()

    def leave(self) -> None:
        self.page.mouse.move(1, 1)
        self.frame()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.scroller.press(key)
        self.frame()

    def choose(self, label: str, value: str) -> None:
        """Chooses in the drop-down of this label."""
        self.root.get_by_label(label, exact=True).select_option(value)
        self.frame()

    def frame(self) -> None:
        """Waits until two frames were drawn: what was asked for before is on the screen."""
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def color(self, row: int, pos: int) -> tuple[int, int, int]:
        """The colour of the cell's lower left corner, inside any outline, as drawn."""
        canvas = box(self.canvas)
        x, y = self.point(row, pos)
        spacer = box(self.root.locator(".workbench__spacer"))
        width = (spacer["width"] - ROW_LABELS) / self.positions
        return self.pixel(x - canvas["x"] - width / 2 + 5, y - canvas["y"] + CELL_HEIGHT / 2 - 6)

    def pixel(self, x: float, y: float) -> tuple[int, int, int]:
        """The colour at a point of the canvas, as drawn."""
        r, g, b = self.canvas.evaluate(
            """(canvas, [x, y]) => {
                // From a copy: reading the canvas would change how the browser keeps it.
                const copy = document.createElement("canvas");
                Object.assign(copy, { width: 1, height: 1 });
                const context = copy.getContext("2d", { willReadFrequently: true });
                const at = (value) => Math.round(value * devicePixelRatio);
                context.drawImage(canvas, at(x), at(y), 1, 1, 0, 0, 1, 1);
                return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
            }""",
            [x, y],
        )
        return r, g, b

    def texts(self) -> dict[tuple[int, int], str]:
        """What is written on the canvas, by column (-1: the row labels) and line.

        Lines count from the top: the header of next tokens where there is one, the rows from the
        last to the first, the tokens, the positions.
        """
        written = self.page.evaluate(
            """() => new Promise((done) => {
                const { prototype } = CanvasRenderingContext2D;
                const original = prototype.fillText;
                const calls = [];
                prototype.fillText = function (text, x, y, ...rest) {
                    calls.push([text, x, y]);
                    return original.call(this, text, x, y, ...rest);
                };
                widgetModel.emit("change:status");
                requestAnimationFrame(() => requestAnimationFrame(() => {
                    prototype.fillText = original;
                    done(calls);
                }));
            })"""
        )
        spacer = box(self.root.locator(".workbench__spacer"))
        width = (spacer["width"] - ROW_LABELS) / self.positions
        foot = self.top + self.rows * CELL_HEIGHT
        texts: dict[tuple[int, int], str] = {}
        for text, x, y in written:
            if y < self.top:
                line = 0
            elif y < foot:
                line = int((y - self.top) // CELL_HEIGHT) + (self.top > 0)
            else:
                line = self.rows + (self.top > 0) + (y - foot > 20)
            column = int((x - ROW_LABELS) // width)
            texts[column, line] = texts.get((column, line), "") + text
        return texts

    def tokens_in_tooltip(self) -> list[str]:
        return self.tooltip.locator("table").first.locator(".token-grid__token").all_inner_texts()


def box(locator: Locator) -> FloatRect:
    """The place of an element in the window."""
    found = locator.bounding_box()
    assert found is not None, "the element is not shown"
    return found


def visible(token: str) -> str:
    """A token of the made-up grids as the view writes it."""
    return token.replace(" ", "·").replace("\n", "↵")


def opened(open_page: Callable[..., Page], grid: TokenGrid, **options: Any) -> GridView:
    """The grid's exported page, opened; options as in `open_page`."""
    rows = len(grid._panels[grid.panel]["rows"])
    shown = open_page(page(grid, "test"), **options)
    return GridView(
        shown, rows=rows, positions=len(grid._tokens), next_header=bool(grid._next_token)
    )


def state(view: GridView, name: str) -> Any:
    """A trait as the page's stand-in model holds it."""
    return view.page.evaluate("(name) => widgetModel.get(name)", name)


def grid(**options: Any) -> TokenGrid:
    """A made-up grid of 4 rows × 3 positions; options as in `TokenGrid`."""
    return TokenGrid(TOKENS, options.pop("panels", [panel()]), VOCABULARY, **options)
