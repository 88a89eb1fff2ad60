"""Evaluation: how well a model does a task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .resample import bootstrap, wilson


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metric of each of a task's examples, and how many of them are right.

    clean, corrupt: (batch,) float32, the metric of the clean and the corrupt prompts; positive =
    more of the answer. templates: (batch,), that of each example. An example is right where the
    metric of its clean prompt is above 0. set: the task's set in use. seed: of the bootstrap.
    """

    task: str
    set: str
    metric_name: str
    model: str
    templates: tuple[str, ...]
    clean: np.ndarray
    corrupt: np.ndarray
    seed: int = 0

    def __post_init__(self) -> None:
        shapes = {(len(self.templates),), self.clean.shape, self.corrupt.shape}
        if len(shapes) != 1 or not self.templates:
            raise ValueError(
                "An evaluation holds a template and two metrics for each of its examples; got the "
                f"shapes {(len(self.templates),)}, {self.clean.shape} and {self.corrupt.shape}."
            )

    @property
    def accuracy(self) -> float:
        """The share of examples that are right, from 0 to 1."""
        return float((self.clean > 0).mean())

    def accuracy_interval(self, level: float = 0.95) -> tuple[float, float]:
        """The interval of the accuracy (Wilson 1927), which stays honest where all are right."""
        return wilson(self.clean > 0, level)

    def interval(self, level: float = 0.95, *, n_resamples: int = 2000) -> tuple[float, float]:
        """The interval of the mean clean metric: bootstrap over examples, percentiles, seeded.

        Raises `ValueError` for a level that is not between 0 and 1.
        """
        return self._bootstrap(self.clean, level, n_resamples)

    def _bootstrap(
        self, values: np.ndarray, level: float = 0.95, n_resamples: int = 2000
    ) -> tuple[float, float]:
        return bootstrap(
            lambda chosen: values[chosen].mean(-1), len(values), level, self.seed, n_resamples
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a template and a last one, "all": n, accuracy, mean clean and corrupt metric.

        The columns that end in _low and _high are the 95 % intervals.
        """
        templates = np.asarray(self.templates)
        parts = [(name, templates == name) for name in dict.fromkeys(self.templates)]
        rows = []
        for _, part in [*parts, ("all", np.ones(len(templates), dtype=bool))]:
            clean = self.clean[part]
            accuracy_low, accuracy_high = wilson(clean > 0)
            clean_low, clean_high = self._bootstrap(clean)
            rows.append(
                {
                    "n": len(clean),
                    "accuracy": float((clean > 0).mean()),
                    "accuracy_low": accuracy_low,
                    "accuracy_high": accuracy_high,
                    "clean": float(clean.mean()),
                    "clean_low": clean_low,
                    "clean_high": clean_high,
                    "corrupt": float(self.corrupt[part].mean()),
                }
            )
        names = [*(name for name, _ in parts), "all"]
        return pd.DataFrame(rows, index=pd.Index(names, name="template"))

    def __repr__(self) -> str:
        low, high = self.accuracy_interval()
        return (
            f"{self.task} ({self.set}) on {self.model}: accuracy {self.accuracy:.3f} "
            f"[{low:.3f}, {high:.3f}], {self.metric_name} {self.clean.mean():.2f} clean, "
            f"{self.corrupt.mean():.2f} corrupt, {len(self.clean)} examples"
        )
