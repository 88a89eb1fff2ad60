/**
 * A typed array as the kernel sends it.
 * @param {import("../src/lib/arrays.js").Values} values
 * @param {number[]} shape
 */
export function payload(values, shape) {
  const data = new DataView(values.buffer, values.byteOffset, values.byteLength);
  return { data, dtype: values.constructor.name.replace("Array", "").toLowerCase(), shape };
}

/**
 * A panel of 3 rows, 2 positions and 2 tokens a cell over the vocabulary [a, b, c, d].
 * @param {Partial<import("../src/token_grid/state.js").Panel>} [changes]
 * @returns {import("../src/token_grid/state.js").Panel}
 */
export function smallPanel(changes = {}) {
  return {
    lens: "logit lens",
    component: "resid_post",
    rows: ["embed", "L0", "L1"],
    top: payload(Uint8Array.of(0, 1, 1, 2, 1, 0, 2, 3, 1, 2, 3, 0), [3, 2, 2]),
    top_logprob: payload(Float32Array.from([0.6, 0.3, 0.5, 0.4, 0.7, 0.2, 0.8, 0.1, 0.9, 0.05, 0.5, 0.25], Math.log), [3, 2, 2]),
    quantities: {
      probability: quantity(Float32Array.of(0.6, 0.5, 0.7, 0.8, 0.9, 0.5), { label: "probability" }),
      entropy: quantity(Float32Array.of(1, 2, 3, 4, 5, 6), { label: "entropy", unit: "nats", low: 1, high: 6, digits: 1 }),
    },
    tracks: {
      offsets: payload(Uint8Array.of(0, 1, 1), [3]),
      ids: payload(Uint8Array.of(1), [1]),
      ranks: payload(Uint16Array.of(1, 0, 0), [1, 3]),
      logprobs: payload(Float32Array.from([0.3, 0.7, 0.9], Math.log), [1, 3]),
    },
    ...changes,
  };
}

/**
 * @param {Float32Array} values
 * @param {Partial<import("../src/token_grid/state.js").Quantity>} changes
 * @returns {import("../src/token_grid/state.js").Quantity}
 */
function quantity(values, changes) {
  return { values: payload(values, [3, 2]), label: "", unit: "", scale: "sequential", low: 0, high: 1, digits: 3, ...changes };
}

/** @param {Record<string, any>} [changes] */
export function smallState(changes = {}) {
  return {
    title: "", status: "", quantity: "probability", panel: 0, color_scheme: "viridis", selected: null, pinned: [],
    _tokens: ["x", " y"], _next_token: [], _vocabulary: ["a", " b", "c", "d"], _panels: [smallPanel()],
    ...changes,
  };
}
