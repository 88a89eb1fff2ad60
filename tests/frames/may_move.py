"""What may change where a call moves, and what holds in place of equality.

Nothing else may, and no tolerance is changed to pass. By call, table and column (patterns as of a
shell), with the lines where it may: a line is exempt where its columns have these words.

draws     random things are drawn in another order: the numbers of a column, pooled over 20 seeds,
          keep their mean and their quartiles within what so many draws leave open.
interval  a bootstrap is drawn in another order: its mean width over 20 seeds stays within 10 %,
          and its middle where it was, within 10 % of the width.
fit       a fit by scikit-learn: `by` is the table that says so: penalty and accuracy equal, loss
          no higher.
training  by gradient: the losses of the table `by` stay within 1 %.
alone     an interval of one example: it was of no width, and is none (NaN).
decided   the number has another meaning from here on; it is not compared, and the note says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from .tables import CLOSE

SEEDS = range(20)
#: Standard errors that a mean or a quartile may be off.
ERRORS = 4.0
WIDTH = 0.1
LOSS = 0.01


@dataclass(frozen=True)
class Exempt:
    """One entry. rows: {column: pattern} of the lines, all where empty."""

    call: str
    table: str
    column: str
    kind: str
    why: str
    rows: Mapping[str, str] = field(default_factory=dict)
    by: str = ""

    def holds(self, call: str, table: str, column: str) -> bool:
        return (
            fnmatchcase(call, self.call)
            and fnmatchcase(table, self.table)
            and fnmatchcase(column, self.column)
        )

    def lines(self, frame: pd.DataFrame) -> np.ndarray:
        """(row,) whether the entry is about this line."""
        out = np.ones(len(frame), dtype=bool)
        if not set(self.rows) <= set(frame):
            return ~out
        for name, pattern in self.rows.items():
            # A table without the column has none of these lines.
            cells = frame[name] if name in frame else [""] * len(frame)
            out &= np.array([fnmatchcase(str(cell), pattern) for cell in cells], dtype=bool)
        return out


BOOTSTRAP = "resamples are drawn by the one kernel"
CONTROLS = "controls are drawn by controls.like"
EXCESS = "the interval of an excess takes one draw of the controls a resample"
RANGE = "the range of the draws of a control, in place of the interval of their mean"
TRAINED = "a training by gradient"
ALONE = "of one example there is no interval"
GAINS = "a resample in which the ablation gains counts too, as on every scale"
EDGES = "an interval over edges alone: texts and edges together counted the texts twice"

#: Lines are exempt by the first entry about them.
MAY_MOVE: tuple[Exempt, ...] = (
    # -- alone
    Exempt("ablate_concept", "*frame", "low", "alone", ALONE, {"n": "1"}),
    Exempt("ablate_concept", "*frame", "high", "alone", ALONE, {"n": "1"}),
    Exempt("audit_unlearning", "*behaviour", "*low", "alone", ALONE, {"n": "1"}),
    Exempt("audit_unlearning", "*behaviour", "*high", "alone", ALONE, {"n": "1"}),
    # -- decided
    Exempt("patch", "noise", "low", "decided", BOOTSTRAP),
    Exempt("patch", "* by *", "low", "decided", BOOTSTRAP),
    Exempt("patch", "* by *", "high", "decided", BOOTSTRAP),
    Exempt("patch", "n[eo]*", "low", "decided", BOOTSTRAP),
    Exempt("patch", "n[eo]*", "high", "decided", BOOTSTRAP),
    Exempt("patch", "interval *", "value", "decided", BOOTSTRAP),
    Exempt("clamp_neurons", "*", "excess_*", "decided", EXCESS),
    Exempt("clamp_neurons", "*", "above_random", "decided", "the share is two-sided, beyond"),
    Exempt("ablate_concept", "*", "excess_*", "decided", EXCESS),
    Exempt("ablate_concept", "*", "beyond_random", "decided", "the share is two-sided, beyond"),
    Exempt("validate_flow", "*summary", "advantage*", "decided", EXCESS),
    Exempt("validate_flow", "*advantage", "value", "decided", EXCESS),
    Exempt("validate_flow", "*", "*low", "decided", EDGES),
    Exempt("validate_flow", "*", "*high", "decided", EDGES),
    Exempt("compare_steering", "*difference", "low", "decided", EXCESS),
    Exempt("compare_steering", "*difference", "high", "decided", EXCESS),
    Exempt("compare_steering", "*best", "flow_minus_*", "decided", EXCESS, {"way": "random"}),
    Exempt("evaluate_observable", "*", "*_low", "decided", RANGE, {"direction": "*[ec] [ip]*"}),
    Exempt("evaluate_observable", "*", "*_high", "decided", RANGE, {"direction": "*[ec] [ip]*"}),
    Exempt("evaluate_observable", "*", "*_low", "decided", RANGE, {"direction": "random*"}),
    Exempt("evaluate_observable", "*", "*_high", "decided", RANGE, {"direction": "random*"}),
    Exempt("evaluate_observable", "prompts truth", "value", "decided", "over words, as truth_*"),
    Exempt("evaluate_observable", "*", "truth_*", "decided", "over words, no longer of no width"),
    Exempt("evaluate_dictionary", "frame", "loss_recovered_mean_*", "decided", GAINS),
    Exempt("evaluate_dictionary", "*recovered mean", "low", "decided", GAINS),
    Exempt("evaluate_dictionary", "*recovered mean", "high", "decided", GAINS),
    # -- draws
    Exempt("clamp_neurons", "*", "random*", "draws", CONTROLS),
    Exempt("clamp_neurons", "*", "excess", "draws", CONTROLS),
    Exempt("clamp_neurons", "* controls", "value", "draws", CONTROLS),
    Exempt("ablate_concept", "*", "random*", "draws", CONTROLS),
    Exempt("ablate_concept", "*", "excess", "draws", CONTROLS),
    Exempt("ablate_concept", "* controls", "value", "draws", CONTROLS),
    Exempt("evaluate_circuit", "*", "random_faithfulness", "draws", CONTROLS),
    Exempt("evaluate_circuit", "*", "better*", "draws", CONTROLS),
    Exempt("evaluate_circuit", "* random", "value", "draws", CONTROLS),
    Exempt("evaluate_feature_circuit", "*", "random_faithfulness", "draws", CONTROLS),
    Exempt("evaluate_feature_circuit", "* random", "value", "draws", CONTROLS),
    Exempt("find_circuit", "random", "*", "draws", CONTROLS),
    Exempt("feature_circuit", "random", "*", "draws", CONTROLS),
    Exempt("feature_activations", "page effect", "control*", "draws", CONTROLS),
    Exempt("concept_directions", "random*", "value", "draws", CONTROLS),
    Exempt("concept_directions", "random*", "info", "draws", CONTROLS),
    Exempt("cut_flow", "*", "*", "draws", CONTROLS, {"run": "control*"}),
    Exempt("validate_flow", "*", "*", "draws", CONTROLS, {"arm": "random"}),
    Exempt("shift", "*", "*", "draws", CONTROLS, {"way": "random*"}),
    Exempt("evaluate_observable", "*", "*", "draws", CONTROLS, {"direction": "random*"}),
    Exempt("head_vocabulary", "*", "random_*", "draws", CONTROLS),
    Exempt("find_neurons", "*", "by_chance", "draws", CONTROLS),
    Exempt("find_neurons", "*chance", "value", "draws", CONTROLS),
    Exempt("concept_vectors", "*", "by_chance", "draws", CONTROLS),
    Exempt("audit_unlearning", "*traces", "others*", "draws", CONTROLS),
    Exempt("match_features", "*", "chance", "draws", CONTROLS),
    Exempt("feature_flow", "* limits", "chance", "draws", CONTROLS),
    Exempt("align_weights", "*", "p_*", "draws", CONTROLS),
    Exempt("align_weights", "* p *", "value", "draws", CONTROLS),
    Exempt("align_weights", "* threshold *", "value", "draws", CONTROLS),
    Exempt("align_weights", "*", "above", "draws", CONTROLS),
    Exempt("stitch", "*", "random*", "draws", CONTROLS),
    Exempt("stitch", "*", "beats_random", "draws", CONTROLS),
    Exempt("stitch", "* random: *", "value", "draws", CONTROLS),
    # -- fits
    Exempt("train_classifier", "* frame", "*", "fit", "scikit-learn fits it", by="{} fit"),
    Exempt("train_classifier", "* logits", "value", "fit", "scikit-learn fits it", by="{} fit"),
    Exempt("shift", "*", "*", "fit", "its classifier is fitted by scikit-learn"),
    Exempt("concept_directions", "supervised measured", "loss", "fit", "scikit-learn fits it"),
    Exempt("evaluate_observable", "*", "*", "fit", "a probe by scikit-learn",
           {"direction": "logistic probe"}),
    # -- trainings
    Exempt("train_dictionary", "*: *", "value", "training", TRAINED, by="{} measured"),
    Exempt("concept_directions", "supervised: *", "value", "training", TRAINED,
           by="{} measured"),
    Exempt("tuned_lens", "*", "*", "training", TRAINED),
    Exempt("logit_lens", "tuned*", "*", "training", TRAINED),
    Exempt("unlearn", "* logits", "value", "training", TRAINED, by="{} training"),
    Exempt("audit_unlearning", "*", "*", "training", TRAINED),
    # -- intervals
    Exempt("*", "*", "*low", "interval", BOOTSTRAP),
    Exempt("*", "*", "*high", "interval", BOOTSTRAP),
    Exempt("*", "* scores", "*[[][12]]", "interval", BOOTSTRAP),
    Exempt("*", "*interval*", "value", "interval", BOOTSTRAP),
    Exempt("evaluate_*", "*", "value", "interval", BOOTSTRAP),
)  # fmt: skip


# -- the checks ------------------------------------------------------------------------------------


def same_draws(old: Sequence[np.ndarray], new: Sequence[np.ndarray]) -> str:
    """Why two samples do not look as drawn alike; "" where they do. One array a seed."""
    a, b = np.concatenate(list(old)), np.concatenate(list(new))
    if not np.array_equal(np.isnan(a).mean() > 0.5, np.isnan(b).mean() > 0.5):
        return "the draws became NaN, or ceased to be"
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if not len(a) or not len(b):
        return "" if len(a) == len(b) else "one side has no finite draws"
    # Draws of one seed go together, so the seeds are what is independent.
    error = math.hypot(_error(old), _error(new)) or CLOSE * float(np.abs(a).max())
    for name, of in (("mean", np.mean), *((f"{q} %", _quantile(q)) for q in (25, 50, 75))):
        one, other = float(of(a)), float(of(b))
        wide = error if name == "mean" else 1.5 * error
        if abs(one - other) > ERRORS * wide:
            return f"the {name} of the draws went from {one:.4g} to {other:.4g} (± {wide:.2g})"
    return ""


def _quantile(q: float):
    return lambda values: np.percentile(values, q)


def _error(draws: Sequence[np.ndarray]) -> float:
    means = np.array([np.nanmean(each) for each in draws if np.isfinite(each).any()])
    spread = np.concatenate(list(draws))
    spread = spread[np.isfinite(spread)]
    between = means.std(ddof=1) / math.sqrt(len(means)) if len(means) > 1 else 0.0
    return max(float(between), float(spread.std()) / math.sqrt(len(spread)))


def same_ends(old: np.ndarray, new: np.ndarray) -> str:
    """Why intervals (seed, line, low and high) are others; "" where they are the same.

    Over the seeds the mean width stays within `WIDTH` of itself, and each line's mean middle where
    it was, within as much of the width.
    """
    a, b = np.nanmean(np.diff(old)), np.nanmean(np.diff(new))
    if np.isnan(a) and np.isnan(b):
        return ""
    if not abs(b - a) <= WIDTH * abs(a):
        return f"the mean width over {len(old)} seeds went from {a:.4g} to {b:.4g}"
    off = np.nanmax(np.abs(np.nanmean(new.mean(-1) - old.mean(-1), axis=0)))
    return f"a middle moved by {off:.4g}, the width is {a:.4g}" if off > WIDTH * abs(a) else ""


def no_interval(old: np.ndarray, new: np.ndarray) -> str:
    """Why intervals (seed, line, low and high) are not of one example; "" where they are."""
    if np.isfinite(new).any():
        return "an interval of one example is a number"
    return "" if np.array_equal(old[..., 0], old[..., 1]) else "the old one had a width"


def same_fit(old: pd.DataFrame, new: pd.DataFrame) -> str:
    """Why a fit is not as good; "" where it is."""
    for name in ("penalty", "accuracy"):
        if not np.array_equal(old[name], new[name]):
            return f"the {name} went from {list(old[name])} to {list(new[name])}"
    worse = new["loss"].to_numpy() > old["loss"].to_numpy() * (1 + CLOSE)
    return f"the loss rose from {list(old['loss'])} to {list(new['loss'])}" if worse.any() else ""


def same_loss(old: pd.DataFrame, new: pd.DataFrame) -> str:
    """Why a training ends elsewhere; "" where it does not."""
    a, b = old["loss"].to_numpy(), new["loss"].to_numpy()
    off = np.abs(b - a) > LOSS * np.abs(a)
    return f"the loss went from {list(a)} to {list(b)}" if off.any() else ""
