"""Circuits: how edges are chosen, what a circuit can tell, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any

import networkx
import numpy as np
import pytest

from tests.unit import lens_models
from tests.unit.circuit_models import TINY, WORDS, ioi, plain, tinyworld
from tests.unit.kernels import Components, find, greedy, of_mask, random_edges
from workbench import attribute, circuits, find_circuit
from workbench.circuits import Circuit
from workbench.metrics import kl

SHAPES = [
    Components(2, 3, 3, False),
    Components(3, 4, 2, False),
    Components(2, 3, 3, True),
]


@cache
def found(name: str = "tinyworld", n_edges: int = 30) -> Circuit:
    return find_circuit(tinyworld(name), ioi(), n_edges=n_edges, steps=2)


def in_one_piece(parts: Components, kept: np.ndarray) -> bool:
    """Whether networkx finds every kept edge on a path from the embedding to the logits."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(["embed", "logits"])
    kept_names = [(parts.writers[w], parts.readers[r]) for w, r in np.argwhere(kept)]
    graph.add_edges_from(kept_names)
    for r, w in np.argwhere(parts.feeds):
        graph.add_edge(parts.readers[r], parts.writers[w])
    reached = networkx.descendants(graph, "embed") | {"embed"}
    useful = networkx.ancestors(graph, "logits") | {"logits"}
    return all(w in reached and r in useful for w, r in kept_names)


def slow_greedy(parts: Components, scores: np.ndarray, n_edges: int) -> np.ndarray:
    """The strongest edge into a reader that leads on, one by one; the last set of up to n."""
    opened, best = {len(parts.readers) - 1}, np.zeros_like(parts.edges)
    chosen = best.copy()
    while True:
        left = [
            (abs(scores[w, r]), w, r)
            for w, r in np.argwhere(parts.edges & ~chosen).tolist()
            if r in opened
        ]
        if not left:
            return best
        _, writer, reader = max(left)
        chosen[writer, reader] = True
        opened |= set(np.flatnonzero(parts.feeds[:, writer]).tolist())
        connected = parts.connected(chosen)
        if connected.sum() > n_edges:
            return best
        best = connected


@pytest.mark.parametrize("parts", SHAPES, ids=str)
def test_the_strongest_edges_are_taken_from_the_logits_backwards(parts: Components) -> None:
    rng = np.random.default_rng(0)
    for n_edges in (1, 2, 3, 5, 9, 17, parts.n_edges - 1, parts.n_edges):
        scores = rng.standard_normal(parts.edges.shape)
        kept = greedy(parts, scores, n_edges)
        np.testing.assert_array_equal(kept, slow_greedy(parts, scores, n_edges))
        assert kept.sum() <= n_edges and in_one_piece(parts, kept)
    assert greedy(parts, scores, 10**6).sum() == parts.n_edges


@pytest.mark.parametrize("name", TINY)
def test_a_circuit_of_n_edges_is_connected_and_has_the_attributions_scores(name: str) -> None:
    circuit = found(name)
    assert circuit.n_edges <= 30 and in_one_piece(circuit.parts, circuit.kept)
    assert circuit.n_edges >= 25
    scores = attribute(tinyworld(name), ioi(), steps=2)
    np.testing.assert_array_equal(circuit.edge_scores, scores.edge_matrix())
    np.testing.assert_array_equal(
        circuit.kept, slow_greedy(circuit.parts, scores.edge_matrix(), 30)
    )
    again = find_circuit(tinyworld(name), ioi(), n_edges=30, attribution=scores)
    np.testing.assert_array_equal(again.kept, circuit.kept)
    assert again.method == "eap-ig" and again.threshold is None
    for n_edges in (5, 25):
        own = scores.circuit(n_edges=n_edges)
        wanted = find_circuit(tinyworld(name), ioi(), n_edges=n_edges, attribution=scores)
        np.testing.assert_array_equal(own.kept, wanted.kept)
        assert (own.model, own.tokens, own.task) == (wanted.model, wanted.tokens, "ioi")


