"""Change: what is done to a model, as data: how strongly, on which tokens, in which rows."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save, save_file

from .check import ArgumentError, Natural, checked, given, number, refuse, whole
from .edits import Edit
from .files import SUM, aside, seal
from .model import Model
from .reading import read_safetensors, safetensors_header
from .site import Site
from .tokens import Tokens, pad
from .weight_edits import WeightEdit, written

#: The format of saved changes.
FORMAT = 1
#: Where the classes live whose objects a saved change may hold.
_HOMES = ("change", "edits", "weight_edits", "dictionary.base")
_HOMES += ("dictionary.encoders", "dictionary.normalization")
ON = ("prompt", "new", "both")


@dataclass(frozen=True, eq=False, repr=False)
class Blend(Edit):
    """h + strength · (edit(h) − h); scores that are masked stay so.

    strength: one, or one a row.
    """

    edit: Edit
    strength: float | tuple[float, ...]

    @classmethod
    def of(cls, edit: Edit, strength: float | tuple[float, ...]) -> Edit:
        """The edit at a strength; itself at 1."""
        if strength == 1 or (isinstance(strength, tuple) and set(strength) == {1}):
            return edit
        where = {"rows": edit.rows, "positions": edit.positions, "needs": edit.needs}
        return cls(edit.site, edit, strength, **where)

    @property
    def mixes(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.edit.mixes

    def for_pass(self, shared: dict[Any, Any]) -> Edit:
        return replace(self, edit=self.edit.for_pass(shared))

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        moved = self.edit.apply(activation, *needed) - activation
        strength = torch.tensor(self.strength, dtype=moved.dtype, device=moved.device)
        strength = strength.reshape(-1, *[1] * (moved.ndim - 1))
        return activation + strength * moved.masked_fill(activation.isinf(), 0)


@checked
@dataclass(frozen=True, eq=False)
class Gate:
    """Opens for the rows whose prompt lies beyond `threshold` along `direction` at a site.

    direction: (d,), compared with the mean of the prompt's activations.
    """

    site: Any
    direction: torch.Tensor
    threshold: float

    def __call__(self, model: Any, prompts: Tokens) -> list[bool]:
        along = model.run(prompts, read=self.site, logits_at=())[self.site].float()
        along = along @ self.direction.to(along)
        means = (row[prompts.columns(r)].mean() for r, row in enumerate(along))
        return [bool(mean > self.threshold) for mean in means]


class Rule:
    """What is done to a batch, made for it: edits of its tokens, where what is put in is theirs.

    A method whose changes cannot be told before the prompts are known is a subclass. Its strength
    is no concern of its own: an edit at t is h + t·(edit(h) − h).
    """

    @property
    def n_tokens(self) -> int | None:
        """How many tokens a pass takes at most, where much is held of each; None: as any pass."""
        return None

    def edits(self, model: Any, tokens: Tokens, examples: Sequence[int]) -> Sequence[Edit]:
        """The edits of a pass over these tokens. examples: of each row, which question it is."""
        raise TypeError(f"{type(self).__name__} has no edits(model, tokens, examples); define it.")

    @classmethod
    def together(
        cls,
        model: Any,
        rules: Sequence[Any],
        tokens: Tokens,
        examples: Sequence[int],
    ) -> Sequence[Edit] | None:
        """The edits of a pass in which each row has a rule of its own; None: one rule at a time."""
        return None


@dataclass(frozen=True, eq=False)
class Part:
    """One step of a change: what is done, how strongly, on which tokens, behind which gate."""

    what: Any
    strength: float = 1.0
    on: Literal["prompt", "new", "both"] = "both"
    window: tuple[int, int | None] = (0, None)
    gate: Any = None

    @property
    def layer(self) -> int | None:
        """The layer it acts in, where it acts in one."""
        return getattr(getattr(self.what, "site", self.what), "layer", None)

    @property
    def on_weights(self) -> bool:
        """Whether it changes weights, or puts another model in place, and not activations."""
        return isinstance(self.what, WeightEdit) or _is_model(self.what)

    @property
    def everywhere(self) -> bool:
        """Whether it acts on every token of every row."""
        return self.on == "both" and self.window == (0, None) and self.gate is None

    def __repr__(self) -> str:
        what: Any = self.what
        if _is_model(what):
            name = f"model {what.spec.name}"
        elif isinstance(what, WeightEdit):
            name = f"weights {what}"
        else:
            name = repr(what) if isinstance(what, (Edit, Rule)) else _name_of(what)
        times = f"{self.strength:g} × " * (self.strength != 1)
        start, stop = self.window
        window = f" new tokens {start} to {'the end' if stop is None else stop - 1}"
        window *= self.window != (0, None)
        on = f" on {self.on}" * (self.on != "both")
        return f"{times}{name}{on}{window}{' gated' * (self.gate is not None)}"


@checked
class Change:
    """What is done to a model: edits, weight edits, another model, or a rule, in the order given.

        push = wb.Change(wb.Add("L2.resid_post", direction), on="new")
        model.generate("The doctor said", 20, edits=push.at(2))
        with (push + wb.Change(wb.WeightEdit("W_out", 1, [7], value=0.0))).applied(model) as now:
            wb.logit_lens(now, "The doctor said")

    what: an edit or a list of them; weight edits; a model that takes its place; a rule f(model,
    tokens) that gives the edits of each batch; or changes. on: "prompt", "new" (tokens that are
    generated), "both". window: which of the new tokens, 8 for the first eight or slice(8, None).
    gate: which rows, f(model, prompts) → one True or False a row, asked once, of the prompts.

    `+` is one after the other, `-` takes away what another adds, `at(t)` is t times as strong:
    h + t·(edit(h) − h); weights are linear in t. Raises `ArgumentError` for anything else, and for
    weights with on, window or gate, which every token of every row reads.
    """

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __init__(
        self,
        what: Any = (),
        *,
        on: Literal["prompt", "new", "both"] = "both",
        window: int | slice | None = None,
        gate: Any = None,
    ) -> None:
        if on not in ON:
            raise refuse("on", f"one of {', '.join(map(repr, ON))}", on)
        span, plain = _span(window), (on, window, gate) == ("both", None, None)
        if on == "prompt" and window is not None:
            raise refuse("window", "of new tokens, so that on is 'new' or 'both'", window)
        if gate is not None and not callable(gate):
            raise refuse("gate", "a function of a model and prompts, as steering.gate makes", gate)
        parts: list[Part] = []
        several = isinstance(what, Sequence) and not isinstance(what, str)
        for each in what if several else [what]:
            if isinstance(each, (Change, Part)):
                if not plain:
                    raise refuse("on, window and gate", "given where the edits are", (on, window))
                parts += each.parts if isinstance(each, Change) else [each]
                continue
            part = Part(each, 1.0, on, span, gate)
            if not (part.on_weights or isinstance(each, (Edit, Rule)) or callable(each)):
                then = "Give wb.Add(…), wb.WeightEdit(…), a model, or f(model, tokens) → edits."
                rule = "made of edits, weight edits, a model, or a rule that gives edits"
                raise refuse("A change", rule, each, then)
            if part.on_weights and not plain:
                then = "Drop on, window and gate."
                raise refuse("A change of weights", "on every row and token", each, then)
            parts.append(part)
        self.parts = tuple(parts)

    @classmethod
    def of(cls, what: Any) -> Change:
        """A change as it is, and anything else made into one."""
        return what if isinstance(what, Change) else cls(what)

    # -- sums and strengths ----------------------------------------------------------------------

    def at(self, strength: float | Mapping[int, float]) -> Change:
        """The change at so many times its strength; {layer: t} leaves other layers as they are.

        Raises `ArgumentError` for a layer that it does not act in, and for another model in place,
        which is taken whole: give the difference of the weights as weight edits.
        """
        layers = [part.layer for part in self.parts]
        if isinstance(strength, Mapping):
            by = {key: number("A strength", t) for key, t in strength.items()}
            if unknown := [key for key in by if key not in layers]:
                there = sorted({layer for layer in layers if layer is not None})
                raise refuse("A layer of this change", f"one of {there}", unknown[0])
        else:
            by = dict.fromkeys(layers, number("A strength", strength))
        parts = [
            replace(part, strength=part.strength * by.get(layer, 1.0))  # pyright: ignore
            for part, layer in zip(self.parts, layers, strict=True)
        ]
        if wrong := [p for p in parts if _is_model(p.what) and p.strength not in (0, 1)]:
            then = "Give the difference of its weights as weight edits."
            raise refuse("The strength of another model", "0 or 1", wrong[0].strength, then)
        return Change(parts)

    def __add__(self, other: Change) -> Change:
        return Change([*self.parts, *Change.of(other).parts])

    def __sub__(self, other: Change) -> Change:
        return self + -Change.of(other)

    def __neg__(self) -> Change:
        return self.at(-1)

    def __len__(self) -> int:
        return len(self.parts)

    def __repr__(self) -> str:
        more = f" + {len(self.parts) - 3} more" * (len(self.parts) > 3)
        return f"Change({' + '.join(map(repr, self.parts[:3])) or 'nothing'}{more})"

    @property
    def on_weights(self) -> bool:
        """Whether a part of it is of weights, or another model."""
        return any(part.on_weights for part in self.parts)

    @property
    def on_activations(self) -> bool:
        """Whether a part of it is of activations."""
        return any(not part.on_weights for part in self.parts)

    @property
    def of_weights(self) -> Change:
        """Its parts that are of weights, or another model."""
        return Change([part for part in self.parts if part.on_weights])

    # -- under the change ------------------------------------------------------------------------

    @contextmanager
    def applied(self, model: Model, *, tied: bool = False) -> Iterator[Any]:
        """The model under the change, for the block; then every number is as it was before.

            with wb.Change(wb.WeightEdit("W_out", 2, [7, 40], value=0.0)).applied(model) as now:
                wb.logit_lens(now, prompt)

        Weights are edited in place: every run of this model in the block has them, on either
        backend, and whatever shares its memory. They are put back however the block ends, also
        where an edit fails. Blocks can be nested. Until it ends, runs of the model in other threads
        wait. tied: accept weights that are one parameter under several names (W_E and W_U of tied
        embeddings); without it they are refused.

        Raises `ValueError` for a weight or unit the model does not have, and where weights cannot
        be written: on a server, quantised or offloaded.
        """
        here: Any = model
        for part in self.parts:
            if _is_model(part.what) and part.strength:
                here = part.what
        weights = [e for p in self.parts if isinstance(p.what, WeightEdit) for e in _weights(p)]
        held = Change([part for part in self.parts if not part.on_weights])
        with written(here, weights, tied=tied):
            yield Changed(here, held) if held.parts else here

    def edits(
        self, model: Model, tokens: Tokens, n_prompt: Sequence[int] | None = None
    ) -> list[Edit]:
        """The edits of one pass over these tokens, gates asked and rules made for them.

        n_prompt: how many tokens of each row are prompt; the others count as new. None: all are.
        """
        prompts = tokens if n_prompt is None else _cut(tokens, n_prompt)
        return self.decided(model, prompts).laid(tokens, n_prompt)

    def decided(self, model: Any, prompts: Tokens, examples: Sequence[int] | None = None) -> Change:
        """The same for these prompts: rules made, gates held as rows, other rows left out.

        examples: of each row, which of the questions it is, for edits with values of their own.
        """
        rows, answers = range(len(prompts)), {}
        out: list[Part] = []
        for part in self.parts:
            if part.on_weights:
                continue
            gate, open_rows = part.gate, rows
            if gate is not None:
                if id(gate) not in answers:
                    answers[id(gate)] = _asked(gate, model, prompts)
                open_rows = answers[id(gate)]
            what: Any = part.what
            if isinstance(what, Rule):
                made = what.edits(model, prompts, list(rows if examples is None else examples))
            elif isinstance(what, Edit):
                made = [what if examples is None else _of_examples(what, examples)]
            else:
                made = what(model, prompts)
            for edit in made:
                some = _in_rows(edit, open_rows, len(prompts))
                if some is not None:
                    out.append(replace(part, what=some, gate=None))
        return Change(out)

    def laid(
        self, tokens: Tokens, n_prompt: Sequence[int] | None = None, start: Natural = 0
    ) -> list[Edit]:
        """The edits of a pass of a decided change, from the column `start` on."""
        if n_prompt is not None:
            _check_n_prompt(tokens, n_prompt)
        out: list[Edit] = []
        for part in self.parts:
            if not part.strength:
                continue
            edit: Edit = part.what
            if n_prompt is None and part.on == "new":
                continue
            if (n_prompt is None and start == 0) or (part.everywhere and edit.positions is None):
                out.append(Blend.of(edit, part.strength))
                continue
            where: dict[tuple[int, ...], list[int]] = {}
            for row in range(len(tokens)) if edit.rows is None else edit.rows:
                if at := _positions(part, tokens, row, n_prompt, start):
                    where.setdefault(at, []).append(row)
            for at, rows in where.items():
                some = _in_rows(edit, rows, len(tokens))
                assert some is not None
                out.append(Blend.of(replace(some, positions=at), part.strength))
        return out

    # -- files -----------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        """A short hash of what it does; a rule or a model counts as the object that it is."""
        tensors: dict[str, torch.Tensor] = {}
        head = json.dumps(_pack(self.parts, tensors, code=True))
        return hashlib.sha256(head.encode() + save(tensors)).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Change) and self.fingerprint == other.fingerprint

    def save(self, path: str | Path) -> Path:
        """The path of one safetensors file with all numbers of the change, and a checksum.

        Raises `TypeError` for a rule, a gate that is code, and a model, which are no data.
        """
        tensors: dict[str, torch.Tensor] = {}
        head: dict[str, Any] = {"workbench": FORMAT, "change": _pack(self.parts, tensors)}
        head[SUM] = seal(head, tensors)
        out = Path(path)
        with aside(out) as (file,):
            # A file of safetensors holds at least one tensor.
            kept = tensors or {"none": torch.zeros(1)}
            save_file(kept, file, {"change": json.dumps(head)})
        return out

    @classmethod
    def load(cls, path: str | Path) -> Change:
        """The change that `save` wrote.

        Raises `FileNotFoundError`, and `ValueError` for a file that is none or was changed.
        """
        place = Path(path)
        text = safetensors_header(place).notes.get("change")
        again = "Save the change again, or get the file again."
        try:
            head = json.loads(text or "")
            version, body = head["workbench"], head["change"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{place} is no file that Change.save wrote. {again}") from None
        if version != FORMAT:
            raise ValueError(
                f"{place} has format {given(version)}; this workbench reads format {FORMAT}. "
                "Update workbench."
            )
        tensors = read_safetensors(place)
        tensors.pop("none", None)
        if head.get(SUM) != seal(head, tensors):
            raise ValueError(f"{place} was changed after it was written. {again}")
        try:
            return cls(_unpack(body, tensors))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(f"{place} holds no whole change ({error}). {again}") from None


class Changed:
    """A model under a change of activations; all else that it has is the model's own."""

    def __init__(self, model: Any, change: Change) -> None:
        self._model, self._change = model, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def run(self, tokens: Any, *, edits: Any = (), resume: Any = None, **options: Any) -> Any:
        own = self._change
        if resume is not None:
            # What comes before is in the residual stream that is handed on.
            own = Change([p for p in own.parts if p.layer is None or p.layer >= resume.layer])
        both = own + Change.of(edits)
        return self._model.run(tokens, edits=both, resume=resume, **options)

    def generate(self, tokens: Any, n_new: int = 20, *, edits: Any = (), **options: Any) -> Any:
        return self._model.generate(tokens, n_new, edits=self._change + Change.of(edits), **options)

    def __repr__(self) -> str:
        return f"{self._model!r} under {self._change!r}"


