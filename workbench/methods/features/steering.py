"""Steering: push the residual stream along a feature, or along its flow, and read what follows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from ...change import Change
from ...check import Count, NotNegative, Positive, Seed, checked, whole
from ...edits import Edit, UnchangedEdit, unchanged_is_fine
from ...features.flow import FeatureFlow
from ...metrics import kl
from ...model import Generation, Model, Prompts
from ...result import Result, axes, provenance
from ...tokens import token_strings
from .steering_plan import edits_of, read_dictionaries, read_pushes, removals_of, typical_length

#: The lists of next tokens: the likeliest of each run, and those whose probability moved most.
GROUPS = ("before", "after", "promoted", "suppressed")
MODES = ("add", "remove")


@dataclass(frozen=True, eq=False, repr=False)
class Steering(Result):
    """What a model says plainly and steered.

    mode: "add" or "remove". features: what was pushed; added: (feature) how far along its unit
    direction, signed, in the activation's own units (0 where a feature was removed). strength,
    unit: the sizes of `added` sum up to |strength| · unit. on: where the push acts: "prompt",
    "new" or "both".

    plain_texts, steered_texts: each prompt and what follows it. groups: the lists of next tokens
    after the last token of the prompt: the likeliest "before" and "after", and those that the
    push "promoted" and "suppressed" most in log-probability. ids, plain, steered: (batch, group,
    k), the tokens and their natural log-probabilities in each run; words: their strings. kl:
    (batch) KL(plain ‖ steered) there, in nats.
    """

    mode: str
    features: tuple[str, ...]
    strength: float
    unit: float
    on: str
    plain_texts: tuple[str, ...]
    steered_texts: tuple[str, ...]
    groups: tuple[str, ...]
    words: tuple[tuple[tuple[str, ...], ...], ...]
    added: np.ndarray = axes("feature")
    ids: np.ndarray = axes("batch group k", np.int64)
    plain: np.ndarray = axes("batch group k")
    steered: np.ndarray = axes("batch group k")
    kl: np.ndarray = axes("batch")

    picture = "steering.steering"

    @property
    def total(self) -> float:
        """The length that is added in all, the same for every way to spread it."""
        return float(np.abs(self.added).sum(dtype=np.float64))

    def to_frame(self) -> pd.DataFrame:
        """One line a prompt and token of any list, the likeliest after steering first.

        Columns: prompt (its number), token, plain and steered (probabilities), change (of the
        natural log-probability), and groups, the lists that the token stands in.
        """
        rows = []
        for b, lists in enumerate(self.words):
            seen: dict[int, dict[str, Any]] = {}
            for g, (group, words) in enumerate(zip(self.groups, lists, strict=True)):
                for i, word in enumerate(words):
                    plain, steered = float(self.plain[b, g, i]), float(self.steered[b, g, i])
                    row = seen.setdefault(
                        int(self.ids[b, g, i]),
                        {
                            "prompt": b,
                            "token": word,
                            "plain": math.exp(plain),
                            "steered": math.exp(steered),
                            "change": steered - plain,
                            "groups": "",
                        },
                    )
                    row["groups"] += (", " if row["groups"] else "") + group
            rows += sorted(seen.values(), key=lambda row: -row["steered"])
        return pd.DataFrame(rows)

    def _facts(self) -> str:
        named = ", ".join(self.features[:3]) + (", …" if len(self.features) > 3 else "")
        how = "removed" if self.mode == "remove" else f"at strength {self.strength:g}"
        words = [self.words[0][self.groups.index(group)][0] for group in ("before", "after")]
        return f"{named} {how}: next {words[0]!r} → {words[1]!r}, KL {self.kl.mean():.3g}"


@checked
def steer(
    model: Model,
    prompts: Prompts,
    what: FeatureFlow | str | int | Sequence[Any] | dict[Any, float],
    *,
    dicts: Any = None,
    strength: float = 4.0,
    layers: Literal["flow"] | int | Sequence[int] | None = None,
    mode: Literal["add", "remove"] = "add",
    unit: Positive | None = None,
    texts: Any = None,
    n: Count = 20,
    on: Literal["prompt", "new", "both"] = "both",
    k: Count = 10,
    prepend_bos: bool | None = None,
    temperature: NotNegative = 0.0,
    top_k: Count | None = None,
    top_p: float | None = None,
    seed: Seed | None = None,
) -> Steering:
    """What a model says when a feature is pushed up, pushed down or removed, as a `Steering`.

    what: a feature's name (a number where `dicts` is a single dictionary), several names in equal
    shares, a mapping from names to shares, or a `FeatureFlow`, whose strongest path through the
    residual stream is pushed. layers: of a flow only; "flow" (or None) spreads the push in equal
    shares over the layers of the path, one or several numbers keep it to these. dicts: the
    dictionaries; None takes those that ship for the model.

    strength · unit is the length added in all, at every position that `on` names, however it is
    spread; a negative strength pushes down. unit: None measures it: the mean length of what the
    feature writes where it is active (of a flow the mean over its path), so that strength 1 is as
    much as the feature typically gives; on `texts`, by default those that ship for the model.
    mode: "remove" sets the features' codes to 0 instead, and uses neither strength nor unit.

    n: new tokens. on: whether the push acts while the prompt is read, on the new tokens, or both;
    with "new" the first next token stays as it was. k: tokens in each list. temperature, top_k,
    top_p, seed: sampling of the text, as in `Model.generate`.

    Raises `ValueError` for a feature, layer or share that is not there, a feature that is never
    active where the unit is measured, and a strength or unit that is not a finite number (a unit
    above 0); `KeyError` for a site without a dictionary. Warns where nothing is there to remove.

    Source: Laptev et al., "Analyze Feature Flow to Enhance Interpretation and Steering in Language
    Models" (2025), section on multi-layer steering; here in equal shares.
    """

    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}; got {mode!r}.")
    whole("k", k, 1, model.spec.d_vocab, "The vocabulary has no more tokens.")
    tokens = model.tokens(prompts, prepend_bos=prepend_bos)
    dicts = read_dictionaries(model, dicts)
    pushes, measured = read_pushes(what, dicts, layers)
    if mode == "remove":
        edits, strength, unit = removals_of(pushes, dicts), 0.0, 0.0
    else:
        unit = typical_length(model, dicts, measured, texts) if unit is None else float(unit)
        edits = edits_of(pushes, dicts, strength * unit)

    def generated(edits: Sequence[Edit]) -> Generation:
        return model.generate(
            tokens,
            n,
            edits=Change(edits, on=on),
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
        )

    def next_tokens(edits: Sequence[Edit]) -> tuple[torch.Tensor, bool]:
        run = model.run(tokens, edits=edits, logits_at="last")
        assert run.logits is not None
        return run.logits[:, 0].float().log_softmax(-1), len(run.unchanged) == len(edits) > 0

    # Said once for all below: a step at which a feature is silent is nothing to warn of.
    with unchanged_is_fine():
        plain, _ = next_tokens(())
        steered, unchanged = (plain, False) if on == "new" else next_tokens(edits)
        before, after = generated(()), generated(edits)
    if unchanged:
        names = ", ".join(str(push.feature) for push in pushes)
        warnings.warn(
            f"The push changes nothing where the prompt is read: {names} is not active there, or "
            "the strength is 0.",
            UnchangedEdit,
            stacklevel=2,
        )
    ids = _lists(plain, steered, k)
    return Steering(
        **provenance(model, tokens, seed),
        mode=mode,
        features=tuple(str(push.feature) for push in pushes),
        strength=float(strength),
        unit=unit,
        on=on,
        plain_texts=before.texts,
        steered_texts=after.texts,
        groups=GROUPS,
        words=tuple(
            tuple(tuple(token_strings(model.tokenizer, each)) for each in row)
            for row in ids.tolist()
        ),
        added=np.array([push.share * strength * unit for push in pushes]),
        ids=ids.cpu().numpy(),
        plain=_at(plain, ids),
        steered=_at(steered, ids),
        kl=kl(steered, plain).cpu().numpy(),
    )


def _lists(plain: torch.Tensor, steered: torch.Tensor, k: int) -> torch.Tensor:
    """(batch, group, k) token ids of each of `GROUPS`, from log-probabilities (batch, d_vocab)."""
    # A logit of -inf stays one, and has not moved.
    change = (steered - plain).nan_to_num(nan=0.0)
    each = (plain, steered, change, -change)
    return torch.stack([values.topk(k, dim=-1).indices for values in each], 1)


def _at(log_probs: torch.Tensor, ids: torch.Tensor) -> np.ndarray:
    """(batch, group, k) the log-probabilities of ids."""
    return log_probs.gather(-1, ids.flatten(1)).reshape(ids.shape).cpu().numpy()
