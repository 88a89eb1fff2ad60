"""The state of a live circuit as Python that gives the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .loading_code import loading_lines

if TYPE_CHECKING:
    from .circuit import LiveCircuit


def reproducing_code(explorer: LiveCircuit, preset: int, seed: int, n_edges: int) -> str:
    """Code whose last line is the `Ablation` of what is cut now.

    preset: 0 for the whole model, 1 the found circuit, 2 its complement, 3 a random circuit.
    """
    bench, spec = explorer.bench, explorer.model.spec
    lines = loading_lines(spec)
    if bench.task.name in explorer.shipped:
        # What differs from the defaults of `task`, which would give other numbers.
        drawn = f"n={len(bench.examples.batch)}"
        drawn += f", seed={bench.task.seed}" if bench.task.seed else ""
        lines.append(f'task = wb.task("{bench.task.name}", {drawn})')
    else:
        lines.append("# task: the one that this explorer was given")
    cuts = [_component(node) for node in explorer.graph.cut_nodes]
    by_hand = np.argwhere(bench.mask_of(explorer.graph.cut_edges))
    cuts += [bench.parts.edge_name(*edge) for edge in by_hand.tolist()]
    last = f'kind="{explorer.ablation}", seed={seed})'
    if preset == 0:
        if not cuts:
            return "\n".join([*lines, "task.evaluate(model)  # nothing is cut"])
        return "\n".join([*lines, f"wb.ablate(model, task, {cuts!r}, {last}"])
    variant = ("", "", ".complement()", f".random({seed})")[preset]
    lines.append(f"kept = wb.find_circuit(model, task, n_edges={n_edges}){variant}")
    if cuts:
        lines.append(f"kept = kept.without({cuts!r})")
    return "\n".join([*lines, f"wb.ablate(model, task, kept.complement(), {last}"])


def _component(node: str) -> str:
    """A node of the graph, "L2H3" or "L2.mlp", as `ablate` calls it."""
    return f"{node}.z" if "H" in node else node.replace(".mlp", ".mlp_out")
