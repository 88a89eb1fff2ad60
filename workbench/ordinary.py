"""Ordinary torch: what a call of ours computes with, whatever was set before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


class _DefaultType:
    """torch's default type, which is one for all threads: the last call to end puts it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._given: torch.dtype | None = None

    def enter(self) -> None:
        with self._lock:
            if not self._calls:
                self._given = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self._calls += 1

    def leave(self) -> None:
        with self._lock:
            self._calls -= 1
            if not self._calls and self._given is not None:
                torch.set_default_dtype(self._given)


_DEFAULT_TYPE = _DefaultType()


@contextmanager
def ordinary_torch() -> Iterator[None]:
    """torch with its own defaults, for the block: float32, on the CPU, no autocast.

    Inference mode is left, since no gradient passes through what is made in it; whether gradients
    are on stays as it is. Afterwards all is as it was.
    """
    with ExitStack() as stack:
        _DEFAULT_TYPE.enter()
        stack.callback(_DEFAULT_TYPE.leave)
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
            # What leaving it turned on.
            stack.enter_context(torch.no_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield
