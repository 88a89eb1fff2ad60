"""Heads: what every head reads and writes, as words, from its weights alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from ..check import Count, Natural, Seed, checked, one_of, refuse, whole
from ..model import Model
from ..resample import bootstrap
from ..result import Result, axes, labels, provenance
from ..site import Site
from ..tokens import token_strings
from .head_circuits import (
    CIRCUITS,
    KINDS,
    SIGNS,
    DirectionWords,
    Factors,
    Head,
    HeadWeights,
    Pairs,
    Singular,
    WordVectors,
    Writing,
    extreme_pairs,
    head_name,
    ov_factors,
    parse_heads,
    qk_factors,
    word_vectors,
)
from .head_scores import (
    RandomHeads,
    copying_score,
    own_word_extremes,
    previous_token,
    sampled_words,
)
from .projection import EmbeddingChoice, NormChoice, check_k, n_words


@dataclass(frozen=True, eq=False, repr=False)
class HeadVocabulary(Result):
    """What heads do to words: scores, word pairs and singular directions, head by head.

    The controls are random heads of the same singular values: the columns `…_control`.
    """

    #: "folded" or "none", as given.
    norm: str
    #: "weights" or "first_block", as given.
    embedding: str
    #: A word is copied where it is among so many that a head writes first.
    top: int
    #: What the numbers take in and leave out.
    notes: tuple[str, ...]
    #: Of the vocabulary.
    n_words: int
    #: "weights" (where positions are a table: for the mean word at each, which says less of deeper
    #: layers), "prompts" (of random words) or "none".
    previous_token_source: str
    #: That of even attention.
    previous_token_chance: float
    #: The words of the pairs and of the directions, by their ids.
    words: dict[str, str]
    heads: tuple[str, ...] = labels("head", "the head, as L3H1")
    layers: np.ndarray = axes("head", np.int32, name="layer")
    numbers: np.ndarray = axes("head", np.int32, "number of the head in its layer", name="number")
    copying_scores: np.ndarray = axes(
        "head", note="Σλ / Σ|λ| over the eigenvalues of OV, from -1 to 1", name="copying_score"
    )
    copying_score_control: np.ndarray = axes("head", note="mean of random heads")
    copying_score_control_low: np.ndarray = axes("head", note="the lowest of 95 % of them")
    copying_score_control_high: np.ndarray = axes("head", note="the highest of 95 % of them")
    copying_shares: np.ndarray = axes(
        "head", note="share of words that are among the first the head writes for them",
        name="copying_share",
    )  # fmt: skip
    copying_share_low: np.ndarray = axes("head", note="low end of its 95 % interval over words")
    copying_share_high: np.ndarray = axes("head", note="high end of it")
    copying_share_control: np.ndarray = axes("head", note="the share of random heads")
    suppression_shares: np.ndarray = axes(
        "head", note="share of words that are among the last the head writes for them",
        name="suppression_share",
    )  # fmt: skip
    suppression_share_low: np.ndarray = axes("head", note="low end of its 95 % interval over words")
    suppression_share_high: np.ndarray = axes("head", note="high end of it")
    suppression_share_control: np.ndarray = axes("head", note="the share of random heads")
    previous_token: np.ndarray = axes("head", note="mean attention to the token before")
    previous_token_low: np.ndarray = axes(
        "head", note="low end of its 95 % interval over prompts, NaN from weights"
    )
    previous_token_high: np.ndarray = axes("head", note="high end of it")
    #: The words that the shares are over, and of each whether the head copies or suppresses it.
    token_ids: np.ndarray = axes("example", np.int32)
    copied: np.ndarray = axes("head example", np.bool_)
    suppressed: np.ndarray = axes("head example", np.bool_)
    #: The copying score of each random head.
    random_copying_scores: np.ndarray = axes("head draw")
    previous_token_prompts: np.ndarray = axes("head batch")
    #: Best first. Kinds: "promoted" and "suppressed" (source word → word whose logit it raises or
    #: lowers most), "attended" (query word → key word with the largest score).
    pair_ids: np.ndarray = axes("head kind pair end", np.int32)
    pair_values: np.ndarray = axes("head kind pair")
    #: How much of OV and of QK had to be computed for the pairs; NaN where none were asked for.
    pair_shares: np.ndarray = axes("head circuit")
    #: Of OV and QK, largest first.
    singular_values: np.ndarray = axes("head circuit d_head")
    #: Of W_V W_O and W_Q W_Kᵀ in the residual stream, of unit length; sides are what OV reads and
    #: writes, and query and key.
    directions: np.ndarray = axes("head circuit direction side d_model")
    #: Their words: sign "+" of a direction goes with "+" of its partner, "-" with "-".
    direction_ids: np.ndarray = axes("head circuit direction sign side k", np.int32)
    direction_values: np.ndarray = axes("head circuit direction sign side k")

    tables = {"scores": "head"}
    picture = "head_words.head_vocabulary"

    @property
    def exact(self) -> bool:
        """Whether the shares are of every word of the vocabulary rather than of a sample."""
        return len(self.token_ids) == self.n_words

    def of(self, head: str | Site) -> Self:
        """The result of one head alone. Raises `KeyError` for one that is not in it."""
        name = str(head).removesuffix(".z")
        if name not in self.heads:
            raise KeyError(
                f"This result has the heads {', '.join(self.heads[:12])}"
                f"{', …' * (len(self.heads) > 12)}; got {str(head)!r}."
            )
        at = self.heads.index(name)
        sliced: dict[str, Any] = {
            f.name: getattr(self, f.name)[at : at + 1]
            for f in fields(self)
            if f.metadata.get("axes", ("",))[0] == "head"
        }
        return replace(self, heads=(name,), **sliced)

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """A table of the scores, of the pairs, or of the singular directions.

        table: "scores", one line a head. "pairs", one line a pair: head, kind, rank, source (or
        query), target (or key), value. "singular", one line a direction and sign: head, circuit,
        direction, singular_value, share (of the sum of squares), sign, reads and writes (QK: query
        and key words), a tuple of words each.

        Raises `ValueError` for another table.
        """
        table = one_of("table", "scores" if table is None else table, ("scores", *TABLES))
        return pd.DataFrame(TABLES[table](self)) if table in TABLES else super().to_frame(table)

    def word(self, token_id: int) -> str:
        """A word of the pairs or of the singular directions, by its id."""
        if str(token_id) not in self.words:
            raise refuse("token_id", f"one of the {len(self.words)} in words", token_id)
        return self.words[str(token_id)]

    def _facts(self) -> str:
        n = len(self.heads)
        named = self.heads[0] if n == 1 else f"{n} heads"
        return (
            f"{named}, norm {self.norm}, words as {self.embedding}, shares of "
            f"{len(self.token_ids)} words"
        )


@checked
def heads(
    model: Model,
    heads: str | Site | Sequence[str | Site] | None = None,
    *,
    k: Count = 10,
    n_pairs: Natural = 20,
    n_directions: Count = 4,
    top: Count = 5,
    norm: NormChoice = "folded",
    embedding: EmbeddingChoice = "weights",
    n_tokens: Count | None = None,
    n_controls: Count = 20,
    seed: Seed = 0,
    progress: bool = True,
) -> HeadVocabulary:
    """What heads read and write as words, with their scores, as a `HeadVocabulary`.

        wb.vocabulary.heads(model, ["L2H3"], embedding="first_block").to_frame("pairs")

    heads: "L3H1" or "L3H1.z", several, or None for all. k: words a singular direction. n_pairs:
    word pairs of each kind, 0 for none (they take most of the time). n_directions: singular
    directions of OV and of QK. top: a head copies a word that is among so many of the words it
    writes for it. norm: "folded" takes the norms beside a head into account, "none" weights as they
    are. embedding: "weights" reads words as W_E has them, "first_block" as block 0 leaves them when
    each stands alone (heads of layer 0 read W_E even then). n_tokens: of how many words the shares
    are, None for all of up to 4,096 and else a sample of 1,024. n_controls: random heads of the
    same singular values. seed: of the sample, the random heads and the random prompts.

    `notes` say what is left out. Raises `ValueError` for a head, k, n_pairs, n_tokens or n_controls
    that the model does not have, and where its embedding has another width than its stream.

    Sources: Dar et al. 2022, section 3; Elhage et al. 2021, copying score; Wang et al. 2022,
    section 3.1, copying share; McDougall et al. 2023, section 3; Millidge and Black 2022.
    """
    chosen = parse_heads(model.spec, heads)
    check_counts(
        model, k=k, n_pairs=n_pairs, n_directions=n_directions, top=top, n_controls=n_controls
    )
    sample = sampled_words(model, n_tokens, seed)
    swept = sweep(
        model,
        chosen,
        sample,
        norm=norm,
        embedding=embedding,
        k=k,
        n_pairs=n_pairs,
        n_directions=n_directions,
        top=top,
        n_controls=n_controls,
        seed=seed,
        progress=progress,
    )
    before = previous_token(model, chosen, seed)
    low, high = np.quantile(swept["random_copying_scores"], [0.025, 0.975], axis=1)
    # Nothing was drawn where the shares are of every word, or attention is from weights.
    exact, measured = len(sample) == n_words(model), before.source == "prompts"
    shares = {
        name: _with_interval(swept[of], seed, drawn=not exact)
        for name, of in (("copying_share", "copied"), ("suppression_share", "suppressed"))
    }
    attention = _with_interval(before.scores, seed, drawn=measured)
    used = sorted({*swept["pair_ids"].ravel().tolist(), *swept["direction_ids"].ravel().tolist()})
    strings = token_strings(model.tokenizer, used)
    return HeadVocabulary(
        **provenance(model, seed=seed),
        heads=tuple(head_name(*head) for head in chosen),
        norm=norm,
        embedding=embedding,
        top=top,
        notes=_notes(model, norm, embedding, before.source),
        n_words=n_words(model),
        previous_token_source=before.source,
        previous_token_chance=before.chance,
        words={str(i): text for i, text in zip(used, strings, strict=True)},
        layers=np.array([layer for layer, _ in chosen], np.int32),
        numbers=np.array([head for _, head in chosen], np.int32),
        token_ids=sample.numpy(),
        copying_score_control=swept["random_copying_scores"].mean(1),
        copying_score_control_low=low,
        copying_score_control_high=high,
        copying_shares=shares["copying_share"][0],
        suppression_shares=shares["suppression_share"][0],
        **{
            f"{name}_{end}": ends[at]
            for name, ends in shares.items()
            for at, end in enumerate(("low", "high"), 1)
        },
        previous_token=attention[0],
        previous_token_low=attention[1] if measured else np.full(len(chosen), np.nan),
        previous_token_high=attention[2] if measured else np.full(len(chosen), np.nan),
        previous_token_prompts=before.scores,
        **swept,
    )


def _with_interval(values: np.ndarray, seed: int, *, drawn: bool) -> tuple[np.ndarray, ...]:
    """Means over the last axis with the ends of their 95 % intervals: bootstrap, or the means."""
    means = values.mean(-1, dtype=np.float32)
    if not drawn:
        return means, means, means
    ends = [
        bootstrap(lambda rows, one=one: one[rows].mean(-1), len(one), seed=seed) for one in values
    ]
    return means, *np.array(ends).T


def _notes(
    model: Model, norm: NormChoice, embedding: EmbeddingChoice, source: str
) -> tuple[str, ...]:
    """What the numbers of this model take in and leave out."""
    before = model.norm("ln1", 0)
    after = model.norm("ln1_post", 0)
    out = []
    if norm == "none":
        out.append("No norm's weight or division is in the numbers, and no bias.")
    else:
        taken = [
            *(["the norm before attention"] if before is not None else []),
            *(["the post-norm of attention"] if after is not None else []),
            "the final norm",
        ]
        out.append(f"Folded in: the weights of {' and '.join(taken)}; no bias.")
        out.append(
            "Each word has the size that the norm before attention gives it."
            if before is not None
            else "Words have the size of their embeddings: no norm stands before attention."
        )
        left = "the final norm" + (" and of the post-norm" if after is not None else "")
        out.append(f"Left out: the division of {left}, which hangs on the rest of the stream.")
    if source != "weights":
        out.append("Left out of QK: rotary or ALiBi positions, and norms of queries and keys.")
    out.append(
        "Words are rows of W_E."
        if embedding == "weights"
        else "Words are as block 0 leaves them alone; heads of layer 0 read W_E."
    )
    where = {
        "weights": "from W_pos and W_QK, for the mean word at each position",
        "prompts": "measured on prompts of random words",
        "none": "unknown: this backend reads no pattern of this architecture",
    }
    out.append(f"Previous-token scores are {where[source]}.")
    return tuple(out)


# -- one head after another ----------------------------------------------------------------------


def check_counts(model: Model, *, k: int, top: int, **counts: int) -> None:
    """Raises `ValueError` for a number of words, pairs, directions or random heads out of range."""
    total = n_words(model)
    check_k(k, total)
    spec = model.spec
    rank = min(spec.d_head, spec.d_model)
    ranges = {
        "top": (top, 1, total - 1, "words that a head may write first"),
        "n_pairs": (counts["n_pairs"], 0, total**2, "word pairs"),
        "n_directions": (counts["n_directions"], 1, rank, "singular directions, at most d_head"),
        "n_controls": (counts["n_controls"], 1, 10_000, "random heads"),
    }
    for name, (value, low, high, what) in ranges.items():
        whole(name, value, low, high, f"These are {what}.")


def sweep(
    model: Model,
    heads: list[Head],
    sample: torch.Tensor,
    *,
    norm: NormChoice,
    embedding: EmbeddingChoice,
    k: int,
    n_pairs: int,
    n_directions: int,
    top: int,
    n_controls: int,
    seed: int,
    progress: bool,
) -> dict[str, Any]:
    """The arrays of a `HeadVocabulary` that come from weights, by the names of its fields."""
    writing = Writing.to(model, norm)
    plain = word_vectors(model, norm)
    behind = plain
    if embedding == "first_block" and any(layer > 0 for layer, _ in heads):
        behind = word_vectors(model, norm, embedding, progress=progress)
    own = sample.to(plain.rows.device)
    rows: list[dict[str, Any]] = []
    with torch.no_grad():
        for layer, head in tqdm(heads, desc="heads", disable=not progress, leave=False):
            words = behind if layer else plain
            weights = HeadWeights.of(model, layer, head, norm)
            circuits = Singular.both(weights)
            found = DirectionWords.read(
                circuits, n_directions, k, words.projection(), writing.projection
            )
            ov = ov_factors(weights, words, writing)
            copied, suppressed = own_word_extremes(ov.left[own], ov.right, own, top)
            rows.append(
                {
                    "copying_scores": copying_score(ov),
                    "copied": copied.cpu().numpy(),
                    "suppressed": suppressed.cpu().numpy(),
                    "singular_values": np.stack([c.values.numpy() for c in circuits]),
                    "directions": found.directions,
                    "direction_ids": found.ids,
                    "direction_values": found.values,
                    **_pairs(ov, weights, words, n_pairs),
                }
            )
            del ov
        out = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        out |= _chance(heads, out["singular_values"][:, 0], plain, behind, writing, own, n_controls,
                       top, seed)  # fmt: skip
    return out


def _pairs(ov: Factors, weights: HeadWeights, words: WordVectors, n: int) -> dict[str, np.ndarray]:
    if n == 0:
        ids, values = np.empty((3, 0, 2), np.int32), np.empty((3, 0), np.float32)
        return {"pair_ids": ids, "pair_values": values, "pair_shares": np.full(2, np.nan)}
    promoted, suppressed = extreme_pairs(ov, n)
    attended, _ = extreme_pairs(qk_factors(weights, words), n, smallest=False)
    kinds: list[Pairs] = [promoted, suppressed, attended]
    return {
        "pair_ids": np.stack([pairs.ids for pairs in kinds]),
        "pair_values": np.stack([pairs.values for pairs in kinds]),
        "pair_shares": np.array([promoted.share, attended.share]),
    }


def _chance(
    heads: list[Head],
    spectra: np.ndarray,
    plain: WordVectors,
    behind: WordVectors,
    writing: Writing,
    sample: torch.Tensor,
    n_controls: int,
    top: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """The scores of random heads; those of layer 0 read other words where `behind` is not plain."""
    first = np.array([layer == 0 or behind is plain for layer, _ in heads])
    scores = np.empty((len(heads), n_controls), np.float32)
    shares = np.empty((2, len(heads)), np.float32)
    for chosen, words in ((first, plain), (~first, behind)):
        if chosen.any():
            drawn = RandomHeads.draw(words, writing, sample, spectra.shape[1], n_controls, seed)
            scores[chosen], shares[0, chosen], shares[1, chosen] = drawn.scores(
                spectra[chosen], top
            )
    return {
        "random_copying_scores": scores,
        "copying_share_control": shares[0],
        "suppression_share_control": shares[1],
    }


# -- tables --------------------------------------------------------------------------------------


def pairs(result: HeadVocabulary) -> list[dict[str, Any]]:
    """One line a pair."""
    return [
        {
            "head": head,
            "kind": kind,
            "rank": 1 + rank,
            "source": result.word(int(ids[0])),
            "target": result.word(int(ids[1])),
            "value": float(result.pair_values[h, which, rank]),
        }
        for h, head in enumerate(result.heads)
        for which, kind in enumerate(KINDS)
        for rank, ids in enumerate(result.pair_ids[h, which])
    ]


def singular(result: HeadVocabulary) -> list[dict[str, Any]]:
    """One line a singular direction and sign."""
    squares = result.singular_values.astype(np.float64) ** 2
    totals = squares.sum(-1)
    return [
        {
            "head": head,
            "circuit": circuit,
            "direction": d,
            "singular_value": float(result.singular_values[h, c, d]),
            "share": float(squares[h, c, d] / totals[h, c]) if totals[h, c] else float("nan"),
            "sign": sign,
            "reads": _words(result, h, c, d, s, 0),
            "writes": _words(result, h, c, d, s, 1),
        }
        for h, head in enumerate(result.heads)
        for c, circuit in enumerate(CIRCUITS)
        for d in range(result.direction_ids.shape[2])
        for s, sign in enumerate(SIGNS)
    ]


def _words(result: HeadVocabulary, *at: int) -> tuple[str, ...]:
    return tuple(result.word(int(i)) for i in result.direction_ids[at])


TABLES: dict[str, Callable[[HeadVocabulary], Any]] = {
    "pairs": pairs,
    "singular": singular,
}
