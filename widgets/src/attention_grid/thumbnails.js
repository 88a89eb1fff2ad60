/**
 * Every head as a thumbnail: layers upwards, heads to the right. A click or an arrow key chooses one.
 *
 * @typedef {import("./state.js").State} State
 * @typedef {import("../lib/theme.js").Theme} Theme
 * @typedef {import("../lib/grid_geometry.js").Layout} Layout
 */
import { OWN_KEYS, h } from "../lib/dom.js";
import { colorTable } from "../lib/colors.js";
import { cellOrigin, contentSize, fitCellWidth, hit, moveCell, scrollTo, visibleCells } from "../lib/grid_geometry.js";
import { labelStride } from "../lib/rank_lines.js";
import { fitCanvas, outline, viewport } from "../lib/grid.js";
import { mosaic } from "./raster.js";
import { headName } from "./text.js";

const TILE = { least: 18, most: 104, gap: 3 };
const HEADER = { left: 36, top: 3, bottom: 20 };
const MOST_HEIGHT = 560;

/**
 * @param {() => State} current the state at this moment: keys come faster than frames
 * @param {(layerIndex: number, head: number) => void} choose
 * @param {() => void} redraw
 * @param {AbortSignal} signal
 */
export function thumbnails(current, choose, redraw, signal) {
  const canvas = h("canvas", { class: "workbench__canvas attention-grid__canvas", "aria-hidden": "true" });
  const spacer = h("div", { class: "workbench__spacer" }, canvas);
  const scroller = h("div", {
    class: "workbench__scroll attention-grid__scroll", tabindex: 0, role: "application", "aria-roledescription": "grid of heads", ...OWN_KEYS,
  }, spacer);
  const caption = h("div", { class: "attention-grid__caption" });
  const element = h("div", { class: "attention-grid__heads" }, caption, scroller);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const picture = document.createElement("canvas");
  /** @type {unknown[]} */
  let pictured = [];
  /** @type {Layout} */
  let layout = { rows: 0, columns: 0, cellWidth: 1, cellHeight: 1, left: HEADER.left, top: HEADER.top, bottom: HEADER.bottom };
  /** @type {import("../lib/grid_geometry.js").Cell | null} */
  let hover = null;
  /** The chosen head that was last brought into view. */
  let revealed = "";

  /** @param {State} shown */
  function measure({ layers, nHeads }) {
    const room = element.clientWidth - 2;
    const tile = fitCellWidth(room - HEADER.left, nHeads, TILE.least, TILE.most);
    layout = { ...layout, rows: layers.length, columns: nHeads, cellWidth: tile, cellHeight: tile };
    const size = contentSize(layout);
    scroller.style.overflowX = size.width > room ? "scroll" : "hidden";
    scroller.style.overflowY = size.height > MOST_HEIGHT ? "scroll" : "hidden";
    Object.assign(spacer.style, { width: `${size.width}px`, height: `${size.height}px` });
    const bars = { x: scroller.offsetWidth - scroller.clientWidth, y: scroller.offsetHeight - scroller.clientHeight };
    scroller.style.maxWidth = `${size.width + bars.x}px`;
    scroller.style.height = `${Math.min(MOST_HEIGHT, size.height) + bars.y}px`;
  }

  /** @param {State} shown */
  function pictureOf(shown) {
    const most = Math.round((layout.cellWidth - TILE.gap) * (devicePixelRatio || 1));
    const size = Math.min(shown.tokens.length, most);
    const key = [shown.weights, size];
    if (key.some((item, i) => item !== pictured[i])) {
      pictured = key;
      const { pixels, width, height } = mosaic(shown, size, colorTable("viridis", false).fill);
      Object.assign(picture, { width, height });
      /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d")).putImageData(new ImageData(pixels, width, height), 0, 0);
    }
    return size;
  }

  /**
   * @param {State} shown
   * @param {Theme} look
   */
  function update(shown, look) {
    measure(shown);
    reveal(shown);
    const view = viewport(scroller);
    fitCanvas(context, view);
    if (hover && (hover.row >= layout.rows || hover.pos >= layout.columns)) hover = null;
    const words = hover ? `All heads: L${shown.layers[hover.row]}H${hover.pos}` : "All heads";
    const high = shown.weights.high;
    const range = shown.weighted ? `, colours from 0 to ${Number(high.toPrecision(3))} by square roots` : "";
    if (caption.textContent !== words + range) caption.textContent = words + range;
    scroller.setAttribute("aria-label", `${shown.layers.length} layers of ${shown.nHeads} heads; ${headName(shown)} is enlarged. Arrow keys choose another.`);
    paint(shown, look, view);
  }

  /** @param {State} shown */
  function reveal(shown) {
    if (headName(shown) === revealed) return;
    revealed = headName(shown);
    const { x, y } = scrollTo(layout, viewport(scroller), { row: shown.layerIndex, pos: shown.head });
    scroller.scrollTo({ left: x, top: y, behavior: "instant" });
  }

  /**
   * @param {State} shown
   * @param {Theme} look
   * @param {import("../lib/grid_geometry.js").Viewport} view
   */
  function paint(shown, look, view) {
    const size = pictureOf(shown);
    const side = layout.cellWidth - TILE.gap;
    const foot = view.height - layout.bottom;
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view);
    context.fillStyle = look.background;
    context.fillRect(0, 0, view.width, view.height);
    context.save();
    context.beginPath();
    context.rect(layout.left - HEADER.top, 0, view.width - layout.left + HEADER.top, foot);
    context.clip();
    context.imageSmoothingEnabled = false;
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let pos = firstPos; pos <= lastPos; pos += 1) {
        const { x, y } = cellOrigin(layout, view, { row, pos });
        context.fillStyle = look.header;
        context.fillRect(x, y, side, side);
        context.drawImage(picture, pos * size, (layout.rows - 1 - row) * size, size, size, x, y, side, side);
      }
    }
    const chosen = { row: shown.layerIndex, pos: shown.head };
    for (const [cell, color] of /** @type {const} */ ([[hover, look.faint], [chosen, look.focus]])) {
      if (!cell) continue;
      const { x, y } = cellOrigin(layout, view, cell);
      outline(context, { x: x - 1.5, y: y - 1.5, width: side + 3, height: side + 3 }, [[look.background, 4], [color, 3]]);
    }
    context.restore();
    paintLabels(shown, look, view, chosen);
  }

  /**
   * @param {State} shown
   * @param {Theme} look
   * @param {import("../lib/grid_geometry.js").Viewport} view
   * @param {import("../lib/grid_geometry.js").Cell} chosen
   */
  function paintLabels(shown, look, view, chosen) {
    const foot = view.height - layout.bottom;
    const side = layout.cellWidth - TILE.gap;
    const stride = labelStride(layout.columns, layout.columns * layout.cellWidth, 26);
    const { firstRow, lastRow, firstPos, lastPos } = visibleCells(layout, view);
    context.fillStyle = look.background;
    context.fillRect(0, 0, layout.left - HEADER.top, view.height);
    context.fillRect(0, foot, view.width, layout.bottom);
    context.textBaseline = "middle";
    context.font = `11px ${look.font}`;
    context.save();
    context.beginPath();
    context.rect(0, 0, layout.left, foot);
    context.clip();
    context.textAlign = "right";
    for (let row = firstRow; row <= lastRow; row += 1) {
      const { y } = cellOrigin(layout, view, { row, pos: 0 });
      context.fillStyle = row === chosen.row || row === hover?.row ? look.ink : look.faint;
      context.fillText(`L${shown.layers[row]}`, layout.left - 7, y + side / 2);
    }
    context.restore();
    context.save();
    context.beginPath();
    context.rect(layout.left, foot, view.width - layout.left, layout.bottom);
    context.clip();
    context.textAlign = "center";
    const named = hover?.pos ?? chosen.pos;
    for (let pos = firstPos; pos <= lastPos; pos += 1) {
      // Where names are skipped, the one pointed at or chosen takes the place of its neighbours'.
      const near = stride > 1 && Math.abs(pos - named) < stride;
      if (pos !== named && (pos % stride !== 0 || near)) continue;
      const { x } = cellOrigin(layout, view, { row: 0, pos });
      context.fillStyle = pos === named ? look.ink : look.faint;
      context.fillText(`H${pos}`, x + side / 2, foot + layout.bottom / 2);
    }
    context.restore();
  }

  /** @param {MouseEvent} event */
  function under(event) {
    const box = canvas.getBoundingClientRect();
    const found = hit(layout, viewport(scroller), event.clientX - box.x, event.clientY - box.y);
    return found && found.row !== null && found.pos !== null ? { row: found.row, pos: found.pos } : null;
  }

  scroller.addEventListener("pointermove", (event) => {
    const found = under(event);
    if (found?.row === hover?.row && found?.pos === hover?.pos) return;
    hover = found;
    redraw();
  }, { signal });
  scroller.addEventListener("pointerleave", () => {
    hover = null;
    redraw();
  }, { signal });
  scroller.addEventListener("click", (event) => {
    const found = under(event);
    if (found) choose(found.row, found.pos);
  }, { signal });
  scroller.addEventListener("scroll", redraw, { signal, passive: true });
  scroller.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const { layerIndex, head } = current();
    const page = Math.max(1, Math.floor(scroller.clientHeight / layout.cellHeight) - 1);
    const next = moveCell(event.key, { row: layerIndex, pos: head }, layout, page);
    if (!next) return;
    // The notebook has its own arrow keys: they must not move its cells too.
    event.preventDefault();
    event.stopPropagation();
    choose(next.row, next.pos);
  }, { signal });

  return { element, update };
}
