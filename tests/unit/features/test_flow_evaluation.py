"""Testing a flow by its causes, each trial repeated by hand as a run of its own."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.flow_models import TEXTS, codes, dictionaries, made, model
from workbench.edits import Set, UnchangedEdit
from workbench.site import Site

pytestmark = pytest.mark.filterwarnings("ignore:A threshold lies above what chance")
evaluate_flow = wb.features.evaluate_flow
ROOTS = ["L2.resid_post/3", "L2.resid_post/6", "L1.resid_post/0"]
FACTOR, SAMPLES = 0.25, 2
#: Who is rescaled: the changes, and the control.
ARMS = ("flow", "correlation", "permutation", "random")


@cache
def flow() -> wb.features.FeatureFlow:
    return wb.feature_flow(dictionaries(), ROOTS, min_similarity=-1)


@cache
def matches() -> wb.features.FeatureMatches:
    return wb.features.match(dictionaries(), thresholds=0.3, progress=False)


@cache
def evaluated(backend: str = "nnsight") -> wb.Effects:
    return evaluate_flow(
        model(backend),
        TEXTS,
        flow(),
        dicts=dictionaries(),
        factor=FACTOR,
        n_samples=SAMPLES,
        methods=("correlation", "permutation"),
        progress=False,
    )


def value(result: wb.Effects, measure: str, change: str) -> np.ndarray:
    """(edge,) a measure of every edge under a change, or the control."""
    one = result[measure]
    at = None if change == "random" else result.rows(change=change, lane="all")[0]
    return one.control[0] if at is None else one.changed[at]


def sampled(result: wb.Effects) -> list[list[int]]:
    """Of every edge the numbers of the texts in which it was tested."""
    return [[int(text) for text in each.split()] for each in result.examples["texts"]]


def encoded(feature: str, x: torch.Tensor) -> torch.Tensor:
    dictionary, number = dictionaries().feature(feature)
    return dictionary.encode(x)[..., number]


def loss(logits: torch.Tensor, ids: torch.Tensor) -> float:
    return float(torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]))


def by_hand(source: str, target: str, text: str, factor: float) -> dict[str, float]:
    """One trial: two runs, the change written into the activation in between."""
    sites = [Site.parse(name).whole for name in (source, target)]
    tokens = model().tokens(text)
    plain = model().run(tokens, read=sites)
    before = encoded(target, plain[sites[1]][0])
    dictionary, number = dictionaries().feature(source)
    x = plain[sites[0]][0]
    change = (factor - 1) * encoded(source, x)[:, None] * dictionary.W_dec[number]
    if dictionary.normalization.scale == "factor":
        change = change / dictionary.normalization.factor
    on = before > 0
    edit = Set(sites[0], x + change * on[:, None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnchangedEdit)
        changed = model().run(tokens, read=sites[1], edits=edit)
    after = encoded(target, changed[sites[1]][0])
    return {
        "active": int(on.sum()),
        "before": float(before.sum()),
        "after": float(after[on].sum()),
        "fallen": int((after[on] < before[on] / 2).sum()),
        "loss": loss(changed.logits, tokens.ids) - loss(plain.logits, tokens.ids),
    }


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_every_trial_is_a_run_of_its_own(backend: str) -> None:
    result = evaluated(backend)
    assert result.changes["change"][:3] == ("flow", "correlation", "permutation")
    about: Any = result.examples
    assert set(about["lane of the edge"]) == {"resid", "mlp", "attn"}
    n_trials = 0
    for e, target in enumerate(about["target"]):
        for name in ARMS:
            own, texts = about[name][e], sampled(result)[e]
            if not own or not texts:
                assert np.isnan(value(result, "drop", name)[e])
                continue
            factor = FACTOR
            if name == "random":
                factor = 1 + about["strength of random"][e] * (FACTOR - 1)
            each = [by_hand(own, target, TEXTS[text], factor) for text in texts]
            assert all(one["active"] > 0 for one in each)
            wanted = {key: sum(one[key] for one in each) for key in each[0]}
            assert about["n_positions"][e] == wanted["active"]
            drop = 1 - wanted["after"] / wanted["before"]
            assert value(result, "drop", name)[e] == pytest.approx(drop, rel=1e-3, abs=1e-4)
            fallen = wanted["fallen"] / wanted["active"]
            assert value(result, "fallen", name)[e] == pytest.approx(fallen, abs=1e-12)
            assert value(result, "loss", name)[e] == pytest.approx(
                wanted["loss"] / len(each), abs=2e-5
            )
            n_trials += len(each)
        if n_trials > 80 and backend != "nnsight":
            break  # as a whole it is compared below
    assert n_trials > 80
    # Some targets fall, and some rise.
    drops = result["drop"].changed
    assert np.nanmax(drops) > 0.01 and np.nanmin(drops) < -0.01


def test_both_backends_give_the_same_validation() -> None:
    one, other = evaluated(), evaluated("transformer_lens")
    names = ("target", "texts", *ARMS)
    assert [one.examples[n] for n in names] == [other.examples[n] for n in names]
    for mine, theirs in zip(one.measures, other.measures, strict=True):
        for name in ("changed", "control"):
            np.testing.assert_allclose(
                getattr(mine, name), getattr(theirs, name), rtol=1e-3, atol=1e-4, equal_nan=True
            )


def test_a_model_in_bfloat16_is_validated_too() -> None:
    from tests.unit.lens_models import words_model

    found = wb.feature_flow(dictionaries(), ROOTS[0], direction="back", depth=1, min_similarity=-1)
    options: dict[str, Any] = {"dicts": dictionaries(), "progress": False, "methods": ()}
    plain = evaluate_flow(model(), TEXTS[:3], found, **options)
    short = evaluate_flow(words_model("nnsight", "bfloat16"), TEXTS[:3], found, **options)
    drops = [value(result, "drop", "flow") for result in (plain, short)]
    both = np.isfinite(drops).all(0)
    assert both.any()
    np.testing.assert_allclose(drops[1][both], drops[0][both], atol=0.1)


def activity(source_site: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """(feature,) of a dictionary where a target is active: how often, and how much it writes."""
    site, number = target.split("/")
    on = codes(site)[:, int(number)] > 0
    dictionary = dictionaries()[source_site]
    rows = dictionary.W_dec.double().norm(dim=-1).numpy() / dictionary.normalization.factor
    there = codes(source_site)[on]
    return (there > 0).mean(0), there.mean(0) * rows


def test_edges_are_those_of_the_flow_and_their_samples_are_texts_with_an_active_target() -> None:
    result, graph = evaluated(), flow()
    wanted = {
        (graph.ids[s], graph.ids[t]): w
        for s, t, w in zip(graph.sources, graph.targets, graph.weights, strict=True)
    }
    pairs = list(zip(result.examples["flow"], result.examples["target"], strict=True))
    assert set(pairs) == set(wanted) and len(pairs) == len(wanted)
    np.testing.assert_allclose(result.examples["similarity"], [wanted[pair] for pair in pairs])
    lengths = [len(model().tokens(text).ids[0]) for text in TEXTS]
    ends = np.cumsum(lengths)
    for e, target in enumerate(result.examples["target"]):
        site, number = target.split("/")
        on = codes(site)[:, int(number)] > 0
        active = {i for i, end in enumerate(ends) if on[end - lengths[i] : end].any()}
        texts = sampled(result)[e]
        assert set(texts) <= active and len(texts) == min(SAMPLES, len(active))
        assert texts == sorted(set(texts))


def test_correlation_arm_is_the_most_correlated_feature_of_the_same_dictionary() -> None:
    result = evaluated()
    for e, target in enumerate(result.examples["target"]):
        if not sampled(result)[e]:
            continue
        source = result.examples["flow"][e].split("/")[0]
        site, number = target.split("/")
        own = codes(site)[:, int(number)]
        others = codes(source)
        pearson = [
            np.corrcoef(own, column)[0, 1] if column.std() > 0 else -2.0 for column in others.T
        ]
        assert result.examples["correlation"][e] == f"{source}/{int(np.argmax(pearson))}"


def test_permutation_arm_is_the_match_of_the_permutation() -> None:
    result = evaluated()
    found = wb.features.match(dictionaries(), method="permutation", progress=False)
    for e, target in enumerate(result.examples["target"]):
        best = found.of(target, result.examples["lane of the edge"][e])
        if sampled(result)[e]:
            assert result.examples["permutation"][e] == (best[0][0] if best else "")


def test_the_control_is_one_of_the_five_of_closest_activity_and_writes_as_much() -> None:
    result = evaluated()
    seen = 0
    for e, target in enumerate(result.examples["target"]):
        if not sampled(result)[e]:
            continue
        source, own = result.examples["flow"][e].split("/")
        rate, length = activity(source, target)
        names = [result.examples[name][e] for name in ARMS]
        arms = [int(name.split("/")[1]) if name else -1 for name in names]
        small = 1e-3 * max(length.max(), 1e-12)
        apart = np.abs(rate - rate[int(own)])
        apart += np.abs(np.log((length + small) / (length[int(own)] + small)))
        left = [i for i in np.argsort(apart, kind="stable") if i not in arms[:3]]
        control = arms[3]
        assert control in left[:5]
        for a, number in enumerate(arms):
            if number < 0:
                continue
            own_rate = value(result, "rate", ARMS[a])[e]
            assert own_rate == pytest.approx(rate[number], abs=1e-5)
            factor = 1.0
            if a == 3 and length[control] > 0:
                factor = float(np.clip(length[int(own)] / length[control], 1 / 3, 3))
                strength = result.examples["strength of random"][e]
                assert strength == pytest.approx(factor, rel=1e-4)
            change = (1 - FACTOR) * factor * length[number]
            own_length = value(result, "length", ARMS[a])[e]
            assert own_length == pytest.approx(change, rel=1e-4, abs=1e-7)
        seen += 1
    assert seen > 8


def test_matches_are_tested_by_their_best_edges_above_the_threshold() -> None:
    options: dict[str, Any] = {"dicts": dictionaries(), "n_samples": 1, "progress": False}
    result = evaluate_flow(model(), TEXTS, matches(), n_edges=5, loss=False, **options)
    lanes = result.examples["lane of the edge"]
    assert [lanes.count(lane) for lane in ("resid", "mlp", "attn")] == [5, 5, 5]
    assert result.what.startswith("15 edges by cosine") and result.what.endswith("or × 0")
    assert [one.name for one in result.measures] == ["drop", "fallen", "rate", "length"]
    for e, target in enumerate(result.examples["target"]):
        best, similarity = matches().of(target, lanes[e])[0]
        assert result.examples["flow"][e] == best and similarity >= 0.3
        assert result.examples["similarity"][e] == pytest.approx(similarity)
    again = evaluate_flow(model(), TEXTS, matches(), n_edges=5, loss=False, **options)
    assert again.examples == result.examples
    for one, same in zip(result.measures, again.measures, strict=True):
        np.testing.assert_array_equal(same.changed, one.changed)
        np.testing.assert_array_equal(same.control, one.control)
    other = evaluate_flow(model(), TEXTS, matches(), n_edges=5, loss=False, seed=1, **options)
    assert other.examples["target"] != result.examples["target"]


def test_other_matches_may_be_given_to_compare_with() -> None:
    by_text = wb.features.match(
        dictionaries(), method="correlation", model=model(), texts=TEXTS, progress=False
    )
    options: dict[str, Any] = {"dicts": dictionaries(), "n_samples": 1, "progress": False}
    result = evaluate_flow(model(), TEXTS, flow(), methods=(by_text,), loss=False, **options)
    plain = evaluate_flow(model(), TEXTS, flow(), loss=False, **options)
    assert result.changes["change"][:2] == plain.changes["change"][:2] == ("flow", "correlation")
    assert result.examples["correlation"] == plain.examples["correlation"]
    with pytest.raises(ValueError, match="compared once; got correlation, correlation"):
        evaluate_flow(model(), TEXTS, flow(), methods=(by_text, "correlation"), **options)
    with pytest.raises(ValueError, match="'permutation' or a FeatureMatches; got .'cos'"):
        evaluate_flow(model(), TEXTS, flow(), methods=("cos",), **options)  # type: ignore[arg-type]


def test_a_transcoder_and_a_dictionary_of_resid_pre_are_tested_where_they_write() -> None:
    W_in = torch.randn(32, 10, generator=torch.Generator().manual_seed(5))
    base = made("L1.mlp_out", 10, 5)
    transcoder = replace(base, site="L1.mlp_in", out_site="L1.mlp_out")
    target = dictionaries()["L1.resid_post"]
    renamed = replace(target, site="L2.resid_pre", out_site="L2.resid_pre")
    entering = replace(
        dictionaries()["L0.resid_post"], site="L1.resid_pre", out_site="L1.resid_pre"
    )
    found = wb.feature_flow([transcoder, renamed, entering], "L2.resid_pre/0", min_similarity=-1)  # pyright: ignore
    options: dict[str, Any] = {"n_samples": 2, "progress": False, "methods": (), "loss": False}
    result = evaluate_flow(model(), TEXTS, found, dicts=[transcoder, renamed, entering], **options)  # pyright: ignore
    assert W_in.shape == (32, 10) and result.changes["lane"] == ("all", "resid", "mlp")
    named = [transcoder, target, dictionaries()["L0.resid_post"]]
    same = evaluate_flow(
        model(),
        TEXTS,
        wb.feature_flow(named, "L1.resid_post/0", min_similarity=-1),  # pyright: ignore
        dicts=named,  # pyright: ignore
        **options,
    )
    # The same places under their other names.
    for name in ARMS[::3]:
        drops = [value(each, "drop", name) for each in (result, same)]
        np.testing.assert_allclose(*drops, rtol=1e-5)
    e = result.examples["lane of the edge"].index("mlp")
    number = int(result.examples["flow"][e].split("/")[1])
    sums = np.zeros(2)
    for text in sampled(result)[e]:
        run = model().run(TEXTS[text], read=["L1.mlp_in", "L1.mlp_out", "L1.resid_post"])
        before = target.encode(run["L1.resid_post"])[0, :, 0]
        code = transcoder.encode(run["L1.mlp_in"])[0, :, number]
        x = run["L1.mlp_out"][0] - ((before > 0) * code)[:, None] * transcoder.W_dec[number]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnchangedEdit)
            changed = model().run(TEXTS[text], read="L1.resid_post", edits=Set("L1.mlp_out", x))
        after = target.encode(changed["L1.resid_post"])[0, :, 0]
        sums += [float(x[before > 0].sum()) for x in (before, after)]
    assert value(result, "drop", "flow")[e] == pytest.approx(1 - sums[1] / sums[0], abs=1e-3)


def test_silent_targets_are_left_out_and_said(tmp_path: Path) -> None:
    names = ["L2.resid_post/3", "L2.resid_post/23"]  # the second never fires
    found = wb.feature_flow(dictionaries(), names, direction="back", depth=1, min_similarity=-1)
    options: dict[str, Any] = {"dicts": dictionaries(), "n_samples": 2, "progress": False}
    result = evaluate_flow(model(), TEXTS, found, loss=False, **options)
    assert "6 edges by cosine, 3 of them silent in the texts" in repr(result)
    silent = [target.endswith("/23") for target in result.examples["target"]]
    drop = result["drop"]
    assert np.isnan(drop.changed[:, silent]).all() and np.isnan(drop.control[:, silent]).all()
    assert np.isfinite(value(result, "drop", "flow")[np.logical_not(silent)]).all()
    result.save(tmp_path / "evaluation")
    again = wb.Effects.load(tmp_path / "evaluation")
    assert repr(again) == repr(result) and again.examples == result.examples
    only = wb.feature_flow(dictionaries(), names[1], direction="back", depth=1, min_similarity=-1)
    with pytest.raises(ValueError, match="None of the 3 targets is active in the 6 texts"):
        evaluate_flow(model(), TEXTS, only, **options)


def test_what_does_not_fit_is_refused() -> None:
    run: Any = evaluate_flow
    given: dict[str, Any] = {"dicts": dictionaries(), "progress": False}
    for options, text in (
        ({"factor": 1}, "factor is a number other than 1, which would change nothing; got 1"),
        ({"factor": float("nan")}, "got nan"),
        ({"n_edges": 0}, "n_edges is a whole number from 1 or None; got 0"),
        ({"n_samples": True}, "n_samples is a whole number from 1; got True"),
        ({"dicts": None}, "no dictionaries ship for 'words'. Give dicts="),
        ({"dicts": dictionaries().only("resid_post")}, "the dictionaries that it was made of"),
    ):
        with pytest.raises(ValueError, match=text):
            run(model(), TEXTS, flow(), **given | options)
    with pytest.raises(TypeError, match="flow is a FeatureFlow or a FeatureMatches; got"):
        run(model(), TEXTS, "L1.resid_post/5", **given)
    with pytest.raises(TypeError, match="Texts are a list of texts.*wb.read_texts"):
        run(model(), iter(TEXTS), flow(), **given)
    none = wb.feature_flow(dictionaries(), ROOTS[0], thresholds=0.99)
    with pytest.raises(ValueError, match="has none that reach its thresholds. Lower them"):
        run(model(), TEXTS, none, **given)
    other = dictionaries().to(dtype=torch.float64)
    changed = [replace(d, b_dec=d.b_dec + 1) for d in other.values()]
    with pytest.raises(ValueError, match="of other sites or other weights"):
        run(model(), TEXTS, flow(), **given | {"dicts": changed})


def test_dictionaries_trained_on_stories260k_flow_the_same_on_both_backends(assets: Path) -> None:
    from workbench.loading import load

    told = [
        "Once upon a time there was a little girl named Lily. She liked to play.",
        "Tom had a big red ball. He went to the park with his mom and played.",
        "The dog ran to the tree and saw a bird. The bird was happy.",
    ]
    folder = assets / "models" / "stories260K"
    both = [load(folder, backend=b, device="cpu") for b in ("nnsight", "transformer_lens")]
    sites = ("L1.resid_post", "L2.resid_post", "L2.mlp_out", "L2.attn_out")
    dicts = wb.features.train(
        both[0], told, sites, n_features=48, k=6, steps=40, batch_size=64, progress=False
    )
    results = []
    for one in both:
        found = wb.features.match(
            dicts, method="correlation", model=one, texts=told, progress=False
        )
        results.append(
            evaluate_flow(one, told, found, dicts=dicts, n_edges=4, n_samples=2, progress=False)
        )
    first, second = results
    names = ("target", "texts", "flow", "correlation", "random")
    assert [first.examples[n] for n in names] == [second.examples[n] for n in names]
    assert first.changes["lane"][::2] == ("all", "resid", "mlp", "attn")
    assert " by correlation" in first.what
    for measure in ("drop", "loss"):
        for name in ("flow", "correlation", "random"):
            pair = value(first, measure, name), value(second, measure, name)
            np.testing.assert_allclose(*pair, rtol=1e-3, atol=1e-4)
    assert np.nanmax(value(first, "drop", "flow")) > 0.05
