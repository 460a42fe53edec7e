// The runtime's WebAssembly: functions taken out of a module trap, the others do as before.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { bodiesOf, fromRanges, instrumented, ranIn, reduced, toRanges, withBodies, withFunction } from "../../../deploy/runtime/wasm.mjs";

// Two functions without parameters that give an i32: "one" gives 1 and has a local, "two" gives 2. One global, 7, mutable.
const MODULE = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 5, 1, 0x60, 0, 1, 0x7f],
  ...[3, 3, 2, 0, 0],
  ...[6, 6, 1, 0x7f, 1, 0x41, 7, 0x0b],
  ...[7, 13, 2, 3, 0x6f, 0x6e, 0x65, 0, 0, 3, 0x74, 0x77, 0x6f, 0, 1],
  ...[10, 13, 2, 6, 1, 1, 0x7f, 0x41, 1, 0x0b, 4, 0, 0x41, 2, 0x0b],
);
const exportsOf = (module) => new WebAssembly.Instance(new WebAssembly.Module(module)).exports;

test("a module has the functions that it defines", () => {
  assert.deepEqual(bodiesOf(MODULE).map(({ length }) => length), [6, 4]);
});

test("a function that is not kept traps, and the others do as before", () => {
  const { one, two } = exportsOf(reduced(MODULE, new Set([1])));
  assert.throws(one, WebAssembly.RuntimeError);
  assert.equal(two(), 2);
});

test("a module of which everything is kept stays as it is", () => {
  assert.deepEqual(reduced(MODULE, new Set([0, 1])), MODULE);
});

test("a function can be added, which the others may call", () => {
  // i32.const 5
  const { module, index } = withFunction(MODULE, 0, Uint8Array.of(0, 0x41, 5, 0x0b));
  assert.equal(index, 2);
  assert.deepEqual(bodiesOf(module).length, 3);
  // call
  const calling = withBodies(module, (body, place) => (place === 1 ? Uint8Array.of(0, 0x10, index, 0x0b) : body));
  const { one, two } = exportsOf(calling);
  assert.deepEqual([one(), two()], [1, 5]);
});

test("an instrumented module does as before and tells which functions ran", () => {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(instrumented(MODULE)));
  assert.deepEqual(ranIn(instance), []);
  assert.equal(instance.exports.one(), 1);
  assert.deepEqual(ranIn(instance), [0]);
  assert.equal(instance.exports.two(), 2);
  assert.deepEqual(ranIn(instance), [0, 1]);
});

test("kept functions are written as ranges and read again", () => {
  const kept = new Set([0, 1, 2, 5, 300, 301]);
  assert.equal(toRanges(kept).trim(), "0-2 5 300-301");
  assert.deepEqual(fromRanges(toRanges(kept)), kept);
});

const VENDOR = new URL("../../../web/vendor/onnxruntime-web/", import.meta.url);
const file = (name) => readFileSync(new URL(name, VENDOR));
const SMALL = gunzipSync(file("ort-wasm-simd-threaded.reduced.wasm.gz"));

test("the runtime is valid, and the same in both packings", () => {
  assert.ok(WebAssembly.validate(SMALL));
  assert.deepEqual(brotliDecompressSync(file("ort-wasm-simd-threaded.reduced.wasm.br")), SMALL);
});

test("the reduced runtime offers and asks for nothing but what the whole one does", () => {
  const [small, whole] = [SMALL, gunzipSync(file("ort-wasm-simd-threaded.wasm.gz"))].map((bytes) => new WebAssembly.Module(bytes));
  assert.deepEqual(WebAssembly.Module.exports(small), WebAssembly.Module.exports(whole));
  const asked = new Set(WebAssembly.Module.imports(whole).map(({ module, name }) => `${module} ${name}`));
  assert.deepEqual(WebAssembly.Module.imports(small).filter(({ module, name }) => !asked.has(`${module} ${name}`)), []);
});
