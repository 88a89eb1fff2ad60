"""Stitching, against passes with one edit each, fits by numpy and divergences by loops."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.alignment_models import model, random_texts
from tests.unit.kernels import stitch
from workbench.edits import Set
from workbench.resample import bootstrap
from workbench.site import Site

#: Of two lengths, so that some run apart from others.
TEXTS = random_texts([12, 9, 12, 9, 12, 12, 9, 12])
NAME = "llama"


@cache
def aligned(of: Any, name: str = NAME, backend: str = "nnsight", **options: Any) -> Any:
    a, b = model(name, 0, backend), model(name, 1, backend)
    return wb.compare.align(a, b, over=of, n_controls=1, progress=False, **options)


@cache
def stitched(
    of: Any, name: str = NAME, backend: str = "nnsight", **options: Any
) -> wb.compare.Stitching:
    a, b = model(name, 0, backend), model(name, 1, backend)
    options = {"n": 3, "n_controls": 2, "progress": False} | options
    return wb.compare.stitch(a, b, TEXTS, aligned(of, name, backend), **options)


def split() -> tuple[list[int], list[int]]:
    """The fitted and the held-out texts of seed 0; a longest text is fitted."""
    order = np.random.default_rng(0).permutation(8)
    first = next(i for i, text in enumerate(order) if len(TEXTS[text]) == 12)
    order[[0, first]] = order[[first, 0]]
    return sorted(order[:4].tolist()), sorted(order[4:].tolist())


@cache
def layer_values(which: int, site: Site, text: int) -> np.ndarray:
    """The activation of a whole stream."""
    return model(NAME, which).run([TEXTS[text]], read=site)[site][0].double().numpy()


@cache
def log_probs(text: int) -> torch.Tensor:
    """(pos, d_vocab) of b as it is."""
    return model(NAME, 1).run([TEXTS[text]]).logits[0].double().log_softmax(-1)


def values(which: int, name: str, text: int) -> np.ndarray:
    """What a neuron has at each position, or a head's pattern, of model a (0) or b (1)."""
    site = Site.parse(name)
    if site.stream == "z":
        return layer_values(which, Site("pattern", site.layer), text)[site.head]
    return layer_values(which, site.whole, text)[:, site.unit]


@cache
def mean_of(which: int, name: str) -> np.ndarray:
    """The mean over the fitted texts, of patterns entry by entry."""
    each = [values(which, name, text) for text in split()[0]]
    if each[0].ndim == 1:
        return np.concatenate(each).mean()
    total, count = np.zeros((12, 12)), np.zeros((12, 1))
    for pattern in each:
        total[: len(pattern), : len(pattern)] += pattern
        count[: len(pattern)] += 1
    return total / count


def divergence(component: str, text: int, value: np.ndarray) -> float:
    """KL(plain ‖ changed) of one text with one unit of b set, a mean over positions."""
    b, site = model(NAME, 1), Site.parse(component)
    site = Site("pattern", site.layer, site.head) if site.stream == "z" else site
    put = torch.as_tensor(value, dtype=torch.float32)
    plain = log_probs(text)
    changed = b.run([TEXTS[text]], edits=Set(site, put)).logits[0].double().log_softmax(-1)
    return float(np.mean([(p.exp() * (p - c)).sum() for p, c in zip(plain, changed, strict=True)]))


def names_of(found: wb.compare.Stitching, number: int) -> list[str]:
    return [found.partners[number], found.best[number], *found.controls[number]]


