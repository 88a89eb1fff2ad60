"""The test of an edge: one feature rescaled in a text, and another one read again after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from ...dictionary.base import Dictionary, ScaleFeatures
from ...memory import in_portions
from ...model import Model, Resume, Run
from ...site import Site
from ...tokens import Tokens
from ..examples import tokens_per_pass
from .flow_survey import Edge
from .lanes import Lanes


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
    batch_size: int,
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
            for start in range(0, len(same), batch_size):
                part = same[start : start + batch_size]
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
