/**
 * The graph's numbers in words.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Node} Node
 * @typedef {import("./state.js").Edge} Edge
 */
import { formatNumber, formatRank } from "../../lib/numbers.js";
import { isMember, nEdges } from "./state.js";

export const DIGITS = 3;
const KINDS = { embed: "embedding", head: "attention head", mlp: "MLP", logits: "output" };
const READS = { q: "query", k: "key", v: "value" };

/**
 * A number with its sign: "+0.310".
 * @param {number} value
 */
export const signed = (value) => (value > 0 ? "+" : "") + formatNumber(value, DIGITS);

/**
 * @param {State} state
 * @param {number} value
 */
export const withUnit = (state, value) => signed(value) + (state.unit ? ` ${state.unit}` : "");

/** @param {Node} node */
export function kindText(node) {
  const between = node.kind === "head" || node.kind === "mlp";
  return KINDS[node.kind] + (between ? `, layer ${node.layer}` : "");
}

/**
 * What an edge reads: "L2H3 → query of L3H1".
 * @param {State} state
 * @param {Edge} edge
 */
export function edgeName({ graph }, edge) {
  const [from, to] = [graph.nodes[edge.source].label, graph.nodes[edge.target].label];
  const read = READS[/** @type {keyof typeof READS} */ (edge.channel)];
  return `${from} → ${read ? `${read} of ` : ""}${to}`;
}

/**
 * Where an edge stands: "strongest", "rank 7 of 1,224".
 * @param {State} state
 * @param {Edge} edge
 */
export const rankText = ({ graph }, edge) => `rank ${formatRank(edge.rank)} of ${formatRank(nEdges(graph))} by size`;

/**
 * The line for a node, with how many of its edges are drawn.
 * @param {State} state
 * @param {Node} node
 * @param {{into: number, out: number}} drawn
 */
export function nodeText(state, node, drawn) {
  const parts = [`${node.label} (${kindText(node)}):`];
  parts.push(node.score === null ? "effect not given;" : `effect ${withUnit(state, node.score)};`);
  parts.push(`drawn edges: ${drawn.into} in, ${drawn.out} out`);
  return parts.join(" ") + standing(state.cutNodes.has(node.id), state.inCircuitNodes?.has(node.id) ?? true);
}

/**
 * The line for an edge.
 * @param {State} state
 * @param {Edge} edge
 */
export function edgeText(state, edge) {
  const words = `${edgeName(state, edge)}: weight ${withUnit(state, edge.weight)}; ${rankText(state, edge)}`;
  return words + standing(state.cutEdges.has(edge.id), isMember(state, edge));
}

/**
 * @param {boolean} cut
 * @param {boolean} member
 */
const standing = (cut, member) => `${member ? "" : "; not in the circuit"}${cut ? "; cut" : ""}`;

/**
 * The labels if all of them fit; else each without the layer, which its stripe names already, and
 * those that still do not fit cut with an ellipsis: a graph never mixes two ways of writing a name.
 * @param {Node[]} nodes
 * @param {(text: string, i: number) => boolean} fits whether a text fits on the node of this number
 */
export function fitLabels(nodes, fits) {
  if (nodes.every((node, i) => fits(node.label, i))) return { texts: nodes.map((node) => node.label), whole: true };
  return { texts: nodes.map((node, i) => shortened(withoutLayer(node), (text) => fits(text, i))), whole: false };
}

/** "H10" of "L11H10", "mlp" of "L11.mlp". @param {Node} node */
function withoutLayer({ label, layer, kind }) {
  if (kind === "embed" || kind === "logits") return label;
  const prefix = `L${layer}`;
  const rest = label.slice(prefix.length);
  return label.startsWith(prefix) && /^[.H]/.test(rest) ? rest.replace(/^\./, "") : label;
}

/**
 * @param {string} label
 * @param {(text: string) => boolean} fits
 */
function shortened(label, fits) {
  if (fits(label)) return label;
  const characters = Array.from(label.slice(0, 200));
  let count = characters.length - 1;
  while (count > 1 && !fits(`${characters.slice(0, count).join("")}…`)) count -= 1;
  return `${characters.slice(0, count).join("")}…`;
}
