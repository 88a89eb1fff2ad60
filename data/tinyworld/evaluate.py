"""Prints how good the shipped dictionaries are, as the tables of data/README.md.

    python -m data.tinyworld.evaluate

from the root of the checkout: what each dictionary keeps of the held-out texts, and how well single
features of the residual stream stand for the concepts, beside directions that were told them.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch

import workbench as wb

#: What supervised directions are fitted on, and what everything is measured on.
FITTED, HELD_OUT = slice(0, 1000), slice(1500, None)
MEASURES = ("f1", "absorption", "hedging", "success", "kept", "causal", "damage")


def row(*cells: object) -> str:
    return "|" + "|".join(f" {cell} " if str(cell) else " " for cell in cells) + "|"


def number(value: Any, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def print_kept(model: Any, dicts: Mapping[Any, Any], texts: Any) -> None:
    """Explained variance, loss recovered and divergence, a line a dictionary."""
    found = wb.features.evaluate(model, texts, dicts)
    print(row("site", "explained variance", "loss recovered", "KL", "dead", "dense"))
    print("|---" * 6 + "|")
    for name in dict.fromkeys(found.changes["dictionary"]):
        recovered = "{} [{}, {}]".format(
            *(number(end, 3) for end in found.score("loss recovered", dictionary=name))
        )
        explained, kl, dead, dense = (
            number(found.score(measure, dictionary=name, draws=0)[0], digits)
            for measure, digits in (("explained variance", 3), ("KL", 3), ("dead", 0), ("dense", 0))
        )
        site = "all at once" if name == "all" else name
        print(row(site, explained, recovered, kl, dead, dense))


def print_concepts(model: Any, dicts: Mapping[Any, Any], texts: Any) -> None:
    """Each measure of `evaluate_concepts`, a line a dictionary, and what whole activations do."""
    concepts, sites = wb.concepts("tinyworld"), [site for site in dicts if "resid" in str(site)]
    named: dict[str, Any] = {}
    for site in sites:
        acts = wb.Activations.of_concepts(model, texts[FITTED], concepts, site)
        made, labels = wb.steering.directions, [*acts.labels]
        named[f"{site} | shipped"] = dicts[site]
        named[f"{site} | probe"] = made(acts, labels, method="probe")[site]
        named[f"{site} | difference in means"] = made(acts, labels)[site]
        rows = wb.activations(model, texts[FITTED], site, pool=None)
        named[f"{site} | random directions"] = wb.features.decompose(
            rows, kind="random", n_features=dicts[site].n_features
        )[site]
    frame = wb.features.evaluate_concepts(model, texts[HELD_OUT], named, concepts).to_frame()
    print(row("site", "dictionary", "F1", *MEASURES[1:]))
    print("|---" * 9 + "|")
    for name, line in frame.iterrows():
        print(row(name, *(number(line[m], 3 if m == "damage" else 2) for m in MEASURES)))
    print("whole:", *sorted({number(value, 2) for value in frame["whole"]}))


def main() -> None:
    torch.set_num_threads(1)
    model, texts = wb.load("tinyworld", device="cpu"), wb.texts("tinyworld")
    dicts = wb.dictionaries("tinyworld")
    print_kept(model, dicts, texts[HELD_OUT])
    print_concepts(model, dicts, texts)


if __name__ == "__main__":
    main()
