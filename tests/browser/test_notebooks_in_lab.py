"""The first notebook in a real JupyterLab: it runs, its grids draw, and a choice reaches Python."""

from __future__ import annotations

import ast
from pathlib import Path

from playwright.sync_api import Page

from .grid_view import GridView
from .lab import Lab

PROMPT = "The capital of Japan is"
# Keeps what is written on canvases from now on.
LISTEN = """() => {
    const { prototype } = CanvasRenderingContext2D;
    const original = prototype.fillText;
    window.written = [];
    prototype.fillText = function (text, ...rest) {
        window.written.push(text);
        return original.call(this, text, ...rest);
    };
}"""
# Brings the cell with this source into view, and says which of the page's grids is in it.
SHOW = """async (source) => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    const index = notebook.widgets.findIndex((cell) =>
        cell.model.sharedModel.getSource().includes(source));
    notebook.activeCellIndex = index;
    await notebook.scrollToItem(index, "start");
    const cell = notebook.widgets[index];
    for (let tries = 0; tries < 100; tries += 1) {
        // An explorer's is a widget, a result's lies in the shadow of its output; in this order
        // Playwright counts them.
        const shadows = (node) => [...node.querySelectorAll(".workbench-output")]
            .map((output) => output.shadowRoot?.querySelector(".token-grid"));
        const grids = (node) => [...node.querySelectorAll(".token-grid"), ...shadows(node)]
            .filter((grid) => grid);
        const [found] = cell.node.isConnected ? grids(cell.node) : [];
        if (found) return grids(document).indexOf(found);
        await new Promise((done) => setTimeout(done, 100));
    }
    return -1;
}"""


def grid_of(page: Page, source: str, *, positions: int) -> GridView:
    """The grid below the cell with this source, scrolled into view."""
    nth = page.evaluate(SHOW, source)
    assert nth >= 0, f"no grid below the cell with {source}"
    return GridView(page, rows=5, positions=positions, next_header=True, nth=nth)


def visible(token: str) -> str:
    """A token as the grid writes it."""
    return token.replace(" ", "·")


def test_the_first_notebook_runs_and_its_grids_answer_clicks_and_typing(
    jupyterlab: Lab, repository: Path, tmp_path: Path
) -> None:
    notebook = repository / "notebooks" / "00_start_here.ipynb"
    page = jupyterlab.run(notebook, timeout=240)

    lens = grid_of(page, "lens = wb.logit_lens(", positions=14)
    page.evaluate(LISTEN)
    lens.click(4, 13)
    expected = jupyterlab.run_cell(page, "print(lens.top_tokens().to_numpy().ravel().tolist())")
    tops = {token.strip() for token in ast.literal_eval(expected)}
    written = set(page.evaluate("window.written"))
    # The dot of a leading space is drawn by itself, and long tokens are cut to their cell.
    assert len(tops & written) >= 0.8 * len(tops), (tops, written)
    assert jupyterlab.run_cell(page, "print(explorer.view.selected)") == "None"

    live = grid_of(page, "wb.live.logit_lens(", positions=14)
    live.click(3, 8)
    selected = jupyterlab.run_cell(page, "print(explorer.view.selected)")
    assert ast.literal_eval(selected) == {"row": 3, "pos": 8}
    page.evaluate(SHOW, "cell = explorer.view.selected")
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')")
    page.get_by_text("Selected: L2 after position 8").wait_for()

    live = grid_of(page, "wb.live.logit_lens(", positions=14)
    before = live.canvas.screenshot()
    box = page.get_by_placeholder("Text for the model to read")
    box.fill(PROMPT)
    # What is typed is gathered for a moment, so that a cell may run before it.
    jupyterlab.comes_to(page, "print(''.join(explorer.result.tokens[0]))", PROMPT)
    typed = ast.literal_eval(jupyterlab.run_cell(page, "print(explorer.result.tokens[0])"))
    best = jupyterlab.run_cell(page, "print(repr(explorer.result.top_tokens().iloc[0, -1]))")
    live = grid_of(page, "wb.live.logit_lens(", positions=len(typed))
    live.hover(4, len(typed) - 1)
    assert live.tokens_in_tooltip()[0] == visible(ast.literal_eval(best))
    assert live.canvas.screenshot() != before
    page.screenshot(path=tmp_path / "start_here.png")
