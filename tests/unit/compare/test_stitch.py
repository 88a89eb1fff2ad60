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
def stitched(of: Any, name: str = NAME, backend: str = "nnsight", **options: Any) -> wb.Effects:
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


def components_of(found: wb.Effects) -> list[str]:
    return list(dict.fromkeys(found.changes["component"]))


def units_of(found: wb.Effects, component: str) -> tuple[list[str], list[float], np.ndarray]:
    """Partner, best and random units of a component, their correlations, and KL (unit, text)."""
    row, best = (found.rows(component=component, change=c)[0] for c in ("partner", "best"))
    drawn = found.beside()[row]
    names, close = (
        [
            *(found.changes[c][i] for i in (row, best)),
            *(found.controls[f"random_{c}"][i] for i in drawn),
        ]
        for c in ("unit", "correlation")
    )
    one = found["brought back"]
    return names, close, np.concatenate([one.changed[[row, best]], one.control[drawn]])


def ablated(found: wb.Effects, component: str) -> np.ndarray:
    return found["brought back"].changed[found.rows(component=component, change="ablated")[0]]


def test_a_neurons_stand_in_is_fitted_by_least_squares_and_put_in_alone() -> None:
    found = stitched("neurons")
    fitted, held_out = split()
    assert [len(row) for row in found.tokens] == [len(TEXTS[text]) for text in held_out]
    for component in components_of(found):
        mean = mean_of(1, component)
        names, close, stitched_in = units_of(found, component)
        for at, text in enumerate(held_out):
            value = np.full(len(TEXTS[text]), mean)
            expected = divergence(component, text, value)
            assert ablated(found, component)[at] == pytest.approx(expected, abs=1e-6)
        for s, name in enumerate(names):
            x, y = (
                np.concatenate([values(which, unit, text) for text in fitted])
                for which, unit in ((0, name), (1, component))
            )
            slope, offset = np.polyfit(x, y, 1)
            for at, text in enumerate(held_out):
                value = slope * values(0, name, text) + offset
                expected = divergence(component, text, value)
                assert stitched_in[s, at] == pytest.approx(expected, abs=1e-6)
            x, y = (
                np.concatenate([values(which, unit, text) for text in held_out])
                for which, unit in ((0, name), (1, component))
            )
            expected = np.corrcoef(x, y)[0, 1]
            assert close[s] == pytest.approx(expected, abs=1e-4)


def test_a_heads_stand_in_is_the_partners_pattern() -> None:
    found = stitched("heads")
    _, held_out = split()
    for component in components_of(found):
        mean = mean_of(1, component)
        names, close, stitched_in = units_of(found, component)
        for at, text in enumerate(held_out):
            n = len(TEXTS[text])
            expected = divergence(component, text, mean[:n, :n])
            assert ablated(found, component)[at] == pytest.approx(expected, abs=1e-6)
            for s, name in enumerate(names):
                expected = divergence(component, text, values(0, name, text))
                assert stitched_in[s, at] == pytest.approx(expected, abs=1e-6)
        for s, name in enumerate(names):
            pairs = []
            for which, unit in ((0, name), (1, component)):
                center = mean_of(which, unit)
                each = []
                for text in held_out:
                    n = len(TEXTS[text])
                    each.append((values(which, unit, text) - center[:n, :n]).ravel())
                pairs.append(np.concatenate(each))
            expected = np.corrcoef(*pairs)[0, 1]
            assert close[s] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("of", ["neurons", "heads"])
def test_partners_are_the_alignments_and_the_best_correlates_most_in_its_place(of: str) -> None:
    found, alignment = stitched(of), aligned(of)
    fitted, _ = split()
    units = 48 if of == "neurons" else 4
    for number, component in enumerate(components_of(found)):
        pair = alignment.names_b.index(component)
        (partner, best, *controls), *_ = units_of(found, component)
        assert partner == alignment.names_a[pair]
        assert found.changes["similarity"][number] == alignment.similarity[pair]
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
            assert best == pool[int(np.argmax(closeness))]
        assert len(set(controls)) == 2 and set(controls) <= set(pool)
        assert partner not in controls


