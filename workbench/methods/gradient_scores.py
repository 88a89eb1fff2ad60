"""Gradient scores: what each edge, node or neuron would change, by the metric's gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..edits import Set
from ..model import Model, Resume, Run
from ..site import Site
from .components import Components
from .edge_cuts import contribution_sites, contributions
from .examples import Group
from .reader_grads import reader_grads, reader_sites

#: Up to this many tokens a pass takes about as long as reading the weights once, so that one pass
#: with gradients for clean and corrupt rows is quicker than one without and one with them.
JOINT_TOKENS = 128


@dataclass(frozen=True)
class Passes:
    """The runs that a gradient score is made of, for one group of examples.

    clean, corrupt: without gradients. sloped: rows (step, example), the runs whose gradients are
    averaged over the steps.
    """

    clean: Run
    corrupt: Run
    sloped: Run
    n_steps: int


def run_passes(
    model: Model, group: Group, read: list[Site], slopes: list[Site], steps: int
) -> Passes:
    """The clean and the corrupt run, and the gradients at `slopes`.

    steps 0: one gradient, at the corrupt run. Otherwise the mean of the gradients at
    corrupt + k / steps · (clean − corrupt) of the embedding, k = 1 … steps; the last is the clean
    run itself, so that this one is not run again.
    """
    batch, n = group.batch, len(group)
    if steps == 0 and 2 * n * group.n_positions <= JOINT_TOKENS:
        return _joint_pass(model, group, sorted({*read, *slopes}))
    if steps == 0:
        clean = model.run(batch.clean, read=read, logits_at=())
        both = sorted({*read, *slopes})
        corrupt = model.run(batch.corrupt, read=both, grad_of=group.metric, logits_at="last")
        return Passes(clean, corrupt, corrupt, 1)
    embed = Site("resid_pre", 0)
    corrupt = model.run(batch.corrupt, read=[*read, embed], logits_at=())
    start = model.run(batch.clean, read=embed, logits_at=())[embed]
    fractions = torch.arange(1, steps + 1, device=start.device, dtype=start.dtype) / steps
    path = torch.lerp(
        corrupt[embed][None], start[None], fractions[:, None, None, None].to(start)
    ).flatten(0, 1)
    rows = list(range(n)) * steps
    sloped = model.run(
        batch.clean,
        read=sorted({*read, *slopes}),
        grad_of=lambda logits: group.metric(logits, rows),
        logits_at="last",
        resume=Resume(0, path, rows=rows),
    )
    last = slice(n * (steps - 1), None)
    clean = Run(batch.clean, activations={s: sloped[s][last] for s in read})
    return Passes(clean, corrupt, sloped, steps)


def _joint_pass(model: Model, group: Group, sites: list[Site]) -> Passes:
    """The clean and the corrupt rows in one pass, the metric's gradient of the corrupt ones."""
    clean, corrupt, n = group.batch.clean, group.batch.corrupt, len(group)
    both = replace(
        clean,
        ids=torch.cat([clean.ids, corrupt.ids]),
        mask=torch.cat([clean.mask, corrupt.mask]),
        strings=clean.strings + corrupt.strings,
    )
    run = model.run(
        both,
        read=sites,
        grad_of=lambda logits: group.metric(logits[n:]).sum(),
        logits_at="last",
    )
    first = Run(clean, activations={site: run[site][:n] for site in sites})
    second = Run(
        corrupt,
        activations={site: run[site][n:] for site in sites},
        grads={site: run.grad(site)[n:] for site in sites},
    )
    return Passes(first, second, second, 1)


def over_steps(values: torch.Tensor, n_steps: int) -> torch.Tensor:
    """The mean over the steps: (step · example, …) → (example, …)."""
    return values if n_steps == 1 else values.unflatten(0, (n_steps, -1)).mean(0)


def edge_scores(
    model: Model, parts: Components, group: Group, *, steps: int, positions: bool
) -> np.ndarray:
    """(writer, reader) or (writer, reader, pos) float64, summed over the group's examples.

    EAP (Syed et al. 2023): (writer in the clean − in the corrupt run) · gradient at the reader's
    input; with steps, EAP-IG (Hanna et al. 2024).
    """
    sites = contribution_sites(parts)
    passes = run_passes(model, group, sites, reader_sites(parts), steps)
    difference = contributions(model, parts, passes.clean) - contributions(
        model, parts, passes.corrupt
    )
    product = _Product(parts, difference, positions)
    for stream, layer, grad in reader_grads(model, parts, passes.sloped):
        product.add(stream, layer, over_steps(grad, passes.n_steps))
    return product.scores


