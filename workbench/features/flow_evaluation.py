"""Evaluation of a flow: does a feature follow when its predecessor is taken away?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from ..activations import batches, check_texts
from ..check import Count, Level, Seed, checked, given
from ..data import DataNotFound
from ..dictionary.base import Dictionary, ScaleFeatures
from ..dictionary.collection import dictionaries
from ..memory import in_portions
from ..model import Model, Resume, Run
from ..resample import bootstrap
from ..result import Result, axes, provenance
from ..site import Site
from ..tasks import tokens_per_pass
from ..tokens import Tokens
from .flow import FeatureFlow
from .matching import BEFORE, LANES, FeatureMatches, Lanes, match

#: What a score is of, and what it says.
SCORES = ("drop", "fallen", "loss")
N_RESAMPLES = 1000
#: Texts of one plain pass.
N_TEXTS = 16


@dataclass(frozen=True, eq=False, repr=False)
class FlowEvaluation(Result):
    """What became of features when a predecessor was rescaled, and when something else was.

    method: how the edges under test were matched. factor: what the predecessor's codes were
    multiplied by, at the positions where the target is active; 0 takes it away. arms: who was
    rescaled: the edge's own predecessor ("flow"); its best match by "correlation" or
    "permutation" in the same lane; a feature of the same dictionary that is about as active
    there ("random"). lanes, targets: of each edge; features: for each arm the name of what was
    rescaled, "" where there is none. similarity: (edge) by which the edge was made. strength:
    (arm, edge) of the change, 1 + strength · (factor − 1): 1, and for the control such that it
    changes as much.

    text: (edge, sample) the number of the text, −1 where the target is active in fewer. active:
    (edge, sample) at how many positions the target is active. before: (edge, sample) its summed
    activation there. after, fallen: (arm, edge, sample) the sum afterwards, and at how many of the
    positions it fell below half; loss: (arm, edge, sample) how far the model's mean loss over the
    text rose, in nats; NaN where not measured. rate, length: (arm, edge) at the target's positions
    in all texts: at what share of them the rescaled feature is active, and the mean length of the
    change that this makes.
    """

    method: str
    factor: float
    n_texts: int
    arms: tuple[str, ...]
    lanes: tuple[str, ...]
    targets: tuple[str, ...]
    features: tuple[tuple[str, ...], ...]
    similarity: np.ndarray = axes("edge")
    text: np.ndarray = axes("edge sample", np.int32)
    active: np.ndarray = axes("edge sample", np.int32)
    before: np.ndarray = axes("edge sample", np.float64)
    after: np.ndarray = axes("arm edge sample", np.float64)
    fallen: np.ndarray = axes("arm edge sample", np.float64)
    loss: np.ndarray = axes("arm edge sample", np.float64)
    strength: np.ndarray = axes("arm edge")
    rate: np.ndarray = axes("arm edge")
    length: np.ndarray = axes("arm edge")

    picture = "flows.flow_evaluation"

    @property
    def n_silent(self) -> int:
        """How many edges were left out, since their target is active in none of the texts."""
        return int((self.text < 0).all(1).sum())

    @cached_property
    def drop(self) -> np.ndarray:
        """(arm, edge) 1 − Σ after / Σ before: 1 = gone, 0 = as before, below 0 = more active."""
        return self._scores("drop", None)

    def score(
        self, arm: str, lane: str | None = None, *, of: str = "drop", level: Level = 0.95
    ) -> tuple[float, float, float]:
        """The mean over edges and its interval: the value, low, high; NaN where there are none.

        of: "drop" (1 − Σ after / Σ before of each edge), "fallen" (share of positions below half)
        or "loss" (nats). lane: "resid", "mlp" or "attn", None for all. The interval is a bootstrap
        over texts and over edges. Raises `ValueError` for another arm, lane or score.
        """
        return self._interval([self._arm(arm)], self._lane(lane), of, level)

    def advantage(
        self,
        arm: str = "flow",
        over: str = "random",
        lane: str | None = None,
        *,
        of: str = "drop",
        level: Level = 0.95,
    ) -> tuple[float, float, float]:
        """How much larger a score is than another arm's on the same edges and texts, as `score`."""
        return self._interval([self._arm(arm), self._arm(over)], self._lane(lane), of, level)

    def _interval(
        self, arms: list[int], edges: np.ndarray, of: str, level: float
    ) -> tuple[float, float, float]:
        if of not in SCORES:
            raise ValueError(f"A score is of {', '.join(SCORES)}; got {of!r}.")
        used = np.unique(self.text[edges][self.text[edges] >= 0])

        def mean(values: np.ndarray) -> np.ndarray:
            """(arm, resample, edge) → (resample,) over edges that every arm has."""
            both = values[0] if len(arms) == 1 else values[0] - values[1]
            there = np.isfinite(both)
            n = there.sum(-1)
            return np.where(there, both, 0).sum(-1) / np.where(n, n, np.nan)

        value = float(mean(self._scores(of, None)[arms][:, None, edges])[0])
        if not np.isfinite(value):
            return value, value, value
        rng = np.random.default_rng((self.seed or 0, 1))

        def resampled(draws: np.ndarray) -> np.ndarray:
            weights = np.zeros((len(draws), self.n_texts))
            np.add.at(weights, (np.arange(len(draws))[:, None], used[draws]), 1.0)
            values = self._scores(of, weights, edges)[arms]
            chosen = rng.integers(len(edges), size=(len(draws), len(edges)))
            return mean(np.take_along_axis(values, chosen[None], 2))

        low, high = bootstrap(resampled, len(used), level, self.seed or 0, N_RESAMPLES)
        return value, low, high

    def _scores(
        self, of: str, weights: np.ndarray | None, edges: np.ndarray | None = None
    ) -> np.ndarray:
        """(arm, edge), or with weights (resample, text) how often each text counts (arm, resample,
        edge): the score of each edge; NaN where it has no text.
        """
        chosen = slice(None) if edges is None else edges
        text = self.text[chosen]
        share = (text >= 0) if weights is None else np.where(text >= 0, weights[:, text], 0.0)

        def total(values: np.ndarray) -> np.ndarray:
            return (np.where(text >= 0, values, 0.0) * share).sum(-1)

        below = {"drop": self.before, "fallen": self.active}.get(of)
        size = total(np.ones(text.shape) if below is None else below[chosen])
        size = np.where(size > 0, size, np.nan)
        over = {"drop": self.after, "fallen": self.fallen, "loss": self.loss}[of][:, chosen]
        ratio = np.stack([total(values) for values in over]) / size
        return 1 - ratio if of == "drop" else ratio

    def _arm(self, arm: str) -> int:
        if arm not in self.arms:
            raise ValueError(f"This evaluation has the arms {', '.join(self.arms)}; got {arm!r}.")
        return self.arms.index(arm)

    def _lane(self, lane: str | None) -> np.ndarray:
        if lane is not None and lane not in BEFORE:
            raise ValueError(f"A lane is one of {', '.join(BEFORE)}, or None; got {lane!r}.")
        return np.array([i for i, own in enumerate(self.lanes) if lane in (None, own)], int)

    def summary(self) -> pd.DataFrame:
        """One line an arm and lane, and "all": n (edges measured), drop, fallen and loss with 95 %
        intervals (_low, _high), advantage of drop over "random", rate and length (means).
        """
        lines = []
        for lane in ("all", *BEFORE):
            edges = self._lane(None if lane == "all" else lane)
            if not len(edges):
                continue
            for i, arm in enumerate(self.arms):
                there = np.isfinite(self.drop[i, edges])
                line: dict[str, Any] = {"lane": lane, "arm": arm, "n": int(there.sum())}
                name = None if lane == "all" else lane
                for of in SCORES:
                    line[of], line[f"{of}_low"], line[f"{of}_high"] = self.score(arm, name, of=of)
                if "random" in self.arms:
                    found = self.advantage(arm, "random", name)
                    names = ("advantage", "advantage_low", "advantage_high")
                    line |= dict(zip(names, found, strict=True))
                for what in ("rate", "length"):
                    values = getattr(self, what)[i, edges][there]
                    line[what] = float(values.mean()) if len(values) else float("nan")
                lines.append(line)
        return pd.DataFrame(lines)

    def to_frame(self) -> pd.DataFrame:
        """One line an edge and arm: lane, target, arm, feature, similarity (of the edge), n_texts,
        n_positions, drop, fallen, loss, strength, rate, length.
        """
        scores = {of: self._scores(of, None) for of in SCORES}
        lines = [
            {
                "lane": self.lanes[e],
                "target": self.targets[e],
                "arm": arm,
                "feature": self.features[a][e],
                "similarity": float(self.similarity[e]),
                "n_texts": int((self.text[e] >= 0).sum()),
                "n_positions": int(self.active[e].sum()),
                **{of: float(values[a, e]) for of, values in scores.items()},
                "strength": float(self.strength[a, e]),
                "rate": float(self.rate[a, e]),
                "length": float(self.length[a, e]),
            }
            for e in range(len(self.targets))
            for a, arm in enumerate(self.arms)
        ]
        return pd.DataFrame(lines)

    def _facts(self) -> str:
        parts = []
        for arm in self.arms:
            value, low, high = self.score(arm)
            parts.append(f"{arm} {value:.2f} [{low:.2f}, {high:.2f}]")
        silent = f", {self.n_silent} of them silent in the texts" if self.n_silent else ""
        return (
            f"{len(self.targets)} edges by {self.method}{silent}, predecessor × {self.factor:g}; "
            f"the target falls by: {', '.join(parts)}"
        )