def test_a_threshold_keeps_what_is_above_it_and_connected() -> None:
    scores = attribute(tinyworld(), ioi(), method="eap")
    circuit = find_circuit(tinyworld(), ioi(), threshold=0.02, attribution=scores)
    above = np.abs(scores.edge_matrix()) > 0.02
    np.testing.assert_array_equal(circuit.kept, circuit.parts.connected(above))
    assert 0 < circuit.n_edges <= above.sum() and circuit.threshold == 0.02
    np.testing.assert_array_equal(scores.circuit(threshold=0.02).kept, circuit.kept)
    with pytest.raises(ValueError, match="A circuit is chosen by n_edges or by threshold"):
        scores.circuit()


def test_an_edge_at_the_threshold_is_left_out_and_one_against_the_answer_counts_by_its_size() -> (
    None
):
    model: Any = lens_models.zoo_model("gpt2")
    scores = attribute(model, WORDS, method="eap", over="edges")
    names = {"embed → L1.mlp_in": -0.5, "L1.mlp_out → logits": 0.75, "embed → logits": 0.25}
    values = np.array([names.get(name, 0.0) for name in scores.names])
    assert (values != 0).sum() == 3
    made = replace(scores, scores=values)

    def edges(threshold: float) -> tuple[str, ...]:
        return find_circuit(model, WORDS, threshold=threshold, attribution=made).edges

    order = tuple(sorted(names, key=lambda name: -abs(names[name])))
    assert edges(0.2) == order
    assert edges(0.25) == order[:2] == edges(0.49)
    with pytest.raises(ValueError, match="The largest absolute score is 0.75; lower the threshold"):
        edges(0.5)  # of the path only its end is left


def test_a_circuit_is_searched_with_as_many_steps_and_pairs_as_are_asked_for() -> None:
    model: Any = lens_models.zoo_model("gpt2")
    for steps, n in ((1, 2), (3, None)):
        circuit = find_circuit(model, WORDS, n_edges=9, steps=steps, n=n)
        wanted = attribute(model, WORDS, over="edges", steps=steps, n=n).edge_matrix()
        np.testing.assert_array_equal(circuit.edge_scores, wanted)


@pytest.mark.parametrize(("name", "threshold"), [("tinyworld", 0.5), ("tinyworld-llama", 0.3)])
def test_acdc_cuts_the_edges_that_a_loop_one_by_one_cuts(name: str, threshold: float) -> None:
    model, parts = plain(name), Components.of(tinyworld(name).spec)
    batch = ioi().take([1])
    corrupt = model.run(batch.corrupt.ids).writes
    whole = model.run(batch.clean.ids).logits[:, -1]
    cut: set[tuple[str, str]] = set()
    now, rises = 0.0, {}
    for reader in reversed(parts.readers):
        writers = [w for w in model.writers if (w, reader) in set(model.edges)]
        for writer in reversed(writers):
            trial = cut | {(writer, reader)}
            logits = model.run(batch.clean.ids, cut=trial, other=corrupt).logits[:, -1]
            rises[writer, reader] = float(kl(logits, whole).mean()) - now
            if rises[writer, reader] < threshold:
                cut, now = trial, now + rises[writer, reader]
    # No decision hangs on rounding.
    assert min(abs(rise - threshold) for rise in rises.values()) > 1e-4
    circuit = find_circuit(tinyworld(name), batch, method="acdc", threshold=threshold)
    expected = parts.mask(edge for edge in model.edges if edge not in cut)
    np.testing.assert_array_equal(circuit.kept, parts.connected(expected))
    assert circuit.n_edges > 3
    for (writer, reader), rise in rises.items():
        at = parts.edge((writer, reader))
        assert circuit.edge_scores[at] == pytest.approx(rise, abs=2e-4)


def test_acdc_finds_the_same_however_many_cuts_it_tries_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = lens_models.zoo_model("llama")
    ahead = find_circuit(model, WORDS, method="acdc", threshold=1e-3)
    monkeypatch.setattr(find, "FIRST", 1)
    monkeypatch.setattr(find, "MOST", 1)
    one_by_one = find_circuit(model, WORDS, method="acdc", threshold=1e-3)
    np.testing.assert_array_equal(ahead.kept, one_by_one.kept)
    assert 0 < ahead.n_edges < ahead.parts.n_edges


