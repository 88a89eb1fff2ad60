import { payload } from "./payload.js";

/** @typedef {import("../src/graph_view/components/state.js").Node} Node */

/**
 * @param {string} id
 * @param {import("../src/graph_view/components/state.js").Kind} kind
 * @param {number} [layer]
 * @returns {Node}
 */
export const node = (id, kind, layer = 0) => ({ id, label: id, kind, layer, score: 0.5, note: "" });

/**
 * The nodes of a model.
 * @param {number} layers
 * @param {number} heads
 */
export function components(layers, heads) {
  const nodes = [node("embed", "embed")];
  for (let layer = 0; layer < layers; layer += 1) {
    for (let head = 0; head < heads; head += 1) nodes.push(node(`L${layer}H${head}`, "head", layer));
    nodes.push(node(`L${layer}.mlp`, "mlp", layer));
  }
  return [...nodes, node("logits", "logits")];
}

/** Every edge of the nodes, as [source, target, channel]. @param {Node[]} nodes */
export function allEdges(nodes) {
  const order = (/** @type {Node} */ { kind, layer }) =>
    ({ embed: -1, head: layer, mlp: layer + 0.5, logits: Infinity })[kind];
  /** @type {[number, number, number][]} */
  const edges = [];
  nodes.forEach((from, source) => nodes.forEach((to, target) => {
    if (order(from) >= order(to)) return;
    for (const channel of to.kind === "head" ? [1, 2, 3] : [0]) edges.push([source, target, channel]);
  }));
  return edges;
}

/**
 * A model with the traits of a graph; weights fall in size and alternate in sign where none are given.
 * @param {Node[]} nodes
 * @param {[number, number, number][]} edges
 * @param {Record<string, any>} [changes]
 */
export function circuitModel(nodes, edges, { weights = edges.map((_, i) => (i % 2 ? -1 : 1) / (i + 1)), ...changes } = {}) {
  const column = (/** @type {0 | 1 | 2} */ i) => payload(Uint16Array.from(edges, (edge) => edge[i]), [edges.length]);
  /** @type {Record<string, any>} */
  const traits = {
    title: "", unit: "nats", status: "", n_edges_shown: 3, mode: "select", selected: "",
    cut_nodes: [], cut_edges: [], in_circuit_nodes: null, in_circuit_edges: null, _nodes: nodes,
    _edges: {
      source: column(0), target: column(1), channel: payload(Uint8Array.from(edges, (edge) => edge[2]), [edges.length]),
      weight: payload(Float32Array.from(weights), [edges.length]),
    },
    ...changes,
  };
  return { get: (/** @type {string} */ name) => traits[name] };
}
