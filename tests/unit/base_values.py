"""The values of valid calls: by the name of an argument, and what single calls take beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import workbench as wb

if TYPE_CHECKING:
    from tests.unit.base_calls import BaseCalls

PROMPT = "The capital of France is"
LABELS = [i % 2 for i in range(8)]
PAIRS = [(PROMPT, " Paris"), ("The capital of Italy is", " Rome")]
WORDS = [" Europe", " Asia"]
FEATURE = "L2.resid_post/3"
PUSH = wb.Scale("L1.z", 0.5)
EDGE = "L0.mlp_out \u2192 L1H0.q"


def argument_values(calls: BaseCalls) -> dict[str, Any]:
    """Values by the name of an argument, whichever call it belongs to."""
    model, dictionary = calls.model, calls.dicts["L2.resid_post"]
    width = model.spec.d_model
    resid = torch.ones(1, 1, width)
    return {
        "model": model, "before": model, "after": model,
        "tokenizer": model.tokenizer, "task": wb.task("capitals", n=2), "prompt": PROMPT,
        "prompts": PROMPT, "tokens": PROMPT, "targets": " Paris", "foils": " Rome",
        "texts": calls.texts, "examples": PROMPT, "concept": " Paris", "words": WORDS,
        "labels": LABELS, "forget": PAIRS, "retain": PAIRS, "what": FEATURE,
        "site": "L2.resid_post", "sites": ["L2.resid_post"], "feature": FEATURE,
        "features": [3], "n_features": 8, "dicts": calls.dicts, "dictionaries": calls.dicts,
        "directions": np.eye(2, width), "heads": "L1H0", "neurons": "L1.mlp_post/5",
        "edges": [EDGE], "sender": "L0H2", "name": "tinyworld", "path": "out",
        "folder": calls.folder / "out", "value": 1.0, "factor": 0.5, "matrix": np.eye(width),
        "resid": resid, "x": resid, "now": resid, "grad": resid, "activation": resid,
        "codes": torch.ones(1, 1, 1024), "change": torch.ones(1, 1, 1024), "row": 0, "layer": 1,
        "head": 1, "stream": "z", "rows": [0], "token_id": 5, "item": 0, "node": 1,
        "word": " Paris", "text": "a label", "target": "L0H2", "kind": "resample",
        "source": "tinyworld", "logits": torch.ones(2, 20), "answers": [1, 2], "number": 3,
        "concepts": wb.concepts("tinyworld").only("gender"), "string": " Paris",
        "encoder": dictionary.encoder, "W_dec": dictionary.W_dec, "b_dec": dictionary.b_dec,
        "fingerprint": dictionary.fingerprint, "pairs": OWN_PAIRS, "n": 2, "k": 2, "place": 0,
        "device": "cpu", "pooled": torch.ones(2, width), "strings": (("a", "b", "c"),),
        "ids": torch.ones(1, 3).long(), "mask": torch.ones(1, 3).bool(),
        "names": [], "shared": {}, "lens": wb.lens.TunedLens.identity(model), "positions": [0],
    }  # fmt: skip


OWN_PAIRS = [
    {"clean": "a b", "corrupt": "a c", "answers": [" d"], "foils": [" e"]} for _ in range(8)
]

Values = dict[str, Callable[["BaseCalls"], Any]]


def _fixed(**values: Any) -> Values:
    return {name: lambda _, value=value: value for name, value in values.items()}


def _first(kind: str, *fields: str) -> Callable[[BaseCalls], Any]:
    """The first entry of a field of a made object."""

    def find(calls: BaseCalls) -> Any:
        value = calls.made(kind)
        for field in fields:
            value = getattr(value, field)
        return value if isinstance(value, str) else value[0]

    return find


def _dictionary(calls: BaseCalls) -> Any:
    return calls.dicts["L2.resid_post"]


def _corpus(calls: BaseCalls) -> Any:
    return calls.corpus


def _task(calls: BaseCalls) -> Any:
    return calls.named["task"]


_GRAPH_FIELDS = ("model", "revision", "versions", "seed", "tokens", "prompt",
    "ids", "labels", "kinds", "channels", "layers", "positions", "units", "scores",
    "sources", "targets", "weights")  # fmt: skip
GRAPH: Values = {
    name: lambda c, name=name: getattr(c.made("Graph"), name) for name in _GRAPH_FIELDS
}
GRAPHS = ("Graph", "Circuit", "FeatureCircuit", "FeatureFlow", "InformationGraph")
#: What single calls take, where the name of the argument does not say it.
OF_CALLS: dict[str, Values] = {
    "Activations.of_concepts": {"texts": _corpus},
    "concepts": {"name": lambda _: {"city": [" Paris"], "land": [" France"]}},
    "features.evaluate_concepts": {"texts": _corpus, "dicts": _dictionary},
    "steering.directions": {"acts": lambda c: c.made("Activations"), "label": lambda _: "gender"},
    "steering.evaluate": {"questions": lambda _: PAIRS, "changes": lambda _: {"push": PUSH}},
    "steering.typical_length": {"features": lambda _: [FEATURE]},
    "features.evaluate": {"dicts": _dictionary},
    "weights.ablate": _fixed(questions=PAIRS), "ablate": _fixed(components="L0H2"),
    "weights.audit": _fixed(questions=PAIRS),
    "weights.relearn": {"changes": lambda c: {"after": c.model}, "material": lambda _: PAIRS,
                        "questions": lambda _: PAIRS, "steps": lambda _: (0, 1)},
    "task": _fixed(name="capitals"), "Task()": {"sets": lambda _: wb.task("capitals").sets},
    "find_circuit": _fixed(n_edges=8), "Attribution.circuit": _fixed(n_edges=8),
    "information.cut": {"edges": _first("InformationGraph", "edge_names")},
    "vocabulary.evaluate": {"vectors": lambda c: c.made("Observable").propagate()},
    "vocabulary.couplings": {"vectors": lambda c: [c.made("Observable").propagate()]},
    "steer": _fixed(prompts=[PROMPT], change=PUSH),
    "FeatureFlow.change": {"dicts": lambda c: c.dicts},
    "Dictionary.load": {"source": lambda c: _dictionary(c).path},
    "LiveFeatureFlow.expand": {"feature": _first("LiveFeatureFlow", "view", "ids"),
                               "way": lambda _: "up"},
    "LiveFeatureFlow.scale": {"feature": _first("LiveFeatureFlow", "view", "ids")},
    **{name: {"a": lambda c: c.model, "b": lambda c: c.model}
       for name in ("compare.align", "compare.stitch")},
    "lens.jacobian": {"model": lambda c: c.bridge, "texts": lambda c: c.corpus[:2]},
    "JacobianLens.translate": {"writer": lambda c: c.writers[1]},
    "data.path": _fixed(parts=("tasks", "ioi.json")),
    "controls.like": {
        "change": lambda c: wb.Add("L1.resid_post", torch.ones(c.model.spec.d_model)),
    },
    "features.shift": _fixed(features=[FEATURE]), "features.effects": {"questions": _task},
    "live.shift": {"effects": lambda c: wb.features.effects(
        c.model, c.texts, c.dicts, metric=c.made("Probe"), labels=LABELS
    )},
    "Probe.read": _fixed(rows=torch.ones(2, 64)),
    "ConceptEvaluation.of_concepts": _fixed(measure="f1"),
    "ConceptEvaluation.score": _fixed(measure="f1"),
    "Dictionaries()": {"dictionaries": lambda c: [_dictionary(c)]},
    "Dictionaries.feature": _fixed(name=FEATURE),
    "Dictionaries.only": _fixed(streams=("resid_post",)),
    "FeatureMatches.with_thresholds": _fixed(thresholds=0.2), "Graph()": GRAPH,
    "circuits.minimality": {
        "effects": lambda c: wb.circuits.evaluate(
            c.model, wb.task("capitals", n=2), c.made("Circuit"), references="zero",
            fractions=(0.5,), n_controls=2, progress=False,
        ),
        "reference": lambda _: "zero",
    },
    **{f"FeatureIndex.{name}": _fixed(feature=3)
       for name in ("check_feature", "contexts", "histogram", "sampled", "together", "tokens",
                    "name")},
    "features.find": _fixed(token=" the"), "features.decompose": _fixed(kind="random"),
    "FeatureIndex.open": {"folder": lambda c: c.made("FeatureIndex").folder},
    "FeatureIndex.text": _fixed(number=1),
    "FeatureMatches.of": _fixed(lane="resid"),
    "features.evaluate_flow": {"flow": lambda c: c.made("FeatureFlow"), "dicts": lambda c: c.dicts},
    "feature_flow": _fixed(feature=FEATURE),
    "HeadVocabulary.word": {"token_id": lambda c: int(next(iter(c.made("HeadVocabulary").words)))},
    "LogitLens.text": {"token_id": lambda c: int(c.made("LogitLens").token_ids[0])},
    "HeadVocabulary.of": _fixed(head="L1H0"),
    **{f"{kind}.{call}": {"name": _first(kind, field)}
       for kind in GRAPHS for call, field in (("edge", "edge_names"), ("node", "ids"))},
    **{f"InformationGraph.{name}": {key: _first("InformationGraph", "ids")
                                   for key in ("name", "source", "node")}
       for name in ("node", "path", "path_edges", "read")},
    "Labels.keep": {"label": lambda c: c.made("Labels").set(3, "a label")},
    "experiment": {"questions": lambda _: PAIRS,
                   "changes": lambda _: {"push": wb.Scale("L1.z", 0.5)},
                   "controls": lambda _: {("push", "mine", 0): wb.Scale("L1.z", 0.9)}},
    "Effects.__getitem__": _fixed(name="prompts"), "Effects.area": _fixed(along="strength"),
    "Effects.curves": _fixed(along="strength"),
    "Effects.scaled": _fixed(zero="plain", one="push"),
    "Activations.where": _fixed(labels={"gender": 1}), "Activations.label": _fixed(name="gender"),
    "Activations.of_rows": _fixed(rows=np.eye(2)), "Activations.take": _fixed(rows=[0]),
    "probe": _fixed(label="gender", folds=2), "Activations.encode": {"dicts": lambda c: c.dicts},
    "Change()": {"what": lambda _: wb.Scale("L1.z", 0.5)},
    "Change.of": {"what": lambda _: wb.Scale("L1.z", 0.5)},
    "WeightEdit.by_unit": _fixed(weight=torch.ones(64, 128)),
    "Traces.of_kind": _fixed(measure="cosine", kind="concept"),
    "Change.at": _fixed(strength=0.5),
    **{f"Change.{name}": {key: lambda c: c.made("Tokens") for key in ("tokens", "prompts")}
       for name in ("edits", "decided", "laid")},
    "Change.load": {"path": lambda c: c.made("Change").save(c.folder / "change")},
    "Dictionary.of": _fixed(vectors=np.eye(2, 64)), "Dictionary.set": _fixed(values={3: 1.0}),
    "Dictionary.scale": _fixed(factors={3: 0.5}), "Dictionary.add": _fixed(feature=3),
    "Dictionaries.set": _fixed(values={FEATURE: 1.0}), "Dictionaries.add": _fixed(feature=FEATURE),
    "Dictionaries.scale": _fixed(factors={FEATURE: 0.5}),
    "Dictionaries.project_out": _fixed(features=[FEATURE]),
    "Model.live_weight": _fixed(name="W_in", layer=1), "Model.weight": _fixed(name="W_in"),
    "Model.tokens": _fixed(prompts=PROMPT),
    "Model.norm": _fixed(name="ln1", layer=1), "Model.run": _fixed(read=["L1.resid_post"]),
    "vocabulary.words": {"vectors": lambda c: np.eye(2, c.model.spec.d_model)},
    "Activations.labelled": _fixed(name="gender"),
    "vocabulary.clamp": _fixed(words=WORDS), "metrics.pad_ids": _fixed(rows=[[1], [1, 2]]),
    "NeuronVocabulary.row": _fixed(neuron="L1.mlp_post/5"),
    "NeuronVocabulary.words": _fixed(neuron="L1.mlp_post/5"),
    "Observable()": _fixed(weights=np.ones(1986)),
    "Run.__getitem__": _fixed(site="L1.resid_post"), "Run.grad": _fixed(site="L1.resid_post"),
    "Site()": _fixed(layer=1, head=2), "Site.parse": _fixed(name="L1H2.z"),
    "TunedLens.chosen": {"writers": lambda c: c.writers}, "JacobianLens.chosen":
    {"writers": lambda c: c.writers},
    "TunedLens.translate": {"writer": lambda c: c.writers[1]},
    "WeightAlignment.partner": {"name": _first("WeightAlignment", "names_a")},
    "WeightEdit()": _fixed(name="W_in", layer=1, index=3, factor=0.5),
    "WeightEdit.changed": _fixed(before=torch.ones(1, 128)),
    "Result.load": {"path": lambda c: c.saved}, "metrics.kl": _fixed(reference=torch.ones(2, 20)),
    **{f"metrics.{name}": {
        "texts": lambda c: c.made("Tokens"),
        **{key: lambda _: torch.zeros(2, 5, 1986) for key in ("log_probs", "plain")},
    } for name in ("text_loss", "text_kl")},
    **{f"metrics.{name}": _fixed(answers=[1, 2], foils=[3, 4])
       for name in ("logit_difference", "probability_difference")},
    **{f"{kind}.from_neuronpedia": {"source": lambda c: c.made("Graph").to_neuronpedia()}
       for kind in GRAPHS},
}  # fmt: skip


#: Objects that no public call returns by its signature, or that are made otherwise.
OBJECTS: dict[str, Callable[[BaseCalls], Any]] = {
    "Model": lambda c: c.model, "Task": lambda c: c.named["task"],
    "Dictionaries": lambda c: c.dicts,
    "Dictionary": _dictionary,
    "Tokens": lambda c: c.model.tokens([PROMPT, "The capital of Italy"]),
    "Run": lambda c: c.model.run(
        PROMPT, read=["L1.resid_post"], grad_of=lambda logits: logits[:, -1, 5]
    ),
    "Site": lambda _: wb.Site("z", 1, head=2), "ModelSpec": lambda c: c.model.spec,
    "Norm": lambda c: c.model.norm("ln1", 1), "Graph": lambda c: c.made("Circuit"),
    "Generation": lambda c: c.model.generate(PROMPT, 1), "Edit": lambda _: wb.Scale("L1.z", 0.5),
    "Labels": lambda c: wb.features.Labels.of(_dictionary(c)),
    "Resume": lambda c: wb.Resume(1, torch.ones(1, 5, c.model.spec.d_model)),
    "ObservablePaths": lambda c: c.made("Observable").paths(),
    "ObservableAttribution": lambda c: c.made("Observable").attribute(PROMPT),
    "Effects": lambda c: wb.experiment(
        c.model, PAIRS, {"push": wb.Change(wb.Scale("L1.z", 0.5))}, strengths=(1, 2),
        controls={("push", "mine", 0): wb.Scale("L1.z", 0.9)}, progress=False,
    ),
    "Activations": lambda c: wb.activations(
        c.model, c.texts, "L2.resid_post", labels={"gender": LABELS}
    ),
    "Change": lambda _: wb.Change(wb.Scale("L1.z", 0.5)),
    "Result": lambda c: c.made("LogitLens"), "Circuit": lambda c: wb.circuits.of(c.model, [EDGE]),
}  # fmt: skip
