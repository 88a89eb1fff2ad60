import assert from "node:assert/strict";
import { test } from "node:test";
import { lineWidth } from "../src/graph_view/lanes/picture.js";
import { mostActive, readState, scaled, shownPart, strongestPath } from "../src/graph_view/lanes/state.js";
import { activationText, nodeText, shortName } from "../src/graph_view/lanes/text.js";
import { fitText } from "../src/lib/fit_text.js";
import { flowModel, stack } from "./flow.js";
import { payload } from "./payload.js";

// Layer 0: 0 mlp, 1 resid, 2 attn; layer 1: 3, 4, 5.
const { nodes, ends } = stack(2, 1);
const weights = [0.9, 0.3, 0.8, 0.6, 0.2]; // 0→1, 2→1, 3→4, 1→4, 5→4
const state = (changes = {}) => readState(flowModel(nodes, ends, { weights, ...changes }));
const withRoot = nodes.map((node, i) => ({ ...node, root: i === 4 }));

test("the edges are those of the arrays, in their order", () => {
  assert.deepEqual(ends, [[0, 1], [2, 1], [3, 4], [1, 4], [5, 4]]);
  assert.deepEqual(state().graph.edges.map(({ source, target }) => [source, target]), ends);
});

test("the threshold hides weaker edges and what then hangs on nothing", () => {
  const shown = shownPart(state({ threshold: 0.6 }));
  assert.deepEqual(shown.edges.map(({ index }) => index), [0, 2, 3], "0.6 in single precision is still 0.6");
  assert.deepEqual([...shown.nodes].sort(), [0, 1, 3, 4]);
  assert.equal(shownPart(state()).nodes.size, 6);
  assert.equal(shownPart(state({ threshold: 1 })).nodes.size, 0);
});

test("where something was asked for, only what is joined to it stays, and it itself always", () => {
  const rooted = (/** @type {number} */ threshold) => {
    const shown = shownPart(readState(flowModel(withRoot, ends, { weights, threshold })));
    return { nodes: [...shown.nodes].sort(), edges: shown.edges.length };
  };
  assert.deepEqual(rooted(1), { nodes: [4], edges: 0 });
  assert.deepEqual(rooted(0.6), { nodes: [0, 1, 3, 4], edges: 3 });
  assert.deepEqual(rooted(0.7), { nodes: [3, 4], edges: 1 }, "0→1 is strong, but joined to nothing asked for");
});

test("a node that is selected or scaled is never lost", () => {
  const shown = shownPart(state({ threshold: 1, selected: nodes[2].id, scales: { [nodes[5].id]: 0 } }));
  assert.deepEqual([...shown.nodes].sort(), [2, 5]);
});

test("nodes without any edge are shown where nothing was asked for", () => {
  const shown = shownPart(readState(flowModel(nodes, [], {})));
  assert.equal(shown.nodes.size, 6);
});

test("the strongest path takes the residual stream before modules and then the heaviest edge", () => {
  const path = strongestPath(nodes, state().graph.edges, 4);
  assert.deepEqual(path.nodes, [0, 1, 4], "1→4 is of the residual stream, though 3→4 is heavier");
  assert.deepEqual([...path.edges].sort(), [0, 3]);
  assert.deepEqual(strongestPath(nodes, [], 4).nodes, [4]);
  assert.deepEqual(strongestPath(nodes, state().graph.edges, 0).nodes, [0, 1, 4], "upwards too");
});

test("a factor of 1 is said by leaving it out", () => {
  const now = state({ scales: { a: 0, b: 2 } });
  assert.deepEqual(scaled(now, "a", 1), { b: 2 });
  assert.deepEqual(scaled(now, "c", 4), { a: 0, b: 2, c: 4 });
  assert.deepEqual(now.scales, { a: 0, b: 2 });
});

test("lines are as wide as similarities from 0 to 1 say", () => {
  assert.deepEqual([-0.5, 0, 0.5, 1, 1.2].map(lineWidth), [1, 1, 4, 7, 7]);
});

test("bars are measured by the greatest known activation", () => {
  const activations = { before: payload(Float32Array.of(1, NaN, 2, NaN, NaN, NaN), [6]), after: payload(Float32Array.of(-3, NaN, 0, NaN, NaN, NaN), [6]) };
  const now = state({ numbers: activations });
  assert.equal(mostActive(now), 3);
  assert.equal(mostActive(state()), 0);
});

test("a node is told with its class, similarities against their thresholds, path and activation", () => {
  const similarities = {
    ...state().numbers, resid: payload(Float32Array.of(0, 0, 0, 0, 0.62, 0), [6]), mlp: payload(Float32Array.of(0, 0, 0, 0, 0.21, 0), [6]),
  };
  const told = nodes.map((node, i) => (i === 4 ? { ...node, id: "L1.resid_post/7", label: "dogs", class: "carried", ended: true } : node));
  const now = readState(flowModel(told, ends, {
    weights, scales: { "L1.resid_post/7": 0 },
    numbers: { ...similarities, before: payload(Float32Array.of(0, 0, 0, 0, 1.5, 0), [6]), after: payload(Float32Array.of(0, 0, 0, 0, 0, 0), [6]) },
  }));
  const words = nodeText(now, shownPart(now), 4);
  assert.ok(words.startsWith("L1.resid_post/7 “dogs”: carried; it ends here; activation 1.50 → 0.00; switched off; similarity to its best match in the residual stream before 0.62 (high, from 0.50), in the MLP 0.21 (low, from 0.50)"));
  assert.ok(words.endsWith("strongest path 0/0 → 0/0 → 1/7"), words);
});

test("names are short, and what is not known is not claimed", () => {
  assert.equal(shortName("L3.resid_post/123"), "3/123");
  assert.equal(shortName("any other"), "any other");
  assert.equal(activationText({ before: NaN, after: NaN }), "");
  assert.equal(activationText({ before: 1, after: NaN }), "1.00");
  assert.equal(activationText({ before: 1.234, after: 0 }), "1.23 → 0.00");
});

test("a label is cut to its room and nothing else", () => {
  const measure = (/** @type {string} */ text) => text.length;
  assert.equal(fitText("dog, cat", 8, measure), "dog, cat");
  assert.equal(fitText("dog, cat, wolf", 8, measure), "dog, ca…");
  assert.equal(fitText("dog and cat", 5, measure), "dog…", "no space before the ellipsis");
});
