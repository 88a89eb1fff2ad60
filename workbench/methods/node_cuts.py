"""Node cuts: a run in which whole components add another value than their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..edits import Edit
from ..model import Model
from ..site import Site
from .components import Components
from .edge_cuts import head_outputs


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
