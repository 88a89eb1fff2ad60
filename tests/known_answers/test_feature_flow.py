"""Feature flow where the answer is known: planted dictionaries, and tinyworld's by their causes.

The planted stack has five layers. Each story below says what becomes of one direction; the
dictionaries are made from the stories alone, every feature among distractors at a random place, and
the flow has to tell them again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from workbench.dictionary.base import Dictionary
from workbench.dictionary.collection import Dictionaries, dictionaries
from workbench.dictionary.encoders import ReLU
from workbench.features.flow import flow as feature_flow
from workbench.features.flow_evaluation import evaluate_flow
from workbench.features.matching import match
from workbench.loading import load
from workbench.texts import texts

LAYERS, WIDTH, DISTRACTORS = 5, 256, 40


@dataclass
class Story:
    """A feature's life: its class after each layer, and the layer after which it has ended.

    steps: layer → class. turned: how far, in degrees, it turns from layer to layer.
    """

    steps: dict[int, str]
    by: str = ""
    turned: float = 0.0
    names: dict[int, str] = field(default_factory=dict)
    writer: dict[int, str] = field(default_factory=dict)


def stories() -> dict[str, Story]:
    return {
        "carried through": Story({0: "unexplained", **dict.fromkeys(range(1, 5), "carried")}),
        "rotated slowly": Story(
            {0: "unexplained", **dict.fromkeys(range(1, 5), "carried")}, turned=30
        ),
        "made by an MLP": Story({2: "newborn", 3: "carried", 4: "carried"}, by="mlp"),
        "made by attention": Story({1: "newborn", 2: "carried", 3: "carried"}, by="attn"),
        "changed on the way": Story(
            {0: "unexplained", 1: "carried", 2: "processed", 3: "carried", 4: "carried"}, by="mlp"
        ),
        "from the first attention": Story({0: "newborn", 1: "carried"}, by="attn"),
        "out of nowhere": Story({3: "unexplained", 4: "carried"}),
    }


@cache
def world() -> tuple[Dictionaries, dict[str, Story]]:
    draw = torch.Generator().manual_seed(0)

    def unit(*parts: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(sum(parts, torch.zeros(WIDTH)), dim=-1)

    def noise() -> torch.Tensor:
        return torch.randn(WIDTH, generator=draw)

    found, rows = stories(), {}
    for layer in range(LAYERS):
        for stream in ("resid_post", "mlp_out", "attn_out"):
            rows[f"L{layer}.{stream}"] = [("", unit(noise())) for _ in range(DISTRACTORS)]
    for name, story in found.items():
        direction, turn = unit(noise()), noise()
        for layer, kind in story.steps.items():
            turn = turn - (turn @ direction) * direction
            if layer != min(story.steps):
                angle = np.deg2rad(story.turned)
                turned = np.cos(angle) * direction + np.sin(angle) * unit(turn)
                turn = -np.sin(angle) * direction + np.cos(angle) * unit(turn)
                direction = turned
            written = direction
            if kind == "processed":
                # What the MLP adds is new, and stands in the sum beside what was there.
                written = unit(turn)
                direction = unit(direction + written)
            if kind in ("newborn", "processed"):
                rows[f"L{layer}.{story.by}_out"].append((f"{name} {layer}", written))
            rows[f"L{layer}.resid_post"].append((f"{name} {layer}", direction))
    each = []
    for site, named in rows.items():
        order = torch.randperm(len(named), generator=draw).tolist()
        for place, i in enumerate(order):
            if named[i][0]:
                name, layer = named[i][0].rsplit(" ", 1)
                where = found[name].names if "resid" in site else found[name].writer
                where[int(layer)] = f"{site}/{place}"
        W_dec = torch.stack([named[i][1] for i in order])
        W_dec = W_dec * (0.5 + torch.rand(len(order), 1, generator=draw))
        encoder = ReLU(W_dec.T.contiguous(), torch.zeros(len(order)))
        each.append(Dictionary(site, encoder, W_dec, torch.zeros(WIDTH), model="planted"))
    return Dictionaries(each), found


@pytest.mark.parametrize("name", stories())
@pytest.mark.parametrize("by", ["cosine", "permutation"])
def test_the_flow_tells_each_feature_where_it_comes_from_and_where_it_ends(
    name: str, by: Any
) -> None:
    dicts, found = world()
    story = found[name]
    matches = match(dicts, method=by, progress=False)
    start = max(story.steps)
    flow = feature_flow(dicts, story.names[start], matches=matches)
    path = [story.names[layer] for layer in sorted(story.steps)]
    first = story.steps[min(story.steps)]
    expected = [story.writer[min(story.steps)], *path] if first == "newborn" else path
    assert flow.path() == tuple(expected)
    assert set(flow.ids) == {*path, *story.writer.values()}
    for layer, kind in story.steps.items():
        node = flow.node(story.names[layer])
        assert flow.classes[node] == kind, (name, layer)
        ends = layer == max(story.steps) and layer < LAYERS - 1
        assert bool(flow.ended[node]) == ends, (name, layer)
        if layer in story.writer:
            best = {"mlp": flow.mlp, "attn": flow.attn}[story.by][node]
            assert best > 0.65 and flow.lanes[flow.node(story.writer[layer])] == story.by
        if kind == "carried":
            similar = np.cos(np.deg2rad(story.turned))
            assert flow.resid[node] == pytest.approx(similar, abs=1e-4)
    # The same from the other end, and in the classes of all features.
    forward = feature_flow(dicts, path[0], direction="forward", matches=matches)
    assert forward.path() == tuple(path)
    for layer, kind in story.steps.items():
        assert matches.classes[matches.node(story.names[layer])] == kind


@pytest.mark.filterwarnings("error")
def test_distractors_are_unexplained_and_end_at_once() -> None:
    dicts, found = world()
    matches = match(dicts, progress=False)
    planted = {name for story in found.values() for name in story.names.values()}
    for node in range(len(matches.classes)):
        name = matches.name(node)
        if "resid_post" in name and name not in planted:
            assert matches.classes[node] == "unexplained", name
            assert bool(matches.ended[node]) == (not name.startswith(f"L{LAYERS - 1}"))


def test_tinyworlds_flow_moves_its_targets_more_than_features_of_equal_activity() -> None:
    model = load("tinyworld", device="cpu")
    dicts, held_out = dictionaries("tinyworld"), texts("tinyworld")[1500:1550]
    matches = match(dicts, progress=False)
    result = evaluate_flow(
        model, held_out, matches, n_edges=16, n_samples=2, methods=(), loss=False, progress=False
    )
    drop, low, high = result.score("drop", change="flow", lane="all")
    control = result.effect("drop", of="controls")[0, 0]
    assert low > control and drop > 1.5 * control
    gained, at_least, _ = result.score("drop", excess=True, change="flow", lane="all")
    assert at_least > 0 and gained == pytest.approx(drop - control)
    # As long a change was made by the control.
    length = result["length"]
    assert np.nanmean(length.control[0]) > 0.8 * np.nanmean(length.changed[0])
    assert high < 1


@pytest.mark.slow
def test_tinyworlds_flow_beside_correlation_and_permutation_on_many_edges() -> None:
    model = load("tinyworld", device="cpu")
    dicts, held_out = dictionaries("tinyworld"), texts("tinyworld")[1500:]
    matches = match(dicts, progress=False)
    result = evaluate_flow(
        model,
        held_out,
        matches,
        n_edges=80,
        n_samples=6,
        methods=("correlation", "permutation"),
        progress=False,
    )
    for lane in ("all", "resid", "mlp"):
        assert result.score("drop", excess=True, change="flow", lane=lane)[1] > 0
    for change in ("correlation", "permutation"):
        assert result.score("drop", excess=True, change=change, lane="all")[1] > 0
