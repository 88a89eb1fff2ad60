"""Evaluating a circuit, and a click in the live circuit, on tinyworld.

    python -m tests.benchmarks.circuits

`circuits.evaluate` over 10 fractions × 96 pairs × 3 references, with every score it gives (target:
under 30 s on two cores); then from a click on a component to the new answers, Python's share and,
where Chromium is found, the whole way in a real JupyterLab (target: under 200 ms).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.benchmarks.live_logit_lens import report

NODES = ["L0H2", "L2H0", "L3H1", "L1H1", "L0H1"]


def evaluation() -> None:
    import workbench as wb

    model, task = wb.load("tinyworld", device="cpu"), wb.task("ioi")
    circuit = wb.find_circuit(model, task, n_edges=40)
    start = time.perf_counter()
    result = wb.circuits.evaluate(model, task, circuit)
    seconds = time.perf_counter() - start
    shape = f"{len(result.rows(change='top')) // 3} fractions × {len(result.tokens)} pairs × "
    shape += f"{len(set(result.changes['reference']))} references"
    print(f"circuits.evaluate on tinyworld, {shape}: {seconds:.1f} s (target 30)")
    print(f"  {result!r}")


def python_share() -> list[float]:
    """Milliseconds of each cut, without a browser."""
    import workbench as wb

    explorer = wb.live.circuit(wb.load("tinyworld", device="cpu"), wb.task("ioi"))
    out = []
    for number in range(len(NODES)):
        start = time.perf_counter()
        explorer.view.cut_nodes = NODES[: number + 1]
        out.append(1e3 * (time.perf_counter() - start))
        explorer.undo()
    return out


def in_jupyterlab() -> list[float] | None:
    """Milliseconds from each click to the new answers, None where no browser is found."""
    import shutil

    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import ARGUMENTS, CHROMIUM
    from tests.browser.lab import Lab, Server
    from tests.browser.live_circuit import LiveCircuit

    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        return None
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        with Server(Path(folder)) as server:
            lab = Lab(browser, server)
            live = LiveCircuit(lab)
            for node in (*NODES, *NODES):
                live.click(node)
            times = live.milliseconds()
            lab.close()
        browser.close()
    return times


def main() -> None:
    evaluation()
    print("live circuit on tinyworld, from click to new answers (target: under 200 ms)")
    report("Python alone", python_share())
    times = in_jupyterlab()
    if times is None:
        print("  no Chromium found, so the whole way was not measured")
    else:
        report("click to drawing, JupyterLab", times)


if __name__ == "__main__":
    main()
