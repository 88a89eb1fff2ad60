"""Every sweep of activation patching against one full run a patch, and what it refuses."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.patchings import Patched, patch
from tests.unit import lens_models
from tests.unit.kernels import sweep
from workbench import Effects
from workbench.edits import Edit, Set
from workbench.loading import load
from workbench.site import STREAMS, Site
from workbench.tasks import Task
from workbench.tasks import task as shipped_task

#: What a stream may be patched by, besides its layers.
AXES = {
    **dict.fromkeys(("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"), ("pos",)),
    **dict.fromkeys(("z", "q", "k", "v"), ("head", "pos")),
    "pattern": ("head", "dst"),
    "mlp_post": ("neuron", "pos"),
}
BACKENDS = ("nnsight", "transformer_lens")
CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}
#: Every sweep: the stream and what `by` may be.
SWEEPS = [
    *(
        (over, by)
        for over in ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
        for by in ("pos", "layer")
    ),
    *((over, by) for over in "zqkv" for by in ("head", "head pos", "pos")),
    *(("pattern", by) for by in ("head", "head dst", "dst")),
    ("mlp_post", "pos"),
]
#: Learned, rotary and ALiBi positions, parallel blocks, post-norms, sliding windows, and BLOOM,
#: which through TransformerLens cannot resume at a position.
ARCHITECTURES = ("gpt2", "gpt_neox", "llama", "gemma2", "mistral", "bloom", "gptj", "opt")


@cache
def tinyworld(name: str = "tinyworld", backend: str = "nnsight") -> Any:
    return load(name, backend=backend, device="cpu")


def words(prompts: list[tuple[str, str]]) -> Task:
    """Pairs over the words of the zoo's tokenizer."""
    pairs = [{"clean": c, "corrupt": x, "answers": " w5", "foils": " w6"} for c, x in prompts]
    return shipped_task(pairs)


#: Of unequal lengths, in no order; the second pair differs in every token.
TASK = words(
    [
        ("w2 w3 w4 w8 w9 w10", "w2 w3 w7 w8 w9 w11"),
        ("w20 w21 w22 w23", "w30 w31 w32 w33"),
        ("w40 w41 w42 w43 w44 w45", "w40 w50 w42 w43 w44 w45"),
    ]
)


#: The same in small, for what is compared with a run a patch.
SMALL = words([("w2 w3 w4 w8", "w2 w7 w4 w8"), ("w20 w21 w22", "w30 w31 w32")])


def part(over: str, unit: int | None, at: Any) -> tuple[Any, ...]:
    """The index of a patch into the activation of one prompt."""
    unit_at: Any = slice(None) if unit is None else unit
    position: Any = slice(None) if at is None else at
    axes = STREAMS[over][1:]
    if axes[0] == "head":
        return (unit_at, position)
    return (position, unit_at) if len(axes) > 1 and axes[1] in ("head", "d_mlp") else (position,)


def one_by_one(
    model: Any, task: Task, over: str, by: str, direction: str = "denoise"
) -> np.ndarray:
    """(batch, layer, …by): the metric of one full run a patch, with one `Set` of the whole site."""
    batch = task.on(model)
    base, source = ("corrupt", "clean") if direction == "denoise" else ("clean", "corrupt")
    axes = [axis for axis in AXES[over] if axis in by.split()]
    n_units = {
        "k": model.spec.n_kv_heads,
        "v": model.spec.n_kv_heads,
        "mlp_post": model.spec.d_mlp,
    }.get(over, model.spec.n_heads)
    sizes = [n_units if a in ("head", "neuron") else max(batch.clean.lengths) for a in axes]
    out = np.full((len(batch), model.spec.n_layers, *sizes), np.nan)
    for row in range(len(batch)):
        alone = batch.take([row])
        tokens, other = getattr(alone, base), getattr(alone, source)
        for layer in range(model.spec.n_layers):
            site = Site(over, layer)
            now, put = model.run(tokens, read=site)[site], model.run(other, read=site)[site]
            for cell in np.ndindex(*sizes):
                where = dict(zip(axes, cell, strict=True))
                at = where.get("pos", where.get("dst"))
                if at is not None and at >= tokens.n_columns:
                    continue
                index = (0, *part(over, where.get("head", where.get("neuron")), at))
                value = now.clone()
                value[index] = put[index]
                # Twice, since a single edit that changes nothing warns.
                run = model.run(tokens, edits=[Set(site, value)] * 2, logits_at="last")
                out[(row, layer, *cell)] = float(alone.metric(run.logits))
    return out


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("over", "by"), SWEEPS)
def test_every_sweep_equals_one_full_run_a_patch(over: str, by: str, backend: str) -> None:
    model = lens_models.zoo_model("llama", backend)
    for direction in ("denoise", "noise"):
        result = patch(model, SMALL, over=over, by=by, direction=direction)
        expected = one_by_one(model, SMALL, over, by, direction)
        assert result.by == ("layer", *(axis for axis in AXES[over] if axis in by.split()))
        np.testing.assert_allclose(result.patched, expected, **CLOSE)
        gap = float(result.clean.mean() - result.corrupt.mean())
        if direction == "denoise":
            effects = expected - result.corrupt.reshape(-1, *[1] * (expected.ndim - 1))
        else:
            effects = result.clean.reshape(-1, *[1] * (expected.ndim - 1)) - expected
        np.testing.assert_allclose(result.effects, effects / gap, atol=1e-4 / abs(gap))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_patches_are_exact_on_every_kind_of_architecture(name: str, backend: str) -> None:
    model = lens_models.zoo_model(name, backend)
    for over, by in (("resid_pre", "pos"), ("resid_post", "pos"), ("z", "head pos"), ("k", "head")):
        result = patch(model, SMALL, over=over, by=by)
        np.testing.assert_allclose(result.patched, one_by_one(model, SMALL, over, by), **CLOSE)


