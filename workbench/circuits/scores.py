"""Scores: what each edge, node or neuron would change, by gradients, by AtP*, or exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..edits import Edit, Set
from ..model import Model, Resume, Run
from ..site import Site
from ..tasks import TOKENS_PER_PASS, Group, check_finite
from ..writers import mlp_norm
from .components import Components
from .cuts import (
    ReaderInput,
    ShiftReaders,
    contribution_sites,
    contributions,
    node_edits,
    resid_site,
)

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
    sites = sorted({*contribution_sites(parts), *_sites(parts, "resid_pre")})
    clean = model.run(group.batch.clean, read=sites, logits_at=())
    corrupt = model.run(group.batch.corrupt, read=sites, logits_at=())
    difference = contributions(model, parts, clean) - contributions(model, parts, corrupt)
    product = _Product(parts, difference, positions)
    for site, writers in _together(parts):
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


def _together(parts: Components) -> list[tuple[Site, slice]]:
    """The activations that are moved together, and which writers they are."""
    out = [(Site("resid_pre", 0), slice(0, 1))]
    for layer in range(parts.n_layers):
        first = 1 + layer * (parts.n_heads + 1)
        out.append((Site("z", layer), slice(first, first + parts.n_heads)))
        out.append(
            (Site("mlp_out", layer), slice(first + parts.n_heads, first + parts.n_heads + 1))
        )
    return out


# -- what a component reads -----------------------------------------------------------------------


def reader_sites(parts: Components, first: int = 0) -> list[Site]:
    """What a run must read, from layer `first` on, so that `reader_grads` has what it needs."""
    sites: set[Site] = set()
    for stream, layer in parts.reader_streams:
        if layer < first:
            continue
        sites.add(resid_site(parts, stream, layer))
        if stream != "logits":
            sites.add(Site(stream, layer))
    return sorted(sites)


def reader_grads(
    model: Model, parts: Components, run: Run, first: int = 0
) -> Iterator[tuple[str, int, torch.Tensor]]:
    """Each reader stream from layer `first` on, its layer, and (row, pos, reader, d_model).

    The last is the metric's gradient at the residual stream as these readers read it: through the
    norm before them and, for q, k and v, through their projection. One stream at a time, so that
    memory grows with the model's width and not with its components.
    """
    for stream, layer in parts.reader_streams:
        if layer < first:
            continue
        site = resid_site(parts, stream, layer)
        if stream == "logits":
            yield stream, layer, run.grad(site)[:, :, None]
            continue
        grad = run.grad(Site(stream, layer))
        if stream == "mlp_in":
            norm, grad = mlp_norm(model, layer), grad[:, :, None]
        else:
            weight = model.weight(f"W_{stream.upper()}", layer, copy=False)
            norm, grad = model.norm("ln1", layer), torch.einsum("rphd,hmd->rphm", grad, weight)
        if norm is not None:
            grad = norm.pull_back(run[site][:, :, None], grad)
        yield stream, layer, grad


# -- AtP* -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Detach(Edit):
    """Leave the activation as it is and stop the gradient there."""

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return activation.detach()


def atp_star_scores(
    model: Model, parts: Components, group: Group, *, positions: bool
) -> np.ndarray:
    """(example, node, pos) float64, without sign; the last axis has length 1 without `positions`.

    Nodes are the writers, then each layer's q, k and v heads. For q and k the attention pattern is
    computed again with the clean queries or keys, and its change meets the pattern's gradient
    (section 3.1.1 of Kramár et al. 2024). Each score is the mean over layers of |score without that
    layer's gradient| (GradDrop, section 3.1.2), over n_layers − 1 since a layer's own nodes have
    none there.
    """
    sites = sorted({*contribution_sites(parts), *_sites(parts, "q", "k", "v")})
    entries = _sites(parts, "resid_pre", "pattern", *(["attn_scores"] if positions else []))
    clean = model.run(group.batch.clean, read=sites, logits_at=())
    corrupt = model.run(group.batch.corrupt, read=sorted({*sites, *entries}), logits_at=())
    patterns = _Patterns(model, group, clean, corrupt, positions)
    changes = {
        (stream, layer): patterns.change(stream, layer)
        for layer in range(parts.n_layers)
        for stream in "qk"
    }
    total = None
    for layer, run in _dropped(model, parts, group):
        scores = np.concatenate(
            list(_dropped_scores(parts, clean, corrupt, changes, run, layer)), 1
        )
        scores = np.abs(scores if positions else scores.sum(-1, keepdims=True))
        total = scores if total is None else total + scores
    assert total is not None
    return total / max(1, parts.n_layers - 1)


def _sites(parts: Components, *streams: str) -> list[Site]:
    return [Site(stream, layer) for layer in range(parts.n_layers) for stream in streams]


def _dropped(model: Model, parts: Components, group: Group) -> Iterator[tuple[int, Run]]:
    """For each layer the corrupt run with gradients that do not pass through that layer."""
    read = sorted({*contribution_sites(parts), *_sites(parts, "v", "pattern")})
    for layer in range(parts.n_layers):
        drop = [Detach(Site("attn_out", layer)), Detach(Site("mlp_out", layer))]
        run = model.run(
            group.batch.corrupt,
            read=read,
            edits=drop if parts.n_layers > 1 else (),
            grad_of=group.metric,
            logits_at="last",
        )
        yield layer, run


def _dropped_scores(
    parts: Components,
    clean: Run,
    corrupt: Run,
    changes: dict[tuple[str, int], torch.Tensor],
    run: Run,
    dropped: int,
) -> Iterator[np.ndarray]:
    """(example, node, pos) of one gradient, writers first."""

    def dot(site: Site) -> np.ndarray:
        product = ((clean[site] - corrupt[site]) * run.grad(site)).double().sum(-1)
        out = product.cpu().numpy()
        return out.swapaxes(1, 2) if out.ndim == 3 else out[:, None]

    yield dot(Site("resid_pre", 0))
    for layer in range(parts.n_layers):
        yield dot(Site("z", layer))
        own = dot(Site("mlp_out", layer))
        # Behind the place where the gradient is stopped: it is dropped here.
        yield own * 0 if layer == dropped and parts.n_layers > 1 else own
    for layer in range(parts.n_layers):
        grad = run.grad(Site("pattern", layer)).double()
        queries = (changes["q", layer] * grad).sum(-1)
        yield queries.cpu().numpy()
        # The change of key j is at [dst, j, src]; without positions it is at [dst, 0, src].
        change = changes["k", layer]
        keys = (change * grad[:, :, :, None]).sum((2, 4))
        group = parts.n_heads // parts.n_kv_heads
        grouped = keys.unflatten(1, (parts.n_kv_heads, group)).sum(2).cpu().numpy()
        yield _wide(grouped, queries.shape[-1])
        yield dot(Site("v", layer))


def _wide(values: np.ndarray, n_positions: int) -> np.ndarray:
    """(example, head, pos): what is of all positions together stands at the first."""
    out = np.zeros((*values.shape[:2], n_positions))
    out[..., : values.shape[-1]] = values
    return out


class _Patterns:
    """How attention patterns change when a layer's queries or keys are the clean ones."""

    def __init__(
        self, model: Model, group: Group, clean: Run, corrupt: Run, positions: bool
    ) -> None:
        self._model, self._group, self._positions = model, group, positions
        self._clean, self._corrupt = clean, corrupt

    def change(self, stream: str, layer: int) -> torch.Tensor:
        """Queries: (example, head, dst, src). Keys: (example, head, dst, key, src), key of length 1
        for all keys at once without positions.
        """
        site, pattern = Site(stream, layer), Site("pattern", layer)
        now = self._corrupt[pattern].double()
        if bool((self._clean[site] == self._corrupt[site]).all()):
            return torch.zeros_like(now) if stream == "q" else torch.zeros_like(now)[:, :, :, None]
        by_key = stream == "k" and self._positions
        wanted = Site("attn_scores", layer) if by_key else pattern
        run = self._model.run(
            self._group.batch.corrupt,
            read=wanted,
            edits=Set(site, self._clean[site]),
            stop_after=pattern,
            resume=Resume(layer, self._corrupt[Site("resid_pre", layer)]),
        )
        if not by_key:
            change = run[wanted].double() - now
            return change if stream == "q" else change[:, :, :, None]
        # With one score s_j changed by d, softmax gives p_i / Z and p_j e^d / Z, where
        # Z = 1 + p_j (e^d − 1). Masked entries have p = 0 and stay there.
        step = (run[wanted] - self._corrupt[wanted]).double()
        grown = torch.where(now > 0, step, 0.0).exp()
        total = 1 + now * (grown - 1)
        new = now[:, :, :, None] / total[..., None]
        own = torch.diag_embed(now * (grown - 1) / total)
        return new + own - now[:, :, :, None]


