"""The graph of a pass: every weight, share and relevance is what the slow way gives."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.circuit_models import BACKENDS, tinyworld
from tests.unit.lens_models import words_model, zoo_model
from tests.unit.plain_pass import EVERY, Parts, edges_of, graph_of, place
from workbench.loading import load

PROMPT = "When Mary and John went to the store, John gave a drink to"
SHORT = "Mary gave John a"
IDS = [[5, 9, 7, 30]]
#: Layer and RMS norms, grouped queries, gates, post-norms, parallel blocks, biases, a fused qkv.
ZOO = ["gpt2", "gpt_neox", "gptj", "bloom", "phi", "qwen3", "gemma2", "olmo2"]


def model_of(name: str) -> tuple[Any, Any]:
    """A model and a short prompt for it."""
    if name.startswith("tinyworld"):
        return tinyworld(name), SHORT
    return zoo_model(name), IDS


@cache
def whole(
    name: str, measure: Any = "state", final_norm: Any = "held"
) -> wb.information.InformationGraph:
    model, prompt = model_of(name)
    return graph_of(
        model, prompt, measure=measure, final_norm=final_norm, n_edges=EVERY, n_neurons=3
    )


@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama", *ZOO])
def test_by_state_a_weight_is_a_parts_share_of_what_receives_it(name: str) -> None:
    model, prompt = model_of(name)
    info, parts = whole(name), Parts(model, prompt)
    into: dict[str, float] = defaultdict(float)
    for source, target, channel, weight in edges_of(info):
        site, position = place(target)
        layer = int(site[1])
        part = parts.written(info, source)
        if site.endswith(".z"):
            assert channel == "v"
            receiving = parts.written(info, target)
            part = parts.value(layer, int(site[3:-2]), position, place(source)[1])
        elif "/" in site or site.endswith("mlp_out"):
            # One thing with the edge that leaves the neuron: its share of the state behind it.
            receiving = parts.state(f"L{layer}.resid_post@{position}")
            part = parts.written(info, target)
        else:
            receiving = parts.state(target)
        into[target] += weight
        expected = float(part @ receiving / (receiving @ receiving))
        assert weight == pytest.approx(expected, abs=2e-5, rel=1e-4), (source, target)
    for target, summed in into.items():
        site, position = place(target)
        layer = int(site[1])
        if "/" in site or site.endswith("mlp_out"):
            continue
        bias = torch.zeros(1)
        if site.endswith("resid_mid") or (model.spec.parallel and site.endswith("resid_post")):
            bias, x = parts.attention_bias(layer, position), parts.state(target)
            bias = bias @ x / (x @ x)
        assert summed + float(bias) == pytest.approx(1, abs=1e-4), target


@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama", "gptj", "gemma2", "olmo2"])
def test_by_answer_the_last_state_adds_up_to_the_answer_as_in_direct_logit_attribution(
    name: str,
) -> None:
    model, prompt = model_of(name)
    foil = 6
    info = graph_of(model, prompt, measure="answer", foil=foil, n_edges=EVERY, n_neurons=3)
    direct = wb.direct_logit_attribution(model, prompt, info.target_id, foils=foil)
    theirs = dict(zip(direct.components, direct.contributions[0, :, 0, 0], strict=True))
    biases = theirs.pop("norm_bias") + theirs.pop("unembed_bias")
    last = model.spec.n_layers - 1
    into = [(s, weight) for s, target, _, weight in edges_of(info) if target == info.roots[0]]
    mlp = sum(w for s, w in into if "mlp" in s)
    assert mlp == pytest.approx(theirs.pop(f"L{last}.mlp_out"), abs=1e-4)
    if model.spec.parallel:
        for source, weight in into:
            if ".z@" in source:
                assert weight == pytest.approx(theirs.pop(source.split(".")[0]), abs=1e-4)
        # What attention adds besides its heads is told by no edge.
        theirs.pop(f"L{last}.attn_bias", None)
    carried = sum(w for s, w in into if "resid" in s)
    assert carried == pytest.approx(sum(theirs.values()), abs=1e-4)
    root = info.node(info.roots[0])
    assert info.contribution[root] == pytest.approx(direct.logits[0, 0, 0] - biases, abs=1e-4)
    assert info.unit == f"logits of {info.target!r} − {info.foil!r}"


@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama", "gpt_neox", "olmo2"])
def test_by_answer_the_values_of_a_head_add_up_to_what_the_head_adds(name: str) -> None:
    info = whole(name, "answer")
    values: dict[str, float] = defaultdict(float)
    keys: dict[str, float] = defaultdict(float)
    own = {source: w for source, _, _, w in edges_of(info) if ".z@" in source}
    for _, target, channel, weight in edges_of(info):
        if channel == "v":
            values[target] += weight
        elif channel == "k":
            keys[target] += weight
    assert len(values) > 4 * 4
    for head, weight in own.items():
        assert values[head] == pytest.approx(weight, abs=1e-4), head
        # To attend less to every source in proportion is to attend as before.
        assert keys[head] == pytest.approx(0, abs=1e-4), head
        assert info.contribution[info.node(head)] == pytest.approx(weight, abs=1e-6)


@pytest.mark.parametrize("final_norm", ["held", "real"])
def test_by_answer_a_weight_is_the_vector_times_the_gradient_of_the_answer(final_norm: Any) -> None:
    model, prompt = model_of("tinyworld")
    info = whole("tinyworld", "answer", final_norm)
    parts, target = Parts(model, prompt), info.target_id

    def answer(resid: torch.Tensor) -> torch.Tensor:
        x, norm = resid[:, -1], model.norm("ln_final")
        centred = x - x.mean(-1, keepdim=True)
        scale = (centred.pow(2).mean(-1, keepdim=True) + norm.epsilon).sqrt()
        if final_norm == "held":
            scale = scale.detach()
        logits = (centred / scale * norm.weight) @ model.weight("W_U")
        return logits[:, target] - logits.mean(-1)

    states = [f"L{layer}.resid_{s}" for layer in range(4) for s in ("pre", "mid", "post")]
    grads = model.run(prompt, read=states, grad_of=answer, grad_at="L3.resid_post").grads
    grads = {str(site): grad[0].double() for site, grad in grads.items()}
    checked = 0
    for source, end, _, weight in edges_of(info):
        site, position = place(end)
        if ".resid" in site:
            expected = float(parts.written(info, source) @ grads[site][position])
            assert weight == pytest.approx(expected, abs=2e-5, rel=1e-4), (source, end)
            checked += 1
    assert checked > 4 * 4 * 5
    if final_norm == "real":
        # Nothing is gained by making the whole last state longer.
        assert info.contribution[info.node(info.roots[0])] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("name", "measure"), [("tinyworld", "answer"), ("gptj", "state")])
def test_relevance_is_a_walk_back_that_divides_by_weight(name: str, measure: Any) -> None:
    info = whole(name, measure)
    edges = edges_of(info)
    into: dict[str, list[int]] = defaultdict(list)
    out: dict[str, list[int]] = defaultdict(list)
    for e, (source, target, _, _) in enumerate(edges):
        into[target].append(e)
        out[source].append(e)

    def missing(node: str) -> float:
        """What arrives at a state besides what is told apart: attention's bias."""
        total = 1.0 if measure == "state" else float(info.contribution[info.node(node)])
        return abs(total - sum(edges[e][3] for e in into[node]))

    def share(e: int) -> float:
        _, target, _, weight = edges[e]
        if "mlp" in target:
            return 1.0
        size = sum(abs(edges[other][3]) for other in into[target])
        return abs(weight) / (size + (missing(target) if "resid" in target else 0.0))

    @cache
    def relevance(node: str) -> float:
        at_root = 1.0 if node == info.roots[0] else 0.0
        return at_root + sum(relevance(edges[e][1]) * share(e) for e in out[node])

    for e, (_, target, _, _) in enumerate(edges):
        assert info.shares[e] == pytest.approx(share(e), abs=1e-4)
        assert info.relevance[e] == pytest.approx(relevance(target) * share(e), abs=1e-4)
    for node, score, rest in zip(info.ids, info.scores, info.rest, strict=True):
        assert score == pytest.approx(relevance(node), abs=1e-4)
        shown = sum(share(e) for e in into[node])
        assert rest == pytest.approx(1 - shown if into[node] else 0, abs=1e-4)
    arrived = sum(relevance(node) for node in info.ids if node.startswith("embed"))
    assert info.coverage == pytest.approx(arrived, abs=1e-4)


