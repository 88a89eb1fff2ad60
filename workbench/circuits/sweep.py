"""Sweep: many patches as rows of few passes, which resume at the patched layer and position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..edits import Edit
from ..memory import free_bytes, in_batches
from ..model import Model, Past, Resume
from ..site import Site
from ..tasks import Examples, Group, check_finite
from ..tokens import Tokens

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
    run, "clean" or "corrupt"; the others' activations are put in.
    """

    over: str
    by: tuple[str, ...]
    layers: tuple[int, ...]
    positions: np.ndarray
    base: str

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
        rows = max(1, tokens // n_positions)
        # Few enough for a bar to move, and many more than a pass.
        examples, patches = max(1, rows // 2), PASSES_CARRIED * rows
        if free is None:
            return cls(examples, patches, rows, rows)
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
            unembedded=max(1, min(tokens, share // logits)),
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


@dataclass(frozen=True, eq=False, repr=False)
class Put(Edit):
    """Put `value` where `mask` is true; both broadcast to the activation's shape."""

    value: Any
    mask: Any

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return torch.where(self.mask, self.value, activation)


def run_sweep(
    model: Model, examples: Examples, sweep: Sweep, *, progress: bool = True
) -> np.ndarray:
    """(batch, layer, …by) float64, the metric of every patched run.

    A patch that changes no number of the activation leaves the metric at the base run's. NaN where
    a prompt has no such position. Raises `MemoryError` where not even one row fits.
    """
    n_parts = n_units(model, sweep.over) if sweep.by_unit else 1
    n_places = sweep.positions.shape[1] if sweep.by_position else 1
    base = examples.clean if sweep.base == "clean" else examples.corrupt
    shape = (len(base), len(sweep.layers), n_parts, n_places)
    out = np.broadcast_to(base[:, None, None, None], shape).copy()
    if sweep.by_position:
        out[np.broadcast_to(sweep.positions[:, None, None] < 0, shape)] = np.nan
    n_patches = int(np.isfinite(out).sum())
    budgets = [Budget.of(model, sweep, group.n_positions) for group in examples.groups]
    bar = tqdm(total=n_patches, desc=f"patching {sweep.over}", delay=1.0, disable=not progress)
    try:
        for group, budget in zip(examples.groups, budgets, strict=True):

            def of_examples(at: int, stop: int, group: Group = group, budget: Any = budget) -> None:
                part = group.take(range(at, stop))
                patcher = Patcher(model, part, sweep, budget)
                patches = patcher.patches
                bar.update(int(np.isfinite(out[list(part.rows)]).sum()) - len(patches))
                values = patcher.run(patches, bar)
                rows = np.asarray(part.rows)[patches.example]
                place = patches.place.clip(min=0)
                out[rows, patches.layer, patches.unit.clip(min=0), place] = values

            in_batches(len(group.rows), budget.examples, of_examples)
    finally:
        bar.close()
    kept = (True, True, sweep.by_unit, sweep.by_position)
    return out.reshape([n for n, keep in zip(shape, kept, strict=True) if keep])


class Patcher:
    """Runs the patches of a few examples of equal length, whose plain runs it holds."""

    def __init__(self, model: Model, group: Group, sweep: Sweep, budget: Budget) -> None:
        self._model, self._group, self._sweep, self._budget = model, group, sweep, budget
        self._n_layers = model.spec.n_layers
        self._sites = [Site(sweep.over, layer) for layer in sweep.layers]
        # An edit of the residual stream between blocks is only what the next block is given.
        self._enters_after = 1 if sweep.over == "resid_post" else 0
        self._edits = sweep.over not in ("resid_pre", "resid_post")
        self._resumes_at_position = getattr(model, "reuses_past", True)
        self._tokens: Tokens = getattr(group.batch, sweep.base)
        self._positions = sweep.positions[list(group.rows)]
        self._chosen = self._chosen_positions()
        entered = [Site("resid_pre", layer) for layer in range(self._n_layers)]
        self._plain = model.run(
            _joined(self._tokens, getattr(group.batch, sweep.source)),
            read=[*self._sites, *(entered[min(sweep.layers) :] if self._edits else ())],
            logits_at="last",
            cache=self._resumes_at_position,
        )
        # Any residual stream: a pattern, say, may be of another type.
        self._resid = self._plain[entered[min(sweep.layers)] if self._edits else self._sites[0]]
        self._n_rows, self._n_unembedded = budget.rows, budget.unembedded

    def _base(self, site: Site) -> torch.Tensor:
        """The activation in the run that patches are put into."""
        return self._plain[site][: len(self._tokens)]

    def _source(self, site: Site) -> torch.Tensor:
        """The activation that is put in."""
        return self._plain[site][len(self._tokens) :]

    def _chosen_positions(self) -> np.ndarray:
        """(example, pos) bool: the positions that are patched."""
        out = np.zeros((len(self._positions), self._group.n_positions), bool)
        for row, each in enumerate(self._positions):
            out[row, each[each >= 0]] = True
        return out

    @property
    def patches(self) -> Patches:
        """The patches that change a number; the others leave their run as it is."""
        found = []
        positions = self._positions
        for number, site in enumerate(self._sites):
            differs = self._differs(site) & self._chosen[:, :, None]
            if self._sweep.by_position:
                at = differs[np.arange(len(positions))[:, None], positions.clip(min=0)]
                example, place, unit = np.nonzero(at & (positions >= 0)[:, :, None])
                first = positions[example, place]
            else:
                example, unit = np.nonzero(differs.any(1))
                first = differs[example, :, unit].argmax(-1)
                place = np.full(len(example), -1)
            unit = unit if self._sweep.by_unit else np.full(len(unit), -1)
            found.append((np.full(len(example), number), example, unit, place, first))
        return Patches(*(np.concatenate(each) for each in zip(*found, strict=True)))

    def _differs(self, site: Site) -> np.ndarray:
        """(example, pos, unit) bool: where the two runs are not bit-equal.

        Before the prompts' first different token nothing but rounding could tell them apart.
        """
        differs = self._base(site) != self._source(site)
        axes = AXES[self._sweep.over]
        if "head" in axes:
            differs = differs.any(-1)
        if "dst" in axes:
            differs = differs.transpose(1, 2)
        if not self._sweep.by_unit:
            differs = differs.any(-1, keepdim=True)
        source = getattr(self._group.batch, self._sweep.source)
        behind = (self._tokens.ids != source.ids).cumsum(-1) > 0
        return (differs & behind[:, :, None]).cpu().numpy()

    def run(self, patches: Patches, bar: Any) -> np.ndarray:
        """(patch,) float64: the metric of each."""
        final = self._resid.new_empty((len(patches), self._model.spec.d_model))
        for start, index in self._segments(patches):
            # Side by side in all layers, so that each batch runs through every block once.
            order = index[
                np.lexsort([a[index] for a in (patches.layer, patches.unit, patches.place)])
            ]
            order = order[np.argsort(patches.example[order], kind="stable")]

            def work(at: int, stop: int, order: np.ndarray = order, start: int = start) -> None:
                chosen = order[at:stop]
                ends = self._through_the_layers(patches.take(chosen), start)
                final[torch.as_tensor(chosen, device=final.device)] = ends
                bar.update(stop - at)

            in_batches(len(order), self._budget.patches, work)
        return self._metric(final, patches)

    def _segments(self, patches: Patches) -> Iterator[tuple[int, np.ndarray]]:
        """Starting positions, each with the patches that run from there.

        A patch runs from a position at or before its first change; fewer segments compute some
        positions in vain, more of them start more passes.
        """
        if not len(patches):
            return
        starts, which = np.unique(patches.first, return_inverse=True)
        if not self._resumes_at_position:
            yield 0, np.arange(len(patches))
            return
        layers = np.asarray(self._sweep.layers)[patches.layer] + self._enters_after
        blocks = np.bincount(which, weights=self._n_layers - layers)
        cuts = segments(
            starts, blocks, self._group.n_positions, start_cost(self._model, int(layers.min()))
        )
        for first, last in zip(cuts, [*cuts[1:], len(starts)], strict=True):
            yield int(starts[first]), np.flatnonzero((which >= first) & (which < last))

    def _through_the_layers(self, patches: Patches, start: int) -> torch.Tensor:
        """(patch, d_model): the last residual vector of patches that all run from `start`.

        Each pass is one block: it takes the rows that are under way and those that begin here.
        """
        enters = np.asarray(self._sweep.layers)[patches.layer] + self._enters_after
        under_way = np.zeros(0, np.intp)
        resid = None
        for layer in range(int(enters.min()), self._n_layers + 1):
            new = np.flatnonzero(enters == layer)
            begin = self._entering(layer, patches.take(new), start)
            resid = begin if resid is None else torch.cat([resid, begin])
            n_old, under_way = len(under_way), np.concatenate([under_way, new])
            if layer < self._n_layers:
                resid = self._block(layer, resid, patches.take(under_way), n_old, start)
        assert resid is not None
        return resid[torch.as_tensor(np.argsort(under_way), device=resid.device), -1]

    def _entering(self, layer: int, patches: Patches, start: int) -> torch.Tensor:
        """(patch, pos, d_model): the residual stream with which the patches enter a layer."""
        rows = patches.example.tolist()
        if not rows:
            return self._resid[:0, start:]
        if self._edits:
            return self._base(Site("resid_pre", layer))[rows, start:]
        site = Site(self._sweep.over, layer - self._enters_after)
        base, value = self._base(site)[rows, start:], self._source(site)[rows, start:]
        return base.where(~self._mask(patches, start), value)

    def _mask(self, patches: Patches, start: int) -> torch.Tensor:
        """What is replaced in the rows of these patches, as it broadcasts to the activation."""
        axes = AXES[self._sweep.over]
        at = self._chosen[patches.example, start:]
        if self._sweep.by_position:
            here = self._positions[patches.example, patches.place]
            at = np.arange(start, self._group.n_positions) == here[:, None]
        n_parts = n_units(self._model, self._sweep.over)
        units = np.ones((len(patches), n_parts), bool)
        if self._sweep.by_unit:
            units = np.arange(n_parts) == patches.unit[:, None]
        both = torch.as_tensor(at[:, :, None] & units[:, None], device=self._model.spec.device)
        if "dst" in axes:
            both = both.transpose(1, 2)
        return both[..., None] if "head" in axes else both

    def _block(
        self, layer: int, resid: torch.Tensor, patches: Patches, n_old: int, start: int
    ) -> torch.Tensor:
        """(row, pos, d_model) after a block; of the rows, the first `n_old` are patched already."""

        def rows(at: int, stop: int) -> torch.Tensor:
            part = patches.take(slice(at, stop))
            return self._rows(layer, resid[at:stop], part, max(0, n_old - at), start)

        done, self._n_rows = in_batches(len(patches), self._n_rows, rows)
        return torch.cat(done)

    def _rows(
        self, layer: int, resid: torch.Tensor, patches: Patches, n_old: int, start: int
    ) -> torch.Tensor:
        examples = patches.example.tolist()
        after, site = Site("resid_post", layer), Site(self._sweep.over, layer)
        new = list(range(min(n_old, len(patches)), len(patches)))
        edits = []
        if self._edits and new:
            fresh = patches.take(new)
            edits = [Put(site, self._value(site, fresh, start), self._mask(fresh, start), rows=new)]
        run = self._model.run(
            self._tokens.take(examples),
            read=[after, site] if edits else after,
            edits=edits,
            stop_after=after,
            resume=Resume(layer, resid, None, start, self._past(layer, examples, start)),
        )
        for edit in edits:
            _check_reached(edit, run[site][new])
        return run[after]

    def _metric(self, final: torch.Tensor, patches: Patches) -> np.ndarray:
        """(patch,) float64: the metric of the last residual vectors, unembedded."""
        n = self._group.n_positions
        start = n - 1 if self._resumes_at_position else 0

        def rows(at: int, stop: int) -> np.ndarray:
            examples = patches.example[at:stop].tolist()
            resid = final[at:stop, None].expand(-1, n - start, -1)
            past = self._past(self._n_layers, examples, start)
            run = self._model.run(
                self._tokens.take(examples),
                logits_at="last",
                resume=Resume(self._n_layers, resid, None, start, past),
            )
            assert run.logits is not None
            return check_finite(self._group.metric(run.logits, examples), "patched")

        done, self._n_unembedded = in_batches(len(patches), self._n_unembedded, rows)
        return np.concatenate([np.empty(0), *done])

    def _value(self, site: Site, patches: Patches, start: int) -> torch.Tensor:
        source = self._source(site)[patches.example.tolist()]
        return source[:, :, start:] if self._sweep.over == "pattern" else source[:, start:]

    def _past(self, layer: int, examples: list[int], start: int) -> Past | None:
        """The cached keys and values of one layer for these rows, which no other layer reads."""
        if not start:
            return None
        assert self._plain.past is not None
        layers = []
        for number, (keys, values) in enumerate(self._plain.past.layers):
            if number == layer:
                layers.append((keys[examples, :, :start], values[examples, :, :start]))
            else:
                # As long as the real ones, since masks are made from that, and next to nothing.
                hollow = keys.new_zeros((1, 1, start, 1))
                layers.append((hollow, hollow))
        return Past(tuple(layers))


def _joined(first: Tokens, second: Tokens) -> Tokens:
    """The rows of both, which have equally many columns."""
    return Tokens(
        torch.cat([first.ids, second.ids]),
        torch.cat([first.mask, second.mask]),
        first.strings + second.strings,
        first.side,
    )


def _check_reached(edit: Put, activation: torch.Tensor) -> None:
    """Raises `RuntimeError` where a row is not what was put in."""
    wanted = torch.where(edit.mask, edit.value, activation)
    same = (wanted == activation).flatten(1).all(1)
    if not bool(same.all()):
        row = int((~same).nonzero()[0])
        raise RuntimeError(
            f"A patch is there in every row it was put into; {edit!r} did not reach row {row}. "
            "Patch another stream, or load the model with the other backend."
        )
