"""Interrupts: what was learnt is kept, and said to be a part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tqdm.auto import tqdm

from tests.unit.kernels import learner as losses
from tests.unit.training_vectors import KINDS, fit_dictionary, same, vectors


class Stop:
    """Interrupts at the n-th call of a function, and lets the others through."""

    def __init__(self, function: Any, at: int) -> None:
        self.function, self.at, self.n = function, at, 0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.n += 1
        if self.n == self.at:
            raise KeyboardInterrupt
        return self.function(*arguments, **keywords)


SETTINGS: dict[str, Any] = {
    "n_features": 16, "steps": 13, "batch_size": 32, "buffer_size": 96, "learning_rate": 0.01,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_gives_what_it_has_learnt(kind: str, monkeypatch: Any) -> None:
    through = fit_dictionary(vectors(), kind=kind, **SETTINGS)
    stop = Stop(tqdm.update, 6)
    monkeypatch.setattr(tqdm, "update", lambda self, *n: stop(self, *n))
    with pytest.warns(UserWarning, match=r"interrupted after 6 of 13 steps; the dictionary has"):
        part = fit_dictionary(vectors(), kind=kind, **SETTINGS)
    assert (part.info["interrupted"], part.info["steps"]) == (True, 6)
    assert part.info["curves"]["loss"] == through.info["curves"]["loss"][:6]
    assert not same(part, through)


@pytest.mark.parametrize(("owner", "name"), [(torch.optim.Adam, "step"), (losses, "topk_loss")])
def test_an_interrupt_within_a_step_leaves_a_dictionary(
    owner: Any, name: str, monkeypatch: Any
) -> None:
    stop = Stop(getattr(owner, name), 3)
    monkeypatch.setattr(owner, name, lambda *a, **k: stop(*a, **k))
    with pytest.warns(UserWarning, match="interrupted after 2 of 13 steps"):
        part = fit_dictionary(vectors(), **SETTINGS)
    assert torch.allclose(part.W_dec.norm(dim=-1), torch.ones(16), atol=1e-5)


def test_an_interrupt_before_the_first_step_has_nothing_to_keep() -> None:
    def stopped() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_dictionary(stopped, **SETTINGS)
