// Whether the API can be asked: waking at load, and looking again by itself while it is out of reach.

import { health } from "./api.js";
import { Problem, UNREACHABLE } from "./problem.js";

const SLOW_AFTER_MS = 2500;
/** Seconds between looks at an API that is away; the last one repeats. */
const PAUSES_S = [3, 6, 12, 30];
/** These end only when somebody changes something, so looking again by itself is of no use. */
const SETTLED = new Set(["cors", "mixed", "notPurrdict"]);

/** Watches the API of `settings` and calls `onChange(status)` at every change of `kind`, `problem`, `slow` or `health`. */
export class Status {
  kind = "waking";
  problem = null;
  health = null;
  slow = false;
  #settings;
  #onChange;
  #round = 0;
  #tries = 0;
  #timer;

  constructor(settings, onChange) {
    this.#settings = settings;
    this.#onChange = onChange;
    addEventListener("online", () => this.check());
    addEventListener("offline", () => this.fail(new Problem("offline")));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.problem && !SETTLED.has(this.problem.kind)) this.check({ quietly: true });
    });
  }

  /** Asks the API now. Quietly keeps showing what was wrong until the answer is here. */
  async check({ quietly = false } = {}) {
    const round = ++this.#round;
    clearTimeout(this.#timer);
    if (!quietly) {
      this.#tries = 0;
      this.#set({ kind: "waking", problem: null, slow: false });
    }
    const slow = setTimeout(() => round === this.#round && this.#set({ slow: true }), SLOW_AFTER_MS);
    try {
      const answer = await health(this.#settings);
      if (round === this.#round) this.succeed(answer);
    } catch (problem) {
      if (round === this.#round) this.fail(problem);
    } finally {
      clearTimeout(slow);
    }
  }

  /** The API has answered. */
  succeed(answer = this.health) {
    this.#round++;
    this.#tries = 0;
    clearTimeout(this.#timer);
    this.#set({ kind: "ready", problem: null, slow: false, health: answer });
  }

  /** The API could not be asked, for this reason. */
  fail(problem) {
    this.#round++;
    this.#set({ kind: "problem", problem, slow: false });
    clearTimeout(this.#timer);
    if (!UNREACHABLE.has(problem.kind) || SETTLED.has(problem.kind)) return;
    const pause = PAUSES_S[Math.min(this.#tries++, PAUSES_S.length - 1)];
    this.#timer = setTimeout(() => !document.hidden && this.check({ quietly: true }), pause * 1000);
  }

  #set(changes) {
    // Every answer says that the API is well: three thousand of them are no news.
    if (Object.entries(changes).every(([name, value]) => this[name] === value)) return;
    Object.assign(this, changes);
    this.#onChange(this);
  }
}
