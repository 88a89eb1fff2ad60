"""SHIFT: effects on a classifier recomputed feature by feature, and every way of reading after."""

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
    NAMES,
    N,
    batch,
    carried,
    dicts,
    model,
    plain_pass,
)
from tests.unit.probing.test_probe_logits import LABELS, TEXTS
from workbench.dictionary.base import ScaleFeatures
from workbench.dictionary.collection import Dictionaries

SITE = "L1.mlp_out"
FEATURES = ("L0.resid_post/2", "L0.resid_post/5", "L1.mlp_out/1", "L1.attn_out/4")


@cache
def classifier(name: str = "gpt2", pool: Any = "last") -> wb.probing.Probe:
    acts = wb.activations(model(name), TEXTS, SITE, pool=pool, labels={"word": LABELS})
    return wb.probe(acts, "word", method="logistic", controls=())


def weight(own: wb.probing.Probe) -> torch.Tensor:
    """(d_model,) what the second class has above the first."""
    return torch.as_tensor(own.weights[SITE][1] - own.weights[SITE][0]).float()


@cache
def effects(name: str, pool: str, backend: str = "nnsight") -> wb.features.FeatureEffects:
    return wb.features.effects(
        model(name, backend), TEXTS, dicts(), metric=classifier(name, pool), labels=LABELS
    )


