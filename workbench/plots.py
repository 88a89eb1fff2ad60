"""Plots: static pictures of results, as matplotlib Axes."""

from __future__ import annotations

import inspect
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import SequenceMatcher
from functools import wraps
from importlib import import_module
from inspect import Parameter
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage
from matplotlib.text import Text
from PIL import Image

from .check import checked

# Journals take no Type 3 fonts, matplotlib's own way; a person's other choice stays.
if plt.rcParams["pdf.fonttype"] == 3:
    plt.rcParams["pdf.fonttype"] = plt.rcParams["ps.fonttype"] = 42
#: The one pair of sign colours: more of the metric is blue, less of it red.
POSITIVE, NEGATIVE = "#2f7bbf", "#c8443c"
#: What stands beside: controls, zero, a diagonal. It is legible on light and on dark.
GREY = "0.55"
#: Letters of fewer points are not read on paper.
SMALLEST = 4.5
#: The rows or bars of a picture are all named up to this many; beyond, every second, third …
NAMED = 45


def plot(result: Any, title: str | None = None, **options: Any) -> Axes:
    """A static picture of a result: the mark or the function that its `picture` names.

    Raises `TypeError` for a result that has no picture.
    """
    picture = result.picture
    if picture is None:
        raise TypeError(f"{type(result).__name__} has no picture; use to_frame().")
    if isinstance(picture, str):
        ax = checked(_drawer(picture))(result, **options)
    else:
        ax = picture.plot(result, **options)
    if title is not None:
        ax.set_title(title)
    fit(ax)
    if title is None:
        _wrap_title(ax)
    return ax


def _drawer(picture: str) -> Callable[..., Axes]:
    module, _, name = picture.rpartition(".")
    return getattr(import_module(f".pictures.{module}", __package__), name)


def with_options(method: Callable[..., Any], picture: Any) -> Callable[..., Any]:
    """The method `plot` with the options of a picture, a mark or a name, in signature and help."""

    @wraps(method)
    def plot(*args: Any, **options: Any) -> Any:
        return method(*args, **options)

    if picture is None:
        return plot
    if isinstance(picture, str):
        draw = _drawer(picture)
        own, texts = list(inspect.signature(draw).parameters.values())[1:], [draw]
    else:
        texts = [kind for kind in type(picture).mro() if is_dataclass(kind)]
        named = [Parameter("ax", Parameter.KEYWORD_ONLY, default=None)]
        own = named + [
            Parameter(f.name, Parameter.KEYWORD_ONLY, default=getattr(picture, f.name))
            for f in fields(picture)
        ]
    first = list(inspect.signature(method).parameters.values())[:-1]
    plot.__signature__ = inspect.Signature([*first, *own])  # pyright: ignore
    plot.__doc__ = "\n\n".join(inspect.cleandoc(each.__doc__ or "") for each in [method, *texts])
    return plot


def png(result: Any, **options: Any) -> bytes:
    """The picture as the bytes of a PNG file of 256 colours, a third as large as one of all; the
    figure is closed again.
    """
    before = set(plt.get_fignums())
    try:
        figure: Any = plot(result, **options).figure
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=110, bbox_inches="tight")
        small = io.BytesIO()
        few = Image.open(out).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(small, format="PNG", optimize=True)
        return small.getvalue()
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)


def shown_token(token: str, longest: int = 10) -> str:
    """A token for a label: a space as a dot, a line break as an arrow, long ones cut."""
    text = token.replace(" ", "·").replace("\n", "↵").replace("\t", "⇥")
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    # matplotlib reads text between dollar signs as mathematics.
    return text.replace("$", r"\$")


def quoted(token: str) -> str:
    """A token in quotation marks for running text."""
    return f"‘{token}’".replace("\n", "↵").replace("$", r"\$")


def signs(values: Iterable[float]) -> list[str]:
    """The colour of each number by its sign."""
    return [NEGATIVE if value < 0 else POSITIVE for value in values]


