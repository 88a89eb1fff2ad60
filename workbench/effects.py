"""Effects: what changes of a model do to some measures, beside controls, with intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from .check import Level, Natural, given, one_of
from .pictures.marks import Dots, Mark
from .resample import N_RESAMPLES, STATISTICS, interval, percentiles, wilson
from .resample import weights as weights_of
from .result import Arrays, Result, axes

#: Columns that tell changes, or controls, apart: one entry a row each.
Table = dict[str, tuple[Any, ...]]
#: Effects that differ by less, of 1 or of their size, are equal.
TIE = 1e-12
#: Rows × resamples whose intervals are taken at once.
BLOCK = 1 << 23
#: The unit of measures that are 0 or 1 an example, whose interval is Wilson's.
SHARE = "share"


@dataclass(frozen=True, eq=False, repr=False)
class Measure(Arrays):
    """One number an example as the model is, under each change, and under each control.

    An effect is the difference from plain, in `unit`; with a scale of two changes ("plain" is one),
    the share of the way from the first to the second, 0 and 1, as a ratio of means. NaN stands
    where an example has no such number: a position that its prompt lacks.

    A `statistic` of `STATISTICS` other than the mean takes more than one sum over the examples: of
    a loss a token, the losses of each text and how many tokens it has.
    """

    name: str
    unit: str
    plain: np.ndarray = axes("example", np.float64)
    changed: np.ndarray = axes("change example", np.float64)
    control: np.ndarray = axes("draw example", np.float64)
    scale: tuple[str, str] | None = None
    #: A way shorter than this is none, and what is measured along it NaN.
    smallest: float = 0.0
    #: Whether it is of texts elsewhere, so that more is worse.
    damage: bool = False
    statistic: str = "mean"
    #: The other sums of the statistic, in its order: rows of the changes, then of the controls, or
    #: one row that is the same for all.
    sums: np.ndarray | None = axes("row example k", np.float64, optional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        n_sums = STATISTICS[one_of("statistic", self.statistic, STATISTICS)][0]
        n = len(self.changed) + len(self.control)
        shape = (0, 0, 0) if self.sums is None else self.sums.shape
        if shape[-1] != n_sums or (n_sums and shape[0] not in (1, n)):
            raise ValueError(
                f"A {self.statistic} of {n} changes and controls has sums of the shape "
                f"(1 or {n}, example, {n_sums}); got {shape}."
            )

    def no_less(self, way: np.ndarray) -> np.ndarray:
        """The length of ways, NaN where there is none."""
        return np.where((np.abs(way) < self.smallest) | (way == 0), np.nan, way)

    def of_each(self, values: np.ndarray) -> np.ndarray:
        """(change, example) the statistic of each example by itself; NaN where it takes more."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return STATISTICS[self.statistic][1](values, *np.moveaxis(self.told(), -1, 0))

    def told(self, of: str = "changes") -> np.ndarray:
        """(row or 1, example, k) the other sums of the changes, or of the controls."""
        if self.sums is None:
            return np.zeros((1, len(self.plain), 0))
        if len(self.sums) == 1:
            return self.sums
        n = len(self.changed)
        return self.sums[:n] if of == "changes" else self.sums[n:]


