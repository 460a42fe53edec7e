// Answers from this browser. Loaded only when somebody asks for it: the runtime and the model are some 4 MB.
//
// The runtime is onnxruntime's, reduced to what the published models need (deploy/runtime/README.md). A model that needs more
// stops it; then the same is done once more with the whole runtime, and remembered.

import { digest } from "../lib/digest.js";
import { canvasOf } from "../lib/photo.js";
import { draw } from "../lib/pixels.js";
import { Problem } from "../lib/problem.js";
import { remember, remembered } from "../lib/settings.js";
import { download, get, lost, together } from "./download.js";
import { Engine } from "./engine.js";
import { Helpers } from "./helpers.js";
import { unpacked } from "./unpack.js";

/** The folder of the page. */
const PAGE = new URL("..", import.meta.url);
/** For the progress bar: the sizes as it is downloaded, until the server has told, and unpacked. */
const REDUCED = { file: "vendor/onnxruntime-web/ort-wasm-simd-threaded.reduced.wasm.gz", bytes: 1_137_427, unpacked: 5_185_790 };
const WHOLE = { file: "vendor/onnxruntime-web/ort-wasm-simd-threaded.wasm.gz", bytes: 3_659_927, unpacked: 14_239_897, whole: true };
/** So much of a model is on the way, until the server has told: numbers of eight bits pack to three quarters. */
const PACKED = 0.77;
/** What is remembered: the SHA-256 of the model that needs the whole runtime. */
const NEEDS_WHOLE = "runtime";
/** An API that answers nothing at all must not hold up what can be said without it. */
const DESCRIPTION_TIMEOUT_MS = 30_000;
/** The smallest module with an instruction of WebAssembly SIMD: what lacks that cannot run the runtime. */
const WITH_SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
);

/** The network in a worker, in several for many photos. `load` once, then `predict` as often as wanted. */
export class LocalNetwork {
  #engine = null;
  #helpers = new Helpers(() => this.#beginHelper(), { processors: navigator.hardwareConcurrency ?? 1 });
  /** Starts the network with a runtime. */
  #begin;
  /** The runtime and the model's SHA-256 that the first engine has. */
  #first = null;
  /** The start with the whole runtime, once there is one. */
  #whole = null;

  /**
   * Fetches runtime and model and starts them.
   *
   * @param {{ api: string, timeout: number, runtime: string | null, weights: string | null }} settings where the model is
   *   when there is none beside the page, milliseconds until a server counts as away, the runtime where the server has it
   *   unpacked, and the model's file beside the page where it is kept gzipped
   * @param {(done: number, total: number) => void} progress bytes so far
   * @throws {Problem} noSimd, modelMissing, modelBroken, runtime, scriptType, scriptMissing, offline
   */
  async load(settings, progress) {
    // Asked before anything is downloaded, which would be in vain.
    if (!globalThis.WebAssembly?.validate(WITH_SIMD)) throw new Problem("noSimd");
    this.#begin = (runtime, told = progress) => started(runtime, settings, told);
    const known = remembered(NEEDS_WHOLE);
    const reduced = { ...REDUCED, file: settings.runtime ?? REDUCED.file };
    const description = await (known ? this.#beginWhole() : this.#beginFirst(reduced).catch((problem) => this.#withWhole(problem)));
    // Another model may need less.
    if (known && known !== description.weights.sha256) remember(NEEDS_WHOLE, null);
    return description;
  }

  /**
   * The same answer as the API's.
   *
   * @param {Blob | ImageBitmap} source a photo that this browser can open, or a picture of its camera, which is used up
   */
  async predict(source) {
    const engine = this.#helpers.orFirst(this.#engine);
    engine.busy++;
    try {
      return await ask(engine, source).catch(async (problem) => {
        this.#helpers.drop(engine);
        // With the whole runtime it is no lack of functions.
        if (engine.whole) throw problem;
        await this.#withWhole(problem);
        return ask(this.#engine, source);
      });
    } finally {
      engine.busy--;
      source.close?.();
    }
  }

  /** So many photos are still to come: enough of them are worth more networks. */
  expect(photos) {
    this.#helpers.expect(photos);
  }

  async #beginFirst(runtime) {
    const { engine, description } = await this.#begin(runtime);
    this.#engine = engine;
    this.#first = { runtime, sha256: description.weights.sha256 };
    return description;
  }

  async #beginHelper() {
    const { runtime, sha256 } = this.#first;
    const { engine, description } = await this.#begin(runtime, () => {});
    if (description.weights.sha256 === sha256) return engine;
    // A newer model has been published meanwhile: of one batch all answers come from one.
    engine.end();
    throw new Problem("modelMissing");
  }

  /** The network with the whole runtime, where it was the runtime that stopped. @throws {Problem} what it was otherwise */
  async #withWhole(problem) {
    if (!problem.values?.stopped) throw problem;
    const description = await this.#beginWhole().catch((second) => Promise.reject(second.kind === "modelMissing" ? problem : second));
    remember(NEEDS_WHOLE, description.weights.sha256);
    return description;
  }

  #beginWhole() {
    this.#whole ??= this.#beginFirst(WHOLE);
    // What could not be fetched may come another time.
    this.#whole.catch(() => (this.#whole = null));
    return this.#whole;
  }
}

/** A network that has started, and the description of its model. */
async function started({ file, bytes, unpacked: size, whole = false }, { api, timeout, weights: kept }, progress) {
  const part = together(2, progress);
  const stop = new AbortController();
  const engine = new Engine(whole);
  // Where the runtime is is known: it comes, and starts, while the model is asked for and on its way.
  const runtime = download(new URL(file, PAGE), size, part("runtime", bytes), stop.signal).then((data) =>
    engine.ask("start", { runtime: data, whole }, [data]),
  );
  runtime.catch(() => {});
  try {
    const { base, description } = await publishedModel(api, timeout);
    const { weights } = description;
    const beside = base === new URL("model/", PAGE).href;
    const url = new URL((beside && kept) || weights.file, base);
    const model = download(url, weights.bytes, part("weights", weights.bytes * PACKED), stop.signal).then((data) => checked(data, weights));
    const [, data] = await Promise.all([runtime, model]);
    await engine.ask("load", { weights: data, description }, [data]);
    return { engine, description };
  } catch (problem) {
    stop.abort();
    engine.end();
    throw problem;
  }
}

async function ask(engine, source) {
  // A picture of the camera is copied, not handed over: it may have to be asked about twice.
  if (globalThis.OffscreenCanvas) return engine.ask("predict", { source });
  const canvas = source instanceof Blob ? await canvasOf(source) : draw(source, 1);
  const { width, height } = canvas;
  const rgba = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  return engine.ask("predict", { rgba, width, height }, [rgba.buffer]);
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

/** The model's file, unpacked and whole. @throws {Problem} modelBroken */
async function checked(data, { bytes, sha256 }) {
  const weights = await unpacked(data).catch(() => new ArrayBuffer(0));
  // Digests exist only on https and localhost; elsewhere the length has to do.
  const whole = weights.byteLength === bytes && (!crypto.subtle || (await digest(weights)) === sha256);
  if (!whole) throw new Problem("modelBroken");
  return weights;
}