@pytest.mark.parametrize("measure", ["state", "answer"])
def test_the_strongest_edges_are_those_of_the_whole_graph_joined_to_the_root(measure: Any) -> None:
    every = whole("tinyworld", measure)
    info = graph_of(*model_of("tinyworld"), measure=measure, n_edges=40, n_neurons=3)
    relevance = dict(zip(every.edge_names, every.relevance, strict=True))
    chosen, there = [], {info.roots[0]}
    for _ in range(40):
        open_ends = [
            name
            for name, (_, target, _, _) in zip(every.edge_names, edges_of(every), strict=True)
            if target in there and name not in chosen
        ]
        chosen.append(max(open_ends, key=lambda name: relevance[name]))
        there.add(chosen[-1].partition(" →")[0])
    assert set(info.edge_names) == set(chosen)
    assert set(info.ids) == there
    for name, value in zip(info.edge_names, info.relevance, strict=True):
        assert value == pytest.approx(relevance[name], abs=1e-6)
    assert (info.rest >= every.rest[[every.node(i) for i in info.ids]] - 1e-6).all()


@pytest.mark.parametrize("name", ["tinyworld", "gptj", "gemma2"])
def test_nodes_stand_in_the_order_of_a_pass_and_are_of_the_pass(name: str) -> None:
    model, _ = model_of(name)
    info = whole(name)
    graph = info
    assert (graph.sources < graph.targets).all()
    for i, node in enumerate(graph.ids):
        site, position = place(node)
        assert (graph.layers[i], graph.positions[i]) == (
            -1 if node.startswith("embed") else int(site[1]),
            position,
        )
        if graph.kinds[i] == "neuron":
            assert graph.units[i] == int(site.partition("/")[2])
            assert graph.units[i] in info.apart[graph.layers[i], position]
    kinds = {"embed", "state", "head", "neuron", "mlp"}
    assert set(graph.kinds) == kinds
    assert any("resid_mid" in node for node in graph.ids) != model.spec.parallel
    for source, target, channel, _ in edges_of(info):
        if channel != "v":
            assert place(source)[1] == place(target)[1]
        else:
            assert place(source)[1] <= place(target)[1]


