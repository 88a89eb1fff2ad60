"""Every kind of file that is loaded, small: how it is made, loaded, and compared with another."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

import workbench as wb
from tests.unit import indexed
from tests.unit.dictionary_files import gemma_weights, sae_lens_folder, save_npz, weights
from tests.unit.public_names import public
from tests.unit.random_dictionaries import D_IN, dictionary, forms
from workbench.result import Result


@dataclasses.dataclass(frozen=True)
class Kind:
    """Files that are loaded together. make: writes them into a folder. load: reads them from it."""

    name: str
    make: Callable[[Path], object]
    load: Callable[[Path], Any]
    ours: bool = True


def results() -> dict[str, Any]:
    """One of each public result that takes made-up content, by its class's name."""
    out = {}
    for path, kind in public().items():
        if isinstance(kind, type) and issubclass(kind, Result) and kind is not Result:
            try:
                out[path.rpartition(".")[2]] = made_up(kind)
            except (ValueError, IndexError, TypeError, KeyError):
                continue  # it holds rules of its own about how its parts agree
    return out


def made_up(kind: Any, size: Callable[[str], int] = lambda axis: 2 + len(axis) % 3) -> Any:
    """A value of an annotated type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints, given = typing.get_type_hints(kind), {}
        for f in dataclasses.fields(kind):
            if "axes" in f.metadata:
                shape = [size(axis) for axis in f.metadata["axes"]]
                numbers = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
                given[f.name] = numbers.astype(f.metadata["dtype"])
            else:
                given[f.name] = made_up(hints[f.name])
        return kind(**given)  # type: ignore[operator]
    if origin is tuple:
        inner = arguments[:1] * 2 if arguments[-1] is Ellipsis else arguments
        return tuple(made_up(each) for each in inner)
    if origin is dict:
        return {name: made_up(arguments[1]) for name in ("one", " two", "drei„")}
    if origin is typing.Literal:
        return arguments[0]
    if arguments:
        return made_up(arguments[0])
    plain = {str: "Zürich 5", int: 4, float: 0.25, bool: True, np.ndarray: np.arange(3.0)}
    return plain[kind]


def graph() -> Any:
    n = 8
    return wb.Graph(
        "a model", "", {}, None, (("A", " prompt"),), prompt="A prompt",
        ids=tuple(f"{i}_7_1" for i in range(n)), labels=("a label",) * n, kinds=("feature",) * n,
        channels=("q", "", "k"), layers=np.arange(n), positions=np.arange(n) % 2,
        units=np.arange(n) * 1000, scores=np.linspace(0, 1, n), sources=np.array([0, 1, 2]),
        targets=np.array([4, 5, 6]), weights=np.array([0.5, -0.25, 1e-3]),
    )  # fmt: skip


def labels(folder: Path) -> Any:
    made = wb.features.Labels.empty(dataclasses.replace(dictionary("topk"), path=folder))
    for feature in range(0, 40, 3):
        made[feature] = f"the label of {feature}"
    return made


def kinds() -> list[Kind]:
    """Every kind, our own first."""
    out = []
    for name, result in results().items():
        out.append(Kind(f"result {name}", lambda f, r=result: r.save(f / "one"), _load(result)))
    for name, made in forms().items():
        own = dataclasses.replace(made, info={"steps": 3, "loss": [0.5, 0.25]})
        out.append(
            Kind(
                f"dictionary {name}",
                lambda f, d=own: d.save(f),
                lambda f: wb.Dictionary.load(f),
            )
        )
    out += [
        Kind(
            "change",
            lambda f: _change().save(f / "one.safetensors"),
            lambda f: wb.Change.load(f / "one.safetensors").parts,
        ),
        Kind(
            "index",
            lambda f: indexed.made(f / "index"),
            lambda f: indexed.made(f / "index"),
        ),
        Kind(
            "labels",
            lambda f: labels(f).save(f),
            lambda f: wb.features.Labels.of(dataclasses.replace(dictionary("topk"), path=f)),
        ),
        Kind(
            "graph",
            lambda f: graph().to_neuronpedia(f / "one.json"),
            lambda f: wb.Graph.from_neuronpedia(f / "one.json"),
        ),
        Kind("collection", _collection, lambda f: dict(wb.dictionaries(f / "all"))),
        Kind(
            "their graph",
            lambda f: (f / "one.json").write_text(json.dumps(graph().to_neuronpedia())),
            lambda f: wb.Graph.from_neuronpedia(f / "one.json"),
            ours=False,
        ),
        *(
            Kind(f"their {name}", make, lambda f: wb.Dictionary.load(f), ours=False)
            for name, make in THEIRS.items()
        ),
    ]
    return out


def _change() -> wb.Change:
    made = wb.Change(wb.Add("L1.resid_post", torch.arange(D_IN).float()), on="new", window=3)
    return made.at(2) + dictionary("topk").set({1: 0.5})


def _load(result: Any) -> Callable[[Path], Any]:
    return lambda folder: type(result).load(folder / "one")


def _collection(folder: Path) -> None:
    for layer in (0, 1):
        made = dictionary("topk", site=f"L{layer}.mlp_out")
        made.save(folder / "all" / f"L{layer}")


def _sae_lens(folder: Path) -> None:
    cfg = {"apply_b_dec_to_input": True, "normalize_activations": "layer_norm"}
    sae_lens_folder(
        folder, weights(threshold=weights()["b_enc"].abs()), architecture="jumprelu", **cfg
    )


def _gemma_npz(folder: Path) -> None:
    save_npz(folder / "params.npz", gemma_weights())
    (folder / "config.json").write_text('{"hf_hook_point_in": "model.layers.5.output"}')


def _gemma(folder: Path) -> None:
    w = gemma_weights()
    named = {"w_enc": w.pop("W_enc"), "w_dec": w.pop("W_dec"), **w}
    save_file(named | {"affine_skip_connection": torch.eye(D_IN)}, folder / "params.safetensors")
    cfg = {"hf_hook_point_in": "model.layers.5.output", "architecture": "jump_relu"}
    (folder / "config.json").write_text(json.dumps(cfg))


def _learning(folder: Path) -> None:
    w = weights()
    state = {
        "encoder.weight": w["W_enc"].T.contiguous(), "encoder.bias": w["b_enc"],
        "decoder.weight": w["W_dec"].T.contiguous(), "b_dec": w["b_dec"], "k": torch.tensor(4),
    }  # fmt: skip
    torch.save(state, folder / "ae.pt")
    trainer = {"dict_class": "AutoEncoderTopK", "layer": 3, "lm_name": "org/tiny", "k": 4}
    (folder / "config.json").write_text(json.dumps({"trainer": trainer}))


def _tracer(folder: Path) -> None:
    w = weights()
    jump = {"activation_function.threshold": w["b_enc"].abs(), "W_skip": torch.eye(D_IN)}
    save_file(w | {"W_enc": w["W_enc"].T.contiguous()} | jump, folder / "layer_0.safetensors")
    (folder / "config.yaml").write_text("model_name: org/tiny\nmodel_kind: transcoder_set\n")


THEIRS: dict[str, Callable[[Path], object]] = {
    "SAELens": _sae_lens,
    "Gemma Scope npz": _gemma_npz,
    "Gemma Scope safetensors": _gemma,
    "dictionary_learning": _learning,
    "circuit-tracer": _tracer,
}


def same(a: Any, b: Any) -> bool:
    """Whether two loaded values hold the same, but for the folder they lie in."""
    if isinstance(a, Path):
        return True
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, wb.features.FeatureIndex):
        arrays = [{n: x._whole(n) for n in x._file.keys()} for x in (a, b)]  # noqa: SIM118
        return same(a.facts, b.facts) and same(*arrays)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return a == b or (a != a and b != b)
    if hasattr(a, "__dict__") and not isinstance(a, type):
        return type(a) is type(b) and same(_held(a), _held(b))
    return type(a) is type(b) and a == b


def _held(value: Any) -> dict[str, Any]:
    # What a foreign file says of its training is passed on as it is; nothing computes with it.
    theirs = isinstance(value, wb.Dictionary) and "format" in value.info
    left_out = {"path", "folder", "info" if theirs else "path"}
    return {k: v for k, v in vars(value).items() if k not in left_out}