@checked
def evaluate_flow(
    model: Model,
    texts: Any,
    flow: FeatureFlow | FeatureMatches,
    *,
    dicts: Any = None,
    factor: float = 0.0,
    n_edges: Count | None = 60,
    n_samples: Count = 8,
    methods: Sequence[Literal["correlation", "permutation"] | FeatureMatches] = ("correlation",),
    loss: bool = True,
    seed: Seed = 0,
    progress: bool = True,
) -> FlowEvaluation:
    """Whether features follow their predecessors, with controls, as a `FlowEvaluation`.

    For each edge predecessor → target: at the positions of a text where the target is active the
    predecessor's code a is multiplied by `factor`, h += (factor − 1) · a · v, everything after it
    is computed again, and the target is read again there. The same with the best match by
    activation correlation, and with a random feature of the predecessor's dictionary that is about
    as active at those positions, strengthened or weakened (at most three times) so that what it
    changes is as long. Both are chosen by one survey of all texts.

    flow: a `FeatureFlow`, whose edges are tested, or `FeatureMatches`, of which the best matches
    before each feature are that reach their threshold. n_edges: at most so many of each lane, drawn
    at random; None for all. texts: where targets are looked for; n_samples: in how many of them an
    edge is tested, drawn from those where its target is active. dicts: the dictionaries of the
    flow; None for those that ship under its model's name. methods: other ways of matching beside
    it: "correlation" (from these texts), "permutation", or `FeatureMatches`. loss: whether the
    model's loss is measured too, for which every pass runs to the end. seed: of all draws.

    Raises `ValueError` for dictionaries that are not those of the flow, a flow without edges, no
    active target in the texts, and a factor of 1 or that is not finite.

    Source: Laptev, Balagansky et al. (2025), section 4.
    """
    lanes = flow_dictionaries(flow, dicts)
    if factor == 1:
        raise ValueError("factor is a number other than 1, which would change nothing; got 1.")
    rng = np.random.default_rng(seed)
    edges, similarity = flow_edges(flow, lanes, n_edges, rng)
    others = [other_way(way, lanes) for way in methods]
    arms = ("flow", *(name for name, _ in others), "random")
    if len(set(arms)) != len(arms):
        raise ValueError(f"Each way of matching is compared once; got {', '.join(arms[1:-1])}.")
    groups, lengths = survey(model, lanes, edges, texts, progress=progress)
    n, shape = len(edges), (len(arms), len(edges))
    chosen = np.full(shape, -1)
    chosen[0] = [edge.source[1] for edge in edges]
    strength, rate, length = (np.full(shape, np.nan) for _ in range(3))
    sampled = np.full((n, n_samples), -1)
    for group in groups:
        for i, e in enumerate(group.edges):
            there = np.flatnonzero(group.active[i])
            if not len(there):
                continue
            drawn = rng.permutation(there)[:n_samples]
            sampled[e, : len(drawn)] = np.sort(drawn)
            chosen[:, e] = _chosen(edges[e], group, i, others, rng)
            for a, number in enumerate(chosen[:, e]):
                if number >= 0:
                    is_control = arms[a] == "random"
                    strength[a, e] = group.strength(i, number, chosen[0, e]) if is_control else 1.0
                    rate[a, e] = group.rate[i, number]
                    length[a, e] = abs(factor - 1) * strength[a, e] * group.length[i, number]
    if (sampled < 0).all():
        raise ValueError(
            f"None of the {n} targets is active in the {len(lengths)} texts, so that nothing can "
            "be tested. Give more texts, or other features."
        )
    factors = 1 + strength * (factor - 1)
    trials = trials_of(edges, chosen, sampled, factors)
    found = measure(
        model,
        lanes,
        trials,
        texts,
        lengths,
        loss=loss,
        progress=progress,
    )
    after, fallen, rises, before, active = as_arrays(edges, chosen, sampled, factors, found)
    return FlowEvaluation(
        **provenance(model, seed=seed),
        method=flow.method,
        factor=float(factor),
        n_texts=len(lengths),
        arms=arms,
        lanes=tuple(edge.lane for edge in edges),
        targets=tuple(f"{lanes.names[e.target[0]]}/{e.target[1]}" for e in edges),
        features=tuple(
            tuple(
                f"{lanes.names[e.source[0]]}/{number}" if number >= 0 else ""
                for e, number in zip(edges, row, strict=True)
            )
            for row in chosen
        ),
        similarity=similarity,
        text=sampled,
        strength=strength,
        rate=rate,
        length=length,
        active=active,
        before=before,
        after=after,
        fallen=fallen,
        loss=rises,
    )


