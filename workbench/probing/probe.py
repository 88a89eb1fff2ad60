"""Probe: how well a label can be read off each site, beside labels that are shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..activations import Activations, activations
from ..check import Count, Positive, Seed, checked, one_of, refuse, vectors, whole
from ..model import Model
from ..pictures.marks import Dots
from ..resample import wilson
from ..result import Result, axes, labels
from ..texts import Texts

#: Where a logistic fit ends, as scikit-learn takes it.
TOL = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class Probe(Result):
    """How well a label was read off each site, in rows of groups that the fit had not seen.

    Beside it the fit to all rows, which reads texts: `probe.logits(model, texts)`.
    """

    label: str
    method: str
    l2: float
    #: The row that a text gave, as in `activations`.
    pool: Literal["last", "mean"] | None
    #: By site (label, d_model): of each class, to be multiplied with an activation.
    weights: dict[str, np.ndarray]
    classes: tuple[str, ...] = labels("label", "value of the label")
    sites: tuple[str, ...] = labels("site", "where the label was read")
    accuracy: np.ndarray = axes("site", "f8", "share of held-out rows read right")
    low: np.ndarray = axes("site", "f8", "low end of its 95 % interval (Wilson)")
    high: np.ndarray = axes("site", "f8", "high end of it")
    bias: np.ndarray = axes("site label", "f8", "added to weight · activation")
    right: np.ndarray = axes("site row", "?", "read right while its group was held out")
    shuffled: np.ndarray | None = axes("site draw", "f8", "accuracy, label shuffled", optional=True)
    control: np.ndarray | None = axes("site", "f8", "mean of the shuffled", optional=True)
    control_low: np.ndarray | None = axes("site", "f8", "2.5 % of them are below", optional=True)
    control_high: np.ndarray | None = axes("site", "f8", "2.5 % are above", optional=True)
    beyond: np.ndarray | None = axes("site", "f8", "share of them that is lower", optional=True)

    tables = {"sites": "site", "rows": "site row", "draws": "site draw"}
    picture = Dots("accuracy", "site", "low", "high", "control")

    @property
    def site(self) -> str:
        """The site. Raises `ValueError` where there are several, which one call cannot read."""
        if len(self.sites) != 1:
            rule = f"read at one site, not at {len(self.sites)}"
            raise refuse("This probe", rule, self, "Fit it to acts of one site.")
        return self.sites[0]

    def read(self, rows: torch.Tensor, site: str | None = None) -> torch.Tensor:
        """(row, d_model) activations → (row,) logits, or (row, label), as `logits` has them."""
        at = self.site if site is None else one_of("site", site, self.sites)
        weight = torch.as_tensor(self.weights[at].copy(), device=rows.device)
        bias = torch.as_tensor(self.bias[self.sites.index(at)].copy()).to(weight)
        found = vectors("rows", rows, weight.shape[1]).to(weight) @ weight.T + bias
        return found[:, 1] - found[:, 0] if len(bias) == 2 else found

    def logits(
        self, model: Model, texts: Texts, *, site: str | None = None, edits: Any = ()
    ) -> np.ndarray:
        """(text,) float32, above 0 for the second class; of more than two (text, label).

        A text gives the row that it gave for the fit. site: None for the only one. edits: as in
        `model.run`; a `Change` too. Raises `ValueError` for a site that the probe does not read.
        """
        at = self.site if site is None else one_of("site", site, self.sites)
        acts = activations(model, texts, at, pool=self.pool, edits=edits)
        return self.read(torch.as_tensor(acts[at].copy()), at).float().numpy()

    def again(self, acts: Activations) -> Probe:
        """The same fit to other rows of its site and label; the accuracies stay as they were.

        Raises `ValueError` for labels that are not of two of its classes or more.
        """
        acts = acts.labelled(self.label)
        y = np.array([str(each) for each in acts.label(self.label).tolist()])
        classes = tuple(np.unique(y).tolist())
        if classes != self.classes:
            raise refuse(f"The label {self.label!r}", f"of the classes {self.classes}", classes)
        fits = [fit(acts[site].astype(np.float64), y, self.method, self.l2) for site in self.sites]
        return replace(self, **_plain(self.sites, fits))

    def _facts(self) -> str:
        where = self.sites[0] if len(self.sites) == 1 else f"{len(self.sites)} sites"
        return f"{self.label!r}, at best {self.accuracy.max():.3f} at {where}"


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
        wb.probe(acts, "who", method="logistic").logits(model, more)

    Rows without the label (None) are left out. split: rows of a "group" of `acts` are never on
    both sides; "row": each on its own. l2: the penalty on squared weights beside the mean loss, in
    units of each coordinate's standard deviation. controls: "shuffled" fits labels shuffled first,
    between groups where each has one, else between rows; () for none. Intervals take rows as
    independent, and are too narrow where groups are few and large.
    Source: Alain and Bengio 2016; controls, Hewitt and Liang 2019.

    Raises `ValueError` for one class, and for a class in fewer groups than folds.
    """
    acts = acts.labelled(label)
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
            out[test] = fit(x[train], y[train], method, l2).predict(x[test]) == y[test]
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
    found |= _plain(acts.sites, [fit(x, y, method, l2) for x in rows])
    names = ("model", "revision", "versions", "tokens", "pool", "sites")
    own = {name: getattr(acts, name) for name in names} | {"classes": tuple(np.unique(y).tolist())}
    return Probe(**own, seed=seed, label=label, method=method, l2=l2, **found)


def fit(x: np.ndarray, y: np.ndarray, method: str, l2: float) -> Any:
    """A scaler and a classifier of scikit-learn, fitted; l2: as in `probe`."""
    ridge, weight = RidgeClassifier(l2 * len(x)), 1 / (2 * len(x) * l2)
    last = ridge if method == "ridge" else LogisticRegression(C=weight, max_iter=1000, tol=TOL)
    return make_pipeline(StandardScaler(), last).fit(x, y)


def _plain(sites: Sequence[str], fits: Sequence[Any]) -> dict[str, Any]:
    """The weights and biases of `Probe`, for activations as they are."""
    weights, biases = {}, []
    for site, (scaler, last) in zip(sites, fits, strict=True):
        weight = np.atleast_2d(last.coef_) / scaler.scale_
        bias = last.intercept_ - weight @ scaler.mean_
        # Of two classes there is one row: half of it for each.
        half = len(weight) == 1
        weights[site] = np.concatenate([-weight, weight]) / 2 if half else weight
        biases.append(np.concatenate([-bias, bias]) / 2 if half else bias)
    return {"weights": weights, "bias": np.stack(biases)}