def rows_laid(
    model: Any,
    changes: Sequence[Change],
    tokens: Tokens,
    examples: Sequence[int],
    n_prompt: Sequence[int] | None = None,
) -> list[Edit]:
    """The edits of a pass in which row i is the question examples[i] under changes[i]."""
    alone = [change.parts for change in changes]
    if all(len(parts) == 1 and isinstance(parts[0].what, Rule) for parts in alone):
        (kinds, parts) = {type(p.what) for (p,) in alone}, [p for (p,) in alone]
        if len(kinds) == 1 and all(part.everywhere for part in parts):
            strengths = tuple(p.strength for p in parts)
            made = kinds.pop().together(model, [p.what for p in parts], tokens, examples)
            if made is not None:
                return [Blend.of(edit, strengths) for edit in made]
    rows: dict[int, list[int]] = {}
    for row, change in enumerate(changes):
        rows.setdefault(id(change), []).append(row)
    out: list[Edit] = []
    for some in rows.values():
        own = [examples[row] for row in some]
        part = tokens if len(some) == len(changes) else tokens.take(some)
        n = None if n_prompt is None else [n_prompt[row] for row in some]
        prompts = part if n is None else _cut(part, n)
        for edit in changes[some[0]].decided(model, prompts, own).laid(part, n):
            own_rows = range(len(some)) if edit.rows is None else edit.rows
            whole_pass = edit.rows is None and len(some) == len(changes)
            out.append(edit if whole_pass else replace(edit, rows=[some[r] for r in own_rows]))
    return out


