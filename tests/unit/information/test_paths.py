"""Paths and parts of a graph: brute force over small graphs, and what filters leave."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.circuit_models import tinyworld
from tests.unit.kernels import graphs, information_graph
from tests.unit.lens_models import zoo_model
from tests.unit.made_results import ORIGIN
from tests.unit.plain_pass import edges_of
from workbench.graph import Graph


@cache
def info() -> wb.information.InformationGraph:
    return wb.information.graph(tinyworld(), "When Mary and John went", n_edges=70, k=4)


@cache
def small() -> wb.information.InformationGraph:
    return wb.information.graph(zoo_model("gpt2"), [[5, 9, 7]], measure="answer", n_edges=45, k=2)


def random_graph(seed: int, n: int = 8) -> tuple[Graph, np.ndarray]:
    """A graph whose edges go from smaller to larger numbers, some of them side by side."""
    rng = np.random.default_rng(seed)
    ends = [(s, t) for s in range(n) for t in range(s + 1, n) if rng.random() < 0.5]
    ends += ends[:2]
    order = rng.permutation(len(ends))
    sources, targets = np.array(ends)[order].T
    graph = Graph(
        **ORIGIN,
        seed=seed,
        prompt="",
        ids=tuple(map(str, range(n))),
        labels=("",) * n,
        kinds=("state",) * n,
        channels=("",) * len(ends),
        layers=np.zeros(n),
        positions=np.zeros(n),
        units=np.zeros(n),
        scores=np.zeros(n),
        sources=sources,
        targets=targets,
        weights=np.ones(len(ends)),
    )
    return graph, rng.random(len(ends))


def paths(graph: Graph, source: int, target: int) -> Iterator[tuple[int, ...]]:
    """Every path from one node to another, as edge numbers."""
    for edge in np.flatnonzero(graph.sources == source).tolist():
        then = int(graph.targets[edge])
        if then == target:
            yield (edge,)
        else:
            for rest in paths(graph, then, target):
                yield (edge, *rest)


@pytest.mark.parametrize("seed", range(6))
def test_the_strongest_path_is_the_best_of_all_paths(seed: int) -> None:
    graph, shares = random_graph(seed)
    for source in range(8):
        for target in range(8):
            every = list(paths(graph, source, target))
            found = graphs.strongest_path(graph, shares, source, target)
            best = max(every, key=lambda path: np.prod(shares[list(path)]), default=())
            assert tuple(found) == best


@pytest.mark.parametrize("seed", range(6))
def test_between_two_nodes_are_the_edges_of_all_paths(seed: int) -> None:
    graph, _ = random_graph(seed)
    for source, target in ((0, 7), (1, 5), (6, 2), (3, 4)):
        expected = {edge for path in paths(graph, source, target) for edge in path}
        assert set(np.flatnonzero(graphs.between(graph, source, target)).tolist()) == expected


@pytest.mark.parametrize("seed", range(3))
def test_a_walk_comes_to_a_node_along_every_path(seed: int) -> None:
    graph, shares = random_graph(seed)
    came = information_graph.walked(graph, shares, [7, 6])
    for node in range(8):
        each = [np.prod(shares[list(path)]) for root in (7, 6) for path in paths(graph, node, root)]
        assert came[node] == pytest.approx((sum(each) + (node in (7, 6))) / 2)


def test_a_path_of_a_graph_is_the_best_of_all_and_can_be_named_by_edges() -> None:
    one = small()
    graph = one
    source, target = graph.ids[0], one.roots[0]
    every = list(paths(graph, 0, one.node(target)))
    assert len(every) > 3
    best = max(every, key=lambda path: float(np.prod(one.shares[list(path)].astype(float))))
    nodes = (source, *(graph.ids[graph.targets[e]] for e in best))
    assert one.path(source) == one.path(source, target) == nodes
    assert one.path_edges(source) == tuple(one.edge_names[e] for e in best)
    assert one.edge_names[best[0]] == graphs.edge_name(*edges_of(one)[best[0]][:3])


def test_the_coverage_is_what_walks_to_the_embeddings() -> None:
    one = small()
    starts = [i for i, kind in enumerate(one.kinds) if kind == "embed"]
    root = one.node(one.roots[0])
    each = [
        np.prod(one.shares[list(path)].astype(float))
        for start in starts
        for path in paths(one, start, root)
    ]
    assert one.coverage == pytest.approx(sum(each), abs=1e-6)


def names(some: wb.information.InformationGraph) -> set[str]:
    return set(some.edge_names)


def test_filters_keep_the_edges_that_they_name() -> None:
    one = info()
    graph = one
    edges = list(zip(one.edge_names, edges_of(one), one.shares, strict=True))
    assert names(one.prune(min_share=0.1)) == {name for name, _, share in edges if share >= 0.1}
    kind = dict(zip(graph.ids, graph.kinds, strict=True))
    expected = {name for name, e, _ in edges if {kind[e[0]], kind[e[1]]} <= {"head", "state"}}
    assert names(one.prune(kinds=["head", "state"])) == expected
    both = one.prune(kinds=["head", "state"], min_share=0.1)
    assert names(both) == expected & names(one.prune(min_share=0.1))


def test_a_word_is_found_among_words_and_details_spaces_aside() -> None:
    one = info()
    number = next(i for i, details in enumerate(one.details) if details and one.words[i])
    in_details = one.details[number][0][1][-1]
    for word in (one.words[number][1], in_details, f"  {in_details.strip()}"):
        wanted = word.strip()
        there = [
            any(
                each.strip() == wanted for each in (*own, *(w for _, said in details for w in said))
            )
            for own, details in zip(one.words, one.details, strict=True)
        ]
        assert one.with_word(word) == there
        assert there[number]
        ids = {name for name, yes in zip(one.ids, there, strict=True) if yes}
        expected = {
            name
            for name, (s, t, *_) in zip(one.edge_names, edges_of(one), strict=True)
            if s in ids or t in ids
        }
        assert names(one.prune(word=word)) == expected


def test_through_two_nodes_every_path_between_them_is_kept() -> None:
    one = small()
    source, target = one.ids[0], one.roots[0]
    expected = {one.edge_names[e] for path in paths(one, 0, one.node(target)) for e in path}
    part = one.prune(through=(source, target))
    assert names(part) == expected
    assert part.path(source) == one.path(source)


def test_what_a_filter_leaves_out_is_in_the_rest() -> None:
    one = info()
    part = one.prune(min_share=0.15)
    assert names(one.prune()) == names(one)
    np.testing.assert_allclose(one.prune().rest, one.rest, atol=1e-6)
    for i, node in enumerate(part.ids):
        before = one.node(node)
        left = (one.targets == before) & (one.shares < 0.15)
        assert part.rest[i] == pytest.approx(one.rest[before] + one.shares[left].sum(), abs=1e-5)
        assert part.words[i] == one.words[before]
        assert part.details[i] == one.details[before]
        assert part.kinds[i] == one.kinds[before]
        assert part.scores[i] == one.scores[before]
        assert part.labels[i] == one.labels[before]
    assert set(one.roots) <= set(part.ids)
    assert (part.sources < part.targets).all()
    weights = dict(zip(one.edge_names, one.weights, strict=True))
    assert [weights[name] for name in part.edge_names] == part.weights.tolist()
    # A part of a part is a part of the whole.
    again = part.prune(min_share=0.3)
    assert again.to_frame().equals(one.prune(min_share=0.3).to_frame())
    np.testing.assert_allclose(again.rest, one.prune(min_share=0.3).rest, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda one: one.path("L9.z@1"), r"'L9.z@1' is not among the \d+ nodes of this graph"),
        (lambda one: one.path(one.roots[0], "embed@0"), "No path of this graph leads from L3"),
        (lambda one: one.path_edges(one.roots[0]), "No path of this graph leads from L3"),
        (lambda one: one.read("nothing"), "'nothing' is not among"),
        (lambda one: one.prune(min_share=2), r"No edge of this graph is left of 70 by min_share"),
        (lambda one: one.prune(word="nowhere"), "word='nowhere'"),
        (lambda one: one.prune(kinds=["heads"]), "one of 'embed', 'state', .* got 'heads'"),
        (lambda one: one.prune(through=("a", "b")), "'a' is not among"),
    ],
)
def test_what_is_not_there_is_a_named_error(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call(info())
