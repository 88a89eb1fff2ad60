/**
 * FeatureGrid: the features that are active on a prompt, a row each, its tokens to the right. The
 * Python half is workbench/widgets/feature_grid.py.
 *
 * @typedef {import("./lib/grid_geometry.js").Cell} Cell
 * @typedef {import("./feature_grid/state.js").State} State
 * @typedef {import("./lib/lifecycle.js").Model} Model
 */
import { h } from "./lib/dom.js";
import { grid } from "./lib/grid.js";
import { fitCellWidth, moveCell } from "./lib/grid_geometry.js";
import { pointing } from "./lib/pointing.js";
import { themeOf } from "./lib/theme.js";
import { view } from "./lib/view.js";
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
  const shell = view("feature-grid", { model, el, role: "feature grid", traits: TRAITS, draw });
  const { scroller, root, choose } = shell;
  const cells = grid(scroller, "feature-grid");
  const painter = new Painter(cells.context);
  const bar = toolbar(choose);
  const empty = h("p", { class: "feature-grid__empty" });
  scroller.after(empty);
  let state = readState(model);
  /** @type {unknown[]} */
  let readFrom = [];

  /** @type {import("./lib/pointing.js").Pointable<Cell>} */
  const pointable = {
    draw, under, present: cells.has, placeOf: cells.placeOf, reveal: cells.reveal, key,
    content(cell) {
      const feature = featureOf(cell.row);
      return [h("b", {}, short(valueAt(state, feature, cell.pos))), h("div", {}, fullName(state.features[feature]))];
    },
    start: () => (cells.layout.rows > 0 ? { row: cells.layout.rows - 1, pos: 0 } : null),
    click(_, event) {
      const found = cells.under(event);
      if (!found) return;
      const { row, pos } = found;
      choose({ ...(row === null ? {} : { feature: state.features[featureOf(row)].name }), ...(pos === null ? {} : { position: pos }) });
    },
  };
  const pointed = pointing(shell, pointable);

  /** The feature of a row, counted from the lowest. @param {number} row */
  const featureOf = (row) => state.rows[state.rows.length - 1 - row];

  /** @param {MouseEvent} event */
  function under(event) {
    scroller.style.cursor = cells.under(event) ? "pointer" : "default";
    return cells.cellUnder(event);
  }

  /** Whether there is anything new. */
  function read() {
    const from = TRAITS.map((name) => model.get(name));
    if (from.every((item, i) => item === readFrom[i])) return false;
    readFrom = from;
    state = readState(model);
    return true;
  }

  function draw() {
    const anew = read();
    if (root.clientWidth === 0) return;
    const look = themeOf(root);
    bar.update(state, look);
    scroller.hidden = state.rows.length === 0;
    empty.hidden = state.rows.length > 0;
    empty.textContent = state.order === "chosen"
      ? "No feature is chosen: choose some by hand above, or press c on a row."
      : "No feature is active at this position.";
    cells.measure([state, root.clientWidth, look.font], MOST_HEIGHT, (room) => {
      const left = Math.floor(Math.min(ROW_LABELS.most, root.clientWidth * 0.4, Math.max(ROW_LABELS.least, painter.labelWidth(state, look) + 18)));
      const cellWidth = fitCellWidth(room - left, state.tokens.length, CELL_WIDTH.least, CELL_WIDTH.most);
      return { rows: state.rows.length, columns: state.tokens.length, cellWidth, cellHeight: CELL_HEIGHT, left, top: HEADER, bottom: 0 };
    });
    if (anew) pointed.retell();
    const { hover, reached } = pointed.settle();
    painter.paint(state, cells.layout, cells.clear(look.background), look, { hover, focus: reached, selected: selection() });
    shell.head(state, `${state.title || "Feature grid"}: ${cells.layout.rows} features, ${ORDERS[state.order]}, and ${cells.layout.columns} tokens. ${HINT}`);
    const cell = hover ?? reached;
    const selected = state.features.findIndex((feature) => feature.name === state.feature);
    shell.say(cell
      ? placeText(state, featureOf(cell.row), cell.pos)
      : placeText(state, selected < 0 ? null : selected, state.position < 0 ? null : state.position) || HINT);
  }

  /** The row and position selected, as far as they show. */
  function selection() {
    const at = state.rows.findIndex((feature) => state.features[feature].name === state.feature);
    return { row: at < 0 ? null : state.rows.length - 1 - at, pos: state.position < 0 ? null : state.position };
  }

  /** @param {KeyboardEvent} event @param {Cell} focus */
  function key({ key: pressed }, focus) {
    const next = moveCell(pressed, focus, cells.layout, cells.page());
    if (next) return next;
    const { name } = state.features[featureOf(focus.row)];
    if (pressed === "Enter" || pressed === " ") choose({ feature: name, position: focus.pos });
    else if (pressed === "c") choose({ chosen: toggled(state, name) });
    else if (pressed === "Escape") choose({ feature: "", position: -1 });
    else return false;
    return true;
  }

  return shell.open([shell.title, bar.element, shell.stage, shell.readout, shell.tip.element]);
}

export default { render };
