"""Optimal constants: what a component may always add so that the answer changes least."""

from __future__ import annotations

import numpy as np
import torch

from .. import metrics
from ..model import Model
from ..site import Site
from .components import Components
from .examples import Examples, tokens_per_pass
from .node_cuts import node_edits

#: Examples, steps and step size (in units of the component's own spread) of the search.
N_EXAMPLES, N_STEPS, STEP = 16, 25, 0.3


def optimal_constants(
    model: Model, parts: Components, examples: Examples, start: torch.Tensor
) -> torch.Tensor:
    """(writer, d_model): for each writer the constant with the least KL from the whole model.

    Each writer is ablated alone, at all positions, and its constant moved by Adam from `start`
    (writer, d_model) to lessen KL(whole ‖ ablated) at the last token, on up to 16 examples; the
    best seen is kept, so that it is never worse there than the start.

    Source: Li and Janson, "Optimal ablation for interpretability" (2024), arXiv:2409.09951.
    """
    groups = _some(examples)
    whole = [model.run(g.batch.clean, logits_at="last").logits for g in groups]
    n_writers = len(parts.writers)
    sites = sorted({_added_at(parts, writer) for writer in range(n_writers)})
    constants = start.clone()
    best, least = start.clone(), torch.full((n_writers,), float("inf"), device=start.device)
    optimiser = torch.optim.Adam([constants], lr=STEP * float(start.std()))
    with torch.enable_grad():
        for _ in range(N_STEPS + 1):
            grad, loss = torch.zeros_like(constants), torch.zeros_like(least)
            for group, plain in zip(groups, whole, strict=True):
                assert plain is not None
                n = len(group)
                most = tokens_per_pass(n_writers, model.spec.d_model) // (n * group.n_positions)
                for writers in np.array_split(np.arange(n_writers), -(-n_writers // max(1, most))):
                    rows = list(range(n)) * len(writers)
                    cut = np.repeat(np.eye(n_writers, dtype=bool)[writers], n, 0)
                    run = model.run(
                        group.batch.clean.take(rows),
                        read=sites,
                        edits=node_edits(
                            model,
                            parts,
                            cut,
                            constants.expand(len(rows), group.n_positions, -1, -1),
                        ),
                        grad_of=lambda logits, plain=plain, rows=rows: metrics.kl(
                            logits, plain[rows]
                        ),
                        logits_at="last",
                    )
                    assert run.value is not None
                    loss[writers] += run.value.reshape(len(writers), n).sum(1).to(loss)
                    for i, writer in enumerate(writers.tolist()):
                        own = run.grad(_added_at(parts, writer))[i * n : (i + 1) * n]
                        grad[writer] += own.sum((0, 1))
            better = loss < least
            best[better], least = constants[better], torch.minimum(loss, least)
            constants.grad = grad
            optimiser.step()
    return best


def _added_at(parts: Components, writer: int) -> Site:
    site = parts.writer_site(writer)
    return Site("attn_out", site.layer) if site.stream == "z" else site


def _some(examples: Examples) -> list:
    """Up to `N_EXAMPLES` examples, taken from every group in proportion."""
    share = min(1.0, N_EXAMPLES / len(examples.batch))
    return [g.take(range(max(1, round(share * len(g))))) for g in examples.groups]
