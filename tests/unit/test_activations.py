"""Activations: rows against runs of one text at a time, labels and groups, and running moments."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import workbench as wb
from workbench.activations import Activations, Moments, activations, stream

BACKENDS = ("nnsight", "transformer_lens")
TEXTS = ["The capital of France is Paris.", "Tom likes the cat.", "The dog", "She is in the house."]
WHO = {"who": ["place", "man", "animal", "woman"], "n": [1, 2, 2, 1]}


@cache
def tinyworld(backend: str = "nnsight") -> Any:
    return wb.load("tinyworld", backend=backend, device="cpu")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pool", ["last", "mean", None])
def test_rows_are_those_of_each_text_alone(pool, backend, monkeypatch):
    monkeypatch.setattr(import_module("workbench.activations"), "TEXTS", 3)
    model = tinyworld(backend)
    sites = ["L2.mlp_post", "L0.resid_post"]
    acts = activations(model, TEXTS, sites, pool=pool, labels=WHO)
    assert acts.sites == ("L0.resid_post", "L2.mlp_post")
    rows: dict[str, list[np.ndarray]] = {site: [] for site in sites}
    where = []
    for t, text in enumerate(TEXTS):
        run = model.run(text, read=sites)
        n = run[sites[0]].shape[1]
        for site in sites:
            x = run[site][0].numpy()
            rows[site] += [x[-1]] if pool == "last" else [x.mean(0)] if pool == "mean" else [*x]
        last, each = [(t, n - 1)], [(t, i) for i in range(n)]
        where += {"last": last, "mean": [(t, -1)], None: each}[pool]
    for site in sites:
        np.testing.assert_allclose(acts[site], np.stack(rows[site]), atol=2e-5)
    assert list(zip(acts.text.tolist(), acts.position.tolist(), strict=True)) == where
    assert acts.label("who").tolist() == [WHO["who"][t] for t, _ in where]
    token = acts.to_frame().token[0]
    assert token == ("" if pool == "mean" else model.tokens(TEXTS[0]).strings[0][where[0][1]])


def test_a_stream_is_every_layer_and_a_batch_is_a_part():
    model = tinyworld()
    acts = activations(model, TEXTS, "resid_post", pool=None)
    assert acts.sites == tuple(f"L{i}.resid_post" for i in range(model.spec.n_layers))
    parts = list(stream(model, TEXTS, "resid_post", batch_size=1))
    assert len(parts) == 4
    for site in acts.sites:
        np.testing.assert_allclose(np.concatenate([p[site] for p in parts]), acts[site], atol=2e-5)
    assert np.array_equal(np.concatenate([p.text for p in parts]), acts.text)


def test_edits_and_changes_are_read_through():
    model, site = tinyworld(), "L2.resid_post"
    push = wb.Change(wb.Add("L1.resid_post", 3.0))
    acts = activations(model, TEXTS[:1], site, edits=push)
    assert np.array_equal(acts[site][0], model.run(TEXTS[0], read=site, edits=push)[site][0, -1])
    assert not np.allclose(acts[site], activations(model, TEXTS[:1], site)[site])


def test_where_mean_and_take_keep_rows_together():
    acts = activations(tinyworld(), TEXTS, ["L1.resid_post"], labels=WHO, groups="n")
    x = acts["L1.resid_post"]
    assert acts.group.tolist() == [0, 1, 1, 0]
    some = acts.where({"n": 2})
    assert np.array_equal(some["L1.resid_post"], x[1:3]) and some.label("who").tolist() == [
        "man",
        "animal",
    ]
    assert len(acts.where({"who": ["man", "woman"], "n": 1})) == 1
    assert np.allclose(acts.mean()["L1.resid_post"], x.astype(float).mean(0))
    by = acts.mean("n")["L1.resid_post"]
    assert np.allclose(by, [x[[0, 3]].mean(0, dtype=float), x[1:3].mean(0, dtype=float)])
    assert np.array_equal(acts.take([3, 0])["L1.resid_post"], x[[3, 0]])


def test_codes_are_the_dictionarys():
    model, dicts = tinyworld(), wb.dictionaries("tinyworld")
    acts = activations(model, TEXTS, "resid_post", pool=None)
    codes = acts.encode(dicts)
    for site in codes.sites:
        wanted = dicts[site].encode(torch.as_tensor(acts[site].copy())).numpy()
        np.testing.assert_allclose(codes[site], wanted, atol=1e-5)
    assert acts.encode(dicts["L2.resid_post"]).sites == ("L2.resid_post",)
    with pytest.raises(KeyError, match=r"activations are of L0.mlp_post; the dictionaries read"):
        activations(model, TEXTS, "L0.mlp_post").encode(dicts)


def test_rows_of_ones_own_and_files(tmp_path):
    own = Activations.of_rows(
        np.eye(4), site="L1.resid_post", labels={"a": list("wxyz")}, groups=[1, 1, 2, 2]
    )
    assert own.group.tolist() == [0, 0, 1, 1] and own.label("a").tolist() == list("wxyz")
    acts = activations(tinyworld(), TEXTS, "resid_post", labels=WHO)
    back = Activations.load(acts.save(tmp_path / "acts"))
    assert back.to_frame().equals(acts.to_frame()) and repr(back) == repr(acts)
    assert all(np.array_equal(back[site], acts[site]) for site in acts.sites)
    with pytest.raises(ValueError, match="read-only"):
        acts["L1.resid_post"][0, 0] = 1.0


def test_moments_are_those_of_all_rows_at_once():
    rows = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)).double() * 3 + 1e4
    moments = Moments(covariance=True)
    plain = Moments()
    for part in rows.split(37):
        moments.add(part)
        plain.add(part.reshape(1, -1, 6))
    assert moments.n == plain.n == 500
    for one in (moments, plain):
        torch.testing.assert_close(one.mean, rows.mean(0))
        torch.testing.assert_close(one.variance, rows.var(0, correction=0))
        torch.testing.assert_close(one.std, rows.std(0, correction=0))
    torch.testing.assert_close(moments.covariance, torch.cov(rows.T, correction=0))
    with pytest.raises(ValueError, match=r"hold no covariance; make Moments\(covariance=True\)"):
        _ = plain.covariance


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"sites": "L1.pattern"}, ValueError, r"A site of activations is a whole stream"),
        ({"sites": []}, ValueError, r"sites is one site or more; got \[\]"),
        ({"sites": "L9.resid_post"}, ValueError, r"has layers 0 to"),
        ({"pool": "first"}, ValueError, r"pool is one of 'last', 'mean'|pool is .*'first'"),
        ({"labels": {"a": [1]}}, ValueError, r"The label 'a' is one a prompt, 4; got \[1\]"),
        ({"groups": "b"}, ValueError, r"groups is the name of a label, one of \['who', 'n'\]"),
        ({"groups": [1]}, ValueError, r"groups is the name of a label, or one entry a text, 4"),
        ({"prompts": []}, ValueError, r"A measure over texts needs at least one"),
    ],
)  # fmt: skip
def test_what_are_no_activations_is_said(options, error, text):
    given = {"prompts": TEXTS, "sites": "resid_post", "labels": WHO, **options}
    with pytest.raises(error, match=text):
        activations(tinyworld(), given.pop("prompts"), given.pop("sites"), **given)


def test_what_they_do_not_have_is_named():
    acts = activations(tinyworld(), TEXTS, "resid_post", labels=WHO)
    with pytest.raises(KeyError, match=r"These activations are of L0.resid_post, .*; got 'L1.z'"):
        acts["L1.z"]
    with pytest.raises(KeyError, match=r"labels of these activations are 'who', 'n'; got 'age'"):
        acts.mean("age")
    with pytest.raises(ValueError, match=r"No row has .*the labels are .*'man'"):
        acts.where({"who": "child"})
    with pytest.raises(ValueError, match=r"rows is an array \(row, d\) of finite numbers"):
        Activations.of_rows([[1.0, float("nan")]])


def test_the_picture_has_a_point_a_row_in_the_plane_of_largest_variance():
    rows = np.random.default_rng(0).normal(size=(40, 5)) * [9, 1, 1, 4, 1]
    who = {"who": [str(i % 2) for i in range(40)]}
    acts = Activations.of_rows(rows, labels=who)
    ax = acts.plot()
    points = np.concatenate([line.get_xydata() for line in ax.lines])
    x = acts[acts.sites[0]].astype(float)
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    order = np.argsort([int(w) for w in who["who"]], kind="stable")
    assert np.abs(points) == pytest.approx(np.abs(u * s)[order, :2], rel=1e-4, abs=1e-4)
    assert f"({s[0] ** 2 / (s**2).sum():.0%} of the variance)" in ax.get_xlabel()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["0", "1"]
    plt.close("all")


@pytest.mark.parametrize("rows", [np.ones((1, 3)), np.ones((4, 1)), np.zeros((3, 2))])
def test_rows_that_do_not_differ_still_draw_in_a_cell(rows, recwarn):
    acts = Activations.of_rows(rows)
    assert acts._repr_mimebundle_().keys() == {"text/plain", "image/png"}
    assert acts.html().startswith("<!doctype html>")
    assert not list(recwarn)
