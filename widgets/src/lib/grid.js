/**
 * What grids share: a frame that is scrolled over a canvas of its own size, on which the part that shows is
 * drawn. A canvas, because 48 × 512 cells of text in the document scroll at a few frames a second; frozen
 * headers are in the same picture, so that they can never lag behind the cells. Text reaches the canvas as
 * text: no token can act as markup.
 *
 * @typedef {import("./grid_geometry.js").Cell} Cell
 * @typedef {import("./grid_geometry.js").Layout} Layout
 * @typedef {import("./grid_geometry.js").Viewport} Viewport
 * @typedef {[string, number][]} Strokes colour and width, the widest first: two tones show on every colour
 */
import { h } from "./dom.js";
import { cellOrigin, contentSize, hit, scrollTo } from "./grid_geometry.js";
import { fitParts, tokenParts } from "./tokens.js";

/**
 * @param {HTMLElement} scroller
 * @param {string} name class of the view
 */
export function grid(scroller, name) {
  const canvas = h("canvas", { class: `workbench__canvas ${name}__canvas`, "aria-hidden": "true" });
  const spacer = h("div", { class: "workbench__spacer" }, canvas);
  scroller.append(spacer);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  /** @type {Layout} */
  let layout = { rows: 0, columns: 0, cellWidth: 1, cellHeight: 1, left: 0, top: 0, bottom: 0 };
  /** @type {unknown[]} */
  let measured = [];

  /**
   * Lays the grid out where that may have changed: scrolling draws many frames and changes none of it, and
   * measuring makes the browser lay out anew.
   * @param {unknown[]} from what the layout is made from
   * @param {number} mostHeight
   * @param {(room: number) => Layout} laidOut from the width that there is
   */
  function measure(from, mostHeight, laidOut) {
    if (from.every((item, i) => item === measured[i])) return;
    measured = from;
    Object.assign(scroller.style, { maxWidth: "", overflowX: "hidden", overflowY: "hidden" });
    layout = laidOut(scroller.clientWidth);
    if (contentSize(layout).height > mostHeight) {
      scroller.style.overflowY = "scroll";
      layout = laidOut(scroller.clientWidth);
    }
    const { width, height } = contentSize(layout);
    scroller.style.overflowX = width > scroller.clientWidth ? "scroll" : "hidden";
    // The frame ends where the last column does.
    scroller.style.maxWidth = `${width + scroller.offsetWidth - scroller.clientWidth}px`;
    scroller.style.height = `${Math.min(mostHeight, height) + scroller.offsetHeight - scroller.clientHeight}px`;
    Object.assign(spacer.style, { width: `${width}px`, height: `${height}px` });
  }

  /**
   * A clean canvas that fills the frame.
   * @param {string} background
   */
  function clear(background) {
    const view = viewport(scroller);
    fitCanvas(context, view);
    context.textBaseline = "middle";
    context.fillStyle = background;
    context.fillRect(0, 0, view.width, view.height);
    return view;
  }

  /** What lies under the pointer: a cell, a header (row or position null) or nothing. @param {MouseEvent} event */
  function under(event) {
    const box = canvas.getBoundingClientRect();
    return hit(layout, viewport(scroller), event.clientX - box.x, event.clientY - box.y);
  }

  /** The cell under the pointer. @param {MouseEvent} event @returns {Cell | null} */
  function cellUnder(event) {
    const found = under(event);
    return found && found.row !== null && found.pos !== null ? { row: found.row, pos: found.pos } : null;
  }

  /** In the coordinates of the window. @param {Cell} cell */
  function placeOf(cell) {
    const { x, y } = cellOrigin(layout, viewport(scroller), cell);
    const box = canvas.getBoundingClientRect();
    return new DOMRect(box.x + x, box.y + y, layout.cellWidth, layout.cellHeight);
  }

  /** Scrolls until the cell is whole between the headers. @param {Cell} cell */
  function reveal(cell) {
    const { x, y } = scrollTo(layout, viewport(scroller), cell);
    scroller.scrollTo({ left: x, top: y, behavior: "instant" });
  }

  /** Whether the grid has the cell. @param {Cell} cell */
  const has = ({ row, pos }) => row < layout.rows && pos < layout.columns;

  /** How many rows a page key moves by. */
  const page = () => Math.max(1, Math.floor((scroller.clientHeight - layout.top - layout.bottom) / layout.cellHeight) - 1);

  return { context, get layout() { return layout; }, measure, clear, under, cellUnder, placeOf, reveal, has, page };
}

