"""Labels: what a feature is called, by its tokens or by a person, and how well that detects it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..check import checked
from ..dictionary.base import Dictionary
from ..files import SUM, aside, check_seal, seal
from ..reading import check_file, parse_json
from ..site import Site
from .index import FeatureIndex, cache_folder

FILE = "labels.json"
FORMAT = 1
_AGAIN = "Delete it, and make the labels again with features.label."
#: A label by tokens has at most so many, of which so many are written out.
MOST_TOKENS, WRITTEN_TOKENS = 16, 4
#: And only those with this share of the feature's activity, where there are any.
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Label:
    """What a feature is called. text: to be shown, "" for none. by: "tokens" or "person".

    tokens: those by which it detects: the feature is said to fire where one of them stands.
    f1, precision, recall: of that on held-out texts, against where its code is above 0; None where
    there are no tokens, where it was not measured, and where the feature does not fire there.
    """

    text: str = ""
    tokens: tuple[str, ...] = ()
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    by: str = "tokens"

    @property
    def score(self) -> str:
        """The score in words, which stand beside a label wherever it is shown."""
        return "not scored" if self.f1 is None else f"F1 {self.f1:.2f} on held-out text"

    def __str__(self) -> str:
        short = "not scored" if self.f1 is None else f"F1 {self.f1:.2f}"
        return f"{self.text or 'no label'} ({short})"


@checked
class Labels:
    """The labels of one dictionary's features, by number or name.

    `labels[123]` is a `Label`, `labels[123] = "kinds of birds"` a person's, which is not scored;
    `set` also takes the tokens to score it by. `save` keeps them with the dictionary.
    """

    def __init__(
        self,
        site: str,
        n_features: int,
        fingerprint: str,
        labels: dict[int, Label] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.site, self.n_features, self.fingerprint = site, n_features, fingerprint
        self.folder = folder
        self._labels = dict(labels or {})

    @classmethod
    def empty(cls, dictionary: Dictionary) -> Labels:
        """No label for any feature."""
        return cls(
            str(dictionary.out_site),
            dictionary.n_features,
            dictionary.fingerprint,
            folder=dictionary.path,
        )

    @classmethod
    def of(cls, dictionary: Dictionary) -> Labels:
        """The labels that were saved with a dictionary; empty where there are none.

        Raises `ValueError` for a file of another dictionary, and for one that cannot be read.
        """
        labels = cls.empty(dictionary)
        places = [_elsewhere(dictionary.fingerprint)]
        places += [dictionary.path / FILE] if dictionary.path is not None else []
        for place in places:
            with suppress(FileNotFoundError):
                labels._labels = _read(place, dictionary)
                break
        return labels

    def number(self, feature: int | str | Site) -> int:
        """The number of a feature given as a number or a name. Raises `ValueError` for none such"""
        if isinstance(feature, (str, Site)):
            site = Site.parse(feature)
            number = site.unit if str(site.whole) == self.site else None
        else:
            number = int(feature)
        if number is None or not 0 <= number < self.n_features:
            raise ValueError(
                f"These labels are of {self.site}/0 to {self.site}/{self.n_features - 1}; got "
                f"{str(feature)!r}."
            )
        return number

    def __getitem__(self, feature: int | str | Site) -> Label:
        return self._labels.get(self.number(feature), Label())

    def __setitem__(self, feature: int | str | Site, text: str) -> None:
        self.set(feature, text)

    def __iter__(self) -> Iterator[int]:
        """The numbers of the features that have a label."""
        return iter(sorted(self._labels))

    def __len__(self) -> int:
        return len(self._labels)

    def set(
        self,
        feature: int | str | Site,
        text: str,
        *,
        tokens: Sequence[str] = (),
        index: FeatureIndex | None = None,
    ) -> Label:
        """Put in a person's label; with `tokens` and an index it is scored like the others.

        tokens: token strings, with their leading space. Without them the score is unknown. Raises
        `ValueError` for an empty text, for tokens without an index, an index of another
        dictionary, and tokens that none of its texts has.
        """
        number = self.number(feature)
        if not text.strip():
            raise ValueError(f"A label is a text that is not empty; got {text!r}.")
        label = Label(text.strip(), by="person")
        if tokens:
            if index is None or index.facts["dictionary"] != self.fingerprint:
                raise ValueError(
                    "A label's tokens are scored on an index of the same dictionary; "
                    f"got {index!r}. Give index=features.index(model, texts, dictionary)."
                )
            label = scored(index, number, text.strip(), tuple(tokens), "person")
        self._labels[number] = label
        return label

    def keep(self, feature: int | str | Site, label: Label) -> None:
        """Put in a label as it is, with the score that it has."""
        self._labels[self.number(feature)] = label

    def to_frame(self) -> pd.DataFrame:
        """One line a labelled feature: feature, label, f1, precision, recall, by."""
        scores = ["f1", "precision", "recall"]
        rows = [asdict(self._labels[i]) | {"feature": f"{self.site}/{i}"} for i in self]
        frame = pd.DataFrame(rows, columns=["feature", "text", *scores, "by"])
        return frame.rename(columns={"text": "label"}).astype(dict.fromkeys(scores, float))

    def save(self, folder: str | Path | None = None) -> Path:
        """Write labels.json into a folder, by default the dictionary's own; returns its path.

        Where the dictionary has no folder or it is read-only, they are kept in
        $WORKBENCH_CACHE (else ~/.cache/workbench), where `Labels.of` finds them too.
        Raises `ValueError` where the folder's labels are of another dictionary.
        """
        target = Path(folder) if folder is not None else self.folder
        elsewhere = _elsewhere(self.fingerprint)
        if target is None:
            return self._write(elsewhere)
        existing = target / FILE
        if os.path.lexists(existing) and _body(existing)["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"{existing} has the labels of another dictionary; these are of {self.site}. Save "
                "them in another folder."
            )
        try:
            path = self._write(existing)
        except OSError as error:
            if folder is not None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            return self._write(elsewhere)
        if folder is None:
            # They were kept there while the folder could not be written, and would come first.
            elsewhere.unlink(missing_ok=True)
        return path

    def _write(self, path: Path) -> Path:
        rows = [_row(i, self._labels[i]) for i in self]
        head = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "site": self.site,
            "n_features": self.n_features,
        }
        head[SUM] = seal({**head, "labels": rows})
        # One line a feature, so that a change of one label is a change of one line and the first.
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        with aside(path) as (part,):
            body = json.dumps(head)[:-1] + ', "labels": [\n' + lines + "\n]}\n"
            part.write_text(body, encoding="utf-8")
        return path

    def __repr__(self) -> str:
        by_person = sum(label.by == "person" for label in self._labels.values())
        return (
            f"Labels({self.site}: {len(self)} of {self.n_features} features, {by_person} by a "
            "person)"
        )


@checked
def label(index: FeatureIndex, folder: Path | None = None) -> Labels:
    """A label by tokens for every feature that fires, scored on the index's held-out texts.

        labels = wb.features.label(wb.features.index(model, texts, dictionary))

    Of the 16 tokens with most of a feature's activity, and at least 1 % of it where any has that,
    those are taken that give the best F1 on the other texts. Where a prediction is made token by
    token, the best set is those with the largest share of occurrences at which the feature fires,
    so only such sets are tried. folder: where `save` keeps them.
    """
    found = {i: automatic(index, i) for i in range(index.n_features) if index.count[i]}
    return Labels(index.site, index.n_features, index.facts["dictionary"], found, folder)


def automatic(index: FeatureIndex, feature: int) -> Label:
    """The label by tokens of one feature; see `label`."""
    used = [use for use in index.tokens(feature, MOST_TOKENS) if use.fitted]
    used = [use for use in used if use.share >= LEAST_SHARE] or used
    seen = index.token_counts[0]
    fires = int(index.count[feature] - index.count_held_out[feature])
    best, chosen = 0.0, 0
    right = said = 0
    by_rate = sorted(used, key=lambda use: -use.fitted / seen[use.id])
    for n, use in enumerate(by_rate, 1):
        right, said = right + use.fitted, said + int(seen[use.id])
        f1 = 2 * right / (said + fires)
        if f1 > best:
            best, chosen = f1, n
    # Written in the order of how much of the activity falls on each.
    tokens = tuple(use.string for use in used if use in by_rate[:chosen])
    return scored(index, feature, written(tokens), tokens, "tokens") if tokens else Label()


def written(tokens: Sequence[str]) -> str:
    """Tokens as a label's text: the first few different ones, and how many more there are."""
    shown = list(dict.fromkeys(_word(token) for token in tokens))
    more = len(shown) - WRITTEN_TOKENS
    return ", ".join(shown[:WRITTEN_TOKENS]) + (f" … +{more}" if more > 0 else "")


