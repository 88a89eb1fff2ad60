import assert from "node:assert/strict";
import { test } from "node:test";
import { contrast, inkOn } from "../src/lib/colors.js";
import { shade } from "../src/lib/sign_colors.js";
import { grouped, mostActive, moveToken, readState, scoreOf } from "../src/feature_page/state.js";
import { facts, inlineParts, percent, short, signed, tokenText } from "../src/feature_page/text.js";
import { payload } from "./payload.js";

const texts = [
  { tokens: ["a", " dog", "."], at: 1, group: "top", source: "text 4" },
  { tokens: [" cat"], at: 0, group: "top", source: "" },
  { tokens: ["x", "y"], at: 1, group: "even", source: "" },
];
const state = (changes = {}) => {
  /** @type {Record<string, any>} */
  const traits = {
    _page: { label: "dogs", score: "F1 0.93" }, label: "dogs", editable: false, status: "",
    _contexts: { texts, values: payload(Float32Array.of(0, 2, -3, 1, 0, 0.5), [6]) }, ...changes,
  };
  return readState({ get: (name) => traits[name] });
};

test("each context has its own part of the values", () => {
  assert.deepEqual(state().contexts.map(({ values }) => Array.from(values)), [[0, 2, -3], [1], [0, 0.5]]);
  assert.equal(mostActive(state().contexts), 3);
  assert.deepEqual(grouped(state().contexts).map(([name, members]) => [name, members.length]), [["top", 2], ["even", 1]]);
});

test("a score belongs to the label it was of", () => {
  assert.equal(scoreOf(state()), "F1 0.93");
  assert.equal(scoreOf(state({ label: "cats" })), "not scored");
});

test("arrow keys move along a context and to the place of another", () => {
  const { contexts } = state();
  const from = (/** @type {number} */ context, /** @type {number} */ token, /** @type {string} */ key) => moveToken(contexts, { context, token }, key);
  assert.deepEqual(from(0, 1, "ArrowRight"), { context: 0, token: 2 });
  assert.deepEqual(from(0, 2, "ArrowRight"), { context: 0, token: 2 });
  assert.deepEqual(from(0, 0, "ArrowLeft"), { context: 0, token: 0 });
  assert.deepEqual(from(1, 0, "ArrowDown"), { context: 2, token: 1 });
  assert.deepEqual(from(2, 0, "ArrowDown"), { context: 2, token: 0 }, "at the last it stays where it is");
  assert.deepEqual(from(2, 1, "ArrowUp"), { context: 1, token: 0 });
  assert.deepEqual([from(0, 1, "Home")?.token, from(0, 1, "End")?.token], [0, 2]);
  assert.equal(from(0, 0, "x"), null);
});

test("a token in running text keeps its spaces, and one of spaces alone is shown by signs", () => {
  const text = (/** @type {string} */ token) => inlineParts(token).lead + inlineParts(token).parts.map((part) => part.text).join("");
  assert.equal(text(" dog"), " dog");
  assert.equal(inlineParts(" dog").lead, " ");
  assert.equal(text("dog  "), "dog  ");
  assert.equal(text("  "), "··");
  assert.equal(text(""), "(empty)");
  assert.equal(text(" \n"), " ↵");
  assert.equal(text("<b>"), "<b>");
  assert.equal(text("a\u202eb"), "a\\u202eb");
});

test("numbers have the digits that are worth reading", () => {
  assert.deepEqual([0, 3.14159, 0.05, 0.0123, 0.00123, -0.5].map(short), ["0", "3.14", "0.050", "0.012", "0.0012", "−0.50"]);
  assert.deepEqual([0.5, -0.5, 0].map(signed), ["+0.50", "−0.50", "0"]);
  assert.deepEqual([0, 0.5, 0.0123, 0.00002].map(percent), ["0 %", "50.0 %", "1.23 %", "0.0020 %"]);
});

test("only what is known is stated", () => {
  const none = /** @type {any} */ ({ frequency: null, n_active: null, mean: null, maximum: null });
  assert.deepEqual(facts(none), []);
  assert.deepEqual(facts({ ...none, frequency: 0.01, n_active: 1234, maximum: 9 }), [
    ["active on", "1.00 % of positions (1,234)"], ["maximum", "9.00"],
  ]);
  assert.deepEqual(facts({ ...none, n_active: 1 }), [["active on", "1 position"]]);
});

test("a token is told with its activation and its place", () => {
  const { contexts } = state();
  assert.equal(tokenText(contexts, { context: 0, token: 1 }), "“·dog”: activation 2.00, the place this context is shown for; context 1 of 3, top, text 4");
  assert.equal(tokenText(contexts, { context: 2, token: 0 }), "“x”: activation 0; context 3 of 3, even");
});

for (const background of ["rgb(255, 255, 255)", "rgb(22, 22, 26)"]) {
  test(`shades on ${background} grow with the activation, differ by sign and carry readable text`, () => {
    assert.equal(shade(0, 3, background), "");
    assert.equal(shade(1, 0, background), "");
    const steps = [0.1, 1, 2, 3].map((value) => contrast(shade(value, 3, background), background));
    assert.deepEqual(steps, [...steps].sort((a, b) => a - b));
    assert.equal(shade(5, 3, background), shade(3, 3, background));
    assert.notEqual(shade(2, 3, background), shade(-2, 3, background));
    for (const value of [-3, -1, 0.1, 1, 2, 3]) {
      const fill = shade(value, 3, background);
      assert.ok(contrast(inkOn(fill), fill) >= 4.5);
    }
  });
}
