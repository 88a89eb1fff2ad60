import assert from "node:assert/strict";
import { test } from "node:test";
import { lineWidth } from "../src/graph_view/tokens/picture.js";
import { chosen, matching, readState, shownPart, strongestPath } from "../src/graph_view/tokens/state.js";
import { edgeText, kindText, nodeText, pathText, percent, shortName } from "../src/graph_view/tokens/text.js";
import { toggled } from "../src/graph_view/parts.js";
import { shareOf, stopOf } from "../src/graph_view/tokens/toolbar.js";
import { flowModel, node, pass } from "./token_flow.js";
import { payload } from "./payload.js";

/** @typedef {import("./token_flow.js").End} End */

const nodes = [
  node("embed@0", [" Mary", "Mary"]), node("embed@1", [" to"]), node("L0H1.z@1", [" Mary"]), node("L0.resid_mid@1", [" him"]),
  node("L0.mlp_post/7@1", ["her"]), node("L0.resid_post@1", [" her", " Mary"]), node("L0.resid_post@0", ["x"]),
];
/** @type {End[]} */
const ends = [
  ["embed@0", "L0H1.z@1", 0.8, "v"], ["embed@0", "L0H1.z@1", 0.05, "k"], ["embed@1", "L0H1.z@1", -0.1, "q"],
  ["embed@1", "L0.resid_mid@1", 0.6], ["L0H1.z@1", "L0.resid_mid@1", 0.4], ["L0.resid_mid@1", "L0.mlp_post/7@1", 1],
  ["L0.resid_mid@1", "L0.resid_post@1", 0.3], ["L0.mlp_post/7@1", "L0.resid_post@1", -0.5], ["embed@0", "L0.resid_post@0", 1],
];
const state = (/** @type {Record<string, any>} */ changes = {}) => readState(flowModel(nodes, ends, changes));
const ids = (/** @type {Iterable<number>} */ found) => [...found].map((i) => nodes[i].id).sort();
const at = (/** @type {string} */ id) => nodes.findIndex((each) => each.id === id);
const shownIds = (/** @type {Record<string, any>} */ changes) => ids(shownPart(state(changes)).nodes);
const root = "L0.resid_post@1";

test("edges have the ids that Python gives them, and a node's come greatest share first", () => {
  const { graph } = state();
  assert.equal(graph.edges[0].id, "embed@0 → L0H1.z@1 v");
  assert.equal(graph.edges[3].id, "embed@1 → L0.resid_mid@1");
  assert.deepEqual(graph.into[at(root)].map(({ index }) => index), [7, 6]);
  assert.deepEqual(graph.out[0].map(({ index }) => index), [8, 0, 1]);
});

test("without a root everything is drawn, with one what leads to it along strong edges", () => {
  assert.equal(shownPart(state()).nodes.size, nodes.length);
  assert.deepEqual(shownIds({ roots: [root] }), ids([0, 1, 2, 3, 4, 5]));
  assert.deepEqual(shownIds({ roots: [root], threshold: 0.5 }), ids([1, 3, 4, 5]), "the head brings 0.4, the residual stream 0.3");
  assert.deepEqual(shownIds({ roots: [root, "L0.resid_post@0"], threshold: 1 }), ids([0, 5, 6]));
  const { edges } = shownPart(state({ roots: [root], threshold: 0.4 }));
  assert.deepEqual(edges.map(({ index }) => index), [4, 7, 3, 0, 5], "0.4 in single precision is still 0.4, the weakest is drawn first");
});

test("kinds and channels that are switched off go with what hangs on them alone", () => {
  assert.deepEqual(shownIds({ roots: [root], kinds_shown: ["neuron"] }), ids([1, 3, 4, 5]));
  assert.deepEqual(shownIds({ roots: [root], channels_shown: ["q"] }), ids([1, 2, 3, 4, 5]));
  assert.deepEqual(shownIds({ kinds_shown: [] }), ids([0, 1, 3, 5, 6]));
});

