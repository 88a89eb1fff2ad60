"""The index of features: every number counted again in plain loops, and what goes wrong on disk."""

from __future__ import annotations

import errno
import json
import math
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.indexed import (
    DEAD,
    DENSE,
    N_CONTEXTS,
    N_FEATURES,
    N_SAMPLED,
    codes,
    dictionary,
    fired,
    made,
    model,
    other,
    rows,
)
from tests.unit.kernels import tally

KINDS = ("topk", "relu")


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, wb.features.FeatureIndex]:
    return {kind: made(tmp_path_factory.mktemp("indexes") / kind, kind) for kind in KINDS}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", KINDS)
def test_counts_means_and_histograms_are_those_of_plain_loops(
    kind: str, indexes: dict[str, wb.features.FeatureIndex]
) -> None:
    index = indexes[kind]
    assert index.n_positions == sum(map(len, rows())) and index.n_texts == len(rows())
    for feature in range(N_FEATURES):
        found = fired(feature, kind)
        values = [each.value for each in found]
        assert index.count[feature] == len(found)
        assert index.frequency[feature] == pytest.approx(len(found) / index.n_positions)
        assert index.largest[feature] == pytest.approx(max(values, default=0), rel=1e-4)
        assert index.mean[feature] == pytest.approx(sum(values) / max(1, len(values)), rel=1e-4)
        bins = Counter(math.floor(4 * (math.log2(v) + 12)) for v in values)
        histogram = index.histogram(feature)
        # A code at a bin's edge may fall to either side of it by rounding.
        assert sum(abs(histogram[b] - bins[b]) for b in range(len(histogram))) <= 2
        assert histogram.sum() == len(values)
    assert index.dead.tolist() == [f for f in range(N_FEATURES) if not fired(f, kind)]
    assert DEAD in index.dead and index.frequency[DENSE] == 1
    edges = index.bin_edges
    assert edges[0] == 2**-12 and edges[4] / edges[0] == pytest.approx(2)


@pytest.mark.parametrize("kind", KINDS)
def test_contexts_are_the_largest_code_of_each_text_in_falling_order(
    kind: str, indexes: dict[str, wb.features.FeatureIndex]
) -> None:
    for feature in range(N_FEATURES):
        best: dict[int, Any] = {}
        for each in fired(feature, kind):
            if each.text not in best or each.value > best[each.text].value:
                best[each.text] = each
        wanted = sorted(best.values(), key=lambda each: -each.value)[:N_CONTEXTS]
        got = indexes[kind].contexts(feature)
        assert [place.value for place in got] == pytest.approx([w.value for w in wanted], rel=1e-4)
        for place in got:
            assert codes(kind)[place.text][place.position, feature] == pytest.approx(
                place.value, rel=1e-4
            )
        assert len({place.text for place in got}) == len(got)


def test_sampled_places_are_spread_over_all_and_not_the_largest(
    indexes: dict[str, wb.features.FeatureIndex],
) -> None:
    shares = []
    for feature in range(N_FEATURES):
        found = {(f.text, f.position): f.value for f in fired(feature)}
        got = indexes["topk"].sampled(feature)
        assert len(got) == min(N_SAMPLED, len({text for text, _ in found}))
        assert [p.value for p in got] == sorted((p.value for p in got), reverse=True)
        for place in got:
            assert found[place.text, place.position] == pytest.approx(place.value, rel=1e-4)
            shares.append(np.mean([v <= found[place.text, place.position] for v in found.values()]))
    # Drawn evenly, their ranks are even: mean a half, a quarter of them in each quarter.
    assert np.mean(shares) == pytest.approx(0.5, abs=0.07)
    assert 0.1 < np.mean(np.array(shares) < 0.25) < 0.4


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_counted_with_their_share_rate_and_part(
    kind: str, indexes: dict[str, wb.features.FeatureIndex]
) -> None:
    index = indexes[kind]
    assert index.first_held_out == 9 and index.exact_tokens
    seen = Counter(token for row in rows() for token in row)
    for feature in range(N_FEATURES):
        total, parts = defaultdict(float), defaultdict(lambda: [0, 0])
        for each in fired(feature, kind):
            total[each.token] += each.value
            parts[each.token][each.text >= 9] += 1
        got = index.tokens(feature)
        assert {use.id for use in got} == set(total)
        assert [use.share for use in got] == sorted((use.share for use in got), reverse=True)
        for use in got:
            assert use.share == pytest.approx(total[use.id] / sum(total.values()), rel=1e-3)
            assert [use.fitted, use.held_out] == parts[use.id]
            assert use.rate == pytest.approx(sum(parts[use.id]) / seen[use.id])
            assert use.string == model().tokenizer.decode([use.id])
    fitted = Counter(token for row in rows()[:9] for token in row)
    assert index.token_counts[0].sum() == sum(fitted.values())
    assert all(index.token_counts[0, token] == n for token, n in fitted.items())
    assert index.n_held_out == sum(map(len, rows()[9:]))


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_fire_together_are_ranked_by_their_jaccard_index(
    kind: str, indexes: dict[str, wb.features.FeatureIndex]
) -> None:
    active = np.concatenate([each > 0 for each in codes(kind)])
    assert indexes[kind].n_paired == len(active)
    for feature in range(N_FEATURES):
        wanted = {}
        for beside in range(N_FEATURES):
            both = int((active[:, feature] & active[:, beside]).sum())
            either = int((active[:, feature] | active[:, beside]).sum())
            if beside != feature and both:
                wanted[beside] = (both / either, both)
        got = indexes[kind].together(feature)
        assert len(got) == min(16, len(wanted))
        best = sorted((jaccard for jaccard, _ in wanted.values()), reverse=True)[:16]
        assert [pair.jaccard for pair in got] == pytest.approx(best)
        for pair in got:
            assert (pair.jaccard, pair.n_both) == pytest.approx(wanted[pair.feature])


