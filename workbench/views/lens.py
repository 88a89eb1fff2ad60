"""What lenses and attention patterns give to their grids."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..lens.attention import Attention
from ..lens.logit import LensPanel, LogitLens
from ..widgets import AttentionGrid, TokenGrid

#: Above this many numbers log-probabilities travel to the browser in half precision.
FULL_PRECISION = 250_000


def grid_data(result: LogitLens, row: int = 0) -> dict[str, Any]:
    """The arguments of `TokenGrid`, and of its `update`, for one prompt of a lens."""
    shown, tokens = result.shown(row), result.tokens[row]
    return {
        "tokens": [tokens[p] for p in shown],
        "next_token": [tokens[p + 1] if p + 1 < len(tokens) else "" for p in shown],
        "vocabulary": list(result.token_strings),
        "values": [_grid_panel(result, panel, row, len(shown)) for panel in result.panels],
        "title": f"{result.model}: what each layer predicts",
    }


def _grid_panel(result: LogitLens, panel: LensPanel, row: int, n: int) -> dict[str, Any]:
    logprobs = panel.top_logprobs[row, :, :n]
    out: dict[str, Any] = {
        "lens": panel.lens,
        "component": panel.site,
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


def attention_data(result: Attention, row: int = 0) -> dict[str, Any]:
    """The arguments of `AttentionGrid`, and of its `update`, for one prompt."""
    kinds = [result.of_prompt(row)]
    if result.value_weighted is not None:
        kinds.append(result.of_prompt(row, weighted=True))
    # Half of each square is 0 and does not travel.
    if sum(kind.size for kind in kinds) > 2 * FULL_PRECISION:
        most = np.finfo(np.float16).max
        kinds = [kind.astype(np.float16) if kind.max() <= most else kind for kind in kinds]
    return {
        "tokens": list(result.tokens[row]),
        "pattern": kinds[0],
        "value_weighted": kinds[1] if len(kinds) > 1 else None,
        "layers": result.layers.tolist(),
        "title": f"{result.model}: what each head attends to",
    }


def logit_lens(result: LogitLens, *, row: int = 0, **options: Any) -> Any:
    """A `TokenGrid` of one prompt, number `row`; options as in `TokenGrid`."""
    return TokenGrid(**grid_data(result, row), **options)


def attention(result: Attention, *, row: int = 0, **options: Any) -> Any:
    """An `AttentionGrid` of one prompt, number `row`; options as in `AttentionGrid`."""
    return AttentionGrid(**attention_data(result, row), **options)
