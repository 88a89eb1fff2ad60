/**
 * What the tooltip says of a node or an edge.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Edge} Edge
 */
import { h } from "../../lib/dom.js";
import { row, table } from "../parts.js";
import { isMember } from "./state.js";
import { edgeName, kindText, rankText, signed, withUnit } from "./text.js";

const MOST_LISTED = 3;

/**
 * @param {State} state
 * @param {number} index of the node
 * @param {Edge[]} shown
 */
export function nodeContent(state, index, shown) {
  const node = state.graph.nodes[index];
  const into = shown.filter((edge) => edge.target === index);
  const out = shown.filter((edge) => edge.source === index);
  const rows = [row("effect", node.score === null ? "not given" : withUnit(state, node.score))];
  if (state.inCircuitNodes) rows.push(row("in the circuit", state.inCircuitNodes.has(node.id) ? "yes" : "no"));
  if (state.cutNodes.has(node.id)) rows.push(row("cut", "yes"));
  return [
    h("div", { class: "graph-view__place" }, node.label, h("span", { class: "graph-view__kind" }, ` ${kindText(node)}`)),
    table(rows),
    ...strongest("reads", into, (edge) => state.graph.nodes[edge.source].label + (edge.channel ? ` by ${edge.channel}` : "")),
    ...strongest("is read by", out, (edge) => state.graph.nodes[edge.target].label + (edge.channel ? `.${edge.channel}` : "")),
    ...(node.note ? [h("div", { class: "graph-view__note" }, node.note)] : []),
  ];
}

/**
 * @param {State} state
 * @param {Edge} edge
 */
export function edgeContent(state, edge) {
  const rows = [row("weight", withUnit(state, edge.weight)), row("", rankText(state, edge))];
  if (state.inCircuitEdges) rows.push(row("in the circuit", isMember(state, edge) ? "yes" : "no"));
  if (state.cutEdges.has(edge.id)) rows.push(row("cut", "yes"));
  return [h("div", { class: "graph-view__place" }, edgeName(state, edge)), table(rows)];
}

/**
 * The first few of a node's drawn edges, which come strongest first.
 * @param {string} caption
 * @param {Edge[]} edges
 * @param {(edge: Edge) => string} name
 */
function strongest(caption, edges, name) {
  if (edges.length === 0) return [];
  const more = edges.length - MOST_LISTED;
  return [
    h("div", { class: "graph-view__caption" }, caption + (more > 0 ? ` (${MOST_LISTED} of ${edges.length} drawn)` : "")),
    table(edges.slice(0, MOST_LISTED).map((edge) => row(name(edge), signed(edge.weight)))),
  ];
}