# -- rows, positions, weights ----------------------------------------------------------------------


def _is_model(what: Any) -> bool:
    return hasattr(what, "spec") and hasattr(what, "run")


def _span(window: Any) -> tuple[int, int | None]:
    rule = "a number of new tokens, 8, or a slice of them, slice(8, None)"
    if window is None:
        return 0, None
    if not isinstance(window, slice):
        return 0, whole("window", window, 1, then=f"It is {rule}.")
    start, stop = window.start or 0, window.stop
    if window.step not in (None, 1) or start < 0 or (stop is not None and stop <= start):
        raise refuse("window", rule, window)
    return start, stop


def _asked(gate: Any, model: Any, prompts: Tokens) -> list[int]:
    """The rows that a gate opens for."""
    answers = list(gate(model, prompts))
    if len(answers) != len(prompts):
        raise ValueError(
            f"A gate gives one True or False a row, here {len(prompts)}; it gave {len(answers)}."
        )
    return [row for row, yes in enumerate(answers) if bool(yes)]


def _cut(tokens: Tokens, n_prompt: Sequence[int]) -> Tokens:
    """The first tokens of each row, which are its prompt."""
    rows, strings = [], []
    for row, some in enumerate(_check_n_prompt(tokens, n_prompt)):
        rows.append(tokens.ids[row, tokens.columns(row)[:some]].tolist())
        strings.append(tokens.strings[row][:some])
    return pad(rows, strings, pad_id=0, side=tokens.side, device=tokens.ids.device)


