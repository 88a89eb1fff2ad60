"""Which architecture has which sites through which backend, as the table in the README.

    python -m tests.parity.table            # print it
    python -m tests.parity.table --write    # put it into README.md

What it says is what loading found by trying (see workbench/backends/survey.py), on random tiny
models of each architecture; the parity tests hold every site named here to plain Hugging Face.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.loading import load
from workbench.site import STREAMS

from . import zoo

BACKENDS = ("nnsight", "transformer_lens")
START, END = "<!-- sites -->", "<!-- /sites -->"
README = Path(__file__).parents[2] / "README.md"


#: What the table has a row for: architectures, and not all of their settings.
ROWS = {**zoo.CONFIGS, **zoo.DENSE, **zoo.EXPERTS, **zoo.HYBRIDS}


def table(loaded: Callable[[str, str], Any]) -> str:
    """The Markdown table. loaded(name, backend) gives the zoo's models."""
    kinds = Counter(kind for kind, _ in ROWS.values())
    lines = ["| architecture | nnsight | TransformerLens |", "|---|---|---|"]
    for name, (config, _) in ROWS.items():
        specs = [_spec(loaded, name, backend) for backend in BACKENDS]
        kind = next(spec.architecture for spec in specs if spec is not None)
        label = kind if kinds[config] == 1 else f"{kind} ({name})"
        lines.append(f"| {label} | {_cell(specs[0])} | {_cell(specs[1])} |")
    return "\n".join(lines)


def _spec(loaded: Callable[[str, str], Any], name: str, backend: str) -> Any:
    """What a loaded model says of itself; None where it is refused in words."""
    try:
        return loaded(name, backend).spec
    except ValueError:
        return None


def _cell(spec: Any) -> str:
    if spec is None:
        return "refused"
    experts = () if spec.n_experts else ("router", "expert_out")
    lacking = [f"no `{s}`" for s in STREAMS if s not in (*spec.streams, *experts)]
    read_only = [f"`{s}` read-only" for s in spec.read_only]
    # Which of two layers it is says nothing of a large model.
    partly = ", ".join(f"`{s}`" for s in STREAMS if s in spec.layers_of)
    partly = [f"{partly} on the layers that have them"] if partly else []
    return ", ".join(lacking + read_only + partly) or "all"


def between(text: str) -> str:
    """What stands between the table's marks in the README."""
    return text.split(START)[1].split(END)[0].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    made = table(
        lambda name, backend: load(
            zoo.hf_model(name), tokenizer=zoo.tokenizer(), backend=backend, name=name
        )
    )
    if not parser.parse_args().write:
        print(made)
        return
    before, rest = README.read_text().split(START)
    README.write_text(f"{before}{START}\n{made}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
