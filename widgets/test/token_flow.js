import { payload } from "./payload.js";

/** @typedef {import("../src/graph_view/tokens/state.js").Node} Node */
/** @typedef {[string, string, number, string?]} End source, target, share with its sign, channel */

const CHANNELS = ["", "q", "k", "v"];

/**
 * A node of an id as the package writes it.
 * @param {string} id
 * @param {string[]} [words]
 * @returns {Node}
 */
export function node(id, words = []) {
  const column = Number(id.split("@")[1]);
  const layer = id.startsWith("embed") ? -1 : Number(/^L(\d+)/.exec(id)?.[1]);
  const kind = layer < 0 ? "embed" : /^L\d+H/.test(id) ? "head" : id.includes("mlp_post") ? "neuron" : id.includes("mlp_out") ? "mlp" : "state";
  const row = { head: 0, neuron: 2, mlp: 2, embed: 3, state: id.includes("resid_mid") ? 1 : 3 }[kind];
  return { id, column, layer, kind, row, words, details: [] };
}

/**
 * Every token's states through the layers; the last token's column has `heads` heads and `neurons` neurons a
 * layer, where each head reads the first token's state as value.
 * @param {{tokens: number, layers: number, heads?: number, neurons?: number, mid?: boolean}} size
 */
export function pass({ tokens, layers, heads = 1, neurons = 1, mid = true }) {
  /** @type {Node[]} */
  const nodes = [];
  /** @type {End[]} */
  const ends = [];
  const states = Array.from({ length: tokens }, (_, i) => `embed@${i}`);
  nodes.push(...states.map((id) => node(id)));
  for (let layer = 0; layer < layers; layer += 1) {
    const before = [...states];
    states.forEach((below, i) => {
      const last = i === tokens - 1;
      const own = last ? Array.from({ length: heads }, (_, head) => `L${layer}H${head}.z@${i}`) : [];
      for (const head of own) ends.push([before[0], head, 0.5, "v"], [below, head, 0.3, "q"]);
      let [from, written] = [below, own];
      if (mid) {
        const state = `L${layer}.resid_mid@${i}`;
        nodes.push(node(state));
        for (const part of [from, ...written]) ends.push([part, state, 0.4]);
        [from, written] = [state, []];
      }
      const fired = last ? Array.from({ length: neurons }, (_, k) => `L${layer}.mlp_post/${k}@${i}`) : [];
      for (const neuron of fired) ends.push([from, neuron, 1]);
      states[i] = `L${layer}.resid_post@${i}`;
      for (const part of [from, ...written, ...fired]) ends.push([part, states[i], 0.2]);
      nodes.push(...[...own, ...fired, states[i]].map((id) => node(id)));
    });
  }
  return { nodes, ends };
}

/**
 * A model with the traits of a flow.
 * @param {Node[]} nodes
 * @param {End[]} ends
 * @param {Record<string, any>} [changes]
 */
export function flowModel(nodes, ends, { tokens = undefined, ...changes } = {}) {
  const at = new Map(nodes.map(({ id }, i) => [id, i]));
  const n = nodes.length;
  const numbers = (/** @type {(end: End) => number} */ read) => Array.from(ends, read);
  const ids = (/** @type {0 | 1} */ end) => payload(Uint16Array.from(numbers((each) => at.get(each[end]) ?? -1)), [ends.length]);
  const unknown = () => payload(new Float32Array(n).fill(NaN), [n]);
  /** @type {Record<string, any>} */
  const traits = {
    title: "", unit: "", roots: [], status: "", mode: "look", threshold: 0, kinds_shown: ["head", "neuron", "mlp"],
    channels_shown: ["v", "k", "q"], word: "", selected: "", other: "", cut_edges: [],
    _tokens: tokens ?? Array.from({ length: Math.max(...nodes.map(({ column }) => column)) + 1 }, (_, i) => ` t${i}`),
    _nodes: nodes,
    _edges: {
      source: ids(0), target: ids(1), weight: payload(Float32Array.from(numbers((each) => 2 * each[2])), [ends.length]),
      share: payload(Float32Array.from(numbers((each) => Math.abs(each[2]))), [ends.length]),
      channel: payload(Uint8Array.from(numbers((each) => CHANNELS.indexOf(each[3] ?? ""))), [ends.length]),
    },
    _numbers: { scores: unknown(), relevance: unknown(), rest: unknown() },
    ...changes,
  };
  return { get: (/** @type {string} */ name) => traits[name] };
}
