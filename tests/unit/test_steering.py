"""Steering: every push is made by hand in the plain model, and every number recomputed."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.lens_models import zoo_model
from tests.unit.steering_models import (
    PATH,
    PROMPTS,
    flow,
    others,
    planted,
    pushed,
    residual,
    rows_of,
    tinyworld,
)
from workbench.dictionary.base import Dictionary
from workbench.dictionary.collection import Dictionaries
from workbench.dictionary.encoders import Linear
from workbench.edits import UnchangedEdit

UNIT = 2.5


def steered(what: Any = PATH[1], backend: str = "nnsight", **options: Any) -> wb.Steering:
    options = {"dicts": planted(), "unit": UNIT, "n": 4, "k": 5} | options
    return wb.steer(tinyworld(backend), PROMPTS, what, **options)


def log_probs(added: dict[str, float]) -> torch.Tensor:
    """(batch, d_vocab) after the last token of each prompt, by hand."""
    return torch.stack([pushed(ids, added)[-1].log_softmax(-1) for ids in rows_of(PROMPTS)])


def check(result: wb.Steering, added: dict[str, float]) -> None:
    """Every list, probability and divergence against passes by hand; 10 nats are 1e-3 apart."""
    plain, after = log_probs({}), log_probs(added)
    kl = (plain.exp() * (plain - after)).sum(-1)
    np.testing.assert_allclose(result.kl, kl, rtol=1e-3, atol=1e-4)
    ranked = (plain, after, after - plain, plain - after)
    for b in range(len(PROMPTS)):
        for g, values in enumerate(ranked):
            ids = torch.tensor(result.ids[b, g])
            wanted = values[b].sort(descending=True).values[: len(ids)]
            np.testing.assert_allclose(values[b][ids], wanted, atol=2e-3)
            np.testing.assert_allclose(result.plain[b, g], plain[b][ids], atol=2e-3)
            np.testing.assert_allclose(result.steered[b, g], after[b][ids], atol=2e-3)
            words = [tinyworld().tokenizer.decode([i]) for i in ids]
            assert list(result.words[b][g]) == words


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
@pytest.mark.parametrize("strength", [3.0, -2.0])
def test_one_feature_is_pushed_along_its_unit_direction(strength: float, backend: str) -> None:
    result = steered(strength=strength, backend=backend)
    assert result.features == (PATH[1],) and result.total == pytest.approx(abs(strength) * UNIT)
    np.testing.assert_allclose(result.added, [strength * UNIT])
    check(result, {PATH[1]: strength * UNIT})


def test_a_flow_spreads_the_same_total_over_the_layers_of_its_path() -> None:
    spread = steered(flow(), strength=4.0)
    assert spread.features == PATH and spread.total == pytest.approx(4 * UNIT)
    np.testing.assert_allclose(spread.added, np.full(4, UNIT))
    check(spread, dict.fromkeys(PATH, UNIT))
    one = steered(flow(), strength=4.0, layers=2)
    assert one.features == (PATH[2],) and one.total == pytest.approx(spread.total)
    check(one, {PATH[2]: 4 * UNIT})
    some = steered(flow(), strength=4.0, layers=[0, 3])
    check(some, {PATH[0]: 2 * UNIT, PATH[3]: 2 * UNIT})


def test_a_mapping_gives_each_feature_its_share_and_its_sign() -> None:
    result = steered({PATH[0]: 1.0, PATH[2]: -3.0}, strength=2.0)
    np.testing.assert_allclose(result.added, [0.5 * UNIT, -1.5 * UNIT])
    check(result, {PATH[0]: 0.5 * UNIT, PATH[2]: -1.5 * UNIT})
    equal = steered([PATH[0], PATH[2]], strength=2.0)
    np.testing.assert_allclose(equal.added, [UNIT, UNIT])
    number = steered(4, dicts=planted()["L1.resid_post"], strength=1.0)
    assert number.features == (PATH[1],)


def test_a_feature_is_removed_by_setting_its_code_to_nothing() -> None:
    dictionary, number = planted().feature(PATH[1])
    result = steered(mode="remove")
    assert (result.strength, result.unit, result.total) == (0.0, 0.0, 0.0)
    ids = rows_of(PROMPTS)[0]
    x = residual(ids, 1)
    encoder: Any = dictionary.encoder
    codes = (x @ encoder.W_enc[:, number] + encoder.b_enc[number]).relu()
    assert codes.max() > 0
    changed = x - codes[:, None] * dictionary.W_dec[number]
    run = tinyworld().run([ids], edits=[_set(changed)], logits_at="last")
    wanted = run.logits[0, 0].log_softmax(-1)
    plain = log_probs({})[0]
    assert result.kl[0] == pytest.approx(float((plain.exp() * (plain - wanted)).sum()), abs=1e-4)
    ids_after = torch.tensor(result.ids[0, 1])
    np.testing.assert_allclose(result.steered[0, 1], wanted[ids_after], atol=1e-3)


def _set(value: torch.Tensor) -> Any:
    from workbench.edits import Set

    return Set("L1.resid_post", value[None])


@pytest.mark.parametrize("on", ["prompt", "new", "both"])
def test_texts_are_continued_with_the_push_where_it_is_asked_for(on: str) -> None:
    result = steered(strength=4.0, on=on, n=3)
    for b, ids in enumerate(rows_of(PROMPTS)):
        for added, text in (({}, result.plain_texts[b]), ({PATH[1]: 4 * UNIT}, None)):
            if added and on != "both":
                continue
            row = list(ids)
            for _ in range(3):
                row.append(int(pushed(row, added)[-1].argmax()))
                if row[-1] == tinyworld().tokenizer.eos_token_id:
                    break
            wanted = tinyworld().tokenizer.decode(row, skip_special_tokens=True)
            assert (text or result.steered_texts[b]) == wanted
    if on == "new":
        # The push has not begun where the prompt ends.
        np.testing.assert_array_equal(result.steered, result.plain)
        assert not result.kl.any()
    else:
        check(result, {PATH[1]: 4 * UNIT})


def test_one_unit_is_the_mean_length_of_what_the_feature_writes_where_it_is_active() -> None:
    lengths = []
    for layer, name in enumerate(PATH):
        dictionary, number = planted().feature(name)
        encoder: Any = dictionary.encoder
        each: list[float] = []
        for ids in rows_of(others()):
            for x in residual(ids, layer):
                code = float(x @ encoder.W_enc[:, number] + encoder.b_enc[number])
                if code > 0:
                    each.append(code * float(dictionary.W_dec[number].norm()))
        lengths.append(np.mean(each))
    one = steered(PATH[2], unit=None, texts=others(), strength=1.0)
    assert one.unit == pytest.approx(lengths[2], rel=1e-4)
    # Every way to push a flow has the unit of its whole path, so that totals are equal.
    for layers in (None, "flow", 3):
        result = steered(flow(), unit=None, texts=others(), strength=1.5, layers=layers)
        assert result.unit == pytest.approx(np.mean(lengths), rel=1e-4)
        assert result.total == pytest.approx(1.5 * np.mean(lengths), rel=1e-4)
    # Without texts, on those that ship for the model.
    shipped = steered(PATH[2], unit=None, strength=1.0)
    assert shipped.unit == pytest.approx(lengths[2], rel=0.2)


def test_both_backends_and_saved_results_agree(tmp_path: Any) -> None:
    ours = steered(flow(), temperature=1.0, seed=3)
    theirs = steered(flow(), "transformer_lens", temperature=1.0, seed=3)
    for name in ("plain", "steered", "kl"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), atol=2e-4)
    assert theirs.plain_texts == ours.plain_texts and theirs.steered_texts == ours.steered_texts
    ours.save(tmp_path / "steering")
    back = wb.Steering.load(tmp_path / "steering")
    assert back.to_frame().equals(ours.to_frame()) and repr(back) == repr(ours)


def test_the_table_has_each_token_once_with_the_lists_that_name_it() -> None:
    result = steered(strength=3.0)
    frame = result.to_frame()
    for b in range(len(PROMPTS)):
        part: Any = frame[frame["prompt"] == b]
        assert len(part) == len(set(result.ids[b].flatten().tolist()))
        assert part["steered"].is_monotonic_decreasing
        top = part[part["groups"].str.contains("before")]
        assert set(top["token"]) == set(result.words[b][0])
        np.testing.assert_allclose(
            part["change"], np.log(part["steered"] / part["plain"]), atol=1e-3
        )
    first = result.words[0]
    assert f"L1.resid_post/4 at strength 3: next {first[0][0]!r} → {first[1][0]!r}" in repr(result)


def test_half_precision_steers_alike() -> None:
    from workbench.loading import load

    model = load("tinyworld", device="cpu", dtype="bfloat16")
    result = wb.steer(model, PROMPTS, PATH[1], dicts=planted(), unit=UNIT, strength=3.0, n=2)
    exact = steered(strength=3.0)
    np.testing.assert_allclose(result.kl, exact.kl, rtol=0.2, atol=0.02)


def test_a_push_of_nothing_warns_and_changes_nothing() -> None:
    with pytest.warns(
        UnchangedEdit, match=r"L1\.resid_post/4 is not active there, or the strength"
    ):
        result = steered(strength=0.0)
    assert not result.kl.any() and result.plain_texts == result.steered_texts
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steered(strength=1.0)


def test_a_push_of_which_a_part_changes_something_is_no_push_of_nothing() -> None:
    living, last = (planted()[f"L{layer}.resid_post"] for layer in (0, 3))
    encoder: Any = last.encoder
    silenced = encoder.b_enc.clone()
    silenced[2] = -1e4
    dead = replace(last, encoder=replace(encoder, b_enc=silenced))
    some: dict[str, Any] = {"dicts": Dictionaries([living, dead]), "mode": "remove"}
    names = [PATH[0], "L3.resid_post/2"]
    with pytest.warns(UnchangedEdit, match=r"changes nothing .*L3\.resid_post/2 is not active"):
        nothing = steered(names[1:], **some)
    assert not nothing.kl.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnchangedEdit)
        both = steered(names, **some)
    np.testing.assert_allclose(both.kl, steered(names[:1], **some).kl, rtol=1e-5)
    assert both.kl.max() > 1e-3


@pytest.mark.parametrize("seed", [3, 9])
def test_the_text_is_sampled_with_every_option_that_is_given(seed: int) -> None:
    options: dict[str, Any] = {"temperature": 4.0, "top_k": 6, "top_p": 0.7, "seed": seed}
    texts = []
    for left_out in (None, "top_k", "top_p", "temperature"):
        some: dict[str, Any] = options if left_out is None else options | {left_out: None}
        some = some | {"temperature": 2.0} if left_out == "temperature" else some
        plain = tinyworld().generate(PROMPTS, 6, **some).texts
        result = steered(n=6, strength=0.0, on="new", **some)
        assert result.plain_texts == result.steered_texts == plain
        texts.append(plain)
    assert texts[0] not in texts[1:]  # every option matters here


def test_the_divergence_is_that_of_the_steered_from_the_plain_and_not_the_other_way() -> None:
    result = steered(strength=6.0)
    plain, after = log_probs({}), log_probs({PATH[1]: 6 * UNIT})
    forward = (plain.exp() * (plain - after)).sum(-1)
    backward = (after.exp() * (after - plain)).sum(-1)
    assert ((forward - backward).abs() > 0.1 * forward).all()
    np.testing.assert_allclose(result.kl, forward, rtol=1e-2)


def test_the_picture_shows_both_probabilities_of_each_token() -> None:
    result = steered(strength=3.0)
    ax = result.plot(row=1, largest=6)
    assert ax.get_title().endswith("L1.resid_post/4 at strength 3")
    frame = result.to_frame()
    frame = frame[frame["prompt"] == 1]
    n = min(6, max(4, int((frame[["plain", "steered"]].max(axis=1) >= 0.005).sum())))
    assert len(ax.patches) == 2 * n
    widths = sorted((patch.get_width() for patch in ax.patches[n:]), reverse=True)
    assert widths[0] == pytest.approx(frame["steered"].max())


@pytest.mark.parametrize(
    ("what", "options", "error"),
    [
        (PATH[1], {"mode": "scale"}, "mode is one of 'add', 'remove'; got 'scale'"),
        (PATH[1], {"strength": float("nan")}, "strength is a finite number; got nan"),
        (PATH[1], {"strength": "strong"}, "strength is a finite number; got 'strong'"),
        (PATH[1], {"unit": 0.0}, r"unit is a finite number above 0 or None; got 0\.0"),
        (PATH[1], {"k": 0}, "k is a whole number from 1; got 0"),
        (PATH[1], {"on": "all"}, "on is one of 'prompt', 'new', 'both'; got 'all'"),
        (PATH[1], {"layers": 2}, "layers= chooses among the layers of a flow"),
        (PATH[1], {"layers": "flow"}, "is no FeatureFlow. Leave it out"),
        ("L1.resid_post/12", {}, "has features 0 to 11; got 12"),
        (4, {}, "is named like 'L3.resid_post/123'; got the number 4"),
        ([], {}, "Shares are numbers that are not all 0"),
        ({PATH[0]: 0.0}, {}, "Shares are numbers that are not all 0"),
        ({PATH[0]: float("inf")}, {}, "what is a FeatureFlow, a text, a whole number, a list"),
        (PATH[1], {"unit": None, "texts": []}, "at least one; got none"),
    ],
)
def test_what_cannot_be_pushed_is_named(what: Any, options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        steered(what, **options)


def test_a_layer_or_site_that_a_flow_or_collection_lacks_is_named() -> None:
    with pytest.raises(ValueError, match=r"it has nothing in layer 7"):
        steered(flow(), layers=7)
    with pytest.raises(ValueError, match="layers is 'flow', a whole number, a list of whole"):
        steered(flow(), layers="all")
    with pytest.raises(KeyError, match=r"There is no dictionary of L2\.mlp_out"):
        steered("L2.mlp_out/3")
    other = [d.to(dtype=torch.float64) for d in planted().values()]
    other[1] = Dictionary("L1.resid_post", other[1].encoder, -other[1].W_dec, other[1].b_dec)
    with pytest.raises(ValueError, match="with the dictionaries that it was made of"):
        steered(flow(), dicts=Dictionaries(d.to(dtype=torch.float32) for d in other))


def test_a_silent_feature_and_a_model_without_texts_or_dictionaries_are_told() -> None:
    encoder = Linear(torch.zeros(128, 2), torch.zeros(2))
    silent = Dictionary("L0.resid_post", encoder, torch.ones(2, 128), torch.zeros(128))
    with pytest.raises(ValueError, match=r"L0\.resid_post/1 is never active on the 6 texts"):
        steered(1, dicts=silent, unit=None, texts=others())
    empty = Dictionary("L0.resid_post", encoder, torch.zeros(2, 128), torch.zeros(128))
    with pytest.raises(ValueError, match="writes nothing: its decoder row is 0"):
        steered(1, dicts=empty)
    model = zoo_model("gpt2")
    with pytest.raises(ValueError, match="none ship for .*; give dicts="):
        wb.steer(model, "w3 w4", "L0.resid_post/1")
    encoder = Linear(torch.ones(32, 2), torch.zeros(2))
    small = Dictionary("L0.resid_post", encoder, torch.ones(2, 32), torch.zeros(32))
    with pytest.raises(ValueError, match="measured on texts, and none ship for"):
        wb.steer(model, "w3 w4", 1, dicts=small)
    with pytest.raises(ValueError, match="reads vectors of width 128; .* has 32"):
        wb.steer(model, "w3 w4", PATH[1], dicts=planted())
    one = wb.steer(model, "w3 w4", 1, dicts=small, unit=1.0, n=2)
    assert one.features == ("L0.resid_post/1",) and np.isfinite(one.steered).all()


def test_a_flow_through_modules_is_pushed_along_its_residual_features_only() -> None:
    rows = planted()["L2.resid_post"].W_dec
    mlp = Dictionary("L0.mlp_out", Linear(rows.T, torch.zeros(12)), rows, torch.zeros(128))
    known = Dictionaries([mlp, *planted().values()])
    through = wb.feature_flow(known, PATH[1], direction="back")
    assert any("mlp_out" in name for name in through.graph.ids)
    result = steered(through, dicts=known, strength=1.0)
    assert result.features == PATH[:2]
