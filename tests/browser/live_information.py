"""The live graph of a pass in a notebook of JupyterLab, as a person uses it."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Locator, Page, expect

from .lab import Lab

CELLS = [
    "import json\nimport workbench as wb\nmodel = wb.load('tinyworld', device='cpu')",
    "explorer = wb.live.information(model)\nexplorer",
]
#: The head that carries the country to where its capital is asked for, and what it reads there.
HEAD = "L0H2.z@4"
FIRST = "embed@3"
EDGE = f"{FIRST} → {HEAD} v"
LAST = "L3.resid_post@4"


class LiveInformation:
    """The explorer of `CELLS`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.page: Page = lab.run(CELLS, width=1280, height=2300)
        self.graph = self.page.locator(".graph-view")
        self.answers = self.page.locator(".workbench-answers")
        self.prompt = self.page.get_by_placeholder("Text for the model to read")
        expect(self.answers).to_be_visible()
        expect(self.graph.locator("[data-node]").first).to_be_visible()

    def node(self, name: str) -> Locator:
        """A node's box in the graph."""
        number = self.value("explorer.view.ids").index(name)
        return self.graph.locator(f'[data-node="{number}"]')

    def click(self, name: str) -> None:
        """Click a node, and wait until Python knows."""
        self.node(name).click()
        self.comes_to("explorer.view.selected", name)

    def click_edge(self, name: str, share: float = 0.5) -> None:
        """Click an edge at this share of its line's length."""
        number = self.value("list(explorer.shown.edge_names)").index(name)
        x, y = self.graph.locator(f'[data-edge="{number}"]').evaluate(
            """(line, share) => {
                const at = line.getPointAtLength(share * line.getTotalLength());
                const inWindow = at.matrixTransform(line.getScreenCTM());
                return [inWindow.x, inWindow.y];
            }""",
            share,
        )
        self.page.mouse.click(x, y)

    def press(self, button: str) -> None:
        """Press a button of the explorer."""
        self.page.get_by_role("button", name=button, exact=True).first.click()

    def value(self, expression: str) -> Any:
        """What an expression gives in the kernel, through JSON."""
        return json.loads(self.lab.run_cell(self.page, f"print(json.dumps({expression}))"))

    def comes_to(self, expression: str, expected: Any) -> None:
        """Wait until the kernel gives the expected."""
        source = f"import json; print(json.dumps({expression}))"
        self.lab.comes_to(self.page, source, json.dumps(expected))
