"""The feature browser without a browser: search, pages, labels, another dictionary, a prompt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.indexed import dictionary, model, rows
from workbench.live import LiveFeatures
from workbench.live import features as explore

SITES = ("L1.resid_post", "L2.resid_post")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def explorer(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LiveFeatures:
    # The indexes are made once; labels that a test saves are its own.
    monkeypatch.setenv("WORKBENCH_CACHE", str(cache))
    for site in SITES:
        (tmp_path / site).mkdir()
    dicts = wb.Dictionaries(replace(dictionary("topk", s), path=tmp_path / s) for s in SITES)
    words = [text.strip() for text in model().tokenizer.convert_ids_to_tokens(rows()[0][:6])]
    named = {f"concept {i}": [f"the{i}", "the", *words] for i in range(33)}
    concepts = wb.concepts(named, families={name: name for name in named})
    return explore(
        model(), rows(), dicts, prompt="The nurse said", concepts=concepts, progress=False
    )


def test_it_opens_with_the_best_label_and_lists_all(explorer: LiveFeatures) -> None:
    labels = wb.features.label(explorer.index)
    scores = {i: labels[i].f1 or 0.0 for i in labels}
    assert len(explorer.found) == len(labels)
    number = int(explorer.feature.split("/")[1])
    assert scores[number] == max(scores.values())
    assert explorer.view.feature == explorer.page.feature == explorer.feature
    assert explorer.view.label == labels[number].text
    assert explorer.listed == explorer.feature
    line = explorer.boxes["listed"].options[0][0]
    assert line.startswith(f"{number}  ·  ") and f"(F1 {scores[number]:.2f})" in line
    assert explorer.grid.features == explorer.active.names
    assert repr(explorer) == f"LiveFeatures({explorer.feature}, {len(labels)} listed)"
    assert explorer.message == "" and "feature-page" in explorer.html()


def test_a_search_lists_what_the_index_finds(explorer: LiveFeatures) -> None:
    explorer.way = "token"
    explorer.query = " the"
    wanted = wb.features.find(explorer.index, token=" the", n=200)
    assert explorer.found.feature.tolist() == wanted.feature.tolist()
    first = explorer.boxes["listed"].options[0][0]
    assert first.endswith(f"{100 * wanted.share[0]:.0f} % of it here")
    explorer.query = "zzz"
    assert "do not have the token 'zzz'" in explorer.message
    assert explorer.view.status == "" and len(explorer.found) == len(wanted)
    explorer.way = "concept"
    explorer.query = "the, The"
    assert explorer.message == ""
    wanted = wb.features.find(explorer.index, concept=["the", "The"], n=200)
    assert explorer.found.f1.tolist() == wanted.f1.tolist()
    explorer.way = "label"
    explorer.query = "no such words"
    assert explorer.message == "No label has 'no such words' in it."


def test_at_most_32_concepts_are_listed_and_the_limit_is_told(explorer: LiveFeatures) -> None:
    explorer.way = "concept"
    explorer.query = "*"
    assert "One view shows 1 to 32 concepts; got 33" in explorer.message
    explorer.query = "concept 3, concept 7"
    assert explorer.message == ""
    assert set(explorer.found.concept) == {"concept 3", "concept 7"}
    assert "or names: concept 0, concept 1; or *, all" in explorer.boxes["query"].placeholder


def test_a_feature_is_chosen_in_the_list_by_number_on_the_page_and_in_the_grid(
    explorer: LiveFeatures,
) -> None:
    explorer.listed = explorer.boxes["listed"].options[2][1]
    assert explorer.page.feature == explorer.boxes["listed"].options[2][1]
    explorer.query = "5"
    assert explorer.feature == explorer.page.feature == "L1.resid_post/5"
    explorer.query = "77"
    assert "has features 0 to 39; got 77" in explorer.message
    assert explorer.page.feature == "L1.resid_post/5" and explorer.view.status == ""
    explorer.grid.feature = explorer.grid.features[1]
    assert explorer.page.feature == explorer.grid.features[1] == explorer.view.feature
    near = next(name for name in explorer.page.nearest if name.startswith("L1"))
    explorer.view.chosen = near
    assert explorer.page.feature == near and explorer.message == ""


def test_another_dictionary_has_its_own_list_page_and_grid(explorer: LiveFeatures) -> None:
    before = explorer.index
    explorer.site = "L2.resid_post"
    assert explorer.index is not before and explorer.index.site == "L2.resid_post"
    assert explorer.page.feature.startswith("L2.resid_post/")
    assert all(name.startswith("L2.resid_post/") for name in explorer.grid.features)
    explorer.feature = "L1.resid_post/3"
    assert explorer.site == "L1.resid_post"
    assert explorer.page.feature == "L1.resid_post/3" and explorer.index is before


def test_an_index_that_fails_leaves_the_dictionary_that_was(
    explorer: LiveFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **options: Any) -> Any:
        raise OSError(28, "The disk is full")

    monkeypatch.setitem(LiveFeatures._both.__globals__, "index_features", full)
    explorer.site = "L2.resid_post"
    assert "The disk is full" in explorer.message
    assert explorer.site == "L1.resid_post" and explorer.view.status == ""
    assert explorer.page.feature.startswith("L1")


def test_a_label_is_edited_scored_by_its_tokens_and_saved(explorer: LiveFeatures) -> None:
    token = explorer.page.top_tokens[0]
    explorer.view.label = "my own"
    assert (explorer.page.label, explorer.page.score) == ("my own", "not scored")
    assert explorer.view._page["score"] == "not scored"
    assert wb.features.Labels.of(explorer.dictionary)[explorer.feature].text == "my own"
    assert any("my own (not scored)" in text for text, _ in explorer.boxes["listed"].options)
    explorer.view.label = f"by tokens [{token.strip()}]"
    wanted = replace(explorer.labels[explorer.feature])
    assert (wanted.text, wanted.tokens, wanted.by) == ("by tokens", (token,), "person")
    assert explorer.page.f1 == pytest.approx(wanted.f1)
    explorer.view.label = "nothing [zzz]"
    assert "None of the tokens 'zzz' stands" in explorer.message
    assert explorer.view.label == explorer.page.label == "by tokens"
    again = explore(model(), rows(), explorer.dicts, feature=explorer.feature, progress=False)
    assert again.page.label == "by tokens" and again.page.f1 == pytest.approx(wanted.f1, abs=5e-5)


def test_a_prompt_is_followed_and_one_that_cannot_be_run_is_told(explorer: LiveFeatures) -> None:
    explorer.prompt = "The king of France"
    assert explorer.active.tokens[0][-1] == " France"
    wanted = wb.features.activations(model(), "The king of France", explorer.dictionary)
    np.testing.assert_array_equal(explorer.active.values, wanted.values)
    page = explorer.page
    explorer.prompt = ""
    assert "A prompt has at least one character" in explorer.message
    assert explorer.grid.status.startswith("error") and explorer.view.status == ""
    assert explorer.active.tokens[0][-1] == " France" and explorer.page is page
    explorer.prompt = "The queen"
    assert explorer.message == "" and explorer.grid.status == ""
