"""The state of a live information flow as Python that gives the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .loading_code import loading_lines

if TYPE_CHECKING:
    from .information_flow import LiveInformationFlow

#: The defaults of `information_flow` and `cut_flow`, which are not written.
DEFAULTS = {
    "by": "state",
    "target": None,
    "foil": None,
    "n_edges": 150,
    "n_neurons": 8,
    "k": 8,
    "final_norm": "held",
    "prepend_bos": None,
}
CUT_DEFAULTS = {"n_controls": 8, "seed": 0}


def reproducing_code(explorer: LiveInformationFlow) -> str:
    """Code that makes the `flow`, and if anything is cut the `cut`, a `FlowCut`, of it."""
    bench, chosen = explorer.bench, explorer.chosen
    options = chosen.of_flow | bench.options
    given = _written(options, DEFAULTS)
    lines = [
        *loading_lines(explorer.model.spec),
        f"flow = wb.information_flow(model, {chosen.prompt!r}{given})",
    ]
    # The part is for the eye alone: edges are cut, and controls drawn, from all of the flow.
    name = "part" if chosen.word else "flow"
    if chosen.word:
        lines.append(f"part = flow.filtered(word={chosen.word!r})")
    path = explorer.path
    # Where edges are cut the explorer shows the strongest of the others, which no call gives.
    if path is not None and explorer.shown.path(path.nodes[0], path.nodes[-1]) == path.nodes:
        lines.append(f"path = {name}.path({path.nodes[0]!r}, {path.nodes[-1]!r})")
    if cuts := explorer.cuts:
        of_cut = _written({"n_controls": bench.n_controls, "seed": bench.seed}, CUT_DEFAULTS)
        named = "".join(f"    {name!r},\n" for name in cuts)
        lines.append(f"edges = [\n{named}]")
        lines.append(f"cut = wb.cut_flow(model, flow, edges{of_cut})")
    return "\n".join(lines)


def _written(options: Mapping[str, object], defaults: Mapping[str, object]) -> str:
    """The options that differ from the defaults, as they stand in a call."""
    return "".join(
        f", {name}={value!r}" for name, value in options.items() if value != defaults[name]
    )
