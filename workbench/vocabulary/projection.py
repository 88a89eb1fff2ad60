"""Projection: directions of the residual stream as a number for every token, and as words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from ..activations import Moments
from ..check import whole
from ..model import Model, Norm
from ..readout import top_k
from ..site import Site
from ..writers import mlp_norm

NormChoice = Literal["folded", "none"]
#: A token as the model stores its embedding, or as it leaves block 0 when it stands alone.
EmbeddingChoice = Literal["weights", "first_block"]
#: Tokens of a batch of one-token passes.
PASSES = 512


@dataclass(frozen=True, eq=False)
class Projection:
    """Directions (…, d_model) → (…, d_vocab), the tokens that the tokenizer knows.

    Every direction counts at the size that a final norm would give it (a root mean square of 1), so
    that directions of any length compare; `sizes` says what it was divided by. matrix: (d_model,
    d_vocab). norm: whose centring and weight a direction passes first, None for neither; its bias
    belongs to no direction and is left out. column_scale: (d_vocab,) what the columns are
    multiplied by afterwards, None for 1.
    """

    matrix: torch.Tensor
    norm: Norm | None
    scale: float = 1.0
    column_scale: torch.Tensor | None = None

    @property
    def d_vocab(self) -> int:
        return self.matrix.shape[1]

    def sizes(self, directions: torch.Tensor) -> torch.Tensor:
        """(…, 1): the root mean square of each direction, centred where the norm centres."""
        centred = directions if self.norm is None else self.norm.center(directions)
        return centred.float().pow(2).mean(-1, keepdim=True).sqrt()

    def prepare(self, directions: torch.Tensor) -> torch.Tensor:
        """(…, d_model): what is multiplied with `matrix`. A direction of zeros stays one."""
        sizes = self.sizes(directions).to(directions.dtype)
        unit = directions / sizes.where(sizes > 0, 1)
        return unit if self.norm is None else self.norm.center(unit) * self.norm.weight

    def of_prepared(self, prepared: torch.Tensor) -> torch.Tensor:
        """(…, d_vocab) float32 of what `prepare` gave."""
        return self.scaled((prepared @ self.matrix).float())

    def scaled(self, products: torch.Tensor) -> torch.Tensor:
        """The float32 products of prepared directions and `matrix`, scaled in place."""
        if self.scale != 1:
            products *= self.scale
        return products if self.column_scale is None else products.mul_(self.column_scale)

    def __call__(self, directions: torch.Tensor) -> torch.Tensor:
        return self.of_prepared(self.prepare(directions))


def writing_projection(model: Model, norm: NormChoice = "folded") -> Projection:
    """For what is written into the residual stream: the read-out of the logit lens, less biases.

    A number is the logit that a direction has when it is all there is in the residual stream.
    norm: "folded" passes directions through the final norm's centring and weight, "none" leaves
    both out.
    """
    folded = model.norm("ln_final") if norm == "folded" else None
    return Projection(
        model.weight("W_U", copy=False)[:, : n_words(model)], folded, model.spec.logit_scale
    )


def reading_projection(model: Model, norm: NormChoice = "folded") -> Projection:
    """For what is read from the residual stream: a number is what a token's embedding gives.

    Directions are rows of weights, with the reader's norm folded in or not.
    A token's embedding is taken as all there is in the residual stream: at the size that the
    reader's norm gives it ("folded"), or as it is stored ("none"). Directions are not resized: the
    numbers are a neuron's pre-activation less its bias, in its own units.
    """
    embedding = token_embeddings(model)[: n_words(model)]
    scale = None
    if norm == "folded":
        first = model.norm("ln1", 0) or model.norm("ln2", 0)
        sizes = _row_sizes(embedding, first is not None and first.centers)
        scale = 1 / sizes.where(sizes > 0, 1)
    return ReadingProjection(embedding.T, None, column_scale=scale)


def _row_sizes(rows: torch.Tensor, centers: bool) -> torch.Tensor:
    """(n,) root mean squares of rows, in float32 at least, without a copy of all of them."""
    dtype = torch.promote_types(rows.dtype, torch.float32)
    square = torch.linalg.vector_norm(rows, dim=1, dtype=dtype).pow(2) / rows.shape[1]
    if centers:
        square = square - rows.mean(1, dtype=dtype).pow(2)
    return square.clamp(min=0).sqrt()


class ReadingProjection(Projection):
    """A projection that leaves directions at their own size."""

    def prepare(self, directions: torch.Tensor) -> torch.Tensor:
        return directions


def n_words(model: Model) -> int:
    """How many tokens have a name: a vocabulary may be padded beyond what its tokenizer knows."""
    return min(model.spec.d_vocab, len(model.tokenizer))  # pyright: ignore[reportArgumentType]


def token_embeddings(model: Model) -> torch.Tensor:
    """(d_vocab, d_model): W_E, as the model stores it.

    Raises `ValueError` where embeddings have another width than the residual stream.
    """
    embedding = model.weight("W_E", copy=False)
    if embedding.shape[1] != model.spec.d_model:
        raise ValueError(
            f"Weights are read in the embedding where it has the residual stream's width; "
            f"{model.spec.name} embeds tokens in {embedding.shape[1]} and computes in "
            f"{model.spec.d_model}. Read only what is written instead (sides='out', details=False)."
        )
    return embedding


# -- what a token alone puts into the stream ------------------------------------------------------


def word_streams(
    model: Model,
    embedding: EmbeddingChoice,
    ids: Sequence[int] | None = None,
    *,
    progress: bool = False,
) -> Iterator[torch.Tensor]:
    """(token, d_model) in batches: the streams of tokens that stand alone, None for all of them."""
    ids, site = range(n_words(model)) if ids is None else ids, Site("resid_post", 0)
    with tqdm(total=len(ids), disable=not progress, leave=False) as bar:
        for start in range(0, len(ids), PASSES):
            chosen = list(ids[start : start + PASSES])
            with torch.no_grad():
                if embedding == "weights":
                    stream = token_embeddings(model)[chosen]
                else:
                    run = model.run([[i] for i in chosen], read=site, logits_at=(), stop_after=site)
                    stream = run[site][:, 0].clone()
            yield stream
            bar.update(len(chosen))


def normed(norm: Norm | None, streams: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Streams in float32, centred and divided as a norm does, its weight left out."""
    for stream in streams:
        x = stream.float()
        yield x if norm is None else norm.center(x) / norm.scale(x)


