"""Probe: how well a label can be read off each site, beside labels that are shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..activations import Activations
from ..check import Count, Positive, Seed, checked, refuse, whole
from ..pictures.marks import Dots
from ..resample import wilson
from ..result import Result, axes, labels


@dataclass(frozen=True, eq=False, repr=False)
class Probe(Result):
    """How well a label was read off each site, in rows of groups that the fit had not seen."""

    label: str
    sites: tuple[str, ...] = labels("site", "where the label was read")
    accuracy: np.ndarray = axes("site", "f8", "share of held-out rows read right")
    low: np.ndarray = axes("site", "f8", "low end of its 95 % interval (Wilson)")
    high: np.ndarray = axes("site", "f8", "high end of it")
    right: np.ndarray = axes("site row", "?", "read right while its group was held out")
    shuffled: np.ndarray | None = axes("site draw", "f8", "accuracy, label shuffled", optional=True)
    control: np.ndarray | None = axes("site", "f8", "mean of the shuffled", optional=True)
    control_low: np.ndarray | None = axes("site", "f8", "2.5 % of them are below", optional=True)
    control_high: np.ndarray | None = axes("site", "f8", "2.5 % are above", optional=True)
    beyond: np.ndarray | None = axes("site", "f8", "share of them that is lower", optional=True)

    tables = {"sites": "site", "rows": "site row", "draws": "site draw"}
    picture = Dots("accuracy", "site", "low", "high", "control")

    def _facts(self) -> str:
        return f"{self.label!r}, at best {self.accuracy.max():.3f} at {len(self.sites)} sites"


@checked
def probe(
    acts: Activations, label: str, *, method: Literal["ridge", "logistic"] = "ridge",
    split: Literal["group", "row"] = "group", l2: Positive = 0.01,
    controls: Sequence[Literal["shuffled"]] = ("shuffled",), n_controls: Count = 20,
    folds: Count = 5, seed: Seed = 0,
) -> Probe:  # fmt: skip
    """How well a linear map reads a label off each site, cross-validated, as a `Probe`.

        acts = wb.activations(model, texts, "resid_post", labels={"who": who}, groups=names)
        wb.probe(acts, "who").plot()

    split: rows of a "group" of `acts` are never on both sides; "row": each on its own. l2: the
    penalty on squared weights beside the mean loss, in units of each coordinate's standard
    deviation. controls: "shuffled" fits labels shuffled first, between groups where each has one,
    else between rows; () for none. Intervals take rows as independent, and are too narrow where
    groups are few and large. Source: Alain and Bengio 2016; controls, Hewitt and Liang 2019.

    Raises `ValueError` for one class, and for a class in fewer groups than folds.
    """
    y = np.array([str(each) for each in acts.label(label).tolist()])
    groups = acts.group if split == "group" else np.arange(len(acts))
    whole("folds", folds, 2)
    n_groups = {str(c): len(np.unique(groups[y == c])) for c in np.unique(y)}
    if len(n_groups) < 2 or min(n_groups.values()) < folds:
        rule = f"of two classes or more, each in at least {folds} groups, one a fold"
        raise refuse(f"The label {label!r}", rule, n_groups, "Take fewer folds, or other rows.")

    def read_right(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(row,) whether each row's label is read by the fit to the other folds."""
        out = np.zeros(len(y), bool)
        # scikit-learn takes seeds of 32 bits.
        cut = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
        for train, test in cut.split(x, y, groups):
            ridge, weight = RidgeClassifier(l2 * len(train)), 1 / (2 * len(train) * l2)
            last = ridge if method == "ridge" else LogisticRegression(C=weight, max_iter=1000)
            fit = make_pipeline(StandardScaler(), last).fit(x[train], y[train])
            out[test] = fit.predict(x[test]) == y[test]
        return out

    rows = [x.astype(np.float64) for x in acts.at.values()]
    right = np.stack([read_right(x, y) for x in rows])
    low, high = np.transpose([wilson(each) for each in right])
    found: dict[str, Any] = {"accuracy": right.mean(1), "low": low, "high": high, "right": right}
    if controls:
        _, first, member = np.unique(groups, return_index=True, return_inverse=True)
        rng, each_has_one = np.random.default_rng(seed), bool((y[first][member] == y).all())
        to, back = (first, member) if each_has_one else (np.arange(len(y)),) * 2
        drawn = [rng.permutation(y[to])[back] for _ in range(n_controls)]
        draws = np.array([[read_right(x, each).mean() for each in drawn] for x in rows])
        found |= {"shuffled": draws, "control": draws.mean(1)}
        found["control_low"], found["control_high"] = np.quantile(draws, [0.025, 0.975], axis=1)
        found["beyond"] = (draws < right.mean(1, keepdims=True)).mean(1)
    own = {name: getattr(acts, name) for name in ("model", "revision", "versions", "tokens")}
    return Probe(**own, seed=seed, label=label, sites=acts.sites, **found)
