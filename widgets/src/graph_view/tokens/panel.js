/**
 * The panel below the graph: what the selected node is, what it reads and writes as words, and the edges
 * that bring and carry it on. Its room is always kept, so that a click moves nothing.
 *
 * @typedef {import("./state.js").State} State
 */
import { OWN_KEYS, h } from "../../lib/dom.js";
import { tokenParts } from "../../lib/tokens.js";
import { factTexts, kindText } from "./text.js";
import { listed } from "./tip.js";

const MOST_LISTED = 8;

export function panel() {
  const element = h("section", { class: "graph-view__panel", tabindex: 0, "aria-label": "The selected node", ...OWN_KEYS });
  /** @type {unknown[]} */
  let drawnFrom = [];

  /** @param {import("./picture.js").Scene} scene */
  function update({ state }) {
    const index = state.graph.nodeIndex.get(state.selected) ?? null;
    const key = [state.graph, state.numbers, state.unit, index];
    if (key.every((item, i) => item === drawnFrom[i])) return;
    drawnFrom = key;
    element.replaceChildren(...(index === null
      ? [h("p", { class: "graph-view__hint" }, "Click a node: its words, what it reads and what it writes are listed here. Click a second one: the strongest path between the two.")]
      : parts(state, index)));
    element.scrollTop = 0;
  }

  return { element, update };
}

/**
 * @param {State} state
 * @param {number} index
 */
function parts(state, index) {
  const { graph } = state;
  const node = graph.nodes[index];
  const facts = factTexts(state, index).map((words) => h("div", { class: "graph-view__fact" }, words));
  const column = (/** @type {Node[]} */ children) => h("div", { class: "graph-view__part" }, ...children);
  return [
    h("div", { class: "graph-view__heading" }, node.id, h("span", { class: "graph-view__kind" }, ` ${kindText(state, node)}`)),
    h("div", { class: "graph-view__parts" },
      column([...reading("words", node.words), ...facts]),
      ...(node.details.length > 0 ? [column(node.details.flatMap(([caption, words]) => reading(caption, words)))] : []),
      ...[listed("receives most from", state, graph.into[index], "source", MOST_LISTED), listed("gives most to", state, graph.out[index], "target", MOST_LISTED)]
        .filter((children) => children.length > 0).map(column)),
  ];
}

/**
 * A caption and the words under it, the first one the strongest.
 * @param {string} caption
 * @param {string[]} words
 */
function reading(caption, words) {
  return [
    h("div", { class: "graph-view__caption" }, caption),
    h("div", { class: "graph-view__chips" }, ...(words.length === 0 ? ["none"] : words.map((word) => h("span", { class: "graph-view__chip" },
      ...tokenParts(word).map(({ text, mark }) => h("span", { class: mark ? "is-mark" : null }, text)))))),
  ];
}
