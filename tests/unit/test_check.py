"""Check: an argument is what its annotation says, or the call says what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
import torch

from workbench.check import (
    ArgumentError,
    Count,
    NotNegative,
    Positive,
    Seed,
    Text,
    checked,
    given,
    number,
    one_of,
    tensor,
    whole,
)


@checked
def call(
    texts: Sequence[str] = (),
    *,
    n: Count = 1,
    seed: Seed | None = None,
    lr: Positive = 1.0,
    l2: NotNegative = 0.0,
    mode: Literal["add", "remove"] = "add",
    progress: bool = True,
    at: int | slice | Sequence[int] | Literal["last"] | None = None,
    truth: Mapping[str, float] | None = None,
    pairs: Sequence[tuple[int, str]] = (),
    value: Any = None,
    kinds: tuple[str, ...] = (),
    about: Text = "them",
) -> dict[str, Any]:
    return dict(locals())


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("n", np.int64(3), 3),
        ("n", np.uint8(3), 3),
        ("n", torch.tensor(3), 3),
        ("n", np.array(3), 3),
        ("lr", np.float32(0.5), 0.5),
        ("lr", 2, 2.0),
        ("l2", 0, 0.0),
        ("seed", None, None),
        ("mode", np.str_("remove"), "remove"),
        ("progress", np.bool_(False), False),
        ("at", np.int32(-1), -1),
        ("at", [np.int64(0), 2], [0, 2]),
        ("at", np.array([0, 2]), [0, 2]),
        ("at", torch.tensor([0, 2]), [0, 2]),
        ("at", range(3), range(3)),
        ("at", slice(0, 2), slice(0, 2)),
        ("at", "last", "last"),
        ("truth", {"a": np.float64(0.5)}, {"a": 0.5}),
        ("pairs", [(np.int8(1), "a")], [(1, "a")]),
        ("value", object, object),
        ("kinds", ["a", "b"], ("a", "b")),
    ],
)
def test_what_fits_comes_in_as_plain_python(name: str, value: Any, taken: Any) -> None:
    out = call(**{name: value})[name]
    assert out == taken and type(out) is type(taken)
    if isinstance(out, list):
        assert [type(item) for item in out] == [type(item) for item in taken]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n", 0, r"^n is a whole number from 1; got 0\.$"),
        ("n", True, "n is a whole number from 1; got True"),
        ("n", np.True_, "n is a whole number from 1"),
        ("n", torch.tensor(True), "n is a whole number from 1"),
        ("n", 2.0, "n is a whole number from 1; got 2.0"),
        ("n", np.float64(2), "n is a whole number from 1"),
        ("n", "3", "n is a whole number from 1; got '3'"),
        ("n", None, "n is a whole number from 1; got None"),
        ("n", [3], r"n is a whole number from 1; got \[3\]"),
        ("n", np.array([3]), r"got a ndarray of shape \(1,\) and type int64"),
        ("n", 10**9, "n is a whole number from 1 to 1000000; got 1000000000"),
        pytest.param("n", 10**400, r"from 1 to 1000000; got 1000+…\.", id="n-huge"),
        ("seed", -1, "seed is a whole number from 0 or None; got -1"),
        ("lr", 0, "lr is a finite number above 0; got 0"),
        ("lr", float("nan"), "lr is a finite number above 0; got nan"),
        ("lr", float("inf"), "lr is a finite number above 0; got inf"),
        pytest.param("lr", 10**400, "lr is a finite number above 0; got 1000", id="lr-huge"),
        ("lr", True, "lr is a finite number above 0; got True"),
        ("lr", "1", "lr is a finite number above 0; got '1'"),
        ("lr", 1j, "lr is a finite number above 0; got 1j"),
        ("l2", -0.1, "l2 is a finite number from 0; got -0.1"),
        ("mode", "mul", "mode is one of 'add', 'remove'; got 'mul'"),
        ("mode", ["add"], r"mode is one of 'add', 'remove'; got \['add'\]"),
        ("progress", 1, "progress is True or False; got 1"),
        ("progress", "no", "progress is True or False; got 'no'"),
        ("at", [0.9], r"at is a whole number, a slice, a list of whole numbers, 'last' or None"),
        ("at", np.array([0.9]), "at is a whole number"),
        ("at", "first", "at is a whole number"),
        ("at", {0, 1}, "at is a whole number"),
        ("texts", "one text", "texts is a list of texts; got 'one text'"),
        ("texts", [[5, 6, 7]], r"texts is a list of texts; got \[\[5, 6, 7\]\]"),
        ("texts", [b"x"], r"texts is a list of texts; got \[b'x'\]"),
        ("texts", b"x", "texts is a list of texts; got b'x'"),
        ("texts", {"a": 1}, "texts is a list of texts"),
        ("texts", (t for t in ["a"]), "texts is a list of texts; got <generator"),
        ("truth", {"a": "b"}, "truth is a mapping whose keys are each a text, whose values a fin"),
        ("truth", {1: 0.5}, "truth is a mapping"),
        ("about", " ", "about is a text that is not blank; got ' '"),
        ("about", 3, "about is a text that is not blank; got 3"),
        ("pairs", [(1, "a", 2)], "each a list of 2: a whole number, a text"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(name: str, value: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as error:
        call(**{name: value})
    assert isinstance(error.value, TypeError) and isinstance(error.value, ValueError)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_a_default_is_taken_as_it_is_and_an_unknown_word_is_refused() -> None:
    assert call()["texts"] == ()
    with pytest.raises(ArgumentError, match="unexpected keyword argument 'nn'; it takes texts, n,"):
        call(nn=1)  # pyright: ignore[reportCallIssue]


def test_of_a_class_the_fields_the_methods_and_the_setters_are_checked() -> None:
    @checked
    @dataclass
    class Options:
        n: Count
        lr: Positive = 0.1

        def times(self, by: Count) -> int:
            return self.n * by

        @classmethod
        def of(cls, n: Count) -> Options:
            return cls(n)

        @property
        def half(self) -> float:
            return self.lr / 2

        @half.setter
        def half(self, lr: Positive) -> None:
            self.lr = 2 * lr

    made = Options(n=np.int64(3))  # pyright: ignore[reportArgumentType]
    assert type(made.n) is int and made.times(2) == 6
    with pytest.raises(ArgumentError, match=r"lr is a finite number above 0; got nan"):
        Options(3, lr=float("nan"))
    with pytest.raises(ArgumentError, match="by is a whole number from 1; got 0"):
        made.times(0)
    with pytest.raises(ArgumentError, match="n is a whole number from 1; got 'x'"):
        Options.of("x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArgumentError, match="lr is a finite number above 0; got inf"):
        made.half = float("inf")


def test_single_values_are_held_against_a_rule() -> None:
    assert whole("k", np.int64(3), 1, 3) == 3 and number("p", 1, 0, 1) == 1.0
    with pytest.raises(ArgumentError, match=r"^k is a whole number from 1 to 3; got 4. Ask less.$"):
        whole("k", 4, 1, 3, "Ask less.")
    with pytest.raises(ArgumentError, match="p is a finite number from 0 to 1; got 2"):
        number("p", 2, 0, 1)
    with pytest.raises(ArgumentError, match="by is one of 'a', 'b'; got 3"):
        one_of("by", 3, ("a", "b"))


@pytest.mark.parametrize(
    "value",
    [
        [1.0, float("nan")],
        [1.0, float("inf")],
        [[1.0, 2.0]],
        [1.0],
        "ab",
        None,
        ["a", "b"],
        [[1], 2],
    ],
)
def test_a_tensor_has_its_shape_and_finite_numbers(value: Any) -> None:
    assert tensor("v", [1, 2], (2,)).dtype == torch.float32
    with pytest.raises(ArgumentError, match=r"v is numbers of shape \(2,\), all finite; got"):
        tensor("v", value, (2,))


def test_what_was_given_is_shown_on_one_line_even_if_it_cannot_be_shown() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert given(Broken()) == "a Broken that cannot be shown (RuntimeError)"
    assert given("a" * 500) == "'" + "a" * 78 + "…"
    assert given(np.zeros((2, 3))) == "a ndarray of shape (2, 3) and type float64"
    assert "\n" not in given(torch.zeros(3, 3)) and "\n" not in given("a\nb")


def test_an_error_of_a_model_names_what_its_user_can_ask_help_of() -> None:
    import workbench as wb

    model = wb.load("tinyworld")
    with pytest.raises(ArgumentError, match=r"See help\(wb\.Model\.generate\)\."):
        model.generate("The capital of France is", 10**9)
    with pytest.raises(ArgumentError, match=r"^Model\.generate: .* it takes tokens, n_new, edits"):
        model.generate("The capital of France is", max_new_tokens=3)  # pyright: ignore
    assert wb.Model.generate.__doc__


@pytest.fixture(scope="module", params=["nnsight", "transformer_lens"])
def model(request: pytest.FixtureRequest) -> Any:
    import workbench as wb

    return wb.load("tinyworld", device="cpu", backend=request.param)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_residual_vectors_are_unembedded_in_the_models_dtype(model: Any, dtype: Any) -> None:
    resid = torch.ones(2, model.spec.d_model)
    assert torch.equal(model.unembed(resid.to(dtype)), model.unembed(resid))


@pytest.mark.parametrize(
    "slip", [lambda x: x[:, -1, 10**6], lambda x: x.nothing, lambda x: x @ x, lambda: 0]
)
def test_a_metric_that_fails_is_told_from_the_package(model: Any, slip: Any) -> None:
    with pytest.raises(
        ValueError, match=r"grad_of failed on the logits \(1, \d+, 1986\): \w+Error"
    ):
        model.run("The capital of France is", grad_of=slip)


def test_a_spec_takes_its_own_words_only(model: Any) -> None:
    with pytest.raises(ArgumentError, match="sums is a list of items, each one of 'stream'"):
        model.spec.check_sums("nothing")
    with pytest.raises(ArgumentError, match="edit is True or False; got 'yes'"):
        model.spec.check("L1.resid_post", edit="yes")
