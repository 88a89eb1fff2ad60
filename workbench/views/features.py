"""What results about features of dictionaries give to their widgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..features.activations import FeatureActivations
from ..features.flow import FeatureFlow
from ..features.page import FeatureContext, FeaturePage
from ..widgets import FeatureGrid, GraphView
from ..widgets import FeaturePage as PageWidget
from . import NoView

#: A graph of more features than this can neither be drawn quickly nor read.
MOST_FLOW_NODES = 600
#: Beside the features known at every token, a grid has so many of those known at some.
MOST_OTHERS = 256
#: What the groups of contexts are called.
GROUPS = {"top": "most active", "sampled": "drawn evenly from all activations"}


def flow_data(result: FeatureFlow) -> dict[str, Any]:
    """The graph of a `GraphView` in lanes, and of its `update`.

    Raises `NoView` for a flow of more than 600 features.
    """
    if len(result.ids) > MOST_FLOW_NODES:
        raise NoView(
            f"A GraphView shows at most {MOST_FLOW_NODES} features; this flow has "
            f"{len(result.ids)}. Ask for the flow of fewer features, draw it with plot(), or use "
            "to_frame()."
        )
    many = len(result.roots) >= result.lanes.count("resid")
    names = ", ".join(result.roots[:2]) + (", …" if len(result.roots) > 2 else "")
    return {
        "ids": result.ids,
        "layers": _levels(result),
        "lanes": result.lanes,
        "edges": {"source": result.sources, "target": result.targets, "weight": result.weights},
        # A flow writes the name where it has no label; the graph writes names anyway.
        "labels": ["" if a == b else a for a, b in zip(result.labels, result.ids, strict=True)],
        "classes": result.classes,
        "ended": result.ended,
        # Where everything was asked for, nothing stands out.
        "roots": () if many and len(result.roots) > 1 else result.roots,
        "resid": result.resid,
        "mlp": result.mlp,
        "attn": result.attn,
        "successor": result.successor,
        "thresholds": result.thresholds[:, result.node_sites].T,
        "title": f"{result.model}: feature flow of {names} by {result.method}",
    }


def _levels(result: FeatureFlow) -> np.ndarray:
    """(node,) the layer after which each site lies; what enters one comes out of that before."""
    return result.layers - np.array([".resid_pre/" in name for name in result.ids])


def page_data(result: FeaturePage) -> dict[str, Any]:
    """The arguments of `widgets.FeaturePage`, and of its `update`."""
    return {
        "feature": result.feature,
        "contexts": [_context(context) for context in result.contexts],
        "label": result.label,
        "score": result.score,
        "frequency": result.frequency,
        "n_active": result.n_active,
        "mean": None if result.dead else result.mean,
        "maximum": None if result.dead else result.largest,
        "dead": result.dead,
        "histogram": None
        if result.dead
        else {"edges": result.bin_edges, "counts": result.histogram},
        "fires_on": _pairs(result.top_tokens, result.token_share),
        "promoted": _pairs(result.promoted, result.promoted_logits),
        "suppressed": _pairs(result.suppressed, result.suppressed_logits),
        "nearest": _links(result.nearest, result.nearest_labels, result.nearest_cosine),
        "nearest_by": "cosine of the directions",
        "coactive": _links(result.together, result.together_labels, result.together_jaccard),
        "coactive_by": "Jaccard index",
        **_ablation(result),
        "lowered": _pairs(result.lowered, result.lowered_change),
        "raised": _pairs(result.raised, result.raised_change),
    }


def _context(context: FeatureContext) -> dict[str, Any]:
    share = f"more than {100 * context.quantile:.0f} % of its activations"
    return {
        "tokens": context.tokens,
        "values": context.activations,
        "at": context.at,
        "group": GROUPS.get(context.group, context.group),
        "source": f"text {context.text}, position {context.position}, {share}",
    }


def _pairs(tokens: Sequence[str], values: np.ndarray) -> list[tuple[str, float]]:
    return list(zip(tokens, values.tolist(), strict=True))


def _links(names: Sequence[str], labels: Sequence[str], values: np.ndarray) -> list[dict[str, Any]]:
    links = zip(names, labels, values.tolist(), strict=True)
    return [{"name": name, "label": label, "value": value} for name, label, value in links]


def _ablation(result: FeaturePage) -> dict[str, Any]:
    """The effects that were measured, with their intervals, and how."""
    effects = []
    for name, row in result.effect().to_dict("index").items():
        means = {"effect": ("mean", "low", "high")}
        means["control"] = ("control", "control_low", "control_high")
        numbers = {
            key: [float(row[column]) for column in columns] for key, columns in means.items()
        }
        if np.isfinite(numbers["effect"]).all():
            control = numbers["control"] if np.isfinite(numbers["control"]).all() else None
            quantity = {"kl": "KL(plain ‖ without)", "loss": "rise of the loss"}[str(name)]
            effects.append({"quantity": quantity, "unit": "nats", **numbers, "control": control})
    if not effects:
        return {}
    n, drawn = len(result.effect_kl), len(set(result.controls))
    places = f"{n} place{'s' * (n != 1)} where it is active"
    control = f"{drawn} feature{'s' * (drawn != 1)} of equal activity, where they are"
    return {
        "ablation": effects,
        "ablation_note": f"mean and 95 % interval at {places}; control: {control}",
    }


def activations_data(result: FeatureActivations, row: int = 0) -> dict[str, Any]:
    """The arguments of `FeatureGrid`, and of its `update`, for one prompt.

    Beside the features known at every token, those among the most active of some token; where they
    are not among those of another, their activation there is not known. Raises `IndexError` for a
    prompt that is not there, `NoView` where no feature is active on it.
    """
    if not 0 <= row < len(result.tokens):
        raise IndexError(f"The prompts are numbered 0 to {len(result.tokens) - 1}; got row={row}.")
    n = len(result.tokens[row])
    top, top_values = result.top[row, :n], result.top_values[row, :n]
    known = set(result.features.tolist())
    most: dict[int, float] = {}
    for number, value in zip(top.ravel().tolist(), top_values.ravel().tolist(), strict=True):
        if number >= 0 and number not in known:
            most[number] = max(value, most.get(number, 0.0))
    others = sorted(most, key=lambda number: (-most[number], number))[:MOST_OTHERS]
    if not known and not others:
        raise NoView("No feature is active on this prompt; there is nothing to draw.")
    rest = np.full((len(others), n), np.nan, np.float32)
    for number, values in zip(others, rest, strict=True):
        positions, places = np.nonzero(top == number)
        values[positions] = top_values[positions, places]
        # Where fewer are active than a token has places for, the others are not.
        values[(top < 0).any(1) & np.isnan(values)] = 0.0
    return {
        "tokens": list(result.tokens[row]),
        "features": [*result.names, *(f"{result.site}/{number}" for number in others)],
        "values": np.concatenate([result.values[row, :n].T, rest]),
        "labels": [*result.labels, *[""] * len(others)],
        "explained": result.explained[row, :n],
        "title": f"{result.model}: features of {result.site}",
    }


def feature_flow(result: FeatureFlow, **options: Any) -> Any:
    """A `GraphView` of the features in lanes; options as there."""
    return GraphView(flow_data(result), layout="lanes", **options)


def feature_page(result: FeaturePage, **options: Any) -> Any:
    """A `widgets.FeaturePage`; options: `editable`."""
    return PageWidget(**{**page_data(result), **options})


def feature_activations(result: FeatureActivations, *, row: int = 0, **options: Any) -> Any:
    """A `FeatureGrid` of one prompt, number `row`; options as in `FeatureGrid`."""
    return FeatureGrid(**{**activations_data(result, row), **options})
