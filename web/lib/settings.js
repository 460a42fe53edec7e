// Where the API is and which key it takes. The address lives in the page's own URL (?api=), so that it can be shared and
// leaves nothing behind; a key lives in sessionStorage, under the API it belongs to, so that a link to another API
// never gets it.

const KEY_PREFIX = "purrdict.key:";
const DEFAULT_TIMEOUT_S = 30;

/** The published configuration (config.json) with the address that counts: ?api=, else config.json's, else beside the page. */
export async function loadSettings() {
  const config = await publishedConfig();
  const asked = new URLSearchParams(location.search).get("api");
  const published = parseApi(config.api) ?? new URL(".", location.href).href;
  const api = parseApi(asked) ?? published;
  return {
    published,
    api,
    // Nobody named an API: there may be one beside the page, or none at all.
    unnamed: !config.api && api === published,
    timeout: (config.timeout_seconds ?? DEFAULT_TIMEOUT_S) * 1000,
    // Whether whoever serves the page names its files (files.json), and where it has the runtime unpacked; a bare file server does not.
    offline: config.offline === true,
    runtime: config.runtime ?? null,
    // The model's file beside the page, where it is kept gzipped.
    weights: config.weights ?? null,
    // Services beside the API, where there are any (docs/PAGE.md).
    services: { feedback: parseApi(config.feedback), writer: parseApi(config.writer) },
  };
}

async function publishedConfig() {
  try {
    const response = await fetch("config.json");
    return response.ok ? await response.json() : {};
  } catch {
    // Without its configuration the page still works with the API it came from.
    return {};
  }
}

/** An address as the base of the API's routes, ending in a slash; null if it is empty or not http(s). */
export function parseApi(address) {
  if (!address?.trim()) return null;
  try {
    const url = new URL(address.trim());
    if (!["http:", "https:"].includes(url.protocol)) return null;
    return `${url.origin}${url.pathname.replace(/\/*$/, "/")}`;
  } catch {
    return null;
  }
}

/** Takes another address for this visit; the page's URL says so. */
export function useApi(settings, address) {
  settings.api = parseApi(address) ?? settings.published;
  const url = new URL(location.href);
  if (settings.api === settings.published) url.searchParams.delete("api");
  else url.searchParams.set("api", settings.api);
  history.replaceState(null, "", url);
}

/** The key for this API, or an empty string. */
export function keyFor(api) {
  try {
    return sessionStorage.getItem(KEY_PREFIX + api) ?? "";
  } catch {
    // Browsers that block storage throw; the page then works without a key.
    return "";
  }
}

export function setKey(api, key) {
  try {
    if (key) sessionStorage.setItem(KEY_PREFIX + api, key);
    else sessionStorage.removeItem(KEY_PREFIX + api);
  } catch {
    // Nothing to keep it in: the API will ask for the key, and the page says so.
  }
}

const CHOICES = "purrdict.";

/** What the visitor chose, or this device was found to need, under this name, on this visit or an earlier one; null if nothing.
 * Never a photo or an answer. */
export function remembered(name) {
  try {
    return globalThis.localStorage?.getItem(CHOICES + name) ?? null;
  } catch {
    return null;
  }
}

/** Keeps a choice; null forgets it. */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(CHOICES + name);
    else localStorage.setItem(CHOICES + name, value);
  } catch {
    // Nothing to keep it in: the choice holds for this visit.
  }
}
