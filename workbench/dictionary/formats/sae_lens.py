"""SAELens: cfg.json beside sae_weights.safetensors, in today's form and in those before it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...files import SUM, check_seal, whole
from ...reading import read_json, read_safetensors, safetensors_header
from ..normalization import Scaling
from .parts import KINDS, Parts, flag, group, word

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
#: What stands in the settings of a dictionary that was saved here: the last two are the checksum
#: of the weights' file and that of the settings.
OWN_ENTRIES = {"kind", "name", "names", "fingerprint", "info", "factor", "k", "weights", SUM}
#: Architectures of our own in the same two files; sae-lens does not know them.
OWN = "workbench_"
ARCHITECTURES = {
    "standard": "relu",
    "gated": "gated",
    "jumprelu": "jumprelu",
    "topk": "topk",
    "batchtopk": "batchtopk",
    "matryoshka_batchtopk": "batchtopk",
    "matching_pursuit": "matching_pursuit",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
    **{OWN + kind: kind for kind in KINDS},
}
SCALINGS: dict[str, Scaling] = {
    "none": "none",
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm",
    "expected_average_only_in": "factor",
}
#: Names of earlier versions.
OLD_NAMES = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
}


def read_sae_lens(folder: Path) -> Parts:
    """The parts of a dictionary in SAELens's form.

    Raises `ValueError` for an architecture, activation or reshaping that is not read here, and for
    settings and weights that are not of one dictionary. Checked against sae-lens 6.54.
    """
    path = folder / CONFIG
    given = read_json(path)
    cfg = _settings(path, given)
    own = group(path, cfg, "workbench")
    architecture = word(path, cfg, "architecture") or "standard"
    activation = word(path, cfg, "activation_fn") or "relu"
    k = cfg.get("k")
    if activation == "topk":
        architecture, k = "topk", group(path, cfg, "activation_fn_kwargs").get("k", k)
    elif activation != "relu":
        raise ValueError(
            f"{path}: the activation functions read are relu and topk; got {activation!r}."
        )
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"{path}: the architectures read are {', '.join(ARCHITECTURES)}; got {architecture!r}."
        )
    _refuse(path, cfg)
    kind = word(path, own, "kind") or ARCHITECTURES[architecture]
    if kind not in KINDS:
        raise ValueError(f"{path}: the kinds are {', '.join(KINDS)}; got {kind!r}.")
    tensors = _weights(_written(folder, given, own), cfg)
    if "skip" in architecture and "W_skip" not in tensors:
        raise ValueError(f"{folder / WEIGHTS} has no W_skip, which a {architecture} needs.")
    transcoder = "transcoder" in architecture
    takes_b_dec = flag(path, cfg, "apply_b_dec_to_input", True) and not transcoder
    if kind == "matching_pursuit":
        k = int(own.get("k") or cfg.get("max_iterations") or cfg.get("d_in") or 0)
        if not architecture.startswith(OWN) and not takes_b_dec and "b_dec" in tensors:
            # Taken away on the way in or left out on the way back: sae-lens does both or neither.
            tensors["b_dec"] = tensors["b_dec"] * 0
    scale = SCALINGS[cfg["normalize_activations"]]
    return Parts(
        where=folder / WEIGHTS,
        kind=kind,
        tensors=tensors,
        hook=word(path, cfg, "hook_name"),
        hook_out=word(path, cfg, "hook_name_out"),
        model=word(path, cfg, "model_name"),
        k=own.get("k", k),
        subtract_b_dec=takes_b_dec and kind not in ("matching_pursuit", "snmf"),
        by_norm=flag(path, cfg, "rescale_acts_by_decoder_norm", False),
        center=expects_centred(path, cfg),
        scale=scale,
        factor=own.get("factor") if scale == "factor" else 1.0,
        pursuit=_pursuit(path, cfg) if kind == "matching_pursuit" else {},
        name=word(path, own, "name"),
        names=_names(path, own),
        info=dict(own["info"]) if "info" in own else _info(cfg, architecture),
    )


def _names(path: Path, own: Mapping[str, Any]) -> tuple[str, ...]:
    """The features' names. Raises `ValueError` for what is no list of texts."""
    names = own.get("names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: names is a list of texts; got {str(names)[:40]!r}.")
    return tuple(names)


def expects_centred(path: Path, cfg: Mapping[str, Any]) -> bool | None:
    """Whether the residual stream of its training had its mean taken away, None if left open.

    TransformerLens does so to a model whose writing weights it centres. The settings say it; in the
    oldest form (with `hook_point`) models were always loaded that way, which changes GPT-2.
    """
    options = group(path, cfg, "model_from_pretrained_kwargs")
    if options.get("center_writing_weights") is not None or "workbench" in cfg:
        return flag(path, options, "center_writing_weights", False)
    oldest = bool(cfg.get("oldest")) and str(cfg.get("model_name")).startswith("gpt2")
    return True if oldest else None


