"""Exact scores: what each edge or node changes when it alone carries its clean value."""

from __future__ import annotations

import numpy as np
import torch

from ..edits import Edit
from ..model import Model, Resume, Run
from ..site import Site
from .components import Components
from .edge_cuts import ReaderInput, ShiftReaders, contribution_sites, contributions, resid_site
from .examples import TOKENS_PER_PASS, Group, check_finite
from .node_cuts import node_edits


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
        for part in _parts(edges, len(group) * group.n_positions):
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
        for part in _parts(moved[layers == layer], len(group) * group.n_positions):
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


def _parts(items: np.ndarray, tokens_each: int) -> list[np.ndarray]:
    """The items in parts of about as many tokens as one pass takes."""
    n = max(1, -(-len(items) * tokens_each // TOKENS_PER_PASS))
    return [part for part in np.array_split(items, n) if len(part)]
