"""The logit lens: what each layer, module or head already predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..check import Count, checked, refuse, whole
from ..model import Model, Prompts
from ..places import Places
from ..readout import MEASURES, Reading, read_out
from ..result import Arrays, Result, axes, provenance
from ..site import Site
from ..targets import Target, Targets, foil_ids, set_ids, token_ids
from ..tokens import Positions, token_strings
from ..writers import Writer, Writers, sites_to_read, writers_of
from .translation import Translator


@dataclass(frozen=True, eq=False, repr=False)
class LensPanel(Arrays):
    """One lens on one stream or site: what is read at every row and position.

    Positions of a shorter prompt's missing tail hold NaN, or -1 in integer arrays.
    """

    #: "logit lens", "tuned lens" or "Jacobian lens".
    lens: str
    #: The stream, the site, or "heads".
    site: str
    #: Labels from the first layer to the last.
    rows: tuple[str, ...]
    layers: np.ndarray = axes("row", np.int32, "layer of the row, -1 for the embedding")
    top_ids: np.ndarray = axes("batch row pos k", np.int32, "the likeliest tokens, best first")
    top_logprobs: np.ndarray = axes("batch row pos k", note="their log-probabilities (nats)")
    target_logits: np.ndarray = axes("batch row pos label", note="of each target")
    target_logprobs: np.ndarray = axes("batch row pos label", note="of each target (nats)")
    target_ranks: np.ndarray = axes("batch row pos label", np.int32, "tokens above it, 0 = the top")
    difference: np.ndarray = axes("batch row pos foil", note="target logit − foil logit")
    masses: np.ndarray = axes("batch row pos measure", note="probability of each token set")
    entropy: np.ndarray | None = axes("batch row pos", note="of the row (nats)", optional=True)
    kl: np.ndarray | None = axes(
        "batch row pos",
        note="KL(final ‖ row) in nats: what of the model's own distribution the row misses",
        optional=True,
    )
    #: At position p of prompt b the tokens track_ids[o[i]:o[i + 1]] are followed, with i = b ·
    #: n_positions + p: the targets, and each token that is the top one in some row there.
    track_offsets: np.ndarray | None = axes("offset", np.int32, "o", optional=True)
    track_ids: np.ndarray | None = axes("track", np.int32, "the tokens followed", optional=True)
    track_ranks: np.ndarray | None = axes("track row", np.int32, "tokens above", optional=True)
    track_logprobs: np.ndarray | None = axes("track row", note="in nats", optional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.rows) != self.top_ids.shape[1]:
            raise ValueError(
                f"A panel names each of its {self.top_ids.shape[1]} rows; got {len(self.rows)} "
                "labels."
            )


@dataclass(frozen=True, eq=False, repr=False)
class LogitLens(Result):
    """What each row of each panel predicts at each position; `tokens` are the whole prompts."""

    panels: tuple[LensPanel, ...]
    targets: tuple[str, ...]
    #: Empty, or one for each target.
    foils: tuple[str, ...]
    #: The strings of each set.
    token_sets: dict[str, tuple[str, ...]]
    #: The text of each of `token_ids`.
    token_strings: tuple[str, ...]
    token_ids: np.ndarray = axes("d_vocab", np.int32, "every token that occurs, ascending")
    positions: np.ndarray = axes(
        "batch pos", np.int32, "which the arrays hold, -1 past the end of a shorter prompt"
    )

    picture = "lenses.logit_lens"
    view = "lens.logit_lens"

    def __post_init__(self) -> None:
        super().__post_init__()
        for panel in self.panels:
            if panel.top_ids.shape[0::2] != self.positions.shape:
                raise ValueError(
                    f"Each panel has the result's (batch, pos) {self.positions.shape}; "
                    f"{panel.site} has {panel.top_ids.shape[0::2]}."
                )

    @cached_property
    def _text(self) -> dict[int, str]:
        return dict(zip(self.token_ids.tolist(), self.token_strings, strict=True))

    @property
    def k(self) -> int:
        return self.panels[0].top_ids.shape[-1]

    def panel(self, site: str | None = None, lens: str | None = None) -> LensPanel:
        """The first panel of this site and lens. Raises `KeyError` naming those there are."""
        for panel in self.panels:
            if site in (None, panel.site) and lens in (None, panel.lens):
                return panel
        have = "; ".join(f"{p.site} by the {p.lens}" for p in self.panels)
        raise KeyError(f"This result has the panels {have}; got site={site!r}, lens={lens!r}.")

    def text(self, token_id: int) -> str:
        """The string of a token id that occurs in the result."""
        if token_id not in self._text:
            raise refuse("token_id", f"one of the {len(self._text)} in token_ids", token_id)
        return self._text[token_id]

    def shown(self, row: int = 0) -> list[int]:
        """The positions of one prompt that the arrays hold. Raises `IndexError` for no prompt."""
        if not 0 <= row < len(self.tokens):
            raise IndexError(f"This result has prompts 0 to {len(self.tokens) - 1}; got row={row}.")
        return [p for p in self.positions[row].tolist() if p >= 0]

    def top_tokens(
        self, row: int = 0, site: str | None = None, lens: str | None = None
    ) -> pd.DataFrame:
        """The top token of every cell as a table: layers upwards, positions to the right."""
        panel, shown = self.panel(site, lens), self.shown(row)
        cells = [[self.text(i) for i in ids[: len(shown)]] for ids in panel.top_ids[row, ..., 0]]
        columns = pd.MultiIndex.from_tuples(
            [(p, self.tokens[row][p]) for p in shown], names=["pos", "token"]
        )
        return pd.DataFrame(cells, index=pd.Index(panel.rows, name="row"), columns=columns).iloc[
            ::-1
        ]

    def to_frame(self) -> pd.DataFrame:
        """One line for each of the top k of each cell.

        Columns: lens, site, row (its label), layer, prompt, pos, token (the prompt's at pos),
        rank (1 is the top), top_token, top_id, logprob, probability, and where measured entropy and
        kl of the cell.
        """
        return self._frame("top")

    def target_frame(self) -> pd.DataFrame:
        """One line for each target and token set of each cell.

        Columns: lens, site, row, layer, prompt, pos, token as in `to_frame`; name (the target,
        or the set), kind ("target" or "set"), probability; for a target also logit, logprob, rank
        (1 is the top), and where it has a foil foil and difference.
        """
        return self._frame("target")

    def _frame(self, which: str) -> pd.DataFrame:
        lines: list[dict[str, Any]] = []
        for panel in self.panels:
            for b, tokens in enumerate(self.tokens):
                for r, label in enumerate(panel.rows):
                    for p, at in enumerate(self.shown(b)):
                        cell = {
                            "lens": panel.lens,
                            "site": panel.site,
                            "row": label,
                            "layer": int(panel.layers[r]),
                            "prompt": b,
                            "pos": at,
                            "token": tokens[at],
                        }
                        inside = self._top_lines if which == "top" else self._target_lines
                        lines += [cell | line for line in inside(panel, (b, r, p))]
        return pd.DataFrame(lines)

    def _top_lines(self, panel: LensPanel, at: tuple[int, int, int]) -> list[dict[str, Any]]:
        measured = {
            n: float(a[at])
            for n, a in (("entropy", panel.entropy), ("kl", panel.kl))
            if a is not None
        }
        return [
            {
                "rank": rank,
                "top_token": self.text(i),
                "top_id": i,
                "logprob": float(logprob),
                "probability": float(np.exp(logprob)),
                **measured,
            }
            for rank, (i, logprob) in enumerate(
                zip(panel.top_ids[at].tolist(), panel.top_logprobs[at], strict=True), 1
            )
        ]

    def _target_lines(self, panel: LensPanel, at: tuple[int, int, int]) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        for t, target in enumerate(self.targets):
            logprob = float(panel.target_logprobs[at][t])
            line: dict[str, Any] = {
                "name": target,
                "kind": "target",
                "probability": float(np.exp(logprob)),
                "logit": float(panel.target_logits[at][t]),
                "logprob": logprob,
                "rank": 1 + int(panel.target_ranks[at][t]),
            }
            if self.foils:
                line |= {"foil": self.foils[t], "difference": float(panel.difference[at][t])}
            lines.append(line)
        for s, name in enumerate(self.token_sets):
            lines.append({"name": name, "kind": "set", "probability": float(panel.masses[at][s])})
        return lines

    def _facts(self) -> str:
        panel = self.panels[0]
        more = f", {len(self.panels)} panels" if len(self.panels) > 1 else ""
        prompts = f"{len(self.tokens)} prompts × " if len(self.tokens) > 1 else ""
        return (
            f"{panel.lens} of {panel.site}, {prompts}{len(panel.rows)} rows × "
            f"{self.positions.shape[1]} positions, top {self.k}{more}"
        )


@checked
def logit(
    model: Model,
    prompts: Prompts,
    *,
    sites: str | Sequence[str] = "resid_post",
    k: Count = 10,
    targets: Targets = None,
    foils: Targets = None,
    token_sets: Mapping[str, Sequence[Target]] | None = None,
    positions: Positions = None,
    lens: Translator | Sequence[Translator | None] | None = None,
    measures: Sequence[str] = MEASURES,
) -> LogitLens:
    """What each layer would predict if the model ended there, as a `LogitLens`.

    The residual stream after every layer (and the embedding, row "embed") through the model's own
    final norm, unembedding and soft-cap; the last row is its own prediction. Several prompts give
    an axis `batch`, padded at the end of shorter ones.

        wb.logit_lens(model, "The capital of France is", targets=" Paris")

    sites: "resid_post", "resid_pre", "resid_mid", "attn_out", "mlp_out", "z" (every head times its
    W_O), a site such as "L3H1.z", or several. Each is normed by its own size: read which tokens it
    points to, and from `direct_logit_attribution` what it adds to them. targets: tokens (a text
    that is one, or an id) whose logit, probability and rank are kept; foils: one for each or for
    all, for target − foil. token_sets: named lists whose probability is summed. lens: a `TunedLens`
    or `JacobianLens` to read through; several, None the plain one, give a panel each. measures: of
    "entropy", "kl" and "tracks" (ranks of the top tokens through the layers), those wanted.
    What is held of the logits is less than a tenth of (row, pos, d_vocab).

    Raises `ValueError` for an unknown site or measure, a token that is several, k out of range;
    `IndexError` for a position out of range. Source: nostalgebraist, "interpreting GPT" (2020).
    """
    spec = model.spec
    whole("k", k, 1, spec.d_vocab, "The vocabulary has no more tokens.")
    if unknown := [m for m in measures if m not in MEASURES]:
        raise ValueError(f"Measures are {', '.join(MEASURES)}; got {unknown[0]!r}.")
    target_list = token_ids(model.tokenizer, targets)
    foil_list = foil_ids(model.tokenizer, foils, len(target_list))
    sets = set_ids(model.tokenizer, token_sets)
    groups = _panels(model, sites)
    lenses: list[Translator | None] = list(lens) if isinstance(lens, Sequence) else [lens]
    for translator in lenses:
        if translator is not None:
            translator.check(model)
    tokens = model.tokens(prompts)
    where = Places.of(tokens, positions)
    final = Writer(f"L{spec.n_layers - 1}", Site("resid_post", spec.n_layers - 1))
    run = model.run(
        tokens,
        read=sorted(sites_to_read([final, *(w for g in groups.values() for w in g)])),
        logits_at=(),
    )
    source = Writers(model, run, where.rows, where.columns)
    panels = []
    for name, group in groups.items():
        for translator in lenses:
            rows = group if translator is None else _translated(translator, name, group)
            reading = _read(
                model,
                source,
                rows,
                final,
                translator,
                where,
                k=k,
                measures=measures,
                targets=target_list,
                foils=foil_list,
                sets=sets,
            )
            panels.append(_panel(name, rows, translator, reading, where, measures))
    ids = sorted(
        {i for p in panels for a in (p.top_ids, p.track_ids) if a is not None for i in np.unique(a)}
        - {-1}
    )

    def text(some: Sequence[int]) -> tuple[str, ...]:
        return tuple(token_strings(model.tokenizer, list(some)))

    return LogitLens(
        **provenance(model, tokens),
        panels=tuple(panels),
        targets=text(target_list),
        foils=text(foil_list),
        token_sets={name: text(members) for name, members in sets.items()},
        token_strings=text([int(i) for i in ids]),
        token_ids=np.array(ids, np.int32),
        positions=where.positions,
    )


#: At the top of the package it stands under its whole name.
logit_lens = logit


def _panels(model: Model, sites: str | Sequence[str]) -> dict[str, list[Writer]]:
    """The panels' writers by name; several heads given one by one make one panel."""
    names = [sites] if isinstance(sites, str) else list(sites)
    if not names:
        raise ValueError(
            "A lens reads at least one site; got an empty list. Write sites='resid_post'."
        )
    out: dict[str, list[Writer]] = {}
    single = [name for name in names if isinstance(name, str) and name.endswith(".z")]
    for name in names:
        panel = "heads" if name in single and len(single) > 1 else str(name)
        for writer in writers_of(model, name):
            if writer not in out.setdefault(panel, []):
                out[panel].append(writer)
    return out


def _translated(translator: Translator, name: str, group: list[Writer]) -> list[Writer]:
    if name != "resid_post":
        raise ValueError(
            f"A {translator.lens_name} translates the residual stream after each layer; it "
            "cannot read "
            f"{name!r}. Use sites='resid_post', or leave lens out."
        )
    return translator.chosen(group)


def _read(
    model: Model,
    source: Writers,
    rows: list[Writer],
    final: Writer,
    translator: Translator | None,
    where: Places,
    **options: Any,
) -> Reading:
    # KL is measured against the model's own prediction; where no row has it, one more is read.
    stacked = rows if final in rows or "kl" not in options["measures"] else [*rows, final]

    def vectors(at: slice) -> torch.Tensor:
        if translator is None:
            return source.stack(stacked, at)
        each = [(writer, source.vector(writer, at)) for writer in stacked]
        return torch.stack(
            [v if w == final else translator.translate(v, w).to(v.dtype) for w, v in each], 1
        )

    return read_out(
        vectors,
        model.unembed,
        n_positions=len(where.rows),
        n_rows=len(stacked),
        d_vocab=model.spec.d_vocab,
        final=stacked.index(final) if final in stacked else 0,
        **options,
    )


def _panel(
    name: str,
    rows: list[Writer],
    translator: Translator | None,
    reading: Reading,
    where: Places,
    measures: Sequence[str],
) -> LensPanel:
    """The panel of a reading whose first rows are these; further ones were for comparison."""
    n = len(rows)

    def spread(flat: np.ndarray) -> np.ndarray:
        return where.spread(flat[:, :n]).swapaxes(1, 2)

    difference = (
        reading.logits - reading.foil_logits
        if reading.foil_logits.shape[-1]
        else reading.foil_logits
    )
    tracks = {}
    if "tracks" in measures:
        counts = np.zeros(where.positions.shape, np.int64)
        counts[where.positions >= 0] = reading.track_counts
        tracks = {
            "track_offsets": np.concatenate([[0], counts.reshape(-1).cumsum()]),
            "track_ids": reading.track_ids,
            "track_ranks": reading.track_ranks[:, :n],
            "track_logprobs": reading.track_logprobs[:, :n],
        }
    return LensPanel(
        lens="logit lens" if translator is None else translator.lens_name,
        site=name,
        rows=tuple(writer.label for writer in rows),
        layers=np.array([writer.layer for writer in rows], np.int32),
        top_ids=spread(reading.top_ids),
        top_logprobs=spread(reading.top_logprobs),
        target_logits=spread(reading.logits),
        target_logprobs=spread(reading.logprobs),
        target_ranks=spread(reading.ranks),
        difference=spread(difference),
        masses=spread(reading.masses),
        entropy=None if reading.entropy is None else spread(reading.entropy),
        kl=None if reading.kl is None else spread(reading.kl),
        **tracks,
    )
