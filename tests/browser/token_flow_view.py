"""A GraphView over tokens on a page, as a person uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page

from workbench.widgets import GraphView, page
from workbench.widgets.graph_edges import edge_ids

from .grid_view import box


class TokenFlowView:
    """The flow of a page; nodes and edges are named by their ids."""

    def __init__(self, shown: Page, flow: GraphView) -> None:
        self.page = shown
        self.nodes = list(flow.ids)
        self.edges = edge_ids("tokens", flow._nodes, flow._edges)
        self.root: Locator = shown.locator(".graph-view")
        self.scroller = self.root.locator(".graph-view__scroll")
        self.readout = self.root.locator(".graph-view__readout")
        self.panel = self.root.locator(".graph-view__panel")
        self.tooltip = self.root.locator(".graph-view__tooltip")
        self.slider = self.root.locator(".graph-view__slider")
        self.search = self.root.locator(".graph-view__search")
        self.count = self.root.locator(".graph-view__count")
        self.scroller.wait_for()

    def node(self, name: str) -> Locator:
        return self.root.locator(f'[data-node="{self.nodes.index(name)}"]')

    def edge(self, name: str) -> Locator:
        return self.root.locator(f'[data-edge="{self.edges.index(name)}"]')

    def drawn(self, kind: str = "") -> set[str]:
        """Ids of the nodes that are drawn, or of those with a class."""
        found = self.root.locator(f"[data-node]{kind}").evaluate_all(
            "nodes => nodes.map((node) => Number(node.dataset.node))"
        )
        return {self.nodes[number] for number in found}

    def lines(self) -> set[str]:
        """Ids of the edges that are drawn."""
        found = self.root.locator("[data-edge]").evaluate_all(
            "edges => edges.map((edge) => Number(edge.dataset.edge))"
        )
        assert len(set(found)) == len(found)
        return {self.edges[number] for number in found}

    def middles(self) -> dict[str, tuple[float, float]]:
        """The middle of each node that is drawn."""
        found = self.root.locator("[data-node]").evaluate_all(
            """nodes => nodes.map((node) => {
                const box = node.querySelector(".graph-view__box").getBoundingClientRect();
                return [Number(node.dataset.node), box.x + box.width / 2, box.y + box.height / 2];
            })"""
        )
        return {self.nodes[int(number)]: (x, y) for number, x, y in found}

    def strokes(self) -> dict[str, tuple[float, str | None]]:
        """Width and dashes of the line of each edge that is drawn."""
        found = self.root.locator("[data-edge]").evaluate_all(
            """edges => edges.map((edge) => {
                const read = (name) => edge.getAttribute(name);
                return [Number(edge.dataset.edge), read("stroke-width"), read("stroke-dasharray")];
            })"""
        )
        return {self.edges[number]: (float(width), dashes) for number, width, dashes in found}

    def raised(self) -> set[str]:
        """Ids of the edges that are brought out: those with the same line drawn once more."""
        paths = self.root.evaluate(
            """(root) => {
                const line = (edge) => edge.getAttribute("d");
                const raised = [...root.querySelectorAll(".graph-view__raised .graph-view__line")];
                const lines = new Set(raised.map(line));
                const all = [...root.querySelectorAll("[data-edge]")];
                return all.filter((edge) => lines.has(line(edge)))
                    .map((edge) => Number(edge.dataset.edge));
            }"""
        )
        return {self.edges[number] for number in paths}

    def text(self, name: str) -> str:
        """What is written on a node."""
        return "\n".join(self.node(name).locator("text").all_text_contents())

    def point(self, name: str, share: float = 0.5) -> tuple[float, float]:
        """The middle of a node, or the point of an edge's line at this share of its length."""
        if name in self.nodes:
            place = box(self.node(name).locator(".graph-view__box"))
            return place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        x, y = self.edge(name).evaluate(
            """(line, share) => {
                const at = line.getPointAtLength(share * line.getTotalLength());
                const inWindow = at.matrixTransform(line.getScreenCTM());
                return [inWindow.x, inWindow.y];
            }""",
            share,
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

    def use(self, name: str) -> None:
        """Clicks a button of the toolbar."""
        self.root.get_by_role("button", name=name).click()
        self.frame()

    def check(self, name: str) -> None:
        """Clicks a check box of the toolbar."""
        self.root.get_by_label(name, exact=True).click()
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


def opened(open_page: Callable[..., Page], flow: GraphView, **options: Any) -> TokenFlowView:
    """The flow's exported page, opened high enough for two layers; options as in `open_page`."""
    return TokenFlowView(open_page(page(flow, "test"), **{"height": 1050, **options}), flow)