@pytest.mark.parametrize("of", ["neurons", "heads"])
def test_components_are_those_whose_ablation_does_the_most_on_fitted_texts(
    of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stitch, "ABLATED", 1000)
    a, b = model(NAME), model(NAME, 1)
    found = wb.compare.stitch(a, b, TEXTS, aligned(of), n=3, n_controls=1, progress=False)
    alignment = aligned(of)
    names = (
        alignment.names_b if of == "heads" else [*components_of(found), *alignment.names_b[::16]]
    )
    effects = {}
    for name in names:
        mean = mean_of(1, name)
        damage = []
        for text in split()[0]:
            n = len(TEXTS[text])
            value = mean[:n, :n] if of == "heads" else np.full(n, mean)
            damage.append(divergence(name, text, value))
        effects[name] = np.mean(damage)
    assert components_of(found) == sorted(effects, key=lambda name: -effects[name])[:3]


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
    for name in ("changes", "controls"):
        mine, theirs = dict(getattr(one, name)), dict(getattr(other, name))
        column = "correlation" if name == "changes" else "random_correlation"
        close = [np.array(x.pop(column), float) for x in (mine, theirs)]
        np.testing.assert_allclose(close[0], close[1], atol=1e-4)
        assert mine == theirs
    for name in ("changed", "control"):
        mine, theirs = (getattr(x["brought back"], name) for x in (one, other))
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize("of", ["neurons", "heads"])
def test_texts_in_small_parts_give_the_same(of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stitched(of)
    monkeypatch.setattr(stitch, "BYTES", 1)
    a, b = model(NAME), model(NAME, 1)
    given = components_of(whole)
    options: Any = {"n_controls": 2, "progress": False}
    parts = wb.compare.stitch(a, b, TEXTS, aligned(of), components=given, **options)
    assert components_of(parts) == given
    for name in ("changed", "control"):
        mine, theirs = (getattr(x["brought back"], name) for x in (parts, whole))
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_shares_and_intervals_are_ratios_of_means(tmp_path: Path) -> None:
    found = stitched("neurons")
    table = found.to_frame().set_index(["change", "component"])
    assert set(table.index.get_level_values(0)) == {"partner", "best"}
    for component in components_of(found):
        mean = ablated(found, component)
        _, close, each = units_of(found, component)
        shares = 1 - each.mean(-1) / mean.mean()
        lines = [table.loc[(change, component)] for change in ("partner", "best")]
        assert [line.effect for line in lines] == pytest.approx(shares[:2])
        assert [line.correlation for line in lines] == pytest.approx(close[:2])
        assert lines[0].control == pytest.approx(shares[2:].mean())
        assert lines[0].beyond == np.mean(abs(1 - shares[2:]) > abs(1 - shares[0]))
        ends = bootstrap(lambda i, x=each[0], y=mean: 1 - x[i].mean(-1) / y[i].mean(-1), 4)
        assert (lines[0].low, lines[0].high) == pytest.approx(ends, abs=1e-6)
    again = wb.Effects.load(found.save(tmp_path / "stitching"))
    assert repr(again) == repr(found) and again.controls == found.controls
    assert "llama0: 3 neurons of llama1 replaced by units of llama0: 9 changes" in repr(found)


def test_the_picture_has_a_row_for_each_component_with_what_stands_in_for_it() -> None:
    import matplotlib.pyplot as plt

    found = stitched("neurons")
    axes = found.plot()
    assert [text.get_text() for text in axes.get_yticklabels()] == components_of(found)
    dots = {each.get_label(): each for each in axes.collections if each.get_label()}
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    assert sorted(said) == ["best", "controls, 95 %", "mean of controls", "partner"]
    for change in ("partner", "best"):
        drawn = dots[change].get_offsets()[:, 0]
        np.testing.assert_allclose(drawn, found.effect()[found.rows(change=change), 0])
    assert found.png().startswith(b"\x89PNG")
    plt.close("all")


def test_what_does_nothing_has_no_share() -> None:
    found = stitched("neurons")
    one = found["brought back"]
    nothing = one.changed.copy()
    nothing[found.rows(change="ablated")] = 0.0
    found = replace(found, measures=(replace(one, changed=nothing),))
    table = found.to_frame()
    assert len(table) == 6
    assert np.isnan(table[["effect", "low", "high", "control", "beyond"]].to_numpy()).all()


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
    refused("two each at least; got 1", texts="w5 w6")
    refused("n is a whole number from 1; got 0", n=0)
    refused("n_controls is a whole number from 1; got True", n_controls=True)
    refused("there are 47, fewer than n_controls=48", n_controls=48)
    refused("stitched once", components=["L0.mlp_post/3", "L0.mlp_post/3"])
    refused("At least one component is stitched; got none", components=[])
    refused("alignment is of neurons, written like", components="L0H1.z")
    with pytest.raises(KeyError, match="No change has .*L0.mlp_post/999"):
        stitched("neurons").score(component="L0.mlp_post/999")


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
    assert set(components_of(here)) <= set(found.names_b)
