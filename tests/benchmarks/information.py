"""The graph of the pass of one prompt beside one forward and backward pass of the plain model.

Run `python -m tests.benchmarks.information [rounds]`. A model of GPT-2-small's shape with
random weights, 32 tokens, on the CPU: seconds (medians of turns taken in one process) and ratios.
The plain pass is Hugging Face's own, with gradients at the embeddings.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .logit_lens import N_WORDS, save_model

N_TOKENS = 32
TARGET = 3.0


def plain_pass(hf_model: Any, ids: torch.Tensor) -> None:
    embedded = hf_model.transformer.wte(ids).detach().requires_grad_(True)
    logits = hf_model(inputs_embeds=embedded).logits[0, -1]
    torch.autograd.grad(logits.max() - logits.mean(), embedded)


def main(rounds: int = 5) -> None:
    import workbench as wb

    ids = torch.randint(1, N_WORDS, (1, N_TOKENS), generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as path:
        save_model(Path(path))
        model: Any = wb.load(path, device="cpu")
        hf_model = model.module("")
        prompt = ids.tolist()
        calls: dict[str, Callable[[], Any]] = {
            "plain forward and backward": lambda: plain_pass(hf_model, ids),
            "by state": lambda: wb.information.graph(model, prompt),
            "by state, without details": lambda: wb.information.graph(model, prompt, details=False),
            "by answer": lambda: wb.information.graph(model, prompt, measure="answer"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(rounds + 1):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                if turn:
                    seconds[name].append(time.perf_counter() - start)
        found = wb.information.graph(model, prompt)
    print(
        f"graph of a pass, GPT-2-small shape, {N_TOKENS} tokens, {len(found.ids)} nodes, "
        f"{torch.get_num_threads()} threads, medians of {rounds} turns"
    )
    base = statistics.median(seconds["plain forward and backward"])
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"{name:30}{middle:9.3f} s{middle / base:8.2f} ×")
    print(f"target: {TARGET:.1f} × by state and by answer")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
