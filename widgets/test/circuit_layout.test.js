import assert from "node:assert/strict";
import { test } from "node:test";
import { entry, layOut } from "../src/graph_view/components/layout.js";
import { boxOf, moveNode, nodeAt } from "../src/graph_view/places.js";
import { meets, routeEdges } from "../src/graph_view/components/routes.js";
import { nearestRoute } from "../src/lib/curves.js";
import { signColors } from "../src/lib/sign_colors.js";
import { contrast, luminance } from "../src/lib/colors.js";
import { edgeAt, readState } from "../src/graph_view/components/state.js";
import { allEdges, circuitModel, components, node } from "./circuit.js";

/** @param {import("../src/graph_view/components/layout.js").Layout} layout @param {number} index */
const placeOf = ({ places }, index) => /** @type {import("../src/graph_view/components/layout.js").Place} */ (places.get(index));

/** @param {import("../src/graph_view/places.js").Box} a @param {import("../src/graph_view/places.js").Box} b */
const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

for (const [layers, heads, room] of [[1, 1, 300], [4, 4, 420], [4, 4, 900], [12, 12, 900], [12, 12, 500], [2, 16, 900]]) {
  test(`no two nodes overlap and none is outside, ${layers} × ${heads} in ${room} px`, () => {
    const layout = layOut(components(layers, heads), room, true);
    const boxes = [...layout.places.values()].map(boxOf);
    boxes.forEach((box, i) => {
      assert.ok(box.left >= 40 && box.right <= layout.width && box.top >= 0 && box.bottom <= layout.height);
      for (const other of boxes.slice(i + 1)) assert.ok(!overlap(box, other));
    });
    assert.ok(layout.width >= room);
    if (room === 900 && heads <= 12) assert.equal(layout.width, room, "there is no need to scroll sideways");
    assert.ok(Math.min(...boxes.map((box) => box.right - box.left)) >= 33, "ports keep 11 px each");
  });

  test(`edges rise from source to target and meet no other node, ${layers} × ${heads} in ${room} px`, () => {
    const nodes = components(layers, heads);
    const all = allEdges(nodes);
    const { graph } = readState(circuitModel(nodes, all));
    const layout = layOut(nodes, room, true);
    const edges = all.map((_, i) => edgeAt(graph, i)).filter((_, i) => i % Math.ceil(all.length / 400) === 0);
    const routes = routeEdges(layout, edges);
    const boxes = [...layout.places.values()].map(boxOf);
    let met = 0;
    edges.forEach((edge) => {
      const { points, path } = /** @type {import("../src/lib/curves.js").Route} */ (routes.get(edge.index));
      const [from, to] = [boxes[edge.source], boxes[edge.target]];
      assert.match(path, /^M[-\d.,]+[LC]/);
      assert.ok(Math.abs(points[0].y - from.top) < 1e-9 && points[0].x >= from.left && points[0].x <= from.right);
      assert.ok(Math.abs(points[points.length - 1].y - to.bottom) < 1e-9);
      if (edge.channel) assert.ok(Math.abs(points[points.length - 1].x - entry(placeOf(layout, edge.target), edge.channel).x) < 1e-9);
      const crossed = boxes.some((box, n) => n !== edge.source && n !== edge.target
        && points.some((point, k) => k > 0 && meets(points[k - 1], point, box)));
      met += crossed ? 1 : 0;
    });
    assert.equal(met, 0);
  });
}

test("layers go upwards, the MLP stands above and beside its layer's heads", () => {
  const nodes = components(3, 2);
  const layout = layOut(nodes, 800, true);
  const y = (/** @type {string} */ id) => placeOf(layout, nodes.findIndex((item) => item.id === id)).y;
  const x = (/** @type {string} */ id) => placeOf(layout, nodes.findIndex((item) => item.id === id)).x;
  const order = ["embed", "L0H0", "L0.mlp", "L1H0", "L1.mlp", "L2H0", "L2.mlp", "logits"].map(y);
  assert.deepEqual(order, [...order].sort((a, b) => b - a));
  assert.equal(y("L1H0"), y("L1H1"));
  assert.ok(x("L1H0") < x("L1H1") && x("L1H1") < x("L1.mlp"));
});

