"""Changes: strengths, phases, windows, gates and files, against passes put together by hand."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import workbench as wb
from workbench.change import Change, Gate, Rule, rows_laid
from workbench.dictionary.base import SetFeatures, Splice

BACKENDS = ("nnsight", "transformer_lens")
ROWS = ["The capital of France is", "Tom likes the old cat near the river because"]
N_NEW, SITE = 6, "L2.resid_post"


@cache
def tinyworld(backend: str = "nnsight") -> Any:
    return wb.load("tinyworld", backend=backend, device="cpu")


@cache
def direction(seed: int = 0, size: float = 14.0) -> torch.Tensor:
    made = torch.randn(tinyworld().spec.d_model, generator=torch.Generator().manual_seed(seed))
    return size * made / made.norm()


def resid(model: Any, prompts: Any, edits: Any = (), **options: Any) -> torch.Tensor:
    return model.run(prompts, read=SITE, edits=edits, **options)[SITE]


# -- strength --------------------------------------------------------------------------------------

EDITS = {
    "add": wb.Add(SITE, direction()),
    "set": wb.Set(SITE, direction(1)),
    "scale": wb.Scale(SITE, 0.5),
    "project": wb.ProjectOut(SITE, torch.stack([direction(2), direction(3)])),
    "affine": wb.Affine(SITE, torch.eye(64)[torch.arange(63, -1, -1)], 0.5),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", EDITS)
def test_strength_goes_along_the_line_to_the_edit(name, backend):
    model, edit = tinyworld(backend), EDITS[name]
    if name == "affine":
        edit = wb.Affine(SITE, torch.eye(model.spec.d_model).flip(0), 0.5)
    before, after = resid(model, ROWS), resid(model, ROWS, edit)
    real = model.tokens(ROWS).mask
    for t in (-1.0, 0.3, 1.0, 2.0):
        now = resid(model, ROWS, Change(edit).at(t))
        wanted = before + t * (after - before)
        torch.testing.assert_close(now[real], wanted[real], atol=2e-4, rtol=1e-4)
    assert torch.equal(resid(model, ROWS, Change(edit).at(0)), before)


def test_masked_scores_stay_masked_at_every_strength():
    model = tinyworld()
    edit = Change(wb.Scale("L1.attn_scores", 0.0)).at(0.5)
    pattern = model.run(ROWS[0], read="L1.pattern", edits=edit)["L1.pattern"]
    assert torch.isfinite(pattern).all()
    assert float(pattern.triu(1).abs().max()) == 0


@pytest.mark.parametrize("how", ["value", "factor", "add"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_are_linear_in_the_strength(how, backend):
    model = tinyworld(backend)
    edit = wb.WeightEdit("W_out", 1, [3, 5], **{how: 0.25})
    before = model.weight("W_out", 1)
    with Change(edit).applied(model):
        after = model.weight("W_out", 1)
    for t in (0.3, 2.0):
        with Change(edit).at(t).applied(model):
            now = model.weight("W_out", 1)
        torch.testing.assert_close(now, before + t * (after - before))
    assert torch.equal(model.weight("W_out", 1), before)


def test_sums_keep_the_order_and_differences_take_away():
    model, push = tinyworld(), Change(wb.Add(SITE, direction()))
    erase = Change(wb.ProjectOut(SITE, direction()))
    first, last = (resid(model, ROWS[0], c) for c in (push + erase, erase + push))
    assert (first @ direction()).abs().max() < 0.01 < (last @ direction()).abs().max()
    torch.testing.assert_close(resid(model, ROWS[0], push - push), resid(model, ROWS[0]))
    assert len(push + erase) == 2 and push + erase != erase + push


def test_layers_that_are_not_named_keep_their_strength():
    both = Change([wb.Add("L1.resid_post", direction()), wb.Add(SITE, direction(1))])
    assert [p.strength for p in both.at({2: 0.5}).parts] == [1.0, 0.5]
    assert [p.strength for p in both.at(2).at({1: 3}).parts] == [6.0, 2.0]
    with pytest.raises(ValueError, match=r"A layer of this change is one of \[1, 2\]; got 3"):
        both.at({3: 1})


# -- phases, windows, gates ------------------------------------------------------------------------

PHASES = {
    "prompt": {"on": "prompt"},
    "new": {"on": "new"},
    "both": {},
    "first two new": {"on": "new", "window": 2},
    "from the second": {"on": "new", "window": slice(1, None)},
    "prompt and third": {"window": slice(2, 3)},
}


def acts_at(phase: dict[str, Any], n_prompt: int, total: int) -> list[int]:
    """Which positions a phase names, written out again."""
    window = phase.get("window")
    span = slice(0, window) if isinstance(window, int) else window or slice(None)
    new = list(range(n_prompt, total))[span]
    return (list(range(n_prompt)) if phase.get("on") != "new" else []) + (
        new if phase.get("on") != "prompt" else []
    )


def by_hand(model: Any, row: list[int], phase: dict[str, Any], push: torch.Tensor) -> list[int]:
    """Greedy tokens, each from a pass over everything before it, alone and without a cache."""
    out = list(row)
    ends = {model.tokenizer.eos_token_id}
    for _ in range(N_NEW):
        at = acts_at(phase, len(row), len(out))
        edits = [wb.Add(SITE, push, positions=at)] if at else []
        out.append(int(model.run([out], edits=edits, logits_at="last").logits[0, -1].argmax()))
        if out[-1] in ends:
            break
    return out[len(row) :]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PHASES)
def test_generation_acts_where_the_phase_says(name, backend):
    model, phase = tinyworld(backend), PHASES[name]
    tokens = model.tokens(ROWS)
    rows = [ids[mask].tolist() for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]
    change = Change(wb.Add(SITE, direction(5, 40.0)), **phase)
    made = model.generate(ROWS, N_NEW, edits=change).new
    assert made == tuple(tuple(by_hand(model, row, phase, direction(5, 40.0))) for row in rows)


def test_the_phases_are_told_apart_by_the_text():
    model = tinyworld()
    texts = {
        name: model.generate(ROWS, N_NEW, edits=Change(wb.Add(SITE, direction(5, 40.0)), **p)).texts
        for name, p in PHASES.items()
    }
    assert len(set(texts.values())) >= 4
    assert texts["new"] != texts["both"] and texts["prompt"] != texts["both"]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", PHASES)
def test_a_run_knows_what_is_new_by_n_prompt(name, side):
    model, phase, n_prompt = tinyworld(), PHASES[name], [3, 5]
    tokens = model.tokens(ROWS, padding_side=side)
    change = Change(wb.Add(SITE, direction()), **phase)
    moved = resid(model, tokens, change, n_prompt=n_prompt) - resid(model, tokens)
    for row, n in enumerate(n_prompt):
        at = [p for p, x in enumerate(moved[row][tokens.columns(row)]) if x.abs().max() > 0.1]
        assert at == acts_at(phase, n, tokens.lengths[row])


def test_without_n_prompt_nothing_is_new():
    model, change = tinyworld(), Change(wb.Add(SITE, direction()), on="new")
    assert torch.equal(resid(model, ROWS, change), resid(model, ROWS))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gate_opens_for_the_rows_it_names_and_is_asked_once(backend):
    model, asked = tinyworld(backend), []

    def gate(of: Any, prompts: wb.Tokens) -> list[bool]:
        asked.append(prompts.lengths)
        return [False, True]

    change = Change(wb.Add(SITE, direction(5, 40.0)), gate=gate)
    open_ = Change(wb.Add(SITE, direction(5, 40.0)))
    made = model.generate(ROWS, N_NEW, edits=change).new
    assert len(asked) == 1 and asked[0] == model.tokens(ROWS).lengths
    plain, pushed = model.generate(ROWS, N_NEW).new, model.generate(ROWS, N_NEW, edits=open_).new
    assert made == (plain[0], pushed[1]) and plain[1] != pushed[1]


def test_a_gate_by_direction_is_the_mean_over_the_prompt():
    model = tinyworld()
    tokens = model.tokens(ROWS)
    along = [float((resid(model, row)[0] @ direction()).mean()) for row in ROWS]
    gate = Gate(SITE, direction(), sum(along) / 2)
    assert gate(model, tokens) == [a > sum(along) / 2 for a in along]
    assert gate(model, model.tokens(ROWS, padding_side="left")) == gate(model, tokens)


# -- rules and rows of one pass --------------------------------------------------------------------


def test_a_rule_is_asked_for_every_batch():
    model, seen = tinyworld(), []

    def last_word(of: Any, tokens: wb.Tokens) -> list[Any]:
        seen.append(tokens.strings[0][-1])
        return [wb.Scale(SITE, 0.0, positions="last")]

    change = Change(last_word)
    zeroed = resid(model, ROWS[0], change)
    assert float(zeroed[0, -1].abs().max()) == 0 < float(zeroed[0, 0].abs().max())
    resid(model, ROWS[1], change)
    assert seen == [" is", " because"]


class Own(Rule):
    """Sets the site to the number of the example."""

    def edits(self, model: Any, tokens: wb.Tokens, examples: Any) -> list[Any]:
        return [wb.Set(SITE, torch.tensor(examples, dtype=torch.float32)[:, None, None])]


def test_rows_of_one_pass_have_their_own_change_and_example():
    model = tinyworld()
    tokens = model.tokens([ROWS[0]] * 5)
    values = torch.arange(8.0)[:, None, None]
    push, own = Change(wb.Add(SITE, direction())), Change(wb.Set(SITE, values))
    rule, plain = Change(Own()), Change()
    changes, examples = [push, own, rule, plain, own], [0, 6, 2, 3, 1]
    edits = rows_laid(model, changes, tokens, examples)
    now, before = resid(model, tokens, edits), resid(model, tokens)
    torch.testing.assert_close(now[0], before[0] + direction())
    for row, value in ((1, 6.0), (2, 2.0), (4, 1.0)):
        assert torch.equal(now[row], torch.full_like(now[row], value))
    assert torch.equal(now[3], before[3])


# -- under the change ------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_method_sees_the_model_under_the_change(backend):
    model, push = tinyworld(backend), Change(wb.Add(SITE, direction(5, 40.0)))
    plain = wb.logit_lens(model, ROWS[0]).to_frame()
    with push.applied(model) as now:
        lens = wb.logit_lens(now, ROWS[0]).to_frame()
        run = now.run(ROWS[0], logits_at="last").logits
        text = now.generate(ROWS[0], 4).texts
    assert torch.equal(run, model.run(ROWS[0], edits=push, logits_at="last").logits)
    assert text == model.generate(ROWS[0], 4, edits=push).texts
    same = lens.row.isin(["embed", "L0", "L1"])
    for column in ("token", "probability", "entropy"):
        assert lens.loc[same, column].tolist() == plain.loc[same, column].tolist()
    assert not lens[~same].probability.equals(plain[~same].probability)


def test_another_model_stands_in_and_weights_come_back():
    model: Any = tinyworld()
    other: Any = wb.load("tinyworld-seed1", device="cpu")
    change = Change(other) + Change(wb.WeightEdit("W_out", 1, [3], value=0.0))
    own, before = other.run(ROWS[0]).logits, other.weight("W_out", 1)
    with change.applied(model) as now:
        assert float(now.weight("W_out", 1)[3].abs().max()) == 0
        inside = now.run(ROWS[0]).logits
    assert not torch.equal(inside, own) and torch.equal(other.run(ROWS[0]).logits, own)
    assert torch.equal(model.run(ROWS[0], edits=Change(other)).logits, own)
    assert torch.equal(model.run(ROWS[0], edits=change).logits, inside)
    assert torch.equal(other.weight("W_out", 1), before)
    with pytest.raises(
        ValueError, match=r"strength of another model is 0 or 1; got 0.5.*difference"
    ):
        change.at(0.5)


# -- files -----------------------------------------------------------------------------------------


def changes() -> dict[str, Change]:
    dicts = wb.dictionaries("tinyworld")
    site = next(iter(dicts))
    made = {name: Change(edit) for name, edit in EDITS.items()}
    made |= {
        "features": Change([SetFeatures(dicts[site], [3, 7], 2.0), Splice(dicts[site])]),
        "weights": Change(wb.WeightEdit("W_Q", 1, [0], factor=0.5)),
        "phase": Change(wb.Add(SITE, direction()), on="new", window=slice(2, 5)).at(3),
        "gated": Change(wb.Add(SITE, direction()), gate=Gate(SITE, direction(), 0.5)),
        "places": Change(wb.Set("L1H2.z", 0.0, rows=[0], positions=slice(1, 3))),
        "nothing": Change(),
    }
    return {**made, "all": sum(made.values(), Change())}


@pytest.mark.parametrize("name", changes())
def test_a_change_is_what_it_was_after_saving(name, tmp_path):
    change = changes()[name]
    path = change.save(tmp_path / "change.safetensors")
    back = Change.load(path)
    assert back == change and back.fingerprint == change.fingerprint and repr(back) == repr(change)
    assert name == "nothing" or back != change.at(0.5)


def test_a_saved_change_does_the_same(tmp_path):
    model, change = tinyworld(), changes()["features"]
    back = Change.load(change.save(tmp_path / "c"))
    assert torch.equal(model.run(ROWS, edits=back).logits, model.run(ROWS, edits=change).logits)


def test_code_and_models_are_no_data(tmp_path):
    for what in (lambda model, tokens: [], tinyworld(), Own()):
        with pytest.raises(TypeError, match=r"saved as data, and .* is code or a model"):
            Change(what).save(tmp_path / "c")
    assert not list(tmp_path.iterdir())
    same = Own()
    assert Change(same) == Change(same) != Change(Own())


def test_files_that_are_no_changes_are_refused(tmp_path):
    path = Change(wb.Add(SITE, direction())).save(tmp_path / "c.safetensors")
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"was changed after it was written"):
        Change.load(path)
    path.write_bytes(data[:-10])
    with pytest.raises(ValueError, match=r"not a whole safetensors file"):
        Change.load(path)
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(2)}, other)
    with pytest.raises(ValueError, match=r"is no file that Change.save wrote"):
        Change.load(other)
    save_file({"a": torch.zeros(2)}, other, {"change": json.dumps({"workbench": 9, "change": []})})
    with pytest.raises(ValueError, match=r"has format 9; this workbench reads format 1"):
        Change.load(other)
    with pytest.raises(FileNotFoundError):
        Change.load(tmp_path / "none")


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "options", "text"),
    [
        (3, {}, r"A change is made of edits, weight edits, a model, or a rule .*; got 3"),
        ("L1.z", {}, r"A change is made of edits"),
        (EDITS["add"], {"on": "always"}, r"on is one of 'prompt', 'new', 'both'; got 'always'"),
        (EDITS["add"], {"window": 0}, r"window is a whole number from 1; got 0.*slice\(8, None\)"),
        (EDITS["add"], {"window": slice(3, 3)}, r"window is a number of new tokens, 8"),
        (EDITS["add"], {"window": 2, "on": "prompt"}, r"window is of new tokens"),
        (EDITS["add"], {"gate": 0.5}, r"gate is a function of a model and prompts"),
        (wb.WeightEdit("W_out", 1, value=0.0), {"on": "new"}, r"weights is on every row and token"),
        (Change(EDITS["add"]), {"on": "new"}, r"given where the edits are"),
    ],
)  # fmt: skip
def test_what_is_no_change_is_said(what, options, text):
    with pytest.raises(ValueError, match=text):
        Change(what, **options)


def test_what_does_not_fit_a_run_is_said():
    model = tinyworld()
    with pytest.raises(ValueError, match=r"A gate gives one True or False .* here 2; it gave 1"):
        model.run(ROWS, edits=Change(EDITS["add"], gate=lambda m, t: [True]))
    with pytest.raises(ValueError, match=r"n_prompt is a whole number from 1 to 5; got 60"):
        model.run(ROWS[:1], edits=Change(EDITS["add"], on="new"), n_prompt=[60])
    with pytest.raises(ValueError, match=r"names prompt positions. Use on='prompt'"):
        model.generate(ROWS, 2, edits=Change(wb.Scale(SITE, 0.5, positions=1)))
    with pytest.raises(ValueError, match=r"strength is a finite number or a mapping .*; got nan"):
        Change(EDITS["add"]).at(float("nan"))
    with pytest.raises(TypeError, match="unhashable"):
        hash(Change())
