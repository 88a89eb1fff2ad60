"""Head directions: the singular directions of a head's OV and QK in the residual stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .head_factors import HeadWeights
from .projection import Projection
from .words import read_words

CIRCUITS = ("OV", "QK")
SIGNS = ("+", "-")
SIDES = {"OV": ("reads", "writes"), "QK": ("query", "key")}


@dataclass(frozen=True, eq=False)
class Singular:
    """A map of rank d_head in the residual stream, taken apart: float64 on the CPU.

    values: (d_head,), largest first. first, second: (d_head, d_model) of unit length; for OV what
    is read and what is written for it, for QK the query and the key. The largest number of a second
    one is positive, which settles the sign that the two share.
    """

    values: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor

    @classmethod
    def of(cls, first: torch.Tensor, second: torch.Tensor) -> Singular:
        """Of firstᵀ second, both (d_head, d_model)."""
        # QR keeps the decomposition at d_head × d_head.
        q_first, r_first = torch.linalg.qr(first.detach().double().cpu().T)
        q_second, r_second = torch.linalg.qr(second.detach().double().cpu().T)
        u, values, vh = torch.linalg.svd(r_first @ r_second.T)
        rows_first, rows_second = (q_first @ u).T, (q_second @ vh.T).T
        largest = rows_second.abs().argmax(-1, keepdim=True)
        sign = rows_second.gather(-1, largest).sign()
        return cls(values, rows_first * sign, rows_second * sign)

    @classmethod
    def both(cls, weights: HeadWeights) -> tuple[Singular, Singular]:
        """Of a head's OV and QK; the scores of QK are divided by √d_head."""
        scaled = weights.query / weights.query.shape[0] ** 0.5
        return cls.of(weights.value, weights.output), cls.of(scaled, weights.key)


@dataclass(frozen=True, eq=False)
class DirectionWords:
    """The directions of both circuits and their words.

    directions: (circuit, direction, side, d_model). ids, values: (circuit, direction, sign, side,
    k); values are those of the direction with its sign.
    """

    directions: np.ndarray
    ids: np.ndarray
    values: np.ndarray

    @classmethod
    def read(
        cls,
        circuits: tuple[Singular, Singular],
        n: int,
        k: int,
        reading: Projection,
        writing: Projection,
    ) -> DirectionWords:
        """The n largest directions of each circuit."""
        like = reading.matrix
        pairs = [torch.stack([s.first[:n], s.second[:n]], 1) for s in circuits]
        directions = torch.stack(pairs).to(like)
        d_model = directions.shape[-1]
        written = directions[0, :, 1]
        read = torch.cat([directions[0, :, 0], directions[1].reshape(-1, d_model)])
        both = [
            read_words(projection, some.contiguous(), k=k, bottom=True, measures=())
            for projection, some in ((reading, read), (writing, written))
        ]
        shape = (len(CIRCUITS), directions.shape[1], len(SIGNS), 2, k)
        ids, values = np.empty(shape, np.int32), np.empty(shape, np.float32)
        for sign, end in enumerate(("top", "bottom")):
            for out, name in ((ids, "ids"), (values, "values")):
                numbers = [getattr(words, f"{end}_{name}") for words in both]
                out[0, :, sign, 0] = numbers[0][:n]
                out[0, :, sign, 1] = numbers[1]
                out[1, :, sign] = numbers[0][n:].reshape(-1, 2, k)
        values[:, :, 1] *= -1
        return cls(torch.stack(pairs).float().numpy(), ids, values)
