"""The words of a graph: states as the logit lens reads them, parts and details one by one."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit import plain_words
from tests.unit.circuit_models import tinyworld
from tests.unit.kernels import information_words
from tests.unit.lens_models import zoo_model
from tests.unit.plain_pass import Parts, edges_of, graph_of, place
from workbench.tokens import token_strings

K = 4
#: A layer norm; an RMS norm with grouped queries and a gate; post-norms; parallel; no norm before.
NAMES = ["tinyworld", "tinyworld-llama", "gemma2", "gptj", "olmo2"]


@cache
def model_of(name: str) -> tuple[Any, Any]:
    if name.startswith("tinyworld"):
        return tinyworld(name), "Mary gave John a"
    return zoo_model(name), [[5, 9, 7]]


@cache
def info(name: str) -> wb.information.InformationGraph:
    return wb.information.graph(*model_of(name), n_edges=70, k=K)


@cache
def parts(name: str) -> Parts:
    return Parts(*model_of(name))


@cache
def ids(name: str) -> dict[str, list[int]]:
    """The ids of each text."""
    tokenizer = model_of(name)[0].tokenizer
    out: dict[str, list[int]] = {}
    for i, text in enumerate(token_strings(tokenizer, range(len(tokenizer)))):
        out.setdefault(text, []).append(i)
    return out


def check(name: str, words: tuple[str, ...], values: Any) -> None:
    """Whether words are those of the largest values, in order; what is nearly equal may swap."""
    values = np.asarray(values)
    assert len(words) == K == len(set(words))
    best = np.sort(values)[::-1][:K]
    found = [max(values[i] for i in ids(name)[word]) for word in words]
    np.testing.assert_allclose(found, best, atol=2e-5 * np.abs(values).max())


def nodes(name: str, kind: str) -> list[str]:
    graph = info(name)
    found = [node for node, each in zip(graph.ids, graph.kinds, strict=True) if each == kind]
    assert found
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_state_says_what_the_logit_lens_says(name: str) -> None:
    model, prompt = model_of(name)
    streams = ["resid_post", *([] if model.spec.parallel else ["resid_mid"])]
    lens = wb.logit_lens(model, prompt, sites=streams, k=K, measures=())
    for node in [*nodes(name, "embed"), *nodes(name, "state")]:
        site, position = place(node)
        panel = lens.panel("resid_mid" if "mid" in site else "resid_post")
        row = panel.rows.index("embed" if node.startswith("embed") else site.partition(".")[0])
        said = [lens.text(i) for i in panel.top_ids[0, row, position]]
        assert list(info(name).words[info(name).node(node)]) == said


@pytest.mark.parametrize("name", NAMES)
def test_heads_neurons_and_mlps_say_what_they_write(name: str) -> None:
    model, _ = model_of(name)
    one = info(name)
    for kind in ("head", "neuron", "mlp"):
        for node in nodes(name, kind)[:8]:
            vector = parts(name).written(one, node)
            check(name, one.words[one.node(node)], plain_words.logits_of(model, vector.numpy()))
    assert one.labels == tuple(words[0] for words in one.words)


@pytest.mark.parametrize("name", NAMES)
def test_a_head_says_what_its_query_looks_for_and_what_its_values_hold(name: str) -> None:
    model, prompt = model_of(name)
    spec, one = model.spec, info(name)
    for node in nodes(name, "head")[:5]:
        site, position = place(node)
        layer, head = int(site[1]), int(site[3:-2])
        group = head // (spec.n_heads // spec.n_kv_heads)
        run = model.run(prompt, read=[f"L{layer}.q", f"L{layer}.k"], logits_at=())
        norm, after = model.norm("ln1", layer), model.norm("ln1_post", layer)

        def sought(
            vector: torch.Tensor, other: str, at: int, layer: int = layer, norm: Any = norm
        ) -> np.ndarray:
            """What the other side's projection reads of embeddings for this query or key."""
            direction = model.weight(f"W_{other}", layer, at).double() @ vector.double()
            if norm is not None:
                direction = direction * norm.weight
                direction = direction - direction.mean() if norm.centers else direction
            return plain_words.products_of(model, direction.numpy())

        details = dict(one.details[one.node(node)])
        query = run[f"L{layer}.q"][0, position, head]
        check(name, details.pop("query: looks for"), sought(query, "K", group))
        edges = [
            (relevance, place(source)[1])
            for (source, target, _, _), relevance in zip(edges_of(one), one.relevance, strict=True)
            if target == node
        ]
        order = [at for _, at in sorted(edges, key=lambda edge: -edge[0])]
        captions = []
        for at in order:
            token = f"{one.tokens[0][at].strip()!r}@{at}"
            captions += [f"key of {token}: looked for by", f"value of {token}"]
            key = run[f"L{layer}.k"][0, at, group]
            check(name, details[captions[-2]], sought(key, "Q", head))
            memory = plain_words.behind(after, parts(name).memory(layer, head, at).numpy(), True)
            check(name, details[captions[-1]], plain_words.logits_of(model, memory))
        assert list(details) == captions


