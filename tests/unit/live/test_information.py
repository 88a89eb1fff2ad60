"""The live graph of a pass without a browser: cuts, paths, heads, and code that does the same."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.cut_edges import best_of, fall, others_of, runs
from tests.unit.steering_models import hugging_face, tinyworld

PROMPT = "The capital of France is"
HEAD, FIRST, LAST = "L0H2.z@4", "embed@3", "L3.resid_post@4"
EDGE = f"{FIRST} → {HEAD} v"
OTHER = "L0.resid_mid@4 → L0.mlp_out@4"


@pytest.fixture
def explorer() -> wb.live.LiveInformation:
    return wb.live.information(tinyworld())


def by_hand(without: int | None) -> torch.Tensor:
    """(d_vocab,) logits of the prompt's next token in the Hugging Face model.

    without: head 2 of layer 0 moves nothing from this position to the last one.
    """
    model = hugging_face()
    attention = model.transformer.h[0].attn
    moved: dict[str, torch.Tensor] = {}

    def values(module: Any, inputs: Any, output: Any) -> None:
        moved["v"] = output[0, :, 2 * 128 + 2 * 32 : 2 * 128 + 3 * 32]

    def cut(module: Any, inputs: Any) -> Any:
        z = inputs[0].clone()
        if without is not None:
            z[0, 4, 2 * 32 : 3 * 32] -= moved["pattern"][4, without] * moved["v"][without]
        return (z,)

    ids = torch.tensor([tinyworld().tokenizer(PROMPT).input_ids])
    with torch.no_grad():
        moved["pattern"] = model(ids, output_attentions=True).attentions[0][0, 2]
        # The model is shared by many tests.
        with (
            attention.c_attn.register_forward_hook(values),
            attention.c_proj.register_forward_pre_hook(cut),
        ):
            return model(ids).logits[0, -1]


def plain(text: str) -> str:
    """HTML as it is read."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def run_code(explorer: wb.live.LiveInformation) -> dict[str, Any]:
    """What the exported code computes."""
    space: dict[str, Any] = {}
    exec(explorer.code, space)
    return space


def test_it_opens_with_the_graph_and_nothing_cut(explorer: wb.live.LiveInformation) -> None:
    assert explorer.prompt == PROMPT and explorer.measure == "state" and explorer.n_edges == 150
    assert explorer.view.ids == explorer.information.ids and explorer.view.mode == "edit"
    assert explorer.information.target == " Paris" and explorer.cuts == ()
    words = by_hand(None).softmax(-1).sort(descending=True)
    assert explorer.reading.cut is None and explorer.reading.plain == explorer.reading.after
    np.testing.assert_allclose(explorer.reading.plain.probabilities, words.values[:6], atol=1e-4)
    assert explorer.reading.plain.tokens[0] == " Paris"
    assert "nothing is cut" in plain(explorer._answers.value)
    assert explorer._undo_button.disabled and explorer._cut_path.disabled
    assert repr(explorer) == f"LiveInformation({explorer.information!r}, 0 edges cut)"


def test_a_cut_edge_changes_the_answer_as_it_does_in_the_model_itself(
    explorer: wb.live.LiveInformation,
) -> None:
    explorer.view.cut_edges = [EDGE]
    before, after = by_hand(None), by_hand(3)
    paris = tinyworld().tokenizer(" Paris").input_ids[0]
    cut = explorer.reading.cut
    assert cut is not None and explorer.reading.edges == (EDGE,) == explorer.cuts
    lost = (before[paris] - before.mean()) - (after[paris] - after.mean())
    assert fall(cut) == pytest.approx(float(lost), abs=1e-3)
    words = after.softmax(-1).sort(descending=True)
    np.testing.assert_allclose(explorer.reading.after.probabilities, words.values[:6], atol=1e-4)
    assert explorer.reading.plain.tokens[0] == " Paris"
    assert explorer.reading.after.tokens[0] == " Rome"
    # As many random edges by which a head reads a value, and the answer hardly falls.
    drawn = others_of(cut)
    assert len(drawn) == 8
    assert all(len(edges) == 1 and edges[0].endswith(" v") for edges in drawn)
    assert EDGE not in {edges[0] for edges in drawn}
    others = cut.effect(of="controls")[:, 0]
    assert abs(others).max() < fall(cut) / 2
    text = plain(explorer._answers.value)
    assert f"' Paris' above the mean: {runs(cut)[0]:.2f} → {runs(cut)[1]:.2f} logits" in text
    assert f"{others.mean():+.2f} on average, a smaller change in 8 of 8" in text


