"""Directions that were told the concepts, each recomputed from the vectors themselves."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.circuit_models import BACKENDS
from tests.unit.concept_models import ALL, KINDS, WORDS, planted, planted_model, planted_texts
from workbench.dictionary.base import Dictionary

SITE = "L0.resid_post"
NAMES = ("a", "b", "c", "any")
FEATURES = [*NAMES, "a, asked", "b, asked", "c, asked"]


@cache
def vectors() -> tuple[np.ndarray, np.ndarray]:
    """(n, d) what stands at every position, (n, concept) what its word is, one text at a time."""
    rows, labels = [], []
    for text in planted_texts():
        rows.append(planted_model().run([text], read=SITE)[SITE][0].double().numpy())
        labels += [
            [w in WORDS["a"], w in WORDS["b"], w in WORDS["c"], w in ALL] for w in text.split()
        ]
    return np.concatenate(rows), np.array(labels)


@cache
def asked() -> dict[str, np.ndarray]:
    """Where "w50 word" is answered, for the first and third word of each kind."""
    out = {}
    for kind, words in WORDS.items():
        runs = [planted_model().run([f"w50 {w}"], read=SITE)[SITE][0, -1] for w in words[::2]]
        out[kind] = torch.stack(runs).double().numpy()
    return out


LABELS = ("kind", "roots", "kind, asked")


@cache
def acts(backend: str = "nnsight") -> wb.Activations:
    return wb.Activations.of_concepts(planted_model(backend), planted_texts(), planted(), SITE)


@cache
def means(backend: str = "nnsight") -> Dictionary:
    return wb.steering.directions(acts(backend), LABELS)[SITE]


@cache
def supervised(backend: str = "nnsight") -> Dictionary:
    return wb.steering.directions(acts(backend), LABELS, method="probe")[SITE]


def test_differences_in_means_are_differences_of_means() -> None:
    x, labels = vectors()
    made = means()
    assert list(made.names) == FEATURES and made.kind == "linear"
    np.testing.assert_allclose(made.b_dec, x.mean(0), atol=1e-5)
    for c in range(4):
        inside, outside = x[labels[:, c]].mean(0), x[~labels[:, c]].mean(0)
        np.testing.assert_allclose(made.W_dec[c], inside - outside, atol=1e-5)
        codes = made.encode(torch.as_tensor(np.stack([inside, outside])).float())[:, c]
        np.testing.assert_allclose(codes, [1.0, 0.0], atol=1e-5)
    for k, kind in enumerate(WORDS):
        own = asked()[kind].mean(0)
        rest = np.concatenate([rows for other, rows in asked().items() if other != kind]).mean(0)
        np.testing.assert_allclose(made.W_dec[4 + k], own - rest, atol=1e-5)


def test_what_a_supervised_feature_writes_is_a_regression_on_all_concepts() -> None:
    x, labels = vectors()
    made = supervised()
    assert list(made.names) == FEATURES
    centred = labels - labels.mean(0)
    # Least squares with rows that pull every coefficient towards 0, which is what a ridge is.
    design = np.concatenate([centred, np.sqrt(1.0) * np.eye(4)])
    target = np.concatenate([x - x.mean(0), np.zeros((4, x.shape[1]))])
    wanted = np.linalg.lstsq(design, target, rcond=None)[0]
    np.testing.assert_allclose(made.W_dec[:4], wanted, atol=1e-4)


def test_a_supervised_code_tells_its_concept() -> None:
    x, labels = vectors()
    codes = supervised().encode(torch.as_tensor(x).float()).numpy()
    for c in range(4):
        inside, outside = codes[labels[:, c], c], codes[~labels[:, c], c]
        assert inside.mean() == pytest.approx(1.0, abs=1e-3)
        assert outside.mean() == pytest.approx(0.0, abs=1e-3)
        assert inside.min() > outside.max()
    for k, kind in enumerate(WORDS):
        own = supervised().encode(torch.as_tensor(asked()[kind]).float())[:, 4 + k]
        rest = np.concatenate([rows for other, rows in asked().items() if other != kind])
        others = supervised().encode(torch.as_tensor(rest).float())[:, 4 + k]
        assert float(own.mean()) == pytest.approx(1.0, abs=1e-3)
        assert float(others.mean()) == pytest.approx(0.0, abs=1e-3)
        assert float(own.min()) > float(others.max())


def test_both_backends_give_the_same_directions() -> None:
    for made in (means, supervised):
        ours, theirs = (made(backend) for backend in BACKENDS)
        for key, tensor in ours.tensors.items():
            np.testing.assert_allclose(theirs.tensors[key], tensor, atol=2e-4)


def test_without_questions_there_are_features_of_words_alone() -> None:
    some = wb.concepts({"a": WORDS["a"], "b": WORDS["b"]})
    own = wb.Activations.of_concepts(planted_model(), planted_texts(), some, SITE)
    assert list(own.labels) == ["words"] and len(own) == len(vectors()[0])
    made = wb.steering.directions(own, "words")[SITE]
    assert made.names == ("a", "b") and made.n_features == 2


def test_each_row_knows_its_concepts_and_what_it_is_no_answer_to() -> None:
    own, n = acts(), len(vectors()[0])
    assert list(own.labels) == list(LABELS) and len(own) == n + 6
    words = [word for text in planted_texts() for word in text.split()]
    for row, word in enumerate(words):
        kind = next((k for k, some in WORDS.items() if word in some), "")
        assert (own.labels["kind"][row], own.labels["roots"][row]) == (kind, "any" if kind else "")
    assert own.labels["kind, asked"] == (*[None] * n, *np.repeat(FEATURES[4:], 2).tolist())
    assert set(own.labels["kind"][n:]) == {None}
    # A word is a group wherever it stands; any other position goes with its text.
    groups = {w: {int(g) for g, v in zip(own.group, words, strict=False) if v == w} for w in ALL}
    assert all(len(each) == 1 for each in groups.values()) and len(own.tokens) == 46
    rest = [row for row, word in enumerate(words) if word not in ALL]
    of_texts = {int(own.text[row]): int(own.group[row]) for row in rest}
    assert [int(own.group[row]) for row in rest] == [of_texts[int(own.text[row])] for row in rest]
    assert len({*of_texts.values()} - set.union(*groups.values())) == len(of_texts) > 1
    # A prompt that is asked is a text and a group of its own.
    for each in (own.text.tolist(), own.group.tolist()):
        assert len({*each[n:]}) == 6 and not {*each[n:]} & {*each[:n]}


def test_what_is_asked_of_one_family_is_told_from_what_is_asked_of_the_others() -> None:
    """As a word of another family is: the direction of a name is own mean − mean of all others."""
    model, known = wb.load("tinyworld"), wb.concepts("tinyworld").only("gender", "number")
    own = wb.Activations.of_concepts(model, wb.texts("tinyworld", n=40), known, SITE)
    asked = {name: np.array(own.labels[name]) for name in own.labels if name.endswith(", asked")}
    there = np.array([value is not None for value in next(iter(asked.values()))])
    named = np.sum([values[there] != "" for values in asked.values()], axis=0)
    assert len(asked) == 2 and (named == 1).all()
    made = wb.steering.directions(own, [*asked])[SITE]
    x = own[SITE][there].astype(np.float64)
    for name, direction in zip(made.names, made.W_dec.numpy(), strict=True):
        mine = np.any([values[there] == name for values in asked.values()], axis=0)
        np.testing.assert_allclose(direction, x[mine].mean(0) - x[~mine].mean(0), atol=1e-5)


def test_rows_without_a_label_are_left_out_of_a_probe() -> None:
    asked = acts().labelled("kind, asked")
    assert len(asked) == 6 and asked.labelled("kind, asked") is asked
    # Three classes of two words each; two groups a class are two folds.
    found = wb.probe(acts(), "kind, asked", folds=2, n_controls=2)
    assert found.right.shape == (1, 6) and found.classes == tuple(FEATURES[4:])


def test_a_push_along_a_name_acts_at_every_site_that_has_it() -> None:
    made = wb.steering.directions(acts(), "kind")
    (part,) = made.add("b", 2.0).parts
    assert part.strength == 2.0
    torch.testing.assert_close(part.what.value, made[SITE].W_dec[1])
    with pytest.raises(ValueError, match="d"):
        made.add("d", 1.0)


def test_directions_are_made_at_right_angles_to_others() -> None:
    others = wb.steering.directions(acts(), "roots")
    plain = wb.steering.directions(acts(), "kind")[SITE]
    unit = others[SITE].directions[0]
    for given in (others, others[SITE]):
        made = wb.steering.directions(acts(), "kind", orthogonal_to=given)[SITE]  # pyright: ignore
        wanted = plain.W_dec - torch.outer(plain.W_dec @ unit, unit)
        torch.testing.assert_close(made.W_dec, wanted, atol=1e-5, rtol=1e-4)
        x, labels = vectors()
        for c in range(3):
            ends = np.stack([x[labels[:, c]].mean(0), x[~labels[:, c]].mean(0)])
            codes = made.encode(torch.as_tensor(ends).float())[:, c]
            np.testing.assert_allclose(codes, [1.0, 0.0], atol=1e-4)
    probes = wb.steering.directions(acts(), "kind", method="probe", orthogonal_to=others)[SITE]
    np.testing.assert_allclose(probes.directions @ unit, 0.0, atol=1e-5)
    with pytest.raises(ValueError, match="The direction of 'any' at L0.resid_post is 0"):
        wb.steering.directions(acts(), "roots", orthogonal_to=others)


def test_bad_input_is_named() -> None:
    model, some = planted_model(), planted()
    with pytest.raises(ValueError, match="has a word in the texts; there is none of c. Give more"):
        wb.Activations.of_concepts(model, ["w2 w6 w20", "w3 w7"], some, SITE)
    rows = wb.Activations.of_rows(
        np.eye(3), site=SITE, labels={"x": [*"aab"], "y": [*"bab"], "z": [*"ccc"]}
    )
    with pytest.raises(ValueError, match="The label 'z' is of two values or more"):
        wb.steering.directions(rows, "z")
    with pytest.raises(ValueError, match="'a' is a label of two columns"):
        wb.steering.directions(rows, ["x", "y"])
    with pytest.raises(ValueError, match="label is a column of labels, or several; got"):
        wb.steering.directions(rows, [])
    with pytest.raises(KeyError, match="The labels of these activations are 'x', 'y', 'z'"):
        wb.steering.directions(rows, "w")
    other = wb.Dictionary.of(np.eye(1, 3), site="L1.resid_post")
    with pytest.raises(ValueError, match="orthogonal_to is of L0.resid_post too"):
        wb.steering.directions(rows, "x", orthogonal_to=other)  # pyright: ignore
    with pytest.raises(ValueError, match="n_features is a whole number from 1; got 0"):
        wb.features.decompose(wb.activations(model, ["w2"], SITE), kind="random", n_features=0)
    assert set(KINDS) == set(WORDS)
