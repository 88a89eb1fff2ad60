/**
 * Draws the part of the grid that shows, with the frozen names of features and tokens.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("../lib/grid_geometry.js").Layout} Layout
 * @typedef {import("../lib/grid_geometry.js").Viewport} Viewport
 * @typedef {import("../lib/grid_geometry.js").Cell} Cell
 * @typedef {import("../lib/theme.js").Theme} Theme
 * @typedef {{hover: Cell | null, focus: Cell | null, selected: {row: number | null, pos: number | null}}} Marks
 */
import { inside, ring, rings, tokenWriter } from "../lib/grid.js";
import { cellOrigin, visibleCells } from "../lib/grid_geometry.js";
import { inkOn } from "../lib/colors.js";
import { shade } from "../lib/sign_colors.js";
import { fitText } from "../lib/fit_text.js";
import { valueAt } from "./state.js";
import { cellText, rowText } from "./text.js";

const TEXT_PX = 12;
const SMALL_PX = 10;

export class Painter {
  /** @param {CanvasRenderingContext2D} context */
  constructor(context) {
    this.context = context;
    this.tokens = tokenWriter(context);
  }

  /**
   * Width of the widest row label, in CSS pixels.
   * @param {State} state
   * @param {Theme} theme
   */
  labelWidth(state, theme) {
    this.context.font = `${TEXT_PX}px ${theme.font}`;
    return Math.ceil(Math.max(0, ...state.rows.map((feature) => this.context.measureText(rowText(state.features[feature])).width)));
  }

  /**
   * @param {State} state
   * @param {Layout} layout
   * @param {Viewport} view
   * @param {Theme} theme
   * @param {Marks} marks
   */
  paint(state, layout, view, theme, marks) {
    const { context } = this;
    const { hover, focus, selected } = marks;
    inside(context, [layout.left, layout.top, view.width - layout.left, view.height - layout.top], () => {
      this.paintCells(state, layout, view, theme);
      const cell = selected.row !== null && selected.pos !== null ? { row: selected.row, pos: selected.pos } : null;
      for (const [name, at] of Object.entries({ hover, selected: cell, focus })) {
        if (at) ring(context, layout, view, at, rings(theme.focus)[/** @type {"hover"} */ (name)]);
      }
    });
    this.paintHeaders(state, layout, view, theme, marks);
  }

  /**
   * @param {State} state
   * @param {Layout} layout
   * @param {Viewport} view
   * @param {Theme} theme
   */
  paintCells(state, layout, view, theme) {
    const { context } = this;
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view);
    context.font = `11px ${theme.font}`;
    context.textAlign = "center";
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let pos = firstPos; pos <= lastPos; pos += 1) {
        const { x, y } = cellOrigin(layout, view, { row, pos });
        const value = valueAt(state, state.rows[layout.rows - 1 - row], pos);
        const unknown = Number.isNaN(value);
        const fill = unknown ? theme.background : shade(value, state.most, theme.background) || theme.header;
        context.fillStyle = fill;
        context.fillRect(x, y, layout.cellWidth - 1, layout.cellHeight - 1);
        const text = cellText(value);
        if (!text) continue;
        context.fillStyle = unknown ? theme.faint : inkOn(fill);
        context.fillText(text, x + (layout.cellWidth - 1) / 2, y + layout.cellHeight / 2, layout.cellWidth - 3);
      }
    }
  }

  /**
   * @param {State} state
   * @param {Layout} layout
   * @param {Viewport} view
   * @param {Theme} theme
   * @param {Marks} marks
   */
  paintHeaders(state, layout, view, theme, { hover, focus, selected }) {
    const { context } = this;
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view);
    const active = hover ?? focus ?? selected;
    const measure = (/** @type {string} */ text) => context.measureText(text).width;
    context.fillStyle = theme.header;
    context.fillRect(0, 0, view.width, layout.top);
    context.fillRect(0, 0, layout.left, view.height);

    inside(context, [layout.left, 0, view.width - layout.left, layout.top], () => {
      for (let pos = firstPos; pos <= lastPos; pos += 1) {
        const { x } = cellOrigin(layout, view, { row: 0, pos });
        const width = layout.cellWidth - 1;
        if (active.pos === pos || selected.pos === pos) {
          context.fillStyle = theme.line;
          context.fillRect(x, 0, width, layout.top - 1);
        }
        this.tokens.centre(state.tokens[pos], { x, middle: 13, width, room: width - 4, ink: theme.ink, font: `${TEXT_PX}px ${theme.font}` });
        context.font = `${SMALL_PX}px ${theme.font}`;
        context.fillStyle = theme.faint;
        context.textAlign = "center";
        context.fillText(String(pos), x + width / 2, 29);
      }
    });

    context.font = `${TEXT_PX}px ${theme.font}`;
    inside(context, [0, layout.top, layout.left, view.height - layout.top], () => {
      for (let row = firstRow; row <= lastRow; row += 1) {
        const { y } = cellOrigin(layout, view, { row, pos: 0 });
        if (active.row === row || selected.row === row) {
          context.fillStyle = theme.line;
          context.fillRect(0, y, layout.left, layout.cellHeight - 1);
        }
        context.textAlign = "left";
        const text = fitText(rowText(state.features[state.rows[layout.rows - 1 - row]]), layout.left - 16, measure);
        context.fillStyle = theme.ink;
        context.fillText(text, 8, y + layout.cellHeight / 2);
      }
    });
    context.font = `${SMALL_PX}px ${theme.font}`;
    context.textAlign = "right";
    context.fillStyle = theme.faint;
    context.fillText("token", layout.left - 8, 13);
    context.fillText("position", layout.left - 8, 29);
    context.fillStyle = theme.line;
    context.fillRect(layout.left - 2, 0, 1, view.height);
    context.fillRect(0, layout.top - 2, view.width, 1);
  }
}
