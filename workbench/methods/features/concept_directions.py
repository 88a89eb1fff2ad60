"""Concept directions: dictionaries that were told the concepts, and one that knows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm.auto import tqdm

from ...check import Count, Positive, Seed, checked
from ...concepts import Concept, Concepts, ConceptTokens
from ...dictionary.base import Dictionary
from ...dictionary.encoders import Linear
from ...model import Model
from ...site import Site
from .concept_detection import labels_of
from .concept_prompts import asked_concepts, check_found, word_means
from .vectors import Vectors, WordMeans

#: What is added to the counts of a regression on concepts, in words: a parent is the sum of its
#: children, so that without it no solution is the only one.
RIDGE = 1.0
#: Steps of the probes of answers.
PROBE_STEPS = 200


@checked
def difference_in_means(
    model: Model,
    site: Site | str,
    concepts: Concepts,
    texts: Any,
    *,
    batch_size: Count = 16,
    progress: bool = True,
) -> Dictionary:
    """A dictionary of one direction a concept: mean of its words − mean of all other positions.

    For concepts that decide the answers of questions there is a second direction, of where such
    questions are answered: mean over prompts about its (fitting) words − mean over those of the
    rest of its family. A code is how far along its direction an activation lies, 0 at the mean of
    the others and 1 at the concept's own; it is signed. `info["concepts"]` names the features.
    b_dec: the mean of all positions.

    Raises `ValueError` for a word or answer that is several tokens and for a concept without a
    word in the texts. Source: Marks and Tegmark 2023 (arXiv:2310.06824), section 4.
    """
    source = _Source.of(model, site, concepts, texts, batch_size, progress)
    parts = []
    for means, others in source.with_others:
        direction = means.of_concepts - others
        W_enc = direction / direction.pow(2).sum(-1, keepdim=True).clamp(min=1e-30)
        parts.append((W_enc, -(W_enc * others).sum(-1), direction))
    return source.dictionary("difference in means", parts)


@checked
def supervised_dictionary(
    model: Model,
    site: Site | str,
    concepts: Concepts,
    texts: Any,
    *,
    epochs: Count = 20,
    lr: Positive = 0.02,
    batch_size: Count = 16,
    seed: Seed = 0,
    progress: bool = True,
) -> Dictionary:
    """A dictionary of one probe a concept, which reads it, and one direction, which writes it.

    Reads: logistic regression of each concept against all other positions, on standardised
    activations by Adam; a code is the logit, moved and scaled so that it is 0 on average at the
    others and 1 at the concept's words. Writes: W_dec is the regression of the activations on all
    concepts together (least squares, 1 added to each count), what each concept adds beside the
    others, since the direction that tells a concept best is not the one that carries it (Haufe et
    al. 2014). As in `difference_in_means`, concepts that decide answers have a second feature.
    seed: of the order of the positions.

    Raises `ValueError` as `difference_in_means`, and for epochs below 1.
    Source: Makelov, Lange and Nanda 2024 (arXiv:2405.08366), supervised dictionaries.
    """
    source = _Source.of(model, site, concepts, texts, batch_size, progress)
    parts = []
    for vectors, (means, others) in zip(source.vectors, source.with_others, strict=True):
        # Few prompts are one batch, which is gone through as often as many batches would be.
        n_steps = max(epochs, PROBE_STEPS if vectors is not source.vectors[0] else 0)
        weight, bias = _probes(vectors, source.site, means, n_steps, lr, seed, progress)
        inside, outside = ((weight * x).sum(-1) + bias for x in (means.of_concepts, others))
        width = (inside - outside).clamp(min=1e-6)
        member = means.membership.double()
        both = member.T @ (means.counts[:, None] * member)
        both = both - torch.outer(means.found, means.found) / means.n
        product = member.T @ means.sums - means.found[:, None] * (means.total / means.n)
        W_dec = torch.linalg.solve(both + RIDGE * torch.eye(len(both)).double(), product)
        parts.append((weight / width[:, None], (bias - outside) / width, W_dec))
    return source.dictionary("supervised", parts)


@checked
def random_dictionary(
    model: Model,
    site: Site | str,
    n_features: Count,
    *,
    texts: Any = None,
    seed: Seed = 0,
    batch_size: Count = 16,
) -> Dictionary:
    """A dictionary of random directions: what any dictionary has to beat.

    Directions are even on the sphere; a code is the activation, less its mean over the texts, along
    one of them, and signed. Decoded together the codes give about the activation back. texts: None
    takes no mean away. Raises `ValueError` for no features.
    """
    site = model.spec.check(site)
    d = model.spec.d_mlp if site.axes[-1] == "d_mlp" else model.spec.d_model
    mean = torch.zeros(d, dtype=torch.float64)
    if texts is not None:
        nothing = ConceptTokens(
            Concepts("", (Concept("none", "", ("none",)),)), ("none",), ((),), model.spec.d_vocab
        )
        vectors = Vectors(model, [site], texts, nothing, batch_size=batch_size)
        means = word_means(vectors, site, nothing)
        mean = means.total / means.n
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(n_features, d, generator=generator, dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    return Dictionary(
        site,
        Linear(directions.T.float().contiguous(), -(directions @ mean).float()),
        (directions * min(1.0, d / n_features)).float(),
        mean.float(),
        model=model.spec.name,
        name="random directions",
        info={"seed": seed},
    ).to(model.spec.device)


@dataclass(frozen=True, eq=False)
class _Source:
    """What directions are fitted with at one site: texts, and prompts where there are questions.

    vectors, means: one of each for the words, and one for the answers of questions.
    """

    model: Model
    site: Site
    names: tuple[str, ...]
    vectors: tuple[Vectors, ...]
    means: tuple[WordMeans, ...]

    @classmethod
    def of(
        cls,
        model: Model,
        site: Site | str,
        concepts: Concepts,
        texts: Any,
        batch_size: int,
        progress: bool,
    ) -> _Source:
        site, tokens = model.spec.check(site), concepts.on(model)
        vectors = Vectors(
            model, [site], texts, tokens, batch_size=batch_size, title=f"{site}", progress=progress
        )
        means = word_means(vectors, site, tokens)
        check_found(means, concepts, "the texts")
        asked = asked_concepts(model, tokens, [site], batch_size=batch_size)
        if asked is None:
            return cls(model, site, concepts.names, (vectors,), (means,))
        names = (*concepts.names, *(f"{name}, asked" for name in asked.names))
        return cls(model, site, names, (vectors, asked.vectors), (means, asked.means(site)))

    @property
    def with_others(self) -> Iterator[tuple[WordMeans, torch.Tensor]]:
        """The means, and the mean of what each concept is told from."""
        words, *asked = self.means
        yield words, words.of_others
        for means in asked:
            yield means, means.of_rivals

    def dictionary(
        self, name: str, parts: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
    ) -> Dictionary:
        """The dictionary of (W_enc, b_enc, W_dec) of the words and of the answers."""
        W_enc, b_enc, W_dec = (torch.cat(each).float() for each in zip(*parts, strict=True))
        return Dictionary(
            self.site,
            Linear(W_enc.T.contiguous(), b_enc),
            W_dec,
            (self.means[0].total / self.means[0].n).float(),
            model=self.model.spec.name,
            name=name,
            info={"concepts": list(self.names)},
        ).to(self.model.spec.device)


def _probes(
    vectors: Vectors,
    site: Site,
    means: WordMeans,
    epochs: int,
    lr: float,
    seed: int,
    progress: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """weight (concept, d) and bias (concept,) of the logits, float64."""
    mean = (means.total / means.n).float()
    square: Any = 0.0
    n_batches = 0
    for batch in vectors:
        x = batch.at[site].float().cpu() - mean
        square, n_batches = square + x.pow(2).sum(0), n_batches + 1
    spread = (square / means.n).sqrt().clamp(min=1e-6)
    n_concepts = means.membership.shape[1]
    share = (means.found / means.n).float().clamp(1e-6, 1 - 1e-6)
    weight = torch.zeros(n_concepts, len(mean), requires_grad=True)
    # Starting from each concept's share, nothing has to be learnt of how rare it is.
    bias = share.logit().clone().requires_grad_()
    optimizer = torch.optim.Adam([weight, bias], lr=lr)
    generator = torch.Generator().manual_seed(seed)
    bar = tqdm(total=epochs, desc=f"probes at {site}", disable=not progress)
    step, n_steps = 0, epochs * n_batches
    for _ in range(epochs):
        for batch in vectors:
            order = torch.randperm(len(batch), generator=generator)
            x = (batch.at[site].float().cpu() - mean) / spread
            labels = labels_of(batch, means.membership).float()
            optimizer.param_groups[0]["lr"] = lr * (1 - step / n_steps)
            step += 1
            for part in order.split(-(-len(order) // 2)):
                with torch.enable_grad():
                    logits = x[part] @ weight.T + bias
                    loss = torch.nn.functional.binary_cross_entropy_with_logits(
                        logits, labels[part], reduction="none"
                    )
                    loss = loss.mean(0).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        bar.update()
    bar.close()
    final = (weight.detach() / spread).double()
    return final, bias.detach().double() - final @ mean.double()
