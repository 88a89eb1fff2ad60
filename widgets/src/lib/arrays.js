/**
 * Arrays as they travel: bytes, a dtype and a shape, little-endian and in row-major order. The mirror
 * of workbench/widgets/arrays.py.
 *
 * @typedef {{data: DataView, dtype: string, shape: number[]}} EncodedArray
 * @typedef {Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array |
 *   Int32Array | Uint32Array} Values
 * @typedef {{values: Values, shape: number[]}} DecodedArray
 */

const TYPES = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
};

/** @type {Float32Array | null} */
let halves = null;

/**
 * The number that a half-precision bit pattern stands for.
 * @param {number} bits
 */
export function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** All 65,536 half-precision numbers: a look-up is ten times quicker than taking each apart. */
function halfTable() {
  halves ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits));
  return halves;
}

/**
 * The typed array of a payload; half precision is widened to Float32Array.
 * @param {EncodedArray} payload
 * @returns {DecodedArray}
 */
export function decode(payload) {
  const { data, dtype, shape } = payload;
  // A copy, because the bytes need not start where the typed array could.
  const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  const count = shape.reduce((product, size) => product * size, 1);
  /** @type {Values} */
  let values;
  if (dtype === "float16") {
    const table = halfTable();
    const bits = new Uint16Array(/** @type {ArrayBuffer} */ (buffer));
    values = new Float32Array(bits.length);
    for (let i = 0; i < bits.length; i += 1) values[i] = table[bits[i]];
  } else {
    const type = TYPES[/** @type {keyof typeof TYPES} */ (dtype)];
    if (!type) throw new TypeError(`arrays travel as ${Object.keys(TYPES).join(", ")} or float16, not ${dtype}`);
    values = new type(/** @type {ArrayBuffer} */ (buffer));
  }
  if (values.length !== count) {
    throw new RangeError(`an array of shape [${shape}] has ${count} values, its bytes hold ${values.length}`);
  }
  return { values, shape };
}

/** @type {WeakMap<EncodedArray, DecodedArray>} */
const seen = new WeakMap();

/**
 * As `decode`, once a payload: every view of a model shares the decoded array.
 * @param {EncodedArray} payload
 */
export function decodeOnce(payload) {
  let array = seen.get(payload);
  if (!array) seen.set(payload, (array = decode(payload)));
  return array;
}
