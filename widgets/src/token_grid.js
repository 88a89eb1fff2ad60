/**
 * TokenGrid: rows (layers) × positions with the top token in each cell. The Python half is
 * workbench/widgets/token_grid.py.
 *
 * @typedef {import("./lib/grid_geometry.js").Cell} Cell
 * @typedef {import("./lib/grid_geometry.js").Layout} Layout
 * @typedef {import("./token_grid/state.js").State} State
 * @typedef {import("./token_grid/painter.js").Theme} Theme
 * @typedef {import("./lib/lifecycle.js").Model} Model
 */
import { OWN_KEYS, frameScheduler, h } from "./lib/dom.js";
import { cellOrigin, contentSize, fitCellWidth, hit, moveCell, scrollTo } from "./lib/grid_geometry.js";
import { redrawOnChange } from "./lib/lifecycle.js";
import { tooltip } from "./lib/tooltip.js";
import { details } from "./token_grid/details.js";
import { Painter } from "./token_grid/painter.js";
import { TRAITS, candidates, hasTokens, readState, togglePin } from "./token_grid/state.js";
import { cellText } from "./token_grid/text.js";
import { toolbar } from "./token_grid/toolbar.js";
import { cellContent, headerContent } from "./token_grid/tooltip.js";

export { StandInModel } from "./lib/stand_in.js";

const CELL_HEIGHT = 24;
const CELL_WIDTH = { least: 52, most: 116 };
const HEADER = { next: 26, input: 38 };
const MOST_HEIGHT = 560;

/**
 * Draws a view of the model into an element.
 * @param {{model: Model, el: HTMLElement}} context
 * @returns {() => void} takes the view apart
 */
