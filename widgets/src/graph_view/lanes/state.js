/**
 * What the graph shows, read from the model's traits, and which of it is drawn.
 *
 * @typedef {import("../../lib/arrays.js").EncodedArray} EncodedArray
 * @typedef {"mlp" | "resid" | "attn"} Lane
 * @typedef {{id: string, label: string, lane: Lane, class: string, layer: number, ended: boolean,
 *   root: boolean}} Node
 * @typedef {{source: EncodedArray, target: EncodedArray, weight: EncodedArray}} EncodedEdges
 * @typedef {{index: number, source: number, target: number, weight: number}} Edge
 * @typedef {{nodes: Node[], edges: Edge[], nodeIndex: Map<string, number>}} Graph
 * @typedef {Record<"resid" | "mlp" | "attn" | "successor" | "thresholds" | "before" | "after", EncodedArray>} Numbers
 *   similarities to the best match there, from where each is high, and activations
 * @typedef {{title: string, status: string, mode: string, threshold: number, selected: string,
 *   graph: Graph, numbers: Numbers,
 *   scales: Record<string, number>, wishes: number}} State `wishes` counts those to expand
 * @typedef {{selected: string, threshold: number, expand: [string, string, number],
 *   scales: Record<string, number>}} Choice the traits that a view sets
 * @typedef {{nodes: Set<number>, edges: Edge[]}} Shown
 */
import { decodeOnce } from "../../lib/arrays.js";

/** The traits that a view draws; a change of any of them asks for a new frame. */
export const TRAITS = [
  "title", "status", "mode", "threshold", "selected", "expand", "scales",
  "_nodes", "_edges", "_numbers",
];
/** @type {Lane[]} from left to right: the residual stream between the two that write to it */
export const LANES = ["mlp", "resid", "attn"];

/** @type {WeakMap<EncodedEdges, Graph>} */
const graphs = new WeakMap();

/**
 * @param {Node[]} nodes
 * @param {EncodedEdges} encoded
 * @returns {Graph}
 */
function graphOf(nodes, encoded) {
  const known = graphs.get(encoded);
  if (known && known.nodes === nodes) return known;
  const [source, target, weight] = [encoded.source, encoded.target, encoded.weight].map((part) => decodeOnce(part).values);
  const edges = Array.from(weight, (value, index) => ({ index, source: source[index], target: target[index], weight: value }));
  const graph = { nodes, edges, nodeIndex: new Map(nodes.map((node, i) => [node.id, i])) };
  graphs.set(encoded, graph);
  return graph;
}

/**
 * @param {{get: (name: string) => any}} model
 * @returns {State}
 */
export function readState(model) {
  return {
    title: model.get("title"),
    status: model.get("status"),
    mode: model.get("mode"),
    threshold: model.get("threshold"),
    selected: model.get("selected"),
    graph: graphOf(model.get("_nodes"), model.get("_edges")),
    numbers: model.get("_numbers"),
    scales: model.get("scales"),
    wishes: model.get("expand")[2] ?? 0,
  };
}

/**
 * What the threshold leaves: the edges that reach it, and the nodes that they join to a root or, where
 * nobody said what was asked for, to any other node. A node that is selected or scaled is never lost.
 * @param {State} state
 * @returns {Shown}
 */
export function shownPart({ graph, threshold, selected, scales }) {
  // What travelled in single precision may fall short of its own number by a hair.
  const strong = graph.edges.filter((edge) => edge.weight >= threshold - 1e-6);
  /** @type {number[][]} */
  const neighbours = graph.nodes.map(() => []);
  for (const { source, target } of strong) {
    neighbours[source].push(target);
    neighbours[target].push(source);
  }
  const roots = graph.nodes.flatMap((node, i) => (node.root ? [i] : []));
  const alone = new Set(graph.nodes.keys());
  for (const { source, target } of graph.edges) [source, target].forEach((end) => alone.delete(end));
  const open = roots.length > 0 ? roots : graph.nodes.flatMap((_, i) => (neighbours[i].length > 0 || alone.has(i) ? [i] : []));
  const nodes = new Set(open);
  while (open.length > 0) {
    for (const next of neighbours[/** @type {number} */ (open.pop())]) {
      if (nodes.has(next)) continue;
      nodes.add(next);
      open.push(next);
    }
  }
  for (const id of [selected, ...Object.keys(scales)]) {
    const index = graph.nodeIndex.get(id);
    if (index !== undefined) nodes.add(index);
  }
  return { nodes, edges: strong.filter(({ source, target }) => nodes.has(source) && nodes.has(target)) };
}

/**
 * The strongest chain through a node: from it the strongest drawn edge up and down, as far as it goes;
 * the residual stream before modules, as `FeatureFlow.path` has it.
 * @param {Node[]} all
 * @param {Edge[]} edges
 * @param {number} start
 * @returns {{nodes: number[], edges: Set<number>}} nodes from the lowest to the highest
 */
export function strongestPath(all, edges, start) {
  const nodes = [start];
  const taken = new Set();
  for (const up of [true, false]) {
    for (let at = start; ;) {
      const ways = edges.filter((edge) => (up ? edge.source : edge.target) === at);
      if (ways.length === 0) break;
      const resid = ways.filter((edge) => all[up ? edge.target : edge.source].lane === "resid");
      const best = (resid.length > 0 ? resid : ways).reduce((a, b) => (b.weight > a.weight ? b : a));
      taken.add(best.index);
      at = up ? best.target : best.source;
      if (up) nodes.push(at);
      else nodes.unshift(at);
    }
  }
  return { nodes, edges: taken };
}

/**
 * The numbers known of a node, NaN where one is not.
 * @param {State} state
 * @param {number} index
 */
export function numbersOf({ numbers }, index) {
  const at = (/** @type {EncodedArray} */ array) => decodeOnce(array).values[index];
  const thresholds = decodeOnce(numbers.thresholds).values;
  return {
    resid: at(numbers.resid), mlp: at(numbers.mlp), attn: at(numbers.attn), successor: at(numbers.successor),
    thresholds: thresholds.slice(4 * index, 4 * index + 4),
    before: at(numbers.before), after: at(numbers.after),
  };
}

/**
 * The scales with one node's changed; 1 is said by leaving it out.
 * @param {State} state
 * @param {string} id
 * @param {number} factor
 */
export function scaled({ scales }, id, factor) {
  const { [id]: _, ...others } = scales;
  return factor === 1 ? others : { ...others, [id]: factor };
}

/**
 * A wish that the graph grows at a node, told from an earlier one by its count.
 * @param {State} state
 * @param {string} id
 * @param {string} way "up" or "down"
 */
export const expanded = ({ wishes }, id, way) => ({ selected: id, expand: [id, way, wishes + 1] });

/** The greatest size of an activation, for the length of bars. @param {State} state */
export function mostActive({ numbers }) {
  const sizes = [numbers.before, numbers.after].flatMap((array) => Array.from(decodeOnce(array).values, Math.abs));
  return Math.max(0, ...sizes.filter(Number.isFinite));
}
