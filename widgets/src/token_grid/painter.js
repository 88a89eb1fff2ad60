/**
 * Draws the part of the grid that shows.
 *
 * Layers go upwards, as networks are drawn. The prompt's tokens are below the lowest row, where they
 * enter the model; the true next tokens, where given, are above the highest, which should become them.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("../lib/grid_geometry.js").Layout} Layout
 * @typedef {import("../lib/grid_geometry.js").Viewport} Viewport
 * @typedef {import("../lib/grid_geometry.js").Cell} Cell
 * @typedef {import("../lib/theme.js").Theme & {empty: string}} Theme
 * @typedef {{hover: Cell | null, focus: Cell | null}} Marks
 */
import { inside, ring, rings, tokenWriter } from "../lib/grid.js";
import { cellOrigin, visibleCells } from "../lib/grid_geometry.js";
import { colorScale } from "../lib/color_scale.js";
import { PIN_COLORS, colorTable, inkOn } from "../lib/colors.js";
import { topId, valueAt } from "./state.js";
import { cellLabel } from "./text.js";

const TEXT_PX = 12;
const SMALL_PX = 10;

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
    this.tokens = tokenWriter(context);
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
    inside(context, [layout.left, layout.top, view.width - layout.left, view.height - layout.top - layout.bottom], () => {
      this.paintCells(state, layout, view, theme);
      this.paintMarks(state, layout, view, theme, marks);
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
    const { fill, ink } = stateColors(state);
    const scale = stateScale(state);
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view);
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let pos = firstPos; pos <= lastPos; pos += 1) {
        const { x, y } = cellOrigin(layout, view, { row, pos });
        const step = scale.step(valueAt(state.quantity, row, pos));
        context.fillStyle = step < 0 ? theme.empty : fill[step];
        context.fillRect(x, y, layout.cellWidth - 1, layout.cellHeight - 1);
        const token = cellLabel(state, { row, pos });
        const textInk = step < 0 ? inkOn(theme.empty) : ink[step];
        this.paintToken(token, x, y + layout.cellHeight / 2, layout.cellWidth - 1, textInk, theme);
      }
    }
  }

  /**
   * @param {string} token
   * @param {number} x
   * @param {number} middle
   * @param {number} width
   * @param {string} ink
   * @param {Theme} theme
   */
  paintToken(token, x, middle, width, ink, { font }) {
    this.tokens.centre(token, { x, middle, width, room: width - 8, ink, font: `${TEXT_PX}px ${font}` });
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
          ring(this.context, layout, view, { row, pos: pin.pos }, [["#ffffff", 3.5], [PIN_COLORS[i % PIN_COLORS.length], 2.5]]);
        }
      }
    });
    for (const [name, cell] of Object.entries({ hover: marks.hover, selected: state.selected, focus: marks.focus })) {
      if (cell) ring(this.context, layout, view, cell, rings(theme.focus)[/** @type {"hover"} */ (name)]);
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

    inside(context, [layout.left, 0, view.width - layout.left, view.height], () => {
      for (let pos = firstPos; pos <= lastPos; pos += 1) {
        const { x } = cellOrigin(layout, view, { row: 0, pos });
        const width = layout.cellWidth - 1;
        if (active?.pos === pos) {
          context.fillStyle = theme.line;
          context.fillRect(x, foot, width, layout.bottom);
        }
        this.paintToken(state.tokens[pos], x, foot + 14, width, theme.ink, theme);
        if (layout.top > 0 && state.nextToken[pos]) this.paintToken(state.nextToken[pos], x, layout.top / 2, width, theme.ink, theme);
        context.font = `${SMALL_PX}px ${theme.font}`;
        context.fillStyle = theme.faint;
        context.textAlign = "center";
        context.fillText(String(pos), x + width / 2, foot + 30);
        this.paintPinDots(state, pos, x + width / 2, foot + 3);
      }
    });

    context.font = `${TEXT_PX}px ${theme.font}`;
    context.textAlign = "right";
    inside(context, [0, layout.top, layout.left, foot - layout.top], () => {
      for (let row = firstRow; row <= lastRow; row += 1) {
        const { y } = cellOrigin(layout, view, { row, pos: 0 });
        if (active?.row === row) {
          context.fillStyle = theme.line;
          context.fillRect(0, y, layout.left, layout.cellHeight - 1);
        }
        context.fillStyle = theme.ink;
        context.fillText(state.panel.rows[row], layout.left - 8, y + layout.cellHeight / 2, layout.left - 12);
      }
    });

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
