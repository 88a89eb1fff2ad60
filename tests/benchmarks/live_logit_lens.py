"""From an edit of the prompt to the redrawn grid, on tinyworld.

Run `python -m tests.benchmarks.live_logit_lens`. First the share of Python: running the model,
reading every layer, filling the grid. Then, where Chromium is found, the whole way in a real
JupyterLab: from the keystroke in the browser to the drawn grid.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

PROMPT = "When Mary and John went to the store, John gave a drink to"
EDITS = [PROMPT[:n] for n in range(len(PROMPT) - 20, len(PROMPT) + 1)]


def python_share() -> list[float]:
    """Milliseconds of each edit of the prompt, without a browser."""
    import workbench as wb

    explorer = wb.live.logit_lens(wb.load("tinyworld", device="cpu"), PROMPT, targets=" Mary")
    out = []
    for text in ["The capital of France is", *EDITS]:
        start = time.perf_counter()
        explorer.prompt = text
        out.append(1e3 * (time.perf_counter() - start))
    return out[1:]


def in_jupyterlab() -> list[float] | None:
    """Milliseconds from each edit to the redrawn grid, None where no browser is found."""
    import shutil

    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import ARGUMENTS, CHROMIUM
    from tests.browser.lab import Lab, Server
    from tests.browser.live_lens import LiveLens

    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        return None
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        with Server(Path(folder)) as server:
            lab = Lab(browser, server)
            live = LiveLens(lab)
            for text in EDITS:
                live.write(text)
            times = live.milliseconds()
            lab.close()
        browser.close()
    return times


def report(name: str, times: list[float]) -> None:
    ordered = sorted(times)
    middle, late = statistics.median(ordered), ordered[int(0.9 * (len(ordered) - 1))]
    print(f"  {name:34}{middle:8.0f} ms median{late:8.0f} ms at 90 %   ({len(times)} edits)")


def main() -> None:
    print("live logit lens on tinyworld, from edit to redrawn grid (target: under 200 ms)")
    report("Python alone", python_share())
    times = in_jupyterlab()
    if times is None:
        print("  no Chromium found, so the whole way was not measured")
    else:
        report("keystroke to drawing, JupyterLab", times)


if __name__ == "__main__":
    main()
