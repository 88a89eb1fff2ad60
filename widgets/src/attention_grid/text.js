/**
 * The grid's numbers in words.
 *
 * @typedef {import("./state.js").State} State
 */
import { formatNumber } from "../lib/numbers.js";
import { visibleToken } from "../lib/tokens.js";
import { largest, weightAt, weightsAround } from "./state.js";

/** @param {State} state */
export const headName = ({ layers, layerIndex, head }) => `L${layers[layerIndex]}H${head}`;

/**
 * A token with its position: “·to” (13).
 * @param {State} state
 * @param {number} pos
 */
export const tokenName = ({ tokens }, pos) => `“${visibleToken(tokens[pos])}” (${pos})`;

/** What the numbers are. @param {boolean} weighted */
export const quantityName = (weighted) => (weighted ? "weight × norm of what it moves" : "attention weight");

/**
 * A weight in at most four signs, so that a number under a token never moves its neighbours.
 * @param {number} weight
 */
export function shortWeight(weight) {
  if (weight === 0) return "0";
  if (weight < 0.005) return "<.01";
  if (weight < 9.995) return weight.toFixed(2);
  if (weight < 99.95) return weight.toFixed(1);
  if (weight < 9999.5) return weight.toFixed(0);
  return weight.toExponential(0).replace("+", "");
}

/**
 * One weight of the enlarged head: who attends to whom, and how much.
 * @param {State} state
 * @param {number} dst
 * @param {number} src
 */
export function pairText(state, dst, src) {
  if (src > dst) return `${headName(state)}: ${tokenName(state, dst)} cannot attend to the later ${tokenName(state, src)}`;
  const weight = weightAt(state, state.layerIndex, state.head, dst, src);
  return `${headName(state)}: ${tokenName(state, dst)} attends to ${tokenName(state, src)}: ${formatNumber(weight, 3)}`;
}

/**
 * The largest weights to and from a position of the enlarged head.
 * @param {State} state
 * @param {number} pos
 */
export function positionText(state, pos) {
  const around = weightsAround(state, pos);
  const list = (/** @type {import("./state.js").Weight[]} */ weights) =>
    weights.map(({ pos: other, weight }) => `${other === pos ? "itself" : tokenName(state, other)} ${formatNumber(weight, 3)}`).join(", ");
  const sources = `${headName(state)}: ${tokenName(state, pos)} attends most to ${list(largest(around, 0, pos + 1, 3)) || "nothing"}`;
  if (pos === state.tokens.length - 1) return `${sources}; no later token could attend to it.`;
  return `${sources}; most attended to by ${list(largest(around, pos + 1, around.length, 3)) || "no later token"}.`;
}
