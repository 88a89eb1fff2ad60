"""Several threads: each run is what it is alone, to the bit, whatever the others edit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from workbench import turns
from workbench.change import Change
from workbench.edits import Add, Scale, Set
from workbench.loading import load
from workbench.weight_edits import WeightEdit

from .conftest import BACKENDS

N_THREADS, N_RUNS = 6, 8
ROWS = [[5, 9, 13, 20, 31], [7, 3, 50], [12, 28, 6, 41, 11, 9]]


def metric(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, -1, 9]


#: What a thread does with a model and a number of its own.
JOBS: dict[str, Callable[[Any, int], Any]] = {
    "plain": lambda model, i: model.run(ROWS).logits,
    "edit": lambda model, i: model.run(ROWS, edits=Add("L0.mlp_out", 0.1 * i)).logits,
    "scores": lambda model, i: model.run(ROWS, edits=Scale("L1H2.z", i)).logits,
    "read": lambda model, i: model.run(ROWS, read="L1.mlp_post", edits=Set("L0.z", i))[
        "L1.mlp_post"
    ],
    "gradient": lambda model, i: model.run(
        ROWS, read="L0.resid_post", grad_of=metric, edits=Add("embed", 0.1 * i)
    ).grad("L0.resid_post"),
    "generation": lambda model, i: torch.tensor(
        model.generate([ROWS[0]], 4, edits=Add("L1.resid_post", 0.3 * i)).new[0]
    ),
    "weights": lambda model, i: under_other_weights(model, i),
    "weight": lambda model, i: model.weight("W_out", 0),
    "tokens": lambda model, i: model.tokens([f"w{i + 3} w9", "w5"]).ids,
}


def under_other_weights(model: Any, i: int) -> torch.Tensor:
    with Change(WeightEdit("W_out", 0, [1, 2], value=0.1 * i)).applied(model):
        first = model.run(ROWS).logits
        time.sleep(0.001)
        assert torch.equal(model.run(ROWS).logits, first)
        return first


def together(models: list[Any]) -> None:
    """Every kind of job in every thread, each on one of the models, beside the same one by one."""
    kinds = list(JOBS)
    jobs = [(kinds[i % len(kinds)], models[i % len(models)], i) for i in range(N_THREADS * N_RUNS)]
    alone = [JOBS[kind](model, i) for kind, model, i in jobs]
    assert len({str(x.tolist()) for x in alone}) > N_THREADS
    with ThreadPoolExecutor(N_THREADS) as pool:
        found = list(pool.map(lambda job: JOBS[job[0]](job[1], job[2]), jobs))
    wrong = [
        job[::2] for job, a, b in zip(jobs, alone, found, strict=True) if not torch.equal(a, b)
    ]
    assert not wrong


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_runs_of_one_model_are_what_they_are_alone(
    name: str, backend: str, zoo_model: Callable[..., Any]
) -> None:
    together([zoo_model(name, backend)])


def test_different_models_run_at_once(zoo_model: Callable[..., Any]) -> None:
    together([zoo_model(name, backend) for name in ("gpt2", "llama") for backend in BACKENDS])


def test_models_over_the_same_memory_take_turns(zoo_model: Callable[..., Any]) -> None:
    """Two backends around one model in memory: a weight edit of one is one of the other."""
    hf_model = zoo_model("llama", "nnsight").to_hugging_face()
    tokenizer = zoo_model("llama", "nnsight").tokenizer
    models = [load(hf_model, tokenizer=tokenizer, backend=backend) for backend in BACKENDS]
    assert models[0].turn is models[1].turn
    assert models[0].turn is not zoo_model("llama", "nnsight").turn
    together(models)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_a_block_of_edited_weights_waits_for_is_refused_in_words(
    backend: str, zoo_model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = zoo_model("gpt2", backend)
    plain = model.run(ROWS).logits
    monkeypatch.setattr(turns, "OF_AN_EDIT", 0.2)
    text = "run by the thread that edited them; .* Run in that thread, or after the block"
    with ThreadPoolExecutor(2) as pool:
        with Change(WeightEdit("W_out", 0, 1, value=0.0)).applied(model):
            for call in (
                lambda: model.run(ROWS),
                lambda: model.generate(ROWS, 2),
                lambda: model.weight("W_out", 0),
                lambda: JOBS["weights"](model, 1),
            ):
                with pytest.raises(RuntimeError, match=text):
                    pool.submit(call).result()
            with pytest.raises(RuntimeError, match=text):
                asyncio.run(asyncio.to_thread(model.run, ROWS))
        assert torch.equal(pool.submit(lambda: model.run(ROWS).logits).result(), plain)
    # Nobody is left out while turns change hands, however long it takes in all.
    with ThreadPoolExecutor(N_THREADS) as pool:
        jobs = [pool.submit(JOBS["weights"], model, i) for i in range(N_THREADS)]
        assert all(job.result().isfinite().all() for job in jobs)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_fails_leaves_its_turn(backend: str, zoo_model: Callable[..., Any]) -> None:
    model = zoo_model("gpt2", backend)
    plain = model.run(ROWS).logits

    def broken(logits: torch.Tensor) -> torch.Tensor:
        raise ArithmeticError("of the metric")

    with ThreadPoolExecutor(2) as pool:
        for call in (
            lambda: model.run(ROWS, edits=Add("L9.z", 1.0)),
            lambda: model.run(ROWS, read="L0.z", grad_of=broken),
            lambda: model.run(ROWS, edits=Set("L0.mlp_out", torch.ones(3))),
        ):
            with pytest.raises(Exception, match="layers 0 to 1|of the metric|broadcasts to"):
                pool.submit(call).result()
        assert torch.equal(model.run(ROWS).logits, plain)
        assert torch.equal(pool.submit(lambda: model.run(ROWS).logits).result(), plain)
