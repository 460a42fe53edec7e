// Every failure as a status and a sentence that says what to do.

const UNREACHABLE = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT", "ECONNRESET", "EPIPE", "UND_ERR_SOCKET", "UND_ERR_CLOSED", "UND_ERR_DESTROYED"]);
const SLOW = new Set(["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT", "ETIMEDOUT"]);
const NAMES = { api: "The classifier", feedback: "The feedback service", writer: "The writer" };

/** @param {string} service @param {Error & {code?: string}} error @returns {{status: number, detail: string}} */
export function ofUpstream(service, error) {
  const cause = /** @type {any} */ (error.cause) ?? error;
  const code = cause.code ?? error.code ?? "";
  const name = NAMES[service];
  if (SLOW.has(code)) return { status: 504, detail: `${name} took too long to answer. Try again in a minute.` };
  if (UNREACHABLE.has(code)) return { status: 502, detail: `${name} cannot be reached now. Try again in a few seconds.` };
  return { status: 502, detail: `${name} gave an answer that is none. Try again in a few seconds.` };
}

/** What the parser of HTTP refuses before there is a request. @param {Error & {code?: string}} error */
export function ofClient(error) {
  if (error.code === "HPE_HEADER_OVERFLOW") return { status: 431, phrase: "Request Header Fields Too Large", detail: "The headers of the request are too large." };
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") return { status: 408, phrase: "Request Timeout", detail: "The request took too long to arrive." };
  return { status: 400, phrase: "Bad Request", detail: "This is no HTTP request." };
}

/** Answers with a sentence. @param {import("fastify").FastifyReply} reply */
export function refuse(reply, status, detail, headers = {}) {
  return reply.code(status).headers({ "content-type": "application/json", "cache-control": "no-store", ...headers }).send({ detail });
}
