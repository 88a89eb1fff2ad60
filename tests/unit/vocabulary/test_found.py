"""Finding neurons by words, against the numbers of every neuron for every token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit import plain_words
from tests.unit.kernels import found as found_module
from tests.unit.kernels import projection
from tests.unit.lens_models import words_model, zoo_model
from workbench.loading import load

IDS = [7, 20, 33]


def all_numbers(model: Any, layers: list[int], side: str) -> np.ndarray:
    """(neuron, token), the neurons of one layer behind those of the one before."""
    rows = [
        plain_words.numbers(model, layer, unit, side)
        for layer in layers
        for unit in range(model.spec.d_mlp)
    ]
    return np.stack(rows)


def test_all_neurons_that_are_searched_may_be_asked_for() -> None:
    model = zoo_model("gpt2")
    d_mlp = model.spec.d_mlp
    found = wb.vocabulary.find_neurons(model, IDS, n=d_mlp, layers=1, n_controls=2)
    assert len(set(found.neurons)) == found.n_searched == d_mlp
    assert (np.diff(found.scores) <= 1e-6).all()
    with pytest.raises(ValueError, match=f"n is a whole number from 1 to {d_mlp}; got"):
        wb.vocabulary.find_neurons(model, IDS, n=d_mlp + 1, layers=1, n_controls=2)


@pytest.mark.parametrize(
    ("name", "side", "effect"),
    [
        ("gpt2", "out", "promote"),
        ("gemma2", "gate", "suppress"),
        ("olmo2", "out", "either"),
        ("llama", "in", "promote"),
    ],
)
def test_scores_ranks_and_chance_are_those_of_the_full_array(
    name: str, side: Any, effect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Portions smaller than a layer and than the vocabulary, so that their seams are tested too.
    monkeypatch.setattr(found_module, "ROWS", 7)
    monkeypatch.setattr(projection, "COLUMNS", 17)
    model = zoo_model(name)
    found = wb.vocabulary.find_neurons(
        model, IDS, side=side, effect=effect, n=6, n_controls=9, seed=3
    )
    numbers = all_numbers(model, [0, 1], side)
    standard = (numbers - numbers.mean(1, keepdims=True)) / numbers.std(1, keepdims=True)
    scores = standard[:, IDS].mean(1)
    key = {"promote": -scores, "suppress": scores, "either": -np.abs(scores)}[effect]
    rows = np.argsort(key)[:6]
    d_mlp = model.spec.d_mlp
    assert found.neurons == tuple(f"L{r // d_mlp}.mlp_post/{r % d_mlp}" for r in rows)
    np.testing.assert_allclose(found.scores, scores[rows], atol=1e-4)
    np.testing.assert_allclose(found.word_scores, standard[rows][:, IDS], atol=1e-4)
    np.testing.assert_allclose(found.values, numbers[rows][:, IDS], rtol=1e-4, atol=1e-4)
    for i, row in enumerate(rows):
        sign = 1 if scores[row] >= 0 else -1
        own = [1 + int((sign * numbers[row] > sign * numbers[row, j]).sum()) for j in IDS]
        assert found.ranks[i].tolist() == own
        order = np.argsort(-sign * numbers[row])[:5].tolist()
        assert [found_word(model, j) for j in order] == list(found.own_words[i])
    rng = np.random.default_rng(3)
    rest = np.setdiff1d(np.arange(60), IDS)
    draws = [rng.choice(rest, 3, replace=False) for _ in range(9)]
    best = [standard[:, draw].mean(1).max() for draw in draws]
    worst = [standard[:, draw].mean(1).min() for draw in draws]
    np.testing.assert_allclose(found.chance_highest, best, atol=1e-4)
    np.testing.assert_allclose(found.chance_lowest, worst, atol=1e-4)
    ends = best if effect == "promote" else worst if effect == "suppress" else None
    if ends is not None:
        np.testing.assert_allclose(found.control, np.mean(ends), atol=1e-4)
        low, high = np.quantile(ends, [0.025, 0.975])
        np.testing.assert_allclose(found.control_low, low, atol=1e-4)
        np.testing.assert_allclose(found.control_high, high, atol=1e-4)
    for share, score in zip(found.by_chance, found.scores, strict=True):
        beyond = [b >= score for b in best] if score >= 0 else [w <= score for w in worst]
        assert share == pytest.approx(np.mean(beyond))


def found_word(model: Any, token: int) -> str:
    return model.tokenizer.convert_ids_to_tokens(token)


def test_standard_scores_of_all_words_have_mean_0_and_spread_1() -> None:
    model = words_model()
    n_words = len(model.tokenizer)
    every = np.zeros((model.spec.d_mlp, n_words))
    for words in np.array_split(np.arange(n_words), 3):
        options: Any = {"side": "in", "layers": 1, "n": model.spec.d_mlp, "n_controls": 1}
        found = wb.vocabulary.find_neurons(model, words.tolist(), **options)
        units = [int(name.split("/")[1]) for name in found.neurons]
        every[np.array(units)[:, None], words] = found.word_scores
    np.testing.assert_allclose(every.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(every.std(1), 1, atol=1e-5)


def test_a_layer_by_itself_is_searched_alone() -> None:
    model = words_model()
    found = wb.vocabulary.find_neurons(model, " Mary", layers=1, n=4, n_controls=5)
    assert all(name.startswith("L1.mlp_post/") for name in found.sites)
    assert found.n_searched == model.spec.d_mlp and found.words == (" Mary",)


@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama"])
def test_both_backends_find_the_same_neurons(name: str) -> None:
    _same_on_both(name, [" Friday", " Monday"])


def test_both_backends_find_the_same_neurons_of_stories(asset: Callable[..., Path]) -> None:
    _same_on_both(asset("models", "stories260K"), [300, 301])


def _same_on_both(name: Any, words: Any) -> None:
    first, second = (
        wb.vocabulary.find_neurons(
            load(name, backend=backend, device="cpu"), words, n=5, n_controls=5
        )
        for backend in ("nnsight", "transformer_lens")
    )
    assert first.neurons == second.neurons and first.own_words == second.own_words
    np.testing.assert_allclose(first.word_scores, second.word_scores, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(first.chance_highest, second.chance_highest, atol=1e-5)


def test_half_precision_models_are_searched() -> None:
    half = wb.vocabulary.find_neurons(zoo_model("olmo2", dtype="bfloat16"), IDS, n=3, n_controls=2)
    full = wb.vocabulary.find_neurons(zoo_model("olmo2"), IDS, n=3, n_controls=2)
    np.testing.assert_allclose(half.scores, full.scores, rtol=0.05)


def test_it_is_a_result_that_is_saved_tabled_and_drawn(tmp_path: Path) -> None:
    found = wb.vocabulary.find_neurons(
        words_model(), [" Mary", " John"], n=5, effect="either", n_controls=20
    )
    found.save(tmp_path / "found")
    again = wb.vocabulary.FoundNeurons.load(tmp_path / "found")
    frame = again.to_frame()
    assert frame.equals(found.to_frame()) and frame["neuron"].tolist() == list(found.sites)
    line, first = frame.iloc[0], found.ranks[0]
    assert line["among_first"] == (first <= 2).sum() and line["median_rank"] == np.median(first)
    assert line["best_word"] == found.words[first.argmin()]
    assert line["own_words"] == found.own_words[0]
    words = found.to_frame("words")
    assert words["word"].tolist()[:2] == [" Mary", " John"] and len(words) == 10
    np.testing.assert_array_equal(words["rank"], found.ranks.ravel())
    assert repr(found).startswith(
        f"FoundNeurons(words: 5 of 384 neurons for ' Mary', ' John', first {found.sites[0]} at "
    )
    ax = found.plot()
    named = [label.get_text() for label in ax.get_yticklabels()]
    assert [name.split()[0] for name in named] == list(found.sites)
    points: Any = ax.collections[0]
    np.testing.assert_allclose(points.get_offsets()[:, 0], found.scores, rtol=1e-6)
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, found.control_high - found.control_low, rtol=1e-5)


def test_a_word_that_only_the_tokenizer_has_is_a_named_error() -> None:
    model = zoo_model("qwen2")
    assert len(model.tokenizer) == 61 > model.spec.d_vocab
    with pytest.raises(ValueError, match=r"has the tokens 0 to 59; got 60"):
        wb.vocabulary.find_neurons(model, [60])


@pytest.mark.parametrize(
    ("words", "options", "error", "text"),
    [
        (" store Mary", {}, ValueError, r"A word that neurons write is one token; ' store Mary'"),
        ([], {}, ValueError, "at least one word; got none"),
        (" Mary", {"effect": "raise"}, ValueError, "effect is one of .*got 'raise'"),
        (" Mary", {"side": "gate"}, ValueError, "has no gate"),
        (" Mary", {"side": ("in", "out")}, TypeError, "side is one of"),
        (" Mary", {"n": 385}, ValueError, r"n is a whole number from 1 to 384; got 385\. No more"),
        (" Mary", {"n_controls": 0}, ValueError, "n_controls is a whole number from 1; got 0"),
        (
            " Mary",
            {"layers": 9},
            ValueError,
            "layers is different whole numbers from 0 to 2, or one;",
        ),
        (" Mary", {"norm": "x"}, ValueError, "norm is one of 'folded', 'none'; got 'x'"),
        (list(range(200)), {}, ValueError, r"the rest of the vocabulary, which has 134 tokens"),
    ],
)
def test_bad_input_is_a_named_error(
    words: Any, options: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        wb.vocabulary.find_neurons(words_model(), words, **options)
