// The models that models.py has written, and photos for them.

import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";

export const WASM = "ort-wasm-simd-threaded.wasm";
export const SMALL = "ort-wasm-simd-threaded.reduced.wasm";
export const SCRIPT = "dist/ort.wasm.bundle.min.mjs";
export const OPTIONS = { executionProviders: ["wasm"] };

/** [{ name, bytes, size }]: ONNX files, and the side of their input in pixels. */
export function modelsIn(folder) {
  const files = readdirSync(folder).filter((name) => name.endsWith(".onnx")).sort();
  return files.map((file) => ({
    name: file.replace(/\.onnx$/, ""),
    bytes: new Uint8Array(readFileSync(path.join(folder, file))),
    size: Number(readFileSync(path.join(folder, file.replace(/onnx$/, "size")), "utf8")),
  }));
}

/** Pixels of four kinds, size x size x 3: black, white, noise and a smooth change. */
export function photos(size) {
  const length = size * size * 3;
  const make = (value) => Uint8Array.from({ length }, (_, i) => value(i));
  return [make(() => 0), make(() => 255), make((i) => (i * 7919 + (i >> 5) * 31) % 256), make((i) => (i / length) * 256)];
}

/** The arguments of the command, or its usage on the standard error and the end. */
export function folders(...names) {
  const given = process.argv.slice(2);
  if (given.length === names.length && !given.some((name) => name.startsWith("-"))) return given;
  console.error(`usage: node ${path.relative(".", process.argv[1])} ${names.join(" ")}\n(deploy/runtime/README.md says what these are)`);
  process.exit(given.includes("--help") || given.includes("-h") ? 0 : 2);
}
