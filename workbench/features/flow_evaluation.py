"""Evaluation of a flow: does a feature follow when its predecessor is taken away?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from ..activations import Moments, batches, check_texts, some
from ..check import Count, Seed, checked
from ..data import DataNotFound
from ..dictionary.base import Dictionary, ScaleFeatures
from ..dictionary.collection import Dictionaries, dictionaries
from ..effects import Effects, Measure, table_of
from ..memory import in_batches
from ..metrics import text_loss
from ..model import Model, Resume, Run
from ..result import provenance
from ..site import Site
from ..tasks import tokens_per_pass
from ..texts import Texts
from ..tokens import Tokens
from .flow import FeatureFlow
from .matching import BEFORE, LANES, FeatureMatches, Lanes, match

#: What is measured of each edge, and in which unit.
MEASURES = {
    "drop": "share of the activation",
    "fallen": "share of the positions",
    "loss": "nats",
    "rate": "share of the positions",
    "length": "length of the change",
}
#: Texts of one plain pass.
N_TEXTS = 16


@checked
def evaluate_flow(
    model: Model,
    texts: Texts,
    flow: FeatureFlow | FeatureMatches,
    *,
    dicts: Dictionaries | None = None,
    factor: float = 0.0,
    n_edges: Count | None = 60,
    n_samples: Count = 8,
    methods: Sequence[Literal["correlation", "permutation"] | FeatureMatches] = ("correlation",),
    loss: bool = True,
    seed: Seed = 0,
    progress: bool = True,
) -> Effects:
    """Whether features follow their predecessors, beside random ones, as `Effects` of edges.

        wb.features.evaluate_flow(model, texts, wb.feature_flow(dicts, feature)).score("drop")

    At the positions of a text where an edge's target is active its predecessor's code a is
    multiplied by `factor`, h += (factor − 1) · a · v, and the target is read again. Changes are
    "flow", and the best match in the same lane by each of `methods` (from these texts, or
    `FeatureMatches`); the control is a feature of the same dictionary that is about as active
    there, with a change as long. Each in all lanes and in each; examples are the edges.

    Measures: drop, by which share the target falls (1 = gone); fallen, at which share of its
    positions to below half; loss, by how much the model's own rises (every pass runs to its end);
    rate and length, of what was rescaled there. flow: its edges, or the best matches that reach
    their thresholds; at most `n_edges` of a lane, each in `n_samples` texts where its target is
    active. dicts: those of the flow, None for those that ship. Intervals are over edges.

    Raises `ValueError` for other dictionaries, no edges, no active target, and a factor of 1.
    Source: Laptev, Balagansky et al. (2025), section 4.
    """
    lanes = flow_dictionaries(flow, dicts)
    if factor == 1:
        raise ValueError("factor is a number other than 1, which would change nothing; got 1.")
    rng = np.random.default_rng(seed)
    edges, similarity = flow_edges(flow, lanes, n_edges, rng)
    others = [other_way(way, lanes) for way in methods]
    names = ("flow", *(name for name, _ in others))
    if len(set(names)) != len(names):
        raise ValueError(f"Each way of matching is compared once; got {', '.join(names[1:])}.")
    groups, lengths = survey(model, lanes, edges, texts, progress=progress)
    shape = (len(names) + 1, len(edges))
    chosen = np.full(shape, -1)
    chosen[0] = [edge.source[1] for edge in edges]
    values = {name: np.full(shape, np.nan) for name in MEASURES}
    strength, sampled = np.ones(shape), [np.zeros(0, int)] * len(edges)
    for group in groups:
        for i, e in enumerate(group.edges):
            there = np.flatnonzero(group.active[i])
            if not len(there):
                continue
            sampled[e] = np.sort(rng.permutation(there)[:n_samples])
            chosen[:, e] = _chosen(edges[e], group, i, others, rng)
            if chosen[-1, e] >= 0:
                strength[-1, e] = group.strength(i, chosen[-1, e], chosen[0, e])
            some = chosen[:, e] >= 0
            values["rate"][some, e] = group.rate[i, chosen[some, e]]
            values["length"][some, e] = strength[some, e] * group.length[i, chosen[some, e]]
    values["length"] *= abs(factor - 1)
    if not any(map(len, sampled)):
        raise ValueError(
            f"None of the {len(edges)} targets is active in the {len(lengths)} texts, so that "
            "nothing can be tested. Give more texts, or other features."
        )
    trials: dict[tuple[int, int], list[Trial]] = {}
    for (a, e), number in np.ndenumerate(chosen):
        if number >= 0:
            by, edge = float(1 + strength[a, e] * (factor - 1)), edges[e]
            trials[a, e] = [
                Trial((edge.source[0], int(number)), edge.target, int(text), by)
                for text in sampled[e]
            ]
    # Where two rescale the same feature it is one trial.
    every = sorted({trial for each in trials.values() for trial in each})
    found = measured(model, lanes, every, texts, lengths, loss=loss, progress=progress)
    n_positions = np.zeros(len(edges), int)
    for (a, e), each in trials.items():
        if not each:
            continue
        active, before, after, fallen, rises = np.array([found[trial] for trial in each]).T
        n_positions[e] = active.sum()
        values["drop"][a, e] = 1 - after.sum() / before.sum()
        values["fallen"][a, e] = fallen.sum() / active.sum()
        values["loss"][a, e] = rises.mean()
    if not loss:
        del values["loss"]
    each_lane = ("all", *(lane for lane in BEFORE if any(edge.lane == lane for edge in edges)))
    inside = np.array([[lane in ("all", edge.lane) for edge in edges] for lane in each_lane])
    silent = sum(not len(each) for each in sampled)
    said = f", {silent} of them silent in the texts" if silent else ""
    return Effects(
        **provenance(model, seed=seed),
        what=f"{len(edges)} edges by {flow.method}{said}, predecessor × {factor:g}",
        changes=table_of(["change", "lane"], [(n, lane) for lane in each_lane for n in names]),
        controls=table_of(["lane", "kind", "draw"], [(lane, "random", 0) for lane in each_lane]),
        measures=tuple(
            Measure(
                name=name,
                unit=MEASURES[name],
                plain=np.zeros(len(edges)),
                changed=np.where(inside[:, None], own[:-1], np.nan).reshape(-1, len(edges)),
                control=np.where(inside, own[-1], np.nan),
            )
            for name, own in values.items()
        ),
        examples={
            "lane of the edge": tuple(edge.lane for edge in edges),
            "target": tuple(lanes.name(edge.target) for edge in edges),
            **{
                name: tuple(
                    lanes.name((edge.source[0], number)) if number >= 0 else ""
                    for edge, number in zip(edges, row, strict=True)
                )
                for name, row in zip((*names, "random"), chosen, strict=True)
            },
            "similarity": tuple(similarity.tolist()),
            "strength of random": tuple(strength[-1].tolist()),
            "texts": tuple(" ".join(map(str, each)) for each in sampled),
            "n_positions": tuple(n_positions.tolist()),
        },
    )


def _chosen(
    edge: Edge,
    group: Group,
    i: int,
    others: Sequence[tuple[str, FeatureMatches | None]],
    rng: np.random.Generator,
) -> list[int]:
    """The feature that each change and the control rescale, by its number; −1 for none."""
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


def flow_edges(
    flow: FeatureFlow | FeatureMatches, lanes: Lanes, n_edges: int | None, rng: np.random.Generator
) -> tuple[list[Edge], np.ndarray]:
    """The edges to test and their similarities, lane by lane, at most `n_edges` of each.

    Raises `ValueError` where there are none.
    """
    found: list[tuple[Edge, float]] = []
    if isinstance(flow, FeatureFlow):
        for s, t, weight in zip(flow.sources, flow.targets, flow.weights, strict=True):
            source, target = (
                (int(flow.node_sites[node]), int(flow.units[node])) for node in (s, t)
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


def flow_dictionaries(flow: FeatureFlow | FeatureMatches, dicts: Dictionaries | None) -> Lanes:
    """The dictionaries that a flow was made of. Raises as `evaluate_flow`."""
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


def other_way(way: str | FeatureMatches, lanes: Lanes) -> tuple[str, FeatureMatches | None]:
    """A way of matching to compare with: its name and its matches, None for those of the survey."""
    if isinstance(way, FeatureMatches):
        if (way.sites, way.fingerprints) != (lanes.names, lanes.fingerprints):
            raise ValueError("Ways of matching are compared on the same dictionaries.")
        return way.method, way
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


class Group:
    """Edges between the same two dictionaries, and what the texts say of them, batch by batch.

    edges: their numbers. active: (edge, text) positions at which the target is active.
    """

    def __init__(self, source: Dictionary, target: Dictionary, n_texts: int) -> None:
        self.source, self.target, self.n_texts = source, target, n_texts
        self.edges: list[int] = []
        self.targets: list[int] = []

    def begin(self) -> None:
        """Sums over positions, float64, once all edges are known."""
        shape = (len(self.edges), self.source.n_features)
        self.active = np.zeros((len(self.edges), self.n_texts), np.int64)
        self._fired, self._length, self._product = (
            torch.zeros(shape, dtype=torch.float64, device=self.source.device) for _ in range(3)
        )
        self._of_target, self._of_source = Moments(), Moments()

    def add(self, run: Run, tokens: Tokens, first: int) -> None:
        """Count a batch whose first text has the number `first`."""
        mask, source = tokens.mask, self.source
        with torch.no_grad():
            codes, x = (
                self.target.encode_some(run[self.target.site], self.targets),
                run[source.site][mask],
            )
            mask = mask.to(codes.device)
            on = (codes != 0) & mask[..., None]
            self.active[:, first : first + len(codes)] = on.sum(1).T.cpu().numpy()
            other = source.encode(x)
            target, where = codes[mask].to(other), on[mask].to(other)
            size = 1.0 if source.is_transcoder else source.normalization.split(x.to(other))[2]
            self._fired += where.T @ (other != 0).to(other)
            self._length += where.T @ (other.abs() * size)
            self._product += target.T @ other
            self._of_target.add(target)
            self._of_source.add(other)

    @property
    def _n_active(self) -> np.ndarray:
        # Of a target that is never active nothing is asked.
        return np.maximum(self.active.sum(1), 1)[:, None]

    @cached_property
    def rate(self) -> np.ndarray:
        """(edge, feature) at which share of the target's positions each source feature fires."""
        return self._fired.cpu().numpy() / self._n_active

    @cached_property
    def length(self) -> np.ndarray:
        """(edge, feature) the mean length of what each source feature writes there."""
        norms = self.source.W_dec.float().norm(dim=-1).double()
        return (self._length * norms).cpu().numpy() / self._n_active

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
        """The feature that correlates most with target i over all positions, −1 where none does."""
        target, source = self._of_target, self._of_source
        spread = target.std[i] * source.std
        together = self._product[i] / source.n - target.mean[i] * source.mean
        found = torch.where(spread > 0, together / spread, -torch.inf)
        return int(found.argmax()) if bool((spread > 0).any()) else -1


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
    groups: dict[tuple[int, int], Group] = {}
    for number, edge in enumerate(edges):
        key = (edge.source[0], edge.target[0])
        if key not in groups:
            source, target = (lanes.each[site] for site in key)
            groups[key] = Group(source, target, check_texts(texts))
        groups[key].edges.append(number)
        groups[key].targets.append(edge.target[1])
    for group in groups.values():
        group.begin()
    read = sorted({d.site for group in groups.values() for d in (group.source, group.target)})
    lengths: list[int] = []
    for rows, tokens in batches(model, texts, N_TEXTS, title="survey", progress=progress):
        run = model.run(tokens, read=read, logits_at=())
        lengths.extend(tokens.lengths)
        for group in groups.values():
            group.add(run, tokens, rows.start)
    return list(groups.values()), np.array(lengths)


