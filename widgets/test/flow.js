import { payload } from "./payload.js";

/** @typedef {import("../src/graph_view/lanes/state.js").Node} Node */

/**
 * Nodes of `perRow` features a lane and layer; each of the residual stream reads its own before it, the
 * next one's, and one of each module.
 * @param {number} layers
 * @param {number} perRow
 */
export function stack(layers, perRow) {
  /** @type {Node[]} */
  const nodes = [];
  /** @type {[number, number][]} */
  const ends = [];
  const at = (/** @type {number} */ layer, /** @type {number} */ lane, /** @type {number} */ i) => (layer * 3 + lane) * perRow + i;
  for (let layer = 0; layer < layers; layer += 1) {
    /** @type {const} */ (["mlp", "resid", "attn"]).forEach((lane, number) => {
      for (let i = 0; i < perRow; i += 1) {
        nodes.push({ id: `L${layer}.${lane}/${i}`, label: "", lane, class: "", layer, ended: false, root: false });
        if (lane !== "resid") ends.push([at(layer, number, i), at(layer, 1, i)]);
        else if (layer > 0) {
          ends.push([at(layer - 1, 1, i), at(layer, 1, i)]);
          if (perRow > 1) ends.push([at(layer - 1, 1, (i + 1) % perRow), at(layer, 1, i)]);
        }
      }
    });
  }
  return { nodes, ends };
}

/** @param {[number, number][]} ends @param {number[]} [weights] */
export const edgesOf = (ends, weights = ends.map(() => 0.5)) =>
  ends.map(([source, target], index) => ({ index, source, target, weight: weights[index] }));

/**
 * A model with the traits of a flow graph.
 * @param {Node[]} nodes
 * @param {[number, number][]} ends
 * @param {Record<string, any>} [changes]
 */
export function flowModel(nodes, ends, { weights = ends.map(() => 0.5), numbers = {}, ...changes } = {}) {
  const n = nodes.length;
  const unknown = () => payload(new Float32Array(n).fill(NaN), [n]);
  /** @type {Record<string, any>} */
  const traits = {
    title: "", status: "", mode: "look", threshold: 0, selected: "", expand: [], scales: {}, _nodes: nodes,
    _edges: {
      source: payload(Uint16Array.from(ends, ([source]) => source), [ends.length]),
      target: payload(Uint16Array.from(ends, ([, target]) => target), [ends.length]),
      weight: payload(Float32Array.from(weights), [ends.length]),
    },
    _numbers: {
      resid: unknown(), mlp: unknown(), attn: unknown(), successor: unknown(),
      thresholds: payload(new Float32Array(4 * n).fill(0.5), [n, 4]),
      before: unknown(), after: unknown(), ...numbers,
    },
    ...changes,
  };
  return { get: (/** @type {string} */ name) => traits[name] };
}
