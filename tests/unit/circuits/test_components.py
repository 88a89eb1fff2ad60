"""The graph of a model: which components there are, how they are named, and what is connected."""

from __future__ import annotations

import networkx
import numpy as np
import pytest

from tests.unit import lens_models
from tests.unit.circuit_models import TINY, plain, tinyworld
from tests.unit.kernels import Components
from workbench.site import Site

GPT2_SMALL = Components(12, 12, 12, False)
SMALL = Components(2, 3, 3, False)
GROUPED = Components(2, 4, 2, False)
PARALLEL = Components(2, 3, 3, True)
SHAPES = [SMALL, GROUPED, PARALLEL, Components(3, 2, 1, True), Components(1, 1, 1, False)]


def test_gpt2_small_has_the_numbers_of_nodes_and_edges_of_the_literature() -> None:
    assert len(GPT2_SMALL.writers) == 1 + 12 * 13
    assert len(GPT2_SMALL.readers) == 12 * (3 * 12 + 1) + 1
    assert GPT2_SMALL.n_edges == 32491


@pytest.mark.parametrize("name", TINY)
def test_the_edges_are_those_that_a_plain_pass_meets(name: str) -> None:
    parts = Components.of(tinyworld(name).spec)
    found = [(parts.writers[w], parts.readers[r]) for w, r in np.argwhere(parts.edges).tolist()]
    assert set(found) == set(plain(name).edges)
    assert len(found) == parts.n_edges == len(plain(name).edges)
    assert list(parts.writers) == plain(name).writers


def test_key_and_value_heads_are_fewer_under_grouped_queries() -> None:
    readers = ("q", "q", "q", "q", "k", "k", "v", "v", "mlp_in")
    assert [name.rpartition(".")[2] for name in GROUPED.readers] == [*readers, *readers, "logits"]
    fed = {
        reader: [GROUPED.writers[w] for w in np.flatnonzero(row)]
        for reader, row in zip(GROUPED.readers, GROUPED.feeds, strict=True)
    }
    assert fed["L1H1.k"] == fed["L1H1.v"] == ["L1H2.z", "L1H3.z"]
    assert fed["L1H2.q"] == ["L1H2.z"]
    assert fed["L0.mlp_in"] == ["L0.mlp_out"]
    assert fed["logits"] == []


def test_a_parallel_mlp_does_not_read_the_heads_of_its_layer() -> None:
    assert PARALLEL.n_edges == SMALL.n_edges - 2 * 3
    with pytest.raises(ValueError, match=r"L1H0\.z is not computed before L1\.mlp_in"):
        PARALLEL.edge("L1H0.z → L1.mlp_in")
    assert PARALLEL.edge("L0H0.z → L1.mlp_in") == (1, PARALLEL.reader("L1.mlp_in"))
    assert SMALL.edge("L1H0.z → L1.mlp_in")[0] == SMALL.writer("L1H0.z")


@pytest.mark.parametrize("parts", SHAPES, ids=str)
def test_numbers_and_names_go_both_ways(parts: Components) -> None:
    assert [parts.writer(name) for name in parts.writers] == list(range(len(parts.writers)))
    assert [parts.reader(name) for name in parts.readers] == list(range(len(parts.readers)))
    assert [parts.writer(parts.writer_site(w)) for w in range(len(parts.writers))] == list(
        range(len(parts.writers))
    )
    for source, target in np.argwhere(parts.edges).tolist():
        assert parts.edge(parts.edge_name(source, target)) == (source, target)
    streams = [parts.readers_of(*each) for each in parts.reader_streams]
    assert [r for part in streams for r in range(part.start, part.stop)] == list(
        range(len(parts.readers))
    )