@dataclass(frozen=True, eq=False, repr=False)
class Effects(Result):
    """What each change does to each measure, beside random changes of its kind.

    `to_frame()` has one line a measure and change, `effects[name]` is a measure, `score` one
    effect with its interval, `area` and `at_damage` read curves.
    """

    what: str
    #: The labels of each change: "change" and what else tells them apart (strength, reference,
    #: fraction, layer, head, pos).
    changes: Table
    #: The same of each control, with "kind" and "draw". A control stands beside the changes that
    #: have its labels; None fits any.
    controls: Table
    measures: tuple[Measure, ...]
    #: What tells examples apart where they are no prompts, a column each.
    examples: Table = field(default_factory=dict, kw_only=True)
    #: Continuations by change, "plain" among them.
    texts: dict[str, tuple[str, ...]] | None = None
    #: The position in each example's tokens at which a change acts, -1 for none; None where all act
    #: alike.
    at: np.ndarray | None = axes("change example", np.int32, optional=True)
    #: What shows them best, as the method knows: a mark, or the name of a function within
    #: `workbench.pictures`; None takes a point a change.
    picture: Mark | str | None = field(default=None, kw_only=True)
    #: The name of the widget's maker within `workbench.views`, where one shows them.
    view: str | None = field(default=None, kw_only=True)  # pyright: ignore

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.picture is None:
            dots = Dots(
                "effect", tuple(self.changes), "low", "high", "control", first=("measure", "kind")
            )
            object.__setattr__(self, "picture", dots)

    def __getitem__(self, name: str) -> Measure:
        """A measure by its name. Raises `KeyError` naming those there are."""
        for measure in self.measures:
            if measure.name == name:
                return measure
        raise KeyError(f"These effects have {[m.name for m in self.measures]}; got {name!r}.")

    def __len__(self) -> int:
        return len(next(iter(self.changes.values())))

    @property
    def _by(self) -> str:
        """The label that names a change."""
        return "change" if "change" in self.changes else next(iter(self.changes))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of controls."""
        return tuple(dict.fromkeys(self.controls.get("kind", ())))

    def rows(self, **labels: Any) -> np.ndarray:
        """The numbers of the changes with these labels. Raises `KeyError` where there are none."""
        found = np.flatnonzero(_fitting(self.changes, labels, len(self)))
        if not len(found):
            known = {
                c: list(dict.fromkeys(self.changes[c]))[:8] for c in labels if c in self.changes
            }
            raise KeyError(
                f"No change has {given(labels)}; the labels are {list(self.changes)}, {known}."
            )
        return found

    # -- one kernel: means over weighted examples ------------------------------------------------

    def effect(
        self,
        measure: str | None = None,
        *,
        of: str = "changes",
        draws: Natural = 0,
        weights: np.ndarray | None = None,
        raw: bool = False,
        some: slice = slice(None),
    ) -> np.ndarray:
        """(row, 1 + draws) the effect of every change, or control: the value, then resampled.

        measure: None for the first. of: "changes" or "controls". weights: (example, 1 + draws), in
        place of a resample of this measure's own. raw: the measure itself, in its unit. some: of
        these rows only.
        """
        one = self._measure(measure)
        of = one_of("of", of, ("changes", "controls"))
        table = {name: column[some] for name, column in getattr(self, of).items()}
        values = (one.changed if of == "changes" else one.control)[some]
        by = weights_of(len(one.plain), draws, self.seed) if weights is None else weights
        low, way = (0.0, None) if raw else self._way(one, table, len(values))
        there, told = np.isfinite(values), one.told(of)
        told = told if len(told) == 1 else told[some]
        with np.errstate(invalid="ignore", divide="ignore"):
            n = there @ by
            sums = [np.where(there, told[..., k], 0.0) @ by / n for k in range(told.shape[-1])]
            of_sums = STATISTICS[one.statistic][1]
            out = of_sums(np.where(there, values - low, 0.0) @ by / n, *sums)
            if way is not None:
                size = of_sums(way @ by, *sums)
                out /= one.no_less(size)
        return out

    def excess(
        self,
        measure: str | None = None,
        *,
        kind: str | None = None,
        draws: Natural = 0,
        some: slice = slice(None),
    ) -> np.ndarray:
        """(change, 1 + draws) the effect less that of its controls, paired by example.

        The value takes the mean of the controls, each resample one of them: what leaves 0 is
        beyond what a control does by chance. kind: of controls, None for the first. NaN where a
        change has none.
        """
        own = self.effect(measure, draws=draws, some=some)
        beside = self.effect(measure, of="controls", draws=draws)
        return own - self._one_a_resample(beside, self.beside(kind)[some])

    def score(
        self,
        measure: str | None = None,
        *,
        excess: bool = False,
        level: Level = 0.95,
        draws: Natural = N_RESAMPLES,
        **labels: Any,
    ) -> tuple[float, float, float]:
        """The effect of the change with these labels, with its interval: value, low, high.

            effects.score("KL elsewhere", change="push", strength=2.0)

        measure: None for the first. excess: less its controls. Where several changes have the
        labels, the first. Raises `KeyError` for another measure or label.
        """
        row = int(self.rows(**labels)[0])
        some = slice(row, row + 1)
        values = (self.excess if excess else self.effect)(measure, draws=draws, some=some)
        if not excess and _alone(self._measure(measure), some).any():
            values = values[:, :1]
        return interval(values[0], level)

    def scaled(self, zero: str, one: str, smallest: float = 0.0) -> Effects:
        """The same, with the effects on questions as shares of the way between two changes."""
        return replace(
            self,
            measures=tuple(
                m if m.damage else replace(m, scale=(zero, one), smallest=smallest)
                for m in self.measures
            ),
        )

    # -- readings --------------------------------------------------------------------------------

    def to_frame(
        self, table: str | None = None, *, level: Level = 0.95, draws: Natural = N_RESAMPLES
    ) -> pd.DataFrame:
        """One line a measure and change that has any example: what it does, with intervals.

        Columns: measure, the labels, n (examples), plain and changed (means) with changed_low and
        changed_high, effect with low and high. With controls a line a kind of them: kind, control
        (the mean of their effects) with the range of 95 % of them, beyond (the share of them whose
        effect is smaller in size, or farther from 1 on a scale), excess with its interval.

        table: "examples", one line a measure, change and example: plain, changed, effect (over the
        mean of a scale, so that it adds up), and where changes differ in where they act, position
        and token. Of a single example there is no interval. "texts", one line a prompt and change,
        "plain" first: prompt ("" where only some were continued), change, text (what follows).
        """
        if table not in (None, "examples", "texts"):
            raise ValueError(
                f"The tables of effects are None, 'examples' and 'texts'; got {given(table)}."
            )
        if table == "texts":
            return self._texts()
        if table == "examples":
            return pd.concat([self._examples(one) for one in self.measures], ignore_index=True)
        step, frames = max(1, BLOCK // (1 + draws)), []
        for one in self.measures:
            for start in range(0, len(self), step):
                for kind in self.kinds or (None,):
                    frame = self._lines(one, slice(start, start + step), kind, level, draws)
                    frames.append(frame[~frame[self._by].isin(one.scale or ()) & (frame.n > 0)])
        return pd.concat(frames, ignore_index=True).infer_objects()

    def _lines(
        self, one: Measure, some: slice, kind: str | None, level: float, draws: int
    ) -> pd.DataFrame:
        effect, raw = (
            self.effect(one.name, raw=raw, draws=draws, some=some) for raw in (False, True)
        )
        # Drawn again, one example is always itself.
        for values in (effect, raw):
            values[_alone(one, some), 1:] = np.nan
        labels = {c: pd.Series(v[some], dtype=object) for c, v in self.changes.items()}
        columns: dict[str, Any] = {"measure": one.name, **labels}
        columns["n"] = np.isfinite(one.changed[some]).sum(1)
        a_ratio = one.statistic == "ratio"
        columns["plain"] = np.nanmean(one.plain) / (one.told()[0].mean() if a_ratio else 1.0)
        ends = percentiles(raw, level)
        if one.unit == SHARE:
            ends = np.array([wilson(v[np.isfinite(v)], level) for v in one.changed[some]]).T
        columns |= {"changed": raw[:, 0], "changed_low": ends[0], "changed_high": ends[1]}
        columns |= _ends("effect", "", effect, level)
        if kind is not None:
            control = self.effect(one.name, of="controls")[:, 0]
            own = [control[r] if len(r) else np.full(1, np.nan) for r in self.beside(kind)[some]]
            columns |= {"kind": kind, "control": [c.mean() for c in own]}
            for end, q in (("low", (1 - level) / 2), ("high", (1 + level) / 2)):
                columns[f"control_{end}"] = [np.quantile(c, q) for c in own]
            columns["beyond"] = [
                _beyond(c, e, one.scale is not None) for c, e in zip(own, effect[:, 0], strict=True)
            ]
            excess = self.excess(one.name, kind=kind, draws=draws, some=some)
            columns |= _ends("excess", "excess_", excess, level)
        return pd.DataFrame(columns)

    def _examples(self, one: Measure) -> pd.DataFrame:
        n = len(one.plain)
        labels = {
            c: pd.Series([x for x in v for _ in range(n)], dtype=object)
            for c, v in self.changes.items()
        }
        told = {c: pd.Series(v * len(self), dtype=object) for c, v in self.examples.items()}
        columns: dict[str, Any] = {
            "measure": one.name,
            **labels,
            "example": np.tile(np.arange(n), len(self)),
            **told,
            "plain": np.broadcast_to(one.of_each(one.plain), one.changed.shape).ravel(),
            "changed": one.of_each(one.changed).ravel(),
            "effect": self._each(one).ravel(),
        }
        if self.at is not None:
            at = self.at.ravel()
            columns["position"] = at
            columns["token"] = [
                self.tokens[e][p] if p >= 0 else ""
                for e, p in zip(columns["example"], at, strict=True)
            ]
        frame = pd.DataFrame(columns)
        there = ~frame[self._by].isin(one.scale or ()) & frame.changed.notna()
        return frame.loc[there].infer_objects()

    def _texts(self) -> pd.DataFrame:
        if self.texts is None:
            raise ValueError(
                "The table 'texts' is of effects whose prompts were continued; these were not. "
                "Take wb.steer(…), or experiment(…, n_new=20)."
            )
        lines = []
        for name, said in self.texts.items():
            for example, text in enumerate(said):
                strings = self.tokens[example] if len(said) == len(self.tokens) else ()
                # A token that starts each text is not in what was decoded.
                prompts = ["".join(strings), "".join(strings[1:])]
                prompt = next((p for p in prompts if p and text.startswith(p)), prompts[0])
                lines.append((example, prompt, name, text.removeprefix(prompt)))
        frame = pd.DataFrame(lines, columns=pd.Index(["example", "prompt", "change", "text"]))
        return frame.sort_values("example", kind="stable", ignore_index=True)

    def area(
        self,
        measure: str | None = None,
        *,
        along: str,
        missing: bool = False,
        level: Level = 0.95,
        draws: Natural = N_RESAMPLES,
        **labels: Any,
    ) -> pd.DataFrame:
        """The area under each curve of effect over a label, one line a curve: area, low, high.

        missing: the area between the curve and 1. labels: of these changes only. NaN for a curve of
        a single point. Raises `ValueError` for an `along` that is no label, or no number, and
        `KeyError` where no change has the labels.
        """
        y = self.effect(measure, draws=draws)
        wanted = set(self.rows(**labels).tolist())
        lines = []
        for names, rows in self.curves(along):
            if not wanted.issuperset(rows):
                continue
            x = np.array([self.changes[along][r] for r in rows], np.float64)
            each = np.trapezoid(np.abs(1 - y[rows]) if missing else y[rows], x, axis=0)
            each = each if len(rows) > 1 else np.full(1, np.nan)
            value, low, high = interval(each, level)
            lines.append({**names, "area": value, "low": low, "high": high})
        return pd.DataFrame(lines)

    def at_damage(
        self,
        at: float | None = None,
        measure: str | None = None,
        *,
        damage: str = "KL elsewhere",
        beside: str | None = None,
        level: Level = 0.95,
        draws: Natural = 1000,
    ) -> pd.DataFrame:
        """The most effect of each change, over its strengths, with at most so much mean damage.

        Read off straight lines from no change through the strengths, over the square root of the
        damage: of a small push the effect grows with its length, KL with the square of that. at:
        None takes the largest damage that all changes reach. Columns: the labels; effect; area, its
        mean over damages up to `at`; control, of the mean of the draws, and excess; minus: change
        `beside` (the first by default) less this one, paired; each with _low and _high.
        """
        if "strength" not in self.changes:
            raise ValueError("Equal damage is read over strengths; give experiment(strengths=…).")
        rng = np.random.default_rng(self.seed or 0)
        y_by, x_by = (
            weights_of(len(self._measure(n).plain), draws, rng) for n in (measure, damage)
        )
        y, x = self.effect(measure, weights=y_by), self.effect(damage, weights=x_by)
        cy = self.effect(measure, of="controls", weights=y_by)
        cx = self.effect(damage, of="controls", weights=x_by)
        groups, curves = self.beside(), list(self.curves("strength"))
        at = self.equal_damage(damage) if at is None else at
        own = [_reached(x[rows], y[rows], at) for _, rows in curves]
        names = [labels[self._by] for labels, _ in curves]
        first = 0 if beside is None else names.index(one_of("beside", beside, names))
        lines = []
        for (labels, rows), effect in zip(curves, own, strict=True):
            levels = [_reached(x[rows], y[rows], a) for a in np.linspace(0, at, 21)]
            columns = {"effect": effect, "area": np.trapezoid(levels, dx=1 / 20, axis=0)}
            if all(len(groups[row]) for row in rows):
                beside_x, beside_y = (
                    np.stack([c[groups[row]].mean(0) for row in rows]) for c in (cx, cy)
                )
                columns["control"] = _reached(beside_x, beside_y, at)
                # (draw, 1 + resample): each control's own curve.
                each = np.stack(
                    [
                        _reached(cx[list(some)], cy[list(some)], at)
                        for some in zip(*(groups[row] for row in rows), strict=True)
                    ]
                )
                one = self._one_a_resample(each, [np.arange(len(each))])[0]
                one[0] = columns["control"][0]
                columns["excess"] = effect - one
            columns["minus"] = own[first] - effect
            for name, values in columns.items():
                value, low, high = interval(values, level)
                labels |= {name: value, f"{name}_low": low, f"{name}_high": high}
            lines.append(labels)
        return pd.DataFrame(lines)

    def equal_damage(self, damage: str = "KL elsewhere") -> float:
        """The largest mean damage that every change reaches at some strength; 0 where one does
        none, since no change at all always reaches that.
        """
        x = self.effect(damage)[:, 0]
        return float(max(0.0, min(x[rows].max() for _, rows in self.curves("strength"))))

    def best(self, measure: str | None = None) -> dict[str, Any]:
        """The labels of the change with the largest effect."""
        ends = [name in (self._measure(measure).scale or ()) for name in self.changes[self._by]]
        row = int(np.nanargmax(np.where(ends, np.nan, self.effect(measure)[:, 0])))
        return {name: column[row] for name, column in self.changes.items()}

    # -- which rows belong together --------------------------------------------------------------

    def _measure(self, name: str | None) -> Measure:
        return self.measures[0] if name is None else self[name]

    def beside(self, kind: str | None = None) -> list[np.ndarray]:
        """Of each change the numbers of its controls of a kind, the first by default."""
        n = len(next(iter(self.controls.values()), ()))
        kind = next(iter(self.kinds), None) if kind is None else kind
        keys = [c for c in self.changes if c in self.controls]
        memo: dict[tuple[Any, ...], np.ndarray] = {}
        for key in set(zip(*(self.changes[c] for c in keys), strict=True)):
            labels = dict(zip(keys, key, strict=True)) | {"kind": kind}
            memo[key] = np.flatnonzero(_fitting(self.controls, labels, n, wild=True))
        none = np.zeros(0, int)
        return [
            memo.get(tuple(self.changes[c][i] for c in keys), none) if keys else none
            for i in range(len(self))
        ]

    def _one_a_resample(self, values: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
        """(group, 1 + draws) the mean over a group's rows, then of each resample one of them."""
        n = values.shape[1]
        memo: dict[int, np.ndarray] = {}
        for rows in groups:
            if id(rows) in memo:
                continue
            if not len(rows):
                memo[id(rows)] = np.full(n, np.nan)
                continue
            rng = np.random.default_rng([self.seed or 0, len(rows)])
            one = values[rows[rng.integers(len(rows), size=n)], np.arange(n)]
            one[0] = values[rows, 0].mean()
            memo[id(rows)] = one
        return np.stack([memo[id(rows)] for rows in groups])

    def _each(self, one: Measure) -> np.ndarray:
        """(change, example) the effect on each example; on a scale over the mean of its way."""
        low, way = self._way(one, self.changes, len(self))
        if way is None:
            return one.of_each(one.changed - low)
        return (one.changed - low) / one.no_less(way.mean(-1, keepdims=True))

    def _way(self, one: Measure, table: Table, n: int) -> tuple[np.ndarray, np.ndarray | None]:
        """(row or 1, example) where effects begin, and on a scale the way from there to 1."""
        zero, full = one.scale or ("plain", None)
        low = self._anchor(one, zero, table, n)
        return low, None if full is None else self._anchor(one, full, table, n) - low

    def _anchor(self, one: Measure, name: str, table: Table, n: int) -> np.ndarray:
        """(row or 1, example) the measure under "plain" or a named change, for each row."""
        if name == "plain":
            return one.plain[None]
        found = np.flatnonzero(np.array(self.changes[self._by], object) == name)
        if len(found) == 1:
            return one.changed[found]
        keys = [
            c
            for c in self.changes
            if c != self._by and c in table and any(self.changes[c][f] is not None for f in found)
        ]
        at = {tuple(self.changes[c][f] for c in keys): f for f in found}
        return one.changed[[at[tuple(table[c][i] for c in keys)] for i in range(n)]]

    def curves(self, along: str) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """The changes alike in all but one label: their labels, and their numbers in its order."""
        if along not in self.changes:
            raise ValueError(f"These changes have {list(self.changes)}; got along={given(along)}.")
        groups: dict[tuple[Any, ...], list[int]] = {}
        others = [c for c in self.changes if c != along]
        for i, x in enumerate(self.changes[along]):
            if x is not None:
                groups.setdefault(tuple(self.changes[c][i] for c in others), []).append(i)
        for key, rows in groups.items():
            ordered = sorted(rows, key=lambda row: self.changes[along][row])
            yield dict(zip(others, key, strict=True)), ordered

    def _facts(self) -> str:
        value, low, high = self.score(draws=200)
        known = {c: v[0] for c, v in self.changes.items() if v[0] is not None}
        first = ", ".join(
            f"{c} {round(v, 4) if isinstance(v, float) else v}" for c, v in known.items()
        )
        name = self.measures[0].name
        said = "; ".join(
            f"{change} {textwrap.shorten(text, 40, placeholder=' …')!r}"
            for change, text in self.to_frame("texts")[["change", "text"]].to_numpy()[:2]
        ) if self.texts else ""  # fmt: skip
        return (
            f"{self.what}: {len(self)} changes; {name} under {first}: "
            f"{value:+.3f} [{low:.3f}, {high:.3f}]{said and '; ' + said}"
        )