def test_undo_and_reset_go_through_the_cuts(explorer: wb.live.LiveInformation) -> None:
    explorer.view.cut_edges = [EDGE]
    one = explorer.reading.after
    explorer.view.cut_edges = [EDGE, OTHER]
    assert explorer.reading.after != one
    explorer.undo()
    assert explorer.view.cut_edges == [EDGE] and explorer.reading.after == one
    explorer.reset()
    assert explorer.view.cut_edges == [] and explorer.reading.cut is None
    explorer.undo()
    assert explorer.cuts == (EDGE,) and explorer.reading.after == one
    explorer.undo()
    assert explorer.cuts == () and explorer._undo_button.disabled
    explorer.undo()
    explorer.reset()
    assert explorer.cuts == () and explorer._undo_button.disabled


def test_two_nodes_give_the_strongest_path_and_it_is_cut_where_it_is_narrow(
    explorer: wb.live.LiveInformation,
) -> None:
    explorer.view.selected = FIRST
    assert explorer._cut_path.disabled
    explorer.view.other, explorer.view.selected = FIRST, LAST
    info, path = explorer.information, explorer.path
    assert path is not None and path.nodes == info.path(FIRST, LAST)
    assert path.edges == info.path_edges(FIRST, LAST)
    shares = [float(info.shares[info.edge_names.index(name)]) for name in path.edges]
    assert path.shares == pytest.approx(shares)
    assert path.strength == pytest.approx(np.prod(shares))
    # The stream and the rest of what the MLP writes carry everything else too.
    assert path.narrow == (EDGE,)
    text = plain(explorer._path_text.value)
    assert f"Strongest path from {FIRST} to {LAST} : {100 * path.strength:.3g} %" in text
    weight = info.weights[info.edge_names.index(EDGE)]
    assert f"{EDGE} ✂ {100 * shares[0]:.3g} % {weight:+.3f}" in text
    explorer._cut_path.click()
    assert explorer.cuts == (EDGE,) and explorer.reading.after.tokens[0] == " Rome"
    # The next path goes another way.
    assert explorer.path is not None and EDGE not in explorer.path.edges
    assert explorer.path.strength < path.strength
    explorer.cut_path()
    assert len(explorer.cuts) == 2
    explorer.view.other = "L3.mlp_out@4"
    explorer.view.selected = "embed@0"
    explorer.view.selected, explorer.view.other = "L3H0.z@4", "L3H3.z@4"
    text = plain(explorer._path_text.value)
    assert text == "No path of edges that are not cut joins L3H3.z@4 and L3H0.z@4."
    assert explorer._cut_path.disabled
    explorer.cut_path()
    assert len(explorer.cuts) == 2


def test_a_path_is_cut_at_heads_else_at_neurons_else_along_the_stream(
    explorer: wb.live.LiveInformation,
) -> None:
    info = explorer.information

    def joined(a: str, b: str) -> Any:
        explorer.view.selected, explorer.view.other = a, b
        return explorer.path

    from_head = joined(LAST, HEAD)
    assert from_head is not None and from_head.nodes[0] == HEAD
    assert from_head.narrow == from_head.edges[:1] == (f"{HEAD} → L0.resid_mid@4",)
    inside = joined("L0.resid_mid@4", "L0.resid_post@4")
    assert inside is not None and inside.narrow == (OTHER,)
    stream = joined("L1.resid_post@4", "L2.resid_mid@4")
    assert stream is not None and stream.narrow == stream.edges
    explorer.view.cut_edges = list(stream.edges)
    assert joined("L1.resid_post@4", "L2.resid_mid@4") is None
    with pytest.raises(ValueError, match="is not among the"):
        info.path("L9H9.z@0", LAST)


def test_a_head_shows_what_it_moved_from_where_and_what_that_does(
    explorer: wb.live.LiveInformation,
) -> None:
    explorer.view.selected = HEAD
    info, text = explorer.information, plain(explorer._node_text.value)
    said = info.read(HEAD)
    assert text.startswith(f"{HEAD} at is (4) writes: {' '.join(' '.join(said['words']).split())}")
    assert f"looks for: {' '.join(' '.join(said['query: looks for']).split())}" in text
    edge = info.edge_names.index(EDGE)
    share = f"{info.weights[edge]:+.3f} ({100 * info.shares[edge]:.3g} %)"
    value = " ".join(" ".join(said["value of 'France'@3"][:5]).split())
    key = " ".join(" ".join(said["key of 'France'@3: looked for by"][:5]).split())
    alone = fall(wb.information.cut(tinyworld(), info, EDGE))
    assert f"France (3) {share} {value} {key} {-alone:+.2f} logits" in text
    out = f"{HEAD} → L0.resid_mid@4"
    whole = fall(wb.information.cut(tinyworld(), info, out))
    assert f"the answer, it cut alone: {-whole:+.2f} logits" in text
    # Of a state the graph's own panel says everything, also what the norm does.
    explorer.view.selected = LAST
    assert explorer._node_text.value == ""
    node = next(node for node in explorer.view._nodes if node["id"] == LAST)
    captions = [caption for caption, _ in node["details"]]
    assert captions == ["the norm holds back", "the norm brings out"]
    explorer.view.selected = "L3.mlp_out@4"
    assert "L3.mlp_out@4 at is (4) writes:" in plain(explorer._node_text.value)


