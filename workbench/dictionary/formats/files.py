"""Files: tensors and settings from disk, without running anything that a file holds."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor by name. Raises `ValueError` for a file that is cut short or is another kind."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _exists(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}). Its download or copy may have been "
            "cut short: get it again."
        ) from None


def read_safetensors_header(path: Path) -> dict[str, str]:
    """The notes in the head of a file that `read_safetensors` has read."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def read_npz(path: Path) -> dict[str, torch.Tensor]:
    """Every array by name. Raises `ValueError` for a file that is cut short or holds a pickle."""
    import numpy as np
    import torch

    _exists(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise ValueError("it holds one array and no names")
            return {name: torch.from_numpy(file[name]) for name in file.files}
    except (ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not a whole npz file of plain arrays ({error}). A pickle in it is never "
            "run; where the file was cut short, get it again."
        ) from None


def read_torch(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor by name, read with weights_only=True.

    Raises `ValueError` for a file that is cut short, and for one that holds anything but tensors by
    name: a pickled object would run code of whoever wrote it.
    """
    import pickle

    import torch

    _exists(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        first = str(error).split("\n")[0]
        raise ValueError(
            f"{path} is not a file of plain tensors ({first}). Pickled objects are never run: save "
            "its state_dict() with torch.save, or as safetensors."
        ) from None
    tensors = state if isinstance(state, dict) else {}
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise ValueError(
            f"{path} holds no state dict, tensors by name. A training checkpoint has one inside: "
            "save that by itself."
        )
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """A settings file. Raises `ValueError` for one that is not a JSON object."""
    _exists(path)
    try:
        out = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is not JSON ({error}). It may have been cut short: get it again."
        ) from None
    return _mapping(path, out)


def read_yaml(path: Path) -> dict[str, Any]:
    """A settings file. Raises `ValueError` for one that is not a YAML mapping."""
    import yaml

    _exists(path)
    try:
        out = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path} is not plain YAML ({error}). Get it again.") from None
    return _mapping(path, out)


def _mapping(path: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds settings by name; got {type(value).__name__}.")
    return value


def _exists(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. Give the folder that holds a whole dictionary, its weights and "
            "its settings."
        )
