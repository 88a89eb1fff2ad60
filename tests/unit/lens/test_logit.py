"""The logit lens against a slow recomputation, and the texts of its errors."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kernels import readout, writers
from tests.unit.lens_models import PROMPT, logit_lens, words_model, zoo_model
from workbench.lens import LogitLens
from workbench.model import Model

TARGETS: dict[str, Any] = {"targets": [" Mary", " John"], "foils": [" John", " Mary"]}
SETS: dict[str, Any] = {"names": [" Mary", " John", " Paul"], "end": ["."]}


def slow_vectors(model: Model, prompt: Any, component: str) -> dict[str, torch.Tensor]:
    """Each row's residual vectors (batch, column, d_model), one site at a time."""
    n = model.spec.n_layers
    if component == "resid_post":
        sites = {"embed": "L0.resid_pre"} | {f"L{i}": f"L{i}.resid_post" for i in range(n)}
    else:
        sites = {f"L{i}": f"L{i}.{component}" for i in range(n)}
    if component != "z":
        return {name: model.run(prompt, read=site)[site] for name, site in sites.items()}
    out = {}
    for layer in range(n):
        for head in range(model.spec.n_heads):
            z = model.run(prompt, read=f"L{layer}H{head}.z")[f"L{layer}H{head}.z"]
            out[f"L{layer}H{head}"] = z @ model.weight("W_O", layer, head)
    return out


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
@pytest.mark.parametrize(
    "component", ["resid_post", "resid_pre", "resid_mid", "attn_out", "mlp_out", "z"]
)
def test_every_number_is_that_of_a_slow_recomputation(backend: str, component: str) -> None:
    model = words_model(backend)
    lens = logit_lens(model, PROMPT, sites=component, k=5, **TARGETS, token_sets=SETS)
    panel = lens.panel()
    slow = slow_vectors(model, PROMPT, component)
    assert panel.rows == tuple(slow)
    final = model.run(PROMPT).logits[0].double().log_softmax(-1)
    ids = [model.tokenizer(t).input_ids[0] for t in TARGETS["targets"]]
    for r, vectors in enumerate(slow.values()):
        logits = model.unembed(vectors)[0].double()
        logprobs = logits.log_softmax(-1)
        order = logprobs.sort(descending=True)
        np.testing.assert_allclose(panel.top_logprobs[0, r], order.values[:, :5], atol=1e-5)
        np.testing.assert_array_equal(panel.top_ids[0, r], order.indices[:, :5])
        entropy = -(logprobs.exp() * logprobs).sum(-1)
        np.testing.assert_allclose(panel.entropy[0, r], entropy, atol=1e-5)
        kl = (final.exp() * (final - logprobs)).sum(-1)
        np.testing.assert_allclose(panel.kl[0, r], kl, atol=1e-5)
        for t, (i, foil) in enumerate(zip(ids, ids[::-1], strict=True)):
            np.testing.assert_allclose(panel.target_logits[0, r, :, t], logits[:, i], atol=1e-5)
            np.testing.assert_allclose(panel.target_logprobs[0, r, :, t], logprobs[:, i], atol=1e-5)
            rank = (logits > logits[:, i : i + 1]).sum(-1)
            np.testing.assert_array_equal(panel.target_ranks[0, r, :, t], rank)
            gap = logits[:, i] - logits[:, foil]
            np.testing.assert_allclose(panel.difference[0, r, :, t], gap, atol=1e-5)
        for s, words in enumerate(SETS.values()):
            members = [model.tokenizer(word).input_ids[0] for word in words]
            mass = logprobs.exp()[:, members].sum(-1)
            np.testing.assert_allclose(panel.masses[0, r, :, s], mass, atol=1e-6)


