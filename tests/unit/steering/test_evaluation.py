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


WAYS = ("flow", *PATH)
GAIN = "prompts"


def ways(unit: float = UNIT) -> dict[str, wb.Change]:
    """The same length along the flow, and all of it at each of its layers."""
    flows = {name: [layer] for layer, name in enumerate(PATH)}
    alone = {n: flow().change(unit, dicts=planted(), layers=at) for n, at in flows.items()}
    return {"flow": flow().change(unit, dicts=planted())} | alone


@cache
def compared(backend: str = "nnsight", **options: Any) -> wb.Effects:
    options = {"strengths": STRENGTHS, "n_controls": 1} | options
    asked = [(prompt, CONCEPT) for prompt in PROMPTS]
    return wb.steering.evaluate(
        tinyworld(backend), asked, ways(), elsewhere=others(3), progress=False, **options
    )


def row(result: wb.Effects, way: str, strength: float) -> int:
    return int(result.rows(change=way, strength=strength)[0])


def effect_at(result: wb.Effects, way: str, at: float | None = None, **of: Any) -> Any:
    """effect, low and high of a way at equal damage."""
    found = result.at_damage(at, **of).set_index("change").loc[way]
    return tuple(found[["effect", "effect_low", "effect_high"]])


def test_every_effect_and_damage_is_that_of_a_push_by_hand() -> None:
    result = compared()
    assert tuple(dict.fromkeys(result.changes["change"])) == WAYS
    kl, loss = (result[f"{name} elsewhere"] for name in ("KL", "loss"))
    ids = [tinyworld().tokenizer(word).input_ids[0] for word in CONCEPT]
    prompts, texts = rows_of(PROMPTS), rows_of(others(3))

    def effects(added: dict[str, float]) -> list[float]:
        rows = [pushed(row, added)[-1].softmax(-1) for row in prompts]
        return [float(row[ids].sum().log()) for row in rows]

    np.testing.assert_allclose(result[GAIN].plain, effects({}), atol=2e-3)
    plain = [pushed(row, {}).log_softmax(-1) for row in texts]
    for way, names in zip(WAYS, [PATH, *([name] for name in PATH)], strict=True):
        for strength in STRENGTHS:
            i = row(result, way, strength)
            added = {name: strength * UNIT / len(names) for name in names}
            np.testing.assert_allclose(result[GAIN].changed[i], effects(added), atol=2e-3)
            for t, ids_of in enumerate(texts):
                steered = pushed(ids_of, added).log_softmax(-1)
                far = (plain[t].exp() * (plain[t] - steered)).sum(-1).mean()
                assert kl.changed[i, t] == pytest.approx(float(far), rel=2e-3, abs=1e-4)
                each = [-float(steered[p, ids_of[p + 1]]) for p in range(len(ids_of) - 1)]
                assert loss.changed[i, t] == pytest.approx(np.mean(each), rel=2e-3, abs=1e-4)
    each = [-float(plain[0][i, texts[0][i + 1]]) for i in range(len(texts[0]) - 1)]
    assert loss.plain[0] == pytest.approx(np.mean(each), rel=1e-3)


def test_random_directions_are_of_the_same_length_and_drawn_by_the_seed() -> None:
    def kl(result: wb.Effects) -> Any:
        return result["KL elsewhere"]

    first, again = compared(), compared(seed=0)
    np.testing.assert_array_equal(kl(first).control, kl(again).control)
    other = compared(seed=1)
    np.testing.assert_array_equal(kl(other).changed, kl(first).changed)
    assert not np.allclose(kl(other).control, kl(first).control)
    both = compared(n_controls=2)
    # The first of two draws is the only one of before.
    drawn = np.array(both.controls["draw"])
    np.testing.assert_allclose(kl(both).control[drawn == 0], kl(first).control, atol=1e-5)
    assert not np.allclose(kl(both).control[drawn == 1], kl(first).control)
    # As long as the flow's push, so that damage is of one size; another direction by far more.
    assert 0.02 < kl(other).control[1].mean() / kl(other).changed[1].mean() < 50


def by_hand(harm: np.ndarray, gain: np.ndarray, at: float) -> float:
    """The most gain among many points of the line that have so much damage, over its root."""
    x, y, at = np.sqrt([0.0, *harm]), [0.0, *gain], np.sqrt(at)
    share = np.linspace(0, 1, 20_001)
    points = [
        (x[i] + share * (x[i + 1] - x[i]), y[i] + share * (y[i + 1] - y[i]))
        for i in range(len(x) - 1)
    ]
    return max(float(b[a <= at + 1e-12].max(initial=-np.inf)) for a, b in points)


