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


@pytest.fixture(params=["nnsight"])
def calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> BaseCalls:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return BaseCalls(tmp_path, request.param)


def drawn(calls: BaseCalls, n: int) -> Iterator[Bent]:
    """So many bent calls, evenly over the public calls: more of the others where one has few."""
    random = np.random.default_rng(11)
    names = [name for name in calls.names() if re.search(ONLY, name)]
    order = [names[i] for i in random.permutation(len(names))]
    room = {name: len(bends(calls, name)) for name in order}
    shares = dict.fromkeys(order, 0)
    while n and (open_ := [name for name in order if shares[name] < room[name]]):
        for name in open_[:n]:
            more = min(max(1, n // len(open_)), room[name] - shares[name])
            shares[name] += more
            n -= more
    for name in order:
        if shares[name]:
            # Made anew, as a call begins: some can be used only once.
            every = bends(calls, name)
            yield from (every[i] for i in random.permutation(len(every))[: shares[name]])


def wrong(calls: BaseCalls, n: int) -> list[str]:
    """The faults of so many bent calls; and of the plain run after them."""
    before = calls.model.run(PROMPT).logits
    out, made = [], 0
    for bent in drawn(calls, n):
        made += 1
        if (reason := fault(bent)) is not None:
            out.append(f"{bent}: {reason}")
    if made < n and not ONLY:
        out.append(f"There were {made} bent calls of {n}.")
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
@pytest.mark.parametrize("calls", ["nnsight", "transformer_lens"], indirect=True)
def test_ten_thousand_bent_calls(calls: BaseCalls) -> None:
    n = int(os.environ.get("WORKBENCH_GENERATED_CALLS", "10000"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A fifth of them on the other backend.
        faults = wrong(calls, n // 5 if calls.backend == "transformer_lens" else n - n // 5)
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)
