"""Dictionary: features of a site, read by `encode` and written back by `decode`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import torch

from .. import check
from ..change import Change
from ..check import checked, floating, numbers_of, refuse, tensor, vectors
from ..edits import Add, Edit, ProjectOut, broadcast
from ..model import Norm
from ..site import Site
from . import loading, writing
from .encoders import Encoder, Linear, MatchingPursuit
from .formats.parts import Given
from .loading import Format
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
    read from. names: of the features, where they have any. info: its training and its card, as
    plain data.

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
    names: tuple[str, ...] = ()
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
        object.__setattr__(self, "names", tuple(self.names))
        if len(set(self.names)) not in (0, n) or len(self.names) not in (0, n):
            raise refuse("names", f"different names, one for each of {n} features", self.names)
        for key, weight in self.tensors.items():
            if not bool(weight.isfinite().all()):
                raise ValueError(
                    f"The weights of a dictionary are finite numbers; {key} of {self!r} has NaN or "
                    "infinity. The file is damaged, or its training diverged."
                )

    @classmethod
    def of(
        cls,
        vectors: Any,
        *,
        site: Site | str,
        names: Sequence[str] = (),
        encoder: Literal["project", "pursuit"] = "project",
        model: str = "",
    ) -> Self:
        """Directions as a dictionary: (feature, d) vectors of a site, of any length but 0.

            wb.Dictionary.of(probe_weights, site="L2.resid_post", names=["man", "woman"])

        encoder: "project", how far along each direction an activation lies, 1 at the vector itself;
        "pursuit", so that all of them together give the activation back, one after another.
        """
        rows = check.tensor("vectors", vectors, (None, None)).detach().float().cpu()
        sizes = rows.square().sum(-1, keepdim=True)
        if not len(rows) or bool((sizes == 0).any()):
            raise refuse("vectors", "one direction or more, none of length 0", vectors)
        if encoder == "pursuit":
            unit = torch.nn.functional.normalize(rows, dim=-1)
            zero = torch.zeros(rows.shape[1])
            read: Encoder = MatchingPursuit(unit, zero, len(unit))
            rows = unit
        else:
            read = Linear((rows / sizes).T.contiguous(), torch.zeros(len(rows)))
        return cls(site, read, rows, torch.zeros(rows.shape[1]), names=tuple(names), model=model)

    # -- on disk ---------------------------------------------------------------------------------

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        sae_id: str | None = None,
        site: Site | str | None = None,
        out_site: Site | str | None = None,
        model: str | None = None,
        center: bool | None = None,
        factor: float | None = None,
        norm: Norm | None = None,
        format: Format | None = None,
        revision: str | None = None,
    ) -> Self:
        """A dictionary from disk or the Hub: SAELens, Gemma Scope, dictionary_learning, …

            wb.Dictionary.load("gpt2-small-res-jb", sae_id="blocks.6.hook_resid_pre")

        source: a folder, the file of the weights, a Hub repository or a release by sae-lens's name.
        sae_id: the folder of one dictionary below it. The form is told from the files, unless
        `format` names it. site, out_site, model, center, factor: what the files do not say, or say
        wrongly. center: its training took the mean over d_model from the activations. factor: what
        it multiplied them by. norm: `model.norm("ln2", layer)`, for one that reads the normed
        stream before the norm's weight (Gemma Scope's transcoders): it is folded in.

        Weights are read in float32, on the CPU; `to` moves them. Nothing that a file holds is run.
        Raises `FileNotFoundError` where a file is missing and `ValueError` for one that is cut
        short, pickled, not finite, of wrong shapes, or of a form or site that is not read.
        """
        given = Given(site, out_site, model, center, factor, norm)
        where, fields = loading.read(source, sae_id, format, revision, given)
        try:
            return cls(**fields)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    def save(self, path: str | Path, *, dtype: torch.dtype | None = None) -> Path:
        """The folder, with cfg.json and sae_weights.safetensors in SAELens's form in it.

        sae-lens loads it and gives the same codes; batchtopk is written as the jumprelu that it is
        after training, a factor is folded in. What SAELens has no word for (snmf, linear, a few
        combinations) has an architecture of our own, which sae-lens refuses. dtype: of the matrices
        on disk; torch.float16 halves the file. A folder that exists keeps its other files. A save
        that breaks off leaves the dictionary before or this one; reading tells a changed byte.

        Raises `ValueError` for weights that are no finite numbers in `dtype`, and for an `info`
        that is not plain data.
        """
        return writing.write(self, path, dtype)

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
        if isinstance(feature, str) and feature in self.names:
            return self.names.index(feature)
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
        for key, weight in sorted(self.tensors.items()):
            digest.update(key.encode())
            digest.update(weight.detach().float().cpu().contiguous().numpy().tobytes())
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

    # -- as changes of a model -------------------------------------------------------------------

    def add(self, feature: int | str | Site, strength: float = 1.0) -> Change:
        """The change that adds `strength` times what one unit of a feature adds, at every token.

        Raises `ValueError` where that depends on the activation: use `scale` or `set`.
        """
        if self.normalization.per_row and not self.is_transcoder:
            raise ValueError(
                f"What a unit of a feature adds depends on the activation in {self!r}, which is "
                "normalised by row. Use set or scale."
            )
        size = 1.0 if self.is_transcoder else 1 / self.normalization.factor
        row = self.W_dec[self.check_feature(feature)] * size
        return Change(Add(self.out_site, row)).at(strength)

    def set(self, values: Mapping[Any, Any], *, rows: Any = None, positions: Any = None) -> Change:
        """The change that puts codes in place, {feature: value}; others and the error stay.

        rows, positions: where, as of any `Edit`; None: everywhere.
        """
        features, each = _by_feature(self, values)
        return Change(SetFeatures(self, features, each, rows=rows, positions=positions))

    def scale(
        self, factors: Mapping[Any, Any], *, rows: Any = None, positions: Any = None
    ) -> Change:
        """The change that multiplies codes, {feature: factor}: 0 takes a feature away.

        rows, positions: where, as of any `Edit`; None: everywhere.
        """
        features, each = _by_feature(self, factors)
        return Change(ScaleFeatures(self, features, each, rows=rows, positions=positions))

    def project_out(self, features: Any) -> Change:
        """The change that takes away what lies along the directions of features."""
        numbers = list(feature_numbers(self, features))
        return Change(ProjectOut(self.out_site, self.W_dec[numbers]))

    def splice(self) -> Change:
        """The change that puts the reconstruction in place of the activation: no error is left."""
        return Change(Splice(self))

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


# -- edits of codes ------------------------------------------------------------------------------


@checked
@dataclass(frozen=True, eq=False, repr=False)
class DictionaryEdit(Edit):
    """An edit at a dictionary's `out_site`; it needs the activation that the dictionary reads.

    Rows, positions: as in `Edit`. Subclasses give the new activation in `change(x, now)`.
    """

    # The dictionary says where; a transcoder reads one site and changes another.
    site: Any = field(default=None, init=False)
    needs: Any = field(default=(), init=False)
    dictionary: Dictionary

    def __post_init__(self) -> None:
        object.__setattr__(self, "site", self.dictionary.out_site)
        needs = (self.dictionary.site,) if self.dictionary.is_transcoder else ()
        object.__setattr__(self, "needs", needs)
        super().__post_init__()

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        x = needed[0] if needed else activation
        return self.change(x, activation).to(activation)

    def change(self, x: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        """The new activation at `out_site`, from what was read and what is there now."""
        raise TypeError(f"{type(self).__name__} has no change(x, now); define it in the subclass.")


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Splice(DictionaryEdit):
    """Put the reconstruction in place of the activation: the error is dropped."""

    def change(self, x: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        return self.dictionary.reconstruct(x)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class SomeFeatures(DictionaryEdit):
    """An edit of some features' codes; other features and the error stay as they are.

    features: numbers or names; held as numbers. Subclasses give the new codes in `renewed(codes)`.
    """

    features: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "features", feature_numbers(self.dictionary, self.features))

    def change(self, x: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        dictionary, features = self.dictionary, list(self.features)
        codes = dictionary.encode_some(x, features)
        renewed = broadcast(self.renewed(codes), codes)
        vectors("now", now, dictionary.d_out)
        return now + dictionary.written(renewed - codes, x, features).to(now)

    def renewed(self, codes: torch.Tensor) -> torch.Tensor:
        """(row, pos, n) the codes of the features as they are → as they should be."""
        raise TypeError(f"{type(self).__name__} has no renewed(codes); define it in the subclass.")


@checked
@dataclass(frozen=True, eq=False, repr=False)
class SetFeatures(SomeFeatures):
    """Put `values` in place of the codes of `features`; other features and the error stay.

    features: numbers or names. values: one number, one a feature, or what broadcasts to
    (row, pos, n). 0 is zero ablation.
    """

    values: Any = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        tensor("values", self.values)

    def renewed(self, codes: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.values, dtype=codes.dtype, device=codes.device)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class ScaleFeatures(SomeFeatures):
    """Multiply the codes of `features` by `factor`: 0 removes them, 2 doubles them.

    features: numbers or names. factor: one number, one a feature, or what broadcasts to
    (row, pos, n).
    """

    factor: Any = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        tensor("factor", self.factor)

    def renewed(self, codes: torch.Tensor) -> torch.Tensor:
        factor = torch.as_tensor(self.factor, dtype=codes.dtype, device=codes.device)
        return codes * broadcast(factor, codes)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class KeepFeatures(DictionaryEdit):
    """Keep the codes of some features; the others carry `values`, the error `error`.

    kept: (feature,) bool. values: what broadcasts to (row, pos, feature). error: None keeps the
    error as it is, a tensor that broadcasts to (row, pos, d_out) takes its place.
    """

    kept: Any
    values: Any = 0.0
    error: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if tuple(self.kept.shape) != (self.dictionary.n_features,):
            raise ValueError(
                f"kept has one value for each of {self.dictionary.n_features} features; got shape "
                f"{tuple(self.kept.shape)}."
            )

    def change(self, x: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        dictionary = self.dictionary
        codes = dictionary.encode(x)
        kept = torch.as_tensor(self.kept, device=codes.device)
        values = torch.as_tensor(self.values, dtype=codes.dtype, device=codes.device)
        if self.error is None:
            # Only what changes is written, so that a circuit of everything is the model itself.
            return now + dictionary.written((values - codes) * ~kept, x).to(now)
        error = torch.as_tensor(self.error, dtype=codes.dtype, device=codes.device)
        return dictionary.decode(codes.where(kept, values), x) + error


def feature_numbers(dictionary: Dictionary, features: Any) -> tuple[int, ...]:
    """The numbers of one or several features, given as numbers, names or sites.

    Raises `ValueError` for none, for one that stands twice, and for one that is not there.
    """
    given: Any = features.tolist() if hasattr(features, "tolist") else features
    several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    given = list(given) if several else [given]
    numbers = tuple(dictionary.check_feature(each) for each in given)
    if not numbers or len(set(numbers)) != len(numbers):
        raise ValueError(
            f"Features are at least one number, each once; got {features!r} for {dictionary!r}."
        )
    return numbers


def _by_feature(dictionary: Dictionary, values: Mapping[Any, Any]) -> tuple[Any, torch.Tensor]:
    """The numbers of features, and a value for each. Raises as `feature_numbers`."""
    numbers = [check.number(f"The value of {name}", v) for name, v in values.items()]
    return feature_numbers(dictionary, list(values)), torch.tensor(numbers)
