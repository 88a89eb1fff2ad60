"""Widgets from arrays and strings that no model of the workbench made."""

import inspect
import re
import textwrap
from typing import Any

import networkx
import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.graph import Graph
from workbench.widgets import AttentionGrid, FeatureGrid, FeaturePage, GraphView, TokenGrid
from workbench.widgets.arrays import as_array, decode
from workbench.widgets.graph_edges import edge_ids

TOKENS = ["The", " cat", " sat"]
#: As a TransformerLens cache holds one prompt: resid_post (batch, pos, d_model), pattern (batch,
#: head, dst, src).
RESID = [torch.randn(1, 3, 8, requires_grad=True) for _ in range(4)]
PATTERNS = [
    torch.randn(1, 2, 3, 3).masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf).softmax(-1)
    for _ in range(4)
]
CACHE = {f"blocks.{layer}.hook_resid_post": each for layer, each in enumerate(RESID)}
CACHE |= {f"blocks.{layer}.attn.hook_pattern": each for layer, each in enumerate(PATTERNS)}
NORMS = torch.stack([CACHE[f"blocks.{i}.hook_resid_post"][0].norm(dim=-1) for i in range(4)])
#: A choice of each widget's example, as the browser says it.
CHOICES = {
    TokenGrid: ("selected", {"row": 1, "pos": 0}),
    AttentionGrid: ("position", 0),
    GraphView: ("selected", "L0H1"),
    FeaturePage: ("chosen", "a/8"),
    FeatureGrid: ("feature", "a/7"),
}


def quantity(grid: TokenGrid, name: str = "value") -> np.ndarray:
    """The numbers that reach the browser."""
    return decode(grid._panels[0]["quantities"][name]["values"])


@pytest.mark.parametrize("widget", CHOICES)
def test_the_example_of_the_docstring_runs_and_a_choice_reaches_python(
    widget: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    doc = inspect.getdoc(widget) or ""
    found = re.search(r"((?:^    .*\n)+)", doc, flags=re.M)
    assert found is not None
    names: dict[str, Any] = {"wb": wb}
    exec(textwrap.dedent(found[1]), names)
    made = next(each for each in names.values() if isinstance(each, widget))
    trait, value = CHOICES[widget]
    made.set_state({trait: value})
    assert getattr(made, trait) == value
    assert capsys.readouterr().out.strip() == str(value)


@pytest.mark.parametrize(
    "given",
    [
        NORMS,
        NORMS.detach().numpy(),
        NORMS.tolist(),
        list(NORMS),
        pd.DataFrame(NORMS.detach().numpy(), index=[f"row {i}" for i in range(4)]),
        {"value": NORMS},
        {"value": {"values": NORMS}},
    ],
)
def test_a_token_grid_of_plain_numbers_in_one_line(given: Any) -> None:
    grid = TokenGrid(TOKENS, given)
    np.testing.assert_allclose(quantity(grid), NORMS.detach().numpy(), rtol=1e-6)
    panel = grid._panels[0]
    assert grid._tokens == TOKENS and panel["rows"] == ["row 0", "row 1", "row 2", "row 3"]
    assert panel["top"]["shape"] == [4, 3, 0] and grid._vocabulary == []
    assert panel["quantities"]["value"]["scale"] == "sequential" and grid.quantity == "value"
    assert repr(grid) == "TokenGrid(4 rows × 3 positions, value)"


def test_numbers_of_every_kind_of_tensor_reach_the_browser() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float64, torch.int64):
        grid = TokenGrid(TOKENS, torch.tensor([[1, 2, 4], [8, 16, 0.5]]).to(dtype))
        np.testing.assert_array_equal(
            quantity(grid), [[1, 2, 4], [8, 16, dtype != torch.int64 and 0.5]]
        )
        assert grid._panels[0]["quantities"]["value"]["digits"] == (
            0 if dtype == torch.int64 else 3
        )
    assert as_array(torch.ones(2, dtype=torch.float16)).dtype == np.float16
    assert as_array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True)).dtype == np.float32


def test_signs_colour_around_zero_and_what_is_not_known_stays_not_known() -> None:
    grid = TokenGrid(TOKENS, [[-1.0, np.nan, 3.0]], rows=["loss"])
    shown = grid._panels[0]["quantities"]["value"]
    assert shown["scale"] == "diverging" and (shown["low"], shown["high"]) == (-1, 3)
    assert np.isnan(quantity(grid)[0, 1]) and grid._panels[0]["rows"] == ["loss"]
    np.testing.assert_array_equal(quantity(TokenGrid(TOKENS, [1.0, 2.0, 3.0])), [[1, 2, 3]])


