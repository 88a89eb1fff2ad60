"""The marks draw the numbers of a result's table, name axes by its notes, and stay legible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from tests.unit.kernels import marks
from tests.unit.made_results import ORIGIN
from workbench.check import ArgumentError
from workbench.graph import Graph
from workbench.result import Labels, Result, axes, labels


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


@dataclass(frozen=True, eq=False, repr=False)
class Found(Result):
    """Accuracies of probes."""

    sites: tuple[str, ...] = labels("site", "Where it was read.")
    accuracy: np.ndarray = axes("site", np.float32, "Share of texts that the probe gets right.")
    low: np.ndarray = axes("site")
    high: np.ndarray = axes("site")
    control: np.ndarray = axes("site")
    control_low: np.ndarray = axes("site")
    control_high: np.ndarray = axes("site")

    picture = marks.Dots("accuracy", by="site", low="low", high="high", beside="control")


def found(n: int = 4, name: str = "L{}.resid_post") -> Found:
    values = np.linspace(-0.2, 0.9, n)
    own = {"accuracy": values, "low": values - 0.1, "high": values + 0.2}
    control = np.full(n, 0.05)
    beside = {"control": control, "control_low": control - 0.1, "control_high": control + 0.1}
    return Found(**ORIGIN, seed=0, sites=tuple(name.format(i) for i in range(n)), **own, **beside)


@dataclass(frozen=True, eq=False, repr=False)
class Table(Result):
    """Any table, with the mark that it is given."""

    changes: Labels = labels("change")
    value: np.ndarray = axes("change", np.float64, "Effect on the answer's logit (nats).")
    low: np.ndarray | None = axes("change", optional=True)
    high: np.ndarray | None = axes("change", optional=True)
    picture: marks.Mark | None = field(default=None, kw_only=True)  # type: ignore[misc]


def table(mark: Any, frame: pd.DataFrame) -> Table:
    given: dict[str, Any] = {n: frame[n].to_numpy() for n in ("value", "low", "high") if n in frame}
    return Table(
        **ORIGIN, seed=0, picture=mark, **given,
        changes={n: tuple(frame[n]) for n in frame if n not in given},
    )  # fmt: skip


def ticks(ax: Any, axis: str) -> list[str]:
    return [label.get_text() for label in getattr(ax, f"get_{axis}ticklabels")()]


def test_dots_stand_at_the_numbers_with_their_interval_beside_the_controls() -> None:
    result = found()
    ax = result.plot()
    points = ax.collections[-1]
    np.testing.assert_allclose(points.get_offsets()[:, 0], result.accuracy, rtol=1e-6)
    assert [tuple(color) for color in points.get_facecolors()] == [
        to_rgba(marks.NEGATIVE if value < 0 else marks.POSITIVE) for value in result.accuracy
    ]
    spans = [segment[:, 0] for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(spans, np.stack([result.low, result.high], 1), rtol=1e-6)
    lefts = [(patch.get_x(), patch.get_width()) for patch in ax.patches]
    np.testing.assert_allclose(lefts, [(-0.05, 0.2)] * 4, rtol=1e-5)
    assert ticks(ax, "y") == list(result.sites) and ax.get_ylim()[0] > ax.get_ylim()[1]
    assert ax.get_xlabel() == "Share of texts that the probe gets right"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "mean of controls", "controls, 95 %",
    ]  # fmt: skip


def test_bars_are_sorted_cut_and_say_so() -> None:
    frame = pd.DataFrame({"name": list("abcdef"), "value": [1, -5, 3, 2, -4, 0.5]})
    result = table(marks.Bars("value", by="name", sort=True, top=3), frame)
    ax = result.plot()
    assert [bar.get_width() for bar in ax.patches] == [-5, -4, 3] and ticks(ax, "y") == list("bec")
    assert "the 3 largest of 6" in ax.get_title() and ax.get_title().startswith("made")
    assert ax.patches[0].get_facecolor() == to_rgba(marks.NEGATIVE)
    ax = result.plot(top=6, sort=False, title="all of them")
    assert [bar.get_width() for bar in ax.patches] == frame.value.tolist()
    assert ax.get_title() == "all of them"


def test_series_share_a_row_side_by_side() -> None:
    frame = pd.DataFrame(
        {"name": list("aabb"), "kind": list("xyxy"), "value": [1.0, 2.0, 3.0, 4.0]}
    )
    ax = table(marks.Bars("value", by="name", color="kind"), frame).plot()
    assert [bar.get_width() for bar in ax.patches] == [1, 3, 2, 4]
    assert [round(bar.get_y() + bar.get_height() / 2, 6) for bar in ax.patches] == [
        -0.2, 0.8, 0.2, 1.2,
    ]  # fmt: skip
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["x", "y"]


def test_lines_follow_each_group_along_a_column_in_order() -> None:
    frame = pd.DataFrame(
        {"name": list("abab"), "fraction": [0.5, 0.5, 0.1, 0.1], "value": [1.0, 2.0, 3.0, 4.0]}
    ).assign(low=0.0, high=5.0)
    ax = table(marks.Lines("value", "fraction", by="name", low="low", high="high"), frame).plot()
    for line, values in zip(ax.lines[:2], ([3, 1], [4, 2]), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [0.1, 0.5])
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert len(ax.collections) == 2 and ax.get_ylabel() == "Effect on the answer's logit (nats)"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]
    logs = table(marks.Lines("value", "fraction", by="name", log="x"), frame).plot()
    assert logs.get_xscale() == "log"


def test_a_grid_holds_the_numbers_where_they_belong_and_layers_go_upwards() -> None:
    frame = pd.DataFrame(
        [
            {"layer": layer, "pos": pos, "token": f" t{pos}", "value": layer - pos}
            for layer in (1, 0) for pos in (2, 0, 1)
        ]
    )  # fmt: skip
    ax = table(marks.Heat("value", across="pos", down="layer", words="token"), frame).plot()
    np.testing.assert_array_equal(ax.images[0].get_array(), [[1, 0, -1], [0, -1, -2]])
    assert ticks(ax, "x") == ["·t0", "·t1", "·t2"] and ticks(ax, "y") == ["L1", "L0"]
    assert ax.get_ylim()[0] < ax.get_ylim()[1] and ax.images[0].get_clim() == (-2, 2)
    assert [t.get_text() for t in ax.texts] == ["1.00", "0.00", "-1.00", "0.00", "-1.00", "-2.00"]
    twice = pd.concat([frame, frame])
    with pytest.raises(ArgumentError, match=r"one line of the table for a cell of pos and layer;"):
        table(marks.Heat("value", across="pos", down="layer"), twice).plot()


def test_lines_are_chosen_by_their_columns() -> None:
    frame = pd.DataFrame({"measure": list("xxyy"), "name": list("abab"), "value": [1.0, 2, 3, 4]})
    result = table(marks.Bars("value", by="name", first=("measure",)), frame)
    ax = result.plot()
    assert [bar.get_width() for bar in ax.patches] == [1, 2] and "measure x" in ax.get_title()
    ax = result.plot(where={"measure": "y"})
    assert [bar.get_width() for bar in ax.patches] == [3, 4] and "measure y" in ax.get_title()
    with pytest.raises(ArgumentError, match=r"where 'measure' is 'z'\. 'measure' is one of x, y"):
        result.plot(where={"measure": "z"})
    with pytest.raises(ArgumentError, match="chooses by the table's columns .*; got 'nothing'"):
        result.plot(where={"nothing": 1})
    with pytest.raises(ArgumentError, match=r"option is one of ax, title, .*top.*; got 'tops'"):
        result.plot(tops=3)


def test_points_far_from_the_diagonal_are_named() -> None:
    frame = pd.DataFrame({"name": list("abc"), "exact": [0.0, 1.0, 2.0], "value": [0.0, 1.5, 1.0]})
    mark = marks.Scatter("exact", "value", names="name", diagonal=True, named=2)
    ax = table(mark, frame).plot()
    assert [t.get_text() for t in ax.texts] == ["c", "b"]
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[2, 1], [1, 1.5], [0, 0]])
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [0, 2])


def test_words_stand_in_rows_and_leave_out_what_has_no_room() -> None:
    frame = pd.DataFrame(
        [{"name": n, "word": f" {n}{k}", "value": k - 1.0} for n in "ab" for k in range(40)]
    )
    ax = table(marks.Words("word", by="name", value="value"), frame).plot()
    first = [t for t in ax.texts if t.get_text().startswith("·a")]
    assert [t.get_text() for t in first[:3]] == ["·a0", "·a1", "·a2"] and 10 < len(first) < 40
    right = ax.get_window_extent().x1
    assert max(t.get_window_extent().x1 for t in first) <= right + 8
    assert ticks(ax, "y") == ["a", "b"]


def test_tokens_run_on_in_the_next_line() -> None:
    words = [f" word{i}" for i in range(60)]
    frame = pd.DataFrame({"prompt": 0, "token": words, "value": np.arange(60.0)})
    ax = table(marks.Tokens("token", "value", by="prompt"), frame).plot()
    assert [t.get_text() for t in ax.texts] == [f"·word{i}" for i in range(60)]
    assert len({t.get_position()[1] for t in ax.texts}) > 2
    boxes = [t.get_window_extent() for t in ax.texts]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_a_graph_is_drawn_by_layers_with_its_largest_edges() -> None:
    graph = Graph(
        **ORIGIN, seed=0, prompt="", ids=("a", "b", "c"), labels=("", "", ""),
        kinds=("embed", "head", "logits"), channels=("", "", ""), layers=np.array([-1, 0, 1]),
        positions=np.full(3, -1), units=np.full(3, -1), scores=np.full(3, np.nan),
        sources=np.array([0, 0, 1]), targets=np.array([1, 2, 2]), weights=np.array([1.0, 0.1, -2]),
    )  # fmt: skip
    ax = graph.plot(top=2)
    assert [t.get_text() for t in ax.texts] == ["a", "b", "c"]
    assert [line.get_color() for line in ax.lines] == [marks.POSITIVE, marks.NEGATIVE]
    assert ax.lines[1].get_ydata().tolist() == [0, 1] and "the 2 largest of 3 edges" in (
        " ".join(ax.get_title().split())
    )


LONG = {
    "dots": lambda: found(60, "L{}.a_long_name_of_a_site"),
    "lines": lambda: table(
        marks.Lines("value", "site"),
        pd.DataFrame({"site": [f"L{i}.resid_post" for i in range(50)], "value": range(50)}),
    ),
    "heat": lambda: table(
        marks.Heat("value", across="pos", down="layer", words="token"),
        pd.DataFrame(
            [{"layer": i, "pos": j, "token": f" token{j}", "value": i * j}
             for i in range(40) for j in range(60)]
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("name", LONG)
def test_no_names_overlap_or_leave_the_figure(name: str, style: str) -> None:
    with plt.style.context(style):
        ax = LONG[name]().plot()
        ax.figure.canvas.draw()
        renderer = ax.figure.canvas.get_renderer()
        inside = ax.figure.bbox
        for axis in ("x", "y"):
            own = getattr(ax, f"{axis}axis")
            low, high = sorted(own.get_view_interval())
            ticks = [tick for tick in own.get_major_ticks() if low <= tick.get_loc() <= high]
            shown = [tick.label1 for tick in ticks if tick.label1.get_visible()]
            assert len(shown) > 2
            for label in shown:
                box = label.get_window_extent(renderer)
                assert box.x0 >= inside.x0 - 1 and box.y0 >= inside.y0 - 1
                assert box.x1 <= inside.x1 + 1 and box.y1 <= inside.y1 + 1
            if not shown[0].get_rotation():
                boxes = [label.get_window_extent(renderer) for label in shown]
                assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        title = ax.title.get_window_extent(renderer)
        assert title.x0 >= inside.x0 - 1 and title.x1 <= inside.x1 + 1


@pytest.mark.parametrize("kind", [marks.Dots, marks.Bars])
def test_a_legend_stands_beside_the_rows_and_covers_none(kind: Any) -> None:
    frame = pd.DataFrame({"site": ["a", "b"], "value": [0.5, -0.5], "low": -1.0, "high": 1.0})
    frame = frame.assign(control=0.0, control_low=-2.0, control_high=2.0)
    ax = table(kind("value", "site", "low", "high", "control"), frame).plot()
    ax.figure.canvas.draw()
    renderer = ax.figure.canvas.get_renderer()
    legend = ax.get_legend().get_window_extent(renderer)
    assert not legend.overlaps(ax.get_window_extent(renderer))
    assert legend.x1 <= ax.figure.bbox.x1 + 1
    left, right = ax.get_xlim()
    assert left < -2.05 and right > 2.05


def luminance(color: Any) -> float:
    parts = to_rgba(color)[:3]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", sorted({marks.POSITIVE, marks.NEGATIVE, *marks.SERIES, "0.55"}))
def test_every_colour_stands_out_from_white_and_from_black(color: str) -> None:
    own = luminance(color) + 0.05
    assert 1.05 / own >= 2.2 and own / 0.05 >= 3.0


def test_a_mark_that_an_instance_is_given_is_saved_with_it(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": list("ab"), "value": [1.0, 2.0]})
    mark = marks.Lines("value", "name", by=("x", "y"), where={"measure": "m"}, level=(0.0, 1.0))
    result = table(mark, frame)
    result.save(tmp_path / "one")
    assert Table.load(tmp_path / "one").picture == mark
    plain = replace(result, picture=None)
    plain.save(tmp_path / "two")
    assert Table.load(tmp_path / "two").picture is None
