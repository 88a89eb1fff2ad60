import { scaleLinear, scaleLog } from "d3-scale";
import { line } from "d3-shape";

/**
 * Geometry of a chart of ranks through the rows: rows from left to right, rank 1 at the top, log axis.
 *
 * @typedef {{x: number, y: number, row: number, rank: number}} Point rank counted from 1
 * @typedef {{left: number, right: number, top: number, bottom: number, width: number, height: number}} Box
 */

/**
 * @param {(number | null)[][]} series for each line its rank in every row, null where it is not known
 * @param {Box} box
 */
export function rankLines(series, box) {
  const rows = Math.max(1, ...series.map((ranks) => ranks.length));
  const worst = Math.max(10, ...series.flat().map((rank) => rank ?? 1));
  const x = scaleLinear([0, Math.max(1, rows - 1)], [box.left, box.width - box.right]);
  const y = scaleLog([1, 10 ** Math.ceil(Math.log10(worst) - 1e-9)], [box.top, box.height - box.bottom]);
  const path = line(/** @param {Point} p */ (p) => p.x, (p) => p.y);
  const lines = series.map((ranks) => {
    /** @type {Point[]} */
    const points = [];
    ranks.forEach((rank, row) => {
      if (rank !== null) points.push({ x: x(row), y: y(rank), row, rank });
    });
    return { points, path: runs(points).map((run) => path(run) ?? "").join("") };
  });
  const powers = Array.from({ length: Math.round(Math.log10(y.domain()[1])) + 1 }, (_, power) => 10 ** power);
  return { x, y, lines, ticks: powers.map((rank) => ({ rank, y: y(rank) })) };
}

/**
 * Points cut where rows are missing: a line drawn across a gap would claim ranks nobody measured.
 * @param {Point[]} points
 */
function runs(points) {
  /** @type {Point[][]} */
  const all = [];
  for (const point of points) {
    const run = all.at(-1);
    if (run && run[run.length - 1].row === point.row - 1) run.push(point);
    else all.push([point]);
  }
  return all;
}

/**
 * Every how many-th label of an axis fits.
 * @param {number} count
 * @param {number} width of the axis
 * @param {number} each width of one label
 */
export function labelStride(count, width, each) {
  return Math.max(1, Math.ceil((count * each) / Math.max(1, width)));
}
