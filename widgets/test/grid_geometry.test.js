import assert from "node:assert/strict";
import { test } from "node:test";
import { cellOrigin, contentSize, fitCellWidth, hit, moveCell, scrollTo, visibleCells } from "../src/lib/grid_geometry.js";

const layout = { rows: 48, columns: 512, cellWidth: 60, cellHeight: 24, left: 70, top: 26, bottom: 38 };
const view = { width: 900, height: 560, x: 1000, y: 100 };

test("the last row is on top and the first at the bottom", () => {
  const start = { ...view, x: 0, y: 0 };
  assert.deepEqual(cellOrigin(layout, start, { row: 47, pos: 0 }), { x: 70, y: 26 });
  assert.deepEqual(cellOrigin(layout, start, { row: 0, pos: 2 }), { x: 190, y: 26 + 47 * 24 });
  assert.deepEqual(contentSize(layout), { width: 70 + 512 * 60, height: 26 + 48 * 24 + 38 });
});

test("every visible point between the headers hits the cell drawn there", () => {
  for (let x = layout.left; x < view.width; x += 13) {
    for (let y = layout.top; y < view.height - layout.bottom; y += 7) {
      const cell = hit(layout, view, x, y);
      assert.ok(cell && cell.row !== null && cell.pos !== null);
      const origin = cellOrigin(layout, view, { row: cell.row, pos: cell.pos });
      assert.ok(origin.x <= x && x < origin.x + 60 && origin.y <= y && y < origin.y + 24);
    }
  }
});

test("headers, corners and the outside are told apart from cells", () => {
  assert.deepEqual(hit(layout, view, 300, 5), { row: null, pos: Math.floor((300 - 70 + 1000) / 60) });
  assert.deepEqual(hit(layout, view, 300, 540), { row: null, pos: 20 });
  assert.deepEqual(hit(layout, view, 10, 30), { row: 47 - Math.floor((30 - 26 + 100) / 24), pos: null });
  assert.equal(hit(layout, view, 10, 5), null);
  assert.equal(hit(layout, view, -1, 100), null);
  assert.equal(hit(layout, view, 300, 560), null);
  const small = { ...layout, rows: 2, columns: 3 };
  assert.equal(hit(small, { ...view, x: 0, y: 0 }, 400, 40), null);
});

test("the visible cells are all those that show and no other", () => {
  const shown = visibleCells(layout, view);
  for (let row = 0; row < layout.rows; row += 1) {
    for (let pos = 0; pos < layout.columns; pos += 1) {
      const { x, y } = cellOrigin(layout, view, { row, pos });
      const shows = x + 60 > 70 && x < 900 && y + 24 > 26 && y < 560 - 38;
      const listed = row >= shown.firstRow && row <= shown.lastRow && pos >= shown.firstPos && pos <= shown.lastPos;
      assert.equal(listed, shows, `row ${row} pos ${pos}`);
    }
  }
});

test("scrolling to a cell brings it whole between the headers, and moves nothing when it is there", () => {
  for (const cell of [{ row: 0, pos: 0 }, { row: 47, pos: 511 }, { row: 20, pos: 17 }, { row: 30, pos: 100 }]) {
    const moved = { ...view, ...scrollTo(layout, view, cell) };
    const { x, y } = cellOrigin(layout, moved, cell);
    assert.ok(x >= 70 && x + 60 <= 900 && y >= 26 && y + 24 <= 560 - 38, JSON.stringify(cell));
    assert.deepEqual(scrollTo(layout, moved, cell), { x: moved.x, y: moved.y });
  }
});

test("keys move the cell up to the edges and other keys do not", () => {
  const cell = { row: 20, pos: 17 };
  assert.deepEqual(moveCell("ArrowUp", cell, layout, 10), { row: 21, pos: 17 });
  assert.deepEqual(moveCell("ArrowDown", cell, layout, 10), { row: 19, pos: 17 });
  assert.deepEqual(moveCell("ArrowLeft", cell, layout, 10), { row: 20, pos: 16 });
  assert.deepEqual(moveCell("ArrowRight", cell, layout, 10), { row: 20, pos: 18 });
  assert.deepEqual(moveCell("Home", cell, layout, 10), { row: 20, pos: 0 });
  assert.deepEqual(moveCell("End", cell, layout, 10), { row: 20, pos: 511 });
  assert.deepEqual(moveCell("PageUp", cell, layout, 40), { row: 47, pos: 17 });
  assert.deepEqual(moveCell("PageDown", cell, layout, 40), { row: 0, pos: 17 });
  assert.deepEqual(moveCell("ArrowLeft", { row: 0, pos: 0 }, layout, 10), { row: 0, pos: 0 });
  assert.equal(moveCell("x", cell, layout, 10), null);
});

test("cells share the width between a least and a most size", () => {
  assert.equal(fitCellWidth(800, 10, 52, 116), 80);
  assert.equal(fitCellWidth(800, 2, 52, 116), 116);
  assert.equal(fitCellWidth(800, 512, 52, 116), 52);
});
