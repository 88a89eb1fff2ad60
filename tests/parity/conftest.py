"""Models of the zoo, each loaded once a session through every way in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.loading import load

from . import zoo
from .plain import Plain

BACKENDS = ("nnsight", "transformer_lens")


@pytest.fixture(scope="session")
def zoo_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("zoo")
    return cache(lambda name: zoo.save(name, folder))


@pytest.fixture(scope="session")
def zoo_model(zoo_folder: Callable[[str], Path]) -> Callable[..., Any]:
    """zoo_model(name, backend, **options) → a loaded Model."""
    return cache(
        lambda name, backend, **options: load(
            zoo_folder(name), backend=backend, device="cpu", **options
        )
    )


@pytest.fixture(scope="session")
def plain_model(
    zoo_folder: Callable[[str], Path], zoo_model: Callable[..., Any]
) -> Callable[[str], Plain]:
    """plain_model(name) → the reference over a plain Hugging Face model."""
    from transformers import AutoModelForCausalLM

    @cache
    def build(name: str) -> Plain:
        model = AutoModelForCausalLM.from_pretrained(
            zoo_folder(name), attn_implementation="eager"
        ).eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        return Plain(name, model, zoo_model(name, "nnsight").spec.d_head)

    return build


@pytest.fixture(scope="session")
def prompts() -> list[list[int]]:
    """Two rows of nine random tokens: longer than the zoo's sliding windows."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(2, zoo.N_WORDS, (2, 9), generator=generator).tolist()
