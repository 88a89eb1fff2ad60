"""Recorder: what one pass does at each site, whichever backend brings the activations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..edits import Edit
from ..model import narrow
from ..site import Site
from ..tokens import Tokens

if TYPE_CHECKING:
    import torch

    from ..model import Metric, Past


@dataclass(frozen=True)
class Selection:
    """The rows and columns of an edit; `shape` is (row, pos) where every row has as many.

    `everything`: the edit takes the whole activation, and rows and columns need not be looked at.
    """

    rows: list[int]
    columns: list[int]
    shape: tuple[int, int]
    everything: bool

    @classmethod
    def of(cls, edit: Edit, tokens: Tokens, start: int) -> Selection:
        """Raises `IndexError` for a row or position that the pass does not have."""
        if edit.rows is None and edit.positions is None and not tokens.padded:
            return cls([], [], (tokens.n_rows, tokens.n_columns - start), True)
        rows = range(tokens.n_rows) if edit.rows is None else edit.rows
        if outside := [r for r in rows if not 0 <= r < tokens.n_rows]:
            raise IndexError(
                f"{edit!r} names row {outside[0]}; this run has rows 0 to {tokens.n_rows - 1}."
            )
        row_index: list[int] = []
        column_index: list[int] = []
        counts = set()
        for r in rows:
            columns = tokens.columns(r, edit.positions)
            if edit.positions is None:
                columns = [c for c in columns if c >= start]
            elif before := [c for c in columns if c < start]:
                raise IndexError(
                    f"{edit!r} names position {before[0] - tokens.offset(r)}, but this run resumes "
                    "at "
                    f"position {start}. Resume earlier, or edit later positions."
                )
            if len(set(columns)) != len(columns):
                raise ValueError(
                    f"The positions of an edit are different; {edit!r} names one twice in row {r}."
                )
            row_index += [r] * len(columns)
            column_index += [c - start for c in columns]
            counts.add(len(columns))
        if not row_index:
            raise ValueError(
                f"An edit reaches at least one position; {edit!r} selects none. Check its "
                "positions."
            )
        shape = (len(rows), counts.pop()) if len(counts) == 1 else (1, len(row_index))
        everything = (
            list(rows) == list(range(tokens.n_rows))
            and shape
            == (
                tokens.n_rows,
                tokens.n_columns - start,
            )
            and edit.positions is None
        )
        return cls(row_index, column_index, shape, everything)


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
    past: Past | None
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
        self._edits: dict[Site, list[Edit]] = defaultdict(list)
        self._selections = {}
        for edit in edits:
            self._edits[edit.site.whole].append(edit)
            self._selections[id(edit)] = Selection.of(edit, tokens, start)
        self._keep = {site.whole for site in self.read} | ({grad_at} if grad_at else set())
        self._needed = {site.whole for edit in edits for site in edit.needs}
        self._kept: dict[Site, torch.Tensor] = {}
        self._current: dict[Site, torch.Tensor] = {}
        self._unmoved: list[tuple[Edit, torch.Tensor]] = []
        self._applied: set[int] = set()
        self.edits = tuple(edits)

    @property
    def sites(self) -> set[Site]:
        """The whole streams that the pass must visit."""
        return set(self._edits) | self._keep | self._needed

    def wants(self, stream: str, layer: int | None) -> bool:
        return Site(stream, layer) in self.sites

    def visit(self, stream: str, layer: int | None, activation: torch.Tensor) -> torch.Tensor:
        """The activation as the rest of the pass sees it; the same tensor if nothing changes."""
        site = Site(stream, layer)
        for edit in self._edits.get(site, ()):
            activation = self._apply(edit, activation)
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
            if not activation.is_inference():
                self._versions[site] = activation._version
        if site in self._needed:
            self._current[site] = activation
        if stream in self._copied and site in self._keep | self._needed:
            return activation.clone()
        return activation

    def _apply(self, edit: Edit, activation: torch.Tensor) -> torch.Tensor:
        import torch

        selection = self._selections[id(edit)]
        part = _gather(activation, edit.site, selection)
        needed = [_gather(self._current[site.whole], site, selection) for site in edit.needs]
        new = edit.apply(part, *needed)
        if not isinstance(new, torch.Tensor) or new.shape != part.shape:
            got = tuple(new.shape) if isinstance(new, torch.Tensor) else type(new).__name__
            raise ValueError(
                f"An edit gives back the shape it was given, here {tuple(part.shape)}; {edit!r} "
                f"gave {got}."
            )
        self._unmoved.append((edit, (new == part).all()))
        self._applied.add(id(edit))
        return _scatter(activation, edit.site, selection, new.to(activation.dtype))

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
        self, logits: torch.Tensor | None, grad_of: Metric | None = None, past: Past | None = None
    ) -> PassResult:
        """What the pass gave, nothing of it attached to the graph."""
        value, grads = None, {}
        of = logits if self._grad_at is None else self._kept.get(self._grad_at)
        if of is not None and grad_of is not None:
            value, grads = self.differentiate(of, grad_of)
        unmoved = {id(edit) for edit, same in self._unmoved if bool(same)}
        return PassResult(
            logits=None if logits is None else logits.detach(),
            activations={site: narrow(self._kept[site.whole], site).detach() for site in self.read},
            grads=grads,
            value=value,
            past=past,
            missed=tuple(i for i, edit in enumerate(self.edits) if id(edit) not in self._applied),
            unchanged=tuple(i for i, edit in enumerate(self.edits) if id(edit) in unmoved),
            overwritten=frozenset(
                site.stream
                for site, at in self._versions.items()
                if self._kept[site]._version != at
            ),
        )

    def differentiate(
        self, of: torch.Tensor, metric: Metric
    ) -> tuple[torch.Tensor, dict[Site, torch.Tensor]]:
        """The metric, one number an example, and its gradient at every site read.

        of: the logits, or the activation at `grad_at`. Raises `ValueError` where the metric is not
        one number an example or does not depend on them.
        """
        import torch

        value, what = metric(of), "logits" if self._grad_at is None else str(self._grad_at)
        if (
            not isinstance(value, torch.Tensor)
            or value.ndim > 1
            or value.numel() not in (1, of.shape[0])
        ):
            got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(
                f"grad_of gives one number an example from {what} {tuple(of.shape)}; it gave {got}."
            )
        if not value.requires_grad:
            raise ValueError(
                f"grad_of depends on the {what} by differentiable torch operations; its value has "
                "no gradient. Do not detach, round or take an argmax in it."
            )
        wholes = list(dict.fromkeys(site.whole for site in self.read))
        found = torch.autograd.grad(value.sum(), [self._kept[s] for s in wholes], allow_unused=True)
        # A site that the chosen logits cannot depend on (a later position's only reader) has
        # gradient 0.
        grads = {
            s: torch.zeros_like(self._kept[s]) if g is None else g
            for s, g in zip(wholes, found, strict=True)
        }
        return value.detach(), {
            site: narrow(grads[site.whole], site).detach() for site in self.read
        }


def as_past(cache: Any) -> Past:
    """A Hugging Face cache as `Past`."""
    from ..model import Past

    return Past(tuple((layer.keys, layer.values) for layer in cache.layers))


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
        view = view[selection.rows, selection.columns].unflatten(0, selection.shape)
    return view.transpose(1, 2) if _swaps_head(site) else view


def _scatter(
    activation: torch.Tensor, site: Site, selection: Selection, new: torch.Tensor
) -> torch.Tensor:
    if _swaps_head(site):
        if selection.everything:
            return new
        new = new.transpose(1, 2)
    elif selection.everything and site.head is None and site.unit is None:
        return new
    out = activation.clone()
    view = _leading(out, site)
    if selection.everything:
        view.copy_(new)
    else:
        view[selection.rows, selection.columns] = new.flatten(0, 1)
    return out
