"""SAELens's form in its versions: what is folded, what is told by the caller, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import workbench as wb
from tests.unit.dictionary_files import (
    draw,
    sae_lens_folder,
    slow_codes,
    weights,
)
from tests.unit.random_dictionaries import D_IN, N, activations
from workbench.dictionary.encoders import BatchTopK, MatchingPursuit, TopK
from workbench.model import Norm


def test_b_dec_taken_from_the_input_is_folded_into_the_encoder(tmp_path: Path) -> None:
    w, x = weights(), activations()
    folder = sae_lens_folder(tmp_path / "a", w, apply_b_dec_to_input=True)
    read = wb.Dictionary.load(folder)
    wanted = slow_codes(x, w["W_enc"], w["b_enc"], shift=w["b_dec"])
    torch.testing.assert_close(read.encode(x), wanted, atol=1e-5, rtol=1e-5)
    assert str(read.site) == "L1.resid_pre" and read.model == "tiny"
    assert read.info["architecture"] == "standard"
    folder = sae_lens_folder(tmp_path / "b", w, apply_b_dec_to_input=False)
    wanted = slow_codes(x, w["W_enc"], w["b_enc"])
    torch.testing.assert_close(wb.Dictionary.load(folder).encode(x), wanted, atol=1e-5, rtol=1e-5)


def test_codes_in_lengths_of_decoder_rows_are_folded(tmp_path: Path) -> None:
    w, x = weights(), activations()
    folder = sae_lens_folder(
        tmp_path,
        w,
        architecture="topk",
        k=4,
        rescale_acts_by_decoder_norm=True,
        apply_b_dec_to_input=False,
    )
    read = wb.Dictionary.load(folder)
    lengths = w["W_dec"].norm(dim=-1)
    wanted = slow_codes(x, w["W_enc"], w["b_enc"], scale=lengths, k=4)
    torch.testing.assert_close(read.encode(x), wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(read.W_dec.norm(dim=-1), torch.ones(N))
    out = (wanted / lengths) @ w["W_dec"] + w["b_dec"]
    torch.testing.assert_close(read.reconstruct(x), out, atol=1e-5, rtol=1e-5)


def test_the_older_form_without_architecture_and_metadata_is_read(
    tmp_path: Path, asset: Callable[..., Path]
) -> None:
    folder = asset("formats", "sae_lens_example")
    read = wb.Dictionary.load(folder)
    assert repr(read) == (
        "Dictionary(my-own-othello-model, L1.resid_pre: 1024 features of 128, relu)"
    )
    stored = load_file(folder / "sae_weights.safetensors")
    x = activations(3, 128)
    wanted = slow_codes(x, stored["W_enc"][:, :20], stored["b_enc"][:20])
    torch.testing.assert_close(read.encode(x)[:, :20], wanted, atol=1e-5, rtol=1e-5)
    assert read.info["l1_coefficient"] == 0.01 and not read.normalization.center
    old = {
        "d_in": D_IN,
        "d_sae": N,
        "hook_point": "blocks.6.hook_resid_pre",
        "hook_point_head_index": None,
        "model_name": "gpt2-small",
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 3},
        "normalize_activations": False,
    }
    (tmp_path / "cfg.json").write_text(json.dumps(old))
    save_file(weights(), tmp_path / "sae_weights.safetensors")
    read = wb.Dictionary.load(tmp_path)
    assert isinstance(read.encoder, TopK) and read.encoder.k == 3
    # In that form models were always loaded with their writing weights centred.
    assert read.normalization.center and str(read.site) == "L6.resid_pre"


@pytest.mark.parametrize("said", [True, False])
def test_centring_is_told_by_the_settings_and_by_the_caller(said: bool, tmp_path: Path) -> None:
    w, x = weights(), activations()
    kwargs = {"model_from_pretrained_kwargs": {"center_writing_weights": said}}
    folder = sae_lens_folder(tmp_path, w, metadata=kwargs)
    read = wb.Dictionary.load(folder)
    assert read.normalization.center is said
    inner = x - x.mean(-1, keepdim=True) if said else x
    wanted = slow_codes(inner, w["W_enc"], w["b_enc"], shift=w["b_dec"])
    torch.testing.assert_close(read.encode(x), wanted, atol=1e-5, rtol=1e-5)
    assert wb.Dictionary.load(folder, center=not said).normalization.center is not said
    again = wb.Dictionary.load(read.save(tmp_path / "again"))
    assert again.normalization.center is said


def test_a_copy_of_a_release_known_to_be_centred_is_read_as_one(tmp_path: Path) -> None:
    folder = tmp_path / "gpt2-small-res-jb"
    folder.mkdir()
    sae_lens_folder(folder / "blocks.1.hook_resid_pre", weights())
    read = wb.Dictionary.load(folder, sae_id="blocks.1.hook_resid_pre")
    assert read.normalization.center
    plain = wb.Dictionary.load(folder, sae_id="blocks.1.hook_resid_pre", center=False)
    assert not plain.normalization.center
    plain.save(folder / "plain")
    assert not wb.Dictionary.load(folder / "plain").normalization.center
    kwargs = {"model_from_pretrained_kwargs": {"center_writing_weights": False}}
    said = sae_lens_folder(folder / "said", weights(), metadata=kwargs)
    assert not wb.Dictionary.load(said).normalization.center


def test_a_factor_that_is_not_in_the_files_is_asked_for(tmp_path: Path) -> None:
    w, x = weights(), activations()
    folder = sae_lens_folder(tmp_path, w, normalize_activations="expected_average_only_in")
    with pytest.warns(UserWarning, match="times a factor .* taken as 1.*give it as factor="):
        assert wb.Dictionary.load(folder).normalization.scale == "none"
    read = wb.Dictionary.load(folder, factor=0.25)
    wanted = slow_codes(x * 0.25, w["W_enc"], w["b_enc"], shift=w["b_dec"])
    torch.testing.assert_close(read.encode(x), wanted, atol=1e-5, rtol=1e-5)
    out = (wanted @ w["W_dec"] + w["b_dec"]) / 0.25
    torch.testing.assert_close(read.reconstruct(x), out, atol=1e-4, rtol=1e-5)
    folder = sae_lens_folder(tmp_path, w, normalize_activations="layer_norm")
    with pytest.raises(ValueError, match="A factor goes with no other scaling; .* 'layer_norm'"):
        wb.Dictionary.load(folder, factor=2.0)


def test_a_fine_tuned_scaling_multiplies_what_is_decoded(tmp_path: Path) -> None:
    scaling = draw(N).abs() + 0.5
    w, x = weights(), activations()
    folder = sae_lens_folder(
        tmp_path, w | {"scaling_factor": scaling}, finetuning_scaling_factor=True
    )
    read = wb.Dictionary.load(folder)
    codes = slow_codes(x, w["W_enc"], w["b_enc"], shift=w["b_dec"])
    torch.testing.assert_close(read.encode(x), codes, atol=1e-5, rtol=1e-5)
    out = (codes * scaling) @ w["W_dec"] + w["b_dec"]
    torch.testing.assert_close(read.reconstruct(x), out, atol=1e-5, rtol=1e-5)
    folder = sae_lens_folder(tmp_path, w | {"scaling_factor": scaling})
    with pytest.raises(ValueError, match="scaling_factor that is not 1, while cfg.json says"):
        wb.Dictionary.load(folder)
    folder = sae_lens_folder(tmp_path, w | {"scaling_factor": torch.ones(N)})
    torch.testing.assert_close(wb.Dictionary.load(folder).W_dec, w["W_dec"])


def test_a_training_file_of_batch_topk_and_a_transcoder_with_a_skip_are_read(
    tmp_path: Path,
) -> None:
    w, x = weights(), activations()
    folder = sae_lens_folder(
        tmp_path / "a",
        w | {"topk_threshold": torch.tensor(0.8)},
        architecture="batchtopk",
        k=6.0,
        apply_b_dec_to_input=False,
    )
    read = wb.Dictionary.load(folder)
    assert isinstance(read.encoder, BatchTopK) and read.encoder.k == 6
    wanted = slow_codes(x, w["W_enc"], w["b_enc"], threshold=torch.full((N,), 0.8))
    torch.testing.assert_close(read.encode(x), wanted, atol=1e-5, rtol=1e-5)
    W_skip = draw(D_IN, D_IN)
    folder = sae_lens_folder(
        tmp_path / "b",
        w | {"W_skip": W_skip},
        architecture="skip_transcoder",
        hook="blocks.2.mlp.hook_in",
        metadata={"hook_name_out": "blocks.2.hook_mlp_out"},
    )
    read = wb.Dictionary.load(folder)
    assert (str(read.site), str(read.out_site)) == ("L2.mlp_in", "L2.mlp_out")
    codes = slow_codes(x, w["W_enc"], w["b_enc"])
    out = codes @ w["W_dec"] + w["b_dec"] + (W_skip @ x.T).T
    torch.testing.assert_close(read.reconstruct(x), out, atol=1e-5, rtol=1e-5)


def test_a_transcoder_that_reads_before_the_norms_weight_takes_the_norm(tmp_path: Path) -> None:
    w, W_skip = weights(), draw(D_IN, D_IN)
    folder = sae_lens_folder(
        tmp_path,
        w | {"W_skip": W_skip},
        architecture="skip_transcoder",
        hook="blocks.2.ln2.hook_normalized",
        metadata={"hook_name_out": "blocks.2.hook_mlp_out"},
    )
    with pytest.raises(ValueError, match=r"before the norm's own weight.*model.norm\('ln2', 2\)"):
        wb.Dictionary.load(folder)
    norm = Norm(False, draw(D_IN).abs() + 0.2, draw(D_IN, seed=9), 1e-6)
    read = wb.Dictionary.load(folder, norm=norm)
    assert str(read.site) == "L2.mlp_in"
    inner = activations()
    seen = inner * norm.weight + norm.bias  # what mlp_in holds
    codes = slow_codes(inner, w["W_enc"], w["b_enc"])
    torch.testing.assert_close(read.encode(seen), codes, atol=1e-4, rtol=1e-4)
    out = codes @ w["W_dec"] + w["b_dec"] + inner @ W_skip.T
    torch.testing.assert_close(read.reconstruct(seen), out, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="reads 12 numbers; the norm given has 5"):
        wb.Dictionary.load(folder, norm=Norm(False, torch.ones(5), torch.zeros(5), 1e-6))


def test_matching_pursuit_keeps_its_ways_of_stopping(tmp_path: Path) -> None:
    w = {"W_dec": draw(N, D_IN), "b_dec": draw(D_IN)}
    folder = sae_lens_folder(tmp_path, w, architecture="matching_pursuit")
    read = wb.Dictionary.load(folder)
    encoder = read.encoder
    assert isinstance(encoder, MatchingPursuit)
    assert (encoder.k, encoder.residual_threshold, encoder.stop_on_repeat) == (D_IN, 0.01, True)
    folder = sae_lens_folder(
        tmp_path,
        w,
        architecture="matching_pursuit",
        apply_b_dec_to_input=False,
        max_iterations=3,
        residual_threshold=0.5,
        stop_on_duplicate_support=False,
    )
    read = wb.Dictionary.load(folder)
    encoder = read.encoder
    assert isinstance(encoder, MatchingPursuit)
    assert (encoder.k, encoder.residual_threshold, encoder.stop_on_repeat) == (3, 0.5, False)
    # sae-lens then neither takes b_dec away nor adds it.
    assert not read.b_dec.any() and not encoder.b_dec.any()


@pytest.mark.parametrize(
    ("cfg", "text"),
    [
        ({"architecture": "temporal"}, "the architectures read are standard, gated.*'temporal'"),
        (
            {"activation_fn_str": "tanh-relu"},
            "activation functions read are relu and topk; got 'tanh",
        ),
        ({"normalize_activations": "covariance_whitening"}, "normalisations read are none.*white"),
        ({"hook_head_index": 3}, "reads head 3 of .* alone.*dictionary of attn_out"),
        ({"reshape_activations": "hook_z"}, "heads side by side before W_O.*attn_out"),
        ({"hook": "blocks.1.attn.hook_z"}, "heads side by side before W_O.*attn_out"),
        ({"hook": "blocks.1.ln1.hook_scale"}, "no site here.*give that as site="),
        ({"hook": ""}, "does not say which activation it belongs to. Give site="),
        ({"d_sae": 41}, "cfg.json says d_sae = 41; got shape"),
        ({"architecture": "topk"}, "topk dictionary has a k of at least 1; got None"),
        ({"architecture": "jumprelu"}, "has no threshold, which a jumprelu dictionary needs"),
        ({"architecture": "gated"}, "has no b_gate, b_mag, r_mag, which a gated dictionary"),
        ({"metadata": {"workbench": {"kind": "tea"}}}, "the kinds are relu, .*; got 'tea'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_file_and_the_reason(
    cfg: dict[str, Any], text: str, tmp_path: Path
) -> None:
    sae_lens_folder(tmp_path, weights(), **cfg)
    with pytest.raises(ValueError, match=text) as error:
        wb.Dictionary.load(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_site_can_be_given_in_place_of_what_the_files_say(tmp_path: Path) -> None:
    folder = sae_lens_folder(tmp_path, weights(), hook="transformer.h.3.output")
    read = wb.Dictionary.load(folder, site="L3.resid_post", model="other", out_site="L4.resid_post")
    assert (str(read.site), str(read.out_site), read.model) == (
        "L3.resid_post",
        "L4.resid_post",
        "other",
    )
