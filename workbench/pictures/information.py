"""The graph of one pass as a picture."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..information.edges import grown
from ..information.graph import InformationGraph
from ..plots import NEGATIVE, POSITIVE, new_axes, quoted, shown_token

#: The colours of the GraphView widget; an MLP's other neurons are drawn like its neurons.
COLORS = {
    "embed": "0.45", "state": "0.45", "head": "#8e6ae0", "neuron": "#b07a1e", "mlp": "#b07a1e"
}  # fmt: skip
#: Inches: a column with nothing in it, its states, its heads and neurons; a line.
EMPTY, STATES, PARTS, LINE = 0.26, 0.78, 0.92, 0.25


def graph(result: InformationGraph, *, n_edges: int = 60, ax: Axes | None = None) -> Axes:
    """Positions to the right, layers upwards: in each column its states, to their right heads and
    neurons, each with its number and first word. Edges are blue where they add and red where they
    take away, and wide where much of the walk from the end takes them.

    n_edges: how many of the most relevant are drawn. ax: where to draw.
    """
    edges = _strongest(result, n_edges)
    roots = [result.node(root) for root in result.roots]
    nodes = np.unique(np.concatenate([result.sources[edges], result.targets[edges], roots]))
    layout = _Layout.of(result, nodes.astype(int).tolist())
    ax = new_axes(ax, layout.width + 1.2, layout.height + 1.5)
    for layer, (low, high) in layout.bands.items():
        if layer % 2 == 0:
            ax.axhspan(low, high, color="0.965", zorder=0, linewidth=0)
    most = float(result.relevance[edges].max(initial=0)) or 1.0
    for edge in edges[np.argsort(result.relevance[edges], kind="stable")].tolist():
        (x, y), (to_x, to_y) = (
            layout.places[int(end[edge])] for end in (result.sources, result.targets)
        )
        size = float(result.relevance[edge] / most) ** 0.5
        ax.plot(
            [x, to_x],
            [y, to_y],
            color=POSITIVE if result.weights[edge] >= 0 else NEGATIVE,
            linewidth=0.4 + 3.6 * size,
            alpha=0.3 + 0.55 * size,
            solid_capstyle="round",
            zorder=1,
        )
    for node, (x, y) in layout.places.items():
        root = node in roots
        ax.text(
            x,
            y,
            _label(result, node),
            ha="center",
            va="center",
            fontsize=6.5,
            zorder=3,
            bbox={
                "boxstyle": "round,pad=0.18",
                "facecolor": "white",
                "edgecolor": COLORS[result.kinds[node]],
                "linewidth": 2.0 if root else 0.9,
            },
        )
    _frame(ax, result, layout, len(edges))
    return ax


def _strongest(result: InformationGraph, n: int) -> np.ndarray:
    """The most relevant edges that are joined to an end; of a part that is not, the others too."""
    roots = np.array([result.node(root) for root in result.roots])
    joined = grown(result.sources, result.targets, result.relevance, roots, n)
    order = np.argsort(-result.relevance, kind="stable")
    others = order[~np.isin(order, joined)][: max(0, n - len(joined))]
    return np.concatenate([joined, others])


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where everything stands, in inches from the lower left corner.

    places: of each node; columns: of each position, the middle of its states; bands: of each layer,
    -1 for the embeddings, from where to where.
    """

    places: dict[int, tuple[float, float]]
    columns: list[float]
    bands: dict[int, tuple[float, float]]
    width: float
    height: float

    @classmethod
    def of(cls, result: InformationGraph, nodes: list[int]) -> _Layout:
        """Each line of a layer is as high as the fullest of its columns."""
        cells: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for node in nodes:
            line = _line(result, node)
            cells[int(result.layers[node]), line, int(result.positions[node])].append(node)
        full = {position for _, line, position in cells if line in (0, 2)}
        used = {position for *_, position in cells}
        columns, x = [], 0.1
        for position in range(len(result.tokens[0])):
            wide = (STATES if position in used else EMPTY) + (PARTS if position in full else 0)
            columns.append(x + (STATES if position in used else EMPTY) / 2)
            x += wide
        places: dict[int, tuple[float, float]] = {}
        bands: dict[int, tuple[float, float]] = {}
        y = 0.0
        for layer in sorted({layer for layer, *_ in cells} | {-1}):
            low = y
            for line in range(4):
                there = {
                    p: own
                    for (at, own_line, p), own in cells.items()
                    if (at, own_line) == (layer, line)
                }
                n_lines = max(map(len, there.values()), default=0)
                for position, own in there.items():
                    left = columns[position] + (STATES + PARTS) / 2 * (line in (0, 2))
                    for i, node in enumerate(own):
                        places[node] = left, y + LINE * (i + 0.5 + (n_lines - len(own)) / 2)
                y += LINE * n_lines
            # Even an empty layer has its name.
            y = max(y, low + LINE) + 0.35 * LINE
            bands[layer] = (low - 0.175 * LINE, y - 0.175 * LINE)
        return cls(places, columns, bands, x + 0.1, y)


def _line(result: InformationGraph, node: int) -> int:
    """Heads, the state after attention, neurons, the last state: 0 to 3 from below."""
    kind = result.kinds[node]
    if kind == "state":
        return 1 if ".resid_mid@" in result.ids[node] else 3
    return {"embed": 3, "head": 0}.get(kind, 2)


def _label(result: InformationGraph, node: int) -> str:
    word = shown_token(result.labels[node], 8)
    site = result.ids[node].partition("@")[0]
    kind = result.kinds[node]
    if kind == "head":
        return f"H{site[:-2].partition('H')[2]} {word}"
    if kind == "neuron":
        return f"{result.units[node]} {word}"
    return f"MLP {word}" if kind == "mlp" else word


def _frame(ax: Axes, result: InformationGraph, layout: _Layout, n_edges: int) -> None:
    ax.set_xlim(0, layout.width)
    ax.set_ylim(-0.3 * LINE, layout.height)
    ax.set_xticks(
        layout.columns,
        [shown_token(token, 12) for token in result.tokens[0]],
        rotation=90,
        fontsize=8,
    )
    names = ["embedding" if layer < 0 else f"layer {layer}" for layer in layout.bands]
    ax.set_yticks([(low + high) / 2 for low, high in layout.bands.values()], names, fontsize=8)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    kinds = (("state", "state"), ("head", "head"), ("neuron", "neuron, MLP"))
    handles = [
        Line2D([], [], linestyle="", marker="s", markersize=8, markerfacecolor="white",
               markeredgecolor=COLORS[kind], label=label)
        for kind, label in kinds
    ]  # fmt: skip
    signs = ((POSITIVE, "adds"), (NEGATIVE, "takes away"))
    handles += [Line2D([], [], color=color, linewidth=2.5, label=label) for color, label in signs]
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8
    )
    compared = f" − {quoted(result.foil)}" if result.foil else ""
    all_of_them = len(result.weights)
    shown = f"{n_edges} of {all_of_them} edges" if n_edges < all_of_them else f"{n_edges} edges"
    ax.set_title(
        f"{result.model}: information to {quoted(result.target)}{compared}\n"
        + f"weights: {result.unit}; {shown}".replace("$", r"\$"),
        fontsize=10,
    )
