"""SHIFT: features that should not matter to a classifier are taken away from the model it reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..activations import activations, check_texts
from ..check import Count, Level, Seed, checked
from ..dictionary.collection import Dictionaries
from ..features.check import check_fits
from ..model import Model
from ..probing.probe import Probe
from ..resample import bootstrap
from ..result import Result, axes, provenance
from ..site import Site


@dataclass(frozen=True, eq=False, repr=False)
class Shift(Result):
    """A classifier's answers before and after features were taken away from the model it reads.

    features: what was taken away. ways: "before"; "after", the same classifier on the changed
    model; "random", the same with as many other features taken away. Where training texts were
    given also "recentred", the classifier after, its bias moved so that the mean logit of those
    texts is what it was, which needs no labels: features that are taken away were there in texts
    of both classes; "random recentred"; and "retrained", a classifier trained anew on the changed
    model. right: (way, text) the share of right answers, over the draws for random ways. labels,
    groups: of each text.
    """

    classifier: str
    features: tuple[str, ...]
    ways: tuple[str, ...]
    group_names: tuple[str, ...]
    right: np.ndarray = axes("way text")
    labels: np.ndarray = axes("text", np.int32)
    groups: np.ndarray = axes("text", np.int32)

    picture = "feature_circuits.shift"

    def accuracy(self, way: str, level: Level = 0.95) -> tuple[float, float, float]:
        """The share of right answers and its interval (bootstrap over texts): value, low, high.

        Raises `ValueError` for a way that is not one of `ways`.
        """
        right = self.right[self._way(way)].astype(np.float64)
        low, high = bootstrap(lambda c: right[c].mean(-1), len(right), level, self.seed or 0)
        return float(right.mean()), low, high

    def gain(self, way: str = "after", level: Level = 0.95) -> tuple[float, float, float]:
        """The accuracy of a way − that before, paired over texts: value, low, high."""
        difference = (self.right[self._way(way)] - self.right[0]).astype(np.float64)
        low, high = bootstrap(
            lambda c: difference[c].mean(-1), len(difference), level, self.seed or 0
        )
        return float(difference.mean()), low, high

    def group_accuracy(self, way: str) -> dict[str, float]:
        """The share of right answers in each group that has texts; the smallest is the worst."""
        right = self.right[self._way(way)]
        return {
            name: float(right[self.groups == i].mean())
            for i, name in enumerate(self.group_names)
            if (self.groups == i).any()
        }

    def _way(self, way: str) -> int:
        if way not in self.ways:
            raise ValueError(f"The ways are {', '.join(self.ways)}; got {way!r}.")
        return self.ways.index(way)

    def to_frame(self) -> pd.DataFrame:
        """One line a way: accuracy, its 95 % interval, and the accuracy of each group."""
        lines = []
        for way in self.ways:
            value, low, high = self.accuracy(way)
            line = {"accuracy": value, "accuracy_low": low, "accuracy_high": high}
            lines.append(line | self.group_accuracy(way))
        return pd.DataFrame(lines, index=pd.Index(self.ways, name="way"))

    def _facts(self) -> str:
        before, after = self.accuracy("before")[0], self.accuracy("after")[0]
        return (
            f"{len(self.features)} features taken away, accuracy {before:.3f} before, "
            f"{after:.3f} after, {self.right.shape[1]} texts"
        )


@checked
def shift(
    model: Model,
    texts: Any,
    probe: Probe,
    dicts: Dictionaries,
    features: Iterable[Site | str],
    *,
    labels: Sequence[Any],
    groups: Sequence[str] | None = None,
    training: tuple[Any, Sequence[Any]] | None = None,
    candidates: Iterable[str] | None = None,
    n_controls: Count = 5,
    seed: Seed = 0,
) -> Shift:
    """A classifier before and after the features that should not matter are taken away.

        probe = wb.probe(acts, "profession", method="logistic")
        wb.features.shift(model, texts, probe, dicts, ticked, labels=professions)

    probe: of two classes at one site, the classifier. features: names, as a person ticked them;
    they are set to 0 at all positions, and the model runs on from there. texts, labels: to measure
    on, balanced where the training was not. groups: names, one a text, whose accuracies are shown
    apart. training: texts and labels, to fit the probe anew to the changed model. candidates: names
    that random features are drawn from, as many as `features` at each site, `n_controls` times;
    None draws from all.

    Raises `ValueError` for no feature, one that is not there, one that lies behind the probe, and
    for labels and groups that are not one a text. Source: Marks et al. (2024), section 4.
    """
    check_fits(model, *dicts.values())
    names = tuple(dict.fromkeys(str(Site.parse(name)) for name in features))
    if not names:
        raise ValueError(
            "At least one feature is taken away, by its name, like 'L1.resid_post/123'; got none."
        )
    read_at = Site.parse(probe.site)
    if late := [d.out_site for d, _ in map(dicts.feature, names) if d.out_site > read_at]:
        raise ValueError(
            f"The probe reads {read_at}, and {late[0]} is computed after it: its features "
            "cannot matter. Choose features before it."
        )
    target, group_names, group_numbers = check_rows(probe, texts, labels, groups)

    def right(by: Probe, edits: Any, moved: float = 0.0) -> np.ndarray:
        return (by.logits(model, texts, edits=edits) + moved > 0) == target

    generator = np.random.default_rng(seed)
    drawn = [_random_names(dicts, names, candidates, generator) for _ in range(n_controls)]
    edits, *others = (dicts.scale(dict.fromkeys(each, 0.0)) for each in (names, *drawn))
    ways = {"before": right(probe, ()), "after": right(probe, edits)}
    ways["random"] = np.mean([right(probe, each) for each in others], axis=0)
    if training is not None:
        plain = probe.logits(model, training[0])

        def moved(edits: Any) -> float:
            """How far the mean logit of the training texts fell."""
            return float((plain - probe.logits(model, training[0], edits=edits)).mean())

        ways["recentred"] = right(probe, edits, moved(edits))
        recentred = [right(probe, each, moved(each)) for each in others]
        ways["random recentred"] = np.mean(recentred, axis=0)
        column = {probe.label: training[1]}
        acts = activations(
            model, training[0], probe.site, pool=probe.pool, labels=column, edits=edits
        )
        ways["retrained"] = right(probe.again(acts), edits)
    return Shift(
        **provenance(model, seed=seed),
        classifier=repr(probe),
        features=names,
        ways=tuple(ways),
        group_names=group_names,
        right=np.stack(list(ways.values())).astype(np.float32),
        labels=target,
        groups=group_numbers,
    )


def check_rows(
    probe: Probe, texts: Any, labels: Sequence[Any], groups: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Whether each text is of the second class, the groups' names, and the number of its group."""
    n, given = check_texts(texts), np.array([str(each) for each in labels])
    two = len(probe.classes) == 2
    if not two or given.shape != (n,) or not np.isin(given, probe.classes).all():
        raise ValueError(
            f"labels are {' or '.join(probe.classes)}, of two classes, for each of {n} texts; got "
            f"shape {given.shape} with the values {sorted(set(given.tolist()))[:5]}."
        )
    target = given == probe.classes[1]
    if groups is None:
        return target, ("all",), np.zeros(n, np.int32)
    if len(groups) != n:
        raise ValueError(f"groups has a name for each of {n} texts; got {len(groups)}.")
    names = tuple(dict.fromkeys(groups))
    return target, names, np.array([names.index(group) for group in groups])


def _random_names(
    dicts: Dictionaries,
    names: Sequence[str],
    candidates: Iterable[str] | None,
    generator: np.random.Generator,
) -> list[str]:
    pool: dict[Site, list[str]] = {}
    sites = {Site.parse(name).whole for name in names}
    every = (
        (f"{site}/{i}" for site in sites for i in range(dicts[site].n_features))
        if candidates is None
        else candidates
    )
    for name in every:
        pool.setdefault(Site.parse(name).whole, []).append(name)
    out: list[str] = []
    for site in sorted(sites):
        own = [name for name in names if Site.parse(name).whole == site]
        rest = [name for name in pool.get(site, []) if name not in set(own)]
        out += generator.choice(rest, size=min(len(own), len(rest)), replace=False).tolist()
    if not out:
        raise ValueError(
            "The random control takes other features away, of the sites of those that are taken "
            f"away, and there is none beside {', '.join(names)}. Take fewer, or give more "
            "candidates."
        )
    return out
