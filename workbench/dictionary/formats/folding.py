"""Folding: what a form does before or after its matrices, put into the matrices themselves."""

from __future__ import annotations

import torch

from ...model import Norm

#: As sae-lens: a decoder row shorter than this counts as this long.
SHORTEST = 1e-8


def fold_lengths(tensors: dict[str, torch.Tensor]) -> None:
    """Codes measured in lengths of the decoder rows, as codes of rows of length 1."""
    lengths = tensors["W_dec"].norm(dim=-1).clamp(min=SHORTEST)
    tensors["W_enc"] = tensors["W_enc"] * lengths
    for name in ("b_enc", "b_gate", "b_mag"):
        if name in tensors:
            tensors[name] = tensors[name] * lengths
    tensors["W_dec"] = tensors["W_dec"] / lengths[:, None]


def fold_shift(tensors: dict[str, torch.Tensor]) -> None:
    """(x − b_dec) · W_enc + b as x · W_enc + b′."""
    # In float64: b_dec can be large against what is left of it.
    shift = (tensors["b_dec"].double() @ tensors["W_enc"].double()).float()
    for name in ("b_enc", "b_gate"):
        if name in tensors:
            tensors[name] = tensors[name] - shift
    if "b_mag" in tensors:
        tensors["b_mag"] = tensors["b_mag"] - shift * tensors["r_mag"].exp()


def fold_norm(tensors: dict[str, torch.Tensor], norm: Norm) -> None:
    """A reader of n, where the norm gives n · weight + bias, as a reader of what the norm gives."""
    weight, bias = (v.detach().to("cpu", tensors["W_enc"].dtype) for v in (norm.weight, norm.bias))
    tensors["W_enc"] = tensors["W_enc"] / weight[:, None]
    tensors["b_enc"] = tensors["b_enc"] - bias @ tensors["W_enc"]
    if "W_skip" in tensors:
        tensors["W_skip"] = tensors["W_skip"] / weight[:, None]
        tensors["b_dec"] = tensors["b_dec"] - bias @ tensors["W_skip"]
