"""Dictionaries: every encoder and decoder recomputed slowly, names, collections, errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import workbench as wb
from tests.unit.random_dictionaries import (
    D_IN,
    KINDS,
    N,
    activations,
    dictionary,
    forms,
    transcoder,
)
from workbench.dictionary.base import Dictionary
from workbench.dictionary.collection import Dictionaries
from workbench.dictionary.encoders import (
    Encoder,
    Factors,
    JumpReLU,
    MatchingPursuit,
    ReLU,
    TopK,
)
from workbench.dictionary.normalization import Normalization
from workbench.site import Site

FORMS = forms()


# -- slow, obvious recomputation -------------------------------------------------------------------


def slow_pursuit(encoder: MatchingPursuit, x: torch.Tensor) -> list[float]:
    rest, codes = x.double() - encoder.b_dec.double(), [0.0] * encoder.n_features
    for _ in range(encoder.k):
        products = [float(rest @ d.double()) for d in encoder.directions]
        best = max(range(len(products)), key=products.__getitem__)
        new = products[best] > 0 and codes[best] == 0
        if products[best] > 0:
            codes[best] += products[best]
            rest = rest - products[best] * encoder.directions[best].double()
        if encoder.stop_on_repeat and not new:
            break
        if float(rest.norm()) < encoder.residual_threshold:
            break
    return codes


def slow_codes(made: Dictionary, x: torch.Tensor) -> torch.Tensor:
    """(row, feature) codes of normalised rows, a row and a feature at a time, in float64."""
    encoder: Any = made.encoder
    out = torch.zeros(len(x), made.n_features, dtype=torch.float64)
    for row, vector in enumerate(x.double()):
        if made.kind == "matching_pursuit":
            out[row] = torch.tensor(slow_pursuit(encoder, vector))
            continue
        for j in range(made.n_features):
            product = float(vector @ encoder.W_enc[:, j].double())
            if made.kind == "gated":
                size = product * float(encoder.r_mag[j].double().exp()) + float(encoder.b_mag[j])
                out[row, j] = max(size, 0.0) if product + float(encoder.b_gate[j]) > 0 else 0.0
                continue
            pre = product + float(encoder.b_enc[j])
            if made.kind in ("jumprelu", "batchtopk"):
                out[row, j] = pre if pre > max(0.0, float(encoder.threshold[j])) else 0.0
            elif made.kind == "linear":
                out[row, j] = pre
            else:
                out[row, j] = max(pre, 0.0)
        if made.kind == "topk":
            kept = sorted(range(made.n_features), key=lambda j: -out[row, j])[: encoder.k]
            for j in set(range(made.n_features)) - set(kept):
                out[row, j] = 0.0
    return out.float()


def slow_inner(way: Normalization, x: torch.Tensor) -> tuple[torch.Tensor, Any, Any]:
    rows, shifts, sizes = [], [], []
    for vector in x.double():
        mean = float(vector.sum() / len(vector))
        shift = mean if way.center or way.scale == "layer_norm" else 0.0
        rest = vector - shift
        length = float((rest**2).sum()) ** 0.5
        size = {
            "none": 1.0,
            "factor": 1 / way.factor,
            "layer_norm": (length**2 / (len(vector) - 1)) ** 0.5 + 1e-5,
            "constant_norm": length / len(vector) ** 0.5,
        }[way.scale]
        rows.append(rest / size)
        shifts.append([shift])
        sizes.append([size])
    return torch.stack(rows), torch.tensor(shifts), torch.tensor(sizes)


@pytest.mark.parametrize("name", [name for name in FORMS if not name.startswith("snmf")])
def test_codes_and_reconstructions_are_those_of_the_formula(name: str) -> None:
    made, x = FORMS[name], activations()
    inner, shift, size = slow_inner(made.normalization, x)
    codes = slow_codes(made, inner)
    torch.testing.assert_close(made.encode(x), codes, atol=1e-5, rtol=1e-5)
    out = codes.double() @ made.W_dec.double() + made.b_dec.double()
    if made.W_skip is not None:
        out = out + x.double() @ made.W_skip.double()
    if not made.is_transcoder:
        out = out * size + shift
    torch.testing.assert_close(made.reconstruct(x), out.float(), atol=2e-5, rtol=1e-5)
    assert (made.kind == "linear") == bool((made.encode(x) < 0).any())


# torch warns about the deviation of no rows at all.
@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize("name", FORMS)
def test_some_features_are_encoded_as_all_of_them_are(name: str) -> None:
    made, x = FORMS[name], activations(6).reshape(2, 3, D_IN)
    whole = made.encode(x)
    assert whole.shape == (2, 3, N)
    torch.testing.assert_close(made.encode_some(x, [7, 0, 39]), whole[..., [7, 0, 39]])
    torch.testing.assert_close(made.encode(x[1, 2]), whole[1, 2], atol=1e-5, rtol=1e-5)
    assert made.encode(x[:0]).shape == (0, 3, N)
    change = torch.zeros_like(whole)
    change[..., 7], change[..., 39] = 0.5, -2.0
    moved = made.decode(whole + change, x) - made.decode(whole, x)
    torch.testing.assert_close(made.written(change, x), moved, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(
        made.written(change[..., [7, 39]], x, [7, 39]), moved, atol=2e-5, rtol=1e-4
    )


def test_factors_codes_are_not_negative_and_a_small_change_of_them_fits_no_better() -> None:
    made, x = dictionary("snmf", n=6), activations(5)
    encoder = made.encoder
    assert isinstance(encoder, Factors)
    codes = made.encode(x).double()
    assert (codes >= 0).all()
    directions, target = encoder.directions.double(), x.double()

    def error(given: torch.Tensor) -> torch.Tensor:
        return (given @ directions - target).pow(2).sum(-1)

    least = error(codes)
    for j in range(made.n_features):
        for step in (1e-2, -1e-2):
            moved = codes.clone()
            moved[:, j] = (moved[:, j] + step).clamp(min=0)
            assert (error(moved) >= least - 1e-3).all()


def test_top_k_is_differentiable_through_what_it_keeps() -> None:
    made = dictionary("topk", n=1024)
    x = activations(3).requires_grad_()
    codes = made.encode(x)
    assert int((codes > 0).sum(-1).max()) == 5
    (gradient,) = torch.autograd.grad(codes.sum(), x)
    assert isinstance(made.encoder, TopK)
    wanted = (codes > 0).float() @ made.encoder.W_enc.T
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dictionary_moves_to_another_type_as_a_whole(kind: str) -> None:
    made = dictionary(kind)
    moved = made.to(dtype=torch.float64)
    assert {tensor.dtype for tensor in moved.tensors.values()} == {torch.float64}
    x = activations()
    assert moved.encode(x).dtype == torch.float64
    torch.testing.assert_close(moved.encode(x).float(), made.encode(x), atol=1e-4, rtol=1e-4)
    half = made.to(dtype=torch.bfloat16)
    assert half.reconstruct(x.bfloat16()).dtype == torch.bfloat16


def test_a_fingerprint_tells_weights_and_settings_apart() -> None:
    made = dictionary("matching_pursuit")
    encoder: Any = made.encoder
    others = [
        dictionary("matching_pursuit", seed=1),
        replace(made, normalization=Normalization(center=True)),
        replace(made, site="L2.resid_post"),
        replace(made, encoder=replace(encoder, k=5)),
        replace(made, encoder=replace(encoder, stop_on_repeat=True)),
        replace(made, encoder=replace(encoder, b_dec=encoder.b_dec * 0)),
    ]
    prints = {each.fingerprint for each in (made, *others)}
    assert len(prints) == len(others) + 1
    assert replace(made, name="other", info={"a": 1}).fingerprint == made.fingerprint


# -- names and errors ------------------------------------------------------------------------------


def test_features_are_named_by_their_site() -> None:
    made = transcoder()
    assert str(made.feature(3)) == "L1.mlp_out/3"
    assert repr(made) == "Dictionary(tiny, L1.mlp_in → L1.mlp_out: 40 features of 12, relu)"
    assert made.check_feature("L1.mlp_out/39") == made.check_feature(39) == 39
    assert made.check_feature(Site.parse("L1.mlp_out/39")) == 39
    for wrong in ("L1.mlp_in/3", "L1.mlp_out"):
        with pytest.raises(ValueError, match=r"is written L1.mlp_out/0 to L1.mlp_out/39; got 'L1"):
            made.check_feature(wrong)
    for number in (40, -1):
        with pytest.raises(ValueError, match=f"has features 0 to 39; got {number}"):
            made.check_feature(number)
    for odd in (True, 1.5):
        with pytest.raises(ValueError, match="feature is a whole number, a text or a Site"):
            made.check_feature(odd)  # type: ignore[arg-type]
    norms = made.directions.norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones(N))


def test_what_does_not_fit_together_is_refused() -> None:
    made = dictionary("relu")
    encoder: Any = made.encoder
    with pytest.raises(ValueError, match=r"has W_dec \(feature, d_out\).*got W_dec \(39, 12\)"):
        replace(made, W_dec=made.W_dec[:39])
    with pytest.raises(ValueError, match=r"got W_dec \(40, 11\)"):
        replace(made, W_dec=made.W_dec[:, :11], b_dec=made.b_dec[:11])
    with pytest.raises(ValueError, match=r"W_skip \(3, 3\)"):
        replace(transcoder(skip=True), W_skip=torch.zeros(3, 3))
    damaged = encoder.W_enc.clone()
    damaged[0, 0] = float("nan")
    with pytest.raises(ValueError, match="finite numbers; W_enc of .* has NaN or infinity"):
        replace(made, encoder=replace(encoder, W_enc=damaged))
    for site in ("L1.z", "L1.resid_post/3", "L1.pattern"):
        with pytest.raises(ValueError, match="reads a whole stream of vectors, like L3.resid_post"):
            replace(made, site=site, out_site=site)
    with pytest.raises(
        ValueError, match=r"reads vectors of width 12; got shape \(2, 13\).*another"
    ):
        made.encode(torch.zeros(2, 13))
    for needs in (dictionary("relu", normalization=Normalization(True)), transcoder(skip=True)):
        with pytest.raises(
            ValueError, match=r"decodes with the activation itself.*decode\(codes, x"
        ):
            needs.decode(needs.encode(activations()))
    factor = dictionary("relu", normalization=Normalization(scale="factor", factor=0.5))
    x = activations()
    torch.testing.assert_close(factor.decode(factor.encode(x)), factor.reconstruct(x))
    with pytest.raises(TypeError, match="Encoder defines no n_features; define it in the subclass"):
        _ = Encoder().n_features


def test_a_normalisation_is_checked() -> None:
    odd: Any = "batch"
    with pytest.raises(ValueError, match="scale is one of none, factor, .*; got 'batch'"):
        Normalization(scale=odd)
    for value in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="factor is a positive number"):
            Normalization(scale="factor", factor=value)
    with pytest.raises(ValueError, match="A factor goes with scale='factor'; got 2.0 with 'none'"):
        Normalization(factor=2.0)
    zeros = torch.zeros(2, 4)
    for scale in ("layer_norm", "constant_norm"):
        inner, _, _ = Normalization(scale=scale).split(zeros)
        assert torch.equal(inner, zeros)


def test_a_collection_holds_one_dictionary_a_site_of_one_model() -> None:
    sites = ("L1.resid_post", "L0.mlp_out", "L1.mlp_out")
    dicts = Dictionaries(dictionary("topk", site=site) for site in sites)
    assert [str(site) for site in dicts] == ["L0.mlp_out", "L1.mlp_out", "L1.resid_post"]
    assert dicts["L1.mlp_out/3"] is dicts[Site.parse("L1.mlp_out")]
    assert dicts.feature("L0.mlp_out/7") == (dicts["L0.mlp_out"], 7)
    assert dicts.layers == (0, 1) and dicts.model == "tiny" and "L0.attn_out" not in dicts
    assert len(dicts.only("mlp_out")) == 2
    assert dicts.to(dtype=torch.float64)["L0.mlp_out"].W_dec.dtype == torch.float64
    frame = dicts.to_frame()
    assert frame["site"].tolist() == [str(site) for site in dicts]
    assert frame["n_features"].tolist() == [N] * 3
    assert repr(dicts) == (
        "Dictionaries(tiny: 3 of 120 features; L0.mlp_out, L1.mlp_out, L1.resid_post)"
    )
    with pytest.raises(KeyError, match=r"no dictionary of L5.mlp_out; there are L0.mlp_out, L1"):
        dicts["L5.mlp_out"]
    with pytest.raises(ValueError, match="at least one dictionary; got none"):
        Dictionaries([])
    with pytest.raises(ValueError, match="one dictionary a site; L1.resid_post has two"):
        Dictionaries([dictionary("relu"), dictionary("topk")])
    with pytest.raises(ValueError, match="of one model; got other, tiny"):
        Dictionaries([dictionary("relu"), dictionary("relu", site="L0.mlp_out", model="other")])
    with pytest.raises(ValueError, match="Dictionaries ship for .*; got 'nothing'"):
        wb.dictionaries("nothing")


def test_thresholds_are_passed_strictly_and_a_relu_stays_a_relu() -> None:
    ones = torch.ones(1, 3)
    jump = JumpReLU(torch.eye(3), torch.zeros(3), torch.tensor([1.0, 0.5, 2.0]))
    assert jump(ones).tolist() == [[0.0, 1.0, 0.0]]
    assert ReLU(torch.eye(3), torch.tensor([-2.0, 0.0, 1.0]))(ones).tolist() == [[0.0, 1.0, 2.0]]
    many = TopK(torch.eye(3), torch.tensor([-2.0, -3.0, 1.0]), 5)
    # Of more than there are, and none of those below 0.
    assert many(ones).tolist() == [[0.0, 0.0, 2.0]]
