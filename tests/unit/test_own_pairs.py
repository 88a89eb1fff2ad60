"""Own pairs: `wb.task` takes them as they are, and every call takes one of them as well as ten."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import pandas as pd
import pytest

import workbench as wb
from tests.unit.public_names import families, public
from workbench.pairs import Pair
from workbench.tasks import TaskDoesNotFit

FRANCE = ("The capital of France is", "The capital of Italy is", " Paris", " Rome")
KEYS = ("clean", "corrupt", "answer", "foil")


@cache
def model() -> Any:
    return wb.load("tinyworld", device="cpu")


@cache
def dicts() -> Any:
    return wb.dictionaries("tinyworld")


@cache
def pairs() -> list[tuple[Any, ...]]:
    """Ten pairs about capitals, of one length and of another."""
    shipped = wb.task("capitals").on(model(), n=10).pairs
    return [(p.clean, p.corrupt, p.answers, p.foils) for p in shipped]


# -- how they are given ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        FRANCE,
        list(FRANCE),
        [FRANCE],
        dict(zip(KEYS, FRANCE, strict=True)),
        [dict(zip(KEYS, FRANCE, strict=True))],
        {"clean": FRANCE[0], "corrupt": FRANCE[1], "answers": [" Paris"], "foils": (" Rome",)},
        pd.DataFrame([FRANCE], columns=list(KEYS)),
        Pair(*FRANCE),  # type: ignore[arg-type]
        (each for each in [FRANCE]),
    ],
)
def test_one_pair_is_read_however_it_is_given(given: Any) -> None:
    own = wb.task(given, n=1, seed=3, metric="probability_difference")
    assert own.pairs == (Pair(FRANCE[0], FRANCE[1], (" Paris",), (" Rome",)),)
    assert (own.name, own.n, own.seed, own.metric) == ("my task", 1, 3, "probability_difference")
    assert own.evaluate(model()).clean > 0


def test_four_pairs_in_a_list_are_four() -> None:
    assert len(wb.task([FRANCE] * 4).pairs) == 4


def test_other_columns_of_a_table_are_labels() -> None:
    table = pd.DataFrame([FRANCE], columns=list(KEYS)).assign(continent="Europe", template="short")
    (pair,) = wb.task(table, name="capitals of mine").pairs
    assert (pair.template, dict(pair.labels)) == ("short", {"continent": "Europe"})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([FRANCE, FRANCE[:3]], r"Pair 1: A pair is \(clean, corrupt, answer, foil\), or a dict"),
        ([{"clean": "a"}], r"Pair 0: .*; got \['clean'\]"),
        ([FRANCE, {**dict(zip(KEYS, FRANCE, strict=True)), "answers": " x"}], "Pair 1: A pair is"),
        ([FRANCE, ("The capital of France is ", *FRANCE[1:])], "Pair 1: The clean prompt .* space"),
        ([(*FRANCE[:3], " Paris")], "Pair 0: No text is an answer and a foil"),
        ([(*FRANCE[:2], 5, " Rome")], r"Pair 0: The answers are one or more texts; .* has \(5,\)"),
        (pd.DataFrame([(*FRANCE[:3], None)], columns=list(KEYS)), "Pair 0: The foil"),
        (pd.DataFrame({"prompt": ["a"]}), "Pair 0: A pair is"),
        (5, "Pairs are a list, or a DataFrame.*got 5"),
        (["The capital of France is"], "Pair 0: A pair is .*got 'The capital of France is'"),
        ([], "at least one pair"),
        ("The capital of France is", r"got 'The capital of France is'.*wb\.task\(\[\(clean, corr"),
    ],
)
def test_what_is_no_pair_is_named_by_its_number(given: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        wb.task(given)
    assert len(str(caught.value)) < 400


def test_a_shipped_task_keeps_its_name_and_metric() -> None:
    with pytest.raises(ValueError, match="name and metric are given with your own pairs"):
        wb.task("ioi", name="mine")


# -- what a tokenizer makes of them ------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        (
            ("The capital of France is", "The capital is", " Paris", " Rome"),
            "pair 0 fails: clean has 5 tokens and corrupt 3: ' of' ' France' in place of nothing",
        ),
        (
            (*FRANCE[:2], "Paris", "Rome"),
            "pair 0 fails: 'Paris' lacks its leading space: ' Paris' is one token",
        ),
        (
            (*FRANCE[:2], " Paris Rome", " Rome"),
            "pair 0 fails: ' Paris Rome' is 2 tokens, ' Paris' ' Rome', and one is read",
        ),
        ((*[FRANCE[0]] * 2, *FRANCE[2:]), "clean and corrupt are the same tokens"),
    ],
)
def test_a_pair_that_a_tokenizer_splits_otherwise_is_named_with_its_tokens(
    pair: Any, text: str
) -> None:
    own = wb.task(pair)
    with pytest.raises(TaskDoesNotFit) as caught:
        own.on(model())
    assert text in str(caught.value) and len(str(caught.value)) < 500
    assert "task.check(model)[0].to_frame() lists them" in str(caught.value)
    assert not own.check(model())[0].to_frame().passes.any()


def test_one_bad_pair_of_many_is_named_and_left_out() -> None:
    bad = ("The capital of France is", "The capital is", " Paris", " Rome")
    with pytest.warns(UserWarning, match="pair 3 fails: clean has 5 tokens and corrupt 3") as seen:
        batch = wb.task([*pairs()[:3], bad, *pairs()[3:]]).on(model())
    assert len(batch) == 10 and len(str(seen[0].message)) < 300


# -- every call --------------------------------------------------------------------------------


def circuit(task: Any) -> Any:
    return wb.find_circuit(model(), task, n_edges=30)


@cache
def feature_circuit() -> Any:
    return wb.features.circuit(model(), wb.task(pairs()[:2]), dicts(), n_nodes=20)


def push() -> Any:
    vector = model().weight("W_U")[:, 5]
    return wb.Change(wb.Add("L2.resid_post", vector))


def vectors() -> Any:
    return wb.weights.concept_vectors(model(), [" Paris", " Rome"], n_neurons=3)


def genders(task: Any) -> Any:
    """As many pairs whose answers are what the vector tells apart."""
    if not isinstance(task, wb.Task):
        return task
    shipped = wb.task("gender_profession").on(model(), n=len(task.pairs)).pairs
    return wb.task([(p.clean, p.corrupt, p.answers, p.foils) for p in shipped])


def vector() -> Any:
    return wb.vocabulary.observable(model(), " he", " she").propagate("L0H2")


def audit(task: Any) -> Any:
    after = wb.weights.unlearn(model(), task, ["The dog sees a bird."], steps=1, progress=False)
    return wb.weights.audit(model(), after, task, vectors(), elsewhere=ELSEWHERE, progress=False)


ELSEWHERE = ["Mary and John went to the store.", "The dog sees a white bird."]
QUIET: dict[str, Any] = {"progress": False}
CONTROLS: dict[str, Any] = {"n_controls": 2, "progress": False}
#: Each call that takes a task or questions, with little to do.
CALLS: dict[str, Callable[[Any], Any]] = {
    "circuits.ablate": lambda t: wb.ablate(model(), t, ["L2H1"]),
    "circuits.attribute": lambda t: wb.attribute(model(), t, over="nodes"),
    "circuits.check_attribution": lambda t: wb.circuits.check_attribution(
        model(), t, method="attribution", over="nodes"
    ),
    "circuits.evaluate": lambda t: wb.circuits.evaluate(
        model(), t, circuit(t), references=("zero",), fractions=(1.0,), **CONTROLS
    ),
    "circuits.find": circuit,
    "circuits.patch": lambda t: wb.patch(model(), t, over="z", **QUIET),
    "circuits.path_patch": lambda t: wb.circuits.path_patch(model(), t, "L1H1", "logits"),
    "experiment": lambda t: wb.experiment(
        model(), t, {"push": push()}, elsewhere=ELSEWHERE, **CONTROLS
    ),
    "features.circuit": lambda t: wb.features.circuit(model(), t, dicts(), n_nodes=20),
    "features.effects": lambda t: wb.features.effects(model(), t, dicts(), steps=2),
    "features.evaluate_circuit": lambda t: wb.features.evaluate_circuit(
        model(), t, feature_circuit(), dicts(), references=("zero",), sizes=(20,), n_controls=2
    ),
    "live.circuit": lambda t: wb.live.circuit(model(), t),
    "steering.evaluate": lambda t: wb.steering.evaluate(
        model(), t, {"push": push()}, strengths=(1.0,), elsewhere=ELSEWHERE, **CONTROLS
    ),
    "vocabulary.evaluate": lambda t: wb.vocabulary.evaluate(
        model(), genders(t), vector(), n_examples=2, elsewhere=ELSEWHERE, **CONTROLS
    ),
    "weights.ablate": lambda t: wb.weights.ablate(
        model(), t, vectors(), elsewhere=ELSEWHERE, **CONTROLS
    ),
    "weights.audit": audit,
    "weights.concept_vectors": lambda t: wb.weights.concept_vectors(
        model(), [" Paris"], n_neurons=2, questions=t, n_shortlist=4, **QUIET
    ),
    "weights.relearn": lambda t: wb.weights.relearn(
        model(), {"same": wb.load("tinyworld", device="cpu")}, t, t, steps=(0, 1), **QUIET
    ),
    "weights.unlearn": lambda t: wb.weights.unlearn(
        model(), t, ELSEWHERE, steps=1, **QUIET
    ),
}  # fmt: skip
#: What few pairs cannot be asked, and in which words it is said.
REFUSED = {
    ("vocabulary.evaluate", 1): "each label has two or more where its prompts differ",
    ("vocabulary.evaluate", 2): "each label has two or more where its prompts differ",
}


def test_every_call_that_takes_a_task_is_here() -> None:
    asking = {"task", "questions", "material", "forget"}
    found = {
        f"{family}.{name}"
        for family, space in families().items()
        for name in getattr(space, "__all__", ())
        if inspect.isfunction(call := getattr(space, name))
        and asking & set(inspect.signature(call).parameters)
    }
    top = {"experiment"}
    # A circuit of one's own only bears the task's name.
    assert (found | top) - {"circuits.of"} == set(CALLS)
    named = {name for name, call in public().items() if inspect.isfunction(call)}
    assert top <= named


@pytest.mark.parametrize("n", [1, 2, 10])
@pytest.mark.parametrize("name", sorted(CALLS))
@pytest.mark.filterwarnings("ignore::UserWarning:workbench")
def test_every_call_takes_one_pair_two_and_ten(name: str, n: int) -> None:
    own = wb.task(pairs()[:n])
    if (rule := REFUSED.get((name, n))) is None:
        assert CALLS[name](own) is not None
        return
    with pytest.raises(ValueError, match=rule):
        CALLS[name](own)


LIST = [FRANCE] * 500


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_bare_list_of_pairs_is_never_printed_whole(name: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        CALLS[name](LIST)
    assert len(str(caught.value)) < 700 and str(caught.value).count("France") <= 2