@pytest.mark.parametrize("name", NAMES)
def test_a_neuron_says_which_embeddings_it_reads(name: str) -> None:
    model, _ = model_of(name)
    one = info(name)
    for node in nodes(name, "neuron")[:5]:
        site, _ = place(node)
        details = dict(one.details[one.node(node)])
        sides = {"reads embeddings like": "in", "its gate reads embeddings like": "gate"}
        gated = name in ("tinyworld-llama", "gemma2", "olmo2")
        assert list(details) == list(sides)[: 1 + gated]
        unit = int(site.partition("/")[2])
        for caption, words in details.items():
            numbers = plain_words.numbers(model, int(site[1]), unit, sides[caption])
            check(name, words, numbers)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_says_what_the_norm_behind_it_holds_back_and_brings_out(name: str) -> None:
    model, _ = model_of(name)
    one, last = info(name), model.spec.n_layers - 1
    W_U = model.weight("W_U").double().numpy()
    checked = set()
    for node in [*nodes(name, "embed"), *nodes(name, "state")]:
        site, _ = place(node)
        layer = int(site[1])
        if node.startswith("embed"):
            norm = model.norm("ln1", 0)
        elif "mid" in site:
            norm = model.norm("ln2", layer)
        else:
            norm = model.norm("ln_final") if layer == last else model.norm("ln1", layer + 1)
        details = one.details[one.node(node)]
        if norm is None:
            assert details == ()
            continue
        x = parts(name).state(node).numpy()
        centred = x - x.mean() if norm.centers else x
        unit = centred / np.sqrt((centred**2).mean() + norm.epsilon)
        bias = norm.bias.double().numpy()
        weighted = unit * norm.weight.double().numpy()
        alike = unit * np.sqrt((weighted**2).sum() / (unit**2).sum())
        before, after = softmax(alike @ W_U), softmax((weighted + bias) @ W_U)
        assert [caption for caption, _ in details] == [
            "the norm holds back", "the norm brings out"
        ]  # fmt: skip
        check(name, details[0][1], before - after)
        check(name, details[1][1], after - before)
        checked.add(site.partition(".")[2])
    assert checked


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def test_without_details_the_words_are_the_same() -> None:
    one = info("tinyworld")
    bare = graph_of(*model_of("tinyworld"), n_edges=70, k=K)
    assert bare.words == one.words
    assert set(bare.details) == {()}
    node = nodes("tinyworld", "head")[0]
    assert one.read(node) == {
        "words": one.words[one.node(node)],
        **dict(one.details[one.node(node)]),
    }
    assert bare.read(node) == {"words": one.words[one.node(node)]}


def test_in_small_blocks_the_words_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(information_words, "BATCH", 3 * tinyworld().spec.d_vocab)
    again = wb.information.graph(*model_of("tinyworld"), n_edges=70, k=K)
    assert (again.words, again.details) == (
        info("tinyworld").words,
        info("tinyworld").details,
    )


def test_more_words_than_there_are_give_them_all() -> None:
    model, prompt = model_of("gptj")
    assert {len(words) for words in graph_of(model, prompt, k=100, n_edges=20).words} == {60}
