"""Where a dictionary is looked for, and files that are damaged or would run code."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import workbench as wb
from tests.unit.dictionary_files import (
    draw,
    gemma_weights,
    sae_lens_folder,
    save_npz,
    weights,
)
from tests.unit.random_dictionaries import D_IN, N
from workbench.dictionary import hub


def test_damaged_files_are_told_by_name(tmp_path: Path) -> None:
    folder = sae_lens_folder(tmp_path / "a", weights())
    path = folder / "sae_weights.safetensors"
    whole = path.read_bytes()
    for size in (0, 7, 200, len(whole) - 5):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=f"{re.escape(str(path))} is not a whole safetensors"):
            wb.Dictionary.load(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{re.escape(str(path))} is missing"):
        wb.Dictionary.load(folder)
    path.write_bytes(whole)
    (folder / "cfg.json").write_text('{"d_in": 12,')
    with pytest.raises(ValueError, match="cfg.json is not JSON .*cut short"):
        wb.Dictionary.load(folder)
    (folder / "cfg.json").write_text("[1]")
    with pytest.raises(ValueError, match="cfg.json holds settings by name; got list"):
        wb.Dictionary.load(folder)
    for name, value in (("b_enc", float("nan")), ("W_dec", float("inf"))):
        damaged = weights()
        damaged[name].reshape(-1)[3] = value
        sae_lens_folder(folder, damaged)
        with pytest.raises(ValueError, match=f"finite numbers; {name} of .* has NaN or infinity"):
            wb.Dictionary.load(folder)
    for name, shape in (("b_enc", (N + 1,)), ("b_dec", (N,)), ("W_dec", (D_IN, N)), ("b_enc", ())):
        sae_lens_folder(folder, weights(**{name: draw(*shape)}))
        with pytest.raises(ValueError, match=rf"{re.escape(str(path))}: .* got shape"):
            wb.Dictionary.load(folder)
    sae_lens_folder(folder, weights(b_enc=torch.zeros(N, dtype=torch.int64)))
    with pytest.raises(ValueError, match="b_enc holds real numbers; got torch.int64"):
        wb.Dictionary.load(folder)


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"encoder.weight": Trap(mark)}, protocol=2))
    torch.save({"encoder.weight": Trap(mark)}, tmp_path / "zip.pt")
    for name in ("plain.pt", "zip.pt"):
        with pytest.raises(ValueError, match=f"{name} is not a file of plain tensors .*never run"):
            wb.Dictionary.load(tmp_path / name, site="L0.resid_post")
    array = np.array([Trap(mark)], dtype=object)
    np.savez(tmp_path / "params.npz", W_enc=array)
    with pytest.raises(ValueError, match="params.npz is not a whole npz file of plain arrays"):
        wb.Dictionary.load(tmp_path / "params.npz", site="L0.resid_post")
    (tmp_path / "params.npz").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(ValueError, match="params.npz is not a whole npz file of plain arrays"):
        wb.Dictionary.load(tmp_path / "params.npz", site="L0.resid_post")
    assert not mark.exists()
    torch.save({"ae": {"x": torch.ones(1)}, "step": 3}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="holds no state dict, tensors by name"):
        wb.Dictionary.load(tmp_path / "checkpoint.pt", site="L0.resid_post")


def test_places_without_a_dictionary_say_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(FileNotFoundError, match="holds no dictionary .*It has notes.txt; give sae"):
        wb.Dictionary.load(tmp_path)
    with pytest.raises(ValueError, match="notes.txt has none of the names"):
        wb.Dictionary.load(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match="has no 'layer_9'; it has notes.txt"):
        wb.Dictionary.load(tmp_path, sae_id="layer_9")
    with pytest.raises(FileNotFoundError, match="There is no .*nowhere"):
        wb.Dictionary.load(tmp_path / "nowhere")
    form: Any = "pickle"
    with pytest.raises(ValueError, match="format is one of 'sae_lens', 'gemma_scope',"):
        wb.Dictionary.load(tmp_path, format=form)


class Hub:
    """A stand-in for the Hub: files in a folder, by repository, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, []
        self.offline = False

    def download(self, repository: str, name: str, *, revision: str | None = None) -> str:
        from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

        self.asked.append((repository, name, revision))
        path = self.folder / repository / name
        if path.is_file():
            return str(path)
        if self.offline:
            raise LocalEntryNotFoundError("offline")
        raise RemoteEntryNotFoundError.__new__(RemoteEntryNotFoundError)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(tmp_path)
    monkeypatch.setattr("workbench.dictionary.hub.hf_hub_download", made.download)
    return made


