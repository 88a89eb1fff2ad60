"""A FeaturePage on a page, as a person uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page

from workbench.widgets import FeaturePage, page


class PageView:
    """The feature's page; tokens are named by their context and place in it."""

    def __init__(self, shown: Page) -> None:
        self.page = shown
        self.root: Locator = shown.locator(".feature-page")
        self.texts = self.root.locator(".feature-page__contexts")
        self.readout = self.root.locator(".feature-page__readout")
        self.tooltip = self.root.locator(".feature-page__tooltip")
        self.score = self.root.locator(".feature-page__score")
        self.label = self.root.get_by_role("textbox")
        self.root.wait_for()

    def token(self, context: int, token: int) -> Locator:
        return self.root.locator(f'[data-context="{context}"][data-token="{token}"]')

    def part(self, title: str) -> Locator:
        """The section under a heading."""
        return self.root.locator("section").filter(has=self.page.get_by_text(title, exact=True))

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


def opened(open_page: Callable[..., Page], shown: FeaturePage, **options: Any) -> PageView:
    """The exported page, opened; options as in `open_page`."""
    return PageView(open_page(page(shown, "test"), **options))
