/**
 * The curves of edges. An edge that can go straight does; one that would run behind another node,
 * where it would seem to end, goes round it through a lane between two columns.
 *
 * @typedef {import("./layout.js").Layout} Layout
 * @typedef {import("../places.js").Box} Box
 * @typedef {import("./layout.js").Place} Place
 * @typedef {import("./state.js").Edge} Edge
 * @typedef {import("../../lib/curves.js").Point} Point
 * @typedef {import("../../lib/curves.js").Route} Route
 */
import { cubic, cubicText, route, text, upright } from "../../lib/curves.js";
import { boxOf } from "../places.js";
import { entry } from "./layout.js";

const CLEARANCE = 2;
/** How far an edge goes upright at least. */
const BEND = 16;
/** Heights in which an edge turns from a node into its lane, the roundest first. */
const TURNS = [44, 26, 14];
const LANE_STEP = 2.6;

/** Routes found so far, by the number of the edge. @type {WeakMap<Layout, Map<number, Route>>} */
const known = new WeakMap();

/**
 * The route of each edge, by its number. It depends on no other edge: moving the slider never
 * moves a line that stays.
 * @param {Layout} layout
 * @param {Edge[]} edges
 * @returns {Map<number, Route>}
 */
export function routeEdges(layout, edges) {
  const boxes = [...layout.places.values()].map(boxOf);
  const found = known.get(layout) ?? new Map();
  known.set(layout, found);
  return new Map(edges.map((edge) => {
    const route = found.get(edge.index) ?? routeEdge(layout, boxes, edge);
    found.set(edge.index, route);
    return [edge.index, route];
  }));
}

/**
 * @param {Layout} layout
 * @param {Box[]} boxes
 * @param {Edge} edge
 */
function routeEdge(layout, boxes, edge) {
  const [from, to] = [edge.source, edge.target].map((index) => /** @type {Place} */ (layout.places.get(index)));
  const end = entry(to, edge.channel);
  const top = from.y - from.height / 2;
  const obstacles = boxes.filter((box, i) => i !== edge.source && i !== edge.target && box.bottom > end.y && box.top < top);
  const x2 = to.bar ? within(to, from.x) : end.x;
  const direct = upright({ x: from.bar ? within(from, x2) : from.x, y: top }, { x: x2, y: end.y }, BEND);
  if (clear(direct.points, obstacles)) return direct;

  // Edges that share a lane lie beside one another as far as it is wide.
  const offsets = laneOffsets(layout.laneWidth);
  const offset = offsets[edge.rank % offsets.length];
  // The lane that goes least out of the way; of equals, the one nearer to the end that is a node.
  const near = from.bar ? end.x : from.x;
  const way = (/** @type {number} */ x) =>
    (from.bar ? 0 : Math.abs(x - from.x)) + (to.bar ? 0 : Math.abs(x - end.x)) + 0.01 * Math.abs(x - near);
  const lanes = [...layout.lanes].sort((a, b) => way(a) - way(b));
  /** @type {Route | null} */
  let first = null;
  for (const lane of lanes) {
    const x = lane + offset;
    const start = { x: from.bar ? within(from, x) : from.x, y: top };
    const stop = { x: to.bar ? within(to, x) : end.x, y: end.y };
    for (const turnFrom of TURNS) {
      for (const turnTo of TURNS) {
        const found = throughLane(start, stop, x, turnFrom, turnTo);
        first ??= found;
        if (clear(found.points, obstacles)) return found;
      }
    }
  }
  return first ?? direct;
}

/**
 * The point of a bar nearest to an x.
 * @param {Place} bar
 * @param {number} x
 */
function within(bar, x) {
  const reach = bar.width / 2 - 6;
  return Math.min(bar.x + reach, Math.max(bar.x - reach, x));
}

/**
 * Middle first, then ever further to both sides.
 * @param {number} width
 */
function laneOffsets(width) {
  const side = Math.max(0, Math.floor((width / 2 - 2 * CLEARANCE) / LANE_STEP));
  return [0, ...Array.from({ length: side }, (_, i) => [(i + 1) * LANE_STEP, -(i + 1) * LANE_STEP]).flat()];
}

/**
 * @param {Point} start
 * @param {Point} end
 * @param {number} lane its x
 * @param {number} turnFrom
 * @param {number} turnTo
 */
function throughLane(start, end, lane, turnFrom, turnTo) {
  const out = { x: lane, y: start.y - turnFrom };
  const back = { x: lane, y: end.y + turnTo };
  const first = [start, { x: start.x, y: start.y - turnFrom / 2 }, { x: lane, y: out.y + turnFrom / 2 }, out];
  const last = [back, { x: lane, y: back.y - turnTo / 2 }, { x: end.x, y: end.y + turnTo / 2 }, end];
  return route(
    [`M${text(start)}`, cubicText(first), `L${text(back)}`, cubicText(last)],
    () => [...cubic(first), ...cubic(last)],
  );
}

/**
 * Whether a line of points meets no box.
 * @param {Point[]} points
 * @param {Box[]} boxes
 */
function clear(points, boxes) {
  return boxes.every((box) => {
    const wide = { left: box.left - CLEARANCE, right: box.right + CLEARANCE, top: box.top - CLEARANCE, bottom: box.bottom + CLEARANCE };
    return points.every((point, i) => i === 0 || !meets(points[i - 1], point, wide));
  });
}

/**
 * Whether a segment meets a box: the part of it inside each pair of sides, cut down in turn.
 * @param {Point} a
 * @param {Point} b
 * @param {Box} box
 */
export function meets(a, b, box) {
  let [from, to] = [0, 1];
  const sides = [[a.x, b.x - a.x, box.left, box.right], [a.y, b.y - a.y, box.top, box.bottom]];
  for (const [at, run, low, high] of sides) {
    if (run === 0) {
      if (at < low || at > high) return false;
      continue;
    }
    const [near, far] = [(low - at) / run, (high - at) / run].sort((p, q) => p - q);
    from = Math.max(from, near);
    to = Math.min(to, far);
    if (from > to) return false;
  }
  return true;
}
