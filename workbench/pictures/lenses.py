"""Pictures of the lenses: what each layer predicts, and how lenses were trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ..lens.direct_logit_attribution import DirectLogitAttribution
from ..lens.jacobian import JacobianLens
from ..lens.logit import LensPanel, LogitLens
from ..lens.tuned import TunedLens
from ..plots import NAMED, around_zero, new_axes, quoted, readable, shown_token, signs

#: Cells are labelled with their tokens up to this many of them.
LABELLED = 700


def logit_lens(
    result: LogitLens,
    *,
    quantity: str = "probability",
    position: int | None = None,
    site: str | None = None,
    lens: str | None = None,
    row: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Rows upwards, positions to the right, each cell's top token over the colour of a quantity.

    quantity: "probability" (of the top token), "entropy", "kl", "target" (probability of the
    first target), "rank" (of the first target), "difference" (first target − foil), or a token
    set's name. site, lens: which panel. row: which prompt. ax: where to draw.

    With `position` (of the prompt; −1 is the last) the lines of all targets through the rows at
    that position are drawn instead: "probability", "rank", or "difference".
    """
    panel, shown = result.panel(site, lens), result.shown(row)
    if position is not None:
        return _lines(result, panel, quantity, row, shown, position, ax)
    values, label, style = _cells(result, panel, quantity, row, len(shown))
    n_rows, n_positions = values.shape
    ax = new_axes(ax, 2.0 + 0.72 * n_positions, 1.9 + 0.34 * n_rows)
    image = ax.imshow(values, origin="lower", aspect="auto", interpolation="nearest", **style)
    if values.size <= LABELLED:
        for (r, p), number in np.ndenumerate(values):
            token = shown_token(result.text(panel.top_ids[row, r, p, 0]))
            color = readable(image.cmap(image.norm(number)))
            ax.text(p, r, token, ha="center", va="center", fontsize=8, color=color)
    step = -(-n_positions // NAMED)
    names = [shown_token(result.tokens[row][p]) for p in shown][::step]
    ax.set_xticks(
        range(0, n_positions, step), names, rotation=45, ha="right", rotation_mode="anchor"
    )
    step = -(-n_rows // NAMED)
    ax.set_yticks(range(0, n_rows, step), panel.rows[::step])
    ax.set_xlabel("token read")
    ax.set_ylabel("row")
    ax.set_title(f"{result.model}: {panel.lens} of {panel.site}")
    bar = ax.figure.colorbar(image, ax=ax, pad=0.01)
    bar.set_label(label, fontsize=8)
    if quantity == "rank":
        bar.ax.yaxis.set_major_formatter("{x:.0f}")
    return ax


def _cells(
    result: LogitLens, panel: LensPanel, quantity: str, row: int, n: int
) -> tuple[np.ndarray, str, dict[str, Any]]:
    """The numbers (row, pos) behind a quantity's name, its label and its colours."""
    at = (row, slice(None), slice(n))
    share = {"cmap": "viridis", "vmin": 0.0, "vmax": 1.0}
    nats = {"cmap": "viridis", "vmin": 0.0}
    if quantity == "probability":
        return np.exp(panel.top_logprobs[at][..., 0]), "probability of the top token", share
    if quantity == "entropy" and panel.entropy is not None:
        return panel.entropy[at], "entropy (nats)", nats
    if quantity == "kl" and panel.kl is not None:
        return panel.kl[at], "KL(final ‖ row) (nats)", nats
    if result.targets:
        target = quoted(result.targets[0])
        if quantity == "target":
            return np.exp(panel.target_logprobs[at][..., 0]), f"probability of {target}", share
        if quantity == "rank":
            ranks = panel.target_ranks[at][..., 0] + 1.0
            norm = LogNorm(1, max(2.0, ranks.max()))
            return ranks, f"rank of {target}, 1 = top", {"cmap": "viridis_r", "norm": norm}
        if quantity == "difference" and result.foils:
            values = panel.difference[at][..., 0]
            return values, f"logit {target} − {quoted(result.foils[0])}", around_zero(values)
    if quantity in result.token_sets:
        s = list(result.token_sets).index(quantity)
        return panel.masses[at][..., s], f"summed probability: {quantity}", share
    have = ["probability", *(n for n in ("entropy", "kl") if getattr(panel, n) is not None)]
    have += ["target", "rank"] if result.targets else []
    have += ["difference"] if result.foils else []
    raise ValueError(
        f"This lens can show {', '.join([*have, *result.token_sets])}; got quantity={quantity!r}. "
        "Targets, foils and token sets are named when the lens is computed."
    )


def _lines(
    result: LogitLens,
    panel: LensPanel,
    quantity: str,
    row: int,
    shown: list[int],
    position: int,
    ax: Axes | None,
) -> Axes:
    """Each target through the rows at one position; and each token set's summed probability."""
    n = len(result.tokens[row])
    if position not in range(-n, n) or (at := position % n) not in shown:
        raise ValueError(
            f"This lens read the positions {shown[0]} to {shown[-1]} of prompt {row}; "
            f"got position={position}."
        )
    p = shown.index(at)
    names = [quoted(target) for target in result.targets]
    if quantity == "probability":
        values = [np.exp(panel.target_logprobs[row, :, p, t]) for t in range(len(names))]
        values += [panel.masses[row, :, p, s] for s in range(len(result.token_sets))]
        names += [f"all of {name}" for name in result.token_sets]
        label = "probability"
    elif quantity == "rank":
        values = [panel.target_ranks[row, :, p, t] + 1 for t in range(len(names))]
        label = "rank, 1 = top"
    elif quantity == "difference":
        pairs = zip(names, result.foils, strict=False)
        names = [f"{target} − {quoted(foil)}" for target, foil in pairs]
        values = [panel.difference[row, :, p, t] for t in range(len(names))]
        label = "logit difference"
    else:
        raise ValueError(
            "Lines through the rows show 'probability', 'rank' or 'difference'; "
            f"got quantity={quantity!r}."
        )
    if not values:
        raise ValueError(
            f"Lines through the rows need something to follow, and this lens has no {quantity} "
            "of any. "
            "Compute it with targets= (and foils= for a difference)."
        )
    ax = new_axes(ax, 2.5 + 0.45 * len(panel.rows), 3.6)
    for name, line in zip(names, values, strict=True):
        sns.lineplot(x=list(panel.rows), y=line, marker="o", label=name, ax=ax)
    if quantity == "rank":
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:.0f}")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_ylim(1.25 * max(float(line.max()) for line in values), 0.8)
    elif quantity == "difference":
        ax.axhline(0, color="0.6", linewidth=1, zorder=0)
    step = -(-len(panel.rows) // NAMED)
    ax.set_xticks(range(0, len(panel.rows), step), panel.rows[::step])
    ax.tick_params(axis="x", labelrotation=45 if len(panel.rows) > 14 else 0)
    ax.set_xlabel("row")
    ax.set_ylabel(label)
    ax.set_title(f"{panel.lens} of {panel.site} at {quoted(result.tokens[row][at])} ({at})")
    ax.legend(frameon=False)
    return ax


def direct_logit_attribution(
    result: DirectLogitAttribution,
    *,
    target: int = 0,
    position: int = -1,
    row: int = 0,
    largest: int = 30,
    ax: Axes | None = None,
) -> Axes:
    """A bar for each component, in the order of a pass, at one position of one prompt.

    target: number of the target. position: of the prompt; −1 is its last. largest: how many bars at
    most; the smallest are summed in one more. row: which prompt. ax: where to draw.
    """
    at = position % len(result.tokens[row])
    held = [int(p) for p in result.positions[row] if p >= 0]
    if at not in held:
        raise ValueError(
            f"Prompt {row} was split at the positions {', '.join(map(str, held))}; got {position}."
        )
    values = result.contributions[row, :, held.index(at), target]
    kept = np.sort(np.argsort(-np.abs(values), kind="stable")[:largest])
    names = [result.components[c] for c in kept]
    bars = values[kept].tolist()
    if left := len(values) - len(kept):
        names.append(f"{left} others")
        bars.append(float(values.sum() - values[kept].sum()))
    ax = new_axes(ax, 7.0, 1.4 + 0.22 * len(bars))
    sns.barplot(
        x=bars,
        y=names,
        hue=names,
        palette=signs(bars),
        saturation=1,
        legend=False,
        orient="h",
        ax=ax,
    )
    ax.axvline(0, color="0.3", linewidth=1)
    ax.set_xlabel("contribution (logits)")
    ax.set_ylabel("")
    ax.tick_params(axis="y", labelsize=8)
    # The name of the number, with each token in marks that show its leading space.
    parts = [quoted(result.targets[target]), *(quoted(f) for f in result.foils[target:][:1])]
    logit = result.logits[row, held.index(at), target]
    ax.set_title(f"{result.model}: logit {' − '.join(parts)} = {logit:.2f}", fontsize=10)
    return ax


def tuned_lens(result: TunedLens, *, ax: Axes | None = None) -> Axes:
    """The loss of each row over the training."""
    ax = new_axes(ax, 6.0, 3.6)
    if len(result.loss):
        frame = result.to_frame()
        sns.lineplot(frame, x="step", y="loss", hue="row", palette="viridis", ax=ax, errorbar=None)
        ax.set_yscale("log")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(frameon=False, fontsize=8, ncols=-(-len(result.rows) // 12))
    ax.set_xlabel("step")
    ax.set_ylabel("KL(final ‖ row) (nats)")
    ax.set_title(f"{result.model}: training of the tuned lens")
    return ax


def jacobian_lens(result: JacobianLens, *, ax: Axes | None = None) -> Axes:
    """How far each layer's matrix is from the identity, beside its size."""
    frame = result.to_frame().melt("row", var_name="norm of", value_name="value")
    frame["norm of"] = frame["norm of"].replace({"norm": "J", "from_identity": "J − 1"})
    ax = new_axes(ax, 2.5 + 0.45 * len(result.rows), 3.4)
    sns.lineplot(frame, x="row", y="value", hue="norm of", marker="o", ax=ax, errorbar=None)
    ax.set_ylabel("Frobenius norm")
    ax.set_title(f"{result.model}: Jacobian lens")
    ax.legend(frameon=False)
    return ax
