import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, decodeOnce, halfToNumber } from "../src/lib/arrays.js";
import { payload } from "./payload.js";

test("every dtype comes back with its numbers", () => {
  for (const [dtype, type] of /** @type {const} */ ([
    ["float32", Float32Array], ["float64", Float64Array], ["int8", Int8Array], ["uint8", Uint8Array],
    ["int16", Int16Array], ["uint16", Uint16Array], ["int32", Int32Array], ["uint32", Uint32Array],
  ])) {
    const values = type.from([0, 1, 2, 100, 127, 3]);
    const array = decode(payload(values, [2, 3]));
    assert.equal(payload(values, [2, 3]).dtype, dtype);
    assert.deepEqual(array, { values, shape: [2, 3] });
  }
});

test("half precision is widened exactly, with its subnormal, infinite and undefined numbers", () => {
  // Bit patterns and values of IEEE 754 binary16.
  const known = [
    [0x0000, 0], [0x3c00, 1], [0xc000, -2], [0x7bff, 65504], [0x0001, 2 ** -24], [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14], [0x3555, 0.333251953125], [0x7c00, Infinity], [0xfc00, -Infinity],
  ];
  const bits = Uint16Array.from(known, ([pattern]) => pattern);
  const { values } = decode({ ...payload(bits, [bits.length]), dtype: "float16" });
  assert.deepEqual(Array.from(values), known.map(([, value]) => value));
  assert.ok(Number.isNaN(halfToNumber(0x7e00)));
  assert.ok(Object.is(halfToNumber(0x8000), -0));
});

test("bytes that start at an odd place in their buffer are read from there", () => {
  const values = Float32Array.from([1.5, -2.25]);
  const bytes = new Uint8Array(11);
  bytes.set(new Uint8Array(values.buffer), 3);
  const data = new DataView(bytes.buffer, 3, 8);
  assert.deepEqual(decode({ data, dtype: "float32", shape: [2] }).values, values);
});

test("a shape that the bytes do not fill and an unknown dtype are refused", () => {
  assert.throws(() => decode(payload(Float32Array.of(1, 2, 3), [2, 2])), /shape \[2,2\] has 4 values, its bytes hold 3/);
  assert.throws(() => decode({ ...payload(Float32Array.of(1), [1]), dtype: "complex64" }), /not complex64/);
});

test("a payload is decoded once", () => {
  const one = payload(Float32Array.of(1, 2), [2]);
  assert.equal(decodeOnce(one), decodeOnce(one));
  assert.notEqual(decodeOnce(one), decodeOnce({ ...one }));
});
