"""TokenFlow: one forward pass as a graph, tokens across and layers upwards, nodes read as words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from traitlets import TraitError

from workbench.widgets.arrays import decode
from workbench.widgets.guarded import GuardedWidget
from workbench.widgets.token_flow_data import (
    MODULES,
    Details,
    TokenFlowEdges,
    check_texts,
    edge_ids,
    encode_edges,
    encode_nodes,
    encode_numbers,
)

STATIC = Path(__file__).parent / "static"
MODES = ("look", "edit")
CHANNELS = ("v", "k", "q")


class TokenFlow(GuardedWidget):
    """The flow of one forward pass: a column a token, layers upwards, signed edges between words.

    tokens: the prompt's token strings, one a column.
    ids: a name a node, "embed@3", "L2.resid_mid@3", "L2.resid_post@3", "L2H1.z@5",
        "L2.mlp_post/77@5". columns: int (node,), its token. layers: int (node,), -1 for "embed".
    kinds: "embed", "state", "head", "neuron" or "mlp" (the rest of a layer's neurons) of each.
    words: up to ten words of each, the first written large.
    edges: `TokenFlowEdges`. An edge goes up; only those into heads change the column.
    details: of each node (caption, words) pairs, shown in the panel below while it is selected.
    scores: float (node,), what each contributes, in the unit. relevance: float (node,), the share
        of the flow into the roots that passes it. rest: float (node,), the share of what it
        receives that the graph's edges leave out. NaN: not known.
    unit: what weights and scores are counted in.
    roots: ids of the nodes that the flow leads to; what does not lead to one is not drawn. Without
        any, everything is.
    mode: "look", or "edit" for edges that can be cut, for which something in Python must answer.
    threshold: edges of a smaller share are not drawn, 0 to 1.

    An edge's id is "L0.resid_post@3 → L1H0.z@5 v", or "L1H0.z@5 → L1.resid_mid@5" where the target
    has one input. Raises ValueError or TypeError where the data do not fit together, TraitError for
    a choice that is not there.
    """

    _esm = STATIC / "token_flow.js"
    _css = STATIC / "token_flow.css"
    DATA = frozenset(
        {"_tokens", "_nodes", "_edges", "_numbers", "title", "unit", "roots", "status", "mode"}
    )

    _tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _nodes = traitlets.List(traitlets.Dict()).tag(sync=True)
    _edges = traitlets.Dict().tag(sync=True)
    _numbers = traitlets.Dict().tag(sync=True)

    title = traitlets.Unicode("").tag(sync=True)
    """Heading above the graph."""
    unit = traitlets.Unicode("").tag(sync=True)
    """What weights and scores are counted in."""
    roots = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Ids of the nodes that the flow leads to."""
    status = traitlets.Unicode("").tag(sync=True)
    """Shown over the dimmed graph while not empty: "running…", "error: …"."""
    mode = traitlets.Unicode("look").tag(sync=True)
    """"look" or "edit"."""
    threshold = traitlets.Float(0.0).tag(sync=True)
    """Edges of a smaller share are not drawn."""
    kinds_shown = traitlets.List(traitlets.Unicode(), default_value=list(MODULES)).tag(sync=True)
    """Which of "head", "neuron" and "mlp" are drawn."""
    channels_shown = traitlets.List(traitlets.Unicode(), default_value=list(CHANNELS)).tag(
        sync=True
    )
    """Which of a head's inputs are drawn: "v", "k", "q"."""
    word = traitlets.Unicode("").tag(sync=True)
    """Nodes one of whose words contains this text stand out."""
    selected = traitlets.Unicode("").tag(sync=True)
    """Id of the node clicked last, or ""."""
    other = traitlets.Unicode("").tag(sync=True)
    """Id of the node clicked before, or "": the strongest path between the two is brought out."""
    cuts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Ids of the edges that are cut, in the order of the cuts."""

    def __init__(
        self,
        tokens: Sequence[str],
        ids: Sequence[str],
        columns: Sequence[int] | np.ndarray,
        layers: Sequence[int] | np.ndarray,
        kinds: Sequence[str],
        words: Sequence[Sequence[str]],
        edges: TokenFlowEdges,
        *,
        details: Sequence[Details] | None = None,
        scores: Any = None,
        relevance: Any = None,
        rest: Any = None,
        unit: str = "",
        roots: Sequence[str] = (),
        title: str = "",
        mode: str = "look",
        threshold: float = 0.0,
    ) -> None:
        nodes = encode_nodes(tokens, ids, columns, layers, kinds, words, details)
        super().__init__(
            _tokens=list(tokens),
            _nodes=nodes,
            _edges=encode_edges(edges, nodes),
            _numbers=encode_numbers(len(nodes), scores, relevance, rest),
            unit=unit,
            roots=_listed(roots),
            title=title,
            mode=mode,
            threshold=threshold,
        )

    def update(
        self,
        tokens: Sequence[str],
        ids: Sequence[str],
        columns: Sequence[int] | np.ndarray,
        layers: Sequence[int] | np.ndarray,
        kinds: Sequence[str],
        words: Sequence[Sequence[str]],
        edges: TokenFlowEdges,
        *,
        details: Sequence[Details] | None = None,
        scores: Any = None,
        relevance: Any = None,
        rest: Any = None,
        unit: str | None = None,
        roots: Sequence[str] = (),
        title: str | None = None,
        mode: str | None = None,
        threshold: float | None = None,
        status: str = "",
    ) -> None:
        """Replaces the data in one message and keeps the user's choices that still make sense.

        Kept unless given: unit, title, mode, threshold; kept always: the word, what is drawn, and
        the selection and cuts of what the new graph still has. The roots belong to the data. The
        status is cleared, since the new data are not stale. Raises as the class does; then nothing
        changes.
        """
        nodes = encode_nodes(tokens, ids, columns, layers, kinds, words, details)
        arrays = encode_edges(edges, nodes)
        numbers = encode_numbers(len(nodes), scores, relevance, rest)
        names = {node["id"] for node in nodes}
        there = set(edge_ids(nodes, arrays))
        with self.hold_sync(), self.hold_trait_notifications():
            self._tokens, self._nodes = list(tokens), nodes
            self._edges, self._numbers = arrays, numbers
            self.roots, self.status = _listed(roots), status
            self.unit = self.unit if unit is None else unit
            self.title = self.title if title is None else title
            self.mode = self.mode if mode is None else mode
            self.threshold = self.threshold if threshold is None else threshold
            self.selected = self.selected if self.selected in names else ""
            self.other = self.other if self.other in names else ""
            self.cuts = [name for name in self.cuts if name in there]

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return tuple(node["id"] for node in self._nodes)

    def __repr__(self) -> str:
        """Short and the same on every run, since notebooks store it beside the view."""
        n_edges = len(decode(self._edges["weight"]))
        cut = f", {len(self.cuts)} cut" if self.cuts else ""
        size = f"{len(self._tokens)} tokens, {len(self._nodes)} nodes, {n_edges} edges"
        return f"TokenFlow({size}{cut})"

    @traitlets.validate("mode")
    def _check_mode(self, proposal: Any) -> str:
        if proposal["value"] not in MODES:
            raise TraitError(f"mode is one of {', '.join(MODES)}; given {proposal['value']!r}")
        return proposal["value"]

    @traitlets.validate("threshold")
    def _check_threshold(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= 1:
            raise TraitError(f"threshold is a number from 0 to 1; given {proposal['value']}")
        return proposal["value"]

    @traitlets.validate("kinds_shown", "channels_shown")
    def _check_shown(self, proposal: Any) -> list[str]:
        trait = proposal["trait"].name
        allowed = MODULES if trait == "kinds_shown" else CHANNELS
        if set(proposal["value"]) - set(allowed):
            raise TraitError(
                f"{trait} holds some of {', '.join(map(repr, allowed))}; "
                f"given {proposal['value']!r:.120}"
            )
        # One way to say a choice, whatever the order of the clicks.
        return [name for name in allowed if name in proposal["value"]]

    @traitlets.validate("roots")
    def _check_roots(self, proposal: Any) -> list[str]:
        if missing := sorted(set(proposal["value"]) - set(self.ids)):
            raise TraitError(f"roots are ids of nodes; not among them: {missing}")
        return proposal["value"]

    @traitlets.validate("selected", "other")
    def _check_node(self, proposal: Any) -> str:
        if proposal["value"] and proposal["value"] not in self.ids:
            name = proposal["trait"].name
            raise TraitError(f'{name} is the id of a node, or ""; given {proposal["value"]!r}')
        return proposal["value"]

    @traitlets.validate("cuts")
    def _check_cuts(self, proposal: Any) -> list[str]:
        names = proposal["value"]
        there = set(edge_ids(self._nodes, self._edges)) if names else set()
        if wrong := [name for name in names if name not in there]:
            raise TraitError(
                'cuts holds ids of the graph\'s edges, such as "embed@3 → L0H1.z@5 v"; '
                f"not among them: {wrong}"
            )
        if len(set(names)) < len(names):
            raise TraitError(f"cuts holds each id once; given {names}")
        return names


def _listed(roots: Sequence[str]) -> list[str]:
    check_texts("roots", roots)
    return list(roots)
