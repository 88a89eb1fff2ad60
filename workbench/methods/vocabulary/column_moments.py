"""Column moments: mean and spread of a direction's numbers over the vocabulary, without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .projection import Projection

#: Columns of a projection that are looked at at once.
COLUMNS = 8192


@dataclass(frozen=True, eq=False)
class ColumnMoments:
    """Mean (d_model,) and covariance (d_model, d_model) of a projection's columns, in float64.

    The numbers of a direction d over the vocabulary then have the mean d · mean and the variance
    d · covariance · d: exact, and as cheap for a whole layer as a few tokens are.
    """

    projection: Projection
    mean: torch.Tensor
    covariance: torch.Tensor

    @classmethod
    def of(cls, projection: Projection) -> ColumnMoments:
        n, d_model = projection.d_vocab, projection.matrix.shape[0]
        mean = projection.matrix.new_zeros(d_model, dtype=torch.float64)
        covariance = mean.new_zeros(d_model, d_model)
        with torch.no_grad():
            for start in range(0, n, COLUMNS):
                mean += columns(projection, slice(start, start + COLUMNS)).sum(1) / n
            for start in range(0, n, COLUMNS):
                # Less the mean before anything is squared: nothing cancels afterwards.
                some = columns(projection, slice(start, start + COLUMNS))
                centred = (some - mean[:, None]).float()
                covariance += (centred @ centred.T).double() / n
        return cls(projection, mean, covariance)

    def standard_scores(self, directions: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
        """(n, id) float32: tokens' numbers in standard deviations from each direction's mean.

        directions: (n, d_model). 0 for a direction whose numbers are all equal.
        """
        prepared = self.projection.prepare(directions).double()
        values = prepared @ columns(self.projection, list(ids))
        centred = values - (prepared @ self.mean)[:, None]
        deviation = ((prepared @ self.covariance) * prepared).sum(-1).clamp(min=0).sqrt()
        some = deviation > 0
        return (centred * some[:, None] / deviation.where(some, 1)[:, None]).float()


def columns(projection: Projection, chosen: slice | list[int]) -> torch.Tensor:
    """(d_model, column) float64: columns of the matrix with their scale."""
    some = projection.matrix[:, chosen].double() * projection.scale
    return some if projection.column_scale is None else some * projection.column_scale[chosen]
