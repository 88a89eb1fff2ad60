/**
 * Where the nodes of a graph lie, in rows from the bottom up, and how a point or a key finds one.
 *
 * @typedef {{left: number, right: number, top: number, bottom: number}} Box
 * @typedef {{index: number, x: number, y: number, width: number, height: number, row: number,
 *   below?: number}} Place `x`, `y` are the middle; `row` counts from the bottom; `below`: what hangs
 *   under the box and is part of the node
 */

/**
 * The box of a node with what hangs under it.
 * @param {Place} place
 * @returns {Box}
 */
export function boxOf({ x, y, width, height, below = 0 }) {
  return { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 + below };
}

/**
 * The node at a point, null where there is none.
 * @param {{places: Map<number, Place>}} layout
 * @param {number} x
 * @param {number} y
 */
export function nodeAt({ places }, x, y) {
  for (const place of places.values()) {
    const { left, right, top, bottom } = boxOf(place);
    if (x >= left && x <= right && y >= top && y <= bottom) return place.index;
  }
  return null;
}

/**
 * Sideways along a row; up and down to the nearest node of the next row that has any, of those
 * `beside` it first. The same node at an end.
 * @template {Place} P
 * @param {{places: Map<number, P>, rows: number[][]}} layout
 * @param {number} from
 * @param {string} key
 * @param {(start: P, other: P) => boolean} [beside] the nodes that are preferred, however far
 */
export function moveNode({ places, rows }, from, key, beside = () => true) {
  const start = places.get(from);
  if (!start) return places.keys().next().value ?? from;
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const row = rows[start.row];
    return row[row.indexOf(from) + (key === "ArrowRight" ? 1 : -1)] ?? from;
  }
  const at = (/** @type {number} */ index) => /** @type {P} */ (places.get(index));
  const step = key === "ArrowUp" ? 1 : -1;
  for (const wanted of [(/** @type {number} */ index) => beside(start, at(index)), () => true]) {
    for (let row = start.row + step; row >= 0 && row < rows.length; row += step) {
      const found = rows[row].filter(wanted);
      if (found.length === 0) continue;
      return found.reduce((a, b) => (Math.abs(at(b).x - start.x) < Math.abs(at(a).x - start.x) ? b : a));
    }
  }
  return from;
}
