"""Encoding with a TopK dictionary of 24,576 features (k = 32, width 768), beside sae-lens.

    python -m tests.benchmarks.dictionaries

Both encode the same activations with the same weights in one process of sae-lens's environment,
turn by turn: the ratio of the best times (target: at most 1) and the largest difference of the
codes (target: at most 1e-5). Where the last feature kept and the first one left out differ by less
than rounding, either may be kept; such rows are counted and left out of the difference.
WORKBENCH_SAE_LENS_PYTHON names that environment's Python; without it, one is made.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

D_IN, N, K = 768, 24_576, 32
ROWS = (64, 512, 2048)
TURNS = 7


def times(ways: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Milliseconds of each way, turn by turn, after one turn that does not count."""
    out: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS + 1):
        for name in sorted(ways, reverse=bool(turn % 2)):
            start = time.perf_counter()
            ways[name]()
            if turn:
                out[name].append(1e3 * (time.perf_counter() - start))
    return out


def inside(folder: Path) -> None:
    """Run by sae-lens's Python, with this checkout on its path."""
    import torch
    from sae_lens import SAE, TopKSAE, TopKSAEConfig  # pyright: ignore[reportMissingImports]

    from workbench.dictionary.base import Dictionary

    torch.manual_seed(0)
    made = TopKSAE(TopKSAEConfig(d_in=D_IN, d_sae=N, k=K))
    with torch.no_grad():
        made.b_dec.normal_()
        made.b_enc.normal_(std=0.1)
    made.cfg.metadata.hook_name = "blocks.6.hook_resid_pre"
    made.save_model(folder)
    theirs, ours = SAE.load_from_disk(folder), Dictionary.load(folder)
    lines = []
    with torch.inference_mode():
        for rows in ROWS:
            x = torch.randn(rows, D_IN)
            pair = ours.encode(x), theirs.encode(x)
            same = ((pair[0] > 0) == (pair[1] > 0)).all(-1)
            difference = float((pair[0] - pair[1])[same].abs().max())
            taken = times({"ours": lambda x=x: ours.encode(x), "sae": lambda x=x: theirs.encode(x)})
            found = {"rows": rows, "difference": difference, "ties": int((~same).sum())}
            lines.append(found | taken)
    (folder / "lines.json").write_text(json.dumps(lines))


def main() -> None:
    from tests.sae_lens_environment import run, sae_lens_python

    root = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = sae_lens_python(folder / "environment")
        run(python, str(Path(__file__)), "inside", name, path=root)
        lines = json.loads((folder / "lines.json").read_text())
    print(f"TopK encode, {N:,} features, k = {K}, width {D_IN} (targets: ratio 1, difference 1e-5)")
    for line in lines:
        ours, theirs = (min(line[key]) for key in ("ours", "sae"))
        print(
            f"  {line['rows']:5d} activations: {ours:7.1f} ms, sae-lens {theirs:7.1f} ms, ratio "
            f"{ours / theirs:.2f}, largest difference {line['difference']:.1e}, "
            f"{line['ties']} rows with a tie"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        inside(Path(sys.argv[2]))
    else:
        main()
