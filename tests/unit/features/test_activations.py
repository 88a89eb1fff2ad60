"""Which features are active at each token: against the whole codes, token by token."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit import random_dictionaries
from tests.unit.indexed import DENSE, N_FEATURES, SITE, dictionary, model
from tests.unit.kernels import feature_activations

PROMPTS = ["The nurse said that", "When Mary and John went to the store, John gave a drink to"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


def plain(prompt: str, kind: str = "topk") -> tuple[torch.Tensor, torch.Tensor]:
    """(pos, d_model) activations of one prompt run alone, and (pos, feature) codes."""
    x = model().run([prompt], read=[SITE], logits_at=())[SITE][0]
    return x, dictionary(kind).encode(x)


@pytest.mark.parametrize("kind", ["topk", "relu"])
@pytest.mark.parametrize("batch", [2**24, 3 * N_FEATURES])
def test_each_token_has_its_largest_codes_and_its_explained_variance(
    kind: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_activations, "CODES_AT_ONCE", batch)
    result = wb.features.activations(model(), PROMPTS, dictionary(kind), k=4)
    for b, prompt in enumerate(PROMPTS):
        x, codes = plain(prompt, kind)
        for p in range(len(x)):
            best = sorted(range(N_FEATURES), key=lambda f, p=p: -float(codes[p, f]))[:4]
            best = [f for f in best if codes[p, f] > 0]
            assert result.top[b, p].tolist() == best + [-1] * (4 - len(best))
            wanted = [float(codes[p, f]) for f in best] + [0.0] * (4 - len(best))
            np.testing.assert_allclose(result.top_values[b, p], wanted, rtol=1e-4, atol=1e-4)
            d = dictionary(kind)
            rest = ((x[p] - codes[p] @ d.W_dec - d.b_dec) ** 2).sum()
            whole = ((x[p] - d.b_dec) ** 2).sum()
            assert result.explained[b, p] == pytest.approx(float(1 - rest / whole), abs=1e-4)
    n = len(plain(PROMPTS[0])[0])
    assert np.isnan(result.values[0, n:]).all() and np.isnan(result.explained[0, n:]).all()
    assert (result.top[0, n:] == -1).all() and (result.top_values[0, n:] == 0).all()


def test_the_features_shown_are_those_with_the_largest_codes_or_those_asked_for() -> None:
    result = wb.features.activations(model(), PROMPTS, dictionary())
    codes = torch.cat([plain(prompt)[1] for prompt in PROMPTS]).amax(0)
    wanted = sorted((f for f in range(N_FEATURES) if codes[f] > 0), key=lambda f: -float(codes[f]))
    assert result.features.tolist() == wanted[:32]
    asked = wb.features.activations(model(), PROMPTS, dictionary(), features=[5, f"{SITE}/{DENSE}"])
    assert asked.names == (f"{SITE}/5", f"{SITE}/{DENSE}")
    for b, prompt in enumerate(PROMPTS):
        own = plain(prompt)[1][:, [5, DENSE]]
        np.testing.assert_allclose(asked.values[b, : len(own)], own, rtol=1e-4, atol=1e-4)


def test_both_backends_give_the_same_and_it_is_saved_and_tabled(tmp_path: Path) -> None:
    labels = wb.features.Labels.empty(dictionary())
    labels[DENSE] = "everything"
    first, second = (
        wb.features.activations(model(b), PROMPTS, dictionary(), k=3, labels=labels)
        for b in ("nnsight", "transformer_lens")
    )
    np.testing.assert_array_equal(first.top, second.top)
    np.testing.assert_allclose(first.values, second.values, rtol=1e-4, atol=1e-4)
    assert first.labels[first.features.tolist().index(DENSE)] == "everything (not scored)"
    assert first.labels.count("") == len(first.labels) - 1
    again = wb.features.FeatureActivations.load(first.save(tmp_path / "active"))
    np.testing.assert_array_equal(again.top_values, first.top_values)
    frame = first.to_frame()
    assert len(frame) == (first.top >= 0).sum()
    row = frame.iloc[-1]
    assert row.token == first.tokens[1][-1] and row.feature == f"{SITE}/{first.top[1, -1, -1]}"
    assert repr(first).startswith(f"FeatureActivations(tinyworld: {SITE}, ")


def test_labels_that_lie_with_the_dictionary_are_shown() -> None:
    labels = wb.features.Labels.empty(dictionary())
    labels.keep(DENSE, replace(labels[DENSE], text="the", tokens=(" the",), f1=0.5))
    labels.save()
    result = wb.features.activations(model(), PROMPTS[0], dictionary(), features=[DENSE])
    assert result.labels == ("the (F1 0.50)",)


def test_a_transcoder_is_compared_with_what_it_decodes() -> None:
    made = random_dictionaries.dictionary("relu", d_in=128, site="L1.mlp_in", out_site="L1.mlp_out")
    result = wb.features.activations(model(), PROMPTS[0], made, k=2)
    run = model().run([PROMPTS[0]], read=["L1.mlp_in", "L1.mlp_out"], logits_at=())
    x, y = run["L1.mlp_in"][0], run["L1.mlp_out"][0]
    rest = ((y - made.decode(made.encode(x), x)) ** 2).sum(-1)
    whole = ((y - made.b_dec) ** 2).sum(-1)
    assert result.site == "L1.mlp_out"
    np.testing.assert_allclose(result.explained[0], 1 - rest / whole, rtol=1e-4)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="k is a whole number from 1; got 0"):
        wb.features.activations(model(), PROMPTS, dictionary(), k=0)
    with pytest.raises(ValueError, match="has features 0 to 39; got 40"):
        wb.features.activations(model(), PROMPTS, dictionary(), features=[40])
    wide = random_dictionaries.dictionary("relu", d_in=64)
    with pytest.raises(ValueError, match="reads vectors of width 64; L1.resid_post of tinyworld"):
        wb.features.activations(model(), PROMPTS, wide)


def test_the_picture_has_a_row_a_feature_and_a_column_a_token() -> None:
    import matplotlib.pyplot as plt

    labels = wb.features.Labels.empty(dictionary())
    labels[DENSE] = "costs $5 and $6, " * 5
    result = wb.features.activations(model(), PROMPTS, dictionary(), labels=labels)
    ax = result.plot(row=1, features=7)
    shown = np.asarray(ax.images[0].get_array())
    assert shown.shape == (7, len(result.tokens[1]))
    assert shown.max() == pytest.approx(np.nanmax(result.values[1]))
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert any(name.startswith(r"costs \$5") and name.endswith(f"…  {DENSE}") for name in names)
    plt.close("all")
    with pytest.raises(IndexError, match="The prompts are numbered 0 to 1; got 2"):
        result.plot(row=2)
    assert result.png()[:4] == b"\x89PNG"
