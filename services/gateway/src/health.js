// How the services are, asked at most once in a while however many ask; and the page's configuration, which names those
// that are there.

import { request as ask } from "undici";

const FRESH_MS = 2_000;
const TIMEOUT_MS = 2_000;
const MOST_BYTES = 100_000;

/**
 * @param {ReturnType<import("./settings.js").load>} settings
 * @param {import("undici").Agent} agent
 */
function healthOf(settings, agent) {
  const names = Object.keys(settings.services).filter((name) => settings.services[name]);
  let asked = 0;
  let answer = null;

  async function one(name) {
    try {
      const found = await json(`${settings.services[name]}/health`, agent);
      const healthy = found.status === 200;
      return { status: healthy ? "healthy" : "unhealthy", answer: found.body };
    } catch (error) {
      // A name that nobody has is a service that was not started.
      return { status: error.code === "ENOTFOUND" || error.code === "EAI_AGAIN" ? "absent" : "unreachable", answer: null };
    }
  }

  return function health() {
    if (!answer || Date.now() - asked > FRESH_MS) {
      asked = Date.now();
      answer = Promise.all(names.map(async (name) => [name, await one(name)])).then(Object.fromEntries);
    }
    return answer;
  };
}

async function json(url, agent) {
  const { statusCode, body } = await ask(url, { dispatcher: agent, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS, headers: { accept: "application/json" } });
  let text = "";
  for await (const part of body) {
    text += part;
    if (text.length > MOST_BYTES) break;
  }
  try {
    return { status: statusCode, body: JSON.parse(text) };
  } catch {
    return { status: statusCode, body: null };
  }
}

/**
 * @param {import("fastify").FastifyInstance} app
 * @param {ReturnType<import("./settings.js").load>} settings
 * @param {import("undici").Agent} agent
 */
export function addHealth(app, settings, agent) {
  const health = healthOf(settings, agent);
  app.get("/health", async (_request, reply) => {
    const found = await health();
    const optional = Object.entries(found).filter(([name, { status }]) => name !== "api" && status !== "absent");
    const well = optional.every(([, { status }]) => status === "healthy");
    const api = found.api.status === "healthy";
    const services = Object.fromEntries(Object.entries(found).map(([name, { status }]) => [name, status]));
    return reply.code(api ? 200 : 503).header("cache-control", "no-store").send({
      // The classifier's own words first: whoever asked it directly finds the same behind this door.
      ...found.api.answer,
      status: !api ? "unhealthy" : well ? "healthy" : "degraded",
      services,
    });
  });
  app.get("/config.json", async (request, reply) => {
    const [found, published] = await Promise.all([health(), json(`${settings.services.api}/config.json`, agent).catch(() => null)]);
    const here = `${request.protocol}://${request.host}/`;
    const named = Object.entries(found).filter(([name, { status }]) => name !== "api" && status !== "absent");
    return reply.header("cache-control", "no-store").send({
      api: "", timeout_seconds: 30,
      ...(published?.status === 200 ? published.body : {}),
      ...Object.fromEntries(named.map(([name]) => [name, here])),
    });
  });
}
