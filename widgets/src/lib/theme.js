/**
 * The page's colours, as a canvas or a mixed colour needs them.
 *
 * @typedef {{background: string, header: string, ink: string, faint: string, line: string,
 *   focus: string, font: string}} Theme
 */
import { channels } from "./colors.js";

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
