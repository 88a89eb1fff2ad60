"""Edge attribution beside TransformerLens's `attribution_patch`, and beside the passes it needs.

    python -m tests.benchmarks.attribution [rounds]

A model of GPT-2-small's shape with random weights, one pair of 16 tokens, on the CPU, one thread,
seconds of the processor: EAP over all edges; EAP-IG (inputs) with 5 steps; the scores of both
packages side by side; and the bytes that EAP adds for one pair and for eight.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.logit_lens import added_memory, save_model
from tests.benchmarks.patching import pair
from workbench.circuits.attribution import attribute
from workbench.circuits.components import Components
from workbench.circuits.scores import edge_scores
from workbench.loading import load
from workbench.tasks import Examples, TaskBatch

N_TOKENS, STEPS = 16, 5


def seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def passes(hf_model: Any, batch: TaskBatch, n_backward: int, forward: bool = True) -> None:
    """One plain forward, and `n_backward` rows of a forward and backward down to the embedding."""
    if forward:
        with torch.no_grad():
            hf_model(batch.clean.ids)
    embedding = hf_model.transformer.wte(batch.corrupt.ids).detach().repeat(n_backward, 1, 1)
    embedding.requires_grad_()
    logits = hf_model(inputs_embeds=embedding).logits[:, -1]
    value = (logits[:, 5] - logits[:, 6]).sum()
    torch.autograd.grad(value, embedding)


def their_scores(bridge: Any, batch: TaskBatch) -> dict[tuple[Any, Any], float]:
    from transformer_lens.tools.analysis.attribution_patching import (
        EdgeAttributionConfig,
        attribution_patch,
    )

    answer, foil = int(batch.answer_ids[0, 0]), int(batch.foil_ids[0, 0])

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits[0, -1, answer] - logits[0, -1, foil]

    config = EdgeAttributionConfig(granularity="edge")
    return attribution_patch(bridge, batch.clean.ids, batch.corrupt.ids, metric, config).edge_scores


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        import transformers

        hf_model = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
        hf_model.requires_grad_(False)
        model = load(folder, device="cpu")
        bridge = load(folder, backend="transformer_lens", device="cpu").raw
        # It differentiates with respect to activations that depend on parameters only.
        for parameter in bridge.parameters():
            parameter.requires_grad_(True)
        task = pair(N_TOKENS, early=False)
        batch = task.on(model)
        parts = Components.of(model.spec)
        group = Examples.of(model, batch).groups[0]
        calls: dict[str, Callable[[], Any]] = {
            "EAP": lambda: edge_scores(model, parts, group, steps=0, positions=False),
            "EAP by position": lambda: edge_scores(model, parts, group, steps=0, positions=True),
            "EAP, the whole call": lambda: attribute(model, batch, method="eap"),
            "its passes": lambda: passes(hf_model, batch, 1),
            "EAP-IG": lambda: edge_scores(model, parts, group, steps=STEPS, positions=False),
            f"{STEPS + 1} passes": lambda: [passes(hf_model, batch, 1, False) for _ in range(6)],
            "TransformerLens": lambda: their_scores(bridge, batch),
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                call() if not times[name] else None
                times[name].append(seconds(call))
        median = {name: statistics.median(t) for name, t in times.items()}
        found = edge_scores(model, parts, group, steps=0, positions=True)
        theirs = np.array(sorted(their_scores(bridge, batch).values()))
        own = np.sort(found[parts.edges].ravel())
        gradients = {
            n: added_memory(
                lambda n=n: edge_scores(
                    model,
                    parts,
                    Examples.of(model, batch.take([0] * n)).groups[0],
                    steps=0,
                    positions=False,
                )
            )
            for n in (1, 8)
        }
    print(f"edge attribution, GPT-2-small shape, one pair of {N_TOKENS} tokens, one thread, CPU")
    for name, value in median.items():
        print(f"  {name:24}{value:9.3f} s")
    print(
        f"  EAP: {median['TransformerLens'] / median['EAP by position']:.1f} × faster by position, "
        f"{median['TransformerLens'] / median['EAP']:.1f} × without (target 15), "
        f"{median['EAP'] / median['its passes']:.2f} × its passes (target 1.5)"
    )
    print(
        f"  EAP-IG: {median['EAP-IG'] / median[f'{STEPS + 1} passes']:.2f} × {STEPS + 1} passes "
        "(target 1.3)"
    )
    n_theirs, n_own = len(theirs), len(own)
    line = f"  edges: {n_own} by position, TransformerLens {n_theirs}"
    if n_theirs == n_own:
        worst = np.abs(theirs - own).max() / np.abs(theirs).max()
        line += f"; sorted scores differ by {worst:.1e} of the largest"
    print(line)
    sizes = ", ".join(f"{n} pairs {size / 2**20:.0f} MiB" for n, size in gradients.items())
    print(f"  added memory: {sizes}")


if __name__ == "__main__":
    main()
