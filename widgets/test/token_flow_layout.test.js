import assert from "node:assert/strict";
import { test } from "node:test";
import { moveNode, nodeAt } from "../src/graph_view/places.js";
import { LAYER_STRIP, TOKEN_STRIP, layOut, routeOf } from "../src/graph_view/tokens/layout.js";
import { readState } from "../src/graph_view/tokens/state.js";
import { flowModel, pass } from "./token_flow.js";

/** @typedef {import("../src/graph_view/tokens/layout.js").Place} Place */

/** @param {Parameters<typeof pass>[0]} size @param {number} room @param {(id: string) => boolean} [wanted] */
function laidOut(size, room, wanted = () => true) {
  const { nodes, ends } = pass(size);
  const { graph } = readState(flowModel(nodes, ends));
  const shown = new Set(nodes.flatMap(({ id }, i) => (wanted(id) ? [i] : [])));
  const layout = layOut(nodes, graph.edges, size.tokens, shown, room);
  const place = (/** @type {string} */ id) => /** @type {Place} */ (layout.places.get(/** @type {number} */ (graph.nodeIndex.get(id))));
  return { graph, layout, place };
}

/** @param {Place} place */
const boxOf = ({ x, y, width, height }) => ({ left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 });

for (const [size, room] of /** @type {[Parameters<typeof pass>[0], number][]} */ ([
  [{ tokens: 1, layers: 1 }, 300], [{ tokens: 8, layers: 4, heads: 2, neurons: 3 }, 900], [{ tokens: 32, layers: 12, heads: 4, neurons: 9 }, 900],
  [{ tokens: 3, layers: 2, heads: 2, neurons: 2, mid: false }, 700],
])) {
  test(`no two nodes of ${size.tokens} tokens and ${size.layers} layers overlap in ${room} px, each in its column`, () => {
    const { graph, layout } = laidOut(size, room);
    assert.equal(layout.places.size, graph.nodes.length);
    const drawn = [...layout.places.values()];
    drawn.forEach((place, i) => {
      const box = boxOf(place);
      const column = layout.columns[graph.nodes[place.index].column];
      assert.ok(box.left >= column.left - 0.01 && box.right <= column.right + 0.01 && column.left >= LAYER_STRIP);
      assert.ok(box.top >= 0 && box.bottom <= layout.height - TOKEN_STRIP && column.right <= layout.width);
      for (const other of drawn.slice(i + 1).map(boxOf)) {
        assert.ok(box.right < other.left || other.right < box.left || box.bottom < other.top || other.bottom < box.top);
      }
    });
    assert.ok(layout.width >= room);
  });
}

test("a layer goes up from its heads over the state after them and the neurons to its last state", () => {
  const { graph, layout, place } = laidOut({ tokens: 2, layers: 2 }, 900);
  const ys = ["embed@1", "L0H0.z@1", "L0.resid_mid@1", "L0.mlp_post/0@1", "L0.resid_post@1", "L1H0.z@1"].map((id) => place(id).y);
  ys.slice(1).forEach((y, i) => assert.ok(y < ys[i]));
  assert.deepEqual(layout.bands.map(({ layer }) => layer), [-1, 0, 1]);
  for (const { layer, top, bottom } of layout.bands) {
    for (const { index, y } of layout.places.values()) assert.equal(y > top && y < bottom, graph.nodes[index].layer === layer);
  }
});

test("in a parallel block the neurons stand beside the heads, so that no line hides behind them", () => {
  const { layout, place } = laidOut({ tokens: 2, layers: 1, mid: false }, 900);
  assert.equal(place("L0H0.z@1").y, place("L0.mlp_post/0@1").y);
  assert.ok(place("L0H0.z@1").x < place("L0.mlp_post/0@1").x);
  assert.deepEqual(layout.names.map(({ lines }) => lines), [[], ["heads", "neurons"], ["post"]]);
});

test("many neurons stand in two lines, those of the upper one over the gaps of the lower", () => {
  const { graph, layout, place } = laidOut({ tokens: 2, layers: 1, neurons: 9 }, 900);
  const cell = Array.from({ length: 9 }, (_, k) => place(`L0.mlp_post/${k}@1`));
  assert.equal(new Set(cell.map(({ y }) => y)).size, 2);
  for (const edge of graph.edges.filter(({ target, source }) => [source, target].some((i) => graph.nodes[i].kind === "neuron"))) {
    const { points } = routeOf(layout, edge);
    for (const other of cell.filter(({ index }) => index !== edge.source && index !== edge.target).map(boxOf)) {
      for (const { x, y } of points) assert.ok(x < other.left - 3 || x > other.right + 3 || y < other.top || y > other.bottom);
    }
  }
});

