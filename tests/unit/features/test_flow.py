"""The flow of features, against the same matches composed by plain recursion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.flow_models import LANES, TEXTS, before, cosine, dictionaries, made, model

pytestmark = pytest.mark.filterwarnings("ignore:A threshold lies above what chance")
ROOT = "L1.resid_post/5"


def best(feature: str, lane: str, k: int) -> list[tuple[str, float]]:
    """The k most similar features of a lane, the best first."""
    site, number = feature.split("/")
    other = before(site, lane)
    if other is None:
        return []
    row = cosine(site, other)[int(number)]
    return [(f"{other}/{i}", float(row[i])) for i in np.argsort(-row)[:k]]


def followed(
    feature: str, lanes: tuple[str, ...], k: int, least: Any, depth: float = np.inf
) -> dict[tuple[str, str], float]:
    """Edges (source, target) → similarity from a feature on, one step at a time."""
    out: dict[tuple[str, str], float] = {}
    if depth < 1:
        return out
    for lane in lanes:
        for other, value in best(feature, lane, k):
            if value >= least:
                out[(feature, other) if lane == "next" else (other, feature)] = value
                out |= followed(other, lanes, k, least, depth - 1)
    return out


def edges(flow: wb.features.FeatureFlow) -> dict[tuple[str, str], float]:
    graph = flow
    return {
        (graph.ids[s], graph.ids[t]): float(w)
        for s, t, w in zip(graph.sources, graph.targets, graph.weights, strict=True)
    }


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("direction", ["both", "back", "forward"])
@pytest.mark.parametrize("depth", [None, 0, 1])
def test_a_flow_is_the_best_matches_followed_step_by_step(
    k: int, direction: Any, depth: int | None
) -> None:
    least = 0.35
    flow = wb.feature_flow(
        dictionaries(), ROOT, k=k, direction=direction, depth=depth, min_similarity=least
    )
    steps = np.inf if depth is None else depth
    wanted: dict[tuple[str, str], float] = {}
    if direction != "forward":
        wanted |= followed(ROOT, LANES[:3], k, least, steps)
    if direction != "back":
        wanted |= followed(ROOT, LANES[3:], k, least, steps)
    found = edges(flow)
    assert found.keys() == wanted.keys()
    for edge, value in wanted.items():
        assert found[edge] == pytest.approx(value, abs=1e-6)
    assert set(flow.ids) == {ROOT, *(end for edge in wanted for end in edge)}
    assert flow.roots == (ROOT,) and (flow.k, flow.direction, flow.depth) == (k, direction, depth)


def test_every_node_has_its_similarities_class_and_end() -> None:
    flow = wb.feature_flow(dictionaries(), ROOT, k=2, min_similarity=-1)
    everything = wb.features.match(dictionaries(), progress=False)
    assert len(flow.ids) > 12
    frame, limits = flow.to_frame().set_index("feature"), flow.to_frame("limits")
    for i, name in enumerate(flow.ids):
        node = everything.node(name)
        values = [flow.resid[i], flow.mlp[i], flow.attn[i], flow.successor[i]]
        np.testing.assert_allclose(values, everything.similarity[:, node, 0], atol=1e-6)
        assert flow.classes[i] == everything.classes[node]
        assert flow.ended[i] == everything.ended[node]
        score = max((v for v in values[:3] if v == v), default=np.nan)
        np.testing.assert_allclose(flow.scores[i], score)
        site = flow.sites.index(name.split("/")[0])
        assert flow.node_sites[i] == site
        assert flow.lanes[i] == name.split(".")[1].split("_")[0]
        line = frame.loc[name]
        assert (line["class"], line["ended"]) == (flow.classes[i], flow.ended[i])
        assert line["mlp"] == pytest.approx(flow.mlp[i], nan_ok=True)
        after = limits[(limits["site"] == flow.sites[site]) & (limits["lane"] == "next")]
        assert list(after["threshold"]) == [x for x in [flow.thresholds[3, site]] if x == x]
    graph = flow
    assert set(graph.kinds) == {"feature"} and set(graph.channels) == {""}
    assert [f"L{layer}" for layer in graph.layers] == [name[:2] for name in graph.ids]
    assert [str(n) for n in graph.units] == [name.split("/")[1] for name in graph.ids]
    assert set(limits["site"]) == {name.split("/")[0] for name in graph.ids}
    assert set(limits["threshold"]) == {0.5}
    assert 0.3 < min(limits["chance"]) <= max(limits["chance"]) < 0.8


def test_edges_below_the_threshold_are_left_out_and_not_followed() -> None:
    thresholds = {"resid": 0.25, "mlp": 0.34, "attn": 0.26, "next": 0.36}
    flow = wb.feature_flow(dictionaries(), ROOT, k=3, thresholds=thresholds)
    found = edges(flow)
    assert {flow.lanes[flow.node(source)] for source, _ in found} == {"resid", "mlp", "attn"}
    for (source, target), weight in found.items():
        lane = "next" if source == ROOT else flow.lanes[flow.node(source)]
        assert weight >= thresholds[lane] - 1e-6, (source, target)
    alone = wb.feature_flow(dictionaries(), ROOT, thresholds=0.99)
    assert alone.ids == (ROOT,) and alone.classes == ("unexplained",)
    assert alone.path() == (ROOT,) and bool(alone.ended[0])


def test_the_path_follows_the_residual_stream_and_ends_in_a_module() -> None:
    flow = wb.feature_flow(dictionaries(), ROOT, k=2, min_similarity=-1)
    wanted = [ROOT]
    while found := best(wanted[0], "resid", 1):
        wanted.insert(0, found[0][0])
    ways = [best(wanted[0], lane, 1)[0] for lane in ("mlp", "attn")]
    wanted.insert(0, max(ways, key=lambda way: way[1])[0])
    while found := best(wanted[-1], "next", 1):
        wanted.append(found[0][0])
    assert flow.path() == tuple(wanted) and flow.path(ROOT) == tuple(wanted)
    assert len(wanted) == 4
    assert flow.path(wanted[0])[0] == wanted[0]
    with pytest.raises(ValueError, match="'L0.resid_post/99' is not among the 17 nodes"):
        flow.path("L0.resid_post/99")


def test_several_roots_give_the_union_of_their_flows() -> None:
    names = [ROOT, "L2.resid_post/0", "L1.mlp_out/3"]
    together = wb.feature_flow(dictionaries(), names, min_similarity=-1)
    single = [wb.feature_flow(dictionaries(), name, min_similarity=-1) for name in names]
    union: dict[tuple[str, str], float] = {}
    for flow in single:
        union |= edges(flow)
    assert edges(together) == pytest.approx(union)
    assert together.roots == tuple(names)
    # A module's feature has no predecessors, and goes on in the residual stream after its layer.
    onward = [name.split("/")[0] for name in single[2].path()]
    assert onward == ["L1.mlp_out", "L1.resid_post", "L2.resid_post"]
    assert single[2].classes[single[2].node("L1.mlp_out/3")] == "module"


def test_all_features_are_those_of_the_residual_stream() -> None:
    flow = wb.feature_flow(dictionaries(), min_similarity=-1)
    everything = wb.features.match(dictionaries(), progress=False)
    assert len(flow.roots) == 72
    found = edges(flow)
    for lane, name in enumerate(LANES):
        for root in flow.roots:
            for other, value in everything.of(root, name):
                edge = (root, other) if name == "next" else (other, root)
                assert found[edge] == pytest.approx(value, abs=1e-6), lane


@pytest.mark.parametrize("by", ["correlation", "permutation"])
def test_a_flow_by_another_measure_composes_its_matches(by: Any) -> None:
    data: dict[str, Any] = {"model": model(), "texts": TEXTS} if by == "correlation" else {}
    matches = wb.features.match(dictionaries(), method=by, progress=False, **data)
    flow = again = wb.feature_flow(dictionaries(), ROOT, matches=matches, min_similarity=-1)
    if by == "permutation":
        flow = wb.feature_flow(dictionaries(), ROOT, method=by, min_similarity=-1)
    assert flow.method == again.method == by and edges(flow) == edges(again)
    np.testing.assert_array_equal(flow.thresholds, again.thresholds)
    node, wanted = ROOT, {}
    while found := matches.of(node, "next"):
        wanted[node, found[0][0]] = found[0][1]
        node = found[0][0]
    for edge, value in wanted.items():
        assert edges(flow)[edge] == pytest.approx(value)
    plain = wb.feature_flow(dictionaries(), ROOT, min_similarity=-1)
    both = [
        (name, lane)
        for name in set(flow.ids) & set(plain.ids)
        for lane in LANES
        if edge_of(flow, name, lane) and edge_of(plain, name, lane)
    ]
    same = [edge_of(flow, *key) == edge_of(plain, *key) for key in both]
    assert flow.agreement(plain) == pytest.approx(np.mean(same))
    assert plain.agreement(plain) == 1


def edge_of(flow: wb.features.FeatureFlow, name: str, lane: str) -> str | None:
    """The other end of a feature's strongest edge in a lane, found edge by edge."""
    found: list[tuple[float, str]] = []
    for (source, target), weight in edges(flow).items():
        if lane == "next" and source == name:
            found.append((weight, target))
        elif target == name and flow.lanes[flow.node(source)] == lane:
            found.append((weight, source))
    return max(found)[1] if found else None


