"""Words: any directions of the residual stream as words, and every bias."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from ..change import Change
from ..check import ArgumentError, Count, checked, held, refuse, tensor
from ..dictionary.base import Dictionary
from ..edits import Add, Edit
from ..model import Model
from ..pictures.marks import Words
from ..result import Result, axes, labels, provenance
from ..site import Site
from ..tokens import token_strings
from .projection import (
    MEASURES,
    NormChoice,
    Projection,
    Read,
    ReadingProjection,
    behind,
    check_k,
    joined,
    n_words,
    read_words,
    reading_projection,
    site_projection,
    word_lines,
    writing_projection,
)

Space = Literal["unembed", "embed", "site"]


@dataclass(frozen=True, eq=False, repr=False)
class DirectionVocabulary(Result):
    """The top and bottom words of some directions.

    A number of "unembed" is the logit that a direction gives when it is all there is in the
    residual stream, at a root mean square of 1 (of what passes no final norm, the logit that it
    adds, at its own size); of "embed" it is the product with a token's embedding; of "site" that
    with what a token standing alone puts into the stream there, as the norm leaves it.
    """

    #: "unembed", as what is written into the residual stream; "embed" or "site", as what is read.
    space: str
    #: "folded" or "none".
    norm: str
    #: The string of each token id.
    vocabulary: tuple[str, ...]
    names: tuple[str, ...] = labels("row", "what is read", name="direction")
    #: The k tokens with the largest numbers, largest first, and with the smallest, smallest first.
    top_ids: np.ndarray = axes("row k", np.int32)
    top_values: np.ndarray = axes("row k")
    bottom_ids: np.ndarray = axes("row k", np.int32)
    bottom_values: np.ndarray = axes("row k")
    share: np.ndarray | None = axes(
        "row", note="probability of the top word in a softmax over the logits", optional=True
    )
    kurtosis: np.ndarray | None = axes(
        "row", note="excess kurtosis over the vocabulary, 0 for a Gaussian", optional=True
    )
    sizes: np.ndarray = axes("row", note="root mean square of the direction", name="size")

    tables = {"directions": "row"}
    picture = Words("token", "direction", "value", table="words", where={"end": "top"}, top=20)

    def to_frame(self, table: str | None = None, *, n: Count = 5) -> pd.DataFrame:
        """One line a direction: its `n` first words at either end in one text (top, bottom), the
        value of the top word, and what was measured; or one line a word.

        table: None, or "words": direction, end ("top", "bottom"), rank, token, value.
        """
        if table == "words":
            ends = {
                "top": (self.top_ids, self.top_values),
                "bottom": (self.bottom_ids, self.bottom_values),
            }
            return word_lines(self.vocabulary, ends, {"direction": self.names})
        return (
            super()
            .to_frame(table)
            .assign(
                top=joined(self.vocabulary, self.top_ids[:, :n]),
                bottom=joined(self.vocabulary, self.bottom_ids[:, :n]),
                value=self.top_values[:, 0],
            )
        )

    def _facts(self) -> str:
        n, k = self.top_ids.shape
        through = "tokens at their site" if self.space == "site" else f"the {self.space}ding"
        return f"{n} directions through {through}, top {k} words, norm {self.norm}"


@checked
def words(
    model: Model,
    vectors: Any,
    *,
    names: Sequence[str] | None = None,
    k: Count | None = 10,
    norm: NormChoice = "folded",
    space: Space = "unembed",
    measures: Sequence[str] = MEASURES,
    progress: bool = False,
) -> DirectionVocabulary:
    """Any directions of the residual stream as words: a `DirectionVocabulary`.

    vectors: (n, d_model) or (d_model,), a tensor or an array; a dictionary, whose rows of W_dec are
    read; or a change, whose added vectors are. names: one each; None takes the dictionary's. k:
    words at either end, None for all. space: "unembed", as what is written into the stream, through
    the final norm's centring and weight with norm "folded"; "embed", as what is compared with it:
    with "folded" against embeddings at the size the first norm gives them; "site", as an
    observable's vector is read: by what each token, standing alone, puts into the stream at the
    dictionary's site, through the norm there. measures: "share" and "kurtosis".

    Raises `ValueError` for directions of another width, without a length, or with numbers that are
    not finite, for names that do not go with them, and a k beyond the vocabulary.

    Source: Dar et al., "Analyzing Transformers in Embedding Space" (2022), section 3.
    """
    given, own, site = _given(vectors)
    rows = _rows(model, given)
    labels = list(own or (f"direction {i}" for i in range(len(rows))) if names is None else names)
    if len(labels) != len(rows) or len(set(labels)) != len(labels):
        raise ValueError(
            f"Each of the {len(rows)} directions has a name of its own; got {len(labels)} names, "
            f"{len(set(labels))} of them different."
        )
    if space == "unembed":
        projection = writing_projection(model, norm)
    else:
        if space == "embed":
            projection = reading_projection(model, norm)
        elif site is not None:
            projection = site_projection(model, site)
        else:
            raise ArgumentError(
                "space='site' reads the vectors of a dictionary, which names their site; got "
                "vectors without one. Give wb.Dictionary.of(vectors, site=…)."
            )
        measures = [name for name in measures if name != "share"]
    k = projection.d_vocab if k is None else k
    found = read_words(projection, rows, k=k, bottom=True, measures=measures, progress=progress)
    return _vocabulary(model, found, labels, space, norm)


@checked
def biases(model: Model, *, k: Count = 10, norm: NormChoice = "folded") -> DirectionVocabulary:
    """Every bias that is added to the residual stream or to the logits, as words.

    In the order of a pass: "L0H1.b_V" (what the bias of a head's values adds, through its W_O;
    attention sums to 1, so that it is always there), "L0.b_O", the bias of a norm behind
    attention ("L0.ln1_post"), "L0.b_out" and "L0.ln2_post"; then "ln_final", the final norm's, and
    "b_U". A bias of zeros is left out. Those of the final norm and of the unembedding pass no norm
    afterwards: their numbers are the logits that they add.

    Raises `ValueError` for a model without such a bias, and a k beyond the vocabulary.
    """
    projection = writing_projection(model, norm)
    check_k(k, projection.d_vocab)
    with torch.no_grad():
        inner = {name: bias for name, bias in _inner_biases(model, norm) if bool(bias.any())}
        parts = (
            [read_words(projection, torch.stack(list(inner.values())), k=k, bottom=True)]
            if inner
            else []
        )
        for name, bias, matrix in _outer_biases(model, projection):
            if bool(bias.any()):
                # At its own size: what the final norm has been passed by is not resized.
                as_is = ReadingProjection(matrix, None, projection.scale)
                parts.append(read_words(as_is, bias[None], k=k, bottom=True))
                inner[name] = bias
    if not parts:
        raise ValueError(
            f"{model.spec.name} ({model.spec.architecture}) adds no bias: all are absent or zero. "
            "Read its neurons instead: wb.vocabulary.neurons."
        )
    return _vocabulary(model, Read.joined(parts), list(inner), "unembed", norm)


def _inner_biases(model: Model, norm: NormChoice) -> Iterator[tuple[str, torch.Tensor]]:
    """What is added to the residual stream whatever is read, each (d_model,)."""
    spec = model.spec
    for layer in range(spec.n_layers):
        after = {name: model.norm(name, layer) for name in ("ln1_post", "ln2_post")}
        folded = after if norm == "folded" else dict.fromkeys(after)
        values = model.weight("b_V", layer)
        W_O, b_O, b_out = (
            model.weight(name, layer) * spec.residual_multiplier for name in ("W_O", "b_O", "b_out")
        )
        for head in range(spec.n_heads):
            value = values[head // (spec.n_heads // spec.n_kv_heads)]
            yield f"L{layer}H{head}.b_V", behind(folded["ln1_post"], value @ W_O[head])
        yield f"L{layer}.b_O", behind(folded["ln1_post"], b_O)
        if (post := after["ln1_post"]) is not None:
            yield f"L{layer}.ln1_post", post.bias
        yield f"L{layer}.b_out", behind(folded["ln2_post"], b_out)
        if (post := after["ln2_post"]) is not None:
            yield f"L{layer}.ln2_post", post.bias


def _outer_biases(
    model: Model, projection: Projection
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """What is added behind the final norm, and the matrix through which it becomes logits."""
    final = model.norm("ln_final")
    if final is not None:
        yield "ln_final", final.bias, projection.matrix
    bias = model.weight("b_U")[: n_words(model)]
    # As a direction of width 1 that has the bias's own size.
    size = bias.float().pow(2).mean().sqrt().to(bias.dtype)
    yield "b_U", size[None], bias[None] / size


def _given(vectors: Any) -> tuple[Any, Sequence[str], Site | None]:
    """The vectors themselves, their names where they have any, and the site of a dictionary's."""
    if isinstance(vectors, (Dictionary, Mapping)):
        dictionary = held("vectors", Dictionary, vectors, "vocabulary.words")
        return dictionary.W_dec, dictionary.names, dictionary.site
    if not isinstance(vectors, (Change, Edit)):
        return vectors, (), None
    added = [part for part in Change.of(vectors).parts if isinstance(part.what, Add)]
    rows = [torch.atleast_2d(torch.as_tensor(part.what.value).float()) for part in added]
    if not rows or any(row.shape != (1, row.shape[-1]) for row in rows):
        raise refuse(
            "A change read as words",
            "one that adds a vector or several",
            vectors,
            "Give the vectors.",
        )
    signs = [part.strength * part.what.scale for part in added]
    names = [str(part.what.site) for part in added]
    return torch.cat([row * sign for row, sign in zip(rows, signs, strict=True)]), names, None


