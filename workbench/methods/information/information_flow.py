"""Information flow: one forward pass as a graph of states, heads and neurons, read as words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd

from ...check import Count, checked
from ...graph import Graph
from ...model import Model, Prompts
from ...result import Result, axes, provenance
from ...targets import Target, token_id
from ...tokens import token_strings
from .contributions import Answer, By, FinalNorm, PassParts
from .flow_edges import KINDS, STATE, NodeKeys, node_relevance, strongest, walk_back
from .flow_nodes import contributions_of, graph_of, in_order
from .flow_options import check_options, check_room, one_prompt, unit_of
from .flow_words import FlowWords
from .information_paths import between, edge_name, strongest_path, walked

Details = tuple[tuple[str, tuple[str, ...]], ...]
T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class InformationFlow(Result):
    """Who wrote what to whom in one forward pass, from one or more roots back to the embeddings.

    Nodes are the residual stream ("embed@3", "L2.resid_mid@3", "L2.resid_post@3"), heads at the
    position that they write to ("L2H1.z@5"), neurons ("L2.mlp_post/77@5"), and what an MLP writes
    besides the neurons that stand `apart`, (layer, pos, neuron), the largest of each place
    ("L2.mlp_out@5"); `@` is followed by the position. Edges into a state are what was written
    there; edges into a head come from the states that it attends to, by their value ("v") and,
    where `by` is "answer", by their key ("k": what attending to them adds over attending to the
    others) and the reader's query ("q": what its attention adds over attending evenly); the edge
    into a neuron is the state that it reads.

    by: what weights are. "state": the share of the receiving vector, its projection on it, in
    which everything that is written into a state adds up to 1. "answer": what the source's vector
    adds to the answer's logit to first order (gradients), in logits; final_norm: whether the last
    norm's scale was "held" or its change counted, "real". unit: the weights' in words. target,
    foil: the answer and what it is compared with, "" for the mean of all logits. roots: the nodes
    that the walk starts from.

    graph: the strongest part of the pass; a node's score is its relevance, how much of a walk
    backwards from the roots passes it that divides among edges in proportion to |weight|. shares:
    (edge) |weight| over all |weight| into the target; relevance: (edge) how much of the walk takes
    it. rest: (node) the share of what arrives that no edge of this graph shows. contribution:
    (node) what the node's vector adds to the answer, in logits, NaN by "state".

    words: of each node, most fitting first: a state's next words (the logit lens), what a head or
    a neuron writes. details: for each node captions with their words: query, keys and values of a
    head, what a neuron reads, what the norm behind a state holds back and brings out.
    """

    by: str
    final_norm: str
    unit: str
    target: str
    foil: str
    target_id: int
    foil_id: int | None
    roots: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    details: tuple[Details, ...]
    graph: Graph
    shares: np.ndarray = axes("edge")
    relevance: np.ndarray = axes("edge")
    rest: np.ndarray = axes("node")
    contribution: np.ndarray = axes("node")
    apart: np.ndarray = axes("layer pos neuron", np.int32)
    token_ids: np.ndarray = axes("pos", np.int32)

    picture = "information.information_flow"
    view = "information.information_flow"

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.graph.ids)}

    def node(self, name: str) -> int:
        """The number of a node in the graph. Raises `ValueError` for one that is not in it."""
        if name not in self._numbers:
            raise ValueError(
                f"{name!r} is not among the {len(self.graph.ids)} nodes of this flow. They are "
                "named like 'L2.resid_post@3', 'L2H1.z@5' or 'L2.mlp_post/77@5' "
                "(flow.nodes()); ask for more with n_edges=."
            )
        return self._numbers[name]

    @cached_property
    def edge_names(self) -> tuple[str, ...]:
        """Each edge as "source → target", with its channel behind it where it has one."""
        graph = self.graph
        ends = zip(graph.sources, graph.targets, graph.channels, strict=True)
        return tuple(edge_name(graph.ids[s], graph.ids[t], channel) for s, t, channel in ends)

    def edge(self, name: str) -> int:
        """The number of an edge by its name. Raises `ValueError` for one that is not here."""
        if name not in self.edge_names:
            raise ValueError(
                f"{name!r} is no edge of this flow. They are written like "
                f"{self.edge_names[0]!r}, with their channel behind them where they have one; see "
                "flow.edge_names, or ask for more with n_edges=."
            )
        return self.edge_names.index(name)

    @property
    def coverage(self) -> float:
        """How much of the walk from the roots reaches the embeddings along the edges shown."""
        arrived = walked(self.graph, self.shares, [self.node(name) for name in self.roots])
        return float(sum(arrived[i] for i, kind in enumerate(self.graph.kinds) if kind == "embed"))

    def path(self, source: str, target: str | None = None) -> tuple[str, ...]:
        """The nodes of the strongest path from one node to another, the last root if left out.

        The path with the largest product of shares. Raises `ValueError` for a node that is not
        here, and where no path of the graph joins the two.
        """
        graph, found = self.graph, self._path(source, target)
        return (graph.ids[graph.sources[found[0]]], *(graph.ids[graph.targets[e]] for e in found))

    def path_edges(self, source: str, target: str | None = None) -> tuple[str, ...]:
        """The names of the edges of `path`, as `cut_flow` takes them."""
        return tuple(self.edge_names[e] for e in self._path(source, target))

    def _path(self, source: str, target: str | None) -> list[int]:
        target = self.roots[-1] if target is None else target
        ends = self.node(source), self.node(target)
        if not (found := strongest_path(self.graph, self.shares, *ends)):
            raise ValueError(
                f"No path of this flow leads from {source} to {target}. Edges go up the layers and "
                "from a position to later ones; ask for more with n_edges=, or swap the two."
            )
        return found

    def filtered(
        self,
        *,
        min_share: float = 0.0,
        word: str | None = None,
        kinds: Sequence[str] | None = None,
        through: tuple[str, str] | None = None,
    ) -> InformationFlow:
        """A part of this flow: edges of at least `min_share`, and what else is asked for.

        word: edges that touch a node among whose words (or details) it is, spaces aside. kinds: of
        the nodes at both ends, of "embed", "state", "head", "neuron", "mlp". through: two nodes, of
        which every edge on some path from the first to the second is kept. `rest` grows by what is
        left out. Raises `ValueError` where nothing is left.
        """
        graph = self.graph
        keep = self.shares >= min_share
        ends = np.stack([graph.sources, graph.targets])
        if kinds is not None:
            if unknown := sorted(set(kinds) - set(KINDS)):
                raise ValueError(
                    f"Nodes are of the kinds {', '.join(dict.fromkeys(KINDS))}; got {unknown[0]!r}."
                )
            keep &= np.isin(np.array(graph.kinds), list(kinds))[ends].all(0)
        if word is not None:
            keep &= np.array(self.with_word(word))[ends].any(0)
        if through is not None:
            keep &= between(graph, self.node(through[0]), self.node(through[1]))
        if not keep.any():
            raise ValueError(
                f"No edge of this flow is left of {len(keep)} by min_share={min_share}, "
                f"word={word!r}, kinds={kinds!r}, through={through!r}. Ask for less."
            )
        return self._with_edges(np.flatnonzero(keep))

    def with_word(self, word: str) -> list[bool]:
        """For each node whether a word is among its own or in its details, spaces aside."""
        wanted = word.strip()

        def there(words: Sequence[str]) -> bool:
            return any(each.strip() == wanted for each in words)

        return [
            there(own) or any(there(words) for _, words in details)
            for own, details in zip(self.words, self.details, strict=True)
        ]

    def _with_edges(self, edges: np.ndarray) -> InformationFlow:
        graph = self.graph
        ends = np.concatenate([graph.sources[edges], graph.targets[edges]])
        roots = [self._numbers[name] for name in self.roots]
        nodes = np.unique([*ends, *roots])
        new = np.full(len(graph.ids), -1)
        new[nodes] = np.arange(len(nodes))

        def some(values: Sequence[T]) -> tuple[T, ...]:
            return tuple(values[i] for i in nodes)

        left_out = np.ones(len(graph.weights), bool)
        left_out[edges] = False
        lost = np.bincount(graph.targets[left_out], self.shares[left_out], len(graph.ids))
        part = replace(
            graph,
            ids=some(graph.ids),
            labels=some(graph.labels),
            kinds=some(graph.kinds),
            channels=tuple(graph.channels[e] for e in edges),
            layers=graph.layers[nodes],
            positions=graph.positions[nodes],
            features=graph.features[nodes],
            scores=graph.scores[nodes],
            sources=new[graph.sources[edges]],
            targets=new[graph.targets[edges]],
            weights=graph.weights[edges],
        )
        return replace(
            self,
            graph=part,
            words=some(self.words),
            details=some(self.details),
            shares=self.shares[edges],
            relevance=self.relevance[edges],
            rest=(self.rest + lost)[nodes].clip(0, 1),
            contribution=self.contribution[nodes],
        )

    def to_frame(self) -> pd.DataFrame:
        """One line an edge, the most relevant first: source, target, channel, weight, share,
        relevance, and the first words of both ends.
        """
        graph, order = self.graph, np.argsort(-self.relevance, kind="stable")
        return pd.DataFrame(
            {
                "source": [graph.ids[i] for i in graph.sources[order]],
                "target": [graph.ids[i] for i in graph.targets[order]],
                "channel": [graph.channels[e] for e in order],
                "weight": graph.weights[order],
                "share": self.shares[order],
                "relevance": self.relevance[order],
                "source_words": [" ".join(self.words[i][:3]) for i in graph.sources[order]],
                "target_words": [" ".join(self.words[i][:3]) for i in graph.targets[order]],
            }
        )

    def nodes(self) -> pd.DataFrame:
        """One line a node: node, kind, layer, pos, token, relevance, contribution, rest, words."""
        graph = self.graph
        return pd.DataFrame(
            {
                "node": graph.ids,
                "kind": graph.kinds,
                "layer": graph.layers,
                "pos": graph.positions,
                "token": [graph.tokens[p] for p in graph.positions],
                "relevance": graph.scores,
                "contribution": self.contribution,
                "rest": self.rest,
                "words": [" ".join(words) for words in self.words],
            }
        )

    def read(self, node: str) -> dict[str, tuple[str, ...]]:
        """Everything that is read in one node: its words and its details, by caption."""
        number = self.node(node)
        return {"words": self.words[number], **dict(self.details[number])}

    def _facts(self) -> str:
        compared = f" − {self.foil!r}" if self.foil else ""
        return (
            f"{self.target!r}{compared} from {len(self.tokens[0])} tokens, by {self.by}: "
            f"{len(self.graph.ids)} nodes, {len(self.graph.weights)} edges, "
            f"{self.coverage:.2f} of the walk"
        )


@checked
def information_flow(
    model: Model,
    prompt: Prompts,
    *,
    by: By = "state",
    final_norm: FinalNorm = "held",
    target: Target | None = None,
    foil: Target | None = None,
    position: int | str | None = "last",
    n_edges: Count = 150,
    n_neurons: Count = 8,
    k: Count = 8,
    details: bool = True,
    prepend_bos: bool | None = None,
) -> InformationFlow:
    """The forward pass of one prompt as a graph of words, an `InformationFlow`.

    by: "state" weighs an edge by its share of the vector that receives it; "answer" by what it adds
    to the answer to first order, which takes a backward pass. final_norm: "held" keeps the scale
    of the last norm, so that what is written into the last state adds up to the answer (as in
    `direct_logit_attribution`); "real" gives the slope of the answer, what a small cut takes away.
    target: the answer, one token; None for the most likely one at `position`. foil: a token whose
    logit is taken off; None takes off the mean of all logits. position: where the graph ends; None
    for every position ("state" only; the answer is then the last's). n_edges: how many of the most
    relevant edges are kept, all of them joined to the end; n_neurons: how many neurons are looked
    at for each layer and position; k: words for each node; details: also queries, keys, values and
    norms as words. prepend_bos: as in `Model.tokens`.

    One pass reads everything; norms that follow attention or MLP (Gemma 2, OLMo 2) count with the
    scale they have in it. What the attention's bias adds is in `rest`, the MLP's with the MLP.

    Shares say what a vector is made of, not what a later layer takes from it, and first-order
    contributions say nothing of saturation: confirm with `cut_flow`.

    Raises `ValueError` for several prompts, several positions, a target of several tokens or that
    is its own foil, `by="answer"` at every position, counts below 1, and a model whose parts cannot
    be told apart; `IndexError` for a position that the prompt does not have.

    Sources: Katz and Belinkov, "Visualizing the Semantic Information Flow of GPT" (2023), for the
    graph and its words; the walk's shares are of the kind of Ferrando and Voita, "Information Flow
    Routes" (2024), with projections in place of distances.
    """
    check_options(by, final_norm, position, n_edges=n_edges, n_neurons=n_neurons, k=k)
    tokens = one_prompt(model, prompt, prepend_bos)
    n = tokens.n_columns
    check_room(model, n, by)
    column = tokens.columns(0, "last" if position is None else position)[0]  # type: ignore[arg-type]
    ids = None if target is None else token_id(model.tokenizer, target)
    foil_id = None if foil is None else token_id(model.tokenizer, foil, of="A foil")
    answer = Answer(model, column, ids, foil_id, held=final_norm == "held")
    parts = PassParts(model, tokens, answer if by == "answer" else None)
    ids = answer.chosen(parts.run[f"L{model.spec.n_layers - 1}.resid_post"][0, column])
    if ids == foil_id:
        raise ValueError(
            "A foil is another token than the target; got "
            f"{token_strings(model.tokenizer, [ids])[0]!r} for both. Give another foil, or none."
        )
    names = token_strings(model.tokenizer, [ids] if foil_id is None else [ids, foil_id])
    spec = model.spec
    keys = NodeKeys(spec.n_layers, n, max(spec.n_heads, spec.d_mlp))
    walk = np.zeros(n)
    walk[np.arange(n) if position is None else column] = 1 / n if position is None else 1
    layers = [parts.layer(layer, n_neurons) for layer in range(spec.n_layers)]
    apart = np.stack([layer.neuron_ids for layer in layers])
    every = walk_back(layers, keys, walk)
    roots = {int(keys.key(STATE, spec.n_layers - 1, p)): walk[p] for p in np.flatnonzero(walk)}
    edges = strongest(every, np.array(list(roots)), n_edges)
    nodes = np.unique(np.concatenate([edges.sources, edges.targets, list(roots)]))
    nodes = in_order(nodes, keys)
    words, details_of = FlowWords(parts, keys, apart, k).read(nodes, edges, details=details)
    graph = graph_of(model, tokens, keys, nodes, edges, words, node_relevance(every, nodes, roots))
    shown = np.bincount(graph.targets, edges.shares, len(nodes))
    into = np.isin(nodes, every.targets)
    return InformationFlow(
        **provenance(model, tokens),
        by=by,
        final_norm=final_norm,
        unit=unit_of(by, names),
        target=names[0],
        foil=names[1] if len(names) > 1 else "",
        target_id=ids,
        foil_id=foil_id,
        roots=tuple(keys.name(key) for key in roots),
        words=words,
        details=details_of,
        graph=graph,
        shares=edges.shares,
        relevance=edges.relevance,
        rest=np.where(into, 1 - shown, 0.0).clip(0, 1),
        contribution=contributions_of(parts, keys, nodes, every),
        apart=apart,
        token_ids=tokens.ids[0].cpu().numpy(),
    )
