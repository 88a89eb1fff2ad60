"""Takes the picture of the token grid that the README shows.

python -m tests.browser.picture
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import workbench as wb

from .conftest import ARGUMENTS, CHROMIUM
from .grid_view import GridView

PICTURE = Path(__file__).parents[2] / "widgets" / "pictures" / "token_grid.png"
PROMPT = "When Mary and John went to the store, John gave a drink to"


def main() -> None:
    lens = wb.logit_lens(wb.load("tinyworld", device="cpu"), PROMPT, targets=" Mary", foils=" John")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "lens.html"
        lens.to_html(page_file)
        path = next(found for name in CHROMIUM if (found := shutil.which(name)))
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1000, "height": 580}, device_scale_factor=2)
        page.goto(page_file.as_uri())
        grid = GridView(page, rows=5, positions=14, next_header=True)
        grid.click(2, 13)
        grid.click(4, 13)
        grid.leave()
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE, full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
