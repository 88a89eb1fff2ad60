"""Parts: what every reader finds in its files, and the one way to a dictionary's fields."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...model import Norm
from ...site import Site
from ..encoders import (
    BatchTopK,
    Encoder,
    Factors,
    Gated,
    JumpReLU,
    Linear,
    MatchingPursuit,
    ReLU,
    TopK,
)
from ..normalization import Normalization, Scaling

#: Encoders that begin with x · W_enc + b_enc.
LINEAR_KINDS = ("relu", "linear", "jumprelu", "batchtopk", "topk")
KINDS = (*LINEAR_KINDS, "gated", "matching_pursuit", "snmf")
#: Every name of a weight in `Parts`.
KNOWN = {
    "W_enc", "b_enc", "W_dec", "b_dec", "threshold", "b_gate", "b_mag", "r_mag", "W_skip",
    "directions", "b_pre",
}  # fmt: skip
_NORMED = re.compile(r"blocks\.(\d+)\.ln2\.hook_normalized")


@dataclass(frozen=True)
class Parts:
    """What a reader found, in SAELens's names and layouts whatever the file's own.

    where: the file of the weights, for errors. tensors: W_enc (d_in, feature), W_dec (feature,
    d_out), b_dec, and b_enc, threshold, b_gate, b_mag, r_mag, W_skip (d_in, d_out), directions and
    b_pre (what a matching pursuit takes from x first, b_dec where it is not there) by kind. hook,
    hook_out: names of sites, "" where the files say none. subtract_b_dec: b_dec is taken from x
    before W_enc. by_norm: codes are measured in lengths of their decoder rows. pursuit: options of
    a matching pursuit. center: None where the files do not say. factor: None where one is needed
    and not in the files.
    """

    where: Path
    kind: str
    tensors: Mapping[str, torch.Tensor]
    hook: str = ""
    hook_out: str = ""
    model: str = ""
    k: int | None = None
    subtract_b_dec: bool = False
    by_norm: bool = False
    center: bool | None = None
    scale: Scaling = "none"
    factor: float | None = 1.0
    pursuit: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    names: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """What the caller of `Dictionary.load` says, which comes before what the files say."""

    site: Site | str | None = None
    out_site: Site | str | None = None
    model: str | None = None
    center: bool | None = None
    factor: float | None = None
    norm: Norm | None = None


def assemble(parts: Parts, given: Given) -> dict[str, Any]:
    """The fields of the dictionary of these parts.

    Raises `ValueError` that names the file for weights that are missing or of another shape, and
    for a site that is not known or is no site here.
    """
    _check_shapes(parts, parts.tensors)
    # Folding is done in float32, whatever is kept in the end.
    tensors = {n: value.to(torch.float32).contiguous() for n, value in parts.tensors.items()}
    site, out_site, normed = _sites(parts, given)
    if parts.by_norm:
        fold_lengths(tensors)
    if parts.subtract_b_dec:
        fold_shift(tensors)
    if normed:
        fold_norm(tensors, _norm(parts, given, site))
    try:
        normalization, encoder = _normalization(parts, given), _encoder(parts, tensors)
    except ValueError as error:
        raise ValueError(f"{parts.where}: {error}") from None
    return {
        "site": site,
        "out_site": out_site,
        "encoder": encoder,
        "W_dec": tensors["W_dec"],
        "b_dec": tensors["b_dec"],
        "W_skip": tensors.get("W_skip"),
        "normalization": normalization,
        "model": parts.model if given.model is None else given.model,
        "name": parts.name,
        "names": parts.names,
        "path": parts.where.parent,
        "info": dict(parts.info),
    }


def word(path: Path, cfg: Mapping[str, Any], name: str) -> str:
    """A setting that is text, "" where it is left out. Raises `ValueError` for another kind."""
    value = cfg.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{path}: {name} is a text; got {str(value)[:40]!r}.")
    return value or ""


def flag(path: Path, cfg: Mapping[str, Any], name: str, default: bool) -> bool:
    """A setting that is true or false. Raises `ValueError` for another kind."""
    value = cfg.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{path}: {name} is true or false; got {str(value)[:40]!r}.")
    return default if value is None else value


def group(path: Path, cfg: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Settings within a setting, none where it is left out. Raises `ValueError` for another kind"""
    value = cfg.get(name)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{path}: {name} holds settings by name; got {str(value)[:40]!r}.")
    return value or {}


