// Limits on what each client may ask, and on what this process takes in.

import rateLimit from "@fastify/rate-limit";
import underPressure from "@fastify/under-pressure";
import { isIPv6 } from "node:net";
import { refuse } from "./errors.js";

// Clients that are remembered; of a flood from more addresses than these the oldest are forgotten.
const REMEMBERED = 20_000;
const MAX_EVENT_LOOP_DELAY_MS = 2_000;
const READS = new Set(["GET", "HEAD", "OPTIONS"]);

/** The address, or of IPv6 the network of 64 bits that one customer has all of. @param {string} address */
export function clientOf(address) {
  const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
  if (!isIPv6(plain)) return plain;
  const [head, tail] = plain.split("::");
  const first = head ? head.split(":") : [];
  const last = tail ? tail.split(":") : [];
  const groups = plain.includes("::") ? [...first, ...Array(8 - first.length - last.length).fill("0"), ...last] : first;
  return `${groups.slice(0, 4).map((group) => parseInt(group, 16).toString(16)).join(":")}::/64`;
}

/**
 * @param {import("fastify").FastifyInstance} app
 * @param {ReturnType<import("./settings.js").load>} settings
 * @param {{limited: () => void}} counters
 */
export async function addLimits(app, settings, counters) {
  const isRead = (request) => READS.has(request.method);
  await app.register(rateLimit, {
    global: true,
    timeWindow: "1 minute",
    cache: REMEMBERED,
    max: (request) => (isRead(request) ? settings.rateLimitReads : settings.rateLimit),
    keyGenerator: (request) => `${isRead(request) ? "r" : "w"} ${clientOf(request.ip)}`,
    onExceeded: counters.limited,
    errorResponseBuilder: (_request, context) => Object.assign(new Error(), {
      statusCode: 429,
      detail: `This is more than ${context.max} requests in a minute. Try again in ${Math.ceil(context.ttl / 1000)} s.`,
    }),
  });
  await app.register(underPressure, {
    maxEventLoopDelay: MAX_EVENT_LOOP_DELAY_MS,
    maxRssBytes: settings.maxRssBytes,
    pressureHandler: (_request, reply) => {
      refuse(reply, 503, "Too much is asked of this service now. Try again in a few seconds.", { "retry-after": "5" });
    },
  });
}
