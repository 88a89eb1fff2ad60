"""The live flow without a browser: scales, expanding, search, pages, and code that does it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.kernels import flow_answers
from tests.unit.steering_models import PATH, PROMPTS, hugging_face, others, planted, tinyworld
from workbench.dictionary.base import Dictionary, ScaleFeatures
from workbench.dictionary.collection import Dictionaries
from workbench.dictionary.encoders import Linear
from workbench.live import LiveFeatureFlow

PROMPT = PROMPTS[0]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No index of a test in a person's own cache."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def explorer() -> LiveFeatureFlow:
    return wb.live.feature_flow(tinyworld(), planted(), others(6), feature=PATH[1], prompt=PROMPT)


def by_hand(scales: dict[str, float], prompt: str = PROMPT) -> tuple[np.ndarray, torch.Tensor]:
    """(pos, layer) codes of `PATH` and next-token probabilities, in the Hugging Face model."""
    model, hooks, seen = hugging_face(), [], {}
    ids = tinyworld().tokenizer(prompt).input_ids

    def hook(layer: int) -> Any:
        dictionary, number = planted().feature(PATH[layer])
        encoder: Any = dictionary.encoder

        def code(x: torch.Tensor) -> torch.Tensor:
            return (x @ encoder.W_enc[:, number] + encoder.b_enc[number]).relu()

        def change(module: Any, inputs: Any, output: Any) -> Any:
            x = output[0] if type(output) is tuple else output
            factor = scales.get(PATH[layer], 1.0)
            seen[layer] = factor * code(x)[0]
            x = x + (factor - 1) * code(x)[..., None] * dictionary.W_dec[number]
            return (x, *output[1:]) if type(output) is tuple else x

        return change

    for layer in range(len(PATH)):
        hooks.append(model.transformer.h[layer].register_forward_hook(hook(layer)))
    try:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
    finally:
        for each in hooks:
            each.remove()
    return np.stack([seen[layer].numpy() for layer in range(len(PATH))], 1), logits.softmax(-1)


def run_code(explorer: LiveFeatureFlow, **names: Any) -> dict[str, Any]:
    """What the exported code computes, with `names` in place of its lines that are comments."""
    space: dict[str, Any] = dict(names)
    exec(explorer.code, space)
    return space


def test_it_opens_with_the_flow_and_nothing_scaled(explorer: LiveFeatureFlow) -> None:
    assert explorer.view.ids == PATH == explorer.flow.ids
    codes, words = by_hand({})
    np.testing.assert_allclose(explorer.reading.before, codes.max(0), atol=2e-3)
    np.testing.assert_array_equal(explorer.reading.after, explorer.reading.before)
    np.testing.assert_array_equal(explorer.view.before, explorer.reading.before)
    plain, scaled = explorer.reading.answers
    assert plain == scaled and explorer.reading.kl == pytest.approx(0, abs=1e-6)
    assert plain.tokens[0] == tinyworld().tokenizer.decode([int(words.argmax())])
    np.testing.assert_allclose(
        plain.probabilities, words.sort(descending=True).values[:6], atol=1e-4
    )
    assert repr(explorer) == "LiveFeatureFlow(L1.resid_post/4: 4 features, 0 scaled)"


def test_it_begins_with_a_feature_on_which_the_next_word_depends() -> None:
    explorer = wb.live.feature_flow(tinyworld(), planted(), others(6), prompt=PROMPTS[1])
    # Of the last layer only the planted feature has a predecessor.
    assert explorer.feature == PATH[3]
    alone = planted()["L3.resid_post"]
    explorer = wb.live.feature_flow(tinyworld(), alone, others(6), prompt=PROMPTS[1])  # pyright: ignore
    codes = alone.encode(tinyworld().run(PROMPTS[1], read=[alone.site])[alone.site][0, -1])
    best = codes.topk(10).indices.tolist()
    changes = {}
    for number in best:
        edit = ScaleFeatures(alone, number, 0.0)
        plain = tinyworld().run(PROMPTS[1], logits_at="last").logits[0, 0].log_softmax(-1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wb.UnchangedEdit)
            run = tinyworld().run(PROMPTS[1], edits=[edit], logits_at="last")
        without = run.logits[0, 0].log_softmax(-1)
        changes[number] = float((plain.exp() * (plain - without)).sum())
    assert explorer.feature == f"L3.resid_post/{max(changes, key=changes.__getitem__)}"


def test_scaling_a_feature_changes_what_is_downstream_and_the_next_words(
    explorer: LiveFeatureFlow,
) -> None:
    explorer.view.scales = {PATH[1]: 0.0}
    explorer.scale(PATH[2], 3.0)
    scales = {PATH[1]: 0.0, PATH[2]: 3.0}
    assert explorer.view.scales == scales and explorer.message == ""
    codes, words = by_hand(scales)
    np.testing.assert_allclose(explorer.reading.after, codes.max(0), rtol=1e-3, atol=5e-3)
    before, plain = by_hand({})
    np.testing.assert_allclose(explorer.view.before, before.max(0), rtol=1e-3, atol=5e-3)
    assert not np.allclose(explorer.view.after[3], explorer.view.before[3], rtol=1e-3)
    kl = float((plain * (plain / words).log()).sum())
    assert explorer.reading.kl == pytest.approx(kl, rel=1e-2, abs=1e-5)
    assert "2 features scaled" in explorer._answers.value
    for nowhere in (-1, 10**9, 2**70):
        with pytest.raises(ValueError, match="^position is a whole number from 0 to"):
            explorer.position = nowhere
    explorer.position = 3
    np.testing.assert_allclose(explorer.view.after, codes[3], rtol=1e-3, atol=5e-3)
    explorer.prompt = PROMPTS[1]
    # The shorter prompt has no such position.
    assert explorer.position is None
    codes, _ = by_hand(scales, PROMPTS[1])
    np.testing.assert_allclose(explorer.reading.after, codes.max(0), rtol=1e-3, atol=5e-3)


def test_the_code_gives_the_numbers_that_are_shown(explorer: LiveFeatureFlow) -> None:
    explorer.scale(PATH[1], 0.5)
    explorer.scale(PATH[3], 0.0)
    assert "dicts['L1.resid_post'].scale({4: 0.5}, rows=[1, 3])" in explorer.code
    assert "# dicts: those that this explorer was given" in explorer.code
    found = run_code(explorer, dicts=planted())
    for i in (0, 2):
        name = PATH[i]
        site, _ = name.split("/")
        codes = found[site.replace(".", "_")][1]
        assert float(codes.max()) == pytest.approx(explorer.reading.after[i], rel=1e-3)
    scaled = explorer.reading.answers[1]
    np.testing.assert_allclose(
        found["words"][1].sort(descending=True).values[:6], scaled.probabilities, atol=1e-4
    )


def test_the_code_names_shipped_dictionaries_backend_and_options() -> None:
    dicts = wb.dictionaries("tinyworld").only("resid_post")
    explorer = wb.live.feature_flow(
        tinyworld("transformer_lens"),
        dicts,
        others(6),
        prompt="In the morning the lawyer said that",
        k=2,
        thresholds=0.45,
    )
    assert explorer.feature.startswith("L3.resid_post/")
    assert "wb.load('tinyworld', backend='transformer_lens')" in explorer.code
    assert "wb.dictionaries('tinyworld')" in explorer.code
    assert f"'{explorer.feature}', k=2, thresholds=0.45)" in explorer.code
    *path, last = explorer.flow.path()
    graph = explorer.view
    explorer.scale(next(n for n in path if graph.before[graph.ids.index(n)] > 0), 2.0)
    found = run_code(explorer)
    shown = explorer.reading.after[graph.ids.index(last)]
    site = last.split("/")[0]
    column = [name for name in graph.ids if name.startswith(site)].index(last)
    codes = found[site.replace(".", "_")][1, :, column]
    assert float(codes.max()) == pytest.approx(shown, rel=1e-3)


def test_undo_and_reset_go_through_the_scales(explorer: LiveFeatureFlow) -> None:
    explorer.scale(PATH[0], 0.0)
    kl = explorer.reading.kl
    assert kl > 0
    explorer.view.scales = {PATH[0]: 0.0, PATH[1]: 4.0}
    explorer.undo()
    assert explorer.view.scales == {PATH[0]: 0.0} and explorer.reading.kl == pytest.approx(kl)
    explorer.reset()
    assert explorer.view.scales == {} and explorer.reading.kl == pytest.approx(0, abs=1e-6)
    explorer.undo()
    assert explorer.view.scales == {PATH[0]: 0.0}
    explorer.undo()
    assert explorer.view.scales == {} and explorer._undo_button.disabled
    explorer.undo()
    assert explorer.view.scales == {}


def test_the_slider_is_of_the_feature_that_is_selected(explorer: LiveFeatureFlow) -> None:
    slider = explorer.boxes["factor"]
    assert slider.disabled
    explorer.with_page = False
    explorer.view.selected = PATH[2]
    assert not slider.disabled and slider.description == f"scale of {PATH[2]}"
    slider.value = 2.5
    assert explorer.view.scales == {PATH[2]: 2.5}
    explorer.view.selected = PATH[0]
    assert slider.value == 1.0 and explorer.view.scales == {PATH[2]: 2.5}
    explorer.view.selected = PATH[2]
    assert slider.value == 2.5
    explorer.undo()
    assert slider.value == 1.0
    assert explorer.page is None


def test_expanding_adds_the_next_matches_and_keeps_what_is_scaled(
    explorer: LiveFeatureFlow,
) -> None:
    explorer.scale(PATH[1], 0.0)
    after = explorer.reading.after.copy()
    explorer.expand(PATH[2], "down")
    cosine = planted()["L1.resid_post"].directions @ planted()["L2.resid_post"].directions[5]
    order = [i for i in cosine.argsort(descending=True).tolist()[:3] if cosine[i] >= 0]
    wanted = {f"L1.resid_post/{i}" for i in order}
    assert set(explorer.view.ids) == set(PATH) | wanted and len(wanted) == 3
    graph = explorer.flow
    names = zip(graph.sources, graph.targets, graph.weights, strict=True)
    edges = {(graph.ids[s], graph.ids[t]): w for s, t, w in names}
    for i in order:
        edge = edges[f"L1.resid_post/{i}", PATH[2]]
        assert edge == pytest.approx(float(cosine[i]), abs=1e-4)
    assert explorer.view.scales == {PATH[1]: 0.0}
    kept = [explorer.view.ids.index(name) for name in PATH]
    np.testing.assert_allclose(explorer.reading.after[kept], after, rtol=1e-4)
    assert explorer.flow.classes[kept[1]] == "carried"
    explorer.expand(PATH[2], "down")
    assert len(explorer.view.ids) > len(PATH) + 2
    n = len(explorer.view.ids)
    explorer.expand(PATH[0], "down")
    assert explorer.message == f"No further feature of these dictionaries lies before {PATH[0]}."
    assert len(explorer.view.ids) == n and explorer.view.status == ""
    explorer.expand(PATH[3], "up")
    assert "lies after" in explorer.message
    explorer.feature = PATH[1]
    explorer.feature = "L0.resid_post/0"
    assert explorer.feature == "L0.resid_post/0" and explorer.message == ""


def test_features_are_found_by_words_of_their_labels(
    explorer: LiveFeatureFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = wb.features.Labels.empty(planted()["L2.resid_post"])
    plain = replace(labels[0], by="tokens")
    for i, text, tokens, scores in (
        (5, "dog, cat", (" dog", " cat"), (0.4, 0.5, 0.3)),
        (7, "dog houses", (), (0.9, None, None)),
        (9, "dog", (" dog",), (0.8, 0.8, 0.8)),
    ):
        named = dict(zip(("f1", "precision", "recall"), scores, strict=True))
        labels.keep(i, replace(plain, text=text, tokens=tokens, **named))
    labels.keep(7, replace(labels[7], by="person"))
    monkeypatch.setitem(explorer._names.labels, "L2.resid_post", labels)
    explorer.feature = "dog"
    # Those that detect the token come first, the best scored of them before the others.
    assert [name for name, _ in explorer._found] == [f"L2.resid_post/{i}" for i in (9, 5, 7)]
    assert explorer._found[0][1] == "L2.resid_post/9: dog (F1 0.80)"
    assert explorer.feature == "L2.resid_post/9"
    explorer.found = PATH[2]
    assert explorer.feature == PATH[2] and explorer.view.ids == PATH
    assert "F1 .40 dog, cat" in explorer.flow.labels
    explorer.feature = "L2.resid_post/7"
    assert explorer.flow.labels[-1] == "F1 .90 dog houses"


def test_what_cannot_be_shown_is_said_in_place(explorer: LiveFeatureFlow) -> None:
    explorer.feature = "L2.resid_post/99"
    assert "has features 0 to 11; got 99" in explorer.message
    explorer.feature = "L2.mlp_out/1"
    assert "There is no dictionary of L2.mlp_out" in explorer.message
    explorer.feature = "Monday"
    assert "stands in none of the 0 labels" in explorer.message
    assert explorer.feature == PATH[1]
    explorer.prompt = ""
    assert "A prompt has at least one character" in explorer.message
    assert explorer.view.status == "error: this is the last state that worked"
    explorer.prompt = PROMPTS[1]
    assert explorer.message == "" and explorer.view.status == ""
    explorer._names.texts = []
    explorer.view.selected = PATH[0]
    assert explorer.page is None
    assert "needs at least one; got none" in explorer._page_box.children[0].value
    with pytest.raises(ValueError, match="no dictionary given is of it"):
        rows = planted()["L2.resid_post"].W_dec
        mlp = Dictionary("L0.mlp_out", Linear(rows.T, torch.zeros(12)), rows, torch.zeros(128))
        wb.live.feature_flow(tinyworld(), Dictionaries([mlp]), others(6))


def test_a_click_shows_the_page_and_a_feature_named_there_is_followed(
    explorer: LiveFeatureFlow,
) -> None:
    explorer.view.selected = PATH[2]
    page: Any = explorer.page
    assert page.feature == PATH[2] and page.n_texts == 6
    (view,) = explorer._page_box.children
    near = page.nearest[0]
    view.chosen = near
    assert explorer.feature == near
    explorer.with_page = False
    assert explorer._page_box.children == ()
    explorer.with_page = True
    explorer.view.selected = near
    page = explorer.page
    assert page.feature == near
    explorer.view.selected = ""
    assert explorer._page_box.children == () and explorer.page is None


def test_a_silent_feature_is_named_and_markup_is_text(explorer: LiveFeatureFlow) -> None:
    odd = replace(explorer.reading.answers[0], tokens=("<b>x</b>", "&", "a", "b", "c", "d"))
    reading = replace(explorer.reading, answers=(odd, odd), silent=("L1.resid_post/4",))
    text = flow_answers(reading, 1)
    assert "&lt;b&gt;x&lt;/b&gt;" in text and "<b>x</b>" not in text
    assert "1 feature scaled" in text and "L1.resid_post/4 is not active on this prompt" in text
    rows = planted()["L2.resid_post"].W_dec
    encoder = Linear(torch.zeros(128, 12), torch.zeros(12))
    silent = Dictionary("L2.resid_post", encoder, rows, torch.zeros(128))
    quiet = wb.live.feature_flow(tinyworld(), silent, others(6), prompt=PROMPT)  # pyright: ignore
    quiet.scale(quiet.feature, 0.0)
    assert quiet.reading.silent == (quiet.feature,) and quiet.message == ""


def test_the_graph_is_one_page_without_a_kernel(explorer: LiveFeatureFlow, tmp_path: Path) -> None:
    explorer.scale(PATH[1], 0.0)
    path = explorer.to_html(tmp_path / "flow.html")
    assert path == tmp_path / "flow.html"
    assert PATH[3] in (text := explorer.html()) and path.read_text() == text
