"""Gemma Scope: params.npz (Gemma 2) or config.json and params.safetensors (Gemma 3), JumpReLU."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ...reading import read_json, read_npz, read_safetensors
from .parts import Parts, word

WEIGHTS = ("params.npz", "params.safetensors")
_NAMES = {"w_enc": "W_enc", "w_dec": "W_dec", "affine_skip_connection": "W_skip"}
#: The module of Hugging Face's model that Gemma Scope 2 names → ours.
_MODULES = {
    "output": "hook_resid_post",
    "post_feedforward_layernorm.output": "hook_mlp_out",
    "pre_feedforward_layernorm.output": "mlp.hook_in",
    "self_attn.o_proj.input": "attn.hook_z",
}


def read_gemma_scope(path: Path, where: str) -> Parts:
    """The parts of a Gemma Scope dictionary.

    path: params.npz or params.safetensors. where: the whole name of its place, such as
    "google/gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82": the Gemma 2 files say nothing
    themselves, and the model, layer and stream are read from there, as sae-lens does. Codes are
    JumpReLU of x · W_enc + b_enc; b_dec is not taken from x (Lieberum et al. 2024).
    """
    arrays = read_npz(path) if path.suffix == ".npz" else read_safetensors(path)
    tensors = {_NAMES.get(name, name): value for name, value in arrays.items()}
    if any(value.ndim > 2 for value in tensors.values()):
        raise ValueError(
            f"{path} writes to several layers (a cross-layer transcoder); dictionaries here write "
            "to one site. Take the transcoder of a layer."
        )
    config = path.with_name("config.json")
    cfg: dict[str, Any] = read_json(config) if os.path.lexists(config) else {}
    if cfg.get("architecture", "jump_relu") != "jump_relu":
        raise ValueError(f"{config}: Gemma Scope's are jump_relu; got {cfg['architecture']!r}.")
    if "hf_hook_point_in" in cfg:
        hook = _module(config, cfg["hf_hook_point_in"])
        hook_out = _module(config, cfg["hf_hook_point_out"]) if cfg.get("hf_hook_point_out") else ""
    else:
        hook, hook_out = _named(where)
    if "embedding" in where:
        # It was trained on rows of the embedding matrix, and the model multiplies them by √d_model
        # before they enter block 0, where nothing is added to them.
        root = tensors["W_enc"].shape[0] ** 0.5
        tensors["W_enc"], tensors["W_dec"] = tensors["W_enc"] / root, tensors["W_dec"] * root
        tensors["b_dec"] = tensors["b_dec"] * root
    return Parts(
        where=path,
        kind="jumprelu",
        tensors=tensors,
        hook=hook,
        hook_out="" if hook_out == hook else hook_out,
        model=word(config, cfg, "model_name") or _model(where),
        info={"format": "gemma_scope"} | cfg,
    )


def _module(config: Path, name: str) -> str:
    match = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", name)
    if match is None or match[2] not in _MODULES:
        raise ValueError(f"{config}: the modules read are {', '.join(_MODULES)}; got {name!r}.")
    return f"blocks.{match[1]}.{_MODULES[match[2]]}"


def _named(where: str) -> tuple[str, str]:
    """Hook names in and out of a Gemma 2 dictionary's place, "" where it does not say."""
    if "embedding" in where:
        return "blocks.0.hook_resid_pre", ""
    layer = re.search(r"layer_(\d+)", where)
    stream = re.search(r"(?:-|/)(res|mlp|att|transcoders)(?:-|/|$)", where)
    if layer is None or stream is None:
        return "", ""
    block = f"blocks.{layer[1]}."
    if stream[1] == "transcoders":
        return f"{block}ln2.hook_normalized", f"{block}hook_mlp_out"
    name = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z"}[stream[1]]
    return block + name, ""


def _model(where: str) -> str:
    found = re.search(r"gemma-scope-(\d+b)-(pt|it)", where)
    return "" if found is None else f"gemma-2-{found[1]}" + ("-it" if found[2] == "it" else "")
