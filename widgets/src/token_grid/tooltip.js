import { h } from "../lib/dom.js";
import { formatProbability } from "../lib/numbers.js";
import { tokenParts } from "../lib/tokens.js";
import { candidates, valueAt } from "./state.js";
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

/** The box of numbers beside a cell. It takes no pointer: it must not stand in the way of the cells. */
export function tooltip() {
  // The top layer, where the browser has one: a notebook's output area clips and scrolls what sticks out.
  const element = h("div", { class: "token-grid__tooltip", popover: "manual", role: "tooltip" });

  function hide() {
    if (!element.classList.contains("is-open")) return;
    element.classList.remove("is-open");
    element.hidePopover?.();
  }

  /**
   * @param {Node[]} content
   * @param {DOMRect} anchor the cell, in the coordinates of the window
   */
  function show(content, anchor) {
    element.replaceChildren(...content);
    if (!element.classList.contains("is-open")) {
      element.classList.add("is-open");
      element.showPopover?.();
    }
    const { width, height } = element.getBoundingClientRect();
    const { left, top } = place(anchor, { width, height }, { width: innerWidth, height: innerHeight });
    Object.assign(element.style, { left: `${left}px`, top: `${top}px` });
  }

  return { element, hide, show };
}

/**
 * Beside the anchor where there is room, else on its other side, never outside the window.
 * @param {{left: number, right: number, top: number, bottom: number}} anchor
 * @param {{width: number, height: number}} box
 * @param {{width: number, height: number}} room
 */
export function place(anchor, box, room) {
  const gap = 8;
  const right = anchor.right + gap;
  const left = right + box.width + gap <= room.width ? right : anchor.left - gap - box.width;
  if (left >= gap) {
    return { left, top: Math.max(gap, Math.min(anchor.top, room.height - box.height - gap)) };
  }
  const below = anchor.bottom + gap;
  const top = below + box.height + gap <= room.height ? below : anchor.top - gap - box.height;
  return {
    left: Math.max(gap, Math.min(anchor.left, room.width - box.width - gap)),
    top: Math.max(gap, top),
  };
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
  const place = [`${panel.rows[cell.row]} · position ${cell.pos} · after `, tokenElement(tokens[cell.pos])];
  if (nextToken[cell.pos]) place.push(" · next ", tokenElement(nextToken[cell.pos]));
  return [
    h("div", { class: "token-grid__place" }, ...place),
    h("table", {}, h("tbody", {}, ...rows)),
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
