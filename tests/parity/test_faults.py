"""After any failed call the next plain run gives the plain logits; bad calls say what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.edits import Add, Affine, Edit, ProjectOut, Scale, Set
from workbench.model import Resume
from workbench.site import HEAD_STREAMS, Site

from .conftest import BACKENDS


@dataclass(frozen=True, eq=False, repr=False)
class Raises(Edit):
    error: type[BaseException]

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        raise self.error("in the middle of a run")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("site", ["embed", "L0.q", "L1.pattern", "L1.resid_mid", "L1.mlp_post"])
def test_an_exception_or_interrupt_in_the_middle_leaves_nothing_behind(
    backend, error, site, zoo_model, prompts
):
    model = zoo_model("gpt2", backend)
    plain = model.run(prompts).logits
    push = Add("L0.resid_pre", torch.ones(model.spec.d_model))
    with pytest.raises(error, match="in the middle of a run"):
        model.run(prompts, read="L0.z", edits=[push, Raises(site, error)])
    assert torch.equal(model.run(prompts).logits, plain)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_in_the_metric_or_in_a_resumed_pass_leaves_nothing_behind(
    backend, zoo_model, prompts
):
    model = zoo_model("gpt2", backend)
    run = model.run(prompts, read="L1.resid_pre")

    def metric(logits: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.run(prompts, read="L0.z", grad_of=metric)
    with pytest.raises(RuntimeError):
        model.run(
            prompts,
            edits=Raises("L1.z", RuntimeError),
            resume=Resume(1, run["L1.resid_pre"]),
        )
    after = model.run(prompts)
    assert torch.equal(after.logits, run.logits)
    assert not after.logits.requires_grad


def edits_of(model, draw: st.DataObject) -> Edit:
    spec = model.spec
    stream = draw.draw(st.sampled_from([s for s in spec.streams if s not in spec.read_only]))
    layer = None if stream in ("embed", "ln_final") else draw.draw(st.integers(0, 1))
    head = draw.draw(st.none() | st.integers(0, 1)) if stream in HEAD_STREAMS else None
    site = Site(stream, layer, head=head)
    rows = draw.draw(st.sampled_from([None, 0, (1, 0), 7]))
    positions: Any = draw.draw(st.sampled_from([None, 0, -1, "last", (1, 3), slice(2, 5), 40]))
    width = {"pattern": 9, "attn_scores": 9}.get(stream)
    d = width or (spec.d_head if stream in HEAD_STREAMS else spec.d_model)
    d = spec.d_mlp if stream in ("mlp_pre", "mlp_post") else d
    d = draw.draw(st.sampled_from([d, d, d, d + 1]))
    vector = torch.linspace(-1, 1, d)
    kind: Any = draw.draw(st.sampled_from([Set, Add, Scale, ProjectOut, Affine, Raises]))
    if kind is Raises:
        return Raises(site, KeyboardInterrupt, rows=rows, positions=positions)
    value = torch.outer(vector, vector) if kind is Affine else vector
    return kind(site, value, rows=rows, positions=positions)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "qwen3", "gptj"])
@pytest.mark.filterwarnings("ignore::workbench.edits.UnchangedEdit")
def test_after_any_random_edit_good_or_bad_a_plain_run_is_plain(name, backend, zoo_model, prompts):
    model = zoo_model(name, backend)
    plain = model.run(prompts).logits
    outcomes = set()

    @settings(max_examples=40)
    @given(st.data())
    def check(draw: st.DataObject) -> None:
        edits = [edits_of(model, draw) for _ in range(draw.draw(st.integers(1, 3)))]
        try:
            model.run(prompts, edits=edits)
            outcomes.add("ran")
        except (ValueError, IndexError, RuntimeError, KeyboardInterrupt) as error:
            outcomes.add(type(error).__name__)
        assert torch.equal(model.run(prompts).logits, plain)

    check()
    assert "ran" in outcomes
    assert len(outcomes) >= 3, outcomes


BAD_CALLS = {
    "an edit of the wrong shape": (
        {"edits": Set("L0.mlp_out", torch.zeros(5))},
        ValueError,
        r"value of an edit broadcasts to the selected activation, shape \(2, 9, 32\); "
        r"got shape \(5,\)",
    ),
    "an unknown row": (
        {"edits": Scale("L0.z", 0, rows=4)},
        IndexError,
        r"Scale\('L0.z', rows=\(4,\)\) names row 4; this run has rows 0 to 1",
    ),
    "an unknown position": (
        {"edits": Scale("L0.z", 0, positions=[2, 30])},
        IndexError,
        r"Row 0 has 9 tokens, so its positions run from 0 to 8 \(or -9 to -1\); got position 30",
    ),
    "a position twice": (
        {"edits": Scale("L0.z", 0, positions=[8, -1])},
        ValueError,
        r"positions of an edit are different; .* names one twice in row 0",
    ),
    "no position": (
        {"edits": Scale("L0.z", 0, positions=slice(9, None))},
        ValueError,
        r"An edit reaches at least one position; .* selects none",
    ),
    "an unknown layer": ({"read": "L7.z"}, ValueError, r"has layers 0 to 1; got layer 7"),
    "an unknown head": ({"read": "L1H4.z"}, ValueError, r"has heads 0 to 3 in z; got head 4"),
    "a key/value head": ({"read": "L1H2.k"}, ValueError, r"has key/value heads 0 to 1 in k"),
    "an unknown neuron": (
        {"read": "L1.mlp_post/48"},
        ValueError,
        r"has neurons 0 to 47 a layer; got neuron 48",
    ),
    "a feature": (
        {"read": "L1.resid_post/3"},
        ValueError,
        r"L1.resid_post/3 names a feature, which a dictionary reads, not the model; read L1",
    ),
    "an unknown site": (
        {"read": "L1.residual"},
        ValueError,
        r"A site is written like 'L3.resid_post'.* got 'L1.residual'. The streams are embed",
    ),
    "no edit": (
        {"edits": ["L1.z"]},
        TypeError,
        r"edits is a list of Edits, an Edit or a Change; got \['L1.z'\]",
    ),
    "a read after the stop": (
        {"read": "L1.z", "stop_after": 0},
        ValueError,
        r"stops after L0.resid_post does not reach L1.z; stop later",
    ),
    "nothing to do": (
        {"logits_at": ()},
        ValueError,
        r"A run reads a site, keeps logits, or both; this one does neither",
    ),
    "gradients without logits": (
        {"read": "L0.z", "grad_of": lambda logits: logits[:, -1, 0], "stop_after": 1},
        ValueError,
        r"grad_of is a function of the logits.* drop stop_after",
    ),
    "a metric of the wrong shape": (
        {"read": "L0.z", "grad_of": lambda logits: logits[:, -1]},
        ValueError,
        r"grad_of gives one number an example from logits \(2, 9, 60\); it gave \(2, 60\)",
    ),
    "a metric without gradient": (
        {"read": "L0.z", "grad_of": lambda logits: logits[:, -1].argmax(-1).float()},
        ValueError,
        r"its value has no gradient. Do not detach",
    ),
    "a resume of the wrong shape": (
        {"resume": Resume(1, torch.zeros(2, 4, 32))},
        ValueError,
        r"Resume.resid is \(row, pos, d_model\), here \(2, 9, 32\).* got \(2, 4, 32\)",
    ),
    "a resume at no layer": (
        {"resume": Resume(3, torch.zeros(2, 9, 32))},
        ValueError,
        r"resumes at a layer from 0 to 2; got 3",
    ),
    "a read before the resume": (
        {"read": "L0.z", "resume": Resume(1, torch.zeros(2, 9, 32))},
        ValueError,
        r"resumes at layer 1 does not compute L0.z; read or edit it in the run before",
    ),
    "a resume at a position without its past": (
        {"resume": Resume(1, torch.zeros(2, 5, 32), start=4)},
        ValueError,
        r"resumes at position 4 reads the positions before it from Resume.past",
    ),
    "an empty prompt": ({"tokens": ""}, ValueError, r"at least one character; prompt 0 is empty"),
    "a prompt that is no text": (
        {"tokens": 5},
        TypeError,
        r"A prompt is a text, a list of texts, or a list of lists of token ids; got 5",
    ),
    "a number among the texts": ({"tokens": ["w3", 7]}, TypeError, r"prompt 1 is 7"),
    "an unknown token": ({"tokens": [[3, 99]]}, ValueError, r"run from 0 to 59; prompt 0 has 99"),
    "a prompt longer than the context": (
        {"tokens": [[3] * 65]},
        ValueError,
        r"This model reads at most 64 tokens; prompt 0 has 65. Shorten it",
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_bad_call_names_the_rule_the_value_and_the_next_step(case, backend, zoo_model, prompts):
    arguments, error, text = BAD_CALLS[case]
    model = zoo_model("llama", backend)
    plain = model.run(prompts).logits
    with pytest.raises(error, match=text):
        model.run(**{"tokens": prompts, **arguments})
    assert torch.equal(model.run(prompts).logits, plain)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"n_new": 0}, r"n_new is a whole number from 1; got 0"),
        ({"n_new": 60}, r"reads at most 64 tokens; the prompt has 9 and 60 more"),
        ({"n_new": 2, "temperature": -1}, r"temperature is a finite number from 0; got -1"),
        ({"n_new": 2, "top_k": 5}, r"top_k and top_p sample, and temperature=0 is greedy"),
        (
            {"n_new": 2, "edits": Scale("L0.z", 0, positions=1)},
            r"names prompt positions. Use on='prompt'",
        ),
    ],
)
def test_a_bad_generation_says_what_is_wrong(arguments, text, zoo_model, prompts):
    with pytest.raises(ValueError, match=text):
        zoo_model("llama", "nnsight").generate(prompts, **arguments)


def test_an_edit_of_a_site_that_is_never_computed_is_an_error(zoo_model, prompts, monkeypatch):
    """A hook that exists by name and never fires: here, one renamed under the backend's feet."""
    model = zoo_model("llama", "transformer_lens")
    point = model.raw.hook_dict["blocks.1.attn.hook_pattern"]
    monkeypatch.setattr(
        type(point), "__call__", lambda self, x: x if self is point else self.forward(x)
    )
    with pytest.raises(RuntimeError, match=r"never reached: Scale\('L1.pattern'\).* not compute"):
        monkeypatch.setitem(model.raw.hook_dict, "x", point)
        model.run(prompts, edits=Scale("L1.pattern", 0.0))