def test_matches_bring_their_thresholds_unless_others_are_given() -> None:
    matches = wb.features.match(dictionaries(), thresholds=0.4, k=2, progress=False)
    flow = wb.feature_flow(dictionaries(), ROOT, matches=matches)
    passed = np.isfinite(flow.chance) & (matches.leads >= 0)
    assert (flow.thresholds[passed] == np.float32(0.4)).all()
    other = wb.feature_flow(dictionaries(), ROOT, matches=matches, thresholds=0.6)
    assert (other.thresholds[np.isfinite(other.chance)] == np.float32(0.6)).all()
    with pytest.raises(ValueError, match="hold the best 2 of each feature; got k=3"):
        wb.feature_flow(dictionaries(), ROOT, matches=matches, k=3)
    fewer = dictionaries().only("resid_post")
    with pytest.raises(ValueError, match="matches of a flow are of its own dictionaries"):
        wb.feature_flow(fewer, ROOT, matches=matches)


def test_labels_are_shown_for_the_names_that_have_one() -> None:
    class Named:
        def of(self, name: str) -> str | None:
            return "the root" if name == ROOT else None

    for labels in ({ROOT: "the root"}, Named()):
        flow = wb.feature_flow(dictionaries(), ROOT, min_similarity=-1, labels=labels)
        for name, label in zip(flow.ids, flow.labels, strict=True):
            assert label == ("the root" if name == ROOT else name)
    for wrong in (3, wb.features.Labels.empty(dictionaries()["L1.resid_post"])):
        with pytest.raises(ValueError, match=r"labels is a mapping .* or has of\(name\); .* Got"):
            wb.feature_flow(dictionaries(), ROOT, labels=wrong)


