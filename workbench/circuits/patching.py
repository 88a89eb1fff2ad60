"""Activation patching: the metric after one activation of another run is put in, for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..check import Count, Level, checked, different, one_of, whole
from ..model import Model
from ..places import Places
from ..result import Result, axes, provenance
from ..site import Site
from ..tasks import Examples, Task, TaskBatch, as_batch
from ..tokens import Positions
from .sweep import AXES, Budget, Sweep, run_sweep

DIRECTIONS = ("denoise", "noise")
#: Below this many bytes the means of all resamples are computed at once.
BOOTSTRAP_BYTES = 2**26


@dataclass(frozen=True, eq=False, repr=False)
class Patching(Result):
    """The metric of every patched run of every example, and the effects.

    over: the stream patched. by: the axes of an example's numbers, "layer" and then those of a head
    or neuron and of a position. direction: "denoise" (clean put into the corrupt run) or "noise"
    (corrupt put into the clean run). layers: those patched. patched: (batch, …by) float32, the
    metric, NaN where a prompt has no such position. clean, corrupt: the metric of the plain runs.
    gap: mean clean minus mean corrupt metric. positions: of each example, -1 past the end of one
    that has fewer. n_skipped: patches that change no number, so that their effect is 0 without a
    run. tokens, corrupt_tokens: of the clean and the corrupt prompts.
    """

    task: str
    metric_name: str
    over: str
    by: tuple[str, ...]
    direction: str
    layers: tuple[int, ...]
    corrupt_tokens: tuple[tuple[str, ...], ...]
    gap: float
    n_skipped: int
    patched: np.ndarray
    clean: np.ndarray = axes("batch")
    corrupt: np.ndarray = axes("batch")
    positions: np.ndarray = axes("batch pos", np.int32)

    picture = "patching.patching"
    view = "circuits.patching"

    def __post_init__(self) -> None:
        super().__post_init__()
        patched = np.array(self.patched, np.float32)
        wanted = [len(self.clean), len(self.layers)]
        if patched.ndim != 1 + len(self.by) or list(patched.shape[:2]) != wanted:
            raise ValueError(
                f"Patching.patched has the axes (batch, {', '.join(self.by)}), the first two "
                f"{wanted[0]} and {wanted[1]} long; got an array of shape {patched.shape}."
            )
        patched.setflags(write=False)
        object.__setattr__(self, "patched", patched)

    @property
    def effects(self) -> np.ndarray:
        """(batch, …by) float32: of each example, over the mean gap between clean and corrupt.

        Denoising: (patched − corrupt) / gap, so that 0 = corrupt and 1 = clean. Noising: (clean −
        patched) / gap, so that 1 = the corrupt run's metric. In both, positive = the patched
        component carries the answer. The gap is that of all examples, so that the mean over them is
        a ratio of means, which an example with a small gap of its own does not drown.
        """
        return (self._differences() / self.gap).astype(np.float32)

    @property
    def mean(self) -> np.ndarray:
        """(…by) float32: the mean effect over the examples that have the position."""
        there = np.isfinite(self.patched)
        total = np.where(there, self._differences(), 0.0).sum(0)
        with np.errstate(invalid="ignore"):
            return (total / there.sum(0) / self.gap).astype(np.float32)

    def interval(
        self, level: Level = 0.95, *, n_resamples: Count = 2000
    ) -> tuple[np.ndarray, np.ndarray]:
        """The interval of the mean effect, low and high, each (…by) float32.

        Bootstrap over the examples, percentiles, seeded: effects and gap are drawn together. NaN
        where fewer than two examples have the position. Raises `ValueError` for a level that is not
        between 0 and 1.
        """
        n = len(self.clean)
        drawn = np.random.default_rng(self.seed).multinomial(n, [1 / n] * n, size=n_resamples)
        drawn = drawn.astype(np.float64)
        gaps = drawn @ (self.clean.astype(np.float64) - self.corrupt) / n
        there = np.isfinite(self.patched).reshape(n, -1)
        values = np.where(there, self._differences().reshape(n, -1), 0.0)
        ends = np.full((2, values.shape[1]), np.nan, np.float32)
        several = np.flatnonzero(there.sum(0) > 1)
        size = max(1, BOOTSTRAP_BYTES // (8 * n_resamples))
        for at in range(0, len(several), size):
            cells = several[at : at + size]
            with np.errstate(invalid="ignore", divide="ignore"):
                means = drawn @ values[:, cells] / (drawn @ there[:, cells]) / gaps[:, None]
            # A draw without any example that has the position says nothing.
            means[~np.isfinite(means)] = np.nan
            ends[:, cells] = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
        low, high = ends.reshape(2, *self.patched.shape[1:])
        return low, high

    def _differences(self) -> np.ndarray:
        """(batch, …by) float64: by how much each patch moved the metric, unnormalised."""
        patched = self.patched.astype(np.float64)
        ones = (1,) * len(self.by)
        if self.direction == "noise":
            return self.clean.astype(np.float64).reshape(-1, *ones) - patched
        return patched - self.corrupt.astype(np.float64).reshape(-1, *ones)

    def to_frame(self, *, examples: bool = False) -> pd.DataFrame:
        """One line a patch: its axes, effect, low and high (95 % interval), patched, n_examples.

        A position stands in the column pos (dst for a pattern), as a number among the positions
        patched; position and token say where that is, where it is the same in all examples. With
        `examples`, one line a patch and example: example, axes, position, token, effect, patched.
        """
        shape = self.patched.shape[1:]
        index = dict(zip(self.by, np.indices(shape).reshape(len(shape), -1), strict=True))
        index["layer"] = np.asarray(self.layers)[index["layer"]]
        along = next((axis for axis in self.by if axis in ("pos", "dst")), None)
        if examples:
            frames = []
            for row, (patched, effects) in enumerate(zip(self.patched, self.effects, strict=True)):
                columns = {"example": np.full(patched.size, row), **index}
                if along:
                    columns |= self._named(index[along], [row])
                frames.append(
                    pd.DataFrame(
                        columns | {"effect": effects.reshape(-1), "patched": patched.reshape(-1)}
                    )
                )
            return pd.concat(frames, ignore_index=True).dropna(subset="effect", ignore_index=True)
        low, high = self.interval()
        there = np.isfinite(self.patched)
        with np.errstate(invalid="ignore"):
            patched = np.where(there, self.patched, 0).sum(0) / there.sum(0)
        named = self._named(index[along], range(len(self.clean))) if along else {}
        columns = {
            "effect": self.mean,
            "low": low,
            "high": high,
            "patched": patched,
            "n_examples": there.sum(0),
        }
        return pd.DataFrame(
            index | named | {name: each.reshape(-1) for name, each in columns.items()}
        )

    def _named(self, places: np.ndarray, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """The columns position and token of some of the examples."""
        positions, tokens = [], []
        for place in range(self.positions.shape[1]):
            here = {int(self.positions[row, place]) for row in rows}
            token = self.token_at(place, rows)
            positions.append(here.pop() if len(here) == 1 else -1)
            tokens.append("" if token is None else token)
        return {
            "position": np.asarray(positions)[places],
            "token": np.asarray(tokens, dtype=object)[places],
        }

    def token_at(
        self, place: int, rows: Sequence[int] | None = None, *, of: str = "clean"
    ) -> str | None:
        """The token at a place of the axis of positions, None where the examples differ.

        rows: of these examples only. of: the "clean" or the "corrupt" prompts. "" where no example
        has the position.
        """
        both = {"clean": self.tokens, "corrupt": self.corrupt_tokens}
        tokens = both[one_of("of", of, both)]
        place = whole("place", place, 0, self.positions.shape[1] - 1)
        n, found = len(self.clean), set()
        for row in range(n) if rows is None else rows:
            row = whole("row", row, 0, n - 1, "It is the number of an example.")
            if (position := int(self.positions[row, place])) >= 0:
                found.add(tokens[row][position])
        if not found:
            return ""
        return found.pop() if len(found) == 1 else None

    def place_names(self, row: int | None = None) -> tuple[str, ...]:
        """What stands at each place of the axis of positions, as text.

        The token, "clean / corrupt" where the two differ; where the examples have different tokens,
        the number of the position in the longest of them. row: of one example only.
        """
        rows = range(len(self.clean)) if row is None else [row]
        out = []
        for place in range(self.positions.shape[1]):
            pair = [self.token_at(place, rows, of=of) for of in ("clean", "corrupt")]
            known = [token for token in dict.fromkeys(pair) if token is not None]
            same = None not in pair
            out.append(" / ".join(known) if same else str(int(self.positions[:, place].max())))
        return tuple(out)

    def _facts(self) -> str:
        size = " × ".join(map(str, self.patched.shape[1:]))
        # Rounded first: a number that is shown as zero has no sign.
        low, high = (round(float(end(self.mean)), 2) + 0.0 for end in (np.nanmin, np.nanmax))
        return (
            f"{self.direction} {self.over} on {self.task}, {len(self.clean)} examples × {size} "
            f"({' × '.join(self.by)}), mean effects {low:.2f} to {high:.2f}, "
            f"{self.n_skipped} patches skipped"
        )


@checked
def patch(
    model: Model,
    task: Task | TaskBatch,
    *,
    over: str = "resid_pre",
    by: str | None = None,
    direction: Literal["denoise", "noise"] = "denoise",
    layers: int | Sequence[int] | None = None,
    positions: Positions = None,
    n: Count | None = None,
    max_rows: Count | None = None,
    progress: bool = True,
) -> Patching:
    """The effect of putting in each activation of the other run, alone: exact, one run a patch.

    over: the stream; by: which of its axes are patched one by one, besides the layer.

        resid_pre, resid_mid, resid_post, attn_out, mlp_out    "pos" (default)
        z, q, k, v                                  "head" (default), "pos", "head pos"
        pattern                                     "head" (default), "dst", "head dst"
        mlp_post                                    "pos" (default), "neuron", "neuron pos"

    "layer" patches each layer as a whole. k and v have key/value heads where queries are grouped.

    direction: "denoise" runs the corrupt prompts and puts in clean activations; "noise" the other
    way round. layers, positions: which to patch, None for all; where positions are not in `by`,
    those given are patched together (for a pattern they are destinations). n: how many pairs.
    max_rows: how many patched rows run in one pass at most; by default what fits into memory, and
    less where that runs out. A bar shows sweeps of more than a second unless `progress` is False.

    Raises `ValueError` for an unknown or unfitting choice, a stream that the model lacks or cannot
    be changed in, pairs of unequal length, clean and corrupt of equal metric, and a metric that is
    not finite; `IndexError` for a position that a prompt lacks; `MemoryError` where not even one
    row fits, before anything runs.

    Source: Vig et al. 2020 (causal mediation); Meng et al. 2022, "Locating and Editing Factual
    Associations in GPT", section 2; Heimersheim and Nanda 2024 on the two directions.
    """
    axes_of = _read_by(over, by)
    if direction not in DIRECTIONS:
        raise ValueError(
            "direction is 'denoise' (clean put into the corrupt run) or 'noise' (corrupt put into "
            f"the clean run); got {direction!r}."
        )
    chosen = _read_layers(model, over, layers)
    for layer in chosen:
        model.spec.check(Site(over, layer), edit=True)
    batch = as_batch(model, task, n)
    places = Places.of(batch.clean, positions)
    base = "corrupt" if direction == "denoise" else "clean"
    sweep = Sweep(over, axes_of, chosen, places.positions, base, max_rows)
    # Says what is needed, where it is too much, before anything runs.
    Budget.of(model, sweep, max(batch.clean.lengths))
    examples = Examples.of(model, batch)
    gap = examples.gap
    patched, n_skipped = run_sweep(model, examples, sweep, progress=progress)
    return Patching(
        **provenance(model, batch.clean, seed=0),
        task=batch.task,
        metric_name=batch.metric_name,
        over=over,
        by=("layer", *axes_of),
        direction=direction,
        layers=chosen,
        corrupt_tokens=batch.corrupt.strings,
        gap=gap,
        n_skipped=n_skipped,
        patched=patched,
        clean=examples.clean,
        corrupt=examples.corrupt,
        positions=places.positions,
    )


def _read_by(over: str, by: str | None) -> tuple[str, ...]:
    """The axes of a layer that are patched one by one, in their fixed order."""
    if over not in AXES:
        raise ValueError(f"over is one of {', '.join(AXES)}; got {over!r}.")
    known = AXES[over]
    if by is None:
        # A head is the natural part of attention; thousands of neurons are asked for by name.
        return ("head",) if "head" in known else (known[-1],)
    words = by.split() if isinstance(by, str) else []
    chosen = [word for word in words if word != "layer"]
    if not words or len(set(words)) != len(words) or not {*chosen} <= {*known}:
        choices = [*known, " ".join(known)] if len(known) > 1 else [*known]
        raise ValueError(
            f"{over} is patched by {', '.join(map(repr, [*choices, 'layer']))}; got by={by!r}."
        )
    return tuple(axis for axis in known if axis in chosen)


def _read_layers(model: Model, over: str, layers: int | Sequence[int] | None) -> tuple[int, ...]:
    n_layers = model.spec.n_layers
    if layers is None:
        # Of a stream that the model lacks, the check of its first layer says so.
        return model.spec.layers(over) or (0,)
    return tuple(sorted(different("layers", layers, n_layers, "Leave it out for all.")))
