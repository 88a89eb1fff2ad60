"""Flow validation: does a feature follow when its predecessor is taken away?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...check import Count, Level, Seed, checked
from ...model import Model
from ...resample import bootstrap
from ...result import Result, axes, provenance
from .flow import FeatureFlow
from .flow_edges import flow_dictionaries, flow_edges, other_way
from .flow_survey import Edge, Group, survey
from .flow_trials import as_arrays, measure, trials_of
from .lanes import BEFORE, LANES
from .matching import FeatureMatches

#: What a score is of, and what it says.
SCORES = ("drop", "fallen", "loss")
N_RESAMPLES = 1000


@dataclass(frozen=True, eq=False, repr=False)
class FlowValidation(Result):
    """What became of features when a predecessor was rescaled, and when something else was.

    by: how the edges under test were matched. factor: what the predecessor's codes were multiplied
    by, at the positions where the target is active; 0 takes it away. arms: who was rescaled: the
    edge's own predecessor ("flow"); its best match by "correlation" or "permutation" in the same
    lane; a feature of the same dictionary that is about as active there ("random"). lanes, targets:
    of each edge; features: for each arm the name of what was rescaled, "" where there is none.
    similarity: (edge) by which the edge was made. strength: (arm, edge) of the change,
    1 + strength · (factor − 1): 1, and for the control such that it changes as much.

    text: (edge, sample) the number of the text, −1 where the target is active in fewer. active:
    (edge, sample) at how many positions the target is active. before: (edge, sample) its summed
    activation there. after, fallen: (arm, edge, sample) the sum afterwards, and at how many of the
    positions it fell below half; loss: (arm, edge, sample) how far the model's mean loss over the
    text rose, in nats; NaN where not measured. rate, length: (arm, edge) at the target's positions
    in all texts: at what share of them the rescaled feature is active, and the mean length of the
    change that this makes.
    """

    by: str
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

    picture = "flows.flow_validation"

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
            raise ValueError(f"This validation has the arms {', '.join(self.arms)}; got {arm!r}.")
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
            f"{len(self.targets)} edges by {self.by}{silent}, predecessor × {self.factor:g}; "
            f"the target falls by: {', '.join(parts)}"
        )


@checked
def validate_flow(
    model: Model,
    flow: FeatureFlow | FeatureMatches,
    texts: Any,
    *,
    dicts: Any = None,
    factor: float = 0.0,
    n_edges: Count | None = 60,
    n_samples: Count = 8,
    compare: Sequence[Literal["correlation", "permutation"] | FeatureMatches] = ("correlation",),
    loss: bool = True,
    batch_size: Count = 16,
    seed: Seed = 0,
    progress: bool = True,
) -> FlowValidation:
    """Whether features follow their predecessors, with controls, as a `FlowValidation`.

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
    flow; None for those that ship under its model's name. compare: other ways of matching beside
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
    others = [other_way(way, lanes) for way in compare]
    arms = ("flow", *(name for name, _ in others), "random")
    if len(set(arms)) != len(arms):
        raise ValueError(f"Each way of matching is compared once; got {', '.join(arms[1:-1])}.")
    groups, lengths = survey(model, lanes, edges, texts, batch_size=batch_size, progress=progress)
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
        batch_size=batch_size,
        progress=progress,
    )
    after, fallen, rises, before, active = as_arrays(edges, chosen, sampled, factors, found)
    return FlowValidation(
        **provenance(model, seed=seed),
        by=flow.by,
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