@cache
def shifted(backend: str = "nnsight") -> wb.Effects:
    return wb.features.shift(
        model("gpt2", backend),
        TEXTS[:12],
        classifier(),
        dicts(),
        FEATURES,
        labels=LABELS[:12],
        groups=["even" if i % 4 else "odd" for i in range(12)],
        training=(TEXTS, LABELS),
        seed=2,
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pool", ["last", "mean"])
def test_an_effect_is_the_code_times_the_gradient_of_the_logit(name: str, pool: str) -> None:
    own, result = classifier(name, pool), effects(name, pool)
    before = [str(site) for site in dicts() if str(site) != "L1.resid_post"]
    total = {site: np.zeros((2, N)) for site in before}
    active = {site: np.zeros(N) for site in before}
    for text, label in zip(TEXTS, LABELS, strict=True):
        ids = model(name).tokens(text).ids[0]
        _, seen = plain_pass(name, ids)
        x = seen[SITE][0]
        logit = (x[-1] if pool == "last" else x.mean(0)) @ weight(own)
        grads = torch.autograd.grad(logit, [seen[s] for s in before], allow_unused=True)
        for site, grad in zip(before, grads, strict=True):
            made = dicts()[site]
            read = seen[str(made.site)].detach()
            codes = carried(made, {k: v.detach() for k, v in seen.items()})[0]
            leaf = codes[None].detach().requires_grad_()
            down = torch.zeros_like(seen[site]) if grad is None else grad
            at_codes = torch.autograd.grad(made.decode(leaf, read), leaf, down)[0][0]
            for feature in range(N):
                of_texts = LABELS.count(label)
                value = (codes[:, feature] * at_codes[:, feature]).sum().item() / of_texts
                total[site][label, feature] += value
                active[site][feature] += bool((codes[:, feature] != 0).any()) / len(TEXTS)
    wanted = {f"{site}/{i}": total[site][:, i] for site in before for i in range(N)}
    share = {f"{site}/{i}": active[site][i] for site in before for i in range(N)}
    assert result.of_label is not None and result.separation is not None
    assert result.active is not None
    assert set(result.nodes["node"]) == {node for node, value in share.items() if value}
    for i, node in enumerate(result.nodes["node"]):
        np.testing.assert_allclose(result.of_label[i], wanted[node], **CLOSE)
        both = wanted[node] @ [LABELS.count(0), LABELS.count(1)] / len(LABELS)
        np.testing.assert_allclose(result.effect[i], both, **CLOSE)
        assert result.active[i] == pytest.approx(share[node])
        separation = wanted[node][1] - wanted[node][0]
        assert result.separation[i] == pytest.approx(separation, rel=2e-3, abs=5e-5)


def test_both_backends_give_the_same_effects_and_answers() -> None:
    one, other = (effects("gpt2", "mean", backend) for backend in BACKENDS)
    first, second = (each.to_frame().set_index("node").sort_index() for each in (one, other))
    assert first.index.equals(second.index)
    np.testing.assert_allclose(first.separation, second.separation, **CLOSE)
    first, second = (shifted(backend)["accuracy"] for backend in BACKENDS)
    np.testing.assert_array_equal(first.changed, second.changed)
    np.testing.assert_array_equal(first.plain, second.plain)


def test_effects_are_listed_by_separation_and_the_same_from_disk(tmp_path: Path) -> None:
    result = effects("gpt2", "last")
    frame = result.to_frame()
    assert list(frame.columns) == ["node", "site", "effect", "separation", "active"]
    apart = result.to_frame("labels")
    assert list(apart.columns)[2:4] == ["label", "effect"] and apart.label[:2].tolist() == [
        "0",
        "1",
    ]
    sizes = np.abs(frame["separation"].to_numpy())
    assert (np.diff(sizes) <= 0).all()
    assert f"{len(result.effect)} of" in repr(result) and "at L1.mlp_out" in repr(result)
    result.save(tmp_path / "effects")
    again = wb.features.FeatureEffects.load(tmp_path / "effects")
    assert again.of_label is not None and result.of_label is not None
    np.testing.assert_array_equal(again.of_label, result.of_label)


def answers(own: wb.probing.Probe, names: Any, moved: float = 0.0) -> np.ndarray:
    """(text,) right or not, one text at a time, with features set to 0 at every position."""
    out = []
    for text, label in zip(TEXTS[:12], LABELS, strict=False):
        x = model().run(text, read=SITE, edits=edits_of(names), logits_at=())[SITE][0, -1]
        logit = float(x @ weight(own)) + float(own.bias[0] @ [-1, 1]) + moved
        out.append((logit > 0) == (label > 0))
    return np.array(out)


def edits_of(names: Any) -> list[ScaleFeatures]:
    return [
        ScaleFeatures(dicts()[site], [name for name in names if name.startswith(f"{site}/")], 0.0)
        for site in dict.fromkeys(name.split("/")[0] for name in names)
    ]


def fall(own: wb.probing.Probe, names: Any) -> float:
    """How far the mean logit of the training texts falls."""
    plain, now = (own.logits(model(), TEXTS, edits=edits) for edits in ((), edits_of(names)))
    return float((plain - now).mean())


def test_every_way_of_reading_is_recomputed_text_by_text() -> None:
    result, own = shifted(), classifier()
    one = result["accuracy"]
    right = {"before": one.plain, **dict(zip(result.changes["change"], one.changed, strict=True))}
    assert list(right) == ["before", "after", "recentred", "retrained"]
    np.testing.assert_array_equal(right["before"], answers(own, ()))
    np.testing.assert_array_equal(right["after"], answers(own, FEATURES))
    moved = fall(own, FEATURES)
    np.testing.assert_array_equal(right["recentred"], answers(own, FEATURES, moved))
    anew = own.again(
        wb.activations(model(), TEXTS, SITE, labels={"word": LABELS}, edits=edits_of(FEATURES))
    )
    np.testing.assert_array_equal(right["retrained"], answers(anew, FEATURES))
    assert one.control.shape == (10, 12) and set(np.unique(one.control)) <= {0, 1}


def test_random_features_are_as_many_others_of_the_same_sites() -> None:
    own = classifier()
    left = {"L0.resid_post": {2, 5, 7, 9}, "L1.mlp_out": {1, 6}, "L1.attn_out": {4, 3}}
    pool = [f"{site}/{i}" for site, numbers in left.items() for i in numbers]
    like = effects("gpt2", "last")
    like = replace(like, active=np.isin(like.nodes["node"], pool).astype(float))
    data: Any = (model(), TEXTS[:12], own, dicts(), FEATURES)
    result = wb.features.shift(*data, labels=LABELS[:12], like=like)
    others = ["L0.resid_post/7", "L0.resid_post/9", "L1.mlp_out/6", "L1.attn_out/3"]
    for control in result["accuracy"].control:
        np.testing.assert_array_equal(control, answers(own, others))
    assert result.changes == {"change": ("after",)} and len(result.measures) == 1
    none = replace(like, active=np.isin(like.nodes["node"], FEATURES).astype(float))
    with pytest.raises(ValueError, match="Random units are drawn from the others of a layer, 0"):
        wb.features.shift(*data, labels=LABELS[:12], like=none)
    task = wb.features.effects(model(), batch(), dicts())
    with pytest.raises(ValueError, match="like is of wb.features.effects"):
        wb.features.shift(*data, labels=LABELS[:12], like=task)


def test_accuracy_gain_and_groups_are_means_over_texts(tmp_path: Path) -> None:
    result = shifted()
    one = result["accuracy"]
    rows = {
        name: [k for k in range(12) if ("even" if k % 4 else "odd") == name]
        for name in ("odd", "even")
    }
    frame = result.to_frame()
    assert list(dict.fromkeys(frame.measure)) == ["accuracy", "odd", "even"]
    for i, way in enumerate(result.changes["change"]):
        line = frame[(frame.measure == "accuracy") & (frame.change == way)].iloc[0]
        assert line.changed == pytest.approx(one.changed[i].mean())
        assert line.changed_low <= line.changed <= line.changed_high
        gain, low, high = result.score(change=way)
        assert gain == pytest.approx(one.changed[i].mean() - one.plain.mean(), abs=1e-6)
        assert low <= gain <= high
        for name, own in rows.items():
            line = frame[(frame.measure == name) & (frame.change == way)].iloc[0]
            assert line.n == len(own) and line.plain == pytest.approx(one.plain[own].mean())
            assert line.changed == pytest.approx(one.changed[i, own].mean())
    assert "4 features taken away" in repr(result)
    assert len(result.plot().get_yticklabels()) == 9
    result.save(tmp_path / "shift")
    again = wb.Effects.load(tmp_path / "shift")["accuracy"]
    np.testing.assert_array_equal(again.changed, one.changed)


@pytest.mark.parametrize(
    ("features", "options", "rule"),
    [
        ((), {}, "At least one feature is taken away, by its name, .*; got none"),
        (["L1.mlp_out/12"], {}, "features 0 to 11; got 12"),
        (["L1.resid_post/3"], {}, "reads L1.mlp_out, and L1.resid_post is computed after it"),
        (
            FEATURES,
            {"labels": LABELS[:5]},
            r"for each of 24 texts; got shape \(5,\)",
        ),
        (FEATURES, {"labels": [3] * 24}, "labels are 0 or 1"),
        (FEATURES, {"groups": ["a"]}, "groups has a name for each of 24 texts; got 1"),
    ],
)
def test_wrong_features_labels_and_groups_are_refused(
    features: Any, options: dict[str, Any], rule: str
) -> None:
    call: dict[str, Any] = {"texts": TEXTS, "labels": LABELS} | options
    with pytest.raises(ValueError, match=rule):
        wb.features.shift(model(), call.pop("texts"), classifier(), dicts(), features, **call)


def test_features_of_no_dictionary_and_effects_of_nothing_are_refused() -> None:
    with pytest.raises(KeyError, match="no dictionary of L1.mlp_in"):
        wb.features.shift(model(), TEXTS, classifier(), dicts(), ["L1.mlp_in/2"], labels=LABELS)
    late = Dictionaries([dicts()["L1.resid_post"]])
    with pytest.raises(ValueError, match="reads L1.mlp_out, and no dictionary lies there"):
        wb.features.effects(model(), TEXTS, late, metric=classifier(), labels=LABELS)
    for labels, rule in (
        (LABELS[:3], "for each of 24 texts"),
        ([*LABELS, 1], "for each of 24 texts"),
        ([1] * 24, "both classes"),
    ):
        with pytest.raises(ValueError, match=rule):
            wb.features.effects(model(), TEXTS, dicts(), metric=classifier(), labels=labels)