def test_a_neurons_stand_in_is_fitted_by_least_squares_and_put_in_alone() -> None:
    found = stitched("neurons")
    fitted, held_out = split()
    assert found.n_fit == 4
    assert [len(row) for row in found.tokens] == [len(TEXTS[text]) for text in held_out]
    for number, component in enumerate(found.components):
        mean = mean_of(1, component)
        for at, text in enumerate(held_out):
            value = np.full(len(TEXTS[text]), mean)
            expected = divergence(component, text, value)
            assert found.ablated[number, at] == pytest.approx(expected, abs=1e-6)
        for s, name in enumerate(names_of(found, number)):
            x, y = (
                np.concatenate([values(which, unit, text) for text in fitted])
                for which, unit in ((0, name), (1, component))
            )
            slope, offset = np.polyfit(x, y, 1)
            for at, text in enumerate(held_out):
                value = slope * values(0, name, text) + offset
                expected = divergence(component, text, value)
                assert found.stitched[number, s, at] == pytest.approx(expected, abs=1e-6)
            x, y = (
                np.concatenate([values(which, unit, text) for text in held_out])
                for which, unit in ((0, name), (1, component))
            )
            expected = np.corrcoef(x, y)[0, 1]
            assert found.correlation[number, s] == pytest.approx(expected, abs=1e-4)


def test_a_heads_stand_in_is_the_partners_pattern() -> None:
    found = stitched("heads")
    _, held_out = split()
    for number, component in enumerate(found.components):
        mean = mean_of(1, component)
        for at, text in enumerate(held_out):
            n = len(TEXTS[text])
            expected = divergence(component, text, mean[:n, :n])
            assert found.ablated[number, at] == pytest.approx(expected, abs=1e-6)
            for s, name in enumerate(names_of(found, number)):
                expected = divergence(component, text, values(0, name, text))
                assert found.stitched[number, s, at] == pytest.approx(expected, abs=1e-6)
        for s, name in enumerate(names_of(found, number)):
            pairs = []
            for which, unit in ((0, name), (1, component)):
                center = mean_of(which, unit)
                each = []
                for text in held_out:
                    n = len(TEXTS[text])
                    each.append((values(which, unit, text) - center[:n, :n]).ravel())
                pairs.append(np.concatenate(each))
            expected = np.corrcoef(*pairs)[0, 1]
            assert found.correlation[number, s] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("of", ["neurons", "heads"])
def test_partners_are_the_alignments_and_the_best_correlates_most_in_its_place(of: str) -> None:
    found, alignment = stitched(of), aligned(of)
    fitted, _ = split()
    units = 48 if of == "neurons" else 4
    for number, component in enumerate(found.components):
        pair = alignment.names_b.index(component)
        assert found.partners[number] == alignment.names_a[pair]
        assert found.similarity[number] == alignment.similarity[pair]
        layer = int(alignment.layers_a[pair])
        pattern = "L{}.mlp_post/{}" if of == "neurons" else "L{}H{}.z"
        layers = [layer] if of == "neurons" else [0, 1]
        pool = [pattern.format(at, unit) for at in layers for unit in range(units)]

        def deviations(which: int, name: str) -> np.ndarray:
            center = np.atleast_2d(mean_of(which, name))
            each = [values(which, name, text) for text in fitted]
            if center.size == 1:
                return np.concatenate(each)
            return np.concatenate([(x - center[: len(x), : len(x)]).ravel() for x in each])

        if number == 0:
            own = deviations(1, component)
            closeness = [np.corrcoef(deviations(0, name), own)[0, 1] for name in pool]
            closeness = np.abs(closeness) if of == "neurons" else closeness
            assert found.best[number] == pool[int(np.argmax(closeness))]
        controls = found.controls[number]
        assert len(set(controls)) == 2 and set(controls) <= set(pool)
        assert found.partners[number] not in controls


@pytest.mark.parametrize("of", ["neurons", "heads"])
def test_components_are_those_whose_ablation_does_the_most_on_fitted_texts(
    of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stitch, "ABLATED", 1000)
    a, b = model(NAME), model(NAME, 1)
    found = wb.compare.stitch(a, b, TEXTS, aligned(of), n=3, n_controls=1, progress=False)
    assert found.chosen == "largest ablation effect"
    alignment = aligned(of)
    names = alignment.names_b if of == "heads" else [*found.components, *alignment.names_b[::16]]
    effects = {}
    for name in names:
        mean = mean_of(1, name)
        damage = []
        for text in split()[0]:
            n = len(TEXTS[text])
            value = mean[:n, :n] if of == "heads" else np.full(n, mean)
            damage.append(divergence(name, text, value))
        effects[name] = np.mean(damage)
    assert list(found.components) == sorted(effects, key=lambda name: -effects[name])[:3]


