import assert from "node:assert/strict";
import { test } from "node:test";
import { peak, readState, toggled, valueAt } from "../src/feature_grid/state.js";
import { cellText, placeText, rowText, short } from "../src/feature_grid/text.js";
import { payload } from "./payload.js";

const features = [
  { name: "L3.resid_post/1", label: "dogs" }, { name: "L3.resid_post/2", label: "" }, { name: "L3.resid_post/3", label: "cats" },
];
// Largest anywhere: 2, then 1, 3. In sum: 3, 2, 1.
const values = Float32Array.of(4, 0, 0, /**/ 0, 5, 0, /**/ 3, NaN, 3);
const state = (changes = {}) => {
  /** @type {Record<string, any>} */
  const traits = {
    title: "", status: "", order: "max", n_shown: 12, chosen: [], feature: "", position: -1, _tokens: ["a", " b", "c"], _features: features,
    _values: { values: payload(values, [3, 3]) }, _explained: { values: payload(Float32Array.of(0.5, NaN, 0.9), [3]) }, ...changes,
  };
  return readState({ get: (name) => traits[name] });
};

test("rows are the most active features by the order asked for", () => {
  assert.deepEqual(state().rows, [1, 0, 2]);
  assert.deepEqual(state({ order: "sum" }).rows, [2, 1, 0]);
  assert.deepEqual(state({ order: "max", n_shown: 2 }).rows, [1, 0]);
  assert.equal(state().most, 5);
});

test("at a position only what is active there has a row; without one the last counts", () => {
  assert.deepEqual(state({ order: "position", position: 0 }).rows, [0, 2]);
  assert.deepEqual(state({ order: "position", position: 1 }).rows, [1], "what is not known is not claimed");
  assert.deepEqual(state({ order: "position" }).rows, [2]);
});

test("features chosen by hand stand in the order they were chosen in, at most 32", () => {
  assert.deepEqual(state({ order: "chosen", chosen: [features[2].name, "gone", features[0].name], n_shown: 1 }).rows, [2, 0]);
  const many = Array.from({ length: 40 }, (_, i) => ({ name: `f${i}`, label: "" }));
  const wide = { _features: many, _values: { values: payload(new Float32Array(120), [40, 3]) } };
  const names = many.map(({ name }) => name);
  assert.equal(state({ ...wide, order: "chosen", chosen: names }).rows.length, 32);
  assert.equal(state({ ...wide, n_shown: 40 }).rows.length, 32);
  const full = state({ ...wide, chosen: names.slice(0, 32) });
  assert.equal(toggled(full, "f39").length, 32, "one more is not taken");
  assert.deepEqual(toggled(full, "f0"), names.slice(1, 32));
  assert.deepEqual(toggled(state(), "x"), ["x"]);
});

test("values and peaks are those of the arrays, what is not known left out", () => {
  assert.equal(valueAt(state(), 1, 1), 5);
  assert.deepEqual([0, 1, 2].map((feature) => peak(state(), feature)), [0, 1, 0]);
});

test("cells, rows and places in words", () => {
  assert.deepEqual([0, 0.04, 1.25, 12.6, NaN].map(cellText), ["", "≈0", "1.3", "13", "?"]);
  assert.equal(short(NaN), "not known");
  assert.deepEqual(features.map(rowText), ["3/1 dogs", "3/2", "3/3 cats"]);
  assert.equal(placeText(state(), 0, 0), "L3.resid_post/1 “dogs”: 4.00 at “a” (position 0); at most 4.00 at “a” (position 0); variance explained at the position 0.50");
  assert.equal(placeText(state(), 2, 1), "L3.resid_post/3 “cats”: not known at “·b” (position 1); at most 3.00 at “a” (position 0)");
  assert.equal(placeText(state(), 1, null), "L3.resid_post/2: at most 5.00 at “·b” (position 1)");
  assert.equal(placeText(state(), null, 2), "“c” (position 2); variance explained at the position 0.90");
  assert.equal(placeText(state(), null, null), "");
});
