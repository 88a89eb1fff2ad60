"""How long `import workbench` takes beside bare Python.

Run `python -m tests.benchmarks.import_time`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time


def seconds(code: str) -> float:
    """Wall-clock seconds of a new Python process that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def measure(rounds: int = 11) -> tuple[float, float]:
    """Median seconds of bare Python and of `import workbench`, measured in turn."""
    bare: list[float] = []
    imported: list[float] = []
    seconds("import workbench")  # writes the byte code, which is not what is measured
    for _ in range(rounds):
        bare.append(seconds("pass"))
        imported.append(seconds("import workbench"))
    return statistics.median(bare), statistics.median(imported)


def main() -> None:
    bare, imported = measure()
    print("import workbench, median of 11 new processes")
    print(f"  bare Python       {bare * 1e3:7.1f} ms")
    print(f"  import workbench  {imported * 1e3:7.1f} ms")
    print(f"  difference        {(imported - bare) * 1e3:7.1f} ms   (target: under 300 ms)")


if __name__ == "__main__":
    main()
