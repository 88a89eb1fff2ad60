"""Lenses that translate the residual stream before it is read: which rows, for which model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from ..model import Model
from ..result import Result, axes
from ..writers import Writer


@runtime_checkable
class Translator(Protocol):
    """A lens that maps residual vectors into the final layer's terms before they are read."""

    @property
    def lens_name(self) -> str: ...

    def check(self, model: Model) -> None:
        """Raise `ValueError` where the lens was made for another model."""

    def chosen(self, writers: Sequence[Writer]) -> list[Writer]:
        """The writers that it has a translator for."""
        ...

    def translate(self, resid: torch.Tensor, writer: Writer) -> torch.Tensor:
        """(pos, d_model) → (pos, d_model)."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class TranslatingLens(Result):
    """A lens with one map a row into the terms of the final residual stream.

    rows: labels of the rows that have a map, as in a panel of "resid_post": "embed", "L0", …;
    the last layer needs none.
    """

    #: Of the model that it was made for.
    n_layers: int
    rows: tuple[str, ...]
    matrix: np.ndarray = axes("row d_model d_model", note="a residual vector x becomes matrix @ x")

    @property
    def lens_name(self) -> str:
        raise TypeError(f"{type(self).__name__} gives its lens_name; define it in the subclass.")

    @property
    def d_model(self) -> int:
        return self.matrix.shape[-1]

    def check(self, model: Model) -> None:
        """Raises `ValueError` unless the model is the one that the lens was made for."""
        spec = model.spec
        mine = (self.model, self.n_layers, self.d_model)
        theirs = (spec.name, spec.n_layers, spec.d_model)
        if mine != theirs:
            name, n_layers, width = mine
            raise ValueError(
                f"This {self.lens_name} was made for {name} ({n_layers} layers, width {width}); "
                f"{theirs[0]} has {theirs[1]} layers and width {theirs[2]}. "
                "Make one for this model, or load the other."
            )

    def chosen(self, writers: Sequence[Writer]) -> list[Writer]:
        """Of the writers those that the lens can read; the last layer is read as it is."""
        last = f"L{self.n_layers - 1}"
        return [w for w in writers if w.label in self.rows or w.label == last]