def _chosen(
    edge: Edge,
    group: Group,
    i: int,
    others: Sequence[tuple[str, FeatureMatches | None]],
    rng: np.random.Generator,
) -> list[int]:
    """The feature that each arm rescales, by its number; −1 where there is none."""
    own = edge.source[1]
    out = [own]
    for _, matches in others:
        if matches is None:
            out.append(group.correlated(i))
        else:
            node = matches.starts[edge.target[0]] + edge.target[1]
            out.append(int(matches.index[LANES.index(edge.lane), node, 0]))
    return [*out, group.control(i, own, [x for x in out if x >= 0], rng)]


# -- edges and their dictionaries ------------------------------------------------------------------

#: Ways of matching that an evaluation makes itself.
WAYS = ("correlation", "permutation")


def flow_edges(
    flow: FeatureFlow | FeatureMatches, lanes: Lanes, n_edges: int | None, rng: np.random.Generator
) -> tuple[list[Edge], np.ndarray]:
    """The edges to test and their similarities, lane by lane, at most `n_edges` of each.

    Raises `ValueError` where there are none.
    """
    found: list[tuple[Edge, float]] = []
    if isinstance(flow, FeatureFlow):
        graph = flow.graph
        for s, t, weight in zip(graph.sources, graph.targets, graph.weights, strict=True):
            source, target = (
                (int(flow.node_sites[node]), int(graph.features[node])) for node in (s, t)
            )
            found.append((Edge(flow.lanes[s], source, target), float(weight)))
    else:
        best = flow.similarity[..., 0]
        for lane, name in enumerate(BEFORE):
            limits = flow.thresholds[lane, flow.site_of_node]
            with np.errstate(invalid="ignore"):
                nodes = np.flatnonzero(best[lane] >= limits)
            for node in nodes:
                site = int(flow.site_of_node[node])
                source = int(flow.leads[lane, site]), int(flow.index[lane, node, 0])
                edge = Edge(name, source, (site, int(node - flow.starts[site])))
                found.append((edge, float(best[lane, node])))
    out: list[tuple[Edge, float]] = []
    for lane in BEFORE:
        own = [each for each in found if each[0].lane == lane]
        if n_edges is not None and len(own) > n_edges:
            own = [own[i] for i in np.sort(rng.choice(len(own), n_edges, replace=False))]
        out += own
    if not out:
        raise ValueError(
            f"An evaluation tests edges, and {flow!r} has none that reach its thresholds. Lower "
            "them, or choose another feature."
        )
    return [edge for edge, _ in out], np.array([value for _, value in out], np.float32)