def _rows(model: Model, directions: Any) -> torch.Tensor:
    """(n, d_model) on the model's device and in its precision."""
    like = model.weight("W_U", copy=False)
    rows = torch.atleast_2d(tensor("directions", directions)).detach().to(like)
    d_model = model.spec.d_model
    if rows.ndim != 2 or rows.shape[1] != d_model or not len(rows):
        raise ValueError(
            f"Directions of {model.spec.name} are (n, {d_model}), at least one; got the shape "
            f"{tuple(np.shape(directions))}."
        )
    good = rows.isfinite().all(-1) & rows.any(-1)
    if not bool(good.all()):
        at = int((~good).nonzero()[0])
        raise ValueError(
            f"A direction has finite numbers, not all of them 0; direction {at} has not. Leave it "
            "out."
        )
    return rows


def _vocabulary(
    model: Model, words: Read, names: Sequence[str], space: str, norm: str
) -> DirectionVocabulary:
    assert words.bottom_ids is not None and words.bottom_values is not None
    return DirectionVocabulary(
        **provenance(model),
        names=tuple(map(str, names)),
        space=space,
        norm=norm,
        vocabulary=tuple(token_strings(model.tokenizer, range(n_words(model)))),
        top_ids=words.top_ids,
        top_values=words.top_values,
        bottom_ids=words.bottom_ids,
        bottom_values=words.bottom_values,
        sizes=words.sizes,
        share=words.share,
        kurtosis=words.kurtosis,
    )
