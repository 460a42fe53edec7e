// Makes the runtime that the page loads from the npm package: the functions of kept.txt, and traps in place of the others.
//
//     node deploy/runtime/reduce.mjs PACKAGE FOLDER
//
// PACKAGE is the npm package onnxruntime-web, unpacked; FOLDER is web/vendor/onnxruntime-web. The same package and the same
// kept.txt give the same bytes (before they are packed, whatever the version of zlib).

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { fromRanges, reduced } from "./wasm.mjs";

const WASM = "ort-wasm-simd-threaded.wasm";
const SMALL = "ort-wasm-simd-threaded.reduced.wasm";

const [folder, target] = process.argv.slice(2);
if (!target) {
  console.error("usage: node deploy/runtime/reduce.mjs PACKAGE FOLDER");
  process.exit(2);
}
const whole = new Uint8Array(readFileSync(path.join(folder, "dist", WASM)));
const small = reduced(whole, fromRanges(readFileSync(new URL("kept.txt", import.meta.url), "utf8")));
// What runs nowhere is not published.
if (!WebAssembly.validate(small)) throw new Error("The reduced module is not valid WebAssembly.");
const largest = { params: { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: small.length } };
const files = {
  [`${SMALL}.gz`]: gzipSync(small, { level: 9 }),
  [`${SMALL}.br`]: brotliCompressSync(small, largest),
  [`${WASM}.gz`]: gzipSync(whole, { level: 9 }),
};
console.log(`${WASM}: ${whole.length} bytes; ${SMALL}: ${small.length} bytes`);
for (const [name, bytes] of Object.entries(files)) {
  writeFileSync(path.join(target, name), bytes);
  console.log(`${name}: ${bytes.length} bytes`);
}
