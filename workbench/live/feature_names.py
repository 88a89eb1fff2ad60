"""Features by name, by label and by what they do; their pages, and flows of them as one."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from .. import metrics
from ..activations import check_texts
from ..change import Change
from ..dictionary.collection import Dictionaries, dictionaries
from ..features.flow import FeatureFlow
from ..features.flow import flow as follow
from ..features.index import FeatureIndex
from ..features.index import index as index_features
from ..features.label import Label, Labels
from ..features.page import FeaturePage
from ..features.page import page as feature_page
from ..model import Model
from ..tokens import Tokens
from .calls import Calls

#: Among so many active features the first one to show is chosen.
N_FIRST = 10
#: A search finds at most so many features.
MOST_FOUND = 32
#: What a run warns of where a feature is silent on the prompt; here it is said another way.
SILENT = ".* changed nothing: it reached"
_RESIDUAL = ("embed", "resid_pre", "resid_post")


class FeatureNames:
    """The features of dictionaries on a model, to be found, told and read of in texts."""

    def __init__(self, model: Model, dicts: Dictionaries, texts: Any) -> None:
        check_texts(texts)
        self.model, self.dicts, self.texts = model, dicts, texts
        self.labels: dict[str, Labels] = {}
        self._indices: dict[str, FeatureIndex] = {}

    def labels_of(self, site: str) -> Labels:
        """Those saved with a site's dictionary."""
        if site not in self.labels:
            self.labels[site] = Labels.of(self.dicts[site])
        return self.labels[site]

    def label(self, feature: str) -> str:
        """A feature's label with its score, "" for none; what `feature_flow` writes on its nodes.

        The score comes first, since a node has room for the beginning only.
        """
        label = self.labels_of(feature.split("/")[0])[feature]
        score = "not scored:" if label.f1 is None else "F1 " + f"{label.f1:.2f}".lstrip("0")
        return f"{score} {label.text}" if label.text else ""

    def find(self, text: str) -> list[tuple[str, str]]:
        """Features by name, or by what their label says: (name, name with its label) pairs.

        Those whose label detects one of the words as a token come first, the best scored first.
        Raises `ValueError` where there is none.
        """
        text = text.strip()
        if "/" in text:
            dictionary, number = self.feature(text)
            name = str(dictionary.feature(number))
            return [(name, name)]
        wanted = text.casefold()
        ranked: list[tuple[bool, float, str, Label]] = []
        for site in map(str, self.dicts):
            labels = self.labels_of(site)
            for number in labels if wanted else ():
                label = labels[number]
                exact = any(token.strip().casefold() == wanted for token in label.tokens)
                if exact or wanted in label.text.casefold():
                    ranked.append((not exact, -(label.f1 or 0.0), f"{site}/{number}", label))
        if not ranked:
            known = sum(len(self.labels_of(str(site))) for site in self.dicts)
            raise ValueError(
                "A feature is named like 'L3.resid_post/123' or found by words of its label; got "
                f"{text!r}, which stands in none of the {known} labels of these dictionaries."
            )
        ranked.sort(key=lambda each: each[:3])
        return [(name, f"{name}: {label}") for _, _, name, label in ranked[:MOST_FOUND]]

    def first(self, prompt: str, **of_flow: Any) -> str:
        """A feature to begin with: what the next word depends on, and has come some way.

        Of the ten features of the last residual dictionary that are most active at the prompt's
        end, and of these of the ones with a predecessor in the residual stream if there are any:
        the one without which the next word's distribution changes most (KL).
        """
        sites = [site for site in self.dicts if site.stream in _RESIDUAL]
        if not sites:
            raise ValueError(
                "A flow runs through the residual stream, and no dictionary given is of it; got "
                f"{self.dicts!r}."
            )
        dictionary = self.dicts[sites[-1]]
        tokens = self.model.tokens(prompt)
        run = self.model.run(tokens, read=[dictionary.site], logits_at=())
        codes = dictionary.encode(run[dictionary.site][0, tokens.columns(0, -1)[0]]).abs()
        best = codes.topk(min(N_FIRST, dictionary.n_features)).indices.tolist()
        come = [
            number for number in best if self._has_come(str(dictionary.feature(number)), of_flow)
        ]
        chosen = come or best
        without = [dictionary.scale({n: 0.0}, rows=row) for row, n in enumerate(chosen, 1)]
        rows = tokens.take([0] * (1 + len(chosen)))
        log_probs = self._next(rows, Change(without))
        kl = metrics.kl(log_probs[1:], log_probs[:1].expand_as(log_probs[1:]))
        return str(dictionary.feature(chosen[int(kl.argmax())]))

    def _has_come(self, feature: str, of_flow: Mapping[str, Any]) -> bool:
        """Whether a feature has a predecessor in the residual stream."""
        found = follow(self.dicts, feature, direction="back", depth=1, **of_flow)
        return any(lane == "resid" for lane in found.lanes[:-1])

    def _next(self, tokens: Tokens, edits: Change) -> torch.Tensor:
        """(batch, d_vocab) log-probabilities of the next token."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=SILENT)
            logits = self.model.run(tokens, edits=edits, logits_at="last").logits
        assert logits is not None
        return logits[:, 0].float().log_softmax(-1)

    def feature(self, name: str) -> tuple[Any, int]:
        try:
            return self.dicts.feature(name)
        except KeyError as error:
            raise ValueError(str(error.args[0])) from None

    def edits(self, calls: Calls, scales: Mapping[str, float]) -> tuple[Change, dict[str, int]]:
        """The change, an edit a site, and for each the row that has all edits before it only.

        Row 0 is plain and row 1 has them all. What a scaled feature is multiplied from is read in
        its own row: a dictionary that reads the stream after its own edit gives another code.
        """
        scaled: dict[str, dict[int, float]] = {}
        for name, factor in scales.items():
            dictionary, number = self.feature(name)
            scaled.setdefault(str(dictionary.out_site), {})[number] = factor
        sites = [str(site) for site in self.dicts if str(site) in scaled]
        edits = []
        for i, site in enumerate(sites):
            rows = [1, *range(2 + i + 1, 2 + len(sites))]
            dictionary = calls("", operator.getitem, self.dicts, site)
            edits.append(calls("", dictionary.scale, scaled[site], rows=rows))
        return calls("", Change, edits), {site: 2 + i for i, site in enumerate(sites)}

    def page(self, feature: str) -> FeaturePage:
        """The feature's page; the index of its dictionary is made, or read, at the first one."""
        dictionary, number = self.feature(feature)
        site = str(dictionary.out_site)
        if site not in self._indices:
            self._indices[site] = index_features(self.model, self.texts, dictionary, progress=False)
        return feature_page(
            self.model,
            self._indices[site],
            dictionary,
            number,
            labels=self.labels_of(site),
            others=self.dicts,
            progress=False,
        )


