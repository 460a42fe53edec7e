// Finds the functions of onnxruntime-web that models need, and writes them to kept.txt for reduce.mjs.
//
//     node deploy/runtime/profile.mjs PACKAGE MODELS
//
// PACKAGE is the npm package, unpacked; MODELS the folder that models.py has written. Runs a copy of the runtime in which
// each function notes that it ran: the start, each model with photos of several kinds, and what people see as errors.

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { OPTIONS, SCRIPT, WASM, folders, modelsIn, photos } from "./models.mjs";
import { instrumented, ranIn, toRanges } from "./wasm.mjs";

const KEPT = new URL("kept.txt", import.meta.url);

const [folder, models] = folders("PACKAGE", "MODELS");
const instances = [];
const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (...input) => {
  const result = await instantiate(...input);
  instances.push(result.instance);
  return result;
};
const ort = await import(pathToFileURL(path.resolve(folder, SCRIPT)));
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = instrumented(new Uint8Array(readFileSync(path.join(folder, "dist", WASM))));

const count = () => ranIn(instances[0]).length;
const tensor = (pixels, size) => new ort.Tensor("uint8", pixels, [1, size, size, 3]);
const fails = async (attempt) => {
  try {
    await attempt();
  } catch (error) {
    return error.message.slice(0, 90);
  }
  throw new Error("This was meant to fail.");
};
const create = (bytes) => ort.InferenceSession.create(bytes, OPTIONS);

console.log("no model:", await fails(() => create(new Uint8Array(1))), count());
for (const { name, bytes, size } of modelsIn(models)) {
  const session = await create(bytes);
  for (const pixels of photos(size)) await session.run({ pixels: tensor(pixels, size) });
  // Errors are of use only with their words.
  const half = size >> 1;
  await fails(() => session.run({ pixels: new ort.Tensor("float32", new Float32Array(size * size * 3), [1, size, size, 3]) }));
  await fails(() => session.run({ pixels: new ort.Tensor("uint8", new Uint8Array(size * size), [1, size, size]) }));
  await session.run({ pixels: tensor(new Uint8Array(half * half * 3), half) }).catch(() => {});
  await session.run({ pixels: tensor(photos(size)[2], size) });
  for (const share of [0.3, 0.9, 0.999]) await create(bytes.slice(0, Math.floor(bytes.length * share))).catch(() => {});
  await session.release();
  console.log(name, count());
}
console.log("no ONNX file:", await fails(() => create(new TextEncoder().encode("<!doctype html><title>404</title>"))), count());
writeFileSync(KEPT, toRanges(ranIn(instances[0])));
console.log(`${count()} functions are kept.`);
