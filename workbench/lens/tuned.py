"""The tuned lens: the logit lens after an affine map a layer, trained to the model's end."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from ..activations import batches, check_texts, some
from ..check import Count, Positive, Seed, checked, vectors
from ..model import Model
from ..result import axes, provenance
from ..site import Site
from ..texts import Texts
from ..writers import Writer, Writers, sites_to_read, writers_of
from .logit import logit
from .translation import TranslatingLens

#: Positions of one batch that a training step reads at most: what bounds its memory.
POSITIONS_A_STEP = 256
#: Texts of an evaluation in a pass.
TEXTS = 8


@dataclass(frozen=True, eq=False, repr=False)
class TunedLens(TranslatingLens):
    """Affine translators: matrix @ x + bias for each row but the last.

    Read with it by `logit(model, prompts, lens=tuned)`.
    """

    bias: np.ndarray = axes("row d_model", note="added behind the matrix")
    loss: np.ndarray = axes("step row", note="KL(final ‖ row) in nats at each training step")

    picture = "lenses.tuned_lens"

    @property
    def lens_name(self) -> str:
        return "tuned lens"

    @classmethod
    def identity(cls, model: Model) -> TunedLens:
        """The lens before training: every translator leaves its row as it is."""
        rows, d = tuple(w.label for w in _translated(model)), model.spec.d_model
        return cls(
            **provenance(model),
            n_layers=model.spec.n_layers,
            rows=rows,
            matrix=np.tile(np.eye(d, dtype=np.float32), (len(rows), 1, 1)),
            bias=np.zeros((len(rows), d)),
            loss=np.zeros((0, len(rows))),
        )

    def translate(self, resid: torch.Tensor, writer: Writer) -> torch.Tensor:
        """(pos, d_model) → (pos, d_model), in float32."""
        vectors("resid", resid, self.d_model)
        row = self.rows.index(writer.label)
        matrix, bias = (torch.as_tensor(a[row], device=resid.device) for a in self._writable)
        # x + (matrix − 1) x: an untrained translator gives x itself, bit for bit.
        x = resid.float()
        return x + x @ (matrix - torch.eye(len(matrix), device=x.device)).T + bias

    @cached_property
    def _writable(self) -> tuple[np.ndarray, np.ndarray]:
        # torch warns about arrays that it could not write to.
        return self.matrix.copy(), self.bias.copy()

    def evaluate(self, model: Model, texts: Texts) -> pd.DataFrame:
        """What the lens gains on texts that it was not trained on, one line a row.

        Columns: row, layer, kl_logit_lens and kl_tuned_lens (mean KL(final ‖ row) a
        position, nats), n_positions.
        """
        self.check(model)
        total, n, layers = np.zeros((2, len(self.rows) + 1)), 0, []
        for _, tokens in batches(model, texts, TEXTS):
            result = logit(model, tokens, lens=[None, self], k=1, measures=("kl",))
            both = []
            for panel in result.panels:
                assert panel.kl is not None
                both.append(np.nansum(panel.kl, axis=(0, 2), dtype=np.float64))
                layers = panel.layers.tolist()
            total = total + np.stack(both)
            n += int((result.positions >= 0).sum())
        before, after = total / n
        rows = (*self.rows, f"L{self.n_layers - 1}")
        frame = {"row": rows, "layer": layers, "kl_logit_lens": before, "kl_tuned_lens": after}
        return pd.DataFrame(frame | {"n_positions": n})

    def to_frame(self) -> pd.DataFrame:
        """The training: one line a step and row, with loss = KL(final ‖ row) in nats."""
        steps, rows = self.loss.shape
        return pd.DataFrame(
            {
                "step": np.repeat(np.arange(steps), rows),
                "row": list(self.rows) * steps,
                "loss": self.loss.reshape(-1),
            }
        )

    def _facts(self) -> str:
        return f"{len(self.rows)} translators, {len(self.loss)} training steps"


@checked
def tuned(
    model: Model,
    texts: Texts,
    *,
    steps: Count = 300,
    learning_rate: Positive = 1e-3,
    batch_size: Count = 8,
    seed: Seed = 0,
    progress: bool = True,
) -> TunedLens:
    """Translators trained so that each layer's lens comes close to the model's own prediction.

    texts: what to train on, each within the model's context; keep some back for
    `TunedLens.evaluate`. Every step draws `batch_size` texts, and of their positions at most
    256, and lowers KL(final ‖ row) of every row by Adam, whose rate falls linearly from
    `learning_rate` to 0. The model itself is not changed. A bar shows the mean loss unless
    `progress` is False; an interrupt keeps what has been learnt, with a warning.

    Raises `ValueError` for no texts and for steps below 1.

    Source: Belrose et al., "Eliciting Latent Predictions from Transformers with the Tuned Lens"
    (2023), equations 2 to 4.
    """
    check_texts(texts)
    writers, weight = _translated(model), model.weight("W_U", copy=False)
    d, device = model.spec.d_model, weight.device
    delta = torch.zeros(len(writers), d, d, device=device, requires_grad=True)
    bias = torch.zeros(len(writers), d, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([delta, bias], lr=learning_rate)
    losses: list[list[float]] = []
    generator = np.random.default_rng(seed)
    bar = tqdm(total=steps, desc="tuned lens", disable=not progress)
    try:
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / steps)
            resid, final = _sample(model, texts, writers, batch_size, generator)
            optimizer.zero_grad()
            losses.append(_backward(model, resid, final, delta, bias))
            optimizer.step()
            bar.set_postfix(kl=f"{np.mean(losses[-1]):.3f}", refresh=False)
            bar.update()
    except KeyboardInterrupt:
        warnings.warn(
            f"The training was interrupted after {len(losses)} of {steps} steps; the lens has "
            "what it "
            "learnt until then.",
            stacklevel=2,
        )
    finally:
        bar.close()
    matrix = torch.eye(d, device=device) + delta.detach()
    return TunedLens(
        **provenance(model, seed=seed),
        n_layers=model.spec.n_layers,
        rows=tuple(w.label for w in writers),
        matrix=matrix.cpu().numpy(),
        bias=bias.detach().cpu().numpy(),
        loss=np.array(losses, np.float32).reshape(-1, len(writers)),
    )


def _translated(model: Model) -> list[Writer]:
    """The rows of the residual stream that a translator is trained for: all but the last."""
    return writers_of(model, "resid_post")[:-1]


def _sample(
    model: Model,
    texts: Any,
    writers: Sequence[Writer],
    batch_size: int,
    generator: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Residual vectors (row, pos, d_model) and final ones (pos, d_model) of some positions."""
    chosen = generator.choice(len(texts), size=min(batch_size, len(texts)), replace=False)
    tokens = some(model, texts, chosen.tolist())
    last = Site("resid_post", model.spec.n_layers - 1)
    run = model.run(tokens, read=sorted(sites_to_read(writers) | {last}), logits_at=())
    where = [(r, c) for r in range(tokens.n_rows) for c in tokens.columns(r)]
    if len(where) > POSITIONS_A_STEP:
        kept = generator.choice(len(where), size=POSITIONS_A_STEP, replace=False)
        where = [where[i] for i in kept]
    rows, columns = zip(*where, strict=True)
    resid = Writers(model, run, rows, columns).stack(writers).transpose(0, 1)
    return resid.float(), run[last][list(rows), list(columns)].float()


def _backward(
    model: Model,
    resid: torch.Tensor,
    final: torch.Tensor,
    delta: torch.Tensor,
    bias: torch.Tensor,
) -> list[float]:
    """The loss of each row, its gradient left at the translators; one row's logits at a time."""
    dtype = model.weight("W_U", copy=False).dtype
    with torch.no_grad():
        reference = model.unembed(final.to(dtype)).float().log_softmax(-1)
    out = []
    with torch.enable_grad():
        for row, x in enumerate(resid):
            translated = x + x @ delta[row].T + bias[row]
            logits = model.unembed(translated.to(dtype)).float()
            loss = torch.nn.functional.kl_div(
                logits.log_softmax(-1), reference, log_target=True, reduction="batchmean"
            )
            loss.backward()
            out.append(float(loss.detach()))
    return out
