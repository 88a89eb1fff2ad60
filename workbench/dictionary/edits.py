"""Edits of features: what a run changes in the codes of a dictionary; the rest stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..check import checked, tensor, vectors
from ..edits import Edit, broadcast
from .base import Dictionary


@checked
@dataclass(frozen=True, eq=False, repr=False)
class DictionaryEdit(Edit):
    """An edit at a dictionary's `out_site`; it needs the activation that the dictionary reads.

    Rows, positions: as in `Edit`. Subclasses give the new activation in `change(x, now)`.
    """

    # The dictionary says where; a transcoder reads one site and changes another.
    site: Any = field(default=None, init=False)
    needs: Any = field(default=(), init=False)
    dictionary: Dictionary

    def __post_init__(self) -> None:
        object.__setattr__(self, "site", self.dictionary.out_site)
        needs = (self.dictionary.site,) if self.dictionary.is_transcoder else ()
        object.__setattr__(self, "needs", needs)
        super().__post_init__()

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        x = needed[0] if needed else activation
        return self.change(x, activation).to(activation)

    def change(self, x: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        """The new activation at `out_site`, from what was read and what is there now."""
        raise TypeError(f"{type(self).__name__} has no change(x, now); define it in the subclass.")


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Splice(DictionaryEdit):
    """Put the reconstruction in place of the activation: the error is dropped."""

    def change(self, x: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        return self.dictionary.reconstruct(x)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class SomeFeatures(DictionaryEdit):
    """An edit of some features' codes; other features and the error stay as they are.

    features: numbers or names; held as numbers. Subclasses give the new codes in `renewed(codes)`.
    """

    features: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "features", feature_numbers(self.dictionary, self.features))

    def change(self, x: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        dictionary, features = self.dictionary, list(self.features)
        codes = dictionary.encode_some(x, features)
        renewed = broadcast(self.renewed(codes), codes)
        vectors("now", now, dictionary.d_out)
        return now + dictionary.written(renewed - codes, x, features).to(now)

    def renewed(self, codes: torch.Tensor) -> torch.Tensor:
        """(row, pos, n) the codes of the features as they are → as they should be."""
        raise TypeError(f"{type(self).__name__} has no renewed(codes); define it in the subclass.")


@checked
@dataclass(frozen=True, eq=False, repr=False)
class SetFeatures(SomeFeatures):
    """Put `values` in place of the codes of `features`; other features and the error stay.

    features: numbers or names. values: one number, one a feature, or what broadcasts to
    (row, pos, n). 0 is zero ablation.
    """

    values: Any = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        tensor("values", self.values)

    def renewed(self, codes: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.values, dtype=codes.dtype, device=codes.device)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class ScaleFeatures(SomeFeatures):
    """Multiply the codes of `features` by `factor`: 0 removes them, 2 doubles them.

    features: numbers or names. factor: one number, one a feature, or what broadcasts to
    (row, pos, n).
    """

    factor: Any = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        tensor("factor", self.factor)

    def renewed(self, codes: torch.Tensor) -> torch.Tensor:
        factor = torch.as_tensor(self.factor, dtype=codes.dtype, device=codes.device)
        return codes * broadcast(factor, codes)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class KeepFeatures(DictionaryEdit):
    """Keep the codes of some features; the others carry `values`, the error `error`.

    kept: (feature,) bool. values: what broadcasts to (row, pos, feature). error: None keeps the
    error as it is, a tensor that broadcasts to (row, pos, d_out) takes its place.
    """

    kept: Any
    values: Any = 0.0
    error: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if tuple(self.kept.shape) != (self.dictionary.n_features,):
            raise ValueError(
                f"kept has one value for each of {self.dictionary.n_features} features; got shape "
                f"{tuple(self.kept.shape)}."
            )

    def change(self, x: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        dictionary = self.dictionary
        codes = dictionary.encode(x)
        kept = torch.as_tensor(self.kept, device=codes.device)
        values = torch.as_tensor(self.values, dtype=codes.dtype, device=codes.device)
        if self.error is None:
            # Only what changes is written, so that a circuit of everything is the model itself.
            return now + dictionary.written((values - codes) * ~kept, x).to(now)
        error = torch.as_tensor(self.error, dtype=codes.dtype, device=codes.device)
        return dictionary.decode(codes.where(kept, values), x) + error


def feature_numbers(dictionary: Dictionary, features: Any) -> tuple[int, ...]:
    """The numbers of one or several features, given as numbers, names or sites.

    Raises `ValueError` for none, for one that stands twice, and for one that is not there.
    """
    given: Any = features.tolist() if hasattr(features, "tolist") else features
    several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    given = list(given) if several else [given]
    numbers = tuple(dictionary.check_feature(each) for each in given)
    if not numbers or len(set(numbers)) != len(numbers):
        raise ValueError(
            f"Features are at least one number, each once; got {features!r} for {dictionary!r}."
        )
    return numbers
