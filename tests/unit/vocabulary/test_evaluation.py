"""Evaluation of observables: every number of a trial, recomputed by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.kernels import observable_baselines
from tests.unit.steering_models import tinyworld
from tests.unit.vectors import numbers, scores
from workbench.edits import Add, Set
from workbench.tasks import Task, task
from workbench.texts import texts

PATH = ["L0H2", "L0.mlp_out"]
TRUTH = {" nurse": 0.05, " maid": 0.09, " doctor": 0.63, " pilot": 0.83, " plumber": 0.95}


@cache
def vector() -> Any:
    return wb.vocabulary.observable(tinyworld(), " he", " she").propagate(PATH)


@cache
def tried() -> Any:
    return wb.vocabulary.evaluate(
        tinyworld(),
        some(tinyworld()),
        vector(),
        n_examples=4,
        n_controls=2,
        truth=TRUTH,
        elsewhere=texts("tinyworld")[:2],
        progress=False,
    )


def some(model: Any) -> Any:
    return task("gender_profession").on(model, n=40)


def prompts_of(result: wb.Effects) -> list[str]:
    return ["".join(row) for row in result.tokens]


def kinds_of(result: wb.Effects) -> tuple[str, ...]:
    return (*result.changes["change"], *dict.fromkeys(result.controls.get("kind", ())))


def draws_of(result: wb.Effects, measure: str, kind: str) -> np.ndarray:
    """(draw, example) of the controls of a kind."""
    return result[measure].control[np.array(result.controls["kind"]) == kind]


def values_of(result: wb.Effects, measure: str, kind: str) -> np.ndarray:
    """(draw,) of the controls of a kind."""
    each = result.effect(measure, of="controls")[:, 0]
    return each[np.array(result.controls["kind"]) == kind]


def place(prompt: str) -> int:
    """Where the profession stands: after "the" that is not of a place."""
    words = tinyworld().tokenizer.tokenize(prompt)
    known = {f"Ġ{word}" for pair in task("gender_profession").pairs
             for word in [pair.labels["profession"]]}  # fmt: skip
    return next(i for i, word in enumerate(words) if word.replace("▁", "Ġ") in known)


def he_minus_she(prompt: str, edits: Any = ()) -> float:
    model = tinyworld()
    he, she = (model.tokenizer(word).input_ids[0] for word in (" he", " she"))
    logits = model.run(prompt, edits=edits).logits[0, -1]
    return float(logits[he] - logits[she])


def test_ablations_and_pushes_are_what_a_run_by_hand_gives() -> None:
    model, result = tinyworld(), tried()
    unit = numbers(vector()).astype(np.float64)
    unit /= np.linalg.norm(unit)
    prompts = prompts_of(result)
    at = [place(prompt) for prompt in prompts]
    streams = [
        model.run(prompt, read="L0.resid_pre")["L0.resid_pre"][0, p].double().numpy()
        for prompt, p in zip(prompts, at, strict=True)
    ]
    mean = np.mean(streams, 0)
    length = np.sqrt(np.mean([((stream - mean) ** 2).sum() for stream in streams]))
    assert result.changes["push"][0] == pytest.approx(length, rel=1e-5)
    norm = model.norm("ln1", 0)
    said_ablated, said_pushed = (
        result[f"predicted {name}"].changed[0] - result["ablated"].plain
        for name in ("ablated", "pushed")
    )
    for i in (0, 7, len(prompts) - 1):
        stream = streams[i]
        ablated = torch.tensor(stream + (mean - stream) @ unit * unit).float()
        pushed = torch.tensor(length * unit).float()
        assert result["ablated"].plain[i] == pytest.approx(he_minus_she(prompts[i]), abs=1e-4)
        by_hand = he_minus_she(prompts[i], Set("L0.resid_pre", ablated, positions=at[i]))
        assert result["ablated"].changed[0, i] == pytest.approx(by_hand, abs=1e-4)
        by_hand = he_minus_she(prompts[i], Add("L0.resid_pre", pushed, positions=at[i]))
        assert result["pushed"].changed[0, i] == pytest.approx(by_hand, abs=1e-4)
        # Foretold: the vector over the norm's scale there, times the attention of L0H2.
        pattern = model.run(prompts[i], read="L0.pattern")["L0.pattern"][0, 2, -1, at[i]]
        scale = norm.scale(torch.tensor(stream).float()[None])
        slope = float(pattern / scale) * numbers(vector()).astype(np.float64)
        assert said_pushed[i] == pytest.approx(length * unit @ slope, rel=1e-4)
        change = (mean - stream) @ unit * unit
        assert said_ablated[i] == pytest.approx(change @ slope, rel=1e-3, abs=1e-5)


def test_scores_are_means_and_slopes_over_the_prompts() -> None:
    result = tried()
    assert kinds_of(result) == ("observable", "random", "difference in means", "logistic probe")
    names = ("ablated", "pushed", "predicted ablated", "predicted pushed")
    probes = [draws_of(result, name, "logistic probe") for name in names]
    before = result["ablated"].plain
    for draw in range(2):
        ablated, pushed, *said = (each[draw] for each in probes)
        said = np.concatenate([each - before for each in said])
        actual = np.concatenate([ablated - before, pushed - before])
        expected = {
            "removed": 1 - np.polyfit(before, ablated, 1)[0],
            "slope": (said * actual).sum() / (said * said).sum(),
            "correlation": np.corrcoef(said, actual)[0, 1],
        }
        for name, value in expected.items():
            own = values_of(result, name, "logistic probe")[draw]
            assert own == pytest.approx(value, rel=1e-4)
    frame = result.to_frame()
    for name in ("removed", "slope", "pushed"):
        line = frame[(frame.measure == name) & (frame.kind == "logistic probe")].iloc[0]
        each = values_of(result, name, "logistic probe")
        assert line["control"] == pytest.approx(each.mean(), rel=1e-4)
        value, low, high = result.score(name)
        assert line["effect"] == value and low <= value <= high


def test_truth_is_a_rank_correlation_of_the_words_scores() -> None:
    from scipy.stats import spearmanr

    result = tried()
    given = scores(tinyworld(), vector(), list(TRUTH))
    expected = float(np.asarray(spearmanr(given, list(TRUTH.values())))[0])
    assert result.score("truth")[0] == pytest.approx(expected)
    assert abs(values_of(result, "truth", "random")).max() <= 1 + 1e-12


def test_damage_is_the_divergence_of_the_ablated_model_on_other_texts() -> None:
    model, result = tinyworld(), tried()
    text = texts("tinyworld")[1]
    unit = torch.tensor(numbers(vector()) / np.linalg.norm(numbers(vector()))).double()
    prompts = prompts_of(result)
    streams = [
        model.run(p, read="L0.resid_pre")["L0.resid_pre"][0, place(p)].double() for p in prompts
    ]
    level = torch.stack(streams).mean(0) @ unit
    run = model.run(text, read="L0.resid_pre")
    stream = run["L0.resid_pre"][0].double()
    changed = stream + (level - stream @ unit)[:, None] * unit
    plain = run.logits[0].double().log_softmax(-1)
    ablated = model.run(text, edits=Set("L0.resid_pre", changed.float())).logits[0]
    ablated = ablated.double().log_softmax(-1)
    expected = float((plain.exp() * (plain - ablated)).sum(-1).mean())
    assert result["KL elsewhere"].changed[0, 1] == pytest.approx(expected, rel=1e-3)


def test_words_that_are_fitted_on_are_not_tested_on() -> None:
    rng = np.random.default_rng(0)
    groups = np.array([0, 0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7])
    labels = np.array([1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1])
    fit, test = observable_baselines.split_groups(groups, labels, rng)
    assert sorted([*fit, *test]) == list(range(12))
    assert not set(groups[fit]) & set(groups[test])
    for label in (1, -1):
        assert len(set(groups[test][labels[test] == label])) == 2
    for n in (2, 4, 5):
        rows = observable_baselines.few_rows(labels, groups, n, rng)
        assert len(set(rows.tolist())) == n
        assert (labels[rows] == 1).sum() == -(-n // 2)
        assert len(set(groups[rows])) == n
    with pytest.raises(ValueError, match="n_examples=12 prompts, half of each label; there are 5"):
        observable_baselines.few_rows(labels, groups, 12, rng)
    everything = observable_baselines.split_groups(np.array([0, 1, 2, 3]), None, rng)
    assert len(everything[0]) == len(everything[1]) == 2


def test_the_fitted_directions_are_those_of_plain_code_and_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    streams, labels = rng.standard_normal((10, 24)) * 3 + 1, np.array([1, -1] * 5)
    expected = sum(x * (1 if y > 0 else -1) for x, y in zip(streams, labels, strict=True)) / 5
    np.testing.assert_allclose(observable_baselines.difference_in_means(streams, labels), expected)
    scale = np.sqrt(((streams - streams.mean(0)) ** 2).mean())
    peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000)
    peer.fit((streams - streams.mean(0)) / scale, labels)
    mine = observable_baselines.logistic_probe(streams, labels) * scale
    np.testing.assert_allclose(mine, peer.coef_[0], rtol=1e-3, atol=1e-5)


def test_prompts_without_labels_are_compared_with_random_directions() -> None:
    model = tinyworld()
    prompts = [
        "When the nurse came home,",
        "When the pilot came home,",
        "When the judge came home,",
    ]
    direct = wb.vocabulary.observable(model, " he", " she").propagate()
    result = wb.vocabulary.evaluate(
        model, prompts, direct, n_controls=2, elsewhere=(), progress=False
    )
    assert kinds_of(result) == ("observable", "random")
    assert result.what.endswith("at L3.resid_post")
    assert [measure.name for measure in result.measures] == [
        "removed", "ablated", "pushed", "predicted ablated", "predicted pushed", "slope",
        "correlation",
    ]  # fmt: skip
    # A push along the direct vector, at the last position: the norm's own change of scale aside.
    assert result.score("correlation")[0] > 0.9
    chosen = wb.vocabulary.evaluate(
        model, prompts, vector(), positions=[2], n_controls=2, elsewhere=(), progress=False
    )
    assert chosen.score("removed")[0] > 0.5
    with pytest.raises(KeyError, match="'slope', 'correlation'\\]; got 'truth'"):
        result.score("truth")


@pytest.mark.parametrize("push", [-1.5, 0.5])
def test_a_push_is_as_long_as_is_asked_for_and_has_its_sign(push: float) -> None:
    model, no_texts = tinyworld(), {"elsewhere": (), "progress": False}
    prompts = ["When the nurse came home,", "When the pilot came home,"]
    one, own = (
        wb.vocabulary.evaluate(
            model, prompts, vector(), positions=[2], n_controls=2, push=size, **no_texts
        )
        for size in (1.0, push)
    )
    length = own.changes["push"][0]
    assert length == pytest.approx(push * one.changes["push"][0])
    unit = torch.tensor(numbers(vector()) / np.linalg.norm(numbers(vector())))
    for i, prompt in enumerate(prompts):
        edit = Add("L0.resid_pre", length * unit.float(), positions=2)
        assert own["pushed"].changed[0, i] == pytest.approx(he_minus_she(prompt, edit), abs=1e-3)
    said = [each.effect("predicted pushed")[0, 0] for each in (own, one)]
    assert said[0] == pytest.approx(push * said[1], rel=1e-4)
    np.testing.assert_array_equal(own["ablated"].changed, one["ablated"].changed)


def test_several_vectors_of_one_stream_are_tried_together(tmp_path: Path) -> None:
    model = tinyworld()
    other = wb.vocabulary.observable(model, " he", " she").propagate("L0H3")
    options: dict[str, Any] = {"n_examples": 4, "n_controls": 2, "elsewhere": ()}
    result = wb.vocabulary.evaluate(model, some(model), [vector(), other], **options)
    names = (" he −  she by L0H2 → L0.mlp_out", " he −  she by L0H3")
    assert result.changes["change"] == names
    own = tried()["ablated"].changed[0]
    np.testing.assert_array_equal(result["ablated"].changed[0], own)
    removed = result.effect("removed")[:, 0]
    assert removed[0] > removed[1]
    result.save(tmp_path / "tried")
    again = wb.Effects.load(tmp_path / "tried")
    assert again.to_frame().equals(result.to_frame())
    assert "KL elsewhere" not in [measure.name for measure in again.measures]
    assert repr(tried()).startswith(
        "Effects(tinyworld:  he −  she at L0.resid_pre: 1 changes; removed under change observable"
    )


def test_the_backends_give_the_same_trials() -> None:
    other = tinyworld("transformer_lens")
    mine = wb.vocabulary.observable(other, " he", " she").propagate(PATH)
    options: dict[str, Any] = {"n_examples": 4, "n_controls": 2, "elsewhere": ()}
    result = wb.vocabulary.evaluate(other, some(other), mine, **options)
    for name in ("ablated", "pushed", "predicted ablated", "predicted pushed"):
        for values in ("plain", "changed", "control"):
            mine, theirs = (getattr(each[name], values) for each in (result, tried()))
            np.testing.assert_allclose(mine, theirs, atol=1e-4)


def few(model: Any) -> Any:
    return task("gender_profession").on(model, n=24)


def one_word() -> Task:
    pair = {
        "clean": "When the nurse came home,",
        "corrupt": "When the pilot came home,",
        "answers": [" she"],
        "foils": [" he"],
        "template": "t",
        "labels": {},
    }
    return task([pair] * 8)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: wb.vocabulary.evaluate(m, ["a"], []), "Vectors are dictionaries"),
        (
            lambda m: wb.vocabulary.evaluate(m, ["The nurse"], vector(), n_controls=1),
            r"n_controls is a whole number from 2; got 1\.",
        ),
        (
            lambda m: wb.vocabulary.evaluate(m, task("ioi"), vector()),
            "has others than those of  he",
        ),
        (
            lambda m: wb.vocabulary.evaluate(
                m, few(m), vector(), truth={" nurse maid": 1.0, " maid": 2.0}, n_examples=4,
                n_controls=2, elsewhere=(), progress=False,
            ),
            "A word with a known number is one token; ' nurse maid' is 2",
        ),
        (
            lambda m: wb.vocabulary.evaluate(
                m, few(m), vector(), truth={" maid": 2.0}, n_examples=4, n_controls=2,
                elsewhere=(), progress=False,
            ),
            "two or more; got {' maid': 2.0}",
        ),
        (
            lambda m: wb.vocabulary.evaluate(m, ["The nurse said that"], [vector(), vector()]),
            "differ in their path or observable",
        ),
        (
            lambda m: wb.vocabulary.evaluate(
                m,
                ["The nurse"],
                wb.vocabulary.observable(m, np.ones(m.spec.d_vocab)).propagate("L0H1"),
            ),
            "give it again: observable=",
        ),
        (
            lambda m: wb.vocabulary.evaluate(
                m, few(m), vector(), n_examples=30, progress=False
            ),
            "half of each label; there are",
        ),
        (lambda m: wb.vocabulary.evaluate(m, one_word(), vector()), "one has a single one"),
    ],
)  # fmt: skip
def test_bad_input_is_a_named_error(call: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call(tinyworld())


def test_a_vector_of_another_model_is_refused() -> None:
    from tests.unit.lens_models import words_model

    with pytest.raises(ValueError, match="the model that they come from, tinyworld; got words"):
        wb.vocabulary.evaluate(words_model(), ["Mary"], vector())
