"""What a FeaturePage shows, checked and made ready to travel."""

# Annotations are not postponed: a TypedDict would then take every NotRequired key for required.
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np

from workbench.widgets.arrays import as_array, encode
from workbench.widgets.guarded import is_index
from workbench.widgets.panel import check_keys, floats


class Context(TypedDict):
    """A piece of text and how active the feature is at each of its tokens.

    tokens: strings, at least one. values: float (pos,). at: the position that it is shown for, the
    most active one where absent. group: the heading it stands under. source: where it is from.
    """

    tokens: Sequence[str]
    values: Sequence[float] | np.ndarray
    at: NotRequired[int]
    group: NotRequired[str]
    source: NotRequired[str]


class Histogram(TypedDict):
    """How often the feature is how active. edges: float (bin + 1,), rising. counts: int (bin,)."""

    edges: Sequence[float] | np.ndarray
    counts: Sequence[int] | np.ndarray


class FeatureLink(TypedDict):
    """Another feature. name: "L3.resid_post/7". value: how near or how often together."""

    name: str
    value: float
    label: NotRequired[str]


class AblationEffect(TypedDict):
    """What removing the feature does. quantity: what changes, "loss", in its unit.

    effect: of the feature; control: of others as active. Each is a mean with the ends of its
    interval, (mean, low, high); no control: it was not measured.
    """

    quantity: str
    effect: Sequence[float]
    control: NotRequired[Sequence[float] | None]
    unit: NotRequired[str]


class PageData(TypedDict, total=False):
    """What a page says of a feature; see `FeaturePage`."""

    label: str
    score: str
    frequency: float | None
    n_active: int | None
    mean: float | None
    maximum: float | None
    dead: bool
    histogram: Histogram | tuple[np.ndarray, np.ndarray] | None
    fires_on: Sequence[tuple[str, float]]
    promoted: Sequence[tuple[str, float]]
    suppressed: Sequence[tuple[str, float]]
    nearest: Sequence[FeatureLink | tuple[str, float]]
    nearest_by: str
    coactive: Sequence[FeatureLink | tuple[str, float]]
    coactive_by: str
    ablation: Sequence[AblationEffect]
    ablation_note: str
    lowered: Sequence[tuple[str, float]]
    raised: Sequence[tuple[str, float]]


#: Lists of tokens with a number each.
TOKEN_LISTS = ("fires_on", "promoted", "suppressed", "lowered", "raised")


def encode_page(feature: str, data: PageData) -> dict[str, Any]:
    """Everything but the contexts, every key present.

    Raises ValueError for an unknown key, an empty name and a number that does not fit, TypeError
    for a text that is no string.
    """
    check_keys("a feature page", data, (), PageData.__optional_keys__)
    texts = {
        "feature": feature,
        "label": data.get("label", ""),
        "score": data.get("score", "not scored"),
        "nearest_by": data.get("nearest_by", "cosine"),
        "coactive_by": data.get("coactive_by", "Jaccard"),
        "ablation_note": data.get("ablation_note", ""),
    }
    _strings("names, label, score and notes", list(texts.values()))
    if not feature:
        raise ValueError("feature is a name such as 'L3.resid_post/123'; given ''")
    numbers: dict[str, float | None] = {}
    for name in ("frequency", "n_active", "mean", "maximum"):
        value = data.get(name)
        numbers[name] = None if value is None else finite(name, value)
    if not 0 <= (numbers["frequency"] or 0) <= 1:
        raise ValueError(f"frequency is a share from 0 to 1; given {numbers['frequency']}")
    return {
        **texts,
        **numbers,
        "dead": bool(data.get("dead", False)),
        "histogram": encode_histogram(data.get("histogram")),
        "ablation": encode_effects(data.get("ablation", ())),
        **{name: encode_tokens(name, data.get(name, ())) for name in TOKEN_LISTS},
        **{name: encode_links(name, data.get(name, ())) for name in ("nearest", "coactive")},
    }


