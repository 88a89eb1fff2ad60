"""Scores of dictionaries by hand: worse than nothing, better than the model, and at the ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.circuit_models import tinyworld
from tests.unit.kernels import SpliceSums
from tests.unit.made_results import draws, two_sided
from workbench.dictionary.base import Dictionary

N = np.array([4, 6, 10])


def evaluated(seed: int = 0, **given: Any) -> Any:
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
        "frequency": [0.0, 0.1, 0.25, 1.0],
    }
    fields = {name: np.array(given.pop(name, value)) for name, value in fields.items()}
    dictionary = Dictionary.of(torch.eye(4, 128), site="L0.resid_post")
    runs = SpliceSums(tinyworld(), {"d": dictionary}, {})
    runs.counts["d"] = fields.pop("frequency") * N.sum()
    each = {"n_tokens": N, "n_predicted": n, "plain": fields.pop("plain")}
    runs.per_text = {name: [value] for name, value in each.items()}
    runs.sums = {name: [value] for name, value in fields.items()}
    return runs.effects(seed)


BESIDE = "loss recovered beside the mean"


def value(result: Any, measure: str, change: str = "spliced") -> float:
    frame = result.to_frame(draws=0).set_index(["measure", "change"])
    return float(frame.loc[(measure, change), "changed" if measure == "loss" else "effect"])


@pytest.mark.parametrize(
    ("spliced", "zero", "mean"),
    [(2.25, 0.75, 0.5), (1.5, 1.5, 2.0), (3.5, -0.5, -2.0), (2.0, 1.0, 1.0), (3.0, 0.0, -1.0)],
)
def test_loss_recovered_may_be_below_nothing_and_above_everything(
    spliced: float, zero: float, mean: float
) -> None:
    result = evaluated(spliced=[spliced * (N - 1)])
    assert result.score("loss recovered")[0] == pytest.approx(zero)
    assert result.score(BESIDE)[0] == pytest.approx(mean)
    assert (value(result, "loss recovered"), value(result, BESIDE)) == pytest.approx((zero, mean))
    frame = result.to_frame()
    assert value(result, "loss") == pytest.approx(spliced)
    assert frame[frame.measure == "loss"].plain.to_numpy() == pytest.approx(2.0)


def test_a_reconstruction_worse_than_the_mean_explains_less_than_nothing() -> None:
    result = evaluated(squared_error=[[10.0, 10.0, 25.0]])
    assert result.score("explained variance")[0] == pytest.approx(1 - 45 / 15)
    flat = evaluated(variance=[[0.0, 0.0, 0.0]])
    assert np.isnan(flat.score("explained variance")).all()


@pytest.mark.parametrize(("cost", "measured"), [(1.1e-3, True), (0.9e-3, False), (-1.0, False)])
def test_an_ablation_measures_from_a_thousandth_of_a_nat_a_token_on(
    cost: float, measured: bool
) -> None:
    result = evaluated(zero=[(2.0 + cost) * (N - 1)])
    assert np.isfinite(result.score("loss recovered")).all() == measured


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("seed", [0, 7])
def test_intervals_resample_texts_with_the_seed_and_level(level: float, seed: int) -> None:
    result = evaluated(seed, spliced=[[5.0, 13.0, 20.0]])
    rows = draws(3, 2000, seed)
    error, variance = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    each = [1 - error[r].sum() / variance[r].sum() for r in rows]
    ends = result.score("explained variance", level=level)[1:]
    assert ends == pytest.approx(two_sided(each, level))
    zero, spliced, plain = 3.0 * (N - 1), np.array([5.0, 13.0, 20.0]), 2.0 * (N - 1)
    each = [(zero[r] - spliced[r]).sum() / (zero[r] - plain[r]).sum() for r in rows]
    ends = result.score("loss recovered", level=level)[1:]
    assert ends == pytest.approx(two_sided(each, level))


def test_dense_is_more_than_the_share_and_dead_is_never() -> None:
    for frequency, dead, dense in (
        ([0.0, 0.1, 0.25, 1.0], 1, 2),
        ([0.0, 0.05, 0.15, 0.2], 1, 2),
        ([0.05, 0.05, 0.1, 0.1], 0, 0),
    ):
        result = evaluated(frequency=frequency)
        assert (value(result, "dead"), value(result, "dense")) == (dead, dense)
        # A count is no mean of examples, so that it has no interval.
        assert np.isnan(result.to_frame().set_index("measure").loc["dead", "low"])


def test_codes_and_divergence_are_a_position_and_losses_a_predicted_one() -> None:
    result = evaluated()
    assert value(result, "L0") == pytest.approx(40 / 20)
    assert value(result, "KL") == pytest.approx(4 / 20)
    assert value(result, "loss", "zero") == pytest.approx(3.0)
    assert value(result, "loss", "mean") == pytest.approx(2.5)
    assert result.what == "dictionaries on 3 texts of 20 tokens"
    frame = result.to_frame()
    # What was not measured of an ablation has no line.
    assert set(frame[frame.measure == "L0"].change) == {"spliced"}
    examples = result.to_frame("examples")
    own = examples[(examples.measure == "loss") & (examples.change == "spliced")]
    assert own.changed.tolist() == pytest.approx([2.25] * 3)
