"""The live explorer: every change runs the model, and trouble is told in place."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

import workbench as wb
from tests.parity import zoo
from tests.unit.lens_models import PROMPT, words_model, zoo_model
from tests.unit.tokenizers import adding
from workbench import live
from workbench.lens import TunedLens


@pytest.fixture
def explorer() -> live.LiveLogitLens:
    return live.logit_lens(words_model(), PROMPT, targets=" Mary", foils=" John", k=4)


def test_it_begins_with_the_prompt_and_options_given(explorer: live.LiveLogitLens) -> None:
    assert explorer.prompt == PROMPT
    assert explorer.result.targets == (" Mary",) and explorer.result.k == 4
    assert explorer.targets == "Mary" and explorer.foils == "John"
    assert explorer.view._tokens == list(explorer.result.tokens[0])
    assert explorer.view.status == explorer.message == ""
    assert repr(explorer).startswith("LiveLogitLens(LogitLens(words: ")


def test_a_new_prompt_runs_the_model_and_redraws_the_grid(explorer: live.LiveLogitLens) -> None:
    explorer.prompt = "The capital of Italy is"
    assert explorer.result.tokens[0] == ("The", " capital", " of", " Italy", " is")
    assert explorer.view._tokens == list(explorer.result.tokens[0])
    assert explorer.view.status == ""


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("prompt", ""), "A prompt has at least one character"),
        (("prompt", "store" + " store" * 59), "reads at most 48 tokens; prompt 0 has 6"),
        (("targets", "Mary, store Mary"), "is one token; ' store Mary' is 2"),
        (("foils", "John, Paul"), "got 2 foils and 1 targets"),
        (("targets", ""), "A foil is what a target is compared with"),
    ],
)
def test_trouble_is_told_in_words_and_the_old_grid_stays(
    explorer: live.LiveLogitLens, change: tuple[str, str], text: str
) -> None:
    before, tokens = explorer.result, list(explorer.view._tokens)
    setattr(explorer, change[0], change[1])
    assert text in explorer.message
    assert text in explorer._message.value.replace("&#x27;", "'")
    assert explorer.view.status == "error: this is the last prompt that worked"
    assert explorer.result is before and explorer.view._tokens == tokens
    explorer.targets, explorer.foils = "Mary", ""
    explorer.prompt = "The capital of France is"
    assert explorer.message == explorer._message.value == explorer.view.status == ""


def test_markup_in_a_message_is_shown_and_not_executed(explorer: live.LiveLogitLens) -> None:
    explorer.targets = "<img src=x onerror=alert(1)>"
    assert "<img" in explorer.message
    assert "<img" not in explorer._message.value


def test_a_failure_of_any_kind_does_not_reach_the_kernel(
    explorer: live.LiveLogitLens, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise MemoryError("out of memory")

    monkeypatch.setattr(explorer, "_compute", broken)
    explorer.prompt = "The capital of France is"
    assert explorer.message == "out of memory"

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(explorer, "_compute", interrupted)
    explorer.prompt = "The capital of Italy is"
    assert explorer.message == "The run was interrupted."


def test_the_first_prompts_trouble_is_an_ordinary_error() -> None:
    with pytest.raises(ValueError, match="A prompt has at least one character"):
        live.logit_lens(words_model(), "")


def test_the_start_token_and_k_are_options(explorer: live.LiveLogitLens) -> None:
    assert not explorer.start and not explorer.boxes["start"].disabled
    explorer.start = True
    assert explorer.result.tokens[0][0] == "<|endoftext|>"
    explorer.start = False
    assert explorer.result.tokens[0][0] == "When"
    explorer.k = 7
    assert explorer.result.k == 7


def test_a_pinned_token_and_the_chosen_quantity_stay_while_typing(
    explorer: live.LiveLogitLens,
) -> None:
    explorer.view.quantity = "entropy"
    explorer.prompt = PROMPT + " Mary"
    assert explorer.view.quantity == "entropy"


def test_keystrokes_that_come_quickly_make_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = live.logit_lens(words_model(), PROMPT)
    runs: list[str] = []
    real = live.LiveLogitLens._run
    monkeypatch.setattr(
        live.LiveLogitLens, "_run", lambda self: (runs.append(self.prompt), real(self))[1]
    )
    statuses: list[str] = []
    explorer.view.observe(lambda change: statuses.append(change["new"]), names="status")

    async def type_quickly() -> None:
        for n in range(5, 12):
            explorer.boxes["prompt"].set_state({"value": PROMPT[:n]})
        assert explorer.view.status == "running…"
        while explorer._pending is not None:
            await asyncio.sleep(0.01)

    asyncio.run(type_quickly())
    assert runs == [PROMPT[:11]]
    assert statuses == ["running…", ""]
    assert "".join(explorer.result.tokens[0]) == PROMPT[:11]


def test_it_reads_through_other_lenses_and_components() -> None:
    model = words_model()
    explorer = live.logit_lens(model, PROMPT, lens=[None, TunedLens.identity(model)])
    assert [panel["lens"] for panel in explorer.view._panels] == ["logit lens", "tuned lens"]
    explorer = live.logit_lens(model, PROMPT, sites=["resid_post", "z"])
    explorer.view.panel = 1
    explorer.prompt = "The capital of France is"
    assert explorer.view.panel == 1


def test_its_page_is_the_grid_as_it_is_now(explorer: live.LiveLogitLens, tmp_path: Path) -> None:
    explorer.view.quantity = "kl"
    path = explorer.to_html(tmp_path / "live.html")
    assert path == tmp_path / "live.html"
    text = path.read_text(encoding="utf-8")
    assert '"quantity": "kl"' in text and text == explorer.html()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("Mary, John", [" Mary", " John"]),
        ("Mary,,", [" Mary"]),
        ("' Mary', '.'", [" Mary", "."]),
        (".", ["."]),
        ("','", [","]),
        ("When", ["When"]),
    ],
)
def test_a_box_is_read_as_words_between_commas(
    explorer: live.LiveLogitLens, text: str, tokens: list[str]
) -> None:
    explorer.foils = ""
    explorer.targets = text
    assert not explorer.message and list(explorer.result.targets) == tokens


@pytest.mark.parametrize("tokens", [[" Mary", " John"], ["When", ","], ["."], []])
def test_what_a_box_is_given_it_gives_back(tokens: list[str]) -> None:
    explorer = live.logit_lens(words_model(), PROMPT, targets=tokens)
    explorer.prompt = "When Mary"
    assert not explorer.message and list(explorer.result.targets) == tokens


def test_the_function_stays_reachable_beside_its_module() -> None:
    assert live.LiveLogitLens.__module__ in sys.modules
    assert callable(live.logit_lens)


def test_a_tokenizer_without_a_start_token_has_no_such_option() -> None:
    model = zoo_model("gpt2")
    token, model.tokenizer.bos_token = model.tokenizer.bos_token, None
    try:
        explorer = live.logit_lens(model, "w5 w7")
        assert explorer.boxes["start"].disabled and not explorer.start
        explorer.prompt = "w5 w8"
        assert explorer.message == ""
    finally:
        model.tokenizer.bos_token = token


def test_what_a_tokenizer_puts_first_by_itself_stays_when_a_control_changes() -> None:
    model = wb.load(zoo.hf_model("gpt2"), tokenizer=adding(("<a>", "<b>")))
    explorer = live.logit_lens(model, "w9 w10", k=2)
    assert explorer.start and not explorer.boxes["start"].disabled
    assert explorer.result.tokens == (("<a>", "<b>", "w9", "w10"),)
    explorer.k = 3
    explorer.prompt = "w9 w11"
    assert not explorer.message
    assert explorer.result.tokens == (("<a>", "<b>", "w9", "w11"),)
    explorer.start = False
    assert explorer.result.tokens == (("w9", "w11"),)
