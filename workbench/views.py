"""Views: from results to widgets and pages. The only file that knows both."""

from __future__ import annotations

import base64
import html
from functools import singledispatch
from typing import Any

import numpy as np

from .methods.logit_lens import LensPanel, LogitLens
from .result import Result

#: Above this many numbers log-probabilities travel to the browser in half precision.
FULL_PRECISION = 250_000

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 1.5em; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; font-size: 0.85em; }}
td, th {{ padding: 0.1em 0.6em; text-align: right; }}
</style>
</head>
<body>
<h1>{title}</h1>
<img alt="{title}" src="data:image/png;base64,{picture}">
{table}
</body>
</html>
"""


@singledispatch
def widget(result: Any, **options: Any) -> Any:
    """The interactive view of a result. Raises `TypeError` for one that has none."""
    raise TypeError(
        f"{type(result).__name__} has no interactive view; draw it with plot(), or use to_frame()."
    )


@widget.register(LogitLens)
def _(result: LogitLens, *, row: int = 0, **options: Any) -> Any:
    """A `TokenGrid` of one prompt, number `row`; options as in `TokenGrid`."""
    from .widgets import TokenGrid

    return TokenGrid(**grid_data(result, row), **options)


def has_widget(result: Result) -> bool:
    """Whether the result has an interactive view."""
    return widget.dispatch(type(result)) is not widget.dispatch(object)


def widget_bundle(result: Result) -> dict[str, Any]:
    """What a notebook's front end draws the widget from, by media type."""
    bundle = widget(result)._repr_mimebundle_()
    # ipywidgets gives the data alone or with metadata, by version.
    return dict(bundle[0] if isinstance(bundle, tuple) else bundle)


def page(result: Result, title: str) -> str:
    """One self-contained HTML page: the widget, or where there is none the picture and table."""
    if has_widget(result):
        from .widgets import page as widget_page

        return widget_page(widget(result), title)
    picture = base64.b64encode(result.png()).decode("ascii")
    table = result.to_frame().to_html(index=False, border=0, float_format="{:.4g}".format)
    return PAGE.format(title=html.escape(title, quote=True), picture=picture, table=table)


def grid_data(result: LogitLens, row: int = 0) -> dict[str, Any]:
    """The arguments of `TokenGrid`, and of its `update`, for one prompt of a lens."""
    shown, tokens = result.shown(row), result.tokens[row]
    return {
        "tokens": [tokens[p] for p in shown],
        "next_token": [tokens[p + 1] if p + 1 < len(tokens) else "" for p in shown],
        "vocabulary": list(result.token_strings),
        "panels": [_grid_panel(result, panel, row, len(shown)) for panel in result.panels],
        "title": f"{result.model}: what each layer predicts",
    }


def _grid_panel(result: LogitLens, panel: LensPanel, row: int, n: int) -> dict[str, Any]:
    logprobs = panel.top_logprobs[row, :, :n]
    out: dict[str, Any] = {
        "lens": panel.lens,
        "component": panel.component,
        "rows": list(panel.rows),
        "top": _index(result, panel.top_ids[row, :, :n]),
        "top_logprob": logprobs.astype(np.float16) if logprobs.size > FULL_PRECISION else logprobs,
        "quantities": _quantities(result, panel, row, n),
    }
    if panel.track_offsets is not None:
        assert (
            panel.track_ids is not None
            and panel.track_ranks is not None
            and panel.track_logprobs is not None
        )
        first = row * result.positions.shape[1]
        offsets = panel.track_offsets[first : first + n + 1]
        inside = slice(int(offsets[0]), int(offsets[-1]))
        out["tracks"] = {
            "offsets": offsets - offsets[0],
            "ids": _index(result, panel.track_ids[inside]),
            "ranks": panel.track_ranks[inside],
            "logprobs": panel.track_logprobs[inside].astype(np.float16),
        }
    return out


def _index(result: LogitLens, ids: np.ndarray) -> np.ndarray:
    """Token ids as places in the result's list of strings."""
    return np.searchsorted(result.token_ids, ids).astype(np.int32)


def _quantities(result: LogitLens, panel: LensPanel, row: int, n: int) -> dict[str, dict[str, Any]]:
    share = {"scale": "sequential", "low": 0.0, "high": 1.0, "digits": 3, "unit": ""}
    top = np.exp(panel.top_logprobs[row, :, :n, 0])
    out: dict[str, dict[str, Any]] = {
        "probability": {"values": top, "label": "probability of the top token", **share}
    }
    if panel.entropy is not None:
        out["entropy"] = {
            "values": panel.entropy[row, :, :n],
            "label": "entropy",
            "unit": "nats",
            "low": 0.0,
            "digits": 2,
        }
    if panel.kl is not None:
        out["kl"] = {
            "values": panel.kl[row, :, :n],
            "label": "KL(final ‖ row)",
            "unit": "nats",
            "low": 0.0,
            "digits": 2,
        }
    for t, target in enumerate(result.targets):
        probability = np.exp(panel.target_logprobs[row, :, :n, t])
        ranks = panel.target_ranks[row, :, :n, t] + 1.0
        out[f"probability of {target!r}"] = {
            "values": probability,
            "label": f"probability of {target!r}",
            **share,
        }
        out[f"rank of {target!r}"] = {
            "values": ranks,
            "label": f"rank of {target!r}, 1 = top",
            "scale": "log",
            "low": 1.0,
            "digits": 0,
        }
    for t, (target, foil) in enumerate(zip(result.targets, result.foils, strict=False)):
        name = f"logit {target!r} − {foil!r}"
        out[name] = {
            "values": panel.difference[row, :, :n, t],
            "label": name,
            "unit": "logits",
            "scale": "diverging",
            "digits": 2,
        }
    for s, name in enumerate(result.token_sets):
        label = f"summed probability: {name}"
        out[f"mass: {name}"] = {"values": panel.masses[row, :, :n, s], "label": label, **share}
    return out
