// Makes the runtime that the page loads from the npm package: the functions of kept.txt, and traps in place of the others.
// Two loops are replaced by faster ones that do the same (faster.mjs).
//
//     node deploy/runtime/reduce.mjs PACKAGE FOLDER
//
// PACKAGE is the npm package onnxruntime-web, unpacked; FOLDER is web/vendor/onnxruntime-web. wasm-as and wasm-opt, of the npm
// package binaryen, are on the PATH; wasm-opt takes away what only led to traps. The same packages and the same kept.txt
// give the same bytes (before they are packed, whatever the version of zlib).

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { faster } from "./faster.mjs";
import { SMALL, WASM, folders } from "./models.mjs";
import { fromRanges, reduced } from "./wasm.mjs";

/** What the package's module uses; with more, wasm-opt might write what older browsers don't know. */
const FEATURES = ["simd", "threads", "bulk-memory", "mutable-globals", "nontrapping-float-to-int", "sign-ext"];
/** A call to what traps is a trap, what comes after it never runs, and what is called from there is unused. With -Oz wasm-opt
 * saves 4 % more, takes ten times as long and rewrites everything. */
const PASSES = [
  "inlining", "dce", "vacuum", "remove-unused-brs", "merge-blocks", "vacuum", "simplify-locals", "coalesce-locals", "vacuum",
  "remove-unused-module-elements",
];

const [folder, target] = folders("PACKAGE", "FOLDER");
const whole = new Uint8Array(readFileSync(path.join(folder, "dist", WASM)));
const kept = fromRanges(readFileSync(new URL("kept.txt", import.meta.url), "utf8"));
const small = inFolder((work) => swept(faster(reduced(whole, kept), work), work));
// What runs nowhere is not published.
if (!WebAssembly.validate(small)) throw new Error("The reduced module is not valid WebAssembly.");
const largest = { params: { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: small.length } };
const files = {
  [`${SMALL}.gz`]: execFileSync("gzip", ["-9", "-n"], { input: small, maxBuffer: small.length }),
  [`${SMALL}.br`]: brotliCompressSync(small, largest),
};
console.log(`${WASM}: ${whole.length} bytes; ${SMALL}: ${small.length} bytes`);
for (const [name, bytes] of Object.entries(files)) {
  writeFileSync(path.join(target, name), bytes);
  console.log(`${name}: ${bytes.length} bytes`);
}

function swept(module, work) {
  const [before, after] = ["before.wasm", "after.wasm"].map((name) => path.join(work, name));
  writeFileSync(before, module);
  const options = [...FEATURES.map((name) => `--enable-${name}`), ...PASSES.map((name) => `--${name}`)];
  execFileSync("wasm-opt", [...options, before, "-o", after], { stdio: "inherit" });
  return new Uint8Array(readFileSync(after));
}

/** What `task` gives for a folder that goes afterwards. */
function inFolder(task) {
  const work = mkdtempSync(path.join(tmpdir(), "purrdict-runtime-"));
  try {
    return task(work);
  } finally {
    rmSync(work, { recursive: true });
  }
}
