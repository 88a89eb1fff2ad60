"""Classes of features: where each comes from by its best matches, and the thresholds of that."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...check import number
from .lanes import BEFORE, LANES

#: What a feature is, by which of its predecessors are similar enough.
#: carried: the residual one, and no module. processed: the residual one and a module. newborn: a
#: module, and not the residual one. unexplained: none. first: no dictionary lies before. module: of
#: an MLP's or attention's output, before which nothing is looked for. dead: it writes nothing, or,
#: matched by correlation, never changed on the texts.
CLASSES = ("carried", "processed", "newborn", "unexplained", "first", "module", "dead")
#: A match counts from this similarity on, where nothing else is said.
THRESHOLD = 0.5


class ThresholdBelowChance(UserWarning):
    """A threshold under what chance alone reaches: matches just above it say nothing."""


def classify(best: np.ndarray, thresholds: np.ndarray, has_lane: np.ndarray) -> np.ndarray:
    """(node,) the class of each feature, one of `CLASSES`.

    best: (lane, node) its best similarity in each lane, NaN where there is none. thresholds,
    has_lane: (lane, node), from where on it counts, and whether a dictionary lies there. A module's
    feature has no lane but the next, and is named by the caller. Source: Laptev et al. 2025.
    """
    before = slice(len(BEFORE))
    with np.errstate(invalid="ignore"):
        high = best[before] >= thresholds[before]
    resid, module = high[0], high[1] | high[2]
    out = np.where(
        resid,
        np.where(module, "processed", "carried"),
        np.where(module, "newborn", "unexplained"),
    )
    lanes = has_lane[before]
    dead = lanes.any(0) & (np.isnan(best[before]) | ~lanes).all(0)
    out = np.where(dead, "dead", out)
    return np.where(lanes.any(0), out, "first")


def is_ended(best: np.ndarray, thresholds: np.ndarray, has_lane: np.ndarray) -> np.ndarray:
    """(node,) whether a dictionary lies after a feature and has nothing similar enough to it.

    Arguments as in `classify`.
    """
    return has_lane[-1] & ~np.isnan(best[-1]) & (best[-1] < thresholds[-1])


def as_thresholds(
    thresholds: Any, sites: Sequence[str], leads: np.ndarray, chance: np.ndarray
) -> np.ndarray:
    """(lane, site) float32: from which similarity on a match counts; NaN where no lane is.

    thresholds: None for 0.5; a number; "chance" for the level of chance of each; or a mapping whose
    keys are lanes ("resid", "mlp", "attn", "next"), sites ("L3.resid_post") or both
    ("L3.resid_post mlp"), the more special one first. leads, chance: (lane, site).

    Raises `ValueError` for anything else. Warns where a threshold lies below chance.
    """
    given: dict[str, Any] = (
        dict(thresholds) if isinstance(thresholds, Mapping) else {"": thresholds}
    )
    known = {"", *LANES, *sites, *(f"{site} {lane}" for site in sites for lane in LANES)}
    if unknown := [key for key in given if key not in known]:
        raise ValueError(
            f"Thresholds are given by lane ({', '.join(LANES)}), by site ({sites[0]}, …) or both "
            f"('{sites[-1]} mlp'); got {unknown[0]!r}."
        )
    for value in given.values():
        if value is not None and not (isinstance(value, str) and value == "chance"):
            number("A threshold", value, -1, 1, "It is a similarity, or 'chance'.")
    out = np.full(leads.shape, np.nan, np.float32)
    for (lane, at), other in np.ndenumerate(leads):
        if other < 0:
            continue
        site = str(sites[at])
        keys = (f"{site} {LANES[lane]}", site, LANES[lane], "")
        value = next((given[key] for key in keys if given.get(key) is not None), THRESHOLD)
        out[lane, at] = chance[lane, at] if isinstance(value, str) else float(value)
    with np.errstate(invalid="ignore"):
        # Of equal ones the rounding decides.
        below = np.argwhere(out < chance - 1e-6)
    if len(below):
        lane, at = below[0]
        warnings.warn(
            f"A threshold lies above what chance alone reaches; {len(below)} do not, as that of "
            f"{LANES[lane]} at {sites[at]}: {out[lane, at]:.2f}, where 1 of 100 random directions "
            f"finds {chance[lane, at]:.2f} or more. Give thresholds='chance' or higher ones.",
            ThresholdBelowChance,
            stacklevel=3,
        )
    return out
