"""The Jacobian lens: the logit lens after a layer's mean Jacobian to the final stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformer_lens.tools.analysis import JacobianLens as Fitted

from ..activations import check_texts, some
from ..check import Count, Natural, checked, given, vectors
from ..model import Model
from ..result import provenance
from ..texts import Texts
from ..writers import Writer
from .translation import TranslatingLens


@dataclass(frozen=True, eq=False, repr=False)
class JacobianLens(TranslatingLens):
    """TransformerLens's Jacobian lens: matrix[l] maps the residual stream after layer l to the end.

    n_prompts: how many texts it averages. Read with it by `logit(model, prompts,
    lens=jacobian)`. The embedding has no Jacobian, and so no row.
    """

    n_prompts: int = 0

    picture = "lenses.jacobian_lens"

    @property
    def lens_name(self) -> str:
        return "Jacobian lens"

    @classmethod
    def from_transformer_lens(cls, lens: Any, model: Model) -> JacobianLens:
        """A fitted or downloaded `transformer_lens.tools.analysis.JacobianLens`, for this model.

        Raises `ValueError` where that lens belongs to another model.
        """
        _bridge(model)
        lens.validate_model(model.raw)
        return cls(
            **provenance(model),
            n_layers=model.spec.n_layers,
            rows=tuple(f"L{layer}" for layer in lens.source_layers),
            matrix=np.stack([lens.jacobians[layer].numpy() for layer in lens.source_layers]),
            n_prompts=lens.n_prompts,
        )

    def translate(self, resid: torch.Tensor, writer: Writer) -> torch.Tensor:
        """(pos, d_model) → (pos, d_model), in float32."""
        vectors("resid", resid, self.d_model)
        matrix = torch.from_numpy(self.matrix[self.rows.index(writer.label)].copy())
        return resid.float() @ matrix.to(resid.device).T

    def to_frame(self) -> pd.DataFrame:
        """One line a row: its label, the Frobenius norm of its matrix, and that of matrix − 1."""
        away = self.matrix - np.eye(self.d_model, dtype=np.float32)
        norms = [np.linalg.norm(m, axis=(1, 2)) for m in (self.matrix, away)]
        return pd.DataFrame({"row": self.rows, "norm": norms[0], "from_identity": norms[1]})

    def _facts(self) -> str:
        return f"{len(self.rows)} layers, {self.n_prompts} texts"


@checked
def jacobian(
    model: Model,
    texts: Texts,
    *,
    skip_first_positions: Natural = 16,
    max_seq_len: Count = 128,
    dim_batch: Count = 8,
    progress: bool = True,
) -> JacobianLens:
    """Each layer's mean Jacobian to the final residual stream, fitted by TransformerLens.

    Costs d_model / dim_batch backward passes a text. The first `skip_first_positions` and the last
    position of each text are left out, and texts with no other are skipped. There is
    nothing random in it.

    Raises `ValueError` for a model loaded with another backend, one whose read-out or blocks
    TransformerLens cannot differentiate so, and where every text is too short.

    Source: Gurnee et al., "Verbalizable Representations Form a Global Workspace in Language Models"
    (2026); transformer_lens.tools.analysis.JacobianLens.
    """
    _bridge(model)
    each = range(check_texts(texts))
    rows: Any = [some(model, texts, [i]).ids for i in each]
    with _own_tokens(model):
        try:
            fitted = Fitted.fit(
                model.raw,
                rows,
                corpus="texts given",
                skip_first_positions=skip_first_positions,
                max_seq_len=max_seq_len,
                dim_batch=dim_batch,
                show_progress=progress,
            )
        except ValueError as error:
            raise ValueError(
                f"TransformerLens does not fit on these texts: {given(str(error))}. Give longer "
                "texts, a larger max_seq_len or a smaller skip_first_positions."
            ) from error
    return JacobianLens.from_transformer_lens(fitted, model)


@contextmanager
def _own_tokens(model: Model) -> Iterator[None]:
    """Within it TransformerLens reads a text as the very tokens that `Model.tokens` gives.

    By its own rules it adds a start token, which a model's vocabulary need not have.
    """
    model.raw.to_tokens = lambda text, **_: model.tokens(text).ids
    try:
        yield
    finally:
        del model.raw.to_tokens


def _bridge(model: Model) -> None:
    if model.spec.backend != "transformer_lens":
        raise ValueError(
            "The Jacobian lens is TransformerLens's and needs its model; "
            f"{model.spec.name} was loaded with backend={model.spec.backend!r}. "
            f"Load it with backend='transformer_lens'; the fitted lens then reads either."
        )
