import { ticks } from "d3-array";
import { STEPS } from "./colors.js";

/**
 * From a quantity's value to a step of a colour table, and the numbers of its legend.
 *
 * @typedef {"sequential" | "diverging" | "log"} ScaleKind
 * @typedef {{step: (value: number) => number, domain: [number, number],
 *   ticks: {value: number, at: number}[]}} ColorScale
 */

/**
 * @param {ScaleKind} kind
 * @param {number} low value at the first colour; for "log" above zero
 * @param {number} high value at the last colour; a diverging scale reaches as far on both sides of zero
 * @returns {ColorScale}
 */
export function colorScale(kind, low, high) {
  let [a, b] = [low, high];
  if (kind === "diverging") {
    const reach = Math.max(Math.abs(low), Math.abs(high));
    [a, b] = [-reach, reach];
  }
  const forward = kind === "log" ? Math.log10 : (/** @type {number} */ value) => value;
  const [from, to] = [forward(a), forward(b)];
  /** @param {number} value fraction of the way, 0 to 1 */
  const fraction = (value) => {
    // One value only: the middle colour, so that it is neither "least" nor "most".
    if (!(to > from)) return 0.5;
    return Math.min(1, Math.max(0, (forward(value) - from) / (to - from)));
  };
  return {
    domain: [a, b],
    step: (value) => (Number.isNaN(value) ? -1 : Math.round(fraction(value) * (STEPS - 1))),
    ticks: tickValues(kind, a, b).map((value) => ({ value, at: fraction(value) })),
  };
}

/**
 * @param {ScaleKind} kind
 * @param {number} a
 * @param {number} b
 */
function tickValues(kind, a, b) {
  if (!(b > a)) return [a];
  if (kind !== "log") return ticks(a, b, 4);
  const first = Math.ceil(Math.log10(a) - 1e-9);
  const last = Math.floor(Math.log10(b) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first) / 4));
  const powers = [];
  for (let power = first; power <= last; power += every) powers.push(10 ** power);
  return powers.length >= 2 ? powers : [a, b];
}
