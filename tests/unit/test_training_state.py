"""Interrupts and checkpoints: what was learnt is kept, and a resumed training is the same one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tqdm.auto import tqdm

import workbench as wb
from tests.unit.kernels import fit_dictionary, losses
from tests.unit.kernels import learner as learner_file
from tests.unit.lens_models import TEXTS, words_model
from tests.unit.training_vectors import KINDS, same, vectors


class Stop:
    """Interrupts at the n-th call of a function, and lets the others through."""

    def __init__(self, function: Any, at: int) -> None:
        self.function, self.at, self.n = function, at, 0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.n += 1
        if self.n == self.at:
            raise KeyboardInterrupt
        return self.function(*arguments, **keywords)


RESUMED: dict[str, Any] = {
    "n_features": 16, "steps": 13, "batch_size": 32, "buffer_size": 96, "lr": 0.01,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [2, 6, 13])
def test_a_resumed_training_gives_the_same_dictionary(
    kind: str, at: int, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(learner_file, "REVIVE_EVERY", 3)
    extra: dict[str, Any] = {"p": 0.5} if kind == "relu" else {}
    settings = {**RESUMED, "kind": kind, **extra}
    # The buffer holds 96 of the 256 vectors, so it is filled several times on the way.
    through = fit_dictionary(vectors(), **settings)
    own = {**settings, "checkpoint": tmp_path / "run.safetensors", "checkpoint_every": 2}
    with monkeypatch.context() as patch:
        patch.setattr(tqdm, "update", _method(Stop(tqdm.update, at - 1)))
        with pytest.warns(UserWarning, match=rf"interrupted after {at - 1} of 13 steps; the"):
            part = fit_dictionary(vectors(), **own)
    assert part.info["interrupted"] is True
    assert part.info["steps"] == at - 1
    again = fit_dictionary(vectors(), **own)
    assert same(again, through)
    assert again.info == through.info


def _method(call: Any) -> Any:
    return lambda self, *n: call(self, *n)


def test_an_interrupt_within_a_step_or_a_write_loses_nothing(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Wherever it strikes, the same call afterwards gives what one run would have given."""
    through = fit_dictionary(vectors(), **RESUMED)
    places = [
        (torch.optim.Adam, "step"),
        (losses, "topk_loss"),
        (safetensors.torch, "serialize_file"),
        (os, "replace"),
    ]
    for number, (owner, name) in enumerate(places):
        for at in (2, 3):
            path = tmp_path / f"{number}-{at}"
            own: dict[str, Any] = {**RESUMED, "checkpoint": path, "checkpoint_every": 3}
            with monkeypatch.context() as patch:
                stop = Stop(getattr(owner, name), at)
                patch.setattr(owner, name, lambda *a, stop=stop, **k: stop(*a, **k))
                with pytest.warns(UserWarning, match="goes on from the last checkpoint"):
                    fit_dictionary(vectors(), **own)
            left = sorted(p.name for p in path.iterdir()) if path.exists() else []
            assert left in ([], ["training.safetensors"]), "no part of a file is left behind"
            assert same(fit_dictionary(vectors(), **own), through)


def test_a_half_written_checkpoint_never_takes_the_place_of_a_whole_one(
    tmp_path: Path, monkeypatch: Any
) -> None:
    through = fit_dictionary(vectors(), **RESUMED)
    path, whole = tmp_path / "state.safetensors", []
    save = vars(safetensors.torch)["serialize_file"]
    own: dict[str, Any] = {**RESUMED, "checkpoint": path, "checkpoint_every": 4}

    def full(tensors: Any, file: Any, **notes: Any) -> None:
        if not whole:
            save(tensors, file, **notes)
            whole.append(Path(file).read_bytes())
            return
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "serialize_file", full)
        with pytest.raises(OSError, match="No space left"):
            fit_dictionary(vectors(), **own)
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]
    assert path.read_bytes() == whole[0]
    again = fit_dictionary(vectors(), **own)
    assert same(again, through) and again.info == through.info


def test_a_resumed_training_of_several_sites_is_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    # The buffer holds a part of the texts, so that it is filled anew several times.
    settings: dict[str, Any] = {
        "n_features": 24, "batch_size": 32, "steps": 12, "buffer_size": 60, "progress": False,
    }  # fmt: skip
    model, sites = words_model(), ["L0.mlp_in", "L1.mlp_in"]
    texts = TEXTS * 3
    through = wb.train_dictionaries(model, sites, texts, kind="transcoder", **settings)
    own: dict[str, Any] = {"checkpoint": tmp_path, "checkpoint_every": 5, **settings}
    with monkeypatch.context() as patch:
        patch.setattr(tqdm, "update", _method(Stop(tqdm.update, 7)))
        with pytest.warns(UserWarning, match="interrupted after 7 of 12"):
            wb.train_dictionaries(model, sites, lambda: iter(texts), kind="transcoder", **own)
    again = wb.train_dictionaries(model, sites, lambda: iter(texts), kind="transcoder", **own)
    for site in through:
        assert same(again[site], through[site])


def test_an_interrupt_before_the_first_step_has_nothing_to_keep() -> None:
    def stopped() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_dictionary(stopped, **RESUMED)


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    own: dict[str, Any] = {**RESUMED, "checkpoint": tmp_path / "run.safetensors"}
    done = fit_dictionary(vectors(), **own)
    assert same(fit_dictionary(vectors(), **own), done), "a finished one gives its dictionary"
    with pytest.raises(ValueError, match=r"another training: lr was 0\.01, now 0\.5\. Give the"):
        fit_dictionary(vectors(), **{**own, "lr": 0.5})
    with pytest.raises(ValueError, match="the texts that it began with"):
        fit_dictionary(vectors(seed=9), **own)
    for content in (b"", b"not a checkpoint at all", own["checkpoint"].read_bytes()[:400]):
        own["checkpoint"].write_bytes(content)
        with pytest.raises(ValueError, match="is not a checkpoint of a training, or is damaged"):
            fit_dictionary(vectors(), **own)
