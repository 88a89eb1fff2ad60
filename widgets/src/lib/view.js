/**
 * What every view is made of: a heading, the frame in which its drawing lies with a status over it, a line
 * that tells the numbers, and a tooltip; how it lives, from its first drawing through every change to its
 * end; and how the user's choice reaches the model.
 *
 * @typedef {import("./lifecycle.js").Model} Model
 */
import { OWN_KEYS, frameScheduler, h } from "./dom.js";
import { redrawOnChange } from "./lifecycle.js";
import { tooltip } from "./tooltip.js";

/**
 * @param {string} name class of the widget's root; its parts have one each that begins with it
 * @param {{model: Model, el: HTMLElement, role: string, traits: readonly string[], draw: () => void}} of
 *   `role`: what the frame is called to those who cannot see it; `traits`: a change of any asks for a drawing
 */
export function view(name, { model, el, role, traits, draw }) {
  const stopped = new AbortController();
  const frame = frameScheduler(draw);
  const both = (/** @type {string} */ part) => `workbench__${part} ${name}__${part}`;
  const title = h("div", { class: both("title") });
  const scroller = h("div", { class: both("scroll"), tabindex: 0, role: "application", "aria-roledescription": role, ...OWN_KEYS });
  const status = h("div", { class: both("status"), role: "status" });
  const stage = h("div", { class: both("stage") }, scroller, status);
  const readout = h("p", { class: both("readout"), "aria-live": "polite" });
  const tip = tooltip(name);
  const root = h("div", { class: `workbench-widget ${name}` });

  /** Sends what the user chose. @param {Record<string, any>} changes */
  function choose(changes) {
    for (const [trait, value] of Object.entries(changes)) model.set(trait, value);
    model.save_changes();
  }

  /** Whether the keyboard is in the frame, or in another element of the view. @param {HTMLElement} [element] */
  const hasFocus = (element = scroller) => /** @type {Document | ShadowRoot} */ (root.getRootNode()).activeElement === element;

  /**
   * @param {{title: string, status?: string}} state
   * @param {string} [label] what the frame holds and which keys it knows
   */
  function head(state, label) {
    title.textContent = state.title;
    title.hidden = state.title === "";
    if (label !== undefined) scroller.setAttribute("aria-label", label);
    if (state.status === undefined) return;
    status.textContent = state.status;
    stage.classList.toggle("is-stale", state.status !== "");
    stage.classList.toggle("is-error", state.status.startsWith("error"));
  }

  /** Writes the line of numbers, which is spoken: only where it has changed. @param {string} words */
  function say(words) {
    if (readout.textContent !== words) readout.textContent = words;
  }

  /**
   * Puts the parts onto the page, draws them for the first time, and from then on whenever something changes.
   * @param {HTMLElement[]} parts
   * @returns {() => void} takes the view apart, as anywidget wants it from `render`
   */
  function open(parts) {
    root.append(...parts);
    el.append(root);
    const close = redrawOnChange({ model, traits, root, frame, stopped });
    draw();
    return close;
  }

  return { title, scroller, stage, readout, tip, root, frame, listening: { signal: stopped.signal }, choose, hasFocus, head, say, open };
}

/** @typedef {ReturnType<typeof view>} View */
