"""Similarities of two models' neurons through the token products, beside forming the signatures.

    python -m tests.benchmarks.alignment

Two models of GPT-2-small's shape with random weights, one layer of each (3,072 neurons, 50,257
tokens), what they write, on the CPU with one thread: processor seconds, the memory that each way
adds, and the largest difference of the similarities. Then the assignment, and what `align`
takes for that layer with one draw of each control.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.logit_lens import added_memory, save_model
from workbench.compare.align import align
from workbench.compare.signatures import NeuronSignatures, Spaces, shared_tokens
from workbench.features.similarity import one_to_one
from workbench.loading import load
from workbench.vocabulary.neurons import neuron_writing
from workbench.vocabulary.projection import writing_projection

LAYER = 5
#: How close the similarities of both ways have to be.
CLOSE = 1e-4


def two_models() -> tuple[Any, Any]:
    """The same but for the layer's output weights, half of which are drawn anew and mixed in."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        a, b = (load(folder, device="cpu") for _ in range(2))
    weight = b.weight("W_out", LAYER)
    weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * 0.06)
    return a, b


def formed(a: Any, b: Any) -> torch.Tensor:
    """(neuron, neuron): every neuron's signature formed in full, standardised, and multiplied."""
    each = []
    for model in (a, b):
        values = writing_projection(model)(neuron_writing(model, LAYER))
        values -= values.mean(1, keepdim=True)
        each.append(values.div_(values.norm(dim=1, keepdim=True)))
    return each[0] @ each[1].T


def through_products(a: Any, b: Any) -> torch.Tensor:
    """(neuron, neuron): as `align` has them."""
    spaces = Spaces.of(a, b, ("writing",), "folded", shared_tokens(a, b))
    signatures = NeuronSignatures(a, b, spaces, ("out",), "folded")
    return signatures.compare(LAYER, LAYER, spaces.products())[0]


def measured(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a call gives, its processor seconds and the MiB that it adds."""
    out: list[Any] = []
    start = time.process_time()
    memory = added_memory(lambda: out.append(call()))
    return out[0], time.process_time() - start, memory / 2**20


def main() -> None:
    torch.set_num_threads(1)
    a, b = two_models()
    print("one layer of two models of GPT-2-small shape, one thread, processor seconds")
    print(f"{'':44}{'seconds':>12}{'added MiB':>12}{'difference':>12}")
    with torch.no_grad():
        ours, seconds, memory = measured(lambda: through_products(a, b))
        print(f"{'workbench, through the token products':44}{seconds:12.1f}{memory:12.0f}")
        plain, slow, large = measured(lambda: formed(a, b))
    away = float((ours - plain).abs().max())
    if away > CLOSE:
        raise ValueError(f"The similarities differ by {away:.1e}, more than {CLOSE}.")
    print(f"{'signatures formed in full':44}{slow:12.1f}{large:12.0f}{away:12.1e}")
    print(f"{'':44}{slow / seconds:11.1f}×{large / memory:11.1f}×")
    values = ours.numpy().copy()
    columns, seconds, memory = measured(lambda: one_to_one(values))
    print(f"{'assignment':44}{seconds:12.1f}{memory:12.0f}")
    options: Any = {"sides": "out", "layers": [(LAYER, LAYER)], "n_controls": 1}
    found, seconds, memory = measured(lambda: align(a, b, progress=False, **options))
    if not np.array_equal(found.units_b, columns):
        raise ValueError("align pairs other neurons than the similarities say.")
    kept = 100 * float((found.units_a == found.units_b).mean())
    print(f"{'align, one draw, all layers compared':44}{seconds:12.1f}{memory:12.0f}")
    print(f"neurons found again under noise: {kept:.0f} %")


if __name__ == "__main__":
    main()
