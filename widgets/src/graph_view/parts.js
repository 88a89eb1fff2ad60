/**
 * What legends, tooltips and pictures of all layouts are put together from.
 */
import { OWN_KEYS, h, svg } from "../lib/dom.js";

/** @param {Node[]} rows */
export const table = (rows) => h("table", {}, h("tbody", {}, ...rows));

/**
 * @param {string} name
 * @param {string} value
 * @param {string} [more] a third cell
 */
export const row = (name, value, more) => h(
  "tr", {}, h("th", { scope: "row" }, name), h("td", {}, value), more === undefined ? null : h("td", { class: "graph-view__more" }, more),
);

/** An entry of a legend. @param {Node} picture @param {string} words */
export const key = (picture, words) => h("span", { class: "graph-view__key" }, picture, words);

/**
 * A piece of line for a legend.
 * @param {string} color
 * @param {number} width
 * @param {Record<string, any>} [more]
 */
export const sample = (color, width, more = {}) => svg(
  "svg", { width: 26, height: 12, "aria-hidden": "true" },
  svg("path", { d: "M0,6H26", stroke: color, "stroke-width": width.toFixed(2), fill: "none", ...more }),
);

/** A piece of line that is cut, for a legend. */
export const cutSample = () => svg(
  "svg", { width: 30, height: 12, "aria-hidden": "true" },
  svg("path", { d: "M0,6H30", stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": "5 4", fill: "none" }),
  svg("path", { d: "M11,2L19,10M11,10L19,2", stroke: "currentColor", "stroke-width": 1.8, fill: "none" }),
);

/**
 * The mark of a cut.
 * @param {import("../lib/curves.js").Point} middle
 * @param {number} arm half the size of the cross
 */
export const cross = ({ x, y }, arm) => svg(
  "g", { class: "graph-view__cross", transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` },
  svg("circle", { r: arm + 3.25 }), svg("path", { d: `M${-arm},${-arm}L${arm},${arm}M${-arm},${arm}L${arm},${-arm}` }),
);

/**
 * @param {string} text
 * @param {string} words
 * @param {() => void} onclick
 */
export const button = (text, words, onclick) => h("button", { type: "button", title: words, "aria-label": words, ...OWN_KEYS, onclick }, text);

/** A labelled control of the tools. @param {Node | string} label @param {...Node} controls */
export const field = (label, ...controls) => h("label", { class: "workbench__field" }, h("span", {}, label), h("span", { class: "workbench__range" }, ...controls));

/** A slider. @param {string} words @param {Record<string, any>} attributes */
export const slider = (words, attributes) => h("input", { type: "range", class: "workbench__slider graph-view__slider", "aria-label": words, ...OWN_KEYS, ...attributes });

/**
 * A legend that is built anew only where what it is made from has changed: a box that is new would lose the
 * focus of the one just clicked, which is why that one is found again by its name.
 */
export function legend() {
  const element = h("div", { class: "graph-view__legend" });
  /** @type {unknown[]} */
  let madeFrom = [];
  /** @param {unknown[]} from @param {() => Node[]} parts */
  function update(from, parts) {
    if (from.every((item, i) => item === madeFrom[i])) return;
    madeFrom = from;
    const active = /** @type {HTMLElement | null} */ (/** @type {Document | ShadowRoot} */ (element.getRootNode()).activeElement)?.dataset?.name;
    element.replaceChildren(...parts());
    if (active) /** @type {HTMLElement | null} */ (element.querySelector(`[data-name="${active}"]`))?.focus();
  }
  return { element, update };
}

/** The ids with one more, or without it where it is one. @param {Set<string>} ids @param {string} id */
export const toggled = (ids, id) => (ids.has(id) ? [...ids].filter((other) => other !== id) : [...ids, id]);
