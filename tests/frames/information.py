"""The graph of one pass, its reads and its cuts."""

from __future__ import annotations

from typing import Any

from .calls import Context, Tables, call, thing
from .core import PROMPT


@thing
def information(c: Context) -> Any:
    return c.wb.information_flow(c.model, PROMPT, n_edges=60, n_neurons=4)


@call("information_flow", "InformationFlow")
def information_flow(c: Context) -> Tables:
    made = {
        "state": c.information,
        "answer": c.wb.information_flow(c.model, PROMPT, by="answer", target=" Paris", n_edges=60),
        "foil": c.wb.information_flow(c.model, PROMPT, by="answer", target=" Paris", foil=" Rome",
                                      final_norm="real", n_edges=40, n_neurons=2),
        "coarse": c.wb.information_flow(c.model, PROMPT, details=False, position=3, n_edges=40,
                                        prepend_bos=False, k=3),
        "every": c.wb.information_flow(c.model, PROMPT, position=None, n_edges=80, details=False),
    }  # fmt: skip
    flow = made["state"]
    nodes = list(flow.graph.ids)
    last, first = nodes[-1], nodes[0]
    heavy = flow.filtered(min_share=0.02)
    out: dict[str, Any] = dict(made)
    for name, each in made.items():
        out[f"{name} nodes"] = each.nodes()
    return out | {
        "filtered": heavy, "kinds": flow.filtered(kinds=["head", "state"]),
        "word": flow.filtered(word=" France"),
        "with word": [bool(x) for x in flow.with_word(" France")],
        "path": {"names": str(flow.path(first)), "edges": str(flow.path_edges(first)),
                 "to": str(flow.path(first, last))},
        "read": {node: str(flow.read(node)) for node in nodes[-4:]},
        "graph": flow.graph.weights, "graph scores": flow.graph.scores,
    }  # fmt: skip


@call("cut_flow", "FlowCut")
def cut_flow(c: Context) -> Tables:
    names = list(c.information.edge_names)
    cut = c.wb.cut_flow
    return {
        "one": cut(c.model, c.information, names[0], n_controls=3, seed=c.seed),
        "several": cut(c.model, c.information, names[1:4], fraction=0.5, n_controls=2, k=3,
                       seed=c.seed),
        "no control": cut(c.model, c.information, names[2], n_controls=0, seed=c.seed),
    }  # fmt: skip