@pytest.mark.parametrize("parts", SHAPES, ids=str)
def test_random_circuits_have_as_many_edges_and_differ(parts: Components) -> None:
    for n_edges in (3, 10, 20, 40):
        drawn = [random_edges(parts, n_edges, seed) for seed in range(6)]
        assert [int(kept.sum()) for kept in drawn] == [n_edges] * 6
        assert all((kept <= parts.edges).all() for kept in drawn)
        assert all(in_one_piece(parts, kept) for kept in drawn)
        assert len({kept.tobytes() for kept in drawn}) > 1
        np.testing.assert_array_equal(drawn[2], random_edges(parts, n_edges, 2))


def test_where_none_is_connected_random_edges_are_drawn_from_all() -> None:
    parts = Components(1, 1, 1, False)
    # A head's query alone and nothing else: two edges that no draw of one path avoids.
    kept = random_edges(parts, parts.n_edges, 0)
    np.testing.assert_array_equal(kept, parts.edges)
    assert random_edges(parts, 0, 0).sum() == 0


def test_complement_random_and_without_are_circuits_of_the_same_task() -> None:
    circuit = found()
    rest = circuit.complement()
    assert rest.n_edges == circuit.parts.n_edges - circuit.n_edges
    assert not (rest.kept & circuit.kept).any() and rest.method == "complement of eap-ig"
    assert circuit.random(3).n_edges == circuit.n_edges
    assert circuit.random(3).method == "random, seed 3"
    np.testing.assert_array_equal(rest.complement().kept, circuit.kept)
    edge = circuit.edges[0]
    assert set(circuit.without([edge]).edges) == set(circuit.edges) - {edge}
    head = next(n for n in circuit.nodes if n.endswith(".z"))
    left = circuit.without(head).edges
    name = head.removesuffix(".z")
    assert set(left) == {
        e for e in circuit.edges if not e.startswith(f"{head} →") and f"→ {name}." not in e
    }
    assert len(left) < circuit.n_edges
    assert rest.task == circuit.without([edge]).task == "ioi"


def test_a_shared_key_head_is_not_cut_with_one_of_its_heads() -> None:
    model = lens_models.zoo_model("llama")
    parts = Components(2, 4, 2, False)
    whole = circuits.of(model, [parts.edge_name(*e) for e in np.argwhere(parts.edges).tolist()])
    assert whole.parts == parts and whole.n_edges == parts.n_edges
    cut = whole.kept & ~whole.without(["L1H0.z"]).kept
    assert cut[:, parts.reader("L1H0.q")].any()
    assert not cut[:, parts.reader("L1H0.k")].any() and not cut[:, parts.reader("L1H0.v")].any()
    assert cut[parts.writer("L1H0.z")].sum() == parts.edges[parts.writer("L1H0.z")].sum()
    assert (whole.kept & ~whole.without("embed → logits").kept).sum() == 1


def test_edges_nodes_and_table_name_the_same_circuit() -> None:
    circuit = found()
    frame = circuit.to_frame()
    assert tuple(frame["source"] + " → " + frame["target"]) == circuit.edges
    assert frame["score"].abs().is_monotonic_decreasing
    assert set(frame["channel"]) <= {"q", "k", "v", "mlp_in", "logits"}
    ends = {e.split(" → ")[0] for e in circuit.edges}
    for target in frame["target"]:
        name, _, channel = target.rpartition(".")
        ends |= {f"{name}.z"} if channel in "qkv" else set()
        ends |= {f"{name}.mlp_out"} if channel == "mlp_in" else set()
    assert set(circuit.nodes) == ends
    assert circuit.share == pytest.approx(circuit.n_edges / 479)
    by_hand = circuits.of(tinyworld(), circuit.edges, task="ioi")
    np.testing.assert_array_equal(by_hand.kept, circuit.kept)
    assert repr(by_hand).startswith(f"Circuit(tinyworld: {circuit.n_edges} of 479 edges (")


