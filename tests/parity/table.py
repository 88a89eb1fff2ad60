"""Which architecture has which sites through which backend, as the table in the README.

    python -m tests.parity.table            # print it
    python -m tests.parity.table --write    # put it into README.md

What it says is what loading found by trying (see workbench/backends/survey.py), on random tiny
models of each architecture; the parity tests hold every site to plain Hugging Face.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from os.path import commonprefix
from pathlib import Path
from typing import Any

from workbench.loading import load
from workbench.site import STREAMS

from . import zoo

BACKENDS = ("nnsight", "transformer_lens")
START, END = "<!-- sites -->", "<!-- /sites -->"
README = Path(__file__).parents[2] / "README.md"


#: Streams that a layer has together or not at all, as the table calls them.
TOGETHER = {
    "attention": ("q", "k", "v", "attn_scores", "pattern", "z"),
    "neurons": ("mlp_pre", "mlp_post"),
    "experts": ("router", "expert_out"),
}


def table(loaded: Callable[[str, str], Any]) -> str:
    """The Markdown table, a line for all that have the same. loaded(name, backend) gives a model.

    It raises `ValueError` for one that the backend refuses.
    """
    rows: dict[tuple[str, ...], list[str]] = {}
    for name in zoo.ALL:
        cells = tuple(_cell(loaded, name, backend) for backend in BACKENDS)
        rows.setdefault(cells, []).append(_label(name))
    lines = ["| architectures | nnsight | TransformerLens |", "|---|---|---|"]
    for cells, labels in rows.items():
        lines.append(f"| {', '.join(labels)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _label(name: str) -> str:
    """Its configuration's name, and what tells it from others of the same."""
    kind = zoo.ALL[name][0]
    same = [other for other in zoo.ALL if zoo.ALL[other][0] == kind]
    own = name.removeprefix(commonprefix(same)).strip("_").replace("_", " ")  # noqa: RUF071 - no paths
    label = kind.removesuffix("Config").removesuffix("Text")
    return f"{label} ({own})" if own else label


def _cell(loaded: Callable[[str, str], Any], name: str, backend: str) -> str:
    try:
        spec = loaded(name, backend).spec
    except ValueError:
        return "refused"
    lacking, partly = [], []
    for label, streams in _groups():
        if label == "experts" and not spec.n_experts:
            continue
        none = [s for s in streams if s not in spec.streams]
        if none == list(streams):
            lacking.append(f"no {label}")
        else:
            lacking += [f"no `{s}`" for s in none]
            if any(len(spec.layers(s)) < spec.n_layers for s in set(streams) - {*none}):
                partly.append(label)
    read_only = [f"`{s}` read-only" for s in spec.read_only]
    some = [f"{', '.join(partly)} on some layers"] if partly else []
    apart = ["not a sum of its parts"] if "stream" in spec.undecomposed else []
    parts = [", ".join(each) for each in (lacking + read_only, some, apart) if each]
    return "; ".join(parts) or "all"


def _groups() -> list[tuple[str, tuple[str, ...]]]:
    grouped = {s for streams in TOGETHER.values() for s in streams}
    return [*TOGETHER.items(), *((f"`{s}`", (s,)) for s in STREAMS if s not in grouped)]


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