def test_the_neurons_that_stand_apart_are_the_largest_of_their_place() -> None:
    model, prompt = model_of("tinyworld")
    info, parts = whole("tinyworld"), Parts(model, prompt)
    for layer, position in ((0, 0), (2, 3)):
        x = parts.state(f"L{layer}.resid_post@{position}")
        sizes = [abs(float(parts.neuron(layer, k, position) @ x)) for k in range(model.spec.d_mlp)]
        assert info.apart[layer, position].tolist() == np.argsort(sizes)[::-1][:3].tolist()


@pytest.mark.parametrize("measure", ["state", "answer"])
@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama"])
def test_both_backends_give_one_graph(name: str, measure: Any) -> None:
    one, other = (tinyworld(name, backend) for backend in BACKENDS)
    check_same(one, other, PROMPT, measure)


@pytest.mark.parametrize("measure", ["state", "answer"])
def test_both_backends_give_one_graph_of_stories(asset: Any, measure: Any) -> None:
    path = asset("models", "stories260K")
    one, other = (load(path, backend=backend, device="cpu") for backend in BACKENDS)
    check_same(one, other, "Once upon a time, Lily had a", measure)


def check_same(one: Any, other: Any, prompt: str, measure: Any) -> None:
    # As many edges as leave out clearly weaker ones: at a tie either backend's choice is right.
    strongest = -np.sort(
        -wb.information.graph(one, prompt, measure=measure, n_edges=140, k=3).relevance
    )[100:140]
    n_edges = 101 + int(np.argmax(strongest[:-1] - strongest[1:]))
    both = [
        wb.information.graph(m, prompt, measure=measure, n_edges=n_edges, k=3) for m in (one, other)
    ]
    first, second = ({name: e for e, name in enumerate(f.edge_names)} for f in both)
    assert first.keys() == second.keys()
    order = [second[name] for name in first]
    scale = np.maximum(1, np.abs(both[0].weights))
    difference = both[0].weights - both[1].weights[order]
    assert (np.abs(difference) < 1e-5 * scale).all()
    for name in ("shares", "relevance"):
        np.testing.assert_allclose(getattr(both[0], name), getattr(both[1], name)[order], atol=1e-5)
    assert both[0].ids == both[1].ids
    np.testing.assert_allclose(both[0].rest, both[1].rest, atol=2e-5)
    np.testing.assert_allclose(both[0].contribution, both[1].contribution, rtol=1e-4, atol=1e-4)
    assert both[0].words == both[1].words
    assert both[0].details == both[1].details


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_another_precision_gives_nearly_the_same_graph(dtype: str) -> None:
    same = whole("tinyworld-llama", "answer")
    model = load("tinyworld-llama", device="cpu", dtype=dtype)
    info = wb.information.graph(model, SHORT, measure="answer", n_edges=EVERY, n_neurons=3, k=1)
    assert info.target == same.target
    names = sorted(set(info.edge_names) & set(same.edge_names))
    assert len(names) > 0.9 * len(same.edge_names)
    mine, theirs = (
        np.array([f.weights[f.edge_names.index(name)] for name in names]) for f in (info, same)
    )
    miss = np.abs(mine - theirs).max() / np.abs(theirs).max()
    assert miss < (0.1 if dtype == "bfloat16" else 1e-5)


