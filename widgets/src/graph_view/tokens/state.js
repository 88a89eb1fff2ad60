/**
 * What the graph shows, read from the model's traits, and which of it is drawn.
 *
 * @typedef {import("../../lib/arrays.js").EncodedArray} EncodedArray
 * @typedef {"embed" | "state" | "head" | "neuron" | "mlp"} Kind
 * @typedef {{id: string, column: number, layer: number, kind: Kind, row: number, words: string[],
 *   details: [string, string[]][]}} Node `row` is its height in its layer: heads 0, state 1,
 *   neurons 2, state 3
 * @typedef {{source: EncodedArray, target: EncodedArray, weight: EncodedArray, share: EncodedArray,
 *   channel: EncodedArray}} EncodedEdges
 * @typedef {{index: number, id: string, source: number, target: number, weight: number,
 *   share: number, channel: string}} Edge
 * @typedef {{tokens: string[], nodes: Node[], edges: Edge[], into: Edge[][], out: Edge[][],
 *   nodeIndex: Map<string, number>, edgeIndex: Map<string, number>}} Graph `into` and `out` have a
 *   node's edges, the greatest share first
 * @typedef {{scores: EncodedArray, relevance: EncodedArray, rest: EncodedArray}} Numbers
 * @typedef {{title: string, unit: string, roots: string[], status: string, mode: string,
 *   threshold: number, kinds: Set<string>, channels: Set<string>, word: string, selected: string,
 *   other: string, cuts: Set<string>, graph: Graph, numbers: Numbers}} State
 * @typedef {{threshold: number, kinds_shown: string[], channels_shown: string[], word: string,
 *   selected: string, other: string, cut_edges: string[]}} Choice the traits that a view sets
 * @typedef {{nodes: number[], edges: Edge[], product: number}} Path from its lowest node to its
 *   highest; `product` is that of the shares
 * @typedef {{nodes: Set<number>, edges: Edge[], path: Path | null}} Shown `path` is that between the
 *   two selected nodes
 */
import { decodeOnce } from "../../lib/arrays.js";

/** The traits that a view draws; a change of any of them asks for a new frame. */
export const TRAITS = [
  "title", "unit", "roots", "status", "mode", "threshold", "kinds_shown", "channels_shown", "word",
  "selected", "other", "cut_edges", "_tokens", "_nodes", "_edges", "_numbers",
];
/** As they travel: places in this list. */
const CHANNELS = ["", "q", "k", "v"];

/** @type {WeakMap<EncodedEdges, Graph>} */
const graphs = new WeakMap();

/**
 * @param {string[]} tokens
 * @param {Node[]} nodes
 * @param {EncodedEdges} encoded
 * @returns {Graph}
 */
function graphOf(tokens, nodes, encoded) {
  const known = graphs.get(encoded);
  if (known && known.nodes === nodes && known.tokens === tokens) return known;
  const [source, target, weight, share, code] = [encoded.source, encoded.target, encoded.weight, encoded.share, encoded.channel]
    .map((part) => decodeOnce(part).values);
  const edges = Array.from(weight, (value, index) => {
    const channel = CHANNELS[code[index]];
    const id = `${nodes[source[index]].id} → ${nodes[target[index]].id}${channel && ` ${channel}`}`;
    return { index, id, source: source[index], target: target[index], weight: value, share: share[index], channel };
  });
  /** @type {Edge[][]} */
  const into = nodes.map(() => []);
  /** @type {Edge[][]} */
  const out = nodes.map(() => []);
  for (const edge of [...edges].sort((a, b) => b.share - a.share || a.index - b.index)) {
    into[edge.target].push(edge);
    out[edge.source].push(edge);
  }
  const graph = {
    tokens, nodes, edges, into, out,
    nodeIndex: new Map(nodes.map((node, i) => [node.id, i])),
    edgeIndex: new Map(edges.map((edge) => [edge.id, edge.index])),
  };
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
    unit: model.get("unit"),
    roots: model.get("roots"),
    status: model.get("status"),
    mode: model.get("mode"),
    threshold: model.get("threshold"),
    kinds: new Set(model.get("kinds_shown")),
    channels: new Set(model.get("channels_shown")),
    word: model.get("word"),
    selected: model.get("selected"),
    other: model.get("other"),
    cuts: new Set(model.get("cut_edges")),
    graph: graphOf(model.get("_tokens"), model.get("_nodes"), model.get("_edges")),
    numbers: model.get("_numbers"),
  };
}

/**
 * What a node contributes, the share of the flow into the roots that passes it, and the share of what it
 * receives that the graph leaves out; NaN where not known.
 * @param {State} state
 * @param {number} index
 */
export function numbersOf({ numbers }, index) {
  const [score, relevance, rest] = [numbers.scores, numbers.relevance, numbers.rest].map((array) => decodeOnce(array).values[index]);
  return { score, relevance, rest };
}

/** How high a node lies: an edge always goes to a greater one. @param {Node} node */
export const heightOf = ({ layer, row }) => 4 * layer + row;

