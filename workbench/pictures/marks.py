"""Marks: how a result's table looks as a picture. A result names one: `picture = Dots(…)`.

A mark reads `to_frame`: its fields name columns, and the notes of the columns are the titles of the
axes. Blue is positive and red negative, controls are grey.
"""

from __future__ import annotations

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from ..check import ArgumentError
from ..plots import (
    GREY,
    NEGATIVE,
    POSITIVE,
    around_zero,
    name_points,
    new_axes,
    plain,
    put_legend,
    put_title,
    readable,
    set_words,
    shown_token,
    signs,
)
from ..result import Result

#: Series that all eyes tell apart, on light and on dark.
SERIES = ("#2f7bbf", "#d98210", "#1b9e77", "#c264a4", "#8c6bd1", "#b09a1c", "#5fb3d9", "#c8443c")
#: The cells of a grid show their numbers up to this many of them.
NUMBERED = 150
#: What stands before the numbers of an axis.
PREFIX = {"layer": "L", "head": "H", "neuron": "/"}


@dataclass(frozen=True)
class Mark(ABC):
    """What all marks share.

    table: of `to_frame`; None for the main one. label: the title of the axis of values, in place of
    the column's note. top: how many lines of the picture at most, those with the largest values;
    the title says so. where: the columns, and the value that lines shown have in each. first:
    columns of which the first value is shown where `where` names none.
    """

    table: str | None = field(default=None, kw_only=True)
    label: str | None = field(default=None, kw_only=True)
    top: int = field(default=30, kw_only=True)
    where: dict[str, Any] = field(default_factory=dict, kw_only=True)
    first: tuple[str, ...] = field(default=(), kw_only=True)

    def plot(self, result: Result, *, ax: Axes | None = None, **options: Any) -> Axes:
        """The picture of a result; options replace the mark's fields of these names."""
        known = [each.name for each in fields(self)]
        if strange := [name for name in options if name not in known]:
            raise ArgumentError(
                f"A picture's option is one of ax, title, {', '.join(known)}; got {strange[0]!r}."
            )
        mark = replace(self, **options)
        frame = result.to_frame() if mark.table is None else result.to_frame(mark.table)
        frame, chosen = mark._chosen(frame)
        ax = mark.draw(result, frame, ax)
        parts = [_subject(result), *(f"{name} {value}" for name, value in chosen.items())]
        put_title(ax, ", ".join([*parts, *filter(None, [ax.get_title()])]))
        return ax

    @abstractmethod
    def draw(self, result: Result, frame: Any, ax: Axes | None) -> Axes:
        """The picture of a table's lines, on `ax` or on new axes of a size that fits."""

    def _chosen(self, frame: Any) -> tuple[Any, dict[str, Any]]:
        notes = frame.attrs.get("notes", {})
        chosen = {name: frame[name].iloc[0] for name in self.first if name in frame and len(frame)}
        chosen |= self.where
        # One that all lines share needs no words.
        said = {n: v for n, v in chosen.items() if n in frame and frame[n].nunique() > 1}
        for name, value in chosen.items():
            if name not in frame or not (frame[name] == value).any():
                known = frame[name].unique().tolist() if name in frame else list(frame)
                raise ArgumentError(
                    f"A picture shows lines that the table has; got where {name!r} is {value!r}. "
                    f"{name!r} is one of {', '.join(map(str, known[:12]))}."
                    if name in frame
                    else f"A picture chooses by the table's columns {', '.join(known)}; got "
                    f"{name!r}."
                )
            frame = frame[frame[name] == value]
        frame.attrs["notes"] = notes
        return frame, said

    def _note(self, frame: Any, column: str) -> str:
        return plain(frame.attrs.get("notes", {}).get(column, "").rstrip(".") or column)

    def _largest(
        self, frame: Any, column: str, by: Sequence[str], ax: Axes | None = None
    ) -> tuple[Any, str]:
        """The lines of the `top` groups with the largest values, in their order, and that said."""
        if not by:
            return frame, ""
        sizes = frame[column].abs().groupby([frame[name] for name in by], dropna=False, sort=False)
        number, largest = sizes.ngroup(), sizes.max().to_numpy()
        if len(largest) <= self.top:
            return frame, ""
        kept = np.argsort(-np.nan_to_num(largest, nan=-1), kind="stable")[: self.top]
        return frame[number.isin(kept)], f"the {self.top} largest of {len(largest)}"


