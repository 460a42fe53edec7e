// Networks beside the first one, for many photos: each on a processor of its own. Nothing here knows a browser.

/** So many photos must wait for one more network to be worth its start, which takes as long as some eight answers. */
const WORTH_IT = 10;
/** Each takes some 80 MB of memory. */
const MOST = 3;
/** Without work for so long they end. */
const IDLE_MS = 10_000;

export class Helpers {
  #begin;
  #most;
  #idleAfter;
  #all = [];
  #coming = false;
  #idle;

  /**
   * @param {() => Promise<{busy: number, end: () => void}>} begin starts one more
   * @param {{processors: number, idleAfter?: number}} options
   */
  constructor(begin, { processors, idleAfter = IDLE_MS }) {
    this.#begin = begin;
    this.#most = Math.min(MOST, processors - 1);
    this.#idleAfter = idleAfter;
  }

  /** So many photos are still to come: for enough of them another network starts, one at a time. */
  expect(photos) {
    this.#endLater();
    const working = 1 + this.#all.length;
    if (this.#coming || working > this.#most || photos < working * WORTH_IT) return;
    this.#coming = true;
    const done = (helper) => {
      this.#coming = false;
      if (helper) this.#all.push(helper);
      this.#endLater();
    };
    // Without it the photos take longer, that is all.
    this.#begin().then(done, () => done(null));
  }

  /** Who has the least to do: the first one or a helper. */
  orFirst(first) {
    return this.#all.reduce((least, one) => (one.busy < least.busy ? one : least), first);
  }

  /** One that has failed is not asked again. */
  drop(helper) {
    this.#all = this.#all.filter((one) => one !== helper);
  }

  #endLater() {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#end(), this.#idleAfter);
  }

  #end() {
    if (this.#all.some(({ busy }) => busy)) return this.#endLater();
    for (const helper of this.#all.splice(0)) helper.end();
  }
}
