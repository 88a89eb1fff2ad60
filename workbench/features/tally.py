"""The tally of an index: everything it says of each feature, gathered from codes as they come."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from ..dictionary.base import Dictionary
from ..dictionary.encoders import TopK

#: Codes are sorted into bins a quarter of a power of 2 wide, from 2^-12 on; the ends take the rest.
BINS_PER_OCTAVE, FIRST_OCTAVE, N_BINS = 4, -12, 128
#: Tokens and features that are kept for each feature.
TOKENS_KEPT, TOGETHER_KEPT = 256, 16
#: Of so many features that fire most often together with one, the best by Jaccard index are kept.
TOGETHER_TRIED = 64
#: Features that fire together are counted on at most so many positions and pairs.
POSITIONS_PAIRED, PAIRS = 2**16, 2**27
#: Up to so many codes (position × feature) are held at a time.
CODES_AT_ONCE = 2**24


@dataclass(frozen=True)
class Active:
    """The codes above 0 of some positions: which position, which feature, and how much, (n,)."""

    position: torch.Tensor
    feature: torch.Tensor
    value: torch.Tensor


def active_codes(dictionary: Dictionary, x: torch.Tensor) -> Active:
    """The codes above 0 of activations (position, d_in), ordered by position; on the CPU."""
    parts, at_once = [], max(1, CODES_AT_ONCE // dictionary.n_features)
    for start in range(0, len(x), at_once):
        rows = x[start : start + at_once]
        if isinstance(dictionary.encoder, TopK):
            # As its encoder does, without the zeros between the codes.
            inner, _, _ = dictionary.normalization.split(rows.to(dictionary.W_dec))
            pre = dictionary.encoder.pre(inner)
            k = min(dictionary.encoder.k, dictionary.n_features)
            values, features = pre.topk(k, dim=-1, sorted=False)
            position, place = (values > 0).nonzero(as_tuple=True)
            feature, value = features[position, place], values[position, place]
        else:
            codes = dictionary.encode(rows)
            position, feature = (codes > 0).nonzero(as_tuple=True)
            value = codes[position, feature]
        parts.append((position + start, feature, value.float()))
    columns = [torch.cat(column).cpu() for column in zip(*parts, strict=True)]
    return Active(*columns)


@dataclass
class Best:
    """For each feature the `n` best places, at most one a text; better is a larger rank.

    rank, value: (feature, n) float64 and float32. text, position: (feature, n) int64, -1 for none.
    """

    n_features: int
    n: int
    rank: torch.Tensor = field(init=False)
    value: torch.Tensor = field(init=False)
    text: torch.Tensor = field(init=False)
    position: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.n_features, self.n)
        self.rank = torch.full(shape, -1.0, dtype=torch.float64)
        self.value = torch.zeros(shape)
        self.text = torch.full(shape, -1)
        self.position = torch.full(shape, -1)

    def add(
        self,
        group: torch.Tensor,
        rank: torch.Tensor,
        value: torch.Tensor,
        position: torch.Tensor,
        first_text: int,
        n_texts: int,
    ) -> None:
        """Take in the entries of `n_texts` texts; group: (text - first_text) · feature number.

        rank: (n,) float64, at least 0. Of equal ranks the earlier text and position stay.
        """
        size = n_texts * self.n_features
        best = torch.full((size,), -1.0, dtype=torch.float64)
        best = best.scatter_reduce(0, group, rank, "amax")
        first = (rank == best[group]).nonzero()[:, 0]
        # The first of equal ones: written last to first, so that it is the one that stays.
        entry = torch.full((size,), len(rank)).scatter_reduce(0, group[first], first, "amin")
        there = entry < len(rank)
        entry = entry.clamp(max=max(0, len(rank) - 1))
        shape = (n_texts, self.n_features)
        text = torch.arange(first_text, first_text + n_texts)[:, None].expand(shape)
        none = torch.full((size,), -1)
        new = (
            best,
            torch.where(there, value[entry], 0.0) if len(rank) else torch.zeros(size),
            torch.where(there, text.reshape(-1), none),
            torch.where(there, position[entry], none) if len(rank) else none,
        )
        held = (self.rank, self.value, self.text, self.position)
        both = [torch.cat([h, n.view(shape).T], 1) for h, n in zip(held, new, strict=True)]
        order = both[0].argsort(dim=1, descending=True, stable=True)[:, : self.n]
        self.rank, self.value, self.text, self.position = (x.gather(1, order) for x in both)

    def arrays(self, name: str, *, by_value: bool = False) -> dict[str, np.ndarray]:
        """What is kept, as `name`_text, `name`_position and `name`_value, also by falling value."""
        held = {"text": self.text, "position": self.position, "value": self.value}
        if by_value:
            order = self.value.argsort(dim=1, descending=True, stable=True)
            held = {key: x.gather(1, order) for key, x in held.items()}
        types = {"text": np.int32, "position": np.int32, "value": np.float32}
        return {f"{name}_{key}": x.numpy().astype(types[key]) for key, x in held.items()}


class Tally:
    """Counts, histograms, contexts, tokens and pairs of features, over texts in their order.

    Texts from `first_held_out` on count apart for the tokens, so that a label can be scored on
    them. n_positions: of all the texts, of which some are drawn to count pairs of features.
    """

    def __init__(
        self,
        n_features: int,
        d_vocab: int,
        n_positions: int,
        n_contexts: int,
        n_sampled: int,
        first_held_out: int,
    ) -> None:
        self.n_features, self.first_held_out = n_features, first_held_out
        self.n_positions, self.n_paired = n_positions, 0
        self.counts = torch.zeros(2, n_features, dtype=torch.int64)
        self.total = torch.zeros(n_features, dtype=torch.float64)
        self.histogram = torch.zeros(n_features * N_BINS, dtype=torch.int64)
        self.top, self.sampled = Best(n_features, n_contexts), Best(n_features, n_sampled)
        self.tokens = PairCounts(n_features, d_vocab, 3, TOKENS_KEPT)
        self.pairs = PairCounts(n_features, n_features, 1, TOGETHER_TRIED + 1)
        self.paired_counts = torch.zeros(n_features, dtype=torch.int64)
        self._share: float | None = None
        self._seen = 0

    def add(
        self,
        codes: Active,
        text: torch.Tensor,
        place: torch.Tensor,
        token: torch.Tensor,
    ) -> None:
        """Take in the codes of some positions; text, place, token: of each position, (position,).

        text: its number, rising. place: where in its text. token: the id that stands there.
        """
        feature, value = codes.feature, codes.value
        of_text, of_place = text[codes.position], place[codes.position]
        held_out = of_text >= self.first_held_out
        for row, chosen in enumerate((~held_out, held_out)):
            self.counts[row] += torch.bincount(feature[chosen], minlength=self.n_features)
        self.total.scatter_add_(0, feature, value.double())
        self.histogram += torch.bincount(
            feature * N_BINS + bin_of(value), minlength=len(self.histogram)
        )
        self.tokens.add(feature, token[codes.position], value, ~held_out, held_out)
        first, n_texts = int(text[0]), int(text[-1]) - int(text[0]) + 1
        group = (of_text - first) * self.n_features + feature
        where = self._seen + codes.position
        self.top.add(group, value.double(), value, of_place, first, n_texts)
        drawn = mixed(where * self.n_features + feature)
        self.sampled.add(group, drawn, value, of_place, first, n_texts)
        self._pair(codes, len(text))
        self._seen += len(text)

    def _pair(self, codes: Active, n: int) -> None:
        if self._share is None:
            # Dense dictionaries have many pairs a position, so fewer positions are drawn.
            each = max(1.0, (len(codes.value) / n) ** 2)
            self._share = min(POSITIONS_PAIRED, PAIRS / each) / self.n_positions
        drawn = torch.ones(n, dtype=torch.bool)
        if self._share < 1:
            drawn = mixed(self._seen + torch.arange(n)) < self._share
        self.n_paired += int(drawn.sum())
        feature = codes.feature[drawn[codes.position]]
        self.paired_counts += torch.bincount(feature, minlength=self.n_features)
        lengths = torch.bincount(codes.position[drawn[codes.position]], minlength=n)[drawn]
        ends = (lengths**2).cumsum(0)
        start, begin = 0, 0
        while start < len(lengths):
            before = int(ends[start - 1]) if start else 0
            stop = int(torch.searchsorted(ends, before + CODES_AT_ONCE, right=True))
            stop = max(stop, start + 1)
            own = lengths[start:stop]
            part = feature[begin : begin + int(own.sum())]
            left, right = _all_pairs(own)
            self.pairs.add(part[left], part[right], torch.ones(len(left)))
            start, begin = stop, begin + len(part)

    def arrays(self) -> dict[str, np.ndarray]:
        """What an index stores of its features, by name."""
        starts, tokens, values = self.tokens.largest()
        largest = self.top.value[:, 0] if self.top.n else self.total * 0
        return {
            "count": self.counts.sum(0).numpy(),
            "count_held_out": self.counts[1].numpy(),
            "total": self.total.numpy(),
            "largest": largest.numpy().astype(np.float32),
            "histogram": self.histogram.view(-1, N_BINS).numpy().astype(np.int32),
            **self.top.arrays("top"),
            **self.sampled.arrays("sampled", by_value=True),
            "token_starts": starts,
            "token": tokens.astype(np.int32),
            "token_total": values[0].astype(np.float32),
            "token_fitted": values[1].astype(np.int32),
            "token_held_out": values[2].astype(np.int32),
            **self._together(),
        }

    def _together(self) -> dict[str, np.ndarray]:
        """For each feature those that fire with it: number, Jaccard index, positions of both."""
        starts, others, values = self.pairs.largest()
        lengths = np.diff(starts)
        own = np.repeat(np.arange(self.n_features), lengths)
        place = np.arange(len(others)) - np.repeat(starts[:-1], lengths)
        kept = own != others
        own, others, both, place = own[kept], others[kept], values[0][kept], place[kept]
        counts = self.paired_counts.numpy()
        jaccard = both / np.maximum(counts[own] + counts[others] - both, 1)
        shape = (self.n_features, TOGETHER_TRIED + 1)
        table = torch.full(shape, -1.0, dtype=torch.float64)
        table[own, place] = torch.as_tensor(jaccard)
        order = table.argsort(dim=1, descending=True, stable=True)[:, :TOGETHER_KEPT].numpy()
        out = {}
        for name, column, empty, dtype in (
            ("together", others, -1, np.int32),
            ("together_jaccard", jaccard, 0, np.float32),
            ("together_both", both, 0, np.int32),
        ):
            full = np.full(shape, empty, dtype)
            full[own, place] = column
            out[name] = np.take_along_axis(full, order, 1)
        return out


def bin_of(value: torch.Tensor) -> torch.Tensor:
    """The histogram's bin of each code above 0."""
    bins = ((value.log2() - FIRST_OCTAVE) * BINS_PER_OCTAVE).floor().long()
    return bins.clamp(0, N_BINS - 1)