def test_several_quantities_rows_and_a_table_with_its_own_labels() -> None:
    ranks = {"values": torch.tensor([[1, 9, 100]] * 4), "scale": "log", "unit": "tokens"}
    grid = TokenGrid(
        TOKENS, {"norm": NORMS, "rank": ranks}, rows=["embed", *range(3)], quantity="rank"
    )
    shown = grid._panels[0]["quantities"]
    assert grid.quantity == "rank" and list(shown) == ["norm", "rank"]
    assert (shown["rank"]["scale"], shown["rank"]["unit"], shown["rank"]["digits"]) == (
        "log", "tokens", 0,
    )  # fmt: skip
    assert grid._panels[0]["rows"] == ["embed", "0", "1", "2"]
    table: Any = pd.DataFrame([[1.0, 2.0, 3.0]], index=["L2H1"], columns=TOKENS)
    grid = TokenGrid(table.columns, table)
    assert grid._tokens == TOKENS and grid._panels[0]["rows"] == ["L2H1"]


def test_cells_hold_strings_beside_their_probabilities() -> None:
    words = ["a", " b", "", " d", "\n"]
    best = torch.randn(4, 3, 5).softmax(-1).topk(2)
    top = [[[words[i] for i in cell] for cell in row] for row in best.indices.tolist()]
    grid = TokenGrid(TOKENS, {"probability": best.values, "norm": NORMS}, top=top)
    panel = grid._panels[0]
    ids = decode(panel["top"])
    assert np.array(grid._vocabulary)[ids].tolist() == top
    np.testing.assert_allclose(np.exp(decode(panel["top_logprob"])), best.values, rtol=1e-5)
    np.testing.assert_allclose(quantity(grid, "probability"), best.values[..., 0], rtol=1e-6)
    assert panel["quantities"]["probability"]["high"] == 1 and grid.quantity == "probability"
    one = TokenGrid(TOKENS, best.values[..., 0], top=[[cell[0] for cell in row] for row in top])
    assert one._panels[0]["top"]["shape"] == [4, 3, 1]
    sure = TokenGrid(TOKENS[:1], [[[1.0, 0.0]]], top=[[["a", "b"]]])
    assert decode(sure._panels[0]["top_logprob"]).ravel().tolist() == [0, -np.inf]


@pytest.mark.parametrize(
    ("values", "options", "text"),
    [
        (NORMS.T, {}, "'value' has shape (row, pos) = (3, 3), a position for each token"),
        (NORMS.T, {"rows": range(4)}, "given (3, 4): transpose it with .T"),
        (NORMS[None], {}, "given (1, 4, 3): take one prompt of a batch with [0]"),
        (NORMS, {"rows": ["a"]}, "= (1, 3), a position for each token and a row for each of rows="),
        ({"a": NORMS, "b": NORMS[:2]}, {}, "'b' has shape (row, pos) = (4, 3)"),
        ({}, {}, "values are numbers or {name: numbers}"),
        ([[1, 2, 3], [1]], {}, "lists and tensors that are stacked have one shape"),
        ({"a": {"value": NORMS}}, {}, "missing: ['values'], unknown: ['value']"),
        ({"a": NORMS}, {"top": [["x"] * 3] * 4}, "with top= the tokens' 'probability' among them"),
        (NORMS, {"top": [["x"] * 3] * 4}, "take the softmax of logits"),
        (NORMS * 0, {"top": [["x"] * 3] * 2}, "given (2, 3) and (4, 3)"),
        ([[[0.1, 0.9]] * 3], {"top": [[["x", "y"]] * 3]}, "best first; sort them along k"),
        (NORMS, {"vocabulary": ["x"]}, "vocabulary goes with Panels"),
        ([{}], {"rows": ["x"]}, "rows= and top= go with plain numbers"),
    ],
)
def test_plain_numbers_that_do_not_fit_are_refused(values: Any, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        TokenGrid(TOKENS, values, **options)


def test_what_is_no_number_and_no_string_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"tokens is a list of strings; .*tokenizer.decode\(i\) for"
    ):
        TokenGrid(torch.tensor([3, 4, 5]), NORMS)  # pyright: ignore
    with pytest.raises(TypeError, match="quantity 'value' holds numbers; given .*Strings go into"):
        TokenGrid(TOKENS, [["a", "b", "c"]])
    with pytest.raises(TypeError, match="top holds strings, as many in each cell.*the tokenizer"):
        TokenGrid(TOKENS, [[0.1, 0.1, 0.1]], top=[[3, 4, 5]])


