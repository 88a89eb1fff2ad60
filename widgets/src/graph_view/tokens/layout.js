/**
 * Where nodes are: a column a token, layers upwards. A state is a bar across its column; what a layer
 * computes lies between bars, right of the strip that the residual stream goes up in, so that its line
 * is hidden by nothing. Below the heads is the room in which edges cross to other columns.
 *
 * @typedef {import("./state.js").Node} Node
 * @typedef {import("./state.js").Edge} Edge
 * @typedef {import("../../lib/curves.js").Route} Route
 * @typedef {import("../places.js").Place & {column: number, module: boolean}} Place
 * @typedef {{layer: number, top: number, bottom: number}} Band a layer's stripe
 * @typedef {{token: number, left: number, right: number, empty: boolean}} Column
 * @typedef {{lines: string[], y: number}} RowName what lies in a row
 * @typedef {{width: number, height: number, places: Map<number, Place>, rows: number[][],
 *   bands: Band[], names: RowName[], columns: Column[]}} Layout
 */
import { upright } from "../../lib/curves.js";
import { heightOf } from "./state.js";

export const STATE_HEIGHT = 22;
export const MODULE_HEIGHT = 36;
export const LAYER_STRIP = 62;
export const TOKEN_STRIP = 38;
/** Free width left of a column's modules, where the residual stream goes up. */
const STREAM = 22;
const MODULE_WIDTH = { least: 72, most: 112, scrolled: 82 };
const BESIDE = 12;
/** More modules than this in a cell stand in two lines. */
const MOST_BESIDE = 4;
const LINE_GAP = 12;
const COLUMN = { least: 74, empty: 34, gap: 12, spare: 70 };
const ABOVE = { state: 16, module: 15, layer: 20 };
/** Room below heads: more, the more edges cross in it. */
const CROSSING = { least: 34, most: 84, each: 2.5 };
const MARGIN = 12;
const TOP = 14;
const ROW_NAMES = ["heads", "mid", "neurons", "post"];

/**
 * @param {Node[]} nodes
 * @param {Edge[]} edges
 * @param {number} nTokens
 * @param {Set<number>} shown
 * @param {number} room width there is; a graph that needs more is wider
 * @returns {Layout}
 */
export function layOut(nodes, edges, nTokens, shown, room) {
  const whole = arrange(nodes, edges, nTokens, new Set(nodes.keys()), room);
  // A graph that fits keeps its places while the threshold moves; one that scrolls is packed.
  if (whole.width > room) return arrange(nodes, edges, nTokens, shown, room);
  const places = new Map([...whole.places].filter(([index]) => shown.has(index)));
  return { ...whole, places, rows: whole.rows.map((row) => row.filter((index) => shown.has(index))) };
}

/**
 * @param {Node[]} nodes
 * @param {Edge[]} edges
 * @param {number} nTokens
 * @param {Set<number>} shown
 * @param {number} room
 * @returns {Layout}
 */
function arrange(nodes, edges, nTokens, shown, room) {
  const drawn = [...shown].sort((a, b) => a - b);
  // In a parallel block neurons read what the heads read, and lie beside them.
  const serial = new Set(nodes.filter((node) => node.row === 1).map((node) => node.layer));
  const level = (/** @type {Node} */ node) => (node.row === 2 && !serial.has(node.layer) ? heightOf(node) - 2 : heightOf(node));
  const levels = [...new Set(drawn.map((index) => level(nodes[index])))].sort((a, b) => a - b);
  const rows = levels.map((each) => drawn.filter((index) => level(nodes[index]) === each));
  const rowOf = new Map(rows.flatMap((row, number) => row.map((index) => [index, number])));

  const cells = rows.map((row) => {
    const cell = Array.from({ length: nTokens }, () => /** @type {number[]} */ ([]));
    for (const index of row) cell[nodes[index].column].push(index);
    return cell;
  });
  const modules = Array.from({ length: nTokens }, (_, column) => Math.max(0, ...cells.map((row) => across(row[column].filter((index) => isModule(nodes[index])).length))));
  const empty = Array.from({ length: nTokens }, (_, column) => cells.every((row) => row[column].length === 0));
  const { columns, moduleWidth, width } = acrossOf(modules, empty, room);
  const lines = cells.map((row) => Math.max(...row.map((cell) => (cell.length > MOST_BESIDE && isModule(nodes[cell[0]]) ? 2 : 1))));
  const { middles, height, bands } = upwardsOf(nodes, edges, rows, rowOf, lines);

  /** @type {Map<number, Place>} */
  const places = new Map();
  cells.forEach((row, number) => row.forEach((cell, column) => {
    const { left, right } = columns[column];
    const pitch = moduleWidth + BESIDE;
    // In the middle of the room that the column has, so that few modules in a wide one do not stick to its side.
    const first = left + STREAM + Math.max(0, (right - left - STREAM - across(cell.length) * pitch + BESIDE) / 2);
    const split = cell.length > MOST_BESIDE;
    cell.forEach((index, i) => {
      const module = isModule(nodes[index]);
      // In two lines those of the upper one stand over the gaps of the lower one, through which their edges go.
      const x = module ? first + (split ? i / 2 : i) * pitch + moduleWidth / 2 : (left + right) / 2;
      const y = middles[number] + (module && split ? (i % 2 === 0 ? 1 : -1) * (MODULE_HEIGHT + LINE_GAP) / 2 : 0);
      places.set(index, {
        index, x, y, width: module ? moduleWidth : right - left, height: module ? MODULE_HEIGHT : STATE_HEIGHT, row: number, column, module,
      });
    });
  }));
  const x = (/** @type {number} */ index) => /** @type {Place} */ (places.get(index)).x;
  return {
    width, height, places, columns, bands, rows: rows.map((row) => [...row].sort((a, b) => x(a) - x(b))),
    names: rows.map((row, number) => {
      const kinds = [...new Set(row.filter((index) => nodes[index].kind !== "embed").map((index) => nodes[index].row))].sort();
      return { lines: kinds.map((kind) => ROW_NAMES[kind]), y: middles[number] };
    }),
  };
}

