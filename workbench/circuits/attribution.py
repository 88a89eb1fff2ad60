"""Attribution: how much each edge, node or neuron matters, by gradients or exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..check import Count, NotNegative, checked, whole
from ..model import Model
from ..result import Result, axes, provenance
from ..site import Site
from ..tasks import Examples, Group, Task, TaskBatch, as_batch, tokens_per_pass
from .circuit import Circuit, check_choice, connected, greedy
from .components import CHANNELS, Components
from .scores import (
    atp_star_scores,
    edge_scores,
    edge_scores_by_activation,
    exact_edges,
    exact_nodes,
    site_scores,
)

#: What each method can score, its default first.
METHODS: dict[str, tuple[str, ...]] = {
    "attribution": ("nodes", "neurons"),
    "eap": ("edges",),
    "eap-ig": ("edges", "nodes", "neurons"),
    "eap-ig-activations": ("edges", "nodes", "neurons"),
    "atp*": ("nodes",),
    "exact": ("edges", "nodes"),
}


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Result):
    """A score for each edge, node or neuron: what its clean value would add to the metric.

    Scores are over the mean difference between the clean and the corrupt metric, so 1 brings the
    whole answer back and 0 nothing; they are means over the examples, signed but for "atp*".

    method, over, steps: as in `attribute`. parts: the model's graph. sources: the writer of each
    item, -1 where a node is a head's q, k or v. targets: the reader of each item, -1 for a node
    that is a writer. units: its neuron, positions: its token position; -1 where it has none.
    examples: (batch, item) each example's own score; None for edges by gradients, which are summed
    before they are kept. clean, corrupt: the metric of the plain runs.
    """

    task: str
    metric_name: str
    method: str
    over: str
    steps: int
    parts: Components
    sources: np.ndarray = axes("item", np.int32)
    targets: np.ndarray = axes("item", np.int32)
    units: np.ndarray = axes("item", np.int32)
    positions: np.ndarray = axes("item", np.int32)
    scores: np.ndarray = axes("item")
    clean: np.ndarray = axes("batch")
    corrupt: np.ndarray = axes("batch")
    examples: np.ndarray | None = axes("batch item", optional=True)

    picture = "attribution.attribution"

    def name(self, item: int) -> str:
        """What an item is: "L2H3.z → L3H1.q", "L2H3.z", "L2.mlp_post/77" or "L3H1.q"."""
        whole("item", item, -len(self.sources), len(self.sources) - 1)
        source, target, unit = self.sources[item], self.targets[item], self.units[item]
        if unit >= 0:
            return f"L{self.parts.writer_layer(int(source))}.mlp_post/{unit}"
        if source >= 0 and target >= 0:
            return self.parts.edge_name(int(source), int(target))
        return self.parts.writers[source] if source >= 0 else self.parts.readers[target]

    @property
    def names(self) -> tuple[str, ...]:
        """The name of every item."""
        return tuple(map(self.name, range(len(self.scores))))

    def ranking(self) -> np.ndarray:
        """Item numbers, the largest absolute score first."""
        return np.argsort(-np.abs(self.scores), kind="stable")

    def edge_matrix(self) -> np.ndarray:
        """(writer, reader) float32: the scores of edges, summed over positions; 0 where none is.

        Raises `ValueError` where the scores are not of edges.
        """
        if self.over != "edges":
            raise ValueError(
                f"A circuit is made of edges; this attribution scores {self.over}. Use "
                "wb.attribute(..., over='edges')."
            )
        out = np.zeros(self.parts.edges.shape, np.float32)
        np.add.at(out, (self.sources, self.targets), self.scores)
        return out

    def circuit(
        self, *, n_edges: Count | None = None, threshold: NotNegative | None = None
    ) -> Circuit:
        """The circuit of these scores, by a number of edges or a threshold, as in `find`.

        Raises `ValueError` where the scores are not of edges, where neither or both are given, and
        for a threshold that keeps nothing.
        """
        check_choice(n_edges, threshold)
        parts, scores = self.parts, self.edge_matrix()
        kept = np.abs(scores) > (threshold or 0.0)
        if n_edges is not None:
            kept = greedy(parts, scores, n_edges)
        return Circuit(
            self.model,
            self.revision,
            self.versions,
            self.seed,
            self.tokens,
            task=self.task,
            method=self.method,
            parts=parts,
            threshold=threshold,
            kept=connected(parts, scores, kept, n_edges, threshold),
            scores=scores,
        )

    def to_frame(self, top: Count | None = None) -> pd.DataFrame:
        """One line an item, the largest absolute score first: name, source, target, pos, score.

        top: how many lines; None for all. Source or target is empty where an item has none.
        """
        order = self.ranking()[:top]
        writers, readers = (*self.parts.writers, ""), (*self.parts.readers, "")
        frame = pd.DataFrame(
            {
                "name": [self.name(int(item)) for item in order],
                "source": [writers[self.sources[item]] for item in order],
                "target": [readers[self.targets[item]] for item in order],
                "pos": self.positions[order],
                "score": self.scores[order],
            }
        )
        return frame if (self.positions >= 0).any() else frame.drop(columns="pos")

    def _facts(self) -> str:
        best = int(self.ranking()[0])
        return (
            f"{self.method} of {len(self.scores)} {self.over} on {self.task}, "
            f"{len(self.clean)} examples; first {self.name(best)} {self.scores[best]:.2f}"
        )


@checked
def attribute(
    model: Model,
    task: Task | TaskBatch,
    *,
    method: str = "eap-ig",
    over: Literal["edges", "nodes", "neurons"] | None = None,
    steps: Count = 5,
    positions: bool = False,
    n: Count | None = None,
) -> Attribution:
    """How much each edge, node or neuron matters for a task, as an `Attribution`.

    Positive: putting the clean value in place of the corrupt one moves the metric towards that of
    the clean run, which is more of it wherever the model does the task.

    method: "attribution" (node attribution patching: the difference times the gradient of the
    corrupt run; Nanda 2023), "eap" (the same for edges; Syed et al. 2023, arXiv:2310.10348),
    "eap-ig" (the gradient averaged over `steps` inputs between corrupt and clean; Hanna et al.
    2024, arXiv:2403.17806), "eap-ig-activations" (over steps of the activations, ibid.),
    "atp*" (softmax computed again for queries and keys, and GradDrop; Kramár et al. 2024,
    arXiv:2403.00745; its scores have no sign), or "exact" (one patched run for each edge or node).
    over: what is scored; None for the method's own. positions: a score a token position too; for
    edges, nodes and neurons by gradients. n: how many pairs of the task.

    Raises `ValueError` for an unknown method, for one that does not score what is asked, and where
    clean and corrupt do not differ.
    """
    over_what = _check(method, over, steps, positions)
    examples = Examples.of(model, task, n=n)
    gap = examples.gap
    parts = Components.of(model.spec) if over_what == "edges" else Components.nodes_of(model.spec)
    scorer = _Scorer(model, parts, method, over_what, steps, positions, examples)
    copies = steps if method.startswith("eap-ig") else 1
    n_tokens = tokens_per_pass(len(parts.writers), model.spec.d_model) // copies
    for group in examples.groups:
        for part in group.split(n_tokens):
            scorer.add(part)
    return Attribution(
        **provenance(model, examples.batch.clean),
        task=examples.batch.task,
        metric_name=examples.batch.metric_name,
        method=method,
        over=over_what,
        steps=steps if method.startswith("eap-ig") else 0,
        parts=parts,
        clean=examples.clean,
        corrupt=examples.corrupt,
        # Without a sign there is none to turn where the clean metric is the smaller one.
        **scorer.items(abs(gap) if method == "atp*" else gap),
    )


def _check(method: str, over: str | None, steps: int, positions: bool) -> str:
    if method not in METHODS:
        raise ValueError(f"A method is one of {', '.join(METHODS)}; got {method!r}.")
    chosen = METHODS[method][0] if over is None else over
    if chosen not in METHODS[method]:
        fitting = [name for name, what in METHODS.items() if over in what]
        hint = (
            f" {over.capitalize()} are scored by {', '.join(fitting)}." if fitting and over else ""
        )
        raise ValueError(
            f"{method} scores {' or '.join(METHODS[method])}; got over={over!r}.{hint}"
        )
    if positions and method == "exact":
        raise ValueError(
            "Exact scores are of all positions together; patch positions one by one with wb.patch, "
            "or choose a gradient method."
        )
    return chosen


class _Scorer:
    """Sums of scores over groups of examples, and the items that they belong to."""

    def __init__(
        self,
        model: Model,
        parts: Components,
        method: str,
        over: str,
        steps: int,
        positions: bool,
        examples: Examples,
    ) -> None:
        self._model, self._parts, self._method, self._over = model, parts, method, over
        self._steps, self._positions = steps, positions
        self._n_examples = len(examples.batch)
        n_positions = examples.n_positions if positions else 1
        #: Edges: (writer, reader, pos). Nodes and neurons: (batch, item, pos).
        shape = parts.edges.shape if over == "edges" else (self._n_examples, self._n_nodes())
        self._sums = np.zeros((*shape, n_positions))
        exact = over == "edges" and method == "exact"
        self._each = np.zeros((self._n_examples, *parts.edges.shape)) if exact else None

    def _n_nodes(self) -> int:
        parts = self._parts
        if self._over == "neurons":
            return parts.n_layers * self._model.spec.d_mlp
        extra = len(parts.readers) - 1 - parts.n_layers if self._method == "atp*" else 0
        return len(parts.writers) + extra

    def add(self, group: Group) -> None:
        if self._over == "edges":
            self._add_edges(group)
            return
        values = self._nodes(group)
        if not self._positions:
            values = values.sum(-1, keepdims=True)
        self._sums[list(group.rows), :, : values.shape[-1]] = values

    def _add_edges(self, group: Group) -> None:
        model, parts, positions = self._model, self._parts, self._positions
        if self._method == "exact":
            assert self._each is not None
            self._each[list(group.rows)] = exact_edges(model, parts, group, parts.edges)
            return
        if self._method == "eap-ig-activations":
            scores = edge_scores_by_activation(
                model, parts, group, steps=self._steps, positions=positions
            )
        else:
            steps = 0 if self._method == "eap" else self._steps
            scores = edge_scores(model, parts, group, steps=steps, positions=positions)
        scores = scores if positions else scores[..., None]
        self._sums[..., : scores.shape[-1]] += scores

    def _nodes(self, group: Group) -> np.ndarray:
        """(example, item, pos)"""
        model, parts = self._model, self._parts
        if self._method == "exact":
            return exact_nodes(model, parts, group)[..., None]
        if self._method == "atp*":
            return atp_star_scores(model, parts, group, positions=self._positions)
        sites = [Site("mlp_post", layer) for layer in range(parts.n_layers)]
        if self._over == "nodes":
            sites = list(
                dict.fromkeys(parts.writer_site(w).whole for w in range(len(parts.writers)))
            )
        scores = site_scores(model, group, sites, method=self._method, steps=self._steps)
        return np.concatenate([scores[site] for site in sites], -1).swapaxes(1, 2)

    def items(self, gap: float) -> dict[str, Any]:
        """The array fields of an `Attribution`, scores over the gap."""
        if self._each is not None:
            where = np.nonzero(self._parts.edges)
            each = self._each[:, *where] / gap
            sources, targets = where
            at = np.full(len(sources), -1)
            return self._fields(sources, targets, at, at, each.mean(0), each)
        if self._over == "edges":
            sources, targets = np.nonzero(self._parts.edges)
            n_positions = self._sums.shape[-1]
            scores = (self._sums[sources, targets] / (gap * self._n_examples)).ravel()
            at = np.tile(np.arange(n_positions), len(sources))
            sources, targets = np.repeat(sources, n_positions), np.repeat(targets, n_positions)
            return self._fields(
                sources, targets, np.full(len(at), -1), at if self._positions else at - 1, scores
            )
        each = self._sums / gap
        sources, targets, units = self._node_numbers()
        n_positions = each.shape[-1]
        at = np.tile(np.arange(n_positions), len(sources))
        sources, targets, units = (np.repeat(x, n_positions) for x in (sources, targets, units))
        flat = each.reshape(len(each), -1)
        return self._fields(
            sources, targets, units, at if self._positions else at - 1, flat.mean(0), flat
        )

    def _node_numbers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = self._parts
        if self._over == "neurons":
            d_mlp = self._model.spec.d_mlp
            layers = np.arange(parts.n_layers).repeat(d_mlp)
            mlps = (layers + 1) * (parts.n_heads + 1)
            units = np.tile(np.arange(d_mlp), parts.n_layers)
            return mlps, np.full_like(mlps, -1), units
        writers = np.arange(len(parts.writers))
        readers = np.array([], int)
        if self._method == "atp*":
            streams = [(s, layer) for s, layer in parts.reader_streams if s in CHANNELS]
            readers = np.concatenate(
                [np.arange(len(parts.readers))[parts.readers_of(*each)] for each in streams]
            )
        sources = np.concatenate([writers, np.full(len(readers), -1)])
        targets = np.concatenate([np.full(len(writers), -1), readers])
        return sources, targets, np.full(len(sources), -1)

    def _fields(
        self,
        sources: np.ndarray,
        targets: np.ndarray,
        units: np.ndarray,
        positions: np.ndarray,
        scores: np.ndarray,
        examples: np.ndarray | None = None,
    ) -> dict[str, Any]:
        return {
            "sources": sources,
            "targets": targets,
            "units": units,
            "positions": positions,
            "scores": scores,
            "examples": examples,
        }


@dataclass(frozen=True, eq=False, repr=False)
class AttributionCheck(Result):
    """The approximate and the exact score of each edge or node, over the same examples.

    names: of the items. approximate: by the method; exact: by patching each alone. Both are over
    the mean difference between clean and corrupt.
    """

    task: str
    method: str
    over: str
    names: tuple[str, ...]
    approximate: np.ndarray = axes("item")
    exact: np.ndarray = axes("item")

    picture = "attribution.attribution_check"

    @property
    def pearson(self) -> float:
        """Linear correlation of the two scores, from −1 to 1; NaN where one does not vary."""
        return _correlation(self.approximate, self.exact)

    @property
    def spearman(self) -> float:
        """Rank correlation of the two scores' absolute values, from −1 to 1; NaN as `pearson`."""
        # The rank correlation is the correlation of the ranks.
        guess, exact = (
            pd.Series(np.abs(x)).rank().to_numpy() for x in (self.approximate, self.exact)
        )
        return _correlation(guess, exact)

    def overlap(self, k: Count) -> float:
        """The share of the k items with the largest exact scores among the method's first k.

        Raises `ValueError` for a k that is not a number of items.
        """
        whole("k", k, 1, len(self.names), "There are no more items.")
        first, truth = (
            set(np.argsort(-np.abs(x), kind="stable")[:k].tolist())
            for x in (self.approximate, self.exact)
        )
        return len(first & truth) / k

    def to_frame(self) -> pd.DataFrame:
        """One line an item, the largest error first: name, approximate, exact, error."""
        error = self.approximate - self.exact
        order = np.argsort(-np.abs(error), kind="stable")
        return pd.DataFrame(
            {
                "name": [self.names[i] for i in order],
                "approximate": self.approximate[order],
                "exact": self.exact[order],
                "error": error[order],
            }
        )

    def _facts(self) -> str:
        return (
            f"{self.method} against exact patching of {len(self.names)} {self.over} on "
            f"{self.task}: correlation {self.pearson:.3f}"
        )


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    # numpy would warn of the division by 0.
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else float("nan")


