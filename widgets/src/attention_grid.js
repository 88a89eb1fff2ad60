/**
 * AttentionGrid: all heads as thumbnails, one enlarged beside them, and the prompt's tokens around one
 * position. The Python half is workbench/widgets/attention_grid.py.
 *
 * @typedef {import("./attention_grid/matrix.js").Pair} Pair
 * @typedef {import("./lib/lifecycle.js").Model} Model
 */
import { OWN_KEYS, h } from "./lib/dom.js";
import { legend } from "./attention_grid/legend.js";
import { matrix } from "./attention_grid/matrix.js";
import { TRAITS, readState } from "./attention_grid/state.js";
import { strip } from "./attention_grid/strip.js";
import { headName, pairText, positionText } from "./attention_grid/text.js";
import { themeOf } from "./lib/theme.js";
import { thumbnails } from "./attention_grid/thumbnails.js";
import { view } from "./lib/view.js";

/** Where heads beside the enlarged one would be narrower than this, they get a line of their own. */
const NARROW_HEAD = 24;

export { StandInModel } from "./lib/stand_in.js";

/**
 * Draws a view of the model into an element.
 * @param {{model: Model, el: HTMLElement}} context
 * @returns {() => void} takes the view apart
 */
function render({ model, el }) {
  const shell = view("attention-grid", { model, el, role: "attention matrix", traits: TRAITS, draw });
  const { root, frame, listening, choose, hasFocus } = shell;
  const kind = h(
    "select", { class: "workbench__select", "aria-label": "Show", ...OWN_KEYS, onchange: () => choose({ weighted: kind.value === "weighted" }) },
    h("option", { value: "plain" }, "attention"),
    h("option", { value: "weighted" }, "value-weighted attention"),
  );
  const field = h("label", { class: "workbench__field" }, h("span", {}, "Show"), kind);
  const scale = legend();
  const tools = h("div", { class: "workbench__tools" }, field, scale.element);
  const current = () => readState(model);
  const heads = thumbnails(current, (layerIndex, head) => choose({ layer: current().layers[layerIndex], head }), frame.request, listening.signal);
  const headTitle = h("div", { class: "attention-grid__caption" });
  const enlarged = matrix(shell.scroller, listening.signal, frame.request);
  const column = h("div", { class: "attention-grid__head" }, headTitle, enlarged.element);
  const body = h("div", { class: "attention-grid__body" }, heads.element, column);
  const line = strip();

  let state = current();
  /** What the pointer is on. @type {Pair | null} */
  let hover = null;
  /** Where the keyboard is. @type {Pair} */
  let cursor = { dst: state.position ?? state.tokens.length - 1, src: null };

  /** The position that the line of tokens was last brought to; it never moves under the pointer. */
  let followed = -1;
  let overLine = false;

  /** @param {number} pos */
  const togglePin = (pos) => choose({ position: pos === current().position ? null : pos });

  /** @param {Pair | null} pair */
  const inside = (pair) => (pair && Math.max(pair.dst, pair.src ?? 0) < state.tokens.length ? pair : null);

  function draw() {
    state = current();
    if (root.clientWidth === 0) return;
    const look = themeOf(root);
    field.hidden = !state.hasWeighted;
    kind.value = state.weighted ? "weighted" : "plain";
    scale.update(state);
    hover = inside(hover);
    cursor = inside(cursor) ?? { dst: state.tokens.length - 1, src: null };
    const inMatrix = hasFocus(enlarged.element);
    const inLine = hasFocus(line.list);
    /** @type {Pair | null} */
    const keyed = inMatrix ? cursor : inLine ? { dst: cursor.dst, src: null } : null;
    const pair = hover ?? keyed;
    // Without any choice the last position, from which the next token is predicted.
    const shown = pair?.dst ?? state.position ?? state.tokens.length - 1;
    root.classList.toggle("is-stacked", state.nHeads * NARROW_HEAD > 0.44 * root.clientWidth);
    heads.update(state, look);
    headTitle.textContent = `${headName(state)}: each row attends to its columns`;
    enlarged.update(state, look, { shown, pair }, column.clientWidth);
    shell.head(state, `${headName(state)}: ${state.tokens.length} destinations and sources. Arrow keys move, Enter pins the destination, Escape lets go.`);
    shell.say(pair && pair.src !== null ? pairText(state, pair.dst, pair.src) : positionText(state, shown));
    line.update(state, look, shown, inLine);
    if (shown !== followed && !inLine && !overLine) line.reveal(shown);
    followed = shown;
  }

  /** @param {Pair | null} pair */
  function point(pair) {
    if (hover?.dst === pair?.dst && hover?.src === pair?.src) return;
    hover = pair;
    frame.request();
  }

  enlarged.element.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") point(enlarged.under(event));
  }, listening);
  enlarged.element.addEventListener("pointerleave", () => point(null), listening);
  enlarged.element.addEventListener("click", (event) => {
    const found = enlarged.under(event);
    if (!found) return;
    cursor = found;
    togglePin(found.dst);
  }, listening);
  line.list.addEventListener("pointerenter", () => (overLine = true), listening);
  line.list.addEventListener("pointerover", (event) => {
    const pos = line.under(event);
    if (event.pointerType !== "touch" && pos !== null) point({ dst: pos, src: null });
  }, listening);
  line.list.addEventListener("pointerleave", () => {
    overLine = false;
    point(null);
  }, listening);
  line.list.addEventListener("click", (event) => {
    const pos = line.under(event);
    if (pos === null) return;
    cursor = { dst: pos, src: null };
    enlarged.reveal({ dst: pos, src: pos });
    togglePin(pos);
  }, listening);
  for (const element of [enlarged.element, line.list]) {
    element.addEventListener("focus", frame.request, listening);
    element.addEventListener("blur", frame.request, listening);
    element.addEventListener("keydown", (event) => pressed(event, element), listening);
  }

  /** @param {KeyboardEvent} event @param {HTMLElement} element */
  function pressed(event, element) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const inLine = element === line.list;
    const pos = inLine ? line.move(event.key, cursor.dst) : null;
    const pair = inLine ? null : enlarged.move(event.key, cursor);
    if (pos !== null) {
      cursor = { dst: pos, src: null };
      line.reveal(pos);
      enlarged.reveal({ dst: pos, src: pos });
    } else if (pair) {
      cursor = pair;
      enlarged.reveal(pair);
    } else if (event.key === "Enter" || event.key === " ") {
      togglePin(cursor.dst);
    } else if (event.key === "Escape") {
      choose({ position: null });
    } else {
      return;
    }
    hover = null;
    // The notebook has its own arrow keys, Enter and Escape: they must not move its cells too.
    event.preventDefault();
    event.stopPropagation();
    frame.request();
  }

  return shell.open([shell.title, tools, body, shell.readout, line.element]);
}

export default { render };
