"""Site: the name of an activation, in TransformerLens's words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import total_ordering
from typing import Annotated

from .annotations import Filled
from .check import given, whole

#: Every stream in the order in which a forward pass computes it, with the axes that its
#: activation has in a `Run` when the site names no head or neuron.
STREAMS: dict[str, tuple[str, ...]] = {
    "embed": ("batch", "pos", "d_model"),
    "resid_pre": ("batch", "pos", "d_model"),
    "q": ("batch", "pos", "head", "d_head"),
    "k": ("batch", "pos", "head", "d_head"),
    "v": ("batch", "pos", "head", "d_head"),
    "attn_scores": ("batch", "head", "dst", "src"),
    "pattern": ("batch", "head", "dst", "src"),
    "z": ("batch", "pos", "head", "d_head"),
    "attn_out": ("batch", "pos", "d_model"),
    "resid_mid": ("batch", "pos", "d_model"),
    "mlp_in": ("batch", "pos", "d_model"),
    "router": ("batch", "pos", "expert"),
    "expert_out": ("batch", "pos", "expert", "d_model"),
    "mlp_pre": ("batch", "pos", "d_mlp"),
    "mlp_post": ("batch", "pos", "d_mlp"),
    "mlp_out": ("batch", "pos", "d_model"),
    "resid_post": ("batch", "pos", "d_model"),
    "ln_final": ("batch", "pos", "d_model"),
}
#: Streams of the whole model; the others belong to one layer.
GLOBAL_STREAMS = ("embed", "ln_final")
HEAD_STREAMS = tuple(name for name, axes in STREAMS.items() if "head" in axes)
NEURON_STREAMS = ("mlp_pre", "mlp_post")

_HOOKS = {
    "embed": "hook_embed",
    "ln_final": "ln_final.hook_out",
    **{name: f"attn.hook_{name}" for name in HEAD_STREAMS},
    "mlp_in": "mlp.hook_in",
    "mlp_pre": "mlp.hook_pre",
    "mlp_post": "mlp.hook_post",
}
_STREAM_OF_HOOK = {_HOOKS.get(name, f"hook_{name}"): name for name in STREAMS}
_SHORT = re.compile(
    r"(?:L(?P<layer>\d+)(?:H(?P<head>\d+))?\.)?(?P<stream>[a-z_]+)(?:/(?P<unit>\d+))?"
)
_LONG = re.compile(r"(?:blocks\.(?P<layer>\d+)\.)?(?P<hook>[A-Za-z_.]+)")


@total_ordering
@dataclass(frozen=True, eq=True)
class Site:
    """Where an activation is: a stream, its layer, and perhaps one head or one unit of it.

    `head` picks a head of q, k, v (a key/value head under grouped queries), z, pattern or
    attn_scores. `unit` picks a neuron of mlp_pre and mlp_post, or an expert of router; on any other
    stream it is a feature of a dictionary trained there. `str(site)` is the short form
    (`L3.resid_post`, `L3H1.q`, `L2.mlp_post/77`), `site.hook` TransformerLens's name. Sites sort in
    the order in which a forward pass computes them.

    Raises `ValueError` where the parts do not go together.
    """

    stream: str
    layer: int | None = None
    head: int | None = None
    unit: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.stream, str) or self.stream not in STREAMS:
            raise ValueError(
                f"A site names one of the streams {', '.join(STREAMS)}; got {given(self.stream)}. "
                "Write for example Site.parse('L3.resid_post')."
            )
        for name, value in (("layer", self.layer), ("head", self.head), ("unit", self.unit)):
            if value is None or (type(value) is int and value >= 0):
                continue
            object.__setattr__(self, name, whole(f"The {name} of a site", value, 0))
        if (self.layer is None) != (self.stream in GLOBAL_STREAMS):
            if self.layer is None:
                raise ValueError(
                    f"The stream {self.stream!r} belongs to a layer; write L0.{self.stream} for "
                    "the first."
                )
            raise ValueError(
                f"{self.stream!r} belongs to the whole model, not to layer {self.layer}; leave the "
                "layer out."
            )
        if self.head is not None and self.stream not in HEAD_STREAMS:
            raise ValueError(
                f"Only {', '.join(HEAD_STREAMS)} have heads; got head {self.head} of "
                f"{self.stream!r}. "
                "A head's contribution to the residual stream is computed from its z."
            )
        if self.head is not None and self.unit is not None:
            raise ValueError("A site names a head or a unit, not both.")

    @classmethod
    def parse(cls, name: str | Site) -> Site:
        """The site that a name stands for: the short form or TransformerLens's hook name.

        Raises `ValueError` for anything else, naming the forms that are read.
        """
        if isinstance(name, Site):
            return name
        if isinstance(name, str):
            if match := _SHORT.fullmatch(name):
                stream, layer, head, unit = match.group("stream", "layer", "head", "unit")
                if stream in STREAMS:
                    return cls(
                        stream, *(None if x is None else int(x) for x in (layer, head, unit))
                    )
            if (match := _LONG.fullmatch(name)) and match["hook"] in _STREAM_OF_HOOK:
                layer = match["layer"]
                return cls(_STREAM_OF_HOOK[match["hook"]], None if layer is None else int(layer))
        raise ValueError(
            f"A site is written like 'L3.resid_post', 'L3H1.q', 'L2.mlp_post/77', 'embed', or as a "
            f"TransformerLens hook like 'blocks.3.hook_resid_post'; got {given(name)}. "
            f"The streams are {', '.join(STREAMS)}."
        )

    @property
    def hook(self) -> str:
        """TransformerLens's name of the stream's hook point; heads and units share it."""
        name = _HOOKS.get(self.stream, f"hook_{self.stream}")
        return name if self.layer is None else f"blocks.{self.layer}.{name}"

    @property
    def whole(self) -> Site:
        """The site of the whole stream, without head or unit."""
        return Site(self.stream, self.layer)

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of this site's activation in a `Run`."""
        axes = STREAMS[self.stream]
        if self.head is not None:
            axes = tuple(axis for axis in axes if axis != "head")
        return axes if self.unit is None else axes[:-1]

    def __str__(self) -> str:
        layer = "" if self.layer is None else f"L{self.layer}"
        head = "" if self.head is None else f"H{self.head}"
        dot = "." if layer else ""
        unit = "" if self.unit is None else f"/{self.unit}"
        return f"{layer}{head}{dot}{self.stream}{unit}"

    def __repr__(self) -> str:
        return f"Site.parse({str(self)!r})"

    def _key(self) -> tuple[float, int, int, int]:
        layer = {"embed": -1.0, "ln_final": float("inf")}.get(self.stream, self.layer)
        assert layer is not None
        order = list(STREAMS).index(self.stream)
        return (
            layer,
            order,
            -1 if self.head is None else self.head,
            -1 if self.unit is None else self.unit,
        )

    def __lt__(self, other: Site) -> bool:
        if not isinstance(other, Site):
            return NotImplemented
        return self._key() < other._key()


#: One site or more, in a list.
Sites = Annotated[Sequence[Site | str], Filled()]
