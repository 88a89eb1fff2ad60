"""Labels: made from tokens, scored on held-out texts in plain loops, edited, saved and refused."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

import workbench as wb
from data.tinyworld.labels import make_labels
from tests.unit.indexed import (
    DEAD,
    N_FEATURES,
    dictionary,
    fired,
    made,
    model,
    other,
    rows,
)
from tests.unit.kernels import written
from workbench import files

#: The index of `made` holds back the last three of the twelve texts.
FIRST_HELD_OUT = 9


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> wb.features.FeatureIndex:
    return made(tmp_path_factory.mktemp("labels") / "index")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


def f1(feature: int, tokens: set[str], held_out: bool) -> tuple[float, float, float]:
    """F1, precision and recall of "fires where one of the tokens stands", position by position."""
    places = {(each.text, each.position) for each in fired(feature)}
    right = said = fires = 0
    for t, row in enumerate(rows()):
        if (t >= FIRST_HELD_OUT) != held_out:
            continue
        for p, token in enumerate(row):
            predicted = model().tokenizer.decode([token]) in tokens
            right += predicted and (t, p) in places
            said += predicted
            fires += (t, p) in places
    precision, recall = right / max(1, said), right / max(1, fires)
    return 2 * precision * recall / max(precision + recall, 1e-12), precision, recall


def test_every_label_has_the_score_of_its_tokens_on_held_out_texts(
    index: wb.features.FeatureIndex,
) -> None:
    labels = wb.features.label(index)
    assert list(labels) == [f for f in range(N_FEATURES) if index.count[f]]
    for feature in labels:
        label = labels[feature]
        assert label.by == "tokens" and 1 <= len(label.tokens) <= 16
        if index.count_held_out[feature]:
            wanted = f1(feature, set(label.tokens), held_out=True)
            assert (label.f1, label.precision, label.recall) == pytest.approx(wanted)
        else:
            assert label.f1 is None and label.score == "not scored"
    assert (
        labels[DEAD] == wb.features.Labels.empty(dictionary())[DEAD]
        and labels[DEAD].score == "not scored"
    )


def test_the_tokens_are_the_best_of_all_sets_on_the_texts_for_fitting(
    index: wb.features.FeatureIndex,
) -> None:
    for feature in range(0, N_FEATURES - 2, 6):
        used = [use for use in index.tokens(feature)[:16] if use.fitted]
        candidates = [use.string for use in used if use.share >= 0.01][:9]
        chosen = set(wb.features.label(index)[feature].tokens)
        got = f1(feature, chosen, held_out=False)[0]
        for size in (1, 2, len(candidates)):
            for some in combinations(candidates, min(size, len(candidates))):
                assert f1(feature, set(some), held_out=False)[0] <= got + 1e-9


def test_a_label_is_written_with_its_first_tokens_and_says_how_many_more() -> None:
    assert written([" dog", "dog", " cat"]) == "dog, cat"
    assert written([" a", " b", " c", " d", " e", "\n"]) == "a, b, c, d … +2"
    assert written(["\n", "."]) == r"'\n', ‘.’"
    plain = wb.features.Labels.empty(dictionary())[0]
    assert str(replace(plain, text="dog", tokens=(" dog",), f1=0.934)) == "dog (F1 0.93)"
    assert str(replace(plain, text="birds", by="person")) == "birds (not scored)"
    assert replace(plain, text="dog", f1=0.5).score == "F1 0.50 on held-out text"


def test_a_person_edits_a_label_and_it_is_scored_where_tokens_are_given(
    index: wb.features.FeatureIndex,
) -> None:
    labels = wb.features.label(index)
    labels[3] = "  kinds of birds "
    assert labels[3] == replace(
        wb.features.Labels.empty(dictionary())[3], text="kinds of birds", by="person"
    )
    assert labels["L1.resid_post/3"].score == "not scored"
    token = index.tokens(5)[0].string
    label = labels.set(5, "my word", tokens=[token], index=index)
    assert label.f1 == pytest.approx(f1(5, {token}, held_out=True)[0])
    frame = labels.to_frame().set_index("feature")
    assert frame.loc["L1.resid_post/5", ["label", "by"]].tolist() == ["my word", "person"]
    assert repr(labels) == "Labels(L1.resid_post: 39 of 40 features, 2 by a person)"


def test_bad_labels_are_named(index: wb.features.FeatureIndex) -> None:
    labels = wb.features.label(index)
    for feature in (N_FEATURES, -1, "L0.resid_post/3", "L1.resid_post"):
        with pytest.raises(ValueError, match="are of L1.resid_post/0 to L1.resid_post/39; got"):
            labels[feature] = "x"
    with pytest.raises(ValueError, match="A label is a text that is not empty; got '  '"):
        labels[1] = "  "
    with pytest.raises(ValueError, match="tokens is a list of texts; got ' dog'"):
        labels.set(1, "dog", tokens=" dog", index=index)
    with pytest.raises(ValueError, match="scored on an index of the same dictionary; got None"):
        labels.set(1, "dog", tokens=[" dog"])
    with pytest.raises(ValueError, match="None of the tokens ' dgo' stands in the index's texts"):
        labels.set(1, "dog", tokens=[" dgo"], index=index)
    assert labels[1].by == "tokens"


def test_labels_are_saved_with_the_dictionary_and_read_again(
    index: wb.features.FeatureIndex, tmp_path: Path
) -> None:
    kept = replace(dictionary(), path=tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    assert len(wb.features.Labels.of(kept)) == 0
    labels = wb.features.label(index, kept.path)
    labels[3] = "kinds of “birds”"
    assert labels.save() == tmp_path / "kept" / "labels.json"
    again = wb.features.Labels.of(kept)
    assert list(again) == list(labels)
    for feature in labels:
        a, b = again[feature], labels[feature]
        assert (a.text, a.tokens, a.by) == (b.text, b.tokens, b.by)
        assert a.f1 == (None if b.f1 is None else pytest.approx(b.f1, abs=5e-5))
    again[3] = "fish"
    again.save()
    before = (tmp_path / "kept" / "labels.json").read_text().splitlines()
    assert (
        sum("fish" in line for line in before) == 1
        and wb.features.Labels.of(kept)[3].text == "fish"
    )
    assert [p.name for p in (tmp_path / "kept").iterdir()] == ["labels.json"]


def test_labels_of_another_dictionary_are_refused(
    index: wb.features.FeatureIndex, tmp_path: Path
) -> None:
    labels = wb.features.label(index)
    labels.save(tmp_path)
    with pytest.raises(
        ValueError, match="are of another dictionary .fingerprint .*Delete the file"
    ):
        wb.features.Labels.of(replace(other(), path=tmp_path))
    with pytest.raises(ValueError, match="has the labels of another dictionary; these are of L1"):
        wb.features.Labels.empty(other()).save(tmp_path)
    body = json.loads((tmp_path / "labels.json").read_text())
    (tmp_path / "labels.json").write_text(json.dumps(body | {"format": 7}))
    with pytest.raises(ValueError, match="has format 7; this workbench reads format 1"):
        wb.features.Labels.of(replace(dictionary(), path=tmp_path))
    (tmp_path / "labels.json").write_text("[]")
    with pytest.raises(ValueError, match="is not a file of labels .TypeError"):
        wb.features.Labels.of(replace(dictionary(), path=tmp_path))


def test_a_read_only_folder_keeps_them_elsewhere_until_it_can_be_written(
    index: wb.features.FeatureIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "read only"
    folder.mkdir()
    kept = replace(dictionary(), path=folder)
    labels = wb.features.label(index, folder)
    labels[2] = "first"
    make = files.tempfile.mkdtemp

    def refuse(*args: object, **options: object) -> object:
        if options["dir"] == folder:
            raise PermissionError(13, "Permission denied")
        return make(*args, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patched:
        patched.setattr(files.tempfile, "mkdtemp", refuse)
        path = labels.save()
        assert path.is_relative_to(tmp_path / "cache") and list(folder.iterdir()) == []
        assert wb.features.Labels.of(kept)[2].text == "first"
        with pytest.raises(PermissionError):
            labels.save(folder)
    labels[2] = "second"
    assert labels.save() == folder / "labels.json" and not path.exists()
    assert wb.features.Labels.of(kept)[2].text == "second"
    assert wb.features.Labels.empty(replace(kept, path=None)).save() == path


def test_a_write_that_fails_leaves_the_old_labels(
    index: wb.features.FeatureIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = wb.features.label(index)
    labels.save(tmp_path)
    before = (tmp_path / "labels.json").read_bytes()
    labels[2] = "new"

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        labels.save(tmp_path)
    assert (tmp_path / "labels.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["labels.json"]


def test_labels_for_shipping_come_from_the_texts_alone(
    index: wb.features.FeatureIndex, tmp_path: Path
) -> None:
    labels = make_labels(model(), replace(dictionary(), path=tmp_path), rows(), progress=False)
    wanted = wb.features.label(index)
    assert {i: labels[i] for i in labels} == {i: wanted[i] for i in wanted}
    assert labels.folder == tmp_path and list(tmp_path.iterdir()) == []
    assert Counter(labels[i].by for i in labels) == {"tokens": len(labels)}
