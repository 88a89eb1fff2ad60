"""Node ablation: the metric with some nodes as they are and the others at their reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ...edits import Edit
from ...model import Model
from ...site import Site
from ...tasks import Examples, check_finite
from .node_bases import Basis, Codes
from .node_references import References, parts_of

#: Which nodes are kept, (node,) bool, by site; a site that is missing keeps all of its nodes.
Kept = Mapping[Site, np.ndarray]


def kept_metric(
    model: Model, examples: Examples, bases: Sequence[Basis], kept: Sequence[Kept], kind: str
) -> np.ndarray:
    """(choice, example) float64: the metric on the clean prompts with only some nodes kept.

    All other nodes of all sites carry their reference at the same time. kept: one choice each; the
    choices run as rows of the same passes.
    """
    references = References.of(model, bases, examples, kind)
    out = np.zeros((len(kept), len(examples.batch)))
    for part in parts_of(examples, bases, len(kept)):
        corrupt = references.run(part)
        edits: list[Edit] = []
        n = len(part)
        for i, choice in enumerate(kept):
            rows = list(range(i * n, (i + 1) * n))
            for basis in bases:
                if basis.site not in choice or choice[basis.site].all():
                    continue
                reference = references.codes(basis, part, corrupt)
                mask = _mask(choice[basis.site], reference)
                edits.append(basis.edit(mask, reference, rows))
        tokens = part.batch.clean.take(list(range(n)) * len(kept))
        logits = model.run(tokens, edits=edits, logits_at="last").logits
        assert logits is not None
        values = part.metric(logits, list(range(n)) * len(kept))
        out[:, list(part.rows)] = check_finite(values, "ablated").reshape(len(kept), n)
    return out


def _mask(kept: np.ndarray, reference: Codes) -> torch.Tensor:
    return torch.as_tensor(kept, device=reference.values.device)
