"""The kernel of the lenses: residual vectors in, what is kept of their tokens out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

MEASURES = ("entropy", "kl", "tracks")
#: Of the full (row, pos, d_vocab) array a batch takes at most this share: with the temporaries of
#: one tile and the vectors themselves that stays under a tenth.
SHARE = 0.06
#: A batch smaller than this many bytes gains nothing; one larger than the other is never needed.
SMALLEST, LARGEST = 8 << 20, 256 << 20
#: Numbers of a tile: a batch is looked at tile by tile while it lies in the cache.
TILE = 1 << 20
#: Width of the tiles of the vocabulary by whose maxima the top k are found.
TOP_TILE = 256


@dataclass(frozen=True)
class Reading:
    """What is kept: numpy arrays with the axes (pos, row, …), `row` being the stacked vectors.

    track_counts: (pos,) how many tokens were followed at each position; track_ids (n,), track_ranks
    and track_logprobs (n, row) hold them one position after the other. A measure that was not asked
    for leaves its array None.
    """

    top_ids: np.ndarray
    top_logprobs: np.ndarray
    logits: np.ndarray
    logprobs: np.ndarray
    ranks: np.ndarray
    foil_logits: np.ndarray
    masses: np.ndarray
    entropy: np.ndarray | None
    kl: np.ndarray | None
    track_counts: np.ndarray
    track_ids: np.ndarray
    track_ranks: np.ndarray
    track_logprobs: np.ndarray

    @classmethod
    def empty(cls, n_positions: int, n_rows: int, wanted: _Wanted) -> Reading:
        """All arrays before anything is read; the tracks with the room they can need at most."""

        def array(*shape: int, dtype: Any = np.float32) -> np.ndarray:
            return np.empty((n_positions, n_rows, *shape), dtype)

        n_targets = len(wanted.targets)
        most = n_positions * (n_rows + n_targets) if "tracks" in wanted.measures else 0
        return cls(
            top_ids=array(wanted.k, dtype=np.int32),
            top_logprobs=array(wanted.k),
            logits=array(n_targets),
            logprobs=array(n_targets),
            ranks=array(n_targets, dtype=np.int32),
            foil_logits=array(len(wanted.foils)),
            masses=array(len(wanted.sets)),
            entropy=array() if "entropy" in wanted.measures else None,
            kl=array() if "kl" in wanted.measures else None,
            track_counts=np.zeros(n_positions, np.int32),
            track_ids=np.empty(most, np.int32),
            track_ranks=np.empty((most, n_rows), np.int32),
            track_logprobs=np.empty((most, n_rows), np.float32),
        )

    def trimmed(self) -> Reading:
        """Without the room that no track took."""
        n = int(self.track_counts.sum())
        names = ("track_ids", "track_ranks", "track_logprobs")
        return replace(self, **{name: getattr(self, name)[:n].copy() for name in names})


@dataclass(frozen=True)
class _Wanted:
    k: int
    final: int
    measures: Sequence[str]
    targets: list[int]
    foils: list[int]
    sets: list[list[int]]


def batch_positions(n_rows: int, n_positions: int, d_vocab: int) -> int:
    """How many positions are read at once: the share of the full array, between the two bounds."""
    position = 4 * n_rows * d_vocab
    most = max(1, int(min(LARGEST, max(SMALLEST, SHARE * position * n_positions)) // position))
    if most >= n_positions:
        return n_positions
    return -(-n_positions // -(-n_positions // most))


def read_out(
    vectors: Callable[[slice], torch.Tensor],
    unembed: Callable[[torch.Tensor], torch.Tensor],
    *,
    n_positions: int,
    n_rows: int,
    d_vocab: int,
    k: int,
    final: int,
    measures: Sequence[str] = MEASURES,
    targets: Sequence[int] = (),
    foils: Sequence[int] = (),
    sets: Mapping[str, Sequence[int]] | None = None,
) -> Reading:
    """The top k, and what else is asked for, of every vector's distribution over the vocabulary.

    vectors: from a slice of positions to the residual vectors there, (pos, row, d_model).
    final: the row whose distribution is the model's own; KL(final ‖ row) is measured against
    it. targets, foils and sets are token ids. Positions go by batches that keep to a tenth of the
    full array.

    Probabilities are formed in float32 whatever the model's own type. Ranks count the logits
    that are strictly greater, so 0 is the top.
    """
    batch = batch_positions(n_rows, n_positions, d_vocab)
    per_tile = max(1, TILE // (n_rows * d_vocab))
    members = [list(chosen) for chosen in (sets or {}).values()]
    wanted = _Wanted(k, final, measures, list(targets), list(foils), members)
    # Made before the loop: results that were made inside it would lie between the places of the
    # batches in memory, and keep each from being used again.
    reading = Reading.empty(n_positions, n_rows, wanted)
    with torch.no_grad():
        for start in range(0, n_positions, batch):
            h = vectors(slice(start, min(start + batch, n_positions)))
            logits = unembed(h.flatten(0, 1)).float().unflatten(0, h.shape[:2])
            for tile in logits.split(per_tile):
                _read_tile(tile, wanted, reading, slice(start, start + len(tile)))
                start += len(tile)
            del h, logits, tile
    return reading.trimmed()


def _read_tile(logits: torch.Tensor, wanted: _Wanted, into: Reading, at: slice) -> None:
    """Read one tile of logits (pos, row, d_vocab), which is overwritten, into its positions."""
    values, ids = top_k(logits, wanted.k)
    target_logits, foil_logits = logits[..., wanted.targets], logits[..., wanted.foils]
    into.ranks[at] = _numpy(count_greater(logits, target_logits))
    # From here on every logit is relative to its row's largest, which keeps the sums well scaled.
    highest = values[..., :1].clone()
    followed = []
    if "tracks" in wanted.measures:
        pairs = zip(logits, ids[..., 0], strict=True)
        followed = [_follow(position, top, wanted.targets) for position, top in pairs]
    logits.sub_(highest)
    weights = logits.exp()
    total = weights.sum(-1, keepdim=True)
    log_total = total.log()
    shift = highest + log_total
    for s, members in enumerate(wanted.sets):
        into.masses[at, :, s] = _numpy(weights[..., members].sum(-1) / total[..., 0])
    if into.kl is not None:
        reference = (weights[:, wanted.final] / total[:, wanted.final])[..., None]
        # Σ p_final · log p_row; the model's own row gives minus its entropy.
        cross = torch.bmm(logits, reference)[..., 0] - log_total[..., 0]
        own = cross[:, wanted.final, None]
        into.kl[at] = _numpy((own - cross).clamp(min=0))
    if into.entropy is not None:
        entropy = log_total[..., 0] - weights.mul_(logits).sum(-1) / total[..., 0]
        into.entropy[at] = _numpy(entropy.clamp(min=0))
    into.top_ids[at] = _numpy(ids)
    into.top_logprobs[at] = _numpy(values - shift)
    into.logits[at] = _numpy(target_logits)
    into.logprobs[at] = _numpy(target_logits - shift)
    into.foil_logits[at] = _numpy(foil_logits)
    n = int(into.track_counts.sum())
    for p, (followed_ids, ranks, chosen) in enumerate(followed):
        place = slice(n, n + len(followed_ids))
        n = place.stop
        into.track_counts[at.start + p] = len(followed_ids)
        into.track_ids[place] = _numpy(followed_ids)
        into.track_ranks[place] = _numpy(ranks).T
        into.track_logprobs[place] = _numpy(chosen - shift[p]).T


def top_k(
    logits: torch.Tensor, k: int, *, largest: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest of the last axis (or the k smallest) and where they are, best first.

    The k largest lie in the k tiles with the largest maxima, so that only those are sorted:
    several times as fast as a sort of the whole axis.
    """
    n_tiles = logits.shape[-1] // TOP_TILE
    if n_tiles < 4 * k:
        best = logits.topk(k, dim=-1, largest=largest)
        return best.values, best.indices
    whole = n_tiles * TOP_TILE
    tiles = logits[..., :whole].unflatten(-1, (n_tiles, TOP_TILE))
    extremes = tiles.amax(-1) if largest else tiles.amin(-1)
    chosen = extremes.topk(k, dim=-1, largest=largest).indices
    inside = torch.arange(TOP_TILE, device=logits.device)
    at = (chosen[..., None] * TOP_TILE + inside).flatten(-2)
    rest = torch.arange(whole, logits.shape[-1], device=logits.device).expand(*at.shape[:-1], -1)
    at = torch.cat([at, rest], -1)
    best = logits.gather(-1, at).topk(k, dim=-1, largest=largest)
    return best.values, at.gather(-1, best.indices)


