"""Run the calls in the tree that is first on the path, and write their tables to a folder.

Started by `python -m tests.frames` as a process of its own, with a JSON of what to run.
"""

from __future__ import annotations

import inspect
import json
import pickle
import sys
import time
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import calls
from .tables import table


def main() -> None:
    plan = json.loads(sys.argv[1])
    import workbench

    home = Path(workbench.__file__).resolve().parent.parent
    if home != Path(plan["tree"]).resolve():
        raise SystemExit(f"The package of {plan['tree']} was to run; {home} did.")
    calls.families()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    out = Path(plan["out"])
    here: dict[str, Any] = {}
    instead: dict[str, Any] = {}
    if plan["is_new"]:
        # It names what the old tree lacks.
        moved = import_module(f"{__package__}.moved")
        here, instead = {"moved": moved.NAMES, "made": moved.MADE}, moved.INSTEAD
    done: dict[str, Any] = {}
    public = list(getattr(workbench, "__all__"))  # noqa: B009
    for seed in plan["seeds"]:
        c = calls.Context(plan["model"], plan["backend"], out / f"files {seed}", seed=seed, **here)
        c.folder.mkdir(parents=True)
        for each in calls.chosen(plan["only"], plan["backend"]):
            start = time.perf_counter()
            found = done.setdefault(each.name, {"tables": {}, "seconds": 0.0, "error": ""})
            torch.manual_seed(seed)
            np.random.seed(seed)
            try:
                made = instead.get(each.name, each.tables)(c)
                found["tables"][seed] = {name: table(value) for name, value in made.items()}
            except Exception:
                found["error"] = traceback.format_exc(limit=-6)
            found["seconds"] += time.perf_counter() - start
            print(f"{each.name} {found['seconds']:.1f} s", file=sys.stderr, flush=True)
    functions = [n for n in public if inspect.isfunction(getattr(workbench, n))]
    options = {name: _options(getattr(workbench, name)) for name in functions}
    given = {name: sorted(each) for name, each in calls.GIVEN.items()}
    with (out / "tables.pickle").open("wb") as file:
        pickle.dump({"calls": done, "public": public, "options": options, "given": given}, file)


def _options(function: Any) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


if __name__ == "__main__":
    main()
