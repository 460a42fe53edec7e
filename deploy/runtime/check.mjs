// Compares the reduced runtime with the whole one: the same outputs, bit for bit, of every model for every photo.
//
//     node deploy/runtime/check.mjs PACKAGE MODELS FOLDER
//
// PACKAGE is the npm package, unpacked; MODELS the folder that models.py has written; FOLDER is web/vendor/onnxruntime-web.

import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import { OPTIONS, SCRIPT, SMALL, WASM, folders, modelsIn, photos } from "./models.mjs";

const [folder, models, target] = folders("PACKAGE", "MODELS", "FOLDER");

/** A runtime of its own: of one script at another address there is another instance. */
async function runtime(name, wasm) {
  const ort = await import(`${pathToFileURL(path.resolve(folder, SCRIPT))}?${name}`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = wasm;
  return ort;
}

async function outputs(ort, { bytes, size }) {
  const session = await ort.InferenceSession.create(bytes, OPTIONS);
  const all = [];
  for (const pixels of photos(size)) {
    const answer = await session.run({ pixels: new ort.Tensor("uint8", pixels, [1, size, size, 3]) });
    all.push(...session.outputNames.map((name) => Buffer.from(new Uint8Array(answer[name].data.buffer.slice(0))).toString("hex")));
  }
  await session.release();
  return all;
}

const whole = await runtime("whole", readFileSync(path.join(folder, "dist", WASM)));
const small = await runtime("small", gunzipSync(readFileSync(path.join(target, `${SMALL}.gz`))));
let different = 0;
for (const model of modelsIn(models)) {
  const [expected, found] = [await outputs(whole, model), await outputs(small, model)];
  const same = expected.length > 0 && expected.every((output, i) => output === found[i]);
  different += !same;
  console.log(`${model.name}: ${expected.length} outputs ${same ? "are the same" : "DIFFER"}`);
}
process.exit(different ? 1 : 0);
