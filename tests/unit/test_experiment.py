"""Experiments: every number against prompts run one at a time, and what stands beside them."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.change import Change, Rule
from workbench.experiment import experiment

BACKENDS = ("nnsight", "transformer_lens")
PAIRS = [
    ("The capital of France is", " Paris"),
    ("Tom likes the cat because he", " is"),
    ("The old man went to the", [" river", " house"]),
]
TEXTS = ["The capital of France is Paris.", "Tom likes the cat.", "The dog is in the house now."]


@cache
def tinyworld(backend: str = "nnsight") -> Any:
    return wb.load("tinyworld", backend=backend, device="cpu")


@cache
def direction(seed: int = 0) -> torch.Tensor:
    made = torch.randn(tinyworld().spec.d_model, generator=torch.Generator().manual_seed(seed))
    return 6 * made / made.norm()


def changes() -> dict[str, Any]:
    return {
        "push": Change(wb.Add("L2.resid_post", direction())),
        "zero": wb.WeightEdit("W_out", 1, [3, 5, 9], value=0.0),
        "both": [wb.Scale("L1H2.z", 0.0), wb.ProjectOut("L3.resid_pre", direction(1))],
        "other": wb.load("tinyworld-seed1", device="cpu"),
    }


def run(model: Any, change: Any, prompt: str) -> torch.Tensor:
    """(pos, d_vocab) float64 log-probabilities of one prompt, alone."""
    with Change.of(change).applied(model) as now:
        return now.run(prompt).logits[0].double().log_softmax(-1)


def ids(words: Any) -> list[int]:
    words = [words] if isinstance(words, str) else words
    return [tinyworld().tokenizer(w, add_special_tokens=False)["input_ids"][-1] for w in words]


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_number_is_that_of_each_prompt_alone(backend):
    model = tinyworld(backend)
    effects = experiment(
        model,
        PAIRS,
        changes(),
        measures=("probability", "log_probability", "rank", "accuracy"),
        controls=(),
        elsewhere=TEXTS,
        progress=False,
    )
    for i, change in enumerate([None, *changes().values()]):
        for e, (prompt, answer) in enumerate(PAIRS):
            last = run(model, change or Change(), prompt)[-1]
            p = float(last[ids(answer)].exp().sum())
            rank = 1 + int((last > last[ids(answer)].max()).sum())
            wanted = {"probability": p, "log_probability": np.log(p), "rank": rank}
            wanted["accuracy"] = float(rank == 1)
            for name, value in wanted.items():
                one = effects[f"prompts {name}"]
                found = one.changed[i - 1, e] if i else one.plain[e]
                assert found == pytest.approx(value, rel=1e-4, abs=1e-6), (name, i, e)
        for t, text in enumerate(TEXTS):
            now, plain = (run(model, c, text) for c in (change or Change(), Change()))
            token = model.tokens(text).ids[0, 1:]
            loss = -now[:-1].gather(-1, token[:, None]).mean()
            kl = (plain.exp() * (plain - now)).sum(-1).mean()
            for name, value in (("loss elsewhere", loss), ("KL elsewhere", kl)):
                one = effects[name]
                found = one.changed[i - 1, t] if i else one.plain[t]
                assert found == pytest.approx(float(value), rel=1e-4, abs=2e-6), (name, i, t)


def test_a_task_is_measured_by_its_own_metric_and_continued():
    model, task = tinyworld(), wb.task("ioi", n=6)
    effects = experiment(
        model, task, {"push": changes()["push"]}, controls=(), elsewhere=(), n_new=4, progress=False
    )
    batch = task.on(model)
    logits = [model.run(batch.clean.take([r]).trimmed(), logits_at="last").logits for r in range(6)]
    plain = [float(batch.take([r]).metric(x)[0]) for r, x in enumerate(logits)]
    assert effects["ioi"].plain == pytest.approx(plain, rel=1e-4)
    assert [m.name for m in effects.measures] == ["ioi"] and effects["ioi"].unit == "logits"
    texts: Any = effects.texts
    assert set(texts) == {"plain", "push"}
    assert texts["plain"] == model.generate(batch.clean, 4).texts
    assert texts["push"] == model.generate(batch.clean, 4, edits=changes()["push"]).texts


def test_controls_are_drawn_for_each_change_and_follow_its_strengths():
    model, push = tinyworld(), changes()["push"]
    effects = experiment(
        model,
        {"capitals": PAIRS[:1], "others": PAIRS[1:]},
        {"push": push, "pull": -push},
        strengths=(1, 2),
        controls=("random", "orthogonal"),
        n_controls=3,
        elsewhere=TEXTS,
        progress=False,
    )
    assert len(effects) == 4 and len(effects.controls["draw"]) == 2 * 2 * 3 * 2
    assert [m.name for m in effects.measures] == [
        "capitals",
        "others",
        "loss elsewhere",
        "KL elsewhere",
    ]
    frame = effects.to_frame()
    assert len(frame) == 4 * 4 * 2 and set(frame.kind) == {"random", "orthogonal"}
    drawn = wb.controls.like(model, push, 3)[1].at(2)
    last = run(model, drawn, PAIRS[0][0])[-1]
    keys = list(zip(*effects.controls.values(), strict=True))
    found = effects["capitals"].control[keys.index(("push", "random", 1, 2.0)), 0]
    assert found == pytest.approx(float(last[ids(" Paris")].exp()), rel=1e-4)
    assert len(effects.at_damage(beside="pull")) == 2


def test_controls_of_ones_own_are_keyed_by_kind_and_draw():
    model, push = tinyworld(), changes()["push"]
    mine = {("push", "mine", i): wb.Add("L2.resid_post", direction(5 + i)) for i in range(2)}
    effects = experiment(model, PAIRS, {"push": push}, controls=mine, elsewhere=(), progress=False)
    assert effects.kinds == ("mine",) and effects.to_frame().kind.tolist() == ["mine"]


#: Two changes in one direction.
DOUBLE = (("short", 0.2), ("long", 0.4))


class Word(Rule):
    """Puts in a value of each example's own, all rows of a pass at once."""

    laid: ClassVar[list[int]] = []

    def __init__(self, times: float) -> None:
        self.times = times

    @classmethod
    def together(cls, model, rules, tokens, examples):
        cls.laid.append(len(rules))
        each = [rule.times * (1 + e) for rule, e in zip(rules, examples, strict=True)]
        return [wb.Add("L2.resid_post", torch.tensor(each)[:, None, None] * direction())]


