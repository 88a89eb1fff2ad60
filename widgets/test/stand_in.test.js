import assert from "node:assert/strict";
import { test } from "node:test";
import { StandInModel, revive } from "../src/lib/stand_in.js";

test("bytes in JSON come back as a DataView, at any depth, and all else as it was", () => {
  const state = { a: [{ data: { __bytes__: "AQL/" }, n: 1 }], b: null, c: "x", d: { e: true } };
  const { a, ...rest } = revive(state);
  assert.ok(a[0].data instanceof DataView);
  assert.deepEqual([...new Uint8Array(a[0].data.buffer)], [1, 2, 255]);
  assert.equal(a[0].n, 1);
  assert.deepEqual(rest, { b: null, c: "x", d: { e: true } });
});

test("a listener hears a change once, sees the whole new state, and can be taken off", () => {
  const model = new StandInModel({ panel: 0, quantity: "p" });
  /** @type {unknown[]} */
  const heard = [];
  const listener = () => heard.push([model.get("panel"), model.get("quantity")]);
  model.on("change:panel", listener);
  model.set({ panel: 1, quantity: "q" });
  model.set("panel", 1);
  assert.deepEqual(heard, [[1, "q"]]);
  model.off("change:panel", listener);
  model.set("panel", 2);
  assert.equal(heard.length, 1);
  assert.equal(model.get("panel"), 2);
});

test("messages to the absent kernel are kept in order", () => {
  const model = new StandInModel({});
  model.send({ a: 1 });
  model.send({ b: 2 });
  assert.deepEqual(model.sent, [{ a: 1 }, { b: 2 }]);
  assert.equal(model.save_changes(), undefined);
});
