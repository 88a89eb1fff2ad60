import assert from "node:assert/strict";
import { test } from "node:test";
import { layOut, routeOf, spaced } from "../src/graph_view/lanes/layout.js";
import { moveNode } from "../src/graph_view/places.js";
import { edgesOf, stack } from "./flow.js";

/** @param {number} n */
const all = (n) => new Set(Array.from({ length: n }, (_, i) => i));

/** @param {import("../src/graph_view/lanes/layout.js").Layout} layout */
function boxes({ places, nodeWidth, nodeHeight }) {
  return [...places.values()].map(({ x, y }) => ({ left: x - nodeWidth / 2, right: x + nodeWidth / 2, top: y - nodeHeight / 2, bottom: y + nodeHeight / 2 }));
}

for (const [layers, perRow, room, mode] of /** @type {[number, number, number, string][]} */ ([
  [1, 1, 300, "look"], [4, 1, 900, "edit"], [4, 1, 420, "look"], [4, 3, 900, "look"], [12, 6, 900, "edit"],
])) {
  test(`no two of ${layers} × 3 × ${perRow} nodes overlap in ${room} px, each in its lane and row`, () => {
    const { nodes, ends } = stack(layers, perRow);
    const layout = layOut(nodes, edgesOf(ends), all(nodes.length), room, mode);
    const drawn = boxes(layout);
    assert.equal(drawn.length, nodes.length);
    drawn.forEach((box, i) => {
      assert.ok(box.left >= 36 && box.right <= layout.width && box.top >= 22 && box.bottom <= layout.height);
      for (const other of drawn.slice(i + 1)) {
        assert.ok(box.right < other.left || other.right < box.left || box.bottom < other.top || other.bottom < box.top);
      }
    });
    for (const [index, { x, row }] of layout.places) {
      const lane = layout.columns.find((column) => column.lane === nodes[index].lane);
      assert.ok(lane && x > lane.left && x < lane.right);
      assert.equal(row, 2 * nodes[index].layer + (nodes[index].lane === "resid" ? 1 : 0));
    }
    assert.ok(layout.width >= room);
    if (perRow * 3 * 92 + 76 <= room) assert.equal(layout.width, room, "there is no need to scroll sideways");
  });
}

test("layers go upwards, a layer's modules lie below the residual stream they feed", () => {
  const { nodes, ends } = stack(2, 1);
  const { places, bands } = layOut(nodes, edgesOf(ends), all(6), 900, "look");
  const y = (/** @type {number} */ i) => places.get(i)?.y ?? NaN;
  assert.ok(y(0) === y(2) && y(0) > y(1) && y(1) > y(3) && y(3) > y(4));
  assert.deepEqual(bands.map((band) => band.layer), [0, 1]);
  assert.ok(bands[0].top === bands[1].bottom && bands[0].bottom > y(0) && bands[0].top < y(1));
});

test("a chain is a straight line and parents decide the order of a row", () => {
  const { nodes, ends } = stack(4, 1);
  const { places } = layOut(nodes, edgesOf(ends), all(12), 900, "look");
  const xs = [1, 4, 7, 10].map((i) => places.get(i)?.x);
  assert.equal(new Set(xs).size, 1);
  const crossed = stack(2, 3);
  // Each of the upper row reads only the one opposite: 0 from 2, 1 from 1, 2 from 0.
  const wires = /** @type {[number, number][]} */ ([[5, 12], [4, 13], [3, 14]]);
  const rows = layOut(crossed.nodes, edgesOf(wires), all(18), 1400, "look").rows;
  const order = (/** @type {number[]} */ row) => row.filter((i) => crossed.nodes[i].lane === "resid");
  assert.deepEqual(order(rows[3]).map((i) => wires.find(([, target]) => target === i)?.[0]), order(rows[1]));
});

test("a graph that fits keeps its places while nodes go, one that scrolls is packed", () => {
  const small = stack(3, 1);
  const whole = layOut(small.nodes, edgesOf(small.ends), all(9), 900, "look");
  const part = layOut(small.nodes, edgesOf(small.ends), new Set([1, 4, 7]), 900, "look");
  assert.ok(!part.packed);
  for (const index of [1, 4, 7]) assert.deepEqual(part.places.get(index), whole.places.get(index));
  assert.equal(part.places.size, 3);
  const wide = stack(3, 12);
  const some = new Set([12, 48, 84]);
  const packed = layOut(wide.nodes, edgesOf(wide.ends), some, 900, "look");
  assert.ok(packed.packed && packed.width === 900 && packed.places.size === 3);
});

test("places are as near to those wanted as a pitch and the bounds let them be", () => {
  assert.deepEqual(spaced([10, 50, 90], 20, 0, 100), [10, 50, 90]);
  assert.deepEqual(spaced([50, 50], 20, 0, 100), [40, 60]);
  assert.deepEqual(spaced([0, 5, 5], 10, 0, 100), [0, 10, 20], "at the bound they are pushed inwards");
  assert.deepEqual(spaced([95, 99], 10, 0, 100), [90, 100]);
  const placed = spaced([1, 2, 3, 50, 51, 99], 8, 0, 100);
  placed.slice(1).forEach((x, i) => assert.ok(x - placed[i] >= 8 - 1e-9));
  assert.deepEqual(spaced([], 10, 0, 100), []);
});

test("an edge starts at the top of its source and ends at the bottom of its target, upright", () => {
  const { nodes, ends } = stack(2, 1);
  const layout = layOut(nodes, edgesOf(ends), all(6), 900, "look");
  const [from, to] = [0, 1].map((i) => /** @type {import("../src/graph_view/lanes/layout.js").Place} */ (layout.places.get(i)));
  const numbers = routeOf(layout, { source: 0, target: 1 }).path.match(/-?[\d.]+/g)?.map(Number) ?? [];
  const [x0, y0, c0, , c1, , x1, y1] = numbers;
  assert.ok(Math.abs(y0 - (from.y - 19)) < 0.1 && Math.abs(y1 - (to.y + 19)) < 0.1 && y0 > y1);
  assert.ok(x0 === c0 && c1 === x1 && Math.abs(x0 - from.x) < 0.1 && Math.abs(x1 - to.x) < 0.1);
});

test("arrow keys reach every node: along a row and to the nearest of the next row that has any", () => {
  const { nodes, ends } = stack(2, 2);
  const layout = layOut(nodes, edgesOf(ends), all(12), 900, "look");
  assert.deepEqual(layout.rows[0].length, 4);
  const [first, second] = layout.rows[0];
  assert.equal(moveNode(layout, first, "ArrowRight"), second);
  assert.equal(moveNode(layout, second, "ArrowLeft"), first);
  assert.equal(moveNode(layout, first, "ArrowLeft"), first, "an end stays");
  assert.equal(moveNode(layout, first, "ArrowDown"), first);
  assert.equal(layout.places.get(moveNode(layout, first, "ArrowUp"))?.row, 1);
  const hidden = layOut(nodes, edgesOf(ends), new Set([2, 8]), 900, "look");
  assert.equal(moveNode(hidden, 2, "ArrowUp"), 8, "an empty row is passed over");
});