/** How many modules' widths a cell takes. @param {number} count */
const across = (count) => (count > MOST_BESIDE ? count / 2 + 0.5 : count);

/** @param {Node} node */
const isModule = ({ kind }) => kind !== "embed" && kind !== "state";

/**
 * The columns: as wide as the modules side by side in them need, wider where there is room.
 * @param {number[]} modules the most of each column, in widths
 * @param {boolean[]} empty
 * @param {number} room
 */
function acrossOf(modules, empty, room) {
  const needs = (/** @type {number} */ each) => modules.map((count, i) =>
    (empty[i] ? COLUMN.empty : Math.max(COLUMN.least, count && STREAM + count * (each + BESIDE) - BESIDE)));
  const total = (/** @type {number[]} */ widths) => LAYER_STRIP + MARGIN + widths.reduce((sum, each) => sum + each + COLUMN.gap, -COLUMN.gap);
  let moduleWidth = MODULE_WIDTH.most;
  while (moduleWidth > MODULE_WIDTH.least && total(needs(moduleWidth)) > room) moduleWidth -= 2;
  // Where it does not fit anyway its words should be read.
  if (total(needs(moduleWidth)) > room) moduleWidth = MODULE_WIDTH.scrolled;
  const widths = needs(moduleWidth);
  const spare = Math.min(COLUMN.spare, Math.max(0, room - total(widths)) / widths.length);
  let left = LAYER_STRIP;
  const columns = widths.map((each, token) => {
    const right = left + each + spare;
    const column = { token, left, right, empty: empty[token] };
    left = right + COLUMN.gap;
    return column;
  });
  return { columns, moduleWidth, width: Math.max(room, left - COLUMN.gap + MARGIN) };
}

/**
 * The middles of the rows, the height of all, and the layers' stripes.
 * @param {Node[]} nodes
 * @param {Edge[]} edges
 * @param {number[][]} rows
 * @param {Map<number, number>} rowOf
 * @param {number[]} lines how many lines of modules each row has
 */
function upwardsOf(nodes, edges, rows, rowOf, lines) {
  const crossing = rows.map(() => 0);
  for (const { source, target } of edges) {
    const [from, to] = [rowOf.get(source), rowOf.get(target)];
    if (from !== undefined && to !== undefined && nodes[source].column !== nodes[target].column) crossing[to] += 1;
  }
  // From the bottom up, as depths below 0; turned round when the height is known.
  let y = TOKEN_STRIP + MARGIN / 2;
  const heights = rows.map((row, number) => {
    const module = isModule(nodes[row[0]]);
    const below = number === 0 ? 0
      : crossing[number] > 0 ? Math.min(CROSSING.most, CROSSING.least + CROSSING.each * crossing[number])
        : nodes[row[0]].layer !== nodes[rows[number - 1][0]].layer ? ABOVE.layer
          : module ? ABOVE.state : ABOVE.module;
    const size = module ? lines[number] * (MODULE_HEIGHT + LINE_GAP) - LINE_GAP : STATE_HEIGHT;
    y += below + size;
    return { layer: nodes[row[0]].layer, middle: y - size / 2, bottom: y - size - below, top: y };
  });
  const height = y + TOP;
  /** @type {Map<number, Band>} */
  const bands = new Map();
  for (const { layer, bottom, top } of heights) {
    const known = bands.get(layer);
    // A stripe begins just above the row below it: the crossing edges are its own.
    bands.set(layer, { layer, top: height - top - 4, bottom: known ? known.bottom : height - bottom - 4 });
  }
  return { middles: heights.map(({ middle }) => height - middle), height, bands: [...bands.values()] };
}

/** How far an edge goes upright at least. */
const BEND = 12;

/**
 * The line of an edge. In a column it goes straight up, the residual stream's own in the strip beside the
 * modules; to another column it leaves the bar of its state at the near end.
 * @param {Layout} layout
 * @param {Edge} edge
 * @returns {Route}
 */
export function routeOf({ places }, { source, target, channel }) {
  const [from, to] = [source, target].map((index) => /** @type {Place} */ (places.get(index)));
  const [y0, y1] = [from.y - from.height / 2, to.y + to.height / 2];
  if (!from.module && !to.module) {
    const x = (/** @type {Place} */ place) => place.x - place.width / 2 + STREAM / 2;
    return upright({ x: x(from), y: y0 }, { x: x(to), y: y1 }, BEND);
  }
  const port = to.module ? to.x + PORTS[channel] * to.width : within(to, from.x);
  const start = from.module ? from.x : from.column === to.column ? within(from, port) : from.x + from.width / 2 - 8;
  return upright({ x: start, y: y0 }, { x: port, y: y1 }, BEND);
}

/** Where edges enter a box: query, key and value side by side. @type {Record<string, number>} */
const PORTS = { "": 0, q: -0.3, k: 0, v: 0.3 };

/**
 * @param {Place} bar
 * @param {number} x
 */
const within = (bar, x) => Math.min(bar.x + bar.width / 2 - 6, Math.max(bar.x - bar.width / 2 + 6, x));
