// The API over HTTP, and what is wrong when it does not answer.

import { PASSING, Problem } from "./problem.js";
import { keyFor } from "./settings.js";

/** What an overloaded API asks for in Retry-After, which pages on other origins cannot read. */
const RETRY_PAUSE_MS = 2000;
const PROBE_TIMEOUT_MS = 5000;
/** What a gateway answers while the service behind it is away. */
const GATEWAY = new Set([502, 503, 504]);
/** Addresses that ngrok gives. */
const NGROK = /\.ngrok(-free)?\.(app|dev|io|pizza)$/;
/** Chrome's permission to reach addresses of this machine and network; its versions know different names. */
const LOCAL_PERMISSIONS = ["local-network-access", "loopback-network", "local-network"];

/** Headers that every request to this address needs: on its free plan ngrok shows browsers a warning page without this one. */
export const headersFor = (address) => (isNgrok(address) ? { "ngrok-skip-browser-warning": "1" } : {});

const isNgrok = (address) => NGROK.test(new URL(address).hostname);

/** Asks whether the API can predict, which also wakes a sleeping function. */
export async function health({ api, timeout }) {
  const { response, body, html } = await request(api, "health", { timeout });
  if (typeof body?.model_loaded !== "boolean") {
    if (GATEWAY.has(response.status)) throw new Problem("down", about(api));
    throw inTheWay(response, html) ? new Problem("webPage", about(api)) : new Problem("notPurrdict", about(api));
  }
  if (!body.model_loaded) throw new Problem("noModel", { detail: body.detail ?? "" });
  return body;
}

/** What the API says of its model; null if it does not say. */
export async function modelInfo({ api, timeout }) {
  const { response, body } = await request(api, "model/info", { timeout });
  return response.ok ? body : null;
}

/**
 * The answer for one photo, with its heat map: { answer, requestId }.
 *
 * A request that failed for a passing reason is sent once more: the answer depends on nothing but the photo.
 */
export async function predict({ api, timeout }, blob, name, signal) {
  const form = new FormData();
  form.append("file", blob, name);
  const options = { method: "POST", body: form, key: keyFor(api), timeout, signal };
  const once = async () => {
    const reply = await request(api, "predict?explain=true", options);
    return { answer: answerOf(reply, api), requestId: reply.response.headers.get("X-Request-ID") ?? newId() };
  };
  try {
    return await once();
  } catch (problem) {
    if (!PASSING.has(problem.kind)) throw problem;
    await pause(RETRY_PAUSE_MS, signal);
    return once();
  }
}

/** Sends a request and reads its whole answer; `body` is null when that is no JSON, `html` says that it is a web page. */
async function request(api, path, { key, timeout, signal, ...options }) {
  if (signal?.aborted) throw new Problem("cancelled");
  const limit = new AbortController();
  const stop = () => limit.abort();
  const timer = setTimeout(stop, timeout);
  signal?.addEventListener("abort", stop);
  try {
    const response = await fetch(new URL(path, api), {
      ...options,
      headers: { ...headersFor(api), ...(key ? { "X-API-Key": key } : {}) },
      signal: limit.signal,
      cache: "no-store",
    });
    const content = await response.text();
    return { response, body: parsed(content), html: /^\s*<(!doctype html|html)\b/i.test(content) };
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
  const values = { ...about(api), origin: location.origin };
  if (location.protocol === "https:" && api.startsWith("http:") && !isLocal(api)) return new Problem("mixed", values);
  try {
    await fetch(new URL("health", api), {
      mode: "no-cors",
      cache: "no-store",
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
  } catch {
    if (!isOwnNetwork(api) || isOwnNetwork(location.href)) return new Problem("down", values);
    return (await localNetworkDenied()) ? new Problem("localNetworkDenied", values) : new Problem("localNetwork", values);
  }
  if (isNgrok(api) && new URL(api).origin !== location.origin) return new Problem("ngrok", values);
  // A same-origin answer needs no permission: what failed was this one request.
  return new Problem(new URL(api).origin === location.origin ? "down" : "cors", values);
}

/** Chrome lets pages of the internet reach this machine and its network only with their visitor's permission. */
async function localNetworkDenied() {
  for (const name of LOCAL_PERMISSIONS) {
    try {
      if ((await navigator.permissions.query({ name })).state === "denied") return true;
    } catch {
      // Not a name that this browser knows.
    }
  }
  return false;
}

/** Whether a web page came in place of an answer: a warning, or a sign-in, of something that stands in front of the API. */
const inTheWay = ({ ok, status }, html) => html && (ok || status === 401 || status === 403);

function answerOf({ response, body, html }, api) {
  if (response.ok && body?.probabilities) return body;
  if (inTheWay(response, html)) throw new Problem("webPage", about(api));
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

/** Names an answer that brought no name of its own. */
export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const about = (api) => ({ host: hostOf(api), api: new URL(api).origin });

export const hostOf = (api) => new URL(api).host;

/** This machine: browsers let pages that came over https call it over http. */
const isLocal = (address) => /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(address).hostname);

/** This machine or its network. */
const isOwnNetwork = (address) =>
  isLocal(address) ||
  /^(10|192\.168|169\.254|172\.(1[6-9]|2\d|3[01]))\.|\.local$|^\[f([cd]|e[89ab])/.test(new URL(address).hostname);

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new Problem("cancelled"));
    });
  });
}