def test_pairs_are_counted_on_some_positions_where_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "POSITIONS_PAIRED", 200)
    monkeypatch.setattr(tally, "CODES_AT_ONCE", 100)
    index = made(tmp_path / "index")
    assert 120 < index.n_paired < 280
    kept, seen = [], 0
    for each in codes():
        numbers = torch.arange(seen, seen + len(each))
        kept.append(each[(tally.mixed(numbers) < 200 / index.n_positions).numpy()] > 0)
        seen += len(each)
    active = np.concatenate(kept)
    assert len(active) == index.n_paired
    for pair in index.together(DENSE):
        both = int((active[:, DENSE] & active[:, pair.feature]).sum())
        assert pair.n_both == both and pair.jaccard == pytest.approx(both / len(active))


def test_the_way_texts_are_given_and_cut_into_batches_changes_nothing(
    tmp_path: Path, indexes: dict[str, wb.features.FeatureIndex]
) -> None:
    as_text = [model().tokenizer.decode(row) for row in rows()]
    assert [model().tokenizer(t).input_ids for t in as_text] == rows()
    options: dict[str, Any] = {"n_contexts": N_CONTEXTS, "n_sampled": N_SAMPLED, "progress": False}
    for number, (given, backend) in enumerate(
        [(as_text, "transformer_lens"), (model().tokens(rows()), "nnsight")]
    ):
        index = wb.features.index(
            model(backend), given, dictionary(), path=tmp_path / str(number), **options
        )
        assert index.facts | {"strings": 0} == indexes["topk"].facts | {"strings": 0}
        np.testing.assert_array_equal(index.count, indexes["topk"].count)
        np.testing.assert_allclose(index.total, indexes["topk"].total, rtol=1e-5)
        for feature in (0, 7, DENSE):
            pairs = zip(index.sampled(feature), indexes["topk"].sampled(feature), strict=True)
            assert all(a[:2] == b[:2] for a, b in pairs)
    assert index.text(3) == rows()[3]


def test_an_index_is_made_once_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"progress": False, "n_contexts": 2, "n_sampled": 2}
    first = wb.features.index(model(), rows(), dictionary(), **options)
    assert first.folder.parent == tmp_path / "cache" / "features"
    with monkeypatch.context() as patched:
        patched.setattr(model(), "run", lambda *args, **options: pytest.fail("made again"))
        again = wb.features.index(model(), rows(), dictionary(), **options)
        assert again.folder == first.folder and repr(again) == repr(first)
        opened = wb.features.FeatureIndex.open(first.folder)
        assert opened.contexts(3) == first.contexts(3)
    fewer = wb.features.index(model(), rows()[:6], dictionary(), **options)
    assert fewer.folder != first.folder
    assert sorted(p.name for p in first.folder.parent.iterdir()) == sorted(
        [first.folder.name, fewer.folder.name]
    )


def test_an_index_of_something_else_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = made(path)
    with pytest.raises(
        ValueError, match="is of another dictionary: it has '.*', and '.*' is asked for"
    ):
        wb.features.index(
            model(), rows(), other(), path=path, n_contexts=N_CONTEXTS, n_sampled=N_SAMPLED
        )
    with pytest.raises(ValueError, match="is of other texts: it has"):
        wb.features.index(
            model(), rows()[1:], dictionary(), path=path, n_contexts=5, n_sampled=6, progress=False
        )
    with pytest.raises(
        ValueError, match=r"is of other options: it has \[5, 6, 0.25\], and \[4, 6, 0.25\]"
    ):
        made(path, n_contexts=4)
    with pytest.raises(ValueError, match="is of another dictionary of L1.resid_post"):
        index.check(other())
    facts = json.loads((path / "index.json").read_text())
    (path / "index.json").write_text(json.dumps(facts | {"format": 9}))
    with pytest.raises(ValueError, match="has format 9; this workbench reads format 1"):
        wb.features.FeatureIndex.open(path)
    (path / "index.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged .JSONDecodeError.*Delete the folder"):
        wb.features.FeatureIndex.open(path)
    (path / "index.json").unlink()
    with pytest.raises(FileNotFoundError, match="has no index.json. Make it with features.index"):
        wb.features.FeatureIndex.open(path)