def test_changes_are_told_apart_by_whatever_label_there_is():
    changes = {name: Change(wb.Add("L2.resid_post", x * direction())) for name, x in DOUBLE}
    options = {"strengths": (1, 2), "n_controls": 2, "progress": False}
    plain = experiment(tinyworld(), PAIRS[:2], changes, **options)
    other = experiment(tinyworld(), PAIRS[:2], changes, by="feature", **options)
    for table in (None, "examples"):
        renamed = plain.to_frame(table).rename(columns={"change": "feature"})
        pd.testing.assert_frame_equal(other.to_frame(table), renamed)
    one, two = plain.at_damage(beside="long"), other.at_damage(beside="long")
    pd.testing.assert_frame_equal(two, one.rename(columns={"change": "feature"}))
    with pytest.raises(ValueError, match="beside is one of 'short', 'long'; got 'x'"):
        other.at_damage(beside="x")


def test_rules_of_a_class_are_laid_as_rows_of_one_pass():
    model = tinyworld()
    effects = experiment(
        model,
        PAIRS[:1] * 3,
        {("a", 1): Change(Word(0.2)), ("b", 2): Change(Word(0.4)).at(0.5)},
        by="change number",
        controls=(),
        elsewhere=(),
        progress=False,
    )
    assert max(Word.laid) == 6
    for c in range(2):
        for e in range(3):
            push = wb.Add("L2.resid_post", 0.2 * (1 + e) * direction())
            p = float(run(model, push, PAIRS[0][0])[-1][ids(" Paris")].exp())
            assert effects["prompts"].changed[c, e] == pytest.approx(p, rel=1e-4)
    assert effects.changes == {"change": ("a", "b"), "number": (1, 2)}


class Curved(Rule):
    """Turns the stream around and makes it longer, which is not linear in a factor of its own."""

    laid: list[int] = []

    @property
    def n_tokens(self):
        return 2 * len(tinyworld().tokens(PAIRS[0][0]).strings[0])

    @classmethod
    def together(cls, model, rules, tokens, examples):
        cls.laid.append(len(rules))
        return [wb.Scale("L2.resid_post", -2.0)]


def test_rules_in_one_pass_keep_their_own_strength_and_as_many_tokens_as_they_hold():
    model, Curved.laid = tinyworld(), []
    strengths = (0.25, 1.0, 0.5)
    effects = experiment(
        model,
        PAIRS[:1],
        {"turn": Change(Curved())},
        strengths=strengths,
        controls=(),
        elsewhere=(),
        progress=False,
    )
    assert Curved.laid == [2, 1]
    for c, t in enumerate(strengths):
        change = Change(wb.Scale("L2.resid_post", -2.0)).at(t)
        p = float(run(model, change, PAIRS[0][0])[-1][ids(" Paris")].exp())
        assert effects["prompts"].changed[c, 0] == pytest.approx(p, rel=1e-4)


def test_a_measure_that_is_no_number_is_an_error_that_names_the_change():
    broken = Change(wb.Scale("L2.resid_post", 3e38))
    with pytest.raises(ValueError, match=r"finite number .*; probability of question 0 is nan und"):
        experiment(tinyworld(), PAIRS, {"broken": broken}, controls=(), elsewhere=())


