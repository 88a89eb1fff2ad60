"""Concept ablation: take value vectors out of the weights, and see what is lost and what kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ...check import Count, Positive, Seed, checked
from ...elsewhere import texts_elsewhere
from ...model import Model, Prompts
from ...questions import Asked, Questions
from ...result import Result, axes, provenance
from ...weight_edits import edited_weights
from .concept_vectors import ConceptVectors, check_found_in
from .condition_runs import Answered, answers_under, texts_under
from .measured_change import MeasuredChange
from .value_vectors import HOW, How, Place, ablations, name_of, random_places

#: Prompts whose continuations are kept.
N_CONTINUED = 4


@dataclass(frozen=True, eq=False, repr=False)
class ConceptAblation(Result):
    """What a model says with a concept's value vectors ablated in its weights.

    words: the concept. neurons: whose value vectors. how: "zero", "mean" or "noise", of `noise`
    times a vector's own root mean square. controls: for each draw as many random value vectors of
    the same layers and sizes. prompts are in `tokens`; answers: what should follow.

    plain_, ablated_ and control_probability: (batch) of the answer. plain_ and ablated_rank:
    (batch) how many tokens are more likely, 0 = top. alone_probability: (vector, batch) with one
    vector ablated. others: names of other questions; other_of: (question) which of them each
    belongs to; other_plain, other_ablated, other_control: its probability.

    plain_, ablated_ and control_loss: (text) the mean loss a token on texts elsewhere, in nats.
    ablated_kl, control_kl: (text) the mean over its positions of KL(plain ‖ ablated), in nats.
    plain_texts, ablated_texts: the prompts that lose most, continued.
    """

    words: tuple[str, ...]
    neurons: tuple[str, ...]
    how: str
    noise: float
    answers: tuple[str, ...]
    controls: tuple[tuple[str, ...], ...]
    others: tuple[str, ...]
    plain_texts: tuple[str, ...]
    ablated_texts: tuple[str, ...]
    plain_probability: np.ndarray = axes("batch")
    ablated_probability: np.ndarray = axes("batch")
    control_probability: np.ndarray = axes("control batch")
    plain_rank: np.ndarray = axes("batch", np.int32)
    ablated_rank: np.ndarray = axes("batch", np.int32)
    alone_probability: np.ndarray = axes("vector batch")
    other_of: np.ndarray = axes("question", np.int32)
    other_plain: np.ndarray = axes("question")
    other_ablated: np.ndarray = axes("question")
    other_control: np.ndarray = axes("control question")
    plain_loss: np.ndarray = axes("text")
    ablated_loss: np.ndarray = axes("text")
    control_loss: np.ndarray = axes("control text")
    ablated_kl: np.ndarray = axes("text")
    control_kl: np.ndarray = axes("control text")

    picture = "concept_traces.concept_ablation"

    def changes(self) -> list[MeasuredChange]:
        """Every measure: the concept's "probability", each other question's, "loss elsewhere" and
        "KL elsewhere".
        """
        seed = self.seed or 0
        out = [
            MeasuredChange(
                "probability",
                self.plain_probability,
                self.ablated_probability,
                self.control_probability,
                seed,
            )
        ]
        for i, name in enumerate(self.others):
            own = self.other_of == i
            each = self.other_plain[own], self.other_ablated[own], self.other_control[:, own]
            out.append(MeasuredChange(name, *each, seed))
        loss = self.plain_loss, self.ablated_loss, self.control_loss
        kl = np.zeros_like(self.ablated_kl), self.ablated_kl, self.control_kl
        return [
            *out,
            MeasuredChange("loss elsewhere", *loss, seed),
            MeasuredChange("KL elsewhere", *kl, seed),
        ]

    def to_frame(self) -> pd.DataFrame:
        """One line a measure: measure, n (examples); before, after (means), change with low and
        high (95 %: bootstrap over examples); random (the mean change over the controls),
        random_low, random_high (2.5 and 97.5 % of the controls), beyond_random (the share of
        controls that change less); excess (change less random) with excess_low, excess_high.
        """
        return pd.DataFrame([each.line() for each in self.changes()])

    def alone(self) -> pd.DataFrame:
        """One line a vector ablated alone: vector, change of the probability, low, high (95 %)."""
        lines = []
        for name, ablated in zip(self.neurons, self.alone_probability, strict=True):
            each = MeasuredChange(name, self.plain_probability, ablated, ablated[None], 0)
            low, high = each.interval()
            lines.append({"vector": name, "change": each.change, "low": low, "high": high})
        return pd.DataFrame(lines, columns=["vector", "change", "low", "high"])

    def report(self) -> str:
        """The result as a few lines of text."""
        concept, *rest = self.changes()
        low, high = concept.interval()
        random = self.control_probability.mean(1)
        how = {"zero": "set to zero", "mean": "set to their layer's mean"}.get(
            self.how, f"under noise of {self.noise:g} times their size"
        )
        words = ", ".join(map(repr, self.words[:3])) + (", …" if len(self.words) > 3 else "")
        right = [100 * float((rank == 0).mean()) for rank in (self.plain_rank, self.ablated_rank)]
        lines = [
            f"{len(self.neurons)} value vectors of {self.model} for {words}, {how}",
            f"  probability of the answer: {concept.before.mean():.3f} → "
            f"{concept.after.mean():.3f} (change [{low:.3f}, {high:.3f}]), first of all tokens in "
            f"{right[0]:.0f} → {right[1]:.0f} %",
            f"  the same with random vectors of their sizes: {random.mean():.3f} "
            f"({random.min():.3f} to {random.max():.3f} in {len(random)} draws)",
        ]
        for each in rest:
            lines.append(
                f"  {each.measure}: {each.before.mean():.3f} → {each.after.mean():.3f} "
                f"(random {each.controls.mean():.3f})"
            )
        if len(self.neurons) > 1:
            alone = self.alone()
            most = alone.iloc[int(alone["change"].argmin())]
            lines.append(f"  most by one alone: {most['vector']}, {most['change']:+.3f}")
        lines.append("  the prompts that lose most, continued")
        for plain, ablated in zip(self.plain_texts, self.ablated_texts, strict=True):
            lines += [f"  before: {plain!r}", f"  after:  {ablated!r}"]
        return "\n".join(lines)

    def _facts(self) -> str:
        concept, *_, loss, _ = self.changes()
        return (
            f"{len(self.neurons)} vectors, {self.how}: probability "
            f"{concept.before.mean():.3f} → {concept.after.mean():.3f} (random "
            f"{self.control_probability.mean():.3f}), loss elsewhere {loss.change:+.3f} nats "
            f"(random {loss.control_changes.mean():+.3f})"
        )


@checked
def ablate_concept(
    model: Model,
    vectors: ConceptVectors,
    prompts: Asked,
    *,
    others: Mapping[str, Asked] | None = None,
    elsewhere: Prompts | None = None,
    how: How = "zero",
    noise: Positive = 1.0,
    n_controls: Count = 20,
    n_new: Count = 8,
    seed: Seed = 0,
    prepend_bos: bool | None = None,
    progress: bool = False,
) -> ConceptAblation:
    """What is lost and kept without a concept's value vectors, as a `ConceptAblation`.

    The vectors are changed in the weights, all together and each alone, and put back. prompts:
    questions about the concept, a task or prompts with an answer each. others: questions about
    other things, by name. elsewhere: texts on which loss and KL to the plain model are taken; None
    for the last 40 that ship for the model. how: "zero", "mean" (the mean value vector of the
    layer), or "noise", Gaussian, `noise` times as large as the vector itself. n_controls: draws of
    as many random value vectors of the same layers and nearly the same sizes, ablated alike. n_new:
    tokens of the continuations. seed: of noise, draws and intervals. prepend_bos: as in
    `Model.tokens`.

    Raises `ValueError` for vectors of another model, for answers of several tokens, where no texts
    are given and none ship, and where a layer has too few other vectors to draw from.

    Source: Hong et al. 2024, section 3.3, who add noise of one fixed size to a single vector and
    score generated answers; here the probability of a known answer is read, and random vectors are
    the control.
    """
    check_found_in(vectors, model)
    if how not in HOW:
        raise ValueError(f"how is one of {HOW}; got {how!r}.")
    if not np.isfinite(noise) or noise <= 0:
        raise ValueError(f"noise is a number above 0, in a vector's own size; got {noise!r}.")
    questions = Questions.of(model, prompts, prepend_bos=prepend_bos)
    named = {
        name: Questions.of(model, asked, prepend_bos=prepend_bos, of=f"others[{name!r}]")
        for name, asked in (others or {}).items()
    }
    texts = texts_elsewhere(model, elsewhere, prepend_bos=prepend_bos)
    places = vectors.places
    controls = random_places(model, places, n_controls, seed)

    def condition(chosen: list[Place]) -> Any:
        edits = ablations(model, chosen, how, noise=noise, seed=seed)
        return lambda: edited_weights(model, edits)

    alone = [condition([place]) for place in places]
    joint = [condition(chosen) for chosen in ([], places, *controls)]
    n_passes = len(joint) * (2 + len(named)) + len(alone)
    with tqdm(total=n_passes, disable=not progress, leave=False) as bar:
        own = answers_under([*joint, *alone], questions, bar)
        each = [answers_under(joint, asked, bar) for asked in named.values()]
        loss, kl = texts_under(joint, texts, bar)
    other = _joined(each, len(joint))
    n_joint = len(joint)
    lost = own.probability[0] - own.probability[1]
    hit = questions.take(np.argsort(-lost, kind="stable")[:N_CONTINUED].tolist())
    return ConceptAblation(
        **provenance(model, questions.tokens, seed),
        words=vectors.words,
        neurons=vectors.neurons,
        how=how,
        noise=float(noise),
        answers=questions.answers,
        controls=tuple(tuple(map(name_of, chosen)) for chosen in controls),
        others=tuple(named),
        plain_texts=_continued(joint[0], hit, n_new),
        ablated_texts=_continued(joint[1], hit, n_new),
        plain_probability=own.probability[0],
        ablated_probability=own.probability[1],
        control_probability=own.probability[2:n_joint],
        plain_rank=own.rank[0],
        ablated_rank=own.rank[1],
        alone_probability=own.probability[n_joint:],
        other_of=np.repeat(np.arange(len(named)), [len(asked) for asked in named.values()]),
        other_plain=other[0],
        other_ablated=other[1],
        other_control=other[2:],
        plain_loss=loss[0],
        ablated_loss=loss[1],
        control_loss=loss[2:],
        ablated_kl=kl[1],
        control_kl=kl[2:],
    )


def _joined(each: list[Answered], n_conditions: int) -> np.ndarray:
    """(condition, question) of several sets of questions."""
    empty = np.zeros((n_conditions, 0), np.float32)
    return np.concatenate([empty, *(answered.probability for answered in each)], axis=1)


def _continued(condition: Any, questions: Questions, n_new: int) -> tuple[str, ...]:
    with condition() as model:
        return model.generate(questions.tokens, n_new).texts
