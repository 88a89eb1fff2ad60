"""Decompositions of activations into directions: drawn at random, and factors found by sums."""

from __future__ import annotations

from typing import Any, Literal

import torch

from ..activations import Activations
from ..check import Count, Seed, checked
from ..dictionary.base import Dictionary
from ..dictionary.collection import Dictionaries
from ..dictionary.encoders import Factors, Linear, factor_codes
from ..site import Site
from .activation_buffer import Vectors, seeded
from .learner import TrainingOptions, explained_variance

#: Multiplicative updates of the codes at each step of the training.
CODE_STEPS = 20
#: How much of the sums over earlier batches is kept at each step.
MEMORY = 0.95
#: How firmly factors stay where the codes say nothing about them, against the mean of Σ code².
HOLD = 1e-3
#: Two features × features arrays are held; more features than this are refused.
MOST_FEATURES = 8192
#: A factor whose share of Σ code² is below this times the mean has died.
DEAD_SHARE = 1e-4
REVIVE_EVERY, REVIVE_UNTIL = 20, 0.8


@checked
def decompose(
    acts: Activations, *, kind: Literal["random"], n_features: Count, seed: Seed = 0
) -> Dictionaries:
    """A dictionary of each site of the activations; "random": what any other has to beat.

        acts = wb.activations(model, texts, "L2.resid_post", pool=None)
        wb.features.decompose(acts, kind="random", n_features=512)

    Random directions are even on the sphere; a code is the activation, less the mean of the rows,
    along one of them, and signed. Decoded together the codes give about the activation back.
    """
    found = []
    for site, mean in acts.mean().items():
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(n_features, len(mean), generator=generator, dtype=torch.float64)
        rows = torch.nn.functional.normalize(rows, dim=-1)
        centre = torch.as_tensor(mean)
        found.append(
            Dictionary(
                site,
                Linear(rows.T.float().contiguous(), -(rows @ centre).float()),
                (rows * min(1.0, len(mean) / n_features)).float(),
                centre.float(),
                model=acts.model,
                name="random directions",
                info={"seed": seed},
            )
        )
    return Dictionaries(found)


class FactorLearner:
    """Factors in training: x ≈ Σ code · factor, codes ≥ 0, factors of length 1 and of any sign.

    What is lowered is |error|² + l1 · Σ codes: without the second part the factors may spread
    apart and still explain everything, so that they are not unique.

    At each step the codes of a batch are found by the multiplicative updates of Ding, Li and Jordan
    (2010) with the factors held, and the factors are the least-squares answer to the batches so
    far, older ones counting less (as in Mairal et al., "Online Learning for Matrix Factorization
    and Sparse Coding", 2010). Source of the use on MLP activations: Shafran et al., "Decomposing
    MLP Activations into Interpretable Features via Semi-Nonnegative Matrix Factorization" (2025).

    Raises `ValueError` for more than 8,192 features, whose products with each other are held.
    """

    def __init__(self, site: Site, out_site: Site, options: TrainingOptions) -> None:
        if options.n_features > MOST_FEATURES:
            gib = 2 * 4 * options.n_features**2 / 2**30
            raise ValueError(
                f"A factorisation holds the products of all pairs of features: at most "
                f"{MOST_FEATURES} features; got {options.n_features}, which would take "
                f"{gib:.1f} GiB."
            )
        self.site, self.out_site, self.options = site, out_site, options
        self.generator = seeded(options.seed, site, out_site)
        self.step_number = 0

    def begin(self, vectors: Vectors) -> None:
        """Set out from vectors drawn among the first ones."""
        x, n = vectors[self.site], self.options.n_features
        length = float(x.norm(dim=-1).mean())
        if not 0 < length < float("inf"):
            raise ValueError(
                "A factorisation needs vectors that are not all 0 and not too large for float32; "
                f"their mean length is {length:g}. Give other texts, or another site."
            )
        self.factor = x.shape[-1] ** 0.5 / length
        rows = torch.randint(len(x), (n,), generator=self.generator)
        noise = torch.randn(n, x.shape[-1], generator=self.generator)
        self.factors = torch.nn.functional.normalize(
            x[rows.to(x.device)] * self.factor + 0.1 * noise.to(x.device), dim=-1
        )
        self.gram = torch.zeros(n, n, device=x.device)
        self.products = torch.zeros_like(self.factors)

    def step(self, vectors: Vectors) -> dict[str, float]:
        """Learn from one batch. Returns loss, l0 and the share of the variance explained.

        Raises `FloatingPointError` where the loss is not a finite number.
        """
        x = vectors[self.site] * self.factor
        factors = self.factors
        l1 = self.options.l1 or 0.0
        codes = factor_codes(x @ factors.T, factors @ factors.T, CODE_STEPS, l1=l1)
        error = x - codes @ factors
        loss = float(error.pow(2).sum(-1).mean() + l1 * codes.sum(-1).mean()) / x.shape[-1]
        if not loss < float("inf"):
            raise FloatingPointError(
                f"The factorisation of {self.site} diverged: at step {self.step_number} the loss "
                f"is {loss}. Take fewer features or another seed."
            )
        self.gram = MEMORY * self.gram + codes.T @ codes
        self.products = MEMORY * self.products + codes.T @ x
        size = self.gram.diagonal()
        hold = HOLD * size.mean()
        eye = torch.eye(len(size), device=x.device)
        found = torch.linalg.solve(self.gram + hold * eye, self.products + hold * factors)
        length = found.norm(dim=-1).clamp(min=1e-12)
        self.factors = (found / length[:, None]).contiguous()
        # The factors are of length 1, so the codes, and their sums, take the length over.
        self.gram *= length[:, None] * length
        self.products *= length[:, None]
        self.step_number += 1
        if (
            self.step_number % REVIVE_EVERY == 0
            and self.step_number < REVIVE_UNTIL * self.options.steps
        ):
            self._revive(error)
        return {
            "loss": loss,
            "l0": float((codes > 0).sum()) / len(x),
            "explained_variance": explained_variance(x, error),
        }

    def _revive(self, error: torch.Tensor) -> None:
        """Give factors that hardly take part the direction of what is explained worst."""
        size = self.gram.diagonal()
        dead = (size < DEAD_SHARE * size.mean()).nonzero()[:, 0]
        loss = error.pow(2).sum(-1).cpu().double()
        n = min(len(dead), int((loss > 0).sum()))
        if n == 0:
            return
        rows = torch.multinomial(loss.pow(2), n, generator=self.generator).to(error.device)
        dead = dead[:n]
        self.factors[dead] = torch.nn.functional.normalize(error[rows], dim=-1)
        self.gram[dead], self.gram[:, dead], self.products[dead] = 0.0, 0.0, 0.0

    def dictionary(self, *, model: str, name: str, info: dict[str, Any]) -> Dictionary:
        """The factors as a dictionary, of length 1, in the model's own units."""
        return Dictionary(
            site=self.site,
            out_site=self.out_site,
            encoder=Factors(self.factors),
            W_dec=self.factors,
            b_dec=torch.zeros_like(self.factors[0]),
            model=model,
            name=name,
            info=info,
        )
