"""A sweep of patches in little memory, out of memory, and interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.patchings import patch
from tests.unit import lens_models
from tests.unit.circuits.test_patching import BACKENDS, CLOSE, TASK
from tests.unit.kernels import memory, sweep


class Counted:
    """A model whose runs are noted, and that runs out of memory above some number of rows."""

    def __init__(self, model: Any, most: int = 10**9, error: Any = None) -> None:
        self.spec, self.tokenizer, self.raw = model.spec, model.tokenizer, model.raw
        self._model, self._most, self._error = model, most, error
        self.rows: list[int] = []
        self.n_tokens: list[int] = []
        self.refused = self.runs = 0

    def tokens(self, *args: Any, **options: Any) -> Any:
        return self._model.tokens(*args, **options)

    def run(self, tokens: Any, **options: Any) -> Any:
        self.runs += 1
        if options.get("resume") is not None:
            if tokens.n_rows > self._most:
                self.refused += 1
                raise self._error
            assert tokens.n_rows <= self._most
            self.rows.append(tokens.n_rows)
            self.n_tokens.append(tokens.n_rows * options["resume"].resid.shape[1])
        return self._model.run(tokens, **options)


def test_a_pass_has_at_most_the_tokens_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Counted(lens_models.zoo_model("gpt2"))
    monkeypatch.setitem(sweep.PASS_TOKENS, "cpu", 18)
    patch(model, TASK, over="z")
    assert max(model.n_tokens) <= 18


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
    ],
)
def test_a_pass_that_runs_out_of_memory_is_split_and_begun_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Collecting what is no longer used would take most of this test's time.
    monkeypatch.setattr(memory.gc, "collect", lambda: 0)
    plain = lens_models.zoo_model("gpt2")
    model = Counted(plain, 2, error)
    result = patch(model, TASK)
    np.testing.assert_allclose(result.patched, patch(plain, TASK).patched, **CLOSE)
    assert model.refused and max(model.rows) == 2
    with pytest.raises(MemoryError, match="A pass of a single row does not fit into memory"):
        patch(Counted(plain, 0, error), TASK)
    with pytest.raises(RuntimeError, match="something else"):
        patch(Counted(plain, 0, RuntimeError("something else")), TASK)


@pytest.mark.parametrize("backend", BACKENDS)
def test_running_out_of_memory_inside_the_model_is_met_the_same_way(backend: str) -> None:
    model = lens_models.zoo_model("gpt2", backend)
    plain = patch(model, TASK)
    refused = []

    def small(module: Any, args: Any) -> None:
        if args[0].shape[0] > 4:
            refused.append(args[0].shape[0])
            raise torch.OutOfMemoryError("CUDA out of memory.")

    handle = model.module(model.architecture.path("mlp", 1)).register_forward_pre_hook(small)
    try:
        split = patch(model, TASK)
    finally:
        handle.remove()
    assert refused
    np.testing.assert_allclose(split.patched, plain.patched, **CLOSE)


def test_a_sweep_that_cannot_fit_says_what_it_needs_before_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Counted(lens_models.zoo_model("gpt2"))
    monkeypatch.setattr(sweep, "free_bytes", lambda device: 2**12)
    with pytest.raises(
        MemoryError,
        match=r"Patching z needs at least 0\.\d+ GiB for one prompt of \d tokens, and 0\.00 GiB "
        r"are free on cpu\. Use shorter prompts, fewer layers or another device\.",
    ):
        patch(model, TASK, over="z")
    assert model.runs == 0
    monkeypatch.setattr(sweep, "free_bytes", lambda device: None)
    assert patch(model, TASK, over="z").patched.shape == (3, 2, 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_leaves_the_model_as_it_was(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sweep.PASS_TOKENS, "cpu", 24)
    model = lens_models.zoo_model("llama", backend)
    ids = [[5, 9, 13, 20]]
    before = model.run(ids).logits
    calls: list[int] = []

    def interrupt(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt

    handle = model.module(model.architecture.path("mlp", 1)).register_forward_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            patch(model, TASK, over="z", by="head pos")
    finally:
        handle.remove()
    assert torch.equal(model.run(ids).logits, before)


def test_free_memory_is_what_the_system_says_or_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")
    said = tmp_path / "meminfo"
    monkeypatch.setattr(memory, "MEMINFO", said)
    monkeypatch.setattr(memory, "CONTAINER", tmp_path)
    assert memory.free_bytes(cpu) is None
    said.write_text("MemTotal: 100 kB\nMemAvailable:   64 kB\n")
    assert memory.free_bytes(cpu) == 64 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory.free_bytes(cpu) == 64 * 1024
    (tmp_path / "memory.max").write_text("9000\n")
    assert memory.free_bytes(cpu) == 8000
    assert memory.free_bytes(torch.device("meta")) is None


def test_batches_cover_every_item_once_and_keep_the_size_that_fitted() -> None:
    seen: list[range] = []

    def work(start: int, stop: int) -> int:
        if stop - start > 3:
            raise MemoryError
        seen.append(range(start, stop))
        return stop - start

    done, size = memory.in_batches(10, 8, work)
    assert [i for part in seen for i in part] == list(range(10))
    assert sum(done) == 10 and size == 2 and max(done) <= 3
    assert memory.in_batches(0, 8, work) == ([], 8)
