"""Scores of dictionaries by hand: worse than nothing, better than the model, and at the ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.made_results import draws, made, two_sided

N = np.array([4, 6, 10])


def evaluated(seed: int | None = 0, **given: Any) -> Any:
    """One dictionary on three texts; the model's own loss is 2 nats a token, ablated it is 3."""
    n = N - 1
    fields: dict[str, Any] = {
        "squared_error": [[1.0, 2.0, 3.0]],
        "variance": [[4.0, 5.0, 6.0]],
        "active": [[8.0, 12.0, 20.0]],
        "kl": [[1.0, 0.5, 2.5]],
        "plain": 2.0 * n,
        "spliced": [2.25 * n],
        "zero": [3.0 * n],
        "mean": [2.5 * n],
        "frequency": [[0.0, 0.1, 0.25, 1.0]],
    }
    fields = {name: np.array(given.pop(name, value)) for name, value in fields.items()}
    return made(
        wb.features.DictionaryEvaluation,
        seed,
        names=("d",),
        sites=("L0.resid_post",),
        kinds=("relu",),
        n_features=(4,),
        n_tokens=N,
        n_predicted=n,
        **fields,
    )


@pytest.mark.parametrize(
    ("spliced", "zero", "mean"),
    [(2.25, 0.75, 0.5), (1.5, 1.5, 2.0), (3.5, -0.5, -2.0), (2.0, 1.0, 1.0), (3.0, 0.0, -1.0)],
)
def test_loss_recovered_may_be_below_nothing_and_above_everything(
    spliced: float, zero: float, mean: float
) -> None:
    result = evaluated(spliced=[spliced * (N - 1)])
    assert result.loss_recovered()[0] == pytest.approx(zero)
    assert result.loss_recovered(baseline="mean")[0] == pytest.approx(mean)
    line = result.to_frame().loc["d"]
    assert (line["loss_recovered"], line["loss_recovered_mean"]) == pytest.approx((zero, mean))
    assert line["loss_spliced"] == pytest.approx(spliced) and line["loss"] == pytest.approx(2.0)


def test_a_reconstruction_worse_than_the_mean_explains_less_than_nothing() -> None:
    result = evaluated(squared_error=[[10.0, 10.0, 25.0]])
    assert result.explained_variance()[0] == pytest.approx(1 - 45 / 15)
    assert np.isnan(evaluated(variance=[[0.0, 0.0, 0.0]]).explained_variance()).all()


@pytest.mark.parametrize(("cost", "measured"), [(1.1e-3, True), (0.9e-3, False), (-1.0, False)])
def test_an_ablation_measures_from_a_thousandth_of_a_nat_a_token_on(
    cost: float, measured: bool
) -> None:
    result = evaluated(zero=[(2.0 + cost) * (N - 1)])
    assert np.isfinite(result.loss_recovered()).all() == measured


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("seed", [0, 7])
def test_intervals_resample_texts_with_the_seed_and_level(level: float, seed: int) -> None:
    result = evaluated(seed, spliced=[[5.0, 13.0, 20.0]])
    rows = draws(3, 1000, seed)
    error, variance = result.squared_error[0], result.variance[0]
    each = [1 - error[r].sum() / variance[r].sum() for r in rows]
    assert result.explained_variance(level=level)[1:] == pytest.approx(two_sided(each, level))
    zero, spliced, plain = result.zero[0], result.spliced[0], result.plain
    each = [(zero[r] - spliced[r]).sum() / (zero[r] - plain[r]).sum() for r in rows]
    assert result.loss_recovered(level=level)[1:] == pytest.approx(two_sided(each, level))


def test_dense_is_more_than_the_share_and_dead_is_never() -> None:
    result = evaluated(frequency=[[0.0, 0.25, 0.5, 1.0]])
    assert result.dense(above=0.25).tolist() == [2, 3] and result.dead().tolist() == [0]
    assert result.dense(above=0.6).tolist() == [3] and result.dense(above=1.0).tolist() == []
    assert evaluated(frequency=[[0.0, 0.05, 0.11, 0.19]]).dense().tolist() == [2, 3]
    assert evaluated().to_frame().loc["d", ["dead", "dense"]].tolist() == [1, 2]


def test_codes_and_divergence_are_a_position_and_losses_a_predicted_one() -> None:
    line = evaluated().to_frame().loc["d"]
    assert line["l0"] == pytest.approx(40 / 20) and line["kl"] == pytest.approx(4 / 20)
    assert line["loss_zero"] == pytest.approx(3.0) and line["loss_mean"] == pytest.approx(2.5)
    assert line["n_tokens"] == 20
