"""The state of a live flow as Python that gives the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .loading_code import loading_lines

if TYPE_CHECKING:
    from .feature_flow import LiveFeatureFlow


def reproducing_code(explorer: LiveFeatureFlow) -> str:
    """Code that follows the feature and scales what is scaled now.

    It ends with `activations`, what the dictionaries read of every feature at each position, and
    `words`, the probabilities of the next word. Of a scaled feature the graph shows the factor
    times its code instead of what is read after the change.
    """
    bench, spec = explorer.bench, explorer.model.spec
    options = "" if bench.k == 1 else f", k={bench.k}"
    if bench.thresholds is not None:
        options += f", thresholds={bench.thresholds!r}"
    lines = [
        *loading_lines(spec),
        _dictionaries(explorer),
    ]
    if bench.matches is not None:
        options += ", matches=matches"
        lines.append("# matches: those that this explorer was given")
    lines += [
        f'flow = wb.feature_flow(dicts, "{explorer.feature}"{options})',
        f"names = {explorer.grown_ids()!r}",
        "edits = [",
        *(
            f'    wb.ScaleFeatures(dicts["{site}"], features={list(each)}, '
            f"factor={list(each.values())}),"
            for site, each in bench.scaled(explorer.graph.scales).items()
        ),
        "]",
        "read = {dicts[name].site for name in names}",
        f"run = model.run({explorer.result_prompt!r}, read=sorted(read), edits=edits, "
        'logits_at="last")',
        "activations = {",
        "    name: d.encode_some(run[d.site], [number])[0, :, 0]",
        "    for name in names",
        "    for d, number in [dicts.feature(name)]",
        "}",
        "words = run.logits[0, 0].softmax(-1)",
    ]
    return "\n".join(lines)


def _dictionaries(explorer: LiveFeatureFlow) -> str:
    """The line that reads the dictionaries again, where they were read from one folder."""
    folders = {None if d.path is None else d.path.parent for d in explorer.bench.dicts.values()}
    folder = folders.pop() if len(folders) == 1 else None
    if folder is None:
        return "# dicts: those that this explorer was given"
    name = explorer.model.spec.name
    shipped = folder.parts[-2:] == ("dictionaries", name)
    return f"dicts = wb.dictionaries({(name if shipped else str(folder))!r})"
