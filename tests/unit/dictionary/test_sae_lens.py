"""What is written here loads in sae-lens and gives the same codes there, and the other way round.

sae-lens cannot be installed beside TransformerLens 4, so it runs in an environment of its own:
WORKBENCH_SAE_LENS_PYTHON names that environment's Python; without it, one is made for the test.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.sae_lens_environment import NotInstalled, run, sae_lens_python
from tests.unit.random_dictionaries import activations, forms
from workbench.dictionary.base import Dictionary
from workbench.dictionary.writing import architecture_of

pytestmark = pytest.mark.slow

PEER = Path(__file__).with_name("sae_lens_peer.py")
# sae-lens's layer norm divides by std + 1e-5 and multiplies by std.
LOOSE: dict[str, Any] = {"atol": 3e-4, "rtol": 2e-5}
CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Python of an environment that has sae-lens."""
    folder = tmp_path_factory.mktemp("sae_lens")
    try:
        yield sae_lens_python(folder)
    except NotInstalled as error:
        pytest.skip(f"network: {error}")
    finally:
        # Two gigabytes, which pytest would keep.
        shutil.rmtree(folder, ignore_errors=True)


def named(name: str) -> Callable[[str], str]:
    return lambda text: f"{name}: {text}"


def test_sae_lens_gives_the_codes_of_a_dictionary_written_here(python: str, tmp_path: Path) -> None:
    x = activations()
    save_file({"x": x}, tmp_path / "x.safetensors")
    made = forms()
    for name, dictionary in made.items():
        dictionary.save(tmp_path / name)
    made["topk"].save(tmp_path / "topk_half", dtype=torch.float16)
    run(python, str(PEER), "read", str(tmp_path))
    refused = json.loads((tmp_path / "refused.json").read_text())
    ours = {n for n, d in made.items() if architecture_of(d).startswith("workbench_")}
    assert set(refused) == ours
    assert {"snmf", "linear", "topk_transcoder", "matching_pursuit_factor"} <= ours
    assert not {"relu", "jumprelu", "batchtopk", "topk", "gated", "matching_pursuit"} & ours
    assert not {"relu_transcoder", "jumprelu_skip_transcoder", "batchtopk_transcoder"} & ours
    for name, dictionary in made.items():
        if name in ours:
            continue
        theirs = load_file(tmp_path / name / "answers.safetensors")
        given = x
        if dictionary.normalization.center:
            # sae-lens leaves it to the model to centre what it writes.
            dictionary = replace(
                dictionary, normalization=replace(dictionary.normalization, center=False)
            )
        torch.testing.assert_close(
            dictionary.encode(given), theirs["codes"], **CLOSE, msg=named(name)
        )
        out: dict[str, Any] = LOOSE if "layer_norm" in name else CLOSE
        torch.testing.assert_close(
            dictionary.reconstruct(given), theirs["out"], **out, msg=named(name)
        )
    half = Dictionary.load(tmp_path / "topk_half")
    theirs = load_file(tmp_path / "topk_half" / "answers.safetensors")
    torch.testing.assert_close(half.encode(x), theirs["codes"], **CLOSE)


def test_a_dictionary_that_sae_lens_saved_gives_its_codes_here(python: str, tmp_path: Path) -> None:
    run(python, str(PEER), "write", str(tmp_path))
    folders = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    assert len(folders) == 14
    for folder in folders:
        dictionary = Dictionary.load(folder)
        theirs = load_file(folder / "answers.safetensors")
        codes = dictionary.encode(theirs["x"])
        assert (codes > 0).any() and (codes == 0).any()
        torch.testing.assert_close(codes, theirs["codes"], **CLOSE, msg=named(folder.name))
        out: dict[str, Any] = LOOSE if folder.name == "layer_norm" else CLOSE
        torch.testing.assert_close(
            dictionary.reconstruct(theirs["x"]), theirs["out"], **out, msg=named(folder.name)
        )
        assert dictionary.model == "tiny"
        again = Dictionary.load(dictionary.save(folder / "again"))
        assert torch.equal(again.encode(theirs["x"]), codes)
