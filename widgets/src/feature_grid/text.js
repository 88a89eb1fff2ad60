/**
 * The grid's numbers in words.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Feature} Feature
 */
import { formatNumber } from "../lib/numbers.js";
import { visibleToken } from "../lib/tokens.js";
import { peak, valueAt } from "./state.js";

/** @param {number} value */
export const short = (value) => (Number.isNaN(value) ? "not known" : formatNumber(value, 2));

/** In a cell there is no room for more; what is not active says nothing. @param {number} value */
export function cellText(value) {
  if (Number.isNaN(value)) return "?";
  if (value === 0) return "";
  return Math.abs(value) < 0.05 ? "≈0" : formatNumber(value, Math.abs(value) < 9.95 ? 1 : 0);
}

/** "3/123 dog, cat" of "L3.resid_post/123". @param {Feature} feature */
export function rowText({ name, label }) {
  const found = /^L(\d+)\.\w+\/(.+)$/.exec(name);
  const brief = found ? `${found[1]}/${found[2]}` : name;
  return label.trim() ? `${brief} ${visibleToken(label.trim())}` : brief;
}

/** @param {Feature} feature */
export const fullName = ({ name, label }) => (label ? `${name} “${visibleToken(label)}”` : name);

/** @param {State} state @param {number} pos */
const tokenText = ({ tokens }, pos) => `“${visibleToken(tokens[pos])}” (position ${pos})`;

/** @param {State} state @param {number} pos */
function explainedText({ explained }, pos) {
  return Number.isNaN(explained[pos]) ? "" : `; variance explained at the position ${short(explained[pos])}`;
}

/**
 * What is known of a cell, of a whole row (no position) or of a column (no feature).
 * @param {State} state
 * @param {number | null} feature
 * @param {number | null} pos
 */
export function placeText(state, feature, pos) {
  if (feature === null) return pos === null ? "" : `${tokenText(state, pos)}${explainedText(state, pos)}`;
  const best = peak(state, feature);
  const most = `at most ${short(valueAt(state, feature, best))} at ${tokenText(state, best)}`;
  const name = fullName(state.features[feature]);
  if (pos === null) return `${name}: ${most}`;
  return `${name}: ${short(valueAt(state, feature, pos))} at ${tokenText(state, pos)}; ${most}${explainedText(state, pos)}`;
}