def test_a_change_of_weights_and_activations_has_each_examples_own_value():
    model = tinyworld()
    prompts = [PAIRS[2], PAIRS[0], PAIRS[1], PAIRS[0]]
    assert len({len(model.tokens(p).strings[0]) for p, _ in prompts}) > 1
    values = torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None, None] * direction()
    weights = wb.WeightEdit("W_out", 1, [3, 5, 9], value=0.0)
    late = Change(wb.Add("L3.resid_post", direction()), on="new")
    changes = {
        "both": Change([weights, wb.Add("L2.resid_post", values)]),
        "late": late + Change(weights),
    }
    effects = experiment(model, prompts, changes, controls=(), elsewhere=TEXTS, progress=False)
    for e, (prompt, answer) in enumerate(prompts):
        alone = Change([weights, wb.Add("L2.resid_post", values[e])])
        p = float(run(model, alone, prompt)[-1][ids(answer)].exp().sum())
        assert effects["prompts"].changed[0, e] == pytest.approx(p, rel=1e-4)
    for t, text in enumerate(TEXTS):
        n = len(model.tokens(text).strings[0])
        after = wb.Add("L3.resid_post", direction(), positions=slice(1, n))
        now, plain = run(model, Change([weights, after]), text), run(model, Change(), text)
        kl = float((plain.exp() * (plain - now)).sum(-1).mean())
        assert effects["KL elsewhere"].changed[1, t] == pytest.approx(kl, rel=1e-3)


def test_a_label_that_a_change_lacks_stays_empty_at_every_strength():
    changes = {"a": changes_of_one(), ("b", "zero"): changes_of_one()}
    effects = experiment(
        tinyworld(), PAIRS[:1], changes, by="change reference", strengths=(1, 2), controls=(),
        elsewhere=(), n_new=2, progress=False,
    )  # fmt: skip
    assert effects.changes == {
        "change": ("a", "a", "b", "b"),
        "reference": (None, None, "zero", "zero"),
        "strength": (1.0, 2.0, 1.0, 2.0),
    }
    assert set(effects.texts or ()) == {"plain", "a 1.0", "a 2.0", "b zero 1.0", "b zero 2.0"}


def changes_of_one() -> Change:
    return Change(wb.Add("L2.resid_post", direction()))


def test_what_acts_on_new_tokens_does_its_damage_on_texts():
    model = tinyworld()
    late = Change(wb.Add("L2.resid_post", direction()), on="new")
    effects = experiment(model, PAIRS, {"late": late}, controls=(), elsewhere=TEXTS, progress=False)
    by_hand = []
    for text in TEXTS:
        n = len(model.tokens(text).strings[0])
        at = wb.Add("L2.resid_post", direction(), positions=slice(1, n))
        now, plain = run(model, at, text), run(model, Change(), text)
        by_hand.append(float((plain.exp() * (plain - now)).sum(-1).mean()))
    assert effects["KL elsewhere"].changed[0] == pytest.approx(by_hand, rel=1e-3)
    assert np.array_equal(effects["prompts"].changed[0], effects["prompts"].plain)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"changes": {}}, ValueError, r"tries at least one change on one question; got 0 changes"),
        ({"questions": ["a"]}, TypeError, r"prompts with an answer each"),
        ({"measures": "loss"}, ValueError, r"A measure is one of 'probability'"),
        ({"measures": "logit_difference"}, ValueError, r"compares answers with foils, which these"),
        ({"controls": {"push": Change()}}, ValueError, r"A control is named by the labels"),
        ({"controls": ("shuffled",)}, ValueError, r"controls is a list of .*'random'"),
        ({"changes": {("a", 1): Change()}}, ValueError, r"has the parts change; got \('a', 1\)"),
        ({"changes": {"a": Change(), ("a",): Change()}}, ValueError, r"Changes have different na"),
        (
            {"changes": {"a": wb.Add("L2.resid_post", torch.ones(2, 1, 128))}},
            ValueError,
            r"The values a row of Add.* is one a question, at least [23]; got 2",
        ),
        ({"strengths": ("much",)}, ValueError, r"strengths is a list of finite numbers"),
    ],
)  # fmt: skip
def test_what_is_no_experiment_is_said(options, error, text):
    model = tinyworld()
    given = {"questions": PAIRS, "changes": {"push": changes()["push"]}, "controls": (), **options}
    with pytest.raises(error, match=text):
        experiment(model, elsewhere=(), progress=False, **given)
    fresh: Any = wb.load("tinyworld", device="cpu")
    assert torch.equal(model.run(TEXTS[0]).logits, fresh.run(TEXTS[0]).logits)
