"""Activations: rows of what stands at some sites, which know their text, position and labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from .check import ArgumentError, checked, given, one_of, refuse, whole
from .concepts import Concepts, ConceptTokens
from .dictionary.base import Dictionary
from .model import Model
from .result import Result, axes, provenance
from .site import GLOBAL_STREAMS, Site
from .tokens import Tokens

POOLS = ("last", "mean")
#: Texts in a pass.
TEXTS = 32


@dataclass(frozen=True, eq=False, repr=False)
class Activations(Result):
    """Rows (row, d) at one or several sites, each of which knows where it comes from.

        acts = wb.activations(model, texts, "resid_post", labels={"gender": genders})
        acts["L2.resid_post"]                          # (row, d)
        acts.where({"gender": "woman"}).mean()         # {site: (d,)}

    Rows of different sites belong together: row i is the same text and position at each.
    """

    #: (row, d) float32 of each site, by its name.
    at: dict[str, np.ndarray]
    #: Columns of labels, one entry a row.
    labels: dict[str, tuple[Any, ...]]
    #: Which of the texts each row is of.
    text: np.ndarray = axes("row", np.int64)
    #: The position in the text, -1 for a row that stands for all of it.
    position: np.ndarray = axes("row", np.int64)
    #: What is never split between fit and test: a number a row.
    group: np.ndarray = axes("row", np.int64)
    #: The row that a text gives, "last" or "mean"; None where each position has one, or none is of
    #: a text.
    pool: str | None = None

    picture = "activations.activations"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, values in self.at.items():
            array = np.asarray(values, np.float32)
            if array.ndim != 2 or len(array) != len(self.text):
                rule = f"(row, d) with {len(self.text)} rows, as the others"
                raise refuse(f"The activations at {name}", rule, values)
            array.setflags(write=False)
            self.at[name] = array
        for name, column in self.labels.items():
            if len(column) != len(self.text):
                raise refuse(f"The label {name!r}", f"one a row, {len(self.text)}", column)

    # -- from what there is already --------------------------------------------------------------

    @classmethod
    def of_rows(
        cls,
        rows: Any,
        *,
        site: Site | str = "resid_post",
        labels: Mapping[str, Sequence[Any]] | None = None,
        groups: Any = None,
    ) -> Activations:
        """Rows of your own, (row, d), as activations of a site: each is a text of its own.

        Raises `ArgumentError` for what are no rows of finite numbers.
        """
        array = np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows)
        if array.ndim != 2 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise refuse("rows", "an array (row, d) of finite numbers", rows)
        n = len(array)
        return cls(
            model="", revision="", versions={}, seed=None, tokens=(),
            at={str(site): array.astype(np.float32)},
            labels={name: tuple(column) for name, column in (labels or {}).items()},
            text=np.arange(n), position=np.full(n, -1), group=_groups(groups, labels, np.arange(n)),
        )  # fmt: skip

    @classmethod
    def of_concepts(
        cls,
        model: Model,
        texts: Any,
        concepts: Concepts,
        sites: Any,
        *,
        progress: bool = False,
    ) -> Activations:
        """Every position of texts, labelled by the concept that its token is a word of.

            acts = wb.Activations.of_concepts(model, texts, wb.concepts("tinyworld"), "resid_post")
            wb.steering.directions(acts, "gender")

        A column of labels for each family of concepts, "" where the token is a word of none; a word
        is a group. Where questions come with the concepts, further rows are where those are
        answered that the concepts decide: the last position of prompts about half of each concept's
        words (`Concepts.fitting`) that the model answers right, in columns of their own ("gender,
        asked": "woman, asked", "" where another family is asked). A row that a column does not
        speak of has None there.

        Raises `ValueError` for a concept without a word in the texts, and for a word or an answer
        that is several tokens.
        """
        on = concepts.on(model)
        own = activations(model, texts, sites, pool=None, progress=progress)
        tokens = model.tokens(texts)
        word = on.word_numbers(tokens.ids)[tokens.mask].cpu().numpy()
        on.check_found(np.unique(word[word >= 0]), "the texts")
        # −1, no word, is the last entry.
        columns = {
            family: [*((concepts.concept_of(each, family) or "") for each in on.words), ""]
            for family in concepts.families
        }
        labels = {family: tuple(column[w] for w in word) for family, column in columns.items()}
        group = np.where(word < 0, len(on.words) + own.text, word)
        own = replace(own, labels=labels, group=group)
        cases = answered(model, on)
        if not cases:
            return own
        asked = activations(model, [prompt for _, prompt in cases], sites)
        names = [concepts[name] for name, _ in cases]
        labels = {
            f"{family}, asked": tuple(
                f"{c.name}, asked" if c.family == family else "" for c in names
            )
            for family in dict.fromkeys(c.family for c in names)
        }
        return _joined(own, replace(asked, labels=labels))

    # -- reading ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.text)

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites, in the order of a pass."""
        return tuple(self.at)

    def __getitem__(self, site: Site | str) -> np.ndarray:
        """(row, d) at a site; without a name where there is one. Raises `KeyError` naming them."""
        # Rows of one's own may be of a stream without a layer, which is no site.
        own = isinstance(site, str) and site in self.at
        name = str(site) if own else str(Site.parse(site))
        if name not in self.at:
            raise KeyError(f"These activations are of {', '.join(self.at)}; got {name!r}.")
        return self.at[name]

    def label(self, name: str) -> np.ndarray:
        """(row,) one column of labels. Raises `KeyError` naming those there are."""
        if name not in self.labels:
            there = ", ".join(map(repr, self.labels)) or "none"
            raise KeyError(f"The labels of these activations are {there}; got {name!r}.")
        return np.array(self.labels[name])

    def take(self, rows: Any) -> Activations:
        """The given rows, by number, in that order, or by a mask. `ArgumentError` for others."""
        given_rows, n = np.asarray(rows), len(self)
        whole_rows = given_rows.dtype.kind in "iu" and given_rows.ndim == 1
        if whole_rows and given_rows.size and not (-n <= given_rows.min() <= given_rows.max() < n):
            raise refuse("rows", f"numbers from {-n} to {n - 1}", rows)
        if not whole_rows and (given_rows.dtype != bool or given_rows.shape != (n,)):
            raise refuse("rows", f"whole numbers in a list, or a mask of {n}", rows)
        index = np.arange(n)[given_rows]
        if not len(index):
            raise ArgumentError("Activations are at least one row; the choice leaves none.")
        return replace(
            self,
            at={name: x[index] for name, x in self.at.items()},
            labels={name: tuple(c[i] for i in index) for name, c in self.labels.items()},
            text=self.text[index],
            position=self.position[index],
            group=self.group[index],
        )

    def where(self, labels: Mapping[str, Any]) -> Activations:
        """The rows that have these labels, {"gender": "woman"}; a list means one of them.

        Raises `KeyError` for another column, and `ValueError` where no row is left.
        """
        keep = np.ones(len(self), bool)
        for name, value in labels.items():
            wanted = value if isinstance(value, (list, tuple, set)) else [value]
            keep &= np.array([each in wanted for each in self.label(name).tolist()])
        if not keep.any():
            known = {name: sorted(set(map(str, self.labels[name])))[:8] for name in labels}
            raise ArgumentError(f"No row has {given(dict(labels))}; the labels are {known}.")
        return self.take(keep)

    def labelled(self, name: str) -> Activations:
        """The rows that have this label, whichever it is. Raises as `label` and `where`."""
        there = np.array([value is not None for value in self.label(name).tolist()])
        return self if there.all() else self.take(there)

    def mean(self, by: str | None = None) -> dict[str, np.ndarray]:
        """The mean row of each site, {site: (d,)}; by a label: {site: (value, d)}.

        Values of the label are in the order of `numpy.unique`. float64.
        """
        if by is None:
            return {name: x.mean(0, dtype=np.float64) for name, x in self.at.items()}
        column = self.label(by)
        values = np.unique(column)
        return {
            name: np.stack([x[column == value].mean(0, dtype=np.float64) for value in values])
            for name, x in self.at.items()
        }

    def encode(self, dicts: Dictionary | Mapping[Any, Dictionary]) -> Activations:
        """The codes of the rows, (row, feature), at each site that has a dictionary.

        dicts: a dictionary, or several by site. Raises `KeyError` where no site has one.
        """
        several = dicts if isinstance(dicts, Mapping) else {dicts.site: dicts}
        at = {}
        for site, dictionary in several.items():
            if str(site) in self.at:
                with torch.no_grad():
                    codes = dictionary.encode(torch.as_tensor(self.at[str(site)].copy()))
                at[str(site)] = codes.float().cpu().numpy()
        if not at:
            raise KeyError(
                f"These activations are of {', '.join(self.at)}; the dictionaries read "
                f"{', '.join(map(str, several))}."
            )
        return replace(self, at=at)

    def to_frame(self) -> pd.DataFrame:
        """One line a site and row: site, row, text, position, token, the labels, norm."""
        strings = [
            self.tokens[t][p] if p >= 0 and self.tokens else ""
            for t, p in zip(self.text, self.position, strict=True)
        ]
        columns = {"text": self.text, "position": self.position, "token": strings, **self.labels}
        frames = [
            pd.DataFrame({"site": name, "row": np.arange(len(x)), **columns}).assign(
                norm=np.linalg.norm(x.astype(np.float64), axis=-1)
            )
            for name, x in self.at.items()
        ]
        return pd.concat(frames, ignore_index=True)

    def _facts(self) -> str:
        named = ", ".join(self.labels) or "no labels"
        first, last = self.sites[0], self.sites[-1]
        where = first if len(self.at) == 1 else f"{len(self.at)} sites, {first} to {last}"
        return f"{len(self)} rows of {len(np.unique(self.text))} texts at {where}; {named}"


@checked
def activations(
    model: Model,
    prompts: Any,
    sites: Any,
    *,
    pool: Literal["last", "mean"] | None = "last",
    labels: Mapping[str, Sequence[Any]] | None = None,
    groups: Any = None,
    edits: Any = (),
    progress: bool = False,
) -> Activations:
    """What stands at some sites over prompts, as `Activations` in memory.

        wb.activations(model, texts, "resid_post", labels={"topic": topics}, groups="topic")

    sites: one, several, or a stream, which is its site in every layer. pool: the row that a prompt
    gives: its "last" token, the "mean" over its tokens, or None for a row a token. labels: columns
    of one entry a prompt. groups: what is never split between fit and test, the name of a label or
    one entry a prompt; None: each prompt is its own. edits: as in `model.run`; a `Change` too.

    `stream` passes through what is too large to be held. Raises `ValueError` for a site that is no
    vector a position, and labels that are not one a prompt.
    """
    parts = list(stream(model, prompts, sites, pool=pool, edits=edits, progress=progress))
    text = np.concatenate([part.text for part in parts])
    n = int(text.max()) + 1
    columns = {name: list(column) for name, column in (labels or {}).items()}
    for name, column in columns.items():
        if len(column) != n:
            raise refuse(f"The label {name!r}", f"one a prompt, {n}", column)
    return Activations(
        **{**provenance(model), "tokens": tuple(s for part in parts for s in part.tokens)},
        at={name: np.concatenate([part.at[name] for part in parts]) for name in parts[0].at},
        labels={name: tuple(column[t] for t in text) for name, column in columns.items()},
        text=text,
        position=np.concatenate([part.position for part in parts]),
        group=_groups(groups, columns, np.arange(n))[text],
        pool=pool,
    )


def answered(model: Model, on: ConceptTokens) -> list[tuple[str, str]]:
    """The concepts that decide answers, each with its prompts that the model answers right.

    A concept of which no prompt is answered right is left out, and so is a family with only one
    left. Raises `ValueError` for an answer that is several tokens.
    """
    cases, right = on.asked(model), []
    for rows, prompts in (
        batches(model, [prompt for _, prompt, *_ in cases], TEXTS) if cases else ()
    ):
        with torch.no_grad():
            logits = model.run(prompts, logits_at="last").logits
        assert logits is not None
        for row, (name, prompt, options, answer) in enumerate(cases[rows]):
            if int(logits[row, 0, list(options)].argmax()) == answer:
                right.append((name, prompt))
    known = [c for c in on.concepts.concepts if c.name in dict(right)]
    families = [c.family for c in known]
    names = {c.name for c in known if families.count(c.family) > 1}
    return [(name, prompt) for name, prompt in right if name in names]


def _joined(first: Activations, second: Activations) -> Activations:
    """The rows of both; where one has no such label, None stands."""
    n, m = len(first), len(second)
    labels = {name: (*column, *[None] * m) for name, column in first.labels.items()}
    labels |= {name: (*[None] * n, *column) for name, column in second.labels.items()}
    return replace(
        first,
        tokens=(*first.tokens, *second.tokens),
        at={name: np.concatenate([x, second.at[name]]) for name, x in first.at.items()},
        labels=labels,
        text=np.concatenate([first.text, second.text + first.text.max() + 1]),
        position=np.concatenate([first.position, second.position]),
        group=np.concatenate([first.group, second.group + first.group.max() + 1]),
    )


def stream(
    model: Model,
    texts: Any,
    sites: Any,
    *,
    pool: str | None = None,
    edits: Any = (),
    batch_size: int | None = None,
    title: str = "",
    progress: bool = False,
) -> Iterator[Activations]:
    """The same, a batch of texts at a time, for what is too large to be held."""
    read = sites_of(model, sites)
    if pool is not None:
        one_of("pool", pool, POOLS)
    texts = [texts] if isinstance(texts, str) else texts
    size = TEXTS if batch_size is None else batch_size
    for rows, tokens in batches(model, texts, size, title=title, progress=progress):
        with torch.no_grad():
            run = model.run(tokens, read=read, edits=edits, logits_at=(), stop_after=read[-1])
        found = {str(site): pooled(run[site].float(), tokens, pool).cpu().numpy() for site in read}
        lengths = np.array(tokens.lengths)
        each = np.arange(tokens.n_rows)
        if pool is None:
            each, position = np.repeat(each, lengths), np.concatenate([*map(np.arange, lengths)])
        else:
            position = lengths - 1 if pool == "last" else np.full(len(each), -1)
        yield Activations(
            **provenance(model, tokens), at=found, labels={}, text=each + rows.start,
            position=position, group=each + rows.start, pool=pool,
        )  # fmt: skip


def pooled(x: torch.Tensor, tokens: Tokens, pool: str | None) -> torch.Tensor:
    """(batch, pos, d) → (row, d): the last token's, the mean over a row's own tokens, or all."""
    mask = tokens.mask.to(x.device)
    if pool is None:
        return x[mask]
    if pool == "mean":
        # A row of padding may hold anything, even NaN, which no product with 0 takes away.
        return x.masked_fill(~mask[..., None], 0.0).sum(1) / mask.sum(1)[:, None]
    last = [tokens.columns(row, "last")[0] for row in range(tokens.n_rows)]
    return x[list(range(tokens.n_rows)), last]


def sites_of(model: Model, sites: Any) -> list[Site]:
    """Whole streams of one vector a position, in the order of a pass; a stream means every layer.

    Raises `ArgumentError` for none, and for one that is no vector.
    """
    if not isinstance(sites, (str, Site, Iterable)):
        raise refuse("sites", "one site or more", sites)
    several = [sites] if isinstance(sites, (str, Site)) else list(sites)
    out: set[Site] = set()
    for each in several:
        try:
            layered = isinstance(each, str) and each not in GLOBAL_STREAMS
            of_stream = layered and each in model.spec.streams
            own = model.spec.layers(str(each)) if of_stream else ()
            some = [Site(str(each), layer) for layer in own] or [Site.parse(each)]
        except TypeError:
            raise refuse("A site", "a name, as 'L2.resid_post'", each) from None
        out |= {model.spec.check(site) for site in some}
    for site in out:
        if site != site.whole or site.axes[:2] != ("batch", "pos") or len(site.axes) != 3:
            rule = "a whole stream of one vector a position, like L1.resid_post"
            raise refuse("A site of activations", rule, str(site))
    if not out:
        raise refuse("sites", "one site or more", sites)
    return sorted(out)


class Moments:
    """Count, mean and spread of rows that come a batch at a time, in float64.

    covariance: hold the whole matrix, (d, d), too. Sums are of differences from the first batch's
    mean, so that nothing cancels for rows far from 0.
    """

    def __init__(self, *, covariance: bool = False) -> None:
        self.n = 0
        self._with = covariance
        self._origin: Any = None
        self._sum: Any = 0.0
        self._square: Any = 0.0

    def add(self, rows: torch.Tensor) -> None:
        """Take in rows (…, d)."""
        x = rows.detach().reshape(-1, rows.shape[-1]).double()
        if not len(x):
            return
        if self._origin is None:
            self._origin = x.mean(0)
        x = x - self._origin
        self.n += len(x)
        self._sum = self._sum + x.sum(0)
        self._square = self._square + (x.T @ x if self._with else x.square().sum(0))

    @property
    def mean(self) -> torch.Tensor:
        """(d,)"""
        return self._origin + self._sum / self.n

    @property
    def variance(self) -> torch.Tensor:
        """(d,) the mean squared distance from the mean."""
        square = self._square.diagonal() if self._with else self._square
        return (square / self.n - (self._sum / self.n).square()).clamp(min=0)

    @property
    def std(self) -> torch.Tensor:
        """(d,) the square root of `variance`."""
        return self.variance.sqrt()

    @property
    def covariance(self) -> torch.Tensor:
        """(d, d) Raises `ValueError` where it was not held."""
        if not self._with:
            raise ValueError("These moments hold no covariance; make Moments(covariance=True).")
        centre = self._sum / self.n
        return self._square / self.n - torch.outer(centre, centre)


def _groups(groups: Any, labels: Mapping[str, Any] | None, own: np.ndarray) -> np.ndarray:
    """(text,) a number for each text's group."""
    if groups is None:
        return own
    if isinstance(groups, str):
        if groups not in (labels or {}):
            rule = f"the name of a label, one of {list(labels or {})}, or one entry a text"
            raise refuse("groups", rule, groups)
        groups = (labels or {})[groups]
    if isinstance(groups, str) or np.shape(groups)[:1] != (len(own),):
        raise refuse("groups", f"the name of a label, or one entry a text, {len(own)}", groups)
    names = [str(each) for each in groups]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def batches(
    model: Model, texts: Any, batch_size: int, *, title: str = "", progress: bool = False
) -> Iterator[tuple[slice, Tokens]]:
    """The rows of each batch and their tokens; a bar counts the batches.

    texts: texts, lists of token ids, or `Tokens`, each within the model's context; an iterator of
    them is read no further than it is asked for.
    Raises `ValueError` for no texts and a batch size below 1, `TypeError` for a single text.
    """
    n = None if isinstance(texts, Iterator) else check_texts(texts)
    whole("batch_size", batch_size, 1)
    starts = count(0, batch_size) if n is None else range(0, n, batch_size)
    for start in tqdm(starts, desc=title, disable=not progress):
        if isinstance(texts, Tokens):
            rows = slice(start, min(start + batch_size, texts.n_rows))
            yield rows, texts.take(range(rows.start, rows.stop)).trimmed()
            continue
        streamed = isinstance(texts, Iterator)
        taken = list(islice(texts, batch_size) if streamed else texts[start : start + batch_size])
        if not taken:
            return
        try:
            tokens = model.tokens(taken)
        except (TypeError, ValueError) as error:
            if start == 0:
                raise
            raise type(error)(
                f"Of the texts, one of {start} to {start + len(taken) - 1} cannot be read (prompt "
                f"0 is text {start}). {error}"
            ) from None
        yield slice(start, start + len(taken)), tokens


def some(model: Model, texts: Any, chosen: Sequence[int]) -> Tokens:
    """The tokens of some of the texts, by their numbers."""
    if isinstance(texts, Tokens):
        return texts.take(chosen).trimmed()
    return model.tokens([texts[i] for i in chosen])


def check_texts(texts: Any) -> int:
    """How many texts there are. Raises as `batches`."""
    if isinstance(texts, Tokens):
        return texts.n_rows
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Sequence):
        raise TypeError(
            "Texts are a list of texts, a list of lists of token ids, or Tokens; got "
            f"{given(texts)}. wb.read_texts(…, model) makes them of a file, a text or a stream."
        )
    for number, text in enumerate(texts):
        if isinstance(text, bytes) or not (isinstance(text, Sequence) or hasattr(text, "tolist")):
            raise TypeError(
                "Texts are a list of texts, or a list of lists of token ids; text "
                f"{number} is {given(text)}."
            )
    if not texts:
        raise ValueError("A measure over texts needs at least one; got none.")
    return len(texts)


def row_sums(values: torch.Tensor, tokens: Tokens) -> torch.Tensor:
    """(batch, pos, …) → (batch, …) float64: sums over each row's own tokens."""
    mask = tokens.mask.to(values.device)
    mask = mask.reshape(*mask.shape, *[1] * (values.ndim - 2))
    # A row of padding may hold anything, even NaN, which no product with 0 takes away.
    return values.double().masked_fill(~mask, 0.0).sum(1)
