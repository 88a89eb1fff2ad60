"""A run that reads every residual stream, beside the plain Hugging Face forward.

    python -m tests.benchmarks.run_overhead [--tokens 128] [--rounds 9] [--threads 1]

GPT-2-small shape with random weights, one prompt, eager attention, no gradients. The calls take
turns in one process; the figure is the ratio of medians. One thread, since several wait for each
other wherever another program has the processor. `output_hidden_states=True` is the closest
that plain Hugging Face offers to the same reads.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.parity import zoo
from workbench.loading import load


def gpt2_small(folder: Path) -> Path:
    """GPT-2 small's shape with random weights and a word-level tokenizer."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0)).save_pretrained(folder)
    zoo.tokenizer().save_pretrained(folder)
    return folder


def in_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each call, the calls taking turns after two rounds of warming up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for n in range(rounds + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if n >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = gpt2_small(Path(name))
        models = {b: load(folder, backend=b, device="cpu") for b in ("nnsight", "transformer_lens")}
        from transformers import GPT2LMHeadModel

        plain = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.randint(2, zoo.N_WORDS, (1, options.tokens))
    rows = ids.tolist()

    def forward(**more: Any) -> Any:
        with torch.no_grad():
            return plain(input_ids=ids, use_cache=False, **more)

    calls: dict[str, Callable[[], Any]] = {
        "Hugging Face forward": forward,
        "Hugging Face, hidden states": lambda: forward(output_hidden_states=True),
    }
    for backend, model in models.items():
        reads = [s for s in model.spec.sites if s.stream == "resid_post"]
        calls[f"{backend}, every resid_post"] = lambda m=model, r=reads: m.run(rows, read=r)
    run = models["nnsight"].run(rows, read="L11.resid_post")
    assert run.logits is not None
    difference = float((run.logits - forward().logits).abs().max())
    medians = in_turns(calls, options.rounds)
    base = medians["Hugging Face forward"]
    print(f"GPT-2-small shape, {options.tokens} tokens, {torch.get_num_threads()} threads")
    for label, seconds in medians.items():
        print(f"  {label:35s} {1000 * seconds:8.1f} ms   {seconds / base:5.2f} × the plain forward")
    print(f"  largest difference of logits to the plain forward: {difference:.1e}")


if __name__ == "__main__":
    main()
