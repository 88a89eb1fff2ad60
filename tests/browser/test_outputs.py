"""What a notebook keeps: results that live without a kernel, and pictures where nothing may run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page

from .lab import Lab

PROMPT = "The capital of France is"
CELLS = [
    "import workbench as wb\nmodel = wb.load('tinyworld')",
    f"lens = wb.logit_lens(model, {PROMPT!r}, targets=' Paris')\nlens",
    f"wb.attention(model, {PROMPT!r})",
]
#: A result of each kind of view, of ordinary size.
OTHERS = [
    "task = wb.task('ioi', n=4)\nwb.find_circuit(model, task, n_edges=40)",
    "dicts = wb.dictionaries('tinyworld')\nwb.feature_flow(dicts, 'L3.resid_post/123')",
    "wb.features.activations(model, 'Mary met John.', dicts['L2.resid_post'])",
    f"wb.live.logit_lens(model, {PROMPT!r})",
]
STILL = "img[data-still]"


def outputs(page: Page) -> Locator:
    return page.locator(".workbench-output")


def is_live(page: Page, view: str) -> None:
    """The grid draws, its picture is hidden, and a key moves the cell whose numbers it says."""
    output = outputs(page).filter(has=page.locator(f".{view}"))
    output.scroll_into_view_if_needed()
    assert output.locator("img").bounding_box() is None
    frame = output.locator(".workbench__scroll").last
    frame.focus()
    before = output.locator(".workbench__readout").last.inner_text()
    frame.press("ArrowRight")
    page.wait_for_function(
        "([element, text]) => element.textContent !== text",
        arg=[output.locator(".workbench__readout").last.element_handle(), before],
    )


@pytest.fixture
def saved(jupyterlab: Lab) -> Path:
    """A notebook that was run, looked at and saved; its kernel is gone."""
    page = jupyterlab.run([*CELLS, *OTHERS])
    for view in ("token-grid", "attention-grid"):
        is_live(page, view)
    # A living explorer hides its picture.
    page.locator(".jp-OutputArea .token-grid").last.scroll_into_view_if_needed()
    assert page.locator(STILL).count() == 1 and page.locator(STILL).bounding_box() is None
    return jupyterlab.save(page)


def test_a_notebook_opened_again_is_live_without_a_kernel(
    jupyterlab: Lab, saved: Path, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    page = jupyterlab.open(saved.name)
    outputs(page).first.wait_for()
    for view in ("token-grid", "attention-grid"):
        is_live(page, view)
    page.locator(STILL).scroll_into_view_if_needed()
    assert (page.locator(STILL).bounding_box() or {"width": 0})["width"] > 300
    page.screenshot(path=tmp_path / "reopened.png")
    page.close()

    # Someone else's copy is not trusted: pictures. With one command it is.
    document = nbformat.read(saved, as_version=4)
    stranger = saved.with_name("stranger.ipynb")
    document.metadata["title"] = "another notebook, so another signature"
    nbformat.write(document, stranger)
    page = jupyterlab.open(stranger.name)
    image = page.locator(".jp-RenderedHTML img").first
    image.wait_for()
    assert image.evaluate("image => image.naturalWidth") > 300
    assert page.locator(".token-grid").count() == 0
    page.screenshot(path=tmp_path / "untrusted.png")
    page.close()

    jupyterlab.server.trust(stranger)
    page = jupyterlab.open(stranger.name)
    outputs(page).first.wait_for()
    is_live(page, "token-grid")
    page.close()

    sizes = [
        sum(len(str(data)) for data in output.get("data", {}).values())
        for cell in document.cells
        for output in cell.get("outputs", [])
    ]
    assert len(sizes) == 7 and max(sizes) <= 300_000, sizes

    # nbconvert's page asks for libraries of its own; without a network it shows the same.
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", str(saved)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    page = jupyterlab.browser.new_page(viewport={"width": 1100, "height": 900})
    jupyterlab.pages.append(page)
    page.route("**/*", lambda r: r.continue_() if r.request.url.startswith("file:") else r.abort())
    page.goto(saved.with_suffix(".html").as_uri())
    is_live(page, "token-grid")
    page.screenshot(path=tmp_path / "nbconvert.png")
