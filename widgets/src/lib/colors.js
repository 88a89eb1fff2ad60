/**
 * Colour schemes as tables of 256 steps, with the text colour that is readable on each step.
 *
 * @typedef {{fill: string[], ink: string[]}} ColorTable
 */
import {
  interpolateCividis,
  interpolateInferno,
  interpolateMagma,
  interpolatePlasma,
  interpolateRdBu,
  interpolateViridis,
} from "d3-scale-chromatic";

/** Perceptually uniform, readable in grey. The names are matplotlib's. @type {Record<string, (t: number) => string>} */
const SEQUENTIAL = {
  viridis: interpolateViridis,
  cividis: interpolateCividis,
  magma: interpolateMagma,
  inferno: interpolateInferno,
  plasma: interpolatePlasma,
};

export const SCHEMES = Object.keys(SEQUENTIAL);
export const STEPS = 256;

/** Pins, told apart on white and on near-black (contrast of at least 3 on both). */
export const PIN_COLORS = [
  "#d8602a", "#2f7fd0", "#2a9455", "#c8529c", "#8e6ae0", "#8a8420", "#128f9b", "#dc4437",
];

/**
 * Red, green and blue (0 to 255) of "#rrggbb" or "rgb(r, g, b)".
 * @param {string} color
 * @returns {[number, number, number]}
 */
export function channels(color) {
  const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color);
  if (hex) return [parseInt(hex[1], 16), parseInt(hex[2], 16), parseInt(hex[3], 16)];
  const rgb = /^rgba?\(\s*([\d.]+)[,\s]+([\d.]+)[,\s]+([\d.]+)/i.exec(color);
  if (rgb) return [Number(rgb[1]), Number(rgb[2]), Number(rgb[3])];
  throw new TypeError(`a colour is written #rrggbb or rgb(r, g, b), not ${color}`);
}

/**
 * Relative luminance, WCAG 2.2.
 * @param {string} color
 */
export function luminance(color) {
  const [r, g, b] = channels(color).map((channel) => {
    const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/**
 * Contrast ratio of two colours, 1 to 21, WCAG 2.2.
 * @param {string} a
 * @param {string} b
 */
export function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

/**
 * Black or white, whichever reads better. One of the two always reaches 4.58 against any colour.
 * @param {string} fill
 */
export function inkOn(fill) {
  return contrast(fill, "#000000") >= contrast(fill, "#ffffff") ? "#000000" : "#ffffff";
}

/** @type {Map<string, ColorTable>} */
const tables = new Map();

/**
 * The table of a scheme. Diverging quantities always take red–white–blue (negative red, positive blue,
 * as the field's plots do): a sequential scheme has no middle to put zero at.
 * @param {string} scheme
 * @param {boolean} diverging
 */
export function colorTable(scheme, diverging) {
  const name = diverging ? "diverging" : scheme;
  let table = tables.get(name);
  if (!table) {
    const interpolate = diverging ? interpolateRdBu : (SEQUENTIAL[scheme] ?? interpolateViridis);
    const fill = Array.from({ length: STEPS }, (_, step) => interpolate(step / (STEPS - 1)));
    tables.set(name, (table = { fill, ink: fill.map(inkOn) }));
  }
  return table;
}
