"""Aligning two models by vocabulary, against matrices of all similarities formed in full."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import workbench as wb
from tests.unit.alignment_models import (
    correlations,
    cosines,
    head_matrices,
    model,
    neuron_signatures,
)
from tests.unit.kernels import align


@cache
def aligned(a: str = "llama", b: str = "llama", backend: str = "nnsight", **options: Any) -> Any:
    options = {"n_controls": 2, "progress": False} | options
    return wb.compare.align(model(a, 0, backend), model(b, 1, backend), **options)


@cache
def similarities(layer_a: int, layer_b: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the two Llamas' neurons: (side, a, b), their mean with free signs, the signs."""
    by_side = np.stack(
        [
            correlations(
                neuron_signatures(model("llama"), layer_a, side),
                neuron_signatures(model("llama", 1), layer_b, side),
            )
            for side in ("W_out", "W_gate", "W_in")
        ]
    )
    out, gate, inward = by_side
    # W_out and W_in may change their signs together, W_gate may not.
    free = out + inward
    return by_side, (gate + np.abs(free)) / 3, np.where(free < 0, -1, 1)


def test_pairs_are_one_to_one_with_the_largest_sum() -> None:
    found = aligned()
    assert found.sides == ("out", "gate", "in") and found.n_tokens == 60
    for layer in range(2):
        by_side, values, signs = similarities(layer, layer)
        rows, columns = linear_sum_assignment(values, maximize=True)
        at = found.layers_a == layer
        np.testing.assert_array_equal(found.layers_b[at], layer)
        np.testing.assert_array_equal(found.units_a[at], rows)
        np.testing.assert_array_equal(found.units_b[at], columns)
        np.testing.assert_allclose(found.similarity[at], values[rows, columns], atol=1e-5)
        np.testing.assert_allclose(found.by_side[at], by_side[:, rows, columns].T, atol=1e-5)
        np.testing.assert_array_equal(found.signs[at], signs[rows, columns])
        for a, b, rival_a, rival_b, best, mutual in zip(
            rows,
            columns,
            found.rival_a[at],
            found.rival_b[at],
            found.is_best[at],
            found.is_mutual[at],
            strict=True,
        ):
            assert rival_a == pytest.approx(np.delete(values[a], b).max(), abs=1e-5)
            assert rival_b == pytest.approx(np.delete(values[:, b], a).max(), abs=1e-5)
            assert best == (values[a].argmax() == b)
            assert mutual == (best and values[:, b].argmax() == a)


@pytest.mark.parametrize("norm", ["folded", "none"])
def test_a_signature_is_of_the_weights_with_or_without_the_norms_beside_them(norm: str) -> None:
    found = aligned(norm=norm, n_controls=1)
    assert found.norm == norm
    at = found.layers_a == 1
    pairs = found.units_a[at], found.units_b[at]
    for i, side in enumerate(found.sides):
        values = correlations(
            *(neuron_signatures(model("llama", s), 1, f"W_{side}", norm) for s in (0, 1))
        )
        np.testing.assert_allclose(found.by_side[at, i], values[pairs], atol=1e-5)
    other = aligned(norm="none" if norm == "folded" else "folded", n_controls=1)
    assert np.abs(np.sort(other.similarity) - np.sort(found.similarity)).max() > 1e-3


def test_every_draw_of_chance_follows_the_seed() -> None:
    one, same, other = (
        aligned(over="heads", n_controls=2, seed=seed, within="all") for seed in (0, 0, 5)
    )
    np.testing.assert_array_equal(one.chance, same.chance)
    np.testing.assert_array_equal(one.similarity, other.similarity)
    assert (np.abs(one.chance - other.chance).max((1, 2)) > 1e-3).all()
    assert np.abs(one.mean_chance - other.mean_chance).max() > 1e-3


def test_over_all_layers_any_unit_may_be_the_partner() -> None:
    found = aligned(within="all")
    every = np.block([[similarities(a, b)[1] for b in range(2)] for a in range(2)])
    rows, columns = linear_sum_assignment(every, maximize=True)
    np.testing.assert_array_equal(found.layers_a * 48 + found.units_a, rows)
    np.testing.assert_array_equal(found.layers_b * 48 + found.units_b, columns)
    np.testing.assert_allclose(found.similarity, every[rows, columns], atol=1e-5)
    assert (found.groups == 0).all() and (found.layers_a != found.layers_b).any()


def test_the_map_of_layers_is_the_mean_of_each_units_best(monkeypatch: pytest.MonkeyPatch) -> None:
    found = aligned()
    expected = [[similarities(a, b)[1].max(1).mean() for b in range(2)] for a in range(2)]
    np.testing.assert_allclose(found.mean, expected, atol=1e-5)
    assert (found.mean_chance != found.mean).all()
    monkeypatch.setattr(align, "SAMPLE", 5)
    some = wb.compare.align(model("llama"), model("llama", 1), n_controls=1, progress=False)
    draw = np.random.default_rng(0)
    draw.permutation(60)
    sample = draw.choice(48, 5, replace=False)
    for a, b in np.ndindex(2, 2):
        value = similarities(a, b)[1][sample].max(1).mean()
        assert some.mean[a, b] == pytest.approx(value, abs=1e-5)


