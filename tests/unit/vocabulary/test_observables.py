"""Observables: what they measure, and what their vectors are, recomputed step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.kernels import path_gradient, read_path
from tests.unit.lens_models import TEXTS, words_model, zoo_model
from tests.unit.vectors import all_scores, facts, numbers, scores, words
from workbench.edits import Add
from workbench.loading import load
from workbench.tokens import token_strings
from workbench.vocabulary import couplings, observable

IDS = [[5, 9, 7, 30, 41], [6, 8, 11]]
ARCHITECTURES = ["gpt2", "llama", "gpt_neox", "gemma2", "olmo2", "bloom", "opt", "gptj"]
PROMPTS = [TEXTS[0][:-6], "When Paul and Anna went to the park, Anna gave a book to"]


def any_observable(model: Any) -> Any:
    return wb.vocabulary.observable(model, " Mary")


def zoo_observable(name: str, backend: str = "nnsight", dtype: str = "float32") -> Any:
    return wb.vocabulary.observable(zoo_model(name, backend, dtype), [5, 9], [7])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_measures_the_difference_of_the_mean_logits(name: str) -> None:
    obs = zoo_observable(name)
    logits = obs.model.run(IDS, logits_at="last").logits[:, 0].double()
    if (cap := obs.model.spec.soft_cap) is not None:
        logits = cap * torch.atanh(logits / cap)
    expected = (logits[:, 5] + logits[:, 9]) / 2 - logits[:, 7]
    np.testing.assert_allclose(obs.measure(IDS), expected, atol=2e-5)


def test_a_vector_over_the_vocabulary_is_the_same_observable() -> None:
    obs = zoo_observable("gpt2")
    again = wb.vocabulary.observable(obs.model, torch.tensor(obs.weights.copy()))
    np.testing.assert_allclose(again.measure(IDS), obs.measure(IDS), atol=1e-6)
    one, other = again.propagate("L1H2"), obs.propagate("L1H2")
    np.testing.assert_allclose(numbers(one), numbers(other), atol=1e-7)
    assert facts(one)["targets"] == []
    assert facts(other)["targets"] == [5, 9] and facts(other)["foils"] == [7]


def read_final(model: Any, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The last residual vector, and the observable's direction before the final norm."""
    x = model.run([ids], read="L2.resid_post")["L2.resid_post"][0, -1].double()
    norm = model.raw._module.transformer.ln_f
    unembed = model.raw._module.lm_head.weight.double()
    mary, john = (model.tokenizer(t).input_ids[0] for t in (" Mary", " John"))
    inner = norm.weight.double() * (unembed[mary] - unembed[john])
    return x, (inner - inner.mean()) / ((x - x.mean()).pow(2).mean() + norm.eps).sqrt()


def test_a_head_then_an_mlp_are_propagated_as_step_by_step() -> None:
    model = words_model()
    obs = wb.vocabulary.observable(model, " Mary", " John")
    vector = obs.propagate(["L1H2", "L2.mlp_out"], at=PROMPTS)
    hf = model.raw._module.transformer
    total, sizes = torch.zeros(32).double(), []
    for prompt in PROMPTS:
        ids = model.tokenizer(prompt).input_ids
        _, direction = read_final(model, ids)
        run = model.run([ids], read=["L2.resid_mid", "L1.pattern", "L1.resid_pre"])
        x = run["L2.resid_mid"][0, -1].detach().clone().requires_grad_()
        block = hf.h[2]
        (block.mlp(block.ln_2(x)).double() @ direction).backward()
        assert x.grad is not None
        gradient = x.grad.double()
        # y W_O^T W_V^T of head 2, by hand from the fused matrices.
        w_v = hf.h[1].attn.c_attn.weight[:, 64 + 16 : 64 + 24].double()
        w_o = hf.h[1].attn.c_proj.weight[16:24].double()
        inner = hf.h[1].ln_1.weight.double() * (w_v @ (w_o @ gradient))
        total += (inner - inner.mean()) / len(PROMPTS)
        size = 0.0
        for source in range(len(ids)):
            stream = run["L1.resid_pre"][0, source].double()
            scale = float((stream.var(unbiased=False) + hf.h[1].ln_1.eps).sqrt())
            size += float(run["L1.pattern"][0, 2, -1, source]) * scale
        sizes.append(size)
    np.testing.assert_allclose(numbers(vector), total.detach(), rtol=1e-4, atol=1e-6)
    info = facts(vector)
    assert info["size"] == pytest.approx(np.mean(sizes), rel=1e-5)
    assert (info["path"], info["points"]) == (["L1H2", "L2.mlp_out"], "prompts")
    assert list(map(str, vector)) == ["L1.resid_pre"]


