/**
 * What the grid shows, read from the model's traits. Arrays are decoded when first needed.
 *
 * @typedef {import("../lib/arrays.js").EncodedArray} EncodedArray
 * @typedef {import("../lib/color_scale.js").ScaleKind} ScaleKind
 * @typedef {import("../lib/grid_geometry.js").Cell} Cell
 * @typedef {{values: EncodedArray, label: string, unit: string, scale: ScaleKind, low: number,
 *   high: number, digits: number}} Quantity
 * @typedef {{offsets: EncodedArray, ids: EncodedArray, ranks: EncodedArray,
 *   logprobs: EncodedArray}} Tracks
 * @typedef {{lens: string, component: string, rows: string[], top: EncodedArray,
 *   top_logprob: EncodedArray, quantities: Record<string, Quantity>, tracks: Tracks | null}} Panel
 * @typedef {{pos: number, token: string, id: number}} Pin
 * @typedef {{title: string, status: string, tokens: string[], nextToken: string[],
 *   vocabulary: string[], panels: Panel[], panelIndex: number, panel: Panel, quantityName: string,
 *   quantity: Quantity, scheme: string, selected: Cell | null, pinned: Pin[]}} State
 * @typedef {{quantity: string, panel: number, color_scheme: string, selected: Cell | null,
 *   pinned: Pin[]}} Choice the traits that a view sets
 * @typedef {{id: number, token: string, logprob: number}} Candidate
 * @typedef {{ranks: (number | null)[], logprobs: (number | null)[], exact: boolean}} Track
 */
import { decodeOnce } from "../lib/arrays.js";

/** The traits that a view draws; a change of any of them asks for a new frame. */
export const TRAITS = [
  "title", "status", "quantity", "panel", "color_scheme", "selected", "pinned",
  "_tokens", "_next_token", "_vocabulary", "_panels",
];

/**
 * @param {{get: (name: string) => any}} model
 * @returns {State}
 */
export function readState(model) {
  const panels = model.get("_panels");
  const tokens = model.get("_tokens");
  // Between two messages of a kernel a choice may belong to data that are gone: show what there is.
  const panelIndex = Math.min(model.get("panel"), panels.length - 1);
  const panel = panels[panelIndex];
  const names = Object.keys(panel.quantities);
  const quantityName = names.includes(model.get("quantity")) ? model.get("quantity") : names[0];
  const selected = model.get("selected");
  /** @type {Pin[]} */
  const pins = model.get("pinned");
  const inside = selected && selected.row < panel.rows.length && selected.pos < tokens.length;
  return {
    title: model.get("title"),
    status: model.get("status"),
    tokens,
    nextToken: model.get("_next_token"),
    vocabulary: model.get("_vocabulary"),
    panels,
    panelIndex,
    panel,
    quantityName,
    quantity: panel.quantities[quantityName],
    scheme: model.get("color_scheme"),
    selected: inside ? selected : null,
    pinned: pins.every((pin) => pin.pos < tokens.length) ? pins : [],
  };
}

/** @param {string[]} items */
const distinct = (items) => [...new Set(items)];

/** @param {Panel[]} panels */
export const lenses = (panels) => distinct(panels.map((panel) => panel.lens));

/**
 * The components that a lens was applied to.
 * @param {Panel[]} panels
 * @param {string} lens
 */
export const components = (panels, lens) =>
  distinct(panels.filter((panel) => panel.lens === lens).map((panel) => panel.component));

/**
 * Number of the panel with a lens, on the same component where there is one.
 * @param {Panel[]} panels
 * @param {string} lens
 * @param {string} component
 */
export function findPanel(panels, lens, component) {
  const exact = panels.findIndex((panel) => panel.lens === lens && panel.component === component);
  return exact >= 0 ? exact : panels.findIndex((panel) => panel.lens === lens);
}

/**
 * The best tokens of a cell, best first.
 * @param {State} state
 * @param {Cell} cell
 * @returns {Candidate[]}
 */
export function candidates({ panel, vocabulary }, { row, pos }) {
  const top = decodeOnce(panel.top);
  const logprob = decodeOnce(panel.top_logprob);
  const [, positions, k] = top.shape;
  const start = (row * positions + pos) * k;
  return Array.from({ length: k }, (_, i) => {
    const id = top.values[start + i];
    return { id, token: vocabulary[id], logprob: logprob.values[start + i] };
  });
}

/**
 * Whether cells hold tokens; else they show the chosen quantity's number.
 * @param {Panel} panel
 */
export const hasTokens = (panel) => panel.top.shape[2] > 0;

/**
 * Id of the best token of a cell.
 * @param {Panel} panel
 * @param {number} row
 * @param {number} pos
 */
export function topId(panel, row, pos) {
  const { values, shape } = decodeOnce(panel.top);
  return values[(row * shape[1] + pos) * shape[2]];
}

/**
 * Value of a quantity in a cell.
 * @param {Quantity} quantity
 * @param {number} row
 * @param {number} pos
 */
export function valueAt(quantity, row, pos) {
  const { values, shape } = decodeOnce(quantity.values);
  return values[row * shape[1] + pos];
}

/**
 * The rank (1 = top) and log-probability of a token in every row of a position: exact where the panel
 * tracks it, else as far as it is among the top k. Null where the token occurs in neither.
 * @param {Panel} panel
 * @param {number} pos
 * @param {number} id
 * @returns {Track | null}
 */
export function trackOf(panel, pos, id) {
  return exactTrack(panel, pos, id) ?? partialTrack(panel, pos, id);
}

/**
 * @param {Panel} panel
 * @param {number} pos
 * @param {number} id
 * @returns {Track | null}
 */
function exactTrack({ tracks, rows }, pos, id) {
  if (!tracks) return null;
  const offsets = decodeOnce(tracks.offsets).values;
  const ids = decodeOnce(tracks.ids).values;
  for (let n = offsets[pos]; n < offsets[pos + 1]; n += 1) {
    if (ids[n] === id) {
      const start = n * rows.length;
      const end = start + rows.length;
      return {
        ranks: Array.from(decodeOnce(tracks.ranks).values.subarray(start, end), (rank) => rank + 1),
        logprobs: Array.from(decodeOnce(tracks.logprobs).values.subarray(start, end)),
        exact: true,
      };
    }
  }
  return null;
}

/**
 * @param {Panel} panel
 * @param {number} pos
 * @param {number} id
 * @returns {Track | null}
 */
function partialTrack({ top, top_logprob, rows }, pos, id) {
  const { values, shape } = decodeOnce(top);
  const logprob = decodeOnce(top_logprob).values;
  /** @type {Track} */
  const track = { ranks: [], logprobs: [], exact: false };
  for (let row = 0; row < rows.length; row += 1) {
    const start = (row * shape[1] + pos) * shape[2];
    const rank = values.subarray(start, start + shape[2]).indexOf(id);
    track.ranks.push(rank < 0 ? null : rank + 1);
    track.logprobs.push(rank < 0 ? null : logprob[start + rank]);
  }
  return track.ranks.every((rank) => rank === null) ? null : track;
}

/**
 * The pins after a click on a token: without it where it was pinned, with it at the end where not.
 * @param {Pin[]} pins
 * @param {Pin} pin
 */
export function togglePin(pins, pin) {
  const others = pins.filter((other) => !(other.pos === pin.pos && other.id === pin.id));
  return others.length < pins.length ? others : [...pins, pin];
}