test("what is selected, cut or on the path between two selected is never lost", () => {
  const changes = { roots: [root], threshold: 1, cut_edges: ["embed@0 → L0H1.z@1 k"] };
  const { nodes: kept, edges } = shownPart(state(changes));
  assert.deepEqual(ids(kept), ids([0, 2, 5]));
  assert.deepEqual(edges.map(({ index }) => index), [1]);
  assert.deepEqual(shownIds({ roots: [root], threshold: 1, selected: "L0.resid_post@0" }), ids([5, 6]));
  assert.deepEqual(shownIds({ roots: [root], threshold: 1, selected: root, other: "embed@0", kinds_shown: [] }), ids([0, 2, 3, 4, 5]));
});

test("the strongest path has the largest product of shares, as trying every path finds it", () => {
  const many = pass({ tokens: 3, layers: 2, heads: 2, neurons: 2 });
  // Shares without ties, by a rule that is no pattern.
  many.ends.forEach((end, i) => (end[2] = ((i * 37) % 101) / 101));
  const { graph } = readState(flowModel(many.nodes, many.ends));
  /** @param {number} from @param {number} to @returns {number} */
  const best = (from, to) => (from === to ? 1 : Math.max(0, ...graph.out[from].map((edge) => edge.share * best(edge.target, to))));
  let found = 0;
  for (const from of [0, 1, 2, 7, 9]) {
    for (const to of [graph.nodes.length - 1, 8, 12]) {
      const path = strongestPath(graph, from, to, new Set());
      const product = Math.max(best(from, to), best(to, from));
      assert.ok(Math.abs((path?.product ?? 0) - product) < 1e-9);
      if (!path) continue;
      found += 1;
      assert.ok(Math.abs(path.edges.reduce((part, { share }) => part * share, 1) - product) < 1e-9);
      path.edges.forEach((edge, i) => assert.deepEqual([edge.source, edge.target], path.nodes.slice(i, i + 2)));
    }
  }
  assert.ok(found > 8);
});

test("a path is found from whichever end, and never along a cut edge", () => {
  const { graph } = state();
  const path = strongestPath(graph, at(root), 0, new Set());
  assert.deepEqual(path?.edges.map(({ index }) => index), [0, 4, 5, 7]);
  assert.ok(Math.abs((path?.product ?? 0) - 0.8 * 0.4 * 0.5) < 1e-6);
  assert.deepEqual(strongestPath(graph, 0, at(root), new Set([graph.edges[7].id]))?.edges.map(({ index }) => index), [0, 4, 6]);
  assert.equal(strongestPath(graph, 0, at(root), new Set([graph.edges[4].id])), null);
  assert.equal(strongestPath(graph, at("L0.resid_post@0"), at(root), new Set()), null);
  assert.equal(strongestPath(graph, 0, 0, new Set()), null);
});

test("a word is looked for in the words of what is drawn, whatever its case and the spaces round it", () => {
  const found = (/** @type {string} */ word, /** @type {Record<string, any>} */ changes = {}) => {
    const now = state({ word, ...changes });
    const numbers = matching(now, shownPart(now));
    return numbers && ids(numbers);
  };
  assert.deepEqual(found("mary "), ids([0, 2, 5]));
  assert.deepEqual(found("mary", { roots: [root], threshold: 0.5 }), ids([5]));
  assert.deepEqual(found("zebra"), []);
  assert.equal(found("  "), null);
});

test("a click keeps the node clicked before as the other end; with shift the other end is chosen", () => {
  const choice = (/** @type {string} */ selected, /** @type {string} */ other) => state({ selected, other });
  assert.deepEqual(chosen(choice("", ""), root, false), { selected: root, other: "" });
  assert.deepEqual(chosen(choice(root, ""), "embed@0", false), { selected: "embed@0", other: root });
  assert.deepEqual(chosen(choice(root, "embed@0"), root, false), { selected: root, other: "embed@0" });
  assert.deepEqual(chosen(choice(root, "embed@0"), "embed@1", true), { other: "embed@1" });
  assert.deepEqual(chosen(choice(root, "embed@0"), root, true), { other: "" });
  assert.deepEqual(chosen(choice("", ""), root, true), { selected: root, other: "" });
  assert.deepEqual(chosen(choice(root, "embed@0"), "", false), { selected: "", other: "" });
});

