"""Directions as numbers for tokens, the slow and obvious way: loops in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np


def numpy(tensor: Any) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def centred(norm: Any, x: np.ndarray) -> np.ndarray:
    return x - x.mean() if norm is not None and norm.centers else x


def rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).mean()))


def behind(norm: Any, written: np.ndarray, folded: bool) -> np.ndarray:
    """What a post-norm leaves of a written vector, its division left out."""
    if norm is None or not folded:
        return written
    return centred(norm, written) * numpy(norm.weight)


def n_words(model: Any) -> int:
    """The tokens that both the model and its tokenizer have."""
    return min(len(model.tokenizer), model.spec.d_vocab)


def logits_of(model: Any, direction: np.ndarray, folded: bool = True) -> np.ndarray:
    """(token,) the logits of a direction as all there is in the residual stream, less biases."""
    norm = model.norm("ln_final") if folded else None
    if not direction.any():
        return np.zeros(n_words(model))
    unit = direction / rms(centred(norm, direction))
    if norm is not None:
        unit = centred(norm, unit) * numpy(norm.weight)
    W_U = numpy(model.weight("W_U"))
    each = [unit @ W_U[:, token] for token in range(n_words(model))]
    return model.spec.logit_scale * np.array(each)


def products_of(model: Any, direction: np.ndarray, folded: bool = True) -> np.ndarray:
    """(token,) a direction's product with each embedding, at the size that the first norm gives."""
    W_E = numpy(model.weight("W_E"))
    first = model.norm("ln1", 0) or model.norm("ln2", 0)
    out = []
    for token in range(n_words(model)):
        size = rms(centred(first, W_E[token])) if folded else 1.0
        out.append(float(W_E[token] @ direction) / size)
    return np.array(out)


def neuron(model: Any, layer: int, unit: int, side: str, folded: bool = True) -> np.ndarray:
    """(d_model,) one side of a neuron, with the norm beside it."""
    if side == "out":
        written = numpy(model.weight("W_out", layer))[unit]
        return behind(model.norm("ln2_post", layer), written, folded)
    read = numpy(model.weight({"in": "W_in", "gate": "W_gate"}[side], layer))[:, unit]
    before = model.norm("ln2", layer)
    if before is None and model.spec.parallel:
        before = model.norm("ln1", layer)
    return centred(before, read * numpy(before.weight)) if folded and before is not None else read


def numbers(model: Any, layer: int, unit: int, side: str, folded: bool = True) -> np.ndarray:
    """(token,) what one side of a neuron gives every token."""
    direction = neuron(model, layer, unit, side, folded)
    read = logits_of if side == "out" else products_of
    return read(model, direction, folded)


def share(values: np.ndarray) -> float:
    weights = [np.exp(value - values.max()) for value in values]
    return max(weights) / sum(weights)


def kurtosis(values: np.ndarray) -> float:
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    return sum((value - mean) ** 4 for value in values) / len(values) / variance**2 - 3