def test_labels_saved_with_a_dictionary_are_shown_with_their_scores(tmp_path: Path) -> None:
    dictionary = replace(dictionaries()["L1.resid_post"], path=tmp_path)
    labels = wb.features.Labels.empty(dictionary)
    labels.keep(5, replace(labels[5], text="names of people", f1=0.875, by="person"))
    labels.save()
    flow = wb.feature_flow([dictionary, dictionaries()["L1.mlp_out"]], ROOT, min_similarity=-1)  # pyright: ignore
    shown = dict(zip(flow.ids, flow.labels, strict=True))
    other = next(name for name in shown if name != ROOT)
    assert shown[ROOT] == "names of people (F1 0.88)" and shown[other] == other


def test_a_match_as_similar_as_the_least_that_is_asked_for_is_followed() -> None:
    options: dict[str, Any] = {"direction": "back", "depth": 1}
    every = wb.feature_flow(dictionaries(), ROOT, min_similarity=-1, **options)
    for weight in every.weights:
        some = wb.feature_flow(dictionaries(), ROOT, min_similarity=float(weight), **options)
        assert len(some.weights) == (every.weights >= weight).sum()


def test_flows_too_large_to_be_seen_are_refused() -> None:
    large = [made(f"L{layer}.resid_post", 1800, layer) for layer in range(6)]
    with pytest.raises(
        ValueError, match=r"up to 5,000 features; this one has at least 10,800\. .*features.match"
    ):
        wb.feature_flow(large)  # pyright: ignore
    with pytest.raises(ValueError, match=r"this one has at least [56],\d{3}\."):
        wb.feature_flow(large, "L5.resid_post/0", k=50, min_similarity=-1)  # pyright: ignore


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"feature": "L1.resid_post/24"}, r"has features 0 to 23; got 24"),
        ({"feature": "L7.resid_post/0"}, "There is no dictionary of L7.resid_post; there are L0"),
        ({"feature": 5}, "named like 'L3.resid_post/123'; got 5"),
        ({"feature": []}, r"one or more features, each once; got \[\]"),
        ({"feature": [ROOT, ROOT]}, "each once"),
        ({"direction": "up"}, "direction is one of 'both', 'back', 'forward'; got 'up'"),
        ({"depth": -1}, "depth is a whole number from 0 or None; got -1"),
        ({"min_similarity": 1.5}, "min_similarity is a similarity, -1 to 1; got 1.5"),
        ({"method": "correlation"}, "needs model= and texts="),
        ({"k": 100}, r"k is a whole number from 1 to 18; got 100\. The smallest"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], text: str) -> None:
    flow: Any = wb.feature_flow
    with pytest.raises(ValueError, match=text):
        flow(dictionaries(), **{"feature": ROOT} | options)


