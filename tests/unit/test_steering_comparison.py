"""Ways to steer compared: each push made by hand, each summary recomputed point by point."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.steering_models import (
    CONCEPT,
    PATH,
    PROMPTS,
    flow,
    others,
    planted,
    pushed,
    rows_of,
    tinyworld,
)
from workbench.loading import load

UNIT = 2.0
STRENGTHS = (0.5, 3.0)


@cache
def compared(backend: str = "nnsight", **options: Any) -> wb.SteeringComparison:
    options = {"unit": UNIT, "strengths": STRENGTHS, "n_random": 1} | options
    return wb.compare_steering(
        tinyworld(backend),
        flow(),
        others(3),
        concept=CONCEPT,
        prompts=PROMPTS,
        dicts=planted(),
        batch_size=2,
        progress=False,
        **options,
    )


def test_every_effect_and_damage_is_that_of_a_push_by_hand() -> None:
    result = compared()
    assert result.ways == ("flow", *PATH, "random") and result.path == PATH
    assert result.concept == tuple(CONCEPT)
    ids = [tinyworld().tokenizer(word).input_ids[0] for word in CONCEPT]
    prompts, texts = rows_of(PROMPTS), rows_of(others(3))

    def effects(added: dict[str, float]) -> list[float]:
        rows = [pushed(row, added)[-1].softmax(-1) for row in prompts]
        return [float(row[ids].sum().log()) for row in rows]

    np.testing.assert_allclose(result.plain_effect, effects({}), atol=2e-3)
    plain = [pushed(row, {}).log_softmax(-1) for row in texts]
    for w, names in enumerate([PATH, *([name] for name in PATH)]):
        for s, strength in enumerate(STRENGTHS):
            added = {name: strength * UNIT / len(names) for name in names}
            np.testing.assert_allclose(result.effect[w, s], effects(added), atol=2e-3)
            for t, row in enumerate(texts):
                steered = pushed(row, added).log_softmax(-1)
                kl = (plain[t].exp() * (plain[t] - steered)).sum(-1).mean()
                assert result.kl[w, s, t] == pytest.approx(float(kl), rel=2e-3, abs=1e-4)
                each = [-float(steered[i, row[i + 1]]) for i in range(len(row) - 1)]
                assert result.loss[w, s, t] == pytest.approx(np.mean(each), rel=2e-3, abs=1e-4)
    each = [-float(plain[0][i, texts[0][i + 1]]) for i in range(len(texts[0]) - 1)]
    assert result.plain_loss[0] == pytest.approx(np.mean(each), rel=1e-3)


def test_random_directions_are_of_the_same_length_and_drawn_by_the_seed() -> None:
    first, again = compared(), compared(seed=0)
    np.testing.assert_array_equal(first.kl, again.kl)
    other = compared(seed=1)
    np.testing.assert_array_equal(other.kl[:-1], first.kl[:-1])
    assert not np.allclose(other.kl[-1], first.kl[-1])
    both = compared(n_random=2)
    # Of two draws the mean is shown, and the first of them is the only one of before.
    assert not np.allclose(both.kl[-1], first.kl[-1])
    # As long as the flow's push, so that damage is of one size; another direction by far more.
    assert 0.02 < other.kl[-1, 1].mean() / other.kl[0, 1].mean() < 50


def by_hand(harm: np.ndarray, gain: np.ndarray, at: float) -> float:
    """The most gain among many points of the line that have so much damage, over its root."""
    x, y, at = np.sqrt([0.0, *harm]), [0.0, *gain], np.sqrt(at)
    share = np.linspace(0, 1, 20_001)
    points = [
        (x[i] + share * (x[i + 1] - x[i]), y[i] + share * (y[i + 1] - y[i]))
        for i in range(len(x) - 1)
    ]
    return max(float(b[a <= at + 1e-12].max(initial=-np.inf)) for a, b in points)


def of_lines(harm: np.ndarray, gain: np.ndarray) -> wb.SteeringComparison:
    """A line (strength,) for each of the first ways, of one prompt and one text; harm is KL."""
    n_strengths, n = harm.shape
    kl, effect = np.zeros((2, len(compared().ways), n_strengths, 1))
    kl[:n, :, 0], effect[:n, :, 0] = harm.T, gain.T
    other = {"plain_effect": np.zeros(1), "plain_loss": np.zeros(1), "loss": np.zeros_like(kl)}
    return replace(
        compared(), strengths=np.arange(n_strengths) + 1.0, kl=kl, effect=effect, **other
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_is_reached_with_so_much_damage_is_the_best_point_of_the_line(seed: int) -> None:
    rng = np.random.default_rng(seed)
    harm, gain = rng.random((4, 3)), rng.standard_normal((4, 3))
    harm = np.sort(harm, 0) if seed % 2 else harm
    drawn = of_lines(harm, gain)
    for at in (0.0, 0.3, 0.7, 2.0):
        for column in range(3):
            found = drawn.effect_at(drawn.ways[column], at)[0]
            wanted = by_hand(harm[:, column], gain[:, column], at)
            assert found == pytest.approx(wanted, abs=1e-3)


def test_ways_are_compared_at_a_damage_that_all_of_them_reach() -> None:
    result = compared()
    means = result.kl.mean(-1)
    at = min(float(means[w].max()) for w in range(len(PATH) + 1))
    assert result.matched_damage() == pytest.approx(at)
    for w, way in enumerate(result.ways):
        gain = (result.effect[w] - result.plain_effect).mean(-1)
        value, low, high = result.effect_at(way)
        assert value == pytest.approx(by_hand(means[w], gain, at), abs=1e-3)
        assert low - 1e-6 <= value <= high + 1e-6
        levels = [by_hand(means[w], gain, level) for level in np.linspace(0, at, 21)]
        area = np.mean([(a + b) / 2 for a, b in pairwise(levels)])
        assert result.area(way)[0] == pytest.approx(area, abs=1e-3)
        minus = result.difference("flow", way)
        assert minus[0] == pytest.approx(result.effect_at("flow")[0] - value, abs=1e-6)
    assert result.difference("flow", "flow") == (0, 0, 0)
    loss = result.loss.mean(-1) - result.plain_loss.mean()
    probability = np.exp(result.effect) - np.exp(result.plain_effect)
    value = result.effect_at(PATH[3], 0.05, damage="loss", measure="probability")[0]
    assert (loss[4] > 0).all()
    assert value == pytest.approx(by_hand(loss[4], probability[4].mean(-1), 0.05), abs=1e-3)
    # A loss that falls is a negative damage, and always allowed.
    fallen = of_lines(np.array([[-0.1], [0.3]]), np.array([[2.0], [5.0]])).effect_at("flow", 0.0)
    share = np.sqrt(0.1) / (np.sqrt(0.1) + np.sqrt(0.3))
    assert fallen[0] == pytest.approx(2 + 3 * share)


def test_the_way_that_reaches_most_is_first_whichever_it_is() -> None:
    result = compared()
    rigged = np.tile(result.plain_effect, (6, 2, 1)).astype(np.float32)
    for winner in ("flow", PATH[2]):
        effect = rigged.copy()
        effect[result.ways.index(winner)] += 1.5
        made = replace(result, effect=effect, kl=np.full_like(result.kl, 0.5))
        best = made.best()
        assert made.winner() == winner == best.index[0]
        assert best.loc[winner, "effect"] == pytest.approx(1.5, abs=1e-5)
        assert not best.drop(index=winner)["effect"].to_numpy().any()
        assert best.loc[PATH[0], "flow_minus"] == pytest.approx(
            1.5 if winner == "flow" else 0, abs=1e-5
        )
        # From no push on the line rises evenly over the root of the damage: the mean of √x is ⅔.
        assert best.loc[winner, "area"] == pytest.approx(1.0, abs=0.02)
        assert f"of the concept at KL 0.5: {winner} 1.5, " in repr(made)


def test_the_table_has_means_and_intervals_and_the_result_is_saved(tmp_path: Any) -> None:
    result = compared()
    frame = result.to_frame()
    assert len(frame) == 6 * len(STRENGTHS)
    line = frame[(frame["way"] == PATH[1]) & (frame["strength"] == 3.0)].iloc[0]
    assert line["kl"] == pytest.approx(result.kl[2, 1].mean())
    assert line["effect"] == pytest.approx((result.effect[2, 1] - result.plain_effect).mean())
    assert line["probability"] == pytest.approx(np.exp(result.effect[2, 1]).mean(), rel=1e-5)
    assert line["loss"] == pytest.approx((result.loss[2, 1] - result.plain_loss).mean(), abs=1e-6)
    for name in ("effect", "probability", "kl", "loss"):
        assert line[f"{name}_low"] - 1e-9 <= line[name] <= line[f"{name}_high"] + 1e-9
    result.save(tmp_path / "comparison")
    back = wb.SteeringComparison.load(tmp_path / "comparison")
    assert back.to_frame().equals(frame) and repr(back) == repr(result)


def test_both_backends_compare_alike() -> None:
    ours, theirs = compared(), compared("transformer_lens")
    for name in ("plain_effect", "effect", "plain_loss", "loss", "kl"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), atol=5e-4)


def test_the_unit_is_measured_on_the_texts_where_none_is_given() -> None:
    result = compared(unit=None, strengths=(1.0,))
    assert result.unit == pytest.approx(_typical(), rel=1e-5)


def _typical() -> float:
    options: Any = {"dicts": planted(), "texts": others(3), "n": 1}
    return float(np.mean([wb.steer(tinyworld(), PROMPTS, f, **options).unit for f in PATH]))


def test_the_picture_has_a_line_for_each_way() -> None:
    result = compared()
    for options in ({}, {"damage": "loss", "measure": "probability"}):
        ax = result.plot(**options)
        lines = ax.get_lines()
        assert len(lines) == len(result.ways) + 2
        legend = [text.get_text() for text in ax.get_legend().get_texts()]
        assert legend[0] == "spread along the flow" and legend[1] == f"all at {PATH[0]}"
        gain = result.gain(options.get("measure", "log_probability")).mean(-1)
        np.testing.assert_allclose(lines[0].get_ydata(), [0, *gain[0]])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"strengths": ()}, r"Strengths are numbers above 0, ascending; got \(\)"),
        ({"strengths": (2, 1)}, r"ascending; got \(2\.0, 1\.0\)"),
        ({"strengths": (1, 2, 2)}, r"above 0, ascending; got \(1\.0, 2\.0, 2\.0\)"),
        ({"strengths": (0, 1)}, r"above 0, ascending; got \(0\.0, 1\.0\)"),
        ({"n_random": 0}, "n_random is a whole number from 1; got 0"),
        ({"unit": -1.0}, r"unit is a finite number above 0 or None; got -1\.0"),
        ({"concept": []}, "A concept is at least one token"),
        ({"concept": " Mary John"}, "A word of the concept is one token"),
        ({"texts": []}, "needs at least one; got none"),
        ({"texts": [[5], [5, 6]]}, "a text has at least two tokens; text 0 has one"),
        ({"batch_size": 0}, "batch_size is a whole number from 1; got 0"),
    ],
)
def test_options_that_do_not_fit_are_named(options: dict[str, Any], error: str) -> None:
    given: dict[str, Any] = {"texts": others(2), "concept": CONCEPT, "prompts": PROMPTS}
    given |= {"dicts": planted(), "unit": UNIT, "progress": False, "strengths": (1.0,)} | options
    texts = given.pop("texts")
    with pytest.raises(ValueError, match=error):
        wb.compare_steering(tinyworld(), flow(), texts, **given)


def test_a_flow_of_one_layer_and_unknown_words_are_refused() -> None:
    short = wb.feature_flow(planted(), "L0.resid_post/0")
    with pytest.raises(ValueError, match=r"at least two; this one is L0\.resid_post/0"):
        wb.compare_steering(
            tinyworld(), short, others(2), concept=CONCEPT, prompts=PROMPTS, dicts=planted()
        )
    with pytest.raises(ValueError, match="The ways compared are flow, .*; got 'L9'"):
        compared().effect_at("L9")
    with pytest.raises(ValueError, match="The damage is one of kl, loss; got 'harm'"):
        compared().best(damage="harm")
    with pytest.raises(ValueError, match="The effect is one of .*; got 'logits'"):
        compared().best(measure="logits")


def test_a_llama_that_others_trained_is_steered_along_trained_dictionaries(
    asset: Callable[..., Path],
) -> None:
    folder = asset("models", "stories260K")
    rows = json.loads(asset("corpora", "tinystories_1000.json").read_text(encoding="utf-8"))
    # Whole stories are longer than a first look needs.
    stories = [story[:200] for story in (rows if isinstance(rows, list) else rows["texts"])[:40]]
    results, trained = [], None
    for backend in ("nnsight", "transformer_lens"):
        model = load(folder, backend=backend, device="cpu")
        if trained is None:
            trained = wb.train_dictionaries(
                model,
                ["L1.resid_post", "L2.resid_post"],
                stories,
                n_features=96,
                k=8,
                steps=40,
                batch_size=128,
                buffer_size=1024,
                progress=False,
            )
        matches = wb.features.match(trained, progress=False)
        best = matches.similarity[0, matches.starts[1] :, 0].argmax()
        name = f"L2.resid_post/{best}"
        found = wb.feature_flow(trained, name, thresholds="chance", min_similarity=-1)
        assert len(found.path()) == 2
        results.append(
            wb.compare_steering(
                model,
                found,
                stories[:3],
                concept=[" the"],
                prompts=["Once upon a time"],
                dicts=trained,
                strengths=(1.0,),
                unit=1.0,
                n_random=1,
                progress=False,
            )
        )
        steered = wb.steer(model, "Once upon a time", found, dicts=trained, unit=1.0, n=3)
        assert steered.kl[0] > 0 and steered.total == pytest.approx(4.0)
    ours, theirs = results
    assert (ours.kl > 0).all() and ours.path == found.path()
    np.testing.assert_allclose(theirs.kl, ours.kl, atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(theirs.effect, ours.effect, atol=1e-3)
