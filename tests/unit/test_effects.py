"""Effects: every reading of a small table against slow loops, and what its intervals promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.unit.kernels import marks
from workbench.effects import Effects, Measure, table_of

RNG = np.random.default_rng(0)
N = 9
WHERE: dict[str, Any] = {
    "model": "m", "revision": "", "versions": {}, "seed": 3, "tokens": ((" a",),) * N, "what": "x"
}  # fmt: skip


def made(measures: Any, changes: Any, controls: Any = None, **more: Any) -> Effects:
    return Effects(
        **{**WHERE, **more}, changes=changes, controls=controls or {}, measures=tuple(measures)
    )


@pytest.fixture(scope="module")
def pushes() -> Effects:
    """Two changes at three strengths, each with four draws, a gain and a damage."""
    keys = [(name, t) for name in ("a", "b") for t in (1.0, 2.0, 3.0)]
    drawn = [
        (name, "random", i, t) for name in ("a", "b") for i in range(4) for t in (1.0, 2.0, 3.0)
    ]
    strength = np.array([t for _, t in keys])
    plain = RNG.normal(size=N)
    gain = plain + strength[:, None] * np.repeat([1.0, 0.5], 3)[:, None] + RNG.normal(size=(6, N))
    of_draws = plain + 0.3 * RNG.normal(size=(24, N))
    harm = 0.02 * strength[:, None] ** 2 * (1 + RNG.random((6, N)))
    harm_of_draws = (
        0.02 * np.array([t for *_, t in drawn])[:, None] ** 2 * (1 + RNG.random((24, N)))
    )
    return made(
        [
            Measure("gain", "nats", plain, gain, of_draws),
            Measure("KL elsewhere", "nats", np.zeros(N), harm, harm_of_draws, damage=True),
        ],
        table_of(("change", "strength"), keys),
        table_of(("change", "kind", "draw", "strength"), drawn),
    )


def test_a_line_is_the_means_and_the_controls_of_its_labels(pushes):
    frame = pushes.to_frame()
    assert list(frame.columns) == [
        "measure", "change", "strength", "n", "plain", "changed", "changed_low", "changed_high",
        "effect", "low", "high", "kind", "control", "control_low", "control_high", "beyond",
        "excess", "excess_low", "excess_high",
    ]  # fmt: skip
    assert len(frame) == 12
    gain = pushes["gain"]
    for i, line in enumerate(frame[frame.measure == "gain"].itertuples()):
        effect = gain.changed[i].mean() - gain.plain.mean()
        rows = [
            r
            for r in range(24)
            if (pushes.controls["change"][r], pushes.controls["strength"][r])
            == (line.change, line.strength)
        ]
        controls = [gain.control[r].mean() - gain.plain.mean() for r in rows]
        assert len(rows) == 4 and line.n == N
        assert line.effect == pytest.approx(effect)
        assert line.control == pytest.approx(np.mean(controls))
        assert line.beyond == np.mean([abs(c) < abs(effect) for c in controls])
        assert line.excess == pytest.approx(effect - np.mean(controls))
        assert line.low < line.effect < line.high
        assert line.changed_low < line.changed < line.changed_high


def test_the_interval_of_an_effect_is_that_of_paired_differences(pushes):
    gain = pushes["gain"]
    drawn = np.random.default_rng(3).integers(N, size=(2000, N))
    each = (gain.changed[4] - gain.plain)[drawn].mean(-1)
    assert pushes.score("gain", change="b", strength=2.0) == pytest.approx(
        ((gain.changed[4] - gain.plain).mean(), *np.quantile(each, [0.025, 0.975]))
    )


def test_the_excess_takes_one_draw_of_the_controls_a_resample(pushes):
    values = pushes.excess("gain", draws=400)
    effect = pushes.effect("gain", draws=400)
    controls = pushes.effect("gain", of="controls", draws=400)
    left = effect[0] - values[0]
    own = controls[[0, 3, 6, 9]]
    assert left[0] == pytest.approx(own[:, 0].mean())
    # Every resample has the effect of one of the four, and none of them always.
    nearest = np.abs(own[:, 1:] - left[1:]).argmin(0)
    assert np.abs(own[:, 1:] - left[1:]).min(0).max() < 1e-12
    assert set(nearest) == {0, 1, 2, 3}


def excluded(own_draw: bool) -> float:
    """How often the excess of a change that is one of the controls leaves 0."""
    rng = np.random.default_rng(7)
    out, n_sims, n_draws, n = 0, 200, 20, 24
    for seed in range(n_sims):
        plain = rng.normal(size=n)
        # A direction has an effect of its own on every example, and a common one.
        each = plain + rng.normal(size=(n_draws + 1, 1)) + 0.5 * rng.normal(size=(n_draws + 1, n))
        measure = Measure("m", "nats", plain, each[:1], each[1:])
        effects = made(
            [measure],
            {"change": ("own",)},
            table_of(("change", "kind", "draw"), [("own", "random", i) for i in range(n_draws)]),
            seed=seed,
        )
        if own_draw:
            _, low, high = effects.score(excess=True, draws=400)
        else:
            controls = effects.effect(of="controls", draws=400).mean(0)
            low, high = np.quantile((effects.effect(draws=400)[0] - controls)[1:], [0.025, 0.975])
        out += not low <= 0 <= high
    return out / n_sims


def test_a_random_change_is_seldom_beyond_its_controls():
    assert excluded(own_draw=True) <= 0.10
    # The interval around the mean of the draws, which it replaced, is wrong most of the time.
    assert excluded(own_draw=False) > 0.30


def test_a_scale_is_a_ratio_of_means_and_its_ends_are_no_lines():
    plain, empty, inside = np.full(N, 4.0), RNG.normal(size=N), RNG.normal(2, 1, size=N)
    control = RNG.normal(1, 1, size=(3, N))
    effects = made(
        [Measure("ioi", "logits", plain, np.stack([empty, inside]), control)],
        {"change": ("empty", "inside")},
        table_of(("change", "kind", "draw"), [("inside", "random", i) for i in range(3)]),
    ).scaled("empty", "plain")
    line = effects.to_frame().iloc[0]
    share = (inside.mean() - empty.mean()) / (4.0 - empty.mean())
    of_controls = (control.mean(1) - empty.mean()) / (4.0 - empty.mean())
    assert line.change == "inside" and line.effect == pytest.approx(share)
    assert line.beyond == np.mean(abs(1 - of_controls) > abs(1 - share))
    assert np.isnan(effects.scaled("empty", "plain", smallest=1e6).to_frame().effect).all()


def test_a_ratio_is_one_of_sums_also_on_a_scale_and_its_examples_have_their_own(tmp_path):
    tokens = RNG.integers(2, 9, size=N).astype(float)
    plain, zero, spliced = tokens * 2, tokens * RNG.normal(5, 0.2, N), tokens * RNG.normal(3, 1, N)
    control = tokens * RNG.normal(3, 1, size=(2, N))
    measure = Measure(
        "loss", "nats a token", plain, np.stack([zero, spliced]), control,
        sums=tokens[None, :, None], statistic="ratio",
    )  # fmt: skip
    table = {"change": ("zero", "spliced")}, {"kind": ("random",) * 2, "draw": (0, 1)}
    effects = made([measure], *table)
    line = effects.to_frame().iloc[1]
    n = tokens.sum()
    assert line.plain == pytest.approx(2.0) and line.changed == pytest.approx(spliced.sum() / n)
    assert line.effect == pytest.approx((spliced - plain).sum() / n)
    drawn = np.random.default_rng(3).integers(N, size=(2000, N))
    each = (spliced - plain)[drawn].sum(1) / tokens[drawn].sum(1)
    assert (line.low, line.high) == pytest.approx(tuple(np.quantile(each, [0.025, 0.975])))
    assert line.changed_low < line.changed < line.changed_high
    of_controls = effects.effect(of="controls")[:, 0]
    assert of_controls == pytest.approx((control - plain).sum(1) / n)
    examples = effects.to_frame("examples")
    own = examples[examples.change == "spliced"]
    np.testing.assert_allclose(own.changed, spliced / tokens)
    np.testing.assert_allclose(own.effect, (spliced - plain) / tokens)
    scaled = effects.scaled("zero", "plain", smallest=0.5)
    share = (zero - spliced).sum() / (zero - plain).sum()
    assert scaled.score(change="spliced")[0] == pytest.approx(share)
    # The way is 3 nats a token.
    assert np.isnan(effects.scaled("zero", "plain", smallest=4.0).score(change="spliced")[0])
    assert np.isnan(effects.scaled("plain", "plain").score(change="spliced")[0])
    effects.save(tmp_path / "effects")
    assert Effects.load(tmp_path / "effects").to_frame().equals(effects.to_frame())


def test_the_sums_of_a_statistic_are_as_many_as_it_takes():
    given = "m", "", np.zeros(N), np.zeros((2, N)), np.zeros((1, N))
    with pytest.raises(ValueError, match=r"A ratio of 3 changes and controls has .* \(1 or 3, "):
        Measure(*given, sums=np.ones((2, N, 1)), statistic="ratio")
    with pytest.raises(ValueError, match=r"example, 4\); got \(1, 9, 1\)"):
        Measure(*given, sums=np.ones((1, N, 1)), statistic="slope")
    with pytest.raises(ValueError, match="statistic is one of 'mean', 'ratio', 'slope', 'corr"):
        Measure(*given, statistic="median")


def test_a_scale_has_the_ends_of_each_other_label():
    keys = [("empty", "zero"), ("empty", "mean"), ("inside", "zero"), ("inside", "mean")]
    changed = np.array([[0.0] * N, [1.0] * N, [2.0] * N, [2.0] * N])
    effects = made(
        [Measure("m", "logits", np.full(N, 4.0), changed, np.zeros((0, N)), ("empty", "plain"))],
        table_of(("change", "reference"), keys),
    )
    assert effects.to_frame().effect.tolist() == pytest.approx([0.5, 1 / 3])


def test_the_area_is_that_under_each_curve():
    keys = [("top", f, r) for r in ("zero", "mean") for f in (0.5, 0.1, 1.0)]
    changed = RNG.normal(size=(6, N))
    effects = made(
        [Measure("m", "logits", np.zeros(N), changed, np.zeros((0, N)))],
        table_of(("change", "fraction", "reference"), keys),
    )
    found = effects.area(along="fraction")
    assert found.reference.tolist() == ["zero", "mean"]
    for i in range(2):
        line = found.iloc[i]
        y = changed[3 * i : 3 * i + 3].mean(1)
        assert line.area == pytest.approx(0.4 * (y[1] + y[0]) / 2 + 0.5 * (y[0] + y[2]) / 2)
        assert line.low < line.area < line.high
    missing = effects.area(along="fraction", missing=True)
    y = np.abs(1 - changed[[1, 0, 2]].mean(1))
    assert missing.area[0] == pytest.approx(np.trapezoid(y, [0.1, 0.5, 1.0]))


def test_equal_damage_is_read_off_the_lines_between_strengths(pushes):
    at = 0.08
    frame = pushes.at_damage(at, "gain").set_index("change")
    for name, first in (("a", 0), ("b", 3)):
        gain = pushes["gain"].changed[first : first + 3].mean(1) - pushes["gain"].plain.mean()
        harm = pushes["KL elsewhere"].changed[first : first + 3].mean(1)
        fine = np.linspace(0, 3, 300_001)
        y = np.interp(fine, [0, 1, 2, 3], [0, *gain])
        x = np.interp(fine, [0, 1, 2, 3], [0, *np.sqrt(harm)])
        assert frame.effect[name] == pytest.approx(y[x <= np.sqrt(at)].max(), abs=1e-4)
        assert frame.effect_low[name] < frame.effect[name] < frame.effect_high[name]
        assert frame.excess[name] == pytest.approx(frame.effect[name] - frame.control[name])
    assert frame.minus["a"] == 0
    assert frame.minus["b"] == pytest.approx(frame.effect["a"] - frame.effect["b"])
    assert (
        frame.effect.to_dict()
        != pushes.at_damage(0.04, "gain").set_index("change").effect.to_dict()
    )


def test_a_share_has_wilsons_interval():
    right = np.ones((1, N))
    effects = made(
        [Measure("right", "share", np.zeros(N), right, np.zeros((0, N)))], {"change": ("a",)}
    )
    line = effects.to_frame().iloc[0]
    assert line.changed == line.changed_high == 1 and line.changed_low == pytest.approx(
        0.7009, abs=1e-3
    )


def test_examples_lack_what_their_prompt_lacks():
    changed = RNG.normal(size=(2, N))
    changed[1, 4] = np.nan
    effects = made(
        [Measure("m", "logits", np.zeros(N), changed, np.zeros((0, N)))],
        {"change": ("a", "b")},
        at=np.array([[0] * N, [0] * 4 + [-1] + [0] * 4]),
    )
    frame = effects.to_frame("examples")
    assert len(frame) == 2 * N - 1 and set(frame.token) == {" a"}
    assert effects.to_frame().n.tolist() == [N, N - 1]
    assert effects.effect()[1, 0] == pytest.approx(np.nanmean(changed[1]))


def test_it_saves_and_says_what_it_is(pushes, tmp_path):
    back = Effects.load(pushes.save(tmp_path / "e"))
    assert back.to_frame().equals(pushes.to_frame()) and repr(back) == repr(pushes)
    assert "gain under change a, strength 1.0" in repr(pushes) and len(pushes) == 6
    assert pushes.best("gain") == {"change": "a", "strength": 3.0}


def test_what_it_does_not_have_is_named(pushes):
    with pytest.raises(
        KeyError, match=r"These effects have \['gain', 'KL elsewhere'\]; got 'loss'"
    ):
        pushes.score("loss")
    with pytest.raises(KeyError, match=r"No change has .*strength.*\[1.0, 2.0, 3.0\]"):
        pushes.score("gain", strength=5)
    with pytest.raises(ValueError, match=r"are None, 'examples' and 'texts'; got 'all'"):
        pushes.to_frame("all")
    with pytest.raises(ValueError, match=r"These changes have .*; got along='layer'"):
        pushes.area(along="layer")
    some = made(
        [Measure("m", "nats", np.zeros(N), np.ones((1, N)), np.zeros((0, N)))], {"change": ("a",)}
    )
    with pytest.raises(ValueError, match=r"read over strengths; give experiment\(strengths="):
        some.at_damage()
    with pytest.raises(ValueError, match=r"A key has the parts change; got \('a', 2\)"):
        table_of(("change",), [("a", 2)])


@pytest.mark.parametrize("scale", [None, ("zero", "plain")])
def test_a_control_that_does_as_much_is_not_beyond_though_its_last_bits_differ(scale: Any) -> None:
    plain, own = np.full(N, 2.0), np.full(N, 0.1 + 0.2)
    control = np.stack([np.full(N, 0.3), np.full(N, -0.3), np.full(N, 2.5), np.full(N, 3.9)])
    measure = Measure("m", "nats", plain, np.stack([own, np.zeros(N)]), control, scale=scale)
    drawn = [("a", "random", i) for i in range(4)]
    effects = made(
        [measure],
        table_of(("change",), ["a", "zero"]),
        table_of(("change", "kind", "draw"), drawn),
    )
    # Without a scale the effects are -1.7, -2.3, 0.5, 1.9 beside -1.7; 2.5 alone is smaller. On it
    # they are 0.15, -0.15, 1.25, 1.95 beside 0.15, and farther from 1 are -0.15 and 1.95.
    assert effects.to_frame().beyond[0] == (0.25 if scale is None else 0.5)


def test_the_picture_is_a_point_a_change_beside_its_controls_or_what_a_method_names(
    pushes: Any,
) -> None:
    frame = pushes.to_frame()
    for measure in ("gain", "KL elsewhere"):
        own = frame[frame.measure == measure]
        ax = pushes.plot(where={"measure": measure})
        np.testing.assert_allclose(ax.collections[-1].get_offsets()[:, 0], own.effect)
        assert [t.get_text() for t in ax.get_yticklabels()] == [
            f"{name} {t}" for name in "ab" for t in (1, 2, 3)
        ]
        widths = [patch.get_width() for patch in ax.patches]
        np.testing.assert_allclose(widths, own.control_high - own.control_low)
        assert ax.get_title() == f"m: x, measure {measure}"
    lines = marks.Lines("effect", "strength", by="change", low="low", high="high", beside="control")
    ax = replace(pushes, picture=lines).plot(where={"measure": "gain"})
    gain = frame[frame.measure == "gain"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), gain.effect[:3])
    plt.close("all")
