"""Trains one of the embedded models.

    python -m data.tinyworld.train --form gpt2 --seed 0 --out data/models/tinyworld \\
        --checkpoints data/models/tinyworld-checkpoints

from the root of the checkout. A run that was stopped goes on where it was when --state names the
same folder. The schedule counts steps, so that a seed gives the same training on any machine, up
to rounding.
"""

import argparse
import json
import random
import shutil
import time
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from . import documents
from .documents import OTHER
from .measure import Reader, measure
from .tokenizer import END, PAD, Encoder, save_tokenizer, train_tokenizer

CONTEXT, ROWS = 64, 32
STEPS = 12_000  # the text changes along these, however long the training is
WARM_UP = 100
OTHERS_SAMPLED = 0.12  # share of plain tokens that carry loss; weighted so that the mean is OTHER
MUON_RATE, ADAM_RATE, DECAY = 0.01, 2e-3, 0.05


def make_tokenizer():
    """The tokenizer, from the world and 30,000 documents of a fixed seed."""
    rng = random.Random("tokenizer")
    texts = [documents.document(rng, i / 30_000) for i in range(30_000)]
    return train_tokenizer(text.replace("[", "").replace("]", "") for text in texts)


def make_model(form: str, tokenizer) -> GPT2LMHeadModel | LlamaForCausalLM:
    """An untrained model: "gpt2" (learned positions) or "llama" (rotary, grouped queries)."""
    end, pad = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    common = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": pad}
    size = tokenizer.get_vocab_size()
    if form == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=size, n_positions=CONTEXT, n_embd=128, n_layer=4, n_head=4,
                resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
                # the same function as gelu_new, in one kernel
                activation_function="gelu_pytorch_tanh", **common,
            )
        )  # fmt: skip
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size, max_position_embeddings=CONTEXT, hidden_size=128,
            intermediate_size=352, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=2, tie_word_embeddings=True, **common,
        )
    )  # fmt: skip


def make_optimizers(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside blocks, AdamW for embeddings, norms and biases."""
    named = list(model.named_parameters())
    inside = [p for name, p in named if p.ndim == 2 and ("h." in name or "layers." in name)]
    chosen = {id(p) for p in inside}
    embeddings = [p for _, p in named if p.ndim == 2 and id(p) not in chosen]
    vectors = [p for _, p in named if p.ndim < 2]
    groups = [
        {"params": embeddings, "weight_decay": DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [
        torch.optim.Muon(inside, lr=MUON_RATE, weight_decay=DECAY),
        torch.optim.AdamW(groups, lr=ADAM_RATE, betas=(0.9, 0.98)),
    ]


def rate(step: int, n_steps: int) -> float:
    """Share of the full learning rate: warm-up, constant, then linear decay over the last half."""
    return min(1.0, (step + 1) / WARM_UP, 2.0 * (n_steps - step) / n_steps)


def batch(encoder: Encoder, seed: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and loss weights of one step, both (ROWS, CONTEXT)."""
    progress = min(1.0, step / STEPS)
    rows = list(documents.rows(encoder, f"{seed}:{step}", ROWS, CONTEXT, progress))
    weights = torch.tensor([row.weights for row in rows])
    draw = torch.rand(weights.shape, generator=torch.Generator().manual_seed(seed * 10**6 + step))
    other = weights == OTHER
    weights[other] = torch.where(draw < OTHERS_SAMPLED, OTHER / OTHERS_SAMPLED, 0.0)[other]
    return torch.tensor([row.ids for row in rows]), weights


def loss_of(model: PreTrainedModel, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean cross-entropy; only positions that carry loss are unembedded."""
    hidden = model.base_model(ids, use_cache=False).last_hidden_state[:, :-1]
    carries = weights[:, 1:] > 0
    logits = model.lm_head(hidden[carries])
    losses = torch.nn.functional.cross_entropy(logits, ids[:, 1:][carries], reduction="none")
    kept = weights[:, 1:][carries]
    return (losses * kept).sum() / kept.sum()


def save(model, tokenizer, folder: Path, dtype: torch.dtype) -> None:
    """Write model and tokenizer in Hugging Face form."""
    shutil.rmtree(folder, ignore_errors=True)
    state = {name: value.to(dtype) for name, value in model.state_dict().items()}
    state.pop("lm_head.weight")  # tied to the embedding, so stored once
    model.save_pretrained(folder, state_dict=state)
    settings = json.loads((folder / "config.json").read_text())
    settings["dtype"] = str(dtype).removeprefix("torch.")
    if "activation_function" in settings:
        settings["activation_function"] = "gelu_new"
    (folder / "generation_config.json").unlink()  # says no more than config.json
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    save_tokenizer(tokenizer, folder, CONTEXT)


def train(arguments: argparse.Namespace) -> None:
    """Run the training, with a log line every 100 steps and measures every 1,000."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    tokenizer = make_tokenizer()
    encoder = Encoder(tokenizer)
    model = make_model(arguments.form, tokenizer)
    optimizers = make_optimizers(model)
    state_file = arguments.state / "state.pt" if arguments.state else None
    first, minutes = 0, 0.0
    if state_file and state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first, minutes = state["step"], state["minutes"]
    folder = arguments.out
    save_tokenizer(tokenizer, folder, CONTEXT)
    began = time.monotonic() - 60 * minutes
    steps = arguments.steps
    for step in range(first, steps):
        if arguments.checkpoints and step in arguments.checkpoint_steps:
            save(model, tokenizer, arguments.checkpoints / f"step-{step:06d}", torch.float16)
        for optimizer, full in zip(optimizers, (MUON_RATE, ADAM_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = full * rate(step, steps)
        loss = loss_of(model, *batch(encoder, arguments.seed, step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        done, minutes = step + 1, (time.monotonic() - began) / 60
        if done % 100 == 0:
            print(f"step {done} loss {loss.item():.4f} minutes {minutes:.1f}", flush=True)
        if state_file and done % 250 == 0:
            arguments.state.mkdir(parents=True, exist_ok=True)
            saved = {
                "model": model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "step": done,
                "minutes": minutes,
            }
            torch.save(saved, state_file.with_suffix(".new"))
            state_file.with_suffix(".new").replace(state_file)
        if done % 1000 == 0 or done == steps:
            model.eval()
            save(model, tokenizer, folder, torch.float32)
            reader = Reader.load(folder)
            for condition in ("alone", "start+after"):
                values = measure(reader, 120, condition)
                line = " ".join(f"{name}={value:.3f}" for name, value in values.items())
                print(f"step {done} {condition}: {line}", flush=True)
            model.train()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", choices=("gpt2", "llama"), default="gpt2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--checkpoints", type=Path, help="folder for the models along the way")
    parser.add_argument("--checkpoint-steps", type=int, nargs="*", default=[])
    parser.add_argument("--state", type=Path, help="folder to go on from after a stop")
    parser.add_argument("--threads", type=int, default=2)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
