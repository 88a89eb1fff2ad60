"""Classes of features, from similarities and thresholds."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.flow_models import TEXTS, dictionaries, model

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


# -- classes and thresholds -------------------------------------------------------------------


def by_hand(found: wb.features.FeatureMatches, node: int) -> tuple[str, bool]:
    """The class of a feature and whether it ends, case by case."""
    site = int(found.site_of_node[node])
    values = [float(found.similarity[lane, node, 0]) for lane in range(4)]
    high = [value >= float(found.thresholds[lane, site]) for lane, value in enumerate(values)]
    ended = values[3] < float(found.thresholds[3, site])
    if not found.sites[site].endswith("resid_post"):
        return "module", ended
    if all(np.isnan(values[:3])):
        return "dead", ended
    if high[0]:
        return ("processed" if high[1] or high[2] else "carried"), ended
    return ("newborn" if high[1] or high[2] else "unexplained"), ended


@pytest.mark.parametrize("by", ["cosine", "correlation", "permutation"])
@pytest.mark.parametrize(
    "thresholds",
    [None, 0.3, "chance", {"resid": 0.35, "mlp": 0.25, "L2.resid_post": 0.2, "next": "chance"}],
)
def test_classes_follow_from_similarities_and_thresholds(by: Any, thresholds: Any) -> None:
    found = matched(by).with_thresholds(thresholds)
    counts = found.counts()
    for node in range(len(found.classes)):
        assert (found.classes[node], bool(found.ended[node])) == by_hand(found, node)
    for at, site in enumerate(found.sites):
        own = found.classes[found.site_of_node == at]
        assert counts.loc[site].drop("ended").sum() == len(own)
        for name in set(own):
            assert counts.loc[site, name] == (own == name).sum()
        assert counts.loc[site, "ended"] == found.ended[found.site_of_node == at].sum()
    seen = set(found.classes.tolist())
    assert by != "cosine" or thresholds != 0.3 or len(seen) >= 4  # the test sees several classes


def test_thresholds_are_read_from_the_most_special_key() -> None:
    given = {"mlp": 0.4, "L1.resid_post": 0.6, "L1.resid_post mlp": 0.7}
    found = matched().with_thresholds(given)
    at = [found.sites.index(f"L{layer}.resid_post") for layer in range(3)]
    np.testing.assert_allclose(found.thresholds[1, at], [0.4, 0.7, 0.4])
    np.testing.assert_allclose(found.thresholds[0, at], [np.nan, 0.6, 0.5])
    np.testing.assert_allclose(found.thresholds[2, at], [0.5, 0.6, 0.5])
    np.testing.assert_allclose(found.thresholds[3, at[:2]], [0.5, 0.6])
    lane = found.leads[1] >= 0
    chance = matched().with_thresholds("chance")
    np.testing.assert_array_equal(chance.thresholds, found.chance)
    assert np.isfinite(found.chance[1, lane]).all() and np.isnan(found.chance[1, ~lane]).all()


@pytest.mark.parametrize(
    ("thresholds", "text"),
    [
        ({"mlp_out": 0.5}, r"given by lane \(resid, mlp, attn, next\).* got 'mlp_out'"),
        (2.0, r"A threshold is a finite number from -1 to 1; got 2\.0\."),
        ("high", "A threshold is a finite number from -1 to 1; got"),
        ({"resid": True}, r"A threshold is a finite number from -1 to 1; got True\."),
    ],
)
def test_thresholds_that_are_none_are_refused(thresholds: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        wb.features.match(dictionaries(), thresholds=thresholds, progress=False)


@pytest.mark.filterwarnings("error")
def test_a_threshold_below_chance_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"16 do not, as that of resid at L1.resid_post"):
        found = wb.features.match(dictionaries(), thresholds=0.2, progress=False)
    assert (found.chance[found.leads >= 0] > 0.2).all()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wb.features.match(dictionaries(), thresholds="chance", progress=False)
        wb.features.match(dictionaries(), thresholds=0.99, progress=False)
    assert not caught
