"""Two models side by side: matched weights, and units put from one into the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from .calls import Context, Tables, call, named, thing


@thing
def other(c: Context) -> Any:
    """A model to compare with: the sibling by seed, of the same sizes as tinyworld."""
    return c.wb.load("tinyworld-seed1", backend=c.backend, device="cpu")


def _align(c: Context, **options: Any) -> Any:
    return c.wb.align_weights(
        c.model, c.other, **{"n_permutations": 3, "seed": c.seed, "progress": False} | options
    )


@call("align_weights", "WeightAlignment")
def align_weights(c: Context) -> Tables:
    made = {
        "neurons": _align(c), "heads": _align(c, of="heads"),
        "heads QK": _align(c, of="heads", sides="QK", within="all"),
        "in only": _align(c, sides=["in"], norm="none"), "shared": _align(c, tokens="shared"),
        "layers": _align(c, layers=[(1, 2), (2, 1)]), "all": _align(c, of="heads", within="all"),
    }  # fmt: skip
    out: dict[str, Any] = dict(made)
    for name in ("neurons", "heads"):
        got = made[name]
        first = got.names_a[3]
        for control in ("tokens", "units"):
            out[f"{name} {control}"] = {
                "above": float(got.above_chance(control)),
                "partner": str(got.partner(first)),
                "back": str(got.partner(got.names_b[3], back=True)),
            }
            out[f"{name} p {control}"] = np.asarray(got.p(control))
            out[f"{name} threshold {control}"] = np.asarray(got.threshold(control))
        out[f"{name} interval"] = got.interval()
    return out


@call("stitch", "Stitching")
def stitch(c: Context) -> Tables:
    out: dict[str, Any] = {}
    for of, some in (
        ("heads", ["L1H0.z", "L2H3.z"]),
        ("neurons", ["L1.mlp_post/3", "L2.mlp_post/7"]),
    ):
        alignment = _align(c, of=of)
        got = c.wb.stitch(alignment, c.model, c.other, c.texts, n=8, components=some, n_random=2,
                          seed=c.seed, progress=False)  # fmt: skip
        out[of] = got
        for kind in ("partner", "best", "random"):
            out |= named(
                f"{of} {kind}",
                {
                    "recovered": np.asarray(got.recovered(kind)),
                    "overall": got.overall(kind),
                    "interval": got.interval(got.components[0], kind),
                },
            )
    return out
