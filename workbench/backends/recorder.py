"""Recorder: what one pass does at each site, whichever backend brings the activations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch

from ..check import given
from ..edits import Edit
from ..model import Metric, narrow
from ..site import Site
from ..tokens import Tokens

_PACKAGE = __name__.partition(".")[0]
#: Of each layer the keys and values; plain tensors, since a server, which gives them back, has no
#: classes of ours.
Cached = tuple[tuple[torch.Tensor, torch.Tensor], ...]
#: The largest number that is a mask of attention scores and no score: -10,000 was usual once.
MASKED = -9_000.0


@dataclass(frozen=True)
class Selection:
    """The rows and columns of an edit, each (row, pos) of the selected part.

    Rows with fewer positions than the longest are filled up with their last one, and `counts` says
    how many of each are its own; None where every row has as many. `everything`: the edit takes the
    whole activation, and rows and columns need not be looked at.
    """

    rows: list[list[int]]
    columns: list[list[int]]
    counts: list[int] | None
    everything: bool

    @classmethod
    def of(cls, edit: Edit, tokens: Tokens, start: int) -> Selection:
        """Raises `IndexError` for a row or position that the pass does not have."""
        if edit.rows is None and edit.positions is None and not tokens.padded:
            return cls([], [], None, True)
        rows = range(tokens.n_rows) if edit.rows is None else edit.rows
        if outside := [r for r in rows if not 0 <= r < tokens.n_rows]:
            raise IndexError(
                f"{edit!r} names row {outside[0]}; this run has rows 0 to {tokens.n_rows - 1}."
            )
        chosen = [_chosen_columns(edit, tokens, r, start) for r in rows]
        counts = [len(columns) for columns in chosen]
        width = max(counts)
        if not width:
            raise ValueError(
                f"An edit reaches at least one position; {edit!r} selects none. Check its "
                "positions."
            )
        everything = (
            list(rows) == list(range(tokens.n_rows))
            and min(counts) == tokens.n_columns - start
            and edit.positions is None
        )
        for r, columns in zip(rows, chosen, strict=True):
            last = columns[-1] if columns else tokens.columns(r, "last")[0] - start
            columns += [last] * (width - len(columns))
        ragged = min(counts) < width
        return cls([[r] * width for r in rows], chosen, counts if ragged else None, everything)


def _chosen_columns(edit: Edit, tokens: Tokens, row: int, start: int) -> list[int]:
    """The columns of one row that an edit names, counted from `start`."""
    columns = tokens.columns(row, edit.positions)
    if edit.positions is None:
        columns = [c for c in columns if c >= start]
    elif before := [c for c in columns if c < start]:
        raise IndexError(
            f"{edit!r} names position {before[0] - tokens.offset(row)}, but this run resumes at "
            f"position {start}. Resume earlier, or edit later positions."
        )
    if len(set(columns)) != len(columns):
        raise ValueError(
            f"The positions of an edit are different; {edit!r} names one twice in row {row}."
        )
    return [c - start for c in columns]


@dataclass(frozen=True)
class PassResult:
    """What a pass brings home. missed and unchanged hold numbers of edits.

    overwritten: streams whose activation the model wrote into after it was read, so that what was
    kept is not what was there.
    """

    logits: torch.Tensor | None
    activations: dict[Site, torch.Tensor]
    grads: dict[Site, torch.Tensor]
    value: torch.Tensor | None
    past: Cached | None
    missed: tuple[int, ...]
    unchanged: tuple[int, ...]
    overwritten: frozenset[str] = frozenset()


class Recorder:
    """Applies the edits and keeps the reads of one pass; a backend calls `visit` at each site.

    With `gradients` every site read becomes part of the graph: `visit` returns a tensor that the
    backend must put back, so that the metric's gradient at it is the real one. Of the streams in
    `copied` the pass goes on with a copy, since the model writes into them (Falcon adds the
    attention output to its MLP's in place).
    """

    def __init__(
        self,
        tokens: Tokens,
        read: Sequence[Site],
        edits: Sequence[Edit],
        *,
        gradients: bool = False,
        grad_at: Site | None = None,
        start: int = 0,
        copied: Set[str] = frozenset(),
    ) -> None:
        self._copied = copied
        self._versions: dict[Site, int] = {}
        self.read = tuple(dict.fromkeys(read))
        self.gradients, self._grad_at = gradients, grad_at
        # What edits keep while a pass goes by is made anew for each.
        shared: dict[Any, Any] = {}
        self.edits = tuple(edit.for_pass(shared) for edit in edits)
        self._edits: dict[Site, list[int]] = defaultdict(list)
        for number, edit in enumerate(self.edits):
            self._edits[edit.site.whole].append(number)
        self._selections = [Selection.of(edit, tokens, start) for edit in edits]
        self._mask, self._start = tokens.mask, start
        self._keep = {site.whole for site in self.read} | ({grad_at} if grad_at else set())
        self._needed = {site.whole for edit in edits for site in edit.needs}
        self._kept: dict[Site, torch.Tensor] = {}
        self._current: dict[Site, torch.Tensor] = {}
        #: Of each edit applied, whether it left every number as it was.
        self._same: dict[int, torch.Tensor] = {}

    @property
    def sites(self) -> set[Site]:
        """The whole streams that the pass must visit."""
        return set(self._edits) | self._keep | self._needed

    def wants(self, stream: str, layer: int | None) -> bool:
        return Site(stream, layer) in self.sites

    def visit(self, stream: str, layer: int | None, activation: torch.Tensor) -> torch.Tensor:
        """The activation as the rest of the pass sees it; the same tensor if nothing changes."""
        site = Site(stream, layer)
        numbers = self._edits.get(site, ())
        hidden = self._hidden(stream, activation) if numbers else None
        for number in numbers:
            activation = self._apply(number, activation, hidden)
        if site in self._keep:
            if self.gradients:
                # A new tensor, so that the backend puts it back and the rest of the pass is
                # computed
                # from the very one whose gradient is asked for.
                if activation.requires_grad:
                    activation = activation.view_as(activation)
                else:
                    activation = activation.detach().requires_grad_()
            self._kept[site] = activation
            self._versions[site] = _version(activation)
        if site in self._needed:
            self._current[site] = activation
        if stream in self._copied and site in self._keep | self._needed:
            return activation.clone()
        return activation

    def _apply(
        self, number: int, activation: torch.Tensor, hidden: torch.Tensor | None
    ) -> torch.Tensor:
        edit, selection = self.edits[number], self._selections[number]
        part = _gather(activation, edit.site, selection)
        unseen = None if hidden is None else _gather(hidden, edit.site, selection)
        needed = [_gather(self._current[site.whole], site, selection) for site in edit.needs]
        given = part
        if unseen is not None and edit.mixes:
            # A masked score stands for minus infinity, which no sum takes.
            given = part.masked_fill(unseen, 0)
        versions = [_version(x) for x in (given, *needed)]
        new = edit.apply(given, *needed)
        if not isinstance(new, torch.Tensor) or new.shape != part.shape:
            got = tuple(new.shape) if isinstance(new, torch.Tensor) else type(new).__name__
            raise ValueError(
                f"An edit gives back the shape it was given, here {tuple(part.shape)}; {edit!r} "
                f"gave {got}."
            )
        if versions != [_version(x) for x in (given, *needed)]:
            raise ValueError(
                f"An edit gives back a new tensor and leaves what it was given; {edit!r} wrote "
                "into it. Clone the activation first, or use torch.where."
            )
        new = new.to(activation.dtype)
        if unseen is not None:
            new = torch.where(unseen, part, new)
        self._same[number] = (new == part).all()
        if new is part:
            return activation
        out = _scatter(activation, edit.site, selection, new)
        # What comes next may take a view of it (BLOOM does of its pattern), which an expanded or
        # transposed tensor does not allow.
        return out.contiguous() if activation.is_contiguous() else out

    def _hidden(self, stream: str, activation: torch.Tensor) -> torch.Tensor | None:
        """Where attention may not look, shaped to spread over scores or pattern; None elsewhere."""
        if stream not in ("attn_scores", "pattern"):
            return None
        now = activation.detach()
        if stream == "attn_scores":
            # Masks are minus infinity, or a type's least number, to which a score may be added.
            infinite = now == -torch.inf
            least = now.masked_fill(infinite, 0).amin()
            return infinite | ((now <= least / 2) & (least < MASKED))
        columns = torch.arange(self._mask.shape[1], device=now.device)
        if now.shape[-1] < len(columns):
            return None
        later = columns[None, :] > columns[self._start :, None]
        unseen = later[None, None] | ~self._mask.to(now.device)[:, None, None]
        more = now.shape[-1] - len(columns)
        return (now == 0) & torch.nn.functional.pad(unseen, (0, more))

    def middle(
        self, layer: int | None, resid_pre: torch.Tensor, attn_out: torch.Tensor
    ) -> torch.Tensor:
        """Visit resid_mid, and give back the attn_out that makes it so.

        The middle of the residual stream is read twice, by the MLP's norm and by the skip around
        it; what was added to it is the one place from which an edit reaches both.
        """
        before = resid_pre + attn_out
        after = self.visit("resid_mid", layer, before)
        return attn_out if after is before and not self.gradients else after - resid_pre

    def result(
        self, logits: torch.Tensor | None, grad_of: Metric | None = None, past: Cached | None = None
    ) -> PassResult:
        """What the pass gave, nothing of it attached to the graph."""
        value, grads = None, {}
        of = logits if self._grad_at is None else self._kept.get(self._grad_at)
        if of is not None and grad_of is not None:
            value, grads = self.differentiate(of, grad_of)
        kept = _apart({site.whole: self._kept[site.whole] for site in self.read})
        return PassResult(
            logits=None if logits is None else logits.detach(),
            activations={site: narrow(kept[site.whole], site) for site in self.read},
            grads=grads,
            value=value,
            past=past,
            missed=tuple(i for i in range(len(self.edits)) if i not in self._same),
            unchanged=tuple(i for i, same in self._same.items() if bool(same)),
            overwritten=frozenset(
                site.stream
                for site, at in self._versions.items()
                if _version(self._kept[site]) != at
            ),
        )

    def differentiate(
        self, of: torch.Tensor, metric: Metric
    ) -> tuple[torch.Tensor, dict[Site, torch.Tensor]]:
        """The metric, one number an example, and its gradient at every site read, if any.

        of: the logits, or the activation at `grad_at`. Raises `ValueError` where the metric is not
        one number an example or does not depend on them.
        """
        what = "logits" if self._grad_at is None else str(self._grad_at)
        try:
            value = metric(of)
        except (TypeError, ValueError, RuntimeError, AttributeError, LookupError) as error:
            # A metric of ours says itself what is wrong.
            ours = isinstance(error, ValueError) and _raised_in(error).startswith(_PACKAGE)
            if ours or isinstance(error, torch.OutOfMemoryError):
                raise
            raise ValueError(
                f"grad_of failed on the {what} {tuple(of.shape)}: {type(error).__name__}, "
                f"{given(str(error))}. It is a function that gives one number an example from them."
            ) from error
        if (
            not isinstance(value, torch.Tensor)
            or value.ndim > 1
            or value.numel() not in (1, of.shape[0])
        ):
            got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(
                f"grad_of gives one number an example from {what} {tuple(of.shape)}; it gave {got}."
            )
        if not self.read:
            return value.detach(), {}
        if not value.requires_grad:
            raise ValueError(
                f"grad_of depends on the {what} by differentiable torch operations; its value has "
                "no gradient. Do not detach, round or take an argmax in it."
            )
        wholes = list(dict.fromkeys(site.whole for site in self.read))
        found = torch.autograd.grad(value.sum(), [self._kept[s] for s in wholes], allow_unused=True)
        # A site that the chosen logits cannot depend on (a later position's only reader) has
        # gradient 0.
        grads = _apart(
            {
                s: torch.zeros_like(self._kept[s]) if g is None else g
                for s, g in zip(wholes, found, strict=True)
            }
        )
        return value.detach(), {site: narrow(grads[site.whole], site) for site in self.read}


def _raised_in(error: Exception) -> str:
    """The name of the module that raised an error."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return "" if at is None else str(at.tb_frame.f_globals.get("__name__", ""))


def _apart(found: Mapping[Site, torch.Tensor]) -> dict[Site, torch.Tensor]:
    """The same numbers off the graph, no two sites over the same memory.

    A block is given the very tensor that the block before it returned.
    """
    out: dict[Site, torch.Tensor] = {}
    owners: set[int] = set()
    for site, tensor in found.items():
        out[site] = tensor.detach().clone() if tensor.data_ptr() in owners else tensor.detach()
        owners.add(tensor.data_ptr())
    return out


def _version(tensor: torch.Tensor) -> int:
    """How often a tensor was written into."""
    return -1 if tensor.is_inference() else tensor._version


def cached(cache: Any) -> Cached:
    """The keys and values of each layer, from a Hugging Face cache."""
    return tuple((layer.keys, layer.values) for layer in cache.layers)


def _leading(activation: torch.Tensor, site: Site) -> torch.Tensor:
    """A view (row, pos, …) of the part that the site names."""
    if site.stream in ("pattern", "attn_scores"):
        activation = activation.transpose(1, 2)
    if site.head is not None:
        activation = activation[:, :, site.head]
    return activation if site.unit is None else activation[..., site.unit]


def _swaps_head(site: Site) -> bool:
    """Whether an edit sees (row, head, pos, src): the attention streams with all their heads."""
    return site.stream in ("pattern", "attn_scores") and site.head is None


def _gather(activation: torch.Tensor, site: Site, selection: Selection) -> torch.Tensor:
    view = _leading(activation, site)
    if not selection.everything:
        view = view[selection.rows, selection.columns]
    return view.transpose(1, 2) if _swaps_head(site) else view


def _scatter(
    activation: torch.Tensor, site: Site, selection: Selection, new: torch.Tensor
) -> torch.Tensor:
    swaps = _swaps_head(site)
    if selection.everything and (swaps or (site.head is None and site.unit is None)):
        # Of its own: an edit may give back what it holds, which is not the pass's to change.
        return new.clone()
    if swaps:
        new = new.transpose(1, 2)
    out = activation.clone()
    view = _leading(out, site)
    if selection.everything:
        view.copy_(new)
        return out
    rows, columns = torch.tensor(selection.rows), torch.tensor(selection.columns)
    if selection.counts is None:
        view[rows, columns] = new
    else:
        own = torch.arange(rows.shape[1]) < torch.tensor(selection.counts)[:, None]
        view[rows[own], columns[own]] = new[own.to(new.device)]
    return out