def test_a_graph_of_a_circuit_has_its_edges_and_scores() -> None:
    for name in TINY:
        circuit = found(name)
        graph = circuit
        names = {n.removesuffix(".z").replace("mlp_out", "mlp") for n in circuit.nodes}
        # A key head of several heads goes to those of them that are of use.
        assert set(graph.ids) <= names | {"logits"}
        shared = {  # by source and channel: a key head of several heads stands once for each
            (graph.ids[s], graph.channels[i], round(float(graph.weights[i]), 5))
            for i, s in enumerate(graph.sources)
        }
        lines: Any = circuit.to_frame().itertuples()
        for line in lines:
            source = line.source.removesuffix(".z").replace("mlp_out", "mlp")
            channel = line.channel if line.channel in "qkv" else ""
            assert (source, channel, round(float(line.score), 5)) in shared
        if name == "tinyworld":
            assert set(graph.ids) == names | {"logits"}
            assert len(graph.weights) == circuit.n_edges
        strongest = graph.scores[graph.ids.index("embed")]
        embed = circuit.to_frame().query("source == 'embed'")["score"].abs().sum()
        assert strongest == pytest.approx(embed, rel=1e-5)
        assert np.isnan(graph.scores[graph.ids.index("logits")])


def test_a_saved_circuit_is_read_back_equal(tmp_path: Any) -> None:
    circuit = found()
    circuit.save(tmp_path / "circuit")
    back = Circuit.load(tmp_path / "circuit")
    np.testing.assert_array_equal(back.kept, circuit.kept)
    np.testing.assert_array_equal(back.edge_scores, circuit.edge_scores)
    assert back.kept.dtype == bool and back.parts == circuit.parts
    assert (back.edges, back.threshold, back.tokens) == (circuit.edges, None, circuit.tokens)
    assert repr(back) == repr(circuit)


@pytest.mark.parametrize("name", TINY)
def test_a_circuit_stands_beside_random_ones_as_in_its_evaluation(name: str, tmp_path: Any) -> None:
    circuit = found(name)
    scores = circuits.evaluate(
        tinyworld(name), ioi(), circuit, references="counterfactual", fractions=(1.0,), n_controls=5
    )
    assert circuit.faithfulness == pytest.approx(scores.score(change="inside")[0], abs=1e-5)
    line = scores.to_frame().query("change == 'inside'")
    assert circuit.controls is not None and len(circuit.controls) == 5
    assert circuit.controls.mean() == pytest.approx(line.control.item(), abs=1e-5)
    assert circuit.better and circuit.faithfulness and circuit.controls.max() < 0.5
    said = f"{circuit.faithfulness:.2f} beside {circuit.controls.mean():z.2f} of random edges"
    assert repr(circuit).endswith(f"eap-ig; faithfulness {said})")
    assert said in circuit.plot().get_title().replace("\n", " ") and said in circuit.widget().title
    back = Circuit.load(circuit.save(tmp_path / "circuit"))
    assert back.faithfulness == circuit.faithfulness and repr(back) == repr(circuit)
    assert back.controls is not None
    np.testing.assert_array_equal(back.controls, circuit.controls)


def test_of_many_pairs_some_are_run_beside_random_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, whole = attribute(tinyworld(), ioi(), steps=2), found()
    monkeypatch.setattr(find, "CHECKED", 2)
    few = find_circuit(tinyworld(), ioi(), n_edges=30, attribution=scores, n_controls=2)
    own = find_circuit(tinyworld(), ioi().take([0, 2]), n_edges=30, attribution=scores)
    assert few.faithfulness == pytest.approx(own.faithfulness, abs=1e-6)
    assert few.faithfulness != pytest.approx(whole.faithfulness, abs=1e-6)
    assert few.controls is not None and own.controls is not None
    np.testing.assert_allclose(few.controls, own.controls[:2], atol=1e-6)


def test_a_circuit_that_is_no_better_than_random_edges_says_so() -> None:
    scores = attribute(tinyworld(), ioi(), method="eap")
    # The edges that matter least come first.
    worst = replace(scores, scores=1 / (np.abs(scores.scores) + 1e-9))
    said = r"no better than random edges: faithfulness 0\.00 beside 0\.\d\d"
    with pytest.warns(UserWarning, match=f"This circuit is {said}, the mean of 5.*does the task"):
        circuit = find_circuit(tinyworld(), ioi(), n_edges=250, attribution=worst)
    assert circuit.better is False and re.search(f"eap; {said}\\)$", repr(circuit))
    assert re.search(said, circuit.widget().title)
    assert re.search(said, circuit.plot().get_title().replace("\n", " "))


