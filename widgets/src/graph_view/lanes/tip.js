/**
 * What the tooltip says of a node or an edge.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Shown} Shown
 */
import { h } from "../../lib/dom.js";
import { row, table } from "../parts.js";
import { numbersOf } from "./state.js";
import { CLASS_MEANINGS, CLASS_NAMES, LANE_NAMES, activationText, heldAgainst, scaleWords, short, shortName, similarityRows } from "./text.js";

/**
 * @param {State} state
 * @param {Shown} shown
 * @param {number} index of the node
 */
export function nodeContent(state, shown, index) {
  const { nodes } = state.graph;
  const node = nodes[index];
  const meaning = CLASS_MEANINGS[node.class];
  const rows = similarityRows(state, index).map((each) => row(each.name, short(each.value), heldAgainst(each)));
  const activation = activationText(numbersOf(state, index));
  const into = shown.edges.filter((edge) => edge.target === index).length;
  const out = shown.edges.filter((edge) => edge.source === index).length;
  const facts = [
    row("layer", `${node.layer}, ${LANE_NAMES[node.lane]}`, ""),
    ...(activation ? [row("activation", activation, "")] : []),
    ...(node.id in state.scales ? [row("changed", scaleWords(state.scales[node.id]), "")] : []),
    row("drawn edges", `${into} in, ${out} out`, ""),
  ];
  return [
    h("div", { class: "graph-view__place" }, node.id),
    ...(node.label ? [h("div", { class: "graph-view__words" }, node.label)] : []),
    h("div", { class: "graph-view__kind" }, h("b", {}, CLASS_NAMES[node.class]), meaning ? `: ${meaning}` : ""),
    table(facts),
    ...(rows.length > 0 ? [h("div", { class: "graph-view__caption" }, "similarity to the best match"), table(rows)] : []),
    ...(node.ended ? [h("div", { class: "graph-view__note" }, "It ends here: no successor is as similar as the threshold asks.")] : []),
  ];
}

/**
 * @param {State} state
 * @param {number} number of the edge
 */
export function edgeContent({ graph }, number) {
  const { source, target, weight } = graph.edges[number];
  const [from, to] = [graph.nodes[source], graph.nodes[target]];
  const named = (/** @type {import("./state.js").Node} */ node) => `${shortName(node.id)}${node.label ? ` “${node.label}”` : ""}, ${LANE_NAMES[node.lane]}`;
  return [
    h("div", { class: "graph-view__place" }, `${shortName(from.id)} → ${shortName(to.id)}`),
    table([row("from", named(from), ""), row("to", named(to), ""), row("similarity", short(weight), "")]),
  ];
}

