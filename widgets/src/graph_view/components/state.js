/**
 * What the graph shows, read from the model's traits, and which of its edges are drawn.
 *
 * @typedef {import("../../lib/arrays.js").EncodedArray} EncodedArray
 * @typedef {"embed" | "head" | "mlp" | "logits"} Kind
 * @typedef {{id: string, label: string, layer: number, kind: Kind, score: number | null,
 *   note: string}} Node
 * @typedef {{source: EncodedArray, target: EncodedArray, weight: EncodedArray,
 *   channel: EncodedArray}} EncodedEdges
 * @typedef {{index: number, id: string, source: number, target: number, channel: string,
 *   weight: number, rank: number}} Edge `rank` counts from 1 by the size of the weight
 * @typedef {{nodes: Node[], edges: EncodedEdges, nodeIndex: Map<string, number>,
 *   edgeIndex: Map<number, number>, order: number[], rank: Uint32Array, most: number,
 *   hasChannels: boolean}} Graph
 * @typedef {{title: string, unit: string, status: string, graph: Graph, nEdgesShown: number,
 *   mode: string, selected: string, cutNodes: Set<string>, cutEdges: Set<string>,
 *   inCircuitNodes: Set<string> | null, inCircuitEdges: Set<string> | null}} State
 * @typedef {{selected: string, cut_nodes: string[], cut_edges: string[], n_edges_shown: number,
 *   mode: string}} Choice the traits that a view sets
 */
import { decodeOnce } from "../../lib/arrays.js";
import { toggled } from "../parts.js";

/** The traits that a view draws; a change of any of them asks for a new frame. */
export const TRAITS = [
  "title", "unit", "status", "n_edges_shown", "mode", "selected", "cut_nodes", "cut_edges",
  "in_circuit_nodes", "in_circuit_edges", "_nodes", "_edges",
];
export const CHANNELS = ["", "q", "k", "v"];
/** More lines than this are no picture. */
export const MOST_EDGES = 2000;

/**
 * One number for an edge: the names of half a million edges are not worth writing out.
 * @param {number} nNodes
 * @param {number} source
 * @param {number} target
 * @param {number} channel
 */
const edgeKey = (nNodes, source, target, channel) => (source * nNodes + target) * CHANNELS.length + channel;

/** @type {WeakMap<EncodedEdges, Graph>} */
const graphs = new WeakMap();

/**
 * @param {Node[]} nodes
 * @param {EncodedEdges} edges
 * @returns {Graph}
 */
function graphOf(nodes, edges) {
  const known = graphs.get(edges);
  if (known && known.nodes === nodes) return known;
  const weights = decodeOnce(edges.weight).values;
  // Equal weights keep their order, so that the picture is the same on every run.
  const order = Array.from(weights, (_, i) => i).sort((a, b) => Math.abs(weights[b]) - Math.abs(weights[a]) || a - b);
  const rank = new Uint32Array(order.length);
  order.forEach((edge, place) => (rank[edge] = place + 1));
  const [source, target, channel] = [edges.source, edges.target, edges.channel].map((part) => decodeOnce(part).values);
  const edgeIndex = new Map(order.map((edge) => [edgeKey(nodes.length, source[edge], target[edge], channel[edge]), edge]));
  const graph = {
    nodes, edges, order, rank, edgeIndex,
    nodeIndex: new Map(nodes.map((node, i) => [node.id, i])),
    hasChannels: channel.some((code) => code > 0),
    most: order.length > 0 ? Math.abs(weights[order[0]]) : 0,
  };
  graphs.set(edges, graph);
  return graph;
}

/**
 * @param {{get: (name: string) => any}} model
 * @returns {State}
 */
export function readState(model) {
  const memberNodes = model.get("in_circuit_nodes");
  const memberEdges = model.get("in_circuit_edges");
  return {
    title: model.get("title"),
    unit: model.get("unit"),
    status: model.get("status"),
    graph: graphOf(model.get("_nodes"), model.get("_edges")),
    nEdgesShown: model.get("n_edges_shown"),
    mode: model.get("mode"),
    selected: model.get("selected"),
    cutNodes: new Set(model.get("cut_nodes")),
    cutEdges: new Set(model.get("cut_edges")),
    inCircuitNodes: memberNodes && new Set(memberNodes),
    inCircuitEdges: memberEdges && new Set(memberEdges),
  };
}

/** @param {Graph} graph */
export const nEdges = (graph) => graph.order.length;

/**
 * @param {Graph} graph
 * @param {number} index
 * @returns {Edge}
 */