@pytest.mark.filterwarnings("error")
def test_what_was_not_run_beside_random_edges_is_unchecked() -> None:
    circuit = found()
    scores = attribute(tinyworld(), ioi(), method="eap")
    for each in (
        find_circuit(tinyworld(), ioi(), n_edges=30, attribution=scores, n_controls=0),
        scores.circuit(n_edges=20),
        circuits.of(tinyworld(), circuit.edges),
        circuit.prune(n_edges=10),
        circuit.complement(),
        circuit.random(),
        circuit.without(circuit.edges[0]),
    ):
        assert (each.better, each.faithfulness, each.controls) == (None, None, None)
        assert repr(each).endswith("; unchecked)") and "beside" not in each.widget().title


def test_where_clean_and_corrupt_give_the_same_answers_there_is_none_to_carry() -> None:
    model: Any = lens_models.zoo_model("gpt2")
    batch = WORDS.on(model)
    same = replace(batch, corrupt=batch.clean)
    assert find_circuit(model, same, method="acdc", threshold=0.0).better is None


def test_better_is_nearer_to_the_whole_answer_than_each_random_circuit() -> None:
    def better(own: float, *controls: float) -> bool | None:
        return replace(found(), faithfulness=own, controls=np.array(controls)).better

    assert better(0.9, 0.1, 0.8) and not better(0.9, 0.1, 0.95) and not better(0.0, 0.33)
    assert better(0.96, 1.27) and not better(1.3, 0.8) and not better(0.5, 0.5)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "by n_edges or by threshold, one of the two; got n_edges=None and threshold=None"),
        ({"n_edges": 5, "threshold": 0.1}, "one of the two; got n_edges=5 and threshold=0.1"),
        ({"method": "acdc", "n_edges": 5}, "ACDC cuts edges up to a threshold.*threshold=0.01"),
        ({"n_edges": 0}, "n_edges is a whole number from 1 or None; got 0"),
        ({"n_edges": 2.5}, r"n_edges is a whole number from 1 or None; got 2\.5"),
        ({"n_edges": True}, "n_edges is a whole number from 1 or None; got True"),
        ({"n_edges": 5, "n_controls": -1}, "n_controls is a whole number from 0; got -1"),
        ({"threshold": -1}, "threshold is a finite number from 0 or None; got -1"),
        ({"threshold": float("nan")}, "threshold is a finite number from 0 or None; got nan"),
        ({"threshold": 9.0}, r"no path is left with threshold=9\.0\. The largest.*lower"),
        ({"threshold": 0.1, "method": "attribution"}, "attribution scores nodes or neurons"),
        ({"threshold": 0.1, "method": "edges"}, "A method is one of .*got 'edges'"),
    ],
)
def test_what_chooses_no_circuit_is_named(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        find_circuit(lens_models.zoo_model("gpt2"), WORDS, **options)


def test_scores_and_names_of_another_model_are_refused() -> None:
    zoo = lens_models.zoo_model("gpt2")
    scores = attribute(tinyworld(), ioi(), method="eap")
    with pytest.raises(ValueError, match="An Attribution belongs to the model.* 4 layers of 4 .*2"):
        find_circuit(zoo, WORDS, n_edges=3, attribution=scores)
    nodes = attribute(zoo, WORDS, method="attribution")
    with pytest.raises(ValueError, match="made of edges; this attribution scores nodes"):
        find_circuit(zoo, WORDS, n_edges=3, attribution=nodes)
    with pytest.raises(ValueError, match=r"layers 0 to 1 with heads 0 to 3; got 'L2H0\.z'"):
        circuits.of(zoo, ["L2H0.z → logits"])
    with pytest.raises(ValueError, match=r"layers 0 to 3 with heads 0 to 3; got 'L7H0'"):
        found().without(["L7H0"])
    circuit = found()
    named = {"parts": circuit.parts, "scores": circuit.edge_scores}
    with pytest.raises(ValueError, match=r"a mask of shape \(21, 53\), .*got shape \(2, 2\)"):
        of_mask(kept=np.zeros((2, 2), bool), **named)
    with pytest.raises(ValueError, match="or an edge that the model does not have"):
        of_mask(kept=np.ones((21, 53), bool), **named)
    with pytest.raises(ValueError, match="A circuit keeps edges of its model; got others"):
        replace(circuit, readers=circuit.readers[::-1])
