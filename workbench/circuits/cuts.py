"""Cuts: a run in which edges, or whole components, carry another value than is written now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..change import Rule
from ..edits import Edit
from ..model import Model, Norm, Run
from ..site import Site
from ..tasks import tokens_per_pass
from ..tokens import Tokens
from ..writers import head_gain, mlp_norm
from .components import Components


def contribution_sites(parts: Components) -> list[Site]:
    """What a run must read so that `contributions` can tell what each writer adds."""
    sites = [Site("resid_pre", 0)]
    for layer in range(parts.n_layers):
        sites += [Site("z", layer), Site("mlp_out", layer)]
    return sites


def contributions(model: Model, parts: Components, run: Run) -> torch.Tensor:
    """(row, pos, writer, d_model): what each writer adds to the residual stream in a run."""
    out = [run[Site("resid_pre", 0)][:, :, None]]
    for layer in range(parts.n_layers):
        out.append(head_outputs(model, layer, run[Site("z", layer)]))
        out.append(run[Site("mlp_out", layer)][:, :, None])
    return torch.cat(out, 2)


def head_outputs(model: Model, layer: int, z: torch.Tensor) -> torch.Tensor:
    """(row, pos, head, d_model): z (row, pos, head, d_head) through W_O and the post-norm's scale.

    What attention adds besides, the bias of W_O, belongs to no head.
    """
    w_o = model.weight("W_O", layer, copy=False)
    return torch.einsum("rphd,hdm->rphm", z, w_o) * head_gain(model, layer, z)[..., None, :]


@dataclass(frozen=True, eq=False)
class ReaderInput:
    """How one stream of readers, at one layer, is computed from the residual stream.

    weight: (reader, d_model, d_head), None for an MLP, whose own module follows. bias likewise.
    """

    norm: Norm | None
    weight: torch.Tensor | None
    bias: torch.Tensor | None

    @classmethod
    def of(cls, model: Model, stream: str, layer: int) -> ReaderInput:
        if stream == "mlp_in":
            return cls(mlp_norm(model, layer), None, None)
        letter = stream.upper()
        return cls(
            model.norm("ln1", layer),
            model.weight(f"W_{letter}", layer, copy=False),
            model.weight(f"b_{letter}", layer, copy=False),
        )

    def __call__(self, resid: torch.Tensor) -> torch.Tensor:
        """What the readers give for (row, pos, reader, d_model), each its own residual stream."""
        normed = resid if self.norm is None else self.norm(resid)
        if self.weight is None or self.bias is None:
            return normed[:, :, 0]
        return torch.einsum("rphm,hmd->rphd", normed, self.weight) + self.bias


def resid_site(parts: Components, stream: str, layer: int) -> Site:
    """The residual stream that a reader stream reads."""
    if stream == "logits":
        return Site("resid_post", layer)
    return Site("resid_pre" if stream != "mlp_in" or parts.parallel else "resid_mid", layer)


@dataclass(frozen=True, eq=False, repr=False)
class ShiftReaders(Edit):
    """Let each reader of a stream read the residual stream plus a change of its own.

    change: (row, pos, reader, d_model). compute: the readers from their residual streams, the site
    needed. Readers without a change keep their numbers to the bit.
    """

    change: torch.Tensor
    compute: ReaderInput

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        touched = (self.change != 0).any(-1).any(1)
        return _computed_again(activation, needed[0], self.change, touched, self.compute)


class Differences:
    """What the writers of one pass should add less what they add, filled as the pass comes by.

    values: (row, writer, pos, d_model), 0 for a writer that no edit needs. The edits of one pass
    share it, so that each writer is read once, however many readers miss it.
    """

    def __init__(self, reference: torch.Tensor) -> None:
        self._reference = reference.movedim(2, 1)
        self._filled: set[Site] = set()
        self.values = torch.zeros_like(self._reference, memory_format=torch.contiguous_format)

    def fill(self, source: Source, activation: torch.Tensor) -> None:
        if source.site not in self._filled:
            self._filled.add(source.site)
            now = source.added(activation).movedim(2, 1)
            self.values[:, source.writers] = self._reference[:, source.writers] - now


@dataclass(frozen=True, eq=False)
class Source:
    """A site of a pass, and the writers that are found there: a layer's heads, or one other."""

    model: Model
    site: Site
    writers: slice

    def added(self, activation: torch.Tensor) -> torch.Tensor:
        """(row, pos, writer, d_model)"""
        if self.site.stream != "z":
            return activation[:, :, None]
        assert self.site.layer is not None
        return head_outputs(self.model, self.site.layer, activation)


