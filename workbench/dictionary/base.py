"""Dictionary: features of a site, read by `encode` and written back by `decode`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch

from .. import check
from ..check import checked, floating, numbers_of, vectors
from ..site import Site
from .encoders import Encoder
from .normalization import Normalization


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Dictionary:
    """Features of a site: an activation x is close to decode(encode(x)).

    site: where x is read. out_site: what is decoded, the same site but for a transcoder, which
    reads mlp_in and gives mlp_out. encoder: (…, d_in) → (…, feature). W_dec: (feature, d_out), what
    one unit of each feature adds. b_dec: (d_out,). W_skip: (d_in, d_out) of a transcoder with a
    linear skip. normalization: what is done to x first. model: the name of the model it was made
    for, "" where that is not known. name: where it comes from, to be shown. path: the folder it was
    read from. info: its training and its card, as plain data.

    Raises `ValueError` where shapes do not agree or a weight is not a finite number.
    """

    # Given as names or sites; held as sites.
    site: Any
    encoder: Encoder
    W_dec: torch.Tensor
    b_dec: torch.Tensor
    out_site: Any = None
    W_skip: torch.Tensor | None = None
    normalization: Normalization = Normalization()
    model: str = ""
    name: str = ""
    path: Path | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "site", Site.parse(self.site))
        out = self.site if self.out_site is None else Site.parse(self.out_site)
        object.__setattr__(self, "out_site", out)
        for site in (self.site, out):
            if site != site.whole or site.axes[:2] != ("batch", "pos") or len(site.axes) != 3:
                raise ValueError(
                    "A dictionary reads a whole stream of vectors, like L3.resid_post or "
                    f"L2.mlp_post; got {site}."
                )
        n, d_in = self.n_features, self.encoder.d_in
        d_out = self.d_out if self.W_dec.ndim == 2 else 0
        skip = None if self.W_skip is None else tuple(self.W_skip.shape)
        shapes = (tuple(self.W_dec.shape), tuple(self.b_dec.shape), skip or (d_in, d_out))
        if shapes != ((n, d_out), (d_out,), (d_in, d_out)) or (
            self.out_site == self.site and d_in != d_out
        ):
            raise ValueError(
                f"A dictionary of {n} features that reads {d_in} numbers has W_dec (feature, d_out)"
                f" and b_dec (d_out,), with d_out = {d_in} where it decodes its own site; got "
                f"W_dec {tuple(self.W_dec.shape)}, b_dec {tuple(self.b_dec.shape)}, W_skip {skip}."
            )
        for key, tensor in self.tensors.items():
            if not bool(tensor.isfinite().all()):
                raise ValueError(
                    f"The weights of a dictionary are finite numbers; {key} of {self!r} has NaN or "
                    "infinity. The file is damaged, or its training diverged."
                )

    # -- what it is ------------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """How it encodes: "relu", "topk", "jumprelu", "snmf" …, "linear" for directions."""
        return self.encoder.kind

    @property
    def n_features(self) -> int:
        return self.encoder.n_features

    @property
    def d_in(self) -> int:
        return self.encoder.d_in

    @property
    def d_out(self) -> int:
        return self.W_dec.shape[1]

    @property
    def is_transcoder(self) -> bool:
        """Whether it decodes another site than it reads."""
        return self.out_site != self.site

    @property
    def decodes_with_x(self) -> bool:
        """Whether `decode` needs the activation: for a skip, or a normalisation by row."""
        by_row = self.normalization.per_row and not self.is_transcoder
        return self.W_skip is not None or by_row

    @property
    def device(self) -> torch.device:
        return self.W_dec.device

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Every weight by name, the encoder's too."""
        own = {"W_dec": self.W_dec, "b_dec": self.b_dec, "W_skip": self.W_skip}
        # A matching pursuit's b_dec is taken away on the way in; it need not be the decoder's.
        reads = {"b_pre" if k == "b_dec" else k: value for k, value in vars(self.encoder).items()}
        both = {**reads, **own}
        return {key: value for key, value in both.items() if isinstance(value, torch.Tensor)}

    def feature(self, number: int) -> Site:
        """The feature's own site, like L3.resid_post/123. Raises `ValueError` for none such."""
        return Site(self.out_site.stream, self.out_site.layer, unit=self.check_feature(number))

    def check_feature(self, feature: int | str | Site) -> int:
        """The number of a feature given as a number, a name or a site.

        Raises `ValueError` where there is no such feature, or the name is of another site.
        """
        number: Any = feature
        if isinstance(feature, (str, Site)):
            site = Site.parse(feature)
            if site.unit is None or site.whole != self.out_site:
                raise ValueError(
                    f"A feature of this dictionary is written {self.out_site}/0 to "
                    f"{self.out_site}/{self.n_features - 1}; got {str(site)!r}."
                )
            number = site.unit
        if isinstance(number, bool) or not hasattr(number, "__index__"):
            raise ValueError(
                f"A feature is a number or a name like 'L3.resid_post/123'; got {feature!r}."
            )
        if not 0 <= int(number) < self.n_features:
            raise ValueError(
                f"{self!r} has features 0 to {self.n_features - 1}; got {int(number)}."
            )
        return int(number)

    @cached_property
    def directions(self) -> torch.Tensor:
        """(feature, d_out): the decoder rows, each of length 1 (0 where the row is 0)."""
        return torch.nn.functional.normalize(self.W_dec.float(), dim=-1)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of the weights and of what is done to x, the same on every machine."""
        digest = hashlib.sha256(
            f"{self.site} {self.out_site} {self.kind} {self.normalization}".encode()
        )
        for key, tensor in sorted(self.tensors.items()):
            digest.update(key.encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        options = {k: v for k, v in vars(self.encoder).items() if isinstance(v, (int, float))}
        digest.update(str(sorted(options.items())).encode())
        return digest.hexdigest()[:16]

    # -- codes -----------------------------------------------------------------------------------

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(…, d_in) → (…, feature), in the dictionary's own floating type; differentiable.

        Raises `ValueError` for another width.
        """
        inner, _, _ = self.normalization.split(self._read(x))
        return self.encoder(inner)

    def encode_some(self, x: torch.Tensor, features: Any) -> torch.Tensor:
        """(…, n) the codes of some features, without the others where the kind allows it."""
        inner, _, _ = self.normalization.split(self._read(x))
        return self.encoder.some(inner, self._chosen(features))

    def decode(self, codes: torch.Tensor, x: torch.Tensor | None = None) -> torch.Tensor:
        """(…, feature) → (…, d_out), what the codes stand for at `out_site`.

        x: the activation that was encoded; it is needed where the normalisation depends on it and
        where a transcoder has a skip. Raises `ValueError` where it is missing.
        """
        vectors("codes", codes, self.n_features, f"{self!r} has so many features.")
        out = codes.to(self.W_dec) @ self.W_dec + self.b_dec
        if x is None:
            if self.decodes_with_x:
                raise ValueError(
                    f"{self!r} decodes with the activation itself: its normalisation or its skip "
                    "depends on it. Give decode(codes, x)."
                )
            factor = 1.0 if self.is_transcoder else 1 / self.normalization.factor
            return out if factor == 1 else out * factor
        x = self._read(x)
        if self.W_skip is not None:
            out = out + x @ self.W_skip
        if self.is_transcoder:
            return out
        _, shift, size = self.normalization.split(x)
        return out * size + shift

    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        """(…, d_in) → (…, d_out): decode(encode(x))."""
        return self.decode(self.encode(x), x)

    def written(
        self, change: torch.Tensor, x: torch.Tensor, features: Any = slice(None)
    ) -> torch.Tensor:
        """(…, n) changes of codes → (…, d_out), what they change at `out_site`.

        features: which features the changes are of, all by default. x: the activation encoded.
        """
        W_dec = self.W_dec[self._chosen(features)]
        out = vectors("change", change, len(W_dec), "It has a number for each feature.") @ W_dec
        if self.is_transcoder:
            return out
        _, _, size = self.normalization.split(self._read(x))
        return out * size

    def pull_back(
        self, grad: torch.Tensor, x: torch.Tensor, features: Any = slice(None)
    ) -> torch.Tensor:
        """(…, d_out) the gradient at `out_site` → (…, n), that at the codes of some features.

        features: all by default. x: the activation encoded.
        """
        grad = vectors("grad", grad, self.d_out).to(self.W_dec)
        if not self.is_transcoder:
            _, _, size = self.normalization.split(self._read(x))
            grad = grad * size
        return grad @ self.W_dec[self._chosen(features)].T

    def _chosen(self, features: Any) -> Any:
        if isinstance(features, slice):
            return features
        return numbers_of("features", features, self.n_features).to(self.device)

    def _read(self, x: torch.Tensor) -> torch.Tensor:
        if not x.ndim or x.shape[-1] != self.d_in:
            raise ValueError(
                f"{self!r} reads vectors of width {self.d_in}; got shape {tuple(x.shape)}. It is a "
                "dictionary of another model or site."
            )
        return x.to(device=self.device, dtype=self.W_dec.dtype)

    # -- copies ----------------------------------------------------------------------------------

    def to(self, device: Any = None, dtype: Any = None) -> Self:
        """The same dictionary elsewhere, or in another floating type."""
        device, dtype = check.device("device", device), floating("dtype", dtype)
        skip = None if self.W_skip is None else self.W_skip.to(device=device, dtype=dtype)
        return replace(
            self,
            encoder=self.encoder.to(device, dtype),
            W_dec=self.W_dec.to(device=device, dtype=dtype),
            b_dec=self.b_dec.to(device=device, dtype=dtype),
            W_skip=skip,
        )

    def __repr__(self) -> str:
        where = str(self.site) + (f" → {self.out_site}" if self.is_transcoder else "")
        of = f"{self.model}, " if self.model else ""
        return f"Dictionary({of}{where}: {self.n_features} features of {self.d_in}, {self.kind})"
