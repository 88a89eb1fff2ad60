import { OWN_KEYS, h, svg } from "../lib/dom.js";
import { formatRank } from "../lib/numbers.js";
import { lineWidth } from "./picture.js";
import { CLASS_MEANINGS, CLASS_NAMES, short } from "./text.js";

/**
 * The threshold, how much of the graph it leaves, and what colours and marks mean.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Shown} Shown
 * @param {(changes: Partial<import("./state.js").Choice>) => void} choose sends the user's choice to the model
 */
export function toolbar(choose) {
  /** @type {unknown[]} */
  let legendOf = [];
  const slider = h("input", {
    type: "range", min: 0, max: 1, step: 0.01, class: "flow-graph__slider", "aria-label": "Least similarity drawn", ...OWN_KEYS,
    oninput: () => choose({ threshold: Number(slider.value) }),
  });
  const value = h("span", { class: "flow-graph__value" });
  const count = h("span", { class: "flow-graph__count" });
  const legend = h("div", { class: "flow-graph__legend" });
  const element = h(
    "div", { class: "flow-graph__tools" },
    h("label", { class: "flow-graph__field" }, h("span", {}, "Edges with a similarity of at least"), h("span", { class: "flow-graph__range" }, slider, value)),
    count, legend,
  );

  /**
   * @param {State} state
   * @param {Shown} shown
   */
  function update(state, shown) {
    slider.value = String(state.threshold);
    value.textContent = short(state.threshold);
    const { nodes, edges } = state.graph;
    const words = `${formatRank(shown.nodes.size)} of ${formatRank(nodes.length)} features, ${formatRank(shown.edges.length)} of ${formatRank(edges.length)} edges`;
    if (count.textContent !== words) count.textContent = words;
    slider.setAttribute("aria-valuetext", `${short(state.threshold)}: ${words}`);
    const key = [state.graph, state.mode];
    if (key.some((item, i) => item !== legendOf[i])) legend.replaceChildren(...legendParts(state));
    legendOf = key;
  }

  return { element, update };
}

/** @param {State} state */
function legendParts({ graph, mode }) {
  const classes = Object.keys(CLASS_NAMES).filter((name) => name !== "" && graph.nodes.some((node) => node.class === name));
  const parts = classes.map((name) => h(
    "span", { class: `flow-graph__key is-${name}`, title: CLASS_MEANINGS[name] }, h("span", { class: "flow-graph__swatch" }), CLASS_NAMES[name],
  ));
  if (graph.nodes.some((node) => node.root)) parts.push(key(h("span", { class: "flow-graph__swatch is-root" }), "asked for"));
  if (graph.nodes.some((node) => node.ended)) {
    parts.push(key(svg("svg", { width: 24, height: 12, "aria-hidden": "true" }, svg("path", { class: "flow-graph__end", d: "M12,11V4M2,4H22" })), "ends here"));
  }
  for (const [weight, words] of /** @type {[number, string][]} */ ([[0.25, short(0.25)], [1, `${short(1)} similarity`]])) {
    const line = svg("path", { class: "flow-graph__sample", d: "M0,6H26", "stroke-width": lineWidth(weight) });
    parts.push(key(svg("svg", { width: 26, height: 12, "aria-hidden": "true" }, line), words));
  }
  if (mode === "edit") {
    parts.push(key(h("span", { class: "flow-graph__bar is-before" }), "activation before"));
    parts.push(key(h("span", { class: "flow-graph__bar is-after" }), "and after"));
  }
  return parts;
}

/**
 * @param {Node} picture
 * @param {string} words
 */
const key = (picture, words) => h("span", { class: "flow-graph__key" }, picture, words);