def test_scores_are_what_each_tokens_own_stream_gives() -> None:
    model = words_model()
    obs = wb.vocabulary.observable(model, " Mary", " John")
    hf = model.raw._module.transformer
    for path, rows in (("L0H1", hf.wte.weight), ("L1H1", None)):
        vector = obs.propagate(path)
        for word in (" store", " Paul"):
            (i,) = model.tokenizer(word).input_ids
            if rows is None:
                stream = model.run([[i]], read="L0.resid_post")["L0.resid_post"][0, 0].double()
            else:
                stream = rows[i].double()
            norm = hf.h[int(path[1])].ln_1
            normed = (stream - stream.mean()) / (stream.var(unbiased=False) + norm.eps).sqrt()
            expected = float(normed @ torch.tensor(numbers(vector), dtype=torch.float64))
            assert scores(model, vector, [word])[0] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert list(map(str, obs.propagate(()))) == ["L2.resid_post"]


def test_words_are_the_largest_and_smallest_scores() -> None:
    model = words_model()
    vector = wb.vocabulary.observable(model, " Mary", " John").propagate("L0H1")
    most, least = words(model, vector, 4)
    order = np.argsort(all_scores(model, vector), kind="stable").tolist()

    def own(number: int) -> str:
        return token_strings(model.tokenizer, [number])[0]

    assert [own(i) for i in order[:-5:-1]] == most
    assert least[0] == own(order[0])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_mlp_is_passed_by_its_gradient(name: str) -> None:
    """Beside a small difference of what it writes, in the model's own pass."""
    obs = zoo_observable(name)
    model = obs.model
    tokens = model.tokens([[5], [31]])
    push = 1e-2 * torch.randn(2, 1, 32, generator=torch.Generator().manual_seed(1))
    steps = read_path(model, "L1.mlp_out")
    found = path_gradient(model, obs.direction, tokens, steps)
    site = "L1.resid_pre" if model.spec.parallel else "L1.resid_mid"
    outs = []
    for sign in (1.0, -1.0):
        run = model.run(tokens, read="L1.mlp_out", edits=Add(site, sign * push), logits_at=())
        outs.append((run["L1.mlp_out"] * found.written).sum((1, 2)))
    expected = (outs[0] - outs[1]) / 2
    actual = (found.grad * push).sum((1, 2))
    torch.testing.assert_close(actual, expected, rtol=2e-2, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "gemma2", "llama"])
