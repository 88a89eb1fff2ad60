"""circuit-tracer: a transcoder a layer, layer_{i}.safetensors, beside config.yaml of the set."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ...reading import read_safetensors, read_yaml
from .parts import Parts, word

CONFIG = "config.yaml"
#: What it may say, of which it says something.
SETTINGS = {
    "model_name", "model_kind", "feature_input_hook", "feature_output_hook", "activation", "k",
    "scan", "transcoders", "repo_id",
}  # fmt: skip
LAYER = re.compile(r"layer_(\d+)\.safetensors")


def read_circuit_tracer(path: Path) -> Parts:
    """The parts of one layer's transcoder.

    path: layer_{i}.safetensors. W_enc lies there as (feature, d_in) and W_skip as (d_out, d_in);
    W_dec is (feature, d_out), in the first files (d_out, feature). Where config.yaml is missing,
    the transcoder reads mlp_in and gives mlp_out. A top-k one is given no negative codes, which
    circuit-tracer's own would have in a row with fewer than k positive ones.

    Raises `ValueError` for a cross-layer transcoder and an activation that is not read here.
    """
    tensors = read_safetensors(path)
    config = path.with_name(CONFIG)
    cfg: dict[str, Any] = read_yaml(config) if os.path.lexists(config) else {}
    if cfg and SETTINGS.isdisjoint(cfg):
        raise ValueError(
            f"{config} is not that of a set of transcoders: of {', '.join(sorted(SETTINGS))} it "
            f"has none; got {', '.join(map(str, cfg))[:80]}. Get it again."
        )
    across = any(value.ndim > 2 for value in tensors.values())
    if cfg.get("model_kind", "transcoder_set") != "transcoder_set" or across:
        raise ValueError(
            f"{path} writes to several layers (a cross-layer transcoder); dictionaries here write "
            "to one site. Take a set with one transcoder a layer."
        )
    if missing := [name for name in ("W_enc", "W_dec", "b_enc", "b_dec") if name not in tensors]:
        raise ValueError(
            f"{path} has no {', '.join(missing)}, which a transcoder needs; it has "
            f"{', '.join(sorted(tensors))[:300] or 'nothing'}."
        )
    if "log_thresholds" in tensors:
        raise ValueError(
            f"{path} has log_thresholds, a form that circuit-tracer itself no longer reads. Save "
            "activation_function.threshold, their exponential, in their place."
        )
    threshold = tensors.pop("activation_function.threshold", None)
    activation = word(config, cfg, "activation") or ("relu" if threshold is None else "jumprelu")
    if activation not in ("relu", "jumprelu", "topk"):
        raise ValueError(
            f"{config}: the activations read are relu, jumprelu and topk; got {activation!r}."
        )
    if activation == "jumprelu" and threshold is not None:
        tensors["threshold"] = threshold.expand(tensors["b_enc"].shape)
    n, d_out = len(tensors["b_enc"]), len(tensors["b_dec"])
    tensors["W_enc"] = tensors["W_enc"].T
    if tuple(tensors["W_dec"].shape) == (d_out, n) and n != d_out:
        tensors["W_dec"] = tensors["W_dec"].T
    if "W_skip" in tensors:
        tensors["W_skip"] = tensors["W_skip"].T
    layer = LAYER.fullmatch(path.name)
    block = None if layer is None else f"blocks.{layer[1]}."
    return Parts(
        where=path,
        kind=activation,
        tensors=tensors,
        hook="" if block is None else block + str(cfg.get("feature_input_hook", "mlp.hook_in")),
        hook_out=""
        if block is None
        else block + str(cfg.get("feature_output_hook", "hook_mlp_out")),
        model=word(config, cfg, "model_name"),
        k=cfg.get("k"),
        info={"format": "circuit_tracer"} | cfg,
    )
