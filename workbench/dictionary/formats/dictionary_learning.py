"""dictionary_learning: ae.pt, a state dict, beside config.json with its trainer's settings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...reading import read_json, read_torch
from .parts import Parts, group, word

CONFIG = "config.json"
_NAMES = {
    "encoder.bias": "b_enc",
    "bias": "b_dec",
    "decoder_bias": "b_dec",
    "decoder.bias": "b_dec",
    "gate_bias": "b_gate",
    "mag_bias": "b_mag",
}
#: Classes of that library → kind and whether b_dec is taken from x first.
CLASSES = {
    "AutoEncoder": ("relu", True),
    "AutoEncoderNew": ("relu", False),
    "GatedAutoEncoder": ("gated", True),
    "AutoEncoderTopK": ("topk", True),
    "BatchTopKSAE": ("batchtopk", True),
    "MatryoshkaBatchTopKSAE": ("batchtopk", True),
    "JumpReluAutoEncoder": ("jumprelu", False),
}
_STREAMS = {"resid_post": "resid_post", "mlp_out": "mlp_out", "attention_out": "attn_out"}


def read_dictionary_learning(path: Path) -> Parts:
    """The parts of a dictionary that the dictionary_learning library saved.

    path: ae.pt. Where there is no config.json, the class is told from the names of the weights. An
    `AutoEncoder` is given decoder rows of length 1, as that library's own loader does.

    Raises `ValueError` for a class that is not read here.
    """
    state = read_torch(path)
    config = path.with_name(CONFIG)
    cfg: dict[str, Any] = read_json(config) if os.path.lexists(config) else {}
    trainer = group(config, cfg, "trainer")
    name = word(config, trainer, "dict_class") or _class(state)
    if name not in CLASSES:
        raise ValueError(f"{config}: the classes read are {', '.join(CLASSES)}; got {name!r}.")
    kind, subtract = CLASSES[name]
    tensors = {_NAMES.get(key, key): value for key, value in state.items()}
    for ours, theirs in (("W_enc", "encoder.weight"), ("W_dec", "decoder.weight")):
        if theirs in tensors:
            tensors[ours] = tensors.pop(theirs).T
    k = tensors.pop("k", None)
    said = trainer.get("k")
    if k is not None and said is not None and int(k) != int(said):
        raise ValueError(f"{path} has k = {int(k)}, its {CONFIG} {said}. One of them is wrong.")
    tensors.pop("group_sizes", None)
    # TopK keeps one for another way of encoding; below 0 it was never set, and ReLU is left.
    threshold = tensors.pop("threshold", None)
    if threshold is not None and kind in ("jumprelu", "batchtopk"):
        tensors["threshold"] = threshold.clamp(min=0).expand(tensors["b_enc"].shape)
    return Parts(
        where=path,
        kind=kind,
        tensors=tensors,
        hook=_hook(trainer),
        model=word(config, trainer, "lm_name"),
        k=int(k if k is not None else said or 0) or None,
        subtract_b_dec=subtract,
        by_norm=name == "AutoEncoder",
        info={"format": "dictionary_learning", "dict_class": name} | cfg,
    )


def _class(state: dict[str, torch.Tensor]) -> str:
    """The class whose names of weights these are."""
    names = set(state)
    if "gate_bias" in names:
        return "GatedAutoEncoder"
    if "group_sizes" in names:
        return "MatryoshkaBatchTopKSAE"
    if "k" in names:
        raise ValueError(
            f"AutoEncoderTopK and BatchTopKSAE save the same weights; without {CONFIG} they cannot "
            "be told apart. Put the config.json beside ae.pt."
        )
    if "threshold" in names:
        return "JumpReluAutoEncoder"
    return "AutoEncoder" if "bias" in names else "AutoEncoderNew"


def _hook(trainer: Mapping[str, Any]) -> str:
    """The activation that the trainer read: "resid_post_layer_8", else the layer's output."""
    named = re.fullmatch(r"([a-z_]+)_layer_(\d+)", str(trainer.get("submodule_name") or ""))
    if named is not None:
        return f"blocks.{named[2]}.hook_{_STREAMS.get(named[1], named[1])}"
    layer = trainer.get("layer")
    return "" if layer is None else f"blocks.{layer}.hook_resid_post"
