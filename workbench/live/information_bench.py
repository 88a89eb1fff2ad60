"""The numbers behind the live information flow: a flow, and what cutting its edges does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..methods.information.flow_cut import FlowCut, cut_flow
from ..methods.information.information_flow import InformationFlow, information_flow
from ..methods.information.information_paths import strongest_path
from ..model import Model
from ..targets import Target
from .answers import Answers, likeliest

N_ANSWERS = 6
#: Parts of the model that a path goes through; between them the stream carries everything alike.
PARTS = ("head", "neuron", "mlp")


@dataclass(frozen=True)
class FlowChoices:
    """What a flow is asked for; options as in `information_flow`. word: of `filtered`, or ""."""

    prompt: str
    by: str
    target: Target | None
    foil: Target | None
    n_edges: int
    word: str

    @property
    def of_flow(self) -> dict[str, Any]:
        """The options of the flow itself."""
        names = ("by", "target", "foil", "n_edges")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class FlowPath:
    """The strongest path between two nodes of a flow.

    nodes: from the earlier to the later. edges: their names; shares, weights: of each. strength:
    the product of the shares. narrow: the edges by which the path is cut, see `narrowest`.
    """

    nodes: tuple[str, ...]
    edges: tuple[str, ...]
    shares: tuple[float, ...]
    weights: tuple[float, ...]
    strength: float
    narrow: tuple[str, ...]


@dataclass(frozen=True)
class InformationReading:
    """The next words of the prompt, plain and with edges cut; cut: None where nothing is."""

    plain: Answers
    after: Answers
    cut: FlowCut | None


class InformationBench:
    """A model whose passes are read as flows, with edges to cut.

    options: of `information_flow`, those that no control has. n_controls, seed: as in `cut_flow`.
    """

    def __init__(
        self, model: Model, *, n_controls: int, seed: int, options: dict[str, Any]
    ) -> None:
        self.model, self.options = model, options
        self.n_controls, self.seed = n_controls, seed
        self._of: InformationFlow | None = None
        self._plain: Answers | None = None
        self._alone: dict[str, float] = {}

    def flow(self, chosen: FlowChoices) -> InformationFlow:
        """The whole flow of a prompt."""
        return information_flow(self.model, chosen.prompt, **chosen.of_flow, **self.options)

    def read(self, flow: InformationFlow, cuts: Sequence[str]) -> InformationReading:
        """The answer as it is and with some of the flow's edges cut."""
        if not cuts:
            plain = self._plain_of(flow)
            return InformationReading(plain, plain, None)
        cut = cut_flow(
            self.model, flow, cuts, n_controls=self.n_controls, k=N_ANSWERS, seed=self.seed
        )
        runs = zip(cut.words[:2], cut.probabilities[:2].tolist(), strict=True)
        plain, after = (Answers(words, tuple(values)) for words, values in runs)
        return InformationReading(plain, after, cut)

    def alone(self, flow: InformationFlow, edge: str) -> float:
        """How far the answer falls, in logits, where one edge is cut and nothing else."""
        self._keep(flow)
        if edge not in self._alone:
            self._alone[edge] = cut_flow(self.model, flow, edge, n_controls=0, k=1).effect
        return self._alone[edge]

    def _plain_of(self, flow: InformationFlow) -> Answers:
        self._keep(flow)
        if self._plain is None:
            tokens = self.model.tokens([flow.token_ids.tolist()])
            at = int(flow.roots[0].rpartition("@")[2])
            logits = self.model.run(tokens, logits_at=[at]).logits
            assert logits is not None
            self._plain = likeliest(self.model, logits[0, 0].float().softmax(-1), N_ANSWERS)
        return self._plain

    def _keep(self, flow: InformationFlow) -> None:
        """What is known of another flow is forgotten."""
        if self._of is not flow:
            self._of, self._plain, self._alone = flow, None, {}


def path_between(flow: InformationFlow, a: str, b: str, cuts: Iterable[str]) -> FlowPath | None:
    """The strongest path from the earlier of two nodes to the later over edges that are not cut.

    None where there is none. Raises `ValueError` for a node that the flow does not have.
    """
    first, last = sorted([flow.node(a), flow.node(b)])
    is_cut = np.isin(np.array(flow.edge_names), list(cuts))
    found = strongest_path(flow.graph, np.where(is_cut, 0, flow.shares), first, last)
    if not found:
        return None
    graph = flow.graph
    shares = flow.shares[found]
    return FlowPath(
        nodes=(graph.ids[first], *(graph.ids[graph.targets[e]] for e in found)),
        edges=tuple(flow.edge_names[e] for e in found),
        shares=tuple(shares.tolist()),
        weights=tuple(graph.weights[found].tolist()),
        strength=float(np.prod(shares.astype(np.float64))),
        narrow=tuple(flow.edge_names[e] for e in narrowest(flow, found)),
    )


def narrowest(flow: InformationFlow, path: Sequence[int]) -> list[int]:
    """The edges of a path that carry little else: by cutting them it is cut, and not the stream.

    The first edge of a path that begins at a head, neuron or MLP; else the edges by which heads
    read it; else those into neurons and MLPs; else, of a path along the stream alone, all.
    """
    graph = flow.graph
    kinds = graph.kinds
    if kinds[graph.sources[path[0]]] in PARTS:
        return [path[0]]
    for wanted in (("head",), PARTS):
        if found := [e for e in path if kinds[graph.targets[e]] in wanted]:
            return found
    return list(path)
