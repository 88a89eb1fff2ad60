"""Activation patching of resid_pre over layers × positions, beside TransformerLens's.

    python -m tests.benchmarks.patching [--tokens 16 64] [--rounds 3] [--whole]

A model of GPT-2-small's shape with random weights, one pair of prompts, on the CPU: prompts that
differ in one early token, and prompts that differ in all (nothing can be skipped). Ours is the
whole call, `patch(model, task)`, plain runs included; theirs is what `get_act_patch_resid_pre`
does, with the clean run's cache at hand. Above 16 tokens theirs patches a sample of `SAMPLE` places
and its seconds are scaled up, since each of its patches is the same full pass (--whole: all of
them).

The floor is the multiply-adds that must be done, at the rate of this machine's matrix product:
every block from the patched layer on, for the positions from the patched one on; of the last block
keys and values for these and the rest for the last position, which is then unembedded. One thread,
and seconds of the processor, which other programs on the machine change least.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.logit_lens import N_WORDS, save_model
from tests.patchings import patch
from workbench.loading import load
from workbench.tasks import Task
from workbench.tasks import task as task_of

#: How close the numbers of both have to be, in the metric's own units.
CLOSE = 1e-4
EARLY = 2
SAMPLE = 96


def pair(n_tokens: int, *, early: bool) -> Task:
    """One pair of random prompts: they differ in one early token, or in all."""
    generator = np.random.default_rng(n_tokens)
    clean, corrupt = generator.permutation(np.arange(1, N_WORDS))[: 2 * n_tokens].reshape(2, -1)
    if early:
        corrupt = np.where(np.arange(n_tokens) == EARLY, corrupt, clean)
    texts = [" ".join(f"w{i}" for i in row) for row in (clean, corrupt)]
    words = {"answers": [" w5"], "foils": [" w6"]}
    return task_of([{"clean": texts[0], "corrupt": texts[1], **words}])


def theirs(bridge: Any, task: Task, model: Any, whole: bool) -> tuple[np.ndarray, float]:
    """(layer, pos) metric of the patches, NaN outside the sample, and the seconds for all."""
    import pandas as pd
    from transformer_lens import patching

    batch = task.on(model)
    _, cache = bridge.run_with_cache(batch.clean.ids)
    shape = (model.spec.n_layers, batch.clean.n_columns)
    places = np.argwhere(np.ones(shape, bool))
    if not whole and batch.clean.n_columns > 16:
        places = np.random.default_rng(0).choice(places, size=SAMPLE, replace=False)
    start = time.process_time()
    with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
        found = patching.generic_activation_patch(
            bridge,
            batch.corrupt.ids,
            cache,
            lambda logits: batch.metric(logits[:, -1])[0],
            patching.layer_pos_patch_setter,
            "resid_pre",
            index_df=pd.DataFrame(places, columns=["layer", "pos"]),
        )
    seconds = time.process_time() - start
    out = np.full(shape, np.nan)
    out[tuple(places.T)] = found.numpy()
    return out, seconds * out.size / len(places)


def matmul_rate() -> float:
    """Multiply-adds a second of the best of several large products."""
    left, right = torch.randn(1024, 768), torch.randn(768, 3072)
    best = float("inf")
    for _ in range(12):
        start = time.process_time()
        torch.mm(left, right)
        best = min(best, time.process_time() - start)
    return left.shape[0] * right.numel() / best


def floor(spec: Any, n_tokens: int, differs: np.ndarray) -> float:
    """Multiply-adds that the patches need; differs: (layer, pos), those that change anything."""
    attention = spec.n_heads * spec.d_head * spec.d_model
    block = 4 * attention + 2 * spec.d_model * spec.d_mlp
    total = 0
    for layer, position in np.argwhere(differs).tolist():
        rest = n_tokens - position
        total += (spec.n_layers - 1 - layer) * rest * block
        total += rest * 2 * attention + block - 2 * attention
        total += spec.d_model * spec.d_vocab
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="*", default=[16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="all of TransformerLens's patches")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        models = {b: load(folder, backend=b, device="cpu") for b in ("nnsight", "transformer_lens")}
    bridge = models["transformer_lens"].raw
    print(
        "patching resid_pre, GPT-2-small shape, one thread, processor seconds, "
        f"medians of {options.rounds} turns (one above 16 tokens, and for TransformerLens)"
    )
    heads = ("seconds", "× faster", "× the floor", "largest difference")
    print(f"{'':60}" + "".join(f"{head:>20}" for head in heads))
    for n_tokens in options.tokens:
        for early in (True, False):
            task = pair(n_tokens, early=early)
            calls = {b: lambda m=m, t=task: patch(m, t) for b, m in models.items()}
            expected, base = theirs(bridge, task, models["nnsight"], options.whole)
            times: dict[str, list[float]] = {backend: [] for backend in calls}
            rates, results = [], {}
            for _ in range(options.rounds if n_tokens <= 16 else 1):
                rates.append(matmul_rate())
                for backend, call in calls.items():
                    start = time.process_time()
                    results[backend] = call()
                    times[backend].append(time.process_time() - start)
            result = results["nnsight"]
            spec = models["nnsight"].spec
            needed = floor(spec, n_tokens, result.patched[0] != result.corrupt[0])
            least = needed / statistics.median(rates)
            what = f"{n_tokens} tokens, {'one early' if early else 'all'} different"
            print(f"{what + ', TransformerLens':60}{base:20.2f}{1:20.1f}{base / least:20.2f}")
            for backend in calls:
                seconds = statistics.median(times[backend])
                away = float(np.nanmax(np.abs(results[backend].patched[0] - expected)))
                if away > CLOSE:
                    raise ValueError(f"The numbers differ by {away:.1e}, more than {CLOSE}.")
                print(
                    f"{what + ', workbench ' + backend:60}{seconds:20.2f}{base / seconds:20.1f}"
                    f"{seconds / least:20.2f}{away:20.1e}"
                )
            print(f"{what + ', the floor':60}{least:20.2f}{base / least:20.1f}{1:20.2f}")


if __name__ == "__main__":
    main()
