"""Node references: what a node carries where it is outside a circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...model import Model, Run
from ...site import Site
from ...tasks import Examples, Group, tokens_per_pass
from .node_bases import Basis, Codes

#: What a node that is not in the circuit carries; the error of a dictionary is a node too.
REFERENCES = {
    "mean": "its mean over the task's clean prompts and positions",
    "mean-position": "its mean at each position over the clean prompts of that length, where there "
    "are two or more; else its mean",
    "counterfactual": "what it carries in the paired corrupt prompt",
    "zero": "0",
}


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
