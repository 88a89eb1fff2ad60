"""Matching features at the size of published dictionaries, in one process.

    python -m tests.benchmarks.feature_flow

16,384 × 16,384 features of width 768 on the CPU, against the plain matrix product of the same rows
in one `torch.mm` and in the same batches (target: within 1.3 × of either, and under 300 MB of added
memory); then the flow of a model as large as GPT-2, 12 layers × 3 lanes, with its memory. The whole
flow takes 4,096 features a dictionary, so that it runs in under a minute or two; its time grows
with the square of that, its memory with the number itself.
"""

from __future__ import annotations

import gc
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

N, WIDTH = 16_384, 768
LAYERS, FEATURES = 12, 4_096
ROUNDS = 3


def main() -> None:
    torch.set_num_threads(1)
    matching()
    for part in ("flow", "single"):
        # The peak of a process never falls again, so each part has one of its own.
        subprocess.run([sys.executable, "-m", "tests.benchmarks.feature_flow", part], check=True)


def matching() -> None:
    """The ratio of times, its parts taken in turn, and the memory that matching adds."""
    from workbench.features.similarity import BATCH_BYTES, top_matches

    a, b = (unit(N, seed) for seed in (0, 1))
    batch = BATCH_BYTES // (4 * N)

    def batches() -> None:
        buffer = torch.empty(batch, N)
        for start in range(0, N, batch):
            torch.mm(a[start : start + batch], b.T, out=buffer)

    top_matches(a[:64], b)
    before, peak = rss(), Peak()
    top_matches(a, b)
    added = peak.stop() - before
    times: dict[str, list[float]] = {"batches": [], "whole": [], "k = 1": [], "k = 4": []}
    for _ in range(ROUNDS):
        times["batches"].append(seconds(batches))
        times["whole"].append(seconds(lambda: torch.mm(a, b.T)))
        times["k = 1"].append(seconds(lambda: top_matches(a, b)))
        times["k = 4"].append(seconds(lambda: top_matches(a, b, 4)))
    plain = {name: statistics.median(times[name]) for name in ("batches", "whole")}
    print(f"matching {N:,} × {N:,} features of width {WIDTH}, one thread")
    print(f"  plain product: {plain['whole']:.2f} s whole, {plain['batches']:.2f} s in batches")
    for name in ("k = 1", "k = 4"):
        took = statistics.median(times[name])
        ratios = ", ".join(f"{took / t:.2f} × {which}" for which, t in plain.items())
        print(f"  best matches, {name}: {took:.2f} s ({ratios}; target 1.3)")
    print(f"  added memory: {added / 1e6:.0f} MB (target 300)")


def flow() -> None:
    """The matches of all features of 12 layers and three lanes."""
    from workbench.features.matching import match

    dicts = dictionaries()
    before, peak, start = rss(), Peak(), time.process_time()
    found = match(dicts, thresholds="chance", progress=False)
    took, added = time.process_time() - start, peak.stop() - before
    held = sum(d.W_dec.numel() * 4 for d in dicts.values())
    lanes = int((found.leads >= 0).sum())
    print(f"whole flow, {LAYERS} layers × 3 lanes × {FEATURES:,} features of width {WIDTH}")
    print(f"  {took:.1f} s for {lanes} matchings, among them the fingerprints of the weights")
    print(f"  added memory {added / 1e6:.0f} MB beside {held / 1e6:.0f} MB of decoder rows")


def single() -> None:
    """The flow of one feature through all layers, before and after the first."""
    from workbench.features.flow import flow as feature_flow

    dicts = dictionaries()
    times = []
    for number in range(3):
        start = time.process_time()
        feature_flow(dicts, f"L11.resid_post/{number}", thresholds=0.5, min_similarity=-1)
        times.append(time.process_time() - start)
    print(f"flow of one feature: {times[0]:.1f} s the first, {times[-1]:.2f} s the next")


def dictionaries() -> Any:
    from workbench.dictionary.base import Dictionary
    from workbench.dictionary.collection import Dictionaries
    from workbench.dictionary.encoders import TopK

    each = []
    for i in range(3 * LAYERS):
        site = f"L{i // 3}.{('resid_post', 'mlp_out', 'attn_out')[i % 3]}"
        W_dec = unit(FEATURES, i)
        # The encoder shares the decoder's memory: matching does not look at it.
        encoder = TopK(W_dec.T, torch.zeros(FEATURES), 32)
        each.append(Dictionary(site, encoder, W_dec, torch.zeros(WIDTH), model="random"))
    return Dictionaries(each)


def unit(n: int, seed: int) -> torch.Tensor:
    rows = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=-1)


def seconds(work: Callable[[], object]) -> float:
    """The CPU time of one thread, which other programs of a busy machine do not lengthen."""
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def rss() -> int:
    """The bytes that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class Peak:
    """The largest memory of this process, looked at every few milliseconds until `stop`."""

    def __init__(self) -> None:
        self.most, self._done = rss(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.003):
            self.most = max(self.most, rss())

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return max(self.most, rss())


if __name__ == "__main__":
    {"flow": flow, "single": single}.get(sys.argv[-1], main)()
