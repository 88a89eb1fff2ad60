/**
 * The graph's numbers in words.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").Node} Node
 * @typedef {import("./state.js").Edge} Edge
 * @typedef {import("./state.js").Shown} Shown
 * @typedef {import("./state.js").Path} Path
 */
import { formatNumber, formatRank } from "../../lib/numbers.js";
import { visibleToken } from "../../lib/tokens.js";
import { numbersOf } from "./state.js";

export const CHANNEL_NAMES = /** @type {Record<string, string>} */ ({ v: "value", k: "key", q: "query" });
/** Of a long path the ends are told. */
const LONGEST_PATH = 9;

/** A number with its sign: "+0.310". @param {number} value */
export const signed = (value) => (value > 0 ? "+" : "") + formatNumber(value, 3);

/** @param {State} state @param {number} value */
export const withUnit = ({ unit }, value) => signed(value) + (unit ? ` ${unit}` : "");

/** Shares are told as hundredths; a small one is not written as none. @param {number} share */
export const percent = (share) => `${formatNumber(100 * share, share > 0 && share < 0.0995 ? 1 : 0)} %`;

/** A word between quotation marks, its spaces made visible. @param {string} word */
export const quoted = (word) => `“${visibleToken(word)}”`;

/** The token of a column: "“·Mary” (1)". @param {State} state @param {number} column */
export const place = ({ graph }, column) => `${quoted(graph.tokens[column])} (${column})`;

/** What a box is called beside its layer: "H1", "77"; a state's name is its row's. @param {Node} node */
export function shortName({ id, kind }) {
  const found = kind === "head" ? /^L\d+(H\d+)/.exec(id) : kind === "neuron" ? /\/(\w+)@/.exec(id) : null;
  if (found) return found[1];
  return kind === "mlp" ? "MLP" : id.replace(/@\d+$/, "");
}

/**
 * What a node is: "head 1 of layer 2, writing at “·to” (5)".
 * @param {State} state
 * @param {Node} node
 */
export function kindText(state, node) {
  const name = shortName(node);
  const what = {
    embed: "embedding",
    state: `residual stream after ${node.row === 1 ? "the heads" : "the MLP"} of layer ${node.layer}`,
    head: `head ${name.replace(/^H/, "")} of layer ${node.layer}, writing`,
    neuron: `neuron ${name} of layer ${node.layer}`,
    mlp: `the other neurons of layer ${node.layer}`,
  }[node.kind];
  return `${what} at ${place(state, node.column)}`;
}

/** The words of a node in a line. @param {Node} node @param {number} [most] */
export const wordsText = ({ words }, most = words.length) =>
  words.slice(0, most).map(quoted).join(", ") + (words.length > most ? ", …" : "");

/** What an edge reads: "embed@3 → value of L0H1.z@5". @param {State} state @param {Edge} edge */
export function edgeName({ graph }, { source, target, channel }) {
  const read = channel ? `${CHANNEL_NAMES[channel]} of ` : "";
  return `${graph.nodes[source].id} → ${read}${graph.nodes[target].id}`;
}

/**
 * The line for an edge.
 * @param {State} state
 * @param {Edge} edge
 */
export function edgeText(state, edge) {
  const [from, to] = [edge.source, edge.target].map((index) => state.graph.nodes[index]);
  const heads = [from, to].map((node) => (node.words.length > 0 ? quoted(node.words[0]) : "no words"));
  const cut = state.cuts.has(edge.id) ? "; cut" : "";
  return `${edgeName(state, edge)} (${heads.join(" → ")}): weight ${withUnit(state, edge.weight)}; `
    + `${percent(edge.share)} of what ${to.id} receives${cut}`;
}

/**
 * Of what a node receives, what its drawn edges bring and what the graph leaves out; "" without edges.
 * @param {State} state
 * @param {Shown} shown
 * @param {number} index
 */
export function receivedText(state, shown, index) {
  if (state.graph.into[index].length === 0) return "";
  const drawn = shown.edges.filter((edge) => edge.target === index);
  const { rest } = numbersOf(state, index);
  const total = drawn.reduce((sum, edge) => sum + edge.share, 0);
  const edges = `${formatRank(drawn.length)} drawn edge${drawn.length === 1 ? " brings" : "s bring"} ${percent(total)} of what it receives`;
  return Number.isNaN(rest) ? edges : `${edges}, ${percent(rest)} comes from what the graph leaves out`;
}

/**
 * What a node contributes and how much passes it, as far as it is known.
 * @param {State} state
 * @param {number} index
 */
export function factTexts(state, index) {
  const { score, relevance } = numbersOf(state, index);
  return [
    ...(Number.isNaN(score) ? [] : [`contributes ${withUnit(state, score)}`]),
    ...(Number.isNaN(relevance) ? [] : [`${percent(relevance)} of the flow passes it`]),
  ];
}

/**
 * The line for a node.
 * @param {State} state
 * @param {Shown} shown
 * @param {number} index
 */
export function nodeText(state, shown, index) {
  const node = state.graph.nodes[index];
  const parts = [`${node.id}: ${kindText(state, node)}`];
  parts.push(node.words.length > 0 ? `words ${wordsText(node)}` : "no words", ...factTexts(state, index));
  const received = receivedText(state, shown, index);
  if (received) parts.push(received);
  for (const [name, edges, end] of /** @type {[string, Edge[], "source" | "target"][]} */ ([
    ["most from", state.graph.into[index], "source"], ["most to", state.graph.out[index], "target"],
  ])) {
    const [first] = edges;
    if (first) parts.push(`${name} ${state.graph.nodes[first[end]].id} (${signed(first.weight)}, ${percent(first.share)})`);
  }
  return parts.join("; ");
}

/**
 * The line for the path between the two selected nodes.
 * @param {State} state
 * @param {Path | null} path
 */
export function pathText(state, path) {
  const { graph } = state;
  if (!path) {
    return `No path of edges that are not cut leads from one of ${state.other} and ${state.selected} to the other.`;
  }
  const steps = path.edges.map((edge) => {
    const node = graph.nodes[edge.target];
    const channel = edge.channel ? `${CHANNEL_NAMES[edge.channel]} ` : "";
    return ` → ${node.id}${node.words.length > 0 ? ` ${quoted(node.words[0])}` : ""} (${channel}${percent(edge.share)})`;
  });
  if (steps.length > LONGEST_PATH) steps.splice(5, steps.length - LONGEST_PATH, " → …");
  const first = graph.nodes[path.nodes[0]];
  const start = `${first.id}${first.words.length > 0 ? ` ${quoted(first.words[0])}` : ""}`;
  return `Strongest path, ${percent(path.product)} as the product of its ${path.edges.length} shares: ${start}${steps.join("")}`;
}
