"""Made-up feature pages and activations for the tests of FeaturePage and FeatureGrid."""

from typing import Any

import numpy as np

NAME = "L3.resid_post/123"
TEXT = [
    "The", " old", " dog", " and", " the", " small", " cat", " went", " to", " the", " farm", ".",
    "<|endoftext|>", "A", " wolf", " is", " a", " kind", " of", " animal", ",", " but", " a",
    " rose", " is", " a", " kind", " of", " plant", ".",
]  # fmt: skip


def page(n_contexts: int = 5, seed: int = 0) -> Any:
    """The arguments of a FeaturePage of a feature that is active on animals."""
    rng = np.random.default_rng(seed)
    contexts = []
    for number in range(n_contexts):
        values = np.zeros(len(TEXT), np.float32)
        values[[2, 6, 14, 19]] = np.sort(rng.gamma(4, 1, 4))[::-1] * (1 - number / (n_contexts + 2))
        at = int(values.argmax())
        contexts.append(
            {
                "tokens": TEXT,
                "values": values,
                "at": at,
                "group": "most active" if number < (n_contexts + 1) // 2 else "drawn evenly",
                "source": f"text {17 * number}, position {at}",
            }
        )
    return {
        "feature": NAME,
        "contexts": contexts,
        "label": "dog, cat, wolf … +2",
        "score": "F1 0.93 on held-out text",
        "frequency": 0.0123,
        "n_active": 1181,
        "mean": 3.1,
        "maximum": 9.218,
        "histogram": {
            "edges": np.geomspace(0.05, 10, 21),
            "counts": np.round(200 * np.exp(-(((np.arange(20) - 13) / 4) ** 2))).astype(int),
        },
        "fires_on": [(" dog", 0.4), (" cat", 0.31), (" wolf", 0.12), (" animal", 0.05)],
        "promoted": [(" barks", 2.31), (" animal", 1.9), (" tail", 0.81), ("\n", 0.3)],
        "suppressed": [(" rose", -1.7), (" plant", -1.2), (" Monday", -0.02)],
        "nearest": [
            {"name": "L3.resid_post/7", "label": "animal, animals (F1 0.88)", "value": 0.71},
            {"name": "L2.resid_post/900", "value": 0.655},
        ],
        "coactive": [{"name": "L3.resid_post/40", "label": "of (F1 0.99)", "value": 0.21}],
        "ablation": [
            {
                "quantity": "KL", "unit": "nats", "effect": (0.41, 0.3, 0.55),
                "control": (0.02, 0.0, 0.05),
            },
            {"quantity": "loss", "unit": "nats", "effect": (0.2, 0.1, 0.4)},
        ],
        "ablation_note": "at 12 places where it is active; control: 3 features of equal activity",
        "lowered": [(" barks", -1.4), (" tail", -0.7)],
        "raised": [(" rose", 0.8), (" the", 0.1)],
    }  # fmt: skip


def activations(n_features: int = 40, n_tokens: int = len(TEXT), seed: int = 0) -> Any:
    """The arguments of a FeatureGrid: sparse activations of as many features and tokens."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(2, 1.5, (n_features, n_tokens)) * (rng.random((n_features, n_tokens)) < 0.2)
    numbers = rng.choice(1024, n_features, replace=False)
    return {
        "tokens": [TEXT[i % len(TEXT)] for i in range(n_tokens)],
        "features": [f"L3.resid_post/{number}" for number in numbers],
        "values": values.astype(np.float32),
        "labels": [f"kind {i} of things" if i % 3 else "" for i in range(n_features)],
        "explained": np.linspace(0.5, 0.99, n_tokens).astype(np.float32),
    }
