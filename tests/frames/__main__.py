"""`python -m tests.frames OLD`: both trees run, their tables compared, one line a call."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .verdicts import Verdict, judged, uncovered

HERE = Path(__file__).resolve().parents[2]
MODELS = ("tinyworld", "tinyworld-llama")
BACKENDS = ("nnsight", "transformer_lens")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.frames", description=__doc__)
    parser.add_argument("old", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--only", nargs="+", default=[], help="public names: evaluate_circuit …")
    parser.add_argument("--model", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--backend", nargs="+", default=BACKENDS, choices=BACKENDS)
    asked = parser.parse_args()
    failed, totals = 0, [0, 0, 0]
    for model in asked.model:
        for backend in asked.backend:
            start = time.perf_counter()
            old, new = (run(tree, model, backend, asked.only, [0]) for tree in (asked.old, HERE))
            verdicts = judged(old, new)
            if again := [each.call for each in verdicts if each.needs_seeds]:
                more = [
                    run(tree, model, backend, again, list(range(1, 20)))
                    for tree in (asked.old, HERE)
                ]
                verdicts = judged(old, new, *more)
            missing = [] if asked.only else uncovered(old)
            bad = [each for each in verdicts if each.wrong]
            failed += len(bad) + len(missing)
            said(f"\n{model}, {backend}, {time.perf_counter() - start:.0f} s")
            for each in verdicts:
                show(each)
            for line in missing:
                said(f"  not covered: {line}")
            sizes = [sum(getattr(each, n) for each in verdicts) for n in ("tables", "columns")]
            rows = sum(each.rows for each in verdicts)
            said(f"{len(verdicts)} calls, {sizes[0]} tables, {sizes[1]} columns, {rows} rows, "
                 f"{len(bad)} failed")  # fmt: skip
            totals = [a + b for a, b in zip(totals, [len(verdicts), *sizes], strict=True)]
    said(f"\nin all {totals[0]} calls, {totals[1]} tables, {totals[2]} columns, {failed} failures")
    return int(failed > 0)


def show(verdict: Verdict) -> None:
    said(
        f"{verdict.call:30} {verdict.tables:3} tables {verdict.rows:7} rows {verdict.columns:4} "
        f"columns  {verdict.largest:7.1e}  {verdict.seconds[0]:5.1f} s {verdict.seconds[1]:5.1f} s"
        f"  {verdict.word}"
    )
    for line in [*verdict.wrong, *verdict.moved]:
        said(f"    {line}")


def said(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(tree: Path, model: str, backend: str, only: list[str], seeds: list[int]) -> dict[str, Any]:
    """The tables of one tree; only the comparison itself is of this one."""
    tree = tree.resolve()
    with tempfile.TemporaryDirectory(prefix="frames-") as folder:
        plan = {
            "tree": str(tree), "out": folder, "is_new": tree == HERE, "model": model,
            "backend": backend, "seeds": seeds, "only": only,
        }  # fmt: skip
        # The package comes from the tree, the calls from here, as a package of their own.
        path = os.pathsep.join([str(tree), str(HERE / "tests")])
        settings = {
            "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "frames.worker", json.dumps(plan)], cwd=folder,
            env=os.environ | settings, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"The calls did not run in {tree}:\n{done.stderr[-2000:]}")
        with (Path(folder) / "tables.pickle").open("rb") as file:
            return pickle.load(file)


if __name__ == "__main__":
    sys.exit(main())
