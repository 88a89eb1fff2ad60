"""The live circuit in a notebook of JupyterLab, and how fast it answers a click."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .lab import Lab

CELLS = [
    "import workbench as wb\nmodel = wb.load('tinyworld', device='cpu')",
    "explorer = wb.live.circuit(model, wb.task('ioi'))\nexplorer",
]
# Notes how many milliseconds after each click the new answers stand in the page and are drawn.
WATCH = """() => {
    window.answers = [];
    let clicked = null;
    document.addEventListener('click', () => { clicked = performance.now(); }, { capture: true });
    new MutationObserver(() => {
        const table = document.querySelector('.workbench-answers');
        if (clicked === null || !table || table.dataset.seen) return;
        table.dataset.seen = '1';
        const start = clicked;
        clicked = null;
        requestAnimationFrame(() => requestAnimationFrame(
            () => window.answers.push(performance.now() - start)));
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


class LiveCircuit:
    """The explorer of `CELLS`, as a person uses it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.page: Page = lab.run(CELLS)
        self.graph = self.page.locator(".graph-view")
        self.answers = self.page.locator(".workbench-answers")
        expect(self.answers).to_be_visible()
        expect(self.graph.get_by_text("L0H2", exact=True).first).to_be_visible()
        self.page.evaluate("document.querySelector('.workbench-answers').dataset.seen = '1'")
        self.page.evaluate(WATCH)

    def click(self, node: str) -> None:
        """Click a component, and wait for the new answers."""
        self.waiting(lambda: self.graph.get_by_text(node, exact=True).first.click())

    def press(self, button: str) -> None:
        """Press a button of the explorer, and wait for the new answers."""
        name = self.page.get_by_role("button", name=button, exact=True)
        self.waiting(lambda: name.click())

    def waiting(self, action) -> None:
        n = self.page.evaluate("window.answers.length")
        action()
        self.page.wait_for_function("(n) => window.answers.length > n", arg=n)

    def python(self, expression: str) -> str:
        return self.lab.run_cell(self.page, f"print({expression})")

    def comes_to(self, expression: str, expected: str) -> None:
        """Wait until the kernel prints the expected."""
        self.lab.comes_to(self.page, f"print({expression})", expected)

    def milliseconds(self) -> list[float]:
        """Of each click so far, from the click to the answers drawn."""
        return self.page.evaluate("window.answers")
