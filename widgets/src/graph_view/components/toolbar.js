import { OWN_KEYS, h } from "../../lib/dom.js";
import { formatNumber, formatRank } from "../../lib/numbers.js";
import { signColors } from "../../lib/sign_colors.js";
import { cutSample, field, key, legend, sample, slider } from "../parts.js";
import { lineWidth } from "./picture.js";
import { nEdges, nearestStop, sliderStops } from "./state.js";
import { DIGITS } from "./text.js";

/**
 * What a click does, how many edges are drawn, and what colours and signs mean.
 *
 * @typedef {import("./picture.js").Scene} Scene
 * @param {import("../../graph_view.js").Acts} acts
 */
export function toolbar({ prefix, choose }) {
  /** @type {number[]} */
  let stops = [0];
  const modes = ["select", "cut"].map((mode) => {
    const input = h("input", { type: "radio", name: `${prefix}-mode`, value: mode, ...OWN_KEYS, onchange: () => choose({ mode }) });
    return { mode, input, element: h("label", { class: "graph-view__mode" }, input, h("span", {}, mode)) };
  });
  const most = slider("Number of edges drawn", { min: 0, step: 1, oninput: () => choose({ n_edges_shown: stops[Number(most.value)] }) });
  const count = h("span", { class: "graph-view__count" });
  const order = h("span", {});
  const meanings = legend();
  const element = h(
    "div", { class: "workbench__tools" },
    h("fieldset", { class: "graph-view__modes" }, h("legend", {}, "A click will"), ...modes.map((mode) => mode.element)),
    field(order, most, count), meanings.element,
  );

  /** @param {Scene} scene */
  function update({ state, shown, theme }) {
    order.textContent = state.inCircuitEdges ? "Edges, the circuit's first" : "Edges, strongest first";
    for (const { mode, input } of modes) input.checked = mode === state.mode;
    const total = nEdges(state.graph);
    stops = sliderStops(total);
    most.max = String(stops.length - 1);
    most.value = String(nearestStop(stops, state.nEdgesShown));
    const words = `${formatRank(shown.length)} of ${formatRank(total)}`;
    if (count.textContent !== words) count.textContent = words;
    most.setAttribute("aria-valuetext", words);
    meanings.update([state.graph, state.unit, state.inCircuitEdges !== null, theme.background], () => legendParts(state, theme));
  }

  return { element, update };
}

/**
 * @param {import("./state.js").State} state
 * @param {import("../../lib/theme.js").Theme} theme
 */
function legendParts({ graph, unit, inCircuitEdges }, theme) {
  const { positive, negative } = signColors(theme.background);
  const parts = [key(sample(positive, 4), "positive"), key(sample(negative, 4), "negative")];
  if (graph.most > 0) {
    const half = graph.most / 2;
    const widths = h(
      "span", { class: "graph-view__widths" },
      sample("currentColor", lineWidth(half, graph.most)), `±${formatNumber(half, DIGITS)}`,
      sample("currentColor", lineWidth(graph.most, graph.most)), `±${formatNumber(graph.most, DIGITS)}${unit ? ` ${unit}` : ""}`,
    );
    parts.push(h("span", { class: "graph-view__key" }, widths));
  }
  if (graph.hasChannels) {
    const ports = ["q", "k", "v"].map((channel) => h("span", { class: "graph-view__port-key" }, channel));
    parts.push(key(h("span", {}, ...ports), "query, key, value"));
  }
  if (inCircuitEdges) parts.push(key(sample("currentColor", 2, { opacity: 0.3 }), "not in the circuit"));
  parts.push(key(cutSample(), "cut"));
  return parts;
}