def flow_dictionaries(flow: Any, dicts: Any) -> Lanes:
    """The dictionaries that a flow was made of. Raises as `evaluate_flow`."""
    if not isinstance(flow, (FeatureFlow, FeatureMatches)):
        raise TypeError(
            "What is evaluated is a flow, wb.feature_flow(…), or matches, wb.features.match(…); "
            f"got {given(flow)}."
        )
    if dicts is None:
        try:
            dicts = dictionaries(flow.model)
        except (ValueError, DataNotFound):
            raise ValueError(
                f"A flow holds names, not weights, and no dictionaries ship for {flow.model!r}. "
                "Give dicts=, those that the flow was made of."
            ) from None
    lanes = Lanes.of(dicts)
    if (lanes.names, lanes.fingerprints) != (flow.sites, flow.fingerprints):
        raise ValueError(
            "A flow is evaluated with the dictionaries that it was made of; these are of other "
            f"sites or other weights ({', '.join(lanes.names)}). Give the same ones as dicts=."
        )
    return lanes


def other_way(way: Any, lanes: Lanes) -> tuple[str, FeatureMatches | None]:
    """A way of matching to compare with: its name and its matches, None for those of the survey."""
    if isinstance(way, FeatureMatches):
        if (way.sites, way.fingerprints) != (lanes.names, lanes.fingerprints):
            raise ValueError("Ways of matching are compared on the same dictionaries.")
        return way.method, way
    if way not in WAYS:
        raise ValueError(
            f"A flow is compared with {', '.join(WAYS)} or FeatureMatches; got {way!r}."
        )
    if way == "correlation":
        return way, None
    return way, match(lanes.dicts, method="permutation", progress=False)


