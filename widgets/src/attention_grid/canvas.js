/**
 * What the canvases of the grid share.
 *
 * @typedef {import("../lib/grid_geometry.js").Viewport} Viewport
 */

/**
 * The part of a scroller's content that shows.
 * @param {HTMLElement} scroller
 * @returns {Viewport}
 */
export function viewport(scroller) {
  return { width: scroller.clientWidth, height: scroller.clientHeight, x: scroller.scrollLeft, y: scroller.scrollTop };
}

/**
 * Makes a canvas fill a viewport at the screen's own resolution; its units stay CSS pixels.
 * @param {CanvasRenderingContext2D} context
 * @param {Viewport} view
 */
export function fitCanvas(context, { width, height }) {
  const ratio = devicePixelRatio || 1;
  const { canvas } = context;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) {
    Object.assign(canvas, { width: across, height: down });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

/**
 * A frame in two tones, so that it shows on every colour.
 * @param {CanvasRenderingContext2D} context
 * @param {{x: number, y: number, width: number, height: number}} box
 * @param {[string, number][]} strokes colour and width, the widest first
 */
export function outline(context, { x, y, width, height }, strokes) {
  for (const [color, thick] of strokes) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.strokeRect(x, y, width, height);
  }
}
