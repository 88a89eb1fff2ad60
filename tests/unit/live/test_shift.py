"""The live SHIFT without a browser: boxes to tick, the table, and code that gives the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import workbench as wb

WHO = ("teacher", "pilot"), ("dancer", "guard")


def sentences(n: int, balanced: bool) -> tuple[list[str], list[int], list[str]]:
    """Texts, whether each is of the second list, and its group."""
    texts, labels, groups = [], [], []
    for i in range(n):
        second = i % 2
        he = (i // 2) % 2 if balanced else second
        who = WHO[second][(i // 4) % 2]
        texts.append(f"When the {who} came home, {('she', 'he')[he]} was hungry.")
        labels.append(second)
        groups.append(f"{'AB'[second]} {('she', 'he')[he]}")
    return texts, labels, groups


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    model = wb.load("tinyworld", device="cpu")
    dicts = wb.dictionaries("tinyworld").only("resid_post")
    texts, labels, groups = sentences(16, balanced=True)
    training = sentences(16, balanced=False)[:2]
    acts = wb.activations(model, training[0], "L1.resid_post", labels={"list": training[1]})
    probe = wb.probe(acts, "list", method="logistic", controls=())
    pronouns = [int(group.endswith(" he")) for group in groups]
    return {
        "model": model,
        "probe": probe,
        "dicts": dicts,
        "effects": wb.features.effects(model, texts, dicts, metric=probe, labels=pronouns),
        "texts": texts,
        "labels": labels,
        "groups": groups,
        "training": training,
    }


@pytest.fixture
def make(given: dict[str, Any]) -> Callable[..., wb.live.LiveShift]:
    return lambda **changes: wb.live.shift(**(given | changes))


def by_code(explorer: wb.live.LiveShift, given: dict[str, Any]) -> pd.DataFrame:
    """What the code gives."""
    names: dict[str, Any] = {**given}
    exec(explorer.code, names)
    return names["frame"]


def test_it_opens_with_nothing_ticked_and_the_accuracy_before(
    make: Callable[..., wb.live.LiveShift], given: dict[str, Any]
) -> None:
    explorer = make()
    assert explorer.ticked == () and explorer.result is None
    right = (given["probe"].logits(given["model"], given["texts"]) > 0) == (
        np.array(given["labels"]) > 0
    )
    shown = explorer.frame.set_index("measure")
    assert shown.plain["accuracy"] == pytest.approx(right.mean())
    for group in dict.fromkeys(given["groups"]):
        own = right[[each == group for each in given["groups"]]]
        assert shown.plain[group] == pytest.approx(own.mean())
    assert repr(explorer) == "LiveShift(0 / 1: 0 of 32 ticked)"


def test_the_strongest_features_are_listed_with_labels_and_separations(
    make: Callable[..., wb.live.LiveShift], given: dict[str, Any]
) -> None:
    explorer, effects = make(), given["effects"]
    assert explorer.names == effects.nodes["node"][:32]
    assert len(explorer.boxes["ticked"].boxes) == 32
    dictionary, number = given["dicts"].feature(explorer.names[0])
    label = wb.features.Labels.of(dictionary)[number]
    first = f"{explorer.names[0]}  {effects.separation[0]:+.2f}  {label}"
    assert explorer.boxes["ticked"].boxes[0].description == first


def test_a_tick_runs_shift_and_the_code_gives_the_same_table(
    make: Callable[..., wb.live.LiveShift], given: dict[str, Any]
) -> None:
    explorer = make()
    for box in explorer.boxes["ticked"].boxes[:2]:
        box.value = True
    assert explorer.message == "" and explorer.ticked == explorer.names[:2]
    assert explorer.result is not None
    assert "2 features taken away" in explorer.result.what
    whole = explorer.result.to_frame()
    shown: Any = whole[list(explorer.frame)]
    pd.testing.assert_frame_equal(explorer.frame, shown)
    pd.testing.assert_frame_equal(by_code(explorer, given), explorer.frame, atol=1e-6)
    for way in ("after", "recentred", "retrained"):
        assert f"<td>{way}</td>" in explorer.view.value
    assert f"{explorer.frame.changed[0]:.2f}" in explorer.view.value
    explorer._code_button.value = True
    assert explorer._code.value == explorer.code and explorer._code.layout.display == ""


def test_unticking_all_brings_the_accuracy_before_back(
    make: Callable[..., wb.live.LiveShift], given: dict[str, Any]
) -> None:
    explorer = make(training=None, groups=None)
    before = explorer.view.value
    explorer.ticked = explorer.names[3:4]
    assert explorer.frame.change.tolist() == ["after"]
    pd.testing.assert_frame_equal(by_code(explorer, given), explorer.frame, atol=1e-6)
    explorer.reset()
    assert explorer.ticked == () and explorer.result is None
    assert explorer.view.value == before


def test_what_is_not_listed_cannot_be_ticked(make: Callable[..., wb.live.LiveShift]) -> None:
    with pytest.raises(ValueError, match=r"^L3.resid_post/9 is not among the 32 listed features"):
        make().ticked = ("L3.resid_post/9",)


def test_effects_on_another_classifier_are_refused(
    make: Callable[..., wb.live.LiveShift], given: dict[str, Any]
) -> None:
    texts, labels, _ = sentences(8, balanced=True)
    acts = wb.activations(given["model"], texts, "L0.resid_post", labels={"list": labels})
    other = wb.probe(acts, "list", method="logistic", controls=(), folds=2)
    with pytest.raises(ValueError, match="effects are those on another probe"):
        make(probe=other)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"labels": ()}, r"labels are 0 or 1, .* for each of \d+ texts; got shape \(0,\)"),
        ({"labels": [0]}, r"labels are 0 or 1, .* for each of \d+ texts; got shape \(1,\)"),
        ({"groups": ["A"]}, r"groups has a name for each of \d+ texts; got 1"),
    ],
)
def test_labels_and_groups_are_one_a_text(
    make: Callable[..., wb.live.LiveShift], options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        make(**options)


def test_trouble_in_a_run_is_said_in_place_and_the_table_stays(
    make: Callable[..., wb.live.LiveShift], given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = make(training=None)
    shown, frame = explorer.view._table, explorer.frame

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("no <room> left")

    monkeypatch.setattr(given["model"], "run", fail)
    explorer.ticked = explorer.names[:1]
    assert explorer.message == "no <room> left"
    assert explorer.view._table == shown and explorer.frame is frame
    assert explorer.view.status == explorer.STALE and "opacity: 0.45" in explorer.view.value
