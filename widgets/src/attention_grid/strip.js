/**
 * The prompt as a line of tokens around one position: the earlier ones coloured by how much it attends
 * to them, the later ones by how much they attend to it, every weight also as a number.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("../lib/theme.js").Theme} Theme
 */
import { OWN_KEYS, h } from "../lib/dom.js";
import { inkOn } from "../lib/colors.js";
import { tokenParts } from "../lib/tokens.js";
import { mix } from "./raster.js";
import { headHigh, weightsAround } from "./state.js";
import { headName, shortWeight } from "./text.js";
import { DESTINATION, SOURCE } from "./colors.js";

export function strip() {
  // By chance: a page may hold this bundle several times, so that no count in it is enough.
  const id = `attention-grid-${Math.random().toString(36).slice(2)}`;
  const subject = h("span", { class: "attention-grid__subject" });
  const key = (/** @type {string} */ color, /** @type {string} */ words) =>
    h("span", { class: "attention-grid__key" }, h("i", { class: "attention-grid__swatch", style: { background: color } }), words);
  const caption = h(
    "div", { class: "attention-grid__caption attention-grid__legend-line" },
    subject, key(SOURCE, "it attends to"), key(DESTINATION, "attend to it"),
  );
  const list = h("div", { class: "attention-grid__tokens", tabindex: 0, role: "listbox", "aria-label": "Tokens of the prompt", ...OWN_KEYS });
  const element = h("div", { class: "attention-grid__strip" }, caption, list);
  /** @type {string[]} */
  let tokens = [];
  /** @type {{chip: HTMLElement, number: HTMLElement}[]} */
  let chips = [];

  /** @param {string[]} shown */
  function build(shown) {
    tokens = shown;
    chips = shown.map((token, pos) => {
      const number = h("span", { class: "attention-grid__number" });
      const chip = h("span", { class: "attention-grid__chip", role: "option", id: `${id}-${pos}`, "data-pos": pos }, tokenElement(token), number);
      return { chip, number };
    });
    list.replaceChildren(...chips.map(({ chip }) => chip));
  }

  /**
   * @param {State} state
   * @param {Theme} look
   * @param {number} shown the position whose weights are drawn
   * @param {boolean} focused whether the keyboard is here
   */
  function update(state, look, shown, focused) {
    if (state.tokens !== tokens) build(state.tokens);
    const around = weightsAround(state, shown);
    const high = headHigh(state);
    chips.forEach(({ chip, number }, pos) => {
      const part = high > 0 ? Math.min(1, around[pos] / high) : 0;
      const fill = mix(look.background, pos <= shown ? SOURCE : DESTINATION, part);
      chip.style.background = fill;
      chip.style.color = inkOn(fill);
      const text = shortWeight(around[pos]);
      if (number.textContent !== text) number.textContent = text;
      chip.classList.toggle("is-shown", pos === shown);
      chip.classList.toggle("is-pinned", pos === state.position);
      chip.setAttribute("aria-selected", String(pos === state.position));
    });
    const pinned = state.position === shown ? " (pinned)" : "";
    subject.replaceChildren(`${headName(state)}: “`, tokenElement(state.tokens[shown]), `” at position ${shown}${pinned}`);
    if (focused) list.setAttribute("aria-activedescendant", `${id}-${shown}`);
    else list.removeAttribute("aria-activedescendant");
  }

  /** The position under the pointer, null between the tokens. @param {Event} event */
  function under(event) {
    const chip = /** @type {HTMLElement | null} */ (/** @type {HTMLElement} */ (event.target).closest("[data-pos]"));
    return chip ? Number(chip.dataset.pos) : null;
  }

  /**
   * The position that a key leads to, null for a key that does not move.
   * @param {string} key
   * @param {number} pos
   */
  function move(key, pos) {
    const last = tokens.length - 1;
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: pos - 1, ArrowUp: pos - 1, ArrowRight: pos + 1, ArrowDown: pos + 1, Home: 0, End: last };
    return key in moves ? Math.min(last, Math.max(0, moves[key])) : null;
  }

  /** @param {number} pos */
  function reveal(pos) {
    const { chip } = chips[pos];
    const above = chip.offsetTop - list.scrollTop;
    if (above < 0) list.scrollTop += above;
    const below = above + chip.offsetHeight - list.clientHeight;
    if (below > 0) list.scrollTop += below;
  }

  return { element, list, update, under, move, reveal };
}

/**
 * A token as text nodes, its signs in a fainter element.
 * @param {string} token
 */
export function tokenElement(token) {
  return h(
    "span", { class: "attention-grid__token", dir: "auto" },
    ...tokenParts(token).map((part) => (part.mark ? h("i", {}, part.text) : part.text)),
  );
}
