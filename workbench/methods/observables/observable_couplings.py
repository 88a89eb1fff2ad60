"""Couplings: how much observables move together at one site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...check import checked
from ...result import Result, axes
from .observable_vector import ObservableVector, check_together


@dataclass(frozen=True, eq=False, repr=False)
class Couplings(Result):
    """The coupling coefficients of vectors that read one residual stream.

    names: one a vector. coefficients: (moved, follows), v·w / v·v: by how much the observable of w
    is expected to move when that of v moves by 1, over streams of which nothing else is known.
    cosines: (moved, follows), symmetric; 1 where the two are one feature at two sizes.
    """

    site: str
    names: tuple[str, ...]
    coefficients: np.ndarray = axes("moved follows")
    cosines: np.ndarray = axes("moved follows")

    picture = "observables.couplings"

    def to_frame(self) -> pd.DataFrame:
        """The coefficients as a square table: a row moves by 1, a column follows."""
        rows = pd.Index(self.names, name="moved")
        return pd.DataFrame(self.coefficients, rows, pd.Index(self.names, name="follows"))

    def _facts(self) -> str:
        return f"{len(self.names)} observables at {self.site}"


@checked
def couplings(vectors: Sequence[ObservableVector]) -> Couplings:
    """The coupling coefficients between vectors, each with each, as `Couplings`.

    Raises `ValueError` for no vectors, vectors of zeros, and several models or sites.

    Source: Dunefsky and Cohan 2023, "Observable Propagation" (arXiv:2312.16291), section 3:
    the coupling coefficient.
    """
    check_together(vectors)
    first = vectors[0]
    stacked = np.stack([each.vector.astype(np.float64) for each in vectors])
    products = stacked @ stacked.T
    squares = np.diag(products)
    return Couplings(
        model=first.model,
        revision=first.revision,
        versions=first.versions,
        seed=None,
        tokens=(),
        site=first.site,
        names=vector_names(vectors),
        coefficients=products / squares[:, None],
        cosines=products / np.sqrt(squares[:, None] * squares),
    )


def vector_names(vectors: Sequence[ObservableVector]) -> tuple[str, ...]:
    """The observables, with their paths where one observable comes by several."""
    names = [each.observable for each in vectors]
    if len(set(names)) < len(names):
        names = [f"{each.observable} by {each.name}" for each in vectors]
    return tuple(names)
