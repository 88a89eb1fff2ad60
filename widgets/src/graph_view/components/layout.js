/**
 * Where nodes are: layers upwards, each with its heads in a row and, above their right end, its MLP,
 * which reads what they write. The embedding and the logits are bars across the whole width, so that
 * an edge from or to them can go straight up.
 *
 * @typedef {import("./state.js").Node} Node
 * @typedef {import("../places.js").Place & {ports: boolean, bar: boolean}} Place `ports` says that q, k and
 *   v hang below it; a bar is as wide as the graph
 * @typedef {{label: string, top: number, bottom: number, y: number}} Band a layer's stripe
 * @typedef {{width: number, height: number, left: number, right: number,
 *   places: Map<number, Place>, rows: number[][], bands: Band[], lanes: number[],
 *   laneWidth: number}} Layout `lanes` are the middles of the gaps
 *   between columns, where an edge can pass a layer
 */

import { boxOf } from "../places.js";

export const NODE_HEIGHT = 22;
/** The little boxes of q, k and v below a head. */
export const PORT_HEIGHT = 12;
const LAYER_LABELS = 40;
const MARGIN = 14;
const PITCH = { least: 50, most: 108 };
/** Free height above heads and above MLPs. */
const GAP = { least: 15, most: 30 };
const USUAL_HEIGHT = 640;

/**
 * @param {Node[]} nodes
 * @param {number} room width there is; a graph that needs more is wider
 * @param {boolean} hasChannels whether heads have ports
 * @returns {Layout}
 */
export function layOut(nodes, room, hasChannels) {
  const layers = [...new Set(nodes.filter(between).map((node) => node.layer))].sort((a, b) => a - b);
  const heads = mostInLayer(nodes, "head");
  const columns = Math.max(1, heads + mostInLayer(nodes, "mlp"));
  const pitch = clamp((room - LAYER_LABELS - MARGIN) / columns, PITCH.least, PITCH.most);
  const laneWidth = Math.max(16, pitch * 0.24);
  const across = columns * pitch;
  const width = Math.max(room, LAYER_LABELS + across + MARGIN);
  const left = LAYER_LABELS + (width - LAYER_LABELS - MARGIN - across) / 2;
  const right = left + across;
  const solid = 2 * NODE_HEIGHT + PORT_HEIGHT;
  const gap = clamp((USUAL_HEIGHT / (layers.length + 1) - solid) / 2, GAP.least, GAP.most);
  const rowHeight = solid + 2 * gap;
  const logits = MARGIN + NODE_HEIGHT / 2;
  const height = 2 * MARGIN + 2 * NODE_HEIGHT + layers.length * rowHeight + gap + 8;

  /** Middle of the heads of a layer. @param {number} row */
  const headY = (row) => logits + NODE_HEIGHT / 2 + (layers.length - row) * rowHeight - PORT_HEIGHT - NODE_HEIGHT / 2 + 8;
  /** @type {Map<string, number>} */
  const filled = new Map();
  const placed = nodes.map((node, index) => {
    if (!between(node)) {
      const alike = nodes.filter((other) => other.kind === node.kind);
      const share = across / alike.length;
      const row = node.kind === "embed" ? 0 : layers.length + 1;
      const barWidth = share - laneWidth;
      const x = left + (alike.indexOf(node) + 0.5) * share;
      const y = node.kind === "embed" ? height - MARGIN - NODE_HEIGHT / 2 : logits;
      return { index, x, y, width: barWidth, height: NODE_HEIGHT, row, below: 0, ports: false, bar: true };
    }
    const row = layers.indexOf(node.layer);
    const key = `${node.kind} ${node.layer}`;
    const column = filled.get(key) ?? 0;
    filled.set(key, column + 1);
    const head = node.kind === "head";
    const ports = head && hasChannels;
    const x = left + ((head ? 0 : heads) + column + 0.5) * pitch;
    const y = headY(row) - (head ? 0 : NODE_HEIGHT + gap);
    return { index, x, y, width: pitch - laneWidth, height: NODE_HEIGHT, row: row + 1, below: ports ? PORT_HEIGHT : 0, ports, bar: false };
  });
  const bands = layers.map((layer, row) => {
    const bottom = headY(row) + NODE_HEIGHT / 2 + PORT_HEIGHT + gap / 2;
    return { label: `L${layer}`, bottom, top: bottom - rowHeight, y: headY(row) };
  });
  const lanes = Array.from({ length: columns + 1 }, (_, i) => left + i * pitch);
  const places = new Map(placed.map((place) => [place.index, place]));
  const rows = Array.from({ length: layers.length + 2 }, (_, row) =>
    placed.filter((place) => place.row === row).sort((a, b) => a.x - b.x).map(({ index }) => index));
  return { width, height, left, right, places, rows, bands, lanes, laneWidth };
}

/** @param {Node} node */
const between = (node) => node.kind === "head" || node.kind === "mlp";

/**
 * @param {Node[]} nodes
 * @param {string} kind
 */
function mostInLayer(nodes, kind) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const node of nodes) if (node.kind === kind) counts.set(node.layer, (counts.get(node.layer) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}

/**
 * Where a channel enters a node; a bar can be entered anywhere, and `x` is its middle.
 * @param {Place} place
 * @param {string} channel
 */
export function entry(place, channel) {
  const box = boxOf(place);
  const third = place.width / 3;
  const shift = place.ports && channel ? (["q", "k", "v"].indexOf(channel) - 1) * third : 0;
  return { x: place.x + shift, y: box.bottom };
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
