"""Absorption and hedging: whether a concept's feature leaves out, or mixes in, narrower ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..concepts import Concepts
from ..dictionary.base import Dictionary
from .concept_detection import Candidates, encoded
from .concept_vectors import Vectors, WordMeans

#: A feature stands in for a concept if its decoder row has this cosine with the concept's direction
SMALLEST_COSINE = 0.1
#: and carries this share of what the activation has of that direction.
CARRIED = 0.4


@dataclass(frozen=True, eq=False)
class Absorption:
    """present, absorbed: (concept, text) positions at which the activation has the concept, and
    those of them that were absorbed. fraction: (concept,) mean share carried by other features.
    """

    present: np.ndarray
    absorbed: np.ndarray
    fraction: np.ndarray


def absorption(
    dictionary: Dictionary, candidates: Candidates, vectors: Vectors, means: WordMeans
) -> Absorption:
    """Where a concept's own features are silent on its words and another carries its direction.

    A concept's direction p, of length 1, points from the mean of its rivals (the words of the rest
    of its family; all other positions where it has none) to its own mean. The activation y has the
    concept at one of its words if (y − rivals) · p is more than half of what it is on average.
    There the concept is absorbed if its main features (`Candidates.split`) are all 0 and one
    other feature, whose decoder row has a cosine of at least 0.1 with p, adds at least 0.4 of
    (y − rivals) · p. fraction: Σ other / (Σ main + Σ other) of what features with that cosine, and
    main ones, add along p. NaN for signed codes, which are never silent.

    Source: Chanin et al. 2024 (arXiv:2409.14507), section 4; "full absorption" and "absorption
    fraction" as in SAEBench (Karvonen et al. 2025), with means in place of logistic probes.
    """
    n_concepts = means.membership.shape[1]
    shape = (n_concepts, vectors.n_texts)
    present, absorbed = (torch.zeros(shape, dtype=torch.float64) for _ in range(2))
    if dictionary.encoder.signed:
        nan = np.full(n_concepts, np.nan)
        return Absorption(present.numpy(), absorbed.numpy(), nan)
    rivals, own = means.of_rivals, means.of_concepts
    towards = torch.nn.functional.normalize(own - rivals, dim=-1)
    half = 0.5 * ((own - rivals) * towards).sum(-1)
    along = (dictionary.directions.double().cpu() @ towards.T) >= SMALLEST_COSINE
    written = dictionary.W_dec.double().cpu() @ towards.T
    total = torch.zeros(n_concepts, dtype=torch.float64)
    for batch, codes in encoded(dictionary, vectors, words_only=True):
        y = batch.at[dictionary.out_site].double().cpu()
        size = _size(dictionary, batch.at[dictionary.site])
        codes = codes.double().cpu()
        labels = means.membership[batch.words]
        for concept in range(n_concepts):
            wanted = (y - rivals[concept]) @ towards[concept]
            rows = labels[:, concept] & (wanted > half[concept])
            if not bool(rows.any()):
                continue
            main = torch.as_tensor(candidates.split(concept))
            added = codes[rows] * written[:, concept] * size[rows]
            silent = (codes[rows][:, main] <= 0).all(-1)
            of_main = added[:, main].sum(-1).clamp(min=0)
            other = added * along[:, concept]
            other[:, main] = 0.0
            full = silent & (other.amax(-1) >= CARRIED * wanted[rows])
            of_other = other.clamp(min=0).sum(-1)
            both = of_main + of_other
            share = torch.where(both > 0, of_other / both.clamp(min=1e-30), 0.0)
            total[concept] += share.sum()
            texts = batch.texts[rows]
            present[concept] += torch.bincount(texts, minlength=shape[1])
            absorbed[concept] += torch.bincount(texts[full], minlength=shape[1])
    fraction = (total / present.sum(-1)).numpy()
    return Absorption(present.numpy(), absorbed.numpy(), fraction)


def hedging(
    dictionary: Dictionary, features: np.ndarray, concepts: Concepts, means: WordMeans
) -> tuple[np.ndarray, np.ndarray]:
    """(concept,) how far each concept's feature points at its children, and what chance gives.

    The share of the squared length of the feature's decoder row that lies in the span of (mean of
    a child's words − mean of the concept's words): 0 where the feature says only what the children
    have in common, 1 where it only tells them apart. Chance: n / d_out for a span of n
    directions. NaN for a concept without children.

    Hedging is what Chanin et al. 2025 (arXiv:2505.11756) call a feature that mixes in parts of
    correlated ones. They measure it by adding features to the dictionary and training on; this
    reads it off where the correlated features, the children, are known.
    """
    own = means.of_concepts
    rows = dictionary.directions.double().cpu()[torch.as_tensor(features)]
    share, chance = np.full(len(concepts), np.nan), np.full(len(concepts), np.nan)
    for at, name in enumerate(concepts.names):
        children = [concepts.names.index(child) for child in concepts.children(name)]
        apart = own[children] - own[at]
        if not children or not bool(apart.isfinite().all()):
            continue
        _, sizes, basis = torch.linalg.svd(apart, full_matrices=False)
        # Differences from the common mean are dependent: one direction is only rounding.
        basis = basis[sizes > 1e-3 * float(sizes.max().clamp(min=1e-30))]
        share[at] = float((basis @ rows[at]).pow(2).sum())
        chance[at] = len(basis) / rows.shape[-1]
    return share, chance


def _size(dictionary: Dictionary, x: torch.Tensor) -> torch.Tensor:
    """(n, 1) what a unit of code is multiplied by before it is added to the activation."""
    if dictionary.is_transcoder:
        return torch.ones(len(x), 1, dtype=torch.float64)
    _, _, size = dictionary.normalization.split(x.to(dictionary.W_dec))
    return torch.as_tensor(size).double().cpu().expand(len(x), 1)
