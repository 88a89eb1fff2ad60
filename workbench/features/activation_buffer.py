"""Activation buffer: the vectors that a training reads, a bounded number of them at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch

from ..activations import batches
from ..check import given
from ..model import Model
from ..site import Site
from ..tokens import Tokens

#: Texts that go through the model in one pass.
TEXTS_A_PASS = 32

Vectors = dict[Site, "torch.Tensor"]


class Corpus(Protocol):
    """A corpus of vectors that can be read from its beginning, again and again."""

    def batches(self) -> Iterator[Vectors]:
        """The vectors of each batch: of each site (row, d), the same rows at every site."""
        ...


class ModelVectors:
    """The activations of a model's sites over texts: every real position is a vector.

    texts: texts, lists of token ids, `Tokens`, an iterable of them, or a function of no arguments
    that gives one; an iterator can be read only once. Raises `TypeError` for a single text.
    """

    def __init__(self, model: Model, sites: Sequence[Site], texts: Any) -> None:
        if (
            isinstance(texts, (str, bytes))
            or not (isinstance(texts, (Tokens, Iterable)) or callable(texts))
            or getattr(texts, "ndim", 1) == 0
        ):
            raise TypeError(
                "Texts to train on are a list of texts, an iterable of them, or a function that "
                f"gives one; got {given(texts)}. Put a single text into a list."
            )
        if isinstance(texts, Tokens):
            ids = texts.ids.tolist()
            texts = [[ids[r][c] for c in texts.columns(r)] for r in range(texts.n_rows)]
        self.model, self.texts = model, texts
        self.sites = tuple(model.spec.check(site) for site in sites)

    def batches(self) -> Iterator[Vectors]:
        for _, tokens in batches(self.model, begin(self.texts), TEXTS_A_PASS):
            run = self.model.run(tokens, read=self.sites, logits_at=(), stop_after=max(self.sites))
            real = tokens.mask
            yield {site: run[site][real.to(run[site].device)] for site in self.sites}


def begin(stream: Any) -> Iterator[Any]:
    """The first item on: of what a function gives, or of the iterable itself."""
    if not isinstance(stream, Callable):
        return iter(stream)
    try:
        return iter(stream())
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"What is trained on comes from a function of no arguments; {given(stream)} failed: "
            f"{given(str(error))}. Give one that gives an iterable, or the iterable."
        ) from error


def seeded(*parts: Any) -> torch.Generator:
    """A generator on the CPU whose numbers hang on the parts alone."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


class ActivationBuffer:
    """At most `size` vectors a site at a time, shuffled and given out in batches.

    When they are used up the next ones are read, and the corpus begins again at its end. A corpus
    that fits whole is read once and shuffled anew each time. What is left of a shuffle after its
    last whole batch is not given out.

    n_seen: vectors given out. n_corpus: the vectors of the whole corpus, None before its end.
    Raises `ValueError` for an empty corpus, vectors that are not finite, and a stream that ends and
    cannot be begun again.
    """

    def __init__(self, corpus: Corpus, size: int, batch_size: int, seed: int) -> None:
        self.corpus, self.size, self.batch_size, self.seed = corpus, size, batch_size, seed
        self._reader: Iterator[Vectors] | None = None
        #: The vectors; those of the present shuffle are its first `n`.
        self._held: Vectors = {}
        self.n, self.whole = 0, False
        self.shuffle, self.batch = -1, 0
        self.n_seen, self.n_corpus = 0, None
        self._n_read = 0
        self._order: torch.Tensor | None = None

    @property
    def held(self) -> Vectors:
        """The vectors of the present shuffle, (row, d), float32."""
        return {site: x[: self.n] for site, x in self._held.items()}

    @property
    def epochs(self) -> float | None:
        """How often each vector of the corpus was given out, None before its end was reached."""
        return None if self.n_corpus is None else self.n_seen / self.n_corpus

    def fill(self) -> None:
        """Read the first vectors, unless some are held."""
        if self.shuffle < 0:
            self._refill()

    def next_batch(self) -> Vectors:
        """(row, d) float32 at each site, the same rows; `batch_size` of them where there are so
        many."""
        self.fill()
        if (self.batch + 1) * min(self.batch_size, self.n) > self.n:
            self._refill()
        assert self._order is not None
        n = min(self.batch_size, self.n)
        rows = self._order[self.batch * n : (self.batch + 1) * n]
        self.batch += 1
        self.n_seen += n
        return {site: x[rows.to(x.device)] for site, x in self._held.items()}

    def _refill(self) -> None:
        if not self.whole:
            self._read()
        self.shuffle += 1
        self.batch = 0
        generator = seeded(self.seed, "shuffle", self.shuffle)
        self._order = torch.randperm(self.n, generator=generator)

    def _read(self) -> None:
        """Fill the buffer from where reading stopped."""
        at_first, self.n = self._n_read == 0, 0
        if self._reader is None:
            self._reader = self.corpus.batches()
        fruitless = False
        while self.n < self.size:
            vectors = next(self._reader, None)
            if vectors is not None:
                n = self._take(vectors)
                self._n_read += n
                fruitless = fruitless and n == 0
                continue
            if fruitless and self.n:
                # An iterator that is used up: the last of its vectors are still to be given out.
                break
            if fruitless:
                raise ValueError(
                    "A training needs at least one vector to read; the texts gave none."
                    if self._n_read == 0
                    else "The texts came to an end, and being an iterator they cannot be begun "
                    "again. Give a list or a function that gives them anew, fewer steps, or a "
                    f"larger buffer_size than {self.size}."
                )
            self.n_corpus = self._n_read if self.n_corpus is None else self.n_corpus
            if at_first and self.n:
                self.whole = self.n == self._n_read
                if self.whole:
                    break
            fruitless = True
            self._reader = self.corpus.batches()

    def _take(self, vectors: Vectors) -> int:
        """Hold a batch as far as there is room; how many vectors it has."""
        n = len(next(iter(vectors.values())))
        room = min(n, self.size - self.n)
        for site, x in vectors.items():
            if not bool(x.isfinite().all()):
                raise ValueError(
                    f"Vectors to train on are finite numbers; those of {site} have NaN or "
                    "infinity. Look at the model's precision, or at the texts."
                )
            if site not in self._held:
                self._held[site] = torch.empty(self.size, x.shape[-1], device=x.device)
            if x.shape[-1] != self._held[site].shape[-1]:
                raise ValueError(
                    "Vectors to train on are all of one width; got "
                    f"{self._held[site].shape[-1]} and {x.shape[-1]}."
                )
            self._held[site][self.n : self.n + room] = x[:room].detach().float()
        self.n += room
        return n
