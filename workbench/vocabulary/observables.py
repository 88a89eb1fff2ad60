"""Observables: linear functionals of the logits, carried back through the model as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ..check import checked, refuse
from ..dictionary.base import Dictionary
from ..dictionary.collection import Dictionaries
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
    Path,
    Position,
    end_columns,
    in_batches,
    path_gradient,
    path_name,
    points,
    read_path,
    read_site,
)
from .observable_paths import ObservablePaths, ranked_paths
from .projection import EmbeddingChoice

#: What `Observable.propagate` gives, one or several of one stream.
Vectors = Dictionary | Dictionaries | Sequence[Dictionary | Dictionaries]


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

    @ordinary_torch()
    def propagate(
        self, path: Path = (), *, at: Prompts | None = None, position: Position = "last"
    ) -> Dictionaries:
        """What a path reads from the residual stream for this observable: one vector at its site.

            vector = wb.vocabulary.observable(model, " he", " she").propagate("L0H2")
            wb.vocabulary.words(model, vector, space="site")

        path: components from the first to the last in the order of a pass, "L3H1" or
        ["L0.mlp_out", "L2H3"]; () for the direct one. at: prompts at whose `position` it ends;
        norms and MLPs are taken as they are there. None takes single tokens: weights alone.

        The vector is the mean gradient: a stream, centred and divided by the scale of the norm
        before the path, adds its product with it to the observable, in logits, where a head of the
        path attends to it fully. `info`: observable, targets, foils (ids), path, points and
        n_points; size, the mean scale of that norm, so that gradient = vector / size; agreement,
        the mean cosine of the gradients with their mean. Patterns and norms' scales are held still,
        MLPs pass by their gradient.

        Raises `ValueError` for components that do not exist or not in this order.
        Source: Dunefsky and Cohan 2023, "Observable Propagation" (arXiv:2312.16291), section 2.
        """
        model, steps = self.model, read_path(self.model, path)
        tokens = points(model, at)
        each, total_size = [], 0.0
        for some in in_batches(tokens):
            found = path_gradient(model, self.direction, some, steps, position)
            # Of a stream as the norm leaves it: the gradient times what the norm divides by.
            each.append((found.grad * found.scales).sum(1).double().cpu())
            total_size += float((found.weights[..., None] * found.scales).sum())
        gradients = torch.cat(each)
        vector = gradients.mean(0)
        if not bool(vector.any()):
            raise refuse("A path", "one that carries something of the observable", path)
        cosines = torch.nn.functional.cosine_similarity(gradients, vector[None])
        made = Dictionary.of(
            vector[None], site=read_site(model, steps), names=(self.name,), model=model.spec.name
        )
        info = {
            "observable": self.name,
            "targets": list(self.targets),
            "foils": list(self.foils),
            "path": list(map(str, steps)),
            "points": "single tokens" if at is None else "prompts",
            "n_points": len(tokens),
            "size": total_size / len(tokens),
            "agreement": float(cosines.mean()),
            "revision": model.spec.revision,
        }
        name = f"{self.name} by {path_name(steps)}"
        return Dictionaries([replace(made, name=name, info=info)])

    def paths(
        self,
        *,
        at: Prompts | None = None,
        position: Position = "last",
        words: Targets = None,
        embedding: EmbeddingChoice | None = None,
    ) -> ObservablePaths:
        """Every path of one head, alone or with one MLP after it, ranked, as `ObservablePaths`.

        A path ranks by how far its scores spread over the vocabulary, or over `words`. No label and
        no answer is used, and with `at` None no text. at, position: as in `propagate`. embedding:
        what stands for a token; None: its stored one where block 0 reads, else what leaves block 0.
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
        both = [each.propagate(path, **options) for each in (self, other)]
        return float(couplings(both).coefficients[0, 1])

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
def couplings(vectors: Vectors) -> Couplings:
    """The coupling coefficients between vectors, each with each, as `Couplings`.

    vectors: one dictionary or several, as `Observable.propagate` gives them.
    Raises `ValueError` for no vectors, and several models or sites.

    Source: Dunefsky and Cohan 2023, "Observable Propagation" (arXiv:2312.16291), section 3:
    the coupling coefficient.
    """
    each = check_together(vectors)
    stacked = torch.cat([vector.W_dec for vector in each]).double().numpy()
    products = stacked @ stacked.T
    squares = np.diag(products)
    revision = each[0].info.get("revision", "")
    spec = SimpleNamespace(name=each[0].model, revision=revision, backend="none")
    return Couplings(
        **provenance(SimpleNamespace(spec=spec)),
        site=str(each[0].site),
        names=vector_names(each),
        follows=vector_names(each),
        coefficients=products / squares[:, None],
        cosines=products / np.sqrt(squares[:, None] * squares),
    )


def vector_names(vectors: Sequence[Dictionary]) -> tuple[str, ...]:
    """The observables, with their paths where one observable comes by several."""
    names = [name for each in vectors for name in each.names or map(str, range(each.n_features))]
    if len(set(names)) < len(names) and all(each.n_features == 1 for each in vectors):
        names = [each.name for each in vectors]
    return tuple(names)


def check_together(vectors: Any) -> list[Dictionary]:
    """The dictionaries, one or several. Raises `ValueError` for none, several models or sites."""
    one = isinstance(vectors, (Dictionary, Dictionaries))
    several = [vectors] if one else list(vectors)
    each = [
        dictionary
        for given in several
        for dictionary in (given.values() if isinstance(given, Dictionaries) else [given])
    ]
    if not each:
        raise ValueError(
            "Vectors are dictionaries, at least one, as propagate() gives them; got none."
        )
    first = each[0]
    for one in each:
        if (one.model, one.site) != (first.model, first.site):
            raise ValueError(
                "Vectors are compared in one residual stream of one model; got "
                f"{first.model} {first.site} and {one.model} {one.site}. Propagate them to paths "
                "that begin at the same layer."
            )
    return each
