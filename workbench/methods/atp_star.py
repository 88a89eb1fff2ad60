"""AtP*: attribution patching that survives saturated attention and cancelling gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ..edits import Edit, Set
from ..model import Model, Resume, Run
from ..site import Site
from .components import Components
from .edge_cuts import contribution_sites
from .examples import Group


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
    sites = sorted({*contribution_sites(parts), *_each(parts, "q", "k", "v")})
    entries = _each(parts, "resid_pre", "pattern", *(["attn_scores"] if positions else []))
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
        scores = np.concatenate(list(_scores(parts, clean, corrupt, changes, run, layer)), 1)
        scores = np.abs(scores if positions else scores.sum(-1, keepdims=True))
        total = scores if total is None else total + scores
    assert total is not None
    return total / max(1, parts.n_layers - 1)


def _each(parts: Components, *streams: str) -> list[Site]:
    return [Site(stream, layer) for layer in range(parts.n_layers) for stream in streams]


def _dropped(model: Model, parts: Components, group: Group) -> Iterator[tuple[int, Run]]:
    """For each layer the corrupt run with gradients that do not pass through that layer."""
    read = sorted({*contribution_sites(parts), *_each(parts, "v", "pattern")})
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


def _scores(
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
