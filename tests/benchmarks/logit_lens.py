"""The logit lens beside TransformerLens's and beside the plain stack-and-unembed.

Run `python -m tests.benchmarks.logit_lens [rounds]`. A model of GPT-2-small's shape with random weights, 128
tokens, the top 10 at all positions and layers, on the CPU: seconds (medians of turns taken in one
process), whether the numbers agree, and the memory that each adds.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

N_TOKENS, K = 128, 10
N_WORDS = 50257


def save_model(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = {"<end>": 0, **{f"w{i}": i for i in range(1, N_WORDS)}}
    inner = Tokenizer(models.WordLevel(words, unk_token="<end>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"bos_token": "<end>", "eos_token": "<end>", "pad_token": "<end>"}
    PreTrainedTokenizerFast(tokenizer_object=inner, **names).save_pretrained(folder)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0, pad_token_id=0))
    for parameter in model.parameters():
        # Wider than at the start of a training, so that layers tell tokens apart.
        if parameter.ndim > 1:
            parameter.data.mul_(3)
    model.save_pretrained(folder)


def plain(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """All residual streams stacked and unembedded at once: (row, pos, k) log-probabilities."""
    with torch.no_grad():
        out = model.transformer(ids, output_hidden_states=True)
        # The last hidden state has the final norm applied already.
        stack = torch.cat(out.hidden_states[:-1])
        logits = model.lm_head(torch.cat([model.transformer.ln_f(stack), out.last_hidden_state]))
        return logits.log_softmax(-1).topk(K).values


def added_memory(call: Callable[[], Any]) -> int:
    """Bytes by which the process's resident memory rises at most while `call` runs."""
    status = Path("/proc/self/statm")
    page = 4096

    def resident() -> int:
        return int(status.read_text().split()[1]) * page

    gc.collect()
    start = peak = resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            time.sleep(0.0005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        call()
    finally:
        done.set()
        thread.join()
    return peak - start


def main(rounds: int = 7) -> None:
    import transformers
    from transformer_lens.tools.analysis import logit_lens as theirs
    from transformers import GPT2LMHeadModel

    from workbench.loading import load
    from workbench.methods.logit_lens import logit_lens as ours

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        ids = torch.randint(1, N_WORDS, (1, N_TOKENS), generator=torch.Generator().manual_seed(0))
        model = load(folder, device="cpu")
        bridge = load(folder, backend="transformer_lens", device="cpu")
        hf_model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()
    prompt = ids.tolist()
    ways: dict[str, Callable[[], Any]] = {
        "workbench, top 10": lambda: ours(model, prompt, k=K, measures=()),
        "workbench, with entropy and KL": lambda: ours(
            model, prompt, k=K, measures=("entropy", "kl")
        ),
        "workbench, with all measures": lambda: ours(model, prompt, k=K),
        "TransformerLens logit_lens": lambda: theirs(
            bridge.raw, ids, positions=None, top_k=K, return_type="log_probs"
        ),
        "plain stack and unembed": lambda: plain(hf_model, ids),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    found = {way: call() for way, call in ways.items()}
    for _ in range(rounds):
        for way, call in ways.items():
            start = time.perf_counter()
            call()
            seconds[way].append(time.perf_counter() - start)
    reference = found.pop("plain stack and unembed").numpy()
    values = {way: result.panels[0].top_logprobs[0] for way, result in list(found.items())[:3]}
    values["TransformerLens logit_lens"] = found["TransformerLens logit_lens"].values[:, 0].numpy()
    rows = model.spec.n_layers + 1
    full = 4 * rows * N_TOKENS * model.spec.d_vocab
    memory = {way: added_in_new_process(way) for way in ways}
    print(
        f"logit lens, GPT-2-small shape, {rows} rows × {N_TOKENS} tokens, top {K}, "
        f"{torch.get_num_threads()} threads, medians of {rounds} turns"
    )
    base = statistics.median(seconds["TransformerLens logit_lens"])
    print(f"{'':34}{'seconds':>9}{'ratio':>8}{'largest difference':>20}{'added memory':>21}")
    for way, times in seconds.items():
        middle = statistics.median(times)
        away = f"{np.abs(values[way] - reference).max():.1e}" if way in values else "the reference"
        share = f"{memory[way] / 2**20:.0f} MiB, {memory[way] / full:.3f}"
        print(f"{way:34}{middle:9.3f}{middle / base:8.2f}{away:>20}{share:>21}")
    print(f"ratio is to TransformerLens; memory is beside the full array's {full / 2**20:.0f} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