def test_at_every_position_each_last_state_is_a_root() -> None:
    model = tinyworld()
    info = graph_of(model, SHORT, position=None, n_edges=60)
    n = len(info.tokens[0])
    assert info.roots == tuple(f"L3.resid_post@{p}" for p in range(n))
    assert info.scores[[info.node(root) for root in info.roots]] == pytest.approx(1 / n)
    logits = model.run(SHORT, logits_at="last").logits[0, 0]
    assert info.target_id == int(logits.argmax())


def test_it_ends_where_it_is_told_to() -> None:
    model = tinyworld()
    info = graph_of(model, PROMPT, position=6, measure="answer", target=" park")
    assert info.roots == ("L3.resid_post@6",)
    assert info.target == " park"
    assert info.positions.max() == 6
    first = graph_of(model, " ".join(PROMPT.split()[:7]), measure="answer", target=" park")
    assert info.ids == first.ids
    np.testing.assert_allclose(info.weights, first.weights, atol=1e-4)
    assert graph_of(model, PROMPT, position=-8).roots == info.roots


def test_a_graph_is_saved_and_loaded(tmp_path: Path) -> None:
    info = wb.information.graph(tinyworld(), SHORT, measure="answer", foil=" Anna", n_edges=30, k=2)
    again = wb.information.InformationGraph.load(info.save(tmp_path / "information"))
    assert again.to_frame().equals(info.to_frame())
    assert again.to_frame("nodes").equals(info.to_frame("nodes"))
    assert again.details == info.details
    first = info.ids[0]
    assert again.path(first) == info.path(first)
    assert repr(again) == repr(info)
    assert list(info.to_frame().columns) == [
        "source", "target", "channel", "weight", "share", "relevance", "source_words",
        "target_words",
    ]  # fmt: skip
    assert list(info.to_frame("nodes").columns) == [
        "node", "kind", "layer", "pos", "token", "relevance", "contribution", "rest", "words",
    ]  # fmt: skip
    assert (np.diff(info.to_frame().relevance) <= 0).all()


def test_the_words_of_a_repr_are_short() -> None:
    info = graph_of(words_model(), "When Mary and John", n_edges=20, target=" Mary", foil=" John")
    assert repr(info) == (
        f"InformationGraph(words: ' Mary' − ' John' from 4 tokens, by state: "
        f"{len(info.ids)} nodes, 20 edges, {info.coverage:.2f} of the walk)"
    )


def test_a_padded_vocabulary_counts_as_far_as_it_has_words(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from tests.parity import zoo

    zoo.save("gpt2", tmp_path)
    padded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "gpt2")
    padded.resize_token_embeddings(70, mean_resizing=False)
    # Larger than every word, so that they would come first.
    padded.transformer.wte.weight.data[60:] *= 50
    padded.save_pretrained(tmp_path / "gpt2")
    model: Any = load(tmp_path / "gpt2", device="cpu")
    info, plain = (wb.information.graph(m, IDS, n_edges=40) for m in (model, zoo_model("gpt2")))
    assert (info.target_id, info.words, info.details) == (
        plain.target_id,
        plain.words,
        plain.details,
    )
    cut, same = (
        wb.information.cut(m, f, f.edge_names[0], n_controls=1)
        for m, f in ((model, info), (zoo_model("gpt2"), plain))
    )
    assert [each.name for each in cut.measures] == [each.name for each in same.measures]
    # Probabilities are of the whole vocabulary.
    logits = model.run(IDS, logits_at="last").logits[0, 0]
    expected = float(logits.softmax(-1)[info.target_id])
    assert cut[info.target].plain[0] == pytest.approx(expected, rel=1e-4)
