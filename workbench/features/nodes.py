"""Nodes: what they are at a site (features and an error, neurons, heads), and carry elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..dictionary.base import Dictionary, KeepFeatures
from ..dictionary.collection import Dictionaries
from ..edits import Edit
from ..model import Model, ModelSpec, Run
from ..site import Site
from ..tasks import Examples, Group, tokens_per_pass

#: What a node that is not in the circuit carries; the error of a dictionary is a node too.
REFERENCES = {
    "mean": "its mean over the task's clean prompts and positions",
    "mean-position": "its mean at each position over the clean prompts of that length, where there "
    "are two or more; else its mean",
    "counterfactual": "what it carries in the paired corrupt prompt",
    "zero": "0",
}


@dataclass(frozen=True)
class Codes:
    """What the nodes of a site carry.

    values: (example, pos, node), for heads (example, pos, head, d_head). error: (example, pos,
    d_out), None where nothing is left over. A reference may have fewer leading axes.
    """

    values: torch.Tensor
    error: torch.Tensor | None = None

    def __sub__(self, other: Codes) -> Codes:
        error = None
        if self.error is not None and other.error is not None:
            error = self.error - other.error
        return Codes(self.values - other.values, error)

    def total(self) -> Codes:
        """The sum over examples and positions, in double precision."""
        error = None if self.error is None else self.error.double().sum((0, 1))
        return Codes(self.values.double().sum((0, 1)), error)

    def mean(self, axis: int) -> Codes:
        """The mean over an axis, which stays with length 1."""
        error = None if self.error is None else self.error.mean(axis, keepdim=True)
        return Codes(self.values.mean(axis, keepdim=True), error)

    def scaled(self, factor: float) -> Codes:
        error = None if self.error is None else self.error * factor
        return Codes(self.values * factor, error)

    def plus(self, other: Codes) -> Codes:
        return self - other.scaled(-1.0)


@dataclass(frozen=True)
class FeatureBasis:
    """The features of a dictionary and its error, the last node.

    site: where gradients are read and edits act.
    """

    dictionary: Dictionary
    site: Site = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "site", self.dictionary.out_site)

    @property
    def reads(self) -> tuple[Site, ...]:
        """What has to be read to know the codes."""
        return tuple(dict.fromkeys((self.dictionary.site, self.site)))

    @property
    def names(self) -> Sequence[str]:
        """Of each node, like "L3.resid_post/123", "L3.resid_post/error"."""
        return [f"{self.site}/{f}" for f in range(self.dictionary.n_features)] + [
            f"{self.site}/error"
        ]

    @property
    def n_nodes(self) -> int:
        return self.dictionary.n_features + 1

    def codes(self, run: Run) -> Codes:
        """What the nodes carry in a run that read `reads`."""
        x = run[self.dictionary.site]
        values = self.dictionary.encode(x)
        return Codes(values, run[self.site].to(values) - self.dictionary.decode(values, x))

    def effects(self, difference: Codes, grad: torch.Tensor, run: Run) -> torch.Tensor:
        """(example, node): difference · gradient, summed over positions. run: what was read."""
        assert difference.error is not None
        at_codes = self.dictionary.pull_back(grad, run[self.dictionary.site])
        features = (at_codes * difference.values).sum(1)
        error = (grad.to(difference.error) * difference.error).sum((1, 2))
        return torch.cat([features, error[:, None]], dim=-1)

    def effects_between(self, clean: Run, corrupt: Run, grad: torch.Tensor) -> torch.Tensor:
        """(example, node): `effects` of what differs between two runs of as many tokens."""
        read, made = self.dictionary.site, self.dictionary
        moved = (clean[read] != corrupt[read]).any(-1) | (
            clean[self.site] != corrupt[self.site]
        ).any(-1)
        # Encoding is what costs: positions before the first token that differs, and those from
        # which nothing reaches the metric, are left out.
        at = torch.nonzero(moved & (grad != 0).any(-1), as_tuple=True)
        out = made.W_dec.new_zeros(len(grad), self.n_nodes)
        if not len(at[0]):
            return out
        x, other, own = clean[read][at], corrupt[read][at], grad[at]
        codes, other_codes = made.encode(torch.cat([x, other])).chunk(2)
        product = made.pull_back(own, x) * (codes - other_codes)
        now, then = (run[self.site][at].to(product) for run in (clean, corrupt))
        if made.decodes_with_x:
            change = now - made.decode(codes, x) - (then - made.decode(other_codes, other))
            error = (own.to(product) * change).sum(-1)
        else:
            # What the codes write is linear in them, and has been multiplied already.
            error = (own.to(product) * (now - then)).sum(-1) - product.sum(-1)
        rows = at[0].to(out.device)
        out[:, :-1].index_add_(0, rows, product)
        out[:, -1].index_add_(0, rows, error)
        return out

    def effects_of(
        self, nodes: np.ndarray, difference: Codes, grad: torch.Tensor, run: Run
    ) -> np.ndarray:
        """(node,) float64: `effects` of some nodes alone, summed over the examples."""
        assert difference.error is not None
        out = np.zeros(len(nodes))
        is_error = nodes == self.dictionary.n_features
        few = nodes[~is_error].tolist()
        at_codes = self.dictionary.pull_back(grad, run[self.dictionary.site], few)
        out[~is_error] = (at_codes * difference.values[..., few]).double().sum((0, 1)).cpu()
        if is_error.any():
            out[is_error] = float((grad.to(difference.error) * difference.error).double().sum())
        return out

    def written(self, difference: Codes, run: Run) -> torch.Tensor:
        """What a difference of codes changes at the site."""
        assert difference.error is not None
        x = run[self.dictionary.site]
        return self.dictionary.written(difference.values, x) + difference.error

    def edit(self, kept: torch.Tensor, reference: Codes, rows: Sequence[int] | None) -> Edit:
        """Nodes outside `kept`, (node,) bool, carry the reference, in the given rows."""
        error = None if bool(kept[-1]) else reference.error
        return KeepFeatures(self.dictionary, kept[:-1], reference.values, error, rows=rows)


@dataclass(frozen=True)
class PlainBasis:
    """What the model itself is made of, with nothing left over; asked as a `FeatureBasis`.

    Heads at z; neurons at mlp_post; the axes of the activation's own space at any other site.
    """

    site: Site
    spec: ModelSpec

    @property
    def reads(self) -> tuple[Site, ...]:
        return (self.site,)

    @property
    def names(self) -> Sequence[str]:
        layer = self.site.layer
        if self.site.stream == "z":
            return [f"L{layer}H{head}.z" for head in range(self.n_nodes)]
        return [f"{self.site}/{unit}" for unit in range(self.n_nodes)]

    @property
    def n_nodes(self) -> int:
        if self.site.stream == "z":
            return self.spec.n_heads
        return self.spec.d_mlp if self.site.axes[-1] == "d_mlp" else self.spec.d_model

    def codes(self, run: Run) -> Codes:
        return Codes(run[self.site])

    def effects(self, difference: Codes, grad: torch.Tensor, run: Run) -> torch.Tensor:
        product = difference.values * grad
        return product.sum((1, 3)) if self.site.stream == "z" else product.sum(1)

    def effects_between(self, clean: Run, corrupt: Run, grad: torch.Tensor) -> torch.Tensor:
        return self.effects(self.codes(clean) - self.codes(corrupt), grad, clean)

    def written(self, difference: Codes, run: Run) -> torch.Tensor:
        return difference.values

    def edit(self, kept: torch.Tensor, reference: Codes, rows: Sequence[int] | None) -> Edit:
        mask = kept[:, None] if self.site.stream == "z" else kept
        return _Keep(self.site, mask, reference.values, rows=rows)


#: The nodes of one site: `n_nodes` of them, the error last where there is one.
Basis = FeatureBasis | PlainBasis


@dataclass(frozen=True, eq=False, repr=False)
class _Keep(Edit):
    """Where `kept` is False the activation carries `values`."""

    kept: Any
    values: Any

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return activation.where(self.kept, self.values.to(activation))


def feature_bases(dicts: Dictionaries) -> list[Basis]:
    """One basis a dictionary, in the order of a forward pass."""
    return [FeatureBasis(dictionary) for dictionary in dicts.values()]


def plain_bases(spec: ModelSpec) -> list[Basis]:
    """Every head and every neuron of a model."""
    sites = [Site(s, layer) for layer in range(spec.n_layers) for s in ("z", "mlp_post")]
    return [PlainBasis(spec.check(site), spec) for site in sites]


def check_reference(kind: str) -> None:
    """Raises `ValueError` for what is no kind of reference."""
    if kind not in REFERENCES:
        raise ValueError(f"A reference is one of {', '.join(REFERENCES)}; got {kind!r}.")


def sites_of(bases: Sequence[Basis]) -> list[Site]:
    """What has to be read for all the bases."""
    return sorted({site for basis in bases for site in basis.reads})


def parts_of(examples: Examples, bases: Sequence[Basis], n_rows: int = 1) -> list[Group]:
    """The examples in groups of equal length, each small enough for one pass.

    n_rows: rows that one example takes in it.
    """
    width = sum(basis.n_nodes for basis in bases)
    n_tokens = tokens_per_pass(4 * len(bases) + 2, max(1, width // len(bases))) // n_rows
    return [part for group in examples.groups for part in group.split(max(1, n_tokens))]


@dataclass(frozen=True)
class References:
    """The reference of every basis, for any part of the examples.

    means: by site, (node) over all clean tokens. by_position: for each length of prompt the same
    at each position, (1, pos, node). Both are empty where the kind does not need them.
    """

    model: Model
    bases: Sequence[Basis]
    kind: str
    means: dict[Site, Codes]
    by_position: dict[int, dict[Site, Codes]]

    @classmethod
    def of(cls, model: Model, bases: Sequence[Basis], examples: Examples, kind: str) -> References:
        """Raises as `check_reference`."""
        check_reference(kind)
        means: dict[Site, Codes] = {}
        by_position: dict[int, dict[Site, Codes]] = {}
        if kind not in ("mean", "mean-position"):
            return cls(model, bases, kind, means, by_position)
        counts: dict[int, int] = {}
        for part in parts_of(examples, bases):
            run = model.run(part.batch.clean, read=sites_of(bases), logits_at=())
            length = part.n_positions
            counts[length] = counts.get(length, 0) + len(part)
            sums = by_position.setdefault(length, {})
            for basis in bases:
                found = basis.codes(run)
                added = found.mean(0).scaled(len(part))
                sums[basis.site] = sums[basis.site].plus(added) if basis.site in sums else added
        n_tokens = sum(length * n for length, n in counts.items())
        for basis in bases:
            site = basis.site
            totals = [by_position[length][site].total() for length in counts]
            whole = totals[0]
            for other in totals[1:]:
                whole = whole.plus(other)
            whole = whole.scaled(1 / n_tokens)
            like = by_position[next(iter(counts))][site].values
            error = None if whole.error is None else whole.error.to(like)
            means[site] = Codes(whole.values.to(like), error)
            for length, n in counts.items():
                # The mean over one prompt would leave it as it is.
                one = by_position[length][site]
                by_position[length][site] = one.scaled(1 / n) if n > 1 else means[site]
        return cls(model, bases, kind, means, by_position if kind == "mean-position" else {})

    def run(self, part: Group) -> Run | None:
        """The corrupt run that a counterfactual reference is read from, None for other kinds."""
        if self.kind != "counterfactual":
            return None
        return self.model.run(part.batch.corrupt, read=sites_of(self.bases), logits_at=())

    def codes(self, basis: Basis, part: Group, corrupt: Run | None) -> Codes:
        """The basis' reference for a part, which broadcasts to the codes of its clean run.

        corrupt: as `run` gave it.
        """
        if corrupt is not None:
            return basis.codes(corrupt)
        if self.kind == "mean":
            return self.means[basis.site]
        if self.kind == "mean-position":
            return self.by_position[part.n_positions][basis.site]
        zero = torch.zeros((), device=self.model.spec.device)
        return Codes(zero, zero)
