import assert from "node:assert/strict";
import { test } from "node:test";
import { redrawOnChange } from "../src/lib/lifecycle.js";
import { StandInModel } from "../src/lib/stand_in.js";

/** What a browser has and Node lacks, as far as a view's life needs it: an observer or a list of listeners, fired by hand. */
class Source {
  /** @type {Set<Source>} */
  static live = new Set();

  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    this.seen = /** @type {unknown[]} */ ([]);
  }

  /** @param {unknown} what */
  observe(what) {
    this.seen.push(what);
    Source.live.add(this);
  }

  disconnect() {
    Source.live.delete(this);
  }
}
class Sizes extends Source {}
class Mutations extends Source {}
const scheme = new EventTarget();
const documentElement = {};
const body = {};
Object.assign(globalThis, {
  ResizeObserver: Sizes, MutationObserver: Mutations, document: { documentElement, body }, matchMedia: () => scheme,
});

function view() {
  const model = new StandInModel({ layer: 0, head: 0, other: 0 });
  const stopped = new AbortController();
  const calls = { request: 0, cancel: 0, remove: 0 };
  const frame = { request: () => void (calls.request += 1), cancel: () => void (calls.cancel += 1) };
  const root = /** @type {any} */ ({ remove: () => void (calls.remove += 1) });
  const close = redrawOnChange({ model, traits: ["layer", "head"], root, frame, stopped });
  return { model, stopped, calls, root, close, observers: [...Source.live] };
}

test("a trait, the view's size and the page's theme each ask for a drawing, and nothing else does", () => {
  const { model, calls, root, close, observers } = view();
  assert.equal(calls.request, 0);
  model.set("layer", 1);
  assert.equal(calls.request, 1);
  model.set("head", 1);
  assert.equal(calls.request, 2);
  model.set("other", 1);
  assert.equal(calls.request, 2);
  scheme.dispatchEvent(new Event("change"));
  assert.equal(calls.request, 3);
  assert.deepEqual(observers.map(({ seen }) => seen.length), [1, 2]);
  const [sizes, theme] = observers;
  assert.ok(sizes instanceof Sizes && sizes.seen[0] === root);
  assert.ok(theme instanceof Mutations && theme.seen[0] === documentElement && theme.seen[1] === body);
  sizes.changed();
  theme.changed();
  assert.equal(calls.request, 5);
  close();
});

test("a closed view leaves no listener and no element, and its waiting drawing is given up", () => {
  const { model, stopped, calls, close } = view();
  assert.equal(Source.live.size, 2);
  assert.ok(!stopped.signal.aborted);
  close();
  model.set({ layer: 2, head: 2 });
  scheme.dispatchEvent(new Event("change"));
  assert.deepEqual(calls, { request: 0, cancel: 1, remove: 1 });
  assert.equal(Source.live.size, 0);
  assert.ok(stopped.signal.aborted);
  assert.ok([...model.listeners.values()].every((known) => known.size === 0));
});

test("closing one view of a model leaves the other's listeners", () => {
  const model = new StandInModel({ layer: 0 });
  const drawn = [0, 0];
  const [first, second] = drawn.map((_, i) => redrawOnChange({
    model, traits: ["layer"], root: /** @type {any} */ ({ remove: () => {} }), stopped: new AbortController(),
    frame: { request: () => void (drawn[i] += 1), cancel: () => {} },
  }));
  first();
  model.set("layer", 1);
  assert.deepEqual(drawn, [0, 1]);
  second();
});
