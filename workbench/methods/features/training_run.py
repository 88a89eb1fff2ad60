"""Training run: learners fed from one buffer, with checkpoints and a bar."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ...dictionary.base import Dictionary
from ...site import Site
from .activation_buffer import ActivationBuffer, Corpus
from .learner import Learner
from .snmf import FactorLearner
from .training_options import TrainingOptions
from .training_state import checkpoint_path, read_state, write_state

#: Points of each curve that `Dictionary.info` keeps.
CURVE_POINTS = 40
MEASURES = ("loss", "l0", "explained_variance")


class TrainingRun:
    """A training of one or several dictionaries from the same vectors.

    pairs: for each dictionary the site it reads and the one it stands for. names: what each is
    called. model: the model's name. facts: what else the dictionaries are to say. The rest is as in
    `train_dictionary`.
    """

    def __init__(
        self,
        corpus: Corpus,
        pairs: Sequence[tuple[Site, Site]],
        options: TrainingOptions,
        *,
        names: Sequence[str],
        model: str = "",
        facts: Mapping[str, Any] | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_every: int = 100,
    ) -> None:
        self.options, self.pairs, self.names = options, list(pairs), list(names)
        self.model, self.facts = model, dict(facts or {})
        if checkpoint_every < 1:
            raise ValueError(f"checkpoint_every is at least 1 step; got {checkpoint_every!r}.")
        self.checkpoint = None if checkpoint is None else checkpoint_path(checkpoint)
        self.checkpoint_every = checkpoint_every
        factors = options.kind == "snmf"
        if any(a != b for a, b in pairs) and (factors or options.kind == "matching_pursuit"):
            raise ValueError(
                f"A dictionary of kind {options.kind!r} stands for the site it reads; leave "
                "out_site out, or train a 'topk', 'batchtopk' or 'relu'."
            )
        make = FactorLearner if factors else Learner
        self.learners = [make(site, out, options) for site, out in pairs]
        self.buffer = ActivationBuffer(
            corpus, options.buffer_size, options.batch_size, options.seed
        )
        self.n_steps = 0
        self.last: list[dict[str, float]] = []
        self.curves: list[dict[str, list[float]]] = [
            {name: [] for name in ("step", *MEASURES)} for _ in pairs
        ]

    def train(self, progress: bool) -> list[Dictionary]:
        """The dictionaries after all steps, or after an interrupt, with a warning."""
        begun = self.checkpoint is not None and os.path.lexists(self.checkpoint)
        if begun:
            self._restore()
        steps = self.options.steps
        bar = tqdm(total=steps, initial=self.n_steps, desc="dictionary", disable=not progress)
        interrupted = False
        try:
            if not begun:
                self.buffer.fill()
                for learner in self.learners:
                    learner.begin(self.buffer.held)
            while self.n_steps < steps:
                self._step()
                mean = {m: sum(each[m] for each in self.last) / len(self.last) for m in MEASURES}
                bar.set_postfix(loss=f"{mean['loss']:.4f}", l0=f"{mean['l0']:.1f}", refresh=False)
                bar.update()
                if self.n_steps % self.checkpoint_every == 0 or self.n_steps == steps:
                    self._save()
        except KeyboardInterrupt:
            if self.n_steps == 0:
                raise
            interrupted = True
            resumed = (
                ""
                if self.checkpoint is None
                else " The same call goes on from the last checkpoint."
            )
            warnings.warn(
                f"The training was interrupted after {self.n_steps} of {steps} steps; the "
                f"dictionary has what it learnt until then.{resumed}",
                stacklevel=3,
            )
        finally:
            bar.close()
        return [self._dictionary(i, interrupted) for i in range(len(self.pairs))]

    def _step(self) -> None:
        vectors = self.buffer.next_batch()
        self.last = [learner.step(vectors) for learner in self.learners]
        self.n_steps += 1
        every = max(1, self.options.steps // CURVE_POINTS)
        if self.n_steps % every == 0 or self.n_steps == self.options.steps:
            for curve, measured in zip(self.curves, self.last, strict=True):
                curve["step"].append(self.n_steps)
                for name in MEASURES:
                    curve[name].append(measured[name])

    def _dictionary(self, i: int, interrupted: bool) -> Dictionary:
        last = self.last[i]
        # Six digits are more than a curve can show, and keep the file that holds them short.
        curves = {
            name: [v if name == "step" else float(f"{v:.6g}") for v in values]
            for name, values in self.curves[i].items()
        }
        info = {
            "training": self.options.to_dict(),
            "steps": self.n_steps,
            "tokens_seen": self.buffer.n_seen,
            "epochs": self.buffer.epochs,
            "interrupted": interrupted,
            **last,
            "curves": curves,
            **self.facts,
        }
        return self.learners[i].dictionary(model=self.model, name=self.names[i], info=info)

    # -- checkpoint ------------------------------------------------------------------------------

    @property
    def _identity(self) -> dict[str, Any]:
        """What two runs must agree about for one to go on from the other's checkpoint."""
        return {
            **self.options.to_dict(),
            "model": self.model,
            "sites": [[str(site), str(out)] for site, out in self.pairs],
        }

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        tensors, numbers = {}, []
        for i, learner in enumerate(self.learners):
            own, plain = learner.state()
            tensors |= {f"{i}.{key}": value for key, value in own.items()}
            numbers.append(plain)
        facts = {
            "identity": self._identity,
            "n_steps": self.n_steps,
            "buffer": self.buffer.position(),
            "learners": numbers,
            "curves": self.curves,
            "last": self.last,
        }
        write_state(self.checkpoint, tensors, facts)

    def _restore(self) -> None:
        assert self.checkpoint is not None
        tensors, facts = read_state(self.checkpoint)
        own = self._identity
        position = self.buffer.position()
        try:
            before = {key: facts["identity"].get(key) for key in own}
            if set(facts["buffer"]) != set(position):
                raise TypeError("its place in the texts is none")
            n_steps, curves, last = facts["n_steps"], facts["curves"], facts["last"]
            learners = [facts["learners"][i] for i in range(len(self.learners))]
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise self._damaged(error) from None
        differ = [
            f"{key} was {before[key]!r}, now {own[key]!r}" for key in own if before[key] != own[key]
        ]
        if differ:
            raise ValueError(
                f"{self.checkpoint} is the checkpoint of another training: {'; '.join(differ)}. "
                "Give the same settings, another file, or delete this one."
            )
        self.buffer.restore(facts["buffer"])
        device = next(iter(self.buffer.held.values())).device
        for i, learner in enumerate(self.learners):
            part = {
                key.split(".", 1)[1]: value
                for key, value in tensors.items()
                if key.startswith(f"{i}.")
            }
            try:
                learner.restore(part, learners[i], device)
            except (KeyError, TypeError, RuntimeError, AttributeError) as error:
                raise self._damaged(error) from None
        self.n_steps, self.curves, self.last = n_steps, curves, last

    def _damaged(self, error: Exception) -> ValueError:
        return ValueError(
            f"{self.checkpoint} is damaged: it does not hold the state of this training "
            f"({type(error).__name__}: {str(error)[:200]}). Delete it to begin anew, or give "
            "another file."
        )
