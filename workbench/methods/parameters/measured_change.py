"""Measured change: one measure before and after, beside random controls, with its intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...resample import bootstrap


@dataclass(frozen=True, eq=False)
class MeasuredChange:
    """A measure of some examples: before, after (example,) and in controls (control, example)."""

    measure: str
    before: np.ndarray
    after: np.ndarray
    controls: np.ndarray
    seed: int = 0

    @property
    def change(self) -> float:
        return float((self.after - self.before).mean())

    @property
    def control_changes(self) -> np.ndarray:
        """(control,) the mean change of each."""
        return (self.controls - self.before).mean(1)

    @property
    def excess(self) -> np.ndarray:
        """(example,) the change less that of the controls' mean."""
        return self.after - self.controls.mean(0)

    def interval(self, values: np.ndarray | None = None) -> tuple[float, float]:
        """The 95 % interval of the mean change, or of the mean of other values (example,)."""
        each = (self.after - self.before if values is None else values).astype(np.float64)
        return bootstrap(lambda rows: each[rows].mean(-1), len(each), 0.95, self.seed)

    def line(self) -> dict[str, Any]:
        """A line of a table: measure, n, before, after, change with low and high (95 % over
        examples), random, random_low and random_high (of the controls' means), beyond_random (the
        share of controls whose change is smaller in size), excess with excess_low, excess_high.
        """
        low, high = self.interval()
        excess_low, excess_high = self.interval(self.excess)
        random = self.control_changes
        random_low, random_high = np.quantile(random, [0.025, 0.975])
        return {
            "measure": self.measure,
            "n": len(self.before),
            "before": float(self.before.mean()),
            "after": float(self.after.mean()),
            "change": self.change,
            "low": low,
            "high": high,
            "random": float(random.mean()),
            "random_low": float(random_low),
            "random_high": float(random_high),
            "beyond_random": float((np.abs(random) < abs(self.change)).mean()),
            "excess": float(self.excess.mean()),
            "excess_low": excess_low,
            "excess_high": excess_high,
        }
