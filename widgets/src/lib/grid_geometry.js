/**
 * Where the cells of a grid with frozen headers lie, in CSS pixels of its viewport. Row 0 is the lowest
 * cell row, as the layers of a network are drawn.
 *
 * @typedef {{rows: number, columns: number, cellWidth: number, cellHeight: number, left: number,
 *   top: number, bottom: number}} Layout left, top and bottom are the sizes of the frozen headers
 * @typedef {{width: number, height: number, x: number, y: number}} Viewport x, y: how far it is scrolled
 * @typedef {{row: number, pos: number}} Cell
 */

/**
 * Size of everything, headers included.
 * @param {Layout} layout
 */
export function contentSize({ rows, columns, cellWidth, cellHeight, left, top, bottom }) {
  return { width: left + columns * cellWidth, height: top + rows * cellHeight + bottom };
}

/**
 * Cells spread over the width while it lasts, never narrower than a short word needs.
 * @param {number} available width for all columns
 * @param {number} columns
 * @param {number} least
 * @param {number} most
 */
export function fitCellWidth(available, columns, least, most) {
  return Math.floor(Math.min(most, Math.max(least, available / Math.max(1, columns))));
}

/**
 * Top-left corner of a cell in the viewport.
 * @param {Layout} layout
 * @param {Viewport} view
 * @param {Cell} cell
 */
export function cellOrigin(layout, view, { row, pos }) {
  return {
    x: layout.left + pos * layout.cellWidth - view.x,
    y: layout.top + (layout.rows - 1 - row) * layout.cellHeight - view.y,
  };
}

/**
 * What lies under a point: a cell, a column's header (row null), a row's label (pos null) or nothing.
 * @param {Layout} layout
 * @param {Viewport} view
 * @param {number} x
 * @param {number} y
 * @returns {{row: number | null, pos: number | null} | null}
 */
export function hit(layout, view, x, y) {
  const end = Math.min(view.height, layout.top + layout.rows * layout.cellHeight + layout.bottom - view.y);
  if (x < 0 || y < 0 || x >= view.width || y >= end) return null;
  const pos = Math.floor((x - layout.left + view.x) / layout.cellWidth);
  const line = Math.floor((y - layout.top + view.y) / layout.cellHeight);
  const inColumns = x >= layout.left && pos >= 0 && pos < layout.columns;
  const inRows = y >= layout.top && y < end - layout.bottom && line >= 0 && line < layout.rows;
  if (inColumns && inRows) return { row: layout.rows - 1 - line, pos };
  if (inColumns && (y < layout.top || y >= end - layout.bottom)) return { row: null, pos };
  if (inRows && x < layout.left) return { row: layout.rows - 1 - line, pos: null };
  return null;
}

/**
 * The cells that show at least in part: rows and positions from first to last, both included.
 * @param {Layout} layout
 * @param {Viewport} view
 */
export function visibleCells(layout, view) {
  const firstLine = Math.max(0, Math.floor(view.y / layout.cellHeight));
  const space = view.height - layout.top - layout.bottom;
  const lastLine = Math.min(layout.rows - 1, Math.ceil((view.y + space) / layout.cellHeight) - 1);
  return {
    firstRow: layout.rows - 1 - lastLine,
    lastRow: layout.rows - 1 - firstLine,
    firstPos: Math.max(0, Math.floor(view.x / layout.cellWidth)),
    lastPos: Math.min(
      layout.columns - 1,
      Math.ceil((view.x + view.width - layout.left) / layout.cellWidth) - 1,
    ),
  };
}

/**
 * The scroll offsets nearest to the present ones at which a cell is whole between the headers.
 * @param {Layout} layout
 * @param {Viewport} view
 * @param {Cell} cell
 */
export function scrollTo(layout, view, { row, pos }) {
  const cellX = pos * layout.cellWidth;
  const cellY = (layout.rows - 1 - row) * layout.cellHeight;
  const width = view.width - layout.left;
  const height = view.height - layout.top - layout.bottom;
  return {
    x: Math.max(Math.min(view.x, cellX), cellX + layout.cellWidth - width, 0),
    y: Math.max(Math.min(view.y, cellY), cellY + layout.cellHeight - height, 0),
  };
}

/**
 * The cell a key leads to, or null for a key that does not move.
 * @param {string} key
 * @param {Cell} cell
 * @param {Layout} layout
 * @param {number} page rows that fit between the headers
 * @returns {Cell | null}
 */
export function moveCell(key, { row, pos }, layout, page) {
  /** @type {Record<string, Cell>} */
  const moves = {
    ArrowLeft: { row, pos: pos - 1 },
    ArrowRight: { row, pos: pos + 1 },
    ArrowUp: { row: row + 1, pos },
    ArrowDown: { row: row - 1, pos },
    Home: { row, pos: 0 },
    End: { row, pos: layout.columns - 1 },
    PageUp: { row: row + page, pos },
    PageDown: { row: row - page, pos },
  };
  const next = moves[key];
  if (!next) return null;
  return {
    row: Math.min(layout.rows - 1, Math.max(0, next.row)),
    pos: Math.min(layout.columns - 1, Math.max(0, next.pos)),
  };
}