test("a second cut restores, and the order of the cuts stays", () => {
  assert.deepEqual(toggled(state({ cut_edges: ["a", "b"] }).cuts, "c"), ["a", "b", "c"]);
  assert.deepEqual(toggled(state({ cut_edges: ["a", "b"] }).cuts, "a"), ["b"]);
});

test("a node is told with its words, its numbers and its strongest edges", () => {
  const numbers = {
    scores: payload(Float32Array.of(0, 0, 0, 0, 0, 1.5, 0), [7]), relevance: payload(Float32Array.of(0, 0, 0, 0, 0, 0.375, 0), [7]),
    rest: payload(Float32Array.of(0, 0, 0, 0, 0, 0.2, 0), [7]),
  };
  const now = state({ _numbers: numbers, unit: "logits", threshold: 0.4 });
  assert.equal(
    nodeText(now, shownPart(now), 5),
    "L0.resid_post@1: residual stream after the MLP of layer 0 at “·t1” (1); words “·her”, “·Mary”; contributes +1.500 logits; "
    + "38 % of the flow passes it; 1 drawn edge brings 50 % of what it receives, 20 % comes from what the graph leaves out; "
    + "most from L0.mlp_post/7@1 (−1.000, 50 %)",
  );
  const plain = state();
  assert.equal(nodeText(plain, shownPart(plain), 0), "embed@0: embedding at “·t0” (0); words “·Mary”, “Mary”; most to L0.resid_post@0 (+2.000, 100 %)");
});

test("an edge and a path are told with their shares", () => {
  const now = state({ unit: "logits", cut_edges: ["embed@1 → L0H1.z@1 q"], selected: root, other: "embed@0" });
  assert.equal(
    edgeText(now, now.graph.edges[2]),
    "embed@1 → query of L0H1.z@1 (“·to” → “·Mary”): weight −0.200 logits; 10 % of what L0H1.z@1 receives; cut",
  );
  assert.equal(
    pathText(now, shownPart(now).path),
    "Strongest path, 16 % as the product of its 4 shares: embed@0 “·Mary” → L0H1.z@1 “·Mary” (value 80 %) → L0.resid_mid@1 “·him” (40 %) "
    + "→ L0.mlp_post/7@1 “her” (100 %) → L0.resid_post@1 “·her” (50 %)",
  );
  assert.equal(pathText(now, null), `No path of edges that are not cut leads from one of embed@0 and ${root} to the other.`);
});

test("names are short, and every kind has its own words", () => {
  const now = state();
  const named = ["L2H11.z@0", "L2.mlp_post/77@0", "L2.mlp_out@0", "L2.resid_mid@0"].map((id) => node(id));
  assert.deepEqual(named.map(shortName), ["H11", "77", "MLP", "L2.resid_mid"]);
  assert.deepEqual(named.map((each) => kindText(now, each)), [
    "head 11 of layer 2, writing at “·t0” (0)", "neuron 77 of layer 2 at “·t0” (0)", "the other neurons of layer 2 at “·t0” (0)",
    "residual stream after the heads of layer 2 at “·t0” (0)",
  ]);
});

test("shares are hundredths that never claim a false zero, widths grow with them", () => {
  assert.deepEqual([0, 0.004, 0.05, 0.0994, 0.5, 1].map(percent), ["0 %", "0.4 %", "5.0 %", "9.9 %", "50 %", "100 %"]);
  assert.notEqual(percent(1e-7), "0 %");
  const widths = [0, 0.1, 0.5, 1].map(lineWidth);
  widths.slice(1).forEach((width, i) => assert.ok(width > widths[i]));
  for (const stop of [0, 1, 37, 100]) assert.equal(stopOf(shareOf(stop)), stop);
});
