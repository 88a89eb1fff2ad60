"""Scores of observables and of unlearning by hand: turned round, out of range, without a spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.made_results import draws, made, two_sided
from workbench.effects import Measure

BEFORE = np.array([1.0, -2.0, 0.5, 4.0])
N_RESAMPLES = 1000


def evaluated(seed: int | None = 0, **given: Any) -> Any:
    """A vector, and random directions drawn twice; four prompts, two texts, four words."""
    rng = np.random.default_rng(1)
    fields: dict[str, Any] = {
        "before": BEFORE,
        "ablated": rng.standard_normal((2, 2, 4)),
        "pushed": rng.standard_normal((2, 2, 4)),
        "predicted_ablated": rng.standard_normal((2, 2, 4)),
        "predicted_pushed": rng.standard_normal((2, 2, 4)),
        "damage": rng.uniform(0, 1, (2, 2, 2)),
        "truth": np.array([0.1, 0.4, 0.4, 0.9]),
        "word_scores": np.array([[[1.0, 2.0, 2.0, 0.0]] * 2, [[1, 2, 3, 4], [2, 2, 2, 5]]]),
    }
    for name in ("ablated", "pushed"):
        fields[name][0, 1] = fields[name][0, 0]
    return made(
        wb.vocabulary.ObservableEvaluation,
        seed,
        observable="o",
        site="L0.resid_pre",
        directions=("vector", "random"),
        n_vectors=1,
        n_fitted=0,
        push=1.0,
        words=(" a", " b", " c", " d"),
        **(fields | given),
    )


@pytest.mark.parametrize("left", [-0.5, 0.0, 0.25, 1.0, 1.75])
def test_what_is_removed_may_be_more_than_all_or_less_than_nothing(left: float) -> None:
    ablated = np.broadcast_to(left * BEFORE + 3.0, (2, 2, 4))
    assert evaluated(ablated=ablated).score("removed")[0] == pytest.approx(1 - left, abs=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_gain_a_slope_and_a_correlation_keep_their_signs() -> None:
    said = np.broadcast_to([0.5, 1.0, -0.5, 2.0], (2, 2, 4))
    moved = BEFORE - 3 * said
    result = evaluated(
        pushed=moved, ablated=BEFORE + 3 * said, predicted_ablated=-said, predicted_pushed=said
    )
    assert result.score("gain")[0] == pytest.approx(-3 * 0.75, abs=1e-6)
    assert result.score("slope")[0] == pytest.approx(-3.0, abs=1e-6)
    assert result.score("correlation")[0] == pytest.approx(-1.0, abs=1e-6)
    # Through 0: predictions that are all the same have a slope, and no correlation.
    flat = np.ones((2, 2, 4))
    result = evaluated(
        pushed=BEFORE + 2 * flat,
        ablated=BEFORE + 2 * flat,
        predicted_ablated=flat,
        predicted_pushed=flat,
    )
    assert result.score("slope")[0] == pytest.approx(2.0, abs=1e-6)
    assert np.isnan(result.score("correlation")[0])
    nothing = evaluated(predicted_ablated=0 * flat, predicted_pushed=0 * flat)
    assert np.isnan(nothing.score("slope")).all()
    alike = evaluated(truth=np.ones(4)).score("truth")
    assert np.isnan(alike[0])


def test_words_with_equal_numbers_share_a_rank_on_either_side() -> None:
    def correlation(scores: Any) -> float:
        ranks = {0: [], 1: []}
        for side, values in enumerate((scores, [0.1, 0.4, 0.4, 0.9])):
            for value in values:
                below = sum(v < value for v in values)
                equal = sum(v == value for v in values)
                ranks[side].append(below + (equal + 1) / 2)
        return float(np.corrcoef(ranks[0], ranks[1])[0, 1])

    result = evaluated()
    assert result.score("truth")[0] == pytest.approx(correlation([1, 2, 2, 0]))
    each = [correlation([1, 2, 3, 4]), correlation([2, 2, 2, 5])]
    assert result.score("truth", "random")[0] == pytest.approx(np.mean(each))


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 3])
def test_intervals_are_over_draws_and_prompts_at_their_level(level: float, seed: int) -> None:
    result = evaluated(seed)
    gains = result.pushed.astype(float) - BEFORE
    for direction, n_draws in (("vector", 1), ("random", 2)):
        d = result.directions.index(direction)
        rng = np.random.default_rng(seed)
        prompts = rng.integers(4, size=(N_RESAMPLES, 4))
        which = rng.integers(n_draws, size=(n_draws, N_RESAMPLES))
        each = [
            np.mean([gains[d, draw, rows].mean() for draw in which[:, i]])
            for i, rows in enumerate(prompts)
        ]
        found = result.score("gain", direction, level)
        assert found[0] == pytest.approx(gains[d, :n_draws].mean(), abs=1e-6)
        assert found[1:] == pytest.approx(two_sided(each, level), abs=1e-6)
    ranks = [1.0, 2.5, 2.5, 4.0]
    own = [np.corrcoef(ranks, r)[0, 1] for r in ([1, 2, 3, 4], [2, 2, 2, 4])]
    each = np.array(own)[draws(2, N_RESAMPLES, seed)].mean(-1)
    found = result.score("truth", "random", level)
    assert found[1:] == pytest.approx(two_sided(each, level), abs=1e-6)


def audited(seed: int | None = 0) -> wb.Effects:
    """Two questions about the concept, behind other text one, two about others; three texts."""
    none = np.zeros((0, 3))

    def measure(name: str, *values: list[float], damage: bool = False) -> Measure:
        plain, *changed = map(np.array, values)
        controls = none[:, : len(plain)]
        return Measure(name, "", plain, np.stack(changed), controls, damage=damage)

    return made(
        wb.Effects,
        seed,
        what="b",
        changes={"change": ("after", "ablated")},
        controls={},
        measures=(
            measure("prompts", [0.9, 0.7], [0.1, 0.8], [0.5, 0.5]),
            measure("after other text", [0.5], [0.5], [0.4]),
            measure("else", [0.2, 0.4], [0.3, 0.1], [0.2, 0.3]),
            measure("loss elsewhere", [2, 1, 3], [2.5, 0.5, 3], [2.1, 1.1, 3.3], damage=True),
            measure("KL elsewhere", [0, 0, 0], [0.4, 0.1, 0.7], [0.2, 0.2, 0.2], damage=True),
        ),
    )


@pytest.mark.parametrize("seed", [0, 8])
def test_an_audit_counts_what_rose_and_what_fell(seed: int) -> None:
    frame = audited(seed).to_frame()
    ablated = frame[frame.change == "ablated"].set_index("measure")
    frame = frame[frame.change == "after"].set_index("measure")
    changes = {
        "prompts": [-0.8, 0.1],
        "after other text": [0.0],
        "else": [0.1, -0.3],
        "loss elsewhere": [0.5, -0.5, 0.0],
        "KL elsewhere": [0.4, 0.1, 0.7],
    }
    for name, values in changes.items():
        line, n = frame.loc[name], len(values)
        assert (line["n"], line["effect"]) == (n, pytest.approx(np.mean(values), abs=1e-6))
        means = np.array(values)[draws(n, 2000, seed)].mean(-1)
        assert (line["low"], line["high"]) == pytest.approx(two_sided(means, 0.95), abs=1e-6)
    assert frame.loc["KL elsewhere", "plain"] == 0.0
    assert ablated.loc["else", "changed"] == pytest.approx(0.25)


def test_traces_stand_beside_the_middle_of_the_others() -> None:
    others = np.linspace(0, 1, 21)
    own = {"cosine": [1.0, -0.5], "change": [0.0, 1.5], "kept": [1.0, 0.25]}
    rest = {"cosine": others, "change": 2 * others, "kept": others**2}
    n = 2 + len(others)
    fields: dict[str, Any] = {name: np.array([*own[name], *rest[name]]) for name in own}
    frame = made(
        wb.weights.Traces,
        after="b",
        words=(" a",),
        k=1,
        neurons=tuple(f"L0.mlp_post/{i}" for i in range(n)),
        kinds=("concept",) * 2 + ("control",) * len(others),
        words_before=((" a",),) * n,
        words_after=((" a",),) * n,
        before_scores=np.zeros(n),
        after_scores=np.zeros(n),
        **fields,
    ).to_frame("measures")
    frame = frame.set_index("measure")
    assert frame.loc["cosine", "concept"] == pytest.approx(0.25)
    for name, others_of in (("cosine", 1.0), ("change", 2.0)):
        line = frame.loc[name]
        assert line["control"] == pytest.approx(others_of / 2)
        assert line["control_low"] == pytest.approx(0.025 * others_of, abs=1e-6)
        assert line["control_high"] == pytest.approx(0.975 * others_of, abs=1e-6)


def test_a_control_that_changes_as_much_is_not_passed() -> None:
    """Of `weights.ablate`: falls, rises and ties with random value vectors."""
    # Changes of −0.25, 0.25, −0.125, 0.125 and 0.5, where the ablation's is −0.25.
    control = np.array([[0.5, 0.25], [1.0, 0.75], [0.625, 0.375], [1.0, 0.5], [1.0, 1.25]])
    plain, changed = np.array([0.75, 0.5]), np.array([[0.25, 0.5]])
    result = made(
        wb.Effects,
        what="ablation",
        changes={"change": ("all",)},
        controls={"change": ("all",) * 5, "kind": ("random",) * 5, "draw": tuple(range(5))},
        measures=(Measure("prompts", "probability", plain, changed, control),),
    )
    line = result.to_frame().iloc[0]
    assert line["effect"] == -0.25 and line["beyond"] == pytest.approx(2 / 5)
    assert line["excess"] == pytest.approx(-0.25 - 0.1, abs=1e-6)
    # The mean of the controls lies below; one draw of them a resample may lie on either side.
    assert line["excess_low"] < line["excess"] < 0 < line["excess_high"]
    assert line["control"] == pytest.approx((-0.25 + 0.25 - 0.125 + 0.125 + 0.5) / 5)