def test_an_update_takes_plain_numbers_too() -> None:
    grid = TokenGrid(TOKENS, NORMS, title="norms")
    grid.set_state({"selected": {"row": 3, "pos": 2}})
    grid.update(TOKENS[:2], NORMS[:, :2], rows=["a", "b", "c", "d"])
    assert grid.selected is None and grid.title == "norms"
    assert grid._panels[0]["rows"] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("given", "layers"),
    [
        (torch.cat(PATTERNS).to(torch.bfloat16).requires_grad_(), 4),
        (torch.cat(PATTERNS).numpy(), 4),
        ([CACHE[f"blocks.{i}.attn.hook_pattern"][0] for i in range(4)], 4),
        (CACHE["blocks.0.attn.hook_pattern"], 1),
        (CACHE["blocks.0.attn.hook_pattern"][0], 1),
        (CACHE["blocks.0.attn.hook_pattern"][0].tolist(), 1),
    ],
)
def test_an_attention_grid_of_plain_patterns_in_one_line(given: Any, layers: int) -> None:
    grid = AttentionGrid(TOKENS, given)
    dst, src = np.tril_indices(3)
    want = torch.cat(PATTERNS[:layers]).numpy()[:, :, dst, src]
    sent: Any = grid._pattern
    np.testing.assert_allclose(decode(sent), want, atol=4e-3)
    assert grid._tokens == TOKENS and grid._layers == list(range(layers))
    one = AttentionGrid(TOKENS, PATTERNS[2][0, 1], PATTERNS[2][0, 1] * 3, layers=[2], weighted=True)
    assert (one.layer, one._pattern["shape"]) == (2, [1, 1, 6])
    assert one._value_weighted is not None and one._value_weighted["shape"] == [1, 1, 6]


def test_patterns_of_another_shape_are_refused_with_the_next_step() -> None:
    with pytest.raises(ValueError, match=re.escape("given (4, 1, 2, 3, 3): take one prompt of")):
        AttentionGrid(TOKENS, torch.stack(PATTERNS))
    with pytest.raises(
        ValueError, match=r"\(layer, head, dst, src\) with 2 dest.*given \(1, 2, 3, 3\)"
    ):
        AttentionGrid(TOKENS[:2], PATTERNS[0])
    with pytest.raises(ValueError, match=re.escape("value_weighted has shape (2, 3, 3), as the")):
        AttentionGrid(TOKENS, PATTERNS[0][0], PATTERNS[0])


EDGES = [("embed", "L0H1", 0.5), ("L0H1", "L1.mlp", -2), ("L1.mlp", "logits", torch.tensor(1.5))]


@pytest.mark.parametrize(
    "given",
    [
        EDGES,
        iter(EDGES),
        [[*edge, ""] for edge in EDGES],
        pd.DataFrame(
            [(s, t, float(w)) for s, t, w in EDGES], columns=["source", "target", "weight"]
        ),
        networkx.DiGraph([(s, t, {"weight": float(w)}) for s, t, w in EDGES]),
        networkx.MultiDiGraph([(s, t, {"weight": float(w)}) for s, t, w in EDGES]),
    ],
)
def test_a_graph_of_plain_edges_in_one_line(given: Any) -> None:
    shown = GraphView(given)
    kinds = [(node["id"], node["kind"], node["layer"]) for node in shown._nodes]
    assert kinds == [
        ("embed", "embed", 0), ("L0H1", "head", 0), ("L1.mlp", "mlp", 1), ("logits", "logits", 0),
    ]  # fmt: skip
    names = edge_ids("components", shown._nodes, shown._edges)
    assert names == ["embed→L0H1", "L0H1→L1.mlp", "L1.mlp→logits"]
    assert decode(shown._edges["weight"]).tolist() == [0.5, -2, 1.5]


