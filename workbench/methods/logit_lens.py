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
from ..result import Result, axes, provenance
from ..site import Site
from ..targets import Target, Targets, foil_ids, set_ids, token_ids
from ..tokens import Positions, token_strings
from .lens_panel import LensPanel, Translator, lens_panel
from .places import Places
from .readout import MEASURES, Reading, read_out
from .writers import Writer, Writers, sites_to_read, writers_of


@dataclass(frozen=True, eq=False, repr=False)
class LogitLens(Result):
    """What each row of each panel predicts at each position.

    tokens: the whole prompts. positions: (batch, pos) which of them the arrays hold, -1 past
    the end of a shorter prompt. targets, foils: their strings; foils are empty or pair with the
    targets. token_sets: each set's strings. token_ids, token_strings: the text of every id that
    occurs.
    """

    panels: tuple[LensPanel, ...]
    targets: tuple[str, ...]
    foils: tuple[str, ...]
    token_sets: dict[str, tuple[str, ...]]
    token_strings: tuple[str, ...]
    token_ids: np.ndarray = axes("id", np.int32)
    positions: np.ndarray = axes("batch pos", np.int32)

    picture = "lenses.logit_lens"
    view = "lens.logit_lens"

    def __post_init__(self) -> None:
        super().__post_init__()
        for panel in self.panels:
            if panel.top_ids.shape[0::2] != self.positions.shape:
                raise ValueError(
                    f"Each panel has the result's (batch, pos) {self.positions.shape}; "
                    f"{panel.component} has {panel.top_ids.shape[0::2]}."
                )

    @cached_property
    def _text(self) -> dict[int, str]:
        return dict(zip(self.token_ids.tolist(), self.token_strings, strict=True))

    @property
    def k(self) -> int:
        return self.panels[0].top_ids.shape[-1]

    def panel(self, component: str | None = None, lens: str | None = None) -> LensPanel:
        """The first panel of this component and lens. Raises `KeyError` naming those there are."""
        for panel in self.panels:
            if component in (None, panel.component) and lens in (None, panel.lens):
                return panel
        have = "; ".join(f"{p.component} by the {p.lens}" for p in self.panels)
        raise KeyError(
            f"This result has the panels {have}; got component={component!r}, lens={lens!r}."
        )

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
        self, row: int = 0, component: str | None = None, lens: str | None = None
    ) -> pd.DataFrame:
        """The top token of every cell as a table: layers upwards, positions to the right."""
        panel, shown = self.panel(component, lens), self.shown(row)
        cells = [[self.text(i) for i in ids[: len(shown)]] for ids in panel.top_ids[row, ..., 0]]
        columns = pd.MultiIndex.from_tuples(
            [(p, self.tokens[row][p]) for p in shown], names=["pos", "token"]
        )
        return pd.DataFrame(cells, index=pd.Index(panel.rows, name="row"), columns=columns).iloc[
            ::-1
        ]

    def to_frame(self) -> pd.DataFrame:
        """One line for each of the top k of each cell.

        Columns: lens, component, row (its label), layer, prompt, pos, token (the prompt's at pos),
        rank (0 is the top), top_token, top_id, logprob, probability, and where measured entropy and
        kl of the cell.
        """
        return self._frame("top")

    def target_frame(self) -> pd.DataFrame:
        """One line for each target and token set of each cell.

        Columns: lens, component, row, layer, prompt, pos, token as in `to_frame`; name (the target,
        or the set), kind ("target" or "set"), probability; for a target also logit, logprob, rank,
        and where it has a foil foil and difference.
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
                            "component": panel.component,
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
                zip(panel.top_ids[at].tolist(), panel.top_logprobs[at], strict=True)
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
                "rank": int(panel.target_ranks[at][t]),
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
            f"{panel.lens} of {panel.component}, {prompts}{len(panel.rows)} rows × "
            f"{self.positions.shape[1]} positions, top {self.k}{more}"
        )


@checked
def logit_lens(
    model: Model,
    prompt: Prompts,
    *,
    component: str | Sequence[str] = "resid_post",
    k: Count = 10,
    targets: Targets = None,
    foils: Targets = None,
    token_sets: Mapping[str, Sequence[Target]] | None = None,
    positions: Positions = None,
    lens: Translator | Sequence[Translator | None] | None = None,
    measures: Sequence[str] = MEASURES,
    chunk: Count | None = None,
    prepend_bos: bool | None = None,
) -> LogitLens:
    """What each layer would predict if the model ended there, as a `LogitLens`.

    Reads the residual stream after every layer (and the embedding, row "embed") through the
    model's own final norm, unembedding and soft-cap; the last row is the model's own
    prediction.

    component: "resid_post", "resid_pre", "resid_mid", "attn_out", "mlp_out", "z" (every head's
    output, z times its W_O) or a site such as "L3H1.z"; or several. A single component is
    normed by its own size, not by the residual stream's, so that the numbers say which tokens
    it points to and not how much it adds to their logits: `direct_logit_attribution` splits the
    logit exactly. k: how many top tokens to keep. targets: tokens whose logit, probability and
    rank to keep, each a text that is one token (" Mary") or an id. foils: one for each target
    or one for all, for the difference target − foil. token_sets: named lists of tokens whose
    probability is summed. positions: which positions of each prompt to read, None for all.
    lens: a `TunedLens` or `JacobianLens` to read through; several, with None for the plain
    lens, give a panel each. measures: of "entropy", "kl" and "tracks" (the rank through the
    layers of every token that is the top one somewhere, which the grid draws), those wanted;
    leaving out "tracks" saves the most time. prepend_bos: as in `Model.tokens`.

    A batch of prompts gives arrays with its axis `batch`, padded at the end of shorter prompts.

    The full (row, pos, d_vocab) array is never held: `chunk` positions are read at a time,
    chosen so that the added memory stays under a tenth of it (or 8 MB, where that is more).

    Raises `ValueError` for an unknown component, layer or head, a target, foil or set member of
    several tokens, k out of range, an unknown measure; `IndexError` for a position out of
    range.

    Source: nostalgebraist, "interpreting GPT: the logit lens" (2020).
    """
    spec = model.spec
    whole("k", k, 1, spec.d_vocab, "The vocabulary has no more tokens.")
    if unknown := [m for m in measures if m not in MEASURES]:
        raise ValueError(f"Measures are {', '.join(MEASURES)}; got {unknown[0]!r}.")
    target_list = token_ids(model.tokenizer, targets)
    foil_list = foil_ids(model.tokenizer, foils, len(target_list))
    sets = set_ids(model.tokenizer, token_sets)
    groups = _components(model, component)
    lenses: list[Translator | None] = list(lens) if isinstance(lens, Sequence) else [lens]
    for translator in lenses:
        if translator is not None:
            translator.check(model)
    tokens = model.tokens(prompt, prepend_bos=prepend_bos)
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
                chunk=chunk,
            )
            panels.append(lens_panel(name, rows, translator, reading, where, measures))
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


def _components(model: Model, component: str | Sequence[str]) -> dict[str, list[Writer]]:
    """The panels' writers by name; several heads given one by one make one panel."""
    names = [component] if isinstance(component, str) else list(component)
    if not names:
        raise ValueError(
            "A lens reads at least one component; got an empty list. Write component='resid_post'."
        )
    out: dict[str, list[Writer]] = {}
    single = [name for name in names if isinstance(name, str) and name.endswith(".z")]
    for name in names:
        panel = "heads" if name in single and len(single) > 1 else str(name)
        for writer in writers_of(model, name):
            if writer not in out.setdefault(panel, []):
                out[panel].append(writer)
    return out


def _translated(translator: Translator, component: str, group: list[Writer]) -> list[Writer]:
    if component != "resid_post":
        raise ValueError(
            f"A {translator.lens_name} translates the residual stream after each layer; it "
            "cannot read "
            f"{component!r}. Use component='resid_post', or leave lens out."
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
