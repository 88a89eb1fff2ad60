/**
 * What the grid shows, read from the model's traits. Weights travel as the lower triangles of squares:
 * destination after destination, each with its sources from the first token to itself.
 *
 * @typedef {import("../lib/arrays.js").EncodedArray} EncodedArray
 * @typedef {import("../lib/arrays.js").Values} Values
 * @typedef {{values: Values, perHead: number, highs: Float64Array, high: number}} Weights perHead: how
 *   many of the values belong to one head; highs: the end of each head's colours, high: that of all
 * @typedef {{title: string, tokens: string[], layers: number[], nHeads: number, weights: Weights,
 *   hasWeighted: boolean, weighted: boolean, layerIndex: number, head: number,
 *   position: number | null}} State
 * @typedef {{layer: number, head: number, position: number | null, weighted: boolean}} Choice the
 *   traits that a view sets
 * @typedef {{pos: number, weight: number}} Weight
 */
import { decodeOnce } from "../lib/arrays.js";

/** The traits that a view draws; a change of any of them asks for a new frame. */
export const TRAITS = [
  "title", "layer", "head", "position", "weighted", "_tokens", "_layers", "_pattern", "_value_weighted",
];

/** @type {WeakMap<EncodedArray, Weights>} */
const measured = new WeakMap();

/**
 * @param {EncodedArray} payload (layer, head, pair)
 * @param {boolean} weighted
 * @returns {Weights}
 */
function weightsOf(payload, weighted) {
  let weights = measured.get(payload);
  if (!weights) {
    const { values, shape } = decodeOnce(payload);
    const perHead = shape[2];
    const highs = new Float64Array(shape[0] * shape[1]);
    for (let square = 0; square < highs.length; square += 1) {
      // A plain weight is a share: its colours always end at 1, so that heads can be compared.
      let high = weighted ? 0 : 1;
      if (weighted) for (let i = square * perHead; i < (square + 1) * perHead; i += 1) high = Math.max(high, values[i]);
      highs[square] = high;
    }
    const high = highs.reduce((most, each) => Math.max(most, each), 0);
    measured.set(payload, (weights = { values, perHead, highs, high }));
  }
  return weights;
}

/**
 * @param {{get: (name: string) => any}} model
 * @returns {State}
 */
export function readState(model) {
  const tokens = model.get("_tokens");
  const layers = model.get("_layers");
  const payload = model.get("_value_weighted");
  // Between two messages of a kernel a choice may belong to data that are gone: show what there is.
  const weighted = model.get("weighted") && payload !== null;
  const position = model.get("position");
  const nHeads = model.get("_pattern").shape[1];
  return {
    title: model.get("title"),
    tokens,
    layers,
    nHeads,
    weights: weightsOf(weighted ? payload : model.get("_pattern"), weighted),
    hasWeighted: payload !== null,
    weighted,
    layerIndex: Math.max(0, layers.indexOf(model.get("layer"))),
    head: Math.min(model.get("head"), nHeads - 1),
    position: position !== null && position < tokens.length ? position : null,
  };
}

/**
 * Place of a pair in a head's triangle.
 * @param {number} dst
 * @param {number} src at most dst
 */
export const pairIndex = (dst, src) => (dst * (dst + 1)) / 2 + src;

/**
 * The weight of one pair in one head, 0 where the source is later.
 * @param {State} state
 * @param {number} layerIndex
 * @param {number} head
 * @param {number} dst
 * @param {number} src
 */
export function weightAt({ weights, nHeads }, layerIndex, head, dst, src) {
  if (src > dst) return 0;
  return weights.values[(layerIndex * nHeads + head) * weights.perHead + pairIndex(dst, src)];
}

/**
 * The end of the enlarged head's colours.
 * @param {State} state
 */
export const headHigh = ({ weights, nHeads, layerIndex, head }) => weights.highs[layerIndex * nHeads + head];

/**
 * For every token its weight to or from a position in the enlarged head: an earlier token's as a
 * source of the position, a later token's as a destination, the position's own on itself.
 * @param {State} state
 * @param {number} pos
 */
export function weightsAround(state, pos) {
  const { tokens, layerIndex, head } = state;
  return tokens.map((_, other) => weightAt(state, layerIndex, head, Math.max(pos, other), Math.min(pos, other)));
}

/**
 * The largest weights of some positions, largest first, those of exactly 0 left out.
 * @param {number[]} around as of `weightsAround`
 * @param {number} from
 * @param {number} to one past the last
 * @param {number} most how many
 * @returns {Weight[]}
 */
export function largest(around, from, to, most) {
  return around
    .map((weight, pos) => ({ pos, weight }))
    .slice(from, to)
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .slice(0, most);
}
