/**
 * What is held at the edges of a frame that is scrolled: the names of layers, the tokens, and in columns
 * that are seen in part the words of their bars.
 *
 * @typedef {import("./picture.js").Scene} Scene
 * @typedef {import("./layout.js").Layout} Layout
 * @typedef {{left: number, right: number, bars: {text: Element, slack: number}[], token: Element}} Strip a
 *   column's bars with the width that their words leave free, and its token
 */
import { svg } from "../../lib/dom.js";
import { fitText } from "../../lib/fit_text.js";
import { formatRank } from "../../lib/numbers.js";
import { visibleToken } from "../../lib/tokens.js";
import { LAYER_STRIP, TOKEN_STRIP } from "./layout.js";

/** A column of this width may be seen in part for long, and is not written on where less of it shows. */
const WIDE = 150;
const NARROW = 50;

/** @param {Layout} layout */
export function layerParts({ bands, names, height }) {
  return [
    svg("rect", { class: "graph-view__behind", width: LAYER_STRIP - 8, height }),
    ...bands.map(({ layer, top, bottom }) => svg("text", {
      class: "graph-view__layer", x: 5, y: ((layer < 0 ? (top + bottom) / 2 : top + 14)).toFixed(1), dy: "0.35em",
    }, layer < 0 ? "embed" : `L${layer}`)),
    ...names.flatMap(({ lines, y }) => lines.map((line, i) => svg("text", {
      class: "graph-view__row", x: LAYER_STRIP - 13, y: (y + 11 * (i - (lines.length - 1) / 2)).toFixed(1), dy: "0.35em",
    }, line))),
  ];
}

/**
 * @param {Scene} scene
 * @param {CanvasRenderingContext2D} pen
 */
export function tokenParts({ layout, state, theme }, pen) {
  pen.font = `600 12px ${theme.font}`;
  return [
    svg("rect", { class: "graph-view__behind", width: layout.width, height: TOKEN_STRIP }),
    ...layout.columns.flatMap(({ token, left, right, empty }) => {
      const text = fitText(visibleToken(state.graph.tokens[token]), right - left + 8, (part) => pen.measureText(part).width);
      const x = ((left + right) / 2).toFixed(1);
      return [svg(
        "g", { "data-token": token },
        svg("text", { class: empty ? "graph-view__token is-empty" : "graph-view__token", x, y: 16 }, text),
        svg("text", { class: "graph-view__position", x, y: 30 }, formatRank(token)),
      )];
    }),
  ];
}

/**
 * @param {Scene} scene
 * @param {Map<number, SVGElement>} drawn
 * @param {Element[]} tokens
 * @returns {Strip[]}
 */
export function stripsOf({ layout }, drawn, tokens) {
  return layout.columns.filter(({ left, right }) => right - left > WIDE).map(({ token, left, right }) => ({
    left, right, token: tokens[token],
    bars: [...layout.places.values()].filter((place) => !place.module && place.column === token).map(({ index }) => {
      const text = /** @type {Element} */ (drawn.get(index)?.querySelector(".graph-view__bar"));
      return { text, slack: Number(text.getAttribute("data-slack")) };
    }),
  }));
}

/**
 * Moves what is written in a column to the part of it that shows.
 * @param {Strip} strip
 * @param {number} from what shows of the graph
 * @param {number} to
 */
export function slide({ left, right, bars, token }, from, to) {
  const hidden = Math.max(0, from - left);
  for (const { text, slack } of bars) text.setAttribute("transform", `translate(${Math.min(hidden, slack).toFixed(1)},0)`);
  const [low, high] = [Math.max(left, from), Math.min(right, to)];
  const shift = high - low > NARROW ? (low + high - left - right) / 2 : 0;
  token.setAttribute("transform", `translate(${shift.toFixed(1)},0)`);
}
