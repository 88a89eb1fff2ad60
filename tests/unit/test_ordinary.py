"""State of torch that outlives a call: calls give the same numbers under it, and leave it."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.lens_models import PROMPT, TEXTS, words_model
from workbench.dictionary.base import ScaleFeatures
from workbench.model import ModelSpec

BACKENDS = ("nnsight", "transformer_lens")
SITE = "L1.resid_post"


@contextmanager
def set_back(setter: Callable[[Any], Any], value: Any, before: Any) -> Iterator[None]:
    setter(value)
    try:
        yield
    finally:
        setter(before)


def set_type(value: torch.dtype) -> Any:
    return set_back(torch.set_default_dtype, value, torch.float32)


#: What a notebook may have set before a call.
STATES: dict[str, Callable[[], Any]] = {
    "float64": lambda: set_type(torch.float64),
    "bfloat16": lambda: set_type(torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "gradients off": lambda: set_back(torch.set_grad_enabled, False, True),
    "device": lambda: set_back(torch.set_default_device, "meta", None),
    "device block": lambda: torch.device("meta"),
    "deterministic": lambda: set_back(torch.use_deterministic_algorithms, True, False),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


def state() -> dict[str, Any]:
    return {
        "type": torch.get_default_dtype(),
        "inference": torch.is_inference_mode_enabled(),
        "gradients": torch.is_grad_enabled(),
        "device": torch.get_default_device(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "threads": torch.get_num_threads(),
        "random": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),
        "python": random.getstate(),
    }


@cache
def model_of(backend: str) -> Any:
    return words_model(backend)


def metric(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, -1, 9] - logits[:, -1, 4]


def pair() -> Any:
    clean = "When Mary and John went to the store, John gave a drink to"
    corrupt = clean.replace("John gave", "Mary gave")
    return wb.task([{"clean": clean, "corrupt": corrupt, "answers": " Mary", "foils": " John"}])


def under_other_weights(model: Any) -> Any:
    edits = [wb.WeightEdit("W_out", 1, 3, factor=1.7), wb.WeightEdit("W_in", 0, 2, add=0.3)]
    with wb.Change(edits).applied(model):
        return model.run(PROMPT).logits


@cache
def dictionary_of(model: Any) -> Any:
    return wb.features.train(
        model, TEXTS, SITE, n_features=24, batch_size=32, steps=20, progress=False
    )[SITE]


def codes(model: Any) -> Any:
    """What a dictionary says by itself, and in a pass that gradients go through."""
    x = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
    dictionary = dictionary_of(model)
    found = dictionary.encode(torch.as_tensor(x, device="cpu"))
    edit = ScaleFeatures(dictionary, [1, 2], 0.5)
    run = model.run(PROMPT, read=SITE, grad_of=metric, edits=edit)
    return found, dictionary.decode(found), dictionary.reconstruct(run[SITE]), run.grad(SITE)


CALLS: dict[str, Callable[[Any], Any]] = {
    "run": lambda model: model.run(
        [PROMPT, "The capital of Italy is"],
        read=[SITE, "L0.z", "L2.pattern"],
        grad_of=metric,
        edits=[wb.Add("L0.mlp_out", 0.25), wb.Scale("L1H2.attn_scores", np.float64(0.5))],
    ),
    "generate": lambda model: model.generate(PROMPT, 4, temperature=0.8, seed=3).new,
    "read": lambda model: [
        model.unembed(torch.linspace(-1, 1, 32, dtype=torch.float32, device="cpu")),
        model.weight("W_E"),
        model.norm("ln1", 1),
        list(model.to_hugging_face().state_dict().values()),
    ],
    "edited weights": under_other_weights,
    "load": lambda model: words_model(model.spec.backend).run(PROMPT, cache=True),
    "logit lens": lambda model: wb.logit_lens(model, PROMPT),
}
#: Methods that compute beside the model, or train.
METHODS: dict[str, Callable[[Any], Any]] = {
    "attention": lambda model: wb.attention(model, PROMPT),
    "attribute": lambda model: wb.attribute(model, pair()),
    "circuit": lambda model: wb.find_circuit(model, pair(), n_edges=20),
    "direct": lambda model: wb.direct_logit_attribution(model, PROMPT, " Mary"),
    "codes": codes,
    "path": lambda model: wb.circuits.path_patch(model, pair(), sender="L0H1.z"),
    "ablate": lambda model: wb.ablate(model, pair(), ["L1H2.z", "L0.mlp_out"]),
    "information": lambda model: wb.information.graph(model, PROMPT, n_edges=10),
    "features": lambda model: wb.features.activations(model, PROMPT, dictionary_of(model)),
    "check": lambda model: wb.features.check(model, TEXTS[:2], dictionary_of(model)),
    "evaluate": lambda model: wb.features.evaluate(
        model, TEXTS[:4], dictionary_of(model), progress=False
    ),
    "probe": lambda model: vars(
        wb.probe(wb.activations(model, TEXTS * 4, SITE, labels={"y": [0, 1] * 6}), "y")
    ),
    "steer": lambda model: wb.steer(model, PROMPT, dictionary_of(model).add(1), n_new=2),
    "observable": lambda model: wb.vocabulary.observable(model, " Mary", " John").attribute(PROMPT),
    "patch": lambda model: wb.patch(model, pair(), progress=False),
    "tuned lens": lambda model: wb.lens.tuned(model, TEXTS, steps=3, progress=False),
    "words": lambda model: wb.vocabulary.neurons(model, 1),
    "dictionary": lambda model: (
        wb.features.train(
            model, TEXTS, SITE, n_features=24, batch_size=32, steps=4, progress=False
        )[SITE].tensors
    ),
    "unlearn": lambda model: wb.weights.unlearn(
        model, [(PROMPT, " Mary")], TEXTS[:3], steps=2, batch_size=1
    ).run(PROMPT),
}


def numbers(value: Any) -> list[np.ndarray]:
    """Every number of a result, in order."""
    if isinstance(value, torch.Tensor):
        return [value.detach().double().numpy()]
    if isinstance(value, np.ndarray):
        return [value] if value.dtype.kind in "fiub" else []
    if isinstance(value, (int, float)):
        return [np.asarray(value)]
    if isinstance(value, Mapping):
        return [n for each in value.values() for n in numbers(each)]
    if isinstance(value, (list, tuple)):
        return [n for each in value for n in numbers(each)]
    if is_dataclass(value) and not isinstance(value, (wb.Edit, ModelSpec)):
        return [n for f in fields(value) for n in numbers(getattr(value, f.name))]
    return []


@cache
def ordinary(backend: str, call: str) -> list[np.ndarray]:
    return numbers((CALLS | METHODS)[call](model_of(backend)))


@pytest.mark.parametrize("given", STATES)
@pytest.mark.parametrize(
    ("backend", "call"),
    [*((b, c) for b in BACKENDS for c in CALLS), *(("nnsight", c) for c in METHODS)],
)
def test_a_call_gives_its_numbers_whatever_is_set_and_leaves_it_set(
    backend: str, call: str, given: str
) -> None:
    model, wanted = model_of(backend), ordinary(backend, call)
    assert len(wanted) > 0
    with STATES[given]():
        before = state()
        found = (CALLS | METHODS)[call](model)
        assert state() == before
    got = numbers(found)
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_whose_weights_were_made_in_inference_mode_is_a_model(backend: str) -> None:
    """Gradients pass through it, its weights are edited, and it shares the given one's memory."""
    plain = model_of(backend)
    hf_model = plain.to_hugging_face()
    with torch.inference_mode():
        made = copy.deepcopy(hf_model)
        assert all(p.is_inference() for p in made.parameters())
        model = wb.load(made, tokenizer=plain.tokenizer, backend=backend)
    for call in ("run", "edited weights"):
        for a, b in zip(numbers(CALLS[call](model)), ordinary(backend, call), strict=True):
            np.testing.assert_array_equal(a, b)
    with torch.inference_mode():
        made.transformer.h[1].mlp.c_proj.weight[3] = 0.0
        assert not model.weight("W_out", 1)[3].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_made_in_inference_mode_goes_into_a_graph(backend: str) -> None:
    """Values of edits, tokens and residual streams of a notebook cell that was in it."""
    model = model_of(backend)
    with torch.inference_mode():
        value = torch.linspace(0.5, 1.5, 32)
        tokens = model.tokens(PROMPT)
        made = wb.Tokens(tokens.ids.clone(), tokens.mask.clone(), tokens.strings)
        resid = model.run(PROMPT, read="L1.resid_pre")["L1.resid_pre"].clone()
        assert value.is_inference() and made.ids.is_inference() and resid.is_inference()

    def found(value: Any, tokens: Any, resid: Any) -> list[torch.Tensor]:
        out = []
        for kind in (wb.Scale, wb.Add, wb.Set, wb.ProjectOut):
            edit = kind("L1.mlp_out", value)
            run = model.run(tokens, read=["L0.z", SITE], edits=edit, grad_of=metric)
            out += [run.grad("L0.z"), run.grad(SITE), run.value]
        resume = wb.Resume(1, resid)
        run = model.run(tokens, read=["L1.resid_pre"], resume=resume, grad_of=metric)
        return [*out, run.grad("L1.resid_pre")]

    wanted = found(value.clone(), model.tokens(PROMPT), resid.clone())
    for a, b in zip(found(value, made, resid), wanted, strict=True):
        assert torch.equal(a, b) and not a.is_inference()


