"""Effects of features, recomputed prompt by prompt with the codes themselves in the graph."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.feature_circuit_models import (
    BACKENDS,
    CLOSE,
    KINDS,
    NAMES,
    N,
    batch,
    carried,
    dicts,
    ids_of,
    made,
    metric,
    model,
    plain_pass,
    reference,
)
from tests.unit.kernels import examples, node_bases, node_effects
from workbench.dictionary.collection import Dictionaries


@cache
def found(name: str, method: str, kind: str, steps: int = 3, backend: str = "nnsight") -> Any:
    return wb.features.effects(
        model(name, backend), batch(name), dicts(), method=method, reference=kind, steps=steps
    )


def slow(name: str, site: str, kind: str, points: list[float]) -> np.ndarray:
    """(node,) effects of a site: code and error are leaves of a pass, at points of the path."""
    own, task = dicts()[site], batch(name)
    total = np.zeros(N + 1)
    for row in range(len(task)):
        ids = ids_of(task, row)
        _, seen = plain_pass(name, ids)
        x = seen[str(own.site)].detach()
        codes, error = (part.detach() for part in carried(own, seen))
        codes_0, error_0 = reference(name, own, row, kind)
        for point in points:
            c = (codes_0 + point * (codes - codes_0)).requires_grad_()
            e = (error_0 + point * (error - error_0)).requires_grad_()
            put = {site: lambda *_, c=c, e=e, x=x: own.decode(c[None], x) + e}
            logits, _ = plain_pass(name, ids, put)
            of_codes, of_error = torch.autograd.grad(metric(task, row, logits), [c, e])
            for feature in range(N):
                change = (codes - codes_0)[:, feature]
                total[feature] += float((change * of_codes[:, feature]).sum()) / len(points)
            total[N] += float(((error - error_0) * of_error).sum()) / len(points)
    return total / len(task)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_attribution_is_each_node_less_its_reference_times_its_gradient(
    name: str, kind: str
) -> None:
    result = found(name, "attribution", kind)
    for site in result.sites:
        np.testing.assert_allclose(result.at(site), slow(name, site, kind, [1.0]), **CLOSE)
    assert result.sites == tuple(map(str, dicts())) and result.steps == 0
    assert {"L1.mlp_out/0", "L1.mlp_out/error"} <= set(result.nodes["node"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["counterfactual", "mean-position"])
def test_integrated_gradients_are_means_over_the_middles_of_the_path(name: str, kind: str) -> None:
    result = found(name, "ig", kind)
    for site in result.sites:
        wanted = slow(name, site, kind, [1 / 6, 3 / 6, 5 / 6])
        np.testing.assert_allclose(result.at(site), wanted, **CLOSE)


@pytest.mark.parametrize("kind", ["counterfactual", "zero"])
def test_integrated_gradients_of_a_site_sum_to_what_replacing_the_site_does(kind: str) -> None:
    result, task = found("gpt2", "ig", kind, 100), batch()
    for site in result.sites:
        own = dicts()[site]
        wanted = 0.0
        for row in range(len(task)):
            ids = ids_of(task, row)
            logits, seen = plain_pass("gpt2", ids)
            codes, error = reference("gpt2", own, row, kind)
            x = seen[str(own.site)].detach()
            put = {site: lambda *_, c=codes, e=error, x=x, own=own: own.decode(c[None], x) + e}
            without, _ = plain_pass("gpt2", ids, put)
            change = metric(task, row, logits) - metric(task, row, without)
            wanted += change.item() / len(task)
        assert float(result.at(site).sum()) == pytest.approx(wanted, rel=0.01, abs=2e-3)


@pytest.mark.parametrize("method", ["attribution", "ig"])
def test_both_backends_give_the_same_effects(method: str) -> None:
    for name in NAMES:
        one, other = (found(name, method, "counterfactual", backend=b) for b in BACKENDS)
        for site in one.sites:
            np.testing.assert_allclose(one.at(site), other.at(site), **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_effects_do_not_depend_on_how_many_examples_run_together(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {method: found("gpt2", method, kind) for method in ("attribution", "ig")}
    monkeypatch.setattr(examples, "TOKENS_PER_PASS", 1)
    for method, result in whole.items():
        again = wb.features.effects(
            model(), batch(), dicts(), method=method, reference=kind, steps=3
        )
        for site in result.sites:
            np.testing.assert_allclose(again.at(site), result.at(site), **CLOSE)


def test_heads_and_neurons_are_nodes_too() -> None:
    task, spec = batch(), model().spec
    bases = node_bases.plain_bases(spec)
    effects = node_effects(
        model(),
        examples.Examples.of(model(), task),
        bases,
        method="attribution",
        reference="counterfactual",
        steps=1,
    )
    wanted = {str(basis.site): np.zeros(basis.n_nodes) for basis in bases}
    for row in range(len(task)):
        logits, clean = plain_pass("gpt2", ids_of(task, row))
        _, corrupt = plain_pass("gpt2", ids_of(task, row, "corrupt"))
        sites = list(wanted)
        grads = torch.autograd.grad(metric(task, row, logits), [clean[s] for s in sites])
        for site, grad in zip(sites, grads, strict=True):
            product = ((clean[site] - corrupt[site]) * grad)[0].detach()
            heads = product.sum(-1) if site.endswith(".z") else product
            wanted[site] += heads.sum(0).numpy() / len(task)
    for site, values in effects.items():
        np.testing.assert_allclose(values, wanted[str(site)], **CLOSE)
    assert bases[0].names[1] == "L0H1.z" and bases[1].names[2] == "L0.mlp_post/2"


def test_a_model_of_half_precision_gives_the_effects_to_its_own_precision() -> None:
    half = wb.features.effects(
        model("gpt2", dtype="bfloat16"), batch(), dicts(), method="attribution"
    )
    exact = found("gpt2", "attribution", "counterfactual")
    rough, fine = (np.concatenate([each.at(site) for site in each.sites]) for each in (half, exact))
    assert np.isfinite(rough).all()
    assert np.corrcoef(rough, fine)[0, 1] > 0.95


def test_a_result_lists_its_nodes_by_size_and_is_the_same_from_disk(tmp_path: Path) -> None:
    result = found("gpt2", "ig", "counterfactual")
    every = [(site, i, v) for site in result.sites for i, v in enumerate(result.at(site))]
    top = max(every, key=lambda row: abs(row[2]))
    frame = result.to_frame()
    assert list(frame.columns) == ["node", "site", "effect"]
    assert len(frame) == sum(value != 0 for *_, value in every)
    assert frame["node"][0] == f"{top[0]}/{'error' if top[1] == N else top[1]}"
    assert frame["effect"][0] == top[2]
    assert (frame["effect"].abs().diff().dropna() <= 0).all()
    assert "ig" in repr(result)
    result.save(tmp_path / "effects")
    again = wb.features.FeatureEffects.load(tmp_path / "effects")
    assert again.nodes == result.nodes
    for site in result.sites:
        np.testing.assert_array_equal(again.at(site), result.at(site))


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"method": "patching"}, "Effects are found by attribution or ig; got 'patching'"),
        ({"reference": "median"}, "A reference is one of mean, mean-position.*; got 'median'"),
        ({"steps": 0}, "steps is a whole number from 1; got 0"),
        ({"steps": True}, "steps is a whole number from 1; got True"),
        ({"steps": 2.0}, "steps is a whole number from 1; got 2.0"),
        ({"n": 9}, "n is a number of pairs from 1 to 3; got 9"),
    ],
)
def test_wrong_options_are_refused_by_name(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        wb.features.effects(model(), batch(), dicts(), **options)


def test_dictionaries_that_do_not_fit_and_pairs_that_do_not_differ_are_refused() -> None:
    wide = Dictionaries([made("relu", "L1.resid_post", 0, 16)])
    with pytest.raises(ValueError, match="width"):
        wb.features.effects(model(), batch(), wide)
    deep = Dictionaries([made("relu", "L7.resid_post", 0)])
    with pytest.raises(ValueError, match="layers 0 to 1; got layer 7"):
        wb.features.effects(model(), batch(), deep)
    same = replace(batch(), corrupt=batch().clean)
    with pytest.raises(ValueError, match="difference between clean and corrupt"):
        wb.features.effects(model(), same, dicts())
