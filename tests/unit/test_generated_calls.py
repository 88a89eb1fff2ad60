"""Generated calls: thousands of bent ones, each of which ends in an answer or an error of ours.

WORKBENCH_GENERATED_CALLS says how many; WORKBENCH_GENERATED_ONLY, a pattern, of which calls. They
are drawn evenly over the public calls, the same for the same number.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.base_calls import BaseCalls
from tests.unit.base_values import PROMPT
from tests.unit.bent_calls import Bent, bends, fault

ONLY = os.environ.get("WORKBENCH_GENERATED_ONLY", "")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaseCalls:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return BaseCalls(tmp_path)


def drawn(calls: BaseCalls, n: int) -> Iterator[Bent]:
    """So many bent calls, evenly over the public calls."""
    random = np.random.default_rng(11)
    names = [name for name in calls.names() if re.search(ONLY, name)]
    order = [names[i] for i in random.permutation(len(names))]
    share, more = divmod(n, len(order))
    for number, name in enumerate(order):
        if own := share + (number < more):
            every = bends(calls, name)
            chosen = random.permutation(len(every))[:own]
            yield from (every[i] for i in chosen)


def wrong(calls: BaseCalls, n: int) -> list[str]:
    """The faults of so many bent calls; and of the plain run after them."""
    before = calls.model.run(PROMPT).logits
    out = []
    for bent in drawn(calls, n):
        if (reason := fault(bent)) is not None:
            out.append(f"{bent}: {reason}")
    after = calls.model.run(PROMPT).logits
    if not torch.equal(before, after):
        out.append("The plain run afterwards does not give the plain logits.")
    return out


def test_bent_calls_end_in_an_answer_or_an_error_of_ours(calls: BaseCalls) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        faults = wrong(calls, int(os.environ.get("WORKBENCH_GENERATED_CALLS", "60")))
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)


@pytest.mark.slow
def test_ten_thousand_bent_calls(calls: BaseCalls) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        faults = wrong(calls, int(os.environ.get("WORKBENCH_GENERATED_CALLS", "10000")))
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)
