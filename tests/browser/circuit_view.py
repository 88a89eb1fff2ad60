"""A GraphView of components on a page, as a person uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page

from workbench.widgets import GraphView, page
from workbench.widgets.graph_edges import edge_ids

from .grid_view import box


class CircuitView:
    """The graph of a page; nodes and edges are named by their ids."""

    def __init__(self, shown: Page, graph: GraphView) -> None:
        self.page = shown
        self.nodes = [node["id"] for node in graph._nodes]
        self.edges = edge_ids("components", graph._nodes, graph._edges)
        self.root: Locator = shown.locator(".graph-view")
        self.scroller = self.root.locator(".graph-view__scroll")
        self.lines = self.root.locator(".graph-view__edges .graph-view__line")
        self.readout = self.root.locator(".graph-view__readout")
        self.tooltip = self.root.locator(".graph-view__tooltip")
        self.slider = self.root.locator(".graph-view__slider")
        self.scroller.wait_for()

    def node(self, name: str) -> Locator:
        return self.root.locator(f'[id$="-node{self.nodes.index(name)}"]')

    def edge(self, name: str) -> Locator:
        return self.root.locator(f'[id$="-edge{self.edges.index(name)}"]')

    def drawn(self) -> set[str]:
        """Ids of the edges that are drawn."""
        found = self.root.locator(".graph-view__edge[id]").evaluate_all(
            "edges => edges.map((edge) => Number(edge.id.split('-edge')[1]))"
        )
        assert len(set(found)) == len(found)
        return {self.edges[index] for index in found}

    def point(self, name: str, share: float = 0.5) -> tuple[float, float]:
        """The middle of a node, or the point of an edge's line at this share of its length."""
        if name in self.nodes:
            place = box(self.node(name).locator(".graph-view__box"))
            return place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        x, y = (
            self.edge(name)
            .locator(".graph-view__line")
            .evaluate(
                """(line, share) => {
                const at = line.getPointAtLength(share * line.getTotalLength());
                const inWindow = at.matrixTransform(line.getScreenCTM());
                return [inWindow.x, inWindow.y];
            }""",
                share,
            )
        )
        return x, y

    def hover(self, name: str, share: float = 0.5) -> None:
        self.page.mouse.move(*self.point(name, share))
        self.frame()

    def click(self, name: str, *, shift: bool = False, share: float = 0.5) -> None:
        if shift:
            self.page.keyboard.down("Shift")
        self.page.mouse.click(*self.point(name, share))
        if shift:
            self.page.keyboard.up("Shift")
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


def opened(open_page: Callable[..., Page], graph: GraphView, **options: Any) -> CircuitView:
    """The graph's exported page, opened; options as in `open_page`."""
    return CircuitView(open_page(page(graph, "test"), **options), graph)