def table_of(names: Sequence[str], keys: Sequence[Any]) -> Table:
    """Columns from keys: a tuple a row, shorter ones filled with None, or a single value.

    Raises `ValueError` for a key of more parts than there are names, and for one given twice.
    """
    rows = [key if isinstance(key, tuple) else (key,) for key in keys]
    if wrong := [row for row in rows if len(row) > len(names)]:
        raise ValueError(
            f"A key has the parts {' '.join(names)}; got {wrong[0]!r}. Name the others in by=."
        )
    filled = [(*row, *[None] * (len(names) - len(row))) for row in rows]
    return {name: tuple(row[i] for row in filled) for i, name in enumerate(names)}


def _alone(one: Measure, some: slice) -> np.ndarray:
    """(row,) bool: the changes that fewer than two examples tell of."""
    return np.isfinite(one.changed[some]).sum(1) < 2


def _ends(name: str, prefix: str, values: np.ndarray, level: float) -> dict[str, np.ndarray]:
    low, high = percentiles(values, level)
    return {name: values[:, 0], f"{prefix}low": low, f"{prefix}high": high}


def _beyond(controls: np.ndarray, own: float, scaled: bool) -> float:
    """The share of controls that are smaller in size, or farther from 1 on a scale."""
    if not np.isfinite([*controls, own]).all():
        return np.nan
    # Equal numbers, whose means are taken in other products, may differ in the last bits.
    tie = TIE * max(1.0, abs(own))
    ahead = abs(1 - controls) - abs(1 - own) if scaled else abs(own) - abs(controls)
    return float(np.mean(ahead > tie))


def _fitting(table: Table, labels: dict[str, Any], n: int, wild: bool = False) -> np.ndarray:
    """(row,) which rows have these labels; wild: where None in the table fits any."""
    out = np.ones(n, bool)
    for name, value in labels.items():
        column = table.get(name, (object(),) * n)
        out &= np.array([v == value or (wild and v is None) for v in column], bool)
    return out


def _reached(harm: np.ndarray, gain: np.ndarray, at: float) -> np.ndarray:
    """(resample,) the most gain on the line from (0, 0) through (strength, resample) points with
    at most `at` damage.
    """
    x, y = (
        np.concatenate([np.zeros_like(v[:1]), v])
        for v in (np.sign(harm) * np.sqrt(np.abs(harm)), gain)
    )
    limit = np.sign(at) * np.sqrt(abs(at))
    best = np.where(x <= limit, y, -np.inf).max(0)
    crosses = (x[:-1] - limit) * (x[1:] - limit) < 0
    share = np.where(crosses, (limit - x[:-1]) / np.where(crosses, x[1:] - x[:-1], 1.0), 0.0)
    between = np.where(crosses, y[:-1] + share * (y[1:] - y[:-1]), -np.inf)
    return np.maximum(best, between.max(0))
