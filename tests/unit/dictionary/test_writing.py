"""What is written is what is read, and a write that fails leaves what was there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import workbench as wb
from tests.unit.random_dictionaries import activations, dictionary, forms

CLOSE: dict[str, Any] = {"atol": 2e-6, "rtol": 2e-6}
FORMS = forms()


@pytest.mark.parametrize("name", FORMS)
def test_a_dictionary_that_was_saved_reads_back_the_same(name: str, tmp_path: Path) -> None:
    names = tuple(f"number {i}" for i in range(FORMS[name].n_features))
    made = replace(FORMS[name], names=names, info={"steps": 3, "card": {"loss": [0.5, 0.25]}})
    folder = made.save(tmp_path / "one")
    assert sorted(path.name for path in folder.iterdir()) == ["cfg.json", "sae_weights.safetensors"]
    read = wb.Dictionary.load(folder)
    assert (read.site, read.out_site, read.kind) == (made.site, made.out_site, made.kind)
    assert (read.model, read.name, read.info) == (made.model, made.name, made.info)
    assert read.names == names
    assert read.path == folder
    for attribute in ("k", "residual_threshold", "stop_on_repeat"):
        assert getattr(read.encoder, attribute, None) == getattr(made.encoder, attribute, None)
    x = activations()
    if made.normalization.scale == "factor" and "k" not in vars(made.encoder):
        # Folded: equal but for rounding.
        torch.testing.assert_close(read.encode(x), made.encode(x), **CLOSE)
        torch.testing.assert_close(read.reconstruct(x), made.reconstruct(x), atol=1e-5, rtol=1e-5)
    else:
        torch.testing.assert_close(read.encode(x), made.encode(x), atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(read.reconstruct(x), made.reconstruct(x), atol=1e-5, rtol=1e-5)
    if made.normalization.scale != "factor":
        assert read.normalization == made.normalization
        assert read.fingerprint == made.fingerprint
        assert torch.equal(read.encode(x), made.encode(x))


def test_half_precision_on_disk_halves_the_matrices_and_keeps_the_vectors(tmp_path: Path) -> None:
    made = dictionary("jumprelu")
    made.save(tmp_path, dtype=torch.float16)
    stored = load_file(tmp_path / "sae_weights.safetensors")
    assert {k: v.dtype for k, v in stored.items()} == {
        "W_enc": torch.float16,
        "W_dec": torch.float16,
        "b_enc": torch.float32,
        "b_dec": torch.float32,
        "threshold": torch.float32,
    }
    read = wb.Dictionary.load(tmp_path)
    assert read.W_dec.dtype == torch.float32
    assert torch.equal(read.W_dec, made.W_dec.half().float())
    assert read.to(dtype=torch.bfloat16).W_dec.dtype == torch.bfloat16
    for device in (np.zeros((2, 3)), "nowhere", "meta:x", 0.5):
        with pytest.raises(ValueError, match="device is a device of this machine, as 'cpu'"):
            read.to(device)
    with pytest.raises(ValueError, match="dtype is a floating type, as torch.float16"):
        read.to(dtype=torch.int32)
    large = replace(made, W_dec=made.W_dec * 1e6)
    with pytest.raises(ValueError, match="W_dec of .* is not finite in torch.float16. Save it in"):
        large.save(tmp_path / "large", dtype=torch.float16)


def test_saving_over_a_dictionary_keeps_other_files_and_never_mixes_two(tmp_path: Path) -> None:
    dictionary("relu").save(tmp_path)
    (tmp_path / "labels.json").write_text("{}")
    first = (tmp_path / "sae_weights.safetensors").read_bytes()
    dictionary("relu", seed=1).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cfg.json",
        "labels.json",
        "sae_weights.safetensors",
    ]
    assert torch.equal(wb.Dictionary.load(tmp_path).W_dec, dictionary("relu", seed=1).W_dec)
    (tmp_path / "sae_weights.safetensors").write_bytes(first)
    with pytest.raises(ValueError, match="cfg.json are of two dictionaries .*Save the dictionary"):
        wb.Dictionary.load(tmp_path)


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = dictionary("relu")
    made.save(tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("workbench.dictionary.writing.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        dictionary("relu", seed=1).save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert wb.Dictionary.load(tmp_path).fingerprint == made.fingerprint


def test_info_that_is_not_plain_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The info of a dictionary is plain data"):
        replace(dictionary("relu"), info={"at": object()}).save(tmp_path / "x")
    with pytest.raises(ValueError, match="The info of a dictionary is plain data"):
        replace(dictionary("relu"), info={"at": float("nan")}).save(tmp_path / "x")


def test_a_folder_of_folders_reads_as_a_collection(tmp_path: Path) -> None:
    for layer in (1, 0):
        made = dictionary("topk", site=f"L{layer}.mlp_out")
        made.save(tmp_path / f"L{layer}.mlp_out")
    read = wb.dictionaries(tmp_path)
    assert [str(site) for site in read] == ["L0.mlp_out", "L1.mlp_out"]
    assert read.feature("L1.mlp_out/3")[1] == 3