@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama"])
@pytest.mark.parametrize("over", AXES)
def test_both_backends_agree_on_trained_models(name: str, over: str) -> None:
    ioi = shipped_task("ioi", n=3)
    ours = patch(tinyworld(name), ioi, over=over)
    theirs = patch(tinyworld(name, "transformer_lens"), ioi, over=over)
    np.testing.assert_allclose(ours.effects, theirs.effects, **CLOSE)
    assert ours.n_skipped == theirs.n_skipped
    assert np.nanmax(np.abs(ours.effects)) > 1e-3


@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_putting_in_everything_gives_the_other_run(direction: str) -> None:
    result = patch(tinyworld(), shipped_task("ioi", n=6), by="layer", direction=direction)
    wanted = result.clean if direction == "denoise" else result.corrupt
    np.testing.assert_allclose(result.patched, np.stack([wanted] * 4, 1), atol=1e-4)
    np.testing.assert_allclose(result.mean, 1.0, atol=1e-5)
    low, high = result.interval()
    assert np.all(low <= result.mean) and np.all(result.mean <= high)
    # Effects and gap are drawn together: what is 1 for all examples has no spread.
    np.testing.assert_allclose(high - low, 0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_single_neurons_are_patched_in_one_layer(backend: str) -> None:
    model = lens_models.zoo_model("gpt_neox", backend)
    result = patch(model, SMALL, over="mlp_post", by="neuron pos", layers=1)
    assert result.patched.shape == (2, 1, 48, 4)
    together = patch(model, SMALL, over="mlp_post", by="neuron", layers=1)
    assert together.patched.shape == (2, 1, 48)
    site, pair = Site("mlp_post", 1), SMALL.on(model).take([0])
    now, put = model.run(pair.corrupt, read=site)[site], model.run(pair.clean, read=site)[site]
    for neuron in (0, 17, 47):
        for position in (2, slice(None)):
            value = now.clone()
            value[0, position, neuron] = put[0, position, neuron]
            run = model.run(pair.corrupt, edits=[Set(site, value)] * 2, logits_at="last")
            found = (result.patched[..., 2] if position == 2 else together.patched)[0, 0, neuron]
            np.testing.assert_allclose(found, float(pair.metric(run.logits)), **CLOSE)


def test_given_positions_are_an_axis_or_are_patched_together() -> None:
    model = lens_models.zoo_model("gpt2")
    whole = patch(model, TASK, over="z", by="head pos").patched
    some = patch(model, TASK, over="z", by="head pos", positions=[1, -1])
    assert some.positions.tolist() == [[1, 5], [1, 3], [1, 5]]
    last = np.stack([whole[0, :, :, 5], whole[1, :, :, 3], whole[2, :, :, 5]])
    np.testing.assert_allclose(some.patched, np.stack([whole[..., 1], last], -1), **CLOSE)
    alone = patch(model, TASK, over="z", positions="last")
    np.testing.assert_allclose(alone.patched, last, **CLOSE)
    together = patch(model, TASK, positions=slice(0, None), by="layer")
    np.testing.assert_allclose(together.patched, patch(model, TASK, by="layer").patched, **CLOSE)


def test_what_changes_no_number_is_counted_and_not_run() -> None:
    model = lens_models.zoo_model("gpt2")
    one = words([("w2 w3 w4 w8 w9", "w2 w3 w7 w8 w9")])
    result = patch(model, one)
    # Before the one different token nothing differs, and at layer 0 nothing after it.
    differs = np.zeros((2, 5), bool)
    differs[1, 2:] = differs[0, 2] = True
    assert result.n_skipped == (~differs).sum()
    assert (result.effects[0][~differs] == 0).all()
    assert (np.abs(result.effects[0][differs]) > 1e-6).all()


def test_few_rows_a_pass_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lens_models.zoo_model("llama")
    plain = patch(model, TASK, over="v", by="head pos")
    for n_tokens in (1, 42):
        monkeypatch.setitem(sweep.PASS_TOKENS, "cpu", n_tokens)
        few = patch(model, TASK, over="v", by="head pos")
        np.testing.assert_allclose(few.patched, plain.patched, **CLOSE)


def test_a_patch_that_does_not_reach_its_row_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lens_models.zoo_model("gpt2")
    put = next(kind for kind in Edit.__subclasses__() if kind.__name__ == "Put")
    monkeypatch.setattr(put, "apply", lambda self, activation, *needed: activation + 1)
    with pytest.raises(RuntimeError, match=r"A patch is there in every row it was put into; Put\("):
        patch(model, TASK, over="z")


def test_means_and_intervals_are_over_the_examples_that_have_the_position() -> None:
    model = lens_models.zoo_model("gpt2")
    result = patch(model, TASK)
    effects = result.effects
    assert np.isnan(effects[1, :, 4:]).all() and not np.isnan(effects[[0, 2]]).any()
    np.testing.assert_allclose(result.mean[:, 0], effects[:, :, 0].mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(result.mean[:, 5], effects[[0, 2], :, 5].mean(0), rtol=1e-5)
    low, high = result.interval()
    assert low.shape == high.shape == (2, 6)
    again = result.interval()
    np.testing.assert_array_equal(low, again[0])
    # By hand: the same draws, one cell at a time.
    drawn = np.random.default_rng(0).integers(3, size=(2000, 3))
    gaps = (result.clean - result.corrupt)[drawn].mean(-1)
    moved = (result.patched - result.corrupt[:, None, None])[:, 1, 2]
    means = moved[drawn].mean(-1) / gaps
    np.testing.assert_allclose(low[1, 2], np.quantile(means, 0.025), rtol=1e-4)
    np.testing.assert_allclose(high[1, 2], np.quantile(means, 0.975), rtol=1e-4)
    with pytest.raises(ValueError, match="level is a finite number above 0 and below 1; got 2"):
        result.interval(2)
    single = patch(model, words([("w2 w3 w4", "w2 w7 w4")]))
    assert np.isnan(single.interval()[0]).all()


def test_the_table_has_one_line_a_patch(tmp_path: Path) -> None:
    model = lens_models.zoo_model("gpt2")
    result = patch(model, TASK, over="z", by="head pos", layers=1)
    frame = result.result.to_frame()
    assert list(frame) == [
        *("measure", "change", "layer", "head", "pos", "token", "n", "plain", "changed"),
        *("changed_low", "changed_high", "effect", "low", "high"),
    ]
    assert len(frame) == 4 * 6 and set(frame.layer) == {1}
    line = frame[(frame["head"] == 2) & (frame.pos == 5)].iloc[0]
    assert line.effect == pytest.approx(result.mean[0, 2, 5], rel=1e-12) and line.n == 2
    each = result.result.to_frame("examples")
    assert len(each) == 4 * (6 + 4 + 6)
    line = each[(each.example == 1) & (each["head"] == 3) & (each.pos == 2)].iloc[0]
    assert line.effect == pytest.approx(result.effects[1, 0, 3, 2]) and line.token.strip() == "w22"
    assert list(each) == [
        *("measure", "change", "layer", "head", "pos", "token", "example", "plain", "changed"),
        *("effect", "position"),
    ]
    heads = patch(model, TASK, over="z").result.to_frame()
    assert list(heads)[:5] == ["measure", "change", "layer", "head", "n"]


def test_a_saved_result_is_read_back_equal(tmp_path: Path) -> None:
    result = patch(lens_models.zoo_model("gpt2"), TASK, over="q", by="head pos", direction="noise")
    back = Patched(Effects.load(result.result.save(tmp_path / "q")))
    np.testing.assert_array_equal(back.patched, result.patched)
    np.testing.assert_array_equal(back.effects, result.effects)
    assert repr(back.result) == repr(result.result) and back.by == ("layer", "head", "pos")


def test_the_short_form_says_what_was_patched() -> None:
    text = repr(patch(tinyworld(), shipped_task("ioi", n=4), over="z").result)
    assert text.startswith("Effects(tinyworld: denoise z on ioi: 17 changes; ioi under change z, ")


def test_segments_are_the_cheapest_of_all() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        starts = np.sort(generator.choice(12, size=6, replace=False))
        blocks, price = generator.integers(1, 9, 6).astype(float), float(generator.integers(1, 90))
        costs = {}
        for bits in range(0, 64, 2):
            cuts = (0, *(i for i in range(1, 6) if bits >> i & 1))
            ends = zip(cuts, (*cuts[1:], 6), strict=True)
            rows = [blocks[first:last].sum() * (12 - starts[first]) for first, last in ends]
            costs[cuts] = sum(rows) + price * len(cuts)
        assert costs[tuple(sweep.segments(starts, blocks, 12, price))] == min(costs.values())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_of_others_carries_a_pronoun_in_its_residual_stream(
    assets: Path, backend: str
) -> None:
    model = load(assets / "models" / "stories260K", backend=backend, device="cpu")
    pronoun = shipped_task("pronoun", n=2)
    result = patch(model, pronoun)
    np.testing.assert_allclose(
        result.patched, one_by_one(model, pronoun, "resid_pre", "pos"), **CLOSE
    )
    np.testing.assert_allclose(patch(model, pronoun, by="layer").mean, 1.0, atol=1e-5)
    by_head = patch(model, pronoun, over="v")
    assert by_head.patched.shape == (2, 5, model.spec.n_kv_heads)
    np.testing.assert_allclose(by_head.patched, one_by_one(model, pronoun, "v", "head"), **CLOSE)
