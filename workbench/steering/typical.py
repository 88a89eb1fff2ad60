"""Typical length: how far features move the activation where they are active."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..activations import batches
from ..check import checked
from ..dictionary.collection import Dictionaries
from ..model import Model
from ..site import Site
from ..texts import Texts

#: Texts in one pass.
TEXTS = 32


@checked
def typical_length(
    model: Model,
    texts: Texts,
    dicts: Dictionaries,
    features: str | Site | Sequence[str | Site],
) -> float:
    """How far features move the activation where they are active, the mean over the features: a
    push of this length is as much as they typically give.

        length = wb.steering.typical_length(model, texts, dicts, flow.path())
        wb.steer(model, prompt, flow.change(4 * length, dicts=dicts))

    Of each feature the mean length of what it writes (code × decoder row), in the activation's own
    units, over the positions of the texts at which its code is not 0.

    Raises `ValueError` where there are no texts or a feature is never active on them, `KeyError`
    for a feature of a site without a dictionary.
    """
    names = [features] if isinstance(features, (str, Site)) else list(features)
    pairs = [dicts.feature(feature) for feature in names]
    total, n = np.zeros(len(pairs)), np.zeros(len(pairs), np.int64)
    read = sorted({dictionary.site for dictionary, _ in pairs})
    for _, tokens in batches(model, texts, TEXTS):
        with torch.no_grad():
            run = model.run(tokens, read=read, logits_at=())
            for i, (dictionary, number) in enumerate(pairs):
                x = run[dictionary.site][tokens.mask]
                codes = dictionary.encode_some(x, [number])
                active = codes[:, 0] != 0
                written = dictionary.written(codes[active], x[active], [number])
                total[i] += float(written.float().norm(dim=-1).double().sum())
                n[i] += int(active.sum())
    if not n.all():
        raise ValueError(
            f"{names[int((n == 0).argmax())]} is never active on the {len(texts)} texts, so that "
            "its typical length is not known. Give more texts, or a length of your own."
        )
    return float((total / n).mean())
