"""The live logit lens in a notebook of JupyterLab, and how fast it follows what is typed."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .lab import Lab

CELLS = [
    "import workbench as wb\nmodel = wb.load('tinyworld', device='cpu')",
    "explorer = wb.live.logit_lens(model, targets=' Mary', foils=' John')\nexplorer",
]
# Notes how many milliseconds after each edit of the prompt the grid has been drawn anew: its status
# is cleared with the new data, and the drawing is done by the frame after next.
WATCH = """() => {
    const status = document.querySelector('.token-grid__status');
    const box = document.querySelector('textarea.widget-input, .widget-textarea textarea');
    window.redraws = [];
    let typed = null, running = false;
    box.addEventListener('input', () => { typed = performance.now(); }, { capture: true });
    new MutationObserver(() => {
        if (status.textContent.startsWith('running')) running = true;
        else if (running && typed !== null) {
            running = false;
            const start = typed;
            requestAnimationFrame(() => requestAnimationFrame(
                () => window.redraws.push(performance.now() - start)));
        }
    }).observe(status, { childList: true, characterData: true, subtree: true });
}"""


class LiveLens:
    """The explorer of `CELLS`, as a person uses it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.page: Page = lab.run(CELLS)
        self.grid = self.page.locator(".token-grid")
        self.prompt = self.page.get_by_placeholder("Text for the model to read")
        self.targets = self.page.get_by_label("targets")
        self.message = self.page.locator("[role=alert]")
        expect(self.grid.locator(".token-grid__canvas")).to_be_visible()
        self.page.evaluate(WATCH)

    def write(self, text: str) -> None:
        """Replace the prompt in one edit, and wait for the grid."""
        n = self.page.evaluate("window.redraws.length")
        self.prompt.fill(text)
        self.page.wait_for_function("(n) => window.redraws.length > n", arg=n)

    def python(self, expression: str) -> str:
        return self.lab.run_cell(self.page, f"print({expression})")

    def comes_to(self, expression: str, expected: str) -> None:
        """Wait until the kernel, which may still have keystrokes to handle, prints the expected."""
        self.lab.comes_to(self.page, f"print({expression})", expected)

    def milliseconds(self) -> list[float]:
        """Of each edit so far, from the keystroke to the redrawn grid."""
        return self.page.evaluate("window.redraws")
