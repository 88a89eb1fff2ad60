/**
 * The graph's numbers in words.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Node} Node
 * @typedef {import("./state.js").Shown} Shown
 */
import { formatNumber } from "../../lib/numbers.js";
import { numbersOf, strongestPath } from "./state.js";

export const LANE_NAMES = { mlp: "MLP", resid: "residual stream", attn: "attention" };
/** @type {Record<string, string>} */
export const CLASS_NAMES = {
  carried: "carried", processed: "processed", newborn: "newborn", unexplained: "unexplained", first: "first layer",
  module: "written by a module", dead: "dead", "": "class not known",
};
/** @type {Record<string, string>} what a class means, for the legend and the tooltip */
export const CLASS_MEANINGS = {
  carried: "in the residual stream before, not in what the layer writes",
  processed: "in the residual stream before and in what the layer writes",
  newborn: "in what the layer writes, not in the residual stream before",
  unexplained: "in neither",
  first: "no dictionary lies before it",
  module: "what an MLP or attention writes",
  dead: "it writes nothing, or never changed on the texts",
  "": "",
};
const LONGEST_PATH = 12;

/** "3/123" of "L3.resid_post/123"; another id as it is. @param {string} id */
export function shortName(id) {
  const found = /^L(\d+)\.\w+\/(.+)$/.exec(id);
  return found ? `${found[1]}/${found[2]}` : id;
}

/** Similarities and activations have few digits worth reading. @param {number} value */
export const short = (value) => formatNumber(value, 2);

/** "off", "×2". @param {number} factor */
export const scaleText = (factor) => (factor === 0 ? "off" : `×${Number(factor.toFixed(2))}`);

/** "1.20 → 0.00", what is known of it. @param {{before: number, after: number}} numbers */
export function activationText({ before, after }) {
  const [was, is] = [before, after].map((value) => (Number.isNaN(value) ? "" : short(value)));
  return was && is ? `${was} → ${is}` : was || is;
}

const SIMILARITIES = /** @type {const} */ ([
  ["resid", "residual stream before"], ["mlp", "MLP"], ["attn", "attention"], ["successor", "residual stream after"],
]);

/**
 * The similarities to the best predecessors and the best successor, each with the threshold it is held
 * against; what is not known is left out.
 * @param {State} state
 * @param {number} index
 * @returns {{name: string, value: number, from: number}[]}
 */
export function similarityRows(state, index) {
  const numbers = numbersOf(state, index);
  return SIMILARITIES
    .map(([lane, name], i) => ({ name, value: numbers[lane], from: numbers.thresholds[i] }))
    .filter(({ value }) => !Number.isNaN(value));
}

/** @param {{value: number, from: number}} row */
export const heldAgainst = ({ value, from }) => (Number.isNaN(from) ? "" : `${value >= from ? "high" : "low"}, from ${short(from)}`);

/**
 * The line for a node.
 * @param {State} state
 * @param {Shown} shown
 * @param {number} index
 */
export function nodeText(state, shown, index) {
  const { nodes } = state.graph;
  const node = nodes[index];
  const parts = [`${node.id}${node.label ? ` “${node.label}”` : ""}: ${CLASS_NAMES[node.class]}`];
  const activation = activationText(numbersOf(state, index));
  if (node.ended) parts.push("it ends here");
  if (activation) parts.push(`activation ${activation}`);
  if (node.id in state.scales) parts.push(scaleWords(state.scales[node.id]));
  const rows = similarityRows(state, index);
  if (rows.length > 0) {
    parts.push(`similarity to its best match ${rows.map((row) => {
      const held = heldAgainst(row);
      return `in the ${row.name} ${short(row.value)}${held && ` (${held})`}`;
    }).join(", ")}`);
  }
  const path = strongestPath(nodes, shown.edges, index).nodes;
  if (path.length > 1) {
    const names = path.map((i) => shortName(nodes[i].id));
    parts.push(`strongest path ${names.length > LONGEST_PATH ? `${names.slice(0, LONGEST_PATH).join(" → ")} → …` : names.join(" → ")}`);
  }
  return parts.join("; ");
}

/** The line for an edge. @param {State} state @param {number} number */
export function edgeText({ graph }, number) {
  const { source, target, weight } = graph.edges[number];
  return `${shortName(graph.nodes[source].id)} → ${shortName(graph.nodes[target].id)}: similarity ${short(weight)}`;
}

/** @param {number} factor */
export const scaleWords = (factor) => (factor === 0 ? "switched off" : `activation ${scaleText(factor)}`);
