// The network on this device: loaded once, when somebody asks or when the page has nothing else to do.

import { Problem } from "../lib/problem.js";

/** People see no more steps of a download than this; telling of each of its pieces would slow it down. */
const PROGRESS_PAUSE_MS = 100;

/** Keeps `problem`, `progress` ({ done, total } in bytes) and `ready`; calls `onChange` at every change of them. */
export class Local {
  ready = null;
  progress = null;
  problem = null;
  #loading = null;
  #onChange;
  #settings;
  #told = -Infinity;

  /** @param {object} settings see lib/settings.js */
  constructor(settings, onChange) {
    this.#settings = settings;
    this.#onChange = onChange;
  }

  get loading() {
    return Boolean(this.#loading) && !this.ready && !this.problem;
  }

  /** The network, ready to answer; a failed try may be repeated. @throws {Problem} */
  load() {
    if (this.problem) [this.problem, this.#loading] = [null, null];
    this.#loading ??= this.#fetch().catch((error) => {
      this.problem = error instanceof Problem ? error : new Problem(navigator.onLine ? "runtime" : "offline", { detail: error.message });
      this.#onChange(this);
      throw this.problem;
    });
    this.#onChange(this);
    return this.#loading;
  }

  /** What is known of the model beside the page, without loading it. */
  async describe() {
    const { publishedModel } = await import("./network.js");
    return (await publishedModel()).description;
  }

  async #fetch() {
    const { LocalNetwork } = await import("./network.js");
    const network = new LocalNetwork();
    this.description = await network.load(this.#settings, (done, total) => {
      this.progress = { done, total };
      if (performance.now() - this.#told < PROGRESS_PAUSE_MS && done < total) return;
      this.#told = performance.now();
      this.#onChange(this);
    });
    this.ready = network;
    this.#onChange(this);
    return network;
  }
}

/** Whether the connection is one that 4 MB may be fetched over without being asked. */
export function mayFetch({ saveData = false, effectiveType = "4g" } = navigator.connection ?? {}) {
  return !saveData && effectiveType === "4g";
}
