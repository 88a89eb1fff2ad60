"""What holds of a call: its tables in both trees, what may move, what is not covered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from . import may_move, moved
from .calls import CALLS, families
from .tables import compare, relative

NEEDS_SEEDS = "it needs 20 seeds"
#: Public names that no call makes tables of, and why.
NOT_COVERED = {
    "live": "explorers call public functions; their own tests click them",
    "widgets": "drawn from results; the browser tests read them",
    "UnchangedEdit": "a warning, no number",
    "Norm": "by load, as `model.norm`",
    "Resume": "by run",
}
#: Options that are never given, and why.
NOT_GIVEN = {
    "progress": "a bar",
    "batch_size": "how many texts go together",
    "max_rows": "how many rows go together",
    "chunk": "how many rows go together",
    "prepend_bos": "of the tokens, which one call of each family gives",
    "device": "the CPU",
    "load.tokenizer": "of a model in memory",
    "load.name": "of a model in memory",
    "load.revision": "of the Hub",
    "load.remote": "of a server",
    "load.attention": "a kernel",
    "load_dictionary.*": "files of other libraries, which the format tests read",
    "jacobian_lens.corpus": "a name",
    "train_dictionary*.p": "of a loss that relu has with another power",
    "train_dictionary*.lr": "a number of the optimizer",
    "train_dictionary*.name": "a name",
    "train_dictionary*.checkpoint*": "resuming has tests of its own",
    "train_dictionaries.*": "as train_dictionary, which it is of several sites",
    "supervised_dictionary.lr": "a number of the optimizer",
    "tuned_lens.lr": "a number of the optimizer",
    "unlearn.name": "a name",
    "audit_unlearning.learning_rate": "a number of the optimizer",
    "save_dictionary.dtype": "of a file",
    "circuit_of.*": "names",
    "bias_vocabulary.*": "of a model with biases, which tinyworld is",
}


@dataclass
class Verdict:
    """One call. largest: as in `Compared`. seconds: old, new."""

    call: str
    tables: int = 0
    rows: int = 0
    columns: int = 0
    largest: float = 0.0
    seconds: tuple[float, float] = (0.0, 0.0)
    wrong: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    swapped: int = 0
    needs_seeds: bool = False

    @property
    def word(self) -> str:
        ties = f", {self.swapped} rows of ties" if self.swapped else ""
        if self.wrong:
            return "FAILS"
        return ("moved as it may" if self.moved else "same") + ties


def judged(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    more_old: Mapping[str, Any] | None = None,
    more_new: Mapping[str, Any] | None = None,
) -> list[Verdict]:
    """Every call of the old tree against the new; `more_…` has further seeds of some."""
    out = []
    for name, was in old["calls"].items():
        now = new["calls"].get(name, {"error": "it was not run", "tables": {}, "seconds": 0.0})
        verdict = Verdict(name, seconds=(was["seconds"], now["seconds"]))
        out.append(verdict)
        for words, each in (("does not run in the old tree", was), ("has no counterpart", now)):
            if each["error"]:
                last = each["error"].strip().splitlines()[-1][:200]
                verdict.wrong.append(f"{words}: {last}")
        if verdict.wrong:
            continue
        befores, afters = dict(was["tables"]), dict(now["tables"])
        if more_old and more_new and name in more_old["calls"]:
            befores |= more_old["calls"][name]["tables"]
            afters |= more_new["calls"][name]["tables"]
        for table in befores[0]:
            _judge(verdict, table, befores, afters)
        # Seeds take long, and help nothing where something else is wrong as well.
        verdict.needs_seeds = bool(verdict.wrong) and all(
            line.endswith(NEEDS_SEEDS) for line in verdict.wrong
        )
    return out


Seeds = Mapping[int, Mapping[str, pd.DataFrame]]


def _judge(verdict: Verdict, table: str, befores: Seeds, afters: Seeds) -> None:
    was = befores[0][table]
    verdict.tables += 1
    verdict.rows += len(was)
    verdict.columns += was.shape[1]
    if table not in afters[0]:
        verdict.wrong.append(f"{table}: there is no such table")
        return
    now = afters[0][table]
    compared = compare(was, now)
    verdict.swapped += compared.swapped
    wrong = dict(compared.wrong)
    for column in list(wrong):
        if (verdict.call, table, column) in moved.GONE:
            reason = moved.GONE[verdict.call, table, column]
            verdict.moved.append(f"{table}, {column}: gone, {reason}")
            del wrong[column]
    verdict.largest = max(verdict.largest, compared.largest)
    for column, words in wrong.items():
        found = [e for e in may_move.MAY_MOVE if e.holds(verdict.call, table, column)]
        where = f"{table}, {column}" if column else table
        used: list[may_move.Exempt] = []
        reason = "no entry in may_move.py allows it"
        if found:
            reason = _allowed(verdict, found, used, table, column, befores, afters)
        if reason:
            verdict.wrong.append(f"{where}: {words}; {reason}")
        else:
            verdict.moved.append(f"{where}: " + "; ".join(f"{e.kind}, {e.why}" for e in used))


def _allowed(
    verdict: Verdict,
    found: list[may_move.Exempt],
    used: list[may_move.Exempt],
    table: str,
    column: str,
    befores: Seeds,
    afters: Seeds,
) -> str:
    """Why what moved may not, by the entries about its column; "" where it may.

    Those by which it may are put into `used`.
    """
    was, now = befores[0][table], afters[0][table]
    if not column or column not in now:
        used += [
            e for e in found if e.column == "*" and not e.rows and e.kind in ("draws", "decided")
        ][:1]
        return "" if used and column in (*now.columns, "") else "another number of rows or columns"
    if was[column].dtype.kind == "f":
        off = relative(was, column, now[column].to_numpy(dtype=float)) > may_move.CLOSE
    else:
        off = was[column].to_numpy(dtype=object) != now[column].to_numpy(dtype=object)
    lines = np.zeros(len(was), dtype=bool)
    for i, entry in enumerate(found):
        own = entry.lines(was) & ~lines
        lines |= own
        if not (own & off).any():
            continue
        if reason := _check(verdict, found[: i + 1], own, table, column, befores, afters):
            return reason
        used.append(entry)
    return f"{(off & ~lines).sum()} lines that may not move" if (off & ~lines).any() else ""


def _check(
    verdict: Verdict,
    some: Sequence[may_move.Exempt],
    own: np.ndarray,
    table: str,
    column: str,
    befores: Seeds,
    afters: Seeds,
) -> str:
    """Why the last of the entries does not allow what moved in its own lines."""
    entry = some[-1]
    was, now = befores[0][table], afters[0][table]
    if entry.kind == "decided":
        return ""
    if entry.kind == "alone":
        return may_move.no_interval(
            *(_ends(each, some, table, column) for each in (befores, afters))
        )
    if entry.kind in ("fit", "training"):
        if not entry.by:
            share = relative(was, column, now[column].to_numpy(dtype=float))[own]
            return "" if (share <= may_move.LOSS).all() else f"moved by {share.max():.2g}"
        by = entry.by.format(table.split(":")[0] if ":" in table else table.rpartition(" ")[0])
        check = may_move.same_fit if entry.kind == "fit" else may_move.same_loss
        return check(befores[0][by], afters[0][by])
    if was[column].dtype.kind not in "fiu":
        return ""  # the names of what was drawn
    if len(befores) < len(may_move.SEEDS):
        return NEEDS_SEEDS
    if entry.kind == "draws":
        return may_move.same_draws(
            *(_drawn(each, some, table, column) for each in (befores, afters))
        )
    return may_move.same_ends(*(_ends(each, some, table, column) for each in (befores, afters)))


def _lines(some: Sequence[may_move.Exempt], frame: pd.DataFrame) -> np.ndarray:
    """(row,) the lines of the last entry that no other is about."""
    out = some[-1].lines(frame)
    for entry in some[:-1]:
        out &= ~entry.lines(frame)
    return out


def _drawn(
    seeds: Seeds, some: Sequence[may_move.Exempt], table: str, column: str
) -> list[np.ndarray]:
    frames = [each[table] for each in seeds.values()]
    return [f[column].to_numpy(dtype=float)[_lines(some, f)] for f in frames]


def _ends(seeds: Seeds, some: Sequence[may_move.Exempt], table: str, column: str) -> np.ndarray:
    """(seed, line, low and high); a column "value" has them in its last two lines."""
    out = []
    for each in seeds.values():
        frame = each[table]
        lines = _lines(some, frame)
        if column == "value":
            ends = frame["value"].to_numpy(dtype=float)[-2:]
            out.append(ends[None])
            continue
        # A name may have "low" elsewhere in it, as flow_minus_high.
        which, other = (("low", "high"), ("[1]", "[2]"))["[" in column]
        name = column.removesuffix(which).removesuffix(other)
        low, high = name + which, name + other
        ends = [frame[name].to_numpy(dtype=float)[lines] for name in (low, high)]
        out.append(np.stack(ends, -1))
    width = max(map(len, out))
    return np.array([np.pad(e, ((0, width - len(e)), (0, 0)), constant_values=np.nan) for e in out])


def uncovered(old: Mapping[str, Any]) -> list[str]:
    """Public names of the old tree that no call covers, and options that none gives."""
    from fnmatch import fnmatchcase

    families()
    covered = {name for each in CALLS.values() for name in each.covers}
    ran = {name for each in CALLS.values() if each.name in old["calls"] for name in each.covers}
    names = [name for name in old["public"] if name not in covered and name not in NOT_COVERED]
    out = list(names)
    for name, options in old["options"].items():
        given = old["given"].get(name, ())
        if name in ran:
            out += [
                f"{name}({option}=)"
                for option in options
                if option not in given
                and option not in NOT_GIVEN
                and not any(fnmatchcase(f"{name}.{option}", pattern) for pattern in NOT_GIVEN)
            ]
    return out
