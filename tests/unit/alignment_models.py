"""Models that the tests of alignment and stitching share, and their signatures formed in full."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.parity import zoo
from workbench.loading import load

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)


@cache
def model(name: str, seed: int = 0, backend: str = "nnsight", dtype: str = "float32") -> Any:
    """An architecture of the zoo with the random weights of a seed; its tokens are w2 to w59."""
    path = Path(_folder.name) / f"{name}{seed}"
    if not path.exists():
        zoo.hf_model(name, seed).save_pretrained(path)
        zoo.tokenizer().save_pretrained(path)
    return load(path, backend=backend, device="cpu", dtype=dtype)


def _centred(model: Any, name: str) -> bool:
    norm = model.norm(*((name,) if name == "ln_final" else (name, 0)))
    return norm is not None and norm.centers


def words_read(model: Any, norm: str = "folded") -> np.ndarray:
    """(token, d_model): each token as the readers find it."""
    embedding = model.weight("W_E").double().numpy()
    if norm == "none":
        return embedding
    first = "ln1" if model.norm("ln1", 0) is not None else "ln2"
    out = []
    for row in embedding:
        centred = row - row.mean() if _centred(model, first) else row
        out.append(row / np.sqrt((centred**2).mean()))
    return np.array(out)


def written(model: Any, rows: np.ndarray, after: str, layer: int, norm: str) -> np.ndarray:
    """(unit, token): what is added to each token's logit by rows (unit, d_model)."""
    if norm == "folded":
        for name in (after, "ln_final"):
            found = model.norm(name) if name == "ln_final" else model.norm(name, layer)
            if found is not None:
                rows = rows - rows.mean(-1, keepdims=True) if found.centers else rows
                rows = rows * found.weight.double().numpy()
    return rows @ model.weight("W_U").double().numpy()


def read(model: Any, rows: np.ndarray, before: str, layer: int, norm: str) -> np.ndarray:
    """(unit, token): what rows (unit, d_model) read of each token."""
    found = model.norm(before, layer)
    if norm == "folded" and found is not None:
        rows = rows * found.weight.double().numpy()
        rows = rows - rows.mean(-1, keepdims=True) if found.centers else rows
    return rows @ words_read(model, norm).T


def neuron_signatures(model: Any, layer: int, side: str, norm: str = "folded") -> np.ndarray:
    """(neuron, token) of "W_out", "W_in" or "W_gate"."""
    weight = model.weight(side, layer).double().numpy()
    if side == "W_out":
        return written(model, weight, "ln2_post", layer, norm)
    before = "ln2" if model.norm("ln2", layer) is not None or not model.spec.parallel else "ln1"
    return read(model, weight.T, before, layer, norm)


def head_matrices(model: Any, layer: int, side: str, norm: str = "folded") -> list[np.ndarray]:
    """For each head its (token, token) matrix, centred over both, of "OV" or "QK"."""
    spec, out = model.spec, []
    for head in range(spec.n_heads):
        kv = head // (spec.n_heads // spec.n_kv_heads)

        def factor(name: str, at: int) -> np.ndarray:
            return model.weight(f"W_{name}", layer, at).double().numpy()

        if side == "OV":
            left = read(model, factor("V", kv).T, "ln1", layer, norm)
            right = written(model, factor("O", head), "ln1_post", layer, norm)
        else:
            left = read(model, factor("Q", head).T, "ln1", layer, norm)
            right = read(model, factor("K", kv).T, "ln1", layer, norm)
        matrix = left.T @ right
        matrix = matrix - matrix.mean(0, keepdims=True)
        out.append(matrix - matrix.mean(1, keepdims=True))
    return out


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(row of a, row of b) Pearson's."""
    return np.corrcoef(a, b)[: len(a), len(a) :]


def cosines(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """(matrix of a, matrix of b): their cosine as long vectors."""
    return np.array(
        [[(x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()) for y in b] for x in a]
    )


def random_texts(lengths: list[int], seed: int = 0) -> list[list[int]]:
    """Token ids of the zoo's words."""
    draw = torch.Generator().manual_seed(seed)
    return [torch.randint(2, 60, (n,), generator=draw).tolist() for n in lengths]