def around_zero(values: Any) -> dict[str, Any]:
    """The colours of a picture of signed numbers: red below 0, blue above, white at 0."""
    there = np.abs(values)[np.isfinite(values)]
    most = max(float(there.max(initial=0)), 1e-12)
    return {"cmap": "RdBu", "vmin": -most, "vmax": most}


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The given axes, or new ones of a size in inches that has an upper bound."""
    if ax is not None:
        return ax
    size = min(24.0, width), min(20.0, height)
    return plt.subplots(figsize=size, layout="constrained")[1]


def plain(text: str) -> str:
    """A text that matplotlib takes for no formula, on one line."""
    return " ".join(text.replace("$", r"\$").replace("\n", "↵").split(" "))


def readable(color: Any) -> str:
    """Black or white, whichever stands out from a colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"


def fit(ax: Axes) -> None:
    """Names on the axes that do not overlap: turned, then every second, third … of them. Texts in
    cells that stay within these: smaller, then words cut and numbers left out.
    """
    figure: Any = ax.figure
    figure.canvas.draw()
    names = _shown(ax, "x")
    if _overlap(names, "x"):
        plt.setp(ax.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
        _thin(names, "x")
    _thin(_shown(ax, "y"), "y")
    ax.set_xlabel(textwrap.fill(ax.get_xlabel(), 80))
    ax.set_ylabel(textwrap.fill(ax.get_ylabel(), 48))
    if cells := [text for text in ax.texts if any(_within(text, each) for each in ax.images)]:
        figure.canvas.draw()
        _fit_cells(ax, cells)


def _within(text: Text, image: AxesImage) -> bool:
    x, y = text.get_position()
    left, right, *ends = image.get_extent()
    return left < x < right and min(ends) < y < max(ends)


def _fit_cells(ax: Axes, cells: Sequence[Text]) -> None:
    """Texts in cells of width 1 of the data."""
    (left, _), (right, _) = ax.transData.transform([(0, 0), (1, 0)])
    room = 0.94 * abs(right - left)
    if (widest := max(text.get_window_extent().width for text in cells)) <= room:
        return
    size = max(SMALLEST, cells[0].get_fontsize() * room / widest)
    plt.setp(cells, fontsize=size)
    wide = [text for text in cells if text.get_window_extent().width > room]
    # A number that is cut would be another.
    if wide and all(re.fullmatch(r"[-+]?[\d.]+", text.get_text()) for text in cells):
        plt.setp(cells, visible=False)
        return
    for text in wide:
        words = text.get_text()
        while len(words) > 1 and text.get_window_extent().width > room:
            words = words[:-1]
            text.set_text(words + "…")
        text.set_visible(len(words) > 2)


def _shown(ax: Axes, axis: str) -> list[Text]:
    """The names on an axis that lie within its ends."""
    own = getattr(ax, f"{axis}axis")
    low, high = sorted(own.get_view_interval())
    ticks = [tick for tick in own.get_major_ticks() if low <= tick.get_loc() <= high]
    return [tick.label1 for tick in ticks if tick.label1.get_text()]


def _ends(label: Text, axis: str) -> tuple[float, float]:
    if axis == "x" and label.get_rotation():
        # Slanted lines of text touch where their anchors lie closer than a line is high.
        where = label.get_transform().transform(label.get_position())[0]
        height = 1.4 * label.get_fontsize() * label.get_figure().dpi / 72  # type: ignore[union-attr]
        return where - height / 2, where + height / 2
    box = label.get_window_extent()
    return (box.x0, box.x1) if axis == "x" else (box.y0, box.y1)


def _overlap(labels: Sequence[Text], axis: str) -> bool:
    ends = sorted(_ends(label, axis) for label in labels)
    return any(b[0] < a[1] for a, b in pairwise(ends))


def _thin(labels: Sequence[Text], axis: str) -> None:
    step = 1
    while step < len(labels) and _overlap(labels[::step], axis):
        step += 1
    for i, label in enumerate(labels):
        label.set_visible(i % step == 0)


def put_title(ax: Axes, text: str) -> None:
    """The title on as many lines as the width asks for: the figure's, or its column's."""
    ax.set_title(plain(text), fontsize=10)
    if _columns(ax) > 1:
        _wrap_title(ax)  # that of the axes which `plot` returns is wrapped there, at the end


def _columns(ax: Axes) -> int:
    place = ax.get_subplotspec()
    return 1 if place is None else place.get_topmost_subplotspec().get_gridspec().ncols


def _wrap_title(ax: Axes) -> None:
    figure: Any = ax.figure
    columns = _columns(ax)
    room = 0.95 * figure.bbox.width / columns
    if columns == 1:
        # It stands over the middle of the axes, which is not that of the figure.
        box = ax.get_window_extent()
        middle = (box.x0 + box.x1) / 2
        room = 1.95 * min(middle, figure.bbox.width - middle)
    width = ax.title.get_window_extent().width
    if width > room:
        lines = ax.get_title().split("\n")
        letters = max(20, int(max(map(len, lines)) * room / width))
        ax.title.set_text("\n".join("\n".join(textwrap.wrap(line, letters)) for line in lines))


def put_legend(ax: Axes, wanted: bool, *, outside: bool = False) -> None:
    """The legend, where it is wanted: beside the axes if long or `outside`, else where it fits."""
    handles, names = ax.get_legend_handles_labels()
    if not wanted or not names:
        return
    if outside or len(names) > 4:
        place: Mapping[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    else:
        place = {"loc": "best"}
    ax.legend(handles, names, fontsize=8, frameon=False, **place)


def name_points(ax: Axes, points: np.ndarray, names: Sequence[str]) -> None:
    """Names beside points, each moved up a line at a time where it would lie on another."""
    figure: Any = ax.figure
    figure.canvas.draw()
    taken: list[Any] = []
    middle = np.mean(ax.get_xlim())
    for (x, y), name in zip(points, names, strict=True):
        right = x > middle
        text = ax.annotate(
            name, (x, y), xytext=(-8 if right else 8, 0), textcoords="offset points", fontsize=7,
            ha="right" if right else "left", va="center",
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6},
        )  # fmt: skip
        for up in range(1, 40):
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
            way = (up + 1) // 2 * (1 if up % 2 else -1)
            text.set_position((-8 if right else 8, 9 * way))
        taken.append(text.get_window_extent())


def set_words(
    ax: Axes, lines: Sequence[tuple[int, Sequence[tuple[Any, float]]]], color: Any, *, wrap: bool
) -> list[float]:
    """Words set one behind the other, each on its colour; the height of each line's first word.

    wrap: go on in the next line at the right end; else what has no room is left out. The last
    entry is the height of the last line.
    """
    ax.set_xlim(0, 1)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    figure: Any = ax.figure
    figure.canvas.draw()
    width = ax.get_window_extent().width
    height, heights = 0.0, []
    for row, words in lines:
        height = height if wrap else float(row)
        heights.append(height)
        at = 0.0
        for word, value in words:
            back = color(value)
            box = {"boxstyle": "square,pad=0.15", "linewidth": 0, "facecolor": back or "none"}
            own = plt.rcParams["text.color"] if back is None else readable(back)
            style: dict[str, Any] = {"fontsize": 8, "color": own, "va": "center", "bbox": box}
            text = ax.text(at, height, shown_token(str(word), 24), **style)
            size = (text.get_window_extent().width + 7) / width
            if at + size > 1 and at > 0:
                if not wrap:
                    text.remove()
                    break
                at, height = 0.0, height + 1
                text.set_position((at, height))
            at += size
        height += 1.2
    return [*heights, height - 1.2] if heights else []


def words_changed(texts: Sequence[str]) -> list[list[tuple[str, float]]]:
    """The words of texts, the first the plain one: 1 for a word that the plain text has not there,
    -1 for one of the plain text that another lost, 0 for all others.
    """
    plain, *others = [text.split() for text in texts]
    lost, out = [0.0] * len(plain), []
    for other in others:
        marks = [0.0] * len(other)
        for kind, a, b, c, d in SequenceMatcher(None, plain, other, False).get_opcodes():
            if kind != "equal":
                lost[a:b] = [-1.0] * (b - a)
                marks[c:d] = [1.0] * (d - c)
        out.append(list(zip(other, marks, strict=True)))
    return [list(zip(plain, lost, strict=True)), *out]
