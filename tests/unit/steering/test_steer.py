"""Steering: every push is made by hand in the plain model, and every number recomputed."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

import workbench as wb
from tests.unit.kernels import marks
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


def push(added: dict[str, float], dicts: Any = None) -> wb.Change:
    """So much along the unit direction of each feature."""
    dicts = planted() if dicts is None else dicts
    each = []
    for name, length in added.items():
        dictionary, number = dicts.feature(name)
        each.append(dicts.add(name, length / float(dictionary.W_dec[number].norm())))
    return wb.Change(each)


def steered(change: Any = None, backend: str = "nnsight", **options: Any) -> Any:
    change = push({PATH[1]: 3 * UNIT}) if change is None else change
    return wb.steer(tinyworld(backend), PROMPTS, change, **({"n_new": 4, "k": 5} | options))


def any_flow() -> Any:
    return flow()


def kl_of(result: wb.Effects) -> np.ndarray:
    """(batch,) KL(plain ‖ steered) of the next token."""
    return result["KL next token"].changed[0]


def next_tokens(result: wb.Effects, b: int) -> Any:
    """The next tokens of a prompt: id → log-probability plain and steered."""
    tokenizer, out = tinyworld().tokenizer, {}
    for measure in result.measures[1:]:
        if np.isfinite(measure.changed[0, b]):
            (token,) = tokenizer(measure.name).input_ids
            out[token] = (measure.plain[b], measure.changed[0, b])
    return out


def log_probs(added: dict[str, float]) -> torch.Tensor:
    """(batch, d_vocab) after the last token of each prompt, by hand."""
    return torch.stack([pushed(ids, added)[-1].log_softmax(-1) for ids in rows_of(PROMPTS)])


def check(result: wb.Effects, added: dict[str, float], k: int = 5) -> None:
    """Every list, probability and divergence against passes by hand; 10 nats are 1e-3 apart."""
    plain, after = log_probs({}), log_probs(added)
    kl = (plain.exp() * (plain - after)).sum(-1)
    np.testing.assert_allclose(kl_of(result), kl, rtol=1e-3, atol=1e-4)
    ranked = (plain, after, after - plain, plain - after)
    for b in range(len(PROMPTS)):
        found = next_tokens(result, b)
        for values in ranked:
            # The k best of each list are among what is named.
            best = values[b][list(found)].sort(descending=True).values[:k]
            wanted = values[b].sort(descending=True).values[:k]
            np.testing.assert_allclose(best, wanted, atol=2e-3)
        assert k <= len(found) <= 4 * k
        for token, both in found.items():
            np.testing.assert_allclose(both, [plain[b][token], after[b][token]], atol=2e-3)


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
@pytest.mark.parametrize("strength", [3.0, -2.0])
def test_one_feature_is_pushed_along_its_unit_direction(strength: float, backend: str) -> None:
    result = steered(push({PATH[1]: UNIT}).at(strength), backend)
    check(result, {PATH[1]: strength * UNIT})


def test_a_flow_spreads_the_same_total_over_the_layers_of_its_path() -> None:
    whole = flow().change(4 * UNIT, dicts=planted())
    assert [str(part.what.site) for part in whole.parts] == [name.split("/")[0] for name in PATH]
    check(steered(whole), dict.fromkeys(PATH, UNIT))
    check(steered(flow().change(4 * UNIT, dicts=planted(), layers=2)), {PATH[2]: 4 * UNIT})
    some = flow().change(4 * UNIT, dicts=planted(), layers=[0, 3])
    check(steered(some), {PATH[0]: 2 * UNIT, PATH[3]: 2 * UNIT})


def test_changes_add_up_each_with_its_share_and_its_sign() -> None:
    shares = {PATH[0]: 0.5 * UNIT, PATH[2]: -1.5 * UNIT}
    check(steered(push(shares)), shares)
    each = push({PATH[0]: 0.5 * UNIT}) - push({PATH[2]: 1.5 * UNIT})
    check(steered(each), shares)
    dictionary = planted()["L1.resid_post"]
    row = float(dictionary.W_dec[4].norm())
    check(steered(dictionary.add(4, UNIT / row)), {PATH[1]: UNIT})


def test_a_feature_is_removed_by_setting_its_code_to_nothing() -> None:
    dictionary, number = planted().feature(PATH[1])
    result = steered(planted().scale({PATH[1]: 0}))
    ids = rows_of(PROMPTS)[0]
    x = residual(ids, 1)
    encoder: Any = dictionary.encoder
    codes = (x @ encoder.W_enc[:, number] + encoder.b_enc[number]).relu()
    assert codes.max() > 0
    changed = x - codes[:, None] * dictionary.W_dec[number]
    run = tinyworld().run([ids], edits=[_set(changed)], logits_at="last")
    wanted = run.logits[0, 0].log_softmax(-1)
    plain = log_probs({})[0]
    assert kl_of(result)[0] == pytest.approx(
        float((plain.exp() * (plain - wanted)).sum()), abs=1e-4
    )
    for token, (_, after) in next_tokens(result, 0).items():
        assert after == pytest.approx(float(wanted[token]), abs=1e-3)


def _set(value: torch.Tensor) -> Any:
    from workbench.edits import Set

    return Set("L1.resid_post", value[None])


@pytest.mark.parametrize("on", ["prompt", "new", "both"])
def test_texts_are_continued_with_the_push_where_it_is_asked_for(on: Any) -> None:
    dictionary, number = planted().feature(PATH[1])
    edit = wb.Add(dictionary.site, dictionary.directions[number], 4 * UNIT)
    result = steered(wb.Change(edit, on=on), n_new=3)
    plain_texts, steered_texts = result.texts["plain"], result.texts["steered"]
    for b, ids in enumerate(rows_of(PROMPTS)):
        for added, text in (({}, plain_texts[b]), ({PATH[1]: 4 * UNIT}, None)):
            if added and on != "both":
                continue
            row = list(ids)
            for _ in range(3):
                row.append(int(pushed(row, added)[-1].argmax()))
                if row[-1] == tinyworld().tokenizer.eos_token_id:
                    break
            wanted = tinyworld().tokenizer.decode(row, skip_special_tokens=True)
            assert (text or steered_texts[b]) == wanted
    if on == "new":
        # The push has not begun where the prompt ends.
        for measure in result.measures[1:]:
            np.testing.assert_array_equal(measure.changed[0], measure.plain)
        assert not kl_of(result).any()
    else:
        check(result, {PATH[1]: 4 * UNIT})


def test_the_typical_length_is_the_mean_of_what_the_feature_writes_where_it_is_active() -> None:
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
    typical = wb.steering.typical_length
    one = typical(tinyworld(), others(), planted(), PATH[2])
    assert one == pytest.approx(lengths[2], rel=1e-4)
    both = typical(tinyworld(), others(), planted()["L2.resid_post"], [PATH[2]])  # pyright: ignore
    assert both == one
    whole = typical(tinyworld(), others(), planted(), flow().path())
    assert whole == pytest.approx(np.mean(lengths), rel=1e-4)


def test_both_backends_and_saved_results_agree(tmp_path: Any) -> None:
    change = flow().change(4 * UNIT, dicts=planted())
    ours = steered(change, temperature=1.0, seed=3)
    theirs = steered(change, "transformer_lens", temperature=1.0, seed=3)
    for measure in ours.measures:
        for name in ("plain", "changed"):
            np.testing.assert_allclose(
                getattr(theirs[measure.name], name), getattr(measure, name), atol=2e-4
            )
    assert theirs.texts == ours.texts
    ours.save(tmp_path / "steering")
    back = wb.Effects.load(tmp_path / "steering")
    assert back.to_frame().equals(ours.to_frame()) and repr(back) == repr(ours)


def test_the_table_has_each_token_of_a_prompt_once() -> None:
    result = steered()
    frame = result.to_frame("examples")
    for b in range(len(PROMPTS)):
        part: Any = frame[(frame["example"] == b) & (frame["measure"] != "KL next token")]
        assert len(part) == len(set(part["measure"])) == len(next_tokens(result, b))
    assert result.changes == {"change": ("steered",)}
    assert "steered at L1.resid_post: 1 changes; KL next token under change steered" in repr(result)


def test_half_precision_steers_alike() -> None:
    from workbench.loading import load

    model = load("tinyworld", device="cpu", dtype="bfloat16")
    result = wb.steer(model, PROMPTS, push({PATH[1]: 3 * UNIT}), n_new=2)
    np.testing.assert_allclose(kl_of(result), kl_of(steered()), rtol=0.2, atol=0.02)


def test_a_push_of_nothing_warns_and_changes_nothing() -> None:
    with pytest.warns(UnchangedEdit, match="does nothing where the prompt is read.*strength is 0"):
        result = steered(push({PATH[1]: UNIT}).at(0))
    assert not kl_of(result).any() and result.texts["plain"] == result.texts["steered"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steered(push({PATH[1]: UNIT}))


def test_a_push_of_which_a_part_changes_something_is_no_push_of_nothing() -> None:
    living, last = (planted()[f"L{layer}.resid_post"] for layer in (0, 3))
    encoder: Any = last.encoder
    silenced = encoder.b_enc.clone()
    silenced[2] = -1e4
    dead = replace(last, encoder=replace(encoder, b_enc=silenced))
    some = Dictionaries([living, dead])
    names = [PATH[0], "L3.resid_post/2"]
    with pytest.warns(UnchangedEdit, match=r"does nothing .*L3\.resid_post.* nothing to change"):
        nothing = steered(some.scale({names[1]: 0}))
    assert not kl_of(nothing).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnchangedEdit)
        both = steered(some.scale(dict.fromkeys(names, 0)))
    one = steered(some.scale({names[0]: 0}))
    np.testing.assert_allclose(kl_of(both), kl_of(one), rtol=1e-5)
    assert kl_of(both).max() > 1e-3


@pytest.mark.parametrize("seed", [3, 9])
def test_the_text_is_sampled_with_every_option_that_is_given(seed: int) -> None:
    options: dict[str, Any] = {"temperature": 4.0, "top_k": 6, "top_p": 0.7, "seed": seed}
    texts = []
    for left_out in (None, "top_k", "top_p", "temperature"):
        some: dict[str, Any] = options if left_out is None else options | {left_out: None}
        some = some | {"temperature": 2.0} if left_out == "temperature" else some
        plain = tinyworld().generate(PROMPTS, 6, **some).texts
        nothing = wb.Change(wb.Add("L1.resid_post", torch.zeros(128)), on="new")
        result = steered(nothing, n_new=6, **some)
        assert result.texts["plain"] == result.texts["steered"] == plain
        texts.append(plain)
    assert texts[0] not in texts[1:]  # every option matters here


def test_the_divergence_is_that_of_the_steered_from_the_plain_and_not_the_other_way() -> None:
    result = steered(push({PATH[1]: 6 * UNIT}))
    plain, after = log_probs({}), log_probs({PATH[1]: 6 * UNIT})
    forward = (plain.exp() * (plain - after)).sum(-1)
    backward = (after.exp() * (after - plain)).sum(-1)
    assert ((forward - backward).abs() > 0.1 * forward).all()
    np.testing.assert_allclose(kl_of(result), forward, rtol=1e-2)


def test_the_picture_shows_both_probabilities_of_each_token() -> None:
    result = steered()
    ax = result.plot(show="next token", row=1, largest=6)
    assert ax.get_title().endswith("steered at L1.resid_post")
    both = np.exp(list(next_tokens(result, 1).values()))
    n = min(6, max(4, int((both.max(axis=1) >= 0.005).sum())))
    assert len(ax.patches) == 2 * n
    widths = sorted((patch.get_width() for patch in ax.patches[n:]), reverse=True)
    assert widths[0] == pytest.approx(both[:, 1].max())


def told() -> wb.Effects:
    """Effects with texts by hand: two changes, two prompts."""
    result = steered()
    return replace(
        result,
        what="two pushes",
        changes={"change": ("push", "pull <b>")},
        measures=(replace(result.measures[0], changed=np.ones((2, 2))),),
        texts={
            "plain": (f"{PROMPTS[0]} the old man.", f"{PROMPTS[1]} here."),
            "push": (f"{PROMPTS[0]} the man <i>today</i>.", f"{PROMPTS[1]} here."),
            "pull <b>": (f"{PROMPTS[0]} a old man.", f"{PROMPTS[1]} gone."),
        },
    )


def test_the_texts_are_a_table_of_one_line_a_prompt_and_change() -> None:
    frame = told().to_frame("texts")
    assert list(frame) == ["example", "prompt", "change", "text"]
    assert frame["example"].tolist() == [0, 0, 0, 1, 1, 1]
    assert frame["prompt"].tolist() == [PROMPTS[0]] * 3 + [PROMPTS[1]] * 3
    assert frame["change"].tolist() == ["plain", "push", "pull <b>"] * 2
    assert frame["text"].tolist()[:3] == [" the old man.", " the man <i>today</i>.", " a old man."]
    whole = (frame["prompt"] + frame["text"]).tolist()
    assert whole[1::3] == list((told().texts or {})["push"])
    with pytest.raises(ValueError, match="are None, 'examples' and 'texts'; got 'words'"):
        told().to_frame("words")
    with pytest.raises(ValueError, match="whose prompts were continued; these were not"):
        replace(told(), texts=None).to_frame("texts")


def test_the_repr_says_what_is_said_plain_and_under_the_first_change_on_one_line() -> None:
    said = repr(told())
    assert said.endswith("; plain 'the old man.'; push 'the man <i>today</i>.')")
    long = ("word\n" * 40, "here")
    cut = repr(replace(told(), texts={"plain": long, "push": long}))
    assert "\n" not in cut and "word word …'" in cut and len(cut) < len(said) + 80


def test_the_picture_sets_the_texts_beside_each_other_and_marks_the_words_that_changed() -> None:
    ax = told().plot()
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert rows == ["after", "plain", "push", "pull <b>"] * 2
    tinted = {}
    for text in ax.texts:
        patch = text.get_bbox_patch()
        if patch.get_facecolor()[3]:
            tinted.setdefault(patch.get_facecolor(), []).append(text.get_text())
    assert tinted[to_rgba(marks.NEGATIVE)] == ["the", "old", "man.", "here."]
    assert tinted[to_rgba(marks.POSITIVE)] == ["man", "<i>today</i>.", "a", "gone."]
    assert len(told().plot(row=1).get_yticklabels()) == 4
    with pytest.raises(ValueError, match="row is a prompt's, 0 to 1; got 2"):
        told().plot(row=2)


def test_the_page_has_a_column_a_change_with_the_words_that_changed_marked() -> None:
    page = told().html()
    table = page[page.index('<table class="said">') : page.index("</table>")]
    assert "<th>after</th><th>plain</th><th>push</th><th>pull &lt;b&gt;</th>" in table
    assert "<td><mark>here.</mark></td><td>here.</td><td><mark>gone.</mark></td>" in table
    assert "<mark>&lt;i&gt;today&lt;/i&gt;.</mark>" in table and "<i>" not in table
    assert 'class="said"' not in replace(told(), texts=None, picture=None).html()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: steered("she"), "change is a Change, an Edit or a list of Edits; got .she."),
        (lambda: steered(k=0), "k is a whole number from 1; got 0"),
        (lambda: steered(n_new=0), "n_new is a whole number from 1; got 0"),
        (lambda: flow().change(float("nan")), "strength is a finite number; got nan"),
        (lambda: any_flow().change("strong"), "strength is a finite number; got 'strong'"),
        (lambda: push({"L1.resid_post/12": 1.0}), "has features 0 to 11; got 12"),
        (
            lambda: wb.steering.typical_length(tinyworld(), [], planted(), PATH[1]),
            "at least one; got none",
        ),
        (lambda: flow().change(dicts=planted(), layers=7), "it has nothing in layer 7"),
        (lambda: flow().change(dicts=planted(), layers=[]), "it has nothing in layer None"),
        (
            lambda: any_flow().change(dicts=planted(), layers="all"),
            "layers is a whole number, a list",
        ),
    ],
)
def test_what_cannot_be_pushed_is_named(make: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        make()


def test_a_site_or_weights_that_a_flow_or_collection_lacks_are_named() -> None:
    with pytest.raises(KeyError, match=r"There is no dictionary of L2\.mlp_out"):
        push({"L2.mlp_out/3": 1.0})
    other = [d.to(dtype=torch.float64) for d in planted().values()]
    other[1] = Dictionary("L1.resid_post", other[1].encoder, -other[1].W_dec, other[1].b_dec)
    with pytest.raises(ValueError, match="with the dictionaries that it was made of"):
        flow().change(dicts=Dictionaries(d.to(dtype=torch.float32) for d in other))
    # Those that ship for its model have other weights, too.
    with pytest.raises(ValueError, match="with the dictionaries that it was made of"):
        flow().change()


def test_a_silent_feature_and_one_that_writes_nothing_are_told() -> None:
    encoder = Linear(torch.zeros(128, 2), torch.zeros(2))
    silent = Dictionary("L0.resid_post", encoder, torch.ones(2, 128), torch.zeros(128))
    with pytest.raises(ValueError, match=r"L0\.resid_post/1 is never active on the 6 texts"):
        wb.steering.typical_length(tinyworld(), others(), silent, "L0.resid_post/1")  # pyright: ignore
    rows = torch.eye(2, 128)
    rows[1] = 0
    empty = Dictionary("L0.resid_post", encoder, rows, torch.zeros(128))
    nowhere = replace(flow(), fingerprints=(empty.fingerprint, *flow().fingerprints[1:]))
    with pytest.raises(ValueError, match=r"has features 0 to 1; got 3"):
        nowhere.change(dicts=Dictionaries([empty, *list(planted().values())[1:]]))
    writes = planted()["L0.resid_post"].W_dec.clone()
    writes[3] = 0
    mute = replace(planted()["L0.resid_post"], W_dec=writes)
    muted = replace(flow(), fingerprints=(mute.fingerprint, *flow().fingerprints[1:]))
    with pytest.raises(ValueError, match="writes nothing: its decoder row is 0"):
        muted.change(dicts=Dictionaries([mute, *list(planted().values())[1:]]))


def test_a_flow_through_modules_is_pushed_along_its_residual_features_only() -> None:
    rows = planted()["L2.resid_post"].W_dec
    mlp = Dictionary("L0.mlp_out", Linear(rows.T, torch.zeros(12)), rows, torch.zeros(128))
    known = Dictionaries([mlp, *planted().values()])
    through = wb.feature_flow(known, PATH[1], direction="back")
    assert any("mlp_out" in name for name in through.ids)
    check(steered(through.change(UNIT, dicts=known)), dict.fromkeys(PATH[:2], UNIT / 2))


def test_another_model_in_place_is_a_change_too() -> None:
    other = zoo_model("gpt2")
    with pytest.warns(UnchangedEdit, match="does nothing where the prompt is read"):
        result: Any = wb.steer(other, "w3 w4", wb.Change(other), n_new=2, k=3)
    assert not kl_of(result).any() and result.texts["plain"] == result.texts["steered"]