def embedding_at(site: Site) -> EmbeddingChoice:
    """What stands for a token at a site: as it is stored where block 0 reads, else as it leaves it.

    Later blocks read tokens as block 0, above all its MLP, has rewritten them.
    """
    return "weights" if site.layer == 0 and site.stream != "resid_post" else "first_block"


def norm_at(model: Model, site: Site) -> Norm | None:
    """The norm through which the residual stream is read at a site; None where there is none.

    Raises `ValueError` for a site of another stream.
    """
    if site.stream not in ("resid_pre", "resid_mid", "resid_post"):
        raise ValueError(
            "Tokens standing alone are read in the residual stream; got vectors of "
            f"{site}. Read them with space='embed' or 'unembed'."
        )
    layer = int(site.layer or 0) + (site.stream == "resid_post")
    if layer == model.spec.n_layers:
        return model.norm("ln_final")
    return mlp_norm(model, layer) if site.stream == "resid_mid" else model.norm("ln1", layer)


def site_projection(model: Model, site: Site) -> Projection:
    """For what is read at a site: a number is what a token's own stream gives, through the norm."""
    streams = normed(norm_at(model, site), word_streams(model, embedding_at(site)))
    return ReadingProjection(torch.cat(list(streams)).T, None)


# -- words of directions --------------------------------------------------------------------------


MEASURES = ("share", "kurtosis")
#: Bytes of the array (row, d_vocab) that one matrix product fills. Smaller ones multiply slower.
BATCH = 64 << 20
#: Bytes of it that are looked at together, which still lie in the cache at the last look.
TILE = 1 << 20
#: On a GPU a tile is all of a batch: what counts there is how few kernels are started.
LAUNCH = 512 << 20


