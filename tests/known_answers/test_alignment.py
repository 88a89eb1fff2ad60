"""Alignment on copies: neurons and heads that were put in another order are found again, exactly.

A copy whose neurons and heads are permuted computes the same; the permutation is the known answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from workbench import data
from workbench.compare.align import WeightAlignment, align
from workbench.compare.stitch import stitch
from workbench.loading import load
from workbench.texts import texts

BACKENDS = ("nnsight", "transformer_lens")
NAMES = ("tinyworld", "tinyworld-llama")


class Copy(NamedTuple):
    """A permuted copy: where it is, and for each layer which old unit stands at each new place."""

    path: Path
    neurons: list[np.ndarray]
    heads: list[np.ndarray]


def permuted(source: Path, path: Path, seed: int = 0) -> Copy:
    """A copy of a GPT-2 or Llama; query heads move with their group, and inside it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(source)
    config, state = model.config, model.state_dict()
    rng = np.random.default_rng(seed)
    groups = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    each = config.num_attention_heads // groups
    size = config.hidden_size // config.num_attention_heads
    out = Copy(path, [], [])

    def move(name: str, order: Any, axis: int) -> None:
        at = torch.as_tensor(np.asarray(order))
        state[name].copy_(state[name].index_select(axis, at))

    def spread(heads: np.ndarray) -> np.ndarray:
        return (heads[:, None] * size + np.arange(size)).ravel()

    for layer in range(config.num_hidden_layers):
        gpt2 = config.model_type == "gpt2"
        d_mlp = 4 * config.hidden_size if gpt2 else config.intermediate_size
        neurons, group = rng.permutation(d_mlp), rng.permutation(groups)
        heads = np.concatenate([g * each + rng.permutation(each) for g in group])
        out.neurons.append(neurons)
        out.heads.append(heads)
        if gpt2:
            at = f"transformer.h.{layer}."
            qkv = np.concatenate([part * config.hidden_size + spread(heads) for part in range(3)])
            move(f"{at}attn.c_attn.weight", qkv, 1)
            move(f"{at}attn.c_attn.bias", qkv, 0)
            move(f"{at}attn.c_proj.weight", spread(heads), 0)
            move(f"{at}mlp.c_fc.weight", neurons, 1)
            move(f"{at}mlp.c_fc.bias", neurons, 0)
            move(f"{at}mlp.c_proj.weight", neurons, 0)
        else:
            at = f"model.layers.{layer}."
            move(f"{at}self_attn.q_proj.weight", spread(heads), 0)
            move(f"{at}self_attn.k_proj.weight", spread(group), 0)
            move(f"{at}self_attn.v_proj.weight", spread(group), 0)
            move(f"{at}self_attn.o_proj.weight", spread(heads), 1)
            move(f"{at}mlp.gate_proj.weight", neurons, 0)
            move(f"{at}mlp.up_proj.weight", neurons, 0)
            move(f"{at}mlp.down_proj.weight", neurons, 1)
    model.save_pretrained(path)
    AutoTokenizer.from_pretrained(source).save_pretrained(path)
    return out


