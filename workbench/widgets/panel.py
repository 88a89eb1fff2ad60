"""What one lens on one component shows in a TokenGrid, checked and made ready to travel."""

# Annotations are not postponed: a TypedDict would then take every NotRequired key for required.
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict, cast

import numpy as np

from workbench.widgets.arrays import as_array, encode, narrow


class Quantity(TypedDict):
    """A number for every cell, and how it is written and coloured.

    values: float array (row, pos). NaN means "not defined here" and is drawn grey.
    label, unit: what it is called (the name where absent) and counted in ("nats").
    scale: "sequential", "diverging" (zero in the middle) or "log" (every value above 0).
    low, high: the values at the ends of the colours; absent or None: the least and greatest value.
    digits: places after the decimal point, 3 where absent.
    """

    values: np.ndarray
    label: NotRequired[str]
    unit: NotRequired[str]
    scale: NotRequired[Literal["sequential", "diverging", "log"]]
    low: NotRequired[float | None]
    high: NotRequired[float | None]
    digits: NotRequired[int]


class Tracks(TypedDict):
    """Exact ranks through all rows of the tokens worth following at each position.

    Position p owns the tokens offsets[p] to offsets[p + 1]. offsets: int (pos + 1,); ids: int (n,)
    into the vocabulary; ranks: int (n, row), 0 = top; logprobs: float (n, row), natural logarithm.
    """

    offsets: np.ndarray
    ids: np.ndarray
    ranks: np.ndarray
    logprobs: np.ndarray


class Panel(TypedDict):
    """One lens on one component.

    lens, component: what the two selectors of the toolbar show.
    rows: labels from first (bottom) to last (top).
    top: int (row, pos, k), ids into the vocabulary, best first. With k = 0 there are no tokens and
        cells show the chosen quantity's number instead.
    top_logprob: float (row, pos, k), natural logarithm; float16 travels as it is, all else float32.
    quantities: name → Quantity, at least one.
    tracks: optional; without it a pinned token's rank is known only inside the top k.
    """

    lens: str
    component: str
    rows: list[str]
    top: np.ndarray
    top_logprob: np.ndarray
    quantities: Mapping[str, Quantity]
    tracks: NotRequired[Tracks | None]


SCALES = ("sequential", "diverging", "log")
#: What errors call a grid of plain arrays, whose one panel has no name.
PLAIN = "TokenGrid"


def plain_panel(
    values: Any, n_positions: int, rows: Sequence[Any] | None = None, top: Any = None
) -> tuple[Panel, list[str]]:
    """The panel of numbers and strings as a `TokenGrid` takes them, and its vocabulary.

    Raises ValueError or TypeError with the rule, what was given, and the next step.
    """
    main = "value" if top is None else "probability"
    given = values if isinstance(values, Mapping) else {main: values}
    if not given or (top is not None and main not in given):
        raise ValueError(
            f"{PLAIN}: values are numbers or {{name: numbers}}, with top= the tokens' "
            f"'probability' among them; given {', '.join(map(repr, given)) or 'none'}"
        )
    first = next(iter(given))
    quantities = {name: _plain_quantity(name, each) for name, each in given.items()}
    if rows is None and hasattr(given[first], "columns"):  # a table has its own
        rows = list(given[first].index)
    n_rows = len(quantities[first]["values"])
    labels = [f"row {row}" for row in range(n_rows)] if rows is None else list(map(str, rows))
    shape = len(labels), n_positions
    words, chances = np.zeros((*shape, 0), object), np.zeros((*shape, 0))
    if top is not None:
        words, chances = _plain_top(top, quantities[main]["values"])
        quantities[main] = {"low": 0.0, "high": 1.0, **quantities[main], "values": chances[..., 0]}
    for name, quantity in quantities.items():
        if (have := quantity["values"].shape) != shape:
            step = (
                "take one prompt of a batch with [0]" if len(have) > 2 else "transpose it with .T"
            )
            raise ValueError(
                f"{PLAIN}: {name!r} has shape (row, pos) = {shape}, a position for each token and "
                f"a row for each of rows=; given {have}"
                + (f": {step}" if len(have) > 2 or have == shape[::-1] else "")
            )
    vocabulary, ids = np.unique(words, return_inverse=True)
    panel: Panel = {
        "lens": "",
        "component": "",
        "rows": labels,
        "top": ids.reshape(words.shape),
        "top_logprob": np.log(chances, out=np.full(chances.shape, -np.inf), where=chances > 0),
        "quantities": quantities,
    }
    return panel, vocabulary.tolist()