def _word(token: str) -> str:
    """A token as a word of a label: punctuation in marks, so that it is seen."""
    word = token.strip()
    if any(c.isalnum() for c in word):
        return word
    return f"‘{word}’" if word.isprintable() and word else repr(token)


def scored(index: FeatureIndex, feature: int, text: str, tokens: tuple[str, ...], by: str) -> Label:
    """A label with its precision, recall and F1 on the held-out texts of an index."""
    ids = {i for token in tokens for i in index.ids_of(token)}
    if not ids:
        raise ValueError(
            f"None of the tokens {', '.join(map(repr, tokens))} stands in the index's texts. Token "
            "strings keep their leading space, as in ' dog'."
        )
    fires = int(index.count_held_out[feature])
    said = int(index.token_counts[1, sorted(ids)].sum())
    # A label by tokens has them from the first of the feature's own, unless two are written alike.
    most = MOST_TOKENS if by == "tokens" and len(ids) == len(tokens) else None
    right = sum(use.held_out for use in index.tokens(feature, most) if use.id in ids)
    if not fires:
        return Label(text, tokens, by=by)
    f1, recall = 2 * right / (said + fires), right / fires
    return Label(text, tokens, f1, right / said if said else 0.0, recall, by)


def _elsewhere(fingerprint: str) -> Path:
    return cache_folder().parent / "labels" / fingerprint / FILE


