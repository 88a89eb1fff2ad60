"""Head vocabulary: what every head reads and writes, as words, from its weights alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from ...check import Count, Natural, Seed, checked, refuse
from ...model import Model
from ...resample import bootstrap
from ...result import Result, axes, provenance
from ...site import Site
from ...tokens import token_strings
from .head_factors import EmbeddingChoice, check_embedding, head_name, parse_heads
from .head_scores import previous_token, sampled_words
from .head_sweep import check_counts, sweep
from .head_tables import TABLES
from .projection import NormChoice, check_norm, n_words


@dataclass(frozen=True, eq=False, repr=False)
class HeadVocabulary(Result):
    """What heads do to words: pairs, singular directions and scores, head by head.

    heads: "L3H1", …; layers and numbers the same as numbers. norm, embedding, top: as given.
    notes: what the numbers take in and leave out. n_words: of the vocabulary.

    Scores (head): copying_scores Σλ / Σ|λ|, from -1 to 1. copied, suppressed (head, token): whether
    the own word of token_ids is among the `top` words that a head writes for it, or the last.
    random_copying_scores (head, random), random_copying_shares and random_suppression_shares
    (head): those of random heads with the same singular values. previous_token (head, prompt): mean
    attention to the token before; previous_token_source "weights" (one column), "prompts" or
    "none"; previous_token_chance: that of even attention.

    Pairs: pair_ids (head, kind, pair, 2), pair_values (head, kind, pair) best first. Kinds:
    "promoted" and "suppressed" (source word → word whose logit it raises or lowers most),
    "attended" (query word → key word with the largest score). pair_shares (head, 2): how much of
    OV and of QK had to be computed for them; NaN where no pairs were asked for.

    Singular directions: singular_values (head, circuit, d_head), of OV and QK, largest first.
    directions (head, circuit, direction, side, d_model) of unit length; sides are what OV reads and
    writes, and query and key. direction_ids, direction_values (head, circuit, direction, sign,
    side, k) their words: sign "+" of a direction goes with "+" of its partner, "-" with "-".
    """

    heads: tuple[str, ...]
    norm: str
    embedding: str
    top: int
    notes: tuple[str, ...]
    n_words: int
    previous_token_source: str
    previous_token_chance: float
    words: dict[str, str]
    layers: np.ndarray = axes("head", np.int32)
    numbers: np.ndarray = axes("head", np.int32)
    token_ids: np.ndarray = axes("token", np.int32)
    copying_scores: np.ndarray = axes("head")
    random_copying_scores: np.ndarray = axes("head random")
    copied: np.ndarray = axes("head token", np.bool_)
    suppressed: np.ndarray = axes("head token", np.bool_)
    random_copying_shares: np.ndarray = axes("head")
    random_suppression_shares: np.ndarray = axes("head")
    previous_token: np.ndarray = axes("head prompt")
    pair_ids: np.ndarray = axes("head kind pair end", np.int32)
    pair_values: np.ndarray = axes("head kind pair")
    pair_shares: np.ndarray = axes("head circuit")
    singular_values: np.ndarray = axes("head circuit d_head")
    directions: np.ndarray = axes("head circuit direction side d_model")
    direction_ids: np.ndarray = axes("head circuit direction sign side k", np.int32)
    direction_values: np.ndarray = axes("head circuit direction sign side k")

    picture = "head_words.head_vocabulary"

    @property
    def copying_shares(self) -> np.ndarray:
        """(head,) the share of words that a head copies: own word among the top ones it writes."""
        return self.copied.mean(-1, dtype=np.float32)

    @property
    def suppression_shares(self) -> np.ndarray:
        """(head,) the share of words that a head suppresses: own word among the last ones."""
        return self.suppressed.mean(-1, dtype=np.float32)

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

    def share_interval(self, head: str, *, of: str = "copied") -> tuple[float, float]:
        """The 95 % interval of a share over the sampled words (bootstrap); of: or "suppressed".

        Both ends are the share itself where it is of the whole vocabulary.
        """
        if of not in ("copied", "suppressed"):
            raise ValueError(f"A share is of the words 'copied' or 'suppressed'; got {of!r}.")
        flags = getattr(self.of(head), of)[0]
        if self.exact:
            return float(flags.mean()), float(flags.mean())
        return bootstrap(lambda drawn: flags[drawn].mean(-1), len(flags), seed=self.seed or 0)

    def to_frame(self, what: Literal["scores", "pairs", "singular"] = "scores") -> pd.DataFrame:
        """A table of the scores, of the pairs, or of the singular directions.

        "scores": one line a head: head, layer, number, copying_score with the mean and the 95 %
        range of random heads (random_copying_score, _low, _high); copying_share and
        suppression_share, each with _low, _high and that of random heads; previous_token with _low
        and _high (NaN from weights), previous_token_chance. "pairs": one line a pair: head, kind,
        rank, source (or query), target (or key), value. "singular": one line a direction and sign:
        head, circuit, direction, singular_value, share (of the sum of squares), sign, reads and
        writes (QK: query and key words), a tuple of words each.

        Raises `ValueError` for another table.
        """
        if what not in TABLES:
            raise ValueError(f"A table is one of {', '.join(TABLES)}; got what={what!r}.")
        return pd.DataFrame(TABLES[what](self))

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
def head_vocabulary(
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
    n_random: Count = 20,
    seed: Seed = 0,
    progress: bool = True,
) -> HeadVocabulary:
    """What heads read and write as words, with their scores, as a `HeadVocabulary`.

    heads: "L3H1" or "L3H1.z", several, or None for all. k: words a singular direction. n_pairs:
    word pairs of each kind, 0 for none (they take most of the time: a vocabulary² of products, in
    blocks that are never kept, less what bounds rule out). n_directions: singular directions of OV
    and of QK. top: a head copies a word that is among so many of the words it writes for it.
    n_tokens: of how many words the shares are, None for all of up to 4,096 and else a sample of
    1,024. n_random: random heads a head is compared with. seed: of the sample, the random heads and
    the random prompts.

    OV: word → W_V → W_O → unembedding, in logits; QK: query word → W_Q, W_K → key word, q·k /
    √d_head. norm: "folded" gives each word the size that the norm before attention gives it, and
    folds in that norm's weight and the final one's (and a post-norm's, as in Gemma 2); "none" takes
    weights as they are. What depends on the rest of a prompt is left out: division by the size of
    the final stream and of a post-norm, biases, rotary positions, and norms of queries and keys
    (Qwen 3, OLMo 2). embedding: "weights" reads words as W_E has them; "first_block" as block 0
    leaves them when each stands alone, the effective embedding by which Wang et al. call heads
    copying; heads of layer 0 read W_E even then. Under grouped queries a head has the key and value
    of its group.

    Singular directions are those of W_V W_O and W_Q W_Kᵀ in the residual stream, with the norm
    before attention folded in: they can be added to a stream, ablated and compared, and do not
    depend on which words a vocabulary happens to have. What is written is read as a logit lens
    reads it, at the size 1; what is read, as the number that a word gives.

    previous_token does not depend on norm and embedding: where positions are a table it is from
    weights alone, for the mean word at each position, which says less and less of deeper layers;
    else it is measured on prompts of random words (see previous_token_source).

    Raises `ValueError` for a head, k, n_pairs, n_tokens or n_random that the model does not have,
    and for a model whose embedding has another width than its residual stream.

    Sources: Dar et al. 2022 (arXiv:2209.02535), section 3, the circuits in embedding space; Elhage
    et al. 2021, the copying score; Wang et al. 2022 (arXiv:2211.00593), section 3.1, copying share,
    and McDougall et al. 2023 (arXiv:2310.04625), section 3, suppression share; Millidge and Black
    2022, singular directions as words.
    """
    check_norm(norm)
    check_embedding(embedding)
    chosen = parse_heads(model.spec, heads)
    check_counts(model, k=k, n_pairs=n_pairs, n_directions=n_directions, top=top, n_random=n_random)
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
        n_random=n_random,
        seed=seed,
        progress=progress,
    )
    before = previous_token(model, chosen, seed)
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
        previous_token=before.scores,
        **swept,
    )


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
