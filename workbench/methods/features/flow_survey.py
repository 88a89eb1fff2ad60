"""The survey before a validation: where targets fire, and what fires in each dictionary there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...activations import batches, check_texts
from ...model import Model
from .lanes import Lanes

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
    batch_size: int = 16,
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
    for rows, tokens in batches(model, texts, batch_size, title="survey", progress=progress):
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
