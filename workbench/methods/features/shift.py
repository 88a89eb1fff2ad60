"""SHIFT: features that should not matter to a classifier are taken away from the model it reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...activations import batches, check_texts
from ...check import Count, Level, Seed, checked
from ...dictionary.base import ScaleFeatures
from ...dictionary.collection import Dictionaries
from ...edits import Edit
from ...model import Model
from ...resample import bootstrap
from ...result import Result, axes, provenance
from ...site import Site
from .classifier import Classifier, check_labels, train_classifier
from .dictionary_check import check_fits

#: Random choices of as many features, the control.
N_RANDOM = 5


@dataclass(frozen=True, eq=False, repr=False)
class ClassifierEffects(Result):
    """How much each feature adds to a classifier's logit, by how much it separates its classes.

    nodes: feature names, of features that are active on the texts. classes: (class,) the mean
    effect on the logit in texts of each class, positive towards the second class. separation: mean
    of the second − mean of the first class. active: the share of texts in which it is active.
    """

    classifier: str
    class_names: tuple[str, str]
    nodes: tuple[str, ...]
    effects: np.ndarray = axes("feature class")
    active: np.ndarray = axes("feature")

    picture = "feature_circuits.classifier_effects"

    @property
    def separation(self) -> np.ndarray:
        """(feature,) how much farther apart the feature puts the two classes, in logits."""
        return self.effects[:, 1] - self.effects[:, 0]

    def to_frame(self) -> pd.DataFrame:
        """One line a feature, the largest absolute separation first."""
        order = np.argsort(-np.abs(self.separation), kind="stable")
        return pd.DataFrame(
            {
                "feature": [self.nodes[i] for i in order],
                "separation": self.separation[order],
                f"effect on {self.class_names[0]}": self.effects[order, 0],
                f"effect on {self.class_names[1]}": self.effects[order, 1],
                "active": self.active[order],
            }
        )

    def _facts(self) -> str:
        return f"{len(self.nodes)} features of {self.classifier}"


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
def classifier_effects(
    model: Model,
    classifier: Classifier,
    dicts: Dictionaries,
    texts: Any,
    labels: Sequence[int | bool],
    *,
    batch_size: Count = 32,
) -> ClassifierEffects:
    """What each feature adds to a classifier's logit, for a person to choose from.

    The effect of a feature is its code · the gradient of the logit at it, summed over the positions
    of a text: how much the logit would fall, to first order, if the feature were not there. Only
    dictionaries of sites before the classifier's, or at it, are read.

    Raises `ValueError` where no dictionary lies before the classifier, and for labels as
    `train_classifier`. Source: Marks et al. (2024), section 4.
    """
    target = check_labels(texts, labels)
    check_fits(model, *dicts.values())
    read_at = Site.parse(classifier.site)
    bases = [d for site, d in dicts.items() if site <= read_at and d.site <= read_at]
    if not bases:
        raise ValueError(
            f"The classifier reads {read_at}, and no dictionary lies there or before it: {dicts!r}."
        )
    sites = sorted({s for d in bases for s in (d.site, d.out_site)})
    totals = [torch.zeros(2, d.n_features, dtype=torch.float64) for d in bases]
    counts = [torch.zeros(d.n_features, dtype=torch.float64) for d in bases]
    for rows, tokens in batches(model, texts, batch_size):
        run = model.run(
            tokens,
            read=sites,
            grad_of=lambda x, tokens=tokens: classifier.read(classifier.pool_of(x, tokens)),
            grad_at=read_at,
        )
        mask = run.tokens.mask.to(run[sites[0]].device)[..., None]
        of_class = torch.as_tensor(target[rows])
        for dictionary, total, count in zip(bases, totals, counts, strict=True):
            x = run[dictionary.site]
            codes = dictionary.encode(x).masked_fill(~mask, 0.0)
            grads = dictionary.pull_back(run.grad(dictionary.out_site), x)
            effects = (codes * grads.masked_fill(~mask, 0.0)).sum(1).double().cpu()
            for label in (0, 1):
                total[label] += effects[of_class == label].sum(0)
            count += (codes != 0).any(1).double().sum(0).cpu()
    sizes = torch.tensor([[(target == label).sum()] for label in (0, 1)])
    nodes, effects, active = [], [], []
    for dictionary, total, count in zip(bases, totals, counts, strict=True):
        numbers = torch.nonzero(count)[:, 0].tolist()
        nodes += [f"{dictionary.out_site}/{number}" for number in numbers]
        effects.append((total / sizes).T[numbers])
        active.append(count[numbers] / len(target))
    return ClassifierEffects(
        **provenance(model),
        classifier=repr(classifier),
        class_names=classifier.classes,
        nodes=tuple(nodes),
        effects=torch.cat(effects).numpy(),
        active=torch.cat(active).numpy(),
    )


@checked
def shift(
    model: Model,
    classifier: Classifier,
    dicts: Dictionaries,
    features: Iterable[Site | str],
    texts: Any,
    labels: Sequence[int | bool],
    *,
    groups: Sequence[str] | None = None,
    training: tuple[Any, Sequence[int | bool]] | None = None,
    candidates: Iterable[str] | None = None,
    seed: Seed = 0,
    batch_size: Count = 32,
) -> Shift:
    """A classifier before and after the features that should not matter are taken away.

    features: names, as a person ticked them; they are set to 0 at all positions, and the model runs
    on from there. texts, labels: to measure on, balanced where the training was not. groups: names,
    one a text, whose accuracies are shown apart. training: texts and labels to train a classifier
    anew on the changed model. candidates: names that the random control draws from, as many as
    `features` at each site; None draws from all features.

    Raises `ValueError` for no feature, one that is not there, one that lies behind the classifier,
    and for labels and groups that are not one a text. Source: Marks et al. (2024), section 4.
    """
    check_fits(model, *dicts.values())
    names = tuple(dict.fromkeys(str(Site.parse(name)) for name in features))
    edits = feature_edits(dicts, names)
    read_at = Site.parse(classifier.site)
    if late := [edit.site for edit in edits if edit.site > read_at]:
        raise ValueError(
            f"The classifier reads {read_at}, and {late[0]} is computed after it: its features "
            "cannot matter. Choose features before it."
        )
    target, group_names, group_numbers = check_rows(texts, labels, groups)

    def right(by: Classifier, edits: Sequence[Edit], moved: float = 0.0) -> np.ndarray:
        logits = by.logits(model, texts, edits=edits, batch_size=batch_size) + moved
        return (logits > 0) == (target > 0)

    generator = np.random.default_rng(seed)
    drawn = [_random_names(dicts, names, candidates, generator) for _ in range(N_RANDOM)]
    others = [feature_edits(dicts, each) for each in drawn]
    ways = {"before": right(classifier, ()), "after": right(classifier, edits)}
    ways["random"] = np.mean([right(classifier, each) for each in others], axis=0)
    if training is not None:
        plain = classifier.logits(model, training[0], batch_size=batch_size)

        def moved(edits: Sequence[Edit]) -> float:
            """How far the mean logit of the training texts fell."""
            now = classifier.logits(model, training[0], edits=edits, batch_size=batch_size)
            return float((plain - now).mean())

        ways["recentred"] = right(classifier, edits, moved(edits))
        recentred = [right(classifier, each, moved(each)) for each in others]
        ways["random recentred"] = np.mean(recentred, axis=0)
        anew = train_classifier(
            model,
            classifier.site,
            training[0],
            training[1],
            classes=classifier.classes,
            pool=classifier.pool,
            l2=classifier.l2,
            edits=edits,
            batch_size=batch_size,
        )
        ways["retrained"] = right(anew, edits)
    return Shift(
        **provenance(model, seed=seed),
        classifier=repr(classifier),
        features=names,
        ways=tuple(ways),
        group_names=group_names,
        right=np.stack(list(ways.values())).astype(np.float32),
        labels=target,
        groups=group_numbers,
    )


def feature_edits(dicts: Dictionaries, names: Iterable[str]) -> list[Edit]:
    """The edits that take features away, one a site. Raises `ValueError` for none at all."""
    chosen: dict[Site, list[int]] = {}
    for name in names:
        dictionary, number = dicts.feature(name)
        chosen.setdefault(dictionary.out_site, []).append(number)
    if not chosen:
        raise ValueError(
            "At least one feature is taken away, by its name, like 'L1.resid_post/123'; got none."
        )
    return [ScaleFeatures(dicts[site], numbers, 0.0) for site, numbers in sorted(chosen.items())]


def check_rows(
    texts: Any, labels: Sequence[int | bool], groups: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """The labels, the groups' names, and the number of each text's group; one a text."""
    n, target = check_texts(texts), np.asarray(labels)
    if target.shape != (n,) or not np.isin(target, (0, 1)).all():
        raise ValueError(f"labels are a 0 or 1 for each of {n} texts; got shape {target.shape}.")
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
