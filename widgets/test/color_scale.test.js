import assert from "node:assert/strict";
import { test } from "node:test";
import { colorScale } from "../src/lib/color_scale.js";

test("a sequential scale goes from its first to its last step and holds at the ends", () => {
  const { step } = colorScale("sequential", 0, 10);
  assert.deepEqual([-5, 0, 5, 10, 99, Infinity, -Infinity].map(step), [0, 0, 128, 255, 255, 255, 0]);
  assert.equal(step(NaN), -1);
});

test("a diverging scale has zero in the middle, however lopsided the values", () => {
  const { step, domain } = colorScale("diverging", -1, 4);
  assert.deepEqual(domain, [-4, 4]);
  assert.equal(step(0), 128);
  assert.equal(step(-4), 0);
  assert.ok(Math.abs(step(1) - 128 - (128 - step(-1))) <= 1);
});

test("equal ratios are equal steps on a log scale", () => {
  const { step, ticks } = colorScale("log", 1, 10000);
  assert.deepEqual([1, 10, 100, 1000, 10000].map(step), [0, 64, 128, 191, 255]);
  assert.deepEqual(ticks.map(({ value }) => value), [1, 10, 100, 1000, 10000]);
});

test("a log scale inside one power of ten has its ends as ticks", () => {
  assert.deepEqual(colorScale("log", 2, 7).ticks.map(({ value }) => value), [2, 7]);
});

test("a single value gets the middle colour and one tick", () => {
  for (const kind of /** @type {const} */ (["sequential", "log", "diverging"])) {
    const { step, ticks } = colorScale(kind, kind === "diverging" ? 0 : 3, kind === "diverging" ? 0 : 3);
    assert.equal(step(kind === "diverging" ? 0 : 3), 128);
    assert.equal(ticks.length, 1);
  }
});

test("ticks lie inside the bar, in order", () => {
  const { ticks } = colorScale("sequential", 0.13, 6.7);
  assert.ok(ticks.length >= 3);
  ticks.forEach(({ at }, i) => assert.ok(at >= 0 && at <= 1 && (i === 0 || at > ticks[i - 1].at)));
});
