"""Dictionaries: those of one model, by the site whose activation they decode."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from .. import data
from ..change import Change
from ..check import checked, given
from ..site import Site
from .base import Dictionary


@checked
class Dictionaries(Mapping[Site, Dictionary]):
    """One dictionary a site, in the order of a forward pass.

    `dicts["L3.resid_post"]` is the one of a site, `dicts["L3.resid_post/123"]` too. model: the name
    that they all give, "" where none does.

    Raises `ValueError` for none at all, two of one site, and dictionaries of different models.
    """

    def __init__(self, dictionaries: Iterable[Dictionary]) -> None:
        each = sorted(dictionaries, key=lambda d: d.out_site)
        if not each:
            raise ValueError("A collection holds at least one dictionary; got none.")
        self._by_site = {d.out_site: d for d in each}
        if len(self._by_site) < len(each):
            sites = [d.out_site for d in each]
            twice = next(site for site in sites if sites.count(site) > 1)
            raise ValueError(f"A collection holds one dictionary a site; {twice} has two.")
        models = {d.model for d in each if d.model}
        if len(models) > 1:
            names = ", ".join(sorted(models))
            raise ValueError(f"The dictionaries of a collection are of one model; got {names}.")
        self.model = models.pop() if models else ""

    def __getitem__(self, site: Site | str) -> Dictionary:
        """Raises `KeyError` that names the sites there are."""
        whole = Site.parse(site).whole
        if whole not in self._by_site:
            raise KeyError(f"There is no dictionary of {whole}; there are {self._names()}.")
        return self._by_site[whole]

    def __iter__(self) -> Iterator[Site]:
        return iter(self._by_site)

    def __len__(self) -> int:
        return len(self._by_site)

    def __contains__(self, site: object) -> bool:
        return isinstance(site, (Site, str)) and Site.parse(site).whole in self._by_site

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that have a dictionary, ascending."""
        return tuple(sorted({site.layer for site in self if site.layer is not None}))

    def feature(self, name: Site | str) -> tuple[Dictionary, int]:
        """The dictionary and the number of a feature's name, like "L3.resid_post/123".

        Raises `KeyError` for a site without a dictionary, `ValueError` for no such feature.
        """
        site = Site.parse(name)
        dictionary = self[site]
        return dictionary, dictionary.check_feature(site)

    def only(self, *streams: str) -> Dictionaries:
        """Those of the given streams. Raises `ValueError` where there is none."""
        return Dictionaries(d for site, d in self.items() if site.stream in streams)

    # -- as changes of a model: `Dictionary`'s, at several sites at once -----------------------

    def add(self, feature: Site | str, strength: float = 1.0) -> Change:
        """As `Dictionary.add`, of a feature named "L3.resid_post/123", or of all of a name."""
        each = self._by_dictionary([feature])
        return Change([dictionary.add(n, strength) for dictionary, own in each for n in own])

    def set(self, values: Mapping[Any, Any]) -> Change:
        """As `Dictionary.set`, by feature names."""
        each = self._by_dictionary(values)
        return Change([d.set({n: values[name] for n, name in own.items()}) for d, own in each])

    def scale(self, factors: Mapping[Any, Any]) -> Change:
        """As `Dictionary.scale`, by feature names."""
        each = self._by_dictionary(factors)
        return Change([d.scale({n: factors[name] for n, name in own.items()}) for d, own in each])

    def project_out(self, features: Iterable[Any]) -> Change:
        """As `Dictionary.project_out`, of feature names."""
        return Change([d.project_out(list(own)) for d, own in self._by_dictionary(features)])

    def splice(self) -> Change:
        """As `Dictionary.splice`, at every site."""
        return Change([dictionary.splice() for dictionary in self.values()])

    def _by_dictionary(self, names: Any) -> list[tuple[Dictionary, dict[int, Any]]]:
        """Each dictionary that has some of the features, and their names by number.

        A name that dictionaries give is that feature in each of them.
        """
        names = [names] if isinstance(names, (str, Site)) else list(names)
        found: dict[Site, dict[int, Any]] = {}
        for name in names:
            own = [(d, d.check_feature(name)) for d in self.values() if name in d.names]
            for dictionary, number in own or [self.feature(name)]:
                found.setdefault(dictionary.out_site, {})[number] = name
        return [(self._by_site[site], found[site]) for site in self if site in found]

    def to(self, device: Any = None, dtype: Any = None) -> Dictionaries:
        """The same dictionaries elsewhere, or in another floating type."""
        return Dictionaries(d.to(device, dtype) for d in self.values())

    def to_frame(self) -> pd.DataFrame:
        """One line a dictionary: site, kind, n_features, d_in, model, name."""
        return pd.DataFrame(
            {
                "site": [str(site) for site in self],
                "kind": [d.kind for d in self.values()],
                "n_features": [d.n_features for d in self.values()],
                "d_in": [d.d_in for d in self.values()],
                "model": [d.model for d in self.values()],
                "name": [d.name for d in self.values()],
            }
        )

    def _names(self) -> str:
        return ", ".join(map(str, self))

    def __repr__(self) -> str:
        n = sum(d.n_features for d in self.values())
        of = f"{self.model}: " if self.model else ""
        return f"Dictionaries({of}{len(self)} of {n} features; {self._names()})"


@checked
def dictionaries(name: str | Path) -> Dictionaries:
    """The shipped dictionaries of an embedded model, or those in the folders of a directory.

    name: "tinyworld", or a directory whose folders hold one dictionary each, in any form that
    `Dictionary.load` reads. Raises `ValueError` for anything else.
    """
    folder = Path(name)
    if not os.path.isdir(folder):
        shipped = data.path("dictionaries")
        names = sorted(path.name for path in shipped.iterdir() if path.is_dir())
        if str(name) not in names:
            raise ValueError(
                f"Dictionaries ship for {', '.join(names)}, and a directory of dictionaries can be "
                f"given; got {given(str(name))}. wb.Dictionary.load reads a single one."
            )
        folder = shipped / str(name)
    parts = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not parts:
        raise ValueError(
            f"{folder} holds no folder, so no dictionary. Give its parent, or another."
        )
    return Dictionaries(Dictionary.load(path) for path in parts)