@dataclass(frozen=True, eq=False)
class Read:
    """What was read of n directions; numpy arrays, float32 and int32.

    top_ids, top_values: (n, k) the tokens with the largest numbers, largest first. bottom_ids,
    bottom_values: (n, k) the smallest, smallest first. share: (n,) the probability of the top token
    in a softmax of the row. kurtosis: (n,) excess kurtosis over the vocabulary, 0 for a Gaussian
    (and for a row without any spread). sizes: (n,) `Projection.sizes`. What was not asked for is
    None.
    """

    top_ids: np.ndarray
    top_values: np.ndarray
    bottom_ids: np.ndarray | None
    bottom_values: np.ndarray | None
    share: np.ndarray | None
    kurtosis: np.ndarray | None
    sizes: np.ndarray

    @classmethod
    def empty(cls, n: int, k: int, bottom: bool, measures: Sequence[str]) -> Read:
        """All arrays before anything is read."""

        def array(wanted: bool, *shape: int, dtype: Any = np.float32) -> Any:
            return np.empty((n, *shape), dtype) if wanted else None

        return cls(
            top_ids=array(True, k, dtype=np.int32),
            top_values=array(True, k),
            bottom_ids=array(bottom, k, dtype=np.int32),
            bottom_values=array(bottom, k),
            share=array("share" in measures),
            kurtosis=array("kurtosis" in measures),
            sizes=array(True),
        )

    @classmethod
    def stack(cls, parts: Sequence[Read]) -> Read:
        """The parts, of one shape, along a new first axis."""
        return cls._together(parts, np.stack)

    @classmethod
    def joined(cls, parts: Sequence[Read]) -> Read:
        """The parts one behind the other."""
        return cls._together(parts, np.concatenate)

    @classmethod
    def _together(cls, parts: Sequence[Read], join: Callable[[Any], np.ndarray]) -> Read:
        def of(name: str) -> Any:
            arrays = [getattr(part, name) for part in parts]
            # What one part was not asked for is not known of all.
            return None if any(array is None for array in arrays) else join(arrays)

        return cls(**{f.name: of(f.name) for f in fields(cls)})


def read_words(
    projection: Projection,
    directions: torch.Tensor,
    *,
    k: int,
    bottom: bool = False,
    measures: Sequence[str] = MEASURES,
    progress: bool = False,
    description: str = "",
) -> Read:
    """The top k words of each direction (n, d_model), and what else is asked for, as `Read`.

    bottom: the k words with the smallest numbers too, those that a negative activation promotes.
    measures: some of "share" and "kurtosis". description: what stands before the progress bar.

    Products are formed a batch of rows at a time and looked at tile by tile while they lie in
    the cache. Raises `ValueError` for a k beyond the vocabulary, for an unknown measure, and for
    directions of another width.
    """
    check_k(k, projection.d_vocab)
    check_measures(measures)
    d_model = projection.matrix.shape[0]
    if directions.ndim != 2 or directions.shape[1] != d_model:
        raise ValueError(
            f"Directions are rows as wide as the residual stream, (n, {d_model}); got the shape "
            f"{tuple(directions.shape)}."
        )
    words = Read.empty(len(directions), k, bottom, measures)
    with torch.no_grad():
        for at, values in _tiles(projection, directions, words.sizes, progress, description):
            _read_tile(values, words, at, k)
    return words


def check_k(k: Any, d_vocab: int) -> None:
    """Raises `ValueError` for what is no number of tokens of this vocabulary."""
    whole("k", k, 1, d_vocab, "The vocabulary has no more words.")


def check_measures(measures: Sequence[str]) -> None:
    """Raises `ValueError` for a measure that is not one of `MEASURES`."""
    if isinstance(measures, str) or (set(measures) - set(MEASURES)):
        raise ValueError(f"measures is some of {MEASURES}; got {measures!r}. () leaves both out.")


