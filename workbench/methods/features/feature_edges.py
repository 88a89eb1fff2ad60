"""Feature edges: what a node of a feature circuit does to another, and to the metric, directly."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...edits import Edit, UnchangedEdit
from ...model import Metric, Model, Resume, Run
from ...site import Site
from ...tasks import TOKENS_PER_PASS, Examples, Group
from .node_bases import Codes, FeatureBasis
from .node_references import References, parts_of, sites_of

Chosen = Mapping[Site, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class _Detach(Edit):
    """The activation as it is, but nothing flows back through it."""

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return activation.detach()


@dataclass(frozen=True)
class Edges:
    """Edges between chosen nodes: positions in the list of all chosen nodes, site by site.

    to_logits: (node,) what each node adds to the metric with no other site in between.
    """

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    to_logits: np.ndarray


def feature_edges(
    model: Model,
    examples: Examples,
    bases: Sequence[FeatureBasis],
    chosen: Chosen,
    reference: str,
) -> Edges:
    """The direct effect of every chosen node on every later one, and of that one on the metric.

    chosen: by site, numbers of its nodes; the error is the last node of a site. The weight of u → d
    is Σ over positions of ∂m/∂d · ∂d/∂u · (u − its reference) at the clean run, where what flows
    through the node sites between u and d is held: one vector-Jacobian product a node d. Means over
    the examples.

    Source: Marks et al. (2024), equation 5.
    """
    first: dict[Site, int] = {}
    n = 0
    for basis in bases:
        if basis.site in chosen:
            first[basis.site] = n
            n += len(chosen[basis.site])
    weights, to_logits = np.zeros((n, n)), np.zeros(n)
    references = References.of(model, bases, examples, reference)
    for part in parts_of(examples, bases):
        work = _Part(model, part, bases, chosen, references)
        for target in work.with_nodes:
            at = slice(first[target.site], first[target.site] + len(chosen[target.site]))
            for source, found in work.into(target):
                start = first[source.site]
                weights[start : start + found.shape[1], at] += found.T
        for source, found in work.into_logits():
            start = first[source.site]
            to_logits[start : start + len(found)] += found
    weights /= len(examples.batch)
    sources, targets = np.nonzero(weights)
    return Edges(sources, targets, weights[sources, targets], to_logits / len(examples.batch))


class _Part:
    """Examples that run together: their clean codes, gradients, and differences."""

    def __init__(
        self,
        model: Model,
        part: Group,
        bases: Sequence[FeatureBasis],
        chosen: Chosen,
        references: References,
    ) -> None:
        self.model, self.part, self.chosen = model, part, chosen
        self.bases = bases
        self.with_nodes = [basis for basis in bases if basis.site in chosen]
        entries = {Site("resid_pre", basis.site.layer) for basis in bases}
        read = sorted({*sites_of(bases), *entries})
        self.clean = model.run(part.batch.clean, read=read, grad_of=part.metric, logits_at="last")
        corrupt = references.run(part)
        self.differences: dict[Site, Codes] = {}
        for basis in bases:
            now = basis.codes(self.clean)
            self.differences[basis.site] = now - references.codes(basis, part, corrupt)

    def into(self, target: FeatureBasis) -> list[tuple[FeatureBasis, np.ndarray]]:
        """For each source of a site (target node, source node), summed over the examples."""
        before = [basis for basis in self.bases if basis.site < target.site]
        start = self._start(target.dictionary.site, before)
        read = {basis.site: self._as_read(basis.site, start) for basis in before}
        held = sorted({at for at in read.values() if at is not None})
        sources = [
            (basis, at)
            for basis in before
            if basis.site in self.chosen and (at := read[basis.site]) is not None
        ]
        if not sources:
            return []
        numbers = self.chosen[target.site]
        most = max(1, TOKENS_PER_PASS // (len(self.part) * self.part.n_positions))
        found: dict[Site, list[np.ndarray]] = {basis.site: [] for basis, _ in sources}
        for begin in range(0, len(numbers), most):
            few = numbers[begin : begin + most]
            pulled = self._pulled_back(target, few, held, start)
            for basis, at in sources:
                if at not in pulled:
                    found[basis.site].append(np.zeros((len(few), len(self.chosen[basis.site]))))
                    continue
                grads = pulled[at].unflatten(0, (len(few), len(self.part)))
                found[basis.site].append(np.stack([self._scores(basis, one) for one in grads]))
        return [(basis, np.concatenate(found[basis.site])) for basis, _ in sources]

    def into_logits(self) -> list[tuple[FeatureBasis, np.ndarray]]:
        """For each site (node,) what its chosen nodes add to the metric directly."""
        sites = [basis.site for basis in self.bases]
        run = _quiet_run(
            self.model,
            self.part.batch.clean,
            read=sites,
            edits=[_Detach(site) for site in sites],
            grad_of=self.part.metric,
            logits_at="last",
        )
        return [(basis, self._scores(basis, run.grad(basis.site))) for basis in self.with_nodes]

    def _scores(self, basis: FeatureBasis, grad: torch.Tensor) -> np.ndarray:
        """(node,) Σ difference · gradient of the chosen nodes, over examples and positions."""
        nodes = self.chosen[basis.site]
        return basis.effects_of(nodes, self.differences[basis.site], grad, self.clean)

    def _start(self, read: Site, sources: Sequence[FeatureBasis]) -> int:
        """The layer that a pass to `read` may start at: what lies before is held at a source."""
        last = read.layer or 0
        held = [
            (basis.site.layer or 0) + (basis.site.stream == "resid_post")
            for basis in sources
            if basis.site.stream in ("resid_pre", "resid_post")
        ]
        return max((layer for layer in held if layer <= last), default=0)

    def _as_read(self, site: Site, start: int) -> Site | None:
        """The source as a pass that starts at a layer reads it; None for what lies before that."""
        layer = site.layer or 0
        if site.stream == "resid_post" and layer == start - 1:
            return Site("resid_pre", start)
        return site if layer >= start else None

    def _pulled_back(
        self, target: FeatureBasis, numbers: np.ndarray, read: Sequence[Site], start: int
    ) -> dict[Site, torch.Tensor]:
        """Rows (target node, example): the gradient of ∂m/∂d · d where the pass is held.

        Without the sites that the nodes cannot depend on: a transcoder's features see nothing
        between what it reads and what it decodes.
        """
        n, dictionary = len(self.part), target.dictionary
        rows = list(range(n)) * len(numbers)
        grad = self.clean.grad(target.site)
        at_codes = dictionary.pull_back(grad, self.clean[dictionary.site])
        grad, of_error = grad.to(at_codes), dictionary.n_features

        def metric(x: torch.Tensor) -> torch.Tensor:
            """(row,) each row's own node, weighted; the error less x itself for a transcoder."""
            codes = dictionary.encode(x)
            parts = []
            for i, number in enumerate(numbers.tolist()):
                own = slice(i * n, (i + 1) * n)
                if number < of_error:
                    parts.append((at_codes[..., number] * codes[own, :, number]).sum(-1))
                else:
                    rest = -dictionary.decode(codes[own], x[own])
                    rest = rest if dictionary.is_transcoder else rest + x[own].to(rest)
                    parts.append((grad * rest).sum((-1, -2)))
            return torch.cat(parts)

        def output(x: torch.Tensor) -> torch.Tensor:
            """(row,) the part of a transcoder's error that is the site's own activation."""
            weight = torch.as_tensor(numbers == of_error, device=x.device).repeat_interleave(n)
            return weight * (grad.repeat(len(numbers), 1, 1) * x.to(grad)).sum((-1, -2))

        resume = Resume(start, self._entry(start)[rows], rows=rows)

        def pulled(read: Sequence[Site], of: Metric, at: Site) -> Mapping[Site, torch.Tensor]:
            edits = [_Detach(site) for site in read]
            options: dict[str, Any] = {"read": read, "edits": edits, "resume": resume}
            run = _quiet_run(self.model, self.part.batch.clean, grad_of=of, grad_at=at, **options)
            return run.grads

        grads: dict[Site, torch.Tensor] = {}
        if before := [site for site in read if site <= dictionary.site]:
            grads |= pulled(before, metric, dictionary.site)
        if dictionary.is_transcoder and of_error in numbers:
            for site, grad_at_site in pulled(read, output, target.site).items():
                grads[site] = grads[site] + grad_at_site if site in grads else grad_at_site
        return grads

    def _entry(self, start: int) -> torch.Tensor:
        for site in (Site("resid_pre", start), Site("resid_post", start - 1) if start else None):
            if site is not None and site in self.clean.activations:
                return self.clean[site]
        site = Site("resid_pre", start)
        return self.model.run(self.part.batch.clean, read=site, logits_at=())[site]


def _quiet_run(model: Model, tokens: Any, **options: Any) -> Run:
    """A run whose edits are meant to leave the numbers as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnchangedEdit)
        return model.run(tokens, **options)
