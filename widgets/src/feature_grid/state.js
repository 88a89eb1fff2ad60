/**
 * What the grid shows, read from the model's traits, and which features have a row.
 *
 * @typedef {import("../lib/arrays.js").EncodedArray} EncodedArray
 * @typedef {{name: string, label: string}} Feature
 * @typedef {{title: string, status: string, tokens: string[], features: Feature[],
 *   values: ArrayLike<number>, explained: ArrayLike<number>, order: string, nShown: number,
 *   chosen: string[], feature: string, position: number, rows: number[], most: number}} State
 *   `rows`: the features shown, the first at the top; `most`: the greatest size of an activation
 * @typedef {{order: string, n_shown: number, chosen: string[], feature: string,
 *   position: number}} Choice the traits that a view sets
 */
import { decodeOnce } from "../lib/arrays.js";

/** The traits that a view draws; a change of any of them asks for a new frame. */
export const TRAITS = [
  "title", "status", "order", "n_shown", "chosen", "feature", "position",
  "_tokens", "_features", "_values", "_explained",
];
/** More rows than this at once nobody can compare. */
export const MOST_SHOWN = 32;
/** @type {Record<string, string>} */
export const ORDERS = {
  max: "most active anywhere", sum: "most active in sum", position: "most active at the position", chosen: "chosen by hand",
};

/**
 * @param {{get: (name: string) => any}} model
 * @returns {State}
 */
export function readState(model) {
  const { values } = decodeOnce(model.get("_values").values);
  const given = {
    title: model.get("title"),
    status: model.get("status"),
    tokens: model.get("_tokens"),
    features: model.get("_features"),
    values,
    explained: decodeOnce(model.get("_explained").values).values,
    order: model.get("order"),
    nShown: model.get("n_shown"),
    chosen: model.get("chosen"),
    feature: model.get("feature"),
    position: model.get("position"),
  };
  return { ...given, rows: shownRows(given), most: greatest(values) };
}

/** @param {Float32Array | ArrayLike<number>} values */
function greatest(values) {
  let most = 0;
  for (let i = 0; i < values.length; i += 1) most = Math.max(most, sizeOf(values[i]));
  return most;
}

/** What is not known counts for nothing. @param {number} value */
const sizeOf = (value) => (Number.isNaN(value) ? 0 : Math.abs(value));

/** @param {{tokens: string[], values: ArrayLike<number>}} state @param {number} feature @param {number} pos */
export const valueAt = ({ tokens, values }, feature, pos) => values[feature * tokens.length + pos];

/** Where a feature is most active. @param {{tokens: string[], values: ArrayLike<number>}} state @param {number} feature */
export function peak(state, feature) {
  let best = 0;
  for (let pos = 1; pos < state.tokens.length; pos += 1) {
    if (sizeOf(valueAt(state, feature, pos)) > sizeOf(valueAt(state, feature, best))) best = pos;
  }
  return best;
}

/**
 * The features with a row, the first at the top: those chosen by hand, or the most active by the
 * order asked for; where no position is selected, the last counts.
 * @param {Omit<State, "rows" | "most">} state
 */
export function shownRows(state) {
  const { tokens, features, order, nShown, chosen, position } = state;
  if (order === "chosen") {
    const index = new Map(features.map((feature, i) => [feature.name, i]));
    return chosen.flatMap((name) => index.get(name) ?? []).slice(0, MOST_SHOWN);
  }
  const place = position < 0 ? tokens.length - 1 : position;
  const size = features.map((_, feature) => {
    if (order === "position") return sizeOf(valueAt(state, feature, place));
    if (order === "max") return sizeOf(valueAt(state, feature, peak(state, feature)));
    let sum = 0;
    for (let pos = 0; pos < tokens.length; pos += 1) sum += sizeOf(valueAt(state, feature, pos));
    return sum;
  });
  // At a position most features are not active: rows of zeros would say nothing of it.
  const there = features.map((_, i) => i).filter((i) => order !== "position" || size[i] > 0);
  return there.sort((a, b) => size[b] - size[a] || a - b).slice(0, Math.min(nShown, MOST_SHOWN));
}

/**
 * The chosen features with one more or, of one that is among them, without it.
 * @param {State} state
 * @param {string} name
 */
export function toggled({ chosen }, name) {
  if (chosen.includes(name)) return chosen.filter((other) => other !== name);
  return chosen.length < MOST_SHOWN ? [...chosen, name] : chosen;
}