# -- the survey: where targets fire, and what fires in each dictionary there -----------------------

#: A control is drawn from so many features that come closest in activity, and strengthened or
#: weakened by up to so much where even they write more or less.
NEAREST = 5
MOST_STRENGTH = 3.0


@dataclass(frozen=True)
class Edge:
    """A predecessor and its target, each as the number of its dictionary and its own."""

    lane: str
    source: tuple[int, int]
    target: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Group:
    """Edges between the same two dictionaries, and what the survey counts of them.

    edges: their numbers. active: (edge, text) positions at which the target is active. rate,
    length: (edge, feature) of each feature of the source dictionary: the share of those positions
    at which it is active, and the mean length of what it writes there. correlation: (edge, feature)
    Pearson's with the target over all positions, NaN where either never changes.
    """

    source: int
    target: int
    edges: tuple[int, ...]
    active: np.ndarray
    rate: np.ndarray
    length: np.ndarray
    correlation: np.ndarray

    def control(self, i: int, like: int, without: Sequence[int], rng: np.random.Generator) -> int:
        """A random feature of about the activity of `like` where target i is active.

        One of the five closest in rate and in the logarithm of the mean length.
        """
        rate, length = self.rate[i], self.length[i]
        smallest = 1e-3 * max(float(length.max()), 1e-12)
        apart = np.abs(rate - rate[like])
        apart = apart + np.abs(np.log((length + smallest) / (length[like] + smallest)))
        apart[[like, *without]] = np.inf
        nearest = np.argsort(apart, kind="stable")[:NEAREST]
        nearest = nearest[np.isfinite(apart[nearest])]
        return int(rng.choice(nearest)) if len(nearest) else -1

    def strength(self, i: int, control: int, like: int) -> float:
        """By how much a control is to be strengthened, so that it writes as much as `like` does."""
        own, other = float(self.length[i, control]), float(self.length[i, like])
        if not own > 0:
            return 1.0
        return float(np.clip(other / own, 1 / MOST_STRENGTH, MOST_STRENGTH))

    def correlated(self, i: int) -> int:
        """The feature that correlates most with target i, −1 where none does."""
        row = self.correlation[i]
        return -1 if np.isnan(row).all() else int(np.nanargmax(row))


def survey(
    model: Model,
    lanes: Lanes,
    edges: Sequence[Edge],
    texts: Any,
    *,
    progress: bool = True,
) -> tuple[list[Group], np.ndarray]:
    """The edges by their dictionaries, and (text,) the number of tokens of each text.

    One pass over the texts; what is held grows with edges × features, not with the texts.
    """
    members: dict[tuple[int, int], list[int]] = {}
    for number, edge in enumerate(edges):
        members.setdefault((edge.source[0], edge.target[0]), []).append(number)
    counts = {
        key: _Counts.of(lanes, [edges[i].target[1] for i in numbers], key, check_texts(texts))
        for key, numbers in members.items()
    }
    used = sorted({site for key in members for site in key})
    read = sorted({lanes.dicts[lanes.sites[site]].site for site in used})
    lengths: list[int] = []
    for rows, tokens in batches(model, texts, N_TEXTS, title="survey", progress=progress):
        run = model.run(tokens, read=read, logits_at=())
        lengths.extend(tokens.lengths)
        for (source, target), count in counts.items():
            own, other = (lanes.dicts[lanes.sites[i]] for i in (target, source))
            count.add(own, other, run[own.site], run[other.site], tokens.mask, rows.start)
    groups = [
        Group(source, target, tuple(numbers), *counts[source, target].finish())
        for (source, target), numbers in members.items()
    ]
    return groups, np.array(lengths)


