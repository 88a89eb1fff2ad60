"""An AttentionGrid on a page, as a person uses it: heads and cells are pointed at on canvases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page

from workbench.widgets import AttentionGrid, page

from ..unit.widgets.attentions import attention
from .grid_view import box

# Short, so that the labels of the enlarged head have their least width.
TOKENS = ["a", " b", " c", " b"]
# The layouts of widgets/src/attention_grid/thumbnails.js and matrix.js.
HEADS_LEFT, HEADS_TOP, GAP = 36, 3, 3
LABEL, MARGIN = 40, 7


class AttentionView:
    """The nth grid of a page. Heads are named by their place from the lowest row and the left."""

    def __init__(
        self, page: Page, *, layers: int, heads: int, positions: int, nth: int = 0
    ) -> None:
        self.page = page
        self.layers, self.heads, self.positions = layers, heads, positions
        self.root: Locator = page.locator(".attention-grid").nth(nth)
        scrollers = self.root.locator(".attention-grid__scroll")
        self.all_heads, self.enlarged = scrollers.nth(0), scrollers.nth(1)
        self.list = self.root.locator(".attention-grid__tokens")
        self.chips = self.root.locator(".attention-grid__chip")
        self.readout = self.root.locator(".attention-grid__readout")
        self.chips.first.wait_for()

    def head(self, layer: int, head: int, across: float = 0.5, down: float = 0.5) -> Any:
        """A point of a thumbnail in the window, as parts of its sides."""
        spacer = box(self.all_heads.locator(".workbench__spacer"))
        tile = (spacer["width"] - HEADS_LEFT) / self.heads
        x = spacer["x"] + HEADS_LEFT + head * tile + across * (tile - GAP)
        return x, spacer["y"] + HEADS_TOP + (self.layers - 1 - layer) * tile + down * (tile - GAP)

    def cell(self, dst: int, src: int) -> tuple[float, float]:
        """The middle of a cell of the enlarged head in the window."""
        spacer = box(self.enlarged.locator(".workbench__spacer"))
        side = (spacer["width"] - LABEL) / self.positions
        return (
            spacer["x"] + LABEL + (src + 0.5) * side,
            spacer["y"] + MARGIN + (dst + 0.5) * side,
        )

    def point_at(self, place: tuple[float, float]) -> None:
        self.page.mouse.move(*place)
        self.frame()

    def click_at(self, place: tuple[float, float]) -> None:
        self.page.mouse.click(*place)
        self.frame()

    def leave(self) -> None:
        self.point_at((1, 1))

    def press(self, where: Locator, *keys: str) -> None:
        for key in keys:
            where.press(key)
        self.frame()

    def choose(self, label: str) -> None:
        """Chooses in the drop-down between plain and value-weighted."""
        self.root.get_by_label("Show", exact=True).select_option(label=label)
        self.frame()

    def frame(self) -> None:
        """Waits until two frames were drawn: what was asked for before is on the screen."""
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def numbers(self) -> list[str]:
        """The weights under the tokens."""
        return self.root.locator(".attention-grid__number").all_inner_texts()

    def color(self, scroller: Locator, place: tuple[float, float]) -> tuple[int, int, int]:
        """The colour of a canvas at a point of the window."""
        r, g, b = scroller.locator("canvas").evaluate(
            """(canvas, [x, y]) => {
                // From a copy: reading the canvas would change how the browser keeps it.
                const box = canvas.getBoundingClientRect();
                const copy = document.createElement("canvas");
                Object.assign(copy, { width: 1, height: 1 });
                const context = copy.getContext("2d", { willReadFrequently: true });
                const at = (value) => Math.floor(value * devicePixelRatio);
                context.drawImage(canvas, at(x - box.x), at(y - box.y), 1, 1, 0, 0, 1, 1);
                return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
            }""",
            list(place),
        )
        return r, g, b

    def state(self, name: str) -> Any:
        """A trait as the page's stand-in model holds it."""
        return self.page.evaluate("(name) => widgetModel.get(name)", name)


def made(**options: Any) -> AttentionGrid:
    """A made-up grid of 3 layers × 2 heads × 4 positions; options as in `AttentionGrid`."""
    pattern, weighted = attention()
    return AttentionGrid(
        options.pop("tokens", TOKENS), pattern, options.pop("value_weighted", weighted), **options
    )


def opened(open_page: Callable[..., Page], grid: AttentionGrid, **options: Any) -> AttentionView:
    """The grid's exported page, opened; options as in `open_page`."""
    layers, heads, _ = grid._pattern["shape"]
    shown = open_page(page(grid, "test"), **options)
    return AttentionView(shown, layers=layers, heads=heads, positions=len(grid._tokens))
