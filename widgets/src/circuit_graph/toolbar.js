import { OWN_KEYS, h, svg } from "../lib/dom.js";
import { formatNumber, formatRank } from "../lib/numbers.js";
import { signColors } from "../lib/sign_colors.js";
import { lineWidth } from "./picture.js";
import { nEdges, nearestStop, sliderStops } from "./state.js";
import { DIGITS } from "./text.js";

/**
 * What a click does, how many edges are drawn, and what colours and signs mean.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Edge} Edge
 * @typedef {import("./picture.js").Theme} Theme
 * @param {string} name this view's own, for the group of radio buttons
 * @param {(changes: Partial<import("./state.js").Choice>) => void} choose sends the user's choice to the model
 */
export function toolbar(name, choose) {
  /** @type {number[]} */
  let stops = [0];
  /** @type {unknown[]} */
  let legendOf = [];
  const modes = ["select", "cut"].map((mode) => {
    const input = h("input", { type: "radio", name, value: mode, ...OWN_KEYS, onchange: () => choose({ mode }) });
    return { mode, input, element: h("label", { class: "circuit-graph__mode" }, input, h("span", {}, mode)) };
  });
  const slider = h("input", {
    type: "range", min: 0, step: 1, class: "circuit-graph__slider", "aria-label": "Number of edges drawn", ...OWN_KEYS,
    oninput: () => choose({ n_edges_shown: stops[Number(slider.value)] }),
  });
  const count = h("span", { class: "circuit-graph__count" });
  const order = h("span", {});
  const legend = h("div", { class: "circuit-graph__legend" });
  const element = h(
    "div", { class: "circuit-graph__tools" },
    h("fieldset", { class: "circuit-graph__modes" }, h("legend", {}, "A click will"), ...modes.map((mode) => mode.element)),
    h("label", { class: "circuit-graph__field" }, order, h("span", { class: "circuit-graph__range" }, slider, count)),
    legend,
  );

  /**
   * @param {State} state
   * @param {Edge[]} shown
   * @param {Theme} theme
   */
  function update(state, shown, theme) {
    order.textContent = state.inCircuitEdges ? "Edges, the circuit's first" : "Edges, strongest first";
    for (const { mode, input } of modes) input.checked = mode === state.mode;
    const total = nEdges(state.graph);
    stops = sliderStops(total);
    slider.max = String(stops.length - 1);
    slider.value = String(nearestStop(stops, state.nEdgesShown));
    const words = `${formatRank(shown.length)} of ${formatRank(total)}`;
    if (count.textContent !== words) count.textContent = words;
    slider.setAttribute("aria-valuetext", words);
    const key = [state.graph, state.unit, state.inCircuitEdges !== null, theme.background];
    if (key.some((item, i) => item !== legendOf[i])) legend.replaceChildren(...legendParts(state, theme));
    legendOf = key;
  }

  return { element, update };
}

/**
 * @param {State} state
 * @param {Theme} theme
 */
function legendParts({ graph, unit, inCircuitEdges }, theme) {
  const { positive, negative } = signColors(theme.background);
  const parts = [
    entry(sample(positive, 4), "positive"),
    entry(sample(negative, 4), "negative"),
  ];
  if (graph.most > 0) {
    const half = graph.most / 2;
    const widths = h(
      "span", { class: "circuit-graph__widths" },
      sample("currentColor", lineWidth(half, graph.most)), `±${formatNumber(half, DIGITS)}`,
      sample("currentColor", lineWidth(graph.most, graph.most)), `±${formatNumber(graph.most, DIGITS)}${unit ? ` ${unit}` : ""}`,
    );
    parts.push(h("span", { class: "circuit-graph__key" }, widths));
  }
  if (graph.hasChannels) {
    const ports = ["q", "k", "v"].map((channel) => h("span", { class: "circuit-graph__port-key" }, channel));
    parts.push(entry(h("span", {}, ...ports), "query, key, value"));
  }
  if (inCircuitEdges) parts.push(entry(sample("currentColor", 2, { opacity: 0.3 }), "not in the circuit"));
  const cut = svg(
    "svg", { width: 30, height: 12, "aria-hidden": "true" },
    svg("path", { d: "M0,6H30", stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": "5 4", fill: "none" }),
    svg("path", { d: "M11,2L19,10M11,10L19,2", stroke: "currentColor", "stroke-width": 1.8, fill: "none" }),
  );
  parts.push(entry(cut, "cut"));
  return parts;
}

/**
 * @param {Node} picture
 * @param {string} words
 */
const entry = (picture, words) => h("span", { class: "circuit-graph__key" }, picture, words);

/**
 * @param {string} color
 * @param {number} width
 * @param {Record<string, any>} [more]
 */
function sample(color, width, more = {}) {
  return svg(
    "svg", { width: 26, height: 12, "aria-hidden": "true" },
    svg("path", { d: "M0,6H26", stroke: color, "stroke-width": width.toFixed(2), fill: "none", ...more }),
  );
}
