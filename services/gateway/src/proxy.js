// Passes requests on to the services, streaming both ways: no body is ever held whole.

import { PassThrough } from "node:stream";
import replyFrom from "@fastify/reply-from";
import { Agent } from "undici";
import { ofUpstream, refuse } from "./errors.js";
import { CARRIERS, fromOurProxy } from "./tracing.js";

const CONNECTIONS = 64;
const CONNECT_MS = 5_000;
// uvicorn closes connections that are idle for five seconds: of two that close at one moment, a request is lost between.
const KEEP_ALIVE_MS = 4_000;
// Of this connection only, or such that the client could pass itself off as a proxy of ours. `expect` was answered here.
const DROPPED = ["connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade", "expect", "forwarded", "x-real-ip", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-server", "x-original-url", "x-rewrite-url"];
const RETRIED = ["GET", "HEAD"];

/** Which service a path belongs to. @param {string} url */
export function serviceOf(url) {
  const path = url.split("?", 1)[0];
  if (path === "/feedback" || path.startsWith("/feedback/")) return "feedback";
  if (path === "/write" || path.startsWith("/write/")) return "writer";
  return "api";
}

/**
 * The agent that requests to services go through.
 * @param {{answerTimeoutMs: number}} settings
 */
export function agentFor({ answerTimeoutMs }) {
  return new Agent({
    connections: CONNECTIONS,
    connect: { timeout: CONNECT_MS },
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
  });
}

/**
 * @param {import("fastify").FastifyInstance} app
 * @param {ReturnType<import("./settings.js").load>} settings
 * @param {Agent} agent
 * @param {Awaited<ReturnType<import("./tracing.js").tracing>>} [traces]
 */
export async function addProxy(app, settings, agent, traces = null) {
  const inFlight = { api: 0, feedback: 0, writer: 0 };
  // Bodies stay streams, whatever they say that they are.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, payload, done) => done(null, separate(payload)));
  app.addHook("onSend", async (request, reply) => {
    // To close under what the client is still sending would destroy the answer on its way: see `separate`.
    if (!request.raw.complete) reply.removeHeader("connection");
  });
  await app.register(replyFrom, { undici: agent, disableRequestLogging: true });

  app.route({
    method: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    url: "/*",
    handler: (request, reply) => {
      const service = serviceOf(request.url);
      const upstream = settings.services[service];
      if (!upstream) return refuse(reply, 404, `There is no ${service} here: it is not part of this installation.`);
      if (!request.url.startsWith("/")) return refuse(reply, 400, "The path of a request begins with a slash.");
      if (+(request.headers["content-length"] ?? 0) > settings.maxBodyBytes) {
        return refuse(reply, 413, `The request has more than ${settings.maxBodyBytes} bytes.`);
      }
      if (inFlight[service] >= settings.mostInFlight) {
        return refuse(reply, 503, "Too many requests are waiting. Try again in a few seconds.", { "retry-after": "5" });
      }
      inFlight[service] += 1;
      reply.raw.once("close", () => (inFlight[service] -= 1));
      return pass(request, reply, service, upstream, traces);
    },
  });
  return inFlight;
}

/**
 * The body as a stream of its own. A service may refuse an upload before it has come; undici then destroys what it was
 * sending, which must not be the client's connection: the rest is read and thrown away, within the request's time, and
 * the client hears why.
 * @param {import("node:http").IncomingMessage} payload
 */
function separate(payload) {
  const body = new PassThrough();
  body.on("error", () => {}).once("close", () => {
    payload.unpipe(body);
    if (!payload.destroyed) payload.resume();
  });
  payload.on("error", () => {}).once("close", () => {
    if (!payload.complete) body.destroy(new Error("the client left"));
  });
  return payload.pipe(body);
}

function pass(request, reply, service, upstream, traces) {
  try {
    return reply.from(request.raw.url.split("?", 1)[0], {
      getUpstream: () => upstream,
      retriesCount: 1,
      retryDelay: retryOnce,
      rewriteRequestHeaders: (_request, headers) => requestHeaders(request, headers, traces),
      rewriteHeaders: (headers) => answerHeaders(headers, request),
      onError: (_reply, { error }) => failed(request, reply, service, error),
    });
  } catch {
    // A path that would lead elsewhere, like /\\host/ or /../
    return refuse(reply, 400, "The path of the request cannot be read.");
  }
}

/** A connection that the service closed while the request was on its way: once more, where that changes nothing. */
function retryOnce({ req, err, attempt }) {
  const lost = err && ["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"].includes(err.code);
  return lost && attempt === 0 && RETRIED.includes(req.method) ? 20 : null;
}

function requestHeaders(request, headers, traces) {
  const kept = { ...headers };
  for (const name of DROPPED) delete kept[name];
  // A stranger could choose the ids of our traces, and have all of them kept.
  if (!fromOurProxy(request)) for (const name of CARRIERS) delete kept[name];
  return {
    ...kept,
    ...traces?.headers(request),
    "x-request-id": request.id,
    // Who asks, as it is known here: what the client says of it is not passed on.
    "x-forwarded-for": request.ip,
    "x-forwarded-host": request.host,
    "x-forwarded-proto": request.protocol,
  };
}

function answerHeaders(headers, request) {
  const kept = { ...headers, "x-request-id": request.id };
  for (const name of ["connection", "keep-alive", "transfer-encoding", "server"]) delete kept[name];
  return kept;
}

function failed(request, reply, service, error) {
  if (request.raw.socket.destroyed) {
    // The client left, mostly in the middle of its upload: nobody is there to be answered.
    reply.hijack();
    reply.raw.destroy();
    return;
  }
  const { status, detail } = ofUpstream(service, error);
  request.log.warn({ service, code: error.cause?.code ?? error.code }, "no answer");
  refuse(reply, status, detail, { "retry-after": "5" });
}