@dataclass(frozen=True, eq=False, repr=False)
class CutEdges(Edit):
    """Give one stream of readers a residual stream in which some writers have other values.

    The edit adds Σ (reference − what is written now) over the cut writers to what a reader reads,
    and computes the reader from it: its norm, and for q, k and v its projection. Readers of which
    no edge is cut keep their numbers to the bit.

    cut: (row, reader, writer), 1 where the edge is cut. reference: (row, pos, writer, d_model).
    sources: where the first sites needed are written. compute: the readers from their residual
    streams, the last site needed; None where the stream is read as it is. differences: of the pass
    under way, None before it.
    """

    cut: torch.Tensor
    reference: torch.Tensor
    sources: tuple[Source, ...]
    compute: ReaderInput | None = None
    differences: Differences | None = None

    def for_pass(self, shared: dict[Any, Any]) -> Edit:
        key = id(self.reference)
        if key not in shared:
            shared[key] = Differences(self.reference)
        return replace(self, differences=shared[key])

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        assert self.differences is not None
        for source, written in zip(self.sources, needed, strict=False):
            self.differences.fill(source, written)
        values = self.differences.values[:, : self.cut.shape[-1]]
        change = (self.cut @ values.flatten(2)).unflatten(2, values.shape[2:])
        if self.compute is None:
            return activation + change[:, 0]
        touched = self.cut.any(-1)
        return _computed_again(activation, needed[-1], change.movedim(1, 2), touched, self.compute)


def _computed_again(
    activation: torch.Tensor,
    resid: torch.Tensor,
    change: torch.Tensor,
    touched: torch.Tensor,
    compute: ReaderInput,
) -> torch.Tensor:
    """The readers of one stream from resid + change, where `touched` (row, reader)."""
    new = compute(resid[:, :, None] + change)
    where = touched[:, None, :]
    return torch.where(where[..., None] if new.ndim == 4 else where, new, activation)


def cut_edits(
    model: Model, parts: Components, cut: np.ndarray, reference: torch.Tensor
) -> list[Edit]:
    """The edits that cut edges, row by row, in a run whose rows have equally many positions.

    cut: (row, writer, reader) bool. reference: (row, pos, writer, d_model), what a cut edge carries
    instead. A stream of readers of which no row cuts an edge has no edit.
    """
    edits: list[Edit] = []
    for stream, layer in parts.reader_streams:
        inside = cut[:, : parts.writers_before(stream, layer), parts.readers_of(stream, layer)]
        chosen = np.flatnonzero(inside.any((0, 2)))
        if not len(chosen):
            continue
        sources = _sources(model, parts, chosen)
        sites = [source.site for source in sources]
        resid = resid_site(parts, stream, layer)
        mask = torch.as_tensor(
            inside[:, : chosen[-1] + 1].swapaxes(1, 2),
            dtype=reference.dtype,
            device=reference.device,
        )
        at_logits = stream == "logits"
        edits.append(
            CutEdges(
                resid if at_logits else Site(stream, layer),
                mask,
                reference,
                tuple(sources),
                None if at_logits else ReaderInput.of(model, stream, layer),
                needs=tuple(sites) if at_logits else (*sites, resid),
            )
        )
    return edits