def test_chance_is_the_same_matching_of_permuted_tokens_or_of_mixed_units() -> None:
    found = aligned(over="heads", sides="OV")
    draw = np.random.default_rng(0)
    orders = [draw.permutation(60) for _ in range(2)]
    for layer in range(2):
        at = found.layers_a == layer
        own, other = (head_matrices(model("llama", s), layer, "OV") for s in (0, 1))
        unit = [matrix / np.linalg.norm(matrix) for matrix in other]
        for number, order in enumerate(orders):
            weights = np.random.default_rng((0, number, layer)).standard_normal((4, 4), np.float32)
            mixed: Any = [
                sum(float(w) * m for w, m in zip(row, unit, strict=True)) for row in weights
            ]
            permuted = [matrix[np.ix_(order, order)] for matrix in other]
            for control, theirs in enumerate((permuted, mixed)):
                every = cosines(own, theirs)
                rows, columns = linear_sum_assignment(every, maximize=True)
                expected = every[rows, columns]
                np.testing.assert_allclose(found.chance[control, number, at], expected, atol=1e-5)


@pytest.mark.parametrize("control", ["tokens", "units"])
@pytest.mark.parametrize("within", ["layer", "all"])
def test_p_and_threshold_count_the_pairs_by_chance_of_the_same_group(
    control: str, within: str
) -> None:
    found = aligned(within=within)
    p, threshold = found.p(control), found.threshold(control)
    chance = found.chance[["tokens", "units"].index(control)]
    for pair in range(0, len(p), 7):
        same = found.layers_a == found.layers_a[pair] if within == "layer" else slice(None)
        values = chance[:, same].ravel()
        n = sum(value >= found.similarity[pair] for value in values)
        assert p[pair] == pytest.approx((1 + n) / (1 + len(values)))
        assert threshold[pair] == pytest.approx(np.quantile(values, 0.95))
    share = np.mean([s > t for s, t in zip(found.similarity, threshold, strict=True)])
    assert found.above_chance(control) == pytest.approx(share)


def test_models_of_random_weights_are_no_more_similar_than_chance() -> None:
    found = aligned("gpt2", "gpt2")
    for control in range(2):
        assert found.similarity.mean() == pytest.approx(found.chance[control].mean(), abs=0.02)
    low, high = found.interval()
    assert low < found.similarity.mean() < high
    assert found.above_chance("tokens") < 0.15


def test_of_unequal_numbers_some_are_left_over() -> None:
    found = aligned("gpt2", "llama")
    assert found.n_units == (128, 48) and len(found.similarity) == 2 * 48
    assert found.sides == ("out", "in")
    partner = found.partner("L1.mlp_post/0")
    taken = set(found.units_a[found.layers_a == 1].tolist())
    assert (partner is None) == (0 not in taken)
    alone = next(unit for unit in range(128) if unit not in taken)
    assert found.partner(f"L1.mlp_post/{alone}") is None
    for name_a, name_b in zip(found.names_a[:5], found.names_b[:5], strict=True):
        assert found.partner(name_a) == name_b and found.partner(name_b, back=True) == name_a
    with pytest.raises(ValueError, match="layers 0 to 1 with 48 each; got 'L0.mlp_post/48'"):
        found.partner("L0.mlp_post/48", back=True)
    for name in ("L0H1.z", "L0.mlp_post", "L2.mlp_post/0"):
        with pytest.raises(
            ValueError, match=r"alignment is of neurons, written like 'L0.mlp_post/"
        ):
            found.partner(name)
    with pytest.raises(ValueError, match="alignment is of heads, written like 'L0H0.z'"):
        aligned(over="heads").partner("L0.mlp_post/1")


def test_layers_are_paired_as_asked() -> None:
    found = aligned(layers=((0, 1),))
    _, values, _ = similarities(0, 1)
    rows, columns = linear_sum_assignment(values, maximize=True)
    assert (found.layers_a == 0).all() and (found.layers_b == 1).all()
    np.testing.assert_array_equal(found.units_b, columns[rows])


@pytest.mark.parametrize("of", ["neurons", "heads"])
@pytest.mark.parametrize("name", ["gemma2", "olmo2"])
def test_the_backends_give_the_same_alignment(name: str, of: str) -> None:
    one, other = (
        aligned(name, name, backend, over=of) for backend in ("nnsight", "transformer_lens")
    )
    assert one.names_b == other.names_b
    np.testing.assert_allclose(one.similarity, other.similarity, atol=1e-5)
    np.testing.assert_allclose(one.chance, other.chance, atol=1e-5)


