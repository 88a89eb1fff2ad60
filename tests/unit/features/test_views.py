"""From results about features to their widgets: what each is given, number by number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.indexed import SITE, dictionary, made, model
from workbench.dictionary.base import Dictionary
from workbench.dictionary.collection import Dictionaries
from workbench.dictionary.encoders import Linear
from workbench.site import Site
from workbench.widgets import FeatureGrid, FeaturePage, GraphView
from workbench.widgets.arrays import decode

# Random dictionaries this small are alike by chance.
pytestmark = pytest.mark.filterwarnings("ignore:A threshold lies above what chance")
#: What a cell gets of a result that no widget shows.
PICTURE = {"image/png", "text/plain"}
LIVE = "text/html"
PROMPT = "The capital of Italy is Rome. The capital of France is"


def stack(*names: str, n: int = 12, d: int = 8) -> Dictionaries:
    """Random dictionaries of these sites."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        import torch

        return torch.tensor(rng.standard_normal(shape), dtype=torch.float32)

    return Dictionaries(
        [
            Dictionary(
                site=Site.parse(name), encoder=Linear(weights(d, n), weights(n)),
                W_dec=weights(n, d), b_dec=weights(d), model="random",
            )
            for name in names
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def flow() -> wb.features.FeatureFlow:
    names = [f"L{i}.{stream}" for i in range(3) for stream in ("attn_out", "mlp_out", "resid_post")]
    return wb.feature_flow(
        stack("L0.resid_pre", *names), "L1.resid_post/3", k=2,
        thresholds={"resid": 0.6, "mlp": 0.7, "attn": 0.8, "next": 0.9}, min_similarity=-1,
        labels={"L1.resid_post/3": "dogs"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> wb.features.FeatureIndex:
    return made(tmp_path_factory.mktemp("index") / "small")


def test_a_flow_graph_is_given_the_flows_numbers(flow: wb.features.FeatureFlow) -> None:
    graph = flow.widget(threshold=0.25)
    assert isinstance(graph, GraphView) and graph.threshold == 0.25
    assert graph.ids == flow.ids
    for number, node in enumerate(graph._nodes):
        site = Site.parse(flow.ids[number])
        stream = {"mlp_out": "mlp", "attn_out": "attn"}.get(site.stream, "resid")
        assert site.layer is not None and node["lane"] == stream
        # What enters layer 0 lies below everything that layer writes.
        assert node["layer"] == (-1 if site.stream == "resid_pre" else site.layer)
        assert node["label"] == ("dogs" if node["id"] == "L1.resid_post/3" else "")
        assert node["root"] == (node["id"] == "L1.resid_post/3")
        assert (node["class"], node["ended"]) == (flow.classes[number], flow.ended[number])
    for name, given in [("resid", flow.resid), ("mlp", flow.mlp), ("attn", flow.attn)]:
        np.testing.assert_array_equal(decode(graph._numbers[name]), given)
    np.testing.assert_array_equal(decode(graph._numbers["successor"]), flow.successor)
    limits = decode(graph._numbers["thresholds"])
    root = flow.ids.index("L1.resid_post/3")
    np.testing.assert_allclose(limits[root], [0.6, 0.7, 0.8, 0.9], rtol=1e-6)
    module = flow.lanes.index("mlp")
    assert np.isnan(limits[module, :3]).all() and limits[module, 3] == np.float32(0.9)
    for name, given in [("source", flow.sources), ("target", flow.targets)]:
        np.testing.assert_array_equal(decode(graph._edges[name]), given)
    np.testing.assert_array_equal(decode(graph._edges["weight"]), flow.weights)
    assert LIVE in flow._repr_mimebundle_()


def test_a_flow_of_everything_has_no_roots_that_stand_out(flow: wb.features.FeatureFlow) -> None:
    everything = wb.feature_flow(stack("L0.resid_post", "L1.resid_post"), min_similarity=-1)
    assert len(everything.roots) == 24
    assert not any(node["root"] for node in everything.widget()._nodes)
    assert everything.widget().title == (
        "random: feature flow of L0.resid_post/0, L0.resid_post/1, … by cosine"
    )


def test_a_flow_too_large_to_be_read_is_drawn_as_a_picture() -> None:
    large = wb.feature_flow(stack("L0.resid_post", "L1.resid_post", n=301))
    assert set(large._repr_mimebundle_()) == PICTURE
    with pytest.raises(TypeError, match="shows at most 600 features; this flow has 602"):
        large.widget()


def test_a_page_is_given_the_results_numbers(index: wb.features.FeatureIndex) -> None:
    number = int(np.argsort(-index.count)[5])
    page = wb.features.page(
        model(), index, dictionary(), number, n_contexts=3, n_sampled=2, k=4, n_effect=3,
        progress=False,
    )  # fmt: skip
    shown = page.widget(editable=True)
    assert isinstance(shown, FeaturePage) and shown.editable
    assert (shown.feature, shown.label) == (f"{SITE}/{number}", page.label)
    told = shown._page
    assert told["score"] == page.score and told["n_active"] == page.n_active
    assert told["frequency"] == page.n_active / page.n_positions
    assert (told["mean"], told["maximum"]) == (page.mean, page.largest)
    texts, values = shown._contexts["texts"], decode(shown._contexts["values"])
    assert [text["group"] for text in texts[:3]] == ["most active"] * 3
    assert texts[-1]["group"] == "drawn evenly from all activations"
    start = 0
    for text, context in zip(texts, page.contexts, strict=True):
        end = start + len(context.tokens)
        np.testing.assert_array_equal(values[start:end], context.activations)
        assert (text["tokens"], text["at"]) == (list(context.tokens), context.at)
        assert text["source"].startswith(f"text {context.text}, position {context.position}, more")
        start = end
    assert told["histogram"]["counts"] == page.histogram.tolist()
    np.testing.assert_array_equal(told["histogram"]["edges"], page.bin_edges)
    for name, strings, numbers in [
        ("fires_on", page.top_tokens, page.token_share),
        ("promoted", page.promoted, page.promoted_logits),
        ("suppressed", page.suppressed, page.suppressed_logits),
        ("lowered", page.lowered, page.lowered_change),
        ("raised", page.raised, page.raised_change),
    ]:
        assert [pair["token"] for pair in told[name]] == list(strings) and strings
        np.testing.assert_array_equal([pair["value"] for pair in told[name]], numbers)
    assert [link["name"] for link in told["nearest"]] == list(page.nearest)
    assert [link["label"] for link in told["coactive"]] == list(page.together_labels)
    np.testing.assert_array_equal([x["value"] for x in told["nearest"]], page.nearest_cosine)
    kl, loss = told["ablation"]
    assert kl["effect"][0] == pytest.approx(float(page.effect_kl.mean()), rel=1e-5)
    known = page.control_loss[np.isfinite(page.control_loss)]
    assert loss["control"][0] == pytest.approx(float(known.mean()), rel=1e-5)
    assert kl["effect"][1] <= kl["effect"][0] <= kl["effect"][2]
    assert "at 3 places where it is active" in told["ablation_note"]


def test_the_page_of_a_dead_feature_says_so(index: wb.features.FeatureIndex) -> None:
    page = wb.features.page(model(), index, dictionary(), 39, progress=False)
    shown = page.widget()
    assert page.dead and repr(shown) == f"FeaturePage({SITE}/39, dead)"
    assert shown._page["mean"] is None and shown._page["histogram"] is None
    assert shown._page["ablation"] == [] and shown._page["nearest"]


def test_a_grid_is_given_every_activation_that_is_known_and_says_which_is_not() -> None:
    sae = dictionary("relu")
    found = wb.features.activations(model(), PROMPT, sae, k=3, features=[2, 5])
    grid = found.widget(n_shown=4)
    assert isinstance(grid, FeatureGrid) and grid.n_shown == 4
    assert grid._tokens == list(found.tokens[0]) and grid.features[:2] == found.names
    run = model().run(model().tokens(PROMPT), read=[sae.site], logits_at=())
    codes = sae.encode(run[sae.site][0]).numpy()
    shown = decode(grid._values["values"])
    np.testing.assert_allclose(shown[:2], codes[:, [2, 5]].T, atol=1e-5)
    third = np.sort(codes, -1)[:, -3]
    asked = {int(name.split("/")[1]): row for name, row in zip(grid.features, shown, strict=True)}
    expected = {int(i) for row in codes for i in np.argsort(-row, kind="stable")[:3] if row[i] > 0}
    assert set(asked) == expected | {2, 5}
    for number in expected - {2, 5}:
        for position, value in enumerate(asked[number]):
            if np.isnan(value):
                assert codes[position, number] <= third[position]
            else:
                assert value == pytest.approx(codes[position, number], abs=1e-5)
        assert np.nanmax(asked[number]) > 0
    np.testing.assert_allclose(decode(grid._explained["values"]), found.explained[0])


def test_each_prompt_has_its_own_grid_and_another_is_refused() -> None:
    found = wb.features.activations(model(), [PROMPT, "Rome is"], dictionary("relu"), k=2)
    second = found.widget(row=1)
    assert second._tokens == list(found.tokens[1])
    n = len(found.tokens[1])
    values = decode(second._values["values"])
    np.testing.assert_array_equal(values[: len(found.features)], found.values[1, :n].T)
    with pytest.raises(IndexError, match="The prompts are numbered 0 to 1; got row=2"):
        found.widget(row=2)


def test_where_nothing_is_active_there_is_no_grid() -> None:
    found = wb.features.activations(model(), "Rome is", dictionary("relu"), k=1, features=[39])
    silent = type(found)(
        **{
            **{name: getattr(found, name) for name in found.__dataclass_fields__},
            "features": np.zeros(0, np.int64), "labels": (), "values": found.values[..., :0],
            "top": np.full_like(found.top, -1),
        }
    )  # fmt: skip
    assert set(silent._repr_mimebundle_()) == PICTURE
    with pytest.raises(ValueError, match="No feature is active on this prompt"):
        silent.widget()


@pytest.mark.parametrize("what", ["flow", "activations"])
def test_each_is_one_page_that_needs_no_network(what: str, flow: wb.features.FeatureFlow) -> None:
    result: Any = flow
    if what == "activations":
        result = wb.features.activations(model(), PROMPT, dictionary("relu"), k=3)
    text = result.html(title="A <page>")
    assert "<title>A &lt;page&gt;</title>" in text
    assert 'src="http' not in text and 'href="http' not in text
    assert "text/html" in result._repr_mimebundle_()