def _check_n_prompt(tokens: Tokens, n_prompt: Sequence[int]) -> list[int]:
    if len(n_prompt) != len(tokens):
        raise refuse(
            "n_prompt", f"how many tokens of each of {len(tokens)} rows are prompt", n_prompt
        )
    pairs = zip(n_prompt, tokens.lengths, strict=True)
    return [whole("n_prompt", n, 1, length) for n, length in pairs]


def _positions(
    part: Part, tokens: Tokens, row: int, n_prompt: Sequence[int] | None, start: int
) -> tuple[int, ...]:
    """The positions of one row that a part acts at, from the column `start` on."""
    edit: Edit = part.what
    total = tokens.lengths[row]
    n = total if n_prompt is None else n_prompt[row]
    if part.on != "prompt" and edit.positions is not None and n_prompt is not None:
        raise ValueError(
            f"An edit on new tokens acts at every one; {edit!r} names prompt positions. "
            "Use on='prompt', or leave positions out."
        )
    at: list[int] = []
    if part.on != "new":
        at += list(range(n)) if edit.positions is None else _named(edit, n)
    if part.on != "prompt":
        first, stop = part.window
        at += range(n + first, total if stop is None else min(total, n + stop))
    begin = max(0, start - tokens.offset(row))
    return tuple(p for p in at if p >= begin)