def count_greater(logits: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """For each threshold (…, n) how many of its row's logits (…, d_vocab) are strictly greater."""
    if logits.device.type != "cpu":
        each = [
            (logits > thresholds[..., i : i + 1]).sum(-1, dtype=torch.int32)
            for i in range(thresholds.shape[-1])
        ]
        return torch.stack(each, -1) if each else thresholds.int()
    # numpy counts booleans many times faster than torch sums them.
    out = np.empty(thresholds.shape, np.int32)
    rows, limits = logits.flatten(0, -2).numpy(), thresholds.flatten(0, -2).numpy()
    greater = np.empty(rows.shape[-1], bool)
    for counts, row, limit in zip(out.reshape(limits.shape), rows, limits, strict=True):
        for i, threshold in enumerate(limit):
            counts[i] = np.count_nonzero(np.greater(row, threshold, out=greater))
    return torch.from_numpy(out)


def _follow(
    logits: torch.Tensor, top: torch.Tensor, targets: list[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The tokens to follow at one position, (id,), and their ranks and logits, (row, id).

    Followed are the targets and each token that is the top one in some row.
    """
    ids = torch.unique(torch.cat([top, top.new_tensor(targets)]))
    chosen = logits[:, ids]
    return ids, count_greater(logits, chosen), chosen


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
