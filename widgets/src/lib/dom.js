/**
 * For every element that takes the focus. JupyterLab's one-letter commands, which cut and move cells,
 * match the focused element of an output; only this attribute on that very element keeps them off.
 */
export const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };

/**
 * An element with attributes and children; strings become text nodes, so no string is ever read as
 * markup. A property whose name starts with "on" is an event listener.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

/**
 * As `h`, in SVG.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}

/**
 * @param {HTMLElement | SVGElement} element
 * @param {Record<string, any>} attributes
 * @param {(Node | string | null)[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children) if (child !== null) element.append(child);
}

/**
 * Runs `draw` at the next frame however often it is asked for, so that many changes cost one drawing.
 * @param {() => void} draw
 */
export function frameScheduler(draw) {
  /** @type {number | null} */
  let frame = null;
  return {
    request() {
      frame ??= requestAnimationFrame(() => {
        frame = null;
        draw();
      });
    },
    cancel() {
      if (frame !== null) cancelAnimationFrame(frame);
      frame = null;
    },
  };
}

/**
 * Calls back when the page's theme may have changed: Jupyter and Colab say it with attributes of the
 * body or the root, others follow the system.
 * @param {() => void} changed
 * @returns {() => void} stops watching
 */
export function watchTheme(changed) {
  const observer = new MutationObserver(changed);
  const filter = { attributes: true, attributeFilter: ["class", "style", "theme", "data-jp-theme-light", "data-jp-theme-name", "data-theme"] };
  observer.observe(document.documentElement, filter);
  observer.observe(document.body, filter);
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    media.removeEventListener("change", changed);
  };
}
