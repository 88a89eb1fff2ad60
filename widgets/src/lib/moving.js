/**
 * The node that an arrow key moves to in a graph whose nodes lie in rows.
 *
 * @typedef {{x: number, row: number}} Spot `row` counts from the bottom
 */

/**
 * Sideways along a row; up and down to the nearest node of the next row that has any, of those
 * `beside` it first. The same node at an end.
 * @template {Spot} Place
 * @param {{places: Map<number, Place>, rows: number[][]}} layout
 * @param {number} from
 * @param {string} key
 * @param {(start: Place, other: Place) => boolean} [beside] the nodes that are preferred, however far
 */
export function moveNode({ places, rows }, from, key, beside = () => true) {
  const start = places.get(from);
  if (!start) return places.keys().next().value ?? from;
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const row = rows[start.row];
    return row[row.indexOf(from) + (key === "ArrowRight" ? 1 : -1)] ?? from;
  }
  const at = (/** @type {number} */ index) => /** @type {Place} */ (places.get(index));
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
