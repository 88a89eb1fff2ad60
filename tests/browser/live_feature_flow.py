"""The live flow in a notebook of JupyterLab, as a person uses it."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, expect

from .lab import Lab

#: A profession for which the model hesitates between "he" and "she".
PROMPT = "In the morning the lawyer said that"
CELLS = [
    "import workbench as wb\n"
    "model = wb.load('tinyworld', device='cpu')\n"
    "dicts = wb.dictionaries('tinyworld')",
    "explorer = wb.live.feature_flow(\n"
    f"    model, dicts, wb.texts('tinyworld', n=100), prompt={PROMPT!r}\n"
    ")\nexplorer",
]

#: The residual feature of the path, before the last, without which the next word changes most.
ACTIVE = """max((n for n in explorer.flow.path()[:-1] if 'resid' in n), key=lambda n:
    explorer._read(explorer.prompt, explorer.flow, {n: 0.0}, None).kl)"""


class LiveFeatureFlow:
    """The explorer of `CELLS`."""

    def __init__(self, lab: Lab, cells: list[str] | None = None) -> None:
        self.lab = lab
        self.page: Page = lab.run(cells or CELLS, width=1280, height=2600)
        self.graph = self.page.locator(".graph-view")
        self.answers = self.page.locator(".workbench-answers")
        self.nodes = self.graph.locator(".graph-view__node")
        self.edges = self.graph.locator(".graph-view__edge")
        expect(self.answers).to_be_visible()
        expect(self.nodes.first).to_be_visible()

    def node(self, name: str) -> Any:
        """The feature's box in the graph."""
        number = self.value("explorer.view.ids").index(name)
        return self.graph.locator(f'.graph-view__node[data-node="{number}"]')

    def click(self, name: str) -> None:
        """Click a feature, and wait until Python knows."""
        self.node(name).click()
        self.comes_to("explorer.view.selected", name)

    def press(self, button: str) -> None:
        """Press a button of the explorer or of the selected feature."""
        self.page.get_by_role("button", name=button, exact=True).first.click()

    def value(self, expression: str) -> Any:
        """What an expression gives in the kernel, through JSON."""
        return json.loads(
            self.lab.run_cell(self.page, f"import json; print(json.dumps({expression}))")
        )

    def comes_to(self, expression: str, expected: Any) -> None:
        """Wait until the kernel gives the expected."""
        source = f"import json; print(json.dumps({expression}))"
        self.lab.comes_to(self.page, source, json.dumps(expected))