def _sources(model: Model, parts: Components, writers: np.ndarray) -> list[Source]:
    """Where these writers are read. A layer's heads are read together."""
    out: dict[Site, Source] = {}
    for writer in writers.tolist():
        site = parts.writer_site(writer).whole
        first, n = writer, 1
        if site.stream == "z":
            assert site.layer is not None
            first, n = 1 + site.layer * (parts.n_heads + 1), parts.n_heads
        out.setdefault(site, Source(model, site, slice(first, first + n)))
    return list(out.values())


@dataclass(frozen=True, eq=False, repr=False)
class EdgeCut(Rule):
    """All edges but those kept carry what their writers have as reference for each example.

    kept: (writer, reader) bool. values: by example, (pos, writer, d_model). Sets of edges are laid
    as rows of one pass.
    """

    parts: Components
    kept: np.ndarray
    values: tuple[torch.Tensor, ...]

    @property
    def n_tokens(self) -> int:
        return tokens_per_pass(len(self.parts.writers), self.values[0].shape[-1])

    def edits(self, model: Any, tokens: Tokens, examples: Sequence[int]) -> Sequence[Edit]:
        return self.together(model, [self] * len(examples), tokens, examples)

    @classmethod
    def together(
        cls,
        model: Any,
        rules: Sequence[EdgeCut],
        tokens: Tokens,
        examples: Sequence[int],
    ) -> Sequence[Edit]:
        """The edits of a pass in which row i is the question examples[i] with cuts of rules[i]."""
        parts = rules[0].parts
        kept = np.stack([rule.kept for rule in rules])
        values = torch.stack([rule.values[e] for rule, e in zip(rules, examples, strict=True)])
        return cut_edits(model, parts, parts.edges & ~kept, values)


@dataclass(frozen=True, eq=False, repr=False)
class CutHeads(Edit):
    """Let heads of a layer add other values: attn_out + Σ (reference − what they add now).

    cut: (row, head), 1 where the head is cut. reference: (row, pos, head, d_model). Needs z.
    """

    cut: torch.Tensor
    reference: torch.Tensor
    model: Model
    layer: int

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        change = self.reference - head_outputs(self.model, self.layer, needed[0])
        return activation + torch.einsum("rh,rphm->rpm", self.cut, change)


@dataclass(frozen=True, eq=False, repr=False)
class CutStream(Edit):
    """Let the embedding or an MLP add another value in the rows that are cut.

    cut: (row,) bool. reference: (row, pos, d_model).
    """

    cut: torch.Tensor
    reference: torch.Tensor

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return torch.where(self.cut[:, None, None], self.reference, activation)


def node_edits(
    model: Model, parts: Components, cut: np.ndarray, reference: torch.Tensor
) -> list[Edit]:
    """The edits that cut whole writers, row by row, in rows of equally many positions.

    cut: (row, writer) bool. reference: (row, pos, writer, d_model). The same as cutting every edge
    that leaves the writers, with fewer edits.
    """
    mask = torch.as_tensor(cut, device=reference.device)
    edits: list[Edit] = []
    for writer in np.flatnonzero(cut.any(0)).tolist():
        site = parts.writer_site(writer)
        assert site.layer is not None
        if site.stream != "z":
            edits.append(CutStream(site, mask[:, writer], reference[:, :, writer]))
            continue
        first = 1 + site.layer * (parts.n_heads + 1)
        heads = slice(first, first + parts.n_heads)
        # One edit for all heads of the layer, made at the first of those that are cut.
        if writer == first + int(np.argmax(cut[:, heads].any(0))):
            edits.append(
                CutHeads(
                    Site("attn_out", site.layer),
                    mask[:, heads].to(reference.dtype),
                    reference[:, :, heads],
                    model,
                    site.layer,
                    needs=site.whole,
                )
            )
    return edits
