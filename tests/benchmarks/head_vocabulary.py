"""Heads as words at GPT-2-small's shape: time and memory of one head, and of all heads' scores.

    python -m tests.benchmarks.head_vocabulary [scored heads]

Random weights over 50,257 words, on the CPU, one thread, seconds of the processor. The pairs are of
one head, beside the time that all products of its OV and QK take when blocks are formed and thrown
away, and the bytes of the vocabulary × vocabulary array that is never made. Rows of random weights
have nearly one length, so that hardly a block can be skipped: the time is the worst case. Scores
are timed for some heads and given for all 144.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import workbench as wb
from tests.benchmarks.logit_lens import added_memory, save_model
from workbench.loading import load
from workbench.vocabulary.head_circuits import TILE_COLUMNS, TILE_ROWS

HEAD = "L5H3"


def seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def products(n: int, d: int) -> None:
    """Every block of one n × n product of rank d, formed and thrown away."""
    left, right = torch.randn(TILE_ROWS, d), torch.randn(TILE_COLUMNS, d)
    for _ in range(round(n * n / (TILE_ROWS * TILE_COLUMNS))):
        torch.matmul(left, right.T)


def main() -> None:
    n_scored = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        model = load(folder, device="cpu")
        n, d = model.spec.d_vocab, model.spec.d_head
        options: dict[str, Any] = {"progress": False}
        found: list[Any] = []

        def one() -> None:
            found.append(wb.vocabulary.heads(model, HEAD, **options))

        took, plain = seconds(one), 2 * seconds(lambda: products(n, d))
        added = added_memory(one)
        shares = found[0].pair_shares[0]
        print(
            f"one head, pairs and all: {took:.1f} s; all products of OV and QK alone {plain:.1f} s "
            f"(computed: {shares[0]:.0%} of OV, {shares[1]:.0%} of QK)"
        )
        print(
            f"added memory {added / 1e6:.0f} MB; one vocabulary² array would be "
            f"{4 * n * n / 1e9:.1f} GB"
        )
        heads = [f"L{layer}H{head}" for layer in range(12) for head in range(12)]
        some = heads[:: len(heads) // n_scored][:n_scored]
        alone = seconds(lambda: wb.vocabulary.heads(model, some[:1], n_pairs=0, **options))
        many = seconds(lambda: wb.vocabulary.heads(model, some, n_pairs=0, **options))
        each = (many - alone) / (len(some) - 1)
        added = added_memory(lambda: wb.vocabulary.heads(model, some, n_pairs=0, **options))
        print(
            f"scores and directions of {len(some)} heads: {many:.1f} s, {each:.2f} s for one more, "
            f"all {len(heads)}: about {alone + each * (len(heads) - 1):.0f} s; added memory "
            f"{added / 1e6:.0f} MB"
        )


if __name__ == "__main__":
    main()
