/**
 * How long a view lives: from its first drawing, through every change of what it shows, to its end.
 *
 * @typedef {{get: (name: string) => any, set: (name: string, value: any) => void,
 *   on: (event: string, listener: () => void) => void,
 *   off: (event: string, listener: () => void) => void, save_changes: () => void}} Model
 */
import { watchTheme } from "./dom.js";

/**
 * Asks for a drawing whenever a trait of the model, the size of the view or the page's theme changes.
 * @param {{model: Model, traits: readonly string[], root: HTMLElement,
 *   frame: {request: () => void, cancel: () => void}, stopped: AbortController}} view `stopped` carries
 *   the signal of every listener that the view added itself
 * @returns {() => void} takes the view apart, as anywidget wants it from `render`
 */
export function redrawOnChange({ model, traits, root, frame, stopped }) {
  for (const name of traits) model.on(`change:${name}`, frame.request);
  const sizes = new ResizeObserver(frame.request);
  sizes.observe(root);
  const unwatch = watchTheme(frame.request);
  return () => {
    stopped.abort();
    for (const name of traits) model.off(`change:${name}`, frame.request);
    sizes.disconnect();
    unwatch();
    frame.cancel();
    root.remove();
  };
}
