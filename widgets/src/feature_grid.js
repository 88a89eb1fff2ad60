/**
 * FeatureGrid: the features that are active on a prompt, a row each, its tokens to the right. The
 * Python half is workbench/widgets/feature_grid.py.
 *
 * @typedef {import("./lib/grid_geometry.js").Cell} Cell
 * @typedef {import("./lib/grid_geometry.js").Layout} Layout
 * @typedef {import("./feature_grid/state.js").State} State
 * @typedef {import("./lib/lifecycle.js").Model} Model
 */
import { OWN_KEYS, frameScheduler, h } from "./lib/dom.js";
import { cellOrigin, contentSize, fitCellWidth, hit, moveCell, scrollTo } from "./lib/grid_geometry.js";
import { redrawOnChange } from "./lib/lifecycle.js";
import { themeOf } from "./lib/theme.js";
import { tooltip } from "./lib/tooltip.js";
import { Painter } from "./feature_grid/painter.js";
import { ORDERS, TRAITS, readState, toggled, valueAt } from "./feature_grid/state.js";
import { fullName, placeText, short } from "./feature_grid/text.js";
import { toolbar } from "./feature_grid/toolbar.js";

export { StandInModel } from "./lib/stand_in.js";

const CELL_HEIGHT = 24;
const CELL_WIDTH = { least: 44, most: 84 };
const HEADER = 40;
const ROW_LABELS = { least: 90, most: 220 };
const MOST_HEIGHT = 640;
const HINT = "Point at a cell. Arrow keys move, Enter selects, c chooses the feature by hand, Escape selects nothing.";

/**
 * Draws a view of the model into an element.
 * @param {{model: Model, el: HTMLElement}} context
 * @returns {() => void} takes the view apart
 */
