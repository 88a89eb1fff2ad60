"""The plan of a sweep of patches: what is patched, what fits into memory, what runs together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..model import Model
from .memory import free_bytes

#: The axes of a layer along which each stream is patched. A pattern's positions are the
#: destinations.
AXES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"), ("pos",)),
    **dict.fromkeys(("z", "q", "k", "v"), ("head", "pos")),
    "pattern": ("head", "dst"),
    "mlp_post": ("neuron", "pos"),
}
#: Tokens whose block costs as much as starting a pass over one block, besides what the two lines
#: below say: where few rows run, a block's weights are read more slowly than they are used.
START_TOKENS = 30
#: Multiply-adds that fit into what a pass costs before it computes anything, by kind of device.
START_WORK = {"cpu": 2.5e8, "other": 3e10}
#: Tokens of one pass, by kind of device: beyond, a larger pass is no quicker by the row.
PASS_TOKENS = {"cpu": 4096, "other": 131072}
#: Patches that go through the layers together, in full passes of one block.
PASSES_CARRIED = 16


@dataclass(frozen=True)
class Sweep:
    """What is patched: a stream, by which of its axes, in which layers and at which positions.

    by: of `AXES`, in that order. positions: (batch, pos) as in `Places`. base: the prompts that
    run, "clean" or "corrupt"; the others' activations are put in. max_rows: rows of one pass at
    most.
    """

    over: str
    by: tuple[str, ...]
    layers: tuple[int, ...]
    positions: np.ndarray
    base: str
    max_rows: int | None

    @property
    def source(self) -> str:
        return "corrupt" if self.base == "clean" else "clean"

    @property
    def by_unit(self) -> bool:
        """Whether heads or neurons are patched one by one."""
        return "head" in self.by or "neuron" in self.by

    @property
    def by_position(self) -> bool:
        """Whether positions are patched one by one."""
        return "pos" in self.by or "dst" in self.by


def n_units(model: Model, over: str) -> int:
    """How many heads or neurons a layer of the stream has, 1 where it has none of either."""
    if over in ("k", "v"):
        return model.spec.n_kv_heads
    axes = AXES[over]
    if "neuron" in axes:
        return model.spec.d_mlp
    return model.spec.n_heads if "head" in axes else 1


@dataclass(frozen=True)
class Patches:
    """Patches of some examples, one an entry: where each is and where it first changes a number.

    layer: number in the sweep's layers. example: number in the group. unit: head or neuron. place:
    number in the sweep's positions. first: the first position that the patch changes. A unit or
    place of -1 stands for all of them at once.
    """

    layer: np.ndarray
    example: np.ndarray
    unit: np.ndarray
    place: np.ndarray
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.layer)

    def take(self, index: Any) -> Patches:
        return Patches(
            self.layer[index],
            self.example[index],
            self.unit[index],
            self.place[index],
            self.first[index],
        )


@dataclass(frozen=True)
class Budget:
    """How much runs at once: examples read together, patches carried together, rows of a pass.

    unembedded: rows that are unembedded together, one position each.
    """

    examples: int
    patches: int
    rows: int
    unembedded: int

    @classmethod
    def of(cls, model: Model, sweep: Sweep, n_positions: int) -> Budget:
        """Raises `MemoryError`, naming what is needed, where one row does not fit."""
        spec, device = model.spec, torch.device(model.spec.device)
        size = getattr(torch, spec.dtype.removeprefix("torch.")).itemsize
        heads = spec.n_heads * spec.d_head
        stream = {"pattern": spec.n_heads * n_positions, "mlp_post": spec.d_mlp}.get(
            sweep.over, max(heads, spec.d_model)
        )
        cached = 2 * spec.n_kv_heads * spec.d_head * spec.n_layers
        # Both runs of a pair, since they are one pass.
        streams = cached + spec.n_layers * spec.d_model + len(sweep.layers) * stream
        read = 2 * size * n_positions * streams
        carried = 3 * size * n_positions * spec.d_model
        # Of one block, what its widest steps hold at the same time.
        inside = 10 * spec.d_model + 4 * heads + 4 * spec.d_mlp + 4 * spec.n_heads * n_positions
        row = size * n_positions * (inside + 3 * stream)
        logits = (size + 8) * spec.d_vocab
        free = free_bytes(device)
        tokens = PASS_TOKENS.get(device.type, PASS_TOKENS["other"])
        most = sweep.max_rows or tokens
        rows = max(1, min(tokens // n_positions, most))
        # Few enough for a bar to move, and many more than a pass.
        examples, patches = max(1, rows // 2), PASSES_CARRIED * rows
        if free is None:
            return cls(examples, patches, rows, min(rows, most))
        if (needed := read + carried + max(row, logits)) > free:
            raise MemoryError(
                f"Patching {sweep.over} needs at least {needed / 2**30:.2f} GiB for one prompt of "
                f"{n_positions} tokens, and {free / 2**30:.2f} GiB are free on {device}. Use "
                "shorter prompts, fewer layers or another device."
            )
        share = free // 4
        return cls(
            examples=max(1, min(examples, share // read)),
            patches=max(1, min(patches, share // carried)),
            rows=max(1, min(rows, share // row)),
            unembedded=max(1, min(tokens, most, share // logits)),
        )


def start_cost(model: Model, layer: int) -> float:
    """What one more segment from a layer on costs besides its rows, in tokens of a block."""
    spec = model.spec
    kind = spec.device.split(":")[0]
    width = 2 * (spec.n_heads + spec.n_kv_heads) * spec.d_head + 3 * spec.d_mlp
    work = START_WORK.get(kind, START_WORK["other"]) / (spec.d_model * width)
    return (spec.n_layers - layer) * (START_TOKENS + work)


def segments(starts: np.ndarray, blocks: np.ndarray, n_positions: int, cost: float) -> list[int]:
    """The first of each run of `starts` that is computed together, at the least cost.

    starts: rising positions. blocks: how many blocks the rows of each go through. cost: of one
    more segment, in tokens of a block.
    """
    n = len(starts)
    total = np.concatenate([[0.0], np.cumsum(blocks)])
    best, cut = np.zeros(n + 1), np.zeros(n + 1, int)
    for end in range(1, n + 1):
        rows = total[end] - total[:end]
        costs = best[:end] + cost + rows * (n_positions - starts[:end])
        cut[end] = int(costs.argmin())
        best[end] = costs[cut[end]]
    found, end = [], n
    while end:
        end = int(cut[end])
        found.append(end)
    return found[::-1]
