/**
 * Draws the part of the grid that shows on a canvas. A canvas, because 48 × 512 cells of text in the
 * document scroll at a few frames a second; frozen headers are in the same picture, so that they can
 * never lag behind the cells. Text reaches the canvas as text: no token can act as markup.
 *
 * Layers go upwards, as networks are drawn. The prompt's tokens are below the lowest row, where they
 * enter the model; the true next tokens, where given, are above the highest, which should become them.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("../lib/grid_geometry.js").Layout} Layout
 * @typedef {import("../lib/grid_geometry.js").Viewport} Viewport
 * @typedef {import("../lib/grid_geometry.js").Cell} Cell
 * @typedef {{background: string, header: string, ink: string, faint: string, line: string,
 *   focus: string, empty: string, font: string}} Theme
 * @typedef {{hover: Cell | null, focus: Cell | null}} Marks
 */
import { cellOrigin, visibleCells } from "../lib/grid_geometry.js";
import { colorScale } from "../lib/color_scale.js";
import { PIN_COLORS, colorTable, inkOn } from "../lib/colors.js";
import { fitParts, tokenParts } from "../lib/tokens.js";
import { topId, valueAt } from "./state.js";
import { cellLabel } from "./text.js";

const TEXT_PX = 12;
const SMALL_PX = 10;
const FAINT = 0.6;

/** @param {State} state */
export function stateScale({ quantity }) {
  return colorScale(quantity.scale, quantity.low, quantity.high);
}

/** @param {State} state */
export function stateColors({ quantity, scheme }) {
  return colorTable(scheme, quantity.scale === "diverging");
}

export class Painter {
  /** @param {CanvasRenderingContext2D} context */
  constructor(context) {
    this.context = context;
    /** @type {Map<string, {text: string, mark: boolean, width: number}[]>} */
    this.fitted = new Map();
    this.fittedFor = "";
  }