@dataclass(frozen=True)
class _Rows(Mark):
    """One row a value of `by`, the first at the top.

    value: the column drawn. by: the columns that name a row. low, high: the ends of an interval.
    beside: the column of controls, drawn grey, with its range where `<beside>_low` and
    `<beside>_high` are there. color: a column of series that share a row. sort: the largest first.
    """

    value: str
    by: str | tuple[str, ...]
    low: str | None = None
    high: str | None = None
    beside: str | None = None
    color: str | None = None
    sort: bool = False

    def draw(self, result: Result, frame: Any, ax: Axes | None) -> Axes:
        by = _columns(self.by)
        frame, said = self._largest(frame, self.value, by)
        if self.sort:
            order = np.argsort(-frame[self.value].abs().to_numpy(), kind="stable")
            frame = frame.iloc[order]
        names = list(line_names(frame, by))
        rows = {name: row for row, name in enumerate(dict.fromkeys(names))}
        series = list(dict.fromkeys(frame[self.color])) if self.color else [None]
        ax = new_axes(ax, 6.4, 1.3 + (0.2 + 0.1 * len(series)) * max(len(rows), 1))
        for s, one in enumerate(series):
            chosen = np.ones(len(frame), bool) if one is None else (frame[self.color] == one)
            some = frame[np.asarray(chosen)]
            own = [rows[name] for name, c in zip(names, np.asarray(chosen), strict=True) if c]
            shift = 0.8 * ((s + 0.5) / len(series) - 0.5)
            color = None if one is None else SERIES[s % len(SERIES)]
            self._controls(ax, some, np.array(own) + shift, 0.8 / len(series))
            self._series(ax, some, np.array(own) + shift, color, 0.8 / len(series), one)
        # The axes would end where a band does, which looks cut off.
        ax.use_sticky_edges = False
        ax.autoscale_view(scaley=False)
        ax.axvline(0, color=GREY, linewidth=1, zorder=0)
        ax.set_yticks(range(len(rows)), list(rows), fontsize=8)
        ax.set_ylim(max(len(rows), 1) - 0.4, -0.6)
        ax.set_xlabel(self.label or self._note(frame, self.value))
        ax.set_title(said)
        # Intervals and bands reach across a row, so that no corner is free.
        put_legend(ax, len(series) > 1 or self.beside in frame, outside=True)
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def _controls(self, ax: Axes, frame: Any, y: np.ndarray, height: float) -> None:
        if self.beside is None or self.beside not in frame:
            return
        low, high = f"{self.beside}_low", f"{self.beside}_high"
        said = ax.get_legend_handles_labels()[1]
        if low in frame and high in frame:
            label = "" if "controls, 95 %" in said else "controls, 95 %"
            left, width = frame[low].to_numpy(), (frame[high] - frame[low]).to_numpy()
            ax.barh(y, width, height, left=left, color=GREY, alpha=0.45, label=label, zorder=1)
        label = "" if "mean of controls" in said else "mean of controls"
        style: dict[str, Any] = {"color": GREY, "markersize": 9, "label": label, "zorder": 2}
        ax.plot(frame[self.beside], y, "|", markeredgewidth=2, **style)

    @abstractmethod
    def _series(
        self,
        ax: Axes,
        frame: Any,
        y: np.ndarray,
        color: str | None,
        height: float,
        name: Any,
    ) -> None:
        """The values of one series at the heights `y`, with their intervals."""

    def _interval(self, ax: Axes, frame: Any, y: np.ndarray, colors: Any) -> None:
        if self.low in frame and self.high in frame:
            ax.hlines(y, frame[self.low], frame[self.high], colors=colors, linewidth=2, zorder=3)


