"""Signatures: what neurons and heads say of each token, compared between two models.

A similarity is an inner product over the whole vocabulary (of a head over all pairs of tokens). It
is computed exactly from the products of the two models' (un)embeddings with one another, d_model of
one by d_model of the other, so that nothing of the vocabulary's length is held for any neuron.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch

from ..model import Model
from ..tokens import token_strings
from ..vocabulary.head_circuits import head_reading, head_writing
from ..vocabulary.neurons import check_neurons, is_gated, neuron_reading, neuron_writing
from ..vocabulary.projection import (
    NormChoice,
    Projection,
    n_words,
    reading_projection,
    writing_projection,
)

SpaceName = Literal["writing", "reading"]
#: Tokens that are multiplied at a time.
BATCH = 4096
#: Fewer tokens than this in common say nothing about two models.
FEWEST = 16
#: Bytes of heads' weights that are kept, norms folded in, in place of being folded again.
KEPT = 256 << 20


class Signatures(Protocol):
    """What can be aligned. sides: the names of what is compared, each by itself.

    signed: the sides whose signs may turn together without a change of what a unit computes.
    n_units: of one layer, in a and in b.
    """

    sides: tuple[str, ...]
    signed: Sequence[bool]
    n_units: tuple[int, int]

    def compare(
        self,
        layer_a: int,
        layer_b: int,
        products: Mapping[SpaceName, torch.Tensor],
        units_a: np.ndarray | None = None,
        mixture: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(side, unit of a, unit of b) float32 from −1 to 1: the similarity of each side.

        units_a: some of a's units, None for all. mixture: (unit, unit), in place of b's units the
        sums of them, at one size, with the weights of a row.
        """
        ...


