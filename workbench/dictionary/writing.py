"""Writing: a dictionary as the two files that SAELens reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ..files import SUM, aside, seal, sum_of
from .encoders import BatchTopK, Factors, Gated, JumpReLU, Linear, MatchingPursuit, TopK
from .formats.sae_lens import CONFIG, OWN, SCALINGS, WEIGHTS

#: The version of SAELens's form that is written.
FORM = "6.0.0"
_SCALINGS = {ours: theirs for theirs, ours in SCALINGS.items()}
_KINDS = {
    "relu": "standard",
    "jumprelu": "jumprelu",
    # Its threshold is all that encoding needs, and sae-lens saves its own this way too.
    "batchtopk": "jumprelu",
    "topk": "topk",
    "gated": "gated",
    "matching_pursuit": "matching_pursuit",
}
_TRANSCODERS = {
    ("relu", False): "transcoder",
    ("relu", True): "skip_transcoder",
    ("jumprelu", False): "jumprelu_transcoder",
    ("jumprelu", True): "jumprelu_skip_transcoder",
}


def write(dictionary: Any, folder: str | Path, dtype: torch.dtype | None) -> Path:
    """The folder, with the two files in it, as `Dictionary.save` says."""
    architecture = architecture_of(dictionary)
    own_form = architecture.startswith(OWN)
    tensors = _tensors(dictionary, architecture)
    kept: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        wanted = (dtype or tensor.dtype) if tensor.ndim == 2 else torch.float32
        kept[name] = tensor.detach().to("cpu", wanted).contiguous().clone()
        if not bool(kept[name].isfinite().all()):
            raise ValueError(
                f"{name} of {dictionary!r} is not finite in {wanted}. Save it in torch.float32."
            )
    cfg = _settings(dictionary, architecture, own_form)
    try:
        json.dumps(cfg, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "The info of a dictionary is plain data: text, numbers, lists and mappings; "
            f"{error}. Give dataclasses.replace(dictionary, info=…)."
        ) from None
    out = Path(folder)
    own = cfg["metadata"]["workbench"]
    with aside(out / CONFIG, out / WEIGHTS) as (settings, tensors_file):
        save_file(kept, tensors_file, metadata={"fingerprint": own["fingerprint"]})
        own["weights"] = sum_of(tensors_file)
        own[SUM] = seal(cfg)
        settings.write_text(json.dumps(cfg, indent=1, ensure_ascii=False), encoding="utf-8")
    return out


def architecture_of(dictionary: Any) -> str:
    """SAELens's word for a dictionary, or one of our own where it has none."""
    kind, encoder, scale = dictionary.kind, dictionary.encoder, dictionary.normalization.scale
    skip = dictionary.W_skip is not None
    if dictionary.is_transcoder:
        base = "jumprelu" if kind == "batchtopk" else kind
        known = _TRANSCODERS.get((base, skip))
        # Their transcoders fold no factor and give no mean back, as ours.
        return known or OWN + kind
    if skip or kind not in _KINDS:
        return OWN + kind
    if isinstance(encoder, MatchingPursuit) and (
        # Theirs has one matrix and one b_dec for both ways, where no factor can be folded in.
        scale == "factor" or not _tied(dictionary, encoder)
    ):
        return OWN + kind
    return _KINDS[kind]


def _tied(dictionary: Any, encoder: MatchingPursuit) -> bool:
    return torch.equal(encoder.directions, dictionary.W_dec) and torch.equal(
        encoder.b_dec, dictionary.b_dec
    )


def _tensors(dictionary: Any, architecture: str) -> dict[str, torch.Tensor]:
    """The weights in SAELens's names and layouts, a factor folded in where it has none."""
    encoder, own = dictionary.encoder, architecture.startswith(OWN)
    out = {"W_dec": dictionary.W_dec, "b_dec": dictionary.b_dec}
    if dictionary.W_skip is not None:
        out["W_skip"] = dictionary.W_skip.T
    if isinstance(encoder, Factors):
        if not torch.equal(encoder.directions, dictionary.W_dec):
            out["directions"] = encoder.directions
    elif isinstance(encoder, MatchingPursuit):
        if own and not _tied(dictionary, encoder):
            out |= {"directions": encoder.directions, "b_pre": encoder.b_dec}
    elif isinstance(encoder, Gated):
        out["W_enc"] = encoder.W_enc
        out |= {"b_gate": encoder.b_gate, "b_mag": encoder.b_mag, "r_mag": encoder.r_mag}
    elif isinstance(encoder, Linear):
        out |= {"W_enc": encoder.W_enc, "b_enc": encoder.b_enc}
        if isinstance(encoder, JumpReLU):
            out["threshold"] = encoder.threshold
    else:
        raise TypeError(f"{type(encoder).__name__} is no encoder that can be saved.")
    factor = dictionary.normalization.factor
    if factor != 1 and not own:
        out["W_enc"] = out["W_enc"] * factor
        if not dictionary.is_transcoder:
            out |= {"W_dec": out["W_dec"] / factor, "b_dec": out["b_dec"] / factor}
    return out


def _settings(dictionary: Any, architecture: str, own_form: bool) -> dict[str, Any]:
    encoder, normalization = dictionary.encoder, dictionary.normalization
    folded = normalization.scale == "factor" and not own_form
    cfg: dict[str, Any] = {
        "architecture": architecture,
        "d_in": dictionary.d_in,
        "d_sae": dictionary.n_features,
        # What sae-lens computes in; the file may hold less.
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none" if folded else _SCALINGS[normalization.scale],
        "reshape_activations": "none",
    }
    own: dict[str, Any] = {
        "kind": dictionary.kind,
        "name": dictionary.name,
        "fingerprint": dictionary.fingerprint,
        "info": _plain(dictionary.info),
    }
    if dictionary.names:
        own["names"] = list(dictionary.names)
    if own_form:
        own["factor"] = normalization.factor
    if isinstance(encoder, (TopK, BatchTopK, MatchingPursuit)):
        own["k"] = encoder.k
    if isinstance(encoder, TopK):
        cfg |= {"k": encoder.k, "rescale_acts_by_decoder_norm": False}
    if isinstance(encoder, MatchingPursuit):
        cfg |= {
            "apply_b_dec_to_input": True,
            "max_iterations": encoder.k,
            "residual_threshold": encoder.residual_threshold,
            "stop_on_duplicate_support": encoder.stop_on_repeat,
        }
    metadata: dict[str, Any] = {
        "sae_lens_version": FORM,
        "model_name": dictionary.model,
        "hook_name": dictionary.site.hook,
    }
    if dictionary.is_transcoder:
        cfg["d_out"] = dictionary.d_out
        metadata["hook_name_out"] = dictionary.out_site.hook
    if normalization.center:
        metadata["model_from_pretrained_kwargs"] = {"center_writing_weights": True}
    return cfg | {"metadata": metadata | {"workbench": own}}


def _plain(value: Any) -> Any:
    """Mappings as dicts and tuples as lists, so that what is read is what was written."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
