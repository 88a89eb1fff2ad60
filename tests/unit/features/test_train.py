"""Training dictionaries: what comes back, for one site and for several, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import workbench as wb
from tests.unit.lens_models import TEXTS, words_model
from tests.unit.training_vectors import KINDS, fit_dictionary, same, vectors
from workbench.site import Site

SITE = Site.parse("L1.resid_post")
SMALL: dict[str, Any] = {"n_features": 24, "batch_size": 32, "steps": 12, "progress": False}


def trained(model: Any, site: Any, **settings: Any) -> Any:
    """The dictionary of one site."""
    (made,) = wb.features.train(model, TEXTS, site, **settings).values()
    return made


@pytest.fixture(scope="module")
def model() -> Any:
    return words_model()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_learnt_is_folded_into_plain_activations(kind: str) -> None:
    """The dictionary of unscaled vectors says what the learner says of scaled ones."""
    x = vectors()
    extra: dict[str, Any] = {"l1": 0.5} if kind == "relu" else {}
    found = fit_dictionary(
        x, kind=kind, n_features=16, steps=60, batch_size=64, learning_rate=0.01, **extra
    )
    assert torch.allclose(found.W_dec.norm(dim=-1), torch.ones(16), atol=1e-5)
    assert found.normalization.scale == "none"
    error = x - found.reconstruct(x)
    explained = 1 - float(error.pow(2).sum() / (x - x.mean(0)).pow(2).sum())
    assert explained > 0.5
    if kind == "snmf":
        # It encodes without the sparsity that held its codes small while it was trained.
        assert explained > found.info["explained_variance"]
    else:
        assert explained == pytest.approx(found.info["explained_variance"], abs=0.06)
        l0 = float((found.encode(x) > 0).sum()) / len(x)
        assert l0 == pytest.approx(found.info["l0"], rel=0.1)


def test_a_dictionary_says_how_it_was_trained(model: Any) -> None:
    found = trained(model, "L1.mlp_out", kind="relu", l1=0.3, seed=4, name="mine", **SMALL)
    assert (str(found.site), found.name, found.model) == ("L1.mlp_out", "mine", model.spec.name)
    assert (found.kind, found.n_features, found.d_in) == ("relu", 24, 32)
    info = json.loads(json.dumps(dict(found.info)))
    assert info["training"] == {
        "kind": "relu", "n_features": 24, "k": None, "l1": 0.3, "p": 1.0, "steps": 12,
        "batch_size": 32, "learning_rate": 1e-3, "buffer_size": 2**15, "seed": 4,
    }  # fmt: skip
    n = model.tokens(TEXTS).mask.sum().item()
    assert info["tokens_seen"] == 12 * 32
    assert info["epochs"] == pytest.approx(12 * 32 / n)
    assert info["interrupted"] is False
    assert info["versions"]["torch"] == torch.__version__
    assert info["curves"]["step"] == list(range(1, 13))
    assert info["curves"]["loss"][-1] == pytest.approx(info["loss"], rel=1e-5)


def test_a_curve_is_short_however_long_the_training() -> None:
    found = fit_dictionary(vectors(), n_features=8, k=2, steps=123, batch_size=8)
    assert len(found.info["curves"]["loss"]) == 41
    assert found.info["curves"]["step"][-1] == 123


def test_sites_trained_together_are_what_they_are_alone(model: Any) -> None:
    sites = ["L0.attn_out", "L2.resid_post"]
    both = wb.features.train(model, TEXTS, sites, name="set", **SMALL)
    assert [d.name for d in both.values()] == ["set/L0.attn_out", "set/L2.resid_post"]
    for site in sites:
        assert same(both[site], trained(model, site, **SMALL))
    assert not same(both[sites[0]], trained(model, sites[0], seed=1, **SMALL))


def test_both_backends_train_the_same_dictionary(model: Any) -> None:
    other = words_model("transformer_lens")
    first = trained(model, SITE, **SMALL)
    second = trained(other, SITE, **SMALL)
    for key, x in first.tensors.items():
        assert torch.allclose(x, second.tensors[key], atol=1e-3), key


def test_a_model_in_bfloat16_trains_a_dictionary_in_float32() -> None:
    found = trained(words_model(dtype="bfloat16"), SITE, **SMALL)
    assert found.W_dec.dtype == torch.float32
    assert found.info["loss"] < found.info["curves"]["loss"][0]


@pytest.mark.parametrize("kind", ["transcoder", "relu", "batchtopk"])
def test_a_transcoder_stands_for_another_site(model: Any, kind: str) -> None:
    where: Any = "L1.mlp_in" if kind == "transcoder" else {"L1.mlp_in": "L1.mlp_out"}
    settings: dict[str, Any] = {**SMALL, "steps": 150, "learning_rate": 0.01}
    if kind == "relu":
        settings["l1"] = 0.1
    found = trained(model, where, kind=kind, **settings)
    assert (str(found.site), str(found.out_site)) == ("L1.mlp_in", "L1.mlp_out")
    assert found.kind == ("topk" if kind == "transcoder" else kind)
    run = model.run(TEXTS, read=["L1.mlp_in", "L1.mlp_out"])
    real = run.tokens.mask
    x, y = run["L1.mlp_in"][real], run["L1.mlp_out"][real]
    error = (y - found.reconstruct(x)).pow(2).sum() / (y - y.mean(0)).pow(2).sum()
    assert 1 - float(error) > 0.6
    several = wb.features.train(
        model, TEXTS, ["L0.mlp_in", "L1.mlp_in"], kind="transcoder", **SMALL
    )
    assert [str(site) for site in several] == ["L0.mlp_out", "L1.mlp_out"]


def test_the_model_gives_the_same_logits_after_a_training(model: Any) -> None:
    before = model.run(TEXTS).logits
    wb.features.train(model, TEXTS, SITE, **SMALL)
    assert torch.equal(model.run(TEXTS).logits, before)


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "snmf"])
def test_a_training_that_diverges_says_what_to_do(kind: str) -> None:
    message = (
        r"L0\.resid_post diverged: at step \d+ the loss is (nan|inf)\. Lower learning_rate, "
        r"which is 1e\+30"
    )
    with pytest.raises(FloatingPointError, match=message):
        fit_dictionary(vectors(), kind=kind, n_features=16, steps=30, learning_rate=1e30)


def test_vectors_too_large_for_float32_are_refused() -> None:
    for kind, words in (("topk", "from their mean is inf"), ("snmf", "mean length is inf")):
        with pytest.raises(ValueError, match=words):
            fit_dictionary(vectors() * 1e37, kind=kind, n_features=16, steps=3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "jumprelu"}, "'jumprelu' are read, not trained, here. Train one of topk"),
        ({"kind": "gated"}, "'gated' are read, not trained"),
        ({"kind": "vae"}, "kind is one of topk, batchtopk, relu"),
        ({"k": 0}, "k is a whole number from 1 or None; got 0"),
        ({"k": 99}, r"k is a whole number from 1 to 24; got 99\. There are no"),
        ({"kind": "relu", "k": 3}, "k is no setting of kind 'relu'; got 3"),
        ({"l1": 0.1}, "l1 is no setting of kind 'topk'; got 0.1"),
        ({"kind": "relu", "l1": -1.0}, r"l1 is a finite number from 0 or None; got -1\.0"),
        ({"p": 0.5}, "p is a setting of kind 'relu'; got 0.5 with 'topk'"),
        ({"kind": "relu", "p": 0.0}, r"p is a finite number above 0 to 1; got 0\.0"),
        ({"steps": 0}, "steps is a whole number from 1; got 0"),
        ({"batch_size": 1.5}, r"batch_size is a whole number from 1; got 1\.5"),
        ({"n_features": -4}, "n_features is a whole number from 1; got -4"),
        ({"learning_rate": 0.0}, r"learning_rate is a finite number above 0; got 0\.0"),
        ({"seed": None}, "seed is a whole number from 0; got None"),
        ({"kind": "snmf", "n_features": 9000}, "at most 8192 features; got 9000, which would take"),
        ({"kind": "transcoder"}, "A transcoder reads mlp_in, like L0.mlp_in"),
        ({"kind": "snmf", "sites": {SITE: "L1.mlp_out"}}, "'snmf' stands for the site it reads"),
    ],
)
def test_settings_that_cannot_be_are_refused(model: Any, settings: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        wb.features.train(model, TEXTS, **{"sites": SITE, **SMALL, **settings})


def test_sites_that_cannot_be_are_refused(model: Any) -> None:
    for site in ("L1.z", "L1.pattern", "L1.mlp_post/3"):
        with pytest.raises(
            ValueError, match="A site of activations is a whole stream of one vector a position"
        ):
            wb.features.train(model, TEXTS, site, **SMALL)
    with pytest.raises(ValueError, match="has layers 0 to 2; got layer 9"):
        wb.features.train(model, TEXTS, "L9.resid_post", **SMALL)
    with pytest.raises(ValueError, match="sites is one site or more; got"):
        wb.features.train(model, TEXTS, [], **SMALL)
    with pytest.raises(ValueError, match="the texts gave none"):
        wb.features.train(model, [], SITE, **SMALL)


def test_the_public_names_are_these(model: Any) -> None:
    found = wb.features.train(model, TEXTS, SITE, **SMALL)
    assert isinstance(found, wb.Dictionaries)
