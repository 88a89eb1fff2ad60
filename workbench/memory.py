"""Memory: how much is free, and work in batches that become smaller when it runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

T = TypeVar("T")

#: Where Linux says what programs can still take, and what a container may and does take.
MEMINFO = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int | None:
    """The bytes that are free on a device; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu" or not MEMINFO.is_file():
        return None
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
    if "MemAvailable" not in lines:
        return None
    free = 1024 * int(lines["MemAvailable"].split()[0])
    most, now = CONTAINER / "memory.max", CONTAINER / "memory.current"
    if most.is_file() and now.is_file() and (limit := most.read_text().strip()).isdigit():
        free = min(free, max(0, int(limit) - int(now.read_text())))
    return free


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def in_batches(n: int, size: int, work: Callable[[int, int], T]) -> tuple[list[T], int]:
    """What `work(start, stop)` gives for batches of `n` items, and the size that fitted.

    A batch that runs out of memory is halved and begun again. Raises `MemoryError` where one
    item alone does not fit.
    """
    out: list[T] = []
    at, size = 0, max(1, size)
    while at < n:
        stop = min(n, at + size)
        try:
            out.append(work(at, stop))
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            if stop - at == 1:
                raise MemoryError(
                    "A pass of a single row does not fit into memory. Use a shorter prompt, a "
                    f"smaller model or another device. ({str(error).splitlines()[0]})"
                ) from error
            size = (stop - at) // 2
            # Only now is the failed batch's memory let go of: the error held on to it.
            failed = True
        else:
            failed, at = False, stop
        if failed:
            _release()
    return out, size


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
