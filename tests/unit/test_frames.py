"""The comparison of two trees: it sees what moved, and lets pass what may."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.frames import calls
from tests.frames.calls import Context, Moved, Package
from tests.frames.may_move import (
    Exempt,
    no_interval,
    same_draws,
    same_ends,
    same_fit,
    same_loss,
)
from tests.frames.tables import compare, table
from tests.frames.verdicts import judged, uncovered

RANKED = pd.DataFrame(
    {"word": ["a", "b", "c", "d"], "count": [4, 3, 2, 1], "score": [9.0, 5.0, 5.0, 1.0]}
)


def test_a_table_is_the_same_as_itself_and_within_the_tolerance_of_its_column():
    near = RANKED.assign(score=RANKED["score"] + 8e-5)
    assert not compare(RANKED, RANKED).wrong
    assert not compare(RANKED, near).wrong


def test_a_changed_number_a_slipped_sign_and_a_count_off_by_one_are_seen():
    for changed in (
        RANKED.assign(score=[9.0, 5.0, 5.0, 1.0002]),
        RANKED.assign(score=-RANKED["score"]),
        RANKED.assign(score=[9.0, 5.0, 5.0, np.nan]),
    ):
        assert list(compare(RANKED, changed).wrong) == ["score"]
    assert list(compare(RANKED, RANKED.assign(count=[4, 3, 2, 2])).wrong) == ["count"]


def test_a_missing_row_and_a_missing_column_are_seen_and_a_new_column_is_none():
    assert compare(RANKED, RANKED.head(3)).wrong[""] == "4 rows became 3"
    assert list(compare(RANKED, RANKED.drop(columns="word")).wrong) == ["word"]
    assert not compare(RANKED, RANKED.assign(more=1)).wrong


def test_rows_of_a_tie_may_swap_and_no_others():
    plain = RANKED.drop(columns="count")
    swapped = plain.iloc[[0, 2, 1, 3]].reset_index(drop=True)
    assert not compare(plain, swapped).wrong
    assert compare(plain, swapped).swapped == 2
    assert compare(plain, plain.assign(word=["b", "a", "c", "d"])).wrong


def test_the_last_of_a_ranking_may_be_another_of_its_score_and_no_other_row_may():
    plain = pd.DataFrame({"word": list("abcdef"), "score": [9.0, 8, 7, 6, 5, 4]})
    assert not compare(plain, plain.assign(word=list("abcdeX"))).wrong
    assert compare(plain, plain.assign(word=list("abXdef"))).wrong
    assert compare(plain, plain.assign(word=list("bcdefa"))).wrong


def test_each_measure_is_held_to_its_own_largest_value():
    lines = pd.DataFrame({"measure": ["loss", "kl"], "value": [5.0, 1e-4]})
    assert compare(lines, lines.assign(value=[5.0, -1e-4])).wrong
    assert not compare(lines, lines.assign(value=[5.00001, 1e-4])).wrong


def test_any_value_becomes_a_table_of_plain_columns():
    assert table(np.eye(2))["value"].tolist() == [1, 0, 0, 1]
    cells = table(pd.DataFrame({"words": [("a", "b")], "low high": [(0.5, 1.0)]}))
    assert cells["words"].tolist() == ["['a', 'b']"] or cells["words"].tolist() == ["('a', 'b')"]
    assert cells["low high[1]"].tolist() == [1.0]


def _run(frame: pd.DataFrame, error: str = "") -> dict[str, object]:
    return {"calls": {"made": {"tables": {0: {"frame": frame}}, "seconds": 0.0, "error": error}}}


def test_a_call_without_a_counterpart_fails():
    verdict = judged(_run(RANKED), _run(RANKED, "AttributeError: no attribute 'made'"))[0]
    assert verdict.wrong == ["has no counterpart: AttributeError: no attribute 'made'"]
    assert not judged(_run(RANKED), _run(RANKED))[0].wrong


def test_an_interval_may_move_once_20_seeds_have_its_width():
    ends = pd.DataFrame({"value": [1.0], "low": [0.5], "high": [1.5]})
    assert judged(_run(ends), _run(ends.assign(low=0.51)))[0].needs_seeds

    def seeds(width: float) -> dict[str, object]:
        frame = pd.DataFrame({"value": [1.0], "low": [1 - width], "high": [1 + width]})
        tables = {seed: {"frame": frame} for seed in range(20)}
        return {"calls": {"made": {"tables": tables, "seconds": 0.0, "error": ""}}}

    old, near, wide = seeds(0.5), seeds(0.52), seeds(0.6)
    assert not judged(old, near)[0].wrong
    assert judged(old, wide)[0].wrong


def test_draws_fits_and_trainings_have_their_own_checks():
    rng = np.random.default_rng(0)
    some, alike = ([rng.normal(size=8) for _ in range(20)] for _ in range(2))
    assert not same_draws(some, alike)
    assert "mean" in same_draws(some, [each + 1 for each in alike])
    assert same_draws(some, [each * 5 for each in alike])
    fit = pd.DataFrame({"penalty": [0.1], "loss": [0.5], "accuracy": [0.75]})
    assert not same_fit(fit, fit.assign(loss=0.4))
    assert "loss rose" in same_fit(fit, fit.assign(loss=0.51))
    assert "penalty" in same_fit(fit, fit.assign(penalty=0.2))
    assert not same_loss(fit, fit.assign(loss=0.504))
    assert same_loss(fit, fit.assign(loss=0.49))
    ends = np.tile([0.0, 1.0], (20, 2, 1))
    assert not same_ends(ends, ends * 1.05)
    assert "width" in same_ends(ends, ends * 1.2)
    assert "middle" in same_ends(ends, ends - 1)
    one, none = np.ones((20, 2, 2)), np.full((20, 2, 2), np.nan)
    assert not no_interval(one, none)
    assert "is a number" in no_interval(one, one)
    assert "had a width" in no_interval(ends, none)


def test_lines_of_an_entry_are_those_that_none_before_it_is_about(monkeypatch: Any):
    """Of one example there is no interval; of the others it keeps its width."""
    some = (
        Exempt("made", "*", "low", "alone", "", {"n": "1"}),
        Exempt("made", "*", "high", "alone", "", {"n": "1"}),
        Exempt("made", "*", "low", "interval", ""),
        Exempt("made", "*", "high", "interval", ""),
    )
    monkeypatch.setattr("tests.frames.may_move.MAY_MOVE", some)

    def seeds(shift: float, alone: float) -> dict[str, Any]:
        frame = pd.DataFrame({"n": [2, 1], "low": [0.0, alone], "high": [1.0, alone]})
        frame.loc[0, ["low", "high"]] += shift
        tables = {seed: {"frame": frame} for seed in range(20)}
        return {"calls": {"made": {"tables": tables, "seconds": 0.0, "error": ""}}}

    old = seeds(0.0, 0.5)
    assert not judged(old, seeds(0.05, np.nan))[0].wrong
    assert "middle" in judged(old, seeds(0.5, np.nan))[0].wrong[0]
    assert "is a number" in judged(old, seeds(0.0, 0.4))[0].wrong[0]


def test_a_moved_call_is_read_by_its_old_names(tmp_path):
    class Renamed:
        level = 3

        def to_frame(self) -> pd.DataFrame:
            return pd.DataFrame({"item": ["a"]})

    made = Renamed()
    seen: list[object] = []

    def old_call(model: object, *, how: str) -> Moved:
        return Moved(made, columns={"item": "word"}, score=lambda name: (how, name))

    c = Context("tinyworld", "nnsight", tmp_path, moved={"old": old_call, "later": seen.append})
    result = c.wb.old("model", how="zero")
    assert list(result.to_frame()) == ["word"]
    assert result.score("f1") == ("zero", "f1")
    assert result.level == 3
    c.wb.later([result])
    assert seen == [[made]]
    assert isinstance(c.wb, Package)


def test_a_public_name_or_an_option_that_nothing_covers_is_told():
    calls.families()
    old = {
        "public": ["patch", "Patching", "live", "made_up"],
        "calls": {"patch": {}},
        "options": {"patch": ["by", "progress", "over"], "attribute": ["steps"]},
        "given": {"patch": ["over"]},
    }
    assert uncovered(old) == ["made_up", "patch(by=)"]
    with pytest.raises(ValueError, match="different names; 'patch' stands twice"):
        calls.call("patch")(calls.CALLS["patch"].tables)