def _needed(parts: Parts, tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[str, ...]]:
    """The axes of each weight that a kind has."""
    out: dict[str, tuple[str, ...]] = {"W_dec": ("feature", "d_out"), "b_dec": ("d_out",)}
    if parts.kind in (*LINEAR_KINDS, "gated"):
        out["W_enc"] = ("d_in", "feature")
    vectors = {"gated": ("b_gate", "b_mag", "r_mag"), "jumprelu": ("b_enc", "threshold")}
    vectors |= {"batchtopk": vectors["jumprelu"], "matching_pursuit": (), "snmf": ()}
    out |= {name: ("feature",) for name in vectors.get(parts.kind, ("b_enc",))}
    if "W_skip" in tensors:
        out["W_skip"] = ("d_in", "d_out")
    if "directions" in tensors:
        out["directions"] = ("feature", "d_in")
    if "b_pre" in tensors:
        out["b_pre"] = ("d_in",)
    return out


def _check_shapes(parts: Parts, tensors: Mapping[str, torch.Tensor]) -> None:
    needed = _needed(parts, tensors)
    if missing := [name for name in needed if name not in tensors]:
        raise ValueError(
            f"{parts.where} has no {', '.join(missing)}, which a {parts.kind} dictionary needs; it "
            f"has {', '.join(sorted(tensors))[:300] or 'nothing'}."
        )
    if strange := sorted(set(tensors) - KNOWN):
        raise ValueError(
            f"{parts.where} has {strange[0][:40]!r}, which no dictionary here computes with; the "
            f"names read are {', '.join(sorted(KNOWN))}. Rename it, or leave it out."
        )
    for name, value in tensors.items():
        if not value.is_floating_point():
            raise ValueError(f"{parts.where}: {name} holds real numbers; got {value.dtype}.")
    sizes: dict[str, tuple[int, str]] = {}
    for name, axes in needed.items():
        shape = tuple(tensors[name].shape)
        fits = len(shape) == len(axes)
        for axis, n in zip(axes, shape, strict=False):
            fits &= sizes.setdefault(axis, (n, name))[0] == n and n > 0
        if not fits:
            known = ", ".join(f"{axis} = {n} by {of}" for axis, (n, of) in sizes.items())
            raise ValueError(
                f"{parts.where}: {name} has the axes ({', '.join(axes)}), with {known}; got shape "
                f"{shape}."
            )


def _sites(parts: Parts, given: Given) -> tuple[Site, Site, bool]:
    """Where it reads, where it writes, and whether it reads before the norm's weight."""
    normed = False
    if given.site is not None:
        site = Site.parse(given.site)
    elif match := _NORMED.fullmatch(parts.hook):
        site, normed = Site("mlp_in", int(match[1])), True
    else:
        site = _site(parts, parts.hook, "site")
    if given.out_site is not None:
        return site, Site.parse(given.out_site), normed
    if not parts.hook_out:
        return site, site, normed
    return site, _site(parts, parts.hook_out, "out_site"), normed


def _site(parts: Parts, hook: str, option: str) -> Site:
    if not hook:
        raise ValueError(
            f"{parts.where} does not say which activation it belongs to. Give {option}=, like "
            f"{option}='L6.resid_pre'."
        )
    if hook.endswith(("hook_z", "hook_q", "hook_k", "hook_v")):
        raise ValueError(
            f"{parts.where} reads {hook}, the heads side by side before W_O, which is no stream of "
            "vectors here. Take a dictionary of attn_out in its place."
        )
    # Without a norm after the MLP these two are one; with one, only hook_mlp_out is a site.
    named = re.sub(r"\.mlp\.hook_out$", ".hook_mlp_out", hook)
    try:
        return Site.parse(named)
    except ValueError:
        raise ValueError(
            f"{parts.where} belongs to {hook!r}, which is no site here. Where it is the same as "
            f"one, give that as {option}=, like {option}='L6.resid_pre'."
        ) from None


def _normalization(parts: Parts, given: Given) -> Normalization:
    center = bool(parts.center) if given.center is None else given.center
    scale, factor = parts.scale, parts.factor
    if given.factor is not None:
        if scale not in ("none", "factor"):
            raise ValueError(
                f"A factor goes with no other scaling; this dictionary has {scale!r}. Leave "
                "factor= out."
            )
        scale, factor = "factor", given.factor
    if factor is None:
        warnings.warn(
            f"{parts.where} was trained on activations times a factor (SAELens's "
            "expected_average_only_in), which its files do not hold; it is taken as 1. "
            "wb.features.check tells from the model what it would be; give it as factor=.",
            stacklevel=5,
        )
        scale, factor = "none", 1.0
    return Normalization(center=center, scale=scale, factor=float(factor))


