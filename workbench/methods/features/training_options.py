"""Training options: the settings of a training, checked before it begins."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...check import Count, NotNegative, Positive, Power, Seed, checked, whole

#: The kinds that can be trained.
TRAINED = ("topk", "batchtopk", "relu", "matching_pursuit", "snmf")
SPARSE = ("topk", "batchtopk", "matching_pursuit")
READ_ONLY = ("jumprelu", "gated", "linear")
DEFAULT_K = 32
DEFAULT_L1 = {"relu": 2.0, "snmf": 1.0}


@checked
@dataclass(frozen=True)
class TrainingOptions:
    """The settings of a training. Raises `ValueError` for one that cannot be.

    k: codes a row, of the sparse kinds; l1: the weight of the sparsity loss of "relu" and "snmf",
    p: the power that the one of "relu" ends with. None takes the default where the kind has the
    setting. The rest is as in `train_dictionary`.
    """

    kind: str = "topk"
    n_features: Count = 1024
    k: Count | None = None
    l1: NotNegative | None = None
    p: Power = 1.0
    steps: Count = 2000
    batch_size: Count = 1024
    lr: Positive = 1e-3
    buffer_size: Count = 2**15
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.kind in READ_ONLY:
            raise ValueError(
                f"Dictionaries of kind {self.kind!r} are read, not trained, here. Train one of "
                f"{', '.join(TRAINED)}, or load one with load_dictionary."
            )
        if self.kind not in TRAINED:
            raise ValueError(f"kind is one of {', '.join(TRAINED)}; got {self.kind!r}.")
        self._take("k", self.kind in SPARSE, min(DEFAULT_K, self.n_features))
        self._take("l1", self.kind in DEFAULT_L1, DEFAULT_L1.get(self.kind))
        if self.p != 1 and self.kind != "relu":
            raise ValueError(f"p is a setting of kind 'relu'; got {self.p!r} with {self.kind!r}.")
        if self.k is not None:
            whole("k", self.k, 1, self.n_features, "There are no more features.")

    def _take(self, name: str, has: bool, default: Any) -> None:
        value = getattr(self, name)
        if value is not None and not has:
            raise ValueError(f"{name} is no setting of kind {self.kind!r}; got {value!r}.")
        if value is None and has:
            object.__setattr__(self, name, default)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