  /**
   * Width of the widest row label, in CSS pixels.
   * @param {string[]} labels
   * @param {Theme} theme
   */
  labelWidth(labels, theme) {
    this.context.font = `${TEXT_PX}px ${theme.font}`;
    return Math.ceil(Math.max(...labels.map((label) => this.context.measureText(label).width)));
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
    const key = `${layout.cellWidth} ${theme.font}`;
    if (key !== this.fittedFor || this.fitted.size > 20000) this.fitted.clear();
    this.fittedFor = key;
    context.textBaseline = "middle";
    context.fillStyle = theme.background;
    context.fillRect(0, 0, view.width, view.height);
    context.save();
    context.beginPath();
    context.rect(layout.left, layout.top, view.width - layout.left, view.height - layout.top - layout.bottom);
    context.clip();
    this.paintCells(state, layout, view, theme);
    this.paintMarks(state, layout, view, theme, marks);
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
    const { fill, ink } = stateColors(state);
    const scale = stateScale(state);
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view);
    context.font = `${TEXT_PX}px ${theme.font}`;
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let pos = firstPos; pos <= lastPos; pos += 1) {
        const { x, y } = cellOrigin(layout, view, { row, pos });
        const step = scale.step(valueAt(state.quantity, row, pos));
        context.fillStyle = step < 0 ? theme.empty : fill[step];
        context.fillRect(x, y, layout.cellWidth - 1, layout.cellHeight - 1);
        const token = cellLabel(state, { row, pos });
        const textInk = step < 0 ? inkOn(theme.empty) : ink[step];
        this.paintToken(token, x, y + layout.cellHeight / 2, layout.cellWidth - 1, textInk);
      }
    }
  }

  /**
   * A token in the middle of a width, its signs fainter.
   * @param {string} token
   * @param {number} x
   * @param {number} middle
   * @param {number} width
   * @param {string} ink
   */
  paintToken(token, x, middle, width, ink) {
    const { context } = this;
    let parts = this.fitted.get(token);
    if (!parts) {
      const measure = (/** @type {string} */ text) => context.measureText(text).width;
      parts = fitParts(tokenParts(token), width - 8, measure).map((part) => ({ ...part, width: measure(part.text) }));
      this.fitted.set(token, parts);
    }
    let at = x + (width - parts.reduce((sum, part) => sum + part.width, 0)) / 2;
    context.fillStyle = ink;
    context.textAlign = "left";
    // A token of signs alone has nothing else to read: its signs keep the full contrast.
    const faint = parts.some((part) => !part.mark) ? FAINT : 1;
    for (const part of parts) {
      context.globalAlpha = part.mark ? faint : 1;
      context.fillText(part.text, at, middle);
      at += part.width;
    }
    context.globalAlpha = 1;
  }

  /**
   * Outlines: where a pinned token is on top, the selected cell, the one under the pointer, the focused.
   * @param {State} state
   * @param {Layout} layout
   * @param {Viewport} view
   * @param {Theme} theme
   * @param {Marks} marks
   */
  paintMarks(state, layout, view, theme, marks) {
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view);
    state.pinned.forEach((pin, i) => {
      if (pin.pos < firstPos || pin.pos > lastPos) return;
      for (let row = firstRow; row <= lastRow; row += 1) {
        if (topId(state.panel, row, pin.pos) === pin.id) {
          this.outline(layout, view, { row, pos: pin.pos }, [["#ffffff", 3.5], [PIN_COLORS[i % PIN_COLORS.length], 2.5]]);
        }
      }
    });
    // Two tones, so that a ring shows on every cell colour.
    if (marks.hover) this.outline(layout, view, marks.hover, [["#000000", 2.5], ["#ffffff", 1]]);
    if (state.selected) this.outline(layout, view, state.selected, [["#ffffff", 3], ["#000000", 2]]);
    if (marks.focus) this.outline(layout, view, marks.focus, [["#ffffff", 4], [theme.focus, 3]]);
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
  paintHeaders(state, layout, view, theme, marks) {
    const { context } = this;
    const foot = view.height - layout.bottom;
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view);
    const active = marks.hover ?? marks.focus ?? state.selected;
    context.fillStyle = theme.header;
    context.fillRect(0, 0, view.width, layout.top);
    context.fillRect(0, foot, view.width, layout.bottom);
    context.fillRect(0, 0, layout.left, view.height);

    context.save();
    context.beginPath();
    context.rect(layout.left, 0, view.width - layout.left, view.height);
    context.clip();
    for (let pos = firstPos; pos <= lastPos; pos += 1) {
      const { x } = cellOrigin(layout, view, { row: 0, pos });
      const width = layout.cellWidth - 1;
      context.font = `${TEXT_PX}px ${theme.font}`;
      if (active?.pos === pos) {
        context.fillStyle = theme.line;
        context.fillRect(x, foot, width, layout.bottom);
      }
      this.paintToken(state.tokens[pos], x, foot + 14, width, theme.ink);
      if (layout.top > 0 && state.nextToken[pos]) this.paintToken(state.nextToken[pos], x, layout.top / 2, width, theme.ink);
      context.font = `${SMALL_PX}px ${theme.font}`;
      context.fillStyle = theme.faint;
      context.textAlign = "center";
      context.fillText(String(pos), x + width / 2, foot + 30);
      this.paintPinDots(state, pos, x + width / 2, foot + 3);
    }
    context.restore();

    context.font = `${TEXT_PX}px ${theme.font}`;
    context.textAlign = "right";
    context.save();
    context.beginPath();
    context.rect(0, layout.top, layout.left, foot - layout.top);
    context.clip();
    for (let row = firstRow; row <= lastRow; row += 1) {
      const { y } = cellOrigin(layout, view, { row, pos: 0 });
      if (active?.row === row) {
        context.fillStyle = theme.line;
        context.fillRect(0, y, layout.left, layout.cellHeight - 1);
      }
      context.fillStyle = theme.ink;
      context.fillText(state.panel.rows[row], layout.left - 8, y + layout.cellHeight / 2, layout.left - 12);
    }
    context.restore();

    context.font = `${SMALL_PX}px ${theme.font}`;
    context.fillStyle = theme.faint;
    context.fillText("input", layout.left - 8, foot + 14);
    context.fillText("position", layout.left - 8, foot + 30);
    if (layout.top > 0) context.fillText("next", layout.left - 8, layout.top / 2);
    context.fillStyle = theme.line;
    context.fillRect(layout.left - 2, 0, 1, view.height);
    context.fillRect(0, foot - 1, view.width, 1);
    if (layout.top > 0) context.fillRect(0, layout.top - 2, view.width, 1);
  }

  /**
   * Dots over a position's token, one a pin.
   * @param {State} state
   * @param {number} pos
   * @param {number} x
   * @param {number} y
   */
  paintPinDots(state, pos, x, y) {
    const pins = state.pinned.flatMap((pin, i) => (pin.pos === pos ? [i] : []));
    pins.forEach((index, i) => {
      this.context.fillStyle = PIN_COLORS[index % PIN_COLORS.length];
      this.context.beginPath();
      this.context.arc(x + (i - (pins.length - 1) / 2) * 8, y, 2.5, 0, 2 * Math.PI);
      this.context.fill();
    });
  }
}