def test_keys_and_queries_have_weights_where_edges_are_weighed_by_the_answer(
    explorer: wb.live.LiveInformation,
) -> None:
    explorer.view.selected = HEAD
    explorer.view.cut_edges = [EDGE]
    explorer.measure, explorer.foil = "answer", "Rome"
    info = wb.information.graph(tinyworld(), PROMPT, measure="answer", foil=" Rome")
    assert explorer.message == "" and explorer.information.unit == "logits of ' Paris' − ' Rome'"
    np.testing.assert_allclose(explorer.information.weights, info.weights, atol=1e-5)
    # The same prompt: what is selected and cut stays.
    assert explorer.view.selected == HEAD and explorer.view.cut_edges == [EDGE]
    text = plain(explorer._node_text.value)
    weight = {
        channel: info.weights[info.edge_names.index(f"{source} → {HEAD} {channel}")]
        for source, channel in ((FIRST, "v"), ("embed@4", "q"))
    }
    assert f"its query weighs {weight['q']:+.3f}" in text
    assert f"France (3) {weight['v']:+.3f}" in text
    answers = plain(explorer._answers.value)
    assert f"by the weights of what is cut, to first order: {-weight['v']:+.2f}" in answers
    assert "' Paris' − ' Rome':" in answers


def test_another_prompt_starts_afresh(explorer: wb.live.LiveInformation) -> None:
    explorer.view.cut_edges = [EDGE]
    explorer.view.selected = HEAD
    explorer.prompt = "The capital of Italy is"
    assert explorer.message == "" and explorer.information.target == " Rome"
    assert explorer.view.ids == explorer.information.ids
    assert explorer.cuts == () and explorer.view.cut_edges == [] and explorer.view.selected == ""
    assert explorer._undo_button.disabled and explorer.reading.cut is None
    assert explorer.reading.plain.tokens[0] == " Rome"


def test_only_the_edges_around_a_word_are_shown_and_cuts_elsewhere_stay(
    explorer: wb.live.LiveInformation,
) -> None:
    explorer.view.cut_edges = [EDGE]
    answer = explorer.reading.after
    explorer.word = "Paris"
    part = explorer.information.prune(word="Paris")
    assert explorer.view.ids == part.ids and explorer.view.roots == []
    assert explorer.message == "" and EDGE not in part.edge_names
    assert explorer.view.cut_edges == [] and explorer.cuts == (EDGE,)
    assert explorer.reading.after == answer
    assert "1 edge cut, 1 of them outside the part shown" in plain(explorer._answers.value)
    explorer.view.cut_edges = ["L3.resid_mid@4 → L3.resid_post@4"]
    assert explorer.cuts == (EDGE, "L3.resid_mid@4 → L3.resid_post@4")
    explorer.undo()
    explorer.word = "Zanzibar"
    assert "No edge of this graph is left" in explorer.message
    assert explorer.view.status == "error: this is the last state that worked"
    explorer.word = ""
    assert explorer.message == "" and explorer.view.status == ""
    assert explorer.view.cut_edges == [EDGE] and explorer.view.roots == [LAST]


def test_a_smaller_graph_says_which_cuts_it_does_not_have(
    explorer: wb.live.LiveInformation,
) -> None:
    names = wb.information.graph(tinyworld(), PROMPT, n_edges=20).edge_names
    gone = next(name for name in explorer.information.edge_names if name not in names)
    explorer.view.cut_edges = [gone, EDGE]
    explorer.n_edges = 20
    assert explorer.information.edge_names == names
    assert explorer.message == "1 cut edge is not in this graph any more, and not cut."
    assert explorer.cuts == (EDGE,) and explorer.view.status == ""
    # What was cut before and is here comes back, what is not does not.
    explorer.undo()
    assert explorer.cuts == () and explorer.message == ""