# -- trials: one feature rescaled in a text, and another one read again after it -------------------


class Trial(NamedTuple):
    """A feature rescaled and a target read, each as the number of its dictionary and its own, the
    text's number, and what the rescaled feature's codes are multiplied by.
    """

    source: tuple[int, int]
    target: tuple[int, int]
    text: int
    factor: float


class Moved(NamedTuple):
    """Of one trial, at the positions where the target is active before.

    active: how many. before, after: the target's summed size. fallen: how many fell below half.
    loss: what the mean loss over the text rose by, NaN where not measured.
    """

    active: int
    before: float
    after: float
    fallen: int
    loss: float


def measured(
    model: Model,
    lanes: Lanes,
    trials: Sequence[Trial],
    texts: Any,
    lengths: np.ndarray,
    *,
    loss: bool,
    progress: bool,
) -> dict[Trial, Moved]:
    """What each trial gives. lengths: (text,) tokens of each text.

    Texts of one length run together, so that nothing is padded; each batch runs once plainly, and
    then once for every target's layer with as many rows as there are trials, from that layer on.
    """
    by_text: dict[int, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_text[trial.text].append(trial)
    out: dict[Trial, Moved] = {}
    with tqdm(total=len(trials), desc="edges", disable=not progress) as bar:
        for length in np.unique(lengths[list(by_text)]):
            same = [text for text in sorted(by_text) if lengths[text] == length]
            for start in range(0, len(same), N_TEXTS):
                part = same[start : start + N_TEXTS]
                tokens = some(model, texts, part)
                found = [trial for text in part for trial in by_text[text]]
                done = _Batch(model, lanes, tokens, part, found, loss)
                for site in sorted({trial.target[0] for trial in found}):
                    own = [trial for trial in found if trial.target[0] == site]
                    out |= done.run(site, own)
                    bar.update(len(own))
    return out


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
        used = [self.all[i] for t in trials for i in (t.source[0], t.target[0])]
        layers = {_layer_into(self.all[t.target[0]].out_site) for t in trials}
        entries = {Site("resid_pre", layer) for layer in layers if layer > 0}
        read = sorted(entries | {dictionary.site for dictionary in used})
        self.plain = model.run(tokens, read=read, logits_at=None if loss else ())
        self.plain_loss = self._losses(self.plain, tokens) if loss else None
        self.codes = {
            **self._codes({t.source for t in trials}),
            **self._codes({t.target for t in trials}),
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

    @staticmethod
    def _losses(run: Run, tokens: Tokens) -> np.ndarray:
        """(row,) the mean loss over a text's tokens but the first, in nats."""
        assert run.logits is not None
        log_probs = run.logits.float().log_softmax(-1)
        return text_loss(log_probs, tokens).cpu().numpy()

    def run(self, site: int, trials: Sequence[Trial]) -> dict[Trial, Moved]:
        """The trials of the targets of one dictionary."""
        target = self.all[site]
        before = {t: self.codes[t.target][self.row[t.text]] for t in trials}
        moving = [trial for trial in trials if self._moves(trial, before[trial])]
        spec = self.model.spec
        vectors = 8 + (2 * spec.d_vocab // spec.d_model if self.loss else 0)
        size = tokens_per_pass(vectors, spec.d_model) // self.tokens.n_columns
        parts, _ = in_batches(
            len(moving), size, lambda a, b: self._of_batch(target, moving[a:b], before)
        )
        out = {trial: found for part in parts for trial, found in part.items()}
        # What is not active where the target is cannot move it: nothing is rescaled.
        for trial in trials:
            if trial not in out:
                out[trial] = _compare(before[trial], before[trial], 0.0 if self.loss else np.nan)
        return out

    def _moves(self, trial: Trial, before: torch.Tensor) -> bool:
        """Whether the feature to be rescaled is active anywhere that the target is."""
        own = self.codes[trial.source][self.row[trial.text]]
        return bool(((own != 0) & (before != 0).to(own.device)).any())

    def _of_batch(
        self, target: Dictionary, trials: Sequence[Trial], before: dict[Trial, torch.Tensor]
    ) -> dict[Trial, Moved]:
        """One pass with a row for each trial."""
        rows = [self.row[trial.text] for trial in trials]
        layer = _layer_into(target.out_site)
        edits = []
        for source_site in sorted({trial.source[0] for trial in trials}):
            own = [r for r, trial in enumerate(trials) if trial.source[0] == source_site]
            numbers = sorted({trials[r].source[1] for r in own})
            where = torch.stack([before[trials[r]] != 0 for r in own])
            factor = torch.ones(*where.shape, len(numbers), device=where.device)
            for i, r in enumerate(own):
                column = factor[i, :, numbers.index(trials[r].source[1])]
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
            wanted = sorted({trial.target[1] for trial in trials})
            codes = target.encode_some(run[target.site], wanted)
        rises = np.full(len(trials), np.nan)
        if self.plain_loss is not None:
            rises = self._losses(run, tokens) - self.plain_loss[rows]
        return {
            trial: _compare(
                before[trial], codes[r, :, wanted.index(trial.target[1])], float(rises[r])
            )
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


def _compare(before: torch.Tensor, after: torch.Tensor, loss: float) -> Moved:
    """(pos,) codes of the target before and after, at the positions where it is active before."""
    on = before != 0
    was = before[on].double().abs()
    now = after[on].double() * before[on].double().sign()
    fallen = int((now < was / 2).sum())
    return Moved(int(on.sum()), float(was.sum()), float(now.sum()), fallen, loss)
