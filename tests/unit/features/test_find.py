"""Features by token, by concept and by label, each ranking counted again in plain loops."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.indexed import DENSE, N_FEATURES, SITE, codes, fired, made, model, rows

FIRST_HELD_OUT = 9


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> wb.features.FeatureIndex:
    return made(tmp_path_factory.mktemp("search") / "index")


def words_that_stand_in_both_parts(n: int) -> list[str]:
    parts = [rows()[:FIRST_HELD_OUT], rows()[FIRST_HELD_OUT:]]
    counts = [Counter(i for row in part for i in row) for part in parts]
    both = [i for i, _ in counts[0].most_common() if i in counts[1]]
    strings = [model().tokenizer.decode([i]) for i in both]
    return [s for s in strings if s.strip().isalpha()][:n]


def test_a_token_gives_the_features_with_most_of_their_activity_on_it(
    index: wb.features.FeatureIndex,
) -> None:
    token = words_that_stand_in_both_parts(1)[0]
    number = next(i for i, s in index.strings.items() if s == token)
    frame = wb.features.find(index, token=token, n=6)
    share, rate = {}, {}
    seen = sum(row.count(number) for row in rows())
    for feature in range(N_FEATURES):
        places = fired(feature)
        on = [each.value for each in places if each.token == number]
        if on:
            share[feature] = sum(on) / sum(each.value for each in places)
            rate[feature] = len(on) / seen
    best = sorted(share, key=lambda f: -share[f])[:6]
    assert frame.feature.tolist() == [f"{SITE}/{f}" for f in best]
    assert frame.share.tolist() == pytest.approx([share[f] for f in best], rel=1e-3)
    assert frame.rate.tolist() == pytest.approx([rate[f] for f in best])
    labels = wb.features.label(index)
    assert frame.label.tolist() == [labels[f].text for f in best]
    assert frame.frequency.tolist() == pytest.approx([len(fired(f)) / 612 for f in best])
    assert wb.features.find(index, token=token.strip(), n=6).equals(frame)


def scores(words: set[str], feature: int, held_out: bool) -> tuple[float, float, float]:
    right = fires = there = 0
    for t, row in enumerate(rows()):
        if (t >= FIRST_HELD_OUT) != held_out:
            continue
        for p, token in enumerate(row):
            of_concept = model().tokenizer.decode([token]).strip() in words
            active = codes()[t][p, feature] > 0
            right, fires, there = (
                right + (of_concept and active),
                fires + active,
                there + of_concept,
            )
    return 2 * right / max(1, fires + there), right / max(1, fires), right / max(1, there)


def test_a_concept_gives_the_features_with_the_best_f1_and_their_held_out_score(
    index: wb.features.FeatureIndex,
) -> None:
    words = words_that_stand_in_both_parts(5)
    frame = wb.features.find(index, concept=words, n=3)
    fitted = {f: scores({w.strip() for w in words}, f, False)[0] for f in range(N_FEATURES)}
    best = sorted(fitted, key=lambda f: -fitted[f])[:3]
    assert frame.feature.tolist() == [f"{SITE}/{f}" for f in best]
    got = frame[["f1", "precision", "recall"]].to_numpy()
    wanted = [scores({w.strip() for w in words}, feature, True) for feature in best]
    np.testing.assert_allclose(got, wanted)
    assert frame.concept.iloc[0] == ", ".join(words[:3]) + ", …"


def test_several_concepts_have_their_own_rows_and_more_than_32_are_refused(
    index: wb.features.FeatureIndex,
) -> None:
    words = [w.strip() for w in words_that_stand_in_both_parts(4)]
    named = wb.concepts({"first": words[:2], "second": words[2:]})
    frame = wb.features.find(index, concept=named, n=2)
    assert frame.concept.tolist() == ["first", "first", "second", "second"]
    assert (
        frame[2:].feature.tolist()
        == wb.features.find(index, concept=words[2:], n=2).feature.tolist()
    )
    with pytest.raises(ValueError, match="One view shows 1 to 32 concepts; got 33"):
        wb.features.find(index, concept={f"concept {i}": words for i in range(33)})


def test_a_part_of_a_label_is_found_in_any_letters_best_score_first(
    index: wb.features.FeatureIndex,
) -> None:
    labels = wb.features.label(index)
    word = max((t for i in labels for t in labels[i].tokens), key=len)
    frame = wb.features.find(index, text=word.strip().upper(), labels=labels)
    wanted = [i for i in labels if any(word in token for token in labels[i].tokens)]
    assert set(frame.feature) >= {f"{SITE}/{i}" for i in wanted}
    known = frame.label_f1.fillna(0).tolist()
    assert known == sorted(known, reverse=True)
    assert len(wb.features.find(index, text="", labels=labels, n=100)) == len(labels)
    labels[DENSE] = "Fires on everything"
    found = wb.features.find(index, text="EVERY", labels=labels)
    assert found.feature.tolist() == [f"{SITE}/{DENSE}"] and found.label_f1.isna().all()


def test_bad_questions_are_named(index: wb.features.FeatureIndex) -> None:
    with pytest.raises(ValueError, match="by one of token=, concept= and text=; got token=None"):
        wb.features.find(index)
    with pytest.raises(ValueError, match="by one of token=, concept= and text="):
        wb.features.find(index, token=" the", text="the")
    with pytest.raises(ValueError, match="do not have the token ' zzz'"):
        wb.features.find(index, token=" zzz")
    with pytest.raises(ValueError, match="None of the words of 'zzz' stands in the index's texts"):
        wb.features.find(index, concept=["zzz"])
    with pytest.raises(ValueError, match="A concept is a list of words; got 'dog'"):
        wb.features.find(index, concept="dog")
    with pytest.raises(ValueError, match=r"n is a whole number from 1; got 0\."):
        wb.features.find(index, text="a", n=0)
    unknown: dict[str, Any] = {"tokn": " the"}
    with pytest.raises(TypeError, match="tokn"):
        wb.features.find(index, **unknown)
    assert Path(index.folder).is_dir()
