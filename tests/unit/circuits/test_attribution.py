"""Scores of edges against a slow recomputation, other architectures, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tests.known_answers.plain_graph import example_effects
from tests.unit import lens_models
from tests.unit.attributions import (
    ARCHITECTURES,
    EDGES,
    READERS,
    STEPS,
    attributed,
    fractions,
    gap_of,
    sources,
)
from tests.unit.circuit_models import (
    BACKENDS,
    CLOSE,
    TINY,
    WORDS,
    Plain,
    by_length,
    ioi,
    plain,
    plain_metric,
    tinyworld,
    words,
)
from tests.unit.kernels import Components, Examples, cuts, scores
from workbench import attribute, circuits
from workbench.circuits import Attribution, AttributionCheck, path_patch
from workbench.edits import Set
from workbench.model import Norm
from workbench.site import Site
from workbench.tasks import TaskBatch
from workbench.tasks import task as make_task

METHODS = [
    *((m, "nodes") for m in ("attribution", "eap-ig", "eap-ig-activations", "atp*", "exact")),
    *((m, "neurons") for m in ("attribution", "eap-ig", "eap-ig-activations")),
    *((m, "edges") for m in ("eap", "eap-ig", "eap-ig-activations", "exact")),
]


def slopes(
    model: Plain,
    batch: TaskBatch,
    difference: Mapping[str, torch.Tensor],
    *,
    readers: Iterable[str] = READERS,
    embed: torch.Tensor | None = None,
    moved: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """(writer, reader, example, pos): how the metric changes as one reader alone is given t times
    the difference of one writer at one position, at t = 0, in the corrupt run.
    """
    ids = batch.corrupt.ids
    start = model.weights.embed(ids) if embed is None else embed
    moved = dict(moved or {})
    out = torch.zeros(len(model.writers), len(tuple(readers)), *ids.shape, dtype=torch.float64)
    for at, reader in enumerate(readers):
        sources = [w for w, target in model.edges if target == reader]
        t = torch.zeros(len(sources), *ids.shape, dtype=torch.float64, requires_grad=True)
        value = start + sum(t[i, ..., None] * difference[w] for i, w in enumerate(sources))
        cut = {("embed", reader)} | model.out_of(*moved)
        seen = model.run(ids, cut=cut, other={**moved, "embed": value}, embed=start)
        metric = plain_metric(batch, seen).sum()
        if not metric.requires_grad:
            continue  # all that this reader does is among what is moved
        (grad,) = torch.autograd.grad(metric, t)
        out[[model.writers.index(w) for w in sources], at] = grad
    return out


@cache
def slow_edges(name: str, method: str) -> np.ndarray:
    """(writer, reader, pos) summed over the examples: `slopes` where the method takes them."""
    model = plain(name)
    out = np.zeros((len(model.writers), len(READERS), max(ioi().clean.lengths)))
    for _, batch in by_length(ioi()):
        clean, corrupt = (model.run(t.ids).writes for t in (batch.clean, batch.corrupt))
        difference = {w: clean[w] - corrupt[w] for w in model.writers}
        between = [
            {w: corrupt[w] + f * difference[w] for w in model.writers} for f in fractions(method)
        ]
        if method != "eap-ig-activations":
            each = [slopes(model, batch, difference, embed=x["embed"]) for x in between]
            total = torch.stack(each).mean(0)
        else:
            total = torch.zeros(*out.shape[:2], *batch.clean.ids.shape, dtype=torch.float64)
            for source in sources(model):
                rows = [model.writers.index(w) for w in source]
                each = [
                    slopes(model, batch, difference, embed=x["embed"])
                    if source == ["embed"]
                    else slopes(model, batch, difference, moved={w: x[w] for w in source})
                    for x in between
                ]
                total[rows] = torch.stack(each).mean(0)[rows]
        out[..., : total.shape[-1]] += total.sum(2).numpy()
    return out


def into_readers(result: Attribution, values: np.ndarray) -> np.ndarray:
    """(writer, reader, …) of READERS from values (item, …)."""
    out = np.zeros((*result.parts.edges.shape, *values.shape[1:]))
    out[result.sources, result.targets] = values
    return out[:, [result.parts.reader(name) for name in READERS]]


@pytest.mark.parametrize("method", EDGES)
@pytest.mark.parametrize("name", TINY)
def test_edges_by_gradients_equal_the_slope_at_one_reader_at_a_time(name: str, method: str) -> None:
    result = attributed(name, "nnsight", method, "edges")
    expected = slow_edges(name, method).sum(-1) / (len(ioi()) * gap_of(name))
    np.testing.assert_allclose(into_readers(result, result.scores), expected, **CLOSE)
    assert np.abs(expected).max() > 0.01


@pytest.mark.parametrize("method", EDGES)
@pytest.mark.parametrize("name", TINY)
def test_edges_at_positions_equal_the_slopes_there_and_sum_to_those_without(
    name: str, method: str
) -> None:
    result = attributed(name, "nnsight", method, "edges", positions=True)
    n = max(ioi().clean.lengths)
    scores = result.scores.reshape(-1, n)
    expected = slow_edges(name, method) / (len(ioi()) * gap_of(name))
    first = result.sources[::n], result.targets[::n]
    out = np.zeros((*result.parts.edges.shape, n))
    out[first] = scores
    readers = [result.parts.reader(reader) for reader in READERS]
    np.testing.assert_allclose(out[:, readers], expected, **CLOSE)
    assert result.positions.reshape(-1, n).tolist() == [list(range(n))] * len(scores)
    whole = attributed(name, "nnsight", method, "edges")
    np.testing.assert_allclose(scores.sum(1), whole.scores, **CLOSE)
    np.testing.assert_allclose(result.edge_matrix(), whole.edge_matrix(), **CLOSE)


@pytest.mark.parametrize("name", TINY)
def test_exact_edges_equal_the_plain_graph_edge_by_edge(name: str) -> None:
    model = plain(name)
    result = attributed(name, "nnsight", "exact", "edges")
    assert result.examples is not None and set(result.names) == {
        f"{w} → {r}" for w, r in model.edges
    }
    some = range(0, len(result.names), 19)
    edges: list[Any] = [tuple(result.names[i].split(" → ")) for i in some]
    for rows, batch in by_length(ioi()):
        effects = example_effects(
            model.model,
            batch.clean.ids,
            batch.corrupt.ids,
            lambda logits, batch=batch: batch.metric(logits[:, None]),
            kind="denoising",
            edges=edges,
        )
        expected = np.stack([effects[edge].numpy() for edge in edges], 1) / gap_of(name)
        np.testing.assert_allclose(result.examples[rows][:, some], expected, **CLOSE)
    np.testing.assert_allclose(result.scores, result.examples.mean(0), **CLOSE)


@pytest.mark.parametrize("name", TINY)
def test_exact_nodes_equal_all_edges_of_a_node_in_the_plain_graph(name: str) -> None:
    model = plain(name)
    result = attributed(name, "nnsight", "exact", "nodes")
    assert result.examples is not None and list(result.names) == model.writers
    for rows, batch in by_length(ioi()):
        clean, corrupt = (model.run(t.ids) for t in (batch.clean, batch.corrupt))
        before = plain_metric(batch, corrupt)
        for node, writer in list(enumerate(model.writers))[::4]:
            cut = model.out_of(writer)
            seen = model.run(batch.corrupt.ids, cut=cut, other=clean.writes)
            expected = (plain_metric(batch, seen) - before).numpy() / gap_of(name)
            np.testing.assert_allclose(result.examples[rows, node], expected, **CLOSE)
    np.testing.assert_allclose(result.examples[:, 0].mean(), 1, **CLOSE)


@pytest.mark.parametrize(("method", "over"), METHODS)
@pytest.mark.parametrize("name", TINY)
def test_both_backends_give_the_same_scores(name: str, method: str, over: str) -> None:
    ours, theirs = (attributed(name, backend, method, over) for backend in BACKENDS)
    assert ours.names == theirs.names
    most = float(np.abs(ours.scores).max())
    np.testing.assert_allclose(theirs.scores, ours.scores, rtol=1e-4, atol=1e-5 * most)


@cache
def zoo(name: str, backend: str = "nnsight") -> Any:
    return lens_models.zoo_model(name, backend, "float64")


def slow_by_cuts(model: Any, batch: TaskBatch, size: float) -> np.ndarray:
    """(example, edge): the metric of the corrupt run with one edge moved by `size` of the way."""
    parts = Components.of(model.spec)
    clean, corrupt = (
        model.run(t, read=cuts.contribution_sites(parts)) for t in (batch.clean, batch.corrupt)
    )
    now, then = (cuts.contributions(model, parts, run) for run in (corrupt, clean))
    edges = np.argwhere(parts.edges)
    out = np.empty((len(batch), len(edges)))
    for row in range(len(batch)):
        cut = np.zeros((len(edges), *parts.edges.shape), bool)
        cut[range(len(edges)), edges[:, 0], edges[:, 1]] = True
        reference = torch.lerp(now, then, size)[[row] * len(edges)]
        tokens = batch.corrupt.take([row] * len(edges))
        run = model.run(
            tokens, edits=cuts.cut_edits(model, parts, cut, reference), logits_at="last"
        )
        alone = batch.take([row] * len(edges))
        out[row] = alone.metric(run.logits).numpy()
    return out


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parallel_blocks_and_post_norms_have_the_slopes_of_small_cuts(name: str) -> None:
    model, size = zoo(name), 0.01
    batch = WORDS.on(model)
    scores = attribute(model, batch, method="eap", over="edges")
    slow = np.zeros(len(scores.scores))
    exact = []
    for _, part in by_length(batch):
        ahead, back = slow_by_cuts(model, part, size), slow_by_cuts(model, part, -size)
        slow += ((ahead - back) / (2 * size)).sum(0)
        exact.append(slow_by_cuts(model, part, 1) - slow_by_cuts(model, part, 0))
    gap = float(scores.clean.mean() - scores.corrupt.mean())
    slow /= gap * len(batch)
    most = np.abs(slow).max()
    np.testing.assert_allclose(scores.scores, slow, rtol=1e-2, atol=1e-3 * most)
    measured = attribute(model, batch, method="exact", over="edges")
    expected = np.concatenate(exact).mean(0) / gap
    np.testing.assert_allclose(measured.scores, expected, atol=1e-5 * most)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ("gptj", "gemma2"))
def test_exact_edges_of_other_architectures_equal_path_patching(name: str, backend: str) -> None:
    model = zoo(name, backend)
    batch = WORDS.on(model)
    exact = attribute(model, batch, method="exact", over="edges")
    for item in range(0, len(exact.names), 11):
        sender, receiver = exact.names[item].split(" → ")
        if name == "gemma2" and sender.endswith(".z"):
            # A head's other z changes the scale of the norm that follows, for all heads.
            continue
        path = path_patch(model, batch, sender=sender, receivers=receiver)
        assert path.score(draws=0)[0] == pytest.approx(exact.scores[item], abs=1e-5)


@pytest.mark.parametrize("method", ["attribution", "eap-ig", "eap-ig-activations", "atp*"])
@pytest.mark.parametrize("name", ("gpt_neox", "gemma2"))
def test_nodes_of_other_architectures_agree_between_backends(name: str, method: str) -> None:
    ours, theirs = (
        attribute(zoo(name, b), WORDS, method=method, over="nodes", steps=2) for b in BACKENDS
    )
    most = float(np.abs(ours.scores).max())
    np.testing.assert_allclose(theirs.scores, ours.scores, rtol=1e-4, atol=1e-5 * most)
    # The embedding reaches everything: its own score is that of the node.
    assert ours.names[0] == "embed" and abs(ours.scores[0]) > 1e-6


def test_a_model_whose_heads_share_a_norm_has_scores_of_nodes_only() -> None:
    model = zoo("olmo2")
    assert attribute(model, WORDS, method="exact", over="nodes").names[1] == "L0H0.z"
    with pytest.raises(ValueError, match="Olmo2ForCausalLM norms the queries of all heads"):
        attribute(model, WORDS, method="eap", over="edges")


def test_scores_without_a_sign_have_none_where_the_answer_is_got_wrong() -> None:
    model: Any = tinyworld()
    pairs = [
        {"clean": p.corrupt, "corrupt": p.clean, "answers": p.answers, "foils": p.foils}
        for p in ioi().pairs
    ]
    wrong = make_task(pairs)
    result = attribute(model, wrong, method="atp*")
    assert result.clean.mean() < result.corrupt.mean()
    assert (result.scores >= 0).all() and result.scores.max() > 0
    assert circuits.check_attribution(model, wrong, method="atp*").exact.min() >= 0


def test_a_norm_pulls_gradients_back_as_autograd_does() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    for centers in (True, False):
        norm = Norm(centers, weight, bias if centers else torch.zeros(()), 1e-3)
        x = torch.randn(3, 6, generator=generator, dtype=torch.float64, requires_grad=True)
        upstream = torch.randn(3, 6, generator=generator, dtype=torch.float64)
        (expected,) = torch.autograd.grad((norm(x) * upstream).sum(), x)
        torch.testing.assert_close(norm.pull_back(x.detach(), upstream), expected)
        # A reader axis of the gradient alone broadcasts.
        wide = norm.pull_back(x.detach()[:, None], upstream[:, None].expand(3, 4, 6))
        torch.testing.assert_close(wide, expected[:, None].expand(3, 4, 6))


def test_the_table_is_sorted_and_a_saved_attribution_is_read_back(tmp_path: Any) -> None:
    result = attributed("tinyworld", "nnsight", "eap-ig", "edges")
    frame: Any = result.to_frame(top=5)
    assert list(frame.columns) == ["name", "source", "target", "score"]
    assert frame["score"].abs().is_monotonic_decreasing and len(frame) == 5
    assert (np.diff(np.abs(result.scores[result.ranking()])) <= 0).all() and min(result.scores) < 0
    first = int(result.ranking()[0])
    assert frame["name"][0] == result.name(first) == f"{frame['source'][0]} → {frame['target'][0]}"
    assert result.steps == STEPS and attributed("tinyworld", "nnsight", "eap", "edges").steps == 0
    assert f"eap-ig of 479 edges on ioi, 3 examples; first {result.name(first)}" in repr(result)
    result.save(tmp_path / "a")
    back = Attribution.load(tmp_path / "a")
    np.testing.assert_array_equal(back.scores, result.scores)
    assert back.parts == result.parts and back.examples is None and back.names == result.names
    at = attributed("tinyworld", "nnsight", "attribution", "nodes", positions=True)
    nodes: Any = at.to_frame()
    assert list(nodes.columns) == ["name", "source", "target", "pos", "score"]
    assert set(nodes["target"]) == {""} and nodes["pos"].max() == 14


def test_a_check_sets_the_approximate_beside_the_exact_scores(tmp_path: Any) -> None:
    model: Any = tinyworld()
    check = circuits.check_attribution(model, ioi(), method="eap-ig", steps=STEPS)
    np.testing.assert_array_equal(
        check.approximate, attributed("tinyworld", "nnsight", "eap-ig", "edges").scores
    )
    np.testing.assert_array_equal(
        check.exact, attributed("tinyworld", "nnsight", "exact", "edges").scores
    )
    a, e = check.approximate.astype(float), check.exact.astype(float)
    assert check.pearson == pytest.approx(
        ((a - a.mean()) * (e - e.mean())).mean() / (a.std() * e.std())
    )
    first = {check.names[i] for i in np.argsort(-np.abs(a))[:20]}
    truth = {check.names[i] for i in np.argsort(-np.abs(e))[:20]}
    assert check.overlap(20) == len(first & truth) / 20
    assert 0.5 < check.spearman <= 1
    frame: Any = check.to_frame()
    assert list(frame) == ["name", "approximate", "exact"]
    assert tuple(frame["name"]) == check.names and tuple(frame["exact"]) == tuple(check.exact)
    check.save(tmp_path / "c")
    assert AttributionCheck.load(tmp_path / "c").pearson == check.pearson
    star = circuits.check_attribution(model, ioi(), method="atp*")
    assert star.over == "nodes" and list(star.names) == plain("tinyworld").writers
    assert (star.exact >= 0).all()


def test_a_check_takes_as_many_steps_and_pairs_as_are_asked_for() -> None:
    model = lens_models.zoo_model("gpt2")
    for steps in (1, 4):
        found = circuits.check_attribution(
            model, WORDS, method="eap-ig", steps=steps, n=2, over="nodes"
        )
        options: dict[str, Any] = {"over": "nodes", "n": 2}
        wanted = attribute(model, WORDS, method="eap-ig", steps=steps, **options)
        np.testing.assert_array_equal(found.approximate, wanted.scores)
        exact = attribute(model, WORDS, method="exact", **options)
        np.testing.assert_array_equal(found.exact, exact.scores)
        assert len(found.tokens) == 2
    # Without a sign both sides are sizes, here too where exact scores have one.
    star = circuits.check_attribution(model, WORDS, method="atp*")
    exact = attribute(model, WORDS, method="exact", over="nodes")
    assert exact.scores.min() < 0
    np.testing.assert_allclose(star.exact, np.abs(exact.scores), atol=1e-7)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"method": "eapig"}, "A method is one of attribution, eap, eap-ig.* got 'eapig'"),
        (
            {"method": "eap", "over": "neurons"},
            "eap scores edges; got over='neurons'. Neurons are scored by attribution, eap-ig",
        ),
        (
            {"method": "atp*", "over": "paths"},
            "over is one of 'edges', 'nodes', 'neurons' or None; got",
        ),
        ({"steps": 0}, "steps is a whole number from 1; got 0"),
        ({"steps": True}, "steps is a whole number from 1; got True"),
        ({"method": "exact", "positions": True}, "all positions together; patch positions one by"),
        ({"n": 0}, "n is a whole number from 1 or None; got 0"),
    ],
)
def test_options_that_do_not_fit_are_named(options: dict[str, Any], error: str) -> None:
    model: Any = tinyworld()
    with pytest.raises(ValueError, match=error):
        attribute(model, ioi(), **options)


def test_what_cannot_be_measured_is_refused() -> None:
    model: Any = lens_models.zoo_model("gpt2")
    both = words([("w2 w3 w4", "w2 w7 w4"), ("w2 w7 w4", "w2 w3 w4")])
    with pytest.raises(ValueError, match="difference between clean and corrupt.*Choose pairs"):
        attribute(model, both, method="eap")
    with pytest.raises(TypeError, match=r"task is a Task or a TaskBatch; got 'When Mary'\. Take a"):
        attribute(model, "When Mary")  # type: ignore[arg-type]
    nodes = attribute(model, WORDS, method="attribution")
    with pytest.raises(ValueError, match="made of edges; this attribution scores nodes"):
        nodes.edge_matrix()
    with pytest.raises(ValueError, match="over is one of 'edges', 'nodes' or None; got 'neurons'"):
        circuits.check_attribution(model, WORDS, over="neurons")  # type: ignore[arg-type]


def test_scores_by_activations_are_near_those_of_the_authors_code() -> None:
    """As in EAP-IG's `get_scores_ig_activations`: all edges, while each writer moves in turn."""
    model, batch, steps = tinyworld(), ioi(), 3
    parts = Components.of(model.spec)
    sites = [Site("resid_pre", 0)]
    sites += [Site(stream, at) for at in range(parts.n_layers) for stream in ("z", "mlp_out")]
    total = np.zeros(parts.edges.shape)
    for group in Examples.of(model, batch).groups:
        read = scores.contribution_sites(parts)
        clean, corrupt = (
            model.run(tokens, read=read, logits_at=())
            for tokens in (group.batch.clean, group.batch.corrupt)
        )
        writers = [scores.contributions(model, parts, run) for run in (clean, corrupt)]
        for site in sites:
            for step in range(1, steps + 1):
                run = model.run(
                    group.batch.clean,
                    read=scores.reader_sites(parts),
                    edits=[Set(site, torch.lerp(corrupt[site], clean[site], step / steps))],
                    grad_of=group.metric,
                    logits_at="last",
                )
                for stream, layer, grad in scores.reader_grads(model, parts, run):
                    before = slice(0, parts.writers_before(stream, layer))
                    moved = (writers[0] - writers[1])[:, :, before]
                    part = torch.einsum("epwm,eprm->wr", moved, grad)
                    total[before, parts.readers_of(stream, layer)] += part.double().numpy()
    own = attribute(model, batch, method="eap-ig-activations", steps=steps).edge_matrix()
    exact = attribute(model, batch, method="exact", over="edges").edge_matrix()
    each = np.stack([matrix[parts.edges] for matrix in (own, total, exact)])
    alike: Any = np.corrcoef(each)
    (_, beside, ours), (_, _, theirs), _ = alike
    # Why ours moves the writer alone: it is nearer to patching each edge.
    assert 0.9 < beside < 0.98 and theirs < 0.95 and ours > 0.99