@checked
def check_attribution(
    model: Model,
    task: Task | TaskBatch,
    *,
    method: str = "eap-ig",
    over: Literal["edges", "nodes"] | None = None,
    steps: Count = 5,
    n: Count | None = None,
) -> AttributionCheck:
    """How far a gradient method is from exact patching, as an `AttributionCheck` that draws itself.

    method, over, steps, n: as in `attribute`; every edge or node is also patched by itself, which
    takes one row of a pass each: choose a small `n` on a large model. "atp*" has no sign, and is
    compared with absolute values.

    Raises `ValueError` for neurons, which are too many to patch one by one, and as `attribute`.
    """
    if over == "neurons":
        raise ValueError(
            "Exact scores are of edges or nodes; got over='neurons'. Patch the neurons of one "
            "layer with wb.patch(model, task, over='mlp_post', by='neuron', layers=[0])."
        )
    batch = as_batch(model, task, n)
    guess = attribute(model, batch, method=method, over=over, steps=steps)
    exact = attribute(model, batch, method="exact", over=guess.over)  # type: ignore[arg-type]
    n_items = len(exact.scores)
    measured = np.abs(exact.scores) if method == "atp*" else exact.scores
    return AttributionCheck(
        **provenance(model, batch.clean),
        task=batch.task,
        method=method,
        over=guess.over,
        names=exact.names,
        approximate=guess.scores[:n_items],
        exact=measured,
    )
