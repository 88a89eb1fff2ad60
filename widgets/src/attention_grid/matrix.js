/**
 * The enlarged head: destinations downwards, sources to the right, their tokens beside and below.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("../lib/theme.js").Theme} Theme
 * @typedef {import("../lib/grid_geometry.js").Viewport} Viewport
 * @typedef {{dst: number, src: number | null}} Pair src is null where a whole token is meant
 * @typedef {{shown: number, pair: Pair | null}} Marks shown: the position whose weights stand out
 */
import { colorScale } from "../lib/color_scale.js";
import { colorTable } from "../lib/colors.js";
import { grid, inside, outline, tokenWriter } from "../lib/grid.js";
import { cellOrigin, fitCellWidth, visibleCells } from "../lib/grid_geometry.js";
import { headHigh, weightAt } from "./state.js";
import { DESTINATION, SOURCE } from "./colors.js";

const CELL = { least: 6, most: 44 };
const MOST_HEIGHT = 620;
const LABEL = { least: 40, most: 96, pitch: 12, font: 11 };
/** Room for the half of a label that sticks out over the first row, column and their frames. */
const MARGIN = 7;

/** @param {HTMLElement} scroller @param {AbortSignal} signal @param {() => void} redraw */
export function matrix(scroller, signal, redraw) {
  const cells = grid(scroller, "attention-grid");
  const { context } = cells;
  const writer = tokenWriter(context);
  scroller.addEventListener("scroll", redraw, { signal, passive: true });

  /** @param {string} token @param {Theme} look */
  const fitted = (token, look) => writer.fit(token, LABEL.most - 12 - MARGIN, `${LABEL.font}px ${look.font}`);

  /**
   * @param {State} state
   * @param {Theme} look
   * @param {Marks} marks
   * @param {number} room width that the matrix may take
   */
  function update(state, look, marks, room) {
    const { tokens } = state;
    cells.measure([tokens, look.font, room], MOST_HEIGHT, (space) => {
      const widest = Math.max(...tokens.map((token) => fitted(token, look).width));
      const label = Math.ceil(Math.max(LABEL.least, widest + 12 + MARGIN));
      const most = Math.min(space, MOST_HEIGHT) - label - MARGIN;
      const cell = fitCellWidth(most, tokens.length, CELL.least, CELL.most);
      return { rows: tokens.length, columns: tokens.length, cellWidth: cell, cellHeight: cell, left: label, top: MARGIN, bottom: label };
    });
    const { layout } = cells;
    const view = cells.clear(look.background);
    inside(context, [layout.left - 3, 0, view.width - layout.left + 3, view.height - layout.bottom + 3], () => {
      paintCells(state, look, view);
      paintMarks(view, marks);
    });
    paintLabels(state, look, view, marks);
  }

  /** The row of the geometry, which counts from below, of a destination. @param {number} dst */
  const rowOf = (dst) => cells.layout.rows - 1 - dst;

  /** @param {State} state @param {Theme} look @param {Viewport} view */
  function paintCells(state, look, view) {
    const { layout } = cells;
    const { fill } = colorTable("viridis", false);
    const scale = colorScale("sequential", 0, headHigh(state));
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view);
    const cell = layout.cellWidth;
    // A gap between small cells would take too much of them.
    const side = cell >= 14 ? cell - 1 : cell;
    for (let row = firstRow; row <= lastRow; row += 1) {
      const dst = rowOf(row);
      for (let src = firstPos; src <= lastPos; src += 1) {
        const { x, y } = cellOrigin(layout, view, { row, pos: src });
        const step = headHigh(state) > 0 ? scale.step(weightAt(state, state.layerIndex, state.head, dst, src)) : 0;
        context.fillStyle = src > dst ? look.header : fill[step];
        context.fillRect(x, y, side, side);
      }
    }
  }

  /** @param {Viewport} view @param {Marks} marks */
  function paintMarks(view, { shown, pair }) {
    const { layout } = cells;
    const n = layout.rows;
    const cell = layout.cellWidth;
    const self = cellOrigin(layout, view, { row: rowOf(shown), pos: shown });
    const first = cellOrigin(layout, view, { row: rowOf(shown), pos: 0 });
    // Around the cells, not over them: small ones would vanish under a frame.
    const strip = { x: first.x - 1.5, y: first.y - 1.5, width: (shown + 1) * cell + 2, height: cell + 2 };
    const column = { x: self.x - 1.5, y: self.y - 1.5, width: cell + 2, height: (n - shown) * cell + 2 };
    outline(context, column, [["#ffffff", 3], [DESTINATION, 2]]);
    outline(context, strip, [["#ffffff", 3], [SOURCE, 2]]);
    if (pair && pair.src !== null) {
      const { x, y } = cellOrigin(layout, view, { row: rowOf(pair.dst), pos: pair.src });
      outline(context, { x: x - 1, y: y - 1, width: cell + 1, height: cell + 1 }, [["#ffffff", 4], ["#000000", 2]]);
    }
  }

  /**
   * Tokens beside the rows and below the columns. Where they stand too close for all, every second,
   * third … is named, and those pointed at in place of their neighbours.
   * @param {State} state
   * @param {Theme} look
   * @param {Viewport} view
   * @param {Marks} marks
   */
  function paintLabels(state, look, view, { shown, pair }) {
    const { layout } = cells;
    const foot = view.height - layout.bottom;
    const cell = layout.cellWidth;
    const stride = Math.ceil(LABEL.pitch / cell);
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view);
    context.fillStyle = look.background;
    context.fillRect(0, 0, layout.left - 3, view.height);
    context.fillRect(0, foot + 3, view.width, layout.bottom);

    const rows = new Set([pair?.dst ?? shown]);
    const columns = new Set([pair ? (pair.src ?? shown) : shown]);
    const named = (/** @type {Set<number>} */ strong, /** @type {number} */ pos) =>
      strong.has(pos) || (pos % stride === 0 && [...strong].every((other) => Math.abs(other - pos) >= stride));
    inside(context, [0, 0, layout.left, foot], () => {
      for (let row = firstRow; row <= lastRow; row += 1) {
        const dst = rowOf(row);
        if (!named(rows, dst)) continue;
        const { y } = cellOrigin(layout, view, { row, pos: 0 });
        paintLabel(state.tokens[dst], layout.left - 8, y + cell / 2, look, rows.has(dst));
      }
    });
    inside(context, [layout.left - MARGIN, foot, view.width - layout.left + MARGIN, layout.bottom], () => {
      for (let src = firstPos; src <= lastPos; src += 1) {
        if (!named(columns, src)) continue;
        const { x } = cellOrigin(layout, view, { row: 0, pos: src });
        context.save();
        context.translate(x + cell / 2, foot + 8);
        context.rotate(-Math.PI / 2);
        paintLabel(state.tokens[src], 0, 0, look, columns.has(src));
        context.restore();
      }
    });
  }

  /**
   * @param {string} token
   * @param {number} right where it ends
   * @param {number} middle
   * @param {Theme} look
   * @param {boolean} strong
   */
  function paintLabel(token, right, middle, look, strong) {
    const { parts, width } = fitted(token, look);
    if (strong) {
      context.fillStyle = look.line;
      context.fillRect(right - width - 3, middle - 7, width + 6, 14);
    }
    writer.write(parts, right - width, middle, look.ink);
  }

  /**
   * The pair under the pointer; a label stands for its token.
   * @param {MouseEvent} event
   * @returns {Pair | null}
   */
  function under(event) {
    const found = cells.under(event);
    if (!found) return null;
    if (found.row === null) return found.pos === null ? null : { dst: found.pos, src: null };
    return { dst: rowOf(found.row), src: found.pos };
  }

  /**
   * The pair that a key leads to, null for a key that does not move.
   * @param {string} key
   * @param {Pair} pair
   * @returns {{dst: number, src: number} | null}
   */
  function move(key, { dst, src }) {
    const last = cells.layout.rows - 1;
    const from = src ?? dst;
    /** @type {Record<string, {dst: number, src: number}>} */
    const moves = {
      ArrowLeft: { dst, src: from - 1 },
      ArrowRight: { dst, src: from + 1 },
      ArrowUp: { dst: dst - 1, src: from },
      ArrowDown: { dst: dst + 1, src: from },
      Home: { dst, src: 0 },
      End: { dst, src: dst },
    };
    const next = moves[key];
    if (!next) return null;
    const inside = Math.min(last, Math.max(0, next.dst));
    return { dst: inside, src: Math.min(inside, Math.max(0, next.src)) };
  }

  /** @param {{dst: number, src: number}} pair */
  const reveal = ({ dst, src }) => cells.reveal({ row: rowOf(dst), pos: src });

  return { element: scroller, update, under, move, reveal };
}
