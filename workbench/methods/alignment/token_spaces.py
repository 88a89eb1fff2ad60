"""Token spaces: the tokens of two models as vectors, and their products with one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ...model import Model
from ...tokens import token_strings
from ..vocabulary.projection import (
    NormChoice,
    Projection,
    n_words,
    reading_projection,
    writing_projection,
)

SpaceName = Literal["writing", "reading"]
#: Tokens that are multiplied at a time.
CHUNK = 4096
#: Fewer tokens than this in common say nothing about two models.
FEWEST = 16


@dataclass(frozen=True, eq=False)
class TokenSpace:
    """The compared tokens as columns of one projection, centred over these tokens.

    ids: (token,) which columns. mean: (d_model,) float32.
    """

    projection: Projection
    ids: torch.Tensor
    mean: torch.Tensor

    @classmethod
    def of(cls, projection: Projection, ids: np.ndarray) -> TokenSpace:
        matrix = projection.matrix
        at = torch.as_tensor(ids, dtype=torch.int64, device=matrix.device)
        space = cls(projection, at, torch.zeros(len(matrix), device=matrix.device))
        total = sum(space.rows(part).double().sum(0) for part in torch.arange(len(at)).split(CHUNK))
        assert not isinstance(total, int)
        return cls(projection, at, (total / len(at)).float())

    def rows(self, numbers: torch.Tensor) -> torch.Tensor:
        """(token, d_model) float32: some of the tokens, by their number among those compared."""
        ids = self.ids[numbers.to(self.ids.device)]
        out = self.projection.matrix[:, ids].T.float()
        if self.projection.column_scale is not None:
            out = out * self.projection.column_scale[ids, None]
        return out - self.mean

    def prepare(self, directions: torch.Tensor) -> torch.Tensor:
        """(…, d_model) float32: through the norm of the projection, at the length they have."""
        norm = self.projection.norm
        through = directions if norm is None else norm.center(directions) * norm.weight
        return through.float()


def token_product(a: TokenSpace, b: TokenSpace, order: np.ndarray | None = None) -> torch.Tensor:
    """(d_model of a, d_model of b): Σ over tokens of a's column times b's, both centred.

    order: (token,) which token of b stands for each of a; None for its own.
    """
    numbers = torch.arange(len(a.ids))
    others = numbers if order is None else torch.as_tensor(order)
    out = torch.zeros(len(a.mean), len(b.mean), device=a.mean.device)
    for own, other in zip(numbers.split(CHUNK), others.split(CHUNK), strict=True):
        out += a.rows(own).T @ b.rows(other).to(out.device)
    return out


@dataclass(frozen=True, eq=False)
class Spaces:
    """The tokens of two models, for what is written and what is read, and their products.

    own: by space, the products of each model's tokens with themselves.
    """

    a: dict[SpaceName, TokenSpace]
    b: dict[SpaceName, TokenSpace]
    own: dict[SpaceName, tuple[torch.Tensor, torch.Tensor]]

    @classmethod
    def of(
        cls,
        model_a: Model,
        model_b: Model,
        names: Sequence[SpaceName],
        norm: NormChoice,
        ids: tuple[np.ndarray, np.ndarray],
    ) -> Spaces:
        def spaces(model: Model, at: np.ndarray) -> dict[SpaceName, TokenSpace]:
            make = {"writing": writing_projection, "reading": reading_projection}
            return {name: TokenSpace.of(make[name](model, norm), at) for name in names}

        a, b = spaces(model_a, ids[0]), spaces(model_b, ids[1])
        own: dict[SpaceName, tuple[torch.Tensor, torch.Tensor]] = {
            name: (token_product(a[name], a[name]), token_product(b[name], b[name]))
            for name in names
        }
        return cls(a, b, own)

    @property
    def n_tokens(self) -> int:
        return len(next(iter(self.a.values())).ids)

    def products(self, order: np.ndarray | None = None) -> dict[SpaceName, torch.Tensor]:
        """By space, the products of a's tokens with b's; order as in `token_product`."""
        return {name: token_product(self.a[name], self.b[name], order) for name in self.a}


def shared_tokens(
    model_a: Model, model_b: Model, tokens: Literal["same", "shared"] = "same"
) -> tuple[np.ndarray, np.ndarray]:
    """The ids of the tokens that are compared, in a and in b, (token,) each.

    "same": all tokens, which both have in the same order; a vocabulary's padding is left out.
    "shared": those whose text stands for one token in each.

    Raises `ValueError`, with the first difference, where "same" they are not; and where fewer than
    16 are shared.
    """
    models = (model_a, model_b)
    sizes = [n_words(model) for model in models]
    if tokens == "same":
        _check_same(
            models,
            [
                list(m.tokenizer.convert_ids_to_tokens(list(range(n))))
                for m, n in zip(models, sizes, strict=True)
            ],
        )
        return np.arange(sizes[0]), np.arange(sizes[1])
    if tokens != "shared":
        raise ValueError(f"The tokens compared are 'same' or 'shared'; got tokens={tokens!r}.")
    found: list[dict[str, int]] = []
    for m, n in zip(models, sizes, strict=True):
        texts = token_strings(m.tokenizer, range(n))
        ids = {text: i for i, text in enumerate(texts)}
        counts = np.zeros(n, np.int64)
        for text in texts:
            counts[ids[text]] += 1
        found.append({text: i for text, i in ids.items() if counts[i] == 1})
    common = [text for text in found[0] if text in found[1]]
    if len(common) < FEWEST:
        raise ValueError(
            f"Two models are compared by at least {FEWEST} tokens that both have; "
            f"{model_a.spec.name} and {model_b.spec.name} share {len(common)}. Compare models of "
            "one language and kind of tokenizer."
        )
    return tuple(np.array([ids[text] for text in common]) for ids in found)  # type: ignore[return-value]


def _check_same(models: tuple[Model, Model], texts: list[list[str]]) -> None:
    a, b = (m.spec.name for m in models)
    rule = "Models are compared token by token, so that they have the same tokens in one order"
    hint = "Compare those that both have: tokens='shared'."
    for i, (one, other) in enumerate(zip(*texts, strict=False)):
        if one != other:
            raise ValueError(f"{rule}; token {i} is {one!r} in {a} and {other!r} in {b}. {hint}")
    if len(texts[0]) != len(texts[1]):
        raise ValueError(
            f"{rule}; {a} has {len(texts[0])} tokens and {b} has {len(texts[1])}. {hint}"
        )