@dataclass(frozen=True)
class Bars(_Rows):
    """A bar from 0 for each row, blue above 0 and red below."""

    def _series(
        self,
        ax: Axes,
        frame: Any,
        y: np.ndarray,
        color: str | None,
        height: float,
        name: Any,
    ) -> None:
        values = frame[self.value].to_numpy(float)
        colors = signs(values) if color is None else color
        label = "" if name is None else plain(str(name))
        ax.barh(y, values, 0.9 * height, color=colors, label=label, zorder=2)
        self._interval(ax, frame, y, plt.rcParams["text.color"])


@dataclass(frozen=True)
class Dots(_Rows):
    """A point for each row with its interval, blue above 0 and red below."""

    def _series(
        self,
        ax: Axes,
        frame: Any,
        y: np.ndarray,
        color: str | None,
        height: float,
        name: Any,
    ) -> None:
        values = frame[self.value].to_numpy(float)
        colors = signs(values) if color is None else [color] * len(values)
        self._interval(ax, frame, y, colors)
        edge, label = ax.get_facecolor(), "" if name is None else plain(str(name))
        style: dict[str, Any] = {"edgecolors": [edge], "s": 40, "zorder": 4, "label": label}
        ax.scatter(values, y, color=colors, **style)


@dataclass(frozen=True)
class Lines(Mark):
    """A line for each value of `by` over a column of numbers or names, with a band of its interval.

    value: the column drawn upwards. along: the column to the right. low, high: the ends of an
    interval. beside: the column of controls, a grey band where `<beside>_low` and `<beside>_high`
    are there. log: "x", "y" or "xy" for logarithmic axes. level: values where a thin line is drawn.
    """

    value: str
    along: str
    by: str | tuple[str, ...] = ()
    low: str | None = None
    high: str | None = None
    beside: str | None = None
    log: str = ""
    level: tuple[float, ...] = (0.0,)

    def draw(self, result: Result, frame: Any, ax: Axes | None) -> Axes:
        by = _columns(self.by)
        frame, said = self._largest(frame.dropna(subset=[self.along]), self.value, by)
        numbers = pd.api.types.is_numeric_dtype(frame[self.along])
        places = {name: i for i, name in enumerate(dict.fromkeys(frame[self.along]))}
        frame = frame.assign(_x=frame[self.along] if numbers else frame[self.along].map(places))
        names = np.array(list(line_names(frame, by)), object)
        ax = new_axes(ax, 7.0, 4.2)
        for s, name in enumerate(dict.fromkeys(names)):
            some = frame[names == name].sort_values("_x", kind="stable")
            color = SERIES[s % len(SERIES)]
            style = ("-", "--", ":", "-.")[s // len(SERIES) % 4]
            self._band(ax, some, self.beside, GREY, "controls, 95 %" if s == 0 else "")
            if self.low in some and self.high in some:
                ax.fill_between(
                    some._x, some[self.low], some[self.high], color=color, alpha=0.2, linewidth=0
                )
            ax.plot(some._x, some[self.value], style, marker="o", color=color, markersize=3,
                    label=name)  # fmt: skip
        for level in () if "y" in self.log else self.level:
            ax.axhline(level, color=GREY, linewidth=1, zorder=0)
        if not numbers:
            ax.set_xticks(range(len(places)), [_text(self.along, name) for name in places])
        for axis in self.log:
            getattr(ax, f"set_{axis}scale")("log")
            getattr(ax, f"{axis}axis").set_major_formatter("{x:g}")
        ax.set_xlabel(self._note(frame, self.along))
        ax.set_ylabel(self.label or self._note(frame, self.value))
        ax.set_title(said)
        put_legend(ax, bool(by) or self.beside in frame)
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def _band(self, ax: Axes, frame: Any, column: str | None, color: str, label: str) -> None:
        if column is None or column not in frame:
            return
        low, high = f"{column}_low", f"{column}_high"
        if low in frame and high in frame:
            ax.fill_between(
                frame._x, frame[low], frame[high], color=color, alpha=0.35, linewidth=0, label=label
            )
        ax.plot(frame._x, frame[column], color=color, linewidth=1)


@dataclass(frozen=True)
class Heat(Mark):
    """A grid of colours, with the numbers in its cells where they are few.

    value: the column drawn. across, down: the columns to the right and downwards; layers go
    upwards. words: a column that names the places across, as tokens; "" shows the
    number. signed: colours around 0; None where a value is negative. Raises `ValueError` where two
    lines have one cell.
    """

    value: str
    across: str
    down: str | tuple[str, ...]
    words: str | None = None
    signed: bool | None = None

    def draw(self, result: Result, frame: Any, ax: Axes | None) -> Axes:
        by = _columns(self.down)
        frame, said = self._largest(frame, self.value, by)
        names = list(line_names(frame, by))
        down = {name: i for i, name in enumerate(dict.fromkeys(names))}
        across = {place: i for i, place in enumerate(dict.fromkeys(frame[self.across]))}
        if pd.api.types.is_numeric_dtype(frame[self.across]):
            across = {place: i for i, place in enumerate(sorted(across))}
        rows, columns = np.array([down[name] for name in names]), frame[self.across].map(across)
        values = np.full((len(down), len(across)), np.nan)
        if len(set(zip(rows, columns, strict=True))) < len(frame):
            raise ArgumentError(
                f"A grid has one line of the table for a cell of {self.across} and "
                f"{', '.join(by)}; some have several. Choose lines with where={{column: value}}."
            )
        values[rows, columns] = frame[self.value]
        numbered = values.size <= NUMBERED
        wide = 0.5 if numbered else 0.3
        size = 2.8 + wide * len(across), 1.8 + (0.3 if numbered else 0.2) * len(down)
        ax = new_axes(ax, *size)
        signed = bool((frame[self.value] < 0).any()) if self.signed is None else self.signed
        style = around_zero(values)
        if not signed:
            low = min(0.0, float(np.nanmin(values, initial=0)))
            style |= {"cmap": "viridis", "vmin": low}
        upwards = by[0] == "layer"
        origin = "lower" if upwards else "upper"
        image = ax.imshow(values, origin=origin, aspect="auto", interpolation="nearest", **style)
        if numbered:
            for (row, column), value in np.ndenumerate(values):
                if np.isfinite(value):
                    color = readable(image.cmap(image.norm(value)))
                    text = f"{round(float(value), 2) + 0.0:.2f}"
                    ax.text(column, row, text, ha="center", va="center", fontsize=7, color=color)
        words = dict(zip(frame[self.across], frame[self.words], strict=True)) if self.words else {}
        ticks = [
            " / ".join(map(shown_token, word.split(" / "))) if word else _text(self.across, x)
            for x in across
            for word in [words.get(x, "")]
        ]
        ax.set_xticks(range(len(across)), ticks)
        ax.set_yticks(range(len(down)), list(down))
        ax.tick_params(length=2, labelsize=8)
        ax.set_xlabel(self._note(frame, self.across))
        ax.set_ylabel(" ".join(by))
        ax.set_title(said)
        bar = ax.figure.colorbar(image, ax=ax, pad=0.01)
        said = textwrap.wrap(self.label or self._note(frame, self.value), 50)
        bar.set_label("\n".join(said), fontsize=8)
        bar.ax.tick_params(labelsize=8)
        return ax


@dataclass(frozen=True)
class Scatter(Mark):
    """A point for each line, the farthest from the diagonal, or from 0, named.

    x, y: the columns. names: columns that name a point. color: a column of series. diagonal: draw
    it, and name by the distance from it. named: how many are named. top: points at most.
    """

    x: str
    y: str
    names: str | tuple[str, ...] = ()
    color: str | None = None
    diagonal: bool = False
    named: int = 6
    top: int = field(default=5000, kw_only=True)

    def draw(self, result: Result, frame: Any, ax: Axes | None) -> Axes:
        frame = frame.dropna(subset=[self.x, self.y])
        far = (frame[self.y] - frame[self.x] if self.diagonal else frame[self.y]).abs().to_numpy()
        order = np.argsort(-far, kind="stable")[: self.top]
        said = "" if len(order) == len(frame) else f"the {self.top} farthest of {len(frame)}"
        frame = frame.iloc[order]
        ax = new_axes(ax, 5.8, 5.0)
        series = list(dict.fromkeys(frame[self.color])) if self.color else [None]
        for s, one in enumerate(series):
            some = frame if one is None else frame[frame[self.color] == one]
            style: dict[str, Any] = {"color": SERIES[s % len(SERIES)], "markersize": 4}
            ax.plot(some[self.x], some[self.y], "o", alpha=0.6, label=str(one), **style)
        if self.diagonal and len(frame):
            both = frame[[self.x, self.y]].to_numpy()
            ends = [both.min(), both.max()]
            ax.plot(ends, ends, color=GREY, linewidth=1, zorder=0)
        else:
            ax.axhline(0, color=GREY, linewidth=1, zorder=0)
        ax.set_xlabel(self._note(frame, self.x))
        ax.set_ylabel(self.label or self._note(frame, self.y))
        ax.set_title(said)
        ax.spines[["top", "right"]].set_visible(False)
        put_legend(ax, len(series) > 1)
        if by := _columns(self.names):
            some = frame.iloc[: self.named]
            points = some[[self.x, self.y]].to_numpy(float)
            name_points(ax, points, list(line_names(some, by)))
        return ax


@dataclass(frozen=True)
class Words(Mark):
    """A row of words for each value of `by`, in the order of the table, tinted by their values.

    word: the column of words. by: the columns that name a row. value: the column of values; None
    tints nothing. Words that find no room at the right are left out.
    """

    word: str
    by: str | tuple[str, ...]
    value: str | None = None

    def draw(self, result: Result, frame: Any, ax: Axes | None) -> Axes:
        by = _columns(self.by)
        frame = frame if self.value is None else frame.dropna(subset=[self.value])
        column = self.value or "_n"
        frame = frame if self.value else frame.assign(_n=1.0)
        frame, said = self._largest(frame, column, by)
        names = np.array(list(line_names(frame, by)), object)
        rows = list(dict.fromkeys(names))
        ax = new_axes(ax, 9.0, 1.2 + 0.28 * len(rows))
        ax.set_yticks(range(len(rows)), rows, fontsize=8)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        color = _tint(frame[self.value].to_numpy(float) if self.value else np.zeros(0))
        lines = []
        for name in rows:
            some = frame[names == name]
            values = some[self.value] if self.value else [np.nan] * len(some)
            lines.append(list(zip(some[self.word], values, strict=True)))
        set_words(ax, [(row, line) for row, line in enumerate(lines)], color, wrap=False)
        ax.set_title(said)
        return ax


@dataclass(frozen=True)
class Tokens(Mark):
    """Running text, each token tinted by its value, a paragraph for each value of `by`.

    token, value: the columns. by: the columns that name a paragraph. top: paragraphs at most.
    """

    token: str
    value: str
    by: str | tuple[str, ...] = ()
    top: int = field(default=12, kw_only=True)

    def draw(self, result: Result, frame: Any, ax: Axes | None) -> Axes:
        by = _columns(self.by)
        frame, said = self._largest(frame, self.value, by)
        names = np.array(list(line_names(frame, by)), object)
        rows = list(dict.fromkeys(names))
        lines = [
            list(zip(frame[names == n][self.token], frame[names == n][self.value], strict=True))
            for n in rows
        ]
        letters = sum(len(shown_token(str(t), 24)) + 1 for line in lines for t, _ in line)
        ax = new_axes(ax, 9.0, 1.4 + 0.26 * (letters / 85 + 1.2 * len(lines)))
        values = frame[self.value].to_numpy(float)
        used = set_words(ax, list(enumerate(lines)), _tint(values), wrap=True)
        ax.set_ylim(used[-1] + 0.8 if used else 1, -0.8)
        starts = [used[i] for i in range(len(rows))] if used else []
        ax.set_yticks(starts, rows if by else [""] * len(starts), fontsize=8)
        ax.set_title(said)
        scale = plt.cm.ScalarMappable(*_scale(values))
        bar = ax.figure.colorbar(scale, ax=ax, pad=0.01, fraction=0.03)
        bar.set_label(self.label or self._note(frame, self.value), fontsize=8)
        return ax


@dataclass(frozen=True)
class GraphPicture(Mark):
    """Nodes in their layers upwards, edges by sign and weight.

    top: how many edges at most, the largest.
    """

    top: int = field(default=80, kw_only=True)

    def draw(self, result: Result, frame: Any, ax: Axes | None) -> Axes:
        graph: Any = result
        kept = np.argsort(-np.abs(graph.weights), kind="stable")[: self.top]
        used = np.unique(np.concatenate([graph.sources[kept], graph.targets[kept]]))
        layers = {n: int(graph.layers[n]) for n in used.tolist()}
        levels = sorted(set(layers.values()))
        members = {level: [n for n in layers if layers[n] == level] for level in levels}
        widest = max((len(each) for each in members.values()), default=1)
        longest = max((len(graph.labels[n] or graph.ids[n]) for n in layers), default=1)
        ax = new_axes(ax, 2 + widest * (0.5 + 0.07 * min(longest, 24)), 1.5 + 0.8 * len(levels))
        places = {
            n: ((i + 0.5) / len(each), float(level))
            for level, each in members.items()
            for i, n in enumerate(each)
        }
        most = float(np.abs(graph.weights[kept]).max()) if len(kept) else 1.0
        for edge in kept[::-1].tolist():
            weight = float(graph.weights[edge])
            share = abs(weight) / (most or 1.0)
            x, y = zip(places[int(graph.sources[edge])], places[int(graph.targets[edge])],
                       strict=True)  # fmt: skip
            color = POSITIVE if weight >= 0 else NEGATIVE
            ax.plot(x, y, color=color, linewidth=0.5 + 2.5 * share, alpha=0.25 + 0.65 * share)
        for n, (x, y) in places.items():
            name = shown_token(graph.labels[n] or graph.ids[n], 24)
            box = {"boxstyle": "round,pad=0.3", "facecolor": ax.get_facecolor(), "edgecolor": GREY}
            ax.text(x, y, name, ha="center", va="center", fontsize=8, bbox=box, zorder=5)
        ax.set_xlim(-0.02, 1.02)
        if levels:
            ax.set_ylim(levels[0] - 0.6, levels[-1] + 0.6)
        ends = {
            level for level, each in members.items() if {graph.kinds[n] for n in each} == {"logits"}
        }
        said = ["embed" if x < 0 else "logits" if x in ends else f"L{x}" for x in levels]
        ax.set_yticks(levels, said)
        ax.set_xticks([])
        ax.spines[:].set_visible(False)
        fewer = len(kept) < len(graph.weights)
        size = f"the {self.top} largest of {len(graph.weights)} edges" if fewer else ""
        ax.set_title("; ".join(filter(None, [size, graph.caption])))
        return ax


# -- names ------------------------------------------------------------------------------------


def _columns(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def line_names(frame: Any, by: Sequence[str]) -> Iterator[str]:
    """What each line of the table is called; the parts that a line has none of are left out."""
    if not by:
        yield from [""] * len(frame)
        return
    for line in frame[list(by)].itertuples(index=False):
        parts = [
            _text(name, value)
            for name, value in zip(by, line, strict=True)
            if not (value is None or value != value or value == "")
        ]
        tight = all(name in PREFIX for name in by)
        yield ("" if tight else " ").join(parts)


def _text(column: str, value: Any) -> str:
    if isinstance(value, tuple):
        value = "  ".join(shown_token(str(each), 12) for each in value)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    prefix = PREFIX.get(column, "") if not isinstance(value, str) else ""
    return plain(prefix + text)


# -- colours ----------------------------------------------------------------------------------


def _subject(result: Result) -> str:
    """The model, and what the picture shows of it: what effects are of, or the short form."""
    own = "" if type(result)._facts is Result._facts else result._facts()
    about = getattr(result, "what", "") or own.partition(";")[0]
    return ": ".join(filter(None, [result.model, textwrap.shorten(about, 90, placeholder=" …")]))


def _scale(values: np.ndarray) -> tuple[Normalize, Any]:
    """The colours of values: around 0 where one is negative, else from 0 upwards."""
    style = around_zero(values)
    if (values[np.isfinite(values)] < 0).any():
        return Normalize(style["vmin"], style["vmax"]), colormaps[style["cmap"]]
    return Normalize(0, style["vmax"]), colormaps["viridis"]


def _tint(values: np.ndarray) -> Any:
    norm, colors = _scale(values)
    return lambda value: colors(norm(value)) if np.isfinite(value) else None
