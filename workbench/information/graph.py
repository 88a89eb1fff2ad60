"""Graph: one forward pass as states, heads and neurons, read as words; who wrote what to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch

from ..check import Count, checked
from ..graph import Graph
from ..memory import free_bytes
from ..model import Model, Prompts
from ..result import axes, labels, provenance
from ..targets import Target, token_id
from ..tokens import Tokens, token_strings
from .contributions import Answer, FinalNorm, Measure, PassParts
from .edges import (
    CHANNELS,
    EMBED,
    HEAD,
    KINDS,
    MID,
    MLP,
    NEURON,
    STATE,
    Edges,
    NodeKeys,
    node_relevance,
    strongest,
    walk_back,
)
from .words import Details, NodeWords

#: What is computed first in a layer comes first.
WITHIN = {EMBED: 0, HEAD: 1, MID: 2, NEURON: 3, MLP: 4, STATE: 5}
#: What a pair of positions takes in a head: its number, and (for half of them) the edge, which is
#: held twice while groups of edges are joined.
BYTES = 48


@dataclass(frozen=True, eq=False, repr=False)
class InformationGraph(Graph):
    """Who wrote what to whom in one forward pass, from one or more roots back to the embeddings.

    Nodes are the residual stream ("embed@3", "L2.resid_mid@3", "L2.resid_post@3"), heads at the
    position that they write to ("L2H1.z@5"), neurons ("L2.mlp_post/77@5"), and what an MLP writes
    besides the neurons that stand `apart` ("L2.mlp_out@5"); `@` is followed by the position. Edges
    into a state are what was written there; edges into a head come from the states that it attends
    to, by their value ("v") and, where `measure` is "answer", by their key ("k": what attending to
    them adds over attending to the others) and the reader's query ("q": what its attention adds
    over attending evenly); the edge into a neuron is the state that it reads.
    """

    #: What weights are. "state": the share of the receiving vector, its projection on it, in which
    #: everything that is written into a state adds up to 1. "answer": what the source's vector adds
    #: to the answer's logit to first order (gradients), in logits.
    measure: str
    #: Whether the last norm's scale was "held" or its change counted, "real".
    final_norm: str
    #: The weights', in words.
    unit: str
    #: The answer, and what it is compared with, "" for the mean of all logits.
    target: str
    foil: str
    target_id: int
    foil_id: int | None
    words: tuple[tuple[str, ...], ...] = labels(
        "node",
        "most fitting first: a state's next words (the logit lens), what a head or neuron writes",
        name="words",
    )
    details: tuple[Details, ...] = labels(
        "node",
        "captions with their words: query, keys and values of a head, what a neuron reads, what "
        "the norm behind a state holds back and brings out",
        name="details",
    )
    shares: np.ndarray = axes("edge", note="|weight| over all |weight| into it", name="share")
    relevance: np.ndarray = axes("edge", note="how much of the walk takes it")
    rest: np.ndarray = axes("node", note="share of what arrives that no edge of the graph shows")
    contribution: np.ndarray = axes(
        "node", note='what its vector adds to the answer (logits), NaN by "state"'
    )
    apart: np.ndarray = axes("layer pos feature", np.int32, "neurons with a node of their own")
    token_ids: np.ndarray = axes("pos", np.int32)

    picture = "information.graph"
    view = "information.graph"

    @property
    def coverage(self) -> float:
        """How much of the walk from the roots reaches the embeddings along the edges shown."""
        arrived = walked(self, self.shares, [self.node(name) for name in self.roots])
        return float(sum(arrived[i] for i, kind in enumerate(self.kinds) if kind == "embed"))

    def ranking(self) -> np.ndarray:
        """Edge numbers, the most relevant first."""
        return np.argsort(-self.relevance, kind="stable")

    def with_word(self, word: str) -> list[bool]:
        """For each node whether a word is among its own or in its details, spaces aside."""
        wanted = word.strip()

        def there(words: Sequence[str]) -> bool:
            return any(each.strip() == wanted for each in words)

        return [
            there(own) or any(there(words) for _, words in details)
            for own, details in zip(self.words, self.details, strict=True)
        ]

    def _part(self, edges: np.ndarray, nodes: np.ndarray | None = None) -> Self:
        part = super()._part(edges, nodes)
        out = np.ones(len(self.weights), bool)
        out[edges] = False
        lost = np.bincount(self.targets[out], self.shares[out], len(self.ids))
        rest = (self.rest + lost)[[self.node(name) for name in part.ids]]
        return replace(part, rest=rest.clip(0, 1))

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """One line an edge, the most relevant first: source, target, channel, weight, share,
        relevance, and the first words of both ends.

        table: "nodes", one line a node: node, kind, layer, pos, token, relevance, contribution,
        rest, words.
        """
        frame = super().to_frame(table)
        if table != "nodes":
            first = {
                name: " ".join(own[:3]) for name, own in zip(self.ids, self.words, strict=True)
            }
            ends = ("source", "target")
            return frame.assign(**{f"{end}_words": frame[end].map(first.get) for end in ends})
        frame = frame.rename(columns={"score": "relevance"}).assign(
            token=[self.tokens[0][p] for p in self.positions],
            words=[" ".join(words) for words in self.words],
        )
        first, last = ["node", "kind", "layer", "pos", "token"], ["contribution", "rest", "words"]
        return frame.loc[:, [*first, "relevance", *last]]

    def read(self, node: str) -> dict[str, tuple[str, ...]]:
        """Everything that is read in one node: its words and its details, by caption."""
        number = self.node(node)
        return {"words": self.words[number], **dict(self.details[number])}

    def _facts(self) -> str:
        compared = f" − {self.foil!r}" if self.foil else ""
        return (
            f"{self.target!r}{compared} from {len(self.tokens[0])} tokens, by {self.measure}: "
            f"{len(self.ids)} nodes, {len(self.weights)} edges, "
            f"{self.coverage:.2f} of the walk"
        )


@checked
def graph(
    model: Model,
    prompt: Prompts,
    *,
    measure: Measure = "state",
    final_norm: FinalNorm = "held",
    target: Target | None = None,
    foil: Target | None = None,
    position: int | str | None = "last",
    n_edges: Count = 150,
    n_neurons: Count = 8,
    k: Count = 8,
    details: bool = True,
) -> InformationGraph:
    """The forward pass of one prompt as a graph of words, an `InformationGraph`.

        found = wb.information.graph(model, "The capital of France is", measure="answer")
        found.path("embed@3")

    measure: "state" weighs an edge by its share of the vector that receives it; "answer" by what it
    adds to the answer to first order, in a backward pass. final_norm: "held" keeps the last norm's
    scale, so that what is written into the last state adds up to the answer; "real" gives the
    slope, what a small cut takes away. target: the answer, one token; None for the likeliest one at
    `position`. foil: a token whose logit is taken off; None takes off the mean of all. position:
    where the graph ends; None for every position ("state" only; the answer is then the last's).
    n_edges: of the most relevant, all joined to the end. n_neurons: looked at for each layer and
    position. k: words a node. details: also queries, keys, values and norms as words. What the
    attention's bias adds is in `rest`, the MLP's with the MLP. Confirm with `cut`.

    Raises `ValueError` for several prompts or positions, a target of several tokens or that is its
    own foil, and a model whose parts cannot be told apart; `IndexError` for a position not there.

    Sources: Katz and Belinkov 2023, "Visualizing the Semantic Information Flow of GPT", for graph
    and words; Ferrando and Voita 2024, for the walk, with projections in place of distances.
    """
    if measure == "answer" and position is None:
        raise ValueError(
            "An answer is at one position; got position=None with measure='answer'. Give a "
            "position, or measure='state'."
        )
    tokens = model.tokens(prompt)
    if tokens.n_rows != 1:
        raise ValueError(
            f"A graph is of the pass of one prompt; got {tokens.n_rows}. Call information.graph "
            "for each."
        )
    tokens = tokens.trimmed()
    n = tokens.n_columns
    _check_room(model, n, measure)
    column = tokens.columns(0, "last" if position is None else position)[0]  # type: ignore[arg-type]
    ids = None if target is None else token_id(model.tokenizer, target)
    foil_id = None if foil is None else token_id(model.tokenizer, foil, of="A foil")
    answer = Answer(model, column, ids, foil_id, held=final_norm == "held")
    parts = PassParts(model, tokens, answer if measure == "answer" else None)
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
    nodes = _in_order(nodes, keys)
    words, details_of = NodeWords(parts, keys, apart, k).read(nodes, edges, details=details)
    scores = node_relevance(every, nodes, roots)
    found = _graph_of(tokens, keys, nodes, edges, words, scores)
    shown = np.bincount(found["targets"], edges.shares, len(nodes))
    into = np.isin(nodes, every.targets)
    return InformationGraph(
        **provenance(model, tokens),
        **found,
        measure=measure,
        final_norm=final_norm,
        unit=_unit(measure, names),
        target=names[0],
        foil=names[1] if len(names) > 1 else "",
        target_id=ids,
        foil_id=foil_id,
        roots=tuple(keys.name(key) for key in roots),
        words=words,
        details=details_of,
        shares=edges.shares,
        relevance=edges.relevance,
        rest=np.where(into, 1 - shown, 0.0).clip(0, 1),
        contribution=_contributions(parts, keys, nodes, every),
        apart=apart,
        token_ids=tokens.ids[0].cpu().numpy(),
    )


def walked(graph: Graph, shares: np.ndarray, roots: Sequence[int]) -> np.ndarray:
    """(node,) how much of a walk back from the roots, divided evenly, comes to each node."""
    out = np.zeros(len(graph.ids))
    out[list(roots)] = 1 / len(roots)
    for edge in np.argsort(-graph.targets, kind="stable"):
        out[graph.sources[edge]] += out[graph.targets[edge]] * shares[edge]
    return out


def _check_room(model: Model, n_positions: int, measure: Measure) -> None:
    """Raises `ValueError`, with the memory they would take, for more edges than there is room."""
    spec, free = model.spec, free_bytes(torch.device("cpu"))
    each = BYTES * (2 if measure == "answer" else 1)
    need = each * spec.n_layers * spec.n_heads * n_positions**2
    if free is not None and need > free:
        raise ValueError(
            f"A graph holds every edge of the pass while it looks for the strongest; for "
            f"{n_positions} tokens they take {need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are "
            "free. Give a shorter prompt."
        )


def _unit(measure: Measure, names: list[str]) -> str:
    """The unit of the weights; names: the target and, if there is one, the foil."""
    if measure == "state":
        return "share of the receiving vector"
    if len(names) > 1:
        return f"logits of {names[0]!r} − {names[1]!r}"
    return f"logit of {names[0]!r} above the mean"


def _in_order(nodes: np.ndarray, keys: NodeKeys) -> np.ndarray:
    """The nodes in the order of a pass, so that every edge goes from an earlier to a later one."""

    def place(key: int) -> tuple[int, ...]:
        kind, layer, position, unit = keys.place(key)
        return (-1 if kind == EMBED else layer, WITHIN[kind], position, unit)

    return np.array(sorted(nodes.tolist(), key=place), np.int64)


def _graph_of(
    tokens: Tokens,
    keys: NodeKeys,
    nodes: np.ndarray,
    edges: Edges,
    words: tuple[tuple[str, ...], ...],
    scores: np.ndarray,
) -> dict[str, Any]:
    """The fields of a `Graph`."""
    parts = [keys.place(key) for key in nodes]
    number = {int(key): i for i, key in enumerate(nodes)}
    kinds = [KINDS[kind] for kind, *_ in parts]
    return dict(
        prompt="".join(tokens.strings[0]),
        ids=tuple(map(keys.name, nodes)),
        labels=tuple(own[0] if own else "" for own in words),
        kinds=tuple(kinds),
        channels=tuple(CHANNELS[channel] for channel in edges.channels),
        layers=np.array([-1 if kind == EMBED else layer for kind, layer, *_ in parts]),
        positions=np.array([position for _, _, position, _ in parts]),
        units=np.array([unit if kind == NEURON else -1 for kind, _, _, unit in parts]),
        scores=scores,
        sources=np.array([number[int(key)] for key in edges.sources]),
        targets=np.array([number[int(key)] for key in edges.targets]),
        weights=edges.weights,
    )


def _contributions(parts: PassParts, keys: NodeKeys, nodes: np.ndarray, every: Edges) -> np.ndarray:
    """(node,) what each node's vector adds to the answer, in logits; NaN by "state"."""
    if parts.measure == "state":
        return np.full(len(nodes), np.nan)
    out = []
    for key in nodes:
        kind, layer, position, _ = keys.place(key)
        if kind in (HEAD, NEURON, MLP):
            # One edge leaves it, and its weight is all that it adds.
            out.append(every.weights[every.sources == key].sum())
            continue
        name, layer = {
            EMBED: ("resid_pre", 0), MID: ("resid_mid", layer), STATE: ("resid_post", layer)
        }[kind]  # fmt: skip
        product = parts.state(name, layer)[position] * parts.grad(name, layer)[position]
        out.append(float(product.sum()))
    return np.array(out)