# -- one patched run each -------------------------------------------------------------------------


def exact_edges(model: Model, parts: Components, group: Group, chosen: np.ndarray) -> np.ndarray:
    """(example, writer, reader) float64: metric with one edge clean minus that of the corrupt run.

    One edge carries its writer's clean value to one reader; all else is the corrupt run, and what
    follows from the reader is computed again. chosen: (writer, reader) bool; the others stay 0.
    """
    streams = [Site("resid_pre", layer) for layer in range(parts.n_layers)]
    inputs = [resid_site(parts, stream, layer) for stream, layer in parts.reader_streams]
    read = sorted({*contribution_sites(parts), *streams, *inputs})
    clean = model.run(group.batch.clean, read=contribution_sites(parts), logits_at=())
    corrupt = model.run(group.batch.corrupt, read=read, logits_at="last")
    assert corrupt.logits is not None
    change = contributions(model, parts, clean) - contributions(model, parts, corrupt)
    before = check_finite(group.metric(corrupt.logits), "corrupt")
    out = np.zeros((len(group), *parts.edges.shape))
    # What is the same in both runs changes nothing, exactly.
    moves = (change != 0).any(-1).any(1).any(0).cpu().numpy()
    for stream, layer in parts.reader_streams:
        readers = parts.readers_of(stream, layer)
        edges = np.argwhere((chosen & parts.edges & moves[:, None])[:, readers])
        sweep = _Sweep(model, parts, group, corrupt, change, stream, layer)
        for part in _batches(edges, len(group) * group.n_positions):
            values = check_finite(sweep.metric(part), "patched").reshape(len(part), -1)
            out[:, part[:, 0], readers.start + part[:, 1]] = (values - before).T
    return out


