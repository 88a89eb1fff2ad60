"""Other names: what TransformerLens, nnsight and transformers call things, and ours for it."""

from __future__ import annotations

from collections.abc import Iterable

#: Of a model, by the name that another library has for it.
ATTRIBUTES = {
    "run_with_cache": "model.run(prompt, read='resid_post')",
    "run_with_hooks": "model.run(prompt, edits=…)",
    "add_hook": "model.run(prompt, edits=…)",
    "hooks": "model.run(prompt, edits=…)",
    "trace": "model.run(prompt, read=…, edits=…), or nnsight's own model.raw.trace(…)",
    "forward": "model.run(prompt).logits",
    "to_tokens": "model.tokens(text)",
    "to_str_tokens": "model.tokens(text).strings",
    "to_string": "model.tokenizer.decode(ids)",
    "to_single_token": "model.tokenizer.encode(text)",
    "cfg": "model.spec",
    "config": "model.spec",
    "blocks": "model.run(prompt, read='L0.resid_post'), or model.raw for the modules",
    "ln_final": "model.norm('ln_final')",
} | {
    name: f"model.weight({name!r})"
    for name in ("W_E", "W_pos", "W_U", "b_U", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
}
#: Of arguments.
ARGUMENTS = {
    "max_new_tokens": "n_new",
    "names_filter": "read",
    "output_hidden_states": "read='resid_post'",
    "output_attentions": "read='pattern'",
    "fwd_hooks": "edits",
    "hook_fn": "edits",
    "stop_at_layer": "stop_after",
    "do_sample": "temperature, 0 for none",
    "prepend_bos": "model.tokens(prompt, prepend_bos=…), whose Tokens every call takes",
    "return_type": "logits_at",
}


def no_attribute(name: str) -> str:
    """What to say of an attribute that a model does not have."""
    ours = f"; write {ATTRIBUTES[name]}" if name in ATTRIBUTES else ""
    return f"A model has no {name!r} here{ours}. dir(model) lists what it has."


def arguments_here(names: Iterable[str]) -> str:
    """What arguments of other libraries are called here, "" where none of them is known."""
    known = [f"{name} is {ARGUMENTS[name]} here" for name in names if name in ARGUMENTS]
    return f" {'; '.join(known)}." if known else ""
