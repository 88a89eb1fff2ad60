import assert from "node:assert/strict";
import { test } from "node:test";
import { fitParts, tokenParts, visibleToken } from "../src/lib/tokens.js";

/** A font in which every character is one wide. @param {string} text */
const measure = (text) => Array.from(text).length;

test("spaces at the ends, line ends, tabs and controls get signs", () => {
  assert.equal(visibleToken(" Mary"), "·Mary");
  assert.equal(visibleToken("a b "), "a b·");
  assert.equal(visibleToken("  "), "··");
  assert.equal(visibleToken("\n\n"), "↵↵");
  assert.equal(visibleToken("\tx\r"), "⇥x␍");
  assert.equal(visibleToken("\x07"), "\\x07");
  assert.equal(visibleToken("a\u200bb\u202e"), "a\\u200bb\\u202e");
  assert.equal(visibleToken("\ufffd"), "�");
  assert.equal(visibleToken(""), "(empty)");
});

test("a sign and the same character in a token can be told apart", () => {
  assert.deepEqual(tokenParts(" ·"), [{ text: "·", mark: true }, { text: "·", mark: false }]);
});

test("letters of every script and markup stay as they are", () => {
  for (const token of ["Ünïcode", "日本語", "עברית", "👩‍🔬".replace("\u200d", ""), "<img src=x onerror=alert(1)>", "</script>", "Ġthe"]) {
    assert.deepEqual(tokenParts(token), [{ text: token, mark: false }]);
  }
});

test("what fits is left whole, what does not ends in an ellipsis and fits", () => {
  const parts = tokenParts(" extraordinarily");
  assert.equal(fitParts(parts, 16, measure), parts);
  const cut = fitParts(parts, 7, measure);
  assert.deepEqual(cut, [{ text: "·", mark: true }, { text: "extra…", mark: false }]);
  assert.equal(measure(cut.map((part) => part.text).join("")), 7);
});

test("a very long token and a width of nothing still give an ellipsis", () => {
  const long = fitParts(tokenParts("x".repeat(100000)), 5, measure);
  assert.deepEqual(long, [{ text: "xxxx…", mark: false }]);
  assert.deepEqual(fitParts(tokenParts("word"), 0, measure), [{ text: "…", mark: false }]);
});

test("a character outside the basic plane is never cut in half", () => {
  const cut = fitParts(tokenParts("𝒜𝒷𝒸𝒹"), 3, measure);
  assert.deepEqual(cut, [{ text: "𝒜𝒷…", mark: false }]);
});
