"""Pictures of feature circuits and effects hold the results' own numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Annotation, Text

import workbench as wb
from tests.unit.kernels import feature_edges, marks

POSITIVE, NEGATIVE = marks.POSITIVE, marks.NEGATIVE
BASE: dict[str, Any] = {"model": "toy", "revision": "", "versions": {}, "seed": 0, "tokens": ()}
SITES = tuple(
    f"L{layer}.{stream}" for layer in (0, 1) for stream in ("attn_out", "mlp_out", "resid_post")
)


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def effects(**more: Any) -> wb.features.FeatureEffects:
    values = np.random.default_rng(0).normal(size=5 * len(SITES)).astype(np.float32)
    order = np.argsort(-np.abs(values), kind="stable")
    sites = [s for s in SITES for _ in range(5)]
    names = [f"{s}/{unit}" for s in SITES for unit in (0, 1, 2, 3, "error")]
    return wb.features.FeatureEffects(
        **BASE,
        task="agreement",
        metric="logit_difference",
        method="ig",
        reference="counterfactual",
        steps=10,
        gap=2.0,
        sizes=dict.fromkeys(SITES, 5),
        nodes={"node": tuple(names[i] for i in order), "site": tuple(sites[i] for i in order)},
        effect=values[order],
        **more,
    )


def circuit(n: int = 4) -> wb.features.FeatureCircuit:
    """A circuit with `n` features and an error at each site, and an edge from each to the next."""
    generator = np.random.default_rng(1)
    nodes = [name for s in SITES for name in (*(f"{s}/{i}" for i in range(n)), f"{s}/error")]
    step = n + 1
    sources = np.arange(len(nodes) - step)
    effects = generator.normal(size=len(nodes))
    direct = np.where(np.arange(len(nodes)) >= len(sources), 0.5, 0.0)
    weights = generator.normal(size=len(sources))
    edges = feature_edges.Edges(sources, sources + step, weights, direct)
    return wb.features.FeatureCircuit(
        **BASE,
        task="agreement",
        metric_name="logit_difference",
        method="ig",
        reference="counterfactual",
        steps=10,
        gap=2.0,
        sites=SITES,
        prompt="",
        **feature_edges.graph_of(nodes, effects, edges, "logit_difference"),
        active={s: np.arange(n) for s in SITES},
    )


def texts_apart(ax: Any) -> bool:
    """Whether no text that is drawn lies on another, and all lie inside the figure."""
    figure = ax.figure
    figure.canvas.draw()
    texts = [t for t in ax.texts if t.get_text()]
    if ax.axison:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
    boxes = [Text.get_window_extent(t) for t in texts if t.get_text()]
    inside = all(
        box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        for box in boxes
    )
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :]]
    return inside and not any(a.shrunk(0.9, 0.7).overlaps(b.shrunk(0.9, 0.7)) for a, b in pairs)


def arrows(ax: Any) -> list[Any]:
    return [t.arrow_patch for t in ax.texts if isinstance(t, Annotation) and t.arrow_patch]


def boxes(ax: Any) -> list[Any]:
    return [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]


def test_effects_are_bars_of_the_strongest_nodes() -> None:
    result = effects()
    ax = result.plot(top=12)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], result.effect[:12])
    assert [t.get_text() for t in ax.get_yticklabels()] == list(result.nodes["node"][:12])
    assert texts_apart(ax)


def test_effects_on_a_probe_are_bars_of_the_separation() -> None:
    apart = np.random.default_rng(3).normal(size=5 * len(SITES)).astype(np.float32)
    apart = apart[np.argsort(-np.abs(apart))]
    ax = effects(separation=apart).plot(top=10)
    np.testing.assert_allclose([b.get_width() for b in ax.patches], apart[:10])
    assert ax.get_xlabel() == "what it gives in texts of the second label − of the first"
    assert texts_apart(ax)


def test_a_small_circuit_is_drawn_whole_with_lanes_in_the_order_of_a_pass() -> None:
    result = circuit()
    ax = result.plot(labels={"L0.mlp_out/1": "dogs"})
    assert len(boxes(ax)) == len(result.nodes) + 1
    assert len(arrows(ax)) == len(result.weights)
    assert "the 30 of 30 nodes and 30 of 30 edges" in ax.get_title()
    assert sum(t.get_text() == "1  dogs" for t in ax.texts) == 1
    titles = {t.get_text(): t.get_position() for t in ax.texts}
    assert titles["attention"][0] < titles["MLP"][0] < titles["residual stream"][0]
    assert titles["layer 0"][1] < titles["layer 1"][1] < titles["logit difference"][1]
    assert texts_apart(ax)


def test_a_circuits_colours_are_those_of_effects_and_weights() -> None:
    result = circuit()
    ax = result.plot()
    graph = result
    blue = sum(to_hex(arrow.get_edgecolor()) == POSITIVE for arrow in arrows(ax))
    assert blue == int((graph.weights >= 0).sum())
    widths = sorted(arrow.get_linewidth() for arrow in arrows(ax))
    expected = sorted(0.4 + 2.6 * np.abs(graph.weights) / np.abs(graph.weights).max())
    np.testing.assert_allclose(widths, expected, rtol=1e-6)
    strongest = int(np.argmax(np.abs(result.effects)))
    base = to_rgb(POSITIVE if result.effects[strongest] > 0 else NEGATIVE)
    colors = [box.get_facecolor()[:3] for box in boxes(ax)]
    assert any(np.allclose(color, 0.5 * np.array(base) + 0.5) for color in colors)
    dashed = sum(box.get_linestyle() in ("--", "dashed") for box in boxes(ax))
    assert dashed == len(result.errors)


def test_of_a_large_circuit_the_strongest_nodes_and_edges_are_drawn_and_the_rest_is_told() -> None:
    result = circuit(n=19)
    ax = result.plot()
    assert len(boxes(ax)) == 41
    drawn = set(np.argsort(-np.abs(result.effects), kind="stable")[:40].tolist()) | {120}
    graph = result
    there = [
        s in drawn and t in drawn
        for s, t in zip(graph.sources.tolist(), graph.targets.tolist(), strict=True)
    ]
    assert len(arrows(ax)) == min(80, sum(there))
    assert f"the 40 of 120 nodes and {len(arrows(ax))} of 120 edges" in ax.get_title()
    assert texts_apart(ax)
    few = result.plot(n_nodes=10, n_edges=3)
    assert len(boxes(few)) == 11 and len(arrows(few)) <= 3
