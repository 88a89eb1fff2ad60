import assert from "node:assert/strict";
import { test } from "node:test";
import { formatNumber, formatProbability, formatRank } from "../src/lib/numbers.js";

test("numbers keep their places, and what is not zero is never written as zero", () => {
  assert.equal(formatNumber(0.4821, 3), "0.482");
  assert.equal(formatNumber(0, 3), "0.000");
  assert.equal(formatNumber(0.0005, 3), "0.001");
  assert.equal(formatNumber(0.00004, 3), "4.0e−5");
  assert.equal(formatNumber(-3.14159, 2), "−3.14");
  assert.equal(formatNumber(50257, 0), "50,257");
  assert.equal(formatNumber(12345678, 0), "1.2e+7");
});

test("what is not a finite number says so", () => {
  assert.equal(formatNumber(NaN, 3), "not a number");
  assert.equal(formatNumber(Infinity, 3), "∞");
  assert.equal(formatNumber(-Infinity, 3), "−∞");
});

test("probabilities come from natural logarithms and ranks have thousands", () => {
  assert.equal(formatProbability(Math.log(0.25)), "0.250");
  assert.equal(formatProbability(0), "1.000");
  assert.equal(formatProbability(-Infinity), "0.000");
  assert.equal(formatRank(1204), "1,204");
});
