import { h, svg } from "../../lib/dom.js";
import { formatRank } from "../../lib/numbers.js";
import { field, key, legend, sample, slider } from "../parts.js";
import { lineWidth } from "./picture.js";
import { CLASS_MEANINGS, CLASS_NAMES, short } from "./text.js";

/**
 * The threshold, how much of the graph it leaves, and what colours and marks mean.
 *
 * @typedef {import("./picture.js").Scene} Scene
 * @param {import("../../graph_view.js").Acts} acts
 */
export function toolbar({ choose }) {
  const least = slider("Least similarity drawn", { min: 0, max: 1, step: 0.01, oninput: () => choose({ threshold: Number(least.value) }) });
  const value = h("span", { class: "graph-view__value" });
  const count = h("span", { class: "graph-view__count" });
  const meanings = legend();
  const element = h("div", { class: "workbench__tools" }, field("Edges with a similarity of at least", least, value), count, meanings.element);

  /** @param {Scene} scene */
  function update({ state, shown }) {
    least.value = String(state.threshold);
    value.textContent = short(state.threshold);
    const { nodes, edges } = state.graph;
    const words = `${formatRank(shown.nodes.size)} of ${formatRank(nodes.length)} features, ${formatRank(shown.edges.length)} of ${formatRank(edges.length)} edges`;
    if (count.textContent !== words) count.textContent = words;
    least.setAttribute("aria-valuetext", `${short(state.threshold)}: ${words}`);
    meanings.update([state.graph, state.mode], () => legendParts(state));
  }

  return { element, update };
}

/** @param {import("./state.js").State} state */
function legendParts({ graph, mode }) {
  const classes = Object.keys(CLASS_NAMES).filter((name) => name !== "" && graph.nodes.some((node) => node.class === name));
  const parts = classes.map((name) => h(
    "span", { class: `graph-view__key is-${name}`, title: CLASS_MEANINGS[name] }, h("span", { class: "graph-view__swatch" }), CLASS_NAMES[name],
  ));
  if (graph.nodes.some((node) => node.root)) parts.push(key(h("span", { class: "graph-view__swatch is-root" }), "asked for"));
  if (graph.nodes.some((node) => node.ended)) {
    parts.push(key(svg("svg", { width: 24, height: 12, "aria-hidden": "true" }, svg("path", { class: "graph-view__end", d: "M12,11V4M2,4H22" })), "ends here"));
  }
  for (const [weight, words] of /** @type {[number, string][]} */ ([[0.25, short(0.25)], [1, `${short(1)} similarity`]])) {
    parts.push(key(sample("currentColor", lineWidth(weight)), words));
  }
  if (mode === "edit") {
    parts.push(key(h("span", { class: "graph-view__bar is-before" }), "activation before"));
    parts.push(key(h("span", { class: "graph-view__bar is-after" }), "and after"));
  }
  return parts;
}
