"""Gemma Scope, dictionary_learning and circuit-tracer, each by its own formula."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import workbench as wb
from tests.unit.dictionary_files import (
    draw,
    gemma_weights,
    save_npz,
    slow_codes,
    weights,
)
from tests.unit.random_dictionaries import D_IN, N, activations
from workbench.model import Norm


def test_gemma_scope_is_read_from_its_place(tmp_path: Path) -> None:
    w, x = gemma_weights(), activations()
    folder = tmp_path / "gemma-scope-2b-pt-res" / "layer_12" / "width_16k" / "average_l0_82"
    folder.mkdir(parents=True)
    save_npz(folder / "params.npz", w)
    read = wb.Dictionary.load(
        tmp_path / "gemma-scope-2b-pt-res", sae_id="layer_12/width_16k/average_l0_82"
    )
    assert (str(read.site), read.model, read.kind) == ("L12.resid_post", "gemma-2-2b", "jumprelu")
    wanted = slow_codes(x, w["W_enc"], w["b_enc"], threshold=w["threshold"])
    torch.testing.assert_close(read.encode(x), wanted, atol=1e-5, rtol=1e-5)
    assert wb.Dictionary.load(folder / "params.npz").fingerprint == read.fingerprint
    whole = (folder / "params.npz").read_bytes()
    for size in (100, len(whole) - 200):
        (folder / "params.npz").write_bytes(whole[:size])
        with pytest.raises(ValueError, match="params.npz is not a whole npz file"):
            wb.Dictionary.load(folder)


@pytest.mark.parametrize(
    ("place", "site", "model"),
    [
        ("gemma-scope-9b-it-mlp/layer_3/w", "L3.mlp_out", "gemma-2-9b-it"),
        ("gemma-scope-2b-pt-res/embedding/width_4k", "L0.resid_pre", "gemma-2-2b"),
    ],
)
def test_gemma_scope_streams_are_told_by_the_place(
    place: str, site: str, model: str, tmp_path: Path
) -> None:
    w, x = gemma_weights(), activations()
    (tmp_path / place).mkdir(parents=True)
    save_npz(tmp_path / place / "params.npz", w)
    read = wb.Dictionary.load(tmp_path / place)
    assert (str(read.site), read.model) == (site, model)
    root = D_IN**0.5 if "embedding" in place else 1.0
    codes = slow_codes(x / root, w["W_enc"], w["b_enc"], threshold=w["threshold"])
    torch.testing.assert_close(read.encode(x), codes, atol=1e-5, rtol=1e-5)
    out = root * (codes @ w["W_dec"] + w["b_dec"])
    torch.testing.assert_close(read.reconstruct(x), out, atol=1e-4, rtol=1e-5)


def test_gemma_scope_of_heads_and_of_the_normed_stream_say_what_they_are(tmp_path: Path) -> None:
    for part, text in (
        ("att", "heads side by side before W_O"),
        ("transcoders", "norm=model.norm"),
    ):
        folder = tmp_path / f"gemma-scope-2b-pt-{part}" / "layer_3"
        folder.mkdir(parents=True)
        save_npz(folder / "params.npz", gemma_weights())
        with pytest.raises(ValueError, match=re.escape(text)):
            wb.Dictionary.load(folder)
    norm = Norm(False, torch.full((D_IN,), 2.0), torch.zeros(D_IN), 1e-6)
    read = wb.Dictionary.load(folder, norm=norm)
    assert (str(read.site), str(read.out_site)) == ("L3.mlp_in", "L3.mlp_out")
    w, x = gemma_weights(), activations()
    wanted = slow_codes(x / 2, w["W_enc"], w["b_enc"], threshold=w["threshold"])
    torch.testing.assert_close(read.encode(x), wanted, atol=1e-5, rtol=1e-5)


def test_gemma_scope_2_is_read_with_its_settings(tmp_path: Path) -> None:
    w, skip, x = gemma_weights(), draw(D_IN, D_IN), activations()
    stored = {"w_enc": w["W_enc"], "w_dec": w["W_dec"]} | {
        name: w[name] for name in ("b_enc", "b_dec", "threshold")
    }
    save_file(stored | {"affine_skip_connection": skip}, tmp_path / "params.safetensors")
    module = "model.layers.5."
    cfg = {
        "architecture": "jump_relu",
        "model_name": "google/gemma-3-1b-pt",
        "hf_hook_point_in": module + "pre_feedforward_layernorm.output",
        "hf_hook_point_out": module + "post_feedforward_layernorm.output",
    }
    (tmp_path / "config.json").write_text(json.dumps(cfg))
    read = wb.Dictionary.load(tmp_path)
    assert (str(read.site), str(read.out_site)) == ("L5.mlp_in", "L5.mlp_out")
    codes = slow_codes(x, w["W_enc"], w["b_enc"], threshold=w["threshold"])
    torch.testing.assert_close(read.encode(x), codes, atol=1e-5, rtol=1e-5)
    out = codes @ w["W_dec"] + w["b_dec"] + x @ skip
    torch.testing.assert_close(read.reconstruct(x), out, atol=1e-5, rtol=1e-5)
    (tmp_path / "config.json").write_text(json.dumps(cfg | {"hf_hook_point_in": "model.norm"}))
    with pytest.raises(ValueError, match="the modules read are output, .*; got 'model.norm'"):
        wb.Dictionary.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(cfg | {"architecture": "topk"}))
    with pytest.raises(ValueError, match="Gemma Scope's are jump_relu; got 'topk'"):
        wb.Dictionary.load(tmp_path)
    save_file(stored | {"w_dec": draw(N, 3, D_IN)}, tmp_path / "params.safetensors")
    with pytest.raises(ValueError, match="writes to several layers"):
        wb.Dictionary.load(tmp_path)


def linear_weights(bias: str = "b_dec") -> dict[str, torch.Tensor]:
    w = weights()
    return {
        "encoder.weight": w["W_enc"].T.contiguous(),
        "encoder.bias": w["b_enc"],
        "decoder.weight": w["W_dec"].T.contiguous(),
        bias: w["b_dec"],
    }


def learned(folder: Path, name: str, state: dict[str, torch.Tensor], **trainer: Any) -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / "ae.pt")
    settings = {"dict_class": name, "layer": 3, "lm_name": "org/tiny"} | trainer
    (folder / "config.json").write_text(json.dumps({"trainer": settings, "buffer": {}}))
    return folder


def test_each_class_of_dictionary_learning_gives_its_own_codes(tmp_path: Path) -> None:
    w, x = weights(), activations()
    k, below, at = torch.tensor(4), torch.tensor(-1.0), torch.tensor(0.7)
    lengths = w["W_dec"].norm(dim=-1)
    enc, b_dec = (w["W_enc"], w["b_enc"]), w["b_dec"]
    flat = {name: w[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    thresholds = draw(N).abs()
    cases: dict[str, tuple[dict[str, torch.Tensor], torch.Tensor, dict[str, Any]]] = {
        # Its own loader gives the decoder rows length 1.
        "AutoEncoder": (
            linear_weights("bias"),
            slow_codes(x, *enc, shift=b_dec, scale=lengths),
            {},
        ),
        "AutoEncoderNew": (linear_weights("decoder.bias"), slow_codes(x, *enc), {}),
        "AutoEncoderTopK": (
            linear_weights() | {"k": k, "threshold": at},
            slow_codes(x, *enc, shift=b_dec, k=4),
            {"k": 4},
        ),
        "BatchTopKSAE": (
            linear_weights() | {"k": k, "threshold": at},
            slow_codes(x, *enc, shift=b_dec, threshold=torch.full((N,), 0.7)),
            {"k": 4},
        ),
        "MatryoshkaBatchTopKSAE": (
            flat | {"k": k, "threshold": below, "group_sizes": torch.tensor([20, 20])},
            slow_codes(x, *enc, shift=b_dec),
            {"k": 4},
        ),
        "JumpReluAutoEncoder": (
            flat | {"threshold": thresholds},
            slow_codes(x, *enc, threshold=thresholds),
            {},
        ),
    }
    for name, (state, codes, trainer) in cases.items():
        read = wb.Dictionary.load(learned(tmp_path / name, name, state, **trainer))
        torch.testing.assert_close(
            read.encode(x), codes, atol=1e-5, rtol=1e-5, msg=lambda m, name=name: f"{name}: {m}"
        )
        scaled = codes / lengths if name == "AutoEncoder" else codes
        out = scaled @ w["W_dec"] + w["b_dec"]
        torch.testing.assert_close(read.reconstruct(x), out, atol=1e-5, rtol=1e-5)
        assert (str(read.site), read.model) == ("L3.resid_post", "org/tiny")
        assert read.info["trainer"]["dict_class"] == name


def test_a_gated_autoencoder_of_dictionary_learning_gives_its_own_codes(tmp_path: Path) -> None:
    state = linear_weights("decoder_bias")
    del state["encoder.bias"]
    gate, magnitude, r_mag = draw(N), draw(N, seed=4), draw(N, seed=5)
    state |= {"gate_bias": gate, "mag_bias": magnitude, "r_mag": r_mag}
    read = wb.Dictionary.load(
        learned(tmp_path, "GatedAutoEncoder", state, submodule_name="mlp_out_layer_2")
    )
    assert str(read.site) == "L2.mlp_out"
    x = activations()
    inner = (x - state["decoder_bias"]) @ state["encoder.weight"].T
    wanted = (inner + gate > 0) * (inner * r_mag.exp() + magnitude).relu()
    torch.testing.assert_close(read.encode(x), wanted, atol=1e-5, rtol=1e-5)


def test_what_dictionary_learning_leaves_open_is_asked_for(tmp_path: Path) -> None:
    folder = learned(tmp_path, "IdentityDict", linear_weights())
    with pytest.raises(
        ValueError, match="the classes read are AutoEncoder, .*; got 'IdentityDict'"
    ):
        wb.Dictionary.load(folder)
    learned(tmp_path, "AutoEncoderTopK", linear_weights() | {"k": torch.tensor(4)}, k=5)
    with pytest.raises(ValueError, match="has k = 4, its config.json 5. One of them is wrong"):
        wb.Dictionary.load(folder)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match="cannot be told apart. Put the config.json beside ae.pt"):
        wb.Dictionary.load(folder)
    torch.save(linear_weights("bias"), tmp_path / "ae.pt")
    with pytest.raises(ValueError, match="does not say which activation it belongs to"):
        wb.Dictionary.load(folder)
    read = wb.Dictionary.load(folder, site="L1.mlp_out")
    assert read.kind == "relu" and str(read.site) == "L1.mlp_out"


def test_the_transcoders_of_circuit_tracer_are_read_one_a_layer(tmp_path: Path) -> None:
    w, skip, x = weights(), draw(D_IN, D_IN), activations()
    threshold = draw(N).abs()
    stored = w | {"W_enc": w["W_enc"].T.contiguous()}
    save_file(stored, tmp_path / "layer_0.safetensors")
    jump = {"activation_function.threshold": threshold, "W_skip": skip}
    save_file(stored | jump, tmp_path / "layer_1.safetensors")
    first = {"W_dec": w["W_dec"].T.contiguous()}
    save_file(stored | first, tmp_path / "layer_2.safetensors")
    with pytest.raises(ValueError, match="holds 3 layers of transcoders. Give one: sae_id='layer_"):
        wb.Dictionary.load(tmp_path)
    read = wb.Dictionary.load(tmp_path, sae_id="layer_0")
    assert (str(read.site), str(read.out_site)) == ("L0.mlp_in", "L0.mlp_out")
    (tmp_path / "config.yaml").write_text(
        "model_name: org/tiny\nmodel_kind: transcoder_set\n"
        "feature_input_hook: hook_resid_mid\nfeature_output_hook: mlp.hook_out\n"
    )
    plain = slow_codes(x, w["W_enc"], w["b_enc"])
    jumped = slow_codes(x, w["W_enc"], w["b_enc"], threshold=threshold)
    for layer, codes in enumerate((plain, jumped, plain)):
        read = wb.Dictionary.load(tmp_path / f"layer_{layer}.safetensors")
        assert (str(read.site), str(read.out_site)) == (f"L{layer}.resid_mid", f"L{layer}.mlp_out")
        assert read.model == "org/tiny"
        torch.testing.assert_close(read.encode(x), codes, atol=1e-5, rtol=1e-5)
        out = codes @ w["W_dec"] + w["b_dec"] + (x @ skip.T if layer == 1 else 0)
        torch.testing.assert_close(read.reconstruct(x), out, atol=1e-5, rtol=1e-5)
    (tmp_path / "config.yaml").write_text("activation: topk\nk: 4\n")
    read = wb.Dictionary.load(tmp_path, sae_id="layer_0")
    wanted = slow_codes(x, w["W_enc"], w["b_enc"], k=4)
    torch.testing.assert_close(read.encode(x), wanted, atol=1e-5, rtol=1e-5)
    for text, match in (
        ("activation: gelu", "activations read are relu, jumprelu and topk; got 'gelu'"),
        ("model_kind: cross_layer_transcoder", "writes to several layers"),
        ("activation: [", "config.yaml is not plain YAML"),
    ):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(ValueError, match=match):
            wb.Dictionary.load(tmp_path, sae_id="layer_0")
    (tmp_path / "config.yaml").unlink()
    del stored["b_dec"]
    save_file(stored, tmp_path / "layer_0.safetensors")
    with pytest.raises(ValueError, match="has no b_dec, which a transcoder needs; it has W_dec"):
        wb.Dictionary.load(tmp_path, sae_id="layer_0")
