"""Every call that reads in the vocabulary, on three models: both backends give equal results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

import workbench as wb

pytestmark = pytest.mark.slow
NAMES = ("tinyworld", "tinyworld-llama", "stories260K")
BACKENDS = ("nnsight", "transformer_lens")
#: What differs between two loads of one model and means nothing.
PROVENANCE = ("revision", "versions")


class Case:
    """One model behind both backends, with words and texts that its tokenizer has."""

    def __init__(self, name: str, place: Any) -> None:
        self.models = {
            backend: wb.load(place, backend=backend, device="cpu") for backend in BACKENDS
        }
        story = name == "stories260K"
        self.words = [" girl", " boy", " dog"] if story else [" Paris", " Rome", " Berlin"]
        known = {word for word in self.words if self._single(word)}
        assert len(known) >= 2 or story
        self.words = sorted(known) or [300, 301, 302]
        self.prompt = "Once upon a time there was" if story else "The capital of France is"
        texts = ["Once upon a time, there was a little girl named Lily.", "She saw a big red ball."]
        self.texts = texts if story else list(wb.texts("tinyworld")[1500:1502])
        second = "One day the dog was" if story else "The capital of Italy is"
        answers = self.words[:2]
        self.asked = list(zip((self.prompt, second), answers, strict=True))

    def _single(self, word: str) -> bool:
        try:
            wb.vocabulary.find_neurons(self.models["nnsight"], [word], n=1, n_controls=1)
        except ValueError:
            return False
        return True


@cache
def case(name: str, place: Any) -> Case:
    return Case(name, place)


def neurons(model: Any, at: Case) -> Any:
    found = wb.vocabulary.find_neurons(model, at.words, n=3, n_controls=5)
    clamp = wb.vocabulary.clamp(
        model, [at.prompt], found, elsewhere=at.texts, n_controls=2, n_new=3
    )
    directions = wb.vocabulary.words(model, model.weight("W_out", 0)[:3])
    if model.spec.architecture == "LlamaForCausalLM":
        with pytest.raises(ValueError, match="adds no bias: all are absent or zero"):
            wb.vocabulary.biases(model)
        biases = None
    else:
        biases = wb.vocabulary.biases(model)
    return wb.vocabulary.neurons(model, layers=1), directions, biases, found, clamp


def heads(model: Any, at: Case) -> Any:
    return wb.vocabulary.heads(model, ["L0H1", "L1H0"], n_pairs=5, n_controls=2, progress=False)


def flow(model: Any, at: Case) -> Any:
    one = wb.information.graph(model, at.prompt)
    two = wb.information.graph(
        model, at.prompt, measure="answer", target=at.words[0], foil=at.words[1]
    )
    return one, two, wb.information.cut(model, one, one.edge_names[0], n_controls=3)


def observables(model: Any, at: Case) -> Any:
    vector = wb.vocabulary.observable(model, at.words[0], at.words[1]).propagate("L1H0")
    tried = wb.vocabulary.evaluate(
        model, [at.prompt, *at.texts], vector, n_controls=2, elsewhere=(), progress=False
    )
    return vector, tried


def concepts(model: Any, at: Case) -> Any:
    vectors = wb.weights.concept_vectors(model, at.words, n_neurons=3, n_controls=5)
    lost = wb.weights.ablate(
        model, at.asked, vectors, alone=True, elsewhere=at.texts, n_controls=2, n_new=3
    )
    after = wb.weights.unlearn(model, at.asked, at.texts, steps=2, batch_size=2)
    audit = wb.weights.audit(model, after, at.asked, vectors, elsewhere=at.texts)
    return vectors, lost, audit, wb.weights.traces(model, after, vectors, n_controls=20)


def alignment(model: Any, at: Case) -> Any:
    units = wb.compare.align(model, model, n_controls=2, progress=False)
    pairs = wb.compare.align(model, model, over="heads", n_controls=2, progress=False)
    name = units.names_b[0]
    texts = [*at.texts, at.prompt, at.prompt + "."]
    stitched = wb.compare.stitch(
        model, model, texts, units, components=[name], n_controls=1, progress=False
    )
    return units, pairs, stitched


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("call", [neurons, heads, flow, observables, concepts, alignment])
def test_both_backends_give_equal_results(
    call: Callable[..., Any], name: str, request: pytest.FixtureRequest
) -> None:
    place: Any = name
    if name == "stories260K":
        place = request.getfixturevalue("asset")("models", name)
    at = case(name, place)
    one, other = (call(at.models[backend], at) for backend in BACKENDS)
    assert_equal(one, other, call.__name__)


def assert_equal(one: Any, other: Any, where: str) -> None:
    """Equal text and whole numbers; other numbers as close as single precision and training are."""
    assert type(one) is type(other), where
    if isinstance(one, wb.Dictionaries):
        assert_equal(dict(one), dict(other), where)
    elif isinstance(one, wb.Dictionary):
        assert (one.site, one.names) == (other.site, other.names), where
        for name, tensor in one.tensors.items():
            assert_equal(tensor.numpy(), other.tensors[name].numpy(), f"{where}.{name}")
    elif is_dataclass(one):
        for field in fields(one):
            if field.name not in PROVENANCE:
                assert_equal(
                    getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}"
                )
    elif isinstance(one, (tuple, list)):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{where}[{i}]")
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}[{key!r}]")
    elif (isinstance(one, np.ndarray) and one.dtype.kind == "f") or isinstance(one, float):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4, err_msg=where)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, err_msg=where)
    else:
        assert one == other, where
