import { OWN_KEYS, h } from "../../lib/dom.js";
import { formatRank } from "../../lib/numbers.js";
import { signColors } from "../../lib/sign_colors.js";
import { button, cutSample, field, key, legend, sample, slider } from "../parts.js";
import { DASHES, lineWidth } from "./picture.js";
import { CHANNEL_NAMES, percent } from "./text.js";

/**
 * What is drawn, how much of the graph that is, and what colours and lines mean: the boxes that switch a
 * kind off are its legend.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./picture.js").Scene} Scene
 * @param {import("../../graph_view.js").Acts} acts
 */
export function toolbar({ choose, zoom }) {
  const least = slider("Least share drawn", { min: 0, max: 100, step: 1, oninput: () => choose({ threshold: shareOf(Number(least.value)) }) });
  const value = h("span", { class: "graph-view__value" });
  const word = h("input", {
    type: "search", class: "graph-view__search", placeholder: "word", "aria-label": "Bring out the nodes with this word", ...OWN_KEYS,
    oninput: () => choose({ word: word.value }),
  });
  const matches = h("span", { class: "graph-view__matches" });
  const count = h("span", { class: "graph-view__count" });
  const restore = h("button", { type: "button", class: "graph-view__restore", ...OWN_KEYS, onclick: () => choose({ cut_edges: [] }) });
  const meanings = legend();
  const element = h(
    "div", { class: "workbench__tools" },
    field("Edges with a share of at least", least, value), field("Bring out", word, matches),
    h("span", { class: "workbench__field" }, h("span", {}, "Size"), h(
      "span", { class: "graph-view__zoom", role: "group", "aria-label": "Size of the graph" },
      button("−", "Smaller (−)", () => zoom("out")), button("+", "Larger (+)", () => zoom("in")), button("whole", "The whole graph in its frame, and back (0)", () => zoom("fit")),
    )),
    count, restore, meanings.element,
  );

  /** @param {Scene} scene */
  function update({ state, shown, found, theme }) {
    if (Math.abs(shareOf(Number(least.value)) - state.threshold) > 1e-9) least.value = String(stopOf(state.threshold));
    value.textContent = percent(state.threshold);
    const { nodes, edges } = state.graph;
    const words = `${formatRank(shown.nodes.size)} of ${formatRank(nodes.length)} nodes, ${formatRank(shown.edges.length)} of ${formatRank(edges.length)} edges`;
    if (count.textContent !== words) count.textContent = words;
    least.setAttribute("aria-valuetext", `${percent(state.threshold)}: ${words}`);
    if (word.value !== state.word) word.value = state.word;
    matches.textContent = found ? `${formatRank(found.size)} node${found.size === 1 ? "" : "s"}` : "";
    restore.hidden = state.mode !== "edit" || state.cuts.size === 0;
    restore.textContent = `restore ${state.cuts.size === 1 ? "the cut edge" : `${formatRank(state.cuts.size)} cut edges`}`;
    const from = [state.graph, state.mode, [...state.kinds].join(), [...state.channels].join(), theme.background];
    meanings.update(from, () => legendParts(state, theme, choose));
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
 * @param {import("../../lib/theme.js").Theme} theme
 * @param {(changes: Partial<import("./state.js").Choice>) => void} choose
 */
function legendParts(state, theme, choose) {
  const { graph, kinds, channels } = state;
  const parts = [];
  for (const [name, members] of KINDS) {
    if (!graph.nodes.some((node) => members.includes(node.kind))) continue;
    const change = (/** @type {boolean} */ on) => choose({ kinds_shown: [...[...kinds].filter((kind) => !members.includes(kind)), ...(on ? members : [])] });
    parts.push(check(name, members.some((kind) => kinds.has(kind)), h("span", { class: `graph-view__swatch is-${members[0]}` }), change));
  }
  for (const channel of ["v", "k", "q"]) {
    if (!graph.edges.some((edge) => edge.channel === channel)) continue;
    const change = (/** @type {boolean} */ on) => choose({ channels_shown: [...[...channels].filter((each) => each !== channel), ...(on ? [channel] : [])] });
    parts.push(check(`read as ${CHANNEL_NAMES[channel]}`, channels.has(channel), sample("currentColor", 2, { "stroke-dasharray": DASHES[channel] ?? null }), change));
  }
  const { positive, negative } = signColors(theme.background);
  parts.push(
    key(sample(positive, 3), "positive"), key(sample(negative, 3), "negative"),
    key(sample("currentColor", lineWidth(0.1)), percent(0.1)), key(sample("currentColor", lineWidth(1)), "100 % share"),
  );
  if (state.mode === "edit") parts.push(key(cutSample(), "cut by a click, or x"));
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
  return h("label", { class: "graph-view__check" }, input, picture, name);
}
