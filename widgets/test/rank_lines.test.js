import assert from "node:assert/strict";
import { test } from "node:test";
import { labelStride, rankLines } from "../src/lib/rank_lines.js";

const box = { left: 50, right: 10, top: 10, bottom: 30, width: 460, height: 240 };

test("rank 1 is at the top, each power of ten as far below the one before", () => {
  const { lines, ticks } = rankLines([[1000, 100, 10, 1]], box);
  assert.deepEqual(ticks.map(({ rank }) => rank), [1, 10, 100, 1000]);
  assert.equal(ticks[0].y, 10);
  assert.equal(ticks[3].y, 210);
  const ys = lines[0].points.map(({ y }) => y);
  ys.slice(1).forEach((y, i) => assert.ok(Math.abs(ys[i] - y - 200 / 3) < 1e-9));
});

test("rows go from the left to the right edge", () => {
  const { lines } = rankLines([[5, 4, 3, 2, 1]], box);
  assert.deepEqual(lines[0].points.map(({ x }) => x), [50, 150, 250, 350, 450]);
});

test("no line is drawn across rows where the rank is not known", () => {
  const { lines } = rankLines([[3, null, 2, 1, null]], box);
  assert.deepEqual(lines[0].points.map(({ row }) => row), [0, 2, 3]);
  assert.equal(lines[0].path.match(/M/g)?.length, 2);
});

test("ranks that are all 1, a single row, and no pin at all still have an axis", () => {
  assert.deepEqual(rankLines([[1, 1, 1]], box).ticks.map(({ rank }) => rank), [1, 10]);
  const one = rankLines([[7]], box).lines[0].points[0];
  assert.ok(Number.isFinite(one.x) && Number.isFinite(one.y));
  assert.deepEqual(rankLines([[]], box).lines, [{ points: [], path: "" }]);
});

test("labels are thinned until they fit", () => {
  assert.equal(labelStride(12, 600, 40), 1);
  assert.equal(labelStride(48, 600, 40), 4);
});
