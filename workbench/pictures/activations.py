"""Activations as a picture: their rows in the plane in which these differ most."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ..activations import Activations
from ..plots import GREY, new_axes, put_legend, put_title
from .marks import SERIES


def activations(
    result: Activations,
    *,
    site: str | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A point a row, in the plane of the two largest principal components of a site.

    site: None takes the last. label: the column that colours the points, None takes the first; the
    values beyond the most frequent stay grey.
    """
    name = result.sites[-1] if site is None else site
    x = result[name].astype(np.float64)
    x = x - x.mean(0)
    # Eigenvectors of a matrix of the site's size, however many rows there are.
    squares, vectors = np.linalg.eigh(x.T @ x)
    share = np.clip(squares[::-1], 0, None) / max(float(np.square(x).sum()), 1e-30)
    at = np.pad(x @ vectors[:, ::-1][:, :2], ((0, 0), (0, 2)))[:, :2]
    ax = new_axes(ax, 6.4, 4.8)
    column = next(iter(result.labels), None) if label is None else label
    values = np.array([""] * len(x)) if column is None else result.label(column).astype(str)
    kinds, counts = np.unique(values, return_counts=True)
    named = list(kinds[np.argsort(-counts, kind="stable")][: len(SERIES)])
    for kind in [*named, None]:
        some = ~np.isin(values, named) if kind is None else values == kind
        if some.any():
            color = GREY if kind is None else SERIES[named.index(kind)]
            style = {"color": color, "markersize": 4, "alpha": 0.6}
            ax.plot(*at[some].T, "o", label="others" if kind is None else kind, **style)
    for axis, nth, part in ((ax.xaxis, "first", share[:1]), (ax.yaxis, "second", share[1:2])):
        axis.set_label_text(f"{nth} principal component ({float(part.sum()):.0%} of the variance)")
    put_title(ax, f"{result.model}: {len(x)} rows at {name}" + (f" by {column}" if column else ""))
    put_legend(ax, column is not None, outside=True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
