"""What is wrong with a call, said before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..edits import Edit
from ..model import Metric, Resume
from ..site import Site
from ..tokens import Positions, Tokens
from .recorder import Recorder

if TYPE_CHECKING:
    from .base import TracedModel


def check_edit(model: TracedModel, edit: Edit) -> None:
    if not isinstance(edit, Edit):
        raise TypeError(f"An edit is a workbench Edit such as Set or Add; got {edit!r}.")
    model.spec.check(edit.site, edit=True)
    for needed in edit.needs:
        model.spec.check(needed)


def check_gradients(
    model: TracedModel,
    sites: Sequence[Site],
    grad_of: Metric | None,
    grad_at: Site | str | None,
    logits_at: Positions,
    stop_after: Any,
) -> Site | None:
    """The site whose activation the metric is of, None for the logits."""
    if grad_at is not None:
        return _metric_site(model, sites, grad_of, grad_at, logits_at, stop_after)
    if stop_after is not None or is_empty(logits_at):
        raise ValueError(
            "grad_of is a function of the logits, so the run has to compute some; drop stop_after."
        )
    for site in sites:
        if site.stream in model.spec.read_only:
            raise ValueError(
                f"{site} has no gradient: on the {model.spec.backend} backend the logits of "
                f"{model.spec.architecture} are not computed from it. Use the other backend."
            )


def _metric_site(
    model: TracedModel,
    sites: Sequence[Site],
    grad_of: Metric | None,
    grad_at: Site | str,
    logits_at: Positions,
    stop_after: Any,
) -> Site:
    at = model.spec.check(grad_at)
    if grad_of is None:
        raise ValueError(f"grad_at={str(at)!r} says what grad_of is a function of; give grad_of.")
    if at != at.whole:
        raise ValueError(f"grad_at is a whole stream, like {at.whole}; got {at}.")
    if stop_after is not None or logits_at is not None:
        raise ValueError(
            f"With grad_at the pass ends after {at}, with no logits; drop stop_after and logits_at."
        )
    if late := [site for site in sites if site.whole > at]:
        raise ValueError(
            f"A metric of {at} has no gradient at {late[0]}, which is computed after it; drop it."
        )
    return at


def last_site(
    model: TracedModel, stop_after: Any, sites: Sequence[Site], edits: Sequence[Edit]
) -> Site | None:
    if stop_after is None:
        return None
    stop = Site("resid_post", stop_after) if isinstance(stop_after, int) else Site.parse(stop_after)
    stop = model.spec.check(stop).whole
    late = [s for s in [*sites, *(e.site for e in edits)] if s.whole > stop]
    if late:
        raise ValueError(
            f"A run that stops after {stop} does not reach {late[0]}; stop later or drop it."
        )
    return stop


def check_reachable(model: TracedModel, recorder: Recorder, skip_to: int | None) -> None:
    if skip_to is None:
        return
    for site in recorder.sites:
        if site.stream == "embed" or (site.layer is not None and site.layer < skip_to):
            raise ValueError(
                f"A run that resumes at layer {skip_to} does not compute {site}; "
                "read or edit it in the run before, or resume earlier."
            )


def resumed_rows(model: TracedModel, tokens: Tokens, resume: Resume) -> tuple[Tokens, torch.Tensor]:
    layer, start, n_layers = resume.layer, resume.start, model.spec.n_layers
    if not 0 <= layer <= n_layers:
        raise ValueError(f"A run resumes at a layer from 0 to {n_layers}; got {layer}.")
    rows = range(tokens.n_rows) if resume.rows is None else list(resume.rows)
    if any(not 0 <= r < tokens.n_rows for r in rows):
        raise IndexError(
            f"Resume.rows are prompt rows from 0 to {tokens.n_rows - 1}; got {list(rows)}."
        )
    wanted = (len(rows), tokens.n_columns - start, model.spec.d_model)
    if tuple(resume.resid.shape) != wanted:
        raise ValueError(
            f"Resume.resid is (row, pos, d_model), here {wanted}, counted from position "
            f"{start}; "
            f"got {tuple(resume.resid.shape)}."
        )
    if start:
        if tokens.padded and tokens.side == "left":
            raise ValueError(
                "A run that resumes at a position needs right padding; tokenise with "
                "padding_side='right'."
            )
        if min(tokens.lengths) <= start:
            raise ValueError(
                "Resume.start is a position of every prompt; the shortest has "
                f"{min(tokens.lengths)} tokens, "
                f"start is {start}."
            )
        if model.reuses_past and (resume.past is None or resume.past.n_columns < start):
            raise ValueError(
                f"A run that resumes at position {start} reads the positions before it from "
                "Resume.past; "
                "pass the `past` of a run of the same prompts made with cache=True."
            )
    resid = resume.resid.to(model.device)
    if resid.is_inference():
        resid = resid.clone()
    return (tokens.take(rows) if resume.rows is not None else tokens), resid


def logit_index(model: TracedModel, tokens: Tokens, at: Positions, start: int) -> tuple[Any, Any]:
    """The rows and columns, each (batch, n), of the positions to unembed; None for all."""
    if at is None:
        return None, None
    columns = [[c - start for c in tokens.columns(r, at)] for r in range(tokens.n_rows)]
    if len({len(c) for c in columns}) != 1:
        raise ValueError(
            f"logits_at names as many positions in every row; {at!r} does not, with rows of "
            f"{', '.join(map(str, tokens.lengths))} tokens. Give positions, or leave it out."
        )
    if min(map(min, columns)) < 0:
        raise IndexError(f"logits_at names a position before {start}, where this run resumes.")
    index = torch.tensor(columns, device=model.device)
    return torch.arange(tokens.n_rows, device=model.device)[:, None].expand_as(index), index


def is_empty(positions: Positions) -> bool:
    """Whether a call asks for no position at all."""
    return (
        positions is not None
        and not isinstance(positions, (int, str, slice))
        and len(positions) == 0
    )
