"""Vectors: what stands at some sites at every position of the texts, and which word is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..activations import activations, answered, batches, check_texts
from ..concepts import Concepts, ConceptTokens
from ..model import Model
from ..site import Site

#: Up to so many numbers are kept in place of running the model again at the next pass.
KEPT = 2**26


@dataclass(frozen=True, eq=False)
class VectorBatch:
    """Positions of some texts: at (n, d) by site, words (n,) with −1 for none, texts (n,)."""

    at: dict[Site, torch.Tensor]
    words: torch.Tensor
    texts: torch.Tensor

    def __len__(self) -> int:
        return len(self.words)

    def take(self, rows: torch.Tensor) -> VectorBatch:
        """Some of the positions, by number or by a mask."""
        at = {site: x[rows.to(x.device)] for site, x in self.at.items()}
        return VectorBatch(at, self.words[rows], self.texts[rows])


class Vectors:
    """The vectors of some sites over texts, batch by batch, as often as they are asked for.

    What is small is kept; else the model runs again at every pass, so that memory is bounded.
    n_texts: how many texts.
    """

    def __init__(
        self,
        model: Model,
        sites: Sequence[Site],
        texts: Any,
        tokens: ConceptTokens,
        *,
        batch_size: int = 16,
        title: str = "",
        progress: bool = False,
    ) -> None:
        self.n_texts = check_texts(texts)
        self._model, self._sites, self._texts = model, sorted(set(sites)), texts
        self._tokens, self._batch_size = tokens, batch_size
        self._title, self._progress = title, progress
        self._kept: list[VectorBatch] | None = None

    @classmethod
    def of(cls, batch: VectorBatch) -> Vectors:
        """Vectors that are there already."""
        self = cls.__new__(cls)
        self.n_texts = int(batch.texts.max()) + 1
        self._kept = [batch]
        return self

    def __iter__(self) -> Iterator[VectorBatch]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[VectorBatch] | None = []
        numbers = 0
        for batch in self._read():
            numbers += sum(x.numel() for x in batch.at.values())
            if numbers > KEPT:
                kept = None
            if kept is not None:
                kept.append(batch)
            yield batch
        self._kept = kept

    def _read(self) -> Iterator[VectorBatch]:
        for rows, tokens in batches(
            self._model, self._texts, self._batch_size, title=self._title, progress=self._progress
        ):
            with torch.no_grad():
                run = self._model.run(tokens, read=self._sites, stop_after=self._sites[-1])
            mask = tokens.mask
            text = torch.arange(rows.start, rows.stop)[:, None].expand(mask.shape)
            yield VectorBatch(
                {site: run[site][mask.to(run[site].device)] for site in self._sites},
                self._tokens.word_numbers(tokens.ids)[mask].cpu(),
                text[mask.cpu()],
            )


@dataclass(frozen=True, eq=False)
class WordMeans:
    """Sums of the vectors of a site by word, from which every concept's mean follows; float64.

    sums: (word, d). counts: (word,). total: (d,) and n over all positions. membership: (word,
    concept) bool. rivals: (concept, concept) bool, the others of each concept's family.
    """

    sums: torch.Tensor
    counts: torch.Tensor
    total: torch.Tensor
    n: int
    membership: torch.Tensor
    rivals: torch.Tensor

    @classmethod
    def of(
        cls, vectors: Vectors, site: Site, member: torch.Tensor, families: Sequence[str]
    ) -> WordMeans:
        """The sums over one pass; families: of each concept."""
        sums: Any = None
        counts = torch.zeros(len(member), dtype=torch.float64)
        total: Any = 0.0
        n = 0
        for batch in vectors:
            x = batch.at[site].double().cpu()
            if sums is None:
                sums = torch.zeros(len(member), x.shape[-1], dtype=torch.float64)
            there = batch.words >= 0
            sums.index_add_(0, batch.words[there], x[there])
            counts += torch.bincount(batch.words[there], minlength=len(member))
            total, n = total + x.sum(0), n + len(x)
        rivals = torch.tensor([[a == b and i != j for j, b in enumerate(families)]
                               for i, a in enumerate(families)])  # fmt: skip
        return cls(sums, counts, total, n, member, rivals)

    @property
    def found(self) -> torch.Tensor:
        """(concept,) how many positions are words of each concept."""
        return self.membership.double().T @ self.counts

    @property
    def of_concepts(self) -> torch.Tensor:
        """(concept, d) the mean over each concept's words; NaN where none is there."""
        return (self.membership.double().T @ self.sums) / self.found[:, None]

    @property
    def of_others(self) -> torch.Tensor:
        """(concept, d) the mean over all positions that are not a word of the concept."""
        rest = self.total - self.membership.double().T @ self.sums
        return rest / (self.n - self.found)[:, None]

    @property
    def of_rivals(self) -> torch.Tensor:
        """(concept, d) the mean over the words of the rest of its family, where it has one."""
        words = (self.rivals.double() @ self.membership.double().T) > 0
        counts = words.double() @ self.counts
        means = (words.double() @ self.sums) / counts[:, None]
        return torch.where(counts[:, None] > 0, means, self.of_others)


@dataclass(frozen=True, eq=False)
class AskedConcepts:
    """Concepts at the positions where a question is answered that they decide.

    A word's concept is needed there, and there it no longer stands as it did at the word. names,
    families: of each. vectors: the last positions of prompts about the fitting words of each
    concept that the model answers right; a batch's `words` are numbers among the names.
    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    vectors: Vectors

    @property
    def membership(self) -> torch.Tensor:
        """(name, name): each is itself."""
        return torch.eye(len(self.names), dtype=torch.bool)

    def means(self, site: Site) -> WordMeans:
        """The mean at each concept's answers."""
        return WordMeans.of(self.vectors, site, self.membership, self.families)


def asked_concepts(
    model: Model, tokens: ConceptTokens, sites: Sequence[Site]
) -> AskedConcepts | None:
    """The concepts that decide answers; None where there are no such questions.

    A concept of which no prompt is answered right is left out, and so is a family with only one
    left. Raises `ValueError` for an answer that is several tokens.
    """
    cases = answered(model, tokens)
    if not cases:
        return None
    concepts = [tokens.concepts[name] for name, _ in cases]
    names = tuple(c.name for c in tokens.concepts.concepts if c in concepts)
    found = activations(model, [prompt for _, prompt in cases], sorted(set(sites)))
    batch = VectorBatch(
        {site: torch.as_tensor(found[site].copy()) for site in sites},
        torch.tensor([names.index(c.name) for c in concepts]),
        torch.arange(len(cases)),
    )
    families = tuple(tokens.concepts[name].family for name in names)
    return AskedConcepts(names, families, Vectors.of(batch))


def word_means(vectors: Vectors, site: Site, tokens: ConceptTokens) -> WordMeans:
    """The mean at each concept's words."""
    families = [concept.family for concept in tokens.concepts.concepts]
    return WordMeans.of(vectors, site, tokens.membership, families)


def check_found(means: WordMeans, concepts: Concepts, where: str) -> None:
    """Raises `ValueError` where a concept has no word in the texts."""
    missing = [name for name, n in zip(concepts.names, means.found, strict=True) if n == 0]
    if missing:
        raise ValueError(
            f"Every concept has a word in {where}; there is none of {', '.join(missing)}. Give "
            "more texts, or leave the concept out: concepts.only(families)."
        )