def _plain_quantity(name: str, given: Any) -> Quantity:
    """The quantity: whole numbers without places, signed ones with zero in the middle."""
    quantity = given if isinstance(given, Mapping) else {"values": given}
    where = f"{PLAIN}: quantity {name!r}"
    check_keys(where, quantity, Quantity.__required_keys__, Quantity.__optional_keys__)
    values = np.atleast_2d(as_array(quantity["values"]))
    if values.dtype.kind not in "fiu":
        raise TypeError(
            f"{where} holds numbers; given {values.dtype.name}. Strings go into top=, beside "
            "their probabilities"
        )
    defaults = {
        "scale": "diverging" if (values < 0).any() else "sequential",
        "digits": 3 if values.dtype.kind == "f" else 0,
    }
    return cast("Quantity", {**defaults, **quantity, "values": values})


def _plain_top(top: Any, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and their probabilities, both (row, pos, k)."""
    words = np.atleast_2d(np.array(top, dtype=object))
    if not all(isinstance(word, str) for word in words.flat):
        raise TypeError(
            f"{PLAIN}: top holds strings, as many in each cell; given {top!r:.80}. Turn ids into "
            "strings with the tokenizer"
        )
    if words.shape != probability.shape or words.ndim not in (2, 3) or not words.size:
        raise ValueError(
            f"{PLAIN}: top and its probabilities have one shape, (row, pos) or (row, pos, k); "
            f"given {words.shape} and {probability.shape}"
        )
    # Softmax may round a hair above 1.
    if not ((probability >= 0) & (probability <= 1 + 1e-4)).all():
        raise ValueError(
            f"{PLAIN}: with top= the values are the probabilities of those tokens, 0 to 1; given "
            f"{probability.min():g} to {probability.max():g}: take the softmax of logits, and put "
            "another number beside them as {'probability': …, name: …}"
        )
    return words.reshape(*words.shape[:2], -1), probability.reshape(*words.shape[:2], -1)


def encode_panel(panel: Panel, n_positions: int, n_vocabulary: int) -> dict[str, Any]:
    """The panel with its arrays encoded and every default filled in.

    Raises ValueError or TypeError with the field that does not fit, what was given, and what fits.
    """
    named = f"panel {panel.get('lens')!r} / {panel.get('component')!r}"
    where = PLAIN if panel.get("lens") == "" else named
    required = Panel.__required_keys__
    check_keys(where, panel, required, Panel.__optional_keys__)
    rows = list(panel["rows"])
    if not rows or not all(isinstance(row, str) for row in rows):
        raise ValueError(f"{where}: rows are labels, at least one; given {rows!r}")
    top = np.asarray(panel["top"])
    if top.ndim != 3 or top.shape[:2] != (len(rows), n_positions):
        raise ValueError(
            f"{where}: top has shape (row, pos, k) = ({len(rows)}, {n_positions}, 0 or more); "
            f"given {top.shape}"
        )
    check_ids(f"{where}: top", top, n_vocabulary)
    logprob = floats(f"{where}: top_logprob", panel["top_logprob"], top.shape)
    # Half precision may round a log-probability just below 0 up, never above it.
    if np.isnan(logprob).any() or (logprob > 1e-4).any():
        raise ValueError(f"{where}: top_logprob holds log-probabilities, at most 0 and never NaN")
    # Ties may come in either order, and rounding may put one a hair above the other.
    if (logprob[..., 1:] > logprob[..., :-1] + 1e-3).any():
        raise ValueError(f"{where}: top and top_logprob are best first; sort them along k")
    if not panel["quantities"]:
        raise ValueError(f"{where}: quantities needs at least one entry")
    tracks = panel.get("tracks")
    return {
        "lens": str(panel["lens"]),
        "component": str(panel["component"]),
        "rows": rows,
        "top": encode(narrow(top)),
        "top_logprob": encode(logprob),
        "quantities": {
            name: encode_quantity(f"{where}: quantity {name!r}", name, quantity, top.shape[:2])
            for name, quantity in panel["quantities"].items()
        },
        "tracks": tracks
        and encode_tracks(f"{where}: tracks", tracks, len(rows), n_positions, n_vocabulary),
    }


def encode_quantity(
    where: str, name: str, quantity: Quantity, shape: tuple[int, ...]
) -> dict[str, Any]:
    """The quantity with its values encoded and every default filled in; errors as encode_panel."""
    check_keys(where, quantity, Quantity.__required_keys__, Quantity.__optional_keys__)
    values = floats(where, quantity["values"], shape)
    scale = quantity.get("scale", "sequential")
    if scale not in SCALES:
        raise ValueError(f"{where}: scale is one of {', '.join(SCALES)}; given {scale!r}")
    digits = quantity.get("digits", 3)
    if not isinstance(digits, int) or not 0 <= digits <= 10:
        raise ValueError(f"{where}: digits is a whole number from 0 to 10; given {digits!r}")
    finite = values[np.isfinite(values)]
    ends = [quantity.get("low"), quantity.get("high")]
    low = ends[0] if ends[0] is not None else (finite.min() if finite.size else 1.0)
    high = ends[1] if ends[1] is not None else (finite.max() if finite.size else 1.0)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"{where}: low is finite and at most high; given {low!r} and {high!r}")
    if scale == "log" and (low <= 0 or (finite.size and finite.min() <= 0)):
        least = min(float(low), float(finite.min()) if finite.size else float(low))
        raise ValueError(
            f"{where}: a log scale needs values above 0, the least is {least:g}; "
            "count ranks from 1, or choose another scale"
        )
    return {
        "values": encode(values),
        "label": str(quantity.get("label", name)),
        "unit": str(quantity.get("unit", "")),
        "scale": scale,
        "low": float(low),
        "high": float(high),
        "digits": digits,
    }


def encode_tracks(
    where: str, tracks: Tracks, n_rows: int, n_positions: int, n_vocabulary: int
) -> dict[str, Any]:
    """The tracks with their arrays encoded; errors as encode_panel."""
    check_keys(where, tracks, Tracks.__required_keys__, Tracks.__optional_keys__)
    offsets, ids, ranks = (np.asarray(tracks[name]) for name in ("offsets", "ids", "ranks"))
    if ids.ndim != 1 or offsets.shape != (n_positions + 1,):
        raise ValueError(
            f"{where}: ids has shape (n,) and offsets ({n_positions + 1},); "
            f"given {ids.shape} and {offsets.shape}"
        )
    if offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets.astype(np.int64)) < 0).any():
        raise ValueError(f"{where}: offsets rise from 0 to the number of ids, {len(ids)}")
    if ranks.shape != (len(ids), n_rows):
        raise ValueError(f"{where}: ranks has shape ({len(ids)}, {n_rows}); given {ranks.shape}")
    check_ids(f"{where}: ids", ids, n_vocabulary)
    return {
        "offsets": encode(narrow(offsets)),
        "ids": encode(narrow(ids)),
        "ranks": encode(narrow(ranks)),
        "logprobs": encode(floats(f"{where}: logprobs", tracks["logprobs"], ranks.shape)),
    }


def check_keys(
    where: str, given: Mapping[str, Any], required: Collection[str], optional: Collection[str]
) -> None:
    """Raises ValueError for a key that is missing or unknown."""
    missing = [key for key in required if key not in given]
    unknown = [key for key in given if key not in required and key not in optional]
    if missing or unknown:
        raise ValueError(
            f"{where} has the keys {', '.join(sorted(required))} and may have "
            f"{', '.join(sorted(optional)) or 'no other'}; missing: {sorted(missing)}, "
            f"unknown: {sorted(unknown)}"
        )


def check_ids(where: str, ids: np.ndarray, n_vocabulary: int) -> None:
    """Raises TypeError or ValueError unless every id is an index into the vocabulary."""
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{where} holds integer ids; given {ids.dtype.name}")
    if ids.size and (ids.min() < 0 or ids.max() >= n_vocabulary):
        raise ValueError(
            f"{where} holds ids into the vocabulary, 0 to {n_vocabulary - 1}; "
            f"given {ids.min()} to {ids.max()}"
        )


def floats(where: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The values as float16 if they are that already, else as float32; raises on a wrong shape."""
    array = as_array(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{where} holds numbers; given {array.dtype.name}")
    if array.shape != shape:
        raise ValueError(f"{where} has shape {shape}; given {array.shape}")
    return array if array.dtype == np.float16 else array.astype(np.float32)
