/**
 * TokenGrid: rows (layers) × positions with the top token in each cell. The Python half is
 * workbench/widgets/token_grid.py.
 *
 * @typedef {import("./lib/grid_geometry.js").Cell} Cell
 * @typedef {import("./token_grid/state.js").State} State
 * @typedef {import("./lib/lifecycle.js").Model} Model
 */
import { grid } from "./lib/grid.js";
import { fitCellWidth, moveCell } from "./lib/grid_geometry.js";
import { pointing } from "./lib/pointing.js";
import { themeOf } from "./lib/theme.js";
import { view } from "./lib/view.js";
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
  const shell = view("token-grid", { model, el, role: "token grid", traits: TRAITS, draw });
  const { scroller, root, tip, choose } = shell;
  const cells = grid(scroller, "token-grid");
  const painter = new Painter(cells.context);
  const bar = toolbar(choose);
  const below = details((pin) => choose({ pinned: togglePin(state.pinned, pin) }));
  let state = readState(model);
  /** Which data the tooltip was written from. @type {unknown[]} */
  let toldFrom = [];

  /** @type {import("./lib/pointing.js").Pointable<Cell>} */
  const pointable = {
    draw, under: cells.cellUnder, present: cells.has, placeOf: cells.placeOf, reveal: cells.reveal,
    content: (cell) => cellContent(state, cell),
    start: () => inside(state.selected) ?? { row: cells.layout.rows - 1, pos: Math.round(scroller.scrollLeft / cells.layout.cellWidth) },
    click: (cell) => cell && activate(cell),
    key,
    beside(event) {
      const found = cells.under(event);
      if (!found || found.row !== null || found.pos === null) return;
      const column = cells.placeOf({ row: 0, pos: found.pos });
      tip.show(headerContent(state, found.pos), new DOMRect(column.x, event.clientY - 12, column.width, 24));
    },
  };
  const pointed = pointing(shell, pointable);

  function draw() {
    state = readState(model);
    if (root.clientWidth === 0) return;
    const look = { ...themeOf(root), empty: getComputedStyle(root).getPropertyValue("--token-grid-empty").trim() };
    bar.update(state);
    const { rows } = state.panel;
    cells.measure([rows, state.tokens.length, state.nextToken.length, root.clientWidth, look.font], MOST_HEIGHT, (room) => {
      const left = Math.min(150, Math.max(56, painter.labelWidth(rows, look) + 16));
      const cellWidth = fitCellWidth(room - left, state.tokens.length, CELL_WIDTH.least, CELL_WIDTH.most);
      const top = state.nextToken.length > 0 ? HEADER.next : 0;
      return { rows: rows.length, columns: state.tokens.length, cellWidth, cellHeight: CELL_HEIGHT, left, top, bottom: HEADER.input };
    });
    const from = [state.panel, state.quantity, state.tokens];
    if (from.some((part, i) => part !== toldFrom[i])) pointed.retell();
    toldFrom = from;
    const { hover, reached } = pointed.settle();
    painter.paint(state, cells.layout, cells.clear(look.background), look, { hover, focus: reached });
    const keys = hasTokens(state.panel)
      ? "Arrow keys move, Enter pins the cell's top token, Escape unpins all."
      : "Arrow keys move, Enter selects the cell, Escape clears the selection.";
    shell.head(state, `${state.title || "Token grid"}: ${cells.layout.rows} rows, ${cells.layout.columns} positions. ${keys}`);
    const spoken = hover ?? reached ?? inside(state.selected);
    const use = hasTokens(state.panel) ? "pin its token" : "select it";
    shell.say(spoken ? cellText(state, spoken) : `Point at a cell or move with the arrow keys; click or press Enter to ${use}.`);
    below.update(state);
  }

  /** @param {Cell | null} cell */
  const inside = (cell) => (cell && cells.has(cell) ? cell : null);

  /** @param {Cell} cell */
  function activate(cell) {
    const [best] = candidates(state, cell);
    const pinned = best ? togglePin(state.pinned, { pos: cell.pos, token: best.token, id: best.id }) : state.pinned;
    choose({ selected: cell, pinned });
  }

  /** @param {KeyboardEvent} event @param {Cell} focus */
  function key({ key: pressed, shiftKey }, focus) {
    if (shiftKey) return false;
    const next = moveCell(pressed, focus, cells.layout, cells.page());
    if (next) return next;
    if (pressed === "Escape") choose({ selected: null, pinned: [] });
    else if (pressed === "Enter" || pressed === " ") activate(focus);
    else return false;
    return pressed === "Escape" ? true : focus;
  }

  return shell.open([shell.title, bar.element, shell.stage, shell.readout, below.element, tip.element]);
}

export default { render };