def test_a_default_type_is_put_back_by_the_last_of_several_threads() -> None:
    model = model_of("nnsight")
    wanted = ordinary("nnsight", "run")
    with set_type(torch.bfloat16), ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: numbers(CALLS["run"](model)), range(12)):
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(a, b)
        assert torch.get_default_dtype() == torch.bfloat16
    assert torch.get_default_dtype() == torch.float32


def test_gradients_stay_as_a_person_set_them() -> None:
    """What is differentiable by itself follows `torch.no_grad`, and no more."""
    model = model_of("nnsight")
    resid = torch.linspace(-1, 1, 32).requires_grad_()
    assert model.unembed(resid).requires_grad
    with torch.no_grad():
        assert not model.unembed(resid).requires_grad
    with torch.inference_mode():
        assert not model.unembed(resid).requires_grad


@pytest.mark.parametrize("backend", BACKENDS)
def test_methods_run_in_several_threads_at_once(backend: str) -> None:
    model = model_of(backend)
    calls = ["logit lens", "patch", "attribute", "edited weights", "tuned lens", "run"]
    wanted = {call: ordinary(backend, call) for call in calls}
    with ThreadPoolExecutor(6) as pool:
        jobs = [(call, pool.submit((CALLS | METHODS)[call], model)) for call in calls * 2]
        for call, job in jobs:
            for a, b in zip(numbers(job.result()), wanted[call], strict=True):
                np.testing.assert_array_equal(a, b)
