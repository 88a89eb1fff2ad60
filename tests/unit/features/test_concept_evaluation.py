"""Scores of concepts: known answers, and every number put together again the slow way."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.circuit_models import BACKENDS
from tests.unit.concept_models import (
    ALL,
    KINDS,
    LARGE,
    WORDS,
    directions,
    perfect,
    planted,
    planted_model,
    planted_texts,
)
from tests.unit.kernels import concept_detection, concept_evaluation
from workbench.dictionary.base import Dictionary
from workbench.dictionary.encoders import JumpReLU, ReLU
from workbench.edits import Add
from workbench.site import Site

SITE = Site.parse("L0.resid_post")
CLOSE: dict[str, Any] = {"atol": 1e-4, "rtol": 1e-4}


def relu() -> Dictionary:
    """Features at random, so that each concept has several that say a little."""
    generator = torch.Generator().manual_seed(5)
    rows = torch.nn.functional.normalize(torch.randn(60, 32, generator=generator), dim=-1)
    encoder = ReLU(rows.T.contiguous(), torch.full((60,), -0.6))
    return Dictionary(SITE, encoder, rows, torch.zeros(32))


@cache
def compared(backend: str = "nnsight") -> wb.features.ConceptEvaluation:
    model, some, texts = planted_model(backend), planted(), planted_texts()
    acts = wb.Activations.of_concepts(model, texts, some, SITE)
    named = {
        "perfect": perfect(),
        "relu": relu(),
        "supervised": wb.steering.directions(acts, [*acts.labels], method="probe")[SITE],
        "means": wb.steering.directions(acts, [*acts.labels])[SITE],
        "random": wb.features.decompose(
            wb.activations(model, texts, SITE, pool=None), kind="random", n_features=3
        )[SITE],
    }
    return wb.features.evaluate_concepts(model, texts, named, some, n_prompts=12, progress=False)


def test_a_perfect_dictionary_scores_one_and_random_directions_do_not() -> None:
    result = compared()
    for c, kind in enumerate(WORDS):
        assert result.feature[0, c] == c, kind
        assert result.of_concepts("f1", "perfect")[c] == 1.0
    frame = result.to_frame()
    for name in ("perfect", "supervised", "means"):
        assert frame.loc[name, "success"] > 0.99 and frame.loc[name, "kept"] > 0.99
        assert frame.loc[name, "causal"] == pytest.approx(
            frame.loc[name, "success"] * frame.loc[name, "kept"]
        )
    assert frame.loc["supervised", "f1"] > 0.99
    assert frame.loc["random", "success"] < 0.5 and frame.loc["random", "f1"] < 0.85
    # Nothing but the answer is asked of a prompt whose word stands last.
    assert np.isnan(frame["damage"]).all()
    assert frame.loc["perfect", "absorption"] == 0.0 and np.isnan(frame.loc["random", "absorption"])
    # The mean of two words has half of each one's own direction in it beside the kind's.
    np.testing.assert_allclose(result.size[0], (2 / 3) ** 0.5, atol=1e-3)
    np.testing.assert_allclose(result.whole, result.whole[:1].repeat(5, 0))


def positions(texts: tuple[str, ...]) -> tuple[np.ndarray, list[str]]:
    """(n, d) what stands at every position of the texts, and the word there."""
    rows = [planted_model().run([text], read=SITE)[SITE][0].numpy() for text in texts]
    return np.concatenate(rows), [word for text in texts for word in text.split()]


def labelled(words: list[str], concept: str) -> np.ndarray:
    own = ALL if concept == "any" else WORDS[concept]
    return np.array([word in own for word in words])


def f1(fires: np.ndarray, label: np.ndarray) -> float:
    return 2 * (fires & label).sum() / max(fires.sum() + label.sum(), 1)


@pytest.mark.parametrize(("at", "dictionary"), [(0, perfect()), (1, relu())])
def test_f1_is_that_of_the_second_half_at_the_threshold_of_the_first(
    at: int, dictionary: Dictionary
) -> None:
    result = compared()
    halves = [positions(planted_texts()[:20]), positions(planted_texts()[20:])]
    codes = [dictionary.encode(torch.as_tensor(x)).numpy() for x, _ in halves]
    for c, concept in enumerate(result.concepts):
        feature, threshold = result.feature[at, c], result.threshold[at, c]
        fires, label = codes[1][:, feature] > threshold, labelled(halves[1][1], concept)
        assert result.of_concepts("f1", result.names[at])[c] == pytest.approx(f1(fires, label))
        precision = (fires & label).sum() / max(fires.sum(), 1)
        assert result.of_concepts("precision", result.names[at])[c] == pytest.approx(precision)
        recall = (fires & label).sum() / label.sum()
        assert result.of_concepts("recall", result.names[at])[c] == pytest.approx(recall)
        # No feature at no threshold of a fine grid does much better on the first half.
        label = labelled(halves[0][1], concept)
        own = f1(codes[0][:, feature] > threshold, label)
        best = max(
            f1(codes[0][:, f] > t, label)
            for f in range(dictionary.n_features)
            for t in np.linspace(0, codes[0][:, f].max(), 40)
        )
        assert own > best - 0.02


def test_swaps_are_what_separate_runs_give() -> None:
    """One dictionary's swaps by hand: codes set to the target's means, at the true length."""
    model, result, dictionary = planted_model(), compared(), relu()
    asked = {
        kind: torch.stack([model.run([f"w50 {w}"], read=SITE)[SITE][0, -1] for w in words[::2]])
        for kind, words in WORDS.items()
    }
    x = torch.cat(list(asked.values()))
    label = [kind for kind in asked for _ in range(2)]
    codes = dictionary.encode(x).numpy()
    best = {}
    for kind in asked:
        own = np.array([other == kind for other in label])
        scores = [
            max(f1(codes[:, f] > t, own) for t in np.linspace(0, codes[:, f].max(), 201))
            for f in range(60)
        ]
        best[kind] = {f for f in range(60) if scores[f] > max(scores) - 1e-9}
    checked = 0
    for s, prompt in enumerate(result.swap_prompts):
        word, target = prompt.split()[-1], result.targets[s]
        source = next(kind for kind, words in WORDS.items() if word in words)
        assert word in WORDS[source][1::2] and source != target
        run = model.run([prompt], read=SITE)
        here = run[SITE][0, -1]
        options = [int(KINDS[kind][2:]) for kind in WORDS]
        goal = list(WORDS).index(target)
        shares = run.logits[0, -1, options].softmax(-1)
        assert result.before[s] == pytest.approx(float(shares[goal]), abs=1e-5)
        length = (asked[target].mean(0) - asked[source].mean(0)).norm()
        possible = []
        for one in best[source]:
            for other in best[target]:
                features = list(dict.fromkeys([one, other]))
                wanted = dictionary.encode(asked[target]).mean(0)[features]
                change = (wanted - dictionary.encode(here)[features]) @ dictionary.W_dec[features]
                change = change * length / change.norm()
                edit = Add(SITE, change, positions=[-1])
                after = model.run([prompt], edits=[edit]).logits[0, -1, options].softmax(-1)
                possible.append(float(after[goal]))
        # Features of equal F1 are told apart by their order, which is not asked for here.
        assert min(abs(p - result.after[1, s]) for p in possible) < 1e-3
        checked += 1
    assert checked == len(result.swap_prompts) >= 4
    assert result.stay_after.shape == (5, len(result.stay_prompts))
    assert all(prompt.startswith("w51") for prompt in result.stay_prompts)


@pytest.mark.parametrize("strength", [0.25, 1.0, 3.0])
def test_a_swap_is_as_long_as_the_strength_says(strength: float) -> None:
    model, dictionary = planted_model(), perfect()
    result = wb.features.evaluate_concepts(
        model, planted_texts(), dictionary, planted(), n_prompts=3, strength=strength,
        progress=False, seed=1,
    )  # fmt: skip
    assert result.strength == strength and 1 <= len(result.swap_prompts) <= 3
    assert len(result.stay_prompts) <= 3
    kinds, own = directions()
    fitted = {
        kind: torch.stack([LARGE * (kinds[i] + own[ALL.index(w)]) for w in words[::2]]).mean(0)
        for i, (kind, words) in enumerate(WORDS.items())
    }
    options = [int(name[2:]) for name in KINDS.values()]
    for s, prompt in enumerate(result.swap_prompts):
        word, goal = prompt.split()[-1], list(WORDS).index(result.targets[s])
        source = next(i for i, words in enumerate(WORDS.values()) if word in words)
        length = (fitted[result.targets[s]] - fitted[list(WORDS)[source]]).norm()
        change = (kinds[goal] - kinds[source]) / 2**0.5 * length * strength
        edit = Add(SITE, change, positions=[-1])
        logits = model.run([prompt], edits=[edit]).logits[0, -1, options]
        assert result.after[0, s] == pytest.approx(float(logits.softmax(-1)[goal]), abs=1e-4)


def test_the_prompts_are_drawn_by_the_seed_and_a_gain_says_when_features_add_up() -> None:
    def evaluated(**options: Any) -> wb.features.ConceptEvaluation:
        given = planted_model(), planted_texts(), perfect(), planted()
        return wb.features.evaluate_concepts(*given, n_prompts=3, progress=False, **options)

    first, again, other = (evaluated(seed=seed) for seed in (0, 0, 3))
    assert first.swap_prompts == again.swap_prompts != other.swap_prompts
    assert other.seed == 3
    plain, strict = first, evaluated(split_gain=0.5)
    at = plain.concepts.index("any")
    # Three features tell "any" better than one: by how much more than a third they must gain.
    assert (plain.n_split[0, at], strict.n_split[0, at]) == (3, 1)
    assert strict.split_gain == 0.5
    # What gains nothing is not taken, even where nothing is asked of it.
    assert evaluated(split_gain=0.0).n_split[0].tolist() == [1, 1, 1, 3]


# -- vectors made by hand -----------------------------------------------------------------------

E = torch.eye(8)


def by_hand(rows: list[tuple[torch.Tensor, int]], n: int = 40) -> concept_detection.Vectors:
    """Each (vector, word) `n` times, a text each time through."""
    x = torch.stack([row for row, _ in rows]).repeat(n, 1)
    words = torch.tensor([word for _, word in rows]).repeat(n)
    return concept_detection.Vectors.of(
        concept_detection.VectorBatch(
            {SITE: x}, words, torch.arange(n).repeat_interleave(len(rows))
        )
    )


#: Words 0 to 3 are the parent's: alone, and with three children. Words 4 and 5 are a rival's.
HIERARCHY = by_hand(
    [(E[0], 0), (E[0] + E[1], 1), (E[0] + E[2], 2), (E[0] + E[3], 3), (E[4], 4), (E[4], 5)]
    + [(E[5], -1)] * 4
)
MEMBER = torch.tensor([[1, 0], [1, 0], [1, 0], [1, 0], [0, 1], [0, 1]]).bool()


def hand_made(W_enc: torch.Tensor, W_dec: torch.Tensor) -> Dictionary:
    n = len(W_dec)
    return Dictionary(
        SITE,
        JumpReLU(W_enc.T.contiguous(), torch.zeros(n), torch.full((n,), 0.5)),
        W_dec,
        torch.zeros(8),
    )


def scored(dictionary: Dictionary, gain: float = 0.5) -> Any:
    candidates = concept_detection.find_candidates(dictionary, HIERARCHY, MEMBER, gain)
    means = concept_detection.WordMeans.of(HIERARCHY, SITE, MEMBER, ["f", "f"])
    return (
        candidates,
        concept_evaluation.absorption(dictionary, candidates, HIERARCHY, means),
        means,
    )


def test_absorption_is_one_where_every_child_has_taken_the_parent() -> None:
    # The parent's feature is silent beside a child; the child's own writes both.
    absorbing = hand_made(
        torch.stack([E[0] - E[1] - E[2] - E[3], E[1], E[2], E[3], E[4]]),
        torch.stack([E[0], E[0] + E[1], E[0] + E[2], E[0] + E[3], E[4]]),
    )
    candidates, found, _ = scored(absorbing)
    assert candidates.features[0, 0] in range(4) and candidates.n_split[0] == 1
    # The concept's feature is one of four, each of which fires at one of the four words.
    np.testing.assert_array_equal(found.present.sum(1), [160, 80])
    assert found.absorbed[0].sum() == 120 and found.absorbed[1].sum() == 0
    assert found.fraction[0] == pytest.approx(0.75) and found.fraction[1] == 0.0
    # With all four counted as the concept's own, it is split and not absorbed.
    candidates, found, _ = scored(absorbing, 0.05)
    assert candidates.n_split[0] == 4 and set(candidates.split(0)) == {0, 1, 2, 3}
    assert found.absorbed.sum() == 0 and found.fraction[0] == 0.0
    counts = concept_detection.count_hits(candidates, absorbing, HIERARCHY, MEMBER)
    np.testing.assert_allclose(counts.split_f1, 1.0)
    assert counts.hits[0].sum() == 40 and counts.false[0].sum() == 0


def test_absorption_is_none_where_parent_and_child_are_apart() -> None:
    apart = hand_made(E[:5], E[:5])
    candidates, found, _ = scored(apart)
    assert candidates.features[0, 0] == 0 and candidates.f1[0, 0] == 1.0
    assert found.absorbed.sum() == 0
    assert found.fraction[1] == 0.0


def test_hedging_is_the_share_of_a_row_that_tells_the_children_apart() -> None:
    concepts = wb.concepts(
        {"x": ["w0"], "y": ["w1"], "z": ["w2"]}, parents=dict.fromkeys("xyz", "p")
    )
    found = by_hand([(E[0] + E[1], 0), (E[0] + E[2], 1), (E[0] + E[3], 2), (E[5], -1)])
    member = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]]).bool()
    means = concept_detection.WordMeans.of(found, SITE, member, ["f", "f", "f", "g"])
    rows = {
        "parent": E[0],
        "one child": (E[0] + E[1]) / 2**0.5,
        "all alike": (3 * E[0] + E[1] + E[2] + E[3]) / 12**0.5,
        "apart": (E[1] - E[2]) / 2**0.5,
    }
    wanted = {"parent": 0.0, "one child": 0.5 * 2 / 3, "all alike": 0.0, "apart": 1.0}
    dictionary = hand_made(E[:4], torch.stack(list(rows.values())))
    for f, name in enumerate(rows):
        share, chance = concept_evaluation.hedging(
            dictionary, np.array([0, 0, 0, f]), concepts, means
        )
        assert share[3] == pytest.approx(wanted[name], abs=1e-6), name
        assert chance[3] == 2 / 8 and np.isnan(share[:3]).all()


def test_means_by_word_give_those_of_concepts_rivals_and_others() -> None:
    _, _, means = scored(hand_made(E[:5], E[:5]))
    own = E[0] + (E[1] + E[2] + E[3]) / 4
    np.testing.assert_allclose(means.of_concepts[0], own.double())
    np.testing.assert_allclose(means.of_rivals[0], E[4].double())
    np.testing.assert_allclose(means.of_others[0], ((2 * E[4] + 4 * E[5]) / 6).double())
    assert means.found.tolist() == [160, 80]


# -- the result ---------------------------------------------------------------------------------


def test_scores_have_intervals_and_tables() -> None:
    result = compared()
    for measure in ("f1", "precision", "recall", "success", "kept", "causal"):
        value, low, high = result.score(measure, "relu")
        assert low - 1e-9 <= value <= high + 1e-9 and 0 <= low <= high <= 1 + 1e-9
    own = result.of_concepts("f1", "relu")
    assert result.score("f1", "relu")[0] == pytest.approx(own.mean())
    table = result.concept_frame("perfect")
    assert list(table.index) == ["a", "b", "c", "any"] and table.loc["any", "n_split"] == 3
    assert table.loc["any", "split_f1"] == 1.0 and table.loc["any", "f1"] < 0.8
    swaps = result.swap_frame("means")
    assert np.all(swaps["after"] > swaps["before"]) and set(swaps["family"]) == {"kind"}
    assert result.score("whole", "perfect")[0] == pytest.approx(result.whole[0].mean(), abs=1e-6)
    assert "5 dictionaries, 4 concepts on 20 texts" in repr(result)


def test_both_backends_give_the_same_scores() -> None:
    ours, theirs = (compared(backend) for backend in BACKENDS)
    for key in ("feature", "hits", "false", "absorbed", "n_split"):
        np.testing.assert_array_equal(getattr(theirs, key)[:2], getattr(ours, key)[:2])
    for key in ("after", "whole", "stay_after", "hedging"):
        np.testing.assert_allclose(getattr(theirs, key), getattr(ours, key), **CLOSE)


def test_a_saved_evaluation_comes_back_and_is_drawn(tmp_path: Any) -> None:
    import matplotlib.pyplot as plt

    result = compared()
    result.save(tmp_path / "concepts")
    again = wb.features.ConceptEvaluation.load(tmp_path / "concepts")
    assert repr(again) == repr(result) and again.strength == 1.0
    np.testing.assert_array_equal(again.after, result.after)
    ax = result.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == list(result.names)
    plt.close("all")


def test_concepts_without_questions_have_no_swaps() -> None:
    some = wb.concepts({"a": WORDS["a"], "b": WORDS["b"]})
    result = wb.features.evaluate_concepts(
        planted_model(), planted_texts(), perfect(), some, progress=False
    )
    assert result.names == ("L0.resid_post",) and result.score("f1")[0] == 1.0
    assert np.isnan(result.score("causal")).all() and result.after.shape == (1, 0)


@pytest.mark.parametrize(
    ("dictionaries", "texts", "options", "match"),
    [
        (perfect(), ["w2"], {}, "Half of the texts choose and half count, so there are two; got 1"),
        (perfect(), planted_texts(), {"strength": 0.0}, "strength is a positive number"),
        (perfect(), planted_texts(), {"n_prompts": 0}, "n_prompts is a whole number from 1; got 0"),
        (
            perfect(),
            ["w2 w6 w10"] * 2 + ["w2 w6"] * 2,
            {},
            "second half of the texts; there is none of c",
        ),
        ({}, planted_texts(), {}, "at least one dictionary to evaluate; got none"),
    ],
)
def test_bad_input_is_named(
    dictionaries: Any, texts: Any, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        wb.features.evaluate_concepts(
            planted_model(), texts, dictionaries, planted(), progress=False, **options
        )


def test_a_measure_or_name_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="A measure is one of f1, .*; got 'auc'"):
        compared().score("auc")
    with pytest.raises(ValueError, match="has the dictionaries perfect, relu.*; got 'sae'"):
        compared().score("f1", "sae")
