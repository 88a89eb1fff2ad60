/**
 * Draws the part of the grid that shows on a canvas, the frozen names of features and tokens in the
 * same picture. Text reaches the canvas as text: no token can act as markup.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("../lib/grid_geometry.js").Layout} Layout
 * @typedef {import("../lib/grid_geometry.js").Viewport} Viewport
 * @typedef {import("../lib/grid_geometry.js").Cell} Cell
 * @typedef {import("../lib/theme.js").Theme} Theme
 * @typedef {{hover: Cell | null, focus: Cell | null, selected: {row: number | null, pos: number | null}}} Marks
 */
import { cellOrigin, visibleCells } from "../lib/grid_geometry.js";
import { inkOn } from "../lib/colors.js";
import { shade } from "../lib/sign_colors.js";
import { fitParts, tokenParts } from "../lib/tokens.js";
import { valueAt } from "./state.js";
import { cellText, rowText } from "./text.js";

const TEXT_PX = 12;
const SMALL_PX = 10;

export class Painter {
  /** @param {CanvasRenderingContext2D} context */
  constructor(context) {
    this.context = context;
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
    context.textBaseline = "middle";
    context.fillStyle = theme.background;
    context.fillRect(0, 0, view.width, view.height);
    context.save();
    context.beginPath();
    context.rect(layout.left, layout.top, view.width - layout.left, view.height - layout.top);
    context.clip();
    this.paintCells(state, layout, view, theme);
    const { selected } = marks;
    // Two tones, so that a ring shows on every cell colour.
    if (marks.hover) this.outline(layout, view, marks.hover, [["#000000", 2.5], ["#ffffff", 1]]);
    if (selected.row !== null && selected.pos !== null) {
      this.outline(layout, view, { row: selected.row, pos: selected.pos }, [["#ffffff", 3], ["#000000", 2]]);
    }
    if (marks.focus) this.outline(layout, view, marks.focus, [["#ffffff", 4], [theme.focus, 3]]);
    context.restore();
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
   * @param {Layout} layout
   * @param {Viewport} view
   * @param {Cell} cell
   * @param {[string, number][]} strokes colour and width, the widest first
   */
  outline(layout, view, cell, strokes) {
    const { x, y } = cellOrigin(layout, view, cell);
    for (const [color, width] of strokes) {
      const inset = width / 2;
      this.context.strokeStyle = color;
      this.context.lineWidth = width;
      this.context.strokeRect(x + inset, y + inset, layout.cellWidth - 1 - width, layout.cellHeight - 1 - width);
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

    context.save();
    context.beginPath();
    context.rect(layout.left, 0, view.width - layout.left, layout.top);
    context.clip();
    for (let pos = firstPos; pos <= lastPos; pos += 1) {
      const { x } = cellOrigin(layout, view, { row: 0, pos });
      const width = layout.cellWidth - 1;
      if (active.pos === pos || selected.pos === pos) {
        context.fillStyle = theme.line;
        context.fillRect(x, 0, width, layout.top - 1);
      }
      context.textAlign = "left";
      context.font = `${TEXT_PX}px ${theme.font}`;
      this.paintParts(fitParts(tokenParts(state.tokens[pos]), width - 4, measure), x, 13, width, theme.ink);
      context.font = `${SMALL_PX}px ${theme.font}`;
      context.fillStyle = theme.faint;
      context.textAlign = "center";
      context.fillText(String(pos), x + width / 2, 29);
    }
    context.restore();

    context.font = `${TEXT_PX}px ${theme.font}`;
    context.save();
    context.beginPath();
    context.rect(0, layout.top, layout.left, view.height - layout.top);
    context.clip();
    for (let row = firstRow; row <= lastRow; row += 1) {
      const { y } = cellOrigin(layout, view, { row, pos: 0 });
      if (active.row === row || selected.row === row) {
        context.fillStyle = theme.line;
        context.fillRect(0, y, layout.left, layout.cellHeight - 1);
      }
      context.textAlign = "left";
      const text = rowText(state.features[state.rows[layout.rows - 1 - row]]);
      const [part] = fitParts([{ text, mark: false }], layout.left - 16, measure);
      context.fillStyle = theme.ink;
      context.fillText(part.text, 8, y + layout.cellHeight / 2);
    }
    context.restore();
    context.font = `${SMALL_PX}px ${theme.font}`;
    context.textAlign = "right";
    context.fillStyle = theme.faint;
    context.fillText("token", layout.left - 8, 13);
    context.fillText("position", layout.left - 8, 29);
    context.fillStyle = theme.line;
    context.fillRect(layout.left - 2, 0, 1, view.height);
    context.fillRect(0, layout.top - 2, view.width, 1);
  }

  /**
   * A token in the middle of a width, its signs fainter.
   * @param {import("../lib/tokens.js").Part[]} parts
   * @param {number} x
   * @param {number} middle
   * @param {number} width
   * @param {string} ink
   */
  paintParts(parts, x, middle, width, ink) {
    const { context } = this;
    const widths = parts.map((part) => context.measureText(part.text).width);
    let at = x + (width - widths.reduce((sum, each) => sum + each, 0)) / 2;
    context.fillStyle = ink;
    parts.forEach((part, i) => {
      context.globalAlpha = part.mark && parts.length > 1 ? 0.6 : 1;
      context.fillText(part.text, at, middle);
      at += widths[i];
    });
    context.globalAlpha = 1;
  }
}
