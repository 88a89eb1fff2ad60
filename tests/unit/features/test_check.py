"""The check of a dictionary against a model: every number recomputed, and what it warns of."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit import lens_models
from tests.unit.random_dictionaries import dictionary, transcoder
from workbench import plots
from workbench.dictionary.base import Dictionary
from workbench.dictionary.encoders import ReLU
from workbench.dictionary.normalization import Normalization
from workbench.model import Model

TEXTS = wb.texts("tinyworld", n=6)
ZOO_TEXTS = ["w3 w4 w5 w6 w7 w8", "w9 w10", "w11 w12 w13 w14 w15", "w16 w17 w18 w19 w20 w21 w22"]

PLAIN = Normalization()


@cache
def tinyworld(backend: str = "nnsight") -> Model:
    return wb.load("tinyworld", backend=backend, device="cpu")


def activations(model: Model, texts: Any, site: str) -> list[torch.Tensor]:
    """(pos, d) of each text, run by itself."""
    return [model.run([text], read=[site], logits_at=())[site][0].float() for text in texts]


def principal(
    model: Model, texts: Any, site: str, rank: int, way: Normalization = PLAIN
) -> Dictionary:
    """Both signs of the first principal directions of the normalised activations."""
    x = torch.cat(activations(model, texts, site))
    inner = way.split(x)[0]
    mean = inner.mean(0)
    directions = torch.linalg.svd(inner - mean, full_matrices=False)[2][:rank]
    W_dec = torch.cat([directions, -directions])
    encoder = ReLU(W_dec.T.contiguous(), -(mean @ W_dec.T))
    return Dictionary(
        site, encoder, W_dec, mean, normalization=way, model=model.spec.name, name="principal"
    )


def slow_scores(
    made: Dictionary, way: Normalization, reads: list[torch.Tensor], gives: list[torch.Tensor]
) -> tuple[float, float, float]:
    tried = replace(made, normalization=way)
    out = []
    for skip in (0, 1):
        pairs = [
            (x, y)
            for xs, ys in zip(reads, gives, strict=True)
            for x, y in list(zip(xs, ys, strict=True))[skip:]
        ]
        mean = torch.stack([y.double() for _, y in pairs]).mean(0)
        error = sum(
            float(((tried.reconstruct(x[None])[0] - y).double() ** 2).sum()) for x, y in pairs
        )
        spread = sum(float(((y.double() - mean) ** 2).sum()) for _, y in pairs)
        out.append(1 - error / spread)
    codes = [tried.encode(x[None])[0] for xs in reads for x in xs]
    return out[0], out[1], sum(int((c != 0).sum()) for c in codes) / len(codes)


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_every_number_of_a_check_is_recomputed(backend: str) -> None:
    model = tinyworld(backend)
    made = principal(model, TEXTS, "L2.resid_post", 20)
    result = wb.features.check(model, TEXTS[:3], made)
    reads = activations(model, TEXTS[:3], "L2.resid_post")
    flat = torch.cat(reads)
    assert result.n_positions == len(flat) == 192
    norms = [float((x.double() ** 2).sum()) ** 0.5 for x in flat]
    assert result.mean_norm == pytest.approx(np.mean(norms), rel=1e-5)
    along = sum(float(x.double().sum()) ** 2 / 128 for x in flat)
    assert result.mean_share == pytest.approx(along / sum(n**2 for n in norms), rel=1e-3)
    factor = 128**0.5 / float(np.mean(norms))
    ways = {
        "as it is": Normalization(),
        "mean taken away": Normalization(True),
        f"times {factor:.3g}": Normalization(False, "factor", factor),
        "layer norm": Normalization(False, "layer_norm"),
        "constant norm": Normalization(False, "constant_norm"),
    }
    assert result.variants == tuple(ways)
    for i, way in enumerate(ways.values()):
        assert (result.scale[i], bool(result.center[i])) == (way.scale, way.center)
        assert result.factor[i] == pytest.approx(way.factor, rel=1e-5)
        wanted = slow_scores(made, way, reads, reads)
        found = (result.explained_variance[i], result.explained_after_first[i], result.l0[i])
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert result.best == int(np.argmax(result.explained_after_first))
    frame = result.to_frame()
    assert list(frame["variant"]) == list(ways)
    np.testing.assert_array_equal(frame["l0"], result.l0)
    for name in ("explained_variance", "explained_after_first", "factor", "center"):
        np.testing.assert_array_equal(frame[name], getattr(result, name))
    assert repr(result).startswith(
        "DictionaryCheck(tinyworld: L2.resid_post, relu, 40 features of 128: explained variance "
        f"{result.explained_variance[0]:.3f} ({result.explained_after_first[0]:.3f} after first"
    )
    assert result.warned == () and result.same_model is True
    assert tuple(map(len, result.tokens)) == (64, 64, 64)


def test_a_transcoder_is_measured_at_the_site_it_gives() -> None:
    model = tinyworld()
    made = replace(
        principal(model, TEXTS, "L1.mlp_out", 30), site="L1.mlp_in", out_site="L1.mlp_out"
    )
    with pytest.warns(
        UserWarning, match=r"explains -?\d+.\d+ of the variance at L1.mlp_out of tin"
    ):
        result = wb.features.check(model, TEXTS[:2], made)
    reads, gives = (activations(model, TEXTS[:2], str(s)) for s in (made.site, made.out_site))
    wanted = slow_scores(made, made.normalization, reads, gives)
    found = (result.explained_variance[0], result.explained_after_first[0], result.l0[0])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert "L1.mlp_in → L1.mlp_out" in repr(result)


def test_padding_does_not_count_and_single_tokens_leave_nothing_after_the_first() -> None:
    model = lens_models.zoo_model("gpt2")
    made = principal(model, ZOO_TEXTS, "L1.resid_post", 12)
    together = wb.features.check(model, ZOO_TEXTS, made)
    alone = wb.features.check(model, ZOO_TEXTS, made)
    assert together.n_positions == alone.n_positions == 20
    np.testing.assert_allclose(together.score, alone.score, atol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        single = wb.features.check(model, ["w3", "w4", "w5"], made)
    assert np.isnan(single.explained_after_first).all()
    np.testing.assert_array_equal(single.score, single.explained_variance)


def test_no_more_positions_are_read_than_are_sampled() -> None:
    model = tinyworld()
    made = principal(model, TEXTS, "L2.resid_post", 20)
    # All texts have 64 tokens but the first, and 8 go through the model at a time.
    texts = [TEXTS[0][:20], *TEXTS * 12]
    result = wb.features.check(model, texts, made)
    assert result.n_positions == 4096 and len(result.tokens) == 72 < len(texts)


def test_centring_is_told_from_the_activations() -> None:
    model = lens_models.zoo_model("gpt2")
    made = principal(model, ZOO_TEXTS, "L1.resid_post", 31, Normalization(center=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = wb.features.check(model, ZOO_TEXTS, made)
    assert right.score[0] > 0.999 and right.warned == ()
    left = replace(made, normalization=Normalization())
    with pytest.warns(UserWarning, match="“mean taken away” .*Dictionary.load.*center=True"):
        wrong = wb.features.check(model, ZOO_TEXTS, left)
    assert wrong.variants[wrong.best] == "mean taken away"
    assert wrong.score[wrong.best] == pytest.approx(right.score[0], abs=1e-6)
    assert 1 - wrong.score[0] > 1.25 * (1 - wrong.score[wrong.best])


def test_another_factor_is_told_from_the_activations() -> None:
    model = tinyworld()
    x = torch.cat(activations(model, TEXTS, "L1.mlp_out"))
    factor = 128**0.5 / float(x.norm(dim=-1).mean())
    made = principal(model, TEXTS, "L1.mlp_out", 25, Normalization(scale="factor", factor=factor))
    # Its largest direction is the mean itself, which only b_dec now stands for.
    mean = made.b_dec / made.b_dec.norm()
    W_dec = made.W_dec - (made.W_dec @ mean)[:, None] * mean
    made = replace(made, W_dec=W_dec, encoder=ReLU(W_dec.T.contiguous(), torch.zeros(50)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = wb.features.check(model, TEXTS, made)
    assert right.scale[0] == "factor" and right.variants[1:3] == ("mean taken away", "not scaled")
    with pytest.warns(
        UserWarning, match=rf"“times {factor:.3g}” .*center=False, factor={factor:.4g}"
    ):
        wrong = wb.features.check(model, TEXTS, replace(made, normalization=Normalization()))
    same = wrong.variants.index(f"times {factor:.3g}")
    assert wrong.score[same] == pytest.approx(right.score[0], abs=1e-5)
    # Scaled one by one, each is also given its own length back: named, since it is better by far.
    assert wrong.variants[wrong.best] == "constant norm"
    assert re.search(r"“constant norm” .*Normalization\(False, 'constant_norm'\)", wrong.warned[0])


def test_a_dictionary_of_another_model_and_one_that_explains_little_are_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tinyworld()
    made = principal(model, TEXTS, "L2.resid_post", 20)
    with pytest.warns(
        UserWarning, match="made for 'gpt2-small'; this model is 'tinyworld'. It exp"
    ):
        result = wb.features.check(model, TEXTS, replace(made, model="gpt2-small"))
    assert result.same_model is False and len(result.warned) == 1
    assert "1 warning)" in repr(result)
    assert wb.features.check(model, TEXTS, replace(made, model="")).same_model is None
    random = dictionary("relu", d_in=128, n=64, site="L2.resid_post", model="org/tinyworld")
    with pytest.warns(
        UserWarning, match=r"over 384 positions\), less than 0.5: it may be of anoth"
    ):
        result = wb.features.check(model, TEXTS, random)
    assert result.same_model is True and result.score[0] < 0.5
    # Other normalisations do better and still explain nothing: no sign of anything.
    assert result.score.max() < 0 and len(result.warned) == 1
    model = lens_models.zoo_model("gpt2")
    monkeypatch.setattr(model, "spec", replace(model.spec, name="openai-community/gpt2"))
    made = dictionary("relu", d_in=model.spec.d_model, site="L1.mlp_out", model="gpt2-small")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert wb.features.check(model, ZOO_TEXTS, made).same_model is True


def test_texts_are_the_models_own_or_english() -> None:
    model = tinyworld()
    made = principal(model, TEXTS, "L2.resid_post", 40)
    assert wb.features.check(model, None, made).tokens == tuple(
        model.tokens([text]).strings[0] for text in wb.texts("tinyworld", n=64)
    )
    words = lens_models.words_model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = wb.features.check(words, None, dictionary("relu", d_in=32, site="L1.mlp_out"))
    assert len(result.tokens) == 8


def test_a_dictionary_that_cannot_work_is_refused() -> None:
    model = tinyworld()
    made = dictionary("relu", d_in=128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        neurons = dictionary("topk", d_in=512, site="L0.mlp_post")
        assert wb.features.check(model, TEXTS[:2], neurons).n_positions > 0
    with pytest.raises(
        ValueError, match="does not fit tinyworld. tinyworld has layers 0 to 3; got"
    ):
        wb.features.evaluate(model, TEXTS, [made, dictionary("relu", d_in=128, site="L4.mlp_out")])
    with pytest.raises(
        ValueError, match="reads vectors of width 12; L1.resid_post of tinyworld has"
    ):
        wb.features.check(model, None, dictionary("relu"))
    wide = dictionary("relu", d_in=128, site="L1.mlp_post")
    with pytest.raises(
        ValueError, match="width 128; L1.mlp_post of tinyworld has 512.*load one tha"
    ):
        wb.features.check(model, None, wide)
    narrow = replace(transcoder(), encoder=dictionary("relu", d_in=128).encoder)
    with pytest.raises(
        ValueError, match="gives vectors of width 12; L1.mlp_out of tinyworld has 128"
    ):
        wb.features.check(model, None, narrow)
    parallel = lens_models.zoo_model("gpt_neox")
    d = parallel.spec.d_model
    with pytest.raises(ValueError, match="does not fit .*has no resid_mid.*run in parallel"):
        wb.features.check(parallel, None, dictionary("relu", d_in=d, site="L0.resid_mid"))
    with pytest.raises(ValueError, match="at least one; got none"):
        wb.features.check(model, [], made)


def test_a_check_is_saved_and_drawn(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    model = tinyworld()
    made = principal(model, TEXTS, "L2.resid_post", 20)
    result = wb.features.check(model, TEXTS, made)
    again = wb.features.DictionaryCheck.load(result.save(tmp_path / "check"))
    assert repr(again) == repr(result) and again.same_model is True
    np.testing.assert_array_equal(again.explained_variance, result.explained_variance)
    ax = plots.plot(result)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(result.variants)
    bars: Any = ax.patches
    lengths = [bar.get_width() for bar in bars]
    np.testing.assert_allclose(lengths[:5], result.explained_after_first)
    np.testing.assert_allclose(lengths[5:], result.explained_variance)
    assert f"{result.score[0]:.3f}, L0 {result.l0[0]:.1f}" in {t.get_text() for t in ax.texts}
    plt.close("all")
