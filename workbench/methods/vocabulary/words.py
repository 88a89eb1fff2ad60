"""The chunked kernel of the weight lens: directions in, their top and bottom words out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ...check import whole
from ...readout import top_k
from .projection import Projection

MEASURES = ("share", "kurtosis")
#: Bytes of the array (row, d_vocab) that one matrix product fills. Smaller ones multiply slower.
CHUNK = 64 << 20
#: Bytes of it that are looked at together, which still lie in the cache at the last look.
BLOCK = 1 << 20
#: On a GPU a block is all of a chunk: what counts there is how few kernels are started.
LAUNCH = 512 << 20


@dataclass(frozen=True, eq=False)
class Words:
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
    def empty(cls, n: int, k: int, bottom: bool, measures: Sequence[str]) -> Words:
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
    def stack(cls, parts: Sequence[Words]) -> Words:
        """The parts, of one shape, along a new first axis."""
        return cls._together(parts, np.stack)

    @classmethod
    def joined(cls, parts: Sequence[Words]) -> Words:
        """The parts one behind the other."""
        return cls._together(parts, np.concatenate)

    @classmethod
    def _together(cls, parts: Sequence[Words], join: Callable[[Any], np.ndarray]) -> Words:
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
) -> Words:
    """The top k words of each direction (n, d_model), and what else is asked for, as `Words`.

    bottom: the k words with the smallest numbers too, those that a negative activation promotes.
    measures: some of "share" and "kurtosis". description: what stands before the progress bar.

    Products are formed a chunk of rows at a time and looked at block by block while they lie in
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
    words = Words.empty(len(directions), k, bottom, measures)
    with torch.no_grad():
        for at, values in _blocks(projection, directions, words.sizes, progress, description):
            _read_block(values, words, at, k)
    return words


def check_k(k: Any, d_vocab: int) -> None:
    """Raises `ValueError` for what is no number of tokens of this vocabulary."""
    whole("k", k, 1, d_vocab, "The vocabulary has no more words.")


def check_measures(measures: Sequence[str]) -> None:
    """Raises `ValueError` for a measure that is not one of `MEASURES`."""
    if isinstance(measures, str) or (set(measures) - set(MEASURES)):
        raise ValueError(f"measures is some of {MEASURES}; got {measures!r}. () leaves both out.")


def _blocks(
    projection: Projection, directions: torch.Tensor, sizes: np.ndarray, progress: bool, text: str
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Rows of the array (n, d_vocab), float32, each block to be overwritten; fills `sizes`."""
    n, row = len(directions), 4 * projection.d_vocab
    on_cpu = directions.device.type == "cpu"
    chunk = min(n, max(1, (CHUNK if on_cpu else LAUNCH) // row))
    block = max(1, (BLOCK if on_cpu else LAUNCH) // row)
    # One buffer for all chunks: fresh memory costs as much as the looking.
    buffer = directions.new_empty(chunk, projection.d_vocab)
    with tqdm(total=n, desc=text or None, disable=not progress, leave=False) as bar:
        for start in range(0, n, chunk):
            some = directions[start : start + chunk]
            sizes[start : start + chunk] = _numpy(projection.sizes(some)[:, 0])
            products = buffer[: len(some)]
            torch.matmul(projection.prepare(some), projection.matrix, out=products)
            for first in range(0, len(some), block):
                values = projection.scaled(products[first : first + block].float())
                at = slice(start + first, start + first + len(values))
                yield at, values
            bar.update(len(some))


def _read_block(values: torch.Tensor, into: Words, at: slice, k: int) -> None:
    """Read one block of numbers (row, d_vocab), which is overwritten, into its rows."""
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
