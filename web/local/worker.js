// The network in this browser, off the page's thread: the published ONNX file in onnxruntime's WebAssembly build.

import { bitmapOf, rgbaOf } from "../lib/pixels.js";
import * as ort from "../vendor/onnxruntime-web/ort.wasm.bundle.min.js";
import { confirmed, places } from "./present.js";
import { cut, resize } from "./resize.js";
import { unpacked } from "./unpack.js";

const OPTIONS = { executionProviders: ["wasm"] };
/** What the runtime says in every sentence of its own: it has started. */
const REFUSAL = "ERROR_CODE";

let session;
let metadata;
/** Whether the runtime has all functions: of a reduced one any refusal may be for want of one. */
let whole;

const tasks = {
  async start(given) {
    whole = given.whole;
    // Threads need headers that static hosts don't send; one is fast enough for one photo.
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = await unpacked(given.runtime);
    // It starts with its first session. This one is of nothing, and refused.
    await create(new Uint8Array(1)).catch((error) => {
      if (!error.message.includes(REFUSAL)) throw error;
    });
  },

  async load({ weights, description }) {
    // As the API has them (see api/_registry.py): a label that was written as a number is a word.
    metadata = { ...description, labels: description.labels.map(String) };
    session = await create(new Uint8Array(weights));
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
  const outputs = await ofRuntime(() => session.run({ pixels: new ort.Tensor("uint8", pixels, [1, size, size, 3]) }));
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

const create = (weights) => ofRuntime(() => ort.InferenceSession.create(weights, OPTIONS));

/** What the runtime does; an error says that it comes from there. A trap may leave it in any state. */
async function ofRuntime(task) {
  try {
    return await task();
  } catch (error) {
    throw Object.assign(new Error(error.message ?? String(error)), { stopped: !whole });
  }
}

addEventListener("message", async ({ data: { id, task, input } }) => {
  try {
    postMessage({ id, output: await tasks[task](input) });
  } catch ({ message, stopped = false }) {
    postMessage({ id, error: { kind: "runtime", detail: message, stopped } });
  }
});