def _named(edit: Edit, n: int) -> list[int]:
    """The positions that an edit names, of a prompt of n tokens."""
    ones = torch.ones((1, n), dtype=torch.long)
    return Tokens(ones, ones, (("",) * n,)).columns(0, edit.positions)


def _own_values(edit: Edit) -> dict[str, torch.Tensor]:
    """The numbers of an edit that are one a row, for several rows."""
    each = ((f.name, getattr(edit, f.name)) for f in fields(edit))
    wide = len(edit.site.axes)
    return {k: v for k, v in each if getattr(v, "ndim", 0) == wide and len(v) > 1}


def _of_examples(edit: Edit, examples: Sequence[int]) -> Edit:
    """The edit with the values of these examples, where it has one for each."""
    own = _own_values(edit)
    if edit.rows is not None:
        then = "Give the questions it is for by themselves."
        raise refuse("An edit of an experiment", "of all rows", edit, then)
    if not own:
        return edit
    if (least := min(map(len, own.values()))) <= max(examples):
        rule = f"one a question, at least {max(examples) + 1}"
        raise refuse(f"The values a row of {edit!r}", rule, least)
    return replace(edit, **{name: value[list(examples)] for name, value in own.items()})


def _in_rows(edit: Edit, rows: Sequence[int], n_rows: int) -> Edit | None:
    """The edit in some of a batch's rows, with the values it has for each; None for none."""
    own = list(range(n_rows)) if edit.rows is None else list(edit.rows)
    keep = [i for i, row in enumerate(own) if row in rows]
    if len(keep) == len(own):
        return edit
    if not keep:
        return None
    values = {name: value[keep] for name, value in _own_values(edit).items()}
    return replace(edit, rows=[own[i] for i in keep], **values)


