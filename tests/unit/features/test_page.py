"""A feature's page: each part from its definition, run by run, and what a page refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.indexed import (
    DEAD,
    DENSE,
    N_FEATURES,
    SITE,
    codes,
    dictionary,
    fired,
    made,
    model,
    other,
    rows,
)
from tests.unit.kernels import direct_logits
from workbench.dictionary.base import Dictionary
from workbench.dictionary.collection import Dictionaries
from workbench.dictionary.encoders import TopK
from workbench.resample import bootstrap

FEATURE = 7
CLOSE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-5}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> wb.features.FeatureIndex:
    return made(tmp_path_factory.mktemp("page") / "index")


@pytest.fixture(scope="module")
def page(index: wb.features.FeatureIndex) -> wb.features.FeaturePage:
    return wb.features.page(model(), index, dictionary(), FEATURE, labels=empty(), n_effect=5)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


def empty() -> wb.features.Labels:
    return wb.features.Labels.empty(dictionary())


def test_contexts_show_the_code_of_every_token_around_the_place(
    page: wb.features.FeaturePage, index: wb.features.FeatureIndex
) -> None:
    top = index.contexts(FEATURE)
    rest = [place for place in index.sampled(FEATURE) if place[:2] not in {t[:2] for t in top}]
    groups = [context.group for context in page.contexts]
    assert groups == ["top"] * 5 + ["sampled"] * len(rest) and 0 < len(rest) < 6
    values = sorted(each.value for each in fired(FEATURE))
    for context, place in zip(page.contexts, [*top, *rest], strict=True):
        row = rows()[context.text]
        start = max(0, context.position - 24)
        stop = min(len(row), context.position + 9)
        assert context.tokens == tuple(model().tokenizer.decode([i]) for i in row[start:stop])
        assert (context.text, context.position) == (place.text, place.position)
        assert context.at == context.position - start
        wanted = codes()[context.text][start:stop, FEATURE]
        np.testing.assert_allclose(context.activations, wanted, **CLOSE)
        assert context.activations[context.at] == pytest.approx(context.value, rel=1e-3)
        below = np.mean([v < context.value for v in values])
        # Within a bin a quarter of a power of 2 wide the share is taken as even.
        assert context.quantile == pytest.approx(below, abs=0.12)
    assert max(c.quantile for c in page.contexts) == 1


def test_counts_histogram_and_tokens_are_those_of_the_index(
    page: wb.features.FeaturePage, index: wb.features.FeatureIndex
) -> None:
    found = fired(FEATURE)
    assert (page.n_active, page.n_positions, page.n_texts) == (len(found), 612, 12)
    assert page.frequency == pytest.approx(len(found) / 612) and not page.dead
    assert page.mean == pytest.approx(np.mean([f.value for f in found]), rel=1e-4)
    assert page.largest == pytest.approx(max(f.value for f in found), rel=1e-4)
    assert page.histogram.sum() == len(found) and page.histogram[0] and page.histogram[-1]
    assert page.bin_edges[0] <= min(f.value for f in found) < page.bin_edges[1] * 1.001
    assert page.bin_edges[-2] * 0.999 <= page.largest <= page.bin_edges[-1]
    assert page.top_tokens == tuple(use.string for use in index.tokens(FEATURE)[:10])
    assert page.together == tuple(index.name(p.feature) for p in index.together(FEATURE)[:10])


def test_promoted_tokens_are_the_direct_effect_of_the_direction(
    page: wb.features.FeaturePage,
) -> None:
    norm = model().norm("ln_final")
    direction = dictionary().W_dec[FEATURE].double()
    direction = direction / direction.norm()
    centred = (direction - direction.mean()) * norm.weight.double()
    unembedding = model().weight("W_U").double()
    logits = [float(centred @ unembedding[:, i]) for i in range(unembedding.shape[1])]
    logits = np.array(logits) - np.mean(logits)
    order = np.argsort(-logits)
    words = [model().tokenizer.decode([i]) for i in order[:10]]
    assert list(page.promoted) == words
    np.testing.assert_allclose(page.promoted_logits, logits[order[:10]], **CLOSE)
    np.testing.assert_allclose(page.suppressed_logits, logits[order[::-1][:10]], **CLOSE)


def test_the_nearest_features_have_the_largest_cosines_here_and_elsewhere(
    page: wb.features.FeaturePage, index: wb.features.FeatureIndex
) -> None:
    def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(torch.dot(a, b) / a.norm() / b.norm())

    own = dictionary().W_dec
    wanted = {
        f"{SITE}/{i}": cosine(own[i], own[FEATURE]) for i in range(N_FEATURES) if i != FEATURE
    }
    best = sorted(wanted, key=lambda name: -wanted[name])[:10]
    assert list(page.nearest) == best
    np.testing.assert_allclose(page.nearest_cosine, [wanted[name] for name in best], **CLOSE)
    later = dictionary("topk", "L2.resid_post")
    both = Dictionaries([dictionary(), later])
    seen = wb.features.page(model(), index, both, f"{SITE}/{FEATURE}", labels=empty(), n_effect=0)
    wanted |= {
        f"L2.resid_post/{i}": cosine(later.W_dec[i], own[FEATURE]) for i in range(N_FEATURES)
    }
    assert list(seen.nearest) == sorted(wanted, key=lambda name: -wanted[name])[:10]
    assert any(name.startswith("L2") for name in seen.nearest)


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_the_effect_is_that_of_taking_the_feature_out_place_by_place(
    backend: str, index: wb.features.FeatureIndex
) -> None:
    result = wb.features.page(
        model(backend), index, dictionary(), FEATURE, labels=empty(), n_effect=5, seed=3
    )

    def without(feature: int, text: int, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities at a place, plain and with the rest of the model run on x − code · w"""
        from workbench.edits import Set

        row = rows()[text][: position + 1]
        x = model().run([row], read=[SITE], logits_at=())[SITE]
        code = dictionary().encode(x)[..., feature : feature + 1]
        edit = Set(SITE, x - code * dictionary().W_dec[feature])
        runs = [model().run([row], edits=edits) for edits in ((), edit)]
        plain, cut = (run.logits[0, -1].double().log_softmax(-1) for run in runs)
        return plain, cut

    def spread(places: list[Any], n: int) -> list[Any]:
        return [places[i] for i in np.linspace(0, len(places) - 1, n).round().astype(int)]

    assert len(result.controls) == 4 and index.name(FEATURE) not in result.controls
    own = [(FEATURE, place) for place in spread(index.sampled(FEATURE), 5)]
    numbers = [int(name.split("/")[1]) for name in result.controls]
    control = [(i, place) for i in numbers for place in spread(index.sampled(i), 2)]
    changes = []
    for jobs, kl, loss in (
        (own, result.effect_kl, result.effect_loss),
        (control, result.control_kl, result.control_loss),
    ):
        assert len(jobs) == len(kl)
        for n, (feature, place) in enumerate(jobs):
            plain, cut = without(feature, place.text, place.position)
            wanted = sum(float(p.exp() * (p - q)) for p, q in zip(plain, cut, strict=True))
            assert kl[n] == pytest.approx(wanted, rel=1e-3, abs=2e-6)
            row = rows()[place.text]
            if place.position + 1 < len(row):
                follows = row[place.position + 1]
                assert loss[n] == pytest.approx(float(plain[follows] - cut[follows]), abs=1e-4)
            else:
                assert np.isnan(loss[n])
            changes.append(cut.exp() - plain.exp())
    mean = torch.stack(changes[: len(own)]).mean(0)
    np.testing.assert_allclose(result.lowered_change, mean.sort().values[:10], atol=1e-5)
    np.testing.assert_allclose(
        result.raised_change, mean.sort(descending=True).values[:10], atol=1e-5
    )
    assert result.raised_change[0] > 0 > result.lowered_change[0]


