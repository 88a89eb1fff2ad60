import assert from "node:assert/strict";
import { test } from "node:test";
import { mix, mosaic, pooled } from "../src/attention_grid/raster.js";
import { headHigh, largest, pairIndex, readState, weightAt, weightsAround } from "../src/attention_grid/state.js";
import { headName, pairText, positionText, shortWeight, tokenName } from "../src/attention_grid/text.js";
import { payload } from "./payload.js";

// Two layers of two heads over three tokens: the weights of head s are s + 0.01, s + 0.02, …
const PLAIN = payload(Float32Array.from({ length: 24 }, (_, i) => (Math.floor(i / 6) + ((i % 6) + 1) / 100) / 4), [2, 2, 6]);
const WEIGHTED = payload(Float32Array.from({ length: 24 }, (_, i) => 2 * (Math.floor(i / 6) + 1) * ((i % 6) + 1)), [2, 2, 6]);

/** @param {Record<string, any>} [changes] */
function state(changes) {
  const values = {
    title: "", layer: 3, head: 0, position: null, weighted: false,
    _tokens: ["a", " b", " b"], _layers: [3, 7], _pattern: PLAIN, _value_weighted: WEIGHTED, ...changes,
  };
  return readState({ get: (name) => /** @type {any} */ (values)[name] });
}

test("pairs are packed destination after destination", () => {
  const pairs = [[0, 0], [1, 0], [1, 1], [2, 0], [2, 1], [2, 2]];
  assert.deepEqual(pairs.map(([dst, src]) => pairIndex(dst, src)), [0, 1, 2, 3, 4, 5]);
});

test("a weight is that of its layer, head and pair, and 0 for a later source", () => {
  const shown = state();
  assert.ok(Math.abs(weightAt(shown, 1, 0, 2, 1) - (2 + 0.05) / 4) < 1e-6);
  assert.ok(Math.abs(weightAt(shown, 0, 1, 1, 0) - (1 + 0.02) / 4) < 1e-6);
  assert.equal(weightAt(shown, 1, 1, 0, 2), 0);
  assert.equal(weightAt(state({ weighted: true }), 1, 1, 2, 2), 2 * 4 * 6);
});

test("around a position stand its sources before it and its destinations after it", () => {
  const around = weightsAround(state({ weighted: true }), 1);
  // Head 0 of layer 3: (1, 0) is pair 1, (1, 1) pair 2, and (2, 1) pair 4.
  assert.deepEqual(around, [4, 6, 10]);
});

test("the largest weights come first and those of 0 not at all", () => {
  assert.deepEqual(largest([0.1, 0, 0.6, 0.3], 0, 4, 2), [{ pos: 2, weight: 0.6 }, { pos: 3, weight: 0.3 }]);
  assert.deepEqual(largest([0.1, 0, 0.6, 0.3], 0, 2, 3), [{ pos: 0, weight: 0.1 }]);
});

test("plain colours end at 1 for every head, value-weighted ones at the head's own largest", () => {
  assert.equal(headHigh(state()), 1);
  assert.equal(headHigh(state({ weighted: true })), 12);
  assert.equal(headHigh(state({ weighted: true, layer: 7, head: 1 })), 48);
  assert.equal(state({ weighted: true }).weights.high, 48);
});

test("a choice that belongs to older data shows what there is", () => {
  const shown = state({ layer: 5, head: 9, position: 3, weighted: true, _value_weighted: null });
  assert.deepEqual([shown.layerIndex, shown.head, shown.position, shown.weighted], [0, 1, null, false]);
  assert.equal(shown.hasWeighted, false);
  assert.equal(state({ position: 0 }).position, 0);
});

test("a weight has at most four signs and never claims a false zero", () => {
  const texts = [0, 1e-9, 0.0049, 0.005, 0.5, 1, 9.994, 9.996, 99.94, 99.96, 9999, 12345].map(shortWeight);
  assert.deepEqual(texts, ["0", "<.01", "<.01", "0.01", "0.50", "1.00", "9.99", "10.0", "99.9", "100", "9999", "1e4"]);
  assert.ok(texts.every((text) => text.length <= 4));
});

test("a pair is said in words", () => {
  const shown = state({ layer: 7, head: 1, weighted: true });
  assert.equal(headName(shown), "L7H1");
  assert.equal(tokenName(shown, 1), "“·b” (1)");
  assert.equal(pairText(shown, 2, 0), "L7H1: “·b” (2) attends to “a” (0): 32.000");
  assert.equal(pairText(shown, 0, 2), "L7H1: “a” (0) cannot attend to the later “·b” (2)");
});

test("a position is said with what it attends to most and what attends to it most", () => {
  const shown = state({ weighted: true });
  assert.equal(positionText(shown, 1), "L3H0: “·b” (1) attends most to itself 6.000, “a” (0) 4.000; most attended to by “·b” (2) 10.000.");
  assert.equal(
    positionText(shown, 2),
    "L3H0: “·b” (2) attends most to itself 12.000, “·b” (1) 10.000, “a” (0) 8.000; no later token could attend to it.",
  );
  const nothing = payload(new Float32Array(24), [2, 2, 6]);
  assert.equal(positionText(state({ weighted: true, _value_weighted: nothing }), 0), "L3H0: “a” (0) attends most to nothing; most attended to by no later token.");
});

test("a picture keeps the largest of the weights that share a place", () => {
  const triangle = Float32Array.of(9, 1, 2, 3, 4, 5, 6, 7, 8, 0);
  assert.deepEqual([...pooled(triangle, 0, 4, 4)], [9, NaN, NaN, NaN, 1, 2, NaN, NaN, 3, 4, 5, NaN, 6, 7, 8, 0]);
  assert.deepEqual([...pooled(triangle, 0, 4, 2)], [9, NaN, 7, 8]);
  assert.deepEqual([...pooled(Float32Array.of(0, 0, 5), 2, 1, 1)], [5]);
});

test("all heads stand in one picture, the first layer below and the future transparent", () => {
  const fill = Array.from({ length: 256 }, (_, step) => `rgb(${step}, 0, 0)`);
  const { pixels, width, height } = mosaic(state({ weighted: true }), 3, fill);
  assert.deepEqual([width, height], [6, 6]);
  const at = (/** @type {number} */ x, /** @type {number} */ y) => [...pixels.subarray((y * width + x) * 4, (y * width + x) * 4 + 4)];
  // The last pair of the last layer's last head is the largest of all.
  assert.deepEqual(at(5, 2), [255, 0, 0, 255]);
  assert.deepEqual(at(0, 3), [Math.round(255 * Math.sqrt(2 / 48)), 0, 0, 255]);
  assert.deepEqual(at(2, 0), [0, 0, 0, 0]);
  const plain = mosaic(state(), 3, fill);
  assert.equal(plain.pixels[(3 * width + 0) * 4], Math.round((255 * 0.01) / 4));
});

test("a mixed colour lies between its ends", () => {
  assert.equal(mix("#000000", "#ff8000", 0), "rgb(0, 0, 0)");
  assert.equal(mix("#000000", "#ff8000", 1), "rgb(255, 128, 0)");
  assert.equal(mix("rgb(0, 100, 200)", "#646464", 0.5), "rgb(50, 100, 150)");
});
