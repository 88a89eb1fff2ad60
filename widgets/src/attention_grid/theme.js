/**
 * The page's colours, as a canvas needs them.
 *
 * @typedef {{background: string, header: string, ink: string, faint: string, line: string,
 *   focus: string, font: string}} Theme
 */
import { channels } from "../lib/colors.js";

/** What a position attends to, and what attends to it: told apart on white and on near-black. */
export const SOURCE = "#2f7fd0";
export const DESTINATION = "#d8602a";

/**
 * @param {HTMLElement} root
 * @returns {Theme}
 */
export function themeOf(root) {
  const style = getComputedStyle(root);
  const color = (/** @type {string} */ name) => style.getPropertyValue(`--workbench-${name}`).trim();
  return {
    background: mixable(style.backgroundColor, style.color), header: color("header"), ink: color("ink"),
    faint: color("faint"), line: color("line"), focus: color("focus"), font: style.fontFamily,
  };
}

/**
 * The background as numbers can be read from it; a theme may write it in a form that is not known
 * here, and is then taken for white or black by its text.
 * @param {string} background
 * @param {string} ink
 */
function mixable(background, ink) {
  try {
    channels(background);
    return background;
  } catch {
    return /^rgb\(\s*(1[5-9]\d|2\d\d)/.test(ink) ? "rgb(0, 0, 0)" : "rgb(255, 255, 255)";
  }
}