test("the residual stream goes straight up beside everything that a column computes", () => {
  const { graph, layout, place } = laidOut({ tokens: 4, layers: 3, heads: 4, neurons: 4 }, 900);
  const modules = [...layout.places.values()].filter(({ module }) => module).map(boxOf);
  for (const edge of graph.edges.filter(({ source, target }) => !place(graph.nodes[source].id).module && !place(graph.nodes[target].id).module)) {
    const [start, end] = routeOf(layout, edge).points;
    assert.equal(start.x, end.x);
    assert.ok(modules.every((box) => start.x < box.left || start.x > box.right || box.bottom < end.y || box.top > start.y));
  }
});

test("edges leave the top of their source and enter the bottom of their target, each channel at its own place", () => {
  const { graph, layout } = laidOut({ tokens: 3, layers: 1 }, 900);
  for (const edge of graph.edges) {
    const [from, to] = [edge.source, edge.target].map((index) => /** @type {Place} */ (layout.places.get(index)));
    const { points } = routeOf(layout, edge);
    const [start, end] = [points[0], /** @type {{x: number, y: number}} */ (points.at(-1))];
    assert.equal(start.y, from.y - from.height / 2);
    assert.equal(end.y, to.y + to.height / 2);
    assert.ok(Math.abs(start.x - from.x) <= from.width / 2 && Math.abs(end.x - to.x) <= to.width / 2);
  }
  const into = graph.edges.filter(({ channel }) => channel !== "");
  assert.equal(new Set(into.map((edge) => routeOf(layout, edge).points.at(-1)?.x)).size, 2);
});

test("a column without nodes takes little room, and one that scrolls is packed", () => {
  const size = { tokens: 20, layers: 2, heads: 2, neurons: 2 };
  const whole = laidOut(size, 900);
  assert.ok(whole.layout.width > 900 && whole.layout.columns.every(({ empty }) => !empty));
  const part = laidOut(size, 900, (id) => id.endsWith("@0") || id.endsWith("@19"));
  assert.ok(part.layout.width < whole.layout.width);
  assert.equal(part.layout.columns.filter(({ empty }) => empty).length, 18);
  for (const { empty, left, right } of part.layout.columns) assert.ok(!empty || right - left < 40);
  // Heads that nobody sees leave no row behind.
  assert.ok(laidOut(size, 900, (id) => !/^L\d+H/.test(id)).layout.height < whole.layout.height);
});

test("a graph that fits keeps its places while nodes go", () => {
  const size = { tokens: 3, layers: 2 };
  const whole = laidOut(size, 900);
  const part = laidOut(size, 900, (id) => id.endsWith("@2"));
  assert.equal(whole.layout.width, 900);
  for (const [index, place] of part.layout.places) assert.deepEqual(place, whole.layout.places.get(index));
  assert.ok(part.layout.places.size < whole.layout.places.size);
});

test("a point is the node whose box it lies in", () => {
  const { layout } = laidOut({ tokens: 4, layers: 2, neurons: 6 }, 900);
  for (const { index, x, y, width, height } of layout.places.values()) {
    assert.equal(nodeAt(layout, x, y), index);
    assert.equal(nodeAt(layout, x - width / 2 + 1, y + height / 2 - 1), index);
  }
  assert.equal(nodeAt(layout, 5, 5), null);
});

test("arrow keys stay in their column where they can and reach every node", () => {
  const { graph, layout } = laidOut({ tokens: 3, layers: 2, heads: 2, neurons: 6 }, 900);
  const beside = (/** @type {Place} */ a, /** @type {Place} */ b) => a.column === b.column;
  const index = (/** @type {string} */ id) => /** @type {number} */ (graph.nodeIndex.get(id));
  assert.equal(moveNode(layout, index("embed@0"), "ArrowUp", beside), index("L0.resid_mid@0"), "there are heads, but in another column");
  assert.equal(moveNode(layout, index("L1.resid_post@0"), "ArrowUp", beside), index("L1.resid_post@0"));
  assert.equal(moveNode(layout, index("embed@0"), "ArrowRight", beside), index("embed@1"));
  const reached = new Set([index("L1.resid_post@2")]);
  const open = [...reached];
  while (open.length > 0) {
    const from = /** @type {number} */ (open.pop());
    for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) {
      const next = moveNode(layout, from, key, beside);
      if (!reached.has(next)) open.push(next);
      reached.add(next);
    }
  }
  assert.equal(reached.size, graph.nodes.length);
});