/**
 * The part of a scroller's content that shows.
 * @param {HTMLElement} scroller
 * @returns {Viewport}
 */
export function viewport(scroller) {
  return { width: scroller.clientWidth, height: scroller.clientHeight, x: scroller.scrollLeft, y: scroller.scrollTop };
}

/**
 * Makes a canvas fill a viewport at the screen's own resolution; its units stay CSS pixels.
 * @param {CanvasRenderingContext2D} context
 * @param {Viewport} view
 */
export function fitCanvas(context, { width, height }) {
  const ratio = devicePixelRatio || 1;
  const { canvas } = context;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) {
    Object.assign(canvas, { width: across, height: down });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

/**
 * Draws inside a part of the canvas.
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number, number, number]} box x, y, width, height
 * @param {() => void} paint
 */
export function inside(context, box, paint) {
  context.save();
  context.beginPath();
  context.rect(...box);
  context.clip();
  paint();
  context.restore();
}

/**
 * A frame in several tones along the lines of a box.
 * @param {CanvasRenderingContext2D} context
 * @param {{x: number, y: number, width: number, height: number}} box
 * @param {Strokes} strokes
 */
export function outline(context, { x, y, width, height }, strokes) {
  for (const [color, thick] of strokes) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.strokeRect(x, y, width, height);
  }
}

/**
 * A frame inside a cell.
 * @param {CanvasRenderingContext2D} context
 * @param {Layout} layout
 * @param {Viewport} view
 * @param {Cell} cell
 * @param {Strokes} strokes
 */
export function ring(context, layout, view, cell, strokes) {
  const { x, y } = cellOrigin(layout, view, cell);
  for (const stroke of strokes) {
    const inset = stroke[1] / 2;
    outline(context, { x: x + inset, y: y + inset, width: layout.cellWidth - 1 - stroke[1], height: layout.cellHeight - 1 - stroke[1] }, [stroke]);
  }
}

/** The rings of what is pointed at, selected and focused. @param {string} focus colour of the theme @returns {Record<"hover" | "selected" | "focus", Strokes>} */
export const rings = (focus) => ({
  hover: [["#000000", 2.5], ["#ffffff", 1]], selected: [["#ffffff", 3], ["#000000", 2]], focus: [["#ffffff", 4], [focus, 3]],
});

/**
 * Writes tokens, the signs for what cannot be seen fainter.
 * @param {CanvasRenderingContext2D} context
 */
export function tokenWriter(context) {
  /** @type {Map<string, {text: string, mark: boolean, width: number}[]>} */
  const fitted = new Map();
  let fittedFor = "";

  /**
   * The parts of a token that fit into a width.
   * @param {string} token
   * @param {number} room
   * @param {string} font
   */
  function fit(token, room, font) {
    const key = `${room} ${font}`;
    if (key !== fittedFor || fitted.size > 20000) fitted.clear();
    fittedFor = key;
    context.font = font;
    let parts = fitted.get(token);
    if (!parts) {
      const measure = (/** @type {string} */ text) => context.measureText(text).width;
      parts = fitParts(tokenParts(token), room, measure).map((part) => ({ ...part, width: measure(part.text) }));
      fitted.set(token, parts);
    }
    return { parts, width: parts.reduce((sum, part) => sum + part.width, 0) };
  }

  /**
   * @param {{text: string, mark: boolean, width: number}[]} parts
   * @param {number} left
   * @param {number} middle
   * @param {string} ink
   */
  function write(parts, left, middle, ink) {
    let at = left;
    context.fillStyle = ink;
    context.textAlign = "left";
    // A token of signs alone has nothing else to read: its signs keep the full contrast.
    const faint = parts.some((part) => !part.mark) ? 0.6 : 1;
    for (const part of parts) {
      context.globalAlpha = part.mark ? faint : 1;
      context.fillText(part.text, at, middle);
      at += part.width;
    }
    context.globalAlpha = 1;
  }

  /**
   * A token in the middle of a cell.
   * @param {string} token
   * @param {{x: number, middle: number, width: number, room: number, ink: string, font: string}} where
   */
  function centre(token, { x, middle, width, room, ink, font }) {
    const { parts, width: taken } = fit(token, room, font);
    write(parts, x + (width - taken) / 2, middle, ink);
  }

  return { fit, write, centre };
}
