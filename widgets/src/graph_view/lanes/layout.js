/**
 * Where nodes are: layers upwards, three lanes side by side. In a layer the features of MLP and
 * attention lie one row below those of the residual stream after it, which they feed. In a row of a
 * lane each node is as near to those it is joined with as its neighbours let it be.
 *
 * @typedef {import("./state.js").Node} Node
 * @typedef {import("./state.js").Edge} Edge
 * @typedef {import("./state.js").Lane} Lane
 * @typedef {import("../places.js").Place} Place
 * @typedef {{layer: number, top: number, bottom: number}} Band a layer's stripe
 * @typedef {{lane: Lane, left: number, right: number}} Column a lane's strip
 * @typedef {{width: number, height: number, nodeWidth: number, nodeHeight: number, packed: boolean,
 *   places: Map<number, Place>, rows: number[][], bands: Band[], columns: Column[]}} Layout
 */
import { upright } from "../../lib/curves.js";
import { LANES } from "./state.js";

/** `scrolled` where a graph does not fit anyway: then its labels should be read. */
const NODE_WIDTH = { least: 78, most: 158, scrolled: 128 };
const NODE_HEIGHT = { look: 38, edit: 60 };
/** Free width beside a node. */
const BESIDE = 14;
/** Free height above a node: an expanding button stands there, and edges turn. */
const ABOVE = 46;
const LAYER_LABELS = 44;
const LANE_LABELS = 26;
const MARGIN = 12;
const LANE_GAP = 10;
const SWEEPS = 4;
/** How far an edge goes upright at least. */
const BEND = 18;

/**
 * @param {Node[]} nodes
 * @param {Edge[]} edges
 * @param {Set<number>} shown
 * @param {number} room width there is; a graph that needs more is wider
 * @param {string} mode
 * @returns {Layout}
 */
export function layOut(nodes, edges, shown, room, mode) {
  const all = new Set(nodes.keys());
  const whole = arrange(nodes, edges, all, room, mode);
  // A graph that fits keeps its places while the threshold moves; one that scrolls is packed.
  if (whole.width <= room || shown.size === all.size) return withOnly(whole, shown);
  return { ...arrange(nodes, edges, shown, room, mode), packed: true };
}

/**
 * @param {Layout} layout
 * @param {Set<number>} shown
 * @returns {Layout}
 */
function withOnly(layout, shown) {
  const places = new Map([...layout.places].filter(([index]) => shown.has(index)));
  return { ...layout, places, rows: layout.rows.map((row) => row.filter((index) => shown.has(index))) };
}

/**
 * @param {Node[]} nodes
 * @param {Edge[]} edges
 * @param {Set<number>} shown
 * @param {number} room
 * @param {string} mode
 * @returns {Layout}
 */
function arrange(nodes, edges, shown, room, mode) {
  const drawn = [...shown].sort((a, b) => a - b);
  const heights = [...new Set(drawn.map((index) => heightOf(nodes[index])))].sort((a, b) => a - b);
  const rows = heights.map((height) => drawn.filter((index) => heightOf(nodes[index]) === height));
  const rowOf = new Map(rows.flatMap((row, number) => row.map((index) => [index, number])));
  const lanes = LANES.filter((lane) => drawn.some((index) => nodes[index].lane === lane));
  const across = lanes.map((lane) => Math.max(...rows.map((row) => row.filter((index) => nodes[index].lane === lane).length)));
  const total = across.reduce((sum, count) => sum + count, 0);
  const free = room - LAYER_LABELS - MARGIN - (lanes.length - 1) * LANE_GAP;
  const each = Math.floor(free / Math.max(1, total)) - BESIDE;
  const nodeWidth = each < NODE_WIDTH.least ? NODE_WIDTH.scrolled : Math.min(each, NODE_WIDTH.most);
  const pitch = nodeWidth + BESIDE;
  const spare = Math.max(0, free - total * pitch) / Math.max(1, lanes.length);
  /** @type {Column[]} */
  const columns = [];
  let x = LAYER_LABELS;
  lanes.forEach((lane, i) => {
    const right = x + across[i] * pitch + spare;
    columns.push({ lane, left: x, right });
    x = right + LANE_GAP;
  });
  const width = Math.max(room, x - LANE_GAP + MARGIN);

  const nodeHeight = mode === "edit" ? NODE_HEIGHT.edit : NODE_HEIGHT.look;
  const height = LANE_LABELS + rows.length * (nodeHeight + ABOVE) + MARGIN + ABOVE / 2;
  const middle = (/** @type {number} */ row) => LANE_LABELS + (rows.length - row) * (nodeHeight + ABOVE) - nodeHeight / 2;

  /** @type {Map<number, number>} */
  const xs = new Map();
  const strips = rows.flatMap((row) => columns.map((column) => ({
    column, members: row.filter((index) => nodes[index].lane === column.lane),
  }))).filter(({ members }) => members.length > 0);
  for (const { column, members } of strips) {
    members.forEach((index, i) => xs.set(index, (column.left + column.right) / 2 + (i - (members.length - 1) / 2) * pitch));
  }
  const joined = neighbours(edges, rowOf);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const upwards = sweep % 2 === 0;
    for (const { column, members } of upwards ? strips : [...strips].reverse()) {
      // Upwards a node goes to its parents, downwards to its children.
      const wanted = new Map(members.map((index) => [index, wish(index, joined[upwards ? "below" : "above"], xs)]));
      const ordered = [...members].sort((a, b) => at(wanted, a) - at(wanted, b) || at(xs, a) - at(xs, b) || a - b);
      const spread = spaced(ordered.map((index) => at(wanted, index)), pitch, column.left + pitch / 2, column.right - pitch / 2);
      ordered.forEach((index, i) => xs.set(index, spread[i]));
    }
  }
  const places = new Map(drawn.map((index) => {
    const row = at(rowOf, index);
    return [index, { index, x: at(xs, index), y: middle(row), width: nodeWidth, height: nodeHeight, row }];
  }));
  return {
    width, height, nodeWidth, nodeHeight, packed: false, places, columns, bands: bandsOf(nodes, rows, middle, nodeHeight),
    rows: rows.map((row) => [...row].sort((a, b) => at(xs, a) - at(xs, b))),
  };
}