def _weights(part: Part) -> list[WeightEdit]:
    """A weight edit at the strength of its part: W + t · (edit(W) − W)."""
    edit, t = part.what, part.strength
    if t in (0, 1):
        return [edit] * int(t)
    place = edit.name, edit.layer, edit.index
    if edit.factor is not None:
        return [WeightEdit(*place, factor=1 + t * (_tensor(edit.factor) - 1))]
    if edit.add is not None:
        return [WeightEdit(*place, add=t * _tensor(edit.add))]
    return [WeightEdit(*place, factor=1 - t), WeightEdit(*place, add=t * _tensor(edit.value))]


def _tensor(value: Any) -> torch.Tensor:
    return torch.as_tensor(value).detach()


# -- as data ---------------------------------------------------------------------------------------


def _name_of(value: Any) -> str:
    return getattr(value, "__name__", type(value).__name__)


def _pack(value: Any, tensors: dict[str, torch.Tensor], *, code: bool = False) -> Any:
    """Plain data; numbers go to `tensors`. code: name what is code or a model, and go on."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [_pack(v, tensors, code=code) for v in value]
    if isinstance(value, Site):
        return str(value)
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if hasattr(value, "dtype"):
        key = str(len(tensors))
        tensors[key] = torch.as_tensor(value).detach().cpu().contiguous().clone()
        return {"tensor": key}
    kind = type(value)
    if _classes().get(kind.__name__) is kind or (code and isinstance(value, Edit)):
        kept = [f.name for f in fields(value) if f.init and f.name not in ("path", "info")]
        body = {name: _pack(getattr(value, name), tensors, code=code) for name in kept}
        return {"type": kind.__name__, **body}
    if code:
        return f"{kind.__module__}.{kind.__qualname__} {id(value)}"
    raise ArgumentError(
        f"A change is saved as data, and {_name_of(value)} is code or a model. Save what it is "
        "made of, and make the change again."
    )


def _unpack(data: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(data, list):
        return tuple(_unpack(each, tensors) for each in data)
    if not isinstance(data, dict):
        return data
    if "tensor" in data:
        return tensors[data["tensor"]]
    if "slice" in data:
        return slice(*data["slice"])
    kind = _classes()[data["type"]]
    return kind(**{k: _unpack(v, tensors) for k, v in data.items() if k != "type"})


def _classes() -> dict[str, Any]:
    """The classes whose objects are data, by name."""
    package = __name__.rpartition(".")[0]
    homes = [importlib.import_module(f"{package}.{home}") for home in _HOMES]
    found = (kind for home in homes for kind in vars(home).values() if isinstance(kind, type))
    # An edit that holds code has no place in a file.
    return {k.__name__: k for k in found if is_dataclass(k) and k.__module__.startswith(package)}
