"""Takes the pictures that the README shows: the token grid and three live explorers.

python -m tests.browser.picture
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

import workbench as wb

from .conftest import ARGUMENTS, CHROMIUM
from .grid_view import GridView
from .lab import Lab, Server
from .live_circuit import LiveCircuit
from .live_feature_flow import ACTIVE, LiveFeatureFlow
from .live_information import EDGE, LiveInformation

PICTURES = Path(__file__).parents[2] / "widgets" / "pictures"
PROMPT = "When Mary and John went to the store, John gave a drink to"


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        path = next(found for name in CHROMIUM if (found := shutil.which(name)))
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        # A server does not start twice in one folder.
        for take in (token_grid, live_circuit, live_feature_flow, live_information):
            with tempfile.TemporaryDirectory() as folder:
                take(browser, Path(folder))
        browser.close()


def token_grid(browser: Browser, folder: Path) -> None:
    lens = wb.logit_lens(wb.load("tinyworld", device="cpu"), PROMPT, targets=" Mary", foils=" John")
    page_file = folder / "lens.html"
    lens.to_html(page_file)
    page = browser.new_page(viewport={"width": 1000, "height": 580}, device_scale_factor=2)
    page.goto(page_file.as_uri())
    grid = GridView(page, rows=5, positions=14, next_header=True)
    grid.click(2, 13)
    grid.click(4, 13)
    grid.leave()
    page.screenshot(path=PICTURES / "token_grid.png", full_page=True)


def live_circuit(browser: Browser, folder: Path) -> None:
    """As it stands in a notebook, with the found circuit and one head cut."""
    with Server(folder) as server:
        lab = Lab(browser, server)
        live = LiveCircuit(lab)
        live.page.set_viewport_size({"width": 1280, "height": 1400})
        live.press("found circuit")
        live.click("L3H1")
        live.page.mouse.move(0, 0)
        live.page.locator(".jp-OutputArea-output .widget-vbox").last.screenshot(
            path=PICTURES / "live_circuit.png"
        )
        lab.close()


def live_feature_flow(browser: Browser, folder: Path) -> None:
    """A feature of the lowest layer switched off; the page of the feature is folded away."""
    with Server(folder) as server:
        lab = Lab(browser, server)
        live = LiveFeatureFlow(lab)
        name = live.value(ACTIVE)
        live.press("page")
        live.click(name)
        live.press("Switch the feature off (0)")
        live.comes_to("explorer.view.scales", {name: 0.0})
        live.page.wait_for_timeout(500)
        live.page.mouse.move(0, 0)
        live.page.locator(".jp-OutputArea-output .widget-vbox").first.screenshot(
            path=PICTURES / "feature_flow.png"
        )
        lab.close()


def live_information(browser: Browser, folder: Path) -> None:
    """A capital asked for, and the edge cut that brings the country to the question's end."""
    with Server(folder) as server:
        lab = Lab(browser, server)
        live = LiveInformation(lab)
        live.click_edge(EDGE)
        live.comes_to("list(explorer.cuts)", [EDGE])
        live.page.wait_for_timeout(500)
        live.page.mouse.move(0, 0)
        live.page.locator(".jp-OutputArea-output .widget-vbox").first.screenshot(
            path=PICTURES / "information.png"
        )
        lab.close()


if __name__ == "__main__":
    main()