def test_half_precision_weights_are_compared_in_single_precision() -> None:
    half = wb.compare.align(
        model("llama", 0, dtype="bfloat16"), model("llama", 1), n_controls=1, progress=False
    )
    whole = aligned()
    same = np.array(half.names_b) == np.array(whole.names_b)
    assert same.mean() > 0.9
    np.testing.assert_allclose(half.similarity[same], whole.similarity[same], atol=0.01)


def test_a_result_turns_into_a_table_and_is_read_back(tmp_path: Path) -> None:
    found = aligned()
    table = found.to_frame()
    assert list(table.columns) == [
        "a", "b", "similarity", "out", "gate", "in", "sign", "rival_a", "rival_b", "p_tokens",
        "p_units", "best", "mutual",
    ]  # fmt: skip
    assert table.a[3] == "L0.mlp_post/3" and table.b[3] == found.names_b[3]
    np.testing.assert_allclose(table.gate, found.by_side[:, 1])
    np.testing.assert_allclose(table.p_units, found.p("units"))
    again = wb.compare.WeightAlignment.load(found.save(tmp_path / "alignment"))
    assert repr(again) == repr(found) and again.names_b == found.names_b
    assert repr(found).startswith(
        "WeightAlignment(llama0: 96 pairs of neurons with llama1, layer by layer: similarity 0."
    )
    assert "with mixed units" in repr(found) and "over all layers" in repr(aligned(within="all"))


def test_pictures_are_of_the_sorted_pairs_and_of_the_layers() -> None:
    import matplotlib.pyplot as plt

    found = aligned()
    axes = found.plot()
    line = next(line for line in axes.lines if line.get_label() == "the two models")
    np.testing.assert_allclose(line.get_ydata(), sorted(found.similarity, reverse=True))
    mixed = next(line for line in axes.lines if str(line.get_label()).startswith("mixed units"))
    assert mixed.get_label() == (
        f"mixed units ({100 * found.above_chance('units'):.0f} % of pairs above its 95 %)"
    )
    expected = np.mean([sorted(draw, reverse=True) for draw in found.chance[1]], 0)
    np.testing.assert_allclose(mixed.get_ydata(), expected, rtol=1e-5)
    axes = found.plot(over="layers")
    np.testing.assert_allclose(axes.images[0].get_array(), found.mean - found.mean_chance)
    assert axes.images[0].get_clim()[0] == -axes.images[0].get_clim()[1]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("layer of llama1", "layer of llama0")
    with pytest.raises(ValueError, match="over is one of 'pairs', 'layers'; got 'heads'"):
        found.plot(over="heads")
    plt.close("all")


def test_what_cannot_be_aligned_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = model("llama"), model("llama", 1)

    def refused(match: str, kind: Any = ValueError, **options: Any) -> None:
        with pytest.raises(kind, match=match):
            given: dict[str, Any] = {"progress": False} | options
            wb.compare.align(a, b, **given)

    refused("over is one of 'neurons', 'heads'; got 'layers'", over="layers")
    refused("sides of neurons are 'out' and 'in', one or both; got sides='OV'", sides="OV")
    refused("sides of heads are 'OV' and 'QK'.*got sides=\\[\\]", over="heads", sides=[])
    refused("norm is one of 'folded', 'none'; got 'whole'", norm="whole")
    refused("within is one of 'layer', 'all'; got 'model'", within="model")
    refused("Pairs of layers are for within='layer'", within="all", layers=[(0, 0)])
    refused(r"layer of a \(0 to 1\) with one of b \(0 to 1\), each at most", layers=[(0, 2)])
    refused("each at most once", layers=[(0, 0), (0, 1)])
    refused("n_controls is a whole number from 1; got 0", n_controls=0)
    with pytest.raises(ValueError, match="permuted 'tokens' or of mixed 'units'; got 'layers'"):
        aligned().p("layers")
    monkeypatch.setattr(align, "free_bytes", lambda device: 1000)
    refused(r"holds the similarities of all its units: 48 × 48 would take 0\.0 GiB", MemoryError)
    monkeypatch.setattr(align, "MOST", 90)
    refused(r"up to 90 of each model; 96 × 96 would take .* within='layer'", within="all")


def test_models_of_unequal_depth_are_paired_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    a, b = model("llama"), model("llama", 1)
    monkeypatch.setattr(b, "spec", replace(b.spec, n_layers=1))
    with pytest.raises(ValueError, match="llama0 has 2 and llama1 has 1. Say which go together"):
        wb.compare.align(a, b, progress=False)
    found = wb.compare.align(a, b, layers=[(1, 0)], n_controls=1, progress=False)
    assert found.mean.shape == (2, 1) and set(found.layers_a.tolist()) == {1}
    whole = wb.compare.align(a, b, over="heads", within="all", n_controls=1, progress=False)
    assert len(whole.similarity) == 4
