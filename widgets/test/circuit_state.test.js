import assert from "node:assert/strict";
import { test } from "node:test";
import { edgeAt, findEdge, isIdle, isMember, nearestStop, readState, shownEdges, sliderStops, toggleCut } from "../src/graph_view/components/state.js";
import { edgeText, fitLabels, nodeText } from "../src/graph_view/components/text.js";
import { allEdges, circuitModel, components, node } from "./circuit.js";

const nodes = components(2, 1);
const edges = allEdges(nodes);
/** @param {Record<string, any>} [changes] */
const state = (changes) => readState(circuitModel(nodes, edges, changes));
/** @param {Record<string, any>} [changes] */
const ids = (changes) => shownEdges(state(changes)).map((edge) => edge.id);

test("every edge is found by its own id and by no other", () => {
  const { graph } = state();
  edges.forEach(([source, target, channel], index) => {
    const edge = edgeAt(graph, index);
    assert.equal(edge.id, `${nodes[source].id}→${nodes[target].id}${["", ".q", ".k", ".v"][channel]}`);
    assert.equal(findEdge(graph, edge.id), index);
  });
  for (const id of ["", "embed", "embed→", "embed→L0H0", "L0H0→L0.mlp.q", "logits→embed", "embed→L9H9.q"]) {
    assert.equal(findEdge(graph, id), -1, id);
  }
});

test("the strongest edges are shown first whatever their sign", () => {
  const weights = edges.map((_, i) => (i === 4 ? -9 : i === 2 ? 5 : i === 7 ? 7 : 0.1));
  const shown = shownEdges(state({ weights }));
  assert.deepEqual(shown.map((edge) => edge.index), [4, 7, 2]);
  assert.deepEqual(shown.map((edge) => edge.rank), [1, 2, 3]);
  assert.deepEqual(ids({ n_edges_shown: 0 }), []);
  assert.equal(ids({ n_edges_shown: 5000 }).length, edges.length);
});

test("edges of one weight come in the order given", () => {
  const shown = shownEdges(state({ weights: edges.map(() => 1) }));
  assert.deepEqual(shown.map((edge) => edge.index), [0, 1, 2]);
});

test("cut and selected edges stay however weak they are", () => {
  const weakest = edgeAt(state().graph, edges.length - 1).id;
  const weaker = edgeAt(state().graph, edges.length - 2).id;
  const shown = ids({ cut_edges: [weakest], selected: weaker });
  assert.equal(shown.length, 5);
  assert.deepEqual(shown.slice(3), [weaker, weakest]);
  assert.equal(ids({ cut_edges: [weakest], n_edges_shown: 0 }).length, 1);
});

test("a circuit's members come before stronger edges outside it", () => {
  const members = [8, 5].map((index) => edgeAt(state().graph, index).id);
  const changes = { in_circuit_edges: members };
  assert.deepEqual(shownEdges(state(changes)).map((edge) => edge.index), [0, 5, 8]);
  assert.deepEqual(ids({ ...changes, n_edges_shown: 1 }), [members[1]]);
  const shown = state(changes);
  assert.deepEqual(shownEdges(shown).map((edge) => isMember(shown, edge)), [false, true, true]);
  assert.ok(shownEdges(state()).every((edge) => isMember(state(), edge)));
});

test("a second cut restores, and the logits cannot be cut", () => {
  assert.deepEqual(toggleCut(state(), "L0H0"), { cut_nodes: ["L0H0"] });
  assert.deepEqual(toggleCut(state({ cut_nodes: ["L0H0", "embed"] }), "L0H0"), { cut_nodes: ["embed"] });
  assert.deepEqual(toggleCut(state({ cut_edges: ["a"] }), "embed→L0H0.q"), { cut_edges: ["a", "embed→L0H0.q"] });
  assert.equal(toggleCut(state(), "logits"), null);
});

test("the edges of a cut node carry nothing", () => {
  const shown = state({ cut_nodes: ["L0H0"], n_edges_shown: 100 });
  for (const edge of shownEdges(shown)) assert.equal(isIdle(shown, edge), edge.id.includes("L0H0"), edge.id);
});

test("the slider stops at every small count, at the last, and rarely in between", () => {
  assert.deepEqual(sliderStops(0), [0]);
  assert.deepEqual(sliderStops(5), [0, 1, 2, 3, 4, 5]);
  const stops = sliderStops(32491);
  assert.deepEqual(stops.slice(0, 31), Array.from({ length: 31 }, (_, i) => i));
  assert.equal(stops.at(-1), 2000);
  assert.deepEqual(sliderStops(42).slice(-4), [30, 35, 40, 42]);
  assert.ok(stops.length < 120 && stops.every((stop, i) => i === 0 || stop > stops[i - 1]));
  assert.equal(stops[nearestStop(stops, 50)], 50);
  assert.equal(nearestStop([0, 1, 2], 50), 2);
});

test("the lines state the numbers, the place by size, the circuit and the cut", () => {
  const shown = state({ cut_edges: ["embed→L0H0.k"], in_circuit_edges: [], in_circuit_nodes: ["embed"], cut_nodes: ["L0H0"] });
  assert.equal(
    edgeText(shown, edgeAt(shown.graph, 1)),
    `embed → key of L0H0: weight −0.500 nats; rank 2 of ${edges.length} by size; not in the circuit; cut`,
  );
  assert.equal(nodeText(shown, nodes[0], { into: 0, out: 4 }), "embed (embedding): effect +0.500 nats; drawn edges: 0 in, 4 out");
  assert.equal(
    nodeText(shown, { ...nodes[1], score: null }, { into: 1, out: 0 }),
    "L0H0 (attention head, layer 0): effect not given; drawn edges: 1 in, 0 out; not in the circuit; cut",
  );
});

test("labels are shortened together, and cut only where that does not do", () => {
  const some = [node("embed", "embed"), node("L2H9", "head", 2), node("L2H10", "head", 2), node("L2.mlp", "mlp", 2)];
  const within = (/** @type {number} */ size) => fitLabels(some, (text) => text.length <= size);
  assert.deepEqual(within(6), { texts: ["embed", "L2H9", "L2H10", "L2.mlp"], whole: true });
  assert.deepEqual(within(5), { texts: ["embed", "H9", "H10", "mlp"], whole: false });
  assert.deepEqual(within(2), { texts: ["e…", "H9", "H…", "m…"], whole: false });
});