def encode_contexts(contexts: Iterable[Context | tuple[Any, Any]]) -> dict[str, Any]:
    """The contexts, or pairs of tokens and values, on their way: texts, all values in one array.

    Raises ValueError for a key or a length that does not fit and a value that is not finite,
    TypeError for a token that is no string.
    """
    texts, values = [], [np.zeros(0, np.float32)]
    for number, context in enumerate(contexts):
        where = f"context {number}"
        if not isinstance(context, Mapping):
            if not isinstance(context, list | tuple) or len(context) != 2:
                raise ValueError(
                    f"{where} is a pair (tokens, activations), or a Context; given {context!r:.80}"
                )
            context = {"tokens": context[0], "values": context[1]}
        check_keys(where, context, Context.__required_keys__, Context.__optional_keys__)
        tokens = _strings(f"{where}: tokens", context["tokens"])
        if not tokens:
            raise ValueError(f"{where}: tokens is empty; leave the context out")
        here = floats(f"{where}: values", context["values"], (len(tokens),)).astype(np.float32)
        if not np.isfinite(here).all():
            raise ValueError(f"{where}: values are finite; given {here[~np.isfinite(here)][0]}")
        group, source = context.get("group", "most active"), context.get("source", "")
        _strings(f"{where}: group and source", [group, source])
        at = context.get("at", int(np.abs(here).argmax()))
        if not is_index(at, len(tokens)):
            raise ValueError(f"{where}: at is a position, 0 to {len(tokens) - 1}; given {at!r}")
        texts.append({"tokens": tokens, "at": at, "group": group, "source": source})
        values.append(here)
    return {"texts": texts, "values": encode(np.concatenate(values))}


def encode_histogram(histogram: Any) -> dict[str, Any] | None:
    """The histogram as lists; raises ValueError where edges do not rise or counts do not fit."""
    if histogram is None:
        return None
    if isinstance(histogram, tuple):  # as numpy gives it
        histogram = dict(zip(("counts", "edges"), histogram, strict=False))
    check_keys("histogram", histogram, Histogram.__required_keys__, ())
    edges = as_array(histogram["edges"]).astype(np.float64)
    counts = as_array(histogram["counts"])
    if edges.ndim != 1 or counts.shape != (len(edges) - 1,) or not counts.size:
        raise ValueError(
            "histogram: edges has one entry more than counts, at least two; "
            f"given {edges.shape} and {counts.shape}"
        )
    if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise ValueError("histogram: edges are finite and rise")
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError("histogram: counts are whole numbers from 0")
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def encode_tokens(name: str, tokens: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """(token, value) pairs as dicts; raises TypeError or ValueError for what is no such pair."""
    if not all(len(pair) == 2 for pair in tokens):
        raise ValueError(f"{name} holds pairs of a token and a number")
    _strings(name, [token for token, _ in tokens])
    return [{"token": token, "value": finite(name, value)} for token, value in tokens]


def encode_links(name: str, links: Sequence[Any]) -> list[dict[str, Any]]:
    """The features, every key present; raises ValueError or TypeError where one does not fit."""
    out = []
    for given in links:
        pair = isinstance(given, tuple)
        link: Mapping[str, Any] = (
            dict(zip(("name", "value"), given, strict=False)) if pair else given
        )
        check_keys(name, link, FeatureLink.__required_keys__, FeatureLink.__optional_keys__)
        label = link.get("label", "")
        _strings(name, [link["name"], label])
        out.append({"name": link["name"], "label": label, "value": finite(name, link["value"])})
    if "" in (names := [link["name"] for link in out]) or len(set(names)) < len(names):
        raise ValueError(f"{name} holds each feature once, with a name; given {names}")
    return out


def encode_effects(effects: Sequence[AblationEffect]) -> list[dict[str, Any]]:
    """The effects, every key present; raises ValueError or TypeError where one does not fit."""
    out = []
    for effect in effects:
        required, optional = AblationEffect.__required_keys__, AblationEffect.__optional_keys__
        check_keys("ablation", effect, required, optional)
        quantity, unit = effect["quantity"], effect.get("unit", "")
        _strings("ablation", [quantity, unit])
        given = {"effect": effect["effect"], "control": effect.get("control")}
        measured = {name: means for name, means in given.items() if means is not None}
        for name, means in measured.items():
            if len(means) != 3:
                raise ValueError(f"ablation: {name} is (mean, low, high); given {means!r}")
            given[name] = [finite(f"ablation: {name}", value) for value in means]
        out.append({"quantity": quantity, "unit": unit, **given})
    return out


def finite(name: str, value: Any) -> float:
    """The number; raises ValueError where it is none or not finite."""
    if isinstance(value, (str, bool)) or not math.isfinite(number := float(value)):
        raise ValueError(f"{name}: a number is finite; given {value!r}")
    return number


def _strings(name: str, given: Sequence[Any]) -> list[str]:
    if isinstance(given, str) or not all(isinstance(item, str) for item in given):
        raise TypeError(f"{name} holds strings; given {given!r:.80}")
    return list(given)
