"""Words: what the nodes of one pass say, read in the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from ..model import Norm
from ..readout import top_k
from ..site import Site
from ..tokens import token_strings
from ..vocabulary.head_circuits import head_reading
from ..vocabulary.neurons import is_gated, neuron_reading
from ..vocabulary.projection import (
    Projection,
    n_words,
    reading_projection,
    writing_projection,
)
from ..writers import mlp_norm
from .contributions import PassParts, full
from .edges import CHANNELS, EMBED, HEAD, MID, MLP, NEURON, STATE, Edges, NodeKeys, Place

Words = tuple[str, ...]
Details = tuple[tuple[str, Words], ...]

#: Numbers of a batch of vectors × vocabulary that is held at once.
BATCH = 1 << 24


class _Batch:
    """Vectors of one projection, collected first and read together: a product of a few vectors with
    the vocabulary takes as long as one of many.
    """

    def __init__(self, read: Callable[[torch.Tensor], list[Words]]) -> None:
        self._read = read
        self._vectors: list[torch.Tensor] = []

    def add(self, vector: torch.Tensor) -> int:
        """The number of a vector, (d_model), by which its words are found."""
        self._vectors.append(vector)
        return len(self._vectors) - 1

    @cached_property
    def words(self) -> list[Words]:
        """Of every vector; asked for when all are there."""
        return self._read(torch.stack(self._vectors)) if self._vectors else []


#: The words and the details of some nodes, once everything has been collected.
Finish = Callable[[], tuple[list[Words], list[Details]]]


class NodeWords:
    """Reads vectors of one pass as the k tokens that they fit best.

    apart: (layer, pos, n) the neurons that are not counted with the rest of their MLP.
    """

    def __init__(self, parts: PassParts, keys: NodeKeys, apart: np.ndarray, k: int) -> None:
        self._parts, self._model, self._keys, self._apart = parts, parts.model, keys, apart
        self._k = min(k, n_words(parts.model))
        self._writes = _Batch(lambda x: self._top(x, writing_projection(self._model)))
        self._reads = _Batch(lambda x: self._top(x, reading_projection(self._model)))
        self._strings: dict[int, str] = {}
        self._norms: dict[tuple[int, int], Norm | None] = {}
        self._outputs: dict[int, torch.Tensor] = {}
        self._gains: dict[int, torch.Tensor] = {}

    def read(
        self, nodes: np.ndarray, edges: Edges, *, details: bool
    ) -> tuple[tuple[Words, ...], tuple[Details, ...]]:
        """The words and the details of each node, given by key, () where there are none."""
        of_kind: dict[int, list[int]] = {}
        for number, key in enumerate(nodes):
            kind = self._keys.place(key)[0]
            of_kind.setdefault(STATE if kind in (EMBED, MID) else kind, []).append(number)
        words: list[Words] = [()] * len(nodes)
        more: list[Details] = [()] * len(nodes)
        readers = {
            STATE: self._states, HEAD: self._heads, NEURON: self._neurons, MLP: self._others
        }  # fmt: skip
        finishes: list[tuple[list[int], Finish]] = []
        for kind, numbers in of_kind.items():
            chosen = [self._keys.place(nodes[i]) for i in numbers]
            finishes.append((numbers, readers[kind](chosen, nodes[numbers], edges, details)))
        for numbers, finish in finishes:
            own, others = finish()
            for i, said, detail in zip(numbers, own, others, strict=True):
                words[i], more[i] = said, detail
        return tuple(words), tuple(more)

    # -- states ----------------------------------------------------------------------------------

    def _states(
        self, places: Sequence[Place], keys: np.ndarray, edges: Edges, more: bool
    ) -> Finish:
        vectors = torch.stack([self._state(place) for place in places])
        known = n_words(self._model)
        words = self._top(vectors, lambda x: self._model.unembed(x)[:, :known].float())
        details = self._norm_effects(vectors, places) if more else [()] * len(words)
        return lambda: (words, details)

    def _state(self, place: Place) -> torch.Tensor:
        name = {EMBED: "resid_pre", MID: "resid_mid", STATE: "resid_post"}[place.kind]
        return self._parts.run[Site(name, place.layer)][0, place.position]

    def _norm_after(self, kind: int, layer: int) -> Norm | None:
        """The norm through which a state is read next."""
        if (kind, layer) not in self._norms:
            model, following = self._model, 0 if kind == EMBED else layer + 1
            if kind == MID:
                norm = mlp_norm(model, layer)
            elif following == model.spec.n_layers:
                norm = model.norm("ln_final")
            else:
                norm = model.norm("ln1", following)
            self._norms[kind, layer] = norm
        return self._norms[kind, layer]

    def _norm_effects(self, vectors: torch.Tensor, places: Sequence[Place]) -> list[Details]:
        """Whose probability the weight and bias of the norm lower and raise most.

        Katz and Belinkov 2023, section 4.1, where norms filter words. Compared with the state at
        the length that the weight gives it: weights that are all alike and large would bring out
        whatever is first and hold back all else, and filter nothing.
        """
        out: list[Details] = [()] * len(places)
        pairs, members = [], []
        for i, (kind, layer, *_) in enumerate(places):
            if (norm := self._norm_after(kind, layer)) is not None:
                x = vectors[i]
                sized = norm.center(x) / norm.scale(x)
                length = sized.norm()
                alike = sized * ((sized * norm.weight).norm() / length.where(length > 0, 1))
                pairs.append(torch.stack([alike, norm(x)]))
                members.append(i)
        w_u = self._model.weight("W_U", copy=False)[:, : n_words(self._model)]
        for at in self._batches(2 * len(members)):
            logits = torch.stack(pairs[at.start // 2 : at.stop // 2]).to(w_u.dtype) @ w_u
            before, after = logits.float().softmax(-1).unbind(1)
            held, brought = self._strings_of(before - after), self._strings_of(after - before)
            for i, down, up in zip(members[at.start // 2 :], held, brought, strict=False):
                out[i] = (("the norm holds back", down), ("the norm brings out", up))
        return out

    # -- heads -----------------------------------------------------------------------------------

    def _heads(
        self,
        places: Sequence[Place],
        keys: np.ndarray,
        edges: Edges,
        more: bool,
    ) -> Finish:
        """What each head writes; and its query, and the keys and values of the sources shown."""
        written = [self._writes.add(self._output(layer)[p, head]) for _, layer, p, head in places]
        if not more:
            return lambda: ([self._writes.words[n] for n in written], [()] * len(places))
        at = {int(key): i for i, key in enumerate(keys)}
        # A position has one key and one value for a head, whoever attends to it.
        known: dict[tuple[int, int, int], tuple[int, int]] = {}
        captions: list[list[tuple[str, _Batch, int]]] = [[] for _ in places]
        strings = self._parts.tokens.strings[0]
        for i, (_, layer, position, head) in enumerate(places):
            query = self._reads.add(self._sought(layer, head, "q", position))
            captions[i].append(("query: looks for", self._reads, query))
        values = np.flatnonzero(edges.channels == CHANNELS.index("v"))
        for e in values[np.argsort(-edges.relevance[values], kind="stable")]:
            i = at.get(int(edges.targets[e]))
            if i is None:
                continue
            source = self._keys.place(edges.sources[e])[2]
            _, layer, _, head = places[i]
            name = f"{strings[source].strip()!r}@{source}"
            if (layer, head, source) not in known:
                known[layer, head, source] = (
                    self._reads.add(self._sought(layer, head, "k", source)),
                    self._writes.add(self._memory(layer, head, source)),
                )
            key, value = known[layer, head, source]
            captions[i].append((f"key of {name}: looked for by", self._reads, key))
            captions[i].append((f"value of {name}", self._writes, value))
        return lambda: (
            [self._writes.words[n] for n in written],
            [tuple((caption, batch.words[n]) for caption, batch, n in own) for own in captions],
        )

    def _output(self, layer: int) -> torch.Tensor:
        if layer not in self._outputs:
            self._outputs[layer] = self._parts.head_outputs(layer)[0]
        return self._outputs[layer]

    def _memory(self, layer: int, head: int, source: int) -> torch.Tensor:
        """(d_model,) what the value at a source writes for an attention of 1."""
        value = self._parts.source_values(layer)[source, head]
        written = value @ full(self._model.weight("W_O", layer, head, copy=False))
        written = written * self._model.spec.residual_multiplier
        norm = self._model.norm("ln1_post", layer)
        return written if norm is None else norm.center(written) * full(norm.weight)

    def _sought(self, layer: int, head: int, stream: str, position: int) -> torch.Tensor:
        """(d_model,) the direction that a query looks for in keys, or a key is looked for by.

        Dar et al. 2022, section 3: a query through W_K, a key through W_Q; positions left out.
        """
        spec, run = self._model.spec, self._parts.run
        group = spec.n_heads // spec.n_kv_heads
        other = "K" if stream == "q" else "Q"
        vector = run[Site(stream, layer)][0, position, head if stream == "q" else head // group]
        return full(vector) @ full(head_reading(self._model, layer, head, other))

    # -- neurons ---------------------------------------------------------------------------------

    def _neurons(
        self, places: Sequence[Place], keys: np.ndarray, edges: Edges, more: bool
    ) -> Finish:
        """What each neuron writes with the sign it has here; and the embeddings that it reads."""
        written = [
            self._writes.add(self._written(layer, position, [unit]))
            for _, layer, position, unit in places
        ]
        if not more:
            return lambda: ([self._writes.words[n] for n in written], [()] * len(places))
        sides: list[tuple[str, Literal["W_in", "W_gate"]]] = [("reads embeddings like", "W_in")]
        if is_gated(self._model):
            sides.append(("its gate reads embeddings like", "W_gate"))
        captions: list[list[tuple[str, int]]] = [[] for _ in places]
        for caption, name in sides:
            wide: dict[int, torch.Tensor] = {}
            for own, place in zip(captions, places, strict=True):
                if place.layer not in wide:
                    wide[place.layer] = neuron_reading(self._model, place.layer, name=name)
                own.append((caption, self._reads.add(full(wide[place.layer][place.unit]))))
        return lambda: (
            [self._writes.words[n] for n in written],
            [tuple((caption, self._reads.words[n]) for caption, n in own) for own in captions],
        )

    def _others(
        self, places: Sequence[Place], keys: np.ndarray, edges: Edges, more: bool
    ) -> Finish:
        """What an MLP writes without its neurons that stand apart."""
        written = []
        for _, layer, position, _ in places:
            theirs = self._written(layer, position, self._apart[layer, position])
            whole = self._parts.state("mlp_out", layer)[position]
            written.append(self._writes.add(whole - theirs))
        return lambda: ([self._writes.words[n] for n in written], [()] * len(places))

    def _written(self, layer: int, position: int, neurons: Sequence[int]) -> torch.Tensor:
        """(d_model,) what some neurons add to the residual stream at one position."""
        if layer not in self._gains:
            self._gains[layer] = self._parts.neuron_gain(layer)
        gain = self._gains[layer]
        active = full(self._parts.run[Site("mlp_post", layer)][0, position])[list(neurons)]
        summed = active @ full(self._model.weight("W_out", layer, copy=False)[list(neurons)])
        return summed * gain[position if len(gain) > 1 else 0]

    # -- words -----------------------------------------------------------------------------------

    def _batches(self, n: int) -> list[slice]:
        # Even, since some vectors come in pairs.
        size = max(2, BATCH // self._model.spec.d_vocab // 2 * 2)
        return [slice(at, min(n, at + size)) for at in range(0, n, size)]

    def _top(
        self, vectors: torch.Tensor, read: Projection | Callable[[torch.Tensor], torch.Tensor]
    ) -> list[Words]:
        dtype = self._model.weight("W_U", copy=False).dtype
        out: list[Words] = []
        with torch.no_grad():
            for at in self._batches(len(vectors)):
                out += self._strings_of(read(vectors[at].to(dtype)))
        return out

    def _strings_of(self, values: torch.Tensor) -> list[Words]:
        rows = top_k(values, self._k)[1].tolist()
        unknown = sorted({i for row in rows for i in row} - self._strings.keys())
        if unknown:
            self._strings |= zip(
                unknown, token_strings(self._model.tokenizer, unknown), strict=True
            )
        return [tuple(self._strings[i] for i in row) for row in rows]
