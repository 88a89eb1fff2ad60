import { h } from "../lib/dom.js";
import { formatProbability } from "../lib/numbers.js";
import { tokenParts } from "../lib/tokens.js";
import { candidates, hasTokens, valueAt } from "./state.js";
import { withUnit } from "./text.js";

/**
 * @typedef {import("./state.js").State} State
 * @typedef {import("../lib/grid_geometry.js").Cell} Cell
 */

/**
 * A token as text nodes, its signs in a fainter element.
 * @param {string} token
 */
export function tokenElement(token) {
  return h(
    "span", { class: "token-grid__token", dir: "auto" },
    ...tokenParts(token).map((part) => (part.mark ? h("i", {}, part.text) : part.text)),
  );
}

/**
 * The best tokens of a cell with their probabilities, and every quantity of the cell.
 * @param {State} state
 * @param {Cell} cell
 */
export function cellContent(state, cell) {
  const { panel, tokens, nextToken } = state;
  const rows = candidates(state, cell).map(({ token, logprob }, i) =>
    h(
      "tr", {},
      h("td", { class: "token-grid__rank" }, String(i + 1)),
      h("td", {}, tokenElement(token)),
      h("td", { class: "token-grid__meter" }, probabilityBar(logprob)),
      h("td", { class: "token-grid__number" }, formatProbability(logprob)),
    ),
  );
  const quantities = Object.values(panel.quantities).map((quantity) =>
    h(
      "tr", { class: quantity === state.quantity ? "is-chosen" : "" },
      h("th", { scope: "row" }, quantity.label),
      h("td", { class: "token-grid__number" }, withUnit(quantity, valueAt(quantity, cell.row, cell.pos))),
    ),
  );
  const place = [`${panel.rows[cell.row]} · position ${cell.pos} · ${hasTokens(panel) ? "after " : ""}`, tokenElement(tokens[cell.pos])];
  if (nextToken[cell.pos]) place.push(" · next ", tokenElement(nextToken[cell.pos]));
  const tokenTable = hasTokens(panel) ? [h("table", {}, h("tbody", {}, ...rows))] : [];
  return [
    h("div", { class: "token-grid__place" }, ...place),
    ...tokenTable,
    h("table", { class: "token-grid__quantities" }, h("tbody", {}, ...quantities)),
  ];
}

/** @param {number} logprob */
export function probabilityBar(logprob) {
  return h("span", { class: "token-grid__probability", style: { width: `${(100 * Math.exp(logprob)).toFixed(1)}%` } });
}

/**
 * A header's token in full.
 * @param {State} state
 * @param {number} pos
 */
export function headerContent({ tokens, nextToken }, pos) {
  const lines = [h("div", {}, `Input at position ${pos}: `, tokenElement(tokens[pos]))];
  if (nextToken[pos]) lines.push(h("div", {}, "Next token: ", tokenElement(nextToken[pos])));
  return lines;
}