class _Sweep:
    """Runs that resume at one reader stream, a row for each edge and example."""

    def __init__(
        self,
        model: Model,
        parts: Components,
        group: Group,
        corrupt: Run,
        change: torch.Tensor,
        stream: str,
        layer: int,
    ) -> None:
        self._model, self._parts, self._group = model, parts, group
        self._corrupt, self._change = corrupt, change
        self._stream, self._layer = stream, layer

    def metric(self, edges: np.ndarray) -> torch.Tensor:
        """(edge · example,) for edges (edge, [writer, reader of the stream])."""
        n, parts = len(self._group), self._parts
        rows = list(range(n)) * len(edges)
        writers, readers = edges.T.tolist()
        moved = self._change[:, :, writers].movedim(2, 0).flatten(0, 1)
        source = resid_site(parts, self._stream, self._layer)
        if self._stream == "logits":
            resume = Resume(parts.n_layers, self._corrupt[source][rows] + moved, rows=rows)
            return self._run(rows, resume, [])
        wide = moved.new_zeros(*moved.shape[:2], parts.n_readers(self._stream), moved.shape[-1])
        each = [reader for reader in readers for _ in range(n)]
        wide[range(len(rows)), :, each] = moved
        edit = ShiftReaders(
            Site(self._stream, self._layer),
            wide,
            ReaderInput.of(self._model, self._stream, self._layer),
            needs=source,
        )
        entry = self._corrupt[Site("resid_pre", self._layer)]
        return self._run(rows, Resume(self._layer, entry[rows], rows=rows), [edit])

    def _run(self, rows: list[int], resume: Resume, edits: list[Edit]) -> torch.Tensor:
        run = self._model.run(
            self._group.batch.corrupt, edits=edits, logits_at="last", resume=resume
        )
        assert run.logits is not None
        return self._group.metric(run.logits, rows)


def exact_nodes(model: Model, parts: Components, group: Group) -> np.ndarray:
    """(example, writer) float64: metric with one writer clean minus that of the corrupt run."""
    entries = [Site("resid_pre", layer) for layer in range(parts.n_layers)]
    clean = model.run(group.batch.clean, read=contribution_sites(parts), logits_at=())
    read = sorted({*contribution_sites(parts), *entries})
    corrupt = model.run(group.batch.corrupt, read=read, logits_at="last")
    assert corrupt.logits is not None
    reference = contributions(model, parts, clean)
    moves = reference != contributions(model, parts, corrupt)
    moved = np.flatnonzero(moves.any(-1).any(1).any(0).cpu().numpy())
    before = check_finite(group.metric(corrupt.logits), "corrupt")
    out = np.zeros((len(group), len(parts.writers)))
    layers = np.array([max(0, parts.writer_layer(w)) for w in moved.tolist()])
    for layer in np.unique(layers).tolist():
        for part in _batches(moved[layers == layer], len(group) * group.n_positions):
            rows = list(range(len(group))) * len(part)
            cut = np.zeros((len(rows), len(parts.writers)), bool)
            cut[range(len(rows)), part.repeat(len(group))] = True
            run = model.run(
                group.batch.corrupt,
                edits=node_edits(model, parts, cut, reference[rows]),
                logits_at="last",
                resume=Resume(layer, corrupt[Site("resid_pre", layer)][rows], rows=rows),
            )
            assert run.logits is not None
            values = check_finite(group.metric(run.logits, rows), "patched")
            out[:, part] = (values.reshape(len(part), -1) - before).T
    return out


def _batches(items: np.ndarray, tokens_each: int) -> list[np.ndarray]:
    """The items in parts of about as many tokens as one pass takes."""
    n = max(1, -(-len(items) * tokens_each // TOKENS_PER_PASS))
    return [part for part in np.array_split(items, n) if len(part)]