/** @param {Node} node */
const heightOf = ({ layer, lane }) => 2 * layer + (lane === "resid" ? 1 : 0);

/**
 * @param {Edge[]} edges
 * @param {Map<number, number>} rowOf
 */
function neighbours(edges, rowOf) {
  /** @type {Record<"above" | "below", Map<number, {other: number, weight: number}[]>>} */
  const found = { above: new Map(), below: new Map() };
  for (const { source, target, weight } of edges) {
    if (!rowOf.has(source) || !rowOf.has(target)) continue;
    found.below.set(target, [...(found.below.get(target) ?? []), { other: source, weight }]);
    found.above.set(source, [...(found.above.get(source) ?? []), { other: target, weight }]);
  }
  return found;
}

/**
 * Where a node would like to be: at the mean of those it is joined with, each as heavy as its edge;
 * where there are none, at its own place.
 * @param {number} index
 * @param {Map<number, {other: number, weight: number}[]>} joined
 * @param {Map<number, number>} xs
 */
function wish(index, joined, xs) {
  let [sum, weights] = [0, 0];
  for (const { other, weight } of joined.get(index) ?? []) {
    const heavy = Math.max(weight, 0.01);
    sum += heavy * at(xs, other);
    weights += heavy;
  }
  return weights > 0 ? sum / weights : at(xs, index);
}

/**
 * The places nearest to those wanted, in the sense of least squares, that are at least a pitch apart
 * and inside the bounds; pools of violators are moved together.
 * @param {number[]} wanted in rising order
 * @param {number} pitch
 * @param {number} low
 * @param {number} high
 */
export function spaced(wanted, pitch, low, high) {
  /** @type {{sum: number, count: number}[]} */
  const pools = [];
  wanted.forEach((x, i) => {
    pools.push({ sum: x - i * pitch, count: 1 });
    while (pools.length > 1) {
      const [a, b] = pools.slice(-2);
      if (a.sum / a.count <= b.sum / b.count) break;
      pools.splice(-2, 2, { sum: a.sum + b.sum, count: a.count + b.count });
    }
  });
  const last = high - (wanted.length - 1) * pitch;
  return pools
    .flatMap(({ sum, count }) => Array.from({ length: count }, () => clamp(sum / count, low, Math.max(low, last))))
    .map((x, i) => x + i * pitch);
}

/**
 * @param {Node[]} nodes
 * @param {number[][]} rows
 * @param {(row: number) => number} middle
 * @param {number} nodeHeight
 */
function bandsOf(nodes, rows, middle, nodeHeight) {
  /** @type {Map<number, Band>} */
  const bands = new Map();
  rows.forEach((row, number) => {
    const { layer } = nodes[row[0]];
    const [top, bottom] = [middle(number) - nodeHeight / 2 - ABOVE / 2, middle(number) + nodeHeight / 2 + ABOVE / 2];
    const known = bands.get(layer);
    bands.set(layer, { layer, top, bottom: known ? known.bottom : bottom });
  });
  return [...bands.values()];
}

/**
 * The line of an edge: from the top of its source to the bottom of its target, upright at both ends.
 * @param {Layout} layout
 * @param {{source: number, target: number}} edge
 */
export function routeOf({ places, nodeHeight }, { source, target }) {
  const [from, to] = [at(places, source), at(places, target)];
  return upright({ x: from.x, y: from.y - nodeHeight / 2 }, { x: to.x, y: to.y + nodeHeight / 2 }, BEND);
}

/**
 * @template K, V
 * @param {Map<K, V>} map
 * @param {K} key one that is there
 */
const at = (map, key) => /** @type {V} */ (map.get(key));

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
