"""Writers: what components add to the residual stream, by row of a lens or of an attribution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from .model import Model, Norm, Run
from .site import Site

#: Streams whose activation is a residual vector, and z, which a head's W_O turns into one.
READABLE = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "z")


@dataclass(frozen=True)
class Writer:
    """One vector of width d_model a position: a residual stream, a module's output, or a head's."""

    label: str
    site: Site

    @property
    def layer(self) -> int:
        """The layer, -1 for the embedding that enters the first one."""
        assert self.site.layer is not None
        return -1 if self.label == "embed" else self.site.layer


def writers_of(model: Model, name: str) -> list[Writer]:
    """The writers that the name of a stream or site stands for, first to last.

    A stream gives one a layer ("resid_post" also the embedding, first), "z" every head, a site like
    "L3H1.z" or "L2.attn_out" that one alone. Raises `ValueError` for a stream that is no residual
    vector, and for a layer or head that the model does not have.
    """
    spec = model.spec
    named = name in READABLE
    if not isinstance(name, str) or not (named or "." in name):
        raise ValueError(
            f"A lens reads {', '.join(READABLE)}, or a site of one of them like 'L3H1.z'; got "
            f"{name!r}."
        )
    # Of a stream that the model lacks, the check below says so.
    layers = spec.layers(name) or (0,)
    sites = [Site(name, at) for at in layers] if named else [Site.parse(name)]
    for site in sites:
        if site.stream not in READABLE or site.unit is not None:
            raise ValueError(
                f"A lens reads vectors of the residual stream's width: {', '.join(READABLE)}; "
                f"{site} is none."
            )
        spec.check(site)
    if name == "resid_post":
        return [Writer("embed", Site("resid_pre", 0)), *(Writer(f"L{s.layer}", s) for s in sites)]
    if sites[0].stream == "z":
        spec.check_sums("heads")
        return [
            Writer(f"L{s.layer}H{head}", Site("z", s.layer, head))
            for s in sites
            for head in (range(spec.n_heads) if s.head is None else [s.head])
        ]
    return [Writer(f"L{s.layer}", s) for s in sites]


def sites_to_read(writers: Iterable[Writer]) -> set[Site]:
    """The whole streams that a run must read so that `Writers` can give these vectors."""
    out = set()
    for writer in writers:
        out.add(writer.site.whole)
        if writer.site.stream == "z":
            out.add(Site("attn_out", writer.site.layer))
    return out


class Writers:
    """The vectors of writers in one run, at flat lists of rows and columns."""

    def __init__(self, model: Model, run: Run, rows: Sequence[int], columns: Sequence[int]) -> None:
        self._model, self._run = model, run
        self._rows, self._columns = list(rows), list(columns)
        self._weights: dict[int, torch.Tensor] = {}
        self._gains: dict[int, torch.Tensor] = {}

    def vector(self, writer: Writer, at: slice = slice(None)) -> torch.Tensor:
        """(pos, d_model) at a slice of the positions."""
        site = writer.site
        whole = self._run[site.whole][self._rows[at], self._columns[at]]
        if site.stream != "z":
            return whole
        assert site.layer is not None and site.head is not None
        return (whole[:, site.head] @ self._w_o(site.layer)[site.head]) * self.gain(site.layer)[at]

    def stack(self, writers: Sequence[Writer], at: slice = slice(None)) -> torch.Tensor:
        """(pos, row, d_model) at a slice of the positions."""
        return torch.stack([self.vector(writer, at) for writer in writers], 1)

    def attention_bias(self, layer: int) -> torch.Tensor:
        """(pos, d_model): what the layer's attention adds besides its heads: the bias of W_O."""
        return self._model.weight("b_O", layer) * self.gain(layer)

    def gain(self, layer: int) -> torch.Tensor:
        """(pos, d_model): as `head_gain`, at the positions of this run."""
        if layer not in self._gains:
            z = self._run[Site("z", layer)][self._rows, self._columns]
            out = self._run[Site("attn_out", layer)][self._rows, self._columns]
            self._gains[layer] = head_gain(self._model, layer, z, out)
        return self._gains[layer]

    def _w_o(self, layer: int) -> torch.Tensor:
        if layer not in self._weights:
            self._weights[layer] = self._model.weight("W_O", layer, copy=False)
        return self._weights[layer]


def head_gain(
    model: Model, layer: int, z: torch.Tensor, out: torch.Tensor | None = None
) -> torch.Tensor:
    """(…, d_model): what multiplies the sum of the heads on its way to the residual stream.

    z: (…, head, d_head). The model's residual multiplier, 1 in most; where a norm follows the
    attention output (Gemma 2, OLMo 2) its weight over the scale that it has for these z, so that
    heads still add up. With `out`,
    the attn_out of the run, raises `ValueError` where that is not what the heads add up to.
    """
    norm, multiplier = model.norm("ln1_post", layer), model.spec.residual_multiplier
    if norm is None and out is None:
        return torch.full((1,), multiplier, dtype=z.dtype, device=z.device)
    w_o = model.weight("W_O", layer, copy=False)
    summed = torch.einsum("...hd,hdm->...m", z.double(), w_o.double())
    summed = summed + model.weight("b_O", layer).double()
    gain = torch.ones_like(summed) if norm is None else norm.weight.double() / norm.scale(summed)
    gain = gain * multiplier
    if out is not None:
        miss = float((gain * summed - out.double()).abs().max())
        if miss > tolerance(out.dtype) * float(out.abs().max()):
            raise ValueError(
                f"The heads of {model.spec.name} are not told apart: attn_out of layer "
                f"{layer} is not their sum, nor its RMS norm (off by {miss:.2g}). "
                "Read attn_out in place of the heads."
            )
    return gain.to(z.dtype)


def tolerance(dtype: torch.dtype) -> float:
    """How far, relative to their spread, two computations of one activation may lie apart."""
    return 64 * torch.finfo(dtype).eps


def mlp_norm(model: Model, layer: int) -> Norm | None:
    """The norm that an MLP reads through; a parallel one may share the attention's."""
    norm = model.norm("ln2", layer)
    return model.norm("ln1", layer) if norm is None and model.spec.parallel else norm
