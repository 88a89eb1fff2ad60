/**
 * Colours of signed numbers on any background, taken from the diverging scheme of the other views:
 * negative red, positive blue.
 *
 * @typedef {{positive: string, negative: string}} SignColors
 */
import { STEPS, channels, colorTable, contrast } from "./colors.js";

/** A line is told from its background at 3, a small sign on it at 4.5. */
const WANTED_CONTRAST = 5;

/** @type {Map<string, SignColors>} */
const known = new Map();

/**
 * Of each half of the scheme the colour that stands out neither too little nor like black or white.
 * @param {string} background #rrggbb or rgb(r, g, b)
 * @returns {SignColors}
 */
export function signColors(background) {
  let found = known.get(background);
  if (!found) {
    const { fill } = colorTable("", true);
    const best = (/** @type {string[]} */ half) =>
      half.reduce((a, b) => (distance(b, background) < distance(a, background) ? b : a));
    found = { negative: best(fill.slice(0, STEPS / 2)), positive: best(fill.slice(STEPS / 2)) };
    known.set(background, found);
  }
  return found;
}

/**
 * @param {string} color
 * @param {string} background
 */
const distance = (color, background) => Math.abs(contrast(color, background) - WANTED_CONTRAST);

/**
 * A colour between two.
 * @param {string} from
 * @param {string} to
 * @param {number} share 0 for the first, 1 for the second
 */
export function mix(from, to, share) {
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((value, i) => Math.round(value + share * (b[i] - value))).join(", ")})`;
}

/**
 * The more active, the more of its sign's colour; "" where it is not.
 * @param {number} value
 * @param {number} most the size at the full colour
 * @param {string} background #rrggbb or rgb(r, g, b)
 */
export function shade(value, most, background) {
  if (!(most > 0) || value === 0) return "";
  const { positive, negative } = signColors(background);
  return mix(background, value < 0 ? negative : positive, 0.08 + 0.82 * Math.min(1, Math.abs(value) / most));
}
