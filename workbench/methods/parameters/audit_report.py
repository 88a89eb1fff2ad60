"""Audit report: an unlearning audit as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .unlearning_audit import UnlearningAudit


def report(audit: UnlearningAudit) -> str:
    """What changed in the answers, elsewhere and in the vectors, with the controls."""
    words = ", ".join(map(repr, audit.words[:3])) + (", …" if len(audit.words) > 3 else "")
    behaviour = audit.behaviour()
    lines = [
        f"{audit.after} beside {audit.model}: {words} in {len(audit.neurons)} value vectors",
        "  before → after [95 %], and before with these vectors set to zero",
    ]
    for row in behaviour.to_dict("records"):
        lines.append(
            f"  {row['measure']} ({row['about']}, {row['n']}): {row['before']:.3f} → "
            f"{row['after']:.3f} [{row['after_low']:.3f}, {row['after_high']:.3f}], "
            f"{row['ablated']:.3f}"
        )
    lines.append("  the vectors after against before [95 %], and other vectors of their layers")
    names = {"cosine": "cosine", "change": "relative change", "kept": f"first {audit.k} words kept"}
    for row in audit.traces().to_dict("records"):
        lines.append(
            f"  {names[row['measure']]}: {row['vectors']:.4f} [{row['low']:.4f}, "
            f"{row['high']:.4f}], {row['others']:.4f}"
        )
    lines.append(
        f"  the concept's words stand at {audit.before_scores.mean():.2f} → "
        f"{audit.after_scores.mean():.2f} standard deviations"
    )
    if audit.relearned is not None and audit.relearn_at is not None:
        steps = ", ".join(map(str, audit.relearn_at.tolist()))
        lines.append(f"  trained again on others of their kind, after {steps} steps")
        for name, curve in zip(audit.relearners, audit.relearned.mean(-1), strict=True):
            lines.append(f"  {name}: " + ", ".join(f"{value:.3f}" for value in curve))
    return "\n".join(lines)
