"""Observables: linear functionals of the logits, carried back through the model as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..check import Count, checked, refuse, whole
from ..edits import Edit
from ..model import Model, Prompts
from ..ordinary import ordinary_torch
from ..pictures.marks import Heat
from ..result import Result, axes, labels, provenance
from ..targets import Targets, token_ids
from ..tokens import Tokens, token_strings
from ..writers import tolerance
from .observable_attribution import ObservableAttribution, attribute
from .observable_gradient import (
    Embedding,
    Path,
    Position,
    Step,
    choose_embedding,
    end_columns,
    in_batches,
    n_tokens,
    path_gradient,
    points,
    read_norm,
    read_path,
    read_site,
    token_scores,
)
from .observable_paths import ObservablePaths, ranked_paths


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

    @ordinary_torch()
    def measure(self, prompts: Prompts, *, position: Position = "last") -> np.ndarray:
        """(batch,) the observable at a position of each prompt, in logits, before any soft-cap."""
        batches = in_batches(self.model.tokens(prompts))
        return np.concatenate([self.measured(some, (), position) for some in batches])

    @ordinary_torch()
    def measured(
        self, tokens: Tokens, edits: Sequence[Edit], position: Position = "last"
    ) -> np.ndarray:
        """(batch,) the same in one pass with edits, whose rows are those of `tokens`."""
        model = self.model
        with torch.no_grad():
            run = model.run(tokens, edits=edits, read="ln_final", logits_at=())
            normed = run["ln_final"][list(range(len(tokens))), end_columns(tokens, position)]
            weights = torch.tensor(self.weights, device=normed.device)
            bias = model.spec.logit_scale * (model.weight("b_U").float() @ weights)
            return (normed.float() @ self.direction + bias).cpu().numpy()

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
        return _propagate(self, steps, at=at, position=position, embedding=embedding)

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
        options: Any = {"at": at, "position": position, "ids": ids, "embedding": embedding}
        return ranked_paths(self.model, self.name, self.direction, **options)

    def attribute(
        self, prompts: Prompts, *, path: Path = (), position: Position = "last"
    ) -> ObservableAttribution:
        """Which components the observable comes from, by one path, as an `ObservableAttribution`.

        path: () splits the observable itself, and gives the numbers of direct logit attribution; a
        path splits what its first component reads, so that a chain can be followed backwards.
        """
        steps, tokens = read_path(self.model, path), self.model.tokens(prompts)
        measured = self.measure(tokens, position=position)
        return attribute(self.model, self.name, self.direction, tokens, steps, position, measured)

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


# -- vectors -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class ObservableVector(Result):
    """What a path reads from the residual stream to move an observable.

    observable: its name; targets, foils: its tokens, empty where a vector over the vocabulary was
    given; target_ids, foil_ids: theirs. path: the
    components, first to last; () is the direct one. site: the residual stream that the first
    reads. vector: (d_model,), the mean gradient over the points: a stream, centred and divided by
    the scale of the norm before the path, adds its product with the vector to the observable, in
    logits, where a head of the path attends to it fully. size: the mean scale of that norm at the
    points, so that gradient = vector / size.

    points: at what the path was linearised; n_points: how many there are. agreement: the mean
    cosine of the gradient at a point with their mean; 1 where the path is linear. soft_cap: the cap
    that the model applies to its logits afterwards, None for none.

    token_scores: (d_vocab,) what each token of `vocabulary` gives by itself, in logits, divided by
    the scale of its own stream. embedding: "token", as it is stored, or "block 0", as it leaves the
    first block when it stands alone.
    """

    observable: str
    targets: tuple[str, ...]
    foils: tuple[str, ...]
    target_ids: tuple[int, ...]
    foil_ids: tuple[int, ...]
    path: tuple[str, ...]
    site: str
    size: float
    points: str
    n_points: int
    agreement: float
    soft_cap: float | None
    embedding: Embedding
    vocabulary: tuple[str, ...]
    vector: np.ndarray = axes("d_model")
    token_scores: np.ndarray = axes("d_vocab")

    picture = "observables.observable_vector"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.vocabulary) != len(self.token_scores):
            raise ValueError(
                f"Each of the {len(self.token_scores)} scores belongs to a token; got "
                f"{len(self.vocabulary)} tokens."
            )

    @property
    def name(self) -> str:
        """The path as text, "direct" where it has no components."""
        return " → ".join(self.path) or "direct"

    @property
    def gradient(self) -> np.ndarray:
        """(d_model,) the mean gradient in the stream itself, at streams of the size `size`."""
        return self.vector / np.float32(self.size)

    @property
    def norm(self) -> float:
        """The vector's length."""
        return float(np.linalg.norm(self.vector.astype(np.float64)))

    @property
    def spread(self) -> float:
        """The standard deviation of the scores over the vocabulary, in logits."""
        return float(self.token_scores.astype(np.float64).std())

    def words(self, k: Count = 10) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The k tokens that give most of the observable, and the k that take most from it."""
        whole("k", k, 1, len(self.vocabulary), "The vocabulary has no more tokens.")
        order = np.argsort(-self.token_scores, kind="stable")
        most, least = order[:k], order[::-1][:k]
        return tuple(self.vocabulary[i] for i in most), tuple(self.vocabulary[i] for i in least)

    def scores(self, words: str | Sequence[str]) -> np.ndarray:
        """(word,) what each word gives, in logits. Words are tokens with their leading space.

        Raises `ValueError` for a word that is not one token of the vocabulary.
        """
        many = [words] if isinstance(words, str) else list(words)
        return np.array([self.token_scores[self._token(word)] for word in many], np.float32)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in reversed(list(enumerate(self.vocabulary)))}

    def _token(self, word: str) -> int:
        if word in self._ids:
            return self._ids[word]
        spaced = f" {word}" if isinstance(word, str) else ""
        hint = f"Write {spaced!r}." if spaced in self._ids else "Take a word that is one token."
        raise ValueError(
            f"A score belongs to a token of {self.model}'s vocabulary; {word!r} is none. {hint}"
        )

    def coupling(self, other: ObservableVector) -> float:
        """How much `other` is expected to move when this one moves by 1: v·w / v·v.

        Not symmetric. Raises `ValueError` for a vector of another model or site.
        Source: Dunefsky and Cohan 2023 (arXiv:2312.16291), section 3.
        """
        check_together([self, other])
        v, w = self.vector.astype(np.float64), other.vector.astype(np.float64)
        return float(v @ w / (v @ v))

    def to_frame(self) -> pd.DataFrame:
        """One line a token, the largest score first: token and score (logits)."""
        frame = pd.DataFrame({"token": self.vocabulary, "score": self.token_scores})
        return frame.sort_values("score", ascending=False, kind="stable", ignore_index=True)

    def _facts(self) -> str:
        most, least = self.words(min(3, len(self.vocabulary)))
        return (
            f"{self.observable} by {self.name} at {self.site}: {', '.join(map(repr, most))} "
            f"against {', '.join(map(repr, least))}"
        )


@ordinary_torch()
def _propagate(
    obs: Observable,
    path: Sequence[Step],
    *,
    at: Prompts | None,
    position: Position,
    embedding: Embedding | None,
) -> ObservableVector:
    """The feature vector of an observable by a path that was read. See `Observable.propagate`."""
    model = obs.model
    site, norm = read_site(model, path), read_norm(model, path)
    kind = choose_embedding(site, embedding)
    tokens = points(model, at)
    direction = obs.direction
    each, total_size = [], 0.0
    for part in in_batches(tokens):
        found = path_gradient(model, direction, part, path, position)
        # Of a stream as the norm leaves it: the gradient times what the norm divides by.
        each.append((found.grad * found.scales).sum(1).double().cpu())
        total_size += float((found.weights[..., None] * found.scales).sum())
    gradients = torch.cat(each)
    vector = gradients.mean(0)
    cosines = torch.nn.functional.cosine_similarity(gradients, vector[None])
    single = vector.float()[None].to(direction.device)
    scores = token_scores(model, single, kind, norm)[:, 0]

    def text(ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(token_strings(model.tokenizer, ids))

    return ObservableVector(
        **provenance(model, None if at is None else tokens),
        observable=obs.name,
        targets=text(obs.targets),
        foils=text(obs.foils),
        target_ids=obs.targets,
        foil_ids=obs.foils,
        path=tuple(map(str, path)),
        site=str(site),
        size=total_size / len(tokens),
        points="single tokens" if at is None else "prompts",
        n_points=len(tokens),
        agreement=float(cosines.mean()),
        soft_cap=model.spec.soft_cap,
        embedding=kind,
        vocabulary=text(range(n_tokens(model))),
        vector=vector.float().numpy(),
        token_scores=scores.numpy(),
    )


# -- couplings -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Couplings(Result):
    """The coupling coefficients of vectors that read one residual stream, each with each."""

    site: str
    names: tuple[str, ...] = labels("row", "the observable that moves by 1", name="moved")
    follows: tuple[str, ...] = labels("label", "the observable that follows", name="follows")
    #: v·w / v·v, over streams of which nothing else is known.
    coefficients: np.ndarray = axes(
        "row label", note="by how much it is expected to move", name="coefficient"
    )
    cosines: np.ndarray = axes(
        "row label", note="1 where the two are one feature at two sizes", name="cosine"
    )

    picture = Heat("coefficient", "follows", "moved", signed=True)

    def _facts(self) -> str:
        return f"{len(self.names)} observables at {self.site}"


@checked
def couplings(vectors: Sequence[ObservableVector]) -> Couplings:
    """The coupling coefficients between vectors, each with each, as `Couplings`.

    Raises `ValueError` for no vectors, vectors of zeros, and several models or sites.

    Source: Dunefsky and Cohan 2023, "Observable Propagation" (arXiv:2312.16291), section 3:
    the coupling coefficient.
    """
    check_together(vectors)
    first = vectors[0]
    stacked = np.stack([each.vector.astype(np.float64) for each in vectors])
    products = stacked @ stacked.T
    squares = np.diag(products)
    return Couplings(
        model=first.model,
        revision=first.revision,
        versions=first.versions,
        seed=None,
        tokens=(),
        site=first.site,
        names=vector_names(vectors),
        follows=vector_names(vectors),
        coefficients=products / squares[:, None],
        cosines=products / np.sqrt(squares[:, None] * squares),
    )


def vector_names(vectors: Sequence[ObservableVector]) -> tuple[str, ...]:
    """The observables, with their paths where one observable comes by several."""
    names = [each.observable for each in vectors]
    if len(set(names)) < len(names):
        names = [f"{each.observable} by {each.name}" for each in vectors]
    return tuple(names)


def check_together(vectors: Sequence[ObservableVector]) -> None:
    """Raises `ValueError` for none, for one of zeros, and for several models or sites."""
    if not vectors or not all(isinstance(each, ObservableVector) for each in vectors):
        raise ValueError(
            "Vectors are ObservableVectors, at least one, as propagate() gives them; got "
            f"{list(vectors)!r}."
        )
    first = vectors[0]
    for each in vectors:
        if (each.model, each.site) != (first.model, first.site):
            raise ValueError(
                "Vectors are compared in one residual stream of one model; got "
                f"{first.model} {first.site} and {each.model} {each.site}. Propagate them to paths "
                "that begin at the same layer."
            )
        if not np.any(each.vector):
            raise ValueError(
                f"A vector that is compared is not zero; that of {each.observable} by {each.name} "
                "is. Take another path."
            )
