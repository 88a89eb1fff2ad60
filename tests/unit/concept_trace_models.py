"""What the tests of concept vectors share: small models, their questions, and slow read-outs."""

from __future__ import annotations

from typing import Any

import torch

from tests.unit.lens_models import zoo_model

WORDS = ["w5", "w9", "w30"]
PROMPTS = [("w7 w8 w12", "w5"), ("w40 w41", "w9"), ("w3 w20 w21 w22", "w30"), ("w7 w7", "w5")]
OTHERS = [("w11 w12", "w44"), ("w50 w51 w52", "w13")]
TEXTS = ["w2 w3 w4 w5 w6", "w9 w8 w7", "w33 w31 w35 w32 w37 w36"]
BACKENDS = ["nnsight", "transformer_lens"]


def model_of(name: str = "gpt2", backend: str = "nnsight", dtype: str = "float32") -> Any:
    return zoo_model(name, backend, dtype)


def ids_of(text: str) -> list[int]:
    """The ids of a text in the zoo's tokenizer, in which "w5" is 5."""
    return [int(word[1:]) for word in text.split()]


def value_row(hf_model: Any, layer: int, unit: int) -> torch.Tensor:
    """A value vector of a plain Hugging Face model, as a view."""
    if hasattr(hf_model, "transformer"):
        return hf_model.transformer.h[layer].mlp.c_proj.weight[unit]
    return hf_model.model.layers[layer].mlp.down_proj.weight[:, unit]


def log_probabilities(hf_model: Any, asked: list[tuple[str, str]]) -> torch.Tensor:
    """(batch,) of the answers, prompt by prompt."""
    out = []
    with torch.no_grad():
        for prompt, answer in asked:
            logits = hf_model(torch.tensor([ids_of(prompt)])).logits[0, -1]
            out.append(logits.double().log_softmax(-1)[ids_of(answer)[0]])
    return torch.stack(out)


def text_losses(hf_model: Any, texts: list[str]) -> list[float]:
    """The mean loss a token of each text, token by token."""
    out = []
    with torch.no_grad():
        for text in texts:
            ids = ids_of(text)
            rows = hf_model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            each = [-float(rows[i, ids[i + 1]]) for i in range(len(ids) - 1)]
            out.append(sum(each) / len(each))
    return out


def text_divergences(plain: Any, changed: Any, texts: list[str]) -> list[float]:
    """The mean over positions of KL(plain ‖ changed) of each text."""
    out = []
    with torch.no_grad():
        for text in texts:
            ids = torch.tensor([ids_of(text)])
            p = plain(ids).logits[0].double().log_softmax(-1)
            q = changed(ids).logits[0].double().log_softmax(-1)
            out.append(float((p.exp() * (p - q)).sum(-1).mean()))
    return out


def weights_of(model: Any) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def unchanged(model: Any, before: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights_of(model), before, strict=True))