/** Whether a head, neuron or MLP is drawn; the frame of states always is. @param {State} state @param {Node} node */
const wanted = ({ kinds }, { kind }) => kind === "embed" || kind === "state" || kinds.has(kind);

/**
 * What is drawn: the edges that reach the threshold between nodes of the kinds wanted, and of these what
 * leads to a root, or every node where there is none. What is selected or cut, and the path between two
 * selected nodes, is never lost.
 * @param {State} state
 * @returns {Shown}
 */
export function shownPart(state) {
  const { graph, threshold, channels, cuts, roots } = state;
  // What travelled in single precision may fall short of its own number by a hair.
  const strong = graph.edges.filter((edge) => edge.share >= threshold - 1e-6
    && (edge.channel === "" || channels.has(edge.channel))
    && wanted(state, graph.nodes[edge.source]) && wanted(state, graph.nodes[edge.target]));
  const nodes = leading(state, strong, roots.flatMap((id) => graph.nodeIndex.get(id) ?? []));
  const ends = [state.selected, state.other].map((id) => graph.nodeIndex.get(id));
  const path = ends[0] === undefined || ends[1] === undefined ? null : strongestPath(graph, ends[1], ends[0], cuts);
  const kept = [...cuts].map((id) => graph.edges[graph.edgeIndex.get(id) ?? -1]).filter((edge) => edge !== undefined);
  for (const index of ends) if (index !== undefined) nodes.add(index);
  for (const edge of [...(path?.edges ?? []), ...kept]) nodes.add(edge.source).add(edge.target);
  const edges = new Set(strong.filter((edge) => nodes.has(edge.source) && nodes.has(edge.target)));
  for (const edge of [...(path?.edges ?? []), ...kept]) edges.add(edge);
  return { nodes, edges: [...edges].sort((a, b) => a.share - b.share || a.index - b.index), path };
}

/**
 * @param {State} state
 * @param {Edge[]} edges
 * @param {number[]} roots
 * @returns {Set<number>}
 */
function leading(state, edges, roots) {
  const { nodes } = state.graph;
  if (roots.length === 0) return new Set(nodes.flatMap((node, i) => (wanted(state, node) ? [i] : [])));
  const found = new Set(roots);
  // From the top down, so that each node's edges come after those it leads to.
  const order = [...edges].sort((a, b) => heightOf(nodes[b.target]) - heightOf(nodes[a.target]));
  for (const edge of order) if (found.has(edge.target)) found.add(edge.source);
  return found;
}

/** @type {WeakMap<Graph, Edge[]>} */
const upwards = new WeakMap();

/**
 * The path between two nodes with the greatest product of shares, whichever of them is lower; null where
 * none of the edges that are not cut lead from one to the other.
 * @param {Graph} graph
 * @param {number} a
 * @param {number} b
 * @param {Set<string>} cuts
 * @returns {Path | null}
 */
export function strongestPath(graph, a, b, cuts) {
  const [from, to] = heightOf(graph.nodes[a]) <= heightOf(graph.nodes[b]) ? [a, b] : [b, a];
  if (from === to) return null;
  const order = upwards.get(graph)
    ?? [...graph.edges].sort((x, y) => heightOf(graph.nodes[x.source]) - heightOf(graph.nodes[y.source]) || x.index - y.index);
  upwards.set(graph, order);
  /** @type {Map<number, {product: number, by: Edge | null}>} */
  const best = new Map([[from, { product: 1, by: null }]]);
  for (const edge of order) {
    const start = best.get(edge.source);
    if (!start || cuts.has(edge.id)) continue;
    const product = start.product * edge.share;
    const known = best.get(edge.target);
    if (product > 0 && (!known || product > known.product)) best.set(edge.target, { product, by: edge });
  }
  const end = best.get(to);
  if (!end) return null;
  /** @type {Edge[]} */
  const edges = [];
  for (let at = end; at.by; at = /** @type {{product: number, by: Edge | null}} */ (best.get(at.by.source))) edges.unshift(at.by);
  return { nodes: [from, ...edges.map((edge) => edge.target)], edges, product: end.product };
}

/**
 * The nodes that are drawn and one of whose words contains the text, whatever its case.
 * @param {State} state
 * @param {Shown} shown
 * @returns {Set<number> | null} null where no text is given
 */
export function matching({ graph, word }, shown) {
  if (word.trim() === "") return null;
  return new Set([...shown.nodes].filter((i) => graph.nodes[i].words.some((each) => hasText(each, word))));
}

/** @param {string} word @param {string} text */
export const hasText = (word, text) => word.toLowerCase().includes(text.trim().toLowerCase());

/**
 * The selection after a click: the node clicked before becomes the other end. With shift the other end
 * itself is chosen.
 * @param {State} state
 * @param {string} id "" for a click beside every node
 * @param {boolean} shift
 * @returns {{selected?: string, other?: string}}
 */
export function chosen({ selected, other }, id, shift) {
  if (id === "") return { selected: "", other: "" };
  if (shift && selected) return { other: id === selected ? "" : id };
  return id === selected ? { selected, other } : { selected: id, other: selected };
}
