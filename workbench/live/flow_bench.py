"""The numbers behind the live flow: a feature's flow, and what scaling its features does."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..activations import check_texts
from ..dictionary.base import ScaleFeatures
from ..dictionary.collection import Dictionaries
from ..methods.features.feature_index import FeatureIndex, index_features
from ..methods.features.feature_page import FeaturePage, feature_page
from ..methods.features.flow import FeatureFlow, feature_flow
from ..methods.features.labels import Label, Labels
from ..methods.features.matching import FeatureMatches
from ..model import Model
from ..tokens import Tokens
from .answers import Answers, likeliest
from .flow_union import joined

if TYPE_CHECKING:
    import torch

N_ANSWERS = 6
#: What one wish for more adds: so many more matches of a feature in each lane.
MORE = 2
#: Among so many active features the first one to show is chosen.
N_FIRST = 10
#: A search finds at most so many features.
MOST_FOUND = 32
#: What a run warns of where a feature is silent on the prompt; here it is said another way.
SILENT = ".* changed nothing: it reached"
_RESIDUAL = ("embed", "resid_pre", "resid_post")


@dataclass(frozen=True)
class FlowReading:
    """What scaling features does to one prompt.

    before, after: (node) activations of the flow's features; after, of a scaled feature, the factor
    times its code, of the others what their dictionaries read. answers: plain and scaled. kl:
    KL(plain ‖ scaled) of the next token, in nats. silent: scaled features that are not active on
    the prompt, so that scaling them changes nothing.
    """

    before: np.ndarray
    after: np.ndarray
    answers: tuple[Answers, Answers]
    kl: float
    silent: tuple[str, ...]


class FlowBench:
    """Dictionaries on a model, ready to follow a feature and to scale what it is joined to.

    texts: behind the feature pages. k, thresholds, matches: as in `feature_flow`.
    """

    def __init__(
        self,
        model: Model,
        dicts: Dictionaries,
        texts: Any,
        *,
        k: int,
        thresholds: Any,
        matches: FeatureMatches | None,
    ) -> None:
        check_texts(texts)
        self.model, self.dicts, self.texts = model, dicts, texts
        self.k, self.thresholds, self.matches = k, thresholds, matches
        self._labels: dict[str, Labels] = {}
        self._indices: dict[str, FeatureIndex] = {}
        self._wishes: dict[tuple[str, str], int] = {}

    # -- names -----------------------------------------------------------------------------------

    def labels(self, site: str) -> Labels:
        """Those saved with a site's dictionary."""
        if site not in self._labels:
            self._labels[site] = Labels.of(self.dicts[site])
        return self._labels[site]

    def of(self, feature: str) -> str:
        """A feature's label with its score, "" for none; what `feature_flow` writes on its nodes.

        The score comes first, since a node has room for the beginning only.
        """
        label = self.labels(feature.split("/")[0])[feature]
        score = "not scored:" if label.f1 is None else "F1 " + f"{label.f1:.2f}".lstrip("0")
        return f"{score} {label.text}" if label.text else ""

    def find(self, text: str) -> list[tuple[str, str]]:
        """Features by name, or by what their label says: (name, name with its label) pairs.

        Those whose label detects one of the words as a token come first, the best scored first.
        Raises `ValueError` where there is none.
        """
        text = text.strip()
        if "/" in text:
            dictionary, number = self._feature(text)
            name = str(dictionary.feature(number))
            return [(name, name)]
        wanted = text.casefold()
        ranked: list[tuple[bool, float, str, Label]] = []
        for site in map(str, self.dicts):
            labels = self.labels(site)
            for number in labels if wanted else ():
                label = labels[number]
                exact = any(token.strip().casefold() == wanted for token in label.tokens)
                if exact or wanted in label.text.casefold():
                    ranked.append((not exact, -(label.f1 or 0.0), f"{site}/{number}", label))
        if not ranked:
            known = sum(len(self.labels(str(site))) for site in self.dicts)
            raise ValueError(
                "A feature is named like 'L3.resid_post/123' or found by words of its label; got "
                f"{text!r}, which stands in none of the {known} labels of these dictionaries."
            )
        ranked.sort(key=lambda each: each[:3])
        return [(name, f"{name}: {label}") for _, _, name, label in ranked[:MOST_FOUND]]

    def first(self, prompt: str) -> str:
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
        come = [number for number in best if self._has_come(str(dictionary.feature(number)))]
        chosen = come or best
        edits = [
            ScaleFeatures(dictionary, number, 0.0, rows=row) for row, number in enumerate(chosen, 1)
        ]
        rows = tokens.take([0] * (1 + len(chosen)))
        log_probs = self._next(rows, edits)
        plain, without = log_probs[0], log_probs[1:]
        kl = (plain.exp() * (plain - without)).sum(-1)
        return str(dictionary.feature(chosen[int(kl.argmax())]))

    def _has_come(self, feature: str) -> bool:
        """Whether a feature has a predecessor in the residual stream."""
        flow = self._flow(feature, direction="back", depth=1)
        return any(lane == "resid" for lane in flow.lanes[:-1])

    def _next(self, tokens: Tokens, edits: Sequence[ScaleFeatures]) -> torch.Tensor:
        """(batch, d_vocab) log-probabilities of the next token."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=SILENT)
            logits = self.model.run(tokens, edits=edits, logits_at="last").logits
        assert logits is not None
        return logits[:, 0].float().log_softmax(-1)

    def _feature(self, name: str) -> tuple[Any, int]:
        try:
            return self.dicts.feature(name)
        except KeyError as error:
            raise ValueError(str(error.args[0])) from None

    # -- flows -----------------------------------------------------------------------------------

    def flow(self, feature: str) -> FeatureFlow:
        """The flow of one feature, before anything is expanded."""
        self._wishes = {}
        return self._flow(feature)

    def grown(self, flow: FeatureFlow, feature: str, way: str) -> FeatureFlow:
        """A flow with more predecessors ("down") or successors ("up") of one feature.

        Each wish adds the next two matches in every lane, however similar they are.
        """
        wish = self._wishes[feature, way] = self._wishes.get((feature, way), 0) + 1
        dictionary, _ = self._feature(feature)
        most = self.matches.k if self.matches else min(d.n_features for d in self.dicts.values())
        extra = self._flow(
            str(dictionary.feature(dictionary.check_feature(feature))),
            k=min(self.k + MORE * wish, most),
            direction="forward" if way == "up" else "back",
            depth=1,
            min_similarity=0.0,
        )
        return joined(flow, extra, self.dicts)

    def _flow(self, feature: str, **options: Any) -> FeatureFlow:
        given: dict[str, Any] = {"k": self.k, "thresholds": self.thresholds} | options
        return feature_flow(self.dicts, feature, matches=self.matches, labels=self, **given)

    # -- runs ------------------------------------------------------------------------------------

    def read(
        self, prompt: str, flow: FeatureFlow, scales: Mapping[str, float], position: int | None
    ) -> FlowReading:
        """The features and the next token, plain and with some features scaled, in one pass.

        position: of the activations; None for the largest (in size) over the prompt.
        """
        import torch

        scaled = self.scaled(scales)
        edits, row_of = self._edits(scaled)
        tokens = self.model.tokens(prompt).take([0] * (2 + len(scaled)))
        if position is not None and not 0 <= position < tokens.lengths[0]:
            position = None
        sites = sorted({self._feature(name)[0].site for name in flow.graph.ids})
        with warnings.catch_warnings():
            # A feature that is silent on this prompt is said beside the answers.
            warnings.filterwarnings("ignore", message=SILENT)
            run = self.model.run(tokens, read=sites, edits=edits, logits_at="last")
        codes = np.zeros((2, len(flow.graph.ids)), np.float32)
        silent: list[str] = []
        members: dict[str, list[int]] = {}
        for i, name in enumerate(flow.graph.ids):
            members.setdefault(name.split("/")[0], []).append(i)
        for site, nodes in members.items():
            dictionary, names = self.dicts[site], [flow.graph.ids[i] for i in nodes]
            numbers = [self._feature(name)[1] for name in names]
            found = dictionary.encode_some(run[dictionary.site], numbers).float()
            after = found[1].clone()
            for n, name in enumerate(names):
                if name in scales:
                    code = found[row_of[site], :, n]
                    after[:, n] = scales[name] * code
                    silent += [] if bool(code.any()) else [name]
            both = torch.stack([found[0], after])
            if position is None:
                both = both.gather(1, both.abs().argmax(1, keepdim=True))
            else:
                both = both[:, [position]]
            codes[:, nodes] = both[:, 0].detach().cpu().numpy()
        assert run.logits is not None
        plain, changed = run.logits[:2, 0].float().log_softmax(-1)
        kl = float((plain.exp() * (plain - changed)).sum())
        answers = (
            likeliest(self.model, plain.exp(), N_ANSWERS),
            likeliest(self.model, changed.exp(), N_ANSWERS),
        )
        return FlowReading(codes[0], codes[1], answers, kl, tuple(silent))

    def scaled(self, scales: Mapping[str, float]) -> dict[str, dict[int, float]]:
        """The scales by dictionary: its site, and the factor of each feature's number."""
        out: dict[str, dict[int, float]] = {}
        for name, factor in scales.items():
            dictionary, number = self._feature(name)
            out.setdefault(str(dictionary.out_site), {})[number] = factor
        return out

    def _edits(
        self, scaled: Mapping[str, Mapping[int, float]]
    ) -> tuple[list[ScaleFeatures], dict[str, int]]:
        """One edit a dictionary, and for each the row that has all edits before it and not itself.

        Row 0 is plain and row 1 has them all. What a scaled feature is multiplied from is read in
        its own row: a dictionary that reads the stream after its own edit gives another code.
        """
        sites = [str(site) for site in self.dicts if str(site) in scaled]
        edits = []
        for i, site in enumerate(sites):
            numbers, factors = list(scaled[site]), list(scaled[site].values())
            rows = [1, *range(2 + i + 1, 2 + len(sites))]
            edits.append(ScaleFeatures(self.dicts[site], numbers, factors, rows=rows))
        return edits, {site: 2 + i for i, site in enumerate(sites)}

    # -- pages -----------------------------------------------------------------------------------

    def page(self, feature: str) -> FeaturePage:
        """The feature's page; the index of its dictionary is made, or read, at the first one."""
        dictionary, number = self._feature(feature)
        site = str(dictionary.out_site)
        if site not in self._indices:
            self._indices[site] = index_features(self.model, dictionary, self.texts, progress=False)
        return feature_page(
            self.model,
            dictionary,
            number,
            self._indices[site],
            labels=self.labels(site),
            others=self.dicts,
            progress=False,
        )
