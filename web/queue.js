// The photos of this visit, and who is asked about next. Nothing here knows a browser: tests run it with plain functions.
//
// An item: { file, name, drop, state, where, photo, answer, network, api, problem, abort, ... }
//   drop      which choice it came with; the photos of one choice are a batch
//   state     waiting → busy → answered | failed
//   where     "api" or "browser": who is asked; `by` says who has answered
//   photo     see lib/photo.js; answer: as the API gives it; network: milliseconds on the way

import { Problem } from "./lib/problem.js";

/** Photos asked about at once: enough to hide the network's delay, few enough for one small function. */
export const AT_ONCE = 3;
/** On this device several networks may work (local/network.js), and none shall wait for a photo to be read. */
export const AT_ONCE_HERE = 6;

export const isDone = ({ state }) => state === "answered" || state === "failed";

/** Runs items through `read` and `answer`, a few at once, in the order in which they came. */
export class Queue {
  items = [];
  /** How many are asked about at once. */
  atOnce;
  #waiting = [];
  #first = 0;
  #running = new Set();
  #turn = Promise.resolve();
  #drops = 0;
  #hooks;

  /**
   * @param {{
   *   read: (item) => Promise<object>, one after the other: several large photos at once can be more than a phone holds
   *   answer: (item) => Promise<object>, what it gives is put into the item
   *   changed: (item) => void, after every change of an item
   *   finished: (item) => void, once it is answered or failed
   * }} hooks
   */
  constructor(hooks, atOnce = AT_ONCE) {
    this.#hooks = hooks;
    this.atOnce = atOnce;
  }

  /** How many nobody has been asked about yet. */
  get waiting() {
    return this.#waiting.length - this.#first;
  }

  /** Adds files as one choice and begins with them; returns their items. */
  add(files, where) {
    const drop = ++this.#drops;
    const items = files.map((file) => ({ file, name: file.name || "photo", drop, state: "waiting", where }));
    this.items.push(...items);
    this.#wait(items);
    return items;
  }

  /** Asks again about items that are done. */
  retry(items, where) {
    for (const item of items) {
      Object.assign(item, { state: "waiting", where, problem: null });
      this.#hooks.changed(item);
    }
    this.#wait(items);
  }

  /** Stops waiting for an item; it can be tried again. */
  cancel(item) {
    if (isDone(item)) return;
    if (item.abort) item.abort.abort();
    else this.#finish(item, { state: "failed", problem: new Problem("cancelled") });
  }

  /** Forgets everything. What is under way ends unheard. */
  clear() {
    for (const item of this.#running) item.abort?.abort();
    this.items = [];
    this.#waiting = [];
    this.#first = 0;
  }

  #wait(items) {
    this.#waiting.push(...items);
    this.#pump();
  }

  #pump() {
    while (this.#running.size < this.atOnce && this.#first < this.#waiting.length) {
      const item = this.#waiting[this.#first++];
      // Cancelled while it waited.
      if (item.state === "waiting") this.#run(item);
    }
    if (this.#first === this.#waiting.length) [this.#waiting, this.#first] = [[], 0];
  }

  async #run(item) {
    this.#running.add(item);
    Object.assign(item, { state: "busy", problem: null, abort: new AbortController() });
    this.#hooks.changed(item);
    let outcome;
    try {
      item.photo ??= await this.#inTurn(() => this.#hooks.read(item));
      if (item.abort.signal.aborted) throw new Problem("cancelled");
      this.#hooks.changed(item);
      outcome = { ...(await this.#hooks.answer(item)), state: "answered" };
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem("unexpected", { detail: error.message });
      outcome = { state: "failed", problem };
    }
    this.#running.delete(item);
    delete item.abort;
    // Cleared away meanwhile: nobody waits for it.
    if (this.items.includes(item)) this.#finish(item, outcome);
    this.#pump();
  }

  #finish(item, outcome) {
    Object.assign(item, outcome);
    this.#hooks.changed(item);
    this.#hooks.finished(item);
  }

  #inTurn(job) {
    const result = this.#turn.then(job);
    this.#turn = result.catch(() => {});
    return result;
  }
}