def test_a_truncated_index_is_said_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "index"
    made(path)
    whole = (path / "index.safetensors").read_bytes()
    (path / "index.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="index in .* is damaged .ValueError: .*safetensors"):
        made(path)


@pytest.mark.parametrize("failing", ["index.safetensors", "index.json"])
def test_a_full_disk_is_told_and_nothing_half_written_stays(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = made(tmp_path / "finished")
    calls: list[int] = []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 1 + (failing == "index.json"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="The disk is full: this index takes .* WORKBENCH_CACHE"):
            made(tmp_path / "half")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["finished"]
    assert wb.features.FeatureIndex.open(finished.folder).contexts(2) == finished.contexts(2)
    assert made(tmp_path / "half").contexts(2) == finished.contexts(2)


def test_an_interrupt_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    run = model().run

    def stop(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(*args, **options)

    monkeypatch.setattr(model(), "run", stop)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_another_process_that_was_first_is_left_in_peace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, run = tmp_path / "index", model().run
    first: list[int] = []

    def slow(*args: Any, **options: Any) -> Any:
        if not first:
            first.append(0)
            made(path)
            first[0] = (path / "index.json").stat().st_mtime_ns
        return run(*args, **options)

    monkeypatch.setattr(model(), "run", slow)
    made(path)
    assert (path / "index.json").stat().st_mtime_ns == first[0] > 0
    assert [p.name for p in tmp_path.iterdir()] == ["index"]


def test_bad_input_is_named() -> None:
    for given, error, text in (
        ([], ValueError, "at least one"),
        (5, TypeError, "Texts are a list of texts.*wb.read_texts"),
        (["", "The king"], ValueError, "text 0 is empty"),
        ([[0] * 65, [1]], ValueError, "Each text has 1 to 64 tokens.*text 0 has 65"),
        ([[1], [5000]], ValueError, "Token ids run from 0 to .*; the texts hold 5000"),
        ([[1, 2]], ValueError, "takes at least 2; got 1"),
    ):
        with pytest.raises(error, match=text):
            wb.features.index(model(), given, dictionary(), progress=False)
    with pytest.raises(ValueError, match="n_contexts is a whole number from 1; got 0"):
        made(Path("none"), n_contexts=0)
    with pytest.raises(ValueError, match="held_out is a finite number above 0 and below 1; got 1"):
        made(Path("none"), held_out=1)


def test_a_feature_or_text_that_is_not_there_is_named(
    indexes: dict[str, wb.features.FeatureIndex],
) -> None:
    index = indexes["topk"]
    for read in (index.contexts, index.sampled, index.histogram, index.tokens, index.together):
        with pytest.raises(ValueError, match="has features 0 to 39; got 40"):
            read(N_FEATURES)
    with pytest.raises(IndexError, match="numbered 0 to 11; got 12"):
        index.text(12)
    assert repr(index) == (
        f"FeatureIndex(tinyworld, L1.resid_post: 40 features, 12 texts of {index.n_positions} "
        f"tokens, {len(index.dead)} dead)"
    )
    frame = index.to_frame()
    assert frame.loc[7, "feature"] == "L1.resid_post/7" and frame["count"].tolist() == list(
        index.count
    )


@pytest.mark.parametrize("whole", [True, False])
def test_pair_counts_are_exact_while_they_fit(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not whole:
        monkeypatch.setattr(tally, "WHOLE_TABLE", 10)
    monkeypatch.setattr(tally, "WAITING", 50)
    counts, wanted = tally.PairCounts(6, 9, 2, 4), defaultdict(lambda: np.zeros(2))
    generator = torch.Generator().manual_seed(1)
    for _ in range(8):
        r = torch.randint(6, (30,), generator=generator)
        c = torch.randint(9, (30,), generator=generator)
        v = torch.rand(30, generator=generator)
        counts.add(r, c, v, torch.ones(30))
        for i in range(30):
            wanted[int(r[i]), int(c[i])] += (float(v[i]), 1)
    starts, columns, values = counts.largest()
    for row in range(6):
        part = slice(starts[row], starts[row + 1])
        of_row = [(-v[0], c, v) for (r, c), v in wanted.items() if r == row]
        best = sorted(of_row, key=lambda each: each[:2])[:4]
        assert columns[part].tolist() == [c for _, c, _ in best]
        np.testing.assert_allclose(values[:, part].T, [v for *_, v in best], rtol=1e-6)
    assert counts.exact


def test_pair_counts_that_do_not_fit_keep_the_largest_and_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tally, "WHOLE_TABLE", 10)
    monkeypatch.setattr(tally, "WAITING", 20)
    counts = tally.PairCounts(2, 1000, 1, 2)
    heavy = torch.tensor([3, 4])
    for step in range(30):
        light = torch.arange(100 + 20 * step, 110 + 20 * step)
        columns = torch.cat([heavy, light])
        values = torch.cat([torch.tensor([5.0, 7.0]), torch.ones(10)])
        counts.add(torch.zeros(12, dtype=torch.int64), columns, values)
    starts, columns, values = counts.largest()
    assert not counts.exact
    assert starts.tolist() == [0, 2, 2] and columns.tolist() == [4, 3]
    assert values[0].tolist() == [210.0, 150.0]
