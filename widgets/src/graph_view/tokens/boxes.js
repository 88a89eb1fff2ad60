/**
 * The boxes of nodes: a word large, what else there is room for small.
 *
 * @typedef {import("./picture.js").Scene} Scene
 */
import { svg } from "../../lib/dom.js";
import { fitText } from "../../lib/fit_text.js";
import { visibleToken } from "../../lib/tokens.js";
import { hasText } from "./state.js";
import { shortName } from "./text.js";

const PADDING = 7;

/**
 * @param {Scene} scene
 * @param {number} index
 * @param {string} id
 * @param {CanvasRenderingContext2D} pen
 */
export function nodeElement({ state, layout, theme, found }, index, id, pen) {
  const node = state.graph.nodes[index];
  const { x, y, width, height, module } = /** @type {import("./layout.js").Place} */ (layout.places.get(index));
  const group = svg("g", {
    id, role: "img", "data-node": index, "aria-label": node.id, transform: `translate(${(x - width / 2).toFixed(1)},${(y - height / 2).toFixed(1)})`,
    class: ["graph-view__node", `is-${node.kind}`, state.roots.includes(node.id) && "is-root", found?.has(index) && "is-found"].filter(Boolean).join(" "),
  });
  group.append(svg("rect", { class: "graph-view__box", width: width.toFixed(1), height, rx: module ? 6 : height / 2 }));
  const room = width - 2 * PADDING;
  const measure = (/** @type {string} */ text) => pen.measureText(text).width;
  const big = module ? 12.5 : 12;
  pen.font = `600 ${big}px ${theme.font}`;
  // A node without words is called by its name.
  const first = fitText(node.words.length > 0 ? visibleToken(node.words[0]) : shortName(node), room, measure);
  const used = measure(first);
  pen.font = `400 10px ${theme.font}`;
  // A word that is looked for is shown before stronger ones.
  const wanted = found?.has(index) ? node.words.slice(1).filter((word) => hasText(word, state.word)) : [];
  const others = [...new Set([...wanted, ...node.words.slice(1, 3)])].slice(0, 2).map(visibleToken);
  if (module) {
    group.append(
      svg("text", { class: "graph-view__first", x: PADDING, y: 15.5, "font-size": big }, first),
      svg("text", { class: "graph-view__name", x: PADDING, y: 29 }, fitText(shortName(node), room, measure)),
    );
    const side = whole(others, room - measure(shortName(node)) - 8, measure);
    if (side) group.append(svg("text", { class: "graph-view__others", x: width - PADDING, y: 29, "text-anchor": "end" }, side));
  } else {
    const side = whole(others, room - used - 8, measure);
    const written = used + (side ? 8 + measure(side) : 0);
    group.append(svg(
      "g", { class: "graph-view__bar", "data-slack": (room - written).toFixed(1) },
      svg("text", { class: "graph-view__first", x: PADDING, y: height / 2, dy: "0.35em", "font-size": big }, first),
      side ? svg("text", { class: "graph-view__others", x: PADDING + used + 8, y: height / 2, dy: "0.35em" }, side) : null,
    ));
  }
  return group;
}

/**
 * As many of the words as fit whole.
 * @param {string[]} words
 * @param {number} room
 * @param {(text: string) => number} measure
 */
function whole(words, room, measure) {
  for (let count = words.length; count > 0; count -= 1) {
    const text = words.slice(0, count).join("  ");
    if (measure(text) <= room) return text;
  }
  return "";
}
