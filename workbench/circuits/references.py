"""References: what a component carries in place of its own value when it is ablated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from .. import metrics
from ..check import one_of
from ..memory import free_bytes
from ..model import Model
from ..site import Site
from ..tasks import Examples, Group, tokens_per_pass
from .components import Components
from .cuts import EdgeCut, contribution_sites, contributions, node_edits

#: Every reference, and what a component then adds to the residual stream.
KINDS = {
    "zero": "nothing",
    "mean": "its mean over the task's clean prompts and positions",
    "mean-position": "its mean at each position over the clean prompts of that length",
    "resample": "what it adds in another prompt of the task of the same length",
    "counterfactual": "what it adds in the paired corrupt prompt",
    "noise": "its own value plus Gaussian noise of the embedding's scale",
    "optimal": "the constant that changes the model's answer least",
}
#: Examples, steps and step size (in units of the component's own spread) of the search.
N_EXAMPLES, N_STEPS, STEP = 16, 25, 0.3


@dataclass(frozen=True)
class GroupRun:
    """A group of examples, and what its writers add where they are ablated.

    reference: (example, pos, writer, d_model).
    """

    group: Group
    reference: torch.Tensor


class References:
    """What the writers of a model add on a task's examples, and instead of it when ablated.

    n_held: how many values of each writer are held at once, the clean and the corrupt one with it.
    """

    def __init__(
        self,
        model: Model,
        parts: Components,
        examples: Examples,
        *,
        seed: int = 0,
        n_held: int = 2,
    ) -> None:
        self.model, self.parts, self.examples, self.seed = model, parts, examples, seed
        _check_fits(model, parts, examples, n_held)
        self._clean = [self._contributions(group, "clean") for group in examples.groups]
        self._corrupt: list[torch.Tensor] | None = None
        self._optimal: torch.Tensor | None = None

    def _contributions(self, group: Group, which: str) -> torch.Tensor:
        tokens = getattr(group.batch, which)
        run = self.model.run(tokens, read=contribution_sites(self.parts), logits_at=())
        return contributions(self.model, self.parts, run)

    @property
    def corrupt(self) -> list[torch.Tensor]:
        if self._corrupt is None:
            self._corrupt = [self._contributions(g, "corrupt") for g in self.examples.groups]
        return self._corrupt

    def of(self, kind: str) -> Iterator[GroupRun]:
        """Each group with the values of one kind of ablation. Raises `ValueError` for another."""
        one_of("reference", kind, KINDS)
        generator = np.random.default_rng(self.seed)
        noise = torch.Generator().manual_seed(self.seed)
        scale = self._embedding_scale() if kind == "noise" else 0.0
        for i, group in enumerate(self.examples.groups):
            now = self._clean[i]
            if kind == "zero":
                reference = torch.zeros_like(now)
            elif kind == "mean":
                reference = self.mean().expand_as(now)
            elif kind == "mean-position":
                # The mean over one prompt would leave it as it is.
                mean = now.mean(0, keepdim=True) if len(now) > 1 else self.mean()
                reference = mean.expand_as(now)
            elif kind == "resample":
                both = torch.cat([now, self.corrupt[i]])
                reference = both[others(len(now), generator)]
            elif kind == "counterfactual":
                reference = self.corrupt[i]
            elif kind == "noise":
                random = torch.randn(now.shape, generator=noise, dtype=torch.float32)
                reference = now + scale * random.to(now)
            else:
                reference = self.optimal().expand_as(now)
            yield GroupRun(group, reference)

    def cut(self, kind: str) -> EdgeCut:
        """The rule that cuts no edge yet; one that is cut carries this kind's values."""
        values: dict[int, torch.Tensor] = {}
        for each in self.of(kind):
            values |= dict(zip(each.group.rows, each.reference, strict=True))
        return EdgeCut(self.parts, self.parts.edges, tuple(values[e] for e in range(len(values))))

    def mean(self) -> torch.Tensor:
        """(writer, d_model): the mean over all clean prompts and positions."""
        total = sum(values.double().sum((0, 1)) for values in self._clean)
        count = sum(values.shape[0] * values.shape[1] for values in self._clean)
        assert not isinstance(total, int)
        return (total / count).to(self._clean[0].dtype)

    def _embedding_scale(self) -> float:
        """The standard deviation of the entries of the embedding over the task's clean prompts."""
        return float(torch.cat([values[:, :, 0].flatten() for values in self._clean]).std())

    def optimal(self) -> torch.Tensor:
        """(writer, d_model), found once: see `optimal_constants`."""
        if self._optimal is None:
            self._optimal = optimal_constants(self.model, self.parts, self.examples, self.mean())
        return self._optimal


def others(n: int, generator: np.random.Generator) -> list[int]:
    """For each of n clean prompts another prompt: a number below 2 n, clean ones first."""
    drawn = generator.integers(2 * n - 1, size=n)
    return [int(d) + (d >= own) for own, d in enumerate(drawn)]


def _check_fits(model: Model, parts: Components, examples: Examples, n_held: int) -> None:
    """Raises `MemoryError` where so many values of all writers cannot be held."""
    n_tokens = sum(len(group) * group.n_positions for group in examples.groups)
    width = {"float32": 4, "float64": 8}.get(model.spec.dtype, 2)
    needed = n_held * width * n_tokens * len(parts.writers) * model.spec.d_model
    free = free_bytes(torch.device(model.spec.device))
    if free is not None and needed > free:
        raise MemoryError(
            f"Ablations hold what each of {len(parts.writers)} components adds at each of "
            f"{n_tokens} tokens, clean and corrupt: {needed / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free. Use fewer pairs (n=), or shorter ones."
        )


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