def test_controls_are_as_active_as_the_feature_and_drawn_by_the_seed(
    index: wb.features.FeatureIndex,
) -> None:
    lengths = dictionary().W_dec.norm(dim=-1).numpy()
    away = {
        f: np.hypot(
            np.log(index.mean[f] * lengths[f] / index.mean[FEATURE] / lengths[FEATURE]),
            np.log(index.count[f] / index.count[FEATURE]),
        )
        for f in range(N_FEATURES)
        if f != FEATURE and index.count[f]
    }
    near = sorted(away, key=lambda f: away[f])[:16]

    def controls(seed: int) -> tuple[int, ...]:
        page = wb.features.page(
            model(), index, dictionary(), FEATURE, labels=empty(), n_effect=1, seed=seed
        )
        return tuple(int(name.split("/")[1]) for name in page.controls)

    drawn = [controls(seed) for seed in range(6)]
    assert all(set(four) <= set(near) and len(set(four)) == 4 for four in drawn)
    assert len(set(drawn)) > 1 and drawn[0] == controls(0)


def test_effects_have_intervals_over_places(page: wb.features.FeaturePage) -> None:
    frame = page.effect()
    kl = page.effect_kl.astype(np.float64)
    low, high = bootstrap(lambda c: kl[c].mean(-1), len(kl), 0.95, 0)
    assert frame.loc["kl", ["mean", "low", "high"]].tolist() == pytest.approx(
        [kl.mean(), low, high]
    )
    known = page.control_loss[np.isfinite(page.control_loss)]
    assert frame.loc["loss", "control"] == pytest.approx(known.mean())


