/**
 * Heads as small pictures.
 *
 * @typedef {import("./state.js").State} State
 */
import { STEPS, channels } from "../lib/colors.js";

/**
 * One head's triangle as a square of `size` × `size` values, destinations downwards; NaN where every
 * source is later than its destination. Where several weights share a place the largest is kept: an
 * average would wash out the thin lines that tell heads apart.
 * @param {ArrayLike<number>} values
 * @param {number} start of the head's triangle
 * @param {number} n positions
 * @param {number} size at most n
 */
export function pooled(values, start, n, size) {
  const square = new Float32Array(size * size).fill(NaN);
  let i = start;
  for (let dst = 0; dst < n; dst += 1) {
    const row = Math.floor((dst * size) / n) * size;
    for (let src = 0; src <= dst; src += 1, i += 1) {
      const at = row + Math.floor((src * size) / n);
      if (!(square[at] >= values[i])) square[at] = values[i];
    }
  }
  return square;
}

/**
 * All heads in one picture, layer 0 of the state in the lowest row, each `size` pixels wide and high;
 * transparent where no attention can be. One scale serves all heads; value-weighted heads differ so much
 * that it goes by square roots, or most would show nothing.
 * @param {State} state
 * @param {number} size
 * @param {string[]} fill the colour table
 * @returns {{pixels: Uint8ClampedArray<ArrayBuffer>, width: number, height: number}}
 */
export function mosaic(state, size, fill) {
  const { weights, layers, nHeads, tokens, weighted } = state;
  const width = nHeads * size;
  const height = layers.length * size;
  const pixels = new Uint8ClampedArray(width * height * 4);
  const colors = fill.map(channels);
  for (let layer = 0; layer < layers.length; layer += 1) {
    for (let head = 0; head < nHeads; head += 1) {
      const square = pooled(weights.values, (layer * nHeads + head) * weights.perHead, tokens.length, size);
      const top = (layers.length - 1 - layer) * size;
      for (let y = 0; y < size; y += 1) {
        for (let x = 0; x < size; x += 1) {
          const value = square[y * size + x];
          if (Number.isNaN(value)) continue;
          const at = ((top + y) * width + head * size + x) * 4;
          const part = weights.high > 0 ? Math.min(1, value / weights.high) : 0;
          pixels.set(colors[Math.round((weighted ? Math.sqrt(part) : part) * (STEPS - 1))], at);
          pixels[at + 3] = 255;
        }
      }
    }
  }
  return { pixels, width, height };
}

/**
 * A colour part of the way from one to another, as "rgb(r, g, b)".
 * @param {string} from
 * @param {string} to
 * @param {number} way 0 to 1
 */
export function mix(from, to, way) {
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((channel, i) => Math.round(channel + (b[i] - channel) * way)).join(", ")})`;
}
