"""Labels by tokens at a tie, at the smallest share, and where nothing is held out."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

import workbench as wb


class Token(NamedTuple):
    """A token: its text, its share of the activity, and (fitted, held out) firings and places."""

    text: str
    share: float
    fires: tuple[int, int]
    stands: tuple[int, int]


class Use(NamedTuple):
    """A token as an index lists it."""

    id: int
    string: str
    share: float
    rate: float
    fitted: int
    held_out: int


class Counted(wb.features.FeatureIndex):
    """The counts of an index of one feature, which labels are made from.

    more: firings on tokens beyond those that are listed.
    """

    site: Any = "L0.resid_post"
    n_features: Any = 1
    facts: ClassVar[Any] = {"dictionary": "print"}
    uses: list[Token]
    more: tuple[int, int]

    def __init__(self, uses: list[Token], more: tuple[int, int] = (0, 0)) -> None:
        object.__setattr__(self, "uses", uses)
        object.__setattr__(self, "more", more)

    @property
    def count(self) -> np.ndarray:
        return np.array([sum(sum(use.fires) for use in self.uses) + sum(self.more)])

    @property
    def count_held_out(self) -> np.ndarray:
        return np.array([sum(use.fires[1] for use in self.uses) + self.more[1]])

    @property
    def token_counts(self) -> np.ndarray:
        return np.array([[use.stands[half] for use in self.uses] for half in (0, 1)])

    def tokens(self, feature: int, most: int | None = None) -> list[Any]:
        rate = 0.0
        each = [Use(i, u.text, u.share, rate, *u.fires) for i, u in enumerate(self.uses)]
        return each[:most]

    def ids_of(self, text: str) -> list[int]:
        return [i for i, use in enumerate(self.uses) if use.text == text]


def label(*uses: Token, **options: Any) -> Any:
    index: Any = Counted(list(uses), **options)
    return wb.features.label(index)[0]


def test_of_sets_that_are_as_good_the_one_with_fewer_tokens_is_taken() -> None:
    # One token: right 2 of 2, of 4 firings; both: right 3 of 5. Either way F1 is 2/3.
    found = label(Token("a", 0.6, (2, 1), (2, 1)), Token("b", 0.4, (1, 0), (3, 1)), more=(1, 0))
    assert found.tokens == ("a",) and found.text == "a"
    better = label(Token("a", 0.6, (2, 1), (2, 1)), Token("b", 0.4, (1, 0), (2, 1)), more=(1, 0))
    assert better.tokens == ("a", "b")


def test_a_token_with_just_a_hundredth_of_the_activity_is_looked_at() -> None:
    big, small = Token("a", 0.99, (5, 1), (5, 1)), Token("b", 0.01, (1, 1), (1, 1))
    assert label(big, small).tokens == ("a", "b")
    assert label(big, small._replace(share=0.0099)).tokens == ("a",)
    # Where no token has so much, all are.
    thin = [Token(t, 0.009, (1, 1), (1, 1)) for t in "abc"]
    assert label(*thin).tokens == ("a", "b", "c")


@pytest.mark.parametrize("n", [5, 6, 15, 16, 17, 20])
def test_up_to_sixteen_tokens_are_taken_and_four_are_written(n: int) -> None:
    uses = [Token(f"t{i:02}", 1 / n, (3, 1), (3, 1)) for i in range(n)]
    found = label(*uses)
    assert found.tokens == tuple(use.text for use in uses[:16])
    assert found.text == f"t00, t01, t02, t03 … +{min(n, 16) - 4}"


def test_the_score_is_of_the_held_out_places_alone() -> None:
    # Fitted: right 8 of 9, of 10. Held out: right 1 of 4, of 3.
    found = label(Token("a", 0.9, (8, 1), (9, 4)), more=(2, 2))
    assert (found.precision, found.recall) == pytest.approx((1 / 4, 1 / 3))
    assert found.f1 == pytest.approx(2 * (1 / 4) * (1 / 3) / (1 / 4 + 1 / 3))
    absent = label(Token("a", 0.9, (8, 0), (9, 0)), more=(2, 2))
    assert (absent.f1, absent.precision, absent.recall) == (0.0, 0.0, 0.0)
    silent = label(Token("a", 0.9, (8, 0), (9, 3)))
    assert (silent.f1, silent.precision, silent.recall) == (None, None, None)


def test_a_persons_token_counts_wherever_it_stands_among_the_features_own() -> None:
    uses = [Token(f"t{i:02}", 1 / 20, (3, 2), (3, 4)) for i in range(20)]
    index: Any = Counted(uses)
    labels = wb.features.label(index)
    found = labels.set(0, "rare", tokens=["t18", "t02"], index=index)
    assert found.recall == pytest.approx(4 / 40) and found.precision == pytest.approx(4 / 8)
    # Two tokens that are written alike are both meant, the second beyond the first sixteen.
    alike = [*uses[:18], uses[2]._replace(fires=(3, 4))]
    assert label(*alike).recall == pytest.approx((16 * 2 + 4) / (18 * 2 + 4))
