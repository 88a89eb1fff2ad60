"""The logit lens beside TransformerLens's and beside the plain stack-and-unembed.

Run `python -m tests.benchmarks.logit_lens [rounds]`. A model of GPT-2-small's shape with random
weights, 128 tokens, the top 10 at all positions and layers, on the CPU: seconds (medians of turns
taken in one process), whether the numbers agree, and the memory that each adds.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
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
OURS = {
    "workbench, top 10": (),
    "workbench, with entropy and KL": ("entropy", "kl"),
    "workbench, with all measures": ("entropy", "kl", "tracks"),
}
THEIRS, PLAIN = "TransformerLens logit_lens", "plain stack and unembed"
WAYS = (*OURS, THEIRS, PLAIN)


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


def way(name: str, folder: Path) -> Callable[..., Any]:
    """One of `WAYS` as a call on the model in the folder, with the number of tokens to read."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    ids = torch.randint(1, N_WORDS, (1, N_TOKENS), generator=torch.Generator().manual_seed(0))
    if name == PLAIN:
        hf_model = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
        return lambda n=N_TOKENS: plain(hf_model, ids[:, :n])
    from workbench.loading import load

    if name == THEIRS:
        from transformer_lens.tools.analysis import logit_lens as theirs

        bridge = load(folder, backend="transformer_lens", device="cpu").raw
        options: dict[str, Any] = {"positions": None, "top_k": K, "return_type": "log_probs"}
        return lambda n=N_TOKENS: theirs(bridge, ids[:, :n], **options)
    from workbench import logit_lens

    model = load(folder, device="cpu")
    return lambda n=N_TOKENS: logit_lens(model, ids[:, :n].tolist(), k=K, measures=OURS[name])


def top_values(name: str, result: Any) -> np.ndarray:
    """(row, pos, k) log-probabilities of what a way gave."""
    if name == PLAIN:
        return result.numpy()
    return result.values[:, 0].numpy() if name == THEIRS else result.panels[0].top_logprobs[0]


def added_in_new_process(name: str, folder: Path) -> int:
    """Bytes that a way adds in a process of its own, warmed up on a few tokens."""
    command = [sys.executable, "-m", "tests.benchmarks.logit_lens", "memory", name, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def main(rounds: int = 7) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        save_model(folder)
        memory = {name: added_in_new_process(name, folder) for name in WAYS}
        calls = {name: way(name, folder) for name in WAYS}
    values = {name: top_values(name, call()) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    n_rows = len(values[PLAIN])
    full = 4 * n_rows * N_TOKENS * N_WORDS
    print(
        f"logit lens, GPT-2-small shape, {n_rows} rows × {N_TOKENS} tokens, top {K}, "
        f"{torch.get_num_threads()} threads, medians of {rounds} turns"
    )
    base = statistics.median(seconds[THEIRS])
    print(f"{'':34}{'seconds':>9}{'ratio':>8}{'largest difference':>20}{'added memory':>21}")
    for name, times in seconds.items():
        middle = statistics.median(times)
        away = f"{np.abs(values[name] - values[PLAIN]).max():.1e}"
        share = f"{memory[name] / 2**20:.0f} MiB, {memory[name] / full:.3f}"
        print(f"{name:34}{middle:9.3f}{middle / base:8.2f}{away:>20}{share:>21}")
    print(
        f"ratio: to TransformerLens; difference: to plain; "
        f"memory: beside the full array's {full / 2**20:.0f} MiB"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        measured = way(sys.argv[2], Path(sys.argv[3]))
        measured(4)
        print(added_memory(measured))
    else:
        main(*map(int, sys.argv[1:2]))