def _row(number: int, label: Label) -> list[Any]:
    scores = (label.f1, label.precision, label.recall)
    rounded = [None if score is None else round(score, 4) for score in scores]
    text = label.text if label.by == "person" else ""
    return [number, text, list(label.tokens), *rounded]


def _body(path: Path) -> dict[str, Any]:
    """What a file of labels holds. Raises `ValueError` for one that is damaged or newer."""
    check_file(path)
    try:
        body = parse_json(path)
        version, _ = body["format"], (body["fingerprint"], body["labels"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a file of labels ({type(error).__name__}: {error}). {_AGAIN}"
        ) from None
    if version != FORMAT or type(version) is not int:
        raise ValueError(
            f"{path} has format {str(version)[:40]}; this workbench reads format {FORMAT}. Update "
            "workbench."
        )
    check_seal(body, str(path), _AGAIN)
    return body


def _read(path: Path, dictionary: Dictionary) -> dict[int, Label]:
    body = _body(path)
    if body["fingerprint"] != dictionary.fingerprint:
        raise ValueError(
            f"The labels in {path} are of another dictionary (fingerprint {body['fingerprint']}) "
            f"than {dictionary!r} ({dictionary.fingerprint}). Delete the file, or move it to its "
            "own dictionary."
        )
    out: dict[int, Label] = {}
    for number, text, tokens, *scores in body["labels"]:
        by = "person" if text else "tokens"
        out[number] = Label(text or written(tokens), tuple(tokens), *scores, by=by)
    return out