def test_nodes_of_other_names_stand_on_their_longest_way_up() -> None:
    shown = GraphView([("a", "b"), ("b", "c", 2.0), ("a", "c"), ("x", "c")])
    assert {node["id"]: node["layer"] for node in shown._nodes} == {"a": 0, "b": 1, "c": 2, "x": 0}
    assert decode(shown._edges["weight"]).tolist() == [1, 2, 1, 1]
    graph = networkx.DiGraph()
    graph.add_node(1, layer=0, label="one", score=0.5)
    graph.add_node(2, layer=np.int64(7), note="late", score=float("nan"))
    graph.add_edge(1, 2)
    first, second = GraphView(graph)._nodes
    assert (first["id"], first["label"], first["layer"], first["score"]) == ("1", "one", 0, 0.5)
    assert (second["layer"], second["note"], second["score"]) == (7, "late", None)
    shown.update(graph)
    assert shown.ids == ("1", "2")


def test_a_graph_of_the_workbench_and_its_table_are_graphs_too() -> None:
    names = ("embed", "L0H1", "logits")
    made = Graph(
        model="m", revision="", versions={}, seed=None, prompt="", tokens=(("a",),),
        ids=names, kinds=("embed", "head", "logits"), channels=("v", ""), labels=names,
        layers=np.array([-1, 0, 1]), positions=np.full(3, -1), units=np.full(3, -1),
        scores=np.array([0.1, np.nan, 1]), sources=np.array([0, 1]), targets=np.array([1, 2]),
        weights=np.array([0.5, -1]),
    )  # fmt: skip
    for given in (made, made.to_networkx(), made.to_frame()):
        shown = GraphView(given)
        edges = edge_ids("components", shown._nodes, shown._edges)
        assert sorted(edges) == ["L0H1→logits", "embed→L0H1.v"]
    assert [node["score"] for node in GraphView(made)._nodes] == [pytest.approx(0.1), None, 1]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([("a", "b"), ("b", "a")], "edges go up and never round; a → b → a does: leave one of"),
        ([("a",)], "edges (source, target, weight); given ('a',)"),
        ("ab", "or edges (source, target, weight); given 'ab'"),
        (3, "edges (source, target, weight); given 3"),
        ([], "nodes is empty: a graph has at least one node"),
        (networkx.Graph([(1, 2)]), "given an undirected graph: make a networkx.DiGraph of it"),
        (pd.DataFrame({"source": []}), "missing: ['target', 'weight']"),
        ([("a", "b", 1.0), ("a", "b", 2.0)], "each edge is given once; given more than once: a→b"),
        ([("a", "b", float("nan"))], "edges: weight is finite"),
    ],
)
def test_a_plain_graph_that_does_not_fit_is_refused(given: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        GraphView(given)
    with pytest.raises(ValueError, match="'lanes' takes its data by name; a plain graph goes into"):
        GraphView(EDGES, layout="lanes")


@pytest.mark.parametrize("kind", [torch.tensor, np.array, list])
def test_a_feature_page_of_texts_and_activations_in_one_line(kind: Any) -> None:
    texts, acts = [TOKENS, [*TOKENS, "."]], [[0.0, 2.5, 0.0], [0.0, 0.0, 1.0, 0.0]]
    page = FeaturePage("mine/7", zip(texts, map(kind, acts), strict=True))
    assert [text["tokens"] for text in page._contexts["texts"]] == texts
    assert [text["at"] for text in page._contexts["texts"]] == [1, 2]
    assert decode(page._contexts["values"]).tolist() == [value for each in acts for value in each]
    more = FeaturePage(
        "mine/7",
        histogram=np.histogram([1.0, 2.0, 2.5], bins=2),
        nearest=[("mine/8", 0.7)],
        promoted=[(" cat", 1.5)],
    )
    assert more._page["histogram"] == {"edges": [1.0, 1.75, 2.5], "counts": [1, 2]}
    assert more._page["nearest"] == [{"name": "mine/8", "label": "", "value": 0.7}]


def test_contexts_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"context 0 is a pair \(tokens, activations\).*given 'The'"
    ):
        FeaturePage("mine/7", TOKENS)  # pyright: ignore
    with pytest.raises(ValueError, match=r"context 0: values has shape \(3,\); given \(2,\)"):
        FeaturePage("mine/7", [(TOKENS, [1.0, 2.0])])


def test_a_feature_grid_takes_tensors() -> None:
    values = torch.tensor([[0.5, 0.0, 2.0]], dtype=torch.bfloat16, requires_grad=True)
    grid = FeatureGrid(TOKENS, ["mine/7"], values)
    assert decode(grid._values["values"]).tolist() == [[0.5, 0, 2]]
