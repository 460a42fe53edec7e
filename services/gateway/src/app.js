// The gateway as an object that listens nowhere yet: main.js serves it, tests build their own.

import Fastify, { LogController } from "fastify";
import { randomUUID } from "node:crypto";
import { ofClient, refuse } from "./errors.js";
import { addHealth } from "./health.js";
import { addLimits } from "./limits.js";
import { metrics } from "./metrics.js";
import { addProxy, agentFor, serviceOf } from "./proxy.js";
import { tracing } from "./tracing.js";

const CLEAN_ID = /^[A-Za-z0-9._-]{1,64}$/;
const HEADERS_TIMEOUT_MS = 10_000;
const CHECK_EVERY_MS = 1_000;

/**
 * @param {ReturnType<import("./settings.js").load>} settings
 * @param {{stream?: NodeJS.WritableStream}} [options] `stream`: where the log goes instead of standard output
 */
export async function build(settings, { stream } = {}) {
  const app = Fastify({
    logger: {
      level: settings.logLevel, base: null, messageKey: "message", stream,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
    },
    // One line a request, without addresses, paths and headers: see `answered`.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: "request_id" }),
    trustProxy: settings.trustedProxies.length ? settings.trustedProxies : false,
    genReqId: (raw) => (CLEAN_ID.test(raw.headers["x-request-id"] ?? "") ? raw.headers["x-request-id"] : randomUUID().replaceAll("-", "")),
    requestTimeout: settings.requestTimeoutMs,
    keepAliveTimeout: 30_000,
    forceCloseConnections: "idle",
    routerOptions: { ignoreTrailingSlash: false, maxParamLength: 10_000 },
    // Node swaps the two times where the one for the headers is the longer: the body would have had that long.
    http: { connectionsCheckingInterval: CHECK_EVERY_MS, headersTimeout: Math.min(HEADERS_TIMEOUT_MS, settings.requestTimeoutMs) },
    clientErrorHandler: refuseConnection,
    frameworkErrors: (_error, _request, reply) => refuse(reply, 400, "The address of the request cannot be read."),
    exposeHeadRoutes: true,
  });
  const agent = agentFor(settings);
  let inFlight = {};
  const counters = metrics(() => inFlight);
  app.decorate("metrics", counters);
  const traces = await tracing(settings);

  // While it ends, a connection lasts as long as the answer that it waits for: kept alive it would hold the end up.
  let ending = false;
  app.addHook("preClose", async () => { ending = true; });
  app.addHook("onSend", async (_request, reply) => {
    if (ending) reply.header("connection", "close");
  });
  app.addHook("onRequest", async (request, reply) => {
    reply.header("x-request-id", request.id);
    addCors(settings.allowedOrigins, request, reply);
    const trace = traces?.begin(request, serviceOf(request.url));
    // Fires however it ends: answered, broken off, or left by the client.
    reply.raw.once("close", () => {
      const status = answered(request, reply, counters, trace);
      traces?.end(request, status);
      // A stream whose headers had been sent when the end began.
      if (ending) setImmediate(() => app.server.closeIdleConnections());
    });
  });
  app.setErrorHandler((error, request, reply) => {
    if (error.statusCode === 429) return refuse(reply, 429, error.detail);
    if (error.statusCode >= 400 && error.statusCode < 500) return refuse(reply, error.statusCode, `${error.message}.`);
    request.log.error({ err: error }, "unhandled failure");
    return refuse(reply, 502, `The gateway failed. Try again, and report the request id ${request.id} if it stays so.`);
  });
  app.setNotFoundHandler((_request, reply) => refuse(reply, 404, "There is nothing here."));
  await addLimits(app, settings, counters);
  addHealth(app, settings, agent);
  // What counts requests inside is not for everybody: this one has a port of its own, and so have the services'.
  app.get("/metrics", (_request, reply) => refuse(reply, 404, "There is nothing here."));
  inFlight = await addProxy(app, settings, agent, traces);
  app.addHook("onClose", () => Promise.all([agent.close(), traces?.close()]));
  return app;
}

/** Pages that may call the services may also read why the gateway refused them. */
function addCors(origins, request, reply) {
  const { origin } = request.headers;
  if (!origin || !(origins.includes("*") || origins.includes(origin))) return;
  reply.header("access-control-allow-origin", origins.includes("*") ? "*" : origin);
  reply.header("vary", "Origin");
}

/** Counts and logs a request that is over; returns its status. */
function answered(request, reply, counters, trace) {
  const service = serviceOf(request.url);
  const ms = Math.round(reply.elapsedTime * 100) / 100;
  const whole = reply.raw.writableFinished;
  // 499 is nginx's name for a client that left before it was answered.
  const status = whole || reply.raw.headersSent ? reply.raw.statusCode : 499;
  counters.answered(service, request.method, status, ms);
  request.log.info({ method: request.method, service, status, ...(whole ? {} : { broken: true }), total_ms: ms, ...(trace && { trace_id: trace }) }, "request");
  return status;
}

/** Answers on the bare connection: there is no request yet. */
function refuseConnection(error, socket) {
  if (error.code === "ECONNRESET" || !socket.writable) return socket.destroy();
  const { status, phrase, detail } = ofClient(error);
  const body = JSON.stringify({ detail });
  socket.end(`HTTP/1.1 ${status} ${phrase}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
}
