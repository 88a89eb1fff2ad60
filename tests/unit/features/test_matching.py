"""Matching features between dictionaries, against plain loops over all pairs."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.flow_models import (
    LANES,
    SIZES,
    TEXTS,
    before,
    codes,
    cosine,
    dictionaries,
    made,
    model,
)
from tests.unit.kernels import one_to_one, similarity
from workbench.dictionary.collection import Dictionaries

# Among 32 dimensions chance is above the usual threshold, which most tests are not about.
pytestmark = pytest.mark.filterwarnings("ignore:A threshold lies above what chance")


@cache
def matched(by: Any = "cosine", k: int = 1, backend: str = "nnsight") -> wb.features.FeatureMatches:
    data: dict[str, Any] = {}
    if by == "correlation":
        data = {"model": model(backend), "texts": TEXTS}
    return wb.features.match(dictionaries(), method=by, k=k, progress=False, **data)


def part(found: wb.features.FeatureMatches, site: str) -> slice:
    at = found.sites.index(site)
    return slice(found.starts[at], found.starts[at + 1])


# -- matches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["cosine", "permutation"])
def test_the_best_match_of_what_is_turned_away_from_all_is_below_zero(by: Any) -> None:
    first = made("L0.resid_post", 4, 1)
    turned = made("L1.resid_post", 4, 2)
    away = first.W_dec.sum(0).expand(4, -1) * torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    near = torch.nn.functional.normalize(first.W_dec, dim=-1).sum(0)
    one = replace(first, W_dec=near + 0.1 * first.W_dec)
    dicts = Dictionaries([one, replace(turned, W_dec=-away)])
    found = wb.features.match(dicts, method=by, progress=False)
    best = found.similarity[0, 4:, 0]
    assert (best < -0.5).all() and (found.similarity[3, :4, 0] < -0.5).all()
    every = one.W_dec.double().numpy() @ -away.double().numpy().T
    lengths = np.outer(*(np.linalg.norm(w.double(), axis=1) for w in (one.W_dec, away)))
    if by == "cosine":
        np.testing.assert_allclose(best, (every / lengths).max(0), atol=1e-6)


def test_every_feature_of_the_smallest_dictionary_may_be_a_match_and_chance_has_its_seed() -> None:
    least = min(SIZES.values())
    every = wb.features.match(dictionaries(), k=least, progress=False)
    assert every.k == least and (every.index[1, part(every, "L1.resid_post")] >= 0).all()
    with pytest.raises(ValueError, match=f"k is a whole number from 1 to {least}; got {least + 1}"):
        wb.features.match(dictionaries(), k=least + 1, progress=False)
    one, other = (wb.features.match(dictionaries(), seed=seed, progress=False) for seed in (0, 4))
    there = one.leads >= 0
    assert (one.chance[there] != other.chance[there]).all() and other.seed == 4
    np.testing.assert_array_equal(one.similarity, other.similarity)


@pytest.mark.parametrize("k", [1, 3])
def test_matches_by_cosine_are_the_best_of_all_decoder_rows(k: int) -> None:
    found = matched(k=k)
    for lane, name in enumerate(LANES):
        for site in found.sites:
            other = before(site, name)
            own = found.similarity[lane, part(found, site)], found.index[lane, part(found, site)]
            if other is None:
                assert np.isnan(own[0]).all() and (own[1] == -1).all()
                continue
            every = cosine(site, other)
            order = np.argsort(-every, axis=1)[:, :k]
            np.testing.assert_array_equal(own[1], order)
            np.testing.assert_allclose(own[0], np.take_along_axis(every, order, 1), atol=1e-6)


def pearson(site: str, other: str, shift: int = 0) -> np.ndarray:
    """(feature, feature) by one numpy call a pair; NaN where a code never changes."""
    a, b = np.roll(codes(site), shift, axis=0), codes(other)
    out = np.full((a.shape[1], b.shape[1]), np.nan)
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            if a[:, i].std() > 0 and b[:, j].std() > 0:
                out[i, j] = np.corrcoef(a[:, i], b[:, j])[0, 1]
    return out


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_matches_by_correlation_are_pearsons_over_all_tokens_of_the_texts(backend: str) -> None:
    found = matched("correlation", 2, backend)
    assert found.n_positions == len(codes("L0.resid_post"))
    for lane, name in enumerate(LANES):
        for site in ("L1.resid_post", "L1.mlp_out", "L2.resid_post"):
            if (other := before(site, name)) is None:
                continue
            every = pearson(site, other)
            own = part(found, site)
            alive = np.array([np.isfinite(row).any() for row in every])
            assert not alive[-1]
            order = np.argsort(-np.where(np.isnan(every), -2, every), axis=1)[:, :2]
            wanted = np.take_along_axis(every, order, 1)[alive]
            np.testing.assert_allclose(found.similarity[lane, own][alive], wanted, atol=1e-5)
            np.testing.assert_array_equal(found.index[lane, own][alive], order[alive])
            assert np.isnan(found.similarity[lane, own][~alive]).all()
            assert (found.index[lane, own][~alive] == -1).all()


def test_correlations_are_the_same_in_batches_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = matched("correlation", 2)
    monkeypatch.setattr(similarity, "BATCH_BYTES", 4 * 8 * 24 * 5)
    again = wb.features.match(
        dictionaries(), method="correlation", k=2, model=model(), texts=TEXTS, progress=False
    )
    np.testing.assert_allclose(again.similarity, whole.similarity, atol=1e-6)
    np.testing.assert_array_equal(again.index, whole.index)


def test_chance_of_correlations_is_that_of_shifted_texts() -> None:
    found = matched("correlation")
    lane, site = LANES.index("mlp"), "L1.resid_post"
    n, quarter = found.n_positions, found.n_positions // 4
    draw = np.random.default_rng(0)
    draw.choice(24, size=24, replace=False)
    shift = int(draw.integers(quarter, n - quarter))
    best = np.nanmax(pearson(site, "L1.mlp_out", shift)[:-1], axis=1)
    wanted = np.quantile(best, 0.99)
    assert found.chance[lane, found.sites.index(site)] == pytest.approx(wanted, abs=1e-5)


def test_codes_that_would_take_too_much_memory_are_refused_with_a_forecast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(similarity, "CODE_BYTES", 1000)
    with pytest.raises(ValueError, match=r"all 6 texts would take about \d+\.\d\. Give fewer than"):
        wb.features.match(
            dictionaries(), method="correlation", model=model(), texts=TEXTS, progress=False
        )


@pytest.mark.parametrize("shape", [(30, 30), (17, 29), (29, 17), (1, 4)])
@pytest.mark.parametrize("seed", range(4))
def test_assignments_have_the_largest_sum_that_scipy_finds(
    shape: tuple[int, int], seed: int
) -> None:
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape).astype(np.float32)
    if seed == 1:  # many ties
        values = np.round(values)
    if seed == 2:  # everyone wants the same
        values = values + 10 * rng.normal(size=(1, shape[1])).astype(np.float32)
    found = one_to_one(values)
    rows, columns = linear_sum_assignment(values, maximize=True)
    taken = found[found >= 0]
    assert len(taken) == min(shape) == len(set(taken.tolist()))
    total = float(values[np.flatnonzero(found >= 0), taken].astype(float).sum())
    assert total == pytest.approx(float(values[rows, columns].astype(float).sum()), abs=1e-4)


def test_permutations_are_one_to_one_and_the_same_from_either_side() -> None:
    from scipy.optimize import linear_sum_assignment

    found = matched("permutation")
    for site in found.sites:
        for lane, name in enumerate(LANES):
            if (other := before(site, name)) is None:
                continue
            every, own = cosine(site, other), part(found, site)
            index, values = found.index[lane, own, 0], found.similarity[lane, own, 0]
            there = index >= 0
            assert there.sum() == min(every.shape) == len(set(index[there].tolist()))
            np.testing.assert_allclose(
                values[there], every[np.flatnonzero(there), index[there]], atol=1e-6
            )
            assert np.isnan(values[~there]).all()
            best = every[linear_sum_assignment(every, maximize=True)].sum()
            assert values[there].sum() == pytest.approx(best, abs=1e-4)
            if name == "next" and site.endswith("resid_post"):
                back = found.index[LANES.index("resid"), part(found, other), 0]
                np.testing.assert_array_equal(back[index[there]], np.flatnonzero(there))


def test_permutations_of_too_many_features_are_refused_with_the_memory_they_would_take() -> None:
    with pytest.raises(ValueError, match=r"16384 × 16384 would take 3.0 GiB and hours"):
        huge = [made(f"L{layer}.resid_post", 16384, layer) for layer in range(2)]
        wb.features.match(huge, method="permutation", progress=False)  # pyright: ignore
    many = [made(f"L{layer}.resid_post", 4097, layer) for layer in range(2)]
    with pytest.raises(ValueError, match="up to 4096 features each; 4097 × 4097"):
        wb.features.match(many, method="permutation", progress=False)  # pyright: ignore
    with pytest.raises(ValueError, match="finite numbers; some are NaN"):
        one_to_one(np.full((2, 2), np.nan))


def test_a_feature_that_writes_nothing_is_dead() -> None:
    first, second = (made(f"L{layer}.resid_post", 8, layer) for layer in range(2))
    rows = second.W_dec.clone()
    rows[3] = 0
    for by in ("cosine", "permutation"):
        found = wb.features.match([first, replace(second, W_dec=rows)], method=by, progress=False)  # pyright: ignore
        node = found.node("L1.resid_post/3")
        assert np.isnan(found.similarity[0, node, 0]) and found.index[0, node, 0] == -1
        assert found.classes[node] == "dead"
        assert found.of("L1.resid_post/3", "resid") == ()
    silent = matched("correlation")
    assert silent.classes[silent.node("L1.resid_post/23")] == "dead"


# -- the result -------------------------------------------------------------------------------


def test_names_and_tables_say_what_the_arrays_hold() -> None:
    found = matched(k=3)
    frame = found.to_frame().set_index("feature")
    for feature in ("L1.resid_post/4", "L2.mlp_out/0", "L0.resid_post/23"):
        node = found.node(feature)
        assert found.name(node) == feature
        assert frame.loc[feature, "class"] == found.classes[node]
        assert frame.loc[feature, "ended"] == found.ended[node]
        for lane, name in enumerate(LANES):
            matches = found.of(feature, name)
            other = before(feature.split("/")[0], name)
            if other is None:
                assert matches == () and frame.loc[feature, name] == ""
                continue
            assert [m for m, _ in matches] == [f"{other}/{i}" for i in found.index[lane, node]]
            assert frame.loc[feature, name] == matches[0][0]
            assert frame.loc[feature, f"{name}_similarity"] == pytest.approx(matches[0][1])
    with pytest.raises(ValueError, match=re.escape("L2.resid_post has features 0 to 23; got 24")):
        found.node("L2.resid_post/24")
    with pytest.raises(ValueError, match="written like 'L2.resid_post/0'; got 'L7.resid_post/1'"):
        found.node("L7.resid_post/1")
    with pytest.raises(ValueError, match="A lane is one of resid, mlp, attn, next; got 'up'"):
        found.of("L1.resid_post/4", "up")
    for node in (-1, len(found.site_of_node), 2**70):
        with pytest.raises(ValueError, match="node is a whole number from 0 to"):
            found.name(node)


def test_agreement_is_the_share_of_equal_best_matches() -> None:
    a, b, c = matched(k=2), matched("correlation", 2), matched("permutation")
    for name, one, other in [(lane, *pair) for pair in ((a, b), (a, c), (b, c)) for lane in LANES]:
        line, lane = one.agreement(other).loc[name], LANES.index(name)
        n = same = high = same_high = 0
        chances = []
        for node in range(len(one.site_of_node)):
            mine, theirs = one.index[lane, node, 0], other.index[lane, node, 0]
            if mine < 0 or theirs < 0:
                continue
            site = one.site_of_node[node]
            counts = one.similarity[lane, node, 0] >= one.thresholds[lane, site]
            n, same = n + 1, same + (mine == theirs)
            high, same_high = high + counts, same_high + (counts and mine == theirs)
            chances.append(1 / one.n_features[one.leads[lane, site]])
        assert (line["n"], line["n_high"]) == (n, high)
        assert line["same"] == pytest.approx(same / n)
        assert np.isnan(line["same_high"]) if not high else line["same_high"] == same_high / high
        assert line["chance"] == pytest.approx(np.mean(chances))
    own = a.agreement(a)
    assert set(own["same"]) == {1.0} and list(own.index) == list(LANES)
    fewer = wb.features.match(dictionaries().only("resid_post"), progress=False)
    with pytest.raises(ValueError, match="compared on the same dictionaries"):
        a.agreement(fewer)


def test_a_result_is_saved_and_read_back_and_says_what_is_missing(tmp_path: Path) -> None:
    found = wb.features.match(dictionaries().only("resid_post", "mlp_out"), progress=False)
    found.save(tmp_path / "matches")
    again = wb.features.FeatureMatches.load(tmp_path / "matches")
    assert repr(again) == repr(found) and again.fingerprints == found.fingerprints
    np.testing.assert_array_equal(again.similarity, found.similarity)
    np.testing.assert_array_equal(again.classes, found.classes)
    assert repr(found).endswith("end; no dictionaries of attn)")
    assert "132 features of 6 dictionaries by cosine: " in repr(found)
    over = len(codes("L0.resid_post"))
    assert f"by correlation over {over} positions" in repr(matched("correlation"))
    assert found.model == "words" and found.seed == 0
    assert matched("correlation").model == model().spec.name


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "angle"}, "method is one of 'cosine', 'correlation', 'permutation';"),
        ({"method": "correlation"}, "needs model= and texts=. method='cosine' needs neither"),
        ({"texts": TEXTS}, "Only method='correlation' reads texts; got texts with method='cosine'"),
        ({"k": 19}, r"k is a whole number from 1 to 18; got 19\. The smallest"),
        ({"k": 0}, "got 0"),
        ({"k": True}, "got True"),
        ({"method": "permutation", "k": 2}, "A permutation gives one match a feature, so k=1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        wb.features.match(dictionaries(), progress=False, **options)


def test_no_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one; got none"):
        wb.features.match(
            dictionaries(), method="correlation", model=model(), texts=[], progress=False
        )


def test_dictionaries_may_lie_in_another_type() -> None:
    found = wb.features.match(dictionaries().to(dtype=torch.bfloat16), progress=False)
    wanted = matched()
    there = np.isfinite(wanted.similarity)
    np.testing.assert_allclose(found.similarity[there], wanted.similarity[there], atol=0.02)
    assert isinstance(dictionaries(), Dictionaries)


def test_the_picture_shows_a_bar_of_classes_for_every_residual_dictionary() -> None:
    import matplotlib.pyplot as plt

    found = matched().with_thresholds(0.3)
    ax = found.plot()
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == [f"L{layer}.resid_post" for layer in range(3)]
    counts = found.counts()
    shown = {text.get_text() for text in ax.get_legend().get_texts()}
    assert shown == {name for name in counts if counts.loc[names, name].any()} - {"ended"}
    total = sum(bar.get_width() for bar in ax.patches)
    assert total == 72
    ends = [text.get_text() for text in ax.texts]
    assert ends == [
        f"{counts.loc[names[0], 'ended']} end",
        f"{counts.loc[names[1], 'ended']} end",
        "the last",
    ]
    plt.close(ax.figure)
