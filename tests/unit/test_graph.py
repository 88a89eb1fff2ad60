"""Graphs: checked on the way in, and the same after a trip through each of their other forms."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest

import workbench as wb
from tests.unit.circuit_models import ioi, tinyworld
from workbench import circuits, find_circuit
from workbench.graph import Graph, edge_name
from workbench.result import Result

KINDS = ("embed", "head", "mlp", "feature", "error", "logits", "state", "neuron")
IDS = (
    "E_5_0", "L0H1", "L0.mlp", "0_7_1", "error_0_1", "logit_9", "L0.resid_mid@1",
    "L0.mlp_post/3@1",
)  # fmt: skip


GROWN = ("Circuit", "FeatureCircuit", "FeatureFlow", "InformationGraph")


def graph(**changes: Any) -> Graph:
    """A small graph with a node of every kind, and two edges between the same two nodes."""
    given: dict[str, Any] = {
        "model": "a model",
        "revision": "",
        "versions": {},
        "seed": None,
        "prompt": "Καλημέρα → “world”",
        "tokens": (("Καλημέρα", " →", " “world”"),),
        "ids": IDS,
        "labels": (
            "the first token",
            "head",
            "mlp",
            "a feature",
            "what is not explained",
            "yes",
            "a state",
            "a neuron",
        ),
        "kinds": KINDS,
        "channels": ("q", "k", "", "", "v"),
        "layers": np.array([-1, 0, 0, 0, 0, 2, 0, 0]),
        "positions": np.array([0, -1, -1, 1, 1, 2, 1, 1]),
        "units": np.array([5, -1, -1, 7, -1, 9, -1, 3]),
        "scores": np.array([0.5, np.nan, -2.0, 0.0, np.nan, 0.25, 0.5, np.nan]),
        "sources": np.array([0, 0, 1, 3, 4]),
        "targets": np.array([1, 1, 5, 5, 5]),
        "weights": np.array([0.125, -0.3, 1e-7, 2.0, 0.1]),
    }
    return Graph(**(given | changes))


def assert_equal(ours: Graph, other: Graph) -> None:
    # Of several prompts the first is in the file, and nothing of where the graph comes from.
    assert ours.model == other.model
    assert (*ours.tokens[:1], ())[0] == other.tokens[0]
    for each in fields(Graph)[len(fields(Result)) :]:
        if each.name == "extra":
            continue
        here, there = getattr(ours, each.name), getattr(other, each.name)
        if isinstance(here, np.ndarray):
            np.testing.assert_array_equal(here, there)
            assert here.dtype == there.dtype
        else:
            assert here == there


def circuit_graphs() -> Sequence[Graph]:
    return [
        find_circuit(tinyworld(name), ioi(), n_edges=20, steps=1)
        for name in ("tinyworld", "tinyworld-llama")
    ] + [circuits.of(tinyworld(), ["embed → logits"])]


def test_what_is_written_in_neuronpedias_form_is_read_back_equal(tmp_path: Path) -> None:
    for i, own in enumerate([graph(), *circuit_graphs()]):
        path = tmp_path / f"{i}.json"
        written = own.to_neuronpedia(path, slug="a-slug")
        assert json.loads(path.read_text(encoding="utf-8")) == written
        assert written["metadata"]["slug"] == "a-slug"
        assert_equal(own, Graph.from_neuronpedia(path))
        assert_equal(own, Graph.from_neuronpedia(written))
        assert_equal(own, Graph.from_neuronpedia(str(path)))
        assert Graph.from_neuronpedia(path).extra == {"metadata": {"slug": "a-slug"}}
        assert Graph.from_neuronpedia(own.to_neuronpedia()).extra is None


def traced(n: int = 300, n_links: int = 4000) -> dict[str, Any]:
    """A graph of the shape that circuit-tracer writes, with pins and groups of nodes."""
    rng = np.random.default_rng(0)
    layer, feature = np.sort(rng.integers(0, 26, n)), rng.integers(0, 16384, n)
    types = ["cross layer transcoder", "mlp reconstruction error", "lorsa"]
    nodes = [
        {
            "node_id": f"{layer[i]}_{feature[i]}_{i % 9}_{i}",
            "feature": int(feature[i]),
            "layer": str(layer[i]) if i % 2 else int(layer[i]),
            "ctx_idx": i % 9,
            "feature_type": types[i % 3],
            "token_prob": 0.0,
            "is_target_logit": False,
            "run_idx": 0,
            "reverse_ctx_idx": 0,
            "jsNodeId": f"{layer[i]}_{feature[i]}-0",
            "clerp": f"feature {i}",
            "influence": None if i % 5 == 0 else float(rng.random()),
            "activation": float(10 * rng.random()),
        }
        for i in range(n)
    ]
    nodes[0] |= {"layer": "E", "feature": 7, "feature_type": "embedding", "activation": None}
    nodes[-1] |= {"feature_type": "logit", "token_prob": 0.4375, "is_target_logit": True}
    top = {"pair_wise_contributors": [[nodes[1]["node_id"], nodes[0]["node_id"], 0.5]]}
    marginal = ("top_q_marginal_contributors", "top_k_marginal_contributors")
    nodes[2]["qk_tracing_results"] = top | {name: [["pruned", 0.25]] for name in marginal}
    ends = np.sort(rng.integers(0, n, (n_links, 2)), 1)
    pairs = sorted({(int(a), int(b)) for a, b in ends if a != b})
    ids = [node["node_id"] for node in nodes]
    links = [
        {"source": ids[a], "target": ids[b], "weight": float(rng.standard_normal())}
        for a, b in pairs
    ]
    # A link twice, and one with a word that nobody knows.
    links += [dict(links[0]), {**links[1], "weight": 0.5, "note": "by hand"}]
    named = {"name": "a tracer", "version": "0.1", "url": "https://example.org", "email": "a@b.c"}
    info = {"description": "of a test", "generator": named, "source_urls": ["a", "b"]}
    pruning = {"node_threshold": 0.8, "edge_threshold": 0.98}
    lone = {key: nodes[3][key] for key in ("feature", "layer", "ctx_idx", "feature_type", "clerp")}
    return {
        "metadata": {
            "slug": "my-neat-graph",
            "scan": "gemma-2-2b",
            "prompt_tokens": ["<bos>", *[f" t{i}" for i in range(8)]],
            "prompt": "t0 t1",
            "feature_details": {"neuronpedia_source_set": "gemmascope-transcoder-16k"},
            "node_threshold": 0.8,
            "info": info | {"creator_name": "someone", "create_time_ms": 1745968862143},
            "generation_settings": {"max_n_logits": 10, "desired_logit_prob": 0.95, "own": [1, {}]},
            "pruning_settings": pruning,
            "schema_version": 1,
        },
        "qParams": {
            "pinnedIds": [ids[-1], ids[4]],
            "supernodes": [["capitals", ids[4], ids[5]], ["say Paris", ids[6]]],
            "linkType": "both",
            "clickedId": ids[4],
            "sg_pos": "1,2",
        },
        "nodes": nodes,
        "links": links,
        "qk_only_nodes": {"pruned": lone | {"node_id": "pruned", "jsNodeId": "pruned-0"}},
        "another": [],
    }


def every_name(schema: Any) -> set[str]:
    """The names of all fields that a schema lists."""
    if isinstance(schema, list):
        return set().union(*map(every_name, schema))
    if not isinstance(schema, dict):
        return set()
    inner = set(schema.get("properties", {}))
    return inner.union(*map(every_name, schema.values()))


def names_in(data: Any) -> set[str]:
    if isinstance(data, list):
        return set().union(*map(names_in, data))
    return set(data).union(*map(names_in, data.values())) if isinstance(data, dict) else set()


def test_what_another_tool_wrote_is_written_again_whole(
    asset: Callable[..., Path], tmp_path: Path
) -> None:
    from jsonschema import validators

    data = traced()
    schema = json.loads(asset("formats", "neuronpedia-graph-schema.json").read_text())
    assert list(validators.validator_for(schema)(schema).iter_errors(data)) == []
    left_out = {"feature_json_base_url", "neuronpedia_lorsa_source_set", "creator_url"}
    left_out |= {"batch_size", "max_feature_nodes"}
    assert every_name(schema) - names_in(data) == left_out  # of the same objects as others
    whole = json.dumps(data)
    read = Graph.from_neuronpedia(data)
    written = read.to_neuronpedia()
    assert written == json.loads(whole)
    written["nodes"][0]["clerp"] = written["metadata"]["info"]["description"] = "changed"
    written["qParams"]["pinnedIds"].append("changed")
    assert json.dumps(data) == whole and read.to_neuronpedia() == data
    assert Graph.load(read.save(tmp_path / "own")).to_neuronpedia() == data
    read.to_neuronpedia(tmp_path / "graph.json")
    again = Graph.from_neuronpedia(tmp_path / "graph.json")
    assert again.to_neuronpedia() == data
    assert read.to_neuronpedia(slug="mine")["metadata"] == data["metadata"] | {"slug": "mine"}


def test_of_a_graph_that_was_changed_the_rest_is_kept() -> None:
    data = traced()
    read = Graph.from_neuronpedia(data)
    part = read.prune(n_edges=50).to_neuronpedia()
    nodes = {node["node_id"]: node for node in data["nodes"]}
    assert len(part["links"]) == 50 and 2 < len(part["nodes"]) < 100
    assert all(node == nodes[node["node_id"]] for node in part["nodes"])
    assert all(link in data["links"] for link in part["links"])
    assert part["qParams"] == data["qParams"] and part["metadata"] == data["metadata"]
    labels = (*read.labels[:-1], "mine")
    *others, last = replace(read, labels=labels).to_neuronpedia()["nodes"]
    assert others == data["nodes"][:-1] and data["nodes"][-1]["activation"] > 0
    assert {name: last[name] for name in data["nodes"][-1]} == data["nodes"][-1] | {"clerp": "mine"}
    doubled = replace(read, weights=2 * read.weights).to_neuronpedia()["links"]
    assert doubled[5]["weight"] == pytest.approx(2 * data["links"][5]["weight"])


def test_what_is_written_is_valid_by_the_formats_schema(asset: Callable[..., Path]) -> None:
    from jsonschema import validators

    schema = json.loads(asset("formats", "neuronpedia-graph-schema.json").read_text())
    check = validators.validator_for(schema)(schema)
    for own in [graph(), *circuit_graphs()]:
        written = own.to_neuronpedia()
        assert list(check.iter_errors(json.loads(json.dumps(written, allow_nan=False)))) == []
    broken = graph().to_neuronpedia()
    del broken["nodes"][0]["node_id"]
    assert list(check.iter_errors(broken))


def test_nodes_have_the_layers_and_types_of_the_format() -> None:
    nodes = {node["node_id"]: node for node in graph().to_neuronpedia()["nodes"]}
    assert [nodes[i]["layer"] for i in IDS] == ["E", "0", "0", "0", "0", "2", "0", "0"]
    assert nodes["E_5_0"]["feature_type"] == "embedding" and nodes["E_5_0"]["feature"] == 5
    assert nodes["L0H1"]["ctx_idx"] == 0 and nodes["L0H1"]["position"] is None
    assert nodes["error_0_1"]["score"] is None and nodes["L0.mlp"]["score"] == -2.0
    assert nodes["L0.mlp_post/3@1"]["feature_type"] == "mlp neuron"
    assert nodes["logit_9"]["feature_type"] == "logit" and nodes["logit_9"]["ctx_idx"] == 2
    links = graph().to_neuronpedia()["links"]
    assert links[1] == {
        "source": "E_5_0",
        "target": "L0H1",
        "weight": pytest.approx(-0.3),
        "channel": "k",
    }


def test_a_file_of_another_tool_is_read() -> None:
    data = graph().to_neuronpedia()
    for node in data["nodes"]:
        for key in ("kind", "position", "score"):
            del node[key]
        node["influence"] = 0.75
    for link in data["links"]:
        del link["channel"]
    data["nodes"][3]["feature_type"] = "a transcoder that nobody has named"
    read = Graph.from_neuronpedia(data)
    assert read.kinds == KINDS
    assert read.positions.tolist() == [0, 0, 0, 1, 1, 2, 1, 1]
    assert set(read.channels) == {""} and (read.scores == 0.75).all()
    np.testing.assert_array_equal(read.weights, graph().weights)


def test_the_table_has_the_largest_weights_first() -> None:
    frame = graph().to_frame()
    assert list(frame.columns) == ["source", "target", "channel", "weight"]
    assert frame["weight"].tolist() == pytest.approx([2.0, -0.3, 0.125, 0.1, 1e-7])
    assert frame["source"].tolist() == ["0_7_1", "E_5_0", "E_5_0", "error_0_1", "L0H1"]
    assert frame["channel"].tolist() == ["", "k", "q", "v", ""]


def test_networkx_has_every_node_and_parallel_edges_by_channel() -> None:
    own = graph()
    other = own.to_networkx()
    assert tuple(other.nodes) == IDS and other.number_of_edges() == 5
    assert other.edges["E_5_0", "L0H1", "q"]["weight"] == pytest.approx(0.125)
    assert other.edges["E_5_0", "L0H1", "k"]["weight"] == pytest.approx(-0.3)
    node = other.nodes["0_7_1"]
    assert (node["kind"], node["layer"], node["position"], node["score"]) == ("feature", 0, 1, 0.0)
    assert math.isnan(other.nodes["L0H1"]["score"]) and other.graph["model"] == "a model"


def test_the_text_of_a_graph_counts_its_parts() -> None:
    assert repr(graph()) == "Graph(a model: 8 nodes, 5 edges)"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"ids": ("a", "b", "c", "b", "d", "e", "f", "g")}, "have different ids; 'b' stands twice"),
        ({"kinds": (*KINDS[:7], "layer")}, "A node is one of embed, state.*got 'layer'"),
        ({"labels": ("one",)}, "ids has 8 along 'node', labels has 1"),
        ({"channels": ("q",)}, "channels has 1 along 'edge', sources has 5"),
        ({"targets": np.array([1, 1, 5, 5, 8])}, "Edges name nodes 0 to 7; got 8"),
        ({"sources": np.array([0, 0, 1, 3, -1])}, "Edges name nodes 0 to 7; got -1"),
        ({"weights": np.array([0, 0, 1, 3, np.nan])}, "finite numbers; got NaN or infinity"),
        ({"weights": np.array([0.0])}, "arrays of one result agree about their axes"),
    ],
)
def test_what_is_no_graph_is_refused(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        graph(**changes)


def test_files_that_are_no_graph_are_named(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_text("not json")
    with pytest.raises(ValueError, match=r"graph\.json is not a JSON file"):
        Graph.from_neuronpedia(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"has metadata .*graph\.json has not \(KeyError\('nodes'"):
        Graph.from_neuronpedia(path)
    data = graph().to_neuronpedia()
    data["nodes"][4]["node_id"] = "0_7_1"
    with pytest.raises(ValueError, match="'0_7_1' stands twice in the graph. Error nodes written"):
        Graph.from_neuronpedia(data)
    data = graph().to_neuronpedia()
    data["links"][2]["target"] = "nowhere"
    with pytest.raises(ValueError, match="in the graph a target is 'nowhere', which is none"):
        Graph.from_neuronpedia(data)
    data = graph().to_neuronpedia()
    data["nodes"][1]["layer"] = "first"
    with pytest.raises(ValueError, match="The layer of a node is 'E' or a number; got 'first'"):
        Graph.from_neuronpedia(data)


@cache
def graphs() -> dict[str, Graph]:
    """A graph of every kind, as its method makes it."""
    model, dicts = tinyworld(), wb.dictionaries("tinyworld")
    return {
        "Graph": graph(),
        "Circuit": find_circuit(model, ioi(), n_edges=20, steps=1),
        "FeatureCircuit": wb.features.circuit(model, ioi(), dicts, n_nodes=12, n_edges=20, steps=1),
        "FeatureFlow": wb.feature_flow(dicts, "L2.resid_post/5"),
        "InformationGraph": wb.information.graph(model, "When Mary and John went", n_edges=40, k=3),
    }


@pytest.mark.parametrize("name", ["Graph", *GROWN])
def test_each_of_them_is_a_graph_that_is_saved_and_sent_on_whole(name: str, tmp_path: Path) -> None:
    own = graphs()[name]
    assert isinstance(own, Graph) and type(own).__name__ == name
    back = type(own).load(own.save(tmp_path / "own"))
    assert back.to_frame("edges").equals(own.to_frame("edges")) and repr(back) == repr(own)
    other = Graph.from_neuronpedia(own.to_neuronpedia())
    assert type(other) is Graph and other.edge_names == own.edge_names
    np.testing.assert_array_equal(other.weights, own.weights)
    assert own.to_networkx().number_of_edges() == len(own.weights)
    assert set(own.to_frame("edges")["source"]) <= {*own.ids} or name == "Circuit"


@pytest.mark.parametrize("name", GROWN)
def test_the_strongest_path_goes_through_each_of_them(name: str) -> None:
    own = graphs()[name]
    start, end = own.ids[0], own.ids[-1]
    along: Any = networkx.all_simple_edge_paths(own.to_networkx(), start, end)
    share = dict(zip(own.edge_names, own.shares.astype(float), strict=True))
    every = [
        (np.prod([share[edge_name(*each)] for each in path]), [start, *(t for _, t, _ in path)])
        for path in along
    ]
    best, nodes = max(every, key=lambda pair: pair[0])
    assert own.path(start, end) == tuple(nodes) and best > 0
    assert np.prod([share[edge] for edge in own.path_edges(start, end)]) == pytest.approx(best)


@pytest.mark.parametrize("name", GROWN)
def test_a_part_of_each_has_the_strongest_edges_and_what_it_is_made_of(name: str) -> None:
    own = graphs()[name]
    part = own.prune(n_edges=5)
    strongest = [own.edge_names[e] for e in own.ranking()[:5]]
    assert set(part.edge_names) == set(strongest) and type(part) is type(own)
    ends = {own.ids[i] for e in own.ranking()[:5] for i in (own.sources[e], own.targets[e])}
    assert set(part.ids) == ends | set(own.roots)
    for number, node in enumerate(part.ids):
        before = own.node(node)
        assert (part.kinds[number], part.labels[number]) == (own.kinds[before], own.labels[before])
        np.testing.assert_equal(part.scores[number], own.scores[before])
    heavy = own.prune(min_share=0.5)
    assert set(heavy.edge_names) == {
        edge for edge, share in zip(own.edge_names, own.shares, strict=True) if share >= 0.5
    }
    if isinstance(own, circuits.Circuit) and isinstance(part, circuits.Circuit):
        assert part.n_edges == 5 and set(part.edges) == set(own.edges[:5])


def test_shares_are_of_all_that_enters_a_node() -> None:
    own = graph(sources=[0, 1, 3, 2, 1], targets=[5, 5, 5, 1, 2], weights=[1, -2, 1, 0, 0.5])
    np.testing.assert_allclose(own.shares, [0.25, 0.5, 0.25, 0, 1])


def test_names_that_a_graph_does_not_have_are_refused() -> None:
    own = graph()
    with pytest.raises(ValueError, match=r"'L5' is not among the 8 nodes of this graph, 'E_5_0'"):
        own.node("L5")
    with pytest.raises(ValueError, match=r"'x' is no edge of this graph. They are .*'E_5_0 → L0H1"):
        own.edge("x")
    with pytest.raises(ValueError, match="grows from its own nodes; 'L5' is none"):
        graph(roots=("L5",))
    assert own.edge("E_5_0 → L0H1 k") == 1 and own.with_word(" yes") == [
        n == "yes" for n in own.labels
    ]


def test_components_are_shown_in_a_view_and_other_nodes_in_a_picture() -> None:
    circuit = graphs()["Circuit"]
    plain = Graph.from_neuronpedia(circuit.to_neuronpedia())
    shown = plain.widget()
    assert shown.ids == circuit.ids and len(plain.plot().texts) == len(circuit.ids)
    with pytest.raises(TypeError, match="this graph has a node of kind 'error'"):
        graph().widget()