def test_a_flow_is_saved_and_read_back(tmp_path: Path) -> None:
    flow = wb.feature_flow(dictionaries(), ROOT, k=2, min_similarity=0.3)
    flow.save(tmp_path / "flow")
    again = wb.features.FeatureFlow.load(tmp_path / "flow")
    assert repr(again) == repr(flow) and edges(again) == edges(flow)
    assert again.classes == flow.classes and again.path() == flow.path()
    np.testing.assert_array_equal(again.ended, flow.ended)
    n = len(flow.ids)
    assert repr(flow).startswith(f"FeatureFlow(words: {ROOT} by cosine: {n} features, ")


def test_where_nothing_lies_before_a_feature_is_first() -> None:
    flow = wb.feature_flow(dictionaries().only("resid_post"), "L0.resid_post/2", thresholds=0.2)
    assert flow.classes[flow.node("L0.resid_post/2")] == "first"
    more = wb.Dictionaries([made("L0.resid_pre", 9, 1), *dictionaries().values()])
    pre = wb.feature_flow(more, ROOT, thresholds=0.1)
    names = [name for name in pre.ids if name.startswith("L0.resid_pre")]
    assert names and pre.classes[pre.node(names[0])] == "first"
    assert pre.lanes[pre.node(names[0])] == "resid"


def test_the_picture_has_every_feature_in_its_lane_and_layer() -> None:
    import matplotlib.pyplot as plt

    flow = wb.feature_flow(dictionaries(), ROOT, min_similarity=0.2)
    ax = flow.plot()
    places = {text.get_text(): text.get_position() for text in ax.texts}
    assert set(flow.ids) <= set(places)
    lanes = dict(zip(flow.ids, flow.lanes, strict=True))
    for name in flow.ids:
        layer = int(name[1])
        assert places[name][1] == (layer if lanes[name] == "resid" else layer - 0.5)
    columns = [
        {places[name][0] for name in lanes if lanes[name] == lane}
        for lane in ("mlp", "resid", "attn")
    ]
    assert max(columns[0]) < min(columns[1]) and max(columns[1]) < min(columns[2])
    weights = {f"{weight:.2f}" for weight in edges(flow).values()}
    assert weights <= set(places)
    plt.close(ax.figure)
    many = wb.feature_flow(dictionaries(), min_similarity=0.4).plot()
    assert "without an edge are left out" in many.get_title() and not many.texts
    plt.close(many.figure)
