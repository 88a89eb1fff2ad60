"""A GraphView in lanes on a page, as a person uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page

from workbench.widgets import GraphView, page

from .grid_view import box


class FlowView:
    """The graph of a page; features are named by their ids."""

    def __init__(self, shown: Page, graph: GraphView) -> None:
        self.page = shown
        self.ids = list(graph.ids)
        self.root: Locator = shown.locator(".graph-view")
        self.scroller = self.root.locator(".graph-view__scroll")
        self.readout = self.root.locator(".graph-view__readout")
        self.tooltip = self.root.locator(".graph-view__tooltip")
        self.slider = self.root.locator(".graph-view__slider")
        self.count = self.root.locator(".graph-view__count")
        self.scroller.wait_for()

    def node(self, name: str) -> Locator:
        return self.root.locator(f'[data-node="{self.ids.index(name)}"]')

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name)

    def use(self, name: str) -> None:
        """Clicks one of the buttons of the selected feature."""
        self.button(name).click()
        self.frame()

    def drawn(self) -> set[str]:
        """Ids of the features that are drawn."""
        found = self.root.locator("[data-node]").evaluate_all(
            "nodes => nodes.map((node) => Number(node.dataset.node))"
        )
        return {self.ids[number] for number in found}

    def edges(self, kind: str = "") -> set[int]:
        """Numbers of the edges that are drawn, or of those with a class."""
        found = self.root.locator(f"[data-edge]{kind}").evaluate_all(
            "lines => lines.map((line) => Number(line.dataset.edge))"
        )
        return set(found)

    def text(self, name: str) -> str:
        """What is written on a feature."""
        lines = self.node(name).locator("text").all_text_contents()
        return "\n".join(lines)

    def hover(self, name: str) -> None:
        place = box(self.node(name).locator(".graph-view__box"))
        self.page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        self.frame()

    def click(self, name: str) -> None:
        self.hover(name)
        self.page.mouse.down()
        self.page.mouse.up()
        self.frame()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.scroller.press(key)
        self.frame()

    def leave(self) -> None:
        self.page.mouse.move(1, 1)
        self.frame()

    def frame(self) -> None:
        """Waits until two frames were drawn: what was asked for before is on the screen."""
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def set(self, **traits: Any) -> None:
        """New values of traits, as a kernel sends them."""
        self.page.evaluate("(traits) => widgetModel.set(traits)", traits)
        self.frame()

    def get(self, name: str) -> Any:
        return self.page.evaluate("(name) => widgetModel.get(name)", name)


def opened(open_page: Callable[..., Page], graph: GraphView, **options: Any) -> FlowView:
    """The graph's exported page, opened high enough for four layers; options as in `open_page`."""
    return FlowView(open_page(page(graph, "test"), **{"height": 1250, **options}), graph)