def _norm(parts: Parts, given: Given, site: Site) -> Norm:
    """The norm of whose input, before its weight, the files speak."""
    n = parts.tensors["W_enc"].shape[0]
    if given.norm is None:
        raise ValueError(
            f"{parts.where} reads {parts.hook}, the normed stream before the norm's own weight, "
            f"while {site} has the weight in it. Give the norm, so that it can be taken out: "
            f"norm=model.norm('ln2', {site.layer})."
        )
    if given.norm.weight.shape != (n,):
        raise ValueError(
            f"{parts.where} reads {n} numbers; the norm given has {len(given.norm.weight)}. It is "
            "the norm of another model."
        )
    return given.norm


def _encoder(parts: Parts, tensors: Mapping[str, torch.Tensor]) -> Encoder:
    kind, get = parts.kind, tensors.__getitem__
    if kind == "snmf":
        directions = tensors.get("directions")
        return Factors(get("W_dec") if directions is None else directions)
    if kind == "gated":
        return Gated(get("W_enc"), get("b_gate"), get("b_mag"), get("r_mag"))
    if kind in ("topk", "batchtopk", "matching_pursuit"):
        k: Any = parts.k
        if type(k) not in (int, float) or k % 1 or k < 1:
            raise ValueError(f"a {kind} dictionary has a k of at least 1; got {str(k)[:40]}.")
        if kind == "topk" and k > (n := len(get("b_enc"))):
            raise ValueError(f"a topk dictionary of {n} features has a k of at most {n}; got {k}.")
    if kind == "matching_pursuit":
        directions, shift = tensors.get("directions"), tensors.get("b_pre")
        return MatchingPursuit(
            get("W_dec") if directions is None else directions,
            get("b_dec") if shift is None else shift,
            int(parts.k or 0),
            **parts.pursuit,
        )
    first = get("W_enc"), get("b_enc")
    if kind == "topk":
        return TopK(*first, int(parts.k or 0))
    if kind == "batchtopk":
        return BatchTopK(*first, get("threshold"), int(parts.k or 0))
    if kind == "jumprelu":
        return JumpReLU(*first, get("threshold"))
    return Linear(*first) if kind == "linear" else ReLU(*first)


#: As sae-lens: a decoder row shorter than this counts as this long.
SHORTEST = 1e-8


def fold_lengths(tensors: dict[str, torch.Tensor]) -> None:
    """Codes measured in lengths of the decoder rows, as codes of rows of length 1."""
    lengths = tensors["W_dec"].norm(dim=-1).clamp(min=SHORTEST)
    tensors["W_enc"] = tensors["W_enc"] * lengths
    for name in ("b_enc", "b_gate", "b_mag"):
        if name in tensors:
            tensors[name] = tensors[name] * lengths
    tensors["W_dec"] = tensors["W_dec"] / lengths[:, None]


def fold_shift(tensors: dict[str, torch.Tensor]) -> None:
    """(x − b_dec) · W_enc + b as x · W_enc + b′."""
    # In float64: b_dec can be large against what is left of it.
    shift = (tensors["b_dec"].double() @ tensors["W_enc"].double()).float()
    for name in ("b_enc", "b_gate"):
        if name in tensors:
            tensors[name] = tensors[name] - shift
    if "b_mag" in tensors:
        tensors["b_mag"] = tensors["b_mag"] - shift * tensors["r_mag"].exp()


def fold_norm(tensors: dict[str, torch.Tensor], norm: Norm) -> None:
    """A reader of n, where the norm gives n · weight + bias, as a reader of what the norm gives."""
    weight, bias = (v.detach().to("cpu", tensors["W_enc"].dtype) for v in (norm.weight, norm.bias))
    tensors["W_enc"] = tensors["W_enc"] / weight[:, None]
    tensors["b_enc"] = tensors["b_enc"] - bias @ tensors["W_enc"]
    if "W_skip" in tensors:
        tensors["W_skip"] = tensors["W_skip"] / weight[:, None]
        tensors["b_dec"] = tensors["b_dec"] - bias @ tensors["W_skip"]
