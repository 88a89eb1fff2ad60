"""Experiment: changes of a model, each tried on the same questions and the same other texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

import numpy as np
import torch
from tqdm.auto import tqdm

from . import controls as drawing
from . import metrics
from .change import Change, Part, Rule, rows_laid
from .check import Count, Natural, Seed, checked, given, one_of
from .edits import unchanged_is_fine
from .effects import SHARE, Effects, Measure, table_of
from .elsewhere import texts_elsewhere
from .model import Model
from .questions import Questions
from .result import provenance
from .tokens import Tokens

#: Bytes of the logits of one pass over texts, and tokens of one over questions.
LOGITS, TOKENS = 64 << 20, 4096
#: Measures of answers: the unit, and one number an example of logits (batch, 1, d_vocab), answers
#: and foils.
MEASURES: dict[str, tuple[str, Callable[..., torch.Tensor]]] = {
    "probability": ("probability", lambda logits, a, _: metrics.probability(logits, a)),
    "log_probability": ("nats", lambda logits, a, _: metrics.log_probability(logits, a)),
    "rank": ("tokens", lambda logits, a, _: metrics.rank(logits, a) + 1),
    "accuracy": (SHARE, lambda logits, a, _: metrics.rank(logits, a) == 0),
    "logit_difference": ("logits", metrics.logit_difference),
    "probability_difference": ("probability", metrics.probability_difference),
}
LOSS, KL = "loss elsewhere", "KL elsewhere"


@checked
def experiment(
    model: Model,
    questions: Any,
    changes: Mapping[Any, Any],
    *,
    by: str = "change",
    measures: str | Sequence[str] | None = None,
    strengths: Sequence[float] | None = None,
    controls: Sequence[Literal["random", "orthogonal"]] | Mapping[Any, Any] = ("random",),
    n_controls: Count = 20,
    elsewhere: Any = None,
    n_new: Natural = 0,
    seed: Seed = 0,
    progress: bool = True,
) -> Effects:
    """What changes do to the answers of questions and to texts elsewhere, as `Effects`.

        push = wb.Change(wb.Add("L2.resid_post", direction))
        wb.experiment(model, wb.task("pronoun"), {"push": push}, strengths=(1, 2, 4))

    questions: a task, prompts with an answer each, or several of them by name. changes: by name, or
    by tuples whose parts `by` names ("change reference"). measures: of the answers; None: a task's
    own metric, else "probability". strengths: each change, and each of its controls, at each.
    controls: kinds that `controls.like` draws, `n_controls` of each for each change, or changes
    keyed as `changes` are, with the kind and the number of the draw last. elsewhere: texts on which
    loss and KL(plain ‖ changed) are taken, in nats a position; None for the last 40 that ship, ()
    for none. n_new: tokens by which the first questions' prompts are continued under each change.

    Raises `ValueError` for another measure and for changes with equal names, and what
    `Questions.of`, `controls.like` and a run raise.
    """
    asked = Questions.by_name(model, questions)
    names, control_names = by.split(), [*by.split(), "kind", "draw"]
    tried = {_labels(key, len(names)): Change.of(c) for key, c in changes.items()}
    if len(tried) < len(changes):
        raise ValueError(
            f"Changes have different names; got {given(list(changes))}. Name their labels in by=."
        )
    if not tried or not asked:
        raise ValueError(
            "An experiment tries at least one change on one question; got "
            f"{len(tried)} changes and {len(asked)} kinds of questions."
        )
    if not isinstance(controls, Mapping):
        drawn = {
            (*key, kind, i): c
            for key, one in tried.items()
            for kind in controls
            for i, c in enumerate(drawing.like(model, one, n_controls, kind=kind, seed=seed))
        }
    else:
        drawn = {_key(key): Change.of(c) for key, c in controls.items()}
    drawn = {_filled(key, len(names)): c for key, c in drawn.items()}
    if strengths is not None:
        names, control_names = [*names, "strength"], [*control_names, "strength"]
        tried, drawn = (
            {(*key, float(t)): c.at(t) for key, c in some.items() for t in strengths}
            for some in (tried, drawn)
        )
    every, n = [Change(), *tried.values(), *drawn.values()], 1 + len(tried)
    found: list[Measure] = []

    def add(name: str, unit: str, values: np.ndarray, damage: bool = False) -> None:
        found.append(Measure(name, unit, values[0], values[1:n], values[n:], damage=damage))

    texts = None if _is_none(elsewhere) else texts_elsewhere(model, elsewhere)
    n_rows = sum(map(len, asked.values())) + (0 if texts is None else len(texts))
    with (
        unchanged_is_fine(),
        tqdm(total=len(every) * n_rows, disable=not progress, leave=False) as bar,
    ):
        for name, q in asked.items():
            wanted = q.measures if measures is None else measures
            wanted = [wanted] if isinstance(wanted, str) else list(wanted)
            for which, values in answers(model, every, q, wanted, bar).items():
                add(name if len(wanted) == 1 else f"{name} {which}", MEASURES[which][0], values)
        if texts is not None:
            for name, values in zip((LOSS, KL), damages(model, every, texts, bar), strict=True):
                add(name, "nats", values, damage=True)
        first, continued = next(iter(asked.values())), None
        if n_new:
            said = {"plain": Change(), **{_said(k): c for k, c in tried.items()}}
            continued = {k: _continued(model, c, first.tokens, n_new) for k, c in said.items()}
    return Effects(
        **provenance(model, first.tokens, seed),
        what=", ".join(dict.fromkeys(str(key[0]) for key in tried)),
        changes=table_of(names, list(tried)),
        controls=table_of(control_names, list(drawn)) if drawn else {},
        measures=tuple(found),
        texts=continued,
    )


def answers(
    model: Model,
    changes: Sequence[Change],
    questions: Questions,
    measures: Sequence[str],
    bar: Any = None,
) -> dict[str, np.ndarray]:
    """(change, example) float64 of each measure, after the last token of each prompt.

    Raises `ValueError` for another measure, where it needs foils that the questions lack, and where
    it is no finite number.
    """
    for name in measures:
        one_of("A measure", name, MEASURES)
        if name.endswith("_difference") and questions.foil_ids is None:
            raise ValueError(
                f"{name} compares answers with foils, which these questions lack. Give a task, or "
                "measures='log_probability'."
            )
    rules = [p.what for c in changes for p in c.parts if isinstance(p.what, Rule)]
    n_tokens = min([TOKENS, *(n for rule in rules if (n := rule.n_tokens) is not None)])
    right, foils = questions.answer_ids, questions.foil_ids
    out = {name: np.full((len(changes), len(questions)), np.nan) for name in measures}
    by_length: dict[int, list[int]] = {}
    for row, length in enumerate(questions.tokens.lengths):
        by_length.setdefault(length, []).append(row)
    for length, rows in by_length.items():
        # Prompts of a length, so that nothing is padded.
        most = max(1, n_tokens // length)
        for numbers, examples, logits in passes(
            model, changes, questions.tokens, rows, most=most, at="last", bar=bar
        ):
            some = None if foils is None else foils[examples]
            for name, values in out.items():
                each = MEASURES[name][1](logits, right[examples], some).double().cpu().numpy()
                if not np.isfinite(each).all():
                    row = int(np.flatnonzero(~np.isfinite(each))[0])
                    raise ValueError(
                        f"A measure is a finite number an example; {name} of question "
                        f"{examples[row]} is {each[row]} under {given(changes[numbers[row]])}. "
                        "Look at the model's logits there, or take a smaller strength."
                    )
                values[numbers, examples] = each
    return out


def damages(model: Model, changes: Sequence[Change], texts: Tokens, bar: Any = None) -> np.ndarray:
    """(2, change, text): the mean loss a token, and the mean KL(first ‖ this) a position, in nats.

    changes: the first is what the others are compared with.
    """
    out = np.zeros((2, len(changes), texts.n_rows))
    most = max(1, LOGITS // (4 * model.spec.d_vocab * texts.n_columns))
    for start in range(0, texts.n_rows, most):
        rows = list(range(start, min(start + most, texts.n_rows)))
        some, plain = texts.take(rows).trimmed(), None
        # One change a pass: what costs here is the vocabulary at every position, not the passes.
        for numbers, _, logits in passes(
            model, changes, texts, rows, most=len(rows), at=None, bar=bar
        ):
            log_probs = logits.float().log_softmax(-1)
            plain = log_probs if plain is None else plain
            out[0, numbers[0], rows] = metrics.text_loss(log_probs, some).cpu().numpy()
            out[1, numbers[0], rows] = metrics.text_kl(log_probs, plain, some).cpu().numpy()
    return out


def passes(
    model: Model,
    changes: Sequence[Change],
    tokens: Tokens,
    rows: Sequence[int],
    *,
    most: int,
    at: Any,
    bar: Any = None,
) -> Iterator[tuple[list[int], list[int], torch.Tensor]]:
    """The change and the example of each row of a pass, and its logits, up to `most` rows a pass.

    Changes of activations share passes; those of weights, or another model, have their own.
    """

    def kind(number: int) -> Any:
        parts: Sequence[Part] = changes[number].parts
        alone = changes[number].on_weights
        # Rules of one class are laid at once.
        return number if alone else -1, type(parts[0].what).__name__ if len(parts) == 1 else ""

    for (alone, _), some in groupby(range(len(changes)), kind):
        numbers = list(some)
        pairs = [(c, row) for c in numbers for row in rows]
        weights = changes[alone].of_weights if alone >= 0 else Change()
        with weights.applied(model) as now:
            for start in range(0, len(pairs), most):
                cs, examples = map(list, zip(*pairs[start : start + most], strict=True))
                batch = tokens.take(examples).trimmed()
                # Of texts, every token but the first counts as new.
                new = at is None and any(p.on != "both" for c in set(cs) for p in changes[c].parts)
                n_prompt = [1] * len(examples) if new else None
                held = rows_laid(now, [changes[c] for c in cs], batch, examples, n_prompt)
                logits = now.run(batch, edits=held, logits_at=at).logits
                assert logits is not None
                yield cs, examples, logits
        if bar is not None:
            bar.update(len(numbers) * len(rows))


def _key(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _labels(key: Any, n: int) -> tuple[Any, ...]:
    """The labels of a change; those that it lacks are None."""
    own = _key(key)
    return (*own, *[None] * (n - len(own)))


def _said(labels: tuple[Any, ...]) -> str:
    return " ".join(str(each) for each in labels if each is not None)


def _filled(key: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    """The key of a control: labels that it lacks fit any, and kind and draw come last."""
    if len(key) < 3:
        raise ValueError(
            "A control is named by the labels of its change, its kind and the number of its draw, "
            f"('push', 'random', 0); got {given(key)}."
        )
    *labels, kind, draw = key
    return (*labels, *[None] * (n - len(labels)), kind, draw)


def _is_none(elsewhere: Any) -> bool:
    return isinstance(elsewhere, (list, tuple)) and not elsewhere


def _continued(model: Model, change: Change, tokens: Tokens, n_new: int) -> tuple[str, ...]:
    with change.applied(model) as now:
        return now.generate(tokens, n_new).texts
