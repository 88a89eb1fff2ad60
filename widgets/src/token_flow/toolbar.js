import { OWN_KEYS, h, svg } from "../lib/dom.js";
import { formatRank } from "../lib/numbers.js";
import { signColors } from "../lib/sign_colors.js";
import { DASHES, lineWidth } from "./picture.js";
import { CHANNEL_NAMES, percent } from "./text.js";

/**
 * What is drawn, how much of the graph that is, and what colours and lines mean: the boxes that switch a
 * kind off are its legend.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Shown} Shown
 * @param {(changes: Partial<import("./state.js").Choice>) => void} choose sends the user's choice to the model
 * @param {(way: "in" | "out" | "fit") => void} zoom
 */
export function toolbar(choose, zoom) {
  /** @type {unknown[]} */
  let legendOf = [];
  const slider = h("input", {
    type: "range", min: 0, max: 100, step: 1, class: "token-flow__slider", "aria-label": "Least share drawn", ...OWN_KEYS,
    oninput: () => choose({ threshold: shareOf(Number(slider.value)) }),
  });
  const value = h("span", { class: "token-flow__value" });
  const word = h("input", {
    type: "search", class: "token-flow__search", placeholder: "word", "aria-label": "Bring out the nodes with this word", ...OWN_KEYS,
    oninput: () => choose({ word: word.value }),
  });
  const matches = h("span", { class: "token-flow__matches" });
  const count = h("span", { class: "token-flow__count" });
  const restore = h("button", { type: "button", class: "token-flow__restore", ...OWN_KEYS, onclick: () => choose({ cuts: [] }) });
  const legend = h("div", { class: "token-flow__legend" });
  const element = h(
    "div", { class: "token-flow__tools" },
    h("label", { class: "token-flow__field" }, h("span", {}, "Edges with a share of at least"), h("span", { class: "token-flow__range" }, slider, value)),
    h("label", { class: "token-flow__field" }, h("span", {}, "Bring out"), h("span", { class: "token-flow__range" }, word, matches)),
    h("span", { class: "token-flow__field" }, h("span", {}, "Size"), h(
      "span", { class: "token-flow__zoom", role: "group", "aria-label": "Size of the graph" },
      button("−", "Smaller (−)", () => zoom("out")), button("+", "Larger (+)", () => zoom("in")), button("whole", "The whole graph in its frame, and back (0)", () => zoom("fit")),
    )),
    count, restore, legend,
  );

  /**
   * @param {State} state
   * @param {Shown} shown
   * @param {Set<number> | null} found nodes with the word
   * @param {import("../lib/theme.js").Theme} theme
   */
  function update(state, shown, found, theme) {
    if (Math.abs(shareOf(Number(slider.value)) - state.threshold) > 1e-9) slider.value = String(stopOf(state.threshold));
    value.textContent = percent(state.threshold);
    const { nodes, edges } = state.graph;
    const words = `${formatRank(shown.nodes.size)} of ${formatRank(nodes.length)} nodes, ${formatRank(shown.edges.length)} of ${formatRank(edges.length)} edges`;
    if (count.textContent !== words) count.textContent = words;
    slider.setAttribute("aria-valuetext", `${percent(state.threshold)}: ${words}`);
    if (word.value !== state.word) word.value = state.word;
    matches.textContent = found ? `${formatRank(found.size)} node${found.size === 1 ? "" : "s"}` : "";
    restore.hidden = state.mode !== "edit" || state.cuts.size === 0;
    restore.textContent = `restore ${state.cuts.size === 1 ? "the cut edge" : `${formatRank(state.cuts.size)} cut edges`}`;
    const key = [state.graph, state.mode, [...state.kinds].join(), [...state.channels].join(), theme.background];
    if (key.some((item, i) => item !== legendOf[i])) {
      // A box that is new would lose the focus of the one just clicked.
      const root = /** @type {Document | ShadowRoot} */ (element.getRootNode());
      const active = /** @type {HTMLElement | null} */ (root.activeElement)?.dataset?.name;
      legend.replaceChildren(...legendParts(state, theme, choose));
      if (active) /** @type {HTMLElement | null} */ (legend.querySelector(`[data-name="${active}"]`))?.focus();
    }
    legendOf = key;
  }

  return { element, update };
}

