// Answers from this browser. Loaded only when somebody asks for it: the runtime and the model are some 6 MB.

import { headersFor } from "../lib/api.js";
import { canvasOf } from "../lib/photo.js";
import { draw } from "../lib/pixels.js";
import { Problem } from "../lib/problem.js";

/** The folder of the page. */
const PAGE = new URL("..", import.meta.url);
const RUNTIME = "vendor/onnxruntime-web/ort-wasm-simd-threaded.wasm.gz";
/** For the progress bar: the runtime as it is downloaded, until the server has told, and unpacked. */
const RUNTIME_BYTES = 3_659_927;
const RUNTIME_UNPACKED_BYTES = 14_239_897;
/** An API that answers nothing at all must not hold up what can be said without it. */
const DESCRIPTION_TIMEOUT_MS = 30_000;
/** What the worker consists of: scripts that the browser fetches by itself, and says nothing of when it refuses one. */
const SCRIPTS = [
  "local/worker.js", "local/resize.js", "local/present.js", "lib/pixels.js", "vendor/onnxruntime-web/ort.wasm.bundle.min.js",
];
/** The smallest module with an instruction of WebAssembly SIMD: what lacks that cannot run the runtime. */
const WITH_SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
);
/** The types that browsers run (WHATWG MIME Sniffing, "JavaScript MIME type"). */
const RUNNABLE = /^(application|text)\/(x-)?(java|ecma|j|live)script(1\.[0-5])?$/;

/** The network in a worker. `load` once, then `predict` as often as wanted. */
export class LocalNetwork {
  #worker = null;
  #waiting = new Map();
  #nextId = 0;
  /** Why the worker could not start, once it is known that it could not. */
  #failed = null;

  /**
   * Fetches runtime and model and starts them.
   *
   * @param {{ api: string, timeout: number, runtime: string | null }} settings where the model is when there is none
   *   beside the page, milliseconds until a server counts as away, and the runtime where the server has it unpacked
   * @param {(done: number, total: number) => void} progress bytes so far
   * @throws {Problem} noSimd, modelMissing, modelBroken, runtime, scriptType, scriptMissing, offline
   */
  async load({ api, timeout, runtime: unpacked }, progress) {
    // Asked before anything is downloaded, which would be in vain.
    if (!globalThis.WebAssembly?.validate(WITH_SIMD)) throw new Problem("noSimd");
    const part = together(progress);
    const stop = new AbortController();
    // The runtime is most of it, and where it is is known: it comes while the description of the model is asked for.
    const runtime = download(new URL(unpacked ?? RUNTIME, PAGE), RUNTIME_UNPACKED_BYTES, part("runtime", RUNTIME_BYTES), stop.signal);
    this.#start();
    try {
      const { base, description } = await publishedModel(api, timeout);
      const { file, bytes } = description.weights;
      const weights = download(new URL(file, base), bytes, part("weights", bytes), stop.signal);
      const files = await Promise.all([runtime, weights]).catch(() => Promise.reject(lost()));
      await this.#ask("load", { runtime: files[0], weights: files[1], description }, files);
      return description;
    } catch (problem) {
      stop.abort();
      runtime.catch(() => {});
      this.#worker.terminate();
      throw problem;
    }
  }

  /** Its scripts are read while the rest is on the way. */
  #start() {
    this.#worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data }) => this.#settle(data));
    this.#worker.addEventListener("error", () => this.#fail());
  }

  /**
   * The same answer as the API's.
   *
   * @param {Blob | ImageBitmap} source a photo that this browser can open, or a picture of its camera, which is used up
   */
  async predict(source) {
    if (globalThis.OffscreenCanvas) return this.#ask("predict", { source }, source instanceof Blob ? [] : [source]);
    const canvas = source instanceof Blob ? await canvasOf(source) : draw(source, 1);
    const { width, height } = canvas;
    const rgba = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    return this.#ask("predict", { rgba, width, height }, [rgba.buffer]);
  }

  async #ask(task, input, transfer) {
    if (this.#failed) throw await this.#failed;
    const id = this.#nextId++;
    this.#worker.postMessage({ id, task, input }, transfer);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #settle({ id, output, error }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(new Problem(error.kind, { detail: error.detail }));
    else resolve(output);
  }

  async #fail() {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#failed ??= refusedScript().catch(() => new Problem("runtime", { detail: "" }));
    const problem = await this.#failed;
    for (const { reject } of waiting) reject(problem);
  }
}

/**
 * Where the published model is, and its metadata: beside the page, or else with the API, if one is named.
 *
 * @throws {Problem} modelMissing, offline
 */
export async function publishedModel(api = PAGE, timeout = DESCRIPTION_TIMEOUT_MS) {
  const bases = new Set([new URL("model/", PAGE).href, new URL("model/", api).href]);
  for (const base of bases) {
    try {
      const response = await get(new URL("metadata.json", base), AbortSignal.timeout(timeout));
      return { base, description: await response.json() };
    } catch {
      // Not here: a static server may publish only the page, or answer anything with a page of its own.
    }
  }
  throw lost();
}

async function get(url, signal) {
  const response = await fetch(url, { headers: headersFor(url), signal });
  if (!response.ok) throw lost();
  return response;
}

/** Which of the worker's scripts this page's server does not send as a script. */
async function refusedScript() {
  for (const file of SCRIPTS) {
    // Not every server answers HEAD; of what GET brings only the headers are read.
    const response = await fetch(new URL(file, PAGE), { cache: "no-store" });
    response.body?.cancel();
    const type = (response.headers.get("Content-Type") ?? "").split(";")[0].trim().toLowerCase();
    if (!response.ok) return new Problem("scriptMissing", { file, status: response.status });
    if (!RUNNABLE.test(type)) return new Problem("scriptType", { file, type });
  }
  return new Problem("runtime", { detail: "" });
}

const lost = () => new Problem(navigator.onLine ? "modelMissing" : "offline");

/** Fetches a file of `unpacked` bytes; `progress(bytes, expected)` hears of every piece, in bytes on the way. */
async function download(url, unpacked, progress, signal) {
  const response = await get(url, signal);
  const expected = Number(response.headers.get("Content-Length") ?? 0);
  // Of a body that comes compressed the pieces are unpacked already, and the header tells the smaller size.
  const share = expected && response.headers.get("Content-Encoding") ? expected / unpacked : 1;
  const chunks = [];
  let bytes = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { value, done } = await reader.read();
    if (done) return joined(chunks, bytes);
    chunks.push(value);
    bytes += value.length;
    progress(bytes * share, Math.max(expected, bytes * share));
  }
}

function joined(chunks, bytes) {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole.buffer;
}

/** Adds up the progress of several downloads. */
function together(progress) {
  const files = new Map();
  const sum = (index) => [...files.values()].reduce((total, file) => total + file[index], 0);
  return (name, expected) => {
    files.set(name, [0, expected]);
    return (...file) => {
      files.set(name, file);
      progress(sum(0), sum(1));
    };
  };
}
