import assert from "node:assert/strict";
import { test } from "node:test";
import { PIN_COLORS, SCHEMES, STEPS, channels, colorTable, contrast, luminance } from "../src/lib/colors.js";

test("text has a contrast of at least 4.5 on every step of every scheme", () => {
  for (const table of [...SCHEMES.map((name) => colorTable(name, false)), colorTable("viridis", true)]) {
    assert.equal(table.fill.length, STEPS);
    table.fill.forEach((fill, step) => assert.ok(contrast(fill, table.ink[step]) >= 4.5, `${fill} under ${table.ink[step]}`));
  }
});

test("the contrast is WCAG's", () => {
  assert.equal(contrast("#000000", "#ffffff"), 21);
  assert.equal(contrast("#777777", "#777777"), 1);
  // The worked value that WCAG tools give for #767676 on white.
  assert.ok(Math.abs(contrast("#767676", "#ffffff") - 4.54) < 0.005);
});

test("sequential schemes grow lighter all the way, so that they read in grey", () => {
  for (const name of SCHEMES) {
    const light = colorTable(name, false).fill.map(luminance);
    light.slice(1).forEach((value, i) => assert.ok(value >= light[i] - 0.004, `${name} at step ${i + 1}`));
    assert.ok((light.at(-1) ?? 0) - light[0] > 0.5);
  }
});

test("the diverging table is red below zero, near white in the middle, blue above, whatever the scheme", () => {
  const { fill } = colorTable("magma", true);
  const [low, middle, high] = [0, STEPS / 2, STEPS - 1].map((step) => channels(fill[step]));
  assert.ok(low[0] > low[2] && high[2] > high[0]);
  assert.ok(Math.min(...middle) > 225);
  assert.equal(colorTable("viridis", true), colorTable("magma", true));
});

test("pins stand out from white and from near-black, and from one another", () => {
  for (const color of PIN_COLORS) {
    assert.ok(contrast(color, "#ffffff") >= 3, `${color} on white`);
    assert.ok(contrast(color, "#16161a") >= 3, `${color} on dark`);
  }
  assert.equal(new Set(PIN_COLORS).size, PIN_COLORS.length);
});

test("a colour in another notation is refused", () => {
  assert.throws(() => channels("hsl(0 0% 0%)"), /not hsl/);
});
