// The worker in which the network runs: questions to it, its answers, and why it can't.

import { Problem } from "../lib/problem.js";

/** The folder of the page. */
const PAGE = new URL("..", import.meta.url);
/** What the worker consists of: scripts that the browser fetches by itself, and says nothing of when it refuses one. */
const SCRIPTS = [
  "local/worker.js", "local/resize.js", "local/present.js", "local/unpack.js", "lib/pixels.js",
  "vendor/onnxruntime-web/ort.wasm.bundle.min.js",
];
/** The types that browsers run (WHATWG MIME Sniffing, "JavaScript MIME type"). */
const RUNNABLE = /^(application|text)\/(x-)?(java|ecma|j|live)script(1\.[0-5])?$/;

/** A worker of its own; its scripts are read while the rest is on the way. */
export class Engine {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  /** How many photos it has been asked about and has not answered. */
  busy = 0;
  #waiting = new Map();
  #nextId = 0;
  /** Why the worker could not start, or had to end, once it is known. */
  #failed = null;

  /** @param {boolean} whole whether its runtime has all functions */
  constructor(whole) {
    this.whole = whole;
    this.#worker.addEventListener("message", ({ data }) => this.#settle(data));
    this.#worker.addEventListener("error", () => this.#fail(refusedScript().catch(() => new Problem("runtime", { detail: "" }))));
  }

  /** The worker's answer to a task of worker.js. @throws {Problem} */
  async ask(task, input, transfer = []) {
    if (this.#failed) throw await this.#failed;
    const id = this.#nextId++;
    this.#worker.postMessage({ id, task, input }, transfer);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  end() {
    this.#worker.terminate();
  }

  #settle({ id, output, error }) {
    const problem = error && new Problem(error.kind, { detail: error.detail, stopped: error.stopped });
    // After that nothing can be expected of it: whoever waits is told, too.
    if (error?.stopped) return this.#fail(problem);
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (problem) reject(problem);
    else resolve(output);
  }

  async #fail(why) {
    this.#failed ??= why;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    const problem = await this.#failed;
    this.end();
    for (const { reject } of waiting) reject(problem);
  }
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