def of_lines(harm: np.ndarray, gain: np.ndarray) -> wb.Effects:
    """A line (strength,) for each of the first ways, of one prompt and one text; harm is KL."""
    n_strengths, n = harm.shape
    keys = [(way, s + 1.0) for way in WAYS[:n] for s in range(n_strengths)]
    measures = [
        replace(m, plain=np.zeros(1), changed=v.T.reshape(-1, 1), control=np.zeros((0, 1)))
        for m, v in ((compared()[GAIN], gain), (compared()["KL elsewhere"], harm))
    ]
    changes = {"change": tuple(w for w, _ in keys), "strength": tuple(s for _, s in keys)}
    return replace(compared(), changes=changes, controls={}, measures=tuple(measures))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_reached_with_so_much_damage_is_the_best_point_of_the_line(seed: int) -> None:
    rng = np.random.default_rng(seed)
    harm, gain = rng.random((4, 3)), rng.standard_normal((4, 3))
    harm = np.sort(harm, 0) if seed % 2 else harm
    drawn = of_lines(harm, gain)
    for at in (0.0, 0.3, 0.7, 2.0):
        for column in range(3):
            found = effect_at(drawn, WAYS[column], at)[0]
            wanted = by_hand(harm[:, column], gain[:, column], at)
            assert found == pytest.approx(wanted, abs=1e-3)


def test_ways_are_compared_at_a_damage_that_all_of_them_reach() -> None:
    result = compared()
    means = result["KL elsewhere"].changed.mean(-1).reshape(len(WAYS), -1)
    at = min(float(means[w].max()) for w in range(len(WAYS)))
    assert result.equal_damage() == pytest.approx(at)
    one, table = result[GAIN], result.at_damage().set_index("change")
    gains = (one.changed - one.plain).mean(-1).reshape(len(WAYS), -1)
    for w, way in enumerate(WAYS):
        gain = gains[w]
        value, low, high = effect_at(result, way)
        assert value == pytest.approx(by_hand(means[w], gain, at), abs=1e-3)
        assert low - 1e-6 <= value <= high + 1e-6
        levels = [by_hand(means[w], gain, level) for level in np.linspace(0, at, 21)]
        area = np.mean([(a + b) / 2 for a, b in pairwise(levels)])
        assert table.loc[way, "area"] == pytest.approx(area, abs=1e-3)
        minus = effect_at(result, "flow")[0] - value
        assert table.loc[way, "minus"] == pytest.approx(minus, abs=1e-6)
    assert not table.loc["flow", ["minus", "minus_low", "minus_high"]].any()
    both = compared(measures=("log_probability", "probability"))
    assert [m.name for m in both.measures[:2]] == [f"{GAIN} log_probability", f"{GAIN} probability"]
    loss = both.effect("loss elsewhere")[both.rows(change=PATH[3]), 0]
    probability = np.exp(one.changed) - np.exp(one.plain)
    own = probability[both.rows(change=PATH[3])].mean(-1)
    value = effect_at(both, PATH[3], 0.05, damage="loss elsewhere", measure=f"{GAIN} probability")
    assert (loss > 0).all()
    assert value[0] == pytest.approx(by_hand(loss, own, 0.05), abs=1e-3)
    # A loss that falls is a negative damage, and always allowed.
    fallen = effect_at(of_lines(np.array([[-0.1], [0.3]]), np.array([[2.0], [5.0]])), "flow", 0.0)
    share = np.sqrt(0.1) / (np.sqrt(0.1) + np.sqrt(0.3))
    assert fallen[0] == pytest.approx(2 + 3 * share)


def test_the_way_that_reaches_most_is_first_whichever_it_is() -> None:
    result = compared()
    gain, kl = result[GAIN], result["KL elsewhere"]
    for winner in ("flow", PATH[2]):
        effect = np.tile(gain.plain, (len(result), 1))
        effect[result.rows(change=winner)] += 1.5
        rigged = (replace(gain, changed=effect), replace(kl, changed=np.full_like(kl.changed, 0.5)))
        best: Any = replace(result, measures=rigged).at_damage(beside="flow").set_index("change")
        assert best["effect"].idxmax() == winner
        assert best.loc[winner, "effect"] == pytest.approx(1.5, abs=1e-5)
        assert not best.drop(index=winner)["effect"].to_numpy().any()
        assert best.loc[PATH[0], "minus"] == pytest.approx(1.5 if winner == "flow" else 0, abs=1e-5)
        # From no push on the line rises evenly over the root of the damage: the mean of √x is ⅔.
        assert best.loc[winner, "area"] == pytest.approx(1.0, abs=0.02)


def test_the_table_has_means_and_intervals_and_the_result_is_saved(tmp_path: Any) -> None:
    result = compared()
    frame: Any = result.to_frame()
    assert len(frame) == 3 * len(WAYS) * len(STRENGTHS)
    lines = frame[(frame["change"] == PATH[1]) & (frame["strength"] == 3.0)]
    for _, line in lines.iterrows():
        measure = result[line["measure"]]
        wanted = (measure.changed[row(result, PATH[1], 3.0)] - measure.plain).mean()
        assert line["effect"] == pytest.approx(wanted, abs=1e-6)
        assert line["low"] - 1e-9 <= line["effect"] <= line["high"] + 1e-9
    assert list(lines["measure"]) == [GAIN, "loss elsewhere", "KL elsewhere"]
    result.save(tmp_path / "comparison")
    back = wb.Effects.load(tmp_path / "comparison")
    assert back.to_frame().equals(frame) and repr(back) == repr(result)