def test_the_backends_give_the_same_vectors_and_paths(name: str) -> None:
    one, other = (zoo_observable(name, backend) for backend in ("nnsight", "transformer_lens"))
    for path in ["L1H3", ["L0H2", "L1.mlp_out"]]:
        for at in (None, IDS):
            a, b = one.propagate(path, at=at), other.propagate(path, at=at)
            np.testing.assert_allclose(numbers(a), numbers(b), atol=1e-5)
            each = [all_scores(o.model, v) for o, v in ((one, a), (other, b))]
            np.testing.assert_allclose(each[0], each[1], atol=1e-5)
    a, b = one.paths(), other.paths()
    assert set(a.paths) == set(b.paths)
    np.testing.assert_allclose(a.spread, b.spread, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox", "gemma2"])
def test_every_listed_path_is_ranked_by_the_spread_of_its_own_vector(name: str) -> None:
    obs = zoo_observable(name)
    for at in (None, IDS):
        found = obs.paths(at=at)
        assert list(found.spread) == sorted(found.spread, reverse=True)
        assert len(set(found.paths)) == len(found.paths)
        for i in (0, 3, len(found.paths) - 1):
            vector = obs.propagate(found.paths[i], at=at)
            spread, length = all_scores(obs.model, vector).std(), np.linalg.norm(numbers(vector))
            assert found.spread[i] == pytest.approx(spread, rel=1e-3, abs=1e-6)
            assert found.norm[i] == pytest.approx(length, rel=1e-3, abs=1e-6)
    # Heads of two layers, alone, with their own MLP or a later one; a parallel MLP reads no head
    # of its layer.
    assert len(found.paths) == 4 * (1 + 2) + 4 * (1 + 1) - 8 * obs.model.spec.parallel
    few = obs.paths(words=[5, 6, 7])
    best = obs.propagate(few.best)
    assert few.words == ("w5", "w6", "w7")
    assert few.spread[0] == pytest.approx(all_scores(obs.model, best)[5:8].std(), rel=1e-3)


def test_half_precision_gives_nearly_the_same_vector() -> None:
    one, other = zoo_observable("llama"), zoo_observable("llama", dtype="bfloat16")
    for path in ("L1H3", ["L0H2", "L1.mlp_out"]):
        a, b = (numbers(each.propagate(path, at=IDS)) for each in (one, other))
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999
        assert np.linalg.norm(b) == pytest.approx(np.linalg.norm(a), rel=0.02)


def test_a_norm_changes_the_size_and_hardly_the_direction() -> None:
    """The paper's theorem: the true gradient through a layer norm is nearly parallel to y."""
    model = words_model()
    obs = wb.vocabulary.observable(model, " Mary", " John")
    direct = obs.propagate(at=PROMPTS)
    metric = obs.direction
    norm = model.norm("ln_final")
    for prompt in PROMPTS:
        x = model.run(prompt, read="L2.resid_post")["L2.resid_post"][0, -1].detach()
        x = x.clone().requires_grad_()
        (norm(x) @ metric).backward()
        assert x.grad is not None
        cosine = torch.cosine_similarity(x.grad, torch.tensor(numbers(direct)), dim=0)
        assert float(cosine) > 0.95
    assert facts(direct)["agreement"] == pytest.approx(1.0, abs=1e-6)


def square(table: wb.vocabulary.Couplings) -> Any:
    """A row moves by 1, a column follows."""
    return table.to_frame().pivot(index="moved", columns="follows", values="coefficient")


def test_couplings_are_ratios_of_products() -> None:
    model = words_model()
    one, other = (
        wb.vocabulary.observable(model, " Mary", " John"),
        wb.vocabulary.observable(model, " store"),
    )
    v, w = one.propagate("L1H1"), other.propagate("L1H1")
    table = wb.vocabulary.couplings([v, w])
    a, b = numbers(v).astype(float), numbers(w).astype(float)
    np.testing.assert_allclose(
        table.coefficients, [[1, a @ b / (a @ a)], [a @ b / (b @ b), 1]], rtol=1e-5
    )
    assert table.cosines[0, 1] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), rel=1e-5)
    assert one.coupling(other, "L1H1") == pytest.approx(table.coefficients[0, 1])
    cell: Any = square(table).loc[" Mary −  John", " store"]
    assert cell == pytest.approx(table.coefficients[0, 1], rel=1e-5)
    names = wb.vocabulary.couplings([v, one.propagate("L1H2")]).names
    assert names == (" Mary −  John by L1H1", " Mary −  John by L1H2")


def test_a_coupling_is_what_the_other_observable_does() -> None:
    model = words_model()
    one, other = (
        wb.vocabulary.observable(model, " Mary", " John"),
        wb.vocabulary.observable(model, " Mary", " store"),
    )
    v, w = one.propagate(at=PROMPTS), other.propagate(at=PROMPTS)
    gradient = numbers(v) / np.float32(facts(v)["size"])
    step = torch.tensor(1e-2 * gradient / (gradient @ gradient))
    moved = []
    for obs in (one, other):
        x = model.run(PROMPTS, read="L2.resid_post")["L2.resid_post"][[0, 1], [-1, -1]]
        norm = model.norm("ln_final")
        # The norm's scale is held still, as the vectors hold it.
        change = norm.center(step) / norm.scale(x) * norm.weight @ obs.direction
        moved.append(float(change.mean()))
    expected = wb.vocabulary.couplings([v, w]).coefficients[0, 1]
    assert moved[1] / moved[0] == pytest.approx(expected, rel=1e-3)


def test_results_are_saved_and_say_what_they_are(tmp_path: Path) -> None:
    obs = wb.vocabulary.observable(words_model(), " Mary", " John")
    vector = obs.propagate("L1H2")
    (one,) = vector.values()
    again = wb.Dictionary.load(one.save(tmp_path / "vector"))
    assert torch.equal(again.W_dec, one.W_dec) and again.site == one.site
    assert dict(again.info) == dict(one.info) and again.names == (" Mary −  John",)
    assert repr(obs) == "Observable(words:  Mary −  John)"
    assert one.name == " Mary −  John by L1H2" and vector.model == "words"
    found = obs.paths()
    found.save(tmp_path / "paths")
    assert wb.vocabulary.ObservablePaths.load(tmp_path / "paths").paths == found.paths
    assert found.to_frame()["path"].tolist()[0] == " → ".join(found.best)
    table = wb.vocabulary.couplings([vector])
    table.save(tmp_path / "table")
    assert wb.vocabulary.Couplings.load(tmp_path / "table").names == (" Mary −  John",)


