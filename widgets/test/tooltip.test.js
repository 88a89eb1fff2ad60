import assert from "node:assert/strict";
import { test } from "node:test";
import { place } from "../src/lib/tooltip.js";

const box = { width: 300, height: 320 };
/** @param {number} left @param {number} top */
const anchor = (left, top) => ({ left, right: left + 60, top, bottom: top + 24 });

test("the tooltip never leaves the window and never covers its cell where there is room beside it", () => {
  const room = { width: 900, height: 600 };
  for (let x = 0; x <= 840; x += 20) {
    for (let y = 0; y <= 576; y += 24) {
      const { left, top } = place(anchor(x, y), box, room);
      assert.ok(left >= 0 && left + box.width <= room.width, `left ${left}`);
      assert.ok(top >= 0 && top + box.height <= room.height, `top ${top}`);
      assert.ok(left >= x + 60 || left + box.width <= x, `covers the cell at ${x}`);
    }
  }
});

test("in a narrow window it goes below or above the cell", () => {
  const room = { width: 340, height: 900 };
  assert.ok(place(anchor(140, 100), box, room).top >= 124);
  assert.ok(place(anchor(140, 800), box, room).top + box.height <= 800);
});
