"""Training state: a training's checkpoint, one file that is there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ...files import SUM, aside, seal
from ...reading import safetensors_header

FORMAT = 1
_KEY = "workbench_training"


def write_state(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and plain data to one file with a checksum, in place of the one before.

    It is put in place whole, so that an interrupt or a full disk leaves the one before as it was.
    """
    given = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    notes = {_KEY: json.dumps({"format": FORMAT, **facts})}
    with aside(path) as (part,):
        save_file(given, part, metadata={**notes, SUM: _sum(notes, given)})


def _sum(notes: dict[str, str], tensors: dict[str, torch.Tensor]) -> str:
    """The bytes of all tensors, and the checksum of them and the notes."""
    return f"{sum(tensor.nbytes for tensor in tensors.values())}:{seal(notes, tensors)}"


def read_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the plain data of `write_state`.

    Raises `ValueError` for a file that is none, or that is damaged.
    """
    try:
        head = safetensors_header(path)
        notes = head.notes
        if set(notes) not in ({_KEY}, {_KEY, SUM}):
            raise ValueError("its head is not one that a training writes")
        if SUM in notes and not notes[SUM].startswith(f"{head.n_bytes}:"):
            raise ValueError("it was changed after it was written: it has another size")
        with safe_open(path, framework="pt") as file:
            # A copy each: matrix products may round otherwise where memory is not aligned as torch
            # itself allocates it, and a resumed training would drift away.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
        if SUM in notes and notes[SUM] != _sum(notes, tensors):
            raise ValueError("it was changed after it was written: its checksum is another")
        facts = json.loads(notes[_KEY])
        newer = facts["format"] > FORMAT
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a checkpoint of a training, or is damaged ({error}). Delete it to "
            "begin anew, or give another file."
        ) from None
    if newer:
        raise ValueError(f"{path} was written by a newer workbench; update this one.")
    return tensors, facts


def checkpoint_path(checkpoint: str | Path) -> Path:
    """The file of a checkpoint: training.safetensors in a folder or a name without a suffix."""
    path = Path(checkpoint)
    return path if path.suffix and not path.is_dir() else path / "training.safetensors"