def test_effects_are_estimated_by_the_gradient_of_each_texts_loss() -> None:
    b, (fitted, _) = model(NAME, 1), split()
    data = stitch.StitchTexts.of_models(model(NAME), b, TEXTS, over="neurons", seed=0)
    assert (list(data.fit), list(data.held_out)) == split()
    found = stitch.estimated_effects(data, [0, 1])
    for name in ("L0.mlp_post/3", "L1.mlp_post/40"):
        site, mean, total = Site.parse(name), mean_of(1, name), 0.0
        for text in fitted:
            ids = torch.tensor(TEXTS[text][1:])

            def loss(logits: torch.Tensor, ids: torch.Tensor = ids) -> torch.Tensor:
                return torch.nn.functional.cross_entropy(logits[0, :-1], ids)[None]

            run = b.run([TEXTS[text]], read=site, grad_of=loss)
            total += abs(float(((mean - run[site]) * run.grad(site)).sum()))
        at = 48 * int(name[1]) + int(name.split("/")[1])
        assert found[at] == pytest.approx(total / len(fitted), abs=1e-6)


@pytest.mark.parametrize("of", ["neurons", "heads"])
def test_the_backends_agree(of: str) -> None:
    one, other = (stitched(of, NAME, backend) for backend in ("nnsight", "transformer_lens"))
    assert one.components == other.components and one.controls == other.controls
    np.testing.assert_allclose(one.ablated, other.ablated, atol=1e-5)
    np.testing.assert_allclose(one.stitched, other.stitched, atol=1e-5)
    np.testing.assert_allclose(one.correlation, other.correlation, atol=1e-4)


