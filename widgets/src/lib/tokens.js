/**
 * Token strings made visible. A part with `mark` is a sign for a character that cannot be seen; views
 * draw it fainter, so that a real "·" and the sign for a space differ.
 *
 * @typedef {{text: string, mark: boolean}} Part
 */

/** @type {Record<string, string>} */
const SIGNS = { " ": "·", "\n": "↵", "\t": "⇥", "\r": "␍", "\u00a0": "⍽", "\ufffd": "�" };

// Controls, soft hyphen, Arabic letter mark, zero-width and direction characters, separators, tags.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]/;

/** @param {string} character */
function sign(character) {
  if (character in SIGNS) return SIGNS[character];
  if (!UNSEEN.test(character) || character.length > 1) return null;
  const code = character.charCodeAt(0).toString(16);
  return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
}

/**
 * The parts of a token, in order. Inner spaces stay spaces: only a space at either end can be missed.
 * @param {string} token
 * @returns {Part[]}
 */
export function tokenParts(token) {
  if (token === "") return [{ text: "(empty)", mark: true }];
  /** @type {Part[]} */
  const parts = [];
  const characters = Array.from(token);
  const first = characters.findIndex((character) => character !== " ");
  let last = characters.length - 1;
  while (last > first && characters[last] === " ") last -= 1;
  characters.forEach((character, i) => {
    const inner = character === " " && first >= 0 && i > first && i < last;
    const shown = inner ? null : sign(character);
    const text = shown ?? character;
    const mark = shown !== null;
    const previous = parts.at(-1);
    if (previous && previous.mark === mark) previous.text += text;
    else parts.push({ text, mark });
  });
  return parts;
}

/**
 * The token as one string with its signs, for text lines and labels.
 * @param {string} token
 */
export function visibleToken(token) {
  return tokenParts(token).map((part) => part.text).join("");
}

/**
 * Parts that fit into a width, the last one cut with an ellipsis where they do not.
 * @param {Part[]} parts
 * @param {number} width
 * @param {(text: string) => number} measure width of a text
 * @returns {Part[]}
 */
export function fitParts(parts, width, measure) {
  const whole = parts.map((part) => part.text).join("");
  if (whole.length <= 200 && measure(whole) <= width) return parts;
  const characters = parts.flatMap((part) =>
    Array.from(part.text.slice(0, 200), (text) => ({ text, mark: part.mark })),
  );
  let low = 0;
  let high = Math.min(characters.length, 200);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const text = characters.slice(0, middle).map((part) => part.text).join("");
    if (measure(`${text}…`) <= width) low = middle;
    else high = middle - 1;
  }
  /** @type {Part[]} */
  const kept = [];
  for (const part of characters.slice(0, low)) {
    const previous = kept.at(-1);
    if (previous && previous.mark === part.mark) previous.text += part.text;
    else kept.push({ ...part });
  }
  const previous = kept.at(-1);
  if (previous && !previous.mark) previous.text += "…";
  else kept.push({ text: "…", mark: false });
  return kept;
}
