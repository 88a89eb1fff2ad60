"""Intervals: against scipy's bootstrap and the formulas, and how often they hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from workbench.resample import bootstrap, interval, percentiles, weights, wilson


def test_weights_give_means_of_draws_with_replacement():
    values = np.random.default_rng(1).normal(size=(3, 7))
    by = weights(7, 50, seed=4)
    assert by.shape == (7, 51)
    np.testing.assert_allclose(values @ by[:, 0], values.mean(1))
    drawn = np.random.default_rng(4).integers(7, size=(50, 7))
    np.testing.assert_allclose((values @ by)[:, 1:], values[:, drawn].mean(-1))


def test_two_samples_of_one_generator_are_drawn_apart():
    rng = np.random.default_rng(0)
    first, second = weights(5, 20, rng), weights(5, 20, rng)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, weights(5, 20, 0))


def test_the_percentile_interval_is_scipys():
    values = np.random.default_rng(2).exponential(size=40)
    value, low, high = interval(values @ weights(40, 20_000), 0.9)
    peer = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, n_resamples=20_000, method="percentile"
    ).confidence_interval
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((peer.low, peer.high), rel=0.02)
    same = bootstrap(lambda rows: values[rows].mean(-1), 40, 0.9, n_resamples=20_000)
    assert same == pytest.approx((low, high), rel=1e-9)


def test_draws_without_a_value_are_left_out_of_an_interval():
    ends = percentiles(np.array([[1.0, np.nan, 2.0, 4.0, 3.0]]), 0.5)[:, 0]
    np.testing.assert_allclose(ends, np.quantile([2.0, 4.0, 3.0], [0.25, 0.75]))


def test_what_has_no_value_has_no_interval():
    low, high = percentiles(np.array([[np.nan, 1.0, 2.0], [1.0, 1.0, 3.0]]))
    assert np.isnan([low[0], high[0]]).all() and low[1] < high[1]
    assert np.isnan(percentiles(np.ones((1, 1)))).all()


@pytest.mark.parametrize(("right", "n"), [(0, 12), (12, 12), (5, 12), (1, 1)])
def test_wilsons_interval_is_its_formula(right, n):
    z, share = stats.norm.ppf(0.975), right / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    found = wilson(np.arange(n) < right)
    assert found == pytest.approx((max(0, centre - reach), min(1, centre + reach)), abs=1e-12)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95])
def test_a_level_is_between_0_and_1(level):
    with pytest.raises(ValueError, match=r"level is a number between 0 and 1; got .*Write 0.95"):
        wilson(np.array([True]), level)
    with pytest.raises(ValueError, match=r"level is a number between 0 and 1"):
        bootstrap(lambda rows: rows.mean(-1), 3, level)
