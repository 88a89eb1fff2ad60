"""A model that others trained: its greedy text, and both backends on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench.loading import load

from .conftest import BACKENDS


@pytest.mark.parametrize("backend", BACKENDS)
def test_stories260k_tells_its_story_character_for_character(backend, assets: Path):
    folder = assets / "models" / "stories260K"
    expected = (folder / "expected_stdout.txt").read_text()
    model = load(folder, backend=backend, device="cpu")
    n = len(model.tokenizer(expected.strip()).input_ids) - 1
    start: Any = model.tokenizer.bos_token_id
    text = model.generate([[start]], n).texts[0]
    assert text.strip() == expected.strip()
