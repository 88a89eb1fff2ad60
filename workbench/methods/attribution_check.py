"""Attribution check: what the gradients say beside what patching measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..check import Count, checked, whole
from ..model import Model
from ..result import Result, axes, provenance
from ..tasks import Task, TaskBatch
from .attribution import attribute
from .examples import as_batch


@dataclass(frozen=True, eq=False, repr=False)
class AttributionCheck(Result):
    """The approximate and the exact score of each edge or node, over the same examples.

    names: of the items. approximate: by the method; exact: by patching each alone. Both are over
    the mean difference between clean and corrupt.
    """

    task: str
    method: str
    over: str
    names: tuple[str, ...]
    approximate: np.ndarray = axes("item")
    exact: np.ndarray = axes("item")

    picture = "attribution.attribution_check"

    @property
    def pearson(self) -> float:
        """Linear correlation of the two scores, from −1 to 1; NaN where one does not vary."""
        return _correlation(self.approximate, self.exact)

    @property
    def spearman(self) -> float:
        """Rank correlation of the two scores' absolute values, from −1 to 1; NaN as `pearson`."""
        # The rank correlation is the correlation of the ranks.
        guess, exact = (
            pd.Series(np.abs(x)).rank().to_numpy() for x in (self.approximate, self.exact)
        )
        return _correlation(guess, exact)

    def overlap(self, k: Count) -> float:
        """The share of the k items with the largest exact scores among the method's first k.

        Raises `ValueError` for a k that is not a number of items.
        """
        whole("k", k, 1, len(self.names), "There are no more items.")
        first, truth = (
            set(np.argsort(-np.abs(x), kind="stable")[:k].tolist())
            for x in (self.approximate, self.exact)
        )
        return len(first & truth) / k

    def to_frame(self) -> pd.DataFrame:
        """One line an item, the largest error first: name, approximate, exact, error."""
        error = self.approximate - self.exact
        order = np.argsort(-np.abs(error), kind="stable")
        return pd.DataFrame(
            {
                "name": [self.names[i] for i in order],
                "approximate": self.approximate[order],
                "exact": self.exact[order],
                "error": error[order],
            }
        )

    def _facts(self) -> str:
        return (
            f"{self.method} against exact patching of {len(self.names)} {self.over} on "
            f"{self.task}: correlation {self.pearson:.3f}"
        )


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    # numpy would warn of the division by 0.
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else float("nan")


@checked
def check_attribution(
    model: Model,
    task: Task | TaskBatch,
    *,
    method: str = "eap-ig",
    over: Literal["edges", "nodes"] | None = None,
    steps: Count = 5,
    n: Count | None = None,
) -> AttributionCheck:
    """How far a gradient method is from exact patching, as an `AttributionCheck` that draws itself.

    method, over, steps, n: as in `attribute`; every edge or node is also patched by itself, which
    takes one row of a pass each: choose a small `n` on a large model. "atp*" has no sign, and is
    compared with absolute values.

    Raises `ValueError` for neurons, which are too many to patch one by one, and as `attribute`.
    """
    if over == "neurons":
        raise ValueError(
            "Exact scores are of edges or nodes; got over='neurons'. Patch the neurons of one "
            "layer with wb.patch(model, task, over='mlp_post', by='neuron', layers=[0])."
        )
    batch = as_batch(model, task, n)
    guess = attribute(model, batch, method=method, over=over, steps=steps)
    exact = attribute(model, batch, method="exact", over=guess.over)  # type: ignore[arg-type]
    n_items = len(exact.scores)
    measured = np.abs(exact.scores) if method == "atp*" else exact.scores
    return AttributionCheck(
        **provenance(model, batch.clean),
        task=batch.task,
        method=method,
        over=guess.over,
        names=exact.names,
        approximate=guess.scores[:n_items],
        exact=measured,
    )
