"""Which architecture has which sites through which backend, as the table in the README.

    python -m tests.parity.table            # print it
    python -m tests.parity.table --write    # put it into README.md

What it says is what loading found by trying (see workbench/backends/survey.py), on random tiny
models of each architecture; the parity tests hold every site named here to plain Hugging Face.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.loading import load
from workbench.site import STREAMS

from . import zoo

BACKENDS = ("nnsight", "transformer_lens")
START, END = "<!-- sites -->", "<!-- /sites -->"
README = Path(__file__).parents[2] / "README.md"


def table(loaded: Callable[[str, str], Any]) -> str:
    """The Markdown table. loaded(name, backend) gives the zoo's models."""
    lines = ["| architecture | nnsight | TransformerLens |", "|---|---|---|"]
    for name in zoo.CONFIGS:
        cells = [_cell(loaded(name, backend).spec) for backend in BACKENDS]
        kind = loaded(name, BACKENDS[0]).spec.architecture
        label = f"{kind} (sequential)" if name.endswith("_sequential") else kind
        lines.append(f"| {label} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def _cell(spec: Any) -> str:
    lacking = [f"no `{s}`" for s in STREAMS if s not in spec.streams]
    read_only = [f"`{s}` read-only" for s in spec.read_only]
    return ", ".join(lacking + read_only) or "all"


def between(text: str) -> str:
    """What stands between the table's marks in the README."""
    return text.split(START)[1].split(END)[0].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: zoo.save(name, Path(folder)) for name in zoo.CONFIGS}
        made = table(lambda name, backend: load(paths[name], backend=backend, device="cpu"))
    if not parser.parse_args().write:
        print(made)
        return
    before, rest = README.read_text().split(START)
    README.write_text(f"{before}{START}\n{made}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
