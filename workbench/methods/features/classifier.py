"""Classifier: a linear probe of a model's activations, for what SHIFT is tried on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...activations import batches, check_texts
from ...check import Count, NotNegative, checked, refuse, vectors
from ...edits import Edit
from ...model import Model
from ...result import Result, axes, provenance
from ...site import Site
from ...tokens import Tokens

POOLS = ("last", "mean")
#: Steps of the fit; it converges long before.
STEPS = 200


@dataclass(frozen=True, eq=False, repr=False)
class Classifier(Result):
    """A logistic regression on a site's activations: the second class where the logit is above 0.

    site: where it reads. pool: "last", the last token of each text, or "mean" over its tokens.
    classes: their names, the first is class 0. l2: the penalty it was trained with. accuracy: on
    the texts it was trained on. weight, bias: logit = weight · activation + bias.
    """

    site: str
    pool: str
    classes: tuple[str, str]
    l2: float
    n_texts: int
    accuracy: float
    bias: float
    weight: np.ndarray = axes("d_model")

    def logits(
        self, model: Model, texts: Any, *, edits: Sequence[Edit] = (), batch_size: Count = 32
    ) -> np.ndarray:
        """(text,) float32 logits, with `edits` of the model where they are given."""
        found = pooled(model, self.site, self.pool, texts, edits=edits, batch_size=batch_size)
        return self.read(found).cpu().numpy()

    def read(self, pooled: torch.Tensor) -> torch.Tensor:
        """(text, d_model) pooled activations → (text,) logits."""
        pooled = vectors("pooled", pooled, len(self.weight))
        weight = torch.as_tensor(self.weight.copy(), device=pooled.device)
        return pooled.to(weight.dtype) @ weight + self.bias

    def pool_of(self, x: torch.Tensor, tokens: Tokens) -> torch.Tensor:
        """(text, pos, d_model) → (text, d_model) as the classifier pools."""
        if x.shape[:2] != tokens.ids.shape:
            raise refuse("x", f"of shape (text, pos, d_model) as {tokens!r}", x)
        return _pool(x, tokens, self.pool)

    def to_frame(self) -> pd.DataFrame:
        """One line: site, pool, classes, n_texts, accuracy (on the training texts), l2."""
        line = {"site": self.site, "pool": self.pool, "classes": " / ".join(self.classes)}
        rest = {"n_texts": self.n_texts, "accuracy": self.accuracy, "l2": self.l2}
        return pd.DataFrame([line | rest])

    def _facts(self) -> str:
        return (
            f"{' / '.join(self.classes)} at the {self.pool} token of {self.site}, accuracy "
            f"{self.accuracy:.3f} on its {self.n_texts} texts"
        )


@checked
def train_classifier(
    model: Model,
    site: Site | str,
    texts: Any,
    labels: Sequence[int | bool],
    *,
    classes: tuple[str, str] = ("0", "1"),
    pool: str = "last",
    l2: NotNegative = 0.01,
    edits: Sequence[Edit] = (),
    batch_size: Count = 32,
) -> Classifier:
    """A linear classifier of texts, by logistic regression on a model's activations.

    labels: 0 or 1 for each text. pool: "last" or "mean" (see `Classifier`). l2: the penalty on the
    squared weights, in units of each coordinate's standard deviation. edits: changes of the model
    under which it is trained, for retraining after SHIFT.

    Raises `ValueError` where there are not as many labels as texts, for labels other than 0 and 1,
    for one class alone, and for an unknown pool.
    """
    site = model.spec.check(site).whole
    if len(site.axes) != 3 or site.axes[:2] != ("batch", "pos"):
        raise refuse("site", "a whole stream of vectors, like L1.resid_post", str(site))
    target = check_labels(texts, labels)
    if l2 < 0:
        raise ValueError(f"l2 is a penalty, 0 or more; got {l2!r}.")
    x = pooled(model, str(site), pool, texts, edits=edits, batch_size=batch_size).double()
    mean, size = x.mean(0), x.std(0) + 1e-6
    z, y = (x - mean) / size, torch.as_tensor(target, device=x.device, dtype=x.dtype)
    weight = torch.zeros(x.shape[1], device=x.device, dtype=x.dtype, requires_grad=True)
    bias = torch.zeros((), device=x.device, dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(z @ weight + bias, y)
        value = entropy + l2 * weight.pow(2).sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    plain = (weight / size).detach()
    offset = float(bias.detach() - plain @ mean)
    right = ((x @ plain + offset) > 0) == (y > 0)
    return Classifier(
        **provenance(model),
        site=str(site),
        pool=pool,
        classes=classes,
        l2=l2,
        n_texts=len(target),
        accuracy=float(right.double().mean()),
        bias=offset,
        weight=plain.cpu().numpy(),
    )


def pooled(
    model: Model,
    site: Site | str,
    pool: str,
    texts: Any,
    *,
    edits: Sequence[Edit] = (),
    batch_size: int = 32,
) -> torch.Tensor:
    """(text, d_model) float32: each text's pooled activation. Raises as `train_classifier`."""
    if pool not in POOLS:
        raise ValueError(f"pool is {' or '.join(POOLS)}; got {pool!r}.")
    out = []
    for _, tokens in batches(model, texts, batch_size):
        run = model.run(tokens, read=site, edits=edits, logits_at=())
        out.append(_pool(run[site].float(), run.tokens, pool))
    return torch.cat(out)


def _pool(x: torch.Tensor, tokens: Tokens, pool: str) -> torch.Tensor:
    mask = tokens.mask.to(x.device)[..., None]
    if pool == "mean":
        # A row of padding may hold anything, even NaN, which no product with 0 takes away.
        return x.masked_fill(~mask, 0.0).sum(1) / mask.sum(1)
    last = [tokens.columns(row, "last")[0] for row in range(tokens.n_rows)]
    return x[list(range(tokens.n_rows)), last]


def check_labels(texts: Any, labels: Sequence[int]) -> np.ndarray:
    """(text,) float64 labels of both classes. Raises as `train_classifier`."""
    n = check_texts(texts)
    target = np.asarray(labels)
    if target.shape != (n,) or not np.isin(target, (0, 1)).all():
        raise ValueError(
            f"labels are a 0 or 1 for each of {n} texts; got shape {target.shape} with the values "
            f"{sorted(set(target.ravel().tolist()))[:5]}."
        )
    if target.min() == target.max():
        raise ValueError(f"A classifier needs texts of both classes; all are of {target[0]}.")
    return target.astype(np.float64)
