/**
 * The grid's numbers in words.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("../lib/grid_geometry.js").Cell} Cell
 */
import { formatNumber, formatProbability, formatRank } from "../lib/numbers.js";
import { visibleToken } from "../lib/tokens.js";
import { candidates, hasTokens, topId, trackOf, valueAt } from "./state.js";

/** @param {string} token */
export const quoted = (token) => `“${visibleToken(token)}”`;

/**
 * A quantity's value with its unit.
 * @param {import("./state.js").Quantity} quantity
 * @param {number} value
 */
export function withUnit(quantity, value) {
  return formatNumber(value, quantity.digits) + (quantity.unit ? ` ${quantity.unit}` : "");
}

/**
 * Where a cell is: "L3, position 7 “·to”".
 * @param {State} state
 * @param {Cell} cell
 */
export function placeText({ panel, tokens }, { row, pos }) {
  return `${panel.rows[row]}, position ${pos} ${quoted(tokens[pos])}`;
}

/**
 * What stands in a cell: its best token, or where there is none the chosen quantity, rounded; the line
 * below the grid and the tooltip have the number in full.
 * @param {State} state
 * @param {Cell} cell
 */
export function cellLabel({ panel, quantity, vocabulary }, { row, pos }) {
  if (hasTokens(panel)) return vocabulary[topId(panel, row, pos)];
  const value = valueAt(quantity, row, pos);
  if (!Number.isFinite(value)) return "–";
  const rounded = Number(value.toFixed(quantity.digits));
  return rounded === 0 ? "0" : formatNumber(rounded, quantity.digits);
}

/**
 * The line read aloud for a cell: where it is, its best token, and the chosen quantity.
 * @param {State} state
 * @param {Cell} cell
 */
export function cellText(state, cell) {
  const chosen = `${state.quantity.label} ${withUnit(state.quantity, valueAt(state.quantity, cell.row, cell.pos))}`;
  if (!hasTokens(state.panel)) return `${placeText(state, cell)}: ${chosen}`;
  const [best] = candidates(state, cell);
  const parts = [
    `${placeText(state, cell)}: top token ${quoted(best.token)}, probability ${formatProbability(best.logprob)}`,
  ];
  if (state.quantityName !== "probability") parts.push(chosen);
  return parts.join("; ");
}

/**
 * The ranks of every pin in words, for those who cannot see the lines.
 * @param {State} state
 */
export function ranksText(state) {
  return state.pinned
    .map((pin) => {
      const track = trackOf(state.panel, pin.pos, pin.id);
      const ranks = track
        ? track.ranks.map((rank, row) => `${state.panel.rows[row]} ${rank === null ? "below the top tokens" : formatRank(rank)}`)
        : ["not tracked here"];
      return `Rank of ${quoted(pin.token)} at position ${pin.pos}: ${ranks.join(", ")}.`;
    })
    .join(" ");
}
