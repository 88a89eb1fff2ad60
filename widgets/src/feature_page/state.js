/**
 * What the page shows, read from the model's traits.
 *
 * @typedef {import("../lib/arrays.js").EncodedArray} EncodedArray
 * @typedef {{tokens: string[], at: number, group: string, source: string}} Text
 * @typedef {Text & {values: ArrayLike<number>, number: number}} Context
 * @typedef {{name: string, label: string, value: number}} Link
 * @typedef {{token: string, value: number}} TokenValue
 * @typedef {{quantity: string, unit: string, effect: number[], control: number[] | null}} Effect
 * @typedef {{edges: number[], counts: number[]}} Bins
 * @typedef {{feature: string, label: string, score: string, frequency: number | null,
 *   n_active: number | null, mean: number | null, maximum: number | null, dead: boolean,
 *   histogram: Bins | null, fires_on: TokenValue[], promoted: TokenValue[],
 *   suppressed: TokenValue[], lowered: TokenValue[], raised: TokenValue[], nearest: Link[],
 *   nearest_by: string, coactive: Link[], coactive_by: string, ablation: Effect[],
 *   ablation_note: string}} Page
 * @typedef {{texts: Text[], values: EncodedArray}} EncodedContexts
 * @typedef {{page: Page, contexts: Context[], label: string, editable: boolean,
 *   status: string}} State
 * @typedef {{label: string, chosen: string}} Choice the traits that a view sets
 */
import { decodeOnce } from "../lib/arrays.js";

/** The traits that a view draws; a change of any of them asks for a new frame. */
export const TRAITS = ["label", "editable", "status", "_page", "_contexts"];
/** As long as Python lets a label be. */
export const MOST_LABEL = 200;

/** @type {WeakMap<EncodedContexts, Context[]>} */
const known = new WeakMap();

/** @param {EncodedContexts} encoded */
function contextsOf(encoded) {
  let contexts = known.get(encoded);
  if (!contexts) {
    const { values } = decodeOnce(encoded.values);
    let start = 0;
    contexts = encoded.texts.map((text, number) => {
      const end = start + text.tokens.length;
      const context = { ...text, number, values: values.subarray(start, end) };
      start = end;
      return context;
    });
    known.set(encoded, contexts);
  }
  return contexts;
}

/**
 * @param {{get: (name: string) => any}} model
 * @returns {State}
 */
export function readState(model) {
  return {
    page: model.get("_page"),
    contexts: contextsOf(model.get("_contexts")),
    label: model.get("label"),
    editable: model.get("editable"),
    status: model.get("status"),
  };
}

/** The greatest size of an activation in the contexts: the full colour. @param {Context[]} contexts */
export const mostActive = (contexts) => Math.max(0, ...contexts.map(({ values }) => Math.max(...Array.from(values, Math.abs))));

/**
 * The contexts by the headings they stand under, in the order of their first.
 * @param {Context[]} contexts
 * @returns {[string, Context[]][]}
 */
export function grouped(contexts) {
  /** @type {Map<string, Context[]>} */
  const groups = new Map();
  for (const context of contexts) groups.set(context.group, [...(groups.get(context.group) ?? []), context]);
  return [...groups];
}

/**
 * How well the label detects the feature; of a changed label nobody knows.
 * @param {State} state
 */
export const scoreOf = ({ page, label }) => (label === page.label ? page.score : "not scored");

/**
 * The token that an arrow key leads to: along a context, or to the place of another one.
 * @param {Context[]} contexts
 * @param {{context: number, token: number}} from
 * @param {string} key
 * @returns {{context: number, token: number} | null} null for a key that does not move
 */
export function moveToken(contexts, { context, token }, key) {
  const last = contexts[context].tokens.length - 1;
  if (key === "ArrowLeft") return { context, token: Math.max(0, token - 1) };
  if (key === "ArrowRight") return { context, token: Math.min(last, token + 1) };
  if (key === "Home") return { context, token: 0 };
  if (key === "End") return { context, token: last };
  if (key !== "ArrowUp" && key !== "ArrowDown") return null;
  const next = Math.min(contexts.length - 1, Math.max(0, context + (key === "ArrowDown" ? 1 : -1)));
  return next === context ? { context, token } : { context: next, token: contexts[next].at };
}
