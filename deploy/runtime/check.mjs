// Compares the reduced runtime with the whole one: the same outputs, bit for bit, of every model for every photo. Prints how
// long the fastest of PHOTOS more takes in either.
//
//     node deploy/runtime/check.mjs MODELS FOLDER PHOTOS
//
// MODELS is the folder that models.py has written; FOLDER is web/vendor/onnxruntime-web. Until about PHOTOS = 40 V8 compiles
// while it runs, and times are longer than later ones.

import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import { OPTIONS, SMALL, WASM, folders, modelsIn, photos } from "./models.mjs";

const [models, target, count] = folders("MODELS", "FOLDER", "PHOTOS");

/** A runtime of its own: of one script at another address there is another instance. */
async function runtime(name) {
  const ort = await import(`${pathToFileURL(path.resolve(target, "ort.wasm.bundle.min.js"))}?${name}`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = gunzipSync(readFileSync(path.join(target, `${name}.gz`)));
  return ort;
}

async function outputs(ort, { bytes, size }) {
  const session = await ort.InferenceSession.create(bytes, OPTIONS);
  const run = (pixels) => session.run({ pixels: new ort.Tensor("uint8", pixels, [1, size, size, 3]) });
  const all = [];
  for (const pixels of photos(size)) {
    const answer = await run(pixels);
    all.push(...session.outputNames.map((name) => Buffer.from(new Uint8Array(answer[name].data.buffer.slice(0))).toString("hex")));
  }
  const [times, noise] = [[], photos(size)[2]];
  for (let round = 0; round < Number(count); round++) {
    const start = performance.now();
    await run(noise);
    times.push(performance.now() - start);
  }
  await session.release();
  return { all, ms: Math.min(...times) };
}

const [whole, small] = [await runtime(WASM), await runtime(SMALL)];
let different = 0;
for (const model of modelsIn(models)) {
  const [expected, found] = [await outputs(whole, model), await outputs(small, model)];
  const same = expected.all.length > 0 && expected.all.every((output, i) => output === found.all[i]);
  different += !same;
  const times = `${expected.ms.toFixed(1)} and ${found.ms.toFixed(1)} ms`;
  console.log(`${model.name}: ${expected.all.length} outputs ${same ? "are the same" : "DIFFER"}; ${times}`);
}
process.exit(different ? 1 : 0);
