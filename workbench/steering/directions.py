"""Directions: from the labels of activations, one a label, at each site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from ..activations import Activations
from ..check import ArgumentError, checked, one_of, refuse
from ..dictionary.base import Dictionary
from ..dictionary.collection import Dictionaries
from ..dictionary.encoders import Linear
from ..probing.probe import fit

#: What is added to the counts of a regression on labels, in rows: where one label is the sum of
#: others, no solution would be the only one without it.
RIDGE = 1.0
#: The penalty on squared weights of a probe beside the mean loss, in standard deviations: small,
#: so that what it finds is what the rows say.
L2 = 1e-4
METHODS = {"mean": "difference in means", "probe": "probe"}


@checked
def directions(
    acts: Activations,
    label: str | Sequence[str],
    *,
    method: Literal["mean", "probe"] = "mean",
    orthogonal_to: Dictionaries | None = None,
) -> Dictionaries:
    """A direction for each value of a label, at each site, as `Dictionaries` of features so named.

        acts = wb.Activations.of_concepts(model, texts, wb.concepts("tinyworld"), "resid_post")
        push = wb.steering.directions(acts, "gender").add("woman", 2)

    label: a column of labels, or several. Rows without one (None) are left out; an empty one has no
    direction, and is what others are told from. A code is how far along its direction an activation
    lies, 0 on average at the rows of other labels and 1 at the label's own; it is signed. b_dec:
    the mean of the rows. method: "mean", own mean − mean of the others; "probe" reads by logistic
    regression and writes by least squares on all labels of the rows together, since the direction
    that tells a label best is not the one that carries it. orthogonal_to: dictionaries whose
    directions are taken out, by site.

    Raises `ValueError` for a label that all rows have, and for names that stand twice. Source:
    Marks and Tegmark 2023 (arXiv:2310.06824), section 4; Makelov et al. 2024 (arXiv:2405.08366);
    Haufe et al. 2014.
    """
    columns = [label] if isinstance(label, str) else list(label)
    if not columns:
        raise refuse("label", "a column of labels, or several", label)
    blocks = _blocks(acts, columns)
    names = [name for block in blocks for name in block.names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ArgumentError(
            f"A feature has a name of its own; {twice[0]!r} is a label of two columns. Take the "
            "columns one by one."
        )
    return Dictionaries(
        [
            _dictionary(acts, site, blocks, names, method, _others_at(site, orthogonal_to))
            for site in acts.sites
        ]
    )


@dataclass(frozen=True, eq=False)
class _Block:
    """Columns that are labelled on the same rows: names, and member (row, name) of rows `there`."""

    names: list[str]
    there: np.ndarray
    member: np.ndarray


def _blocks(acts: Activations, columns: Sequence[str]) -> list[_Block]:
    made: dict[bytes, _Block] = {}
    for column in columns:
        values = [None if v is None else str(v) for v in acts.label(column).tolist()]
        there = np.array([v is not None for v in values])
        own = np.array([v for v in values if v is not None])
        names = [str(name) for name in np.unique(own) if name]
        member = own[:, None] == np.array(names)
        if not names or member.all(0).any():
            rule = "of two values or more, of which one may be empty"
            raise refuse(f"The label {column!r}", rule, sorted(set(own)))
        first = made.get(there.tobytes())
        if first is not None:
            names, member = first.names + names, np.concatenate([first.member, member], 1)
        made[there.tobytes()] = _Block(names, there, member)
    return list(made.values())


def _others_at(site: str, given: Dictionaries | None) -> np.ndarray | None:
    """(n, d) directions of length 1 and at right angles that span those to be taken out there."""
    if given is None:
        return None
    if site not in given:
        there = ", ".join(map(str, given))
        raise refuse("orthogonal_to", f"of {site} too, since that is asked about", there)
    vectors = given[site].directions.cpu().double().numpy()
    _, sizes, basis = np.linalg.svd(vectors, full_matrices=False)
    return basis[sizes > 1e-6]


def _dictionary(
    acts: Activations,
    site: str,
    blocks: Sequence[_Block],
    names: Sequence[str],
    method: str,
    out: np.ndarray | None,
) -> Dictionary:
    x = acts[site].astype(np.float64)
    make = {"mean": _means, "probe": _probes}[one_of("method", method, METHODS)]
    parts = [make(x[block.there], block.member, out) for block in blocks]
    W_enc, b_enc, W_dec = (
        torch.from_numpy(np.concatenate(each)).float() for each in zip(*parts, strict=True)
    )
    if not bool(W_dec.any(-1).all()):
        name = names[int((~W_dec.any(-1)).nonzero()[0])]
        raise ArgumentError(
            f"The direction of {name!r} at {site} is 0: its rows are like the others, or it lies "
            "among those of orthogonal_to. Leave it out."
        )
    mean = torch.from_numpy(x[blocks[0].there].mean(0)).float()
    read = Linear(W_enc.T.contiguous(), b_enc)
    about: dict[str, Any] = {"model": acts.model, "name": METHODS[method], "names": tuple(names)}
    return Dictionary(site, read, W_dec, mean, **about)


Weights = tuple[np.ndarray, np.ndarray, np.ndarray]


def _means(x: np.ndarray, member: np.ndarray, out: np.ndarray | None) -> Weights:
    """W_enc (name, d), b_enc (name,) and W_dec (name, d) of rows x (row, d)."""
    own, others = _own_and_others(x, member)
    direction = _without(own - others, out)
    W_enc = direction / np.maximum((direction**2).sum(-1, keepdims=True), 1e-30)
    return W_enc, -(W_enc * others).sum(-1), direction


def _probes(x: np.ndarray, member: np.ndarray, out: np.ndarray | None) -> Weights:
    fits = [fit(x, one, "logistic", L2) for one in member.T]
    weight = _without(np.stack([last.coef_[0] / scaler.scale_ for scaler, last in fits]), out)
    own, others = _own_and_others(x, member)
    outside = (weight * others).sum(-1)
    width = np.maximum((weight * own).sum(-1) - outside, 1e-6)
    centred = member - member.mean(0)
    both = centred.T @ centred + RIDGE * np.eye(member.shape[1])
    W_dec = np.linalg.solve(both, centred.T @ (x - x.mean(0)))
    return weight / width[:, None], -outside / width, _without(W_dec, out)


def _own_and_others(x: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(name, d) the mean of each label's rows, and of all others."""
    sums, found = member.T.astype(np.float64) @ x, member.sum(0)[:, None]
    return sums / found, (x.sum(0) - sums) / (len(x) - found)


def _without(vectors: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """The vectors less what lies along `out`; what is left of one that lies in it is 0."""
    if out is None:
        return vectors
    left = vectors - vectors @ out.T @ out
    small = np.linalg.norm(left, axis=-1) <= 1e-6 * np.linalg.norm(vectors, axis=-1)
    left[small] = 0.0
    return left