def test_a_dead_feature_has_a_page_that_says_so(index: wb.features.FeatureIndex) -> None:
    dead = wb.features.page(model(), index, dictionary(), DEAD, labels=empty())
    assert dead.dead and dead.n_active == 0 and dead.contexts == () and dead.frequency == 0
    assert repr(dead) == f"FeaturePage(tinyworld: {SITE}/{DEAD} never fires on 612 tokens)"
    assert len(dead.promoted) == 10 and len(dead.nearest) == 10 and dead.together == ()
    assert dead.effect().isna().all().all() and dead.to_frame().empty
    assert dead.label == "" and dead.score == "not scored"
    assert dead.png()[:4] == b"\x89PNG"


def test_what_does_not_exist_or_fit_is_named(
    index: wb.features.FeatureIndex, tmp_path: Path
) -> None:
    for feature in (N_FEATURES, -1):
        with pytest.raises(ValueError, match="has features 0 to 39; got"):
            wb.features.page(model(), index, dictionary(), feature)
    with pytest.raises(ValueError, match="is written L1.resid_post/0 to L1.resid_post/39"):
        wb.features.page(model(), index, dictionary(), "L0.resid_post/3")
    both = Dictionaries([dictionary()])
    with pytest.raises(ValueError, match="Among several dictionaries a feature is named.*got 3"):
        wb.features.page(model(), index, both, 3)
    with pytest.raises(KeyError, match="no dictionary of L0.resid_post"):
        wb.features.page(model(), index, both, "L0.resid_post/3")
    with pytest.raises(ValueError, match="is of another dictionary of L1.resid_post"):
        wb.features.page(model(), index, other(), 3)
    # The same dictionary on other activations: what the index says is not what the model gives.
    shifted = replace(dictionary(), site="L0.resid_post", out_site=None)
    there = wb.features.index(model(), rows(), shifted, path=tmp_path / "there", progress=False)
    wrong = replace(index, facts=there.facts)
    with pytest.raises(ValueError, match="was made with another model: tinyworld gives codes that"):
        wb.features.page(model(), wrong, shifted, FEATURE)


def test_texts_in_place_of_an_index_make_one_that_is_used_again(
    index: wb.features.FeatureIndex,
) -> None:
    given: list[Any] = [rows(), [model().tokenizer.decode(row) for row in rows()]]
    pages = [
        wb.features.page(model(), texts, dictionary(), DENSE, n_effect=0, progress=False)
        for texts in given
    ]
    assert repr(pages[0]) == repr(pages[1])
    assert pages[0].n_active == 612 and pages[0].effect_kl.shape == (0,)