def test_what_cannot_be_shown_is_said_in_place_and_the_state_is_kept(
    explorer: wb.live.LiveInformation, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer.view.cut_edges = [EDGE]
    reading, info = explorer.reading, explorer.information
    explorer.prompt = ""
    assert "A prompt has at least one character" in explorer.message
    assert explorer.view.status == "error: this is the last state that worked"
    explorer.prompt = PROMPT
    explorer.target = "unbelievable"
    assert "A target is one token; ' unbelievable' is" in explorer.message
    explorer.target = "Rome, Paris"
    assert explorer.message == "A graph has one answer; got 2: ' Rome', ' Paris'."
    explorer.target = ""
    assert explorer.message == "" and explorer.information is info and explorer.cuts == (EDGE,)
    assert explorer.reading.after == reading.after

    def broken(*args: Any, **options: Any) -> Any:
        raise MemoryError("out of memory")

    monkeypatch.setattr(explorer, "_alone", broken)
    explorer.view.selected = HEAD
    assert plain(explorer._node_text.value) == f"{HEAD}: out of memory"
    assert explorer.view.status == ""
    monkeypatch.setattr(explorer, "_read", broken)
    explorer.view.cut_edges = [EDGE, OTHER]
    assert explorer.message == "out of memory"
    with pytest.raises(ValueError, match="A target is one token"):
        wb.live.information(tinyworld(), target="unbelievable")


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_the_code_gives_the_numbers_that_are_shown(backend: str) -> None:
    explorer = wb.live.information(
        tinyworld(backend),
        measure="answer",
        foil=" Rome",
        n_edges=60,
        n_neurons=2,
        n_controls=2,
        seed=4,
    )
    explorer.view.selected, explorer.view.other = LAST, FIRST
    explorer.word = "Paris"
    found = run_code(explorer)
    assert found["graph"].edge_names == explorer.information.edge_names
    assert found["part"].edge_names == explorer.shown.edge_names
    assert "cut" not in found
    explorer.word = ""
    explorer.view.selected, explorer.view.other = LAST, FIRST
    assert explorer.path is not None
    explorer.cut_path()
    assert ("backend=" in explorer.code) == (backend == "transformer_lens")
    assert "foil=' Rome', n_edges=60, n_neurons=2, )" in " ".join(explorer.code.split())
    assert "target" not in explorer.code and "], n_controls=2, seed=4)" in explorer.code
    cut, shown = run_code(explorer)["cut"], explorer.reading.cut
    assert shown is not None and len(others_of(shown)) == 2
    np.testing.assert_allclose(runs(cut), runs(shown), atol=1e-4)
    assert cut.controls == shown.controls and best_of(cut, 1, 6) == best_of(shown, 1, 6)


def test_the_code_names_the_path_until_one_of_its_edges_is_cut(
    explorer: wb.live.LiveInformation,
) -> None:
    explorer.view.other, explorer.view.selected = FIRST, LAST
    assert f"path = graph.path('{FIRST}', '{LAST}')" in explorer.code
    found = run_code(explorer)
    assert explorer.path is not None and found["path"] == explorer.path.nodes
    explorer.cut_path()
    assert "path" not in explorer.code
    assert explorer._code.value == explorer.code
    explorer._code_button.value = True
    assert explorer._code.layout.display == ""


def test_it_runs_on_a_model_with_shared_keys_gates_and_without_controls() -> None:
    llama = wb.load("tinyworld-llama", device="cpu")
    explorer = wb.live.information(llama, n_edges=20, target=" Paris", n_controls=0)
    assert explorer.target == "Paris" and explorer.information.target == " Paris"
    names = explorer.information.edge_names
    explorer.view.cut_edges = [next(name for name in names if name.endswith(" v"))]
    assert explorer.message == "" and explorer.reading.cut is not None
    text = plain(explorer._answers.value)
    assert "no control: no other edges of these kinds were cut" in text
    assert explorer.information.kinds.count("head") > 0
    explorer.view.selected = next(name for name in explorer.view.ids if "H" in name)
    assert "logits" in plain(explorer._node_text.value)


def test_words_with_markup_are_text(explorer: wb.live.LiveInformation) -> None:
    explorer.view.cut_edges = [EDGE]
    reading = explorer.reading
    assert reading.cut is not None
    odd = replace(reading.plain, tokens=("<b>x</b>", "&", "a", "b", "c", "d"))
    named = [
        replace(each, name="<i>y</i>") if each.name == " Paris" else each
        for each in reading.cut.measures
    ]
    cut = replace(reading.cut, measures=(*named, replace(reading.cut[" Paris"], name="<u>")))
    explorer.reading = replace(reading, plain=odd, after=odd, cut=cut)
    explorer.information = replace(explorer.information, target="<u>")
    explorer._draw()
    text = explorer._answers.value
    assert "&lt;b&gt;x&lt;/b&gt;" in text and "&lt;i&gt;y" in text and "&lt;u&gt;" in text
    assert not any(tag in text for tag in ("<b>x", "<i>", "<u>"))


def test_the_graph_is_one_page_without_a_kernel(
    explorer: wb.live.LiveInformation, tmp_path: Path
) -> None:
    explorer.view.cut_edges = [EDGE]
    path = explorer.to_html(tmp_path / "information.html")
    assert path == tmp_path / "information.html"
    assert HEAD in (text := explorer.html()) and path.read_text() == text
