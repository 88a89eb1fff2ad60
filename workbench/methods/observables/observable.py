"""Observables: linear functionals of the logits, to be carried back through the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...check import checked, refuse
from ...model import Model, Prompts
from ...ordinary import ordinary_torch
from ...targets import Targets, token_ids
from ...tokens import token_strings
from ...writers import tolerance
from .observable_attribution import ObservableAttribution, attribute
from .observable_gradient import Position
from .observable_measure import measured
from .observable_path import Path, read_path
from .observable_paths import ObservablePaths, ranked_paths
from .observable_propagation import propagate
from .observable_vector import ObservableVector
from .observable_words import Embedding


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Observable:
    """A linear functional of a model's logits: what is asked of an answer, as one number.

    weights: (d_vocab,) float32, one a token: e(" he") − e(" she") asks how much more the model
    would say " he". targets, foils: the tokens' ids, empty where weights were given. Logits count
    before any soft-cap.
    """

    model: Model
    name: str
    weights: np.ndarray
    targets: tuple[int, ...] = ()
    foils: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.weights.dtype.kind not in "biuf" or not np.isfinite(self.weights).all():
            raise refuse("weights", "finite numbers, one a token", self.weights)

    @property
    @ordinary_torch()
    def direction(self) -> torch.Tensor:
        """(d_model,) float32: the observable in the normed stream that the unembedding reads."""
        w_u = self.model.weight("W_U", copy=False)
        ids = np.flatnonzero(self.weights)
        chosen = w_u[:, ids.tolist()] if len(ids) < len(self.weights) else w_u
        weights = torch.as_tensor(self.weights[ids], device=w_u.device)
        return self.model.spec.logit_scale * (chosen.float() @ weights)

    def measure(self, prompts: Prompts, *, position: Position = "last") -> np.ndarray:
        """(batch,) the observable at a position of each prompt, in logits, before any soft-cap."""
        return measured(self, self.model.tokens(prompts), position=position)

    def propagate(
        self,
        path: Path = (),
        *,
        at: Prompts | None = None,
        position: Position = "last",
        embedding: Embedding | None = None,
    ) -> ObservableVector:
        """What a path reads from the residual stream for this observable, as an `ObservableVector`.

        path: components from the first to the last in the order of a pass, "L3H1" or
        ["L0.mlp_out", "L2H3"]; () for the direct one. at: prompts at whose `position` the path
        ends; norms and MLPs are taken as they are there, and the gradients are averaged. None
        needs no text: the points are single tokens, so that the vector comes from the weights
        alone. embedding: what stands for a token in the scores; None takes it as it is stored where
        block 0 reads, and else as it leaves block 0.

        A head's pattern and the scales of norms are held still: through a head the vector is
        y W_O^T W_V^T, and a norm leaves its direction, but for centring and weight, and gives it
        its size (the paper's theorem on layer norms). MLPs, with the norm before them, are
        replaced by their gradient at each point.

        Raises `ValueError` for components that do not exist or not in this order.

        Source: Dunefsky and Cohan 2023, "Observable Propagation" (arXiv:2312.16291), section 2.
        """
        steps = read_path(self.model, path)
        return propagate(self, steps, at=at, position=position, embedding=embedding)

    def paths(
        self,
        *,
        at: Prompts | None = None,
        position: Position = "last",
        words: Targets = None,
        embedding: Embedding | None = None,
    ) -> ObservablePaths:
        """Every path of one head, alone or with one MLP after it, ranked, as `ObservablePaths`.

        A path ranks by how far its scores spread over the vocabulary, or over `words`. No label and
        no answer is used, and with `at` None no text. at, position, embedding: as in `propagate`.
        """
        ids = token_ids(self.model.tokenizer, words, of="A word")
        return ranked_paths(self, at=at, position=position, ids=ids, embedding=embedding)

    def attribute(
        self, prompts: Prompts, *, path: Path = (), position: Position = "last"
    ) -> ObservableAttribution:
        """Which components the observable comes from, by one path, as an `ObservableAttribution`.

        path: () splits the observable itself, and gives the numbers of direct logit attribution; a
        path splits what its first component reads, so that a chain can be followed backwards.
        """
        steps = read_path(self.model, path)
        return attribute(self, self.model.tokens(prompts), steps, position)

    def coupling(self, other: Observable, path: Path = (), **options: Any) -> float:
        """How much `other` is expected to move by a path when this observable moves by 1.

        options: as in `propagate`. `couplings` gives the table of several vectors.
        Raises `ValueError` for an observable of another model.
        """
        if other.model is not self.model:
            raise ValueError(
                "Two observables couple in one model; got one of "
                f"{self.model.spec.name} and one of {other.model.spec.name}, loaded apart."
            )
        return self.propagate(path, **options).coupling(other.propagate(path, **options))

    def __repr__(self) -> str:
        return f"Observable({self.model.spec.name}: {self.name})"


@checked
def observable(
    model: Model, targets: Targets | np.ndarray | torch.Tensor, foils: Targets = None
) -> Observable:
    """A linear functional of the model's logits, as an `Observable`.

    targets: tokens whose mean logit counts, each a text that is one token or an id; or a vector
    over the vocabulary, (d_vocab,), of numbers. foils: tokens whose mean logit is taken away.

    Raises `ValueError` for a word of several tokens, a token on both sides, no targets, a vector of
    another vocabulary or of zeros, and a read-out that is not a final norm and an unembedding.
    """
    _check_read_out(model)
    if targets is not None and not isinstance(targets, (str, int)):
        array = _as_vector(targets)
        if array is not None:
            return Observable(model, "a vector", _checked_vector(model, array, foils))
    some: Any = targets
    plus = token_ids(model.tokenizer, some, of="A target")
    minus = token_ids(model.tokenizer, foils, of="A foil")
    if not plus:
        raise ValueError(
            "An observable has at least one target; got none. Write for example "
            "observable(model, ' he', ' she')."
        )
    both = [*plus, *minus]
    if len(set(both)) < len(both):
        twice = token_strings(model.tokenizer, [i for i in both if both.count(i) > 1][:1])[0]
        raise ValueError(
            f"The targets and foils of an observable are different tokens; {twice!r} stands twice."
        )
    weights = np.zeros(model.spec.d_vocab, np.float32)
    weights[plus] = 1 / len(plus)
    if minus:
        weights[minus] = -1 / len(minus)
    sides = [", ".join(token_strings(model.tokenizer, ids)) for ids in (plus, minus) if ids]
    weights.setflags(write=False)
    return Observable(model, " − ".join(sides), weights, tuple(plus), tuple(minus))


def _as_vector(targets: Any) -> np.ndarray | None:
    """The array that was given; None where it is a list of tokens."""
    if isinstance(targets, torch.Tensor):
        return targets.detach().float().cpu().numpy()
    return targets if isinstance(targets, np.ndarray) else None


def _checked_vector(model: Model, given: np.ndarray, foils: Targets) -> np.ndarray:
    if foils is not None:
        raise ValueError(
            "A vector over the vocabulary has its own signs; got foils beside it. Leave foils out."
        )
    if given.shape != (model.spec.d_vocab,) or given.dtype.kind not in "fiu":
        raise ValueError(
            f"A vector over the vocabulary of {model.spec.name} holds {model.spec.d_vocab} "
            f"numbers, shape ({model.spec.d_vocab},); got {given.dtype} of shape {given.shape}."
        )
    weights = given.astype(np.float32)
    if not np.isfinite(weights).all() or not weights.any():
        raise ValueError("A vector over the vocabulary is finite and not zero everywhere.")
    weights.setflags(write=False)
    return weights


def _check_read_out(model: Model) -> None:
    """Raises `ValueError` where logits are not the final norm's output through the unembedding."""
    norm = model.norm("ln_final")
    w_u = model.weight("W_U", copy=False)
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(1, model.spec.d_model, generator=generator).to(w_u)
    with torch.no_grad():
        own = model.unembed(probe).float()
        if norm is None:
            raise ValueError(
                f"An observable is carried back through a final norm; {model.spec.name} has none."
            )
        split = model.spec.logit_scale * (norm(probe) @ w_u + model.weight("b_U")).float()
    if (cap := model.spec.soft_cap) is not None:
        split = cap * (split / cap).tanh()
    miss = float((split - own).abs().max())
    if miss > 16 * tolerance(w_u.dtype) * max(1.0, float(own.abs().max())):
        raise ValueError(
            f"The read-out of {model.spec.name} is not its final norm and unembedding (off by "
            f"{miss:.2g}), so that no observable can be carried back through it."
        )