class _Product:
    """Σ difference · gradient, one stream of readers at a time."""

    def __init__(self, parts: Components, difference: torch.Tensor, positions: bool) -> None:
        self._parts, self._positions = parts, positions
        n_positions = difference.shape[1]
        # Writers first and the rest in one axis: the sum over it is then one matrix product.
        self._difference = difference.movedim(2, 0).contiguous()
        shape = parts.edges.shape
        self.scores = np.zeros((*shape, n_positions) if positions else shape)

    def add(
        self, stream: str, layer: int, grad: torch.Tensor, writers: slice | None = None
    ) -> None:
        """grad: (row, pos, reader, d_model). writers: those to score, None for all before."""
        parts = self._parts
        before = slice(0, parts.writers_before(stream, layer)) if writers is None else writers
        chosen = self._difference[before]
        grad = grad.movedim(2, 0)
        if self._positions:
            part = torch.einsum("wepm,repm->wrp", chosen, grad)
        else:
            part = chosen.flatten(1) @ grad.flatten(1).T
        readers = parts.readers_of(stream, layer)
        self.scores[before, readers] += part.double().cpu().numpy()


def edge_scores_by_activation(
    model: Model, parts: Components, group: Group, *, steps: int, positions: bool
) -> np.ndarray:
    """As `edge_scores`, with the gradient averaged while the writer's own activation moves.

    EAP-IG (activations), Hanna et al. 2024: for each layer's heads together, each MLP and the
    embedding, the corrupt run with that activation at corrupt + k / steps · (clean − corrupt).
    """
    sites = sorted({*contribution_sites(parts), *_entries(parts)})
    clean = model.run(group.batch.clean, read=sites, logits_at=())
    corrupt = model.run(group.batch.corrupt, read=sites, logits_at=())
    difference = contributions(model, parts, clean) - contributions(model, parts, corrupt)
    product = _Product(parts, difference, positions)
    for site, writers in _sources(parts):
        layer = site.layer or 0
        if bool((clean[site] == corrupt[site]).all()):
            continue
        run = _moved(model, group, clean, corrupt, site, steps, reader_sites(parts, layer))
        for stream, at, grad in reader_grads(model, parts, run, layer):
            if writers.stop <= parts.writers_before(stream, at):
                product.add(stream, at, over_steps(grad, steps), writers)
    return product.scores


def site_scores(
    model: Model, group: Group, sites: list[Site], *, method: str, steps: int
) -> dict[Site, np.ndarray]:
    """By site (example, pos, head or neuron): (clean − corrupt) · gradient, float64.

    A residual vector gives one number a position, with a last axis of 1. method: as in `attribute`.
    """
    if method != "eap-ig-activations":
        passes = run_passes(model, group, sites, sites, 0 if method != "eap-ig" else steps)
        grads = {s: over_steps(passes.sloped.grad(s), passes.n_steps) for s in sites}
        return {s: _dot(s, passes.clean[s] - passes.corrupt[s], grads[s]) for s in sites}
    layers = sorted({site.layer or 0 for site in sites})
    read = sorted({*sites, *(Site("resid_pre", layer) for layer in layers)})
    clean = model.run(group.batch.clean, read=read, logits_at=())
    corrupt = model.run(group.batch.corrupt, read=read, logits_at=())
    out = {}
    for site in sites:
        difference = clean[site] - corrupt[site]
        grad = difference.new_zeros(difference.shape)
        if bool(difference.any()):
            moved = _moved(model, group, clean, corrupt, site, steps, [site])
            grad = over_steps(moved.grad(site), steps)
        out[site] = _dot(site, difference, grad)
    return out


def _dot(site: Site, difference: torch.Tensor, grad: torch.Tensor) -> np.ndarray:
    product = (difference * grad).double()
    if site.stream != "mlp_post":
        product = product.sum(-1) if "head" in site.axes else product.sum(-1, keepdim=True)
    return product.cpu().numpy()


def _moved(
    model: Model, group: Group, clean: Run, corrupt: Run, site: Site, steps: int, read: list[Site]
) -> Run:
    """The corrupt run, resumed at the site's layer, with the site at each step of the way."""
    layer = site.layer or 0
    rows = list(range(len(group))) * steps
    fractions = torch.arange(1, steps + 1, device=corrupt[site].device) / steps
    there = fractions.repeat_interleave(len(group)).to(corrupt[site])
    value = torch.lerp(
        corrupt[site][rows], clean[site][rows], there.view(-1, *[1] * (corrupt[site].ndim - 1))
    )
    entry = Site("resid_pre", layer)
    resid = value if site == entry else corrupt[entry][rows]
    return model.run(
        group.batch.corrupt,
        read=read,
        edits=() if site == entry else [Set(site, value)],
        grad_of=lambda logits: group.metric(logits, rows),
        logits_at="last",
        resume=Resume(layer, resid, rows=rows),
    )


def _entries(parts: Components) -> list[Site]:
    return [Site("resid_pre", layer) for layer in range(parts.n_layers)]


def _sources(parts: Components) -> list[tuple[Site, slice]]:
    """The activations that are moved together, and which writers they are."""
    out = [(Site("resid_pre", 0), slice(0, 1))]
    for layer in range(parts.n_layers):
        first = 1 + layer * (parts.n_heads + 1)
        out.append((Site("z", layer), slice(first, first + parts.n_heads)))
        out.append(
            (Site("mlp_out", layer), slice(first + parts.n_heads, first + parts.n_heads + 1))
        )
    return out