def test_only_the_files_of_one_dictionary_are_fetched(stand_in: Hub) -> None:
    place = stand_in.folder / "jbloom/GPT2-Small-SAEs-Reformatted"
    place.mkdir(parents=True)
    sae_lens_folder(place / "blocks.1.hook_resid_pre", weights())
    read = wb.Dictionary.load(
        "gpt2-small-res-jb", sae_id="blocks.1.hook_resid_pre", revision="main"
    )
    assert stand_in.asked == [
        ("jbloom/GPT2-Small-SAEs-Reformatted", f"blocks.1.hook_resid_pre/{name}", "main")
        for name in ("cfg.json", "sae_weights.safetensors")
    ]
    assert read.normalization.center and str(read.site) == "L1.resid_pre"
    assert read.name == "jbloom/GPT2-Small-SAEs-Reformatted/blocks.1.hook_resid_pre"
    again = wb.Dictionary.load(
        "jbloom/GPT2-Small-SAEs-Reformatted", sae_id="blocks.1.hook_resid_pre"
    )
    assert again.normalization.center and again.fingerprint == read.fingerprint


def test_canonical_names_and_patterns_of_releases_become_folders(stand_in: Hub) -> None:
    folder = stand_in.folder / "google/gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82"
    folder.mkdir(parents=True)
    save_npz(folder / "params.npz", gemma_weights())
    read = wb.Dictionary.load(
        "gemma-scope-2b-pt-res-canonical", sae_id="layer_12/width_16k/canonical"
    )
    assert (str(read.site), read.model) == ("L12.resid_post", "gemma-2-2b")
    with pytest.raises(ValueError, match="known here are layer_0/width_16k/canonical to layer_25"):
        wb.Dictionary.load("gemma-scope-2b-pt-res-canonical", sae_id="layer_12/width_1m/canonical")
    place = stand_in.folder / "ctigges/pythia-70m-deduped__res-sm_processed"
    place.mkdir(parents=True)
    sae_lens_folder(place / "4-res-sm", weights(), hook="blocks.4.hook_resid_post")
    read = wb.Dictionary.load("pythia-70m-deduped-res-sm", sae_id="blocks.4.hook_resid_post")
    assert str(read.site) == "L4.resid_post"
    with pytest.raises(ValueError, match="are hook names, like blocks.6.hook_resid_post; got '4'"):
        wb.Dictionary.load("pythia-70m-deduped-res-sm", sae_id="4")


def test_a_layer_of_a_transcoder_set_is_fetched_with_its_settings(stand_in: Hub) -> None:
    place = stand_in.folder / "someone/transcoders"
    place.mkdir(parents=True)
    w = weights()
    save_file(w | {"W_enc": w["W_enc"].T.contiguous()}, place / "layer_3.safetensors")
    (place / "config.yaml").write_text("model_name: org/tiny\n")
    read = wb.Dictionary.load("someone/transcoders", sae_id="layer_3")
    assert (str(read.site), read.model) == ("L3.mlp_in", "org/tiny")
    fetched = [name for _, name, _ in stand_in.asked if (place / name).is_file()]
    assert fetched == ["layer_3.safetensors", "config.yaml"]


def test_a_dictionary_that_the_hub_does_not_have_is_told_from_no_hub(stand_in: Hub) -> None:
    with pytest.raises(ValueError, match="someone/saes has no dictionary at 'x': none of cfg.json"):
        wb.Dictionary.load("someone/saes", sae_id="x")
    stand_in.offline = True
    with pytest.raises(FileNotFoundError, match="someone/saes/x is not on this machine, and the H"):
        wb.Dictionary.load("someone/saes", sae_id="x")
    with pytest.raises(ValueError, match="'saes' is no folder here, .*gpt2-small-res-jb"):
        wb.Dictionary.load("saes")
    assert all(release.repository.count("/") == 1 for release in hub.RELEASES.values())