test("q, k and v enter a head at three places, all else in the middle", () => {
  const [, head, mlp] = layOut(components(1, 1), 400, true).places.values();
  const [q, k, v] = ["q", "k", "v"].map((channel) => entry(head, channel).x);
  assert.ok(k - q >= 11 && v - k >= 11 && k === head.x);
  assert.equal(entry(mlp, "").x, mlp.x);
  const [, plain] = layOut(components(1, 1), 400, false).places.values();
  assert.equal(entry(plain, "").y, plain.y + plain.height / 2, "a head without channels has no ports");
});

test("several embeddings and graphs without heads have room", () => {
  const nodes = [node("a", "embed"), node("b", "embed"), node("logits", "logits")];
  const [a, b, logits] = [...layOut(nodes, 500, false).places.values()].map(boxOf);
  assert.ok(!overlap(a, b) && a.right < b.left && logits.bottom < a.top);
});

test("a point is in the node whose box or port it is on", () => {
  const layout = layOut(components(2, 2), 800, true);
  for (const place of layout.places.values()) {
    assert.equal(nodeAt(layout, place.x, place.y), place.index);
    if (place.ports) assert.equal(nodeAt(layout, place.x, boxOf(place).bottom - 1), place.index);
  }
  assert.equal(nodeAt(layout, 5, 5), null);
});

test("arrow keys move to the next layer and inside a layer, and stop at the ends", () => {
  const nodes = components(2, 3);
  const layout = layOut(nodes, 800, true);
  const move = (/** @type {string} */ from, /** @type {string} */ key) =>
    nodes[moveNode(layout, nodes.findIndex((item) => item.id === from), key)].id;
  assert.equal(move("L0H1", "ArrowUp"), "L1H1");
  assert.equal(move("L1H2", "ArrowDown"), "L0H2");
  assert.equal(move("L0H2", "ArrowRight"), "L0.mlp");
  assert.equal(move("L0.mlp", "ArrowLeft"), "L0H2");
  assert.equal(move("L0.mlp", "ArrowRight"), "L0.mlp");
  assert.equal(move("L0H0", "ArrowDown"), "embed");
  assert.equal(move("L1.mlp", "ArrowUp"), "logits");
  assert.equal(move("logits", "ArrowUp"), "logits");
});

test("the nearest edge within reach is the one pointed at", () => {
  const line = (/** @type {number} */ x) => ({ path: "", points: [{ x, y: 0 }, { x, y: 100 }], middle: { x, y: 50 } });
  const routes = [line(10), line(20), line(23)];
  assert.equal(nearestRoute(routes, 21, 50, 7), 1);
  assert.equal(nearestRoute(routes, 22.9, 50, 7), 2);
  assert.equal(nearestRoute(routes, 50, 50, 7), -1);
  assert.equal(nearestRoute(routes, 10, 104, 7), 0);
  assert.deepEqual(routeEdges(layOut(components(1, 1), 400, true), []), new Map());
});

test("a segment meets a box that it crosses, touches or lies in, and no other", () => {
  const box = { left: 0, right: 10, top: 0, bottom: 10 };
  assert.ok(meets({ x: -5, y: 5 }, { x: 15, y: 5 }, box));
  assert.ok(meets({ x: 2, y: 2 }, { x: 3, y: 3 }, box));
  assert.ok(meets({ x: 10, y: -5 }, { x: 10, y: 15 }, box));
  assert.ok(!meets({ x: -5, y: 8 }, { x: 5, y: 18 }, box));
  assert.ok(!meets({ x: 11, y: 0 }, { x: 11, y: 10 }, box));
});

test("both signs stand out on any background and differ from one another", () => {
  for (const background of ["rgb(255, 255, 255)", "rgb(22, 22, 26)", "#111111", "#f4f4f5", "#1e1e1e"]) {
    const { positive, negative } = signColors(background);
    assert.ok(contrast(positive, background) >= 3.5 && contrast(negative, background) >= 3.5, background);
    assert.ok(Math.abs(luminance(positive) - luminance(negative)) < 0.15, "neither looks weightier");
    assert.notEqual(positive, negative);
  }
});
