"""Reader gradients: how the metric changes with what each component reads, in one run."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..model import Model, Run
from ..site import Site
from .components import Components
from .edge_cuts import mlp_norm, resid_site


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
