"""The index of a million tokens for one shipped dictionary, and a page from it.

    python -m tests.benchmarks.feature_pages [--tokens 1000000] [--threads 2]

tinyworld's L3.resid_post, 1,024 features, over rows like its training text; an index folder of its
own that is deleted again. Targets: the index under 60 s on two cores, a page under 300 ms.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from data.tinyworld import documents
from data.tinyworld.tokenizer import Encoder

CONTEXT = 64
N_PAGES = 30


def rows(n_tokens: int) -> list[list[int]]:
    """Rows of 64 ids, from a seed that no training used."""
    encoder = Encoder(Tokenizer.from_file("data/models/tinyworld/tokenizer.json"))
    n = -(-n_tokens // CONTEXT)
    made = documents.rows(encoder, "feature pages:0", n, CONTEXT, 1.0)
    return [row.ids for row in itertools.islice(made, n)]


def megabytes() -> float:
    """The most memory that the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    import workbench as wb

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = wb.load("tinyworld", device="cpu")
    dictionary = wb.dictionaries("tinyworld")["L3.resid_post"]
    texts = rows(options.tokens)
    model.run(texts[:32], read=[dictionary.site], logits_at=())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        before, wall, cpu = megabytes(), time.perf_counter(), time.process_time()
        index = wb.features.index(model, texts, dictionary, path=path, progress=False)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = sum(part.stat().st_size for part in path.iterdir()) / 2**20
        print(f"{index!r}")
        print(
            f"index of {index.n_positions} tokens, {options.threads} threads: {wall:.1f} s, "
            f"{cpu:.1f} processor seconds (target: under 60 s on two cores); {size:.1f} MB on "
            f"disk, {megabytes() - before:.0f} MB of memory"
        )
        start = time.perf_counter()
        index = wb.features.index(model, texts, dictionary, path=path, progress=False)
        print(f"the same call again: {1e3 * (time.perf_counter() - start):.0f} ms")
        alive = np.flatnonzero(index.count)
        start = time.perf_counter()
        wb.features.page(model, index, dictionary, int(alive[0]))
        print(f"first page, with what it reads once: {1e3 * (time.perf_counter() - start):.0f} ms")
        walls, cpus = [], []
        for feature in alive[:: max(1, len(alive) // N_PAGES)]:
            start, processor = time.perf_counter(), time.process_time()
            wb.features.page(model, index, dictionary, int(feature))
            walls.append(1e3 * (time.perf_counter() - start))
            cpus.append(1e3 * (time.process_time() - processor))
        print(
            f"{len(walls)} pages: median {statistics.median(walls):.0f} ms, largest "
            f"{max(walls):.0f} ms (target: under 300 ms); {statistics.median(cpus):.0f} ms of "
            "processor"
        )
        start = time.perf_counter()
        labels = wb.features.label(index)
        print(f"labels of {len(labels)} features: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