def test_labels_are_shown_with_their_score_and_made_where_there_are_none(
    page: wb.features.FeaturePage, index: wb.features.FeatureIndex
) -> None:
    automatic = wb.features.label(index)
    assert (page.label, page.f1) == (automatic[FEATURE].text, automatic[FEATURE].f1)
    assert page.score == automatic[FEATURE].score and page.label_by == "tokens"
    assert page.nearest_labels[0] == str(automatic[page.nearest[0]])
    labels = empty()
    labels[FEATURE] = "things"
    labels[page.together[0]] = "beside"
    edited = wb.features.page(model(), index, dictionary(), FEATURE, labels=labels, n_effect=0)
    assert (edited.label, edited.score, edited.label_by) == ("things", "not scored", "person")
    assert edited.together_labels[0] == "beside (not scored)"
    assert "things (not scored), fires at" in repr(edited)


def test_a_page_is_saved_tabled_and_drawn(page: wb.features.FeaturePage, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    again = wb.features.FeaturePage.load(page.save(tmp_path / "page"))
    assert again.contexts[2].tokens == page.contexts[2].tokens
    np.testing.assert_array_equal(again.effect_kl, page.effect_kl)
    frame = page.to_frame()
    assert (
        len(frame) == len(page.contexts)
        and frame.token[0] == page.contexts[0].tokens[page.contexts[0].at]
    )
    assert frame.context[0] == "".join(page.contexts[0].tokens)
    figure: Any = page.plot(contexts=6).figure
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert sum("%" in text for text in texts) == 6
    assert wb.features.FeaturePage.__name__ not in figure._suptitle.get_text()
    assert page.feature in figure._suptitle.get_text()
    alone = page.plot(contexts=3, ax=plt.subplots()[1])
    assert len(alone.figure.axes) == 1
    plt.close("all")


@pytest.mark.parametrize("site", ["L1.mlp_post", "L1.mlp_in", "ln_final"])
def test_other_sites_have_their_own_way_to_the_logits_or_none(site: str) -> None:
    from workbench.site import Site

    where = Site.parse(site)
    width = model().spec.d_mlp if where.stream == "mlp_post" else model().spec.d_model
    direction = torch.randn(width, generator=torch.Generator().manual_seed(0))
    got = direct_logits(model(), where, direction)
    norm = model().norm("ln_final")
    if where.stream == "mlp_in":
        assert got is None
        return
    assert got is not None
    x = direction
    if where.stream == "mlp_post":
        x = direction @ model().weight("W_out", 1)
        x = (x - x.mean()) * norm.weight
    wanted = x @ model().weight("W_U")
    np.testing.assert_allclose(got, wanted - wanted.mean(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_another_model_with_another_tokenizer_and_precision_has_pages_too(
    dtype: str, asset: Callable[..., Path], tmp_path: Path
) -> None:
    from workbench.loading import load

    other_model = load(asset("models", "stories260K"), dtype=dtype, device="cpu")
    texts = [
        "Once upon a time there was a little girl named Lily.",
        "One day a dog and a cat went to the park to play with a ball.",
        "The sun was hot, so Tim and his mom sat under a big tree.",
    ]
    site, d = "L2.resid_post", other_model.spec.d_model
    generator = torch.Generator().manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(20, d, generator=generator), dim=-1)
    made_here = Dictionary(
        site, TopK(decoder.T.clone(), torch.zeros(20), 4), decoder, torch.zeros(d)
    )
    index = wb.features.index(
        other_model, texts, made_here, path=tmp_path / "index", progress=False
    )
    tokens = other_model.tokens(texts)
    assert [index.text(t) for t in range(3)] == [
        tokens.ids[t][tokens.mask[t]].tolist() for t in range(3)
    ]
    x = other_model.run(tokens, read=[site], logits_at=())[site][tokens.mask]
    active = made_here.encode(x) > 0
    np.testing.assert_allclose(index.count, active.sum(0), atol=1 if dtype == "bfloat16" else 0)
    feature = int(index.count.argmax())
    result = wb.features.page(other_model, index, made_here, feature, n_effect=4)
    shown = result.contexts[0]
    assert shown.tokens == tokens.strings[shown.text][: shown.position + 9][-len(shown.tokens) :]
    assert np.isfinite(result.effect_kl).all() and (result.effect_kl > -1e-3).all()
    assert len(result.promoted) == 10