def test_both_backends_compare_alike() -> None:
    ours, theirs = compared(), compared("transformer_lens")
    for measure in ours.measures:
        for name in ("plain", "changed"):
            own, other = (getattr(m, name) for m in (measure, theirs[measure.name]))
            np.testing.assert_allclose(other, own, atol=5e-4)


def test_the_picture_has_a_line_for_each_way() -> None:
    result = compared(measures=("log_probability", "probability"))
    first, second = (m.name for m in result.measures[:2])
    for options in ({}, {"damage": "loss elsewhere", "measure": second}):
        ax = result.plot(**options)
        lines = ax.get_lines()
        # Each way and its controls, and two lines through 0 and through equal damage.
        assert len(lines) == 2 * len(WAYS) + 2
        legend = [text.get_text() for text in ax.get_legend().get_texts()]
        assert legend == ["flow", "random", *PATH]
        gain = result.effect(options.get("measure", first))[result.rows(change="flow"), 0]
        np.testing.assert_allclose(lines[0].get_ydata(), [0, *gain])
        at = result.equal_damage(options.get("damage", "KL elsewhere"))
        assert at in [line.get_xdata()[0] for line in lines]
        # A loss that fell is as far to the left as one that rose is to the right.
        root = ax.xaxis.get_transform().transform(np.array([-4.0, 4.0]))
        np.testing.assert_allclose(root, [-2.0, 2.0])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"strengths": ()}, r"Strengths are numbers above 0, ascending; got \(\)"),
        ({"strengths": (2, 1)}, r"ascending; got \(2\.0, 1\.0\)"),
        ({"strengths": (1, 2, 2)}, r"above 0, ascending; got \(1\.0, 2\.0, 2\.0\)"),
        ({"strengths": (0, 1)}, r"above 0, ascending; got \(0\.0, 1\.0\)"),
        ({"n_controls": 0}, "n_controls is a whole number from 1; got 0"),
        ({"questions": []}, "asks at least one question; got none"),
        ({"questions": [(PROMPTS[0], " Mary John")]}, "An answer is one token"),
        ({"elsewhere": [[5], [5, 6]]}, "A text elsewhere has at least two tokens"),
        ({"layers": 7}, r"A layer of the change 'flow' is one of \[0, 1, 2, 3\]; got 7"),
        ({"measures": "harm"}, "A measure is one of .*; got 'harm'"),
    ],
)
def test_options_that_do_not_fit_are_named(options: dict[str, Any], error: str) -> None:
    given: dict[str, Any] = {"questions": [(PROMPTS[0], CONCEPT)], "elsewhere": others(2)}
    given |= {"progress": False, "strengths": (1.0,)} | options
    questions = given.pop("questions")
    with pytest.raises(ValueError, match=error):
        wb.steering.evaluate(tinyworld(), questions, ways(), **given)


def test_a_change_in_single_layers_stands_beside_itself() -> None:
    push = {"flow": ways()["flow"]}
    asked = [(prompt, CONCEPT) for prompt in PROMPTS]
    result = wb.steering.evaluate(
        tinyworld(), asked, push, layers=(1, 3), strengths=(4.0,), elsewhere=others(2),
        n_controls=1, progress=False, others={"again": asked[:1]},
    )  # fmt: skip
    assert result.changes == {
        "change": ("flow",) * 3, "layer": (None, 1, 3), "strength": (4.0,) * 3
    }  # fmt: skip
    ids = [tinyworld().tokenizer(word).input_ids[0] for word in CONCEPT]
    for layer, i in ((1, 1), (3, 2)):
        for b, prompt in enumerate(rows_of(PROMPTS)):
            wanted = pushed(prompt, {PATH[layer]: UNIT})[-1].softmax(-1)[ids].sum().log()
            assert result[GAIN].changed[i, b] == pytest.approx(float(wanted), abs=2e-3)
    np.testing.assert_allclose(result["again"].changed, result[GAIN].changed[:, :1], atol=1e-5)


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
            trained = wb.features.train(
                model,
                stories,
                ["L1.resid_post", "L2.resid_post"],
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
        push = found.change(1.0, dicts=trained)
        results.append(
            wb.steering.evaluate(
                model,
                [("Once upon a time", " the")],
                {"flow": push} | {f"L{n}": found.change(dicts=trained, layers=n) for n in (1, 2)},
                strengths=(1.0,),
                n_controls=1,
                elsewhere=stories[:3],
                progress=False,
            )
        )
        steered = wb.steer(model, "Once upon a time", push.at(4), n_new=3)
        assert steered["KL next token"].changed[0, 0] > 0
    ours, theirs = results
    assert (ours["KL elsewhere"].changed > 0).all()
    kl = [each["KL elsewhere"].changed for each in (theirs, ours)]
    np.testing.assert_allclose(*kl, atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(theirs[GAIN].changed, ours[GAIN].changed, atol=1e-3)