def combine(by_side: np.ndarray, signed: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    """The mean over sides (side, …) → (…), with the signed ones turned where that is larger, and
    the sign (…), 1 or −1.
    """
    turned = np.asarray(signed)
    fixed, free = by_side[~turned].sum(0), by_side[turned].sum(0)
    return (fixed + np.abs(free)) / len(by_side), np.where(free < 0, -1, 1).astype(np.int8)


@dataclass(frozen=True)
class _NeuronSide:
    name: str
    space: SpaceName
    of_a: Callable[[int], torch.Tensor]
    of_b: Callable[[int], torch.Tensor]


class NeuronSignatures:
    """Neurons: Pearson's correlation over the vocabulary of what each side says of the tokens.

    "out" is what a neuron writes and "in" what it reads. Of two gated MLPs, "in" is W_in and "gate"
    W_gate, and W_in and W_out may both change sign. A gated and a plain MLP are compared by what
    goes into the nonlinearity, W_gate with W_in, and by what is written, up to its sign, which in
    the gated neuron is that of another factor too.
    """

    def __init__(
        self,
        model_a: Model,
        model_b: Model,
        spaces: Spaces,
        sides: Sequence[str],
        norm: NormChoice,
    ) -> None:
        for model in (model_a, model_b):
            check_neurons(model)
        self._spaces = spaces
        self._lengths: dict[tuple[int, int, int], torch.Tensor] = {}
        gated = tuple(is_gated(model) for model in (model_a, model_b))
        names: list[tuple[str, str, str]] = []
        if "in" in sides:
            if all(gated):
                names.append(("gate", "W_gate", "W_gate"))
                names.append(("in", "W_in", "W_in"))
            else:
                a, b = ("W_gate" if g else "W_in" for g in gated)
                names.append(("in", a, b))

        def reader(model: Model, name: str) -> Callable[[int], torch.Tensor]:
            assert name in ("W_in", "W_gate")
            return lambda layer: neuron_reading(model, layer, norm, name)

        def writer(model: Model) -> Callable[[int], torch.Tensor]:
            return lambda layer: neuron_writing(model, layer, norm)

        each = [_NeuronSide("out", "writing", writer(model_a), writer(model_b))]
        self._sides = each * ("out" in sides) + [
            _NeuronSide(side, "reading", reader(model_a, a), reader(model_b, b))
            for side, a, b in names
        ]
        self.sides = tuple(side.name for side in self._sides)
        free = {"out", "in"} if all(gated) else {"out"} if any(gated) else set()
        self.signed: Sequence[bool] = tuple(side in free for side in self.sides)
        self.n_units = (model_a.spec.d_mlp, model_b.spec.d_mlp)

    def compare(
        self,
        layer_a: int,
        layer_b: int,
        products: Mapping[SpaceName, torch.Tensor],
        units_a: np.ndarray | None = None,
        mixture: torch.Tensor | None = None,
    ) -> torch.Tensor:
        out = []
        for number, side in enumerate(self._sides):
            a = self._spaces.a[side.space].prepare(_some(side.of_a(layer_a), units_a))
            b = self._spaces.b[side.space].prepare(side.of_b(layer_b))
            size_a = _some(self._squares(0, layer_a, number), units_a)
            size_b = self._squares(1, layer_b, number)
            if mixture is not None:
                b = mixture.to(b.device) @ _over(b, size_b[:, None])
                size_b = ((b @ self._spaces.own[side.space][1]) * b).sum(-1)
            cross = (a @ products[side.space]) @ b.to(a.device).T
            out.append(_cosine(cross, size_a[:, None] * size_b.to(a.device)))
        return torch.stack(out)

    def _squares(self, which: int, layer: int, number: int) -> torch.Tensor:
        """(neuron,) the squared lengths of a side's signatures, found once."""
        key = which, layer, number
        if key not in self._lengths:
            side = self._sides[number]
            space = (self._spaces.a, self._spaces.b)[which][side.space]
            rows = space.prepare((side.of_a, side.of_b)[which](layer))
            self._lengths[key] = ((rows @ self._spaces.own[side.space][which]) * rows).sum(-1)
        return self._lengths[key]


class HeadSignatures:
    """Heads: the cosine of their vocabulary × vocabulary matrices, centred over both tokens.

    "OV" says what a token that is attended to adds to each token's logit, "QK" how much each token
    as the query attends to each as the key: W_OV and W_QK in the embedding space, without biases,
    positions, rotary turns and query or key norms. ⟨A Bᵀ, C Dᵀ⟩ = Σ (AᵀC) ∘ (BᵀD), where each
    factor is the head's d_head × d_model through the token products.
    """

    def __init__(
        self,
        model_a: Model,
        model_b: Model,
        spaces: Spaces,
        sides: Sequence[str],
        norm: NormChoice,
    ) -> None:
        self._models, self._spaces = (model_a, model_b), spaces
        self._norm: NormChoice = norm
        self._kept: dict[tuple[int, int, str], torch.Tensor] = {}
        self.sides = tuple(sides)
        self.signed: Sequence[bool] = (False,) * len(self.sides)
        self.n_units = (model_a.spec.n_heads, model_b.spec.n_heads)

    def _factor(self, which: int, layer: int, name: str) -> torch.Tensor:
        """(head, d_head, d_model): the Q, K, V or O of every head of a layer."""
        key = which, layer, name
        if key in self._kept:
            return self._kept[key]
        model = self._models[which]
        space = (self._spaces.a, self._spaces.b)[which][_space(name)]
        heads = range(model.spec.n_heads)
        if name == "O":
            each = [head_writing(model, layer, head, self._norm) for head in heads]
        else:
            assert name in ("Q", "K", "V")
            each = [head_reading(model, layer, head, name, self._norm) for head in heads]
        out = space.prepare(torch.stack(each))
        if 4 * out.numel() * len(self._kept) > KEPT:
            self._kept.clear()
        self._kept[key] = out
        return out

    def compare(
        self,
        layer_a: int,
        layer_b: int,
        products: Mapping[SpaceName, torch.Tensor],
        units_a: np.ndarray | None = None,
        mixture: torch.Tensor | None = None,
    ) -> torch.Tensor:
        out = []
        for side in self.sides:
            names = ("V", "O") if side == "OV" else ("Q", "K")
            a = {name: _some(self._factor(0, layer_a, name), units_a) for name in names}
            b = {name: self._factor(1, layer_b, name) for name in names}
            device = a[names[0]].device
            owns = {name: self._spaces.own[_space(name)] for name in names}
            cross = _inner(a, b, {name: products[_space(name)] for name in names})
            size_a = _inner(a, a, {name: own[0] for name, own in owns.items()}).diagonal()
            among_b = _inner(b, b, {name: own[1] for name, own in owns.items()}).to(device)
            size_b = among_b.diagonal()
            if mixture is not None:
                weights = _over(mixture.to(device), size_b)
                cross, size_b = cross @ weights.T, ((weights @ among_b) * weights).sum(-1)
            out.append(_cosine(cross, size_a[:, None] * size_b))
        return torch.stack(out)


def _inner(
    a: Mapping[str, torch.Tensor],
    b: Mapping[str, torch.Tensor],
    products: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """(head of a, head of b): the inner products of their matrices over pairs of tokens."""
    out = None
    for name, product in products.items():
        through = a[name] @ product
        part = (through.flatten(0, 1) @ b[name].to(product.device).flatten(0, 1).T).reshape(
            *through.shape[:2], *b[name].shape[:2]
        )
        out = part if out is None else out * part
    assert out is not None
    return out.sum((1, 3))


def _some(units: torch.Tensor, chosen: np.ndarray | None) -> torch.Tensor:
    return units if chosen is None else units[chosen.tolist()]


def _space(name: str) -> SpaceName:
    return "writing" if name == "O" else "reading"


def _over(values: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
    """Values over the roots of squares; 0 where these are."""
    lengths = squares.clamp(min=0).sqrt()
    return (values / lengths.where(lengths > 0, 1)).where(lengths > 0, 0)


def _cosine(cross: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
    """Inner products over both lengths; what says the same of every token is like nothing."""
    return _over(cross, squares).clamp(-1, 1)


# -- tokens as vectors -----------------------------------------------------------------------------


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
        total = sum(space.rows(part).double().sum(0) for part in torch.arange(len(at)).split(BATCH))
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
    for own, other in zip(numbers.split(BATCH), others.split(BATCH), strict=True):
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