@pytest.fixture(scope="module", params=NAMES)
def copy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The name of a model and its permuted copy."""
    path = tmp_path_factory.mktemp("copies") / f"{request.param}-permuted"
    return request.param, permuted(data.path("models", request.param), path)


def check_undone(found: WeightAlignment, orders: list[np.ndarray]) -> None:
    """Every new place is paired with the old one that stands there, at similarity 1."""
    back = {str(b): a for a, b in zip(found.names_a, found.names_b, strict=True)}
    pattern = "L{}.mlp_post/{}" if found.over == "neurons" else "L{}H{}.z"
    for layer, order in enumerate(orders):
        for new, old in enumerate(order):
            assert back[pattern.format(layer, new)] == pattern.format(layer, old)
    assert len(back) == sum(map(len, orders))
    np.testing.assert_allclose(found.similarity, 1, atol=1e-5)
    assert found.is_mutual.all() and (found.signs == 1).all()
    assert found.above_chance("tokens") == found.above_chance("units") == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_permutation_is_undone_and_the_parts_do_their_job_to_the_last(
    copy: tuple[str, Copy], backend: str
) -> None:
    name, moved = copy
    a, b = (load(m, backend=backend, device="cpu") for m in (name, moved.path))
    some = texts("tinyworld", n=4)
    for of, orders in (("neurons", moved.neurons), ("heads", moved.heads)):
        found = align(a, b, over=of, n_controls=1, progress=False)  # type: ignore[arg-type]
        check_undone(found, orders)
        stitched = stitch(a, b, some, found, n=2, n_controls=2, progress=False)
        table = stitched.to_frame()
        np.testing.assert_allclose(table.effect, 1, atol=1e-5)
        np.testing.assert_allclose(table.correlation.astype(float), 1, atol=1e-6)
        assert list(table.unit[:2]) == list(table.unit[2:]) and (table.beyond == 1).all()
        ablated = stitched["brought back"].changed[stitched.rows(change="ablated")]
        assert (ablated.mean(-1) > 1e-5).all()


def test_a_permutation_is_undone_over_all_layers_and_from_one_side(copy: tuple[str, Copy]) -> None:
    name, moved = copy
    a, b = (load(m, device="cpu") for m in (name, moved.path))
    options: Any = {"n_controls": 1, "progress": False}
    check_undone(align(a, b, over="heads", within="all", **options), moved.heads)
    side: Any = "out" if name == "tinyworld" else "in"
    check_undone(align(a, b, sides=side, norm="none", **options), moved.neurons)


@pytest.mark.slow
def test_a_permutation_of_neurons_is_undone_over_all_layers(copy: tuple[str, Copy]) -> None:
    name, moved = copy
    a, b = (load(m, device="cpu") for m in (name, moved.path))
    found = align(a, b, within="all", n_controls=1, progress=False)
    check_undone(found, moved.neurons)


def test_a_gated_neuron_is_found_with_both_its_signs_turned(
    tmp_path: Path,
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = data.path("models", "tinyworld-llama")
    model: Any = AutoModelForCausalLM.from_pretrained(source)
    with torch.no_grad():
        for block in model.model.layers:
            block.mlp.up_proj.weight[::3] *= -1
            block.mlp.down_proj.weight[:, ::3] *= -1
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path)
    a, b = (load(m, device="cpu") for m in ("tinyworld-llama", tmp_path))
    found = align(a, b, n_controls=1, progress=False)
    np.testing.assert_allclose(found.similarity, 1, atol=1e-5)
    np.testing.assert_array_equal(found.units_a, found.units_b)
    np.testing.assert_array_equal(found.signs, np.where(found.units_a % 3 == 0, -1, 1))


def test_a_permutation_of_a_small_model_of_stories_is_undone(asset: Any, tmp_path: Path) -> None:
    source = asset("models", "stories260K")
    moved = permuted(source, tmp_path / "stories")
    for backend in BACKENDS:
        a, b = (load(m, backend=backend, device="cpu") for m in (source, moved.path))
        found = align(a, b, n_controls=1, progress=False)
        check_undone(found, moved.neurons)
        heads = align(a, b, over="heads", n_controls=1, progress=False)
        check_undone(heads, moved.heads)


def test_neurons_keep_their_place_between_the_last_checkpoints_of_a_training() -> None:
    early = load(data.path("models", "tinyworld-checkpoints", "step-004000"), device="cpu")
    found = align(early, load("tinyworld", device="cpu"), n_controls=1, progress=False)
    kept = found.units_a == found.units_b
    # By chance 1 of 512 would be.
    assert kept.mean() > 0.8 and kept[found.is_mutual].mean() > kept.mean()
