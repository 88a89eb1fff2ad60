"""The files of a checkpoint in a folder: whether all are there and whole, before any is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

PICKLES = (
    "Weights are read from safetensors only, because unpickling runs the code that a file holds;"
)
#: Numbers in other forms are packed, or need a scale: they are not the weight itself.
_PLAIN = {"F64", "F32", "F16", "BF16", "BOOL"}
_TOKENIZERS = ("tokenizer*", "vocab*", "merges.txt", "*.model", "*.tiktoken", "tekken.json")


def check_folder(path: Path, label: str, subfolder: str = "", variant: str | None = None) -> None:
    """Raise `OSError` for a file that is not there, `ValueError` for one that is broken."""
    folder = path / subfolder
    if (folder / "adapter_config.json").is_file():
        base = _table(folder / "adapter_config.json", label).get("base_model_name_or_path")
        raise ValueError(
            f"A model directory holds a whole model; {label!r} holds an adapter (LoRA) of "
            f"{base!r}. Load that with transformers, add the adapter with PEFT, merge it "
            "(merge_and_unload), and give the model in memory with its tokenizer."
        )
    if not (folder / "config.json").is_file():
        raise OSError(
            f"A model directory holds a config.json; {label!r} has none. {_instead(folder)}"
        )
    settings = _table(folder / "config.json", label)
    files = list(_weight_files(folder, label, variant, settings.get("transformers_weights")))
    for file in files:
        stored = _stored(file, label)
        packed = sorted(name for name, kind in stored.items() if kind not in _PLAIN)
        if packed and not {"quantization_config", "compression_config"} & settings.keys():
            raise ValueError(
                f"Weights are floating-point numbers unless config.json says how they are packed "
                f"(quantization_config); {packed[0]} in {file.name} of {label!r} is "
                f"{stored[packed[0]]}. Give the config.json that belongs to it, or the weights "
                "before they were packed."
            )
    _check_tokenizer(folder, label)
    if (folder / "generation_config.json").is_file():
        _table(folder / "generation_config.json", label)


def _instead(folder: Path) -> str:
    """What to do with a folder that is no model."""
    if next(folder.glob("*.gguf"), None):
        return (
            "GGUF is read by transformers: AutoModelForCausalLM.from_pretrained(…, gguf_file=…) "
            "and save_pretrained."
        )
    inner = sorted(p.parent.name for p in folder.glob("*/config.json"))
    if inner:
        return f"Give one of the directories in it: {', '.join(inner[:3])}."
    return "Save one with save_pretrained."


def _weight_files(
    folder: Path, label: str, variant: str | None, named: str | None
) -> Iterable[Path]:
    """The safetensors files that transformers would read."""
    infix = f".{variant}" if variant else ""
    whole = folder / (named or f"model{infix}.safetensors")
    index = folder / f"model.safetensors.index{infix}.json"
    if whole.suffix == ".json":
        index = whole
    elif whole.is_file():
        return [whole]
    if index.is_file():
        return _shards(index, label)
    others = sorted(p.name for p in folder.glob("*.safetensors"))
    if others:
        raise OSError(
            f"Weights are in {whole.name}, or in the files that {index.name} lists; {label!r} has "
            f"neither, but {', '.join(others[:3])}. Get the file that is missing, or rename a "
            "whole one."
        )
    pickles = sorted(p.name for kind in ("bin", "pt", "pth") for p in folder.glob(f"*.{kind}"))
    if pickles:
        raise ValueError(
            f"{PICKLES} {label!r} has {pickles[0]}. Convert it where you trust it: "
            "AutoModelForCausalLM.from_pretrained(...).save_pretrained(..., "
            "safe_serialization=True)."
        )
    raise OSError(
        f"A model directory holds *.safetensors weights; {label!r} has none. {_instead(folder)}"
    )


def _shards(index: Path, label: str) -> list[Path]:
    places = _table(index, label).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(
            f"{index.name} lists in which file each weight is (weight_map); that of {label!r} "
            "lists none. Get it again."
        )
    names = sorted({str(name) for name in places.values()})
    if odd := [name for name in names if Path(name).name != name]:
        raise ValueError(
            f"The files of a checkpoint are beside its {index.name}; that of {label!r} names "
            f"{odd[0]!r}. Get it again."
        )
    gone = [name for name in names if not (index.parent / name).is_file()]
    if gone:
        raise OSError(
            f"{label!r} is in {len(names)} files, of which {len(gone)} are missing: "
            f"{', '.join(gone[:3])}. Get them again."
        )
    return [index.parent / name for name in names]


def _stored(file: Path, label: str) -> dict[str, str]:
    """The type in which each matrix of a safetensors file is stored."""
    with file.open("rb") as opened:
        start = opened.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(
            f"{file.name} of {label!r} is the note that Git leaves in the place of a large file. "
            "Get the file itself: git lfs pull."
        )
    try:
        with safe_open(file, "pt") as weights:
            slices = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118
            return {
                n: s.get_dtype()
                for n, s in slices.items()
                if len(s.get_shape()) > 1 and n.endswith("weight")
            }
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{file.name} of {label!r} is cut short or no safetensors file ({error}). Get it again."
        ) from error


def _check_tokenizer(folder: Path, label: str) -> None:
    if not any(next(folder.glob(pattern), None) for pattern in _TOKENIZERS):
        raise OSError(
            f"A model directory holds its tokenizer; {label!r} has none. Copy it there: "
            "tokenizer.save_pretrained(…)."
        )


def _table(path: Path, label: str) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        table = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path.name} of {label!r} is no JSON ({error}). Get it again, or save the model again "
            "with save_pretrained."
        ) from error
    if not isinstance(table, dict):
        raise ValueError(
            f"{path.name} of {label!r} holds a JSON object; this is a {type(table).__name__}. Get "
            "it again, or save the model again with save_pretrained."
        )
    return table
