"""The feature browser in a notebook of JupyterLab, as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from .lab import Lab


def cells(folder: Path) -> list[str]:
    """The browser over two dictionaries, whose indexes and labels are the test's own."""
    return [
        f"import os; os.environ['WORKBENCH_CACHE'] = {str(folder)!r}\n"
        "import shutil, workbench as wb\n"
        "model = wb.load('tinyworld', device='cpu')\n"
        "shipped = wb.data.path('dictionaries', 'tinyworld')\n"
        "for site in ('L2.resid_post', 'L3.resid_post'):\n"
        f"    shutil.copytree(shipped / site, {str(folder)!r} + '/dictionaries/' + site)\n"
        f"dicts = wb.dictionaries({str(folder)!r} + '/dictionaries')",
        "explorer = wb.live.features(\n"
        "    model, wb.texts('tinyworld', n=120), dicts, prompt='Mary went to the store',\n"
        "    concepts=wb.concepts('tinyworld'), progress=False)\nexplorer",
    ]


class LiveFeatures:
    """The explorer of `cells`."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.page: Page = lab.run(cells(folder), width=1280, height=2200)
        self.view = self.page.locator(".feature-page")
        self.name = self.view.locator(".feature-page__name")
        self.label = self.view.locator(".feature-page__input")
        self.grid = self.page.locator(".feature-grid")
        self.list = self.page.locator(".widget-select select")
        self.message = self.page.locator("[role=alert]")
        expect(self.name).to_be_visible()
        expect(self.grid).to_be_visible()

    def dropdown(self, number: int) -> Locator:
        """The choice of the dictionary, 0, or of what a search is by, 1."""
        return self.page.locator(".widget-dropdown select").nth(number)

    @property
    def prompt(self) -> Locator:
        return self.page.locator(".widget-textarea textarea").first

    def search(self, way: str, query: str) -> None:
        """Choose what to search by, type, and press Enter."""
        self.dropdown(1).select_option(way)
        box = self.page.locator(".widget-text input")
        box.fill(query)
        box.press("Enter")

    def value(self, expression: str) -> Any:
        """What an expression gives in the kernel, through JSON."""
        return json.loads(
            self.lab.run_cell(self.page, f"import json; print(json.dumps({expression}))")
        )

    def comes_to(self, expression: str, expected: Any) -> None:
        """Wait until the kernel gives the expected."""
        source = f"import json; print(json.dumps({expression}))"
        self.lab.comes_to(self.page, source, json.dumps(expected))
