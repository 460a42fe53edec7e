// Who answers. The server is asked first where the visitor let it; when it is away, asks for a key or takes long to wake,
// this device answers instead, and the item says why (`instead`). Nothing here knows a browser.

import { ANSWERED_ELSEWHERE } from "./lib/problem.js";

/** A server that sleeps needs some seconds; after so many this device begins, too, and the first answer counts. */
const SLOW_HERE_MS = 4000;

/**
 * Makes the function that answers an item.
 *
 * @param {{
 *   there: (item, signal) => Promise<object>, asks the server
 *   here: (item) => Promise<object>, asks this device
 *   trouble: () => Problem | null, what is known to be wrong with the server
 *   mayStandIn: () => boolean, whether this device may answer for the server
 *   slowAfter?: number
 * }} places
 */
export function answering({ there, here, trouble, mayStandIn, slowAfter = SLOW_HERE_MS }) {
  const insteadOf = async (item, problem) => {
    try {
      return { ...(await here(item)), instead: problem.kind };
    } catch {
      // It is the server that was asked: what is wrong there helps more than why this device could not stand in.
      throw problem;
    }
  };

  return async (item) => {
    if (item.where === "browser") return here(item);
    if (!mayStandIn()) return there(item, item.abort.signal);
    const known = trouble();
    if (known) return insteadOf(item, known).catch(() => there(item, item.abort.signal));
    const limit = new AbortController();
    item.abort.signal.addEventListener("abort", () => limit.abort());
    const server = there(item, limit.signal);
    const slow = Symbol("slow");
    let timer;
    try {
      const first = await Promise.race([server, new Promise((resolve) => (timer = setTimeout(resolve, slowAfter, slow)))]);
      if (first !== slow) return first;
      const local = here(item).then((answer) => ({ ...answer, instead: "slow" }));
      return await Promise.any([server, local]);
    } catch (error) {
      const problem = error.errors?.[0] ?? error;
      if (!ANSWERED_ELSEWHERE.has(problem.kind)) throw problem;
      return await insteadOf(item, problem);
    } finally {
      // Whoever was slower need not go on.
      limit.abort();
      clearTimeout(timer);
    }
  };
}
