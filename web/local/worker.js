// The network in this browser, off the page's thread: the published ONNX file in onnxruntime's WebAssembly build.

import { bitmapOf, rgbaOf } from "../lib/pixels.js";
import * as ort from "../vendor/onnxruntime-web/ort.wasm.bundle.min.js";
import { confirmed, places } from "./present.js";
import { cut, resize } from "./resize.js";

let session;
let metadata;

const tasks = {
  async load({ runtime, weights, description }) {
    // As the API has them (see api/_registry.py): a label that was written as a number is a word.
    metadata = { ...description, labels: description.labels.map(String) };
    await checkWeights(weights);
    // Threads need headers that static hosts don't send; one is fast enough for one photo.
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = await unpacked(runtime);
    session = await ort.InferenceSession.create(new Uint8Array(weights), { executionProviders: ["wasm"] });
  },

  async predict({ source, rgba, width, height }) {
    const start = performance.now();
    const size = metadata.input_size;
    const photo = rgba ? { rgba, width, height } : await opened(source);
    const pixels = resize(photo.rgba, photo.width, photo.height, size);
    return { ...(await answer(pixels, size)), processing_time_ms: performance.now() - start };
  },
};

/** A photo's pixels, from its file or from a picture of the camera. */
async function opened(source) {
  const bitmap = source instanceof Blob ? await bitmapOf(source) : source;
  const { width, height } = bitmap;
  const rgba = rgbaOf(bitmap);
  bitmap.close();
  return { rgba, width, height };
}

/** The API's answer, from the same outputs (see api/_classifier.py). */
async function answer(pixels, size) {
  const { labels, version } = metadata;
  const { values, known, maps } = await look(pixels, size);
  const best = values.indexOf(Math.max(...values));
  const found = known ? [best, ...(await beside(pixels, size, values, maps))] : [];
  const map = (i) => ({ label: labels[i], rows: maps[i].length, columns: maps[i][0].length, values: maps[i] });
  return {
    prediction: labels[best],
    confidence: values[best],
    probabilities: Object.fromEntries(labels.map((label, i) => [label, values[i]])),
    recognized: known,
    present: found.map((i) => labels[i]),
    heatmap: map(best),
    ...(found.length > 1 ? { heatmaps: found.map(map) } : {}),
    model_version: version,
    timestamp: new Date().toISOString(),
  };
}

/** The labels beside the likeliest that a second look confirms. */
async function beside(pixels, size, values, maps) {
  const found = [];
  for (const { label, box } of places(values, maps, size)) {
    const again = await look(cut(pixels, size, box), size);
    if (confirmed(again.values[label], again.known)) found.push(label);
  }
  return found;
}

/** What the network says of a square of RGB. */
async function look(pixels, size) {
  const outputs = await session.run({ pixels: new ort.Tensor("uint8", pixels, [1, size, size, 3]) });
  return {
    values: [...outputs.probabilities.data],
    known: outputs.recognized.data[0] >= metadata.thresholds.recognized,
    maps: metadata.labels.map((_, i) => mapOf(outputs.heatmap, i)),
  };
}

/** The class activation map of label `i`: rows of cells. */
function mapOf({ data, dims: [, , rows, columns] }, i) {
  const row = (y) => [...data.subarray((i * rows + y) * columns, (i * rows + y + 1) * columns)];
  return Array.from({ length: rows }, (_, y) => row(y));
}

async function checkWeights(weights) {
  const { bytes, sha256 } = metadata.weights;
  // Digests exist only on https and localhost; elsewhere the length has to do.
  const whole = weights.byteLength === bytes && (!crypto.subtle || (await digest(weights)) === sha256);
  if (!whole) throw Object.assign(new Error("The model file is damaged."), { kind: "modelBroken" });
}

async function digest(data) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The runtime is kept gzipped; a server that says so in Content-Encoding has had it unpacked already. */
async function unpacked(data) {
  const [first, second] = new Uint8Array(data, 0, 2);
  if (first !== 0x1f || second !== 0x8b) return data;
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

addEventListener("message", async ({ data: { id, task, input } }) => {
  try {
    postMessage({ id, output: await tasks[task](input) });
  } catch (error) {
    postMessage({ id, error: { kind: error.kind ?? "runtime", detail: error.message } });
  }
});
