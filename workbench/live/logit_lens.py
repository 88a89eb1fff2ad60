"""The live logit lens: a prompt box over a grid that follows what is typed."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets

from ..check import Count, checked
from ..encoding import start_ids, starts
from ..lens.logit import LogitLens, logit
from ..lens.translation import Translator
from ..model import Model
from ..targets import Target, Targets, token_id, token_ids
from ..tokens import token_strings
from ..views.lens import grid_data
from ..widgets import TokenGrid
from .calls import Calls
from .controls import REST, Control
from .explorer import Explorer

LARGEST_K = 50
#: Words between commas, and among them those in quotation marks.
_QUOTED = r"""'(?:[^'\\]|\\.)+'|"(?:[^"\\]|\\.)+\""""
_WORD = re.compile(rf"\s*({_QUOTED}|[^,]+?)\s*(?:,|$)")
PROMPT = "When Mary and John went to the store, John gave a drink to"
READ = "Text for the model to read"


@checked
class LiveLogitLens(Explorer):
    """A prompt, its options and a `TokenGrid`; each change runs the model and redraws the grid.

    result: the last `LogitLens` that worked. view: the `TokenGrid`, whose toolbar has the choice of
    lens, site, quantity and colours. prompt, targets, foils, k, start: the choices, which can
    be set.
    """

    ROWS = (("prompt",), ("targets", "foils", "k", "start", "buttons"))
    STALE = "error: this is the last prompt that worked"
    prompt = Control(ipywidgets.Textarea, hint=READ, undo=True, rows=2)
    targets = Control(ipywidgets.Text, "targets", hint="Mary, John", width=REST, undo=True)
    foils = Control(ipywidgets.Text, "foils", hint="one, or one a target", width=REST, undo=True)
    k = Control(ipywidgets.BoundedIntText, "top", width="9em", undo=True, min=1)
    start = Control(ipywidgets.Checkbox, "start token", width="9em", undo=True, indent=False)

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
        self._options = options
        tokenizer = model.tokenizer
        begins = token_strings(tokenizer, starts(tokenizer))
        first = model.tokens([prompt], prepend_bos=prepend_bos).strings[0][0]

        def words(given: Targets, of: str) -> str:
            return written(token_strings(tokenizer, token_ids(tokenizer, given, of=of)))

        calls = Calls()
        calls.given("lens", options["lens"])
        self.result: LogitLens
        super().__init__(
            model,
            TokenGrid,
            {
                "prompt": {"value": prompt},
                "targets": {"value": words(targets, "A target")},
                "foils": {"value": words(foils, "A foil")},
                "k": {"max": max(k, min(LARGEST_K, model.spec.d_vocab)), "value": k},
                "start": {"value": first in begins, "disabled": not begins},
            },
            calls,
        )

    def _compute(self) -> dict[str, Any]:
        prompt: Any = self.prompt
        # Where it is not as the tokenizer begins a text by itself.
        if self.start != bool(start_ids(self.model.tokenizer)):
            prompt = self.calls("", self.model.tokens, prompt, prepend_bos=self.start)
        self.result = self.calls(
            "result",
            logit,
            self.model,
            prompt,
            k=self.k,
            targets=read(self.model.tokenizer, self.targets) or None,
            foils=read(self.model.tokenizer, self.foils) or None,
            **self._options,
        )
        return self.calls("", grid_data, self.result)

    def __repr__(self) -> str:
        return f"LiveLogitLens({self.result!r})"


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
    sites: str | Sequence[str] = "resid_post",
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
        sites=sites,
        k=k,
        targets=targets,
        foils=foils,
        token_sets=token_sets,
        lens=lens,
        prepend_bos=prepend_bos,
    )
