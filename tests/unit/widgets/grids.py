"""Small made-up grids for the tests of the widgets."""

from typing import Any

import numpy as np

VOCABULARY = [" Mary", " John", " the", "\n", "ing", " store", ".", " a"]


def panel(
    n_rows: int = 4,
    n_positions: int = 3,
    k: int = 3,
    seed: int = 0,
    *,
    vocabulary: int = len(VOCABULARY),
    tracked: bool = True,
    **changes: Any,
) -> Any:
    """A panel of random logits: rows named embed, L0, L1, …; everything in it agrees.

    Tracks hold each position's top-1 tokens of any row.
    """
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n_rows, n_positions, vocabulary)) * 3
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    order = np.argsort(-logprobs, axis=-1)
    ranks = np.argsort(order, axis=-1)
    top = order[..., :k]
    best = np.take_along_axis(logprobs, top, axis=-1).astype(np.float32)
    followed = [np.unique(top[:, pos, 0]) for pos in range(n_positions)]
    tracks = {
        "offsets": np.cumsum([0, *map(len, followed)]),
        "ids": np.concatenate(followed),
        "ranks": np.concatenate([ranks[:, p, ids].T for p, ids in enumerate(followed)]),
        "logprobs": np.concatenate(
            [logprobs[:, p, ids].T for p, ids in enumerate(followed)]
        ).astype(np.float16),
    }
    quantities = {
        "probability": {"values": np.exp(best[..., 0]), "low": 0.0, "high": 1.0},
        "entropy": {
            "values": -(np.exp(logprobs) * logprobs).sum(-1),
            "unit": "nats",
            "digits": 2,
        },
        "rank of ' Mary'": {"values": ranks[..., 0] + 1, "scale": "log", "digits": 0},
        "logit ' Mary' − ' John'": {
            "values": logits[..., 0] - logits[..., 1],
            "scale": "diverging",
            "label": "logit difference",
        },
    }
    made = {
        "lens": "logit lens",
        "component": "resid_post",
        "rows": ["embed", *(f"L{layer}" for layer in range(n_rows - 1))],
        "top": top,
        "top_logprob": best,
        "quantities": quantities,
    }
    if tracked:
        made["tracks"] = tracks
    return made | changes
