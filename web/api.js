// The API over HTTP, and what is wrong when it does not answer.

import { keyFor } from "./settings.js";

/** Why there is no answer. `kind` names a text in strings.js (problem.<kind>), `values` fill it in. */
export class Problem extends Error {
  constructor(kind, values = {}) {
    super(kind);
    this.kind = kind;
    this.values = values;
  }
}

/** Kinds that say the API as a whole is out of reach, not that it refused one photo. */
export const UNREACHABLE = new Set(["offline", "mixed", "cors", "down", "timeout", "notPurrdict", "noModel"]);
/** Kinds after which the same request may well succeed. */
const PASSING = new Set(["down", "timeout", "server", "unavailable"]);

/** What an overloaded API asks for in Retry-After, which pages on other origins cannot read. */
const RETRY_PAUSE_MS = 2000;
const PROBE_TIMEOUT_MS = 5000;

/** Asks whether the API can predict, which also wakes a sleeping function. */
export async function health({ api, timeout }) {
  const { body } = await request(api, "health", { timeout });
  if (typeof body?.model_loaded !== "boolean") throw new Problem("notPurrdict", about(api));
  if (!body.model_loaded) throw new Problem("noModel", { detail: body.detail ?? "" });
  return body;
}

/** What the API says of its model; null if it does not say. */
export async function modelInfo({ api, timeout }) {
  const { response, body } = await request(api, "model/info", { timeout });
  return response.ok ? body : null;
}

/**
 * The answer for one photo, with its heat map.
 *
 * A request that failed for a passing reason is sent once more: the answer depends on nothing but the photo.
 */
export async function predict({ api, timeout }, blob, name, signal) {
  const form = new FormData();
  form.append("file", blob, name);
  const options = { method: "POST", body: form, key: keyFor(api), timeout, signal };
  const once = async () => answerOf(await request(api, "predict?explain=true", options), api);
  try {
    return await once();
  } catch (problem) {
    if (!PASSING.has(problem.kind)) throw problem;
    await pause(RETRY_PAUSE_MS, signal);
    return once();
  }
}

/** Sends a request and reads its whole answer; `body` is null when that is no JSON. */
async function request(api, path, { key, timeout, signal, ...options }) {
  if (signal?.aborted) throw new Problem("cancelled");
  const limit = new AbortController();
  const stop = () => limit.abort();
  const timer = setTimeout(stop, timeout);
  signal?.addEventListener("abort", stop);
  try {
    const response = await fetch(new URL(path, api), {
      ...options,
      headers: key ? { "X-API-Key": key } : {},
      signal: limit.signal,
      cache: "no-store",
    });
    return { response, body: parsed(await response.text()) };
  } catch {
    if (signal?.aborted) throw new Problem("cancelled");
    if (limit.signal.aborted) throw new Problem("timeout", { ...about(api), seconds: Math.round(timeout / 1000) });
    throw await diagnose(api);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

/** Browsers hide why a request failed. One whose answer nobody reads needs no permission, so it tells refusal from silence. */
async function diagnose(api) {
  if (!navigator.onLine) return new Problem("offline");
  const values = { ...about(api), api: new URL(api).origin, origin: location.origin };
  if (location.protocol === "https:" && api.startsWith("http:") && !isLocal(api)) return new Problem("mixed", values);
  try {
    await fetch(new URL("health", api), {
      mode: "no-cors",
      cache: "no-store",
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
  } catch {
    return new Problem("down", values);
  }
  // A same-origin answer needs no permission: what failed was this one request.
  return new Problem(new URL(api).origin === location.origin ? "down" : "cors", values);
}

function answerOf({ response, body }, api) {
  if (response.ok && body?.probabilities) return body;
  const detail = typeof body?.detail === "string" ? body.detail : "";
  const { status } = response;
  if (status === 401 || status === 403) throw new Problem(keyFor(api) ? "keyWrong" : "keyNeeded");
  if (status === 400) throw new Problem("unreadable", { detail });
  if (status === 413) throw new Problem("tooLarge", { detail });
  if (status === 429) throw new Problem("rate");
  if (status === 503 && detail) throw new Problem("unavailable", { detail });
  if (status >= 500) throw new Problem("server", { status, id: response.headers.get("X-Request-ID") });
  if (status === 404 || response.ok) throw new Problem("notPurrdict", about(api));
  throw new Problem("refused", { status, detail });
}

const about = (api) => ({ host: hostOf(api) });

export const hostOf = (api) => new URL(api).host;

const isLocal = (api) => ["localhost", "127.0.0.1", "[::1]"].includes(new URL(api).hostname);

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new Problem("cancelled"));
    });
  });
}

/** The same request for a terminal. The key stays out of it: people paste commands into chats. */
export function curlCommand(api, name) {
  const key = keyFor(api) ? ` -H "X-API-Key: $API_KEY"` : "";
  // curl's -F takes ; and , in a file name for options unless the name is in double quotes.
  const file = name.replace(/[\\"]/g, "\\$&");
  return `curl${key} -F ${quoted(`file=@"${file}"`)} ${quoted(new URL("predict?explain=true", api).href)}`;
}

const quoted = (word) => `'${word.replaceAll("'", `'\\''`)}'`;
