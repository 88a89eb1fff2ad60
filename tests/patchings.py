"""What patches, paths and cuts gave, as arrays by example."""

from __future__ import annotations

from typing import Any

import numpy as np

import workbench as wb

AXES = ("layer", "head", "neuron", "pos", "dst")


class Runs:
    """The plain runs of both sides and the changed one, each (example,)."""

    def __init__(self, result: wb.Effects) -> None:
        (one,) = result.measures
        assert one.scale is not None
        self.result, self._other = result, one.scale[1]
        ends = {self._other: one.changed[result.rows(change=self._other)[0]]}
        ends["clean" if self._other == "corrupt" else "corrupt"] = one.plain
        self.clean, self.corrupt = ends["clean"], ends["corrupt"]
        self.patched = self.ablated = one.changed[0]
        self.effect = result.score(draws=0)[0]

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        return self.result.score(level=level)[1:]


class Patched(Runs):
    """The numbers of a sweep, each (example, layer, …by)."""

    def __init__(self, result: wb.Effects) -> None:
        super().__init__(result)
        (one,), table = result.measures, result.changes
        self.by = tuple(axis for axis in AXES if axis in table)
        columns = [table[axis][:-1] for axis in self.by]
        self.layers = tuple(dict.fromkeys(columns[0]))
        self._shape = tuple(len(dict.fromkeys(column)) for column in columns)
        self.patched = one.changed[:-1].T.reshape(-1, *self._shape)
        # As the table has them: a number of this file's own would hide a sign that is turned there.
        effects = np.where(np.isfinite(one.changed[:-1]), 0.0, np.nan)
        effects[effects == 0] = result.to_frame("examples").effect
        self.effects = effects.T.reshape(-1, *self._shape)
        self.mean = self._cells(result.effect()[:-1, 0])
        self.n_skipped = int((one.changed[:-1] == one.plain).sum())
        self.positions: Any = None
        if result.at is not None:
            n_places = self._shape[-1]
            self.positions = result.at[:n_places].T

    def _cells(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(self._shape)

    def interval(self, level: float = 0.95, n_resamples: int = 2000) -> Any:
        frame = self.result.to_frame(level=level, draws=n_resamples)
        return self._cells(frame.low.to_numpy()), self._cells(frame.high.to_numpy())


def patch(*args: Any, **options: Any) -> Patched:
    return Patched(wb.patch(*args, progress=False, **options))


def path_patch(*args: Any, **options: Any) -> Runs:
    return Runs(wb.circuits.path_patch(*args, **options))


def ablate(*args: Any, **options: Any) -> Runs:
    return Runs(wb.ablate(*args, **options))
