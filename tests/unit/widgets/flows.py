"""Made-up feature flows for the tests of the layout "lanes"."""

from typing import Any

import numpy as np

WORDS = [
    " dog, cat, wolf", " Monday, Friday", " she, her, hers", " Paris, Rome", "animals of the farm",
    " twelve, thirteen, fourteen, fifteen", " not", ".", " because, since", "plural nouns after of",
]  # fmt: skip


def flow(n_layers: int = 4, per_row: int = 1, seed: int = 0) -> Any:
    """A graph in lanes: a root in the last layer but one and what flows in and out.

    Every layer has `per_row` features in each lane; each of the residual stream reads from one or
    two before it and from a feature of the MLP and of attention.
    """
    rng = np.random.default_rng(seed)
    ids: list[str] = []
    layers: list[int] = []
    lanes: list[str] = []
    rows: dict[tuple[int, str], list[int]] = {}
    streams = {"mlp": "mlp_out", "resid": "resid_post", "attn": "attn_out"}
    for layer in range(n_layers):
        for lane, stream in streams.items():
            for number in rng.choice(1024, per_row, replace=False):
                rows.setdefault((layer, lane), []).append(len(ids))
                ids.append(f"L{layer}.{stream}/{number}")
                layers.append(layer)
                lanes.append(lane)
    n = len(ids)
    best = {lane: np.full(n, np.nan, np.float32) for lane in streams}
    source, target, weight = [], [], []
    for layer in range(n_layers):
        for place, node in enumerate(rows[layer, "resid"]):
            for lane in streams:
                before = rows.get((layer - 1 if lane == "resid" else layer, lane))
                if before is None:
                    continue
                best[lane][node] = similarity = float(np.round(rng.beta(2, 2), 3))
                source.append(before[place])
                target.append(node)
                weight.append(similarity)
                if lane == "resid" and per_row > 1:
                    source.append(before[(place + 1) % per_row])
                    target.append(node)
                    weight.append(similarity / 2)
    resid, written = best["resid"], np.fmax(best["mlp"], best["attn"])
    classes = np.select(
        [
            [lane != "resid" for lane in lanes],
            np.isnan(resid),
            (resid >= 0.5) & (written < 0.5),
            resid >= 0.5,
            written >= 0.5,
        ],
        ["module", "first", "carried", "processed", "newborn"],
        "unexplained",
    ).tolist()
    ended = np.array(classes) == "unexplained"
    ended[rows[n_layers - 1, "resid"][0]] = True
    root = rows[max(0, n_layers - 2), "resid"][0]
    return {
        "ids": ids,
        "layers": layers,
        "lanes": lanes,
        "edges": {
            "source": np.array(source), "target": np.array(target), "weight": np.array(weight),
        },
        "labels": [WORDS[i % len(WORDS)] for i in range(n)],
        "classes": classes,
        "ended": ended,
        "roots": [ids[root]],
        **best, "successor": np.where(ended, 0.3, 0.8).astype(np.float32),
        "thresholds": 0.5,
    }  # fmt: skip
