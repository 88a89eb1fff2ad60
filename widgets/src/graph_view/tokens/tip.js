/**
 * What the tooltip says of a node or an edge.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Edge} Edge
 * @typedef {import("./state.js").Shown} Shown
 */
import { h } from "../../lib/dom.js";
import { row, table } from "../parts.js";
import { CHANNEL_NAMES, factTexts, kindText, percent, quoted, receivedText, signed, withUnit, wordsText } from "./text.js";

const MOST_LISTED = 3;

/**
 * @param {State} state
 * @param {Shown} shown
 * @param {number} index of the node
 */
export function nodeContent(state, shown, index) {
  const { graph } = state;
  const node = graph.nodes[index];
  const received = receivedText(state, shown, index);
  return [
    h("div", { class: "graph-view__place" }, node.id),
    h("div", { class: "graph-view__kind" }, kindText(state, node)),
    h("div", { class: "graph-view__words" }, node.words.length > 0 ? wordsText(node) : "no words"),
    ...factTexts(state, index).map((words) => h("div", { class: "graph-view__fact" }, words)),
    ...listed("receives most from", state, graph.into[index], "source", MOST_LISTED),
    ...listed("gives most to", state, graph.out[index], "target", MOST_LISTED),
    ...(received ? [h("div", { class: "graph-view__note" }, `Its ${received}.`)] : []),
  ];
}

/**
 * @param {State} state
 * @param {Edge} edge
 */
export function edgeContent(state, edge) {
  const [from, to] = [edge.source, edge.target].map((index) => state.graph.nodes[index]);
  const named = (/** @type {import("./state.js").Node} */ node) => wordsText(node, 3) || "no words";
  return [
    h("div", { class: "graph-view__place" }, `${from.id} → ${to.id}`),
    table([
      row("from", named(from), ""), row("to", named(to), ""),
      ...(edge.channel ? [row("read as", CHANNEL_NAMES[edge.channel], "")] : []),
      row("weight", withUnit(state, edge.weight), ""),
      row("share", percent(edge.share), "of what the upper one receives"),
      ...(state.cuts.has(edge.id) ? [row("cut", "yes", "")] : []),
    ]),
  ];
}

/**
 * The first few of a node's edges, the greatest share first.
 * @param {string} caption
 * @param {State} state
 * @param {Edge[]} edges
 * @param {"source" | "target"} end the other node of each
 * @param {number} most
 */
export function listed(caption, state, edges, end, most) {
  if (edges.length === 0) return [];
  const more = edges.length > most ? ` (${most} of ${edges.length})` : "";
  return [
    h("div", { class: "graph-view__caption" }, caption + more),
    table(edges.slice(0, most).map((edge) => {
      const node = state.graph.nodes[edge[end]];
      const name = node.id + (edge.channel ? ` (${CHANNEL_NAMES[edge.channel]})` : "");
      return row(name, node.words.length > 0 ? quoted(node.words[0]) : "", `${signed(edge.weight)} · ${percent(edge.share)}`);
    })),
  ];
}