function render({ model, el }) {
  const stopped = new AbortController();
  const listening = { signal: stopped.signal };
  const title = h("div", { class: "token-grid__title" });
  const canvas = h("canvas", { class: "token-grid__canvas", "aria-hidden": "true" });
  const spacer = h("div", { class: "token-grid__spacer" }, canvas);
  const scroller = h("div", {
    class: "token-grid__scroll", tabindex: 0, role: "application", "aria-roledescription": "token grid", ...OWN_KEYS,
  }, spacer);
  const status = h("div", { class: "token-grid__status", role: "status" });
  const stage = h("div", { class: "token-grid__stage" }, scroller, status);
  const readout = h("p", { class: "token-grid__readout", "aria-live": "polite" });
  const bar = toolbar(choose);
  const below = details((pin) => choose({ pinned: togglePin(state.pinned, pin) }));
  const tip = tooltip("token-grid");
  const root = h("div", { class: "workbench-widget token-grid" }, title, bar.element, stage, readout, below.element, tip.element);
  el.append(root);

  const painter = new Painter(/** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")));
  const frame = frameScheduler(draw);
  let state = readState(model);
  /** @type {Layout} */
  let layout = { rows: 0, columns: 0, cellWidth: 1, cellHeight: CELL_HEIGHT, left: 0, top: 0, bottom: 0 };
  /** @type {Cell | null} */
  let hover = null;
  /** @type {Cell | null} */
  let focus = null;
  /** What the tooltip tells of; `from` says which data it was written from. @type {{cell: Cell, from: unknown[]} | null} */
  let told = null;

  /** @param {Partial<import("./token_grid/state.js").Choice>} changes */
  function choose(changes) {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  }

  function viewport() {
    return { width: scroller.clientWidth, height: scroller.clientHeight, x: scroller.scrollLeft, y: scroller.scrollTop };
  }

  /** @returns {Theme} */
  function theme() {
    const style = getComputedStyle(root);
    const color = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
    return {
      background: color("workbench-background"), header: color("workbench-header"), ink: color("workbench-ink"),
      faint: color("workbench-faint"), line: color("workbench-line"), focus: color("workbench-focus"),
      empty: color("token-grid-empty"), font: style.fontFamily,
    };
  }

  /** @type {unknown[]} */
  let measured = [];

  /** @param {Theme} look */
  function measure(look) {
    // Scrolling draws many frames and changes none of this; measuring makes the browser lay out anew.
    const key = [state.panel.rows, state.tokens.length, state.nextToken.length, root.clientWidth, look.font];
    if (key.every((item, i) => item === measured[i])) return;
    measured = key;
    const rows = state.panel.rows.length;
    const columns = state.tokens.length;
    const top = state.nextToken.length > 0 ? HEADER.next : 0;
    const left = Math.min(150, Math.max(56, painter.labelWidth(state.panel.rows, look) + 16));
    const height = top + rows * CELL_HEIGHT + HEADER.input;
    scroller.style.maxWidth = "";
    scroller.style.overflowY = height > MOST_HEIGHT ? "scroll" : "hidden";
    const cellWidth = fitCellWidth(scroller.clientWidth - left, columns, CELL_WIDTH.least, CELL_WIDTH.most);
    layout = { rows, columns, cellWidth, cellHeight: CELL_HEIGHT, left, top, bottom: HEADER.input };
    const size = contentSize(layout);
    scroller.style.overflowX = size.width > scroller.clientWidth ? "scroll" : "hidden";
    const scrollbar = scroller.offsetHeight - scroller.clientHeight;
    // The frame ends where the last column does.
    scroller.style.maxWidth = `${size.width + scroller.offsetWidth - scroller.clientWidth}px`;
    scroller.style.height = `${Math.min(MOST_HEIGHT, height) + scrollbar}px`;
    Object.assign(spacer.style, { width: `${size.width}px`, height: `${size.height}px` });
  }

  function fitCanvas() {
    const ratio = devicePixelRatio || 1;
    const { width, height } = viewport();
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== across || canvas.height !== down) {
      Object.assign(canvas, { width: across, height: down });
      Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    }
    painter.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  function draw() {
    state = readState(model);
    if (root.clientWidth === 0) return;
    const look = theme();
    title.textContent = state.title;
    title.hidden = state.title === "";
    bar.update(state);
    measure(look);
    fitCanvas();
    hover = inside(hover);
    focus = inside(focus);
    painter.paint(state, layout, viewport(), look, { hover, focus: hasFocus() ? focus : null });
    status.textContent = state.status;
    stage.classList.toggle("is-stale", state.status !== "");
    stage.classList.toggle("is-error", state.status.startsWith("error"));
    scroller.setAttribute("aria-label", `${state.title || "Token grid"}: ${layout.rows} rows, ${layout.columns} positions. `
      + (hasTokens(state.panel)
        ? "Arrow keys move, Enter pins the cell's top token, Escape unpins all."
        : "Arrow keys move, Enter selects the cell, Escape clears the selection."));
    const spoken = hover ?? (hasFocus() ? focus : null) ?? inside(state.selected);
    const use = hasTokens(state.panel) ? "pin its token" : "select it";
    const words = spoken ? cellText(state, spoken) : `Point at a cell or move with the arrow keys; click or press Enter to ${use}.`;
    if (readout.textContent !== words) readout.textContent = words;
    below.update(state);
    if (told && !inside(told.cell)) untell();
    else if (told && source().some((part, i) => part !== told?.from[i])) tell(told.cell);
  }

  const source = () => [state.panel, state.quantity, state.tokens];

  /** @param {Cell} cell */
  function tell(cell) {
    told = { cell, from: source() };
    tip.show(cellContent(state, cell), cellRect(cell));
  }

  function untell() {
    told = null;
    tip.hide();
  }

  /** @param {Cell | null} cell */
  function inside(cell) {
    return cell && cell.row < state.panel.rows.length && cell.pos < state.tokens.length ? cell : null;
  }

  function hasFocus() {
    return /** @type {Document | ShadowRoot} */ (root.getRootNode()).activeElement === scroller;
  }

  /** @param {Cell} cell */
  function cellRect(cell) {
    const { x, y } = cellOrigin(layout, viewport(), cell);
    const box = canvas.getBoundingClientRect();
    return new DOMRect(box.x + x, box.y + y, layout.cellWidth, layout.cellHeight);
  }

  /** @param {Cell} cell */
  function activate(cell) {
    const [best] = candidates(state, cell);
    const pinned = best ? togglePin(state.pinned, { pos: cell.pos, token: best.token, id: best.id }) : state.pinned;
    choose({ selected: cell, pinned });
  }

  function leave() {
    untell();
    if (hover) {
      hover = null;
      frame.request();
    }
  }

  /** @param {MouseEvent} event */
  function under(event) {
    const box = canvas.getBoundingClientRect();
    return hit(layout, viewport(), event.clientX - box.x, event.clientY - box.y);
  }

  scroller.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const found = under(event);
    if (!found || found.pos === null) {
      leave();
    } else if (found.row === null) {
      leave();
      const column = cellRect({ row: 0, pos: found.pos });
      tip.show(headerContent(state, found.pos), new DOMRect(column.x, event.clientY - 12, column.width, 24));
    } else if (hover?.row !== found.row || hover.pos !== found.pos) {
      hover = { row: found.row, pos: found.pos };
      tell(hover);
      frame.request();
    }
  }, listening);
  scroller.addEventListener("pointerleave", leave, listening);
  scroller.addEventListener("click", (event) => {
    const found = under(event);
    if (!found || found.row === null || found.pos === null) return;
    focus = { row: found.row, pos: found.pos };
    activate(focus);
  }, listening);
  scroller.addEventListener("scroll", () => {
    // A key that moves the focus also scrolls: its tooltip goes along. Any other scroll leaves the cell.
    if (told && told.cell === focus) tell(focus);
    else leave();
    frame.request();
  }, { ...listening, passive: true });
  scroller.addEventListener("focus", () => {
    focus ??= inside(state.selected) ?? { row: layout.rows - 1, pos: Math.round(scroller.scrollLeft / layout.cellWidth) };
    frame.request();
  }, listening);
  scroller.addEventListener("wheel", untell, { ...listening, passive: true });
  scroller.addEventListener("blur", () => {
    untell();
    frame.request();
  }, listening);
  scroller.addEventListener("keydown", (event) => {
    if (!focus || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const page = Math.max(1, Math.floor((scroller.clientHeight - layout.top - layout.bottom) / CELL_HEIGHT) - 1);
    const next = moveCell(event.key, focus, layout, page);
    if (next) {
      focus = next;
      hover = null;
      const { x, y } = scrollTo(layout, viewport(), focus);
      scroller.scrollTo({ left: x, top: y, behavior: "instant" });
      tell(focus);
    } else if (event.key === "Enter" || event.key === " ") {
      activate(focus);
    } else if (event.key === "Escape") {
      untell();
      choose({ selected: null, pinned: [] });
    } else {
      return;
    }
    // The notebook has its own arrow keys, Enter and Escape: they must not move its cells too.
    event.preventDefault();
    event.stopPropagation();
    frame.request();
  }, listening);
  addEventListener("scroll", (event) => {
    if (event.target !== scroller) untell();
  }, { ...listening, capture: true, passive: true });

  const close = redrawOnChange({ model, traits: TRAITS, root, frame, stopped });
  draw();
  return close;
}

export default { render };
