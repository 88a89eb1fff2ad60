"""Attribution: how much each edge, node or neuron matters, by gradients or exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..check import Count, NotNegative, checked, whole
from ..model import Model
from ..pictures.marks import Bars, Scatter
from ..result import Result, axes, labels, provenance
from ..site import Site
from ..tasks import Examples, Group, Task, TaskBatch, as_batch, tokens_per_pass
from .circuit import Circuit, check_choice, connected, greedy, of_mask
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

    Scores are over the mean difference between the clean and the corrupt metric; they are means
    over the examples, signed but for "atp*".
    """

    task: str
    metric_name: str
    #: As in `attribute`; steps: 0 where the method takes none.
    method: str
    over: str
    steps: int
    #: The model's graph.
    parts: Components
    sources: np.ndarray = axes("item", np.int32, "its writer, -1 where it is a head's q, k or v")
    targets: np.ndarray = axes("item", np.int32, "its reader, -1 for a node that is a writer")
    units: np.ndarray = axes("item", np.int32, "its neuron, -1 where it is none")
    positions: np.ndarray = axes("item", np.int32, "position, -1 where it is of all together")
    scores: np.ndarray = axes("item", note="share of the difference between clean and corrupt")
    clean: np.ndarray = axes("batch", note="metric of the clean runs")
    corrupt: np.ndarray = axes("batch", note="metric of the corrupt runs")
    examples: np.ndarray | None = axes(
        "batch item",
        note="each example's own; None for edges by gradients, which are summed as they come",
        optional=True,
    )

    picture = Bars("score", "name", sort=True, top=20)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.positions >= 0).any():
            object.__setattr__(self, "picture", replace(self.picture, by=("name", "pos")))

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
        same = ("model", "revision", "versions", "seed", "tokens", "task", "method")
        named = {name: getattr(self, name) for name in same}
        kept = connected(parts, scores, kept, n_edges, threshold)
        return of_mask(parts, kept, scores, **named, threshold=threshold)

    def to_frame(self, top: Count | None = None) -> pd.DataFrame:
        """One line an item, the largest absolute score first: name, source, target, pos, score.

        top: how many lines; None for all. Source or target is empty where an item has none.
        """
        order = self.ranking()[:top]
        writers, readers = (*self.parts.writers, ""), (*self.parts.readers, "")
        frame = pd.DataFrame(
            {
                # Names of those asked for alone: a large model has very many edges.
                "name": [self.name(int(item)) for item in order],
                "source": [writers[self.sources[item]] for item in order],
                "target": [readers[self.targets[item]] for item in order],
                "pos": self.positions[order],
                "score": self.scores[order],
            }
        )
        frame.attrs["notes"] = {"score": "share of the difference between clean and corrupt"}
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
    2024, arXiv:2403.17806), "eap-ig-activations" (over steps of the writer's own activation, ibid.;
    the authors' code scores every edge while any writer moves, from the clean run: r = 0.9 to
    this), "atp*" (softmax computed again for queries and keys, and GradDrop; Kramár et al. 2024,
    arXiv:2403.00745; its scores have no sign), or "exact" (one patched run for each edge or node).
    over: what is scored; None for the method's own. positions: a score a token position too; for
    edges, nodes and neurons by gradients. n: how many pairs of the task.

    Raises `ValueError` for an unknown method, for one that does not score what is asked, and where
    clean and corrupt do not differ.
    """
    over_what = _check(method, over, steps, positions)
    examples = Examples.of(model, task, n=n)
    # Without a sign there is none to turn where the clean metric is the smaller one.
    gap = abs(examples.gap) if method == "atp*" else examples.gap
    score = _edges if over_what == "edges" else _nodes
    items, scores, each = score(model, examples, method, over_what, steps, positions)
    n_positions = scores.shape[1]
    at = np.tile(np.arange(n_positions) if positions else -1, len(scores))
    sources, targets, units = (np.repeat(numbers, n_positions) for numbers in items)
    return Attribution(
        **provenance(model, examples.batch.clean),
        task=examples.batch.task,
        metric_name=examples.batch.metric_name,
        method=method,
        over=over_what,
        steps=steps if method.startswith("eap-ig") else 0,
        parts=_parts(model, over_what),
        sources=sources,
        targets=targets,
        units=units,
        positions=at,
        scores=(scores / gap).ravel(),
        clean=examples.clean,
        corrupt=examples.corrupt,
        examples=None if each is None else (each / gap).reshape(len(each), -1),
    )


#: The source, target and unit of each item; (item, pos) its score, not yet over the gap; and
#: (batch, item, pos) that of each example, where it is had.
Scored = tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray, np.ndarray | None]


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


def _parts(model: Model, over: str) -> Components:
    return Components.of(model.spec) if over == "edges" else Components.nodes_of(model.spec)


def _batches(model: Model, parts: Components, examples: Examples, copies: int) -> Iterator[Group]:
    n_tokens = tokens_per_pass(len(parts.writers), model.spec.d_model) // copies
    for group in examples.groups:
        yield from group.split(n_tokens)


def _edges(
    model: Model, examples: Examples, method: str, over: str, steps: int, positions: bool
) -> Scored:
    parts = _parts(model, over)
    sources, targets = where = np.nonzero(parts.edges)
    items = sources, targets, np.full_like(sources, -1)
    batches = _batches(model, parts, examples, steps if method.startswith("eap-ig") else 1)
    if method == "exact":
        each = np.zeros((len(examples.batch), len(sources), 1))
        for batch in batches:
            each[list(batch.rows), :, 0] = exact_edges(model, parts, batch, parts.edges)[:, *where]
        return items, each.mean(0), each
    total = np.zeros((*parts.edges.shape, examples.n_positions if positions else 1))
    for batch in batches:
        options: dict[str, Any] = {"steps": steps, "positions": positions}
        by = edge_scores_by_activation if method == "eap-ig-activations" else edge_scores
        if method == "eap":
            options["steps"] = 0
        values = by(model, parts, batch, **options).reshape(*parts.edges.shape, -1)
        total[..., : values.shape[-1]] += values
    return items, total[where] / len(examples.batch), None


def _nodes(
    model: Model, examples: Examples, method: str, over: str, steps: int, positions: bool
) -> Scored:
    parts, d_mlp = _parts(model, over), model.spec.d_mlp
    writers, readers = np.arange(len(parts.writers)), np.array([], int)
    sites = list(dict.fromkeys(parts.writer_site(w).whole for w in writers.tolist()))
    items = writers, np.full_like(writers, -1), np.full_like(writers, -1)
    if over == "neurons":
        sites = [Site("mlp_post", layer) for layer in range(parts.n_layers)]
        mlps = (np.arange(parts.n_layers).repeat(d_mlp) + 1) * (parts.n_heads + 1)
        items = mlps, np.full_like(mlps, -1), np.tile(np.arange(d_mlp), parts.n_layers)
    elif method == "atp*":
        # The heads' q, k and v have scores of their own.
        streams = [each for each in parts.reader_streams if each[0] in CHANNELS]
        numbers = np.arange(len(parts.readers))
        readers = np.concatenate([numbers[parts.readers_of(*each)] for each in streams])
        none = np.full_like(readers, -1), np.full_like(writers, -1)
        items = (
            np.concatenate([writers, none[0]]),
            np.concatenate([none[1], readers]),
            np.full(len(writers) + len(readers), -1),
        )
    n_positions = examples.n_positions if positions else 1
    out = np.zeros((len(examples.batch), len(items[0]), n_positions))
    for batch in _batches(model, parts, examples, steps if method.startswith("eap-ig") else 1):
        if method == "exact":
            values = exact_nodes(model, parts, batch)[..., None]
        elif method == "atp*":
            values = atp_star_scores(model, parts, batch, positions=positions)
        else:
            scores = site_scores(model, batch, sites, method=method, steps=steps)
            values = np.concatenate([scores[site] for site in sites], -1).swapaxes(1, 2)
        values = values if positions else values.sum(-1, keepdims=True)
        out[list(batch.rows), :, : values.shape[-1]] = values
    return items, out.mean(0), out


@dataclass(frozen=True, eq=False, repr=False)
class AttributionCheck(Result):
    """The approximate and the exact score of each edge or node, over the same examples."""

    task: str
    method: str
    over: str
    names: tuple[str, ...] = labels("item", "edge or node", name="name")
    approximate: np.ndarray = axes("item", note="by gradients; 1 = the whole difference")
    exact: np.ndarray = axes("item", note="patched by itself; 1 = the whole difference")

    picture = Scatter("exact", "approximate", "name", diagonal=True)

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
