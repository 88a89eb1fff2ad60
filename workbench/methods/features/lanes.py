"""Lanes: which dictionary lies before and which after each, along the residual stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...check import NO, fits, given
from ...dictionary.base import Dictionary
from ...dictionary.collection import Dictionaries
from ...site import Site

#: Where a feature may come from, and where it goes on: the residual stream before, the MLP's and
#: the attention's output of its layer, and the residual stream after.
LANES = ("resid", "mlp", "attn", "next")
BEFORE = LANES[:3]
_MODULES = {"mlp_out": "mlp", "attn_out": "attn"}


@dataclass(frozen=True)
class Lanes:
    """The dictionaries in the order of a pass, and which of them each one is matched with.

    leads: (lane, site) int32, the number of the dictionary that a lane leads to, −1 where there is
    none.
    """

    dicts: Dictionaries
    sites: tuple[Site, ...]
    leads: np.ndarray

    @classmethod
    def of(cls, dicts: Any) -> Lanes:
        """Of `Dictionaries`, or of several single ones.

        Before the residual stream after a layer lie that before the layer and the layer's two
        outputs; `resid_pre` of a layer is the same place as `resid_post` of the one before, and
        `embed` as `L0.resid_pre`. After a module's output lies the residual stream after its layer.

        Raises `ValueError` for dictionaries outside the residual space, of different widths, or two
        of one place.
        """
        dicts = as_dictionaries(dicts)
        sites = tuple(dicts)
        widths = {d.d_out for d in dicts.values()}
        if len(widths) > 1:
            raise ValueError(
                "Features are compared in one space, the residual stream; the dictionaries given "
                f"decode to widths {', '.join(map(str, sorted(widths)))}."
            )
        places: dict[tuple[str, int], int] = {}
        for i, site in enumerate(sites):
            place = _place(site)
            if place in places:
                raise ValueError(
                    f"{sites[places[place]]} and {site} are the same place of the residual stream, "
                    "and a flow passes one dictionary a place. Leave one of them out."
                )
            places[place] = i
        leads = np.full((len(LANES), len(sites)), -1, np.int32)
        for i, site in enumerate(sites):
            lane, at = _place(site)
            if lane == "resid":
                ways = [("resid", at - 1), ("mlp", at), ("attn", at), ("resid", at + 1)]
                leads[:, i] = [places.get(way, -1) for way in ways]
            else:
                leads[-1, i] = places.get(("resid", at), -1)
        return cls(dicts, sites, leads)

    @property
    def names(self) -> tuple[str, ...]:
        """The sites' names."""
        return tuple(map(str, self.sites))

    @property
    def n_features(self) -> np.ndarray:
        """(site,) int64: how many features each dictionary has."""
        return np.array([self.dicts[site].n_features for site in self.sites], np.int64)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of each dictionary, so that a result says which ones it was made of."""
        return tuple(self.dicts[site].fingerprint for site in self.sites)

    def pairs(self) -> list[tuple[int, int, int]]:
        """Each lane that exists, as (lane, site, the site that it leads to)."""
        return [
            (lane, site, int(other))
            for (lane, site), other in np.ndenumerate(self.leads)
            if other >= 0
        ]


def lane_of(site: Site) -> str:
    """The lane in which a site is drawn: "resid", "mlp" or "attn". Raises as `Lanes.of`."""
    return _place(site)[0]


def as_dictionaries(dicts: Any) -> Dictionaries:
    """`Dictionaries` of themselves, of a single dictionary, a mapping or several of them.

    Raises `TypeError` for anything else.
    """
    if isinstance(dicts, Dictionaries):
        return dicts
    if isinstance(dicts, Mapping):
        dicts = list(dicts.values())
    several = fits(Iterable[Dictionary], [dicts] if isinstance(dicts, Dictionary) else dicts)
    if several is not NO:
        return Dictionaries(several)
    raise TypeError(
        "A flow passes dictionaries, as wb.dictionaries('tinyworld') or several "
        f"wb.load_dictionary(…); got {given(dicts)}."
    )


def _place(site: Site) -> tuple[str, int]:
    """("resid", how many layers lie before), or ("mlp" or "attn", the layer's end)."""
    if site.stream == "embed":
        return "resid", 0
    if site.layer is not None:
        if site.stream in ("resid_pre", "resid_post"):
            return "resid", site.layer + (site.stream == "resid_post")
        if site.stream in _MODULES:
            return _MODULES[site.stream], site.layer + 1
    why = (
        "lies inside a layer: leave it out, and use resid_pre or resid_post"
        if site.stream == "resid_mid"
        else f"is of another space ({site.stream}), in which a cosine with the residual stream "
        "means nothing"
    )
    raise ValueError(
        "A flow passes the residual stream (embed, resid_pre, resid_post) and what is added to it "
        f"(mlp_out, attn_out); the dictionary of {site} {why}."
    )