@dataclass(eq=False)
class _Counts:
    """Running sums of one group, float64: over positions, by edge, by feature, or by both."""

    targets: list[int]
    norms: torch.Tensor
    active: np.ndarray
    fired: torch.Tensor
    length: torch.Tensor
    product: torch.Tensor
    target_sums: torch.Tensor
    source_sums: torch.Tensor
    n: int = 0

    @classmethod
    def of(cls, lanes: Lanes, targets: list[int], key: tuple[int, int], n_texts: int) -> _Counts:
        source = lanes.dicts[lanes.sites[key[0]]]

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=source.device)

        n, m = len(targets), source.n_features
        norms = source.W_dec.float().norm(dim=-1).double()
        active = np.zeros((n, n_texts), np.int64)
        fired, length, product = (zeros(n, m) for _ in range(3))
        return cls(targets, norms, active, fired, length, product, zeros(2, n), zeros(2, m))

    def add(
        self,
        own: Any,
        other: Any,
        x_own: torch.Tensor,
        x_other: torch.Tensor,
        mask: torch.Tensor,
        first: int,
    ) -> None:
        """Count a batch whose first text has the number `first`."""
        with torch.no_grad():
            codes, x = own.encode_some(x_own, self.targets), x_other[mask]
            mask = mask.to(codes.device)
            on = (codes != 0) & mask[..., None]
            self.active[:, first : first + len(codes)] = on.sum(1).T.cpu().numpy()
            source = other.encode(x)
            target, where = codes[mask].to(source), on[mask].to(source)
            size = 1.0 if other.is_transcoder else other.normalization.split(x.to(source))[2]
            self.fired += where.T @ (source != 0).to(source)
            self.length += where.T @ (source.abs() * size)
            self.product += target.T @ source
            for codes, sums in ((target, self.target_sums), (source, self.source_sums)):
                sums += torch.stack([codes.double().sum(0), codes.double().square().sum(0)])
            self.n += len(x)

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The numbers of a `Group` after its edges."""
        n_active = torch.as_tensor(self.active.sum(1), device=self.fired.device)[:, None]
        mean_t, mean_s = self.target_sums[0] / self.n, self.source_sums[0] / self.n
        var_t, var_s = (
            (sums[1] / self.n - mean.square()).clamp(min=0)
            for sums, mean in ((self.target_sums, mean_t), (self.source_sums, mean_s))
        )
        scale = (var_t[:, None] * var_s).sqrt()
        correlation = (self.product / self.n - mean_t[:, None] * mean_s) / scale
        correlation[scale == 0] = torch.nan
        parts = (self.fired / n_active, self.length * self.norms / n_active, correlation)
        rate, length, correlation = (part.cpu().numpy() for part in parts)
        return self.active, rate, length, correlation


# -- trials: one feature rescaled in a text, and another one read again after it -------------------


class Trial(NamedTuple):
    """A feature rescaled (site, number), a target read (site, number), the text's number, and what
    the rescaled feature's codes are multiplied by.
    """

    source_site: int
    source: int
    target_site: int
    target: int
    text: int
    factor: float


class Measured(NamedTuple):
    """Of one trial, at the positions where the target is active before.

    active: how many. before, after: the target's summed size. fallen: how many fell below half.
    loss: what the mean loss over the text rose by, NaN where not measured.
    """

    active: int
    before: float
    after: float
    fallen: int
    loss: float


def trials_of(
    edges: Sequence[Edge], chosen: np.ndarray, sampled: np.ndarray, factors: np.ndarray
) -> list[Trial]:
    """Every different test of the edges: where two arms rescale the same feature it is one.

    chosen, factors: (arm, edge) the feature that is rescaled, −1 for none, and by what. sampled:
    (edge, sample) numbers of texts, −1 for none.
    """
    each = (
        _trial(edge, chosen[a, e], text, factors[a, e])
        for e, edge in enumerate(edges)
        for a in range(len(chosen))
        for text in sampled[e]
        if chosen[a, e] >= 0 and text >= 0
    )
    return sorted(set(each))


def as_arrays(
    edges: Sequence[Edge],
    chosen: np.ndarray,
    sampled: np.ndarray,
    factors: np.ndarray,
    found: Mapping[Trial, Measured],
) -> tuple[np.ndarray, ...]:
    """after, fallen and loss by arm, edge and sample; before and active by edge and sample."""
    shape = (*chosen.shape, sampled.shape[1])
    after, fallen, loss = (np.full(shape, np.nan) for _ in range(3))
    before, active = np.full(sampled.shape, np.nan), np.zeros(sampled.shape, int)
    for a, e, s in np.ndindex(shape):
        if sampled[e, s] < 0 or chosen[a, e] < 0:
            continue
        one = found[_trial(edges[e], chosen[a, e], sampled[e, s], factors[a, e])]
        before[e, s], active[e, s] = one.before, one.active
        after[a, e, s], fallen[a, e, s], loss[a, e, s] = one.after, one.fallen, one.loss
    return after, fallen, loss, before, active


def _trial(edge: Edge, number: Any, text: Any, factor: Any) -> Trial:
    return Trial(
        edge.source[0], int(number), edge.target[0], edge.target[1], int(text), float(factor)
    )


def measure(
    model: Model,
    lanes: Lanes,
    trials: Sequence[Trial],
    texts: Any,
    lengths: np.ndarray,
    *,
    loss: bool,
    progress: bool,
) -> dict[Trial, Measured]:
    """What each trial gives. lengths: (text,) tokens of each text.

    Texts of one length run together, so that nothing is padded; each batch runs once plainly, and
    then once for every target's layer with as many rows as there are trials, from that layer on.
    """
    by_text: dict[int, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_text[trial.text].append(trial)
    out: dict[Trial, Measured] = {}
    with tqdm(total=len(trials), desc="edges", disable=not progress) as bar:
        for length in np.unique(lengths[list(by_text)]):
            same = [text for text in sorted(by_text) if lengths[text] == length]
            for start in range(0, len(same), N_TEXTS):
                part = same[start : start + N_TEXTS]
                tokens = _tokens(model, texts, part)
                found = [trial for text in part for trial in by_text[text]]
                done = _Batch(model, lanes, tokens, part, found, loss)
                for site in sorted({trial.target_site for trial in found}):
                    own = [trial for trial in found if trial.target_site == site]
                    out |= done.run(site, own)
                    bar.update(len(own))
    return out


def _tokens(model: Model, texts: Any, chosen: Sequence[int]) -> Tokens:
    if isinstance(texts, Tokens):
        return texts.take(chosen).trimmed()
    return model.tokens([texts[i] for i in chosen])


class _Batch:
    """Texts of one length: their plain pass, and the trials on them."""

    def __init__(
        self,
        model: Model,
        lanes: Lanes,
        tokens: Tokens,
        texts: Sequence[int],
        trials: Sequence[Trial],
        loss: bool,
    ) -> None:
        self.model, self.tokens, self.loss = model, tokens, loss
        self.row = {text: row for row, text in enumerate(texts)}
        self.all = [lanes.dicts[site] for site in lanes.sites]
        used = [self.all[i] for t in trials for i in (t.source_site, t.target_site)]
        layers = {_layer_into(self.all[t.target_site].out_site) for t in trials}
        entries = {Site("resid_pre", layer) for layer in layers if layer > 0}
        read = sorted(entries | {dictionary.site for dictionary in used})
        self.plain = model.run(tokens, read=read, logits_at=None if loss else ())
        self.plain_loss = _losses(self.plain, tokens) if loss else None
        self.codes = {
            **self._codes({(t.source_site, t.source) for t in trials}),
            **self._codes({(t.target_site, t.target) for t in trials}),
        }

    def _codes(self, features: set[tuple[int, int]]) -> dict[tuple[int, int], torch.Tensor]:
        """(site, number) → (row, pos) its codes in the plain pass."""
        out = {}
        for site in sorted({site for site, _ in features}):
            numbers = sorted(number for own, number in features if own == site)
            with torch.no_grad():
                codes = self.all[site].encode_some(self.plain[self.all[site].site], numbers)
            out |= {(site, number): codes[..., i] for i, number in enumerate(numbers)}
        return out

    def run(self, site: int, trials: Sequence[Trial]) -> dict[Trial, Measured]:
        """The trials of the targets of one dictionary."""
        target = self.all[site]
        before = {t: self.codes[t.target_site, t.target][self.row[t.text]] for t in trials}
        moving = [trial for trial in trials if self._moves(trial, before[trial])]
        spec = self.model.spec
        vectors = 8 + (2 * spec.d_vocab // spec.d_model if self.loss else 0)
        size = tokens_per_pass(vectors, spec.d_model) // self.tokens.n_columns
        parts, _ = in_portions(
            len(moving), size, lambda a, b: self._portion(target, moving[a:b], before)
        )
        out = {trial: found for part in parts for trial, found in part.items()}
        # What is not active where the target is cannot move it: nothing is rescaled.
        for trial in trials:
            if trial not in out:
                out[trial] = _compare(before[trial], before[trial], 0.0 if self.loss else np.nan)
        return out

    def _moves(self, trial: Trial, before: torch.Tensor) -> bool:
        """Whether the feature to be rescaled is active anywhere that the target is."""
        own = self.codes[trial.source_site, trial.source][self.row[trial.text]]
        return bool(((own != 0) & (before != 0).to(own.device)).any())

    def _portion(
        self, target: Dictionary, trials: Sequence[Trial], before: dict[Trial, torch.Tensor]
    ) -> dict[Trial, Measured]:
        """One pass with a row for each trial."""
        rows = [self.row[trial.text] for trial in trials]
        layer = _layer_into(target.out_site)
        edits = []
        for source_site in sorted({trial.source_site for trial in trials}):
            own = [r for r, trial in enumerate(trials) if trial.source_site == source_site]
            numbers = sorted({trials[r].source for r in own})
            where = torch.stack([before[trials[r]] != 0 for r in own])
            factor = torch.ones(*where.shape, len(numbers), device=where.device)
            for i, r in enumerate(own):
                column = factor[i, :, numbers.index(trials[r].source)]
                column[where[i]] = trials[r].factor
            source = _entering(self.all[source_site], layer)
            edits.append(ScaleFeatures(source, numbers, factor, rows=own))
        tokens, resume = self.tokens.take(rows), None
        if layer > 0:
            resume = Resume(layer, self.plain[Site("resid_pre", layer)][rows], rows)
        run = self.model.run(
            tokens if resume is None else self.tokens,
            read=[target.site],
            edits=edits,
            resume=resume,
            stop_after=None if self.loss else target.site,
            logits_at=None if self.loss else (),
        )
        with torch.no_grad():
            wanted = sorted({trial.target for trial in trials})
            codes = target.encode_some(run[target.site], wanted)
        rises = np.full(len(trials), np.nan)
        if self.plain_loss is not None:
            rises = _losses(run, tokens) - self.plain_loss[rows]
        return {
            trial: _compare(before[trial], codes[r, :, wanted.index(trial.target)], float(rises[r]))
            for r, trial in enumerate(trials)
        }


def _entering(source: Dictionary, layer: int) -> Dictionary:
    """The dictionary, of what enters a layer where it is that by another name.

    A pass that resumes at a layer has no site before it.
    """
    if layer > 0 and source.out_site.stream == "resid_post":
        site = Site("resid_pre", layer)
        return replace(source, site=site, out_site=site)
    return source


def _layer_into(site: Site) -> int:
    """The layer whose output a dictionary of the residual stream reads, −1 before all of them."""
    if site.stream == "resid_post":
        assert site.layer is not None
        return site.layer
    return site.layer - 1 if site.stream == "resid_pre" and site.layer is not None else -1


def _losses(run: Run, tokens: Tokens) -> np.ndarray:
    """(row,) the mean loss over a text's tokens but the first, in nats; no padding."""
    assert run.logits is not None
    logits, ids = run.logits[:, :-1], tokens.ids[:, 1:]
    picked = logits.gather(-1, ids.to(logits.device)[..., None])[..., 0].double()
    size = logits.float().logsumexp(-1).double()
    return (size - picked).mean(-1).cpu().numpy()


def _compare(before: torch.Tensor, after: torch.Tensor, loss: float) -> Measured:
    """(pos,) codes of the target before and after, at the positions where it is active before."""
    on = before != 0
    was = before[on].double().abs()
    now = after[on].double() * before[on].double().sign()
    fallen = int((now < was / 2).sum())
    return Measured(int(on.sum()), float(was.sum()), float(now.sum()), fallen, loss)
