"""Head scores: does a head copy, does it suppress, does it look at the token before?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ..check import whole
from ..model import Model
from ..readout import count_greater
from ..site import Site
from .head_circuits import ROWS, Factors, Head, WordVectors, Writing
from .projection import n_words

#: Numbers of a batch of words against all words, 64 MiB.
BATCH = 16 << 20
#: Up to so many words the shares are of all of them; beyond, of a sample.
ALL_UP_TO, SAMPLE = 4096, 1024
#: The positions of a table that are looked at, and the random prompts where there is no table.
POSITIONS, PROMPTS, PROMPT_LENGTH = 1024, 16, 32

PositionSource = Literal["weights", "prompts", "none"]


def copying_score(factors: Factors) -> float:
    """Σλ / Σ|λ| over the eigenvalues of an OV circuit over words, from -1 to 1; NaN for zeros.

    Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021), "copying": a head
    whose eigenvalues are positive gives more to the words that it looks at. They are those of a
    d_head × d_head matrix.
    """
    return float(eigenvalue_share(factors.trace_matrix)[()])


def eigenvalue_share(matrices: torch.Tensor) -> np.ndarray:
    """(…,) Σλ / Σ|λ| of square matrices (…, d, d), in float64 on the CPU."""
    values = torch.linalg.eigvals(matrices.double().cpu())
    total = values.abs().sum(-1)
    share = values.sum(-1).real / total.where(total > 0, 1)
    return share.where(total > 0, float("nan")).numpy()


def own_word_extremes(
    left: torch.Tensor, right: torch.Tensor, own: torch.Tensor, top: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each row of left, whether its own word is among the `top` largest, and the smallest.

    left: (row, d); right: (word, d), the numbers are left @ right.T; own: (row,) words. A word that
    shares its number with others counts as behind them all, so that a head which writes nothing
    neither copies nor suppresses.
    """
    copied, suppressed = [], []
    size = max(1, BATCH // len(right))
    for rows, words in zip(left.split(size), own.split(size), strict=True):
        values = rows @ right.T
        mine = values.gather(1, words[:, None])
        # Above the next smaller number: equal ones too, the word itself among them.
        below = torch.nextafter(mine, mine.new_tensor(float("-inf")))
        counts = count_greater(values, torch.cat([below, mine], 1))
        copied.append(counts[:, 0] - 1 < top)
        suppressed.append(len(right) - counts[:, 1] - 1 < top)
    return torch.cat(copied), torch.cat(suppressed)


def sampled_words(model: Model, n_tokens: int | None, seed: int) -> torch.Tensor:
    """(token,) sorted word numbers: all of a small vocabulary, else a seeded sample.

    Raises `ValueError` for a number of words that the model does not have.
    """
    total = n_words(model)
    if n_tokens is None:
        n_tokens = total if total <= ALL_UP_TO else SAMPLE
    whole("n_tokens", n_tokens, 1, total, "The vocabulary has no more words.")
    if n_tokens == total:
        return torch.arange(total)
    drawn = np.random.default_rng(seed).choice(total, n_tokens, replace=False)
    return torch.from_numpy(np.sort(drawn))


@dataclass(frozen=True, eq=False)
class RandomHeads:
    """What chance gives: heads of the same singular values with random singular directions.

    They read and write like real ones, so that whatever all embeddings share counts as chance too.
    Every head is compared with the same draws, each with its own singular values. sample: (token,)
    the words that the shares are over. inward, outward: for each draw d_head orthonormal directions
    (d_head, d_model) that are read, and that are written for them.
    """

    writing: Writing
    words: WordVectors
    sample: torch.Tensor
    inward: tuple[torch.Tensor, ...]
    outward: tuple[torch.Tensor, ...]

    @classmethod
    def draw(
        cls,
        words: WordVectors,
        writing: Writing,
        sample: torch.Tensor,
        d_head: int,
        n_controls: int,
        seed: int,
    ) -> RandomHeads:
        """n_controls pairs of orthonormal bases of d_head directions each."""
        generator = torch.Generator().manual_seed(seed)
        d_model = words.rows.shape[1]
        both = [
            torch.linalg.qr(torch.randn(d_model, d_head, generator=generator)).Q.T
            for _ in range(2 * n_controls)
        ]
        return cls(writing, words, sample, tuple(both[::2]), tuple(both[1::2]))

    def scores(self, spectra: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Copying scores (head, draw), copying and suppression shares (head,).

        spectra: (head, d) the singular values of each head. The sampled words are dealt out to the
        draws, so that the shares are over as many words as a head's own.
        """
        n = len(self.inward)
        spread = torch.as_tensor(spectra, dtype=torch.float32, device=self.words.rows.device)
        scores = np.zeros((len(spectra), n), np.float32)
        copied, suppressed = (np.zeros(len(spectra)) for _ in range(2))
        for draw, (inward, outward) in enumerate(zip(self.inward, self.outward, strict=True)):
            left, right = self.words.read_by(inward), self.writing.of(outward)
            # Eigenvalues of diag(s) · C, for each head its own s.
            matrices = spread[:, :, None] * (right.T @ left)
            scores[:, draw] = eigenvalue_share(matrices)
            own = self.sample[draw::n]
            some = left[own]
            for head in range(len(spectra)):
                up, down = own_word_extremes(some * spread[head], right, own, top)
                copied[head] += float(up.sum())
                suppressed[head] += float(down.sum())
        return scores, copied / len(self.sample), suppressed / len(self.sample)


@dataclass(frozen=True, eq=False)
class PreviousToken:
    """How much each head attends to the token before.

    source: "weights", from the table of positions; "prompts", measured on random words; "none"
    where neither can be had. scores: (head, prompt), one column of weights. chance: what even
    attention to everything before gives.
    """

    source: PositionSource
    scores: np.ndarray
    chance: float


def previous_token(model: Model, heads: list[Head], seed: int) -> PreviousToken:
    """The mean attention of each head to the token before, over destinations from the second on.

    Where positions are a table: from W_pos and W_QK, as `table_pattern` has it. Elsewhere (rotary,
    ALiBi, scores of an unknown scale) measured on prompts of random words; NaN where the backend
    reads no pattern.
    """
    try:
        table = model.weight("W_pos", copy=False)
    except ValueError:
        return _measured(model, heads, seed)
    if not {"q", "k", "attn_scores"} <= set(model.spec.streams):
        return _measured(model, heads, seed)
    # Some tables begin with rows that stand for no position (OPT).
    positions = table[-model.spec.n_ctx :][:POSITIONS]
    scores, read = [], -1
    with torch.no_grad():
        for layer, head in heads:
            if layer != read:
                read, stream = layer, table_stream(model, positions, layer)
                scale = attention_scale(model, layer)
            pattern = table_pattern(model, stream, layer, head, scale)
            scores.append(float(pattern.diagonal(-1).mean()))
    return PreviousToken("weights", np.array(scores, np.float32)[:, None], chance(len(positions)))


def table_stream(model: Model, positions: torch.Tensor, layer: int) -> torch.Tensor:
    """(pos, d_model): what a layer's heads read where all that is known is the position.

    The mean of all words' embeddings plus the position's, behind the layer's norm at the size that
    it gives a word there: the root of the mean square over words. What earlier layers add is left
    out.
    """
    embedding = model.weight("W_E", copy=False)[: n_words(model)]
    norm, mean = model.norm("ln1", layer), embedding.float().mean(0)
    stream = mean + positions.float()
    if norm is None:
        return stream
    # Over words e at a position p: E|e + p|² = E|e|² − |ē|² + |ē + p|².
    squares = [norm.center(some.float()).pow(2).sum() for some in embedding.split(ROWS)]
    spread = sum(map(float, squares)) / len(embedding) - float(norm.center(mean).pow(2).sum())
    centred = norm.center(stream)
    square = (centred.pow(2).sum(-1, keepdim=True) + spread) / len(mean)
    return centred / (square + norm.epsilon).sqrt() * norm.weight.float() + norm.bias.float()


def table_pattern(
    model: Model, stream: torch.Tensor, layer: int, head: int, scale: float
) -> torch.Tensor:
    """(dst, src): a head's attention over `table_stream`, biases of queries and keys included."""
    spec = model.spec
    group = head // (spec.n_heads // spec.n_kv_heads)
    q, k = (
        stream @ model.weight(f"W_{name}", layer, at, copy=False).float()
        + model.weight(f"b_{name}", layer, at).float()
        for name, at in (("Q", head), ("K", group))
    )
    scores = scale * q @ k.T
    later = torch.ones_like(scores, dtype=torch.bool).triu(1)
    return scores.masked_fill(later, float("-inf")).softmax(-1)


def attention_scale(model: Model, layer: int) -> float:
    """What q·k is multiplied by where nothing else acts on it: read off one short pass.

    It is 1/√d_head in most models; a GPT-2 may divide by the layer's number too.
    """
    q, k, scores = (Site(stream, layer) for stream in ("q", "k", "attn_scores"))
    words = [[0, n_words(model) - 1, n_words(model) // 2]]
    run = model.run(words, read=[q, k, scores], logits_at=(), stop_after=scores)
    # Each place with itself: never masked.
    products = (run[q].float() * run[k].float()).sum(-1)[0]
    own = run[scores].float().diagonal(0, 2, 3)[0].T
    total = float(products.pow(2).sum())
    return float((products * own).sum()) / total if total else model.spec.d_head**-0.5


def chance(n: int) -> float:
    """What even attention to all positions up to one's own gives to the one before, of n."""
    return float((1 / np.arange(2, n + 1)).mean())


def _measured(model: Model, heads: list[Head], seed: int) -> PreviousToken:
    length = min(PROMPT_LENGTH, model.spec.n_ctx)
    if "pattern" not in model.spec.streams:
        empty = np.full((len(heads), 1), np.nan, np.float32)
        return PreviousToken("none", empty, chance(length))
    special = set(model.tokenizer.all_special_ids)
    plain = [i for i in range(n_words(model)) if i not in special]
    drawn = np.random.default_rng(seed).choice(plain, (PROMPTS, length))
    layers = sorted({layer for layer, _ in heads})
    sites = [Site("pattern", layer) for layer in layers]
    with torch.no_grad():
        run = model.run(drawn.tolist(), read=sites, logits_at=(), stop_after=layers[-1])
    shares = {
        layer: run[site].float().diagonal(-1, 2, 3).mean(-1).cpu().numpy()
        for layer, site in zip(layers, sites, strict=True)
    }
    scores = np.stack([shares[layer][:, head] for layer, head in heads])
    return PreviousToken("prompts", scores, chance(length))
