"""The numbers of a dictionary, each recomputed text by text from runs of their own."""

from __future__ import annotations

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
def evaluated(backend: str = "nnsight") -> wb.Effects:
    return wb.features.evaluate(tinyworld("tinyworld", backend), TEXTS, several(), progress=False)


BESIDE = "loss recovered beside the mean"


def texts_of(result: wb.Effects, measure: str, dictionary: Any, change: str = "spliced") -> Any:
    """(text,) the sums of a measure."""
    return result[measure].changed[result.rows(dictionary=str(dictionary), change=change)[0]]


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
    own = {name: column[:4] for name, column in result.changes.items()}
    assert own == {
        "change": ("spliced",) * 4,
        "dictionary": (*sites, "all"),
        "site": (*sites, ""),
        "kind": ("topk",) * 3 + ("",),
        "n_features": (40, 30, 24, 0),
    }
    n_tokens, n_predicted = (result[name].told()[0, :, 0] for name in ("KL", "loss"))
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
            assert n_tokens[t] == len(x) and n_predicted[t] == len(x) - 1
            assert result["loss"].plain[t] == near(loss)
            error = (y - dictionary.decode(codes, x)).double().pow(2).sum()
            assert texts_of(result, "explained variance", site)[t] == near(float(error))
            variance = float((y.double() - mean).pow(2).sum())
            assert texts_of(result, "explained variance", site, "mean")[t] == near(variance)
            assert texts_of(result, "L0", site)[t] == int((codes > 0).sum())
            now, spliced = alone(text, Splice(dictionary))
            assert texts_of(result, "loss", site)[t] == near(spliced)
            kl = float((plain.exp() * (plain - now)).sum())
            assert texts_of(result, "KL", site)[t] == near(kl)
            for change, value in (("zero", 0.0), ("mean", mean)):
                ablated = alone(text, wb.Set(site, value))[1]
                assert texts_of(result, "loss", site, change)[t] == near(ablated)
            if at == 0:
                assert texts_of(result, "loss", "all")[t] == near(alone(text, *everything)[1])
        n = int(n_tokens.sum())
        asked = {"dictionary": str(site), "draws": 0}
        assert result.score("dead", **asked)[0] == sum(c == 0 for c in fired)
        assert result.score("dense", **asked)[0] == sum(c / n > 0.1 for c in fired)
        assert result.score("L0", **asked)[0] == pytest.approx(float(fired.sum()) / n)
    for measure in ("explained variance", "L0", "dead"):
        assert np.isnan(texts_of(result, measure, "all")).all()


def test_scores_are_ratios_of_sums_with_intervals_over_texts() -> None:
    result = evaluated()
    plain = result["loss"].plain.sum()
    for name in result.changes["dictionary"][:3]:
        error, variance = (
            texts_of(result, "explained variance", name, change) for change in ("spliced", "mean")
        )
        value, low, high = result.score("explained variance", dictionary=name)
        assert value == pytest.approx(1 - error.sum() / variance.sum(), rel=1e-9)
        assert low <= value <= high
        spliced = texts_of(result, "loss", name).sum()
        for measure, change in (("loss recovered", "zero"), (BESIDE, "mean")):
            ablated = texts_of(result, "loss", name, change).sum()
            value, low, high = result.score(measure, dictionary=name)
            assert value == pytest.approx((ablated - spliced) / (ablated - plain), rel=1e-9)
            assert low <= high
    narrow = result.score("explained variance", level=0.5)
    wide = result.score("explained variance")
    assert wide[1] <= narrow[1] <= narrow[2] <= wide[2]
    assert np.isnan(result.score("explained variance", dictionary="all")).all()
    frame = result.to_frame()
    line = frame[(frame.measure == "loss") & (frame.dictionary == "L1.resid_post")].iloc[0]
    assert line.plain == pytest.approx(plain / result["loss"].told().sum())
    found = frame[(frame.measure == "loss recovered") & (frame.change == "spliced")]
    scores = [result.score("loss recovered", dictionary=name)[0] for name in found.dictionary]
    assert found.effect.tolist() == pytest.approx(scores) and len(scores) == 4


def test_both_backends_give_the_same_numbers() -> None:
    ours, theirs = (evaluated(backend) for backend in BACKENDS)
    for one in ours.measures:
        for key in ("plain", "changed"):
            theirs_too = getattr(theirs[one.name], key)
            np.testing.assert_allclose(theirs_too, getattr(one, key), **CLOSE)


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
    assert result.changes["dictionary"][:3] == ("perfect", "mean", "zero") and len(result) == 9

    def score(measure: str, name: str) -> Any:
        return result.score(measure, dictionary=name)

    for measure in ("explained variance", "loss recovered"):
        np.testing.assert_allclose(score(measure, "perfect"), 1.0, atol=1e-6)
    assert score("L0", "perfect")[0] == 128.0 and score("L0", "zero")[0] == 0.0
    assert score("explained variance", "mean")[0] == pytest.approx(0.0, abs=1e-6)
    assert score(BESIDE, "mean")[0] == pytest.approx(0.0, abs=1e-5)
    assert score("loss recovered", "zero")[0] == pytest.approx(0.0, abs=1e-5)
    assert score("dead", "zero")[0] == 3
    kl = result["KL"].changed
    assert kl[0].max() < 1e-6 < kl[1].min()


def test_tokens_and_lists_of_ids_are_texts_too() -> None:
    tokens = tinyworld().tokens(list(TEXTS[:3]), padding_side="left")
    assert isinstance(tokens, Tokens) and tokens.padded
    ids = [tinyworld().tokens([text]).ids[0].tolist() for text in TEXTS[:3]]
    for given in (tokens, ids):
        other = wb.features.evaluate(tinyworld(), given, several()["L1.resid_post"], progress=False)
        for measure in ("loss", "explained variance"):
            one, same = (texts_of(x, measure, "L1.resid_post") for x in (other, evaluated()))
            np.testing.assert_allclose(one, same[:3], **CLOSE)


def test_a_saved_evaluation_comes_back_and_is_drawn(tmp_path: Any) -> None:
    result = evaluated()
    result.save(tmp_path / "evaluation")
    again = wb.Effects.load(tmp_path / "evaluation")
    assert again.to_frame().equals(result.to_frame()) and repr(again) == repr(result)
    assert "tinyworld: dictionaries on 5 texts of" in repr(result)
    import matplotlib.pyplot as plt

    ax = result.plot()
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == list(result.changes["dictionary"][:4])
    frame = result.to_frame()
    own = frame[(frame.measure == "loss recovered") & (frame.change == "spliced")]
    np.testing.assert_allclose(ax.collections[-1].get_offsets()[:, 0], own.effect)
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
        (topk("L0.attn_out"), 5, {}, TypeError, "Texts are a list of texts"),
        (topk("L0.attn_out"), ["The", " dog"], {}, ValueError, "every text has only one token"),
    ],
)
def test_bad_input_is_named(
    dictionaries: Any, texts: Any, options: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        wb.features.evaluate(tinyworld(), texts, dictionaries, progress=False, **options)


def test_a_name_or_measure_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="labels are .*'dictionary': \\['L0.attn_out', 'L1.re"):
        evaluated().score("L0", dictionary="L9.attn_out")
    with pytest.raises(KeyError, match="'loss recovered beside the mean', .*; got 'noise'"):
        evaluated().score("noise")