def bin_edges() -> np.ndarray:
    """(N_BINS + 1,) where the bins begin and end."""
    return 2.0 ** (FIRST_OCTAVE + np.arange(N_BINS + 1) / BINS_PER_OCTAVE)


def mixed(number: torch.Tensor) -> torch.Tensor:
    """A number from 0 to 1 for each int64, the same on every machine and in no visible order."""
    x = number
    for shift, factor in ((30, 0x3F58476D1CE4E5B9), (27, 0x14D049BB133111EB)):
        x = (x ^ ((x >> shift) & ((1 << (63 - shift)) - 1))) * factor
    return ((x >> 10) & ((1 << 53) - 1)).double() / 2**53


def _all_pairs(lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Every pair (left, right) of entries of the same run; runs lie one behind the other."""
    starts = lengths.cumsum(0) - lengths
    own = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    each = lengths[own]
    left = torch.repeat_interleave(torch.arange(len(own)), each)
    before = torch.repeat_interleave(each.cumsum(0) - each, each)
    right = starts[own][left] + torch.arange(len(left)) - before
    return left, right


#: A table of up to so many pairs is held whole: 128 MB a value.
WHOLE_TABLE = 2**24
#: Pairs that wait before they are put together, where the table is not held whole.
WAITING = 2**22


class PairCounts:
    """Sums of one or several values by (row, column).

    Up to `WHOLE_TABLE` pairs they are exact. Beyond, pairs are held as a sorted list; when it grows
    past four times what is asked for, each row keeps the `kept` columns that are largest by the
    first value, and `exact` becomes False: what a dropped pair had so far is lost.
    """

    def __init__(self, n_rows: int, n_columns: int, n_values: int, kept: int) -> None:
        self.n_rows, self.n_columns, self.n_values, self.kept = n_rows, n_columns, n_values, kept
        self.exact = True
        self._table: torch.Tensor | None = None
        if n_rows * n_columns <= WHOLE_TABLE:
            self._table = torch.zeros(n_values, n_rows * n_columns, dtype=torch.float64)
        self._keys = torch.zeros(0, dtype=torch.int64)
        self._values = torch.zeros(n_values, 0, dtype=torch.float64)
        self._waiting: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._n_waiting = 0

    def add(self, rows: torch.Tensor, columns: torch.Tensor, *values: torch.Tensor) -> None:
        """Add each entry's values to its pair; rows, columns (n,) int64, values (n,)."""
        keys = rows * self.n_columns + columns
        if self._table is not None:
            for row, value in zip(self._table, values, strict=True):
                row.scatter_add_(0, keys, value.double())
            return
        self._waiting.append((keys, torch.stack([value.double() for value in values])))
        self._n_waiting += len(keys)
        if self._n_waiting > max(WAITING, len(self._keys)):
            self._put_together()
            if len(self._keys) > 4 * self.kept * self.n_rows:
                chosen = self._largest()
                self.exact = self.exact and len(chosen) == len(self._keys)
                chosen = chosen.sort().values
                self._keys, self._values = self._keys[chosen], self._values[:, chosen]

    def largest(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each row's `kept` columns that are largest by the first value, in falling order.

        Returns starts (row + 1,) int64, columns (pair,) int64 and values (value, pair) float64.
        Pairs whose first value is 0 are left out; of equal ones the lower column comes first.
        """
        if self._table is not None:
            keys = self._largest_of_table()
            values = self._table[:, keys]
        else:
            self._put_together()
            chosen = self._largest()
            keys, values = self._keys[chosen], self._values[:, chosen]
        lengths = torch.bincount(keys // self.n_columns, minlength=self.n_rows)
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        columns = keys % self.n_columns
        return starts.numpy(), columns.numpy(), values.numpy()

    def _put_together(self) -> None:
        if not self._waiting:
            return
        keys = torch.cat([self._keys, *(keys for keys, _ in self._waiting)])
        values = torch.cat([self._values, *(values for _, values in self._waiting)], 1)
        self._waiting, self._n_waiting = [], 0
        self._keys, where = keys.unique(return_inverse=True)
        self._values = torch.zeros(self.n_values, len(self._keys), dtype=torch.float64)
        for row, value in zip(self._values, values, strict=True):
            row.scatter_add_(0, where, value)

    def _largest(self) -> torch.Tensor:
        """Places of the pairs that are kept: by row, within it by falling first value."""
        order = self._values[0].argsort(descending=True, stable=True)
        order = order[(self._keys[order] // self.n_columns).argsort(stable=True)]
        rows = self._keys[order] // self.n_columns
        starts = torch.searchsorted(rows, torch.arange(self.n_rows))
        rank = torch.arange(len(rows)) - starts[rows]
        return order[rank < self.kept]

    def _largest_of_table(self) -> torch.Tensor:
        """The keys that are kept of the whole table, in the same order; some rows at a time."""
        assert self._table is not None
        first, out = self._table[0].view(self.n_rows, self.n_columns), []
        at_once = max(1, WAITING // self.n_columns)
        for start in range(0, self.n_rows, at_once):
            values, columns = first[start : start + at_once].sort(
                dim=1, descending=True, stable=True
            )
            rows = torch.arange(start, start + len(values))[:, None]
            keys = (rows * self.n_columns + columns)[:, : self.kept]
            out.append(keys[values[:, : self.kept] > 0])
        return torch.cat(out)