function render({ model, el }) {
  const stopped = new AbortController();
  const listening = { signal: stopped.signal };
  const title = h("div", { class: "feature-grid__title" });
  const canvas = h("canvas", { class: "feature-grid__canvas", "aria-hidden": "true" });
  const spacer = h("div", { class: "feature-grid__spacer" }, canvas);
  const scroller = h("div", {
    class: "feature-grid__scroll", tabindex: 0, role: "application", "aria-roledescription": "feature grid", ...OWN_KEYS,
  }, spacer);
  const empty = h("p", { class: "feature-grid__empty" });
  const status = h("div", { class: "feature-grid__status", role: "status" });
  const stage = h("div", { class: "feature-grid__stage" }, scroller, empty, status);
  const readout = h("p", { class: "feature-grid__readout", "aria-live": "polite" });
  const bar = toolbar(choose);
  const tip = tooltip("feature-grid");
  const root = h("div", { class: "workbench-widget feature-grid" }, title, bar.element, stage, readout, tip.element);
  el.append(root);

  const painter = new Painter(/** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")));
  const frame = frameScheduler(draw);
  let state = readState(model);
  /** @type {unknown[]} */
  let readFrom = [];
  /** @type {Layout} */
  let layout = { rows: 0, columns: 0, cellWidth: 1, cellHeight: CELL_HEIGHT, left: 0, top: HEADER, bottom: 0 };
  /** @type {Cell | null} */
  let hover = null;
  /** @type {Cell | null} */
  let focus = null;

  /** @param {Partial<import("./feature_grid/state.js").Choice>} changes */
  function choose(changes) {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  }

  const viewport = () => ({ width: scroller.clientWidth, height: scroller.clientHeight, x: scroller.scrollLeft, y: scroller.scrollTop });
  /** The feature of a row, counted from the lowest. @param {number} row */
  const featureOf = (row) => state.rows[state.rows.length - 1 - row];

  function read() {
    const key = TRAITS.map((name) => model.get(name));
    if (key.every((item, i) => item === readFrom[i])) return;
    if (key.some((item, i) => item !== readFrom[i] && TRAITS[i] !== "position" && TRAITS[i] !== "feature")) hover = null;
    readFrom = key;
    state = readState(model);
  }

  /** @param {import("./lib/theme.js").Theme} look */
  function measure(look) {
    const rows = state.rows.length;
    const left = Math.min(ROW_LABELS.most, root.clientWidth * 0.4, Math.max(ROW_LABELS.least, painter.labelWidth(state, look) + 18));
    const height = HEADER + rows * CELL_HEIGHT;
    scroller.style.maxWidth = "";
    scroller.style.overflowY = height > MOST_HEIGHT ? "scroll" : "hidden";
    const cellWidth = fitCellWidth(scroller.clientWidth - left, state.tokens.length, CELL_WIDTH.least, CELL_WIDTH.most);
    layout = { rows, columns: state.tokens.length, cellWidth, cellHeight: CELL_HEIGHT, left: Math.floor(left), top: HEADER, bottom: 0 };
    const size = contentSize(layout);
    scroller.style.overflowX = size.width > scroller.clientWidth ? "scroll" : "hidden";
    const scrollbar = scroller.offsetHeight - scroller.clientHeight;
    // The frame ends where the last column does.
    scroller.style.maxWidth = `${size.width + scroller.offsetWidth - scroller.clientWidth}px`;
    scroller.style.height = `${Math.min(MOST_HEIGHT, height) + scrollbar}px`;
    Object.assign(spacer.style, { width: `${size.width}px`, height: `${size.height}px` });
    const ratio = devicePixelRatio || 1;
    const view = viewport();
    const [across, down] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
    if (canvas.width !== across || canvas.height !== down) {
      Object.assign(canvas, { width: across, height: down });
      Object.assign(canvas.style, { width: `${view.width}px`, height: `${view.height}px` });
    }
    painter.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  /** @type {unknown[]} */
  let measured = [];

  function draw() {
    read();
    if (root.clientWidth === 0) return;
    const look = themeOf(root);
    title.textContent = state.title;
    title.hidden = state.title === "";
    bar.update(state, look);
    scroller.hidden = state.rows.length === 0;
    empty.hidden = state.rows.length > 0;
    empty.textContent = state.order === "chosen"
      ? "No feature is chosen: choose some by hand above, or press c on a row."
      : "No feature is active at this position.";
    // Scrolling draws many frames and changes none of this; measuring makes the browser lay out anew.
    const key = [state, root.clientWidth, look.font, devicePixelRatio];
    if (key.some((item, i) => item !== measured[i])) {
      measured = key;
      measure(look);
      if (!hover) tip.hide();
    }
    focus = inside(focus);
    painter.paint(state, layout, viewport(), look, { hover: inside(hover), focus: hasFocus() ? focus : null, selected: selection() });
    status.textContent = state.status;
    stage.classList.toggle("is-stale", state.status !== "");
    stage.classList.toggle("is-error", state.status.startsWith("error"));
    scroller.setAttribute("aria-label", `${state.title || "Feature grid"}: ${layout.rows} features, ${ORDERS[state.order]}, and ${layout.columns} tokens. ${HINT}`);
    say();
  }

  /** The row and position selected, as far as they show. */
  function selection() {
    const at = state.rows.findIndex((feature) => state.features[feature].name === state.feature);
    return { row: at < 0 ? null : state.rows.length - 1 - at, pos: state.position < 0 ? null : state.position };
  }

  function say() {
    const cell = inside(hover) ?? (hasFocus() ? focus : null);
    const selected = state.features.findIndex((feature) => feature.name === state.feature);
    const words = cell
      ? placeText(state, featureOf(cell.row), cell.pos)
      : placeText(state, selected < 0 ? null : selected, state.position < 0 ? null : state.position) || HINT;
    if (readout.textContent !== words) readout.textContent = words;
  }

  /** @param {Cell | null} cell */
  const inside = (cell) => (cell && cell.row < layout.rows && cell.pos < layout.columns ? cell : null);

  function hasFocus() {
    return /** @type {Document | ShadowRoot} */ (root.getRootNode()).activeElement === scroller;
  }

  /** @param {MouseEvent} event */
  function under(event) {
    const box = canvas.getBoundingClientRect();
    return hit(layout, viewport(), event.clientX - box.x, event.clientY - box.y);
  }

  /** @param {Cell} cell */
  function tell(cell) {
    const feature = featureOf(cell.row);
    const origin = cellOrigin(layout, viewport(), cell);
    const box = canvas.getBoundingClientRect();
    tip.show(
      [h("b", {}, short(valueAt(state, feature, cell.pos))), h("div", {}, fullName(state.features[feature]))],
      new DOMRect(box.x + origin.x, box.y + origin.y, layout.cellWidth, layout.cellHeight),
    );
  }

  function leave() {
    tip.hide();
    hover = null;
    frame.request();
  }

  scroller.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const found = under(event);
    scroller.style.cursor = found ? "pointer" : "default";
    if (!found || found.row === null || found.pos === null) {
      leave();
    } else if (found.row !== hover?.row || found.pos !== hover.pos) {
      hover = { row: found.row, pos: found.pos };
      tell(hover);
      frame.request();
    }
  }, listening);
  scroller.addEventListener("pointerleave", leave, listening);
  scroller.addEventListener("click", (event) => {
    const found = under(event);
    if (!found) return;
    const { row, pos } = found;
    if (row !== null && pos !== null) focus = { row, pos };
    choose({ ...(row === null ? {} : { feature: state.features[featureOf(row)].name }), ...(pos === null ? {} : { position: pos }) });
  }, listening);
  scroller.addEventListener("scroll", () => {
    tip.hide();
    frame.request();
  }, { ...listening, passive: true });
  scroller.addEventListener("focus", () => {
    focus ??= layout.rows > 0 ? { row: layout.rows - 1, pos: 0 } : null;
    frame.request();
  }, listening);
  scroller.addEventListener("blur", leave, listening);
  scroller.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || layout.rows === 0) return;
    focus = inside(focus) ?? { row: layout.rows - 1, pos: 0 };
    const page = Math.max(1, Math.floor((scroller.clientHeight - HEADER) / CELL_HEIGHT));
    const next = moveCell(event.key, focus, layout, page);
    const { name } = state.features[featureOf(focus.row)];
    if (next) focus = next;
    else if (event.key === "Enter" || event.key === " ") choose({ feature: name, position: focus.pos });
    else if (event.key === "c") choose({ chosen: toggled(state, name) });
    else if (event.key === "Escape") choose({ feature: "", position: -1 });
    else return;
    // The notebook has its own arrow keys, c and Escape: they must not act on its cells too.
    event.preventDefault();
    event.stopPropagation();
    hover = null;
    draw();
    if (next) {
      const { x, y } = scrollTo(layout, viewport(), next);
      scroller.scrollTo({ left: x, top: y, behavior: "instant" });
      tell(next);
    } else {
      tip.hide();
    }
  }, listening);
  addEventListener("scroll", (event) => {
    if (event.target !== scroller) tip.hide();
  }, { ...listening, capture: true, passive: true });

  const close = redrawOnChange({ model, traits: TRAITS, root, frame, stopped });
  draw();
  return close;
}

export default { render };