/** The slider goes finely where most shares are. @param {number} stop 0 to 100 */
export const shareOf = (stop) => (stop / 100) ** 2;
/** @param {number} share */
export const stopOf = (share) => Math.round(100 * Math.sqrt(share));

/** @type {[string, string[]][]} */
const KINDS = [["heads", ["head"]], ["neurons", ["neuron", "mlp"]]];

/**
 * @param {State} state
 * @param {import("../lib/theme.js").Theme} theme
 * @param {(changes: Partial<import("./state.js").Choice>) => void} choose
 */
function legendParts(state, theme, choose) {
  const { graph, kinds, channels } = state;
  const parts = [];
  for (const [name, members] of KINDS) {
    if (!graph.nodes.some((node) => members.includes(node.kind))) continue;
    const change = (/** @type {boolean} */ on) => choose({ kinds_shown: [...[...kinds].filter((kind) => !members.includes(kind)), ...(on ? members : [])] });
    parts.push(check(name, members.some((kind) => kinds.has(kind)), h("span", { class: `token-flow__swatch is-${members[0]}` }), change));
  }
  for (const channel of ["v", "k", "q"]) {
    if (!graph.edges.some((edge) => edge.channel === channel)) continue;
    const change = (/** @type {boolean} */ on) => choose({ channels_shown: [...[...channels].filter((each) => each !== channel), ...(on ? [channel] : [])] });
    parts.push(check(`read as ${CHANNEL_NAMES[channel]}`, channels.has(channel), sample("currentColor", 2, { "stroke-dasharray": DASHES[channel] ?? null }), change));
  }
  const { positive, negative } = signColors(theme.background);
  parts.push(
    entry(sample(positive, 3), "positive"), entry(sample(negative, 3), "negative"),
    entry(sample("currentColor", lineWidth(0.1)), percent(0.1)), entry(sample("currentColor", lineWidth(1)), "100 % share"),
  );
  if (state.mode === "edit") {
    const cut = svg(
      "svg", { width: 26, height: 12, "aria-hidden": "true" },
      svg("path", { d: "M0,6H26", stroke: "currentColor", "stroke-width": 1.5, "stroke-dasharray": "3 3", fill: "none" }),
      svg("path", { d: "M9,2L17,10M9,10L17,2", stroke: "currentColor", "stroke-width": 1.8, fill: "none" }),
    );
    parts.push(entry(cut, "cut by a click, or x"));
  }
  return parts;
}

/**
 * @param {string} name
 * @param {boolean} checked
 * @param {Node} picture
 * @param {(on: boolean) => void} change
 */
function check(name, checked, picture, change) {
  const input = h("input", { type: "checkbox", checked, "data-name": name, ...OWN_KEYS, onchange: () => change(input.checked) });
  return h("label", { class: "token-flow__check" }, input, picture, name);
}

/**
 * @param {Node} picture
 * @param {string} words
 */
const entry = (picture, words) => h("span", { class: "token-flow__key" }, picture, words);

/**
 * @param {string} color
 * @param {number} width
 * @param {Record<string, any>} [more]
 */
const sample = (color, width, more = {}) => svg(
  "svg", { width: 26, height: 12, "aria-hidden": "true" },
  svg("path", { d: "M1,6H25", stroke: color, "stroke-width": width.toFixed(2), fill: "none", ...more }),
);

/**
 * @param {string} text
 * @param {string} words
 * @param {() => void} onclick
 */
const button = (text, words, onclick) => h("button", { type: "button", title: words, "aria-label": words, ...OWN_KEYS, onclick }, text);
