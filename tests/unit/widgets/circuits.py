"""Made-up circuit graphs for the tests of the layout "components"."""

from typing import Any

import numpy as np


def circuit(n_layers: int = 2, n_heads: int = 2, seed: int = 0, *, channels: bool = True) -> Any:
    """Nodes and every edge of a model of this size, with heavy-tailed weights, as keywords."""
    rng = np.random.default_rng(seed)
    nodes: list[dict[str, Any]] = [{"id": "embed", "label": "embed", "kind": "embed"}]
    for layer in range(n_layers):
        nodes += [
            {"id": f"L{layer}H{head}", "label": f"L{layer}H{head}", "layer": layer, "kind": "head"}
            for head in range(n_heads)
        ]
        nodes.append(
            {"id": f"L{layer}.mlp", "label": f"L{layer}.mlp", "layer": layer, "kind": "mlp"}
        )
    nodes.append({"id": "logits", "label": "logits", "kind": "logits"})
    for node in nodes:
        node["score"] = float(np.round(rng.standard_t(1.5) / 10, 3))
        node["note"] = f"note of {node['id']}"

    def order(node: dict[str, Any]) -> float:
        if node["kind"] in ("embed", "logits"):
            return -1.0 if node["kind"] == "embed" else float("inf")
        return node["layer"] + 0.5 * (node["kind"] == "mlp")

    ends = [
        (source, target, channel)
        for source, start in enumerate(nodes)
        for target, end in enumerate(nodes)
        if order(start) < order(end)
        for channel in (("q", "k", "v") if channels and end["kind"] == "head" else ("",))
    ]
    edges = {
        "source": np.array([source for source, _, _ in ends]),
        "target": np.array([target for _, target, _ in ends]),
        "weight": (rng.standard_t(1.5, len(ends)) / 20).astype(np.float32),
        "channel": [channel for _, _, channel in ends],
    }
    return {"nodes": nodes, "edges": edges}
