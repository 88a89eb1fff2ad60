/**
 * The page's numbers in words.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Context} Context
 */
import { formatNumber, formatRank } from "../lib/numbers.js";
import { tokenParts, visibleToken } from "../lib/tokens.js";

/** Activations and effects: two places, more for what is small, none for zero. @param {number} value */
export function short(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  return formatNumber(value, size >= 0.1 ? 2 : size >= 0.01 ? 3 : 4);
}

/** With its sign. @param {number} value */
export const signed = (value) => (value > 0 ? "+" : "") + short(value);

/** A share as a percentage with enough digits for rare features. @param {number} share */
export function percent(share) {
  const value = 100 * share;
  return `${formatNumber(value, value === 0 ? 0 : value >= 10 ? 1 : value >= 0.1 ? 2 : 4)} %`;
}

/**
 * What is known of how often and how much the feature is active.
 * @param {import("./state.js").Page} page
 * @returns {[string, string][]}
 */
export function facts({ frequency, n_active: count, mean, maximum }) {
  /** @type {[string, string][]} */
  const rows = [];
  const times = count === null ? "" : `${formatRank(count)} ${count === 1 ? "position" : "positions"}`;
  if (frequency !== null) rows.push(["active on", `${percent(frequency)} of positions${times && ` (${formatRank(count ?? 0)})`}`]);
  else if (times) rows.push(["active on", times]);
  if (mean !== null) rows.push(["mean where active", short(mean)]);
  if (maximum !== null) rows.push(["maximum", short(maximum)]);
  return rows;
}

/**
 * A token inside running text: spaces before it stay outside, so that no shade hangs at a line's end;
 * those after it are spaces; a token of nothing else is shown by signs.
 * @param {string} token
 * @returns {{lead: string, parts: import("../lib/tokens.js").Part[]}}
 */
export function inlineParts(token) {
  const [, lead, inner, tail] = /** @type {RegExpExecArray} */ (/^( *)(.*?)( *)$/s.exec(token));
  if (inner === "") return { lead: "", parts: tokenParts(token) };
  return { lead, parts: [...tokenParts(inner), ...(tail ? [{ text: tail, mark: false }] : [])] };
}

/**
 * @param {Context[]} contexts
 * @param {{context: number, token: number}} at
 */
export function tokenText(contexts, { context, token }) {
  const { tokens, values, at, group, source } = contexts[context];
  const place = token === at ? ", the place this context is shown for" : "";
  const where = [`context ${context + 1} of ${contexts.length}`, group, source].filter(Boolean).join(", ");
  return `“${visibleToken(tokens[token])}”: activation ${short(values[token])}${place}; ${where}`;
}
