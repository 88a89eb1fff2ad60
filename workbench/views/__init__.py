"""Views: from results to widgets and pages; a result's `view` names the maker of its widget."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ipywidgets import Widget

from .. import widgets
from ..check import ArgumentError
from ..plots import words_changed

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 1.5em; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; font-size: 0.85em; }}
td, th {{ padding: 0.1em 0.6em; text-align: right; }}
.said :is(td, th) {{ text-align: left; vertical-align: top; max-width: 30em; }}
</style>
</head>
<body>
<h1>{title}</h1>
<img alt="{title}" src="data:image/png;base64,{picture}">
{table}
</body>
</html>
"""


class NoView(ArgumentError):
    """The result has no interactive view; its picture shows it."""


def widget(result: Any, **options: Any) -> Any:
    """The interactive view of a result. Raises `NoView`, a `TypeError`, for one that has none."""
    if result.view is None:
        raise NoView(
            f"{type(result).__name__} has no interactive view; draw it with plot(), or use "
            "to_frame()."
        )
    module, _, name = result.view.rpartition(".")
    return getattr(import_module(f".{module}", __name__), name)(result, **options)


@contextmanager
def _drawn(result: Any) -> Iterator[tuple[Any, Any]]:
    """The interactive view of a result, closed at the end, and its picture; None for what it lacks.

    Raises `TypeError` where it has neither.
    """
    try:
        drawn = widget(result)
    except NoView:
        yield None, result.png()
        return
    try:
        yield drawn, None if result.picture is None else result.png()
    finally:
        # Its layout is a widget too, and every widget is kept until it is closed.
        for part in (*drawn.trait_values().values(), drawn):
            if isinstance(part, Widget):
                part.close()


def output(result: Any) -> dict[str, str]:
    """What a notebook keeps of a result, by media type: text, picture, and the view that lives in
    its output without a kernel.
    """
    out = {"text/plain": repr(result)}
    with _drawn(result) as (drawn, picture):
        if picture is not None:
            out["image/png"] = base64.b64encode(picture).decode("ascii")
        if drawn is not None:
            out["text/html"] = widgets.output(drawn, repr(result), picture=picture)
    return out


def page(result: Any, title: str) -> str:
    """One self-contained HTML page: the widget, or where there is none the picture and table."""
    with _drawn(result) as (drawn, picture):
        if drawn is not None:
            return widgets.page(drawn, title, picture=picture)
    table = result.to_frame().to_html(index=False, border=0, float_format="{:.4g}".format)
    table = said(result) + table if getattr(result, "texts", None) else table
    image = base64.b64encode(picture).decode("ascii")
    return PAGE.format(title=html.escape(title, quote=True), picture=image, table=table)


def said(result: Any) -> str:
    """What is said after each prompt: an HTML table, a column a change, what changed marked."""
    frame = result.to_frame("texts")
    cells = ["".join(f"<th>{html.escape(name)}</th>" for name in ["after", *result.texts])]
    for (_, prompt), some in frame.groupby(["example", "prompt"], sort=False):
        row = [html.escape(prompt)]
        for words in words_changed([*some["text"]]):
            each = [(html.escape(word), mark) for word, mark in words]
            row.append(" ".join(f"<mark>{word}</mark>" if mark else word for word, mark in each))
        cells.append("".join(f"<td>{cell}</td>" for cell in row))
    return f'<table class="said">{"".join(f"<tr>{row}</tr>" for row in cells)}</table>'
