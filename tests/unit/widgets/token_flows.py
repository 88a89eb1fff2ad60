"""Made-up flows of one pass for the tests of the layout "tokens"."""

from typing import Any

import numpy as np

PROMPT = [
    "When", " Mary", " and", " John", " went", " to", " the", " store", ",", " John", " gave",
    " a", " drink", " to",
]  # fmt: skip
WORDS = [
    " Mary", " John", " drink", " store", " the", " her", " him", " went", " gave", " Tuesday",
    "extraordinary", " dog", " Paris", ".", " because", "ing",
]  # fmt: skip


def token_flow(
    n_tokens: int = 5, n_layers: int = 2, per_cell: int = 1, *, seed: int = 0, mid: bool = True
) -> Any:
    """The graph of a GraphView over tokens whose root is the last token's last state.

    Every token has its states; every third column and the last has `per_cell` heads and neurons a
    layer, where each head reads the last state below as query and of two tokens as key and value.
    mid: False for a parallel block, which has no state between heads and neurons.
    """
    rng = np.random.default_rng(seed)
    tokens = [PROMPT[i % len(PROMPT)] for i in range(n_tokens)]
    ids: list[str] = []
    columns: list[int] = []
    layers: list[int] = []
    kinds: list[str] = []
    ends: list[tuple[int, int, str]] = []

    def node(name: str, column: int, layer: int, kind: str) -> int:
        ids.append(f"{name}@{column}")
        columns.append(column)
        layers.append(layer)
        kinds.append(kind)
        return len(ids) - 1

    below = [node("embed", column, -1, "embed") for column in range(n_tokens)]
    for layer in range(n_layers):
        after = []
        for column in range(n_tokens):
            own = below[column]
            busy = column % 3 == 2 or column == n_tokens - 1
            heads = range(per_cell) if busy else ()
            written = [node(f"L{layer}H{head}.z", column, layer, "head") for head in heads]
            for head in written:
                ends.append((own, head, "q"))
                for src in sorted({0, column // 2, column}):
                    ends += [(below[src], head, "v")] + [(below[src], head, "k")] * (src < column)
            if mid:
                state = node(f"L{layer}.resid_mid", column, layer, "state")
                ends += [(part, state, "") for part in [own, *written]]
                own, written = state, []
            names = [f"L{layer}.mlp_post/{k}" for k in rng.choice(512, len(heads), replace=False)]
            neurons = [node(name, column, layer, "neuron") for name in names]
            ends += [(own, neuron, "") for neuron in neurons]
            state = node(f"L{layer}.resid_post", column, layer, "state")
            ends += [(part, state, "") for part in [own, *written, *neurons]]
            after.append(state)
        below = after
    n = len(ids)
    source, target = (np.array([edge[i] for edge in ends]) for i in range(2))
    weight = np.round(rng.normal(0.3, 1, len(ends)), 3)
    into = np.bincount(target, np.abs(weight), n)
    rest = np.round(rng.uniform(0, 0.4, n), 3)
    share = np.abs(weight) / into[target] * (1 - rest[target])
    words = [
        [WORDS[(7 * i + 3 * k) % len(WORDS)] for k in range(5)]
        if kinds[i] != "embed"
        else [tokens[columns[i]], *WORDS[:3]]
        for i in range(n)
    ]
    details = [
        [("query", [" who", " drink"]), (f"value from ‘{tokens[0]}’@0", words[0][:3])]
        if kinds[i] == "head"
        else [("the norm suppresses", [" the", ","])] if kinds[i] == "state" else []
        for i in range(n)
    ]  # fmt: skip
    return {
        "tokens": tokens,
        "ids": ids,
        "columns": columns,
        "layers": layers,
        "kinds": kinds,
        "words": words,
        "edges": {
            "source": source, "target": target, "weight": weight, "share": share,
            "channel": [edge[2] for edge in ends],
        },
        "details": details,
        "scores": np.where(np.array(kinds) == "embed", np.nan, np.round(rng.normal(size=n), 3)),
        "relevance": np.round(rng.uniform(size=n), 3),
        "rest": np.where(np.array(kinds) == "embed", np.nan, rest),
        "unit": "logits",
        "roots": [f"L{n_layers - 1}.resid_post@{n_tokens - 1}"],
    }  # fmt: skip
