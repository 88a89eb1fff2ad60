"""The numbers of a dictionary, each recomputed text by text from runs of their own."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.circuit_models import BACKENDS, tinyworld
from workbench.dictionary.base import Dictionary, Splice
from workbench.dictionary.collection import Dictionaries
from workbench.dictionary.encoders import JumpReLU, Linear, TopK
from workbench.tokens import Tokens

#: Of unequal lengths, so that most rows are padded; in batches of two the last one is alone.
TEXTS = (
    "The class of the dog is mammal.",
    "Mary said that she was late.<|endoftext|>The key near the cabinets is old.",
    "The capital of France is Paris.",
    "Start at Monday and go 3 days after: it is Thursday.",
    "The play was superb and the end was exciting. All in all it was good.",
)
CLOSE: dict[str, Any] = {"rtol": 2e-5, "atol": 1e-4}


def near(value: float) -> Any:
    return pytest.approx(value, rel=CLOSE["rtol"], abs=CLOSE["atol"])


def topk(site: str, n: int = 40, seed: int = 0) -> Dictionary:
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(n, 128, generator=generator), dim=-1)
    encoder = TopK(directions.T.contiguous(), torch.full((n,), -0.5), 6)
    return Dictionary(site, encoder, 0.5 * directions, torch.full((128,), 0.01))


def transcoder() -> Dictionary:
    made = topk("L2.mlp_in", 24, 3)
    return Dictionary(made.site, made.encoder, made.W_dec, made.b_dec, out_site="L2.mlp_out")


def identity(site: str) -> Dictionary:
    return Dictionary(
        site, Linear(torch.eye(128), torch.zeros(128)), torch.eye(128), torch.zeros(128)
    )


@cache
def several() -> Dictionaries:
    return Dictionaries([topk("L0.attn_out"), topk("L1.resid_post", 30, 1), transcoder()])


@cache
def evaluated(backend: str = "nnsight") -> wb.features.DictionaryEvaluation:
    return wb.features.evaluate(tinyworld("tinyworld", backend), TEXTS, several(), progress=False)


def alone(text: str, *edits: Any) -> tuple[torch.Tensor, float]:
    """Log-probabilities (pos, d_vocab) of one text, and the summed loss of its next tokens."""
    logits = tinyworld().run([text], edits=edits).logits
    assert logits is not None
    scores = logits[0].double().log_softmax(-1)
    ids = tinyworld().tokens([text]).ids[0]
    loss = 0.0
    for p in range(len(ids) - 1):
        loss -= float(scores[p, ids[p + 1]])
    return scores, loss


def activations(text: str, site: Any) -> torch.Tensor:
    return tinyworld().run([text], read=site)[site][0]


def test_every_sum_is_that_of_each_text_by_itself() -> None:
    result = evaluated()
    sites = ["L0.attn_out", "L1.resid_post", "L2.mlp_out"]
    assert result.names == (*sites, "all") and result.sites == (*sites, "")
    assert result.n_features == (40, 30, 24, 0) and result.kinds == ("topk",) * 3 + ("",)
    everything = [Splice(d) for d in several().values()]
    for at, dictionary in enumerate(several().values()):
        site = dictionary.out_site
        mean = torch.cat([activations(text, site) for text in TEXTS]).double().mean(0)
        fired = torch.zeros(dictionary.n_features)
        for t, text in enumerate(TEXTS):
            x, y = activations(text, dictionary.site), activations(text, site)
            codes = dictionary.encode(x)
            fired += (codes > 0).sum(0)
            plain, loss = alone(text)
            assert result.n_tokens[t] == len(x) and result.n_predicted[t] == len(x) - 1
            assert result.plain[t] == near(loss)
            error = (y - dictionary.decode(codes, x)).double().pow(2).sum()
            assert result.squared_error[at, t] == near(float(error))
            variance = (y.double() - mean).pow(2).sum()
            assert result.variance[at, t] == near(float(variance))
            assert result.active[at, t] == int((codes > 0).sum())
            now, spliced = alone(text, Splice(dictionary))
            assert result.spliced[at, t] == near(spliced)
            kl = float((plain.exp() * (plain - now)).sum())
            assert result.kl[at, t] == near(kl)
            assert result.zero[at, t] == near(alone(text, wb.Set(site, 0.0))[1])
            assert result.mean[at, t] == near(alone(text, wb.Set(site, mean))[1])
            if at == 0:
                assert result.spliced[3, t] == near(alone(text, *everything)[1])
        n = int(result.n_tokens.sum())
        np.testing.assert_allclose(
            result.frequency[at, : dictionary.n_features], fired / n, rtol=1e-6
        )
        assert list(result.dead(str(site))) == [f for f, c in enumerate(fired) if c == 0]
        assert list(result.dense(str(site))) == [f for f, c in enumerate(fired) if c / n > 0.1]
        assert result.l0(str(site)) == pytest.approx(float(fired.sum()) / n)
    assert np.isnan(result.frequency[3]).all() and np.isnan(result.squared_error[3]).all()
    assert np.isnan(result.frequency[1, 30:]).all()


def test_scores_are_ratios_of_sums_with_intervals_over_texts() -> None:
    result = evaluated()
    for at, name in enumerate(result.names[:3]):
        value, low, high = result.explained_variance(name)
        assert value == pytest.approx(
            1 - result.squared_error[at].sum() / result.variance[at].sum(), rel=1e-9
        )
        assert low <= value <= high
        for baseline in ("zero", "mean"):
            ablated = getattr(result, baseline)[at].sum()
            value, low, high = result.loss_recovered(name, baseline)
            wanted = (ablated - result.spliced[at].sum()) / (ablated - result.plain.sum())
            assert value == pytest.approx(wanted, rel=1e-9) and low <= high
    narrow = result.explained_variance(level=0.5)
    wide = result.explained_variance()
    assert wide[1] <= narrow[1] <= narrow[2] <= wide[2]
    assert np.isnan(result.explained_variance("all")).all()
    frame = result.to_frame()
    assert list(frame.index) == list(result.names)
    assert frame.loc["L1.resid_post", "loss"] == pytest.approx(
        result.plain.sum() / result.n_predicted.sum()
    )
    assert frame.loc["L1.resid_post", "loss_recovered"] == result.loss_recovered("L1.resid_post")[0]


def test_both_backends_give_the_same_numbers() -> None:
    ours, theirs = (evaluated(backend) for backend in BACKENDS)
    for key in ("plain", "spliced", "zero", "mean", "kl", "squared_error", "active", "frequency"):
        np.testing.assert_allclose(getattr(theirs, key), getattr(ours, key), **CLOSE)


def test_a_perfect_dictionary_recovers_everything_and_an_empty_one_nothing() -> None:
    site = "L1.resid_post"
    x = torch.cat([activations(text, site) for text in TEXTS])
    nothing = JumpReLU(torch.zeros(128, 3), torch.zeros(3), torch.ones(3))
    named = {
        "perfect": identity(site),
        "mean": Dictionary(site, nothing, torch.zeros(3, 128), x.mean(0)),
        "zero": Dictionary(site, nothing, torch.zeros(3, 128), torch.zeros(128)),
    }
    result = wb.features.evaluate(tinyworld(), TEXTS, named, progress=False)
    # Three of one site cannot be spliced in one pass, so that there is no line for all.
    assert result.names == ("perfect", "mean", "zero")
    for score in (result.explained_variance, result.loss_recovered):
        np.testing.assert_allclose(score("perfect"), 1.0, atol=1e-6)
    assert result.l0("perfect") == 128.0 and result.l0("zero") == 0.0
    assert result.explained_variance("mean")[0] == pytest.approx(0.0, abs=1e-6)
    assert result.loss_recovered("mean", "mean")[0] == pytest.approx(0.0, abs=1e-5)
    assert result.loss_recovered("zero", "zero")[0] == pytest.approx(0.0, abs=1e-5)
    assert list(result.dead("zero")) == [0, 1, 2]
    assert result.kl[0].max() < 1e-6 < result.kl[1].min()


def test_an_ablation_that_costs_nothing_leaves_nothing_to_recover() -> None:
    result = evaluated()
    cheap = replace(result, zero=np.tile(result.plain, (4, 1)) + 1e-4)
    assert np.isnan(cheap.loss_recovered("L0.attn_out")).all()
    assert np.isfinite(cheap.loss_recovered("L0.attn_out", "mean")).all()


def test_tokens_and_lists_of_ids_are_texts_too() -> None:
    tokens = tinyworld().tokens(list(TEXTS[:3]), padding_side="left")
    assert isinstance(tokens, Tokens) and tokens.padded
    ids = [tinyworld().tokens([text]).ids[0].tolist() for text in TEXTS[:3]]
    for given in (tokens, ids):
        other = wb.features.evaluate(tinyworld(), given, several()["L1.resid_post"], progress=False)
        np.testing.assert_allclose(other.spliced[0], evaluated().spliced[1, :3], **CLOSE)
        np.testing.assert_allclose(
            other.squared_error[0], evaluated().squared_error[1, :3], **CLOSE
        )


def test_a_saved_evaluation_comes_back_and_is_drawn(tmp_path: Any) -> None:
    result = evaluated()
    result.save(tmp_path / "evaluation")
    again = wb.features.DictionaryEvaluation.load(tmp_path / "evaluation")
    assert again.names == result.names and again.n_features == result.n_features
    np.testing.assert_array_equal(again.spliced, result.spliced)
    assert repr(again) == repr(result)
    assert "3 dictionaries on 5 texts" in repr(result)
    one = wb.features.evaluate(tinyworld(), TEXTS[:2], topk("L0.attn_out"), progress=False)
    assert "L0.attn_out, topk, 40 features: explained variance" in repr(one)
    import matplotlib.pyplot as plt

    rows = result.plot()
    assert [label.get_text() for label in rows.get_yticklabels()] == list(result.names[:3])
    bars = result.plot(name="L1.resid_post")
    heights = [patch.get_height() for patch in bars.patches]
    assert sum(heights) == 30 and heights[-1] == len(result.dead("L1.resid_post"))
    with pytest.raises(ValueError, match="Frequencies are of one dictionary"):
        result.plot(name="all")
    plt.close("all")


@pytest.mark.parametrize(
    ("dictionaries", "texts", "options", "error", "match"),
    [
        ([], TEXTS, {}, ValueError, "at least one dictionary to evaluate; got none"),
        (
            "L0.attn_out",
            TEXTS,
            {},
            TypeError,
            "dicts is a Dictionary, a list of Dictionaries or a mapping",
        ),
        (topk("L7.attn_out"), TEXTS, {}, ValueError, "layers 0 to 3; got layer 7"),
        (topk("L1.mlp_post"), TEXTS, {}, ValueError, "width 128; L1.mlp_post of tinyworld has 512"),
        (topk("L0.attn_out"), [], {}, ValueError, "needs at least one; got none"),
        (topk("L0.attn_out"), "a text", {}, TypeError, "Put a single text into a list"),
        (topk("L0.attn_out"), ["The", " dog"], {}, ValueError, "every text has only one token"),
    ],
)
def test_bad_input_is_named(
    dictionaries: Any, texts: Any, options: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        wb.features.evaluate(tinyworld(), texts, dictionaries, progress=False, **options)


def test_a_name_or_baseline_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="has the dictionaries L0.attn_out, L1.resid_post"):
        evaluated().l0("L9.attn_out")
    with pytest.raises(ValueError, match="The baseline is zero or mean; got 'noise'"):
        evaluated().loss_recovered(baseline="noise")
