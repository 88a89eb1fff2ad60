"""Ablation against a plain pass in which the same edges carry the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.patchings import ablate
from tests.unit import lens_models
from tests.unit.circuit_models import (
    BACKENDS,
    TINY,
    WORDS,
    Plain,
    by_length,
    ioi,
    plain,
    plain_metric,
    tinyworld,
)
from tests.unit.kernels import Components, Examples, References, others
from workbench import Effects, circuits
from workbench.metrics import kl

KINDS = ("zero", "mean", "mean-position", "resample", "counterfactual", "noise")
CLOSE: dict[str, Any] = {"atol": 2e-4, "rtol": 1e-5}
#: A head, an MLP, the embedding for some readers, and an edge of a key.
MIXED = ("L2H1.z", "L1.mlp_out → L3H0.q", "embed → L1H1.v", "L0H2.z → logits")
SEED = 3


def every_edge(model: Any) -> list[str]:
    parts = Components.of(model.spec)
    return [parts.edge_name(*edge) for edge in np.argwhere(parts.edges).tolist()]


def values(model: Plain, kind: str) -> list[dict[str, torch.Tensor]]:
    """For each length what every writer carries where it is cut, from plain runs."""
    groups = [batch for _, batch in by_length(ioi())]
    clean = [model.run(batch.clean.ids).writes for batch in groups]
    corrupt = [model.run(batch.corrupt.ids).writes for batch in groups]
    if kind == "counterfactual":
        return corrupt
    if kind == "zero":
        return [{w: torch.zeros_like(x) for w, x in each.items()} for each in clean]
    means = {w: torch.cat([each[w].flatten(0, 1) for each in clean]).mean(0) for w in model.writers}
    if kind == "mean-position":
        # Of a prompt that is the only one of its length, the mean over all.
        return [
            {w: (x.mean(0) if len(x) > 1 else means[w]).expand_as(x) for w, x in each.items()}
            for each in clean
        ]
    if kind == "mean":
        return [{w: means[w].expand_as(x) for w, x in each.items()} for each in clean]
    if kind == "resample":
        drawn = np.random.default_rng(SEED)
        out = []
        for now, other in zip(clean, corrupt, strict=True):
            rows = others(len(now["embed"]), drawn)
            out.append({w: torch.cat([now[w], other[w]])[rows] for w in now})
        return out
    assert kind == "noise"
    size = torch.cat([each["embed"].flatten() for each in clean]).std()
    generator, out = torch.Generator().manual_seed(SEED), []
    for each in clean:
        n, length, width = each["embed"].shape
        noise = torch.randn(n, length, len(model.writers), width, generator=generator)
        out.append({w: x + size * noise[:, :, i] for i, (w, x) in enumerate(each.items())})
    return out


def slow(model: Plain, cut: set[tuple[str, str]], kind: str) -> np.ndarray:
    """(batch,) the metric of plain runs with the edges cut."""
    out = np.empty(len(ioi()))
    for (rows, batch), other in zip(by_length(ioi()), values(model, kind), strict=True):
        out[rows] = plain_metric(batch, model.run(batch.clean.ids, cut=cut, other=other)).numpy()
    return out


def edges_of(model: Plain, names: tuple[str, ...]) -> set[tuple[str, str]]:
    out: set[tuple[str, str]] = set()
    for name in names:
        writer, _, reader = name.partition(" → ")
        out |= {(writer, reader)} if reader else model.out_of(writer)
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TINY)
def test_each_kind_equals_a_plain_pass_with_those_values(name: str, kind: str) -> None:
    model = plain(name)
    for names in (("L3H1.z", "L2.mlp_out"), ("embed",), MIXED):
        result = ablate(tinyworld(name), ioi(), list(names), reference=kind, seed=SEED)
        np.testing.assert_allclose(
            result.ablated, slow(model, edges_of(model, names), kind), **CLOSE
        )
        changes = result.result.changes
        assert changes["reference"][0] == kind and changes["change"][0].startswith(names[0])


@pytest.mark.parametrize("kind", ["resample", "counterfactual", "mean", "noise"])
@pytest.mark.parametrize("name", TINY)
def test_both_backends_give_the_same_ablation(name: str, kind: str) -> None:
    ours, theirs = (
        ablate(tinyworld(name, b), ioi(), [*MIXED, "L1.mlp_post/7"], reference=kind)
        for b in BACKENDS
    )
    np.testing.assert_allclose(theirs.ablated, ours.ablated, atol=1e-5, rtol=1e-5)
    assert ours.result.texts == theirs.result.texts
    assert ours.effect == pytest.approx(theirs.effect, abs=1e-5)


@pytest.mark.parametrize("name", ["gptj", "gemma2", "llama"])
def test_everything_cut_is_the_corrupt_run_and_a_node_is_all_its_edges(name: str) -> None:
    model = lens_models.zoo_model(name)
    everything = ablate(model, WORDS, every_edge(model), reference="counterfactual")
    np.testing.assert_allclose(everything.ablated, everything.corrupt, atol=1e-5)
    assert everything.effect == pytest.approx(1, abs=1e-4)
    nodes = ablate(
        model, WORDS, list(Components.of(model.spec).writers), reference="counterfactual"
    )
    np.testing.assert_allclose(nodes.ablated, nodes.corrupt, atol=1e-5)
    whole = circuits.of(model, every_edge(model))
    np.testing.assert_array_equal(
        ablate(model, WORDS, whole, reference="counterfactual").ablated, everything.ablated
    )
    for node in ("embed", "L0H1.z", "L1H2.z", "L0.mlp_out"):
        leaving = [edge for edge in every_edge(model) if edge.startswith(f"{node} →")]
        for kind in ("zero", "resample", "mean"):
            one, many = (ablate(model, WORDS, t, reference=kind) for t in (node, leaving))
            np.testing.assert_allclose(many.ablated, one.ablated, atol=2e-5)
            assert np.abs(one.ablated - one.clean).max() > 1e-6


def test_a_prompt_alone_of_its_length_takes_the_mean_and_not_its_own_value() -> None:
    model = lens_models.zoo_model("gpt2")
    one, cut = WORDS.on(model).take([0]), ["L0H1.z", "L1.mlp_out", "embed → L1H0.q"]
    alone, mean = (ablate(model, one, cut, reference=kind) for kind in ("mean-position", "mean"))
    np.testing.assert_array_equal(alone.ablated, mean.ablated)
    assert np.abs(alone.ablated - alone.clean).max() > 1e-4


def test_several_kinds_and_edges_of_one_reader_act_together() -> None:
    model = plain("tinyworld")
    cuts = [
        "embed → L3H1.q: zero",
        "L1.mlp_out → L3H1.q: counterfactual",
        "L2H0.z: mean",
        "L3H0.z: counterfactual",
    ]
    result = ablate(tinyworld(), ioi(), cuts)
    edges = {("embed", "L3H1.q"), ("L1.mlp_out", "L3H1.q")} | model.out_of("L2H0.z", "L3H0.z")
    kinds = {"embed": "zero", "L1.mlp_out": "counterfactual", "L2H0.z": "mean"}
    each = {kind: values(model, kind) for kind in {*kinds.values(), "counterfactual"}}
    for i, (rows, batch) in enumerate(by_length(ioi())):
        other = {w: each[kinds.get(w, "counterfactual")][i][w] for w in model.writers}
        seen = model.run(batch.clean.ids, cut=edges, other=other)
        np.testing.assert_allclose(result.ablated[rows], plain_metric(batch, seen), **CLOSE)
    nodes = ["L3H0.z: zero", "L3H1.z: mean", "L2.mlp_out: counterfactual"]
    apart = ablate(tinyworld(), ioi(), nodes)
    leaving = [
        f"{w} → {r}: {kind}"
        for cut in nodes
        for at, kind in [cut.split(": ")]
        for w, r in model.out_of(at)
    ]
    np.testing.assert_allclose(ablate(tinyworld(), ioi(), leaving).ablated, apart.ablated, **CLOSE)


def neuron_values(model: Any, site: str, kind: str) -> list[torch.Tensor]:
    """(example, pos) for each length, read one prompt at a time."""

    def read(tokens: Any) -> torch.Tensor:
        each = [model.run(tokens.take([row]), read=site)[site] for row in range(len(tokens.ids))]
        return torch.cat(each)

    groups = [(read(batch.clean), read(batch.corrupt)) for _, batch in by_length(ioi())]
    everywhere = torch.cat([clean.flatten() for clean, _ in groups])
    drawn = np.random.default_rng(SEED)
    out = []
    for clean, corrupt in groups:
        if kind == "zero":
            out.append(torch.zeros_like(clean))
        elif kind == "mean":
            out.append(torch.full_like(clean, float(everywhere.mean())))
        elif kind == "mean-position":
            mean = clean.mean(0) if len(clean) > 1 else everywhere.mean()
            out.append(mean.expand_as(clean))
        elif kind == "counterfactual":
            out.append(corrupt)
        elif kind == "resample":
            out.append(torch.cat([clean, corrupt])[others(len(clean), drawn)])
        else:
            noise = torch.as_tensor(drawn.standard_normal(tuple(clean.shape)))
            out.append(clean + float(everywhere.std()) * noise.to(clean))
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_a_neuron_cut_adds_its_change_times_its_output_weights(kind: str) -> None:
    model, site = tinyworld(), "L2.mlp_post/77"
    direction = model.weight("W_out", 2)[77]
    result = ablate(model, ioi(), [site], reference=kind, seed=SEED)
    from workbench.edits import Add

    for (rows, batch), value in zip(
        by_length(ioi()), neuron_values(model, site, kind), strict=True
    ):
        change = value - model.run(batch.clean, read=site)[site]
        edits = [Add("L2.mlp_out", change[..., None] * direction)] * 2
        edits[1] = Add("L2.mlp_out", torch.zeros(()))
        logits = model.run(batch.clean, edits=edits, logits_at="last").logits
        np.testing.assert_allclose(result.ablated[rows], batch.metric(logits), **CLOSE)


def test_optimal_constants_disturb_the_answer_less_than_means() -> None:
    model = tinyworld()
    batch = ioi().take([0, 2])
    examples = Examples.of(model, batch)
    references = References(model, Components.of(model.spec), examples)
    assert references.optimal().shape == references.mean().shape == (21, 128)
    assert references.optimal() is references.optimal()
    lower = 0
    for writer in ("L3H1.z", "L2.mlp_out", "L0H2.z", "L1.mlp_out"):
        losses = {}
        for kind in ("mean", "optimal"):
            other = {writer: getattr(references, kind)()[references.parts.writer(writer)].double()}
            graph = plain("tinyworld")
            seen = graph.run(
                batch.clean.ids,
                cut=graph.out_of(writer),
                other={w: x.expand(*batch.clean.ids.shape, -1) for w, x in other.items()},
            )
            whole = graph.run(batch.clean.ids).logits[:, -1]
            losses[kind] = float(kl(seen.logits[:, -1], whole).sum())
        assert losses["optimal"] <= losses["mean"] + 1e-5
        lower += losses["optimal"] < 0.9 * losses["mean"]
    assert lower >= 2


def test_another_prompt_is_never_the_prompt_itself() -> None:
    drawn = np.random.default_rng(0)
    seen: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    for _ in range(200):
        for own, other in enumerate(others(3, drawn)):
            seen[own].add(other)
    assert seen == {own: set(range(6)) - {own} for own in range(3)}


def test_effect_and_interval_are_ratios_of_means() -> None:
    result = ablate(tinyworld(), ioi(), MIXED, reference="counterfactual")
    clean, corrupt, ablated = (
        x.astype(float).mean() for x in (result.clean, result.corrupt, result.ablated)
    )
    assert result.effect == pytest.approx((clean - ablated) / (clean - corrupt))
    low, high = result.interval()
    assert low <= result.effect <= high
    narrow = result.interval(0.5)
    assert low <= narrow[0] <= narrow[1] <= high
    texts, name = result.result.texts, "L2H1.z + L1.mlp_out → L3H0.q + embed → L1H1.v + 1 more"
    assert texts is not None and list(texts) == ["plain", f"{name} counterfactual"]
    for row, top in enumerate(texts["plain"]):
        assert top.strip() == ioi().pairs[row].answers[0].strip()
    assert f"ioi under change {name}, reference counterfactual: " in repr(result.result)


def test_cuts_are_names_and_are_cut_again(tmp_path: Any) -> None:
    cuts = ["L3H1.z: zero", "embed → L1H1.v: mean", "L2.mlp_post/77: zero"]
    result = ablate(tinyworld(), ioi(), cuts)
    back = Effects.load(result.result.save(tmp_path / "ablation"))
    assert back.changes["change"] == (" + ".join(cuts), "corrupt")
    assert back.texts == result.result.texts
    again = ablate(tinyworld(), ioi(), back.changes["change"][0].split(" + "))
    np.testing.assert_array_equal(again.ablated, result.ablated)


def test_several_sets_under_several_references_are_each_as_alone() -> None:
    sets = {"head": "L3H1.z", "both": ["L3H1.z: mean", "L2.mlp_post/77"]}
    kinds = ("resample", "zero", "noise")
    found = wb.ablate(tinyworld(), ioi(), sets, reference=kinds, seed=SEED)
    each_has = [x for kind in kinds for x in (kind, f"mean, {kind}")]
    assert found.changes["reference"] == (*each_has, None)
    for row, (kind, each) in enumerate((k, x) for k in kinds for x in sets.values()):
        alone = ablate(tinyworld(), ioi(), each, reference=kind, seed=SEED)
        np.testing.assert_array_equal(found["ioi"].changed[row], alone.ablated)
    with pytest.raises(ValueError, match="none of them named plain or corrupt; got {'corrupt'"):
        wb.ablate(tinyworld(), ioi(), {"corrupt": "L3H1.z"})


@pytest.mark.parametrize(
    ("targets", "kind", "error"),
    [
        ("L3H1.z", "none", "reference is one of 'zero', 'mean', 'mean-position'.*got 'none'"),
        ("L1H1.z: off", "zero", "reference is one of .*got 'off'"),
        ([], "zero", "cuts at least one node, edge or neuron; got none"),
        ("L9H1.z", "zero", r"layers 0 to 1 with heads 0 to 3; got 'L9H1\.z'"),
        ("L0H1.q", "zero", r"A component is written .* got 'L0H1\.q'"),
        ("L1H1.z → L0H0.q", "zero", r"L1H1\.z is not computed before L0H0\.q"),
        ("embed -> L0H9.q", "zero", r"A reader is written .* got 'L0H9\.q'"),
        ("L0.mlp_post/9999", "zero", "has neurons 0 to 127 a layer; got neuron 9999"),
        ("L0.resid_post/3", "zero", "names a feature, which a dictionary reads"),
        ("L0.mlp_post/3", "optimal", r"found for whole components; got the neuron L0\.mlp_post/3"),
        (
            ["L0H1.z: zero", "L0H1.z → logits: mean"],
            "zero",
            r"carries one value, in all its edges; L0H1\.z is cut as zero and as mean",
        ),
        (
            ["L0.mlp_post/3: zero", "L0.mlp_post/3: mean"],
            "zero",
            r"L0\.mlp_post/3 is cut as zero and as mean",
        ),
    ],
)
def test_what_cannot_be_cut_is_named(targets: Any, kind: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        ablate(lens_models.zoo_model("gpt2"), WORDS, targets, reference=kind)


def test_a_circuit_of_another_model_is_not_cut() -> None:
    circuit = circuits.of(tinyworld(), ["embed → logits"])
    with pytest.raises(
        ValueError, match="A Circuit belongs to the model it was made on, tinyworld with 4 la"
    ):
        ablate(lens_models.zoo_model("gpt2"), WORDS, circuit)


def test_a_model_whose_heads_share_a_norm_has_its_nodes_cut() -> None:
    model = lens_models.zoo_model("olmo2")
    nodes = ablate(model, WORDS, ["embed"], reference="counterfactual")
    np.testing.assert_allclose(nodes.ablated, nodes.corrupt, atol=1e-5)
    with pytest.raises(ValueError, match="norms the queries of all heads together"):
        ablate(model, WORDS, ["embed → L1H0.q"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_edges_are_cut_in_every_precision(dtype: str) -> None:
    model = lens_models.zoo_model("llama", "nnsight", dtype)
    whole = ablate(model, WORDS, every_edge(model), reference="counterfactual")
    size = float(np.abs(whole.clean - whole.corrupt).max())
    allowed = {"bfloat16": 0.2, "float64": 1e-5}[dtype]
    # A norm's form is told by numbers, and in half precision another one comes near.
    assert [model.norm(name, 1).centers for name in ("ln1", "ln2")] == [False, False]
    np.testing.assert_allclose(whole.ablated, whole.corrupt, atol=allowed * size)