def test_other_spellings_of_a_name_are_read() -> None:
    assert SMALL.writer("L1H2") == SMALL.writer("L1H2.z") == SMALL.writer(Site("z", 1, 2))
    assert SMALL.writer("L1.mlp") == SMALL.writer("L1.mlp_out") == 8
    assert SMALL.writer("L0.resid_pre") == SMALL.writer("embed") == 0
    assert SMALL.edge("embed->L1H2.q") == SMALL.edge(("embed", "L1H2.q"))
    assert [SMALL.writer_layer(w) for w in (0, 1, 4, 5, 8)] == [-1, 0, 0, 1, 1]
    assert SMALL.mask(["embed → logits", ("L0H0", "L1H2.q")]).sum() == 2


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("L2H0.z", r"layers 0 to 1 with heads 0 to 2; got 'L2H0\.z'"),
        ("L1H3.z", r"layers 0 to 1 with heads 0 to 2; got 'L1H3\.z'"),
        ("L5.mlp_out", r"layers 0 to 1 .* got 'L5\.mlp_out'"),
        ("L1H2.q", r"written 'embed', 'L2H3\.z' for a head .* got 'L1H2\.q'"),
        ("logits", "written 'embed'.* got 'logits'"),
        ("L1.mlp_in", r"got 'L1\.mlp_in'"),
    ],
)
def test_an_unknown_writer_is_named(name: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        SMALL.writer(name)


def test_unknown_readers_and_edges_are_named() -> None:
    with pytest.raises(ValueError, match=r"heads 0 to 3 \(key/value heads 0 to 1\); got 'L0H3\.k'"):
        GROUPED.reader("L0H3.k")
    with pytest.raises(ValueError, match=r"with heads 0 to 2; got 'L0H0\.z'"):
        SMALL.reader("L0H0.z")
    with pytest.raises(ValueError, match=r"a writer and a reader; got 'embed'"):
        SMALL.edge("embed")
    with pytest.raises(ValueError, match=r"a writer and a reader; got \['a', 'b', 'c'\]"):
        SMALL.edge(["a", "b", "c"])
    with pytest.raises(ValueError, match=r"L1H0\.z is not computed before L1H1\.q"):
        SMALL.mask(["L1H0.z → L1H1.q"])
    with pytest.raises(ValueError, match="is q, k, v, mlp_in or logits; got 'z'"):
        SMALL.readers_of("z", 0)


def test_a_norm_over_all_heads_leaves_only_the_nodes() -> None:
    spec = lens_models.zoo_model("olmo2").spec
    with pytest.raises(ValueError, match="Olmo2ForCausalLM norms the queries of all heads.*nodes"):
        Components.of(spec)
    assert len(Components.nodes_of(spec).writers) == 1 + 2 * 5


def paths(parts: Components, kept: np.ndarray) -> np.ndarray:
    """The kept edges on a path from the embedding to the logits, by networkx."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(["embed", "logits"])
    edges = np.argwhere(kept & parts.edges)
    for w, r in edges.tolist():
        graph.add_edge(parts.writers[w], parts.readers[r])
    for r, w in np.argwhere(parts.feeds).tolist():
        graph.add_edge(parts.readers[r], parts.writers[w])
    before = networkx.descendants(graph, "embed") | {"embed"}
    after = networkx.ancestors(graph, "logits") | {"logits"}
    out = np.zeros_like(kept)
    for w, r in edges.tolist():
        out[w, r] = parts.writers[w] in before and parts.readers[r] in after
    return out


@pytest.mark.parametrize("parts", SHAPES, ids=str)
def test_connected_edges_are_those_on_a_path_of_the_graph(parts: Components) -> None:
    rng = np.random.default_rng(0)
    some = 0
    for share in np.linspace(0.02, 0.9, 60):
        kept = rng.random(parts.edges.shape) < share
        found = parts.connected(kept)
        np.testing.assert_array_equal(found, paths(parts, kept))
        some += 0 < found.sum() < (kept & parts.edges).sum()
    assert some > 5 or parts.n_edges < 10
    assert parts.connected(parts.edges).sum() == parts.n_edges