def _tiles(
    projection: Projection, directions: torch.Tensor, sizes: np.ndarray, progress: bool, text: str
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Rows of the array (n, d_vocab), float32, each tile to be overwritten; fills `sizes`."""
    n, row = len(directions), 4 * projection.d_vocab
    on_cpu = directions.device.type == "cpu"
    batch = min(n, max(1, (BATCH if on_cpu else LAUNCH) // row))
    tile = max(1, (TILE if on_cpu else LAUNCH) // row)
    # One buffer for all batches: fresh memory costs as much as the looking.
    buffer = directions.new_empty(batch, projection.d_vocab)
    with tqdm(total=n, desc=text or None, disable=not progress, leave=False) as bar:
        for start in range(0, n, batch):
            some = directions[start : start + batch]
            sizes[start : start + batch] = _numpy(projection.sizes(some)[:, 0])
            products = buffer[: len(some)]
            torch.matmul(projection.prepare(some), projection.matrix, out=products)
            for first in range(0, len(some), tile):
                values = projection.scaled(products[first : first + tile].float())
                at = slice(start + first, start + first + len(values))
                yield at, values
            bar.update(len(some))


def _read_tile(values: torch.Tensor, into: Read, at: slice, k: int) -> None:
    """Read one tile of numbers (row, d_vocab), which is overwritten, into its rows."""
    highest, ids = top_k(values, k)
    into.top_ids[at], into.top_values[at] = _numpy(ids), _numpy(highest)
    if into.bottom_ids is not None and into.bottom_values is not None:
        lowest, ids = top_k(values, k, largest=False)
        into.bottom_ids[at], into.bottom_values[at] = _numpy(ids), _numpy(lowest)
    if into.share is not None:
        # The top word's own term of the sum is 1.
        total = (values - highest[:, :1]).exp_().sum(-1)
        into.share[at] = _numpy(1 / total)
    if into.kurtosis is not None:
        squares = values.sub_(values.mean(-1, keepdim=True)).square_()
        variance = squares.mean(-1)
        fourth = squares.square_().mean(-1)
        ratio = fourth / variance.square().where(variance > 0, 1) - 3
        into.kurtosis[at] = _numpy(ratio.where(variance > 0, 0))


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


# -- mean and spread over the vocabulary ----------------------------------------------------------


#: Columns of a projection that are looked at at once.
COLUMNS = 8192


@dataclass(frozen=True, eq=False)
class ColumnMoments:
    """Mean (d_model,) and covariance (d_model, d_model) of a projection's columns, in float64.

    The numbers of a direction d over the vocabulary then have the mean d · mean and the variance
    d · covariance · d: exact, and as cheap for a whole layer as a few tokens are.
    """

    projection: Projection
    mean: torch.Tensor
    covariance: torch.Tensor

    @classmethod
    def of(cls, projection: Projection) -> ColumnMoments:
        moments = Moments(covariance=True)
        for start in range(0, projection.d_vocab, COLUMNS):
            moments.add(columns(projection, slice(start, start + COLUMNS)).T)
        return cls(projection, moments.mean, moments.covariance)

    def standard_scores(self, directions: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
        """(n, id) float32: tokens' numbers in standard deviations from each direction's mean.

        directions: (n, d_model). 0 for a direction whose numbers are all equal.
        """
        prepared = self.projection.prepare(directions).double()
        values = prepared @ columns(self.projection, list(ids))
        centred = values - (prepared @ self.mean)[:, None]
        deviation = ((prepared @ self.covariance) * prepared).sum(-1).clamp(min=0).sqrt()
        some = deviation > 0
        return (centred * some[:, None] / deviation.where(some, 1)[:, None]).float()


def columns(projection: Projection, chosen: slice | list[int]) -> torch.Tensor:
    """(d_model, column) float64: columns of the matrix with their scale."""
    some = projection.matrix[:, chosen].double() * projection.scale
    return some if projection.column_scale is None else some * projection.column_scale[chosen]


def joined(vocabulary: tuple[str, ...], ids: np.ndarray) -> list[str]:
    """Each row of ids (n, k) as one text: its tokens between bars."""
    return ["|".join(vocabulary[i] for i in row) for row in ids.tolist()]


def word_lines(
    vocabulary: Sequence[str], ends: Mapping[str, Any], rows: Mapping[str, Sequence[Any]]
) -> pd.DataFrame:
    """One line a word: the labels of its row, end, rank (1 = first), token and value.

    ends: by name ("top", "bottom") ids and values, (row, k) each. rows: the labels of the rows.
    """
    frames = []
    for end, (ids, values) in ends.items():
        n, k = ids.shape
        columns = {name: np.repeat(np.array(each, object), k) for name, each in rows.items()}
        columns |= {"end": end, "rank": np.tile(np.arange(1, k + 1), n)}
        columns |= {"token": [vocabulary[i] for i in ids.ravel().tolist()], "value": values.ravel()}
        frames.append(pd.DataFrame(columns))
    # By row, then by end.
    order = np.argsort([i for f in frames for i in f.index // k], kind="stable")
    return pd.concat(frames, ignore_index=True).iloc[order].reset_index(drop=True)


# -- norms beside weights -------------------------------------------------------------------------


def before(norm: Norm | None, directions: torch.Tensor) -> torch.Tensor:
    """Directions that read a normed stream, as directions that read the stream itself."""
    return directions if norm is None else norm.center(directions * norm.weight)


def behind(norm: Norm | None, directions: torch.Tensor) -> torch.Tensor:
    """What is left of written directions behind a norm whose division is left out."""
    return directions if norm is None else norm.center(directions) * norm.weight