def read_from(dicts: Dictionaries, model: str) -> tuple[Any, ...]:
    """How the dictionaries are read again, where they were read from one folder."""
    folders = {None if d.path is None else d.path.parent for d in dicts.values()}
    folder = folders.pop() if len(folders) == 1 else None
    if folder is None:
        return ()
    shipped = folder.parts[-2:] == ("dictionaries", model)
    return dictionaries, model if shipped else str(folder)


def joined(first: FeatureFlow, other: FeatureFlow, dicts: Dictionaries) -> FeatureFlow:
    """Both flows as one: the roots of the first, the features and edges of either."""

    def order(name: str) -> tuple[Any, int]:
        dictionary, number = dicts.feature(name)
        return dictionary.out_site, number

    flows = (first, other)
    ids = sorted({name for flow in flows for name in flow.ids}, key=order)
    number = {name: i for i, name in enumerate(ids)}
    # Where both know a feature they say the same of it.
    home = {name: flow for flow in reversed(flows) for name in flow.ids}
    at = [(home[name], home[name].node(name)) for name in ids]
    edges: dict[tuple[int, int], float] = {}
    for flow in flows:
        ends = zip(flow.sources, flow.targets, flow.weights, strict=True)
        for source, target, weight in ends:
            edges[number[flow.ids[source]], number[flow.ids[target]]] = float(weight)
    pairs = sorted(edges)
    of_nodes = {
        each.name: [getattr(flow, each.name)[i] for flow, i in at]
        for each in fields(FeatureFlow)
        if "node" in (each.metadata.get("labels"), *each.metadata.get("axes", ()))
    }
    return replace(
        first,
        **of_nodes,
        channels=("",) * len(pairs),
        sources=np.array([source for source, _ in pairs]),
        targets=np.array([target for _, target in pairs]),
        weights=np.array([edges[pair] for pair in pairs]),
        thresholds=np.where(np.isnan(first.thresholds), other.thresholds, first.thresholds),
        chance=np.where(np.isnan(first.chance), other.chance, first.chance),
    )
