"""Files of dictionaries as others write them, and their codes by slow loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from tests.unit.random_dictionaries import D_IN, N


def draw(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.5


def weights(**others: torch.Tensor) -> dict[str, torch.Tensor]:
    plain = {"W_enc": draw(D_IN, N), "b_enc": draw(N), "W_dec": draw(N, D_IN), "b_dec": draw(D_IN)}
    return plain | others


def sae_lens_folder(
    folder: Path,
    tensors: dict[str, torch.Tensor],
    *,
    hook: str = "blocks.1.hook_resid_pre",
    **cfg: Any,
) -> Path:
    folder.mkdir(exist_ok=True)
    metadata = {"model_name": "tiny", "hook_name": hook} | cfg.pop("metadata", {})
    settings = {"architecture": "standard", "d_in": D_IN, "d_sae": N, "metadata": metadata} | cfg
    (folder / "cfg.json").write_text(json.dumps(settings))
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, folder / "sae_weights.safetensors")
    return folder


def slow_codes(
    x: torch.Tensor, W_enc: torch.Tensor, b_enc: torch.Tensor, **how: Any
) -> torch.Tensor:
    """The codes by one loop over rows and features, in float64."""
    out = torch.zeros(len(x), W_enc.shape[1], dtype=torch.float64)
    threshold, scale, shift = (how.get(name) for name in ("threshold", "scale", "shift"))
    for row in range(len(x)):
        rest = x[row].double() - (0 if shift is None else shift.double())
        for j in range(W_enc.shape[1]):
            pre = float((rest * W_enc[:, j].double()).sum() + b_enc[j].double())
            pre *= 1.0 if scale is None else float(scale[j])
            least = 0.0 if threshold is None else float(threshold[j])
            out[row, j] = pre if pre > max(least, 0.0) else 0.0
        if "k" in how:
            least = out[row].sort(descending=True).values[how["k"] - 1]
            out[row][out[row] < least] = 0
    return out.float()


def gemma_weights() -> dict[str, torch.Tensor]:
    return weights(threshold=draw(N).abs())


def save_npz(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
    np.savez(path, **arrays)
