"""Where the new tree gives the numbers of an old call; what is not here is where it was.

Whoever moves a call adds one function here, of the old name and with the old arguments (those that
`tests/frames/<family>.py` uses). It calls the new tree and gives what the old call gave, to be
read by its old names:

    @moves("evaluate_circuit")
    def _(model, task, circuit, *, ablations="zero", seed=0, **options):
        new = wb.circuits.evaluate(model, task, circuit, controls=ablations, seed=seed, **options)
        return Moved(new, columns={"value": "faithfulness"}, cmd=lambda how: new.area(how)[0])

`Moved(new, columns={new: old}, frame=f, **reads)` is the new result with its columns renamed (or a
table made by f, where lines move as well) and old methods by name. Any object with what the old
one had will do. A `Moved` that is handed to a later call arrives there as the new result. Further:

    @makes("circuit")            # a thing that several calls take, `@thing` of a family
    @instead("evaluate_circuit") # a whole call, (c) -> tables of the old names and columns
    GONE["neuron_vocabulary", "frame", "rank"] = "why the new tree has no such column"

A method of a class that moves stands on the object that its call gives; a class that calls are
made through (`Labels.of`) is moved by `moves("Labels")` on a class or a namespace of its methods.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch

import workbench as wb
from workbench.dictionary import encoders

from .calls import Context, Moved, Tables, as_new
from .core import PROMPT

#: How the tests read patches; the calls of the comparison are a package of their own.
READ: Any = import_module("patchings" if __package__ == "frames" else "tests.patchings")
#: By the old public name.
NAMES: dict[str, Any] = {}
#: By the name of a thing.
MADE: dict[str, Callable[[Context], Any]] = {}
#: By the name of a whole call.
INSTEAD: dict[str, Callable[[Context], Tables]] = {}
#: (call, table, column) that the new tree does not have, and why.
GONE: dict[tuple[str, str, str], str] = {}


def moves(name: str) -> Callable[[Any], Any]:
    """Put the object in place of `wb.<name>`."""
    return lambda found: NAMES.setdefault(name, found)


def makes(name: str) -> Callable[[Any], Any]:
    """Make a thing in another way."""
    return lambda make: MADE.setdefault(name, make)


def instead(name: str) -> Callable[[Any], Any]:
    """Run another function in place of a whole call."""
    return lambda tables: INSTEAD.setdefault(name, tables)


# -- core ------------------------------------------------------------------------------------------


@makes("edited_on")
def edited_on(_: Context) -> Any:
    return lambda edit, on: {"edits": wb.Change(edit, on=on)}


moves("data_path")(lambda *parts: wb.data.path(*parts))


LENS = {"site": "component"}


@instead("saved")
def _saved(c: Context) -> Tables:
    lens = wb.lens.logit(c.model, PROMPT, k=3)
    lens.save(c.folder / "lens")
    each = {"read again": wb.lens.LogitLens.load(c.folder / "lens"), "as it was": lens}
    return {name: made.to_frame().rename(columns=LENS) for name, made in each.items()}


# -- circuits --------------------------------------------------------------------------------------


@moves("evaluate_circuit")
def _evaluate_circuit(
    *args: Any,
    ablations: str | Sequence[str] = ("counterfactual", "resample", "mean-position"),
    n_random: int = 10,
    **options: Any,
) -> Moved:
    kinds = [ablations] if isinstance(ablations, str) else list(ablations)
    new: Any = wb.circuits.evaluate(
        *args, references=kinds, n_controls=n_random, progress=False, **options
    )
    names = {"faithfulness": "inside", "completeness": "outside"}

    def score(name: str, kind: str) -> tuple[float, float, float]:
        value, low, high = new.score(change=names[name], reference=kind)
        return (value, low, high) if value == value else (value, value, value)

    def area(kind: str, missing: bool) -> float:
        found = new.area(along="fraction", change="top", missing=missing, draws=0)
        return float(found[found.reference == kind].area.iloc[0])

    def random_scores(kind: str) -> np.ndarray:
        beside = np.array(new.controls["reference"]) == kind
        return new.effect(of="controls")[beside, 0]

    def better(kind: str) -> float:
        found = new.to_frame(draws=10)
        return float(found.beyond[(found.change == "inside") & (found.reference == kind)].iloc[0])

    def frame() -> pd.DataFrame:
        lines = [
            {
                f"{name}{end}": value
                for name in names
                for end, value in zip(("", "_low", "_high"), score(name, kind), strict=True)
            }
            | {
                "random_faithfulness": random_scores(kind).mean(),
                "better_than_chance": better(kind),
                "cpr": area(kind, False),
                "cmd": area(kind, True),
            }
            for kind in kinds
        ]
        return pd.DataFrame(lines, index=pd.Index(kinds, name="ablation"))

    def minimality(kind: str) -> dict[str, float]:
        found = wb.circuits.minimality(new, kind)
        return dict(zip(found.nodes, found.lost.tolist(), strict=True))

    return Moved(
        new, frame=frame, score=score, random_scores=random_scores, better_than_chance=better,
        curve=lambda kind: new.effect()[new.rows(change="top", reference=kind), 0],
        cpr=lambda kind: area(kind, False), cmd=lambda kind: area(kind, True),
        minimality=minimality,
    )  # fmt: skip


@moves("Cut")
def _cut(target: str, kind: str) -> str:
    return f"{target}: {kind}"


def _runs(new: Any, **more: Any) -> Moved:
    """A path or an ablation, with its runs, effect and interval."""
    own = READ.Runs(new)
    return Moved(
        new, effect=own.effect, interval=own.interval, clean=own.clean, corrupt=own.corrupt, **more
    )


@moves("ablate")
def _ablate(model: Any, task: Any, targets: Any, *, kind: str = "resample", **options: Any) -> Any:
    new = wb.ablate(model, task, targets, reference=kind, **options)
    own = READ.Runs(new)

    def frame() -> pd.DataFrame:
        clean, ablated = (list(said) for said in (new.texts or {}).values())
        numbers = {"clean": own.clean, "ablated": own.ablated, "corrupt": own.corrupt}
        return pd.DataFrame(numbers | {"clean_top": clean, "ablated_top": ablated})

    return _runs(new, frame=frame)


@moves("path_patch")
def _path_patch(
    model: Any, task: Any, *, sender: str, receivers: Any = "logits", **options: Any
) -> Any:
    new = wb.circuits.path_patch(model, task, sender, receivers, **options)
    own = READ.Runs(new)
    numbers = {"clean": own.clean, "corrupt": own.corrupt, "patched": own.patched}
    return _runs(new, frame=lambda: pd.DataFrame(numbers))


@moves("patch")
def _patch(*args: Any, max_rows: Any = None, **options: Any) -> Any:
    new = wb.patch(*args, **options)
    own, strings = READ.Patched(new), new.tokens

    def names() -> list[str]:
        """What stands at each place, or the position in the longest prompt."""
        words = dict(zip(new.changes[own.by[-1]], new.changes["token"], strict=True))
        return [words[p] or str(int(own.positions[:, p].max())) for p in sorted(words, key=str)
                if p is not None]  # fmt: skip

    def token_at(place: int) -> str | None:
        rows = [(row, p) for row, p in enumerate(own.positions[:, place]) if p >= 0]
        said = {strings[row][p] for row, p in rows}
        return said.pop() if len(said) == 1 else None

    def frame() -> pd.DataFrame:
        out = new.to_frame().rename(columns={"changed": "patched", "n": "n_examples"})
        columns = [*own.by, "effect", "low", "high", "patched", "n_examples"]
        if own.positions is not None:
            at = [{int(p) for p in column} for column in own.positions.T]
            one = [each.pop() if len(each) == 1 else -1 for each in at]
            out["position"] = [one[place] for place in out[own.by[-1]]]
            out["token"] = [token_at(place) or "" for place in out[own.by[-1]]]
            columns[len(own.by) : len(own.by)] = ["position", "token"]
        return out.loc[:, columns]

    return Moved(
        new, frame=frame, patched=own.patched, mean=own.mean, effects=own.effects,
        interval=own.interval, place_names=names, token_at=token_at,
        n_skipped=own.n_skipped,
    )  # fmt: skip


@moves("circuit_of")
def _circuit_of(*args: Any, **options: Any) -> Any:
    return wb.circuits.of(*args, **options)


@moves("check_attribution")
def _check_attribution(*args: Any, **options: Any) -> Moved:
    new = wb.circuits.check_attribution(*args, **options)

    def frame() -> pd.DataFrame:
        found = new.to_frame()
        error = found.approximate - found.exact
        order = np.argsort(-np.abs(error.to_numpy()), kind="stable")
        return found.assign(error=error).iloc[order].reset_index(drop=True)

    return Moved(new, frame=frame)


@moves("find_circuit")
def _find_circuit(*args: Any, **options: Any) -> Moved:
    new = wb.find_circuit(*args, **options)
    return Moved(new, graph=lambda: new)


@moves("find_circuits")
def _find_circuits(
    *args: Any,
    method: str = "eap-ig",
    n_edges: Sequence[int] = (),
    thresholds: Sequence[float] = (),
    **options: Any,
) -> tuple[Any, ...]:
    scores = wb.attribute(*args, method=method, over="edges", **options)
    return (
        *(scores.circuit(n_edges=n) for n in n_edges),
        *(scores.circuit(threshold=t) for t in thresholds),
    )


# -- concepts and steering -------------------------------------------------------------------------


NAMES["Concepts"] = SimpleNamespace(of_words=wb.concepts)


def _directions(method: Any) -> Any:
    def call(model: Any, site: Any, concepts: Any, texts: Any, **_: Any) -> Any:
        acts = wb.Activations.of_concepts(model, texts, concepts, site)
        made: Any = wb.steering.directions(acts, [*acts.labels], method=method)[site]
        names = [*concepts.names, *(f"{n}, asked" for n in concepts.names)]
        order = [made.names.index(name) for name in names if name in made.names]
        return wb.Dictionary(
            site,
            encoders.Linear(made.encoder.W_enc[:, order].contiguous(), made.encoder.b_enc[order]),
            made.W_dec[order],
            made.b_dec,
            model=made.model,
            name=str({"probe": "supervised"}.get(method, made.name)),
            info={"concepts": names},
        )

    return call


NAMES["difference_in_means"] = _directions("mean")
NAMES["supervised_dictionary"] = _directions("probe")


@moves("evaluate_concepts")
def _evaluate_concepts(model: Any, dicts: Any, concepts: Any, texts: Any, **options: Any) -> Any:
    return wb.features.evaluate_concepts(model, texts, dicts, concepts, **options)


def _pushed(what: Any, dicts: Any, strength: float, layers: Any, measured: Any) -> tuple[Any, Any]:
    """The change that the old call made of a feature, several with shares, or a flow; how far
    along each.
    """
    flow = hasattr(what, "path")
    path = [n for n in what.path() if "resid" in n] if flow else None
    if path is not None:
        length = strength * measured(path)
        wanted = None if layers in (None, "flow") else layers
        change = what.change(length, dicts=dicts, layers=wanted)
        return change, np.full(len(change.parts), length / len(change.parts))
    shares = (
        what
        if isinstance(what, dict)
        else dict.fromkeys([what] * isinstance(what, str) or what, 1.0)
    )
    length, total = strength * measured(list(shares)), sum(map(abs, shares.values()))
    edits, added = [], []
    for name, share in shares.items():
        dictionary, number = dicts.feature(name)
        added.append(length * share / total)
        edits.append(wb.Add(dictionary.out_site, dictionary.directions[number], added[-1]))
    return wb.Change(edits), np.array(added)


@moves("steer")
def _steer(
    model: Any, prompts: Any, what: Any, *, dicts: Any, strength: float = 4.0, layers: Any = None,
    mode: str = "add", unit: float | None = None, texts: Any = None, n: int = 20, on: str = "both",
    k: int = 10, prepend_bos: Any = None, **sampling: Any,
) -> Moved:  # fmt: skip
    units: list[float] = []

    def measured(features: Any) -> float:
        length = wb.steering.typical_length(model, texts, dicts, features) if unit is None else unit
        units.append(float(length))
        return units[-1]

    change, added = dicts.scale({what: 0}) if mode == "remove" else None, np.zeros(1)
    if change is None:
        change, added = _pushed(what, dicts, strength, layers, measured)
    change = wb.Change([replace(part, on=on) for part in change.parts])
    asked = prompts if prepend_bos is None else model.tokens(prompts, prepend_bos=prepend_bos)
    new = wb.steer(model, asked, change, n_new=n, k=k, **sampling)

    def lists(row: int) -> pd.DataFrame:
        found = [m for m in new.measures[1:] if np.isfinite(m.changed[0, row])]
        plain, steered = (np.array([f(m) for m in found]) for f in (
            lambda m: m.plain[row], lambda m: m.changed[0, row]))  # fmt: skip
        frame = pd.DataFrame({"prompt": row, "token": [m.name for m in found]})
        frame = frame.assign(plain=np.exp(plain), steered=np.exp(steered), change=steered - plain)
        ranked = zip(("before", "after", "promoted", "suppressed"),
                     (plain, steered, steered - plain, plain - steered), strict=True)  # fmt: skip
        # Where nothing moved, any tokens have moved most; the old lists took others.
        best = {
            name: set(len(v) - 1 - np.argsort(-v[::-1], kind="stable")[:k]) for name, v in ranked
        }
        frame["groups"] = [
            ", ".join(name for name, some in best.items() if i in some) for i in range(len(frame))
        ]
        return frame.sort_values("steered", ascending=False, kind="stable")

    said: Any = new.texts
    return Moved(
        new,
        frame=lambda: pd.concat([lists(r) for r in range(len(new.tokens))], ignore_index=True),
        kl=new.measures[0].changed[0], added=added, unit=units[0] if units else 0.0,
        plain_texts=said["plain"], steered_texts=said["steered"],
    )  # fmt: skip


@moves("compare_steering")
def _compare_steering(
    model: Any, flow: Any, texts: Any, *, concept: Any, prompts: Any, dicts: Any,
    strengths: Sequence[float], unit: float | None = None, n_random: int = 3, seed: int = 0,
    progress: bool = True,
) -> Moved:  # fmt: skip
    path = [n for n in flow.path() if "resid" in n]
    length = wb.steering.typical_length(model, texts, dicts, path) if unit is None else unit
    layers = {name: wb.Site.parse(name).layer for name in path}
    ways = {"flow": flow.change(length, dicts=dicts)}
    ways |= {name: flow.change(length, dicts=dicts, layers=at) for name, at in layers.items()}
    measures = ("log_probability", "probability")
    # As they were drawn: anew in every layer, where controls.like turns the whole change at once.
    rng = np.random.default_rng(seed)

    def turned(edit: Any) -> Any:
        drawn = rng.standard_normal(len(edit.value))
        unit_length = torch.as_tensor(drawn / np.linalg.norm(drawn), dtype=torch.float32)
        return replace(edit, value=unit_length * edit.value.norm())

    drawn = {
        ("flow", "random", i): wb.Change([turned(part.what) for part in ways["flow"].parts])
        for i in range(n_random)
    }
    new = wb.steering.evaluate(
        model, {"concept": [(prompt, concept) for prompt in prompts]}, ways, strengths=strengths,
        measures=measures, controls=drawn, elsewhere=texts, seed=seed, progress=progress,
    )  # fmt: skip
    names, n = (*ways, "random"), len(strengths)
    of = {"kl": "KL elsewhere", "loss": "loss elsewhere"} | {m: f"concept {m}" for m in measures}

    def each(name: str, raw: bool = False) -> np.ndarray:
        """(way, strength, example) with the mean of the draws beside the flow."""
        one = new[of[name]]
        # A mean of the draws' logarithms, of which the probability was taken.
        which = new[of["log_probability"]] if name == "probability" else one
        drawn = which.control.reshape(n_random, n, -1).mean(0)
        drawn = np.exp(drawn) if name == "probability" else drawn
        values = np.concatenate([one.changed, drawn]).reshape(len(names), n, -1)
        return values if raw else values - one.plain

    # What random directions reach is read as that of one more way, the mean of the draws.
    labels = {name: (*new.changes[name], *more) for name, more in (
        ("change", ["random"] * n), ("strength", map(float, strengths)))}  # fmt: skip
    with_random = replace(
        new, changes=labels, controls={}, measures=tuple(
            replace(m, changed=each(k, raw=True).reshape(-1, len(m.plain)),
                    control=np.zeros((0, len(m.plain))))
            for k in of for m in [new[of[k]]]
        ),
    )  # fmt: skip

    def at(damage: str, measure: str) -> pd.DataFrame:
        which: dict[str, Any] = {"measure": of[measure], "damage": of[damage]}
        level = new.equal_damage(of[damage])
        table = with_random.at_damage(level, beside="flow", **which).set_index("change")
        ends = [f"{n}{end}" for n in ("excess",) for end in ("", "_low", "_high")]
        own = new.at_damage(level, **which).set_index("change").loc["flow", ends]
        columns = ["minus", "minus_low", "minus_high"]
        if measure == "probability":  # whose mean over the draws is another
            columns, own = columns[1:], own[1:]
        table.loc["random", columns] = own.to_numpy(dtype=float)
        return table

    def triple(way: str, name: str, **options: Any) -> tuple[float, ...]:
        line = at(**options).loc[way]
        return tuple(float(line[f"{name}{end}"]) for end in ("", "_low", "_high"))

    def best(**options: Any) -> pd.DataFrame:
        table: Any = at(**options)
        columns = [f"{n}{end}" for n in ("effect", "minus") for end in ("", "_low", "_high")]
        columns.insert(3, "area")
        named = table[columns].rename(columns=lambda c: c.replace("minus", "flow_minus"))
        named = named.rename_axis("way").sort_values("effect", ascending=False, kind="stable")
        # What was drawn comes last, since another draw may have any place.
        return pd.concat([named.drop(index="random"), named.loc[["random"]]])

    def frame() -> pd.DataFrame:
        # The old tree has no such module.
        from workbench.resample import bootstrap

        values = {"effect": each("log_probability"), "kl": each("kl"), "loss": each("loss")}
        values["probability"] = np.exp(each("log_probability", raw=True))
        lines = []
        for i, way in enumerate(names):
            for s, strength in enumerate(strengths):
                line: dict[str, Any] = {"way": way, "strength": float(strength)}
                for name in ("effect", "probability", "kl", "loss"):
                    one = values[name][i, s]
                    ends = bootstrap(lambda c, one=one: one[c].mean(-1), len(one), seed=seed)
                    line |= dict(zip((name, f"{name}_low", f"{name}_high"),
                                     (one.mean(), *ends), strict=True))  # fmt: skip
                lines.append(line)
        return pd.DataFrame(lines)

    return Moved(
        new, frame=frame, ways=names, gain=lambda m="log_probability": each(m),
        harm=lambda d="kl": each(d), matched_damage=lambda d="kl": new.equal_damage(of[d]),
        area=lambda way, **o: triple(way, "area", **o), best=best,
        effect_at=lambda way, **o: triple(way, "effect", **o),
        winner=lambda **o: best(**o).index[0],
        difference=lambda _, way, **o: triple(way, "minus", **o),
    )  # fmt: skip


# -- lens -----------------------------------------------------------------------------------------


def _asked(model: Any, prompts: Any, prepend_bos: bool | None) -> Any:
    """The prompts, as tokens where the start token is said."""
    return prompts if prepend_bos is None else model.tokens(prompts, prepend_bos=prepend_bos)


def _from_zero(frame: pd.DataFrame) -> pd.DataFrame:
    """Ranks as they were, from 0."""
    return frame.assign(**{n: frame[n] - 1 for n in ("rank", "median_rank") if n in frame})


@moves("logit_lens")
def _logit_lens(
    model: Any,
    prompt: Any,
    *,
    component: Any = "resid_post",
    prepend_bos: Any = None,
    chunk: Any = None,
    **options: Any,
) -> Moved:
    asked = _asked(model, prompt, prepend_bos)
    new, names = wb.lens.logit(model, asked, sites=component, **options), LENS
    return Moved(
        new,
        columns=names,
        frame=lambda: _from_zero(new.to_frame()),
        target_frame=lambda: _from_zero(new.target_frame()).rename(columns=names),
        top_tokens=lambda row=0, component=None, lens=None: new.top_tokens(row, component, lens),
    )


@moves("tuned_lens")
def _tuned_lens(model: Any, texts: Any, **options: Any) -> Any:
    return wb.lens.tuned(model, texts, **options)


@moves("jacobian_lens")
def _jacobian_lens(model: Any, texts: Any, **options: Any) -> Any:
    return wb.lens.jacobian(model, texts, **options)


@moves("direct_logit_attribution")
def _direct_logit_attribution(
    model: Any, prompt: Any, targets: Any, *, prepend_bos: Any = None, **options: Any
) -> Any:
    asked = _asked(model, prompt, prepend_bos)
    return wb.lens.direct_logit_attribution(model, asked, targets, **options)


@moves("attention")
def _attention(model: Any, prompt: Any, *, prepend_bos: Any = None, **options: Any) -> Any:
    return wb.lens.attention(model, _asked(model, prompt, prepend_bos), **options)


moves("TunedLens")(SimpleNamespace(identity=lambda model: wb.lens.TunedLens.identity(model)))


# -- compare --------------------------------------------------------------------------------------


@moves("align_weights")
def _align_weights(
    a: Any, b: Any, *, of: Any = "neurons", n_permutations: int = 10, **options: Any
) -> Any:
    return wb.compare.align(a, b, over=of, n_controls=n_permutations, **options)


@moves("stitch")
def _stitch(
    alignment: Any, a: Any, b: Any, texts: Any, *, n_random: int = 4, **options: Any
) -> Any:
    from workbench.resample import bootstrap, interval

    new: Any = wb.compare.stitch(a, b, texts, alignment, n_controls=n_random, **options)
    names = list(dict.fromkeys(new.changes["component"]))
    n, kinds = len(names), ("partner", "best", "random")
    own, drawn = (new.effect(of=of, draws=2000) for of in ("changes", "controls"))
    close = [new.changes["correlation"][i * n : (i + 1) * n] for i in (0, 1)]
    random = np.array(new.controls["random_correlation"])
    beside = new.beside()[:n]
    random_ones = np.stack([drawn[rows].mean(0) for rows in beside])
    each = dict(zip(kinds, (own[:n], own[n : 2 * n], random_ones), strict=True))
    correlation = dict(zip(kinds, [*close, [random[r].mean() for r in beside]], strict=True))

    def overall(kind: str) -> tuple[float, float, float]:
        values = each[kind][:, 0]
        ends = bootstrap(lambda i: np.median(values[i], -1), n, seed=new.seed or 0)
        return (float(np.median(values)), *ends)

    def frame() -> pd.DataFrame:
        columns: dict[str, Any] = {"component": names}
        columns |= {k: new.changes["unit"][i * n : (i + 1) * n] for i, k in enumerate(kinds[:2])}
        columns["similarity"] = new.changes["similarity"][:n]
        columns["ablated"] = new["brought back"].changed[new.rows(change="ablated")].mean(-1)
        columns |= {f"correlation_{kind}": correlation[kind] for kind in kinds}
        columns |= {f"recovered_{kind}": each[kind][:, 0] for kind in kinds}
        ends = np.array([interval(x)[1:] for x in each["partner"]])
        columns |= {"recovered_low": ends[:, 0], "recovered_high": ends[:, 1]}
        best = np.array([drawn[rows, 0].max() for rows in beside])
        return pd.DataFrame(columns | {"beats_random": own[:n, 0] > best})

    return Moved(
        new,
        frame=frame,
        components=tuple(names),
        recovered=lambda kind: each[kind][:, 0],
        overall=overall,
        interval=lambda name, kind: interval(each[kind][names.index(name)])[1:],
    )


# -- vocabulary ------------------------------------------------------------------------------------


@moves("neuron_vocabulary")
def _neuron_vocabulary(model: Any, layer: Any = None, **options: Any) -> Any:
    new = wb.vocabulary.neurons(model, layer, **options)
    return Moved(
        new,
        kept=lambda other: new.kept(as_new(other)),
        search=lambda *args, **how: _from_zero(new.search(*args, **how)),
        words=lambda neuron: _from_zero(new.words(neuron)),
    )


@moves("direction_vocabulary")
def _direction_vocabulary(model: Any, directions: Any, **options: Any) -> Any:
    new = wb.vocabulary.words(model, directions, **options)

    def words(name: str) -> pd.DataFrame:
        found: Any = new.to_frame("words").query("direction == @name")
        return _from_zero(found.drop(columns="direction").reset_index(drop=True))

    return Moved(new, words=words)


@moves("bias_vocabulary")
def _bias_vocabulary(model: Any, **options: Any) -> Any:
    return wb.vocabulary.biases(model, **options)


ENDS, SHARES = ("", "_low", "_high"), ("copying_share", "suppression_share")


@moves("head_vocabulary")
def _head_vocabulary(model: Any, heads: Any = None, *, n_random: int = 20, **options: Any) -> Any:
    return _heads(wb.vocabulary.heads(model, heads, n_controls=n_random, **options))


def _heads(new: Any) -> Moved:
    names = {f"copying_score_control{end}": f"random_copying_score{end}" for end in ENDS}
    names |= {f"{share}_control": f"random_{share}" for share in SHARES}

    def frame(what: str = "scores") -> pd.DataFrame:
        found = new.to_frame(what)
        if what != "scores":
            return _from_zero(found)
        return found.assign(previous_token_chance=new.previous_token_chance).rename(columns=names)

    def share_interval(head: str) -> tuple[float, float]:
        one = new.of(head)
        return float(one.copying_share_low[0]), float(one.copying_share_high[0])

    return Moved(
        new, frame=frame, of=lambda head: _heads(new.of(head)), share_interval=share_interval
    )


@moves("find_neurons")
def _find_neurons(
    model: Any, words: Any, *, layer: Any = None, n_draws: int = 100, **options: Any
) -> Any:
    new = wb.vocabulary.find_neurons(model, words, layers=layer, n_controls=n_draws, **options)
    own = ["|".join(each) for each in new.own_words]
    return Moved(
        new,
        frame=lambda: _from_zero(new.to_frame().assign(own_words=own)),
        by_chance=lambda: new.by_chance,
    )


@moves("clamp_neurons")
def _clamp_neurons(
    model: Any, neurons: Any, prompts: Any, *, prepend_bos: Any = None, **options: Any
) -> Any:
    asked = _asked(model, prompts, prepend_bos)
    new = wb.vocabulary.clamp(model, asked, neurons, progress=False, **options)
    names = {"changed": "clamped", "effect": "change", "beyond": "above_random"}
    names |= {f"control{end}": f"random{end}" for end in ("", "_low", "_high")}

    def changes() -> dict[str, Any]:
        # As they were held before they were taken from one another.
        single = np.float32
        return {
            m.name: tuple(
                x.astype(single) - m.plain.astype(single) for x in (m.changed[0], m.control)
            )
            for m in new.measures
        }

    return Moved(
        new,
        frame=lambda: new.to_frame().rename(columns=names),
        changes=changes,
        interval=lambda measure: new.score(measure)[1:],
    )


# -- features: flows -------------------------------------------------------------------------------


def _named(options: dict[str, Any]) -> dict[str, Any]:
    return {
        {"by": "method", "compare": "methods"}.get(name, name): v for name, v in options.items()
    }


@moves("match_features")
def _match_features(dicts: Any, **options: Any) -> Any:
    return wb.features.match(dicts, **_named(options))


@moves("compare_matches")
def _compare_matches(matches: Any) -> Any:
    pairs = [(a, b) for i, a in enumerate(matches) for b in matches[i + 1 :]]
    each = [a.agreement(b).reset_index().assign(a=a.method, b=b.method) for a, b in pairs]
    return pd.concat(each, ignore_index=True)[["a", "b", *each[0].columns[:-2]]]


@moves("feature_flow")
def _feature_flow(dicts: Any, feature: Any = None, **options: Any) -> Any:
    options = _named(options)
    if "texts" in options:
        given = {name: options.pop(name) for name in ("model", "texts", "method")}
        options["matches"] = wb.features.match(dicts, **given, progress=False)
    new = wb.features.flow(dicts, feature, **options)
    at = new.thresholds[:, new.node_sites]
    names = ("resid", "mlp", "attn", "successor")
    wide = {f"{name}_threshold": at[lane] for lane, name in enumerate(names)}

    def limits() -> Any:
        found = new.to_frame("limits")
        return found[["site", "lane", "threshold", "chance"]]

    return Moved(
        new,
        frame=lambda: new.to_frame().assign(**wide),
        limits=limits,
        agreement=lambda other: new.agreement(other.new),
    )


@moves("validate_flow")
def _validate_flow(model: Any, flow: Any, texts: Any, **options: Any) -> Any:
    new = wb.features.evaluate_flow(model, texts, flow, **_named(options))
    about: Any = new.examples
    arms = (*dict.fromkeys(new.changes["change"]), "random")
    measures, lanes = [one.name for one in new.measures], about["lane of the edge"]
    nan = (math.nan,) * 3

    def each(measure: str, arm: str) -> np.ndarray:
        if measure not in measures:
            return np.full(len(lanes), np.nan)
        return new[measure].control[0] if arm == "random" else new[measure].changed[arms.index(arm)]

    def score(arm: str, lane: str | None = None, *, of: str = "drop") -> tuple[float, ...]:
        place = lane or "all"
        if of not in measures:
            return nan
        if arm != "random":
            return new.score(of, change=arm, lane=place)
        at = new.controls["lane"].index(place)
        values = new.effect(of, of="controls", draws=1000)[at]
        return values[0], *np.quantile(values[1:], [0.025, 0.975])

    def advantage(
        arm: str = "flow", over: str = "random", lane: str | None = None, *, of: str = "drop"
    ) -> tuple[float, ...]:
        if of not in measures or arm == "random":
            return nan if of not in measures else (0.0, 0.0, 0.0)
        return new.score(of, excess=True, change=arm, lane=lane or "all")

    def frame() -> pd.DataFrame:
        lines = [
            {
                "lane": lanes[e], "target": about["target"][e], "arm": arm,
                "feature": about[arm][e], "similarity": about["similarity"][e],
                "n_texts": len(about["texts"][e].split()), "n_positions": about["n_positions"][e],
                **{name: each(name, arm)[e] for name in ("drop", "fallen", "loss")},
                "strength": about["strength of random"][e] if arm == "random" else 1.0,
                **{name: each(name, arm)[e] for name in ("rate", "length")},
            }
            for e in range(len(lanes)) for arm in arms
        ]  # fmt: skip
        made = pd.DataFrame(lines)
        made.loc[made["rate"].isna(), "strength"] = np.nan
        return made

    def summary() -> pd.DataFrame:
        lines = []
        for lane in dict.fromkeys(new.changes["lane"]):
            inside = np.array([lane in ("all", own) for own in lanes])
            for arm in arms:
                there = inside & np.isfinite(each("drop", arm))
                name = None if lane == "all" else lane
                line: dict[str, Any] = {"lane": lane, "arm": arm, "n": int(there.sum())}
                for of in ("drop", "fallen", "loss"):
                    line |= dict(zip((of, f"{of}_low", f"{of}_high"), score(arm, name, of=of),
                                     strict=True))  # fmt: skip
                ends = ("advantage", "advantage_low", "advantage_high")
                line |= dict(zip(ends, advantage(arm, "random", name), strict=True))
                line |= {m: float(np.mean(each(m, arm)[there])) for m in ("rate", "length")}
                lines.append(line)
        return pd.DataFrame(lines)

    return Moved(new, frame=frame, summary=summary, score=score, advantage=advantage, arms=arms)


# -- weights ---------------------------------------------------------------------------------------


@moves("edited_weights")
def _edited_weights(model: Any, edits: Any, *, tied: bool = False) -> Any:
    return wb.Change(edits).applied(model, tied=tied)


@moves("unlearn")
def _unlearn(model: Any, forget: Any, retain: Any, **options: Any) -> Any:
    return wb.weights.unlearn(model, forget, retain, progress=False, **options)


@moves("concept_vectors")
def _concept_vectors(
    model: Any,
    words: Any,
    *,
    n: int = 20,
    prompts: Any = None,
    layer: Any = None,
    n_draws: int = 100,
    **options: Any,
) -> Any:
    new = wb.weights.concept_vectors(
        model,
        words,
        n_neurons=n,
        questions=prompts,
        layers=layer,
        n_controls=n_draws,
        progress=False,
        **options,
    )

    def frame() -> pd.DataFrame:
        own = ["|".join(each) for each in new.own_words]
        lost = np.full(len(own), np.nan, np.float32) if new.lost is None else new.lost
        return new.to_frame().assign(own_words=own, lost=lost)

    return Moved(new, frame=frame)


@moves("ablate_concept")
def _ablate_concept(
    model: Any,
    vectors: Any,
    prompts: Any,
    *,
    others: Any = None,
    how: Any = "zero",
    **options: Any,
) -> Any:
    asked = {"prompts": prompts, **(others or {})}
    new = wb.weights.ablate(
        model,
        asked,
        vectors,
        reference=how,
        alone=True,
        measures=("probability", "rank"),
        progress=False,
        **options,
    )
    names = {"prompts probability": "probability"} | {f"{n} probability": n for n in others or {}}
    names |= {name: name for name in ("loss elsewhere", "KL elsewhere")}
    one, ranks = new["prompts probability"], new["prompts rank"]

    def frame() -> Any:
        lines: Any = new.to_frame().query("change == 'all'")
        lines = lines[lines.measure.isin(names)].replace({"measure": names})
        columns = {
            "plain": "before",
            "changed": "after",
            "effect": "change",
            "control": "random",
            "control_low": "random_low",
            "control_high": "random_high",
            "beyond": "beyond_random",
        }
        return lines.drop(columns="change").rename(columns=columns).reset_index(drop=True)

    def alone() -> Any:
        lines: Any = new.to_frame().query("change != 'all' and measure == 'prompts probability'")
        return lines[["change", "effect", "low", "high"]].set_axis(
            ["vector", "change", "low", "high"], axis=1
        )

    return Moved(
        new,
        frame=frame,
        alone=alone,
        ablated_texts=(new.texts or {})["all"],
        plain_probability=one.plain,
        ablated_probability=one.changed[0],
        control_probability=one.control,
        alone_probability=one.changed[1:],
        ablated_rank=(ranks.changed[0] - 1).astype(int),
    )


@moves("audit_unlearning")
def _audit_unlearning(
    before: Any,
    after: Any,
    vectors: Any,
    prompts: Any,
    *,
    paraphrases: Any = None,
    others: Any = None,
    elsewhere: Any = None,
    relearn: Any = None,
    relearn_at: Any = (),
    never: Any = None,
    k: int = 10,
    n_others: int = 200,
    seed: int = 0,
) -> Any:
    ways = {"prompts": prompts, **(paraphrases or {})}
    new = wb.weights.audit(
        before, after, ways, vectors, others=others, elsewhere=elsewhere, seed=seed, progress=False
    )
    traces = wb.weights.traces(before, after, vectors, k=k, n_controls=n_others, seed=seed)

    def behaviour() -> Any:
        lines: Any = new.to_frame()
        ways = ("after", "ablated")
        own, gone = (lines[lines.change == c].reset_index(drop=True) for c in ways)
        about = [
            "texts" if m.endswith("elsewhere") else "others" if m in (others or {}) else "concept"
            for m in own.measure
        ]
        columns = {"plain": "before", "changed": "after", "effect": "change"}
        columns |= {"changed_low": "after_low", "changed_high": "after_high"}
        own = own.drop(columns="change").rename(columns=columns)
        return own.assign(about=about, ablated=gone.changed)

    def frame() -> pd.DataFrame:
        lines = traces.to_frame().query("kind == 'concept'").drop(columns="kind")
        for name in ("words_before", "words_after"):
            lines[name] = ["|".join(words) for words in lines[name]]
        return lines

    def measures() -> pd.DataFrame:
        names = {"concept": "vectors", "control": "others"}
        names |= {f"control_{end}": f"others_{end}" for end in ("low", "high")}
        return traces.to_frame("measures").rename(columns=names)

    def relearning() -> pd.DataFrame:
        zero = [wb.WeightEdit("W_out", layer, unit, value=0.0) for layer, unit in vectors.places]
        changes = {"after": after, "ablated": zero, "never": never}
        got = wb.weights.relearn(
            before, changes, relearn, prompts, steps=relearn_at, seed=seed, progress=False
        ).to_frame()
        names = {"change": "relearner", "changed": "probability"}
        names |= {"changed_low": "low", "changed_high": "high"}
        return got.drop(columns=["low", "high"]).rename(columns=names)

    return Moved(new, frame=frame, behaviour=behaviour, traces=measures, relearning=relearning)


# -- information -----------------------------------------------------------------------------------


@moves("information_flow")
def _information_flow(
    model: Any, prompt: Any, *, by: Any = "state", prepend_bos: Any = None, **options: Any
) -> Any:
    asked = _asked(model, prompt, prepend_bos)
    return _flow(wb.information.graph(model, asked, measure=by, **options))


def _flow(new: Any) -> Moved:
    def filtered(**options: Any) -> Moved:
        return _flow(new.prune(**options))

    return Moved(
        new, filtered=filtered, nodes=lambda: new.to_frame("nodes"), by=new.measure, graph=new
    )


@moves("cut_flow")
def _cut_flow(model: Any, flow: Any, edges: Any, *, fraction: float = 1.0, **options: Any) -> Any:
    new: Any = wb.information.cut(model, flow, edges, strength=fraction, **options)
    drawn = new.controls["draw"]

    def runs(name: str) -> np.ndarray:
        one = new[name]
        return np.concatenate([one.plain, one.changed[0], one.control[:, 0]])

    def frame() -> pd.DataFrame:
        words = [each.name for each in new.measures if each.unit == "probability"]
        best = np.stack([runs(name) for name in words]).argmax(0)
        given = [edges] if isinstance(edges, str) else edges
        return pd.DataFrame(
            {
                "run": ["plain", "cut", *(f"control {i}" for i in range(len(drawn)))],
                "edges": ["", "; ".join(given), *drawn],
                "answer": runs("answer"),
                "effect": new["answer"].plain[0] - runs("answer"),
                "probability": runs(flow.target),
                "kl": runs("KL"),
                "top": [words[i] for i in best],
            }
        )

    return Moved(new, frame=frame)


# -- observables -----------------------------------------------------------------------------------


EMBEDDINGS = {"token": "weights", "block 0": "first_block"}


@moves("observable")
def _observable(model: Any, *args: Any, **options: Any) -> Any:
    new = wb.vocabulary.observable(model, *args, **options)

    def propagate(path: Any = (), *, embedding: Any = None, **where: Any) -> Moved:
        return _vector(model, new.propagate(path, **where))

    def paths(*, embedding: Any = None, **where: Any) -> Any:
        chosen: Any = EMBEDDINGS.get(embedding)
        return new.paths(embedding=chosen, **where)

    return Moved(
        new, propagate=propagate, paths=paths,
        coupling=lambda other, *path: new.coupling(other.new, *path),
    )  # fmt: skip


def _vector(model: Any, dicts: Any) -> Moved:
    table = wb.vocabulary.words(model, dicts, space="site", k=None)
    tokens, values = [table.vocabulary[i] for i in table.top_ids[0]], table.top_values[0]

    def scores(words: Any) -> np.ndarray:
        return np.array([values[tokens.index(word)] for word in words])

    def words(k: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return tuple(tokens[:k]), tuple(tokens[::-1][:k])

    def coupling(other: Any) -> float:
        return float(wb.vocabulary.couplings([dicts, other.new]).coefficients[0, 1])

    return Moved(
        dicts, frame=lambda: pd.DataFrame({"token": tokens, "score": values}), scores=scores,
        words=words, vector=next(iter(dicts.values())).W_dec[0].numpy(), coupling=coupling,
    )  # fmt: skip


@moves("couplings")
def _couplings(vectors: Any) -> Moved:
    new = wb.vocabulary.couplings(vectors)

    def frame() -> pd.DataFrame:
        return pd.DataFrame(new.coefficients, pd.Index(new.names, name="moved"), new.follows)

    return Moved(new, frame=frame)


@moves("evaluate_observable")
def _evaluate_observable(
    model: Any,
    vectors: Any,
    examples: Any,
    *,
    n: Any = None,
    n_draws: int = 8,
    texts: Any = None,
    **options: Any,
) -> Any:
    asked = examples.on(model, n=n) if isinstance(examples, wb.Task) else examples
    texts = () if texts is None else texts
    new: Any = wb.vocabulary.evaluate(
        model, asked, vectors, n_controls=n_draws, elsewhere=texts, **options
    )
    there = [measure.name for measure in new.measures]
    names = {"removed": "removed", "gain": "pushed", "damage": "KL elsewhere", "truth": "truth"}
    names |= {"slope": "slope", "correlation": "correlation"}
    names = {old: name for old, name in names.items() if name in there}
    own = new.changes["change"]
    kinds = ("difference in means", "logistic probe", "random")
    directions = (*own, *(kind for kind in kinds if kind in new.kinds))

    def score(measure: str, direction: Any = None) -> tuple[float, float, float]:
        direction = own[0] if direction is None else direction
        if direction in own:
            return new.score(names[measure], change=direction)
        some = np.array(new.controls["kind"]) == direction
        each = new.effect(names[measure], of="controls")[some, 0]
        low, high = np.quantile(each, [0.025, 0.975])
        return float(each.mean()), float(low), float(high)

    def frame() -> pd.DataFrame:
        lines = []
        for direction in directions:
            line: dict[str, float] = {}
            for measure in names:
                ends = zip(("", "_low", "_high"), score(measure, direction), strict=True)
                line |= {measure + end: value for end, value in ends}
            lines.append(line)
        return pd.DataFrame(lines, index=pd.Index(directions, name="direction"))

    return Moved(new, frame=frame, score=score)


# -- features --------------------------------------------------------------------------------------


@moves("feature_effects")
def _feature_effects(model: Any, task: Any, dicts: Any, **options: Any) -> Moved:
    new = wb.features.effects(model, task, dicts, **options)
    return Moved(new, top=lambda n: [(s, _unit(node, dicts), e) for node, s, e in zip(
        new.nodes["node"][:n], new.nodes["site"], new.effect, strict=False)])  # fmt: skip


def _unit(node: str, dicts: Any) -> int:
    """The number of a node at its site; the error is the last."""
    site, _, unit = node.rpartition("/")
    return dicts[site].n_features if unit == "error" else int(unit)


@moves("feature_circuit")
def _feature_circuit(*args: Any, **options: Any) -> Moved:
    new = wb.features.circuit(*args, **options)
    return Moved(new, graph=lambda: new)


@moves("evaluate_feature_circuit")
def _evaluate_feature_circuit(*args: Any, n_random: int = 5, **options: Any) -> Moved:
    new: Any = wb.features.evaluate_circuit(*args, n_controls=n_random, **options)
    names = {"faithfulness": "inside", "completeness": "outside", "no_errors": "without errors"}
    names |= {"only_errors": "errors alone", "no_dictionary_errors": "all features"}

    def score(name: str, kind: str) -> tuple[float, float, float]:
        value, low, high = new.score(change=names[name], reference=kind)
        return (value, low, high) if value == value else (value, value, value)

    def random_scores(kind: str) -> np.ndarray:
        return new.effect(of="controls")[np.array(new.controls["reference"]) == kind, 0]

    def curve(kind: str, nodes: str = "features") -> np.ndarray:
        nodes = "heads and neurons" if nodes == "parts" else nodes
        return new.effect()[new.rows(change="top", reference=kind, nodes=nodes), 0]

    def frame() -> pd.DataFrame:
        kinds = list(dict.fromkeys(new.changes["reference"]))
        lines: list[dict[str, float]] = []
        for kind in kinds:
            line: dict[str, float] = {}
            for name in names:
                value, low, high = score(name, kind)
                ends = {f"{name}_low": low, f"{name}_high": high}
                line |= {name: value} | (ends if name in ("faithfulness", "completeness") else {})
            lines.append(line | {"random_faithfulness": float(random_scores(kind).mean())})
        return pd.DataFrame(lines, index=pd.Index(kinds, name="reference"))

    return Moved(new, frame=frame, score=score, random_scores=random_scores, curve=curve)


@moves("train_classifier")
def _train_classifier(
    model: Any,
    site: Any,
    texts: Any,
    labels: Any,
    *,
    classes: tuple[str, str] = ("0", "1"),
    pool: Any = "last",
    l2: float = 0.01,
    edits: Any = (),
) -> Moved:
    acts = wb.activations(model, texts, site, pool=pool, labels={"y": labels}, edits=edits)
    # The same penalty, now in units of the standard deviation of the rows themselves, n for n − 1.
    same = l2 * len(acts) / (len(acts) - 1)
    new = wb.probe(acts, "y", method="logistic", l2=same, controls=(), folds=2)
    right = (new.logits(model, texts, edits=edits) > 0) == np.array(labels, bool)
    line = {"site": new.site, "pool": pool, "classes": " / ".join(classes), "n_texts": len(acts)}
    line |= {"accuracy": right.mean(), "l2": l2}
    weight = new.weights[new.site][1] - new.weights[new.site][0]
    return Moved(new, frame=lambda: pd.DataFrame([line]), weight=weight)


@moves("classifier_effects")
def _classifier_effects(model: Any, probe: Any, dicts: Any, texts: Any, labels: Any) -> Moved:
    new = wb.features.effects(model, texts, dicts, metric=probe, labels=labels)

    def frame() -> pd.DataFrame:
        columns = {"feature": new.nodes["node"], "separation": new.separation}
        each: Any = new.of_label
        columns |= {f"effect on {c}": each[:, i] for i, c in enumerate(new.classes or ())}
        return pd.DataFrame(columns | {"active": new.active})

    place = {site: i for i, site in enumerate(new.sites)}
    order = sorted(new.nodes["node"], key=lambda n: (place[n.split("/")[0]], int(n.split("/")[1])))
    return Moved(new, frame=frame, nodes=tuple(order))


@moves("shift")
def _shift(
    model: Any, probe: Any, dicts: Any, features: Any, texts: Any, labels: Any, *,
    candidates: Any = None, **options: Any,
) -> Moved:  # fmt: skip
    like: Any = wb.features.effects(model, texts, dicts, metric=probe, labels=labels)
    if candidates is not None:
        like = replace(like, active=np.isin(like.nodes["node"], candidates).astype(float))
    new = wb.features.shift(
        model, texts, probe, dicts, features, labels=labels,
        like=None if candidates is None else like, **options,
    )  # fmt: skip
    ways = ["before", "after", "random"]
    if options.get("training") is not None:
        ways += ["recentred", "random recentred", "retrained"]

    def right(measure: Any, way: str) -> np.ndarray:
        if way == "before":
            return measure.plain
        change = {"random": "after", "random recentred": "recentred"}.get(way, way)
        if way == change:
            return measure.changed[new.rows(change=way)[0]]
        return measure.control[np.array(new.controls["change"]) == change].mean(0)

    def ends(values: np.ndarray) -> tuple[float, float, float]:
        from workbench.resample import bootstrap

        return (float(values.mean()), *bootstrap(lambda c: values[c].mean(-1), len(values)))

    def frame() -> pd.DataFrame:
        lines = []
        for way in ways:
            value, low, high = ends(right(new["accuracy"], way))
            line = {"accuracy": value, "accuracy_low": low, "accuracy_high": high}
            groups = new.measures[1:] or [replace(new["accuracy"], name="all")]
            lines.append(line | {g.name: np.nanmean(right(g, way)) for g in groups})
        return pd.DataFrame(lines, index=pd.Index(ways, name="way"))

    one = new["accuracy"]
    return Moved(
        new, frame=frame, ways=ways, accuracy=lambda way: ends(right(one, way)),
        gain=lambda: ends(right(one, "after") - one.plain),
    )  # fmt: skip


# -- dictionaries ----------------------------------------------------------------------------------


moves("load_dictionary")(wb.Dictionary.load)


@moves("save_dictionary")
def _save_dictionary(dictionary: Any, folder: Any, **options: Any) -> Any:
    return dictionary.save(folder, **options)


for _edit in ("SetFeatures", "ScaleFeatures", "Splice"):
    moves(_edit)(getattr(sys.modules["workbench.dictionary.base"], _edit))


@moves("train_dictionaries")
def _train_dictionaries(model: Any, sites: Any, texts: Any, **options: Any) -> Any:
    return wb.features.train(model, texts, sites, **options)


@moves("train_dictionary")
def _train_dictionary(
    model: Any, site: Any, texts: Any, *, out_site: Any = None, **options: Any
) -> Any:
    sites = site if out_site is None else {site: out_site}
    return next(iter(wb.features.train(model, texts, sites, **options).values()))


@moves("random_dictionary")
def _random_dictionary(
    model: Any, site: Any, n_features: int, *, texts: Any = None, seed: int = 0
) -> Any:
    if texts is None:
        width = model.spec.d_mlp if "mlp_post" in str(site) else model.spec.d_model
        acts = wb.Activations.of_rows(np.zeros((1, width)), site=site)
    else:
        acts = wb.activations(model, texts, site, pool=None)
    made = wb.features.decompose(acts, kind="random", n_features=n_features, seed=seed)[site]
    return replace(made, model=model.spec.name)


@moves("check_dictionary")
def _check_dictionary(model: Any, dictionary: Any, texts: Any = None) -> Moved:
    new = wb.features.check(model, texts, dictionary)
    names = ("site", "out_site", "kind", "n_features", "d_in", "made_for", "n_positions")
    same = {name: getattr(new, name) for name in (*names, "mean_norm", "mean_share")}
    return Moved(new, frame=lambda: new.to_frame().set_index("variant").assign(**same))


@moves("evaluate_dictionary")
def _evaluate_dictionary(model: Any, dictionaries: Any, texts: Any, **options: Any) -> Any:
    new: Any = wb.features.evaluate(model, texts, dictionaries, **_quick(options))
    ratios = {
        "explained_variance": "explained variance",
        "loss_recovered": "loss recovered",
        "loss_recovered_mean": "loss recovered beside the mean",
    }
    sums = {name: new[name].told()[0].sum() for name in ("loss", "KL")}

    def loss(name: str, change: str) -> float:
        return float(new["loss"].changed[new.rows(dictionary=name, change=change)[0]].sum())

    def frame() -> pd.DataFrame:
        lines = []
        n = len(new) // 3
        for row, name in enumerate(new.changes["dictionary"][:n]):
            line = {each: new.changes[each][row] for each in ("site", "kind", "n_features")}
            for old, measure in ratios.items():
                ends = zip(("", "_low", "_high"), new.score(measure, dictionary=name), strict=True)
                line |= {old + end: value for end, value in ends}
            for old in ("l0", "kl"):
                line[old] = new.score(old.upper(), dictionary=name, draws=0)[0]
            line["loss"] = new["loss"].plain.sum() / sums["loss"]
            for change in ("spliced", "zero", "mean"):
                line[f"loss_{change}"] = loss(name, change) / sums["loss"]
            for old in ("dead", "dense"):
                line[old] = int(np.nan_to_num(new[old].changed[row, 0]))
            lines.append(line | {"n_tokens": int(sums["KL"])})
        index = pd.Index(new.changes["dictionary"][:n], name="dictionary")
        return pd.DataFrame(lines, index=index)

    def frequency(name: str) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            index = wb.features.index(
                model, texts, dictionaries[name], path=f"{folder}/index", progress=False
            )
            return np.array(index.frequency)

    def score(measure: str) -> Any:
        return lambda name: new.score(measure, dictionary=name)

    return Moved(
        new,
        frame=frame,
        dead=lambda name: np.flatnonzero(frequency(name) == 0),
        dense=lambda name, above: np.flatnonzero(frequency(name) > above),
        explained_variance=score("explained variance"),
        l0=lambda name: score("L0")(name)[0],
        loss_recovered=lambda name, baseline: score(
            "loss recovered" + " beside the mean" * (baseline == "mean")
        )(name),
    )


def _quick(options: dict[str, Any]) -> dict[str, Any]:
    """Without the size of a batch, which memory decides now."""
    return {name: value for name, value in options.items() if name != "batch_size"}


@moves("index_features")
def _index_features(model: Any, dictionary: Any, texts: Any, **options: Any) -> Moved:
    new = wb.features.index(model, texts, dictionary, **_quick(options))
    return Moved(new, find=lambda **asked: wb.features.find(new, **asked))


moves("FeatureIndex")(wb.features.FeatureIndex)


def _empty_labels(dictionary: Any) -> Moved:
    new = wb.features.Labels.empty(dictionary)
    return Moved(
        new, set=lambda *a, index=None, **options: new.set(*a, index=as_new(index), **options)
    )


moves("Labels")(
    SimpleNamespace(
        from_index=lambda index, folder=None: wb.features.label(as_new(index), folder),
        of=wb.features.Labels.of,
        empty=_empty_labels,
    )
)


@moves("feature_activations")
def _feature_activations(model: Any, dictionary: Any, prompt: Any, **options: Any) -> Any:
    return wb.features.activations(model, prompt, dictionary, **options)


@moves("feature_page")
def _feature_page(model: Any, dictionary: Any, feature: Any, texts: Any, **options: Any) -> Any:
    return wb.features.page(model, texts, dictionary, feature, **options)
