"""The feature index: what each feature of a dictionary fires on, from one pass over texts."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from tqdm.auto import tqdm

from ..check import Count, Level, checked
from ..dictionary.base import Dictionary
from ..files import SUM, aside, check_seal, is_sum_of, placed, sealed, sum_of
from ..model import Model
from ..reading import check_file, parse_json
from ..texts import Texts
from .tally import Tally, active_codes, bin_edges
from .token_rows import TokenRows

#: Texts in a pass.
TEXTS_AT_ONCE = 32
#: A folder with a larger number was made by a newer workbench.
FORMAT = 1
ARRAYS, FACTS = "index.safetensors", "index.json"
#: What has to be the same for an index to be used again, and how an error calls it.
SAME = {
    "model": "another model",
    "revision": "another revision of the model",
    "dtype": "another precision of the model",
    "dictionary": "another dictionary",
    "texts": "other texts",
    "options": "other options",
}


class Place(NamedTuple):
    """Where a feature fires: text number, position in it, and the code there."""

    text: int
    position: int
    value: float


class TokenUse(NamedTuple):
    """A token a feature fires on: the share of the feature's activity that falls on it, the share
    of its occurrences at which the feature fires; `fitted` and `held_out` count these firings.
    """

    id: int
    string: str
    share: float
    rate: float
    fitted: int
    held_out: int


class Together(NamedTuple):
    """A feature that fires together with another: positions of both over positions of either."""

    feature: int
    jaccard: float
    n_both: int


class TokenPairs(NamedTuple):
    """Every kept pair of feature and token: the sum of codes, and firings in either part."""

    feature: np.ndarray
    token: np.ndarray
    total: np.ndarray
    fitted: np.ndarray
    held_out: np.ndarray


def spread(places: Sequence[Place], n: int) -> list[Place]:
    """`n` of the places, evenly over their order; all where there are no more."""
    if len(places) <= n:
        return list(places)
    return [places[i] for i in np.linspace(0, len(places) - 1, n).round().astype(int)]


@checked
@dataclass(frozen=True, eq=False, repr=False)
class FeatureIndex:
    """What the features of one dictionary fire on, read from a folder as it is asked for.

    folder: where it lies. facts: which model, dictionary, texts and options it is of. A feature
    fires at a position where its code is above 0.
    """

    folder: Path
    facts: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> FeatureIndex:
        """The index in a folder.

        Raises `FileNotFoundError` where there is none, `ValueError` for one that is damaged, was
        changed after it was written, or was written in another format. Its files are read once
        from end to end for that.
        """
        folder = Path(folder)
        return cls(folder, _facts(folder))

    @cached_property
    def _file(self) -> Any:
        return safe_open(str(self.folder / ARRAYS), framework="numpy")

    def _whole(self, name: str) -> np.ndarray:
        return self._file.get_tensor(name)

    def _rows(self, name: str, start: int, stop: int) -> np.ndarray:
        return self._file.get_slice(name)[int(start) : int(stop)]

    def _of(self, name: str, feature: int) -> np.ndarray:
        self.check_feature(feature)
        return self._rows(name, feature, feature + 1)[0]

    # -- what it is of -----------------------------------------------------------------------------

    @property
    def n_features(self) -> int:
        return self.facts["n_features"]

    @property
    def n_texts(self) -> int:
        return len(self._offsets) - 1

    @property
    def n_positions(self) -> int:
        """Tokens of all texts."""
        return int(self._offsets[-1])

    @property
    def n_paired(self) -> int:
        """Positions on which features that fire together were counted."""
        return self.facts["n_paired"]

    @property
    def exact_tokens(self) -> bool:
        """Whether token counts are exact: False where there were too many pairs to hold."""
        return self.facts["exact_tokens"]

    @property
    def first_held_out(self) -> int:
        """Number of the first text on which labels are scored and not made."""
        return self.facts["first_held_out"]

    @property
    def site(self) -> str:
        """The site that the dictionary decodes; its features are `site`/0, `site`/1 …"""
        return self.facts["site"]

    def name(self, feature: int) -> str:
        """The feature's name, like "L3.resid_post/123"."""
        return f"{self.site}/{feature}"

    def check_feature(self, feature: int) -> int:
        """The number, if there is such a feature; else a `ValueError`."""
        if not 0 <= feature < self.n_features:
            raise ValueError(
                f"The index of {self.site} has features 0 to {self.n_features - 1}; got {feature}."
            )
        return feature

    def check(self, dictionary: Dictionary) -> None:
        """Raise `ValueError` where the index is of another dictionary."""
        if self.facts["dictionary"] != dictionary.fingerprint:
            raise ValueError(
                f"The index in {self.folder} is of another dictionary of {self.site} (fingerprint "
                f"{self.facts['dictionary']}) than {dictionary!r} ({dictionary.fingerprint}). Make "
                "one of this dictionary with features.index."
            )

    # -- of every feature --------------------------------------------------------------------------

    @cached_property
    def count(self) -> np.ndarray:
        """(feature,) int64: positions at which each fires."""
        return self._whole("count")

    @cached_property
    def count_held_out(self) -> np.ndarray:
        """(feature,) int64: those of them in held-out texts."""
        return self._whole("count_held_out")

    @cached_property
    def largest(self) -> np.ndarray:
        """(feature,) float32: the largest code of each, 0 where it never fires."""
        return self._whole("largest")

    @cached_property
    def total(self) -> np.ndarray:
        """(feature,) float64: the sum of each one's codes above 0."""
        return self._whole("total")

    @property
    def frequency(self) -> np.ndarray:
        """(feature,) share of the positions at which each fires."""
        return self.count / self.n_positions

    @property
    def mean(self) -> np.ndarray:
        """(feature,) mean code where each fires, 0 where it never does."""
        return self.total / np.maximum(self.count, 1)

    @property
    def dead(self) -> np.ndarray:
        """(n,) numbers of the features that never fire on these texts."""
        return np.flatnonzero(self.count == 0)

    # -- of the texts ------------------------------------------------------------------------------

    @cached_property
    def _offsets(self) -> np.ndarray:
        return self._whole("offsets")

    @cached_property
    def strings(self) -> dict[int, str]:
        """The text of every token that occurs, by id."""
        return {int(i): text for i, text in self.facts["strings"].items()}

    @cached_property
    def _ids(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for i, text in self.strings.items():
            found.setdefault(text, []).append(i)
        return found

    def ids_of(self, string: str) -> list[int]:
        """The ids of the tokens that are written so; none where it does not occur."""
        return self._ids.get(string, [])

    @cached_property
    def token_counts(self) -> np.ndarray:
        """(2, d_vocab) int64: occurrences of each token, in the texts for fitting and held out."""
        return self._whole("token_counts")

    @property
    def n_held_out(self) -> int:
        """Tokens of the held-out texts."""
        return self.n_positions - int(self._offsets[self.first_held_out])

    def text(self, number: int) -> list[int]:
        """The token ids of one text."""
        if not 0 <= number < self.n_texts:
            raise IndexError(f"The texts are numbered 0 to {self.n_texts - 1}; got {number}.")
        return self._rows("ids", self._offsets[number], self._offsets[number + 1]).tolist()

    # -- of one feature ----------------------------------------------------------------------------

    def contexts(self, feature: int) -> list[Place]:
        """Where its code is largest, at most once a text, in falling order."""
        return self._places("top", feature)

    def sampled(self, feature: int) -> list[Place]:
        """Places drawn evenly from all at which it fires, at most one a text, in falling order."""
        return self._places("sampled", feature)

    def _places(self, name: str, feature: int) -> list[Place]:
        keys = ("text", "position", "value")
        columns = [self._of(f"{name}_{key}", feature).tolist() for key in keys]
        return [Place(*row) for row in zip(*columns, strict=True) if row[0] >= 0]

    @property
    def bin_edges(self) -> np.ndarray:
        """(bin + 1,) where the bins of `histogram` begin and end; the end bins take the rest."""
        return bin_edges()

    def histogram(self, feature: int) -> np.ndarray:
        """(bin,) how many of its codes above 0 fall into each bin."""
        return self._of("histogram", feature)

    def tokens(self, feature: int, most: Count | None = None) -> list[TokenUse]:
        """The tokens it fires on, by falling share of its activity; up to 256, or `most`."""
        start, stop = self._starts[self.check_feature(feature) : feature + 2].tolist()
        stop = stop if most is None else min(stop, start + most)
        if start == stop:
            return []  # the file knows no empty slice at its end
        ids, *columns = (
            self._rows(name, start, stop)
            for name in ("token", "token_total", "token_fitted", "token_held_out")
        )
        shares = columns[0] / max(float(self.total[feature]), 1e-30)
        rates = (columns[1] + columns[2]) / self.token_counts[:, ids].sum(0)
        numbers = (ids, shares, rates, columns[1], columns[2])
        return [
            TokenUse(i, self.strings[i], *rest)
            for i, *rest in zip(*(x.tolist() for x in numbers), strict=True)
        ]

    def token_pairs(self) -> TokenPairs:
        """The pairs of all features at once, each feature's up to 256 by falling sum."""
        names = ("token", "token_total", "token_fitted", "token_held_out")
        features = np.repeat(np.arange(self.n_features), np.diff(self._starts))
        return TokenPairs(features, *(self._whole(name) for name in names))

    @cached_property
    def _starts(self) -> np.ndarray:
        return self._whole("token_starts")

    def together(self, feature: int) -> list[Together]:
        """The features that fire together with it, by falling Jaccard index; up to 16."""
        names = ("together", "together_jaccard", "together_both")
        columns = [self._of(name, feature).tolist() for name in names]
        return [Together(*row) for row in zip(*columns, strict=True) if row[0] >= 0]

    def to_frame(self) -> pd.DataFrame:
        """One line a feature: feature, count, frequency, mean, largest."""
        return pd.DataFrame(
            {
                "feature": [self.name(i) for i in range(self.n_features)],
                "count": self.count,
                "frequency": self.frequency,
                "mean": self.mean,
                "largest": self.largest,
            }
        )

    def __repr__(self) -> str:
        facts = f"{self.n_features} features, {self.n_texts} texts of {self.n_positions} tokens"
        return f"FeatureIndex({self.facts['model']}, {self.site}: {facts}, {len(self.dead)} dead)"


@checked
def index(
    model: Model,
    texts: Texts,
    dictionary: Dictionary,
    *,
    path: str | Path | None = None,
    n_contexts: Count = 20,
    n_sampled: Count = 20,
    held_out: Level = 0.25,
    progress: bool = True,
) -> FeatureIndex:
    """What every feature fires on: contexts, histogram, tokens, features that fire together.

    One pass over the texts; the index lies on disk and the next call reads it. texts: texts, lists
    of token ids or `Tokens`, each within the model's context. path: its folder, by default one in
    $WORKBENCH_CACHE (else ~/.cache/workbench) named by model, dictionary, texts and options.
    n_contexts: how many of the largest codes are kept a feature, each of another text; n_sampled:
    and how many drawn evenly from all at which it fires. held_out: share of the texts, the last
    ones, on which labels are scored.

    Memory: the token ids, the codes of one batch and a few numbers a feature and context. Features
    that fire together are counted on up to 65,536 positions.

    Raises `ValueError` for no texts, a text that is empty or too long, a dictionary of another
    site or width, and an index at `path` that is of something else; `OSError` where the disk is
    full.
    """
    model.spec.check(dictionary.site)
    rows = TokenRows.of(model, texts)
    if rows.n_texts < 2:
        raise ValueError(
            "An index holds back some of the texts, so it takes at least 2; got 1. Cut the text "
            "into several."
        )
    spec = model.spec
    facts = {
        "model": spec.name,
        "revision": spec.revision,
        "dtype": spec.dtype,
        "dictionary": dictionary.fingerprint,
        "texts": rows.digest,
        "options": [n_contexts, n_sampled, held_out],
    }
    folder = cache_folder() / _key(facts) if path is None else placed(Path(path))
    if os.path.lexists(folder):
        found = FeatureIndex.open(folder)
        _check_same(folder, found.facts, facts)
        return found
    first_held_out = min(rows.n_texts - 1, max(1, round(rows.n_texts * (1 - held_out))))
    tally = _gather(model, dictionary, rows, n_contexts, n_sampled, first_held_out, progress)
    cut = rows.offsets[first_held_out]
    counts = [np.bincount(ids, minlength=spec.d_vocab) for ids in np.split(rows.ids, [cut])]
    arrays = {
        "ids": rows.ids,
        "offsets": rows.offsets,
        "token_counts": np.stack(counts),
        **tally.arrays(),
    }
    facts |= {
        "site": str(dictionary.out_site),
        "n_features": dictionary.n_features,
        "first_held_out": first_held_out,
        "n_paired": tally.n_paired,
        "exact_tokens": tally.tokens.exact,
        "strings": {str(i): text for i, text in rows.strings.items()},
    }
    write(folder, arrays, facts)
    return FeatureIndex.open(folder)


def _key(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _gather(
    model: Model,
    dictionary: Dictionary,
    rows: TokenRows,
    n_contexts: int,
    n_sampled: int,
    first_held_out: int,
    progress: bool,
) -> Tally:
    """Everything about the features, from one pass over the texts."""
    tally = Tally(
        dictionary.n_features,
        model.spec.d_vocab,
        len(rows.ids),
        n_contexts,
        n_sampled,
        first_held_out,
    )
    site = dictionary.site
    bar = tqdm(total=len(rows.ids), desc="feature index", unit="token", disable=not progress)
    with bar, torch.inference_mode():
        for start in range(0, rows.n_texts, TEXTS_AT_ONCE):
            numbers = range(start, min(start + TEXTS_AT_ONCE, rows.n_texts))
            tokens = rows.tokens(model, numbers)
            run = model.run(tokens, read=[site], logits_at=(), stop_after=site)
            mask = tokens.mask
            codes = active_codes(dictionary, run[site][mask])
            places = mask.cpu().nonzero()
            tally.add(codes, places[:, 0] + start, places[:, 1], tokens.ids[mask].cpu())
            bar.update(len(places))
    return tally


# -- its folder: written whole or not at all, refused where it is another's -----------------------


def cache_folder() -> Path:
    """Where indexes lie: $WORKBENCH_CACHE, else ~/.cache/workbench; in it features/<key>."""
    given = os.environ.get("WORKBENCH_CACHE", "")
    base = Path(given).expanduser() if given else Path.home() / ".cache" / "workbench"
    return base / "features"


def write(folder: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write an index beside its place and move it there; nothing is left of what failed.

    Raises `OSError` that says so where the disk is full; other indexes stay as they are.
    """
    kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        with aside(folder) as (part,):
            part.mkdir()
            save_file(kept, part / ARRAYS)
            text = sealed({"format": FORMAT, "arrays": sum_of(part / ARRAYS), **facts})
            body = json.dumps(text, ensure_ascii=False)
            part.joinpath(FACTS).write_text(body, encoding="utf-8")
    except OSError as error:
        if folder.joinpath(FACTS).is_file() and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return  # another process has finished the same index meanwhile
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            size = sum(array.nbytes for array in kept.values()) / 2**20
            raise OSError(
                error.errno,
                f"The disk is full: this index takes {size:.1f} MB in {folder.parent}, and nothing "
                "of it was kept; indexes that were finished are as they were. Free some space, or "
                "name another place with path= or the environment variable WORKBENCH_CACHE.",
            ) from error
        raise


def _facts(folder: Path) -> dict[str, Any]:
    """What an index says of itself, once all its files are found to be as they were written.

    Raises `FileNotFoundError` where there is none, `ValueError` for one that is damaged or newer.
    """
    for name in (FACTS, ARRAYS):
        try:
            check_file(folder / name)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"An index of features is a folder with {FACTS} and {ARRAYS}; {folder} has no "
                f"{name}. Make it with features.index."
            ) from None
    try:
        facts = parse_json(folder / FACTS)
        version = facts["format"]
        if version == FORMAT and type(version) is int:
            check_seal(facts, FACTS, "")
            if not is_sum_of(facts["arrays"], folder / ARRAYS):
                raise ValueError(f"{ARRAYS} was changed after it was written")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"The index in {folder} is damaged ({type(error).__name__}: {error}). Delete the "
            "folder and make the index again."
        ) from None
    if version != FORMAT or type(version) is not int:
        raise ValueError(
            f"The index in {folder} has format {str(version)[:40]}; this workbench reads format "
            f"{FORMAT}. Make it again in another folder, or delete this one."
        )
    return {key: value for key, value in facts.items() if key not in ("arrays", SUM)}


def _check_same(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise `ValueError` where an index is of something else than what is asked for."""
    for name, shown in SAME.items():
        if found.get(name) != wanted[name]:
            raise ValueError(
                f"The index in {folder} is of {shown}: it has {found.get(name)!r}, and "
                f"{wanted[name]!r} is asked for. Give another path, or delete the folder."
            )
