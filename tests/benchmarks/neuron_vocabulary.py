"""All neurons of a model as words, beside the matrix products that it takes at least.

Run `python -m tests.benchmarks.neuron_vocabulary [layers]`. A model of GPT-2-small's shape with
random weights, 3,072 neurons a layer × 50,257 words, on the CPU: seconds, their ratio to those of
the plain products of the same batches (in turns, in one process), and the memory that each adds.
`layers` keeps it to the first few.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.logit_lens import N_WORDS, added_memory, save_model

K, LAYERS = 10, 12
PLAIN = "matrix products alone"
WAYS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "top 10": {"sides": "out", "bottom": False, "measures": ()},
    "top and bottom 10": {"sides": "out", "measures": ()},
    "with share and kurtosis": {"sides": "out"},
}
WHOLE = "whole table: out and in"


def products(model: Any, layers: range) -> None:
    """The products of every neuron's direction and every word, in the kernel's own batches."""
    from workbench.vocabulary.neurons import directions_of, projection_of
    from workbench.vocabulary.projection import BATCH

    through = projection_of(model, "out", "folded")
    batch = BATCH // (4 * through.d_vocab)
    buffer = torch.empty(batch, through.d_vocab)
    with torch.no_grad():
        for layer in layers:
            for rows in directions_of(model, layer, "out", "folded").split(batch):
                torch.matmul(through.prepare(rows), through.matrix, out=buffer[: len(rows)])


def way(name: str, model: Any) -> Callable[[range], Any]:
    """One of `WAYS`, or the whole table, as a call on some layers."""
    from workbench.vocabulary.neurons import neurons

    if name == PLAIN:
        return lambda layers: products(model, layers)
    options = WAYS.get(name, {})
    return lambda layers: neurons(model, list(layers), k=K, **options)


def added_in_new_process(name: str, folder: Path, n_layers: int) -> int:
    """Bytes that a way adds in a process of its own, warmed up on one layer."""
    here = "tests.benchmarks.neuron_vocabulary"
    command = [sys.executable, "-m", here, "memory", name, str(folder), str(n_layers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def loaded(folder: Path) -> Any:
    import transformers

    from workbench.loading import load

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return load(folder, device="cpu")


def main(n_layers: int = LAYERS) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        save_model(folder)
        names = [*WAYS, WHOLE]
        memory = {name: added_in_new_process(name, folder, n_layers) for name in names}
        model = loaded(folder)
    seconds = dict.fromkeys(names, 0.0)
    # Layer by layer in turns: a machine that is busy for a while is so for all of them.
    for layer in range(n_layers):
        for name in names:
            start = time.perf_counter()
            way(name, model)(range(layer, layer + 1))
            seconds[name] += time.perf_counter() - start
    print(
        f"neuron vocabulary, GPT-2-small shape, {n_layers} layers × 3,072 neurons × {N_WORDS:,} "
        f"words, top {K}, {torch.get_num_threads()} threads"
    )
    print(f"{'':30}{'seconds':>9}{'ratio':>8}{'added memory':>16}")
    for name in names:
        # The whole table takes two products.
        base = seconds[PLAIN] * (2 if name == WHOLE else 1)
        size = f"{memory[name] / 2**20:.0f} MiB"
        print(f"{name:30}{seconds[name]:9.1f}{seconds[name] / base:8.2f}{size:>16}")
    print("ratio: to the matrix products alone; of the whole table to twice these")


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        measured = way(sys.argv[2], loaded(Path(sys.argv[3])))
        # A few rows would do, but a layer is the least that the method takes.
        print(added_memory(lambda: measured(range(int(sys.argv[4])))))
    else:
        main(*map(int, sys.argv[1:2]))