def test_tracks_hold_the_exact_rank_of_every_top_token_and_target() -> None:
    model = words_model()
    lens = logit_lens(model, PROMPT, k=1, targets=" Anna")
    panel = lens.panel()
    assert panel.track_offsets is not None
    target = model.tokenizer(" Anna").input_ids[0]
    logits = torch.stack(
        [model.unembed(v)[0] for v in slow_vectors(model, PROMPT, "resid_post").values()]
    )
    logprobs = logits.log_softmax(-1)
    for p in range(len(lens.tokens[0])):
        inside = slice(panel.track_offsets[p], panel.track_offsets[p + 1])
        ids = panel.track_ids[inside]
        assert set(ids) == set(panel.top_ids[0, :, p, 0]) | {target}
        for i, ranks, values in zip(
            ids, panel.track_ranks[inside], panel.track_logprobs[inside], strict=True
        ):
            greater = (logits[:, p] > logits[:, p, int(i), None]).sum(-1)
            np.testing.assert_array_equal(ranks, greater)
            np.testing.assert_allclose(values, logprobs[:, p, int(i)], atol=1e-5)


def test_the_last_row_is_the_models_own_prediction() -> None:
    model = words_model()
    panel = logit_lens(model, PROMPT, k=model.spec.d_vocab).panel()
    expected = model.run(PROMPT).logits[0].log_softmax(-1).sort(descending=True).values
    np.testing.assert_allclose(panel.top_logprobs[0, -1], expected, atol=1e-5)
    assert (panel.kl[0, -1] == 0).all()


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
def test_the_batch_does_not_change_the_numbers(batch: int, monkeypatch: Any) -> None:
    model = words_model()
    options = {"k": 4, **TARGETS, "token_sets": SETS, "sites": ["resid_post", "z"]}
    one = logit_lens(model, PROMPT, **options)
    monkeypatch.setattr(readout, "batch_positions", lambda *shape: batch)
    other = logit_lens(model, PROMPT, **options)
    for a, b in zip(one.panels, other.panels, strict=True):
        np.testing.assert_array_equal(a.top_ids, b.top_ids)
        np.testing.assert_array_equal(a.track_ranks, b.track_ranks)
        for name in ("top_logprobs", "entropy", "kl", "masses", "difference", "track_logprobs"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_each_prompt_of_a_batch_reads_as_it_does_alone(side: Any) -> None:
    model = words_model()
    prompts = [PROMPT, "The capital of France is"]
    batch = logit_lens(model, model.tokens(prompts, padding_side=side), k=3, targets=" Mary")
    assert batch.positions.shape == (2, len(batch.tokens[0]))
    n_positions = batch.positions.shape[1]
    for b, prompt in enumerate(prompts):
        alone = logit_lens(model, prompt, k=3, targets=" Mary")
        n = len(alone.tokens[0])
        assert batch.shown(b) == list(range(n))
        mine, theirs = batch.panel(), alone.panel()
        np.testing.assert_array_equal(mine.top_ids[b, :, :n], theirs.top_ids[0])
        np.testing.assert_allclose(mine.top_logprobs[b, :, :n], theirs.top_logprobs[0], atol=1e-5)
        np.testing.assert_allclose(mine.kl[b, :, :n], theirs.kl[0], atol=1e-5)
        assert (mine.top_ids[b, :, n:] == -1).all() and np.isnan(mine.entropy[b, :, n:]).all()
        first, last = mine.track_offsets[b * n_positions], mine.track_offsets[b * n_positions + n]
        np.testing.assert_array_equal(mine.track_ids[first:last], theirs.track_ids)


@pytest.mark.parametrize(
    ("positions", "expected"),
    [("last", [13]), (-2, [12]), (slice(1, 4), [1, 2, 3]), ([0, -1], [0, 13])],
)
def test_chosen_positions_are_those_of_the_whole_reading(
    positions: Any, expected: list[int]
) -> None:
    model = words_model()
    part, whole = logit_lens(model, PROMPT, positions=positions), logit_lens(model, PROMPT)
    assert part.shown() == expected
    np.testing.assert_array_equal(part.panel().top_ids[0], whole.panel().top_ids[0][:, expected])


def test_heads_and_sites_can_be_read_one_by_one() -> None:
    model = words_model()
    lens = logit_lens(model, PROMPT, sites=["L2H3.z", "L0H1.z", "L1.attn_out"])
    assert [(p.site, p.rows) for p in lens.panels] == [
        ("heads", ("L2H3", "L0H1")), ("L1.attn_out", ("L1",)),
    ]  # fmt: skip
    every = logit_lens(model, PROMPT, sites="z").panel()
    np.testing.assert_array_equal(
        lens.panel("heads").top_ids[0, 0], every.top_ids[0, every.rows.index("L2H3")]
    )


@pytest.mark.parametrize("name", ["gemma2", "olmo2", "llama", "bloom", "opt", "gpt_neox"])
def test_heads_and_their_bias_add_up_to_the_attention_output(name: str) -> None:
    model = zoo_model(name)
    heads = writers.writers_of(model, "L1.z")
    tokens = model.tokens([[5, 9, 7, 30]])
    run = model.run(tokens, read=sorted(writers.sites_to_read(heads)), logits_at=())
    written = writers.Writers(model, run, [0] * 4, range(4))
    total = written.stack(heads).sum(1) + written.attention_bias(1)
    torch.testing.assert_close(total, run["L1.attn_out"][0], atol=1e-5, rtol=1e-5)


def test_a_bfloat16_model_is_read_in_single_precision() -> None:
    model = words_model(dtype="bfloat16")
    panel = logit_lens(model, PROMPT, k=model.spec.d_vocab).panel()
    np.testing.assert_allclose(np.exp(panel.top_logprobs).sum(-1), 1, atol=1e-5)
    whole = logit_lens(words_model(), PROMPT, k=1).panel()
    agree = (panel.top_ids[0, -1, :, 0] == whole.top_ids[0, -1, :, 0]).mean()
    assert agree >= 0.8


def test_measures_left_out_are_absent() -> None:
    panel = logit_lens(words_model(), PROMPT, measures=()).panel()
    assert panel.entropy is None and panel.kl is None and panel.track_ids is None


def test_a_saved_lens_comes_back_and_draws_the_same(tmp_path: Path) -> None:
    lens = logit_lens(words_model(), PROMPT, **TARGETS, token_sets=SETS, sites=["resid_post", "z"])
    lens.save(tmp_path / "lens")
    again = LogitLens.load(tmp_path / "lens")
    assert repr(again) == repr(lens)
    assert again.to_frame().equals(lens.to_frame())
    assert again.target_frame().equals(lens.target_frame())


def test_the_table_has_a_line_for_each_of_the_top_k_of_each_cell() -> None:
    lens = logit_lens(words_model(), PROMPT, k=3, **TARGETS, token_sets=SETS)
    frame, n = lens.to_frame(), len(lens.tokens[0])
    assert len(frame) == 4 * n * 3
    assert list(frame.columns) == [
        "lens", "site", "row", "layer", "prompt", "pos", "token", "rank", "top_token",
        "top_id", "logprob", "probability", "entropy", "kl",
    ]  # fmt: skip
    cell = frame[(frame["row"] == "L1") & (frame["pos"] == 2)]
    assert cell["rank"].tolist() == [1, 2, 3] and set(cell["layer"]) == {1}
    assert cell["top_token"].tolist() == [lens.text(i) for i in lens.panel().top_ids[0, 2, 2]]
    targets = lens.target_frame()
    assert len(targets) == 4 * n * (2 + 2)
    assert set(targets["kind"]) == {"target", "set"}
    ranks = targets.loc[targets["kind"] == "target", "rank"].to_numpy().reshape(4, n, 2)
    np.testing.assert_array_equal(ranks, lens.panel().target_ranks[0] + 1)
    assert lens.top_tokens().shape == (4, n) and lens.top_tokens().index[0] == "L2"


def test_the_repr_says_model_component_and_sizes() -> None:
    lens = logit_lens(words_model(), PROMPT)
    assert repr(lens) == "LogitLens(words: logit lens of resid_post, 4 rows × 14 positions, top 10)"


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"sites": "resid"}, ValueError, r"A lens reads resid_pre, .* a site .*; got 'resid'"),
        ({"sites": "q"}, ValueError, "A lens reads .*; got 'q'"),
        ({"sites": "L1.q"}, ValueError, "the residual stream's width: .*; L1.q is none"),
        ({"sites": []}, ValueError, "at least one site; got an empty list"),
        ({"sites": "L7.resid_post"}, ValueError, "words has layers 0 to 2; got layer 7"),
        ({"sites": "L1H4.z"}, ValueError, "words has heads 0 to 3 in z; got head 4"),
        ({"positions": 14}, IndexError, "positions run from 0 to 13 .*; got position 14"),
        ({"positions": slice(0, 0)}, ValueError, "at least one position of every prompt"),
        ({"k": 0}, ValueError, "k is a whole number from 1; got 0"),
        ({"k": 10**6}, ValueError, r"k is a whole number from 1 to 334; got 1000000\. The"),
        ({"k": True}, ValueError, "k is a whole number from 1; got True"),
        ({"measures": ["surprise"]}, ValueError, "are entropy, kl, tracks; got 'surprise'"),
        ({"targets": " store Mary"}, ValueError, r"' store Mary' is 2 .*: ' store', ' Mary'"),
        ({"targets": ""}, ValueError, "one token; got an empty text. Write for example ' Mary'"),
        ({"targets": 10**6}, ValueError, "A target is a whole number from 0 to 333; got"),
        ({"targets": [1.5]}, TypeError, "targets is a text, a whole number, a list of items,"),
        ({"foils": " John"}, ValueError, "A foil is what a target is compared .* Add targets="),
        (
            {"targets": [" Mary", " John", " Paul"], "foils": [" Mary", " John"]},
            ValueError, "one each, or one for all; got 2 foils and 3 targets",
        ),
        ({"token_sets": {"x": []}}, ValueError, "A token set has at least one token; 'x' is empty"),
        ({"token_sets": {"x": " Mary"}}, TypeError, "token_sets is a mapping whose keys"),
        (
            {"token_sets": {"French": [" Mary", " store Mary"]}},
            ValueError, "A member of the token set 'French' is one token; ' store Mary' is 2",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_a_named_error(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        logit_lens(words_model(), PROMPT, **options)


def test_a_word_that_lacks_its_leading_space_is_told_so() -> None:
    with pytest.raises(ValueError, match="' Mary', with its leading space, is one token"):
        logit_lens(words_model(), PROMPT, targets="Mary")


def test_an_unknown_panel_or_prompt_names_those_there_are() -> None:
    lens = logit_lens(words_model(), PROMPT)
    with pytest.raises(KeyError, match="resid_post by the logit lens; got site='z'"):
        lens.panel("z")
    with pytest.raises(IndexError, match="prompts 0 to 0; got row=1"):
        lens.shown(1)


def test_a_stream_that_the_architecture_lacks_is_a_named_error() -> None:
    with pytest.raises(ValueError, match="has no resid_mid .* run in parallel"):
        logit_lens(zoo_model("gpt_neox"), [[5, 6, 7]], sites="resid_mid")


@pytest.mark.parametrize("n_vocab", [7, 300, 5000])
@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_top_k_by_blocks_are_those_of_a_sort(n_vocab: int, k: int) -> None:
    logits = torch.randn(4, 3, n_vocab, generator=torch.Generator().manual_seed(k))
    # The first that is in no whole block.
    logits[..., n_vocab // 256 * 256] = 9
    values, ids = readout.top_k(logits, k)
    torch.testing.assert_close(values, logits.sort(descending=True).values[..., :k], rtol=0, atol=0)
    torch.testing.assert_close(logits.gather(-1, ids), values, rtol=0, atol=0)


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.lists(st.integers(-4, 4), max_size=4)
)
def test_ranks_count_the_strictly_greater(values: list[int], limits: list[int]) -> None:
    counted = readout.count_greater(torch.tensor([values]).float(), torch.tensor([limits]).float())
    assert counted.tolist() == [[sum(v > limit for v in values) for limit in limits]]


@given(st.integers(1, 200), st.integers(1, 2048), st.integers(50, 260_000))
def test_a_batch_keeps_to_its_share_of_the_full_array(
    rows: int, positions: int, vocab: int
) -> None:
    size = readout.batch_positions(rows, positions, vocab)
    assert 1 <= size <= positions
    position = 4 * rows * vocab
    assert size == 1 or size * position <= max(8 << 20, 0.06 * position * positions)
    assert size == 1 or size * position <= 256 << 20


@pytest.mark.parametrize("sets", [None, {"some": [1, 2]}])
def test_no_more_than_one_batch_of_logits_is_ever_held(sets: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(readout, "batch_positions", lambda *shape: 4)
    alive: list[weakref.ref[np.ndarray]] = []
    generator = np.random.default_rng(0)

    def unembed(resid: torch.Tensor) -> torch.Tensor:
        assert not any(ref() is not None for ref in alive)
        logits = generator.normal(size=(len(resid), 40)).astype(np.float32)
        alive.append(weakref.ref(logits))
        return torch.from_numpy(logits)

    reading = readout.read_out(
        lambda at: torch.zeros(12, 3, 5)[at],
        unembed,
        n_positions=12,
        n_rows=3,
        d_vocab=40,
        k=2,
        final=2,
        targets=[4],
        sets=sets,
    )
    assert len(alive) == 3 and not any(ref() is not None for ref in alive)
    assert reading.top_ids.shape == (12, 3, 2)
    assert len(reading.track_ids) == len(reading.track_ranks) == reading.track_counts.sum()


def test_every_token_of_the_vocabulary_may_be_kept_and_a_target_is_followed_wherever_it_ranks() -> (
    None
):
    model = words_model()
    lowest = int(model.run(PROMPT, logits_at="last").logits[0, 0].argmin())
    lens = logit_lens(model, PROMPT, k=model.spec.d_vocab, targets=[lowest], positions=[-1])
    panel = lens.panel()
    assert panel.top_ids.shape[-1] == model.spec.d_vocab
    assert sorted(panel.top_ids[0, -1, 0].tolist()) == list(range(model.spec.d_vocab))
    np.testing.assert_allclose(np.exp(panel.top_logprobs).sum(-1), 1, atol=1e-4)
    assert panel.target_ranks[0, -1, 0, 0] == model.spec.d_vocab - 1
    # It is never the top one, and its way through the layers is there all the same.
    assert lowest not in panel.top_ids[0, :, 0, 0] and lowest in panel.track_ids
    frame = lens.to_frame()
    assert frame.groupby("row")["probability"].sum().to_numpy() == pytest.approx(1, abs=1e-4)


def test_the_start_token_is_put_in_front_where_it_is_asked_for() -> None:
    model = words_model()
    with_start = logit_lens(model, model.tokens(PROMPT, prepend_bos=True))
    without = logit_lens(model, model.tokens(PROMPT, prepend_bos=False))
    assert with_start.tokens[0] == (model.tokenizer.bos_token, *without.tokens[0])
    run = model.run(model.tokens(PROMPT, prepend_bos=True), logits_at="last").logits[0, 0]
    assert with_start.panel().top_ids[0, -1, -1, 0] == int(run.argmax())


@pytest.mark.parametrize("component", ["resid_post", "attn_out", "L1H2.z"])
def test_a_measure_is_the_same_whatever_else_is_measured(component: str) -> None:
    every = logit_lens(words_model(), PROMPT, sites=component).panel()
    for some in (["kl"], ["entropy"], ["tracks"], ["kl", "tracks"], []):
        panel = logit_lens(words_model(), PROMPT, sites=component, measures=some).panel()
        for name in ("kl", "entropy"):
            found = getattr(panel, name)
            assert (found is not None) == (name in some)
            if found is not None:
                np.testing.assert_allclose(found, getattr(every, name), atol=1e-6)
        assert (panel.track_ids is not None) == ("tracks" in some)
