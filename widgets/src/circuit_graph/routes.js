/**
 * The curves of edges. An edge that can go straight does; one that would run behind another node,
 * where it would seem to end, goes round it through a lane between two columns.
 *
 * @typedef {import("./layout.js").Layout} Layout
 * @typedef {import("./layout.js").Box} Box
 * @typedef {import("./layout.js").Place} Place
 * @typedef {import("./state.js").Edge} Edge
 * @typedef {{x: number, y: number}} Point
 * @typedef {{path: string, points: Point[], middle: Point}} Route
 */
import { boxOf, entry } from "./layout.js";

const CLEARANCE = 2;
const SAMPLES = 14;
/** Heights in which an edge turns from a node into its lane, the roundest first. */
const TURNS = [44, 26, 14];
const LANE_STEP = 2.6;

/** Routes found so far, by the number of the edge. @type {WeakMap<Layout, Map<number, Route>>} */
const known = new WeakMap();

/**
 * A route for each edge of a graph, in order. It depends on no other edge: moving the slider never
 * moves a line that stays.
 * @param {Layout} layout
 * @param {Edge[]} edges
 * @returns {Route[]}
 */
export function routeEdges(layout, edges) {
  const boxes = layout.places.map(boxOf);
  const found = known.get(layout) ?? new Map();
  known.set(layout, found);
  return edges.map((edge) => {
    const route = found.get(edge.index) ?? routeEdge(layout, boxes, edge);
    found.set(edge.index, route);
    return route;
  });
}

/**
 * @param {Layout} layout
 * @param {Box[]} boxes
 * @param {Edge} edge
 */
function routeEdge(layout, boxes, edge) {
  const [from, to] = [layout.places[edge.source], layout.places[edge.target]];
  const end = entry(to, edge.channel);
  const top = from.y - from.height / 2;
  const obstacles = boxes.filter((box, i) => i !== edge.source && i !== edge.target && box.bottom > end.y && box.top < top);
  const x2 = to.bar ? within(to, from.x) : end.x;
  const direct = straight({ x: from.bar ? within(from, x2) : from.x, y: top }, { x: x2, y: end.y });
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
 */
function straight(start, end) {
  if (Math.abs(start.x - end.x) < 0.5) return route([`M${text(start)}`, `L${text(end)}`], [start, end]);
  const bend = Math.max(16, (start.y - end.y) / 2);
  const curve = [start, { x: start.x, y: start.y - bend }, { x: end.x, y: end.y + bend }, end];
  return route([`M${text(start)}`, cubicText(curve)], cubic(curve));
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
    [...cubic(first), ...cubic(last)],
  );
}

/**
 * @param {string[]} parts
 * @param {Point[]} points
 * @returns {Route}
 */
const route = (parts, points) => ({ path: parts.join(""), points, middle: halfway(points) });

/** @param {Point} point */
const text = ({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`;

/** @param {Point[]} curve */
const cubicText = ([, ...rest]) => `C${rest.map(text).join(" ")}`;

/**
 * Points of a cubic curve, both ends among them.
 * @param {Point[]} curve
 */
function cubic([a, b, c, d]) {
  return Array.from({ length: SAMPLES + 1 }, (_, i) => {
    const t = i / SAMPLES;
    const u = 1 - t;
    const weights = [u ** 3, 3 * u * u * t, 3 * u * t * t, t ** 3];
    const mix = (/** @type {"x" | "y"} */ axis) => [a, b, c, d].reduce((sum, point, n) => sum + weights[n] * point[axis], 0);
    return { x: mix("x"), y: mix("y") };
  });
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

/**
 * The point half-way along a line.
 * @param {Point[]} points
 */
function halfway(points) {
  const lengths = points.slice(1).map((point, i) => Math.hypot(point.x - points[i].x, point.y - points[i].y));
  let left = lengths.reduce((sum, length) => sum + length, 0) / 2;
  for (let i = 0; i < lengths.length; i += 1) {
    if (left <= lengths[i] && lengths[i] > 0) {
      const part = left / lengths[i];
      const [a, b] = [points[i], points[i + 1]];
      return { x: a.x + part * (b.x - a.x), y: a.y + part * (b.y - a.y) };
    }
    left -= lengths[i];
  }
  return points[0];
}

/**
 * Number of the route nearest to a point, -1 where none is within reach.
 * @param {Route[]} routes
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 */
export function nearestRoute(routes, x, y, reach) {
  let best = -1;
  let least = reach * reach;
  routes.forEach(({ points }, index) => {
    for (let i = 1; i < points.length; i += 1) {
      const distance = squaredDistance(points[i - 1], points[i], x, y);
      if (distance < least) [best, least] = [index, distance];
    }
  });
  return best;
}

/**
 * @param {Point} a
 * @param {Point} b
 * @param {number} x
 * @param {number} y
 */
function squaredDistance(a, b, x, y) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const along = length > 0 ? Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / length)) : 0;
  return (a.x + along * dx - x) ** 2 + (a.y + along * dy - y) ** 2;
}
