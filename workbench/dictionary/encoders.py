"""Encoders: how each kind of dictionary turns an activation into codes, one number a feature."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import torch

#: Up to so many pursued numbers (row × feature) are held at a time.
PURSUIT_AT_ONCE = 2**24
#: Multiplicative updates of the codes of a factorisation when it encodes.
FACTOR_STEPS = 200


@dataclass(frozen=True, eq=False)
class Encoder:
    """(…, d_in) → (…, feature). Subclasses say how; their tensors move with `to`.

    signed: whether codes may be negative.
    """

    kind: ClassVar[str]
    signed: ClassVar[bool] = False

    @property
    def n_features(self) -> int:
        raise TypeError(f"{type(self).__name__} defines no n_features; define it in the subclass.")

    @property
    def d_in(self) -> int:
        raise TypeError(f"{type(self).__name__} defines no d_in; define it in the subclass.")

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        raise TypeError(f"{type(self).__name__} defines no __call__; define it in the subclass.")

    def some(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """(…, n) the codes of the given features only."""
        return self(x)[..., features]

    def to(self, device: Any = None, dtype: Any = None) -> Self:
        """The same encoder elsewhere or in another floating type."""
        moved = {
            f.name: value.to(device=device, dtype=dtype)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), torch.Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True, eq=False)
class Linear(Encoder):
    """x · W_enc + b_enc, signed: supervised directions and differences in means.

    W_enc: (d_in, feature). b_enc: (feature,). Also the first step of the encoders below.
    """

    W_enc: torch.Tensor
    b_enc: torch.Tensor

    kind: ClassVar[str] = "linear"
    signed: ClassVar[bool] = True

    @property
    def n_features(self) -> int:
        return self.W_enc.shape[1]

    @property
    def d_in(self) -> int:
        return self.W_enc.shape[0]

    def pre(self, x: torch.Tensor, features: Any = slice(None)) -> torch.Tensor:
        """(…, feature) what the nonlinearity is given."""
        weight, bias = self.W_enc[:, features], self.b_enc[features]
        out = torch.addmm(bias, x.reshape(-1, x.shape[-1]), weight)
        return out.reshape(*x.shape[:-1], len(bias))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.pre(x)

    def some(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return self.pre(x, features)


@dataclass(frozen=True, eq=False)
class ReLU(Linear):
    """max(0, x · W_enc + b_enc)."""

    kind: ClassVar[str] = "relu"
    signed: ClassVar[bool] = False

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.pre(x).relu()

    def some(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return self.pre(x, features).relu()


@dataclass(frozen=True, eq=False)
class JumpReLU(Linear):
    """The pre-activation where it is above the feature's threshold, else 0 (Rajamanoharan 2024b).

    threshold: (feature,), not negative. A BatchTopK dictionary at inference is one of these.
    """

    threshold: torch.Tensor

    kind: ClassVar[str] = "jumprelu"
    signed: ClassVar[bool] = False

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        pre = self.pre(x)
        return pre.relu() * (pre > self.threshold)

    def some(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        pre = self.pre(x, features)
        return pre.relu() * (pre > self.threshold[features])


@dataclass(frozen=True, eq=False)
class BatchTopK(JumpReLU):
    """JumpReLU whose threshold stands for the k largest codes a row on average (Bussmann 2024)."""

    k: int

    kind: ClassVar[str] = "batchtopk"


@dataclass(frozen=True, eq=False)
class TopK(Linear):
    """The k largest pre-activations that are positive, else 0 (Gao et al. 2024)."""

    k: int

    kind: ClassVar[str] = "topk"
    signed: ClassVar[bool] = False

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        pre = self.pre(x)
        values, index = pre.topk(min(self.k, self.n_features), dim=-1, sorted=False)
        return torch.zeros_like(pre).scatter_(-1, index, values.relu())

    def some(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return self(x)[..., features]


@dataclass(frozen=True, eq=False)
class Gated(Encoder):
    """A gate says which features are on, another projection how much (Rajamanoharan 2024a).

    W_enc: (d_in, feature), shared; the magnitude's is W_enc · exp(r_mag). b_gate, b_mag, r_mag:
    (feature,).
    """

    W_enc: torch.Tensor
    b_gate: torch.Tensor
    b_mag: torch.Tensor
    r_mag: torch.Tensor

    kind: ClassVar[str] = "gated"

    @property
    def n_features(self) -> int:
        return self.W_enc.shape[1]

    @property
    def d_in(self) -> int:
        return self.W_enc.shape[0]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self._codes(x, slice(None))

    def some(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return self._codes(x, features)

    def _codes(self, x: torch.Tensor, features: Any) -> torch.Tensor:
        shared = x @ self.W_enc[:, features]
        on = shared + self.b_gate[features] > 0
        size = shared * self.r_mag[features].exp() + self.b_mag[features]
        return on * size.relu()


@dataclass(frozen=True, eq=False)
class MatchingPursuit(Encoder):
    """The best feature of what is left, k times over (Costa et al. 2025).

    directions: (feature, d_in) of unit length, also the decoder. Each step takes the feature with
    the largest positive product with the rest and takes its part away; a feature may be taken
    twice, and its codes add up. A row stops before k steps once its rest is shorter than
    residual_threshold (0: never), and, with stop_on_repeat, once a step takes no new feature, which
    is how sae-lens pursues.
    """

    directions: torch.Tensor
    b_dec: torch.Tensor
    k: int
    residual_threshold: float = 0.0
    stop_on_repeat: bool = False

    kind: ClassVar[str] = "matching_pursuit"

    @property
    def n_features(self) -> int:
        return self.directions.shape[0]

    @property
    def d_in(self) -> int:
        return self.directions.shape[1]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        rest = (x - self.b_dec).reshape(-1, self.d_in)
        size = max(1, PURSUIT_AT_ONCE // self.n_features)
        codes = [self._pursue(part) for part in rest.split(size)]
        return torch.cat(codes).reshape(*x.shape[:-1], self.n_features)

    def _pursue(self, rest: torch.Tensor) -> torch.Tensor:
        directions = self.directions
        codes = rest.new_zeros(len(rest), self.n_features)
        going = rest.new_ones(len(rest), 1)
        for _ in range(self.k):
            best, which = (rest @ directions.T).max(-1)
            which = which[:, None]
            amount = best.relu()[:, None] * going
            if self.stop_on_repeat:
                new = (amount > 0) & (codes.detach().gather(-1, which) == 0)
                going = going * new
            codes = codes.scatter_add(-1, which, amount)
            rest = rest - amount * directions[which[:, 0]]
            if self.residual_threshold > 0:
                length = rest.detach().norm(dim=-1, keepdim=True)
                going = going * (length >= self.residual_threshold)
            if (self.stop_on_repeat or self.residual_threshold > 0) and not bool(going.any()):
                break
        return codes


@dataclass(frozen=True, eq=False)
class Factors(Encoder):
    """Not negative codes whose sum of factors comes closest to x (semi-nonnegative factorisation).

    directions: (feature, d_in), also the decoder. The codes are found by the multiplicative updates
    of Ding, Li and Jordan (2010), with the factors held.
    """

    directions: torch.Tensor

    kind: ClassVar[str] = "snmf"

    @property
    def n_features(self) -> int:
        return self.directions.shape[0]

    @property
    def d_in(self) -> int:
        return self.directions.shape[1]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, self.d_in)
        gram = self.directions @ self.directions.T
        codes = factor_codes(flat @ self.directions.T, gram, FACTOR_STEPS)
        return codes.reshape(*x.shape[:-1], self.n_features)


def factor_codes(
    products: torch.Tensor,
    gram: torch.Tensor,
    steps: int,
    start: torch.Tensor | None = None,
    l1: float = 0.0,
) -> torch.Tensor:
    """(row, feature) not negative codes by multiplicative updates.

    products: (row, feature), x · factor. gram: (feature, feature), the factors' products. start:
    codes to go on from, all above 0. l1: weight of Σ codes beside the squared error.
    """
    gain, loss = products.clamp(min=0), (-products).clamp(min=0)
    plus, minus = gram.clamp(min=0), (-gram).clamp(min=0)
    # Where the factors were orthogonal this is the solution itself; a little more than 0 keeps
    # every code alive, since an update only multiplies.
    first = gain / gram.diagonal().clamp(min=1e-12) + 1e-3 * products.abs().mean(-1, keepdim=True)
    codes = first + 1e-12 if start is None else start
    for _ in range(steps):
        above, below = gain + codes @ minus, loss + codes @ plus + l1 / 2
        codes = codes * (above / below.clamp(min=1e-12)).sqrt()
    return codes
