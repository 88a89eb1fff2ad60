"""Fixtures that show a page or a notebook in Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from .lab import Lab, Server

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# A module's, not the session's: while Playwright's synchronous interface is open, asyncio.run fails
# in this thread, and the tests of other folders need it.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, or a skip where there is none."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("browser: no Chromium found")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """A function that opens an HTML text as a file: `open_page(html, width=900, theme="dark")`.

    After the test every page must have made no request beside its own file, and no error.
    """
    pages: list[Page] = []
    problems: list[str] = []

    def requested(url: str) -> None:
        if not url.startswith(("file:", "blob:", "data:")):
            problems.append(f"the page asked for {url}")

    def open_html(html: str, *, width: int = 900, height: int = 800, theme: str = "light") -> Page:
        path = tmp_path / f"page{len(pages)}.html"
        path.write_text(html, encoding="utf8")
        size = {"width": width, "height": height}
        scheme = "dark" if theme == "dark" else "light"
        page = browser.new_page(viewport=size, color_scheme=scheme)  # pyright: ignore
        page.set_default_timeout(10_000)
        page.on("request", lambda request: requested(request.url))
        page.on("pageerror", lambda error: problems.append(f"uncaught: {error}"))
        page.on(
            "console",
            lambda line: problems.append(line.text) if line.type in ("error", "warning") else None,
        )
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield open_html
    for page in pages:
        page.close()
    assert problems == []


@pytest.fixture(scope="module")
def jupyterlab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JupyterLab server of its own: a free port, a temporary folder, no user's settings."""
    with Server(tmp_path_factory.mktemp("jupyterlab")) as server:
        yield server


@pytest.fixture
def jupyterlab(browser: Browser, jupyterlab_server: Server) -> Iterator[Lab]:
    """Opens notebooks in JupyterLab: `page = jupyterlab.run(["1 + 1"])`."""
    lab = Lab(browser, jupyterlab_server)
    yield lab
    lab.close()