export function edgeAt(graph, index) {
  const source = decodeOnce(graph.edges.source).values[index];
  const target = decodeOnce(graph.edges.target).values[index];
  const channel = CHANNELS[decodeOnce(graph.edges.channel).values[index]];
  const ending = channel ? `.${channel}` : "";
  return {
    index, source, target, channel,
    id: `${graph.nodes[source].id}→${graph.nodes[target].id}${ending}`,
    weight: decodeOnce(graph.edges.weight).values[index],
    rank: graph.rank[index],
  };
}

/**
 * Number of the edge with an id, -1 where the graph has none.
 * @param {Graph} graph
 * @param {string} id
 */
export function findEdge(graph, id) {
  const arrow = id.indexOf("→");
  if (arrow < 0) return -1;
  const source = graph.nodeIndex.get(id.slice(0, arrow));
  let end = id.slice(arrow + 1);
  let channel = "";
  if (!graph.nodeIndex.has(end) && /\.[qkv]$/.test(end)) [end, channel] = [end.slice(0, -2), end.slice(-1)];
  const target = graph.nodeIndex.get(end);
  if (source === undefined || target === undefined) return -1;
  return graph.edgeIndex.get(edgeKey(graph.nodes.length, source, target, CHANNELS.indexOf(channel))) ?? -1;
}

/**
 * The edges that are drawn, the strongest first: as many as the user asked for, a circuit's members
 * before all others; and, however weak, those that are cut or selected, which would else be lost.
 * @param {State} state
 * @returns {Edge[]}
 */
export function shownEdges(state) {
  const { graph, inCircuitEdges, nEdgesShown } = state;
  const room = Math.min(nEdgesShown, MOST_EDGES);
  /** @type {Set<number>} */
  const shown = new Set();
  for (const id of inCircuitEdges ?? []) {
    const index = findEdge(graph, id);
    if (index >= 0) shown.add(index);
  }
  const members = [...shown].sort((a, b) => graph.rank[a] - graph.rank[b]);
  shown.clear();
  for (const index of members.slice(0, room)) shown.add(index);
  for (const index of graph.order) {
    if (shown.size >= room) break;
    shown.add(index);
  }
  for (const id of [...state.cutEdges, state.selected]) {
    const index = findEdge(graph, id);
    if (index >= 0) shown.add(index);
  }
  return [...shown].sort((a, b) => graph.rank[a] - graph.rank[b]).map((index) => edgeAt(graph, index));
}

/** Up to each count the slider moves by the step beside it. */
const STEPS = [[30, 1], [100, 5], [500, 25], [MOST_EDGES, 100]];

/**
 * The counts that the slider stops at: ever wider steps, so that a few edges can be chosen exactly
 * among thousands.
 * @param {number} total
 */
export function sliderStops(total) {
  const most = Math.min(total, MOST_EDGES);
  const stops = [];
  let count = 0;
  for (const [end, step] of STEPS) for (; count < Math.min(end, most); count += step) stops.push(count);
  return [...stops, most];
}

/**
 * The stop nearest to a count.
 * @param {number[]} stops
 * @param {number} count
 */
export function nearestStop(stops, count) {
  let best = 0;
  stops.forEach((stop, i) => {
    if (Math.abs(stop - count) < Math.abs(stops[best] - count)) best = i;
  });
  return best;
}

/**
 * What a cut or, of something cut, its restoration changes; null where nothing can be cut.
 * @param {State} state
 * @param {string} id of a node or an edge
 * @returns {Partial<Choice> | null}
 */
export function toggleCut(state, id) {
  const node = state.graph.nodes[state.graph.nodeIndex.get(id) ?? -1];
  // The logits write nothing: only the edges into them can be cut.
  if (node?.kind === "logits") return null;
  return node ? { cut_nodes: toggled(state.cutNodes, id) } : { cut_edges: toggled(state.cutEdges, id) };
}

/**
 * Whether a circuit has the edge; all edges belong where there is none.
 * @param {State} state
 * @param {Edge} edge
 */
export const isMember = (state, edge) => state.inCircuitEdges?.has(edge.id) ?? true;

/**
 * Whether the edge carries nothing of its source any more: cut itself, or from or to a cut node.
 * @param {State} state
 * @param {Edge} edge
 */
export function isIdle(state, edge) {
  const { nodes } = state.graph;
  return state.cutNodes.has(nodes[edge.source].id) || state.cutNodes.has(nodes[edge.target].id);
}
