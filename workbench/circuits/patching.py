"""Activation patching: the metric after one activation of another run is put in, for each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

import numpy as np

from ..check import Count, checked, different
from ..effects import Effects, Measure, Table
from ..experiment import MEASURES
from ..model import Model
from ..pictures.marks import Heat
from ..places import Places
from ..result import provenance
from ..site import Site
from ..tasks import Examples, Task, TaskBatch, as_batch
from ..tokens import Positions
from .sweep import AXES, Budget, Sweep, run_sweep

#: What an effect is, by direction.
SCALES = {"denoise": "0 = corrupt, 1 = clean", "noise": "0 = clean, 1 = corrupt"}


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
    progress: bool = True,
) -> Effects:
    """What each activation of the other run does, put in alone, as `Effects`: exact, a run a patch.

        wb.patch(model, wb.task("ioi"), over="z", by="head").plot()

    over: the stream; by: which of its axes are patched one by one, besides the layer.

        resid_pre, resid_mid, resid_post, attn_out, mlp_out    "pos" (default)
        z, q, k, v                                  "head" (default), "pos", "head pos"
        pattern                                     "head" (default), "dst", "head dst"
        mlp_post                                    "pos" (default), "neuron", "neuron pos"

    "layer" patches each layer as a whole; k and v have key/value heads. direction: "denoise" runs
    the corrupt prompts and puts in clean activations, an effect of 1 is the clean run; "noise" the
    other way round. layers, positions: which to patch, None for all; positions not in `by` are
    patched together. n: how many pairs. What a patch leaves as it was is the plain run to the bit.

    Raises `ValueError` for an unfitting choice, pairs of unequal length, and a metric that is not
    finite or alike in both; `IndexError` for a position that a prompt lacks; `MemoryError` where
    not one row fits. Source: Vig et al. 2020; Meng et al. 2022; Heimersheim and Nanda 2024.
    """
    axes_of = _read_by(over, by)
    chosen = _read_layers(model, over, layers)
    for layer in chosen:
        model.spec.check(Site(over, layer), edit=True)
    batch = as_batch(model, task, n)
    places = Places.of(batch.clean, positions)
    base = "corrupt" if direction == "denoise" else "clean"
    sweep = Sweep(over, axes_of, chosen, places.positions, base)
    # Says what is needed, where it is too much, before anything runs.
    Budget.of(model, sweep, max(batch.clean.lengths))
    examples = Examples.of(model, batch)
    _ = examples.gap
    patched = run_sweep(model, examples, sweep, progress=progress)
    table, along = _labels(sweep, patched.shape[1:], batch), None
    if sweep.by_position:
        along = places.positions.T[np.array(table[axes_of[-1]], int)]
    down = ("layer", *axes_of[:-1])
    return effects_between(
        model,
        examples,
        f"{direction} {over} on {batch.task}",
        table,
        patched.reshape(len(batch), -1).T,
        base=base,
        at=along,
        picture=Heat(
            "effect",
            axes_of[-1] if axes_of else "change",
            down,
            "token" if sweep.by_position else None,
            signed=True,
            label=f"effect ({SCALES[direction]})",
            top=1000,
            first=("measure", "change"),
        ),
        view="circuits.patching",
    )


def effects_between(
    model: Model,
    examples: Examples,
    what: str,
    changes: Table,
    values: np.ndarray,
    *,
    base: str = "clean",
    seed: int = 0,
    at: np.ndarray | None = None,
    **shown: Any,
) -> Effects:
    """What changes did to the metric, as shares of the way from the base runs to the others.

    changes: their labels. values: (change, example). at: positions, as in `Effects`, whose
    other fields are `shown`. The last change is the other run, "corrupt" or "clean".
    """
    other = "corrupt" if base == "clean" else "clean"
    ends = {"clean": examples.clean, "corrupt": examples.corrupt}
    n, unit = len(examples.batch), MEASURES[examples.batch.metric_name][0]
    last = dict[str, Any].fromkeys(changes) | {"change": other}
    return Effects(
        **provenance(model, examples.batch.clean, seed),
        what=what,
        changes={name: (*column, last[name]) for name, column in changes.items()},
        controls={},
        measures=(
            Measure(
                examples.batch.task,
                unit,
                ends[base],
                np.concatenate([values, ends[other][None]]),
                np.zeros((0, n)),
                ("plain", other),
            ),
        ),
        at=None if at is None else np.concatenate([at, np.full((1, n), -1)]),
        **shown,
    )


def _labels(sweep: Sweep, shape: tuple[int, ...], batch: TaskBatch) -> Table:
    """The columns that tell the patches of a sweep apart, in the order of its numbers."""
    cells = list(product(sweep.layers, *map(range, shape[1:])))
    table: Table = {"change": (sweep.over,) * len(cells)}
    for name, values in zip(("layer", *sweep.by), zip(*cells, strict=True), strict=True):
        table[name] = values
    if sweep.by_position:
        words = [_words(at, batch.clean.strings, batch.corrupt.strings) for at in sweep.positions.T]
        table["token"] = tuple(words[place] for place in table[sweep.by[-1]])
    return table


def _words(at: np.ndarray, *prompts: Sequence[tuple[str, ...]]) -> str:
    """What stands at a position of all examples that have it, clean / corrupt; "" where it differs.

    at: (example,) the position, -1 for none.
    """
    rows = np.flatnonzero(at >= 0).tolist()
    said = [{strings[row][int(at[row])] for row in rows} for strings in prompts]
    if any(len(each) != 1 for each in said):
        return ""
    return " / ".join(dict.fromkeys(next(iter(each)) for each in said))


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