@pytest.mark.parametrize("of", ["neurons", "heads"])
def test_texts_in_small_parts_give_the_same(of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stitched(of)
    monkeypatch.setattr(stitch, "BYTES", 1)
    a, b = model(NAME), model(NAME, 1)
    given = list(whole.components)
    options: Any = {"n_controls": 2, "progress": False}
    parts = wb.compare.stitch(a, b, TEXTS, aligned(of), components=given, **options)
    assert parts.chosen == "given" and parts.components == whole.components
    np.testing.assert_allclose(parts.stitched, whole.stitched, atol=1e-6)


def test_shares_and_intervals_are_ratios_of_means(tmp_path: Path) -> None:
    found = stitched("neurons")
    expected = []
    for number in range(3):
        each = found.stitched[number].mean(-1) / found.ablated[number].mean()
        expected.append([1 - each[0], 1 - each[1], np.mean(1 - each[2:])])
    for i, name in enumerate(("partner", "best", "random")):
        np.testing.assert_allclose(found.recovered(name), np.array(expected)[:, i], rtol=1e-4)
        median, low, high = found.overall(name)
        assert median == pytest.approx(np.median(expected, 0)[i], rel=1e-4)
        assert low <= median <= high
    low, high = found.interval(found.components[1])
    ablated, partner = found.ablated[1].astype(float), found.stitched[1, 0].astype(float)
    ends = bootstrap(lambda i: 1 - partner[i].mean(-1) / ablated[i].mean(-1), 4)
    assert (low, high) == pytest.approx(ends, abs=1e-6)
    best_random = 1 - (found.stitched[:, 2:].mean(-1) / found.ablated.mean(-1)[:, None]).min(1)
    np.testing.assert_array_equal(found.beats_random, found.recovered() > best_random)
    table = found.to_frame()
    assert list(table.component) == list(found.components)
    np.testing.assert_allclose(table.recovered_best, found.recovered("best"))
    assert table.recovered_low[1] == low and table.ablated[2] == found.ablated[2].mean()
    again = wb.compare.Stitching.load(found.save(tmp_path / "stitching"))
    assert repr(again) == repr(found) and again.controls == found.controls
    assert repr(found).startswith("Stitching(llama0: 3 neurons of llama1 replaced by units of llam")


def test_the_picture_has_a_row_for_each_component_with_what_stands_in_for_it() -> None:
    import matplotlib.pyplot as plt

    found = stitched("neurons")
    # One partner so bad that it is drawn at the edge.
    worse = found.stitched.copy()
    worse[2, 0] = 5 * found.ablated[2]
    found = replace(found, stitched=worse)
    axes = found.plot()
    labels = [text.get_text() for text in axes.get_yticklabels()]
    pairs = zip(found.components, found.partners, strict=True)
    assert labels == [f"{own} ← {other}" for own, other in pairs]
    dots = next(line for line in axes.lines if line.get_label() == "partner")
    np.testing.assert_allclose(dots.get_xdata(), found.recovered()[:2], rtol=1e-5)
    assert dots.get_ydata().tolist() == [2, 1]
    arrows = [line for line in axes.lines if line.get_marker() == "<" and len(line.get_xdata())]
    assert any(line.get_ydata().tolist() == [0] for line in arrows)
    assert found.png().startswith(b"\x89PNG")
    plt.close("all")


def test_what_does_nothing_has_no_share() -> None:
    found = replace(stitched("neurons"), ablated=np.zeros((3, 4)))
    assert np.isnan(found.recovered()).all() and np.isnan(found.overall()).all()
    assert np.isnan(found.interval(found.components[0])).all()
    assert not found.beats_random.any()


def test_what_cannot_be_stitched_is_refused() -> None:
    a, b = model(NAME), model(NAME, 1)

    def refused(match: str, kind: Any = ValueError, of: str = "neurons", **options: Any) -> None:
        given = {"alignment": aligned(of), "a": a, "b": b, "texts": TEXTS}
        with pytest.raises(kind, match=match):
            wb.compare.stitch(**{**given, "progress": False, **options})

    refused(r"models that it is of, llama0 .* got llama1", a=b, b=a)
    refused("alignment is a WeightAlignment; got 'tinyworld'", TypeError, alignment="tinyworld")
    refused("two each at least; got 3", texts=TEXTS[:3])
    refused("text 1 has one", texts=[[5, 6], [7], [5, 6], [5, 6]])
    refused("list of texts", TypeError, texts="w5 w6")
    refused("n is a whole number from 1; got 0", n=0)
    refused("n_controls is a whole number from 1; got True", n_controls=True)
    refused("there are 47, fewer than n_controls=48", n_controls=48)
    refused("stitched once", components=["L0.mlp_post/3", "L0.mlp_post/3"])
    refused("At least one component is stitched; got none", components=[])
    refused("alignment is of neurons, written like", components="L0H1.z")
    with pytest.raises(ValueError, match="'partner', 'best', 'random'; got 'mean'"):
        stitched("neurons").recovered("mean")
    with pytest.raises(ValueError, match="These components were stitched: L"):
        stitched("neurons").interval("L0.mlp_post/999")


def test_texts_that_the_models_read_as_other_tokens_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = model(NAME), model(NAME, 1)
    read = type(b).tokens

    def longer(self: Any, prompts: Any, **options: Any) -> Any:
        out = read(self, prompts, **options)
        if self is not b:
            return out
        # The same ids, which here stand for other words.
        return replace(out, strings=tuple(tuple(s + "!" for s in row) for row in out.strings))

    monkeypatch.setattr(type(b), "tokens", longer)
    with pytest.raises(ValueError, match="text 0 is read as others by llama0 than by llama1"):
        wb.compare.stitch(a, b, TEXTS, aligned("neurons"), progress=False)


def test_a_component_without_a_partner_is_refused() -> None:
    a, b = model("llama"), model("gpt2", 1)
    found = wb.compare.align(a, b, n_controls=1, progress=False)
    taken = set(found.units_b[found.layers_b == 0].tolist())
    alone = next(unit for unit in range(128) if unit not in taken)
    with pytest.raises(ValueError, match=f"L0.mlp_post/{alone} of gpt21 was left over"):
        wb.compare.stitch(a, b, TEXTS, found, components=f"L0.mlp_post/{alone}", progress=False)
    here = wb.compare.stitch(a, b, TEXTS, found, n=2, n_controls=1, progress=False)
    assert set(here.components) <= set(found.names_b)