def test_a_vector_is_a_dictionary_with_words_edits_and_a_page() -> None:
    model = words_model()
    vector = wb.vocabulary.observable(model, " Mary", " John").propagate("L1H2")
    size = float(np.linalg.norm(numbers(vector)))
    unit = torch.tensor(numbers(vector)) / size
    plain = model.run(PROMPTS[0], read="L1.resid_pre")["L1.resid_pre"][0, -1]
    for change, expected in (
        (vector.add(" Mary −  John", 2.0), plain + 2 * size * unit),
        (vector.project_out([" Mary −  John"]), plain - (plain @ unit) * unit),
    ):
        run = model.run(PROMPTS[0], read="L1.resid_pre", edits=change)
        torch.testing.assert_close(run["L1.resid_pre"][0, -1], expected, rtol=1e-4, atol=1e-5)
    frame = wb.vocabulary.words(model, vector, k=3).to_frame("words")
    assert frame.direction.unique().tolist() == [" Mary −  John"] and len(frame) == 6
    table = wb.vocabulary.words(model, vector, k=3, space="site")
    assert "3 words" in repr(table) and len(table.png()) > 1000
    page = wb.features.page(model, PROMPTS, vector, "L1.resid_pre/0", progress=False)
    assert repr(page).startswith("FeaturePage(words: L1.resid_pre/0 ")
    # One dictionary passes where one is asked for.
    check: Any = wb.features.check
    assert len(check(model, PROMPTS, vector).to_frame()) > 0


def test_stories_are_read_by_both_backends(asset: Callable[..., Path]) -> None:
    folder = asset("models", "stories260K")
    vectors = []
    for backend in ("nnsight", "transformer_lens"):
        model = load(folder, backend=backend, device="cpu")
        obs = wb.vocabulary.observable(model, [300], [301])
        found = obs.paths()
        vectors.append((obs.propagate(found.best), found.spread))
    (a, one), (b, other) = vectors
    assert facts(a)["path"] == facts(b)["path"]
    np.testing.assert_allclose(numbers(a), numbers(b), atol=1e-5)
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: observable(m, " store Mary"), "' store Mary' is 2 for this tokenizer"),
        (lambda m: observable(m, []), "at least one target; got none"),
        (lambda m: observable(m, " Mary", [" John", " Mary"]), "' Mary' stands twice"),
        (lambda m: observable(m, np.ones(7)), r"shape \(\d+,\); got float64 of shape \(7,\)"),
        (lambda m: observable(m, np.zeros(m.spec.d_vocab)), "not zero everywhere"),
        (lambda m: observable(m, np.ones(m.spec.d_vocab), " Mary"), "Leave foils out"),
        (lambda m: observable(m, " Mary").propagate("L7H1"), "layers 0 to 2"),
        (lambda m: observable(m, " Mary").propagate("L1"), "A component is written"),
        (lambda m: observable(m, " Mary").propagate("embed"), "the embedding reads nothing"),
        (
            lambda m: observable(m, " Mary").propagate(["L2H1", "L1H1"]),
            "L1H1.z does not read L2H1.z. Give it from the first to the last",
        ),
        (lambda m: observable(m, " Mary").propagate(["L1H0", "L1H1"]), "does not read"),
        (lambda m: any_observable(m).propagate(position=slice(2)),
         "a whole number or 'last'; got sl"),
        (
            lambda m: any_observable(m).paths(embedding="pos"),
            "embedding is one of 'weights', 'first_block' or None; got",
        ),
        (
            lambda m: wb.vocabulary.words(m, np.ones(32), space="site"),
            "reads the vectors of a dictionary, which names their site",
        ),
        (
            lambda m: wb.vocabulary.words(
                m, wb.Dictionary.of(np.ones((1, 32)), site="L1.mlp_out"), space="site"
            ),
            "read in the residual stream; got vectors of L1.mlp_out",
        ),
        (lambda m: couplings([]), "Vectors are dictionaries, at least one"),
        (
            lambda m: couplings(
                [observable(m, " Mary").propagate("L1H1"), observable(m, " John").propagate("L2H1")]
            ),
            "L1.resid_pre and words L2.resid_pre",
        ),
        (
            lambda m: wb.vocabulary.observable(m, " Mary").coupling(zoo_observable("gpt2"), "L0H0"),
            "Two observables couple in one model",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_a_named_error(call: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call(words_model())


def test_a_parallel_mlp_does_not_read_its_own_heads() -> None:
    obs = zoo_observable("gpt_neox")
    with pytest.raises(ValueError, match="L1.mlp_out does not read L1H0.z"):
        obs.propagate(["L1H0", "L1.mlp_out"])


def test_a_read_out_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = zoo_model("gpt2")
    plain = type(model).unembed
    monkeypatch.setattr(type(model), "unembed", lambda self, x: 2 * plain(self, x))
    with pytest.raises(ValueError, match="is not its final norm and unembedding"):
        wb.vocabulary.observable(model, 5)
