/**
 * The lines of edges: curves that leave and enter nodes upright, as a path to draw and as points to
 * find under a pointer.
 *
 * @typedef {{x: number, y: number}} Point
 * @typedef {{path: string, points: Point[], middle: Point}} Route
 */

const SAMPLES = 14;

/**
 * A curve that is upright at both ends, a straight line where one lies above the other.
 * @param {Point} start the lower end
 * @param {Point} end
 * @param {number} least how far it goes upright at least
 * @returns {Route}
 */
export function upright(start, end, least) {
  if (Math.abs(start.x - end.x) < 0.5) return route([`M${text(start)}`, `L${text(end)}`], () => [start, end]);
  const bend = Math.max(least, (start.y - end.y) / 2);
  const curve = [start, { x: start.x, y: start.y - bend }, { x: end.x, y: end.y + bend }, end];
  return route([`M${text(start)}`, cubicText(curve)], () => cubic(curve));
}

/**
 * A route whose points are worked out when they are asked for: thousands are drawn, few are pointed at.
 * @param {string[]} parts of the path
 * @param {() => Point[]} trace
 * @returns {Route}
 */
export function route(parts, trace) {
  /** @type {Point[] | null} */
  let points = null;
  return {
    path: parts.join(""),
    get points() {
      return (points ??= trace());
    },
    get middle() {
      return halfway(this.points);
    },
  };
}

/** @param {Point} point */
export const text = ({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`;

/** @param {Point[]} curve */
export const cubicText = ([, ...rest]) => `C${rest.map(text).join(" ")}`;

/**
 * Points of a cubic curve, both ends among them.
 * @param {Point[]} curve
 */
export function cubic([a, b, c, d]) {
  return Array.from({ length: SAMPLES + 1 }, (_, i) => {
    const t = i / SAMPLES;
    const u = 1 - t;
    const weights = [u ** 3, 3 * u * u * t, 3 * u * t * t, t ** 3];
    const mix = (/** @type {"x" | "y"} */ axis) => [a, b, c, d].reduce((sum, point, n) => sum + weights[n] * point[axis], 0);
    return { x: mix("x"), y: mix("y") };
  });
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
