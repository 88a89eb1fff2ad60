"""The live logit lens: a prompt box over a grid that follows what is typed."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from ..check import Count, checked
from ..encoding import start_ids, starts
from ..methods.lens_panel import Translator
from ..methods.logit_lens import LogitLens
from ..methods.logit_lens import logit_lens as compute
from ..model import Model
from ..targets import Target, Targets, token_id
from ..tokens import token_strings
from ..views.lens import grid_data
from ..widgets import TokenGrid
from .explorer import Explorer

LARGEST_K = 50
#: Words between commas, and among them those in quotation marks.
_QUOTED = r"""'(?:[^'\\]|\\.)+'|"(?:[^"\\]|\\.)+\""""
_WORD = re.compile(rf"\s*({_QUOTED}|[^,]+?)\s*(?:,|$)")
PROMPT = "When Mary and John went to the store, John gave a drink to"


@checked
class LiveLogitLens(Explorer):
    """A prompt, its options and a `TokenGrid`; each change runs the model and redraws the grid.

    result: the last `LogitLens` that worked. grid: the `TokenGrid`, whose toolbar has the
    choice of lens, component, quantity and colours. prompt: the text; setting it runs the model
    too. message: why the last change could not be shown, else "".

    What cannot be run (an empty prompt, one that is too long, a target of several tokens) is
    said in words above the grid, which then keeps the last prompt that worked, dimmed.
    """

    STALE = "error: this is the last prompt that worked"

    def __init__(
        self,
        model: Model,
        prompt: str,
        *,
        k: int,
        targets: Targets,
        foils: Targets,
        prepend_bos: bool | None,
        **options: Any,
    ) -> None:
        self.model, self._options = model, options
        self.result: LogitLens = compute(
            model, prompt, k=k, targets=targets, foils=foils, prepend_bos=prepend_bos, **options
        )
        self.grid = TokenGrid(**grid_data(self.result))
        begins = token_strings(model.tokenizer, starts(model.tokenizer))
        wide = ipywidgets.Layout(width="auto", flex="1 1 12em")
        narrow = ipywidgets.Layout(width="9em")
        described = {"description_width": "initial"}
        self._prompt = ipywidgets.Textarea(
            prompt,
            rows=2,
            placeholder="Text for the model to read",
            layout=ipywidgets.Layout(width="auto"),
        )
        self._targets = ipywidgets.Text(
            written(self.result.targets),
            description="targets",
            placeholder="Mary, John",
            layout=wide,
            style=described,
        )
        self._foils = ipywidgets.Text(
            written(self.result.foils),
            description="foils",
            placeholder="one, or one a target",
            layout=wide,
            style=described,
        )
        self._k = ipywidgets.BoundedIntText(
            k,
            min=1,
            max=max(k, min(LARGEST_K, model.spec.d_vocab)),
            description="top",
            layout=narrow,
            style=described,
        )
        self._start = ipywidgets.Checkbox(
            self.result.tokens[0][0] in begins,
            description="start token",
            disabled=not begins,
            indent=False,
            layout=narrow,
        )
        for control in (self._prompt, self._targets, self._foils, self._k, self._start):
            control.observe(self._changed, names="value")
        options_row = ipywidgets.HBox(
            [self._targets, self._foils, self._k, self._start],
            layout=ipywidgets.Layout(flex_flow="row wrap", align_items="center"),
        )
        super().__init__(self.grid, [self._prompt, options_row])

    @property
    def prompt(self) -> str:
        """The text that is typed now."""
        return self._prompt.value

    @prompt.setter
    def prompt(self, text: str) -> None:
        self._prompt.value = text

    def to_html(self, path: str | Path | None = None, *, title: str | None = None) -> str:
        """The grid as it is now, as one self-contained HTML page; written to `path` if given."""
        return self._page(path, title or repr(self.result))

    def __repr__(self) -> str:
        return f"LiveLogitLens({self.result!r})"

    def _compute(self) -> None:
        # Ticked is as the tokenizer begins a text, where it does so by itself.
        by_itself = start_ids(self.model.tokenizer)
        start = (None if by_itself else True) if self._start.value else False
        result = compute(
            self.model,
            self._prompt.value,
            k=self._k.value,
            targets=read(self.model.tokenizer, self._targets.value),
            foils=read(self.model.tokenizer, self._foils.value),
            prepend_bos=start,
            **self._options,
        )
        self.grid.update(**grid_data(result))
        self.result = result


def written(tokens: Sequence[str]) -> str:
    """Tokens as the text of a box: words with a leading space bare, others in quotation marks."""
    bare = [
        token[1:] if token[:1] == " " and _plain(token[1:]) else repr(token) for token in tokens
    ]
    return ", ".join(bare)


def read(tokenizer: Any, text: str) -> list[str]:
    """The tokens of a box: words between commas.

    A bare word is taken with its leading space where that is one token, else as it is; a word in
    quotation marks is taken literally, with Python's escapes. Raises `ValueError` for a word of
    several tokens.
    """
    out = []
    for word in filter(None, (part.strip() for part in _WORD.findall(text))):
        quoted = re.fullmatch(_QUOTED, word)
        choices = [ast.literal_eval(word)] if quoted else [f" {word}", word]
        errors = []
        for choice in choices:
            try:
                token_id(tokenizer, choice)
            except ValueError as error:
                errors.append(error)
            else:
                out.append(choice)
                break
        else:
            raise errors[0]
    return out


def _plain(word: str) -> bool:
    return bool(word) and word == word.strip() and "," not in word and word[0] not in "'\""


@checked
def logit_lens(
    model: Model,
    prompt: str = PROMPT,
    *,
    component: str | Sequence[str] = "resid_post",
    k: Count = 10,
    targets: Targets = None,
    foils: Targets = None,
    token_sets: Mapping[str, Sequence[Target]] | None = None,
    lens: Translator | Sequence[Translator | None] | None = None,
    prepend_bos: bool | None = None,
) -> LiveLogitLens:
    """A prompt box over a `TokenGrid`: every change runs the model, as a `LiveLogitLens`.

    The options are those of the method `logit_lens` and what the controls begin with. Raises what
    that method raises where the first prompt cannot be run; later trouble is shown in place.
    """
    return LiveLogitLens(
        model,
        prompt,
        component=component,
        k=k,
        targets=targets,
        foils=foils,
        token_sets=token_sets,
        lens=lens,
        prepend_bos=prepend_bos,
    )
