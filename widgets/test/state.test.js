import assert from "node:assert/strict";
import { test } from "node:test";
import { candidates, components, findPanel, lenses, readState, togglePin, topId, trackOf, valueAt } from "../src/token_grid/state.js";
import { cellLabel, cellText, ranksText } from "../src/token_grid/text.js";
import { payload, smallPanel, smallState } from "./payload.js";

/** The state as a model holds it, arrays untouched. @param {Record<string, any>} [changes] */
function state(changes) {
  const values = smallState(changes);
  return readState({ get: (name) => /** @type {any} */ (values)[name] });
}

test("a cell's tokens, top token and quantities are those at its row and position", () => {
  const shown = state();
  assert.deepEqual(candidates(shown, { row: 1, pos: 1 }).map(({ id, token }) => [id, token]), [[2, "c"], [3, "d"]]);
  assert.ok(Math.abs(Math.exp(candidates(shown, { row: 1, pos: 1 })[0].logprob) - 0.8) < 1e-6);
  assert.equal(topId(shown.panel, 2, 1), 3);
  assert.equal(valueAt(shown.panel.quantities.entropy, 2, 0), 5);
});

test("a tracked token has its exact rank in every row, counted from 1", () => {
  const track = trackOf(smallPanel(), 0, 1);
  assert.deepEqual(track?.ranks, [2, 1, 1]);
  assert.equal(track?.exact, true);
});

test("a token that is not tracked has the ranks the top k shows and no others", () => {
  const track = trackOf(smallPanel(), 0, 2);
  assert.deepEqual(track?.ranks, [null, null, 2]);
  assert.equal(track?.exact, false);
  assert.equal(trackOf(smallPanel(), 0, 3), null);
  assert.deepEqual(trackOf(smallPanel({ tracks: null }), 0, 1)?.ranks, [2, 1, 1]);
});

test("a second click unpins, and the same token at another position is another pin", () => {
  const pin = { pos: 0, token: " b", id: 1 };
  const other = { ...pin, pos: 1 };
  const both = togglePin(togglePin([], pin), other);
  assert.deepEqual(both, [pin, other]);
  assert.deepEqual(togglePin(both, { ...pin }), [other]);
});

test("a lens keeps the component where it has it, else shows its first", () => {
  const panels = [["logit", "resid"], ["logit", "attn"], ["tuned", "resid"]].map(([lens, component]) => smallPanel({ lens, component }));
  assert.deepEqual(lenses(panels), ["logit", "tuned"]);
  assert.deepEqual(components(panels, "logit"), ["resid", "attn"]);
  assert.equal(findPanel(panels, "logit", "attn"), 1);
  assert.equal(findPanel(panels, "tuned", "attn"), 2);
});

test("a choice that belongs to older data shows what there is", () => {
  const shown = state({ panel: 5, quantity: "gone", selected: { row: 9, pos: 0 }, pinned: [{ pos: 7, token: "a", id: 0 }] });
  assert.equal(shown.panelIndex, 0);
  assert.equal(shown.quantityName, "probability");
  assert.equal(shown.selected, null);
  assert.deepEqual(shown.pinned, []);
});

test("the spoken line states place, token, probability and the chosen quantity", () => {
  assert.equal(cellText(state(), { row: 1, pos: 1 }), "L0, position 1 “·y”: top token “c”, probability 0.800");
  assert.equal(
    cellText(state({ quantity: "entropy" }), { row: 2, pos: 0 }),
    "L1, position 0 “x”: top token “·b”, probability 0.900; entropy 5.0 nats",
  );
});

test("the pins' ranks are stated in words", () => {
  const words = ranksText(state({ pinned: [{ pos: 0, token: " b", id: 1 }, { pos: 0, token: "c", id: 2 }, { pos: 0, token: "d", id: 3 }] }));
  assert.equal(
    words,
    "Rank of “·b” at position 0: embed 2, L0 1, L1 1. "
      + "Rank of “c” at position 0: embed below the top tokens, L0 below the top tokens, L1 2. "
      + "Rank of “d” at position 0: not tracked here.",
  );
});

test("without tokens a cell shows the chosen number, rounded, and the line below has it in full", () => {
  const { quantities } = smallPanel();
  const numbers = Float32Array.of(0.25, -0.00002, 0, NaN, -1.5, 2);
  const effect = { ...quantities.entropy, values: payload(numbers, [3, 2]), label: "effect", unit: "", digits: 2 };
  const panel = smallPanel({
    top: payload(new Uint8Array(0), [3, 2, 0]), top_logprob: payload(new Float32Array(0), [3, 2, 0]),
    quantities: { effect }, tracks: null,
  });
  const shown = state({ _panels: [panel], quantity: "effect", _vocabulary: [] });
  const cells = [0, 1, 2].flatMap((row) => [0, 1].map((pos) => cellLabel(shown, { row, pos })));
  assert.deepEqual(cells, ["0.25", "0", "0", "–", "−1.50", "2.00"]);
  assert.equal(cellText(shown, { row: 0, pos: 1 }), "embed, position 1 “·y”: effect −2.0e−5");
  assert.deepEqual(candidates(shown, { row: 0, pos: 1 }), []);
  assert.equal(cellLabel(state(), { row: 1, pos: 1 }), "c");
});