def _settings(path: Path, cfg: dict[str, Any]) -> dict[str, Any]:
    """The settings of every version under today's names, metadata among them."""
    oldest = "hook_point" in cfg and "sae_lens_training_version" not in cfg
    out = {OLD_NAMES.get(name, name): value for name, value in cfg.items() if name != "metadata"}
    out |= {k: v for k, v in group(path, cfg, "metadata").items() if k not in out or out[k] is None}
    norm = out.get("normalize_activations")
    if isinstance(norm, bool):
        norm = "expected_average_only_in" if norm else "none"
    norm = word(path, {"normalize_activations": norm}, "normalize_activations")
    return out | {"normalize_activations": norm or "none", "oldest": oldest}


def _refuse(path: Path, cfg: Mapping[str, Any]) -> None:
    reshape = word(path, cfg, "reshape_activations") or "none"
    hook = str(cfg.get("hook_name") or "")
    if reshape != "none" or "hook_z" in hook:
        raise ValueError(
            f"{path}: it reads {hook or 'hook_z'}, the heads side by side before W_O "
            f"(reshape_activations {reshape!r}), which is no stream of vectors here. Take a "
            "dictionary of attn_out in its place."
        )
    if cfg.get("hook_head_index") is not None:
        raise ValueError(
            f"{path}: it reads head {cfg['hook_head_index']} of {hook} alone, which is no whole "
            "stream of vectors here. Take a dictionary of attn_out in its place."
        )
    if cfg["normalize_activations"] not in SCALINGS:
        raise ValueError(
            f"{path}: the normalisations read are {', '.join(SCALINGS)}; got "
            f"{cfg['normalize_activations']!r}."
        )


def _written(folder: Path, given: Mapping[str, Any], own: Mapping[str, Any]) -> Path:
    """The file of the weights that go with these settings, which a save may have left aside.

    Raises `ValueError` where either is not as it was saved here.
    """
    path = folder / WEIGHTS
    if strange := sorted(set(own) - OWN_ENTRIES):
        raise ValueError(
            f"{folder / CONFIG} has {strange[0][:40]!r} among what was saved here, which is none "
            "of its entries: it is damaged, or of a newer workbench. Get it again."
        )
    wanted = own.get("weights")
    if isinstance(wanted, str) and (found := whole(path, wanted)) is not None:
        metadata = {**given["metadata"], "workbench": {k: own[k] for k in own if k != SUM}}
        settings = {**given, "metadata": metadata, SUM: own.get(SUM)}
        check_seal(settings, str(folder / CONFIG), "Save the dictionary again, or get it again.")
        return found
    notes = safetensors_header(path).notes
    stamp = notes.get("fingerprint")
    # None where sae-lens wrote them, perhaps again: it keeps our settings and drops the head.
    if stamp is not None and own.get("fingerprint") != stamp:
        raise ValueError(
            f"{path} and {CONFIG} are of two dictionaries (fingerprints {stamp} and "
            f"{own.get('fingerprint')}): one of them was replaced. Save the dictionary again."
        )
    if (SUM in own or "weights" in own) and set(notes) - {"format"}:
        raise ValueError(
            f"{path} was changed after it was written: its checksum is not the one in {CONFIG}. "
            "Save the dictionary again, or get it again."
        )
    return path


def _weights(path: Path, cfg: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    tensors = read_safetensors(path)
    for axis, name in (("d_in", 0), ("d_sae", 1)):
        if "W_enc" in tensors and tensors["W_enc"].ndim == 2 and cfg.get(axis) is not None:
            n = tensors["W_enc"].shape[name]
            if n != cfg[axis]:
                raise ValueError(
                    f"{path}: W_enc is (d_in, d_sae) and {CONFIG} says {axis} = {cfg[axis]}; got "
                    f"shape {tuple(tensors['W_enc'].shape)}."
                )
    scaling = tensors.pop("scaling_factor", tensors.pop("finetuning_scaling_factor", None))
    if scaling is not None and not torch.allclose(scaling, torch.ones_like(scaling)):
        if not cfg.get("finetuning_scaling_factor"):
            raise ValueError(
                f"{path} has a scaling_factor that is not 1, while {CONFIG} says that there was no "
                "fine-tuning of it (finetuning_scaling_factor). One of them is wrong."
            )
        # What the codes are multiplied by on their way out.
        tensors["W_dec"] = tensors["W_dec"] * scaling[:, None]
    if "topk_threshold" in tensors:
        threshold = tensors.pop("topk_threshold")
        tensors["threshold"] = threshold.expand(tensors["b_enc"].shape)
    if "W_skip" in tensors:
        tensors["W_skip"] = tensors["W_skip"].T
    return tensors


def _pursuit(path: Path, cfg: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "residual_threshold": float(cfg.get("residual_threshold", 1e-2)),
        "stop_on_repeat": flag(path, cfg, "stop_on_duplicate_support", True),
    }


def _info(cfg: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """What the settings say besides what a dictionary holds already."""
    left_out = {"workbench", "oldest", "device", "d_in", "d_sae", "d_out", "dtype", "hook_name"}
    kept = {k: v for k, v in cfg.items() if k not in left_out and v is not None}
    return {"format": "sae_lens", "architecture": architecture} | kept
