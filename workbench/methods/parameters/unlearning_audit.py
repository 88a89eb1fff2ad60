"""Unlearning audit: whether the behaviour went, and whether its traces in the weights did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ...check import Count, Positive, Seed, checked
from ...elsewhere import texts_elsewhere
from ...model import Model, Prompts
from ...questions import Asked, Questions
from ...resample import bootstrap
from ...result import Result, axes, provenance
from ...weight_edits import edited_weights
from ..vocabulary.words import check_k
from .audit_report import report
from .concept_vectors import ConceptVectors, check_found_in
from .condition_runs import answers_under, texts_under
from .lessons import Lessons, Material
from .measured_change import MeasuredChange
from .relearning import relearned
from .traces import Traces
from .value_vectors import ablations

#: Tokens of a text elsewhere that stand before a prompt in "after other text".
N_CONTEXT = 12
RELEARN_AT = (0, 1, 2, 4, 8, 16)


@dataclass(frozen=True, eq=False, repr=False)
class UnlearningAudit(Result):
    """A model before and after an unlearning: what it says, and what its weights still hold.

    after: the name of the model after. words, neurons: of the concept vectors (found before).
    forgotten: names of questions about the concept: "prompts", each paraphrase, and "after other
    text" (the prompts behind the beginning of a text elsewhere). others: names of questions about
    other things. question_of: (question) which of forgotten and then others each belongs to.
    before_, after_ and ablated_probability: (question) of the answer; "ablated" is the model before
    with the vectors set to zero, what a removal of the traces would give. before_, after_,
    ablated_loss: (text) the mean loss a token on texts elsewhere; after_kl, ablated_kl: (text) the
    mean of KL(before ‖ …); all in nats.

    cosine, change, kept: (vector) of the vector before and after: cosine, |after − before| /
    |before|, and the overlap of their first k words (Jaccard). other_cosine, other_change,
    other_kept: (other) of other vectors of the same layers, the control. before_scores,
    after_scores: (vector) the concept's words in standard deviations, as in `ConceptVectors`.
    before_words, after_words: the first words.

    relearners: the models that were trained on other answers of the kind, "after", "ablated" and
    perhaps "never"; relearn_at: (step) after how many steps; relearned: (relearner, step, batch)
    the probability of the answers to the prompts then. None where nothing was relearned.
    """

    after: str
    words: tuple[str, ...]
    neurons: tuple[str, ...]
    forgotten: tuple[str, ...]
    others: tuple[str, ...]
    k: int
    before_words: tuple[tuple[str, ...], ...]
    after_words: tuple[tuple[str, ...], ...]
    relearners: tuple[str, ...]
    question_of: np.ndarray = axes("question", np.int32)
    before_probability: np.ndarray = axes("question")
    after_probability: np.ndarray = axes("question")
    ablated_probability: np.ndarray = axes("question")
    before_loss: np.ndarray = axes("text")
    after_loss: np.ndarray = axes("text")
    ablated_loss: np.ndarray = axes("text")
    after_kl: np.ndarray = axes("text")
    ablated_kl: np.ndarray = axes("text")
    cosine: np.ndarray = axes("vector")
    change: np.ndarray = axes("vector")
    kept: np.ndarray = axes("vector")
    before_scores: np.ndarray = axes("vector")
    after_scores: np.ndarray = axes("vector")
    other_cosine: np.ndarray = axes("other")
    other_change: np.ndarray = axes("other")
    other_kept: np.ndarray = axes("other")
    relearn_at: np.ndarray | None = axes("step", np.int32, optional=True)
    relearned: np.ndarray | None = axes("relearner step batch", optional=True)

    picture = "concept_traces.unlearning_audit"

    def behaviour(self) -> pd.DataFrame:
        """One line a group of questions, and one each for loss and KL elsewhere.

        Columns: measure, about ("concept", "others" or "texts"), n; before, after (means) with
        after_low and after_high, change with low and high (95 %: bootstrap over examples); ablated
        (the mean without the vectors).
        """
        lines = []
        for name, about, *values in self.measures():
            each = MeasuredChange(name, values[0], values[1], values[2][None], self.seed or 0)
            low, high = each.interval()
            after_low, after_high = each.interval(each.after)
            lines.append(
                {
                    "measure": name,
                    "about": about,
                    "n": len(each.before),
                    "before": float(each.before.mean()),
                    "after": float(each.after.mean()),
                    "after_low": after_low,
                    "after_high": after_high,
                    "change": each.change,
                    "low": low,
                    "high": high,
                    "ablated": float(values[2].mean()),
                }
            )
        return pd.DataFrame(lines)

    def measures(self) -> list[tuple[str, str, np.ndarray, np.ndarray, np.ndarray]]:
        """Name, what it is about, and (example) before, after and ablated, of each measure."""
        out = []
        for i, name in enumerate((*self.forgotten, *self.others)):
            own = self.question_of == i
            about = "concept" if i < len(self.forgotten) else "others"
            probabilities = (
                self.before_probability,
                self.after_probability,
                self.ablated_probability,
            )
            out.append((name, about, *(each[own] for each in probabilities)))
        nothing = np.zeros_like(self.after_kl)
        return [
            *out,
            ("loss elsewhere", "texts", self.before_loss, self.after_loss, self.ablated_loss),
            ("KL elsewhere", "texts", nothing, self.after_kl, self.ablated_kl),
        ]

    def traces(self) -> pd.DataFrame:
        """One line a measure of the vectors: "cosine", "change" and "kept".

        Columns: measure; vectors (the mean) with low and high, its 95 % interval (bootstrap over
        vectors); others (the mean over the control) with others_low and others_high (2.5 and
        97.5 % of them).
        """
        lines = []
        for name in ("cosine", "change", "kept"):
            own = getattr(self, name).astype(np.float64)
            rest = getattr(self, f"other_{name}")
            low, high = bootstrap(lambda c, v=own: v[c].mean(-1), len(own), 0.95, self.seed or 0)
            others_low, others_high = np.quantile(rest, [0.025, 0.975])
            lines.append(
                {
                    "measure": name,
                    "vectors": float(own.mean()),
                    "low": low,
                    "high": high,
                    "others": float(rest.mean()),
                    "others_low": float(others_low),
                    "others_high": float(others_high),
                }
            )
        return pd.DataFrame(lines)

    def relearning(self) -> pd.DataFrame:
        """One line a relearner and step: relearner, step, probability (mean) with low and high (95
        %: bootstrap over prompts). Raises `ValueError` where nothing was relearned.
        """
        if self.relearned is None or self.relearn_at is None:
            raise ValueError("This audit relearned nothing; give audit_unlearning relearn=.")
        lines = []
        for name, steps in zip(self.relearners, self.relearned, strict=True):
            for step, values in zip(self.relearn_at.tolist(), steps, strict=True):
                low, high = bootstrap(
                    lambda c, v=values: v[c].mean(-1), len(values), 0.95, self.seed or 0
                )
                mean = float(values.mean())
                lines.append(
                    {
                        "relearner": name,
                        "step": step,
                        "probability": mean,
                        "low": low,
                        "high": high,
                    }
                )
        return pd.DataFrame(lines)

    def to_frame(self) -> pd.DataFrame:
        """One line a vector: vector, cosine, change, kept, score_before, score_after, words_before,
        words_after.
        """
        return pd.DataFrame(
            {
                "vector": list(self.neurons),
                "cosine": self.cosine,
                "change": self.change,
                "kept": self.kept,
                "score_before": self.before_scores,
                "score_after": self.after_scores,
                "words_before": ["|".join(words) for words in self.before_words],
                "words_after": ["|".join(words) for words in self.after_words],
            }
        )

    def report(self) -> str:
        """The audit as a few lines of text."""
        return report(self)

    def _facts(self) -> str:
        _, _, before, after, _ = self.measures()[0]
        return (
            f"{self.after}: probability {before.mean():.3f} → {after.mean():.3f}, "
            f"{len(self.neurons)} vectors at cosine {self.cosine.mean():.4f} to what they were "
            f"(others {self.other_cosine.mean():.4f})"
        )


@checked
def audit_unlearning(
    before: Model,
    after: Model,
    vectors: ConceptVectors,
    prompts: Asked,
    *,
    paraphrases: Mapping[str, Asked] | None = None,
    others: Mapping[str, Asked] | None = None,
    elsewhere: Prompts | None = None,
    relearn: Material | None = None,
    never: Model | None = None,
    relearn_at: Sequence[int] = RELEARN_AT,
    learning_rate: Positive = 1e-4,
    batch_size: Count = 16,
    k: Count = 10,
    n_others: Count = 200,
    seed: Seed = 0,
    prepend_bos: bool | None = None,
    progress: bool = False,
) -> UnlearningAudit:
    """Does the behaviour go while its traces stay? As an `UnlearningAudit`.

    before, after: the model and what became of it, for example by `unlearn`. vectors: where the
    concept lies in the weights, found in `before`. prompts: questions about it, a task or prompts
    with an answer each. paraphrases: the same asked otherwise, by name. others: questions about
    other things, by name. elsewhere: texts for loss and KL; None for the last 40 that ship for the
    model. The prompts are also asked behind the beginning of such a text.

    relearn: texts or questions on which copies are trained again, to see how soon the answers to
    `prompts` come back: of the model after, of the model before with the vectors set to zero, and
    of `never`, a model that never knew. Relearn other facts than the prompts ask for. relearn_at:
    after how many steps to look; learning_rate, batch_size: of that training.

    k: first words that are compared. n_others: how many other vectors of the same layers are the
    control. seed: of draws, training and intervals. prepend_bos: as in `Model.tokens`.

    Raises `ValueError` for two models of unequal shape or vocabulary, for vectors of another model
    than `before`, and for answers of several tokens.

    Source: Hong et al. 2024, "Intrinsic Evaluation of Unlearning Using Parametric Knowledge
    Traces", sections 4 and 5: cosine and Jaccard of each vector beside tests of behaviour. The
    control by the other vectors of the layers, and relearning, are added here.
    """
    _check_shapes(before, after, "after")
    check_found_in(vectors, before)
    check_k(k, before.weight("W_U", copy=False).shape[1])
    texts = texts_elsewhere(before, elsewhere, prepend_bos=prepend_bos)

    def read(asked: Asked, name: str) -> Questions:
        return Questions.of(before, asked, prepend_bos=prepend_bos, of=name)

    questions = read(prompts, "prompts")
    contexts = [
        [int(texts.ids[r, column]) for column in texts.columns(r)[:N_CONTEXT]]
        for r in range(texts.n_rows)
    ]
    forgotten = {
        "prompts": questions,
        **{name: read(asked, name) for name, asked in (paraphrases or {}).items()},
        "after other text": questions.after(before, contexts),
    }
    rest = {name: read(asked, name) for name, asked in (others or {}).items()}
    if twice := (set(forgotten) & set(rest)):
        raise ValueError(f"Questions are named once each; {sorted(twice)[0]!r} stands twice.")
    edits = ablations(before, vectors.places, "zero")
    conditions = [
        lambda: nullcontext(before),
        lambda: nullcontext(after),
        lambda: edited_weights(before, edits),
    ]
    groups = [*forgotten.values(), *rest.values()]
    probability = np.concatenate(
        [answers_under(conditions, group).probability for group in groups], axis=1
    )
    loss, kl = texts_under(conditions, texts)
    traces = Traces.between(before, after, vectors, k=k, n_others=n_others, seed=seed)
    relearners, steps, curves = (), None, None
    if relearn is not None:
        steps = _steps(relearn_at)
        models: dict[str, Any] = {
            "after": lambda: nullcontext(after),
            "ablated": conditions[2],
            **({} if never is None else {"never": lambda: nullcontext(never)}),
        }
        if never is not None:
            _check_shapes(before, never, "never", shape=False)
        relearners = tuple(models)
        options = {"at": steps, "learning_rate": learning_rate, "batch_size": batch_size}
        lessons = Lessons.of(before, relearn, of="relearn")
        curves = relearned(models, lessons, questions, seed=seed, progress=progress, **options)
    elif never is not None:
        raise ValueError("A model that never knew is compared in relearning; add relearn=.")
    return UnlearningAudit(
        **provenance(before, questions.tokens, seed),
        after=after.spec.name,
        words=vectors.words,
        neurons=vectors.neurons,
        forgotten=tuple(forgotten),
        others=tuple(rest),
        k=k,
        before_words=traces.before_words,
        after_words=traces.after_words,
        relearners=relearners,
        question_of=np.repeat(np.arange(len(groups)), [len(group) for group in groups]),
        before_probability=probability[0],
        after_probability=probability[1],
        ablated_probability=probability[2],
        before_loss=loss[0],
        after_loss=loss[1],
        ablated_loss=loss[2],
        after_kl=kl[1],
        ablated_kl=kl[2],
        cosine=traces.cosine,
        change=traces.change,
        kept=traces.kept,
        before_scores=traces.before_scores,
        after_scores=traces.after_scores,
        other_cosine=traces.other_cosine,
        other_change=traces.other_change,
        other_kept=traces.other_kept,
        relearn_at=None if steps is None else np.array(steps),
        relearned=curves,
    )


def _steps(at: Sequence[int]) -> list[int]:
    steps = list(at)
    rising = all(a < b for a, b in pairwise(steps))
    if not steps or not rising or steps[0] < 0 or steps[-1] < 1:
        raise ValueError(
            f"relearn_at is numbers of steps from 0, rising, the last at least 1; got {at!r}."
        )
    return steps


def _check_shapes(before: Model, after: Model, name: str, *, shape: bool = True) -> None:
    sizes = ("n_layers", "d_model", "d_mlp", "d_vocab") if shape else ()
    for size in sizes:
        mine, theirs = getattr(before.spec, size), getattr(after.spec, size)
        if mine != theirs:
            raise ValueError(
                f"An audit compares a model with a trained copy of it; {before.spec.name} has "
                f"{size} {mine}, {after.spec.name} has {theirs}. Give the copy as {name}=."
            )
    if before.tokenizer.get_vocab() != after.tokenizer.get_vocab():
        raise ValueError(
            f"The models of an audit read the same tokens; those of {after.spec.name} ({name}) are "
            f"others than those of {before.spec.name}. Give a model with the same tokenizer."
        )
